//! `#[arg(…)]` on top of the schema of a type.

use serde_json::{Map, Value, json};

use super::Checker;
use crate::input::{InputSpec, Rule};

/// Writes the rules of an input into its schema. Gives back the rules that do not fit its type.
pub(super) fn apply(
    spec: &InputSpec,
    schema: &mut Map<String, Value>,
    definitions: &Map<String, Value>,
) -> Vec<String> {
    let kinds = kinds(schema, definitions);
    let mut problems = Vec::new();
    for rule in &spec.rules {
        match keyword(rule, &kinds) {
            Ok((keyword, value)) => {
                schema.insert(keyword.to_owned(), value);
            }
            // Both ends of a range fail alike.
            Err(problem) if problems.contains(&problem) => {}
            Err(problem) => problems.push(problem),
        }
    }
    if let Some(default) = &spec.default {
        schema.insert("default".into(), default.clone());
    }
    if !spec.examples.is_empty() {
        schema.insert("examples".into(), Value::Array(spec.examples.clone()));
    }
    if (spec.secret || spec.holds_secrets) && (spec.default.is_some() || !spec.examples.is_empty())
    {
        problems.push(
            "it is secret, and its schema would publish its default or example: leave that out"
                .to_owned(),
        );
    }
    if spec.secret {
        schema.insert("writeOnly".into(), json!(true));
    }
    problems
}

fn keyword(rule: &Rule, kinds: &[String]) -> Result<(&'static str, Value), String> {
    let is = |wanted: &[&str]| kinds.iter().any(|kind| wanted.contains(&kind.as_str()));
    let number = |keyword, n: &serde_json::Number| {
        if is(&["integer", "number"]) {
            Ok((keyword, Value::Number(n.clone())))
        } else {
            Err(format!(
                "`range` limits numbers, and this is {}",
                said(kinds)
            ))
        }
    };
    let length = |keywords: [&'static str; 3], n: usize| {
        let keyword = if is(&["string"]) {
            keywords[0]
        } else if is(&["array"]) {
            keywords[1]
        } else if is(&["object"]) {
            keywords[2]
        } else {
            return Err(format!(
                "`len` limits texts, lists and maps, and this is {}",
                said(kinds)
            ));
        };
        Ok((keyword, json!(n)))
    };
    let text = |keyword, name: &str, value: &str| {
        if is(&["string"]) {
            Ok((keyword, json!(value)))
        } else {
            Err(format!(
                "`{name}` is for texts, and this is {}",
                said(kinds)
            ))
        }
    };
    match rule {
        Rule::Minimum(n) => number("minimum", n),
        Rule::Maximum(n) => number("maximum", n),
        Rule::Below(n) => number("exclusiveMaximum", n),
        Rule::MinLen(n) => length(["minLength", "minItems", "minProperties"], *n),
        Rule::MaxLen(n) => length(["maxLength", "maxItems", "maxProperties"], *n),
        Rule::Pattern(regex) => text("pattern", "pattern", regex),
        Rule::Format(name) => text("format", "format", name),
    }
}

/// The JSON types that a schema accepts, as far as it says.
fn kinds(schema: &Map<String, Value>, definitions: &Map<String, Value>) -> Vec<String> {
    let schema = super::resolve(schema, definitions);
    match schema.get("type") {
        Some(Value::String(kind)) => return vec![kind.clone()],
        Some(Value::Array(kinds)) => {
            return kinds
                .iter()
                .filter_map(|kind| kind.as_str().map(str::to_owned))
                .collect();
        }
        _ => {}
    }
    let branches = ["anyOf", "oneOf", "allOf"]
        .into_iter()
        .filter_map(|k| schema.get(k)?.as_array());
    branches
        .flatten()
        .filter_map(Value::as_object)
        .flat_map(|s| kinds(s, definitions))
        .collect()
}

fn said(kinds: &[String]) -> String {
    let kinds: Vec<_> = kinds
        .iter()
        .filter(|kind| *kind != "null")
        .map(String::as_str)
        .collect();
    if kinds.is_empty() {
        "a value of any type".to_owned()
    } else {
        format!("a value of type {}", kinds.join(" or "))
    }
}

/// Checks the default and the examples of an input against its finished schema.
pub(super) fn examples(spec: &InputSpec, root: &Value) -> Vec<String> {
    if spec.default.is_none() && spec.examples.is_empty() {
        return Vec::new();
    }
    let Some(Value::Object(property)) = root.pointer("/properties").and_then(|p| p.get(spec.name))
    else {
        return Vec::new();
    };
    let mut schema = property.clone();
    if let Some(definitions) = root.get("$defs") {
        schema.insert("$defs".into(), definitions.clone());
    }
    let Ok(checker) = Checker::new(&Value::Object(schema)) else {
        return Vec::new(); // The schema of the whole tool has the same fault and reports it.
    };
    let of = |what: &str, value: &Value| {
        let text = value.to_string();
        let node = crate::json::parse(text.as_bytes()).unwrap_or_default();
        checker
            .problems(&node)
            .into_iter()
            .map(|p| format!("its {what} {}", p.message))
            .collect::<Vec<_>>()
    };
    let defaults = spec.default.iter().flat_map(|value| of("default", value));
    let examples = spec.examples.iter().flat_map(|value| of("example", value));
    defaults.chain(examples).collect()
}

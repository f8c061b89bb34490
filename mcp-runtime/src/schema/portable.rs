//! Rewrites that keep the meaning of a schema and drop what clients stumble over.

use serde_json::{Map, Value, json};

/// Formats of Rust's number types. Clients report them as unknown, or refuse the whole list.
const NUMBER_FORMATS: &[&str] = &[
    "int", "int8", "int16", "int32", "int64", "int128", "uint", "uint8", "uint16", "uint32",
    "uint64", "uint128", "float", "double",
];

/// Keywords whose value is one schema.
const ONE: &[&str] = &[
    "items",
    "additionalProperties",
    "not",
    "if",
    "then",
    "else",
    "contains",
    "propertyNames",
    "unevaluatedProperties",
    "unevaluatedItems",
];
/// Keywords whose value is a list of schemas.
const LIST: &[&str] = &["anyOf", "oneOf", "allOf", "prefixItems"];
/// Keywords whose value maps names to schemas.
const MAP: &[&str] = &[
    "properties",
    "patternProperties",
    "$defs",
    "dependentSchemas",
];

/// Visits every subschema, innermost first.
fn walk(schema: &mut Value, visit: &mut impl FnMut(&mut Map<String, Value>)) {
    let Value::Object(object) = schema else {
        return;
    };
    for (keyword, value) in object.iter_mut() {
        let keyword = keyword.as_str();
        if ONE.contains(&keyword) {
            walk(value, visit);
        } else if LIST.contains(&keyword) {
            value
                .as_array_mut()
                .into_iter()
                .flatten()
                .for_each(|s| walk(s, visit));
        } else if MAP.contains(&keyword) {
            value
                .as_object_mut()
                .into_iter()
                .flat_map(Map::values_mut)
                .for_each(|s| walk(s, visit));
        }
    }
    visit(object);
}

/// Drops the formats of number types, and unions that are nothing but a list of values.
pub(super) fn simplify(schema: &mut Value) {
    walk(schema, &mut |object| {
        object.remove("$schema");
        if object
            .get("format")
            .and_then(Value::as_str)
            .is_some_and(|f| NUMBER_FORMATS.contains(&f))
        {
            object.remove("format");
        }
        for keyword in ["oneOf", "anyOf"] {
            collapse_constants(object, keyword);
        }
    });
}

/// `oneOf: [{const: a}, {enum: [b, c]}]`, which is how an enum with documented variants comes out,
/// becomes `enum: [a, b, c]`; the descriptions of the variants move into the one that is left.
fn collapse_constants(object: &mut Map<String, Value>, keyword: &str) {
    const KNOWN: &[&str] = &["const", "enum", "type", "description", "title"];
    let Some(Value::Array(branches)) = object.get(keyword) else {
        return;
    };
    let mut values = Vec::new();
    let mut kind = None;
    let mut notes = Vec::new();
    for branch in branches {
        let Some(branch) = branch.as_object() else {
            return;
        };
        if branch.keys().any(|key| !KNOWN.contains(&key.as_str())) {
            return;
        }
        let of_branch = match (
            branch.get("const"),
            branch.get("enum").and_then(Value::as_array),
        ) {
            (Some(value), None) => vec![value.clone()],
            (None, Some(values)) => values.clone(),
            // `{type: "null"}` beside the values is an `Option`, not a constant.
            _ => return,
        };
        let branch_kind = branch.get("type").cloned();
        if !values.is_empty() && kind != branch_kind {
            return;
        }
        kind = branch_kind;
        if let (Some(text), [value]) = (
            branch.get("description").and_then(Value::as_str),
            of_branch.as_slice(),
        ) {
            notes.push(format!(
                "`{}`: {text}",
                value
                    .as_str()
                    .map_or_else(|| value.to_string(), str::to_owned)
            ));
        }
        values.extend(of_branch);
    }
    object.remove(keyword);
    if let Some(kind) = kind {
        object.insert("type".into(), kind);
    }
    object.insert("enum".into(), Value::Array(values));
    if !notes.is_empty() {
        let text = object
            .get("description")
            .and_then(Value::as_str)
            .map(|text| format!("{text}\n"));
        let text = text.unwrap_or_default() + &notes.join("\n");
        object.insert("description".into(), Value::String(text));
    }
}

/// Refuses members that an object does not know. Left alone where members come from several
/// schemas at once (`#[serde(flatten)]`): each would refuse those of the others.
pub(super) fn close_objects(schema: &mut Value) {
    fn close(schema: &mut Value, shared: bool) {
        let Value::Object(object) = schema else {
            return;
        };
        let composed = ["allOf", "anyOf", "oneOf", "$ref", "if"]
            .iter()
            .any(|k| object.contains_key(*k));
        let has_members = object.contains_key("properties");
        if has_members
            && !composed
            && !shared
            && !object.contains_key("additionalProperties")
            && !object.contains_key("unevaluatedProperties")
        {
            object.insert("additionalProperties".into(), json!(false));
        }
        for (keyword, value) in object.iter_mut() {
            let keyword = keyword.as_str();
            if ONE.contains(&keyword) {
                close(value, matches!(keyword, "if" | "then" | "else" | "not"));
            } else if LIST.contains(&keyword) {
                let shared = keyword == "allOf" || (has_members && keyword != "prefixItems");
                value
                    .as_array_mut()
                    .into_iter()
                    .flatten()
                    .for_each(|s| close(s, shared));
            } else if MAP.contains(&keyword) {
                value
                    .as_object_mut()
                    .into_iter()
                    .flat_map(Map::values_mut)
                    .for_each(|s| close(s, false));
            }
        }
    }
    close(schema, false);
}

/// Takes `null` out of what optional members say they accept.
pub(super) fn hide_nulls(schema: &mut Value) {
    walk(schema, &mut |object| {
        let required: Vec<String> = object
            .get("required")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(|name| name.as_str().map(str::to_owned))
            .collect();
        let Some(Value::Object(properties)) = object.get_mut("properties") else {
            return;
        };
        for (name, property) in properties {
            if let Value::Object(property) = property
                && !required.contains(name)
            {
                hide_null(property);
            }
        }
    });
}

fn hide_null(object: &mut Map<String, Value>) {
    if let Some(Value::Array(types)) = object.get_mut("type") {
        types.retain(|kind| kind != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            object.insert("type".into(), only);
        }
    }
    if let Some(Value::Array(values)) = object.get_mut("enum")
        && values.len() > 1
    {
        values.retain(|value| !value.is_null());
    }
    if object.get("default").is_some_and(Value::is_null) {
        object.remove("default");
    }
    for keyword in ["anyOf", "oneOf"] {
        let Some(Value::Array(branches)) = object.get_mut(keyword) else {
            continue;
        };
        branches.retain(|branch| {
            !(branch.get("type").is_some_and(|kind| kind == "null")
                || branch.get("const").is_some_and(Value::is_null))
        });
        if let [only] = branches.as_slice()
            && let Some(only) = only.as_object().cloned()
        {
            object.remove(keyword);
            merge(object, only);
        }
    }
}

/// Puts the members of `inner` into `outer`; what `outer` already says about itself stays.
fn merge(outer: &mut Map<String, Value>, inner: Map<String, Value>) {
    for (keyword, value) in inner {
        outer.entry(keyword).or_insert(value);
    }
}

/// Replaces references to definitions that are used once and do not contain themselves.
pub(super) fn inline(schema: &mut Value) {
    while let Some(name) = next_to_inline(schema) {
        let Some(definition) = schema
            .get_mut("$defs")
            .and_then(Value::as_object_mut)
            .and_then(|definitions| definitions.remove(&name))
        else {
            return;
        };
        replace(schema, &name, &definition);
    }
    if schema
        .get("$defs")
        .and_then(Value::as_object)
        .is_some_and(Map::is_empty)
        && let Value::Object(object) = schema
    {
        object.remove("$defs");
    }
}

fn next_to_inline(schema: &Value) -> Option<String> {
    let definitions = schema.get("$defs")?.as_object()?;
    definitions
        .iter()
        .find(|(name, definition)| {
            let uses = uses(schema, name);
            // Not used at all: dropped by the same move.
            uses.len() <= 1
                && count(definition, name) == 0
                && uses.iter().all(|siblings| mergeable(siblings, definition))
        })
        .map(|(name, _)| name.clone())
}

/// Whether a definition can take the place of a reference with these keywords beside it: both may
/// describe, but only one may restrict.
fn mergeable(siblings: &Map<String, Value>, definition: &Value) -> bool {
    const WORDS: &[&str] = &["$ref", "description", "title", "default", "examples"];
    definition.as_object().is_some_and(|definition| {
        siblings
            .keys()
            .all(|k| WORDS.contains(&k.as_str()) || !definition.contains_key(k))
    })
}

fn uses<'a>(schema: &'a Value, name: &str) -> Vec<&'a Map<String, Value>> {
    let mut found = Vec::new();
    collect(schema, &mut |object| {
        if refers_to(object, name) {
            found.push(object);
        }
    });
    found
}

fn count(schema: &Value, name: &str) -> usize {
    uses(schema, name).len()
}

fn collect<'a>(value: &'a Value, visit: &mut impl FnMut(&'a Map<String, Value>)) {
    match value {
        Value::Object(object) => {
            visit(object);
            object.values().for_each(|value| collect(value, visit));
        }
        Value::Array(items) => items.iter().for_each(|value| collect(value, visit)),
        _ => {}
    }
}

fn replace(schema: &mut Value, name: &str, definition: &Value) {
    walk(schema, &mut |object| {
        if refers_to(object, name) {
            object.remove("$ref");
            if let Some(definition) = definition.as_object() {
                merge(object, definition.clone());
            }
        }
    });
}

fn refers_to(object: &Map<String, Value>, name: &str) -> bool {
    object
        .get("$ref")
        .and_then(Value::as_str)
        .and_then(definition_name)
        .is_some_and(|referred| referred == name)
}

/// The name in `#/$defs/<name>`, unescaped.
pub(super) fn definition_name(reference: &str) -> Option<String> {
    let name = reference.strip_prefix("#/$defs/")?;
    Some(name.replace("~1", "/").replace("~0", "~"))
}

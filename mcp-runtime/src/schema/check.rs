//! Checking arguments against their schema, and saying what to do about each problem.

use std::borrow::Cow;
use std::sync::Arc;

use jsonschema::error::{TypeKind, ValidationErrorKind as Kind};
use jsonschema::{Draft, PatternOptions, Retrieve, ValidationError, ValidationOptions, Validator};
use serde_json::Value;

use crate::input::Problem;
use crate::json::{Borrowed, Node};

/// Regular expressions above this size are refused when the server is built.
const MAX_REGEX: usize = 1 << 20;
/// Problems reported at once: more than a model can act on helps nobody.
const MAX_PROBLEMS: usize = 20;

/// A compiled schema.
pub(crate) struct Checker {
    validator: Validator<Borrowed>,
    /// As text, which is a fifth as large: it is looked at when an argument has a name that nobody
    /// knows.
    schema: Box<str>,
}

impl Checker {
    /// Compiles a schema of draft 2020-12. References leave the schema for nowhere: nothing is
    /// ever fetched. Patterns run in linear time.
    pub(crate) fn new(schema: &Value) -> Result<Self, String> {
        jsonschema::draft202012::meta::validate(schema).map_err(|error| {
            format!(
                "is not a schema of JSON Schema 2020-12: {error} (at `{}`)",
                error.instance_path()
            )
        })?;
        let validator = ValidationOptions::<'_, Arc<dyn Retrieve>, Borrowed>::default()
            .with_draft(Draft::Draft202012)
            .should_validate_formats(true)
            .with_pattern_options(PatternOptions::regex().size_limit(MAX_REGEX))
            .offline()
            .build(schema)
            .map_err(|error| format!("cannot be checked: {error}"))?;
        Ok(Self {
            validator,
            schema: schema.to_string().into(),
        })
    }

    pub(crate) fn accepts(&self, arguments: &Node<'_>) -> bool {
        self.validator.is_valid(arguments)
    }

    /// Every problem with the arguments, each at its place.
    pub(crate) fn problems(&self, arguments: &Node<'_>) -> Vec<Problem> {
        let mut problems = Vec::new();
        for error in self.validator.iter_errors(arguments) {
            self.explain(&error, &mut problems);
            if problems.len() >= MAX_PROBLEMS {
                problems.truncate(MAX_PROBLEMS);
                break;
            }
        }
        // Whoever reads which words a value may be knows its type, too.
        let worded: Vec<String> = problems
            .iter()
            .filter(|problem| problem.rule == "enum")
            .map(|problem| problem.pointer.clone())
            .collect();
        problems.retain(|problem| problem.rule != "type" || !worded.contains(&problem.pointer));
        // The validator looks at keywords in an order of its own.
        problems.sort_by(|a, b| (&a.pointer, &a.rule).cmp(&(&b.pointer, &b.rule)));
        problems
    }

    fn explain(&self, error: &ValidationError<'_>, problems: &mut Vec<Problem>) {
        let pointer = error.instance_path().to_string();
        let rule = error.kind().keyword().to_owned();
        let mut say = |pointer: String, message: String| {
            problems.push(Problem {
                pointer,
                rule: Cow::Owned(rule.clone()),
                message,
            });
        };
        match error.kind() {
            Kind::Required { property } => {
                let name = property.as_str().unwrap_or_default();
                say(
                    format!("{pointer}/{}", escape(name)),
                    "is missing, and it is required".to_owned(),
                );
            }
            Kind::AdditionalProperties { unexpected }
            | Kind::UnevaluatedProperties { unexpected } => {
                let known = self.known(error);
                // Each comes with a search for the name that was meant.
                for name in unexpected.iter().take(MAX_PROBLEMS) {
                    say(
                        format!("{pointer}/{}", escape(&shown(name))),
                        unknown(name, &known),
                    );
                }
            }
            Kind::AnyOf { context } | Kind::OneOfNotValid { context } => {
                if let Some((tag, options)) = tags(context) {
                    say(tag, format!("must be one of {}", options.join(", ")));
                    return;
                }
                if let Some(kinds) = kinds(context, &pointer) {
                    say(pointer, format!("must be {}", kinds.join(" or ")));
                    return;
                }
                // The branch that comes closest tells the most: of those with the right type and
                // the right tag, the one with the fewest problems.
                let branches = context.iter().filter(|branch| !branch.is_empty());
                let closest = branches.min_by_key(|branch| {
                    let stranger = branch
                        .iter()
                        .any(|e| is_tag(e) || kind(e, &pointer).is_some());
                    (stranger, branch.len())
                });
                for error in closest.into_iter().flatten() {
                    self.explain(error, problems);
                }
            }
            kind => say(pointer, remedy(kind)),
        }
    }

    /// The names that the object of this error does know.
    fn known(&self, error: &ValidationError<'_>) -> Vec<String> {
        let path = error.schema_path().to_string();
        let parent = path.rsplit_once('/').map_or("", |(parent, _)| parent);
        let schema: Value = serde_json::from_str(&self.schema).unwrap_or_default();
        schema
            .pointer(parent)
            .and_then(|schema| schema.get("properties"))
            .and_then(Value::as_object)
            .map(|properties| properties.keys().cloned().collect())
            .unwrap_or_default()
    }
}

fn is_tag(error: &ValidationError<'_>) -> bool {
    matches!(error.kind(), Kind::Constant { .. })
}

/// The place and the options of a tag that is wrong in every branch, like the `kind` of an enum.
fn tags(branches: &[Vec<ValidationError<'_>>]) -> Option<(String, Vec<String>)> {
    let mut place = None;
    let mut options = Vec::with_capacity(branches.len());
    for branch in branches {
        let error = branch.iter().find(|error| is_tag(error))?;
        let Kind::Constant { expected_value } = error.kind() else {
            return None;
        };
        let at = error.instance_path().to_string();
        if place.get_or_insert_with(|| at.clone()) != &at {
            return None;
        }
        options.push(expected_value.to_string());
    }
    place.map(|place| (place, options))
}

/// The types that the branches want at this place, when no branch takes the one that is there.
fn kinds(branches: &[Vec<ValidationError<'_>>], place: &str) -> Option<Vec<String>> {
    let mut kinds = Vec::with_capacity(branches.len());
    for branch in branches {
        let wanted = branch.iter().find_map(|error| kind(error, place))?;
        // As elsewhere, nobody should be told to send `null`.
        if wanted != "null" && !kinds.contains(&wanted) {
            kinds.push(wanted);
        }
    }
    (!kinds.is_empty()).then_some(kinds)
}

/// The type that this error asks for at this place.
fn kind(error: &ValidationError<'_>, place: &str) -> Option<String> {
    match error.kind() {
        Kind::Type { kind } if error.instance_path().to_string() == place => Some(types(kind)),
        _ => None,
    }
}

/// What to send instead. Speaks of the rule, never of the value.
fn remedy(kind: &Kind) -> String {
    match kind {
        Kind::Type { kind } => format!("must be {}", types(kind)),
        Kind::Minimum { limit } => format!("must be at least {limit}"),
        Kind::Maximum { limit } => format!("must be at most {limit}"),
        Kind::ExclusiveMinimum { limit } => format!("must be more than {limit}"),
        Kind::ExclusiveMaximum { limit } => format!("must be less than {limit}"),
        Kind::MultipleOf { multiple_of } => format!("must be a multiple of {multiple_of}"),
        Kind::MinLength { limit } => format!("must have at least {}", counted(*limit, "character")),
        Kind::MaxLength { limit } => format!("must have at most {}", counted(*limit, "character")),
        Kind::MinItems { limit } => format!("must have at least {}", counted(*limit, "element")),
        Kind::MaxItems { limit } => format!("must have at most {}", counted(*limit, "element")),
        Kind::MinProperties { limit } => {
            format!("must have at least {}", counted(*limit, "member"))
        }
        Kind::MaxProperties { limit } => format!("must have at most {}", counted(*limit, "member")),
        Kind::UniqueItems => "must not have the same element twice".to_owned(),
        Kind::Pattern { pattern } => format!("must match the pattern {pattern}"),
        Kind::Format { format } => match sample(format) {
            Some(sample) => format!("must be a {format}, like {sample}"),
            None => format!("must have the format {format}"),
        },
        Kind::Enum { options } => format!("must be one of {}", list(options)),
        Kind::Constant { expected_value } => format!("must be {expected_value}"),
        Kind::FalseSchema => "is not allowed here: leave it out".to_owned(),
        Kind::OneOfMultipleValid { .. } => {
            "has several of the allowed forms at once: send one".to_owned()
        }
        other => format!(
            "does not satisfy `{}`: compare it with the schema of the argument",
            other.keyword()
        ),
    }
}

fn types(kind: &TypeKind) -> String {
    let article = |name: &str| match name {
        "null" => "null".to_owned(),
        "integer" | "array" | "object" => format!("an {name}"),
        "number" | "string" | "boolean" => format!("a {name}"),
        other => other.to_owned(),
    };
    match kind {
        TypeKind::Single(one) => article(&one.to_string()),
        TypeKind::Multiple(many) => {
            // `null` is accepted in place of an absent member; nobody should be told to send it.
            let names: Vec<_> = many
                .iter()
                .map(|t| t.to_string())
                .filter(|t| t != "null")
                .collect();
            names
                .iter()
                .map(|name| article(name))
                .collect::<Vec<_>>()
                .join(" or ")
        }
    }
}

fn counted(n: u64, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

fn list(options: &Value) -> String {
    let options: Vec<_> = options
        .as_array()
        .into_iter()
        .flatten()
        .filter(|v| !v.is_null())
        .map(ToString::to_string)
        .collect();
    options.join(", ")
}

fn sample(format: &str) -> Option<&'static str> {
    Some(match format {
        "date" => "2026-01-31",
        "date-time" => "2026-01-31T09:30:00Z",
        "time" => "09:30:00Z",
        "duration" => "PT15M",
        "email" => "ada@example.com",
        "hostname" => "www.example.com",
        "ipv4" => "192.0.2.1",
        "ipv6" => "2001:db8::1",
        "uri" => "https://example.com/path",
        "uuid" => "123e4567-e89b-12d3-a456-426614174000",
        _ => return None,
    })
}

fn unknown(name: &str, known: &[String]) -> String {
    let close = known
        .iter()
        .map(|candidate| {
            (
                strsim::damerau_levenshtein(&shown(name).to_lowercase(), &candidate.to_lowercase()),
                candidate,
            )
        })
        .filter(|(distance, candidate)| *distance <= 1 + candidate.chars().count() / 4)
        .min_by_key(|(distance, _)| *distance);
    match (close, known) {
        (Some((_, candidate)), _) => format!("is not known here; did you mean `{candidate}`?"),
        (None, []) => "is not known here: leave it out; nothing is expected".to_owned(),
        (None, known) => format!(
            "is not known here: leave it out; known are `{}`",
            known.join("`, `")
        ),
    }
}

/// A name that the caller made up, fit to be read back: short and without control characters.
fn shown(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(64).collect()
}

fn escape(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::Checker;

    #[test]
    fn a_value_that_is_none_of_the_words_is_one_problem() {
        let words = json!({"type": "string", "enum": ["high", "low"]});
        let schema = json!({"properties": {"level": words, "name": {"type": "string"}}});
        let checker = Checker::new(&schema).unwrap();
        let arguments = crate::json::parse(br#"{"level": 7, "name": 7}"#).unwrap();
        let problems = checker.problems(&arguments);
        let said: Vec<_> = problems
            .iter()
            .map(|problem| format!("{}: {}", problem.pointer, problem.message))
            .collect();
        assert_eq!(
            said,
            [
                "/level: must be one of \"high\", \"low\"",
                "/name: must be a string"
            ]
        );
    }
}

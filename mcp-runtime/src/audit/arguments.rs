//! What an audit log keeps of arguments: a digest, and as much as may be seen.

use std::io::Write as _;

use serde_json::{Map, Value};

use crate::digest::sha256_hex;
use crate::json::{Node, Object};

/// What stands for a secret.
const BLANK: &str = "***";
/// Characters of one text, and bytes of all arguments together.
const MAX_TEXT: usize = 256;
const MAX_TOTAL: usize = 8 << 10;

/// What of a value is not to be seen.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Redaction {
    Nothing,
    All,
    Members {
        known: Vec<(String, Redaction)>,
        /// Of members that are not known.
        rest: Box<Redaction>,
    },
    Items(Box<Redaction>),
}

impl Redaction {
    /// Reads it off the schema of the arguments: what is write-only is not to be seen.
    pub(crate) fn of(schema: &Value) -> Self {
        Self::within(schema, schema.get("$defs").is_some_and(has_secret))
    }

    /// `in_definitions` says whether a reference may lead to a secret. Where a schema is not plainly
    /// an object or a list, all of a value is hidden.
    fn within(schema: &Value, in_definitions: bool) -> Self {
        let suspect =
            |schema: &Value| has_secret(schema) || (in_definitions && has_reference(schema));
        let (true, Some(object)) = (suspect(schema), schema.as_object()) else {
            return Self::Nothing;
        };
        if is_secret(schema) {
            return Self::All;
        }
        let only = |allowed: &[&str]| {
            object
                .iter()
                .all(|(name, value)| allowed.contains(&name.as_str()) || !suspect(value))
        };
        let within = |schema: &Value| Self::within(schema, in_definitions);
        let properties = object.get("properties").and_then(Value::as_object);
        let more = object
            .get("additionalProperties")
            .filter(|more| more.is_object());
        if (properties.is_some() || more.is_some())
            && only(&["$defs", "properties", "additionalProperties"])
        {
            return Self::Members {
                known: properties
                    .into_iter()
                    .flatten()
                    .map(|(name, schema)| (name.clone(), within(schema)))
                    .collect(),
                // Beside secrets, what nobody declared may be the misspelt name of one.
                rest: Box::new(match more {
                    Some(more) if properties.is_none() => within(more),
                    _ => Self::All,
                }),
            };
        }
        match object.get("items") {
            Some(items) if only(&["items"]) => Self::Items(Box::new(within(items))),
            _ => Self::All,
        }
    }

    /// Of arguments that nobody declared: any may be a secret.
    pub(crate) fn nothing_known() -> Self {
        Self::Members {
            known: Vec::new(),
            rest: Box::new(Self::All),
        }
    }

    fn member(&self, name: &str) -> &Self {
        match self {
            Self::Members { known, rest } => known
                .iter()
                .find(|(known, _)| known == name)
                .map_or(rest, |(_, of)| of),
            Self::Nothing => &Self::Nothing,
            Self::All | Self::Items(_) => &Self::All,
        }
    }

    fn item(&self) -> &Self {
        match self {
            Self::Items(items) => items,
            Self::Nothing => &Self::Nothing,
            Self::All | Self::Members { .. } => &Self::All,
        }
    }

    /// Whether a text, a number or a truth value is hidden. Where something else was expected, it
    /// may be a secret that slipped.
    fn hides_plain(&self) -> bool {
        *self != Self::Nothing
    }

    /// The digest of arguments, whatever the order of their members. A secret is not part of it:
    /// whoever has the log could guess short ones.
    pub(crate) fn digest(&self, arguments: &Object<'_>) -> String {
        let mut text = Vec::with_capacity(256);
        members(arguments, self, &mut text);
        sha256_hex(text)
    }

    /// The arguments for people to read: without secrets, and not too much of them.
    pub(crate) fn show(&self, arguments: &Object<'_>) -> Value {
        let mut left = MAX_TOTAL;
        object(arguments, self, &mut left)
    }
}

fn is_secret(schema: &Value) -> bool {
    schema.get("writeOnly") == Some(&Value::Bool(true))
}

/// Whether something in a schema is not to be seen.
pub(crate) fn has_secret(schema: &Value) -> bool {
    match schema {
        Value::Object(object) => is_secret(schema) || object.values().any(has_secret),
        Value::Array(items) => items.iter().any(has_secret),
        _ => false,
    }
}

fn has_reference(schema: &Value) -> bool {
    match schema {
        Value::Object(object) => {
            ["$ref", "$dynamicRef"]
                .iter()
                .any(|r| object.contains_key(*r))
                || object.values().any(has_reference)
        }
        Value::Array(items) => items.iter().any(has_reference),
        _ => false,
    }
}

/// Writes JSON in the one form that a value has: sorted members, no blanks.
fn canonical(node: &Node<'_>, hidden: &Redaction, text: &mut Vec<u8>) {
    match node {
        Node::Null => text.extend_from_slice(b"null"),
        _ if *hidden == Redaction::All => string(BLANK, text),
        Node::Array(items) => {
            text.push(b'[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    text.push(b',');
                }
                canonical(item, hidden.item(), text);
            }
            text.push(b']');
        }
        Node::Object(object) => members(object, hidden, text),
        _ if hidden.hides_plain() => string(BLANK, text),
        Node::Bool(value) => text.extend_from_slice(if *value { b"true" } else { b"false" }),
        Node::Number(number) => {
            // Writing to a `Vec` cannot fail.
            let _ = write!(text, "{number}");
        }
        Node::String(value) => string(value, text),
    }
}

fn members(object: &Object<'_>, hidden: &Redaction, text: &mut Vec<u8>) {
    let mut members: Vec<_> = object.0.iter().collect();
    members.sort_by(|(one, _), (other, _)| one.cmp(other));
    text.push(b'{');
    for (at, (name, value)) in members.into_iter().enumerate() {
        if at > 0 {
            text.push(b',');
        }
        string(name, text);
        text.push(b':');
        canonical(value, hidden.member(name), text);
    }
    text.push(b'}');
}

fn string(value: &str, text: &mut Vec<u8>) {
    serde_json::to_writer(text, value).expect("a text serializes, and a Vec takes it");
}

fn shown(node: &Node<'_>, hidden: &Redaction, left: &mut usize) -> Value {
    if *left == 0 {
        return Value::String("…".into());
    }
    *left = left.saturating_sub(8);
    match node {
        Node::Null => Value::Null,
        _ if *hidden == Redaction::All => Value::String(BLANK.into()),
        Node::Array(items) => {
            let mut all = Vec::new();
            for item in items {
                all.push(shown(item, hidden.item(), left));
                if *left == 0 {
                    break;
                }
            }
            Value::Array(all)
        }
        Node::Object(members) => object(members, hidden, left),
        _ if hidden.hides_plain() => Value::String(BLANK.into()),
        Node::Bool(value) => Value::Bool(*value),
        Node::Number(number) => Value::Number(number.clone()),
        Node::String(value) => Value::String(short(value, left)),
    }
}

fn object(members: &Object<'_>, hidden: &Redaction, left: &mut usize) -> Value {
    let mut all = Map::new();
    for (name, value) in &members.0 {
        let value = shown(value, hidden.member(name), left);
        all.insert(short(name, left), value);
        if *left == 0 {
            break;
        }
    }
    Value::Object(all)
}

/// The beginning of a text, and how long it was.
pub(crate) fn short(text: &str, left: &mut usize) -> String {
    let most = MAX_TEXT.min(*left);
    let kept: String = text.chars().take(most).collect();
    *left = left.saturating_sub(kept.len());
    if kept.len() == text.len() {
        return kept;
    }
    format!("{kept}… ({} characters)", text.chars().count())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn redaction() -> Redaction {
        Redaction::of(&json!({
            "properties": {
                "name": { "type": "string" },
                "password": { "type": "string", "writeOnly": true },
                "login": { "properties": {
                    "user": { "type": "string" },
                    "pin": { "type": "string", "writeOnly": true },
                } },
                "keys": { "items": { "additionalProperties": { "writeOnly": true } } },
                "either": { "anyOf": [{ "type": "string" }, { "writeOnly": true }] },
                "tree": { "$ref": "#/$defs/tree" },
            },
            "$defs": { "tree": { "properties": { "key": { "writeOnly": true } } } },
        }))
    }

    fn with<T>(text: &str, read: impl FnOnce(&Object<'_>) -> T) -> T {
        let node = crate::json::parse(text.as_bytes()).unwrap();
        read(node.as_object().unwrap())
    }

    #[test]
    fn what_is_secret_or_may_be_is_blank() {
        for (text, expected) in [
            (
                r#"{"name":"ada","password":"p","login":{"pin":"1","user":"ada","pni":"1"},"tree":{"key":"k"},"pasword":"p"}"#,
                json!({
                    "name": "ada", "password": "***", "tree": "***", "pasword": "***",
                    "login": { "pin": "***", "user": "ada", "pni": "***" },
                }),
            ),
            // Of the wrong kind: the secret slipped.
            (
                r#"{"login":"1","keys":"k","password":["p"],"either":"e","tree":null}"#,
                json!({ "login": "***", "keys": "***", "password": "***", "either": "***", "tree": null }),
            ),
            (
                r#"{"login":["1",{"user":"1"}],"keys":[{"a":"k"},"k",{"a":{"b":"k"}}]}"#,
                json!({
                    "login": ["***", "***"],
                    "keys": [{ "a": "***" }, "***", { "a": "***" }],
                }),
            ),
        ] {
            let shown = with(text, |arguments| redaction().show(arguments));
            assert_eq!(shown, expected);
        }
        let open = Redaction::of(&json!({ "properties": { "name": {} } }));
        let shown = with(r#"{"name":"ada","more":1}"#, |arguments| {
            open.show(arguments)
        });
        assert_eq!(shown, json!({ "name": "ada", "more": 1 }));
    }

    #[test]
    fn the_digest_does_not_depend_on_order_or_secrets() {
        let digest = |text: &str| with(text, |arguments| redaction().digest(arguments));
        let one = digest(r#"{"name":"ada","password":"1"}"#);
        assert_eq!(one, digest(r#"{ "password" : "2", "name":"ad\u0061" }"#));
        assert_ne!(one, digest(r#"{"name":"bob","password":"1"}"#));
        assert_eq!(digest("{}"), sha256_hex("{}"));
    }

    #[test]
    fn much_becomes_little() {
        let open = Redaction::of(&json!({}));
        let long = format!(r#"{{"text":"{}"}}"#, "ä".repeat(1000));
        let shown = with(&long, |arguments| open.show(arguments));
        assert_eq!(
            shown["text"].as_str().unwrap(),
            format!("{}… (1000 characters)", "ä".repeat(256))
        );
        let many: Vec<String> = (0..10_000).map(|n| format!("\"{n}\":[[[{n}]]]")).collect();
        let shown = with(&format!("{{{}}}", many.join(",")), |arguments| {
            open.show(arguments)
        });
        assert!(shown.to_string().len() < 2 * MAX_TOTAL);
    }
}

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

/// Which arguments are not to be seen.
pub(crate) struct Redaction {
    secret: Vec<String>,
    known: Vec<String>,
}

impl Redaction {
    /// Reads it off the schema: an argument with something write-only anywhere inside is hidden as
    /// a whole.
    pub(crate) fn of(schema: &Value) -> Self {
        let definitions = schema.get("$defs").is_some_and(has_secret);
        let properties = schema.get("properties").and_then(Value::as_object);
        let all = || properties.into_iter().flatten();
        Self {
            secret: all()
                .filter(|(_, schema)| has_secret(schema) || (definitions && has_reference(schema)))
                .map(|(name, _)| name.clone())
                .collect(),
            known: all().map(|(name, _)| name.clone()).collect(),
        }
    }

    /// Of arguments that nobody declared: any may be a secret.
    pub(crate) fn nothing_known() -> Self {
        Self {
            secret: vec![String::new()],
            known: Vec::new(),
        }
    }

    /// Where there are secrets, what nobody declared is one, too: it may be the misspelt name of
    /// one.
    fn hides(&self, name: &str) -> bool {
        let among = |names: &[String]| names.iter().any(|known| known == name);
        !self.secret.is_empty() && (among(&self.secret) || !among(&self.known))
    }

    /// The digest of arguments, whatever the order of their members. A secret is not part of it:
    /// whoever has the log could guess short ones.
    pub(crate) fn digest(&self, arguments: &Object<'_>) -> String {
        let mut text = Vec::with_capacity(256);
        members(arguments, &mut text, &|name| self.hides(name));
        sha256_hex(text)
    }

    /// The arguments for people to read: without secrets, and not too much of them.
    pub(crate) fn show(&self, arguments: &Object<'_>) -> Value {
        let mut left = MAX_TOTAL;
        object(arguments, &mut left, &|name| self.hides(name))
    }
}

/// Whether something in a schema is not to be seen.
pub(crate) fn has_secret(schema: &Value) -> bool {
    match schema {
        Value::Object(object) => {
            object.get("writeOnly") == Some(&Value::Bool(true)) || object.values().any(has_secret)
        }
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
fn canonical(node: &Node<'_>, text: &mut Vec<u8>) {
    match node {
        Node::Null => text.extend_from_slice(b"null"),
        Node::Bool(value) => text.extend_from_slice(if *value { b"true" } else { b"false" }),
        Node::Number(number) => {
            // Writing to a `Vec` cannot fail.
            let _ = write!(text, "{number}");
        }
        Node::String(value) => string(value, text),
        Node::Array(items) => {
            text.push(b'[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    text.push(b',');
                }
                canonical(item, text);
            }
            text.push(b']');
        }
        Node::Object(object) => members(object, text, &|_| false),
    }
}

fn members(object: &Object<'_>, text: &mut Vec<u8>, hidden: &dyn Fn(&str) -> bool) {
    let mut members: Vec<_> = object.0.iter().collect();
    members.sort_by(|(one, _), (other, _)| one.cmp(other));
    text.push(b'{');
    for (at, (name, value)) in members.into_iter().enumerate() {
        if at > 0 {
            text.push(b',');
        }
        string(name, text);
        text.push(b':');
        if hidden(name) {
            string(BLANK, text);
        } else {
            canonical(value, text);
        }
    }
    text.push(b'}');
}

fn string(value: &str, text: &mut Vec<u8>) {
    serde_json::to_writer(text, value).expect("a text serializes, and a Vec takes it");
}

fn shown(node: &Node<'_>, left: &mut usize) -> Value {
    if *left == 0 {
        return Value::String("…".into());
    }
    *left = left.saturating_sub(8);
    match node {
        Node::Null => Value::Null,
        Node::Bool(value) => Value::Bool(*value),
        Node::Number(number) => Value::Number(number.clone()),
        Node::String(value) => Value::String(short(value, left)),
        Node::Array(items) => {
            let mut all = Vec::new();
            for item in items {
                all.push(shown(item, left));
                if *left == 0 {
                    break;
                }
            }
            Value::Array(all)
        }
        Node::Object(members) => object(members, left, &|_| false),
    }
}

fn object(members: &Object<'_>, left: &mut usize, hidden: &dyn Fn(&str) -> bool) -> Value {
    let mut all = Map::new();
    for (name, value) in &members.0 {
        let value = if hidden(name) {
            Value::String(BLANK.into())
        } else {
            shown(value, left)
        };
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
                "login": { "properties": { "pin": { "type": "string", "writeOnly": true } } },
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
        let text =
            r#"{"name":"ada","password":"p","login":{"pin":"1"},"tree":{"key":"k"},"pasword":"p"}"#;
        let shown = with(text, |arguments| redaction().show(arguments));
        assert_eq!(
            shown,
            json!({ "name": "ada", "password": "***", "login": "***", "tree": "***", "pasword": "***" })
        );
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

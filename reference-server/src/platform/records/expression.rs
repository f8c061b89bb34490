//! What a search looks for: words, "phrases" and `member:value`, with AND, OR, NOT and brackets.
//! What stands side by side has to hold together.
//!
//! A word with a colon may be none of it, like `10:30` or a URL. When no kind of record has such a
//! member, it is looked for as it stands, too.

use serde_json::Value;

use super::entity::{Payload, is_member};
use super::trouble::Trouble;

/// Words, brackets and operators of one expression.
const MAX_PARTS: usize = 100;
/// Brackets and NOTs within each other.
const MAX_DEPTH: usize = 20;

#[derive(Debug)]
pub(super) enum Expression {
    All(Vec<Self>),
    Any(Vec<Self>),
    Not(Box<Self>),
    /// Found anywhere in the texts of a record, in lower case.
    Text(String),
    /// A member that has this value, or a list with it; both in lower case.
    Member(String, String),
}

#[derive(Debug, PartialEq)]
enum Part {
    Open,
    Close,
    And,
    Or,
    Not,
    Text(String),
    Member(String, String),
    /// The same, and the word as it stands: either will do.
    MemberOrText(String, String, String),
}

impl Expression {
    pub(super) fn read(text: &str) -> Result<Self, Trouble> {
        let parts = parts(text)?;
        if parts.is_empty() {
            return Err(wrong("is empty"));
        }
        if parts.len() > MAX_PARTS {
            return Err(wrong("has too many parts"));
        }
        let mut reader = Reader {
            parts: parts.into_iter().peekable(),
        };
        let expression = reader.any(0)?;
        match reader.parts.next() {
            None => Ok(expression),
            Some(_) => Err(wrong("has a bracket that closes nothing")),
        }
    }

    pub(super) fn holds(&self, payload: &Payload) -> bool {
        match self {
            Self::All(parts) => parts.iter().all(|part| part.holds(payload)),
            Self::Any(parts) => parts.iter().any(|part| part.holds(payload)),
            Self::Not(part) => !part.holds(payload),
            Self::Text(text) => payload.values().any(|value| contains(value, text)),
            Self::Member(name, wanted) => payload.get(name).is_some_and(|value| is(value, wanted)),
        }
    }
}

struct Reader {
    parts: std::iter::Peekable<std::vec::IntoIter<Part>>,
}

impl Reader {
    fn any(&mut self, depth: usize) -> Result<Expression, Trouble> {
        let mut parts = vec![self.all(depth)?];
        while self.parts.next_if_eq(&Part::Or).is_some() {
            parts.push(self.all(depth)?);
        }
        Ok(single(parts, Expression::Any))
    }

    fn all(&mut self, depth: usize) -> Result<Expression, Trouble> {
        let mut parts = vec![self.one(depth)?];
        loop {
            let and = self.parts.next_if_eq(&Part::And).is_some();
            match self.parts.peek() {
                None | Some(Part::Or | Part::Close) if !and => break,
                _ => parts.push(self.one(depth)?),
            }
        }
        Ok(single(parts, Expression::All))
    }

    fn one(&mut self, depth: usize) -> Result<Expression, Trouble> {
        if depth > MAX_DEPTH {
            return Err(wrong("is nested too deeply"));
        }
        match self.parts.next() {
            Some(Part::Not) => Ok(Expression::Not(Box::new(self.one(depth + 1)?))),
            Some(Part::Text(text)) => Ok(Expression::Text(text)),
            Some(Part::Member(name, value)) => Ok(Expression::Member(name, value)),
            Some(Part::MemberOrText(name, value, text)) => Ok(Expression::Any(vec![
                Expression::Member(name, value),
                Expression::Text(text),
            ])),
            Some(Part::Open) => {
                let inner = self.any(depth + 1)?;
                match self.parts.next() {
                    Some(Part::Close) => Ok(inner),
                    _ => Err(wrong("has a bracket that is not closed")),
                }
            }
            Some(Part::Close | Part::And | Part::Or) | None => {
                Err(wrong("has an operator or a bracket with nothing beside it"))
            }
        }
    }
}

fn single(mut parts: Vec<Expression>, many: fn(Vec<Expression>) -> Expression) -> Expression {
    match parts.len() {
        1 => parts.remove(0),
        _ => many(parts),
    }
}

fn parts(text: &str) -> Result<Vec<Part>, Trouble> {
    let mut parts = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let (part, after) = match first {
            '(' => (Part::Open, &rest[1..]),
            ')' => (Part::Close, &rest[1..]),
            '"' => {
                let (phrase, after) = phrase(rest)?;
                (Part::Text(phrase), after)
            }
            _ => word(rest)?,
        };
        parts.push(part);
        rest = after.trim_start();
    }
    Ok(parts)
}

fn word(rest: &str) -> Result<(Part, &str), Trouble> {
    let ends = |c: char| c.is_whitespace() || matches!(c, '(' | ')' | '"');
    let (word, after) = rest.split_at(rest.find(ends).unwrap_or(rest.len()));
    let part = match word {
        "AND" => Part::And,
        "OR" => Part::Or,
        "NOT" => Part::Not,
        _ => match word.split_once(':') {
            Some((name, "")) if after.starts_with('"') => {
                let (value, after) = phrase(after)?;
                return Ok((Part::Member(name.to_owned(), value), after));
            }
            Some((name, value)) if !name.is_empty() && !value.is_empty() => {
                let (name, value) = (name.to_owned(), value.to_lowercase());
                if is_member(&name) {
                    Part::Member(name, value)
                } else {
                    Part::MemberOrText(name, value, word.to_lowercase())
                }
            }
            _ => Part::Text(word.to_lowercase()),
        },
    };
    Ok((part, after))
}

/// A text in quotes, and what follows it.
fn phrase(rest: &str) -> Result<(String, &str), Trouble> {
    let quoted = rest.strip_prefix('"').unwrap_or(rest);
    match quoted.split_once('"') {
        Some((phrase, after)) => Ok((phrase.to_lowercase(), after)),
        None => Err(wrong("has a quote that is not closed")),
    }
}

fn contains(value: &Value, text: &str) -> bool {
    match value {
        Value::String(value) => value.to_lowercase().contains(text),
        Value::Array(values) => values.iter().any(|value| contains(value, text)),
        Value::Object(members) => members.values().any(|value| contains(value, text)),
        _ => false,
    }
}

fn is(value: &Value, wanted: &str) -> bool {
    match value {
        Value::String(value) => value.to_lowercase() == wanted,
        Value::Array(values) => values.iter().any(|value| is(value, wanted)),
        Value::Bool(flag) => wanted == if *flag { "true" } else { "false" },
        Value::Number(number) => {
            let shown = number.to_string();
            shown == wanted
        }
        Value::Null | Value::Object(_) => false,
    }
}

fn wrong(problem: &str) -> Trouble {
    Trouble::bad_request("invalid_expression", format!("the expression {problem}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn expressions_hold_or_do_not() {
        let record = json!({"title": "Order Twelve chairs", "status": "todo", "tags": ["Office"],
            "pinned": true, "colour": "Red",
            "content": "At 10:30, see http://X.example/a; status:done"});
        let record = record.as_object().expect("an object");
        for (text, expected) in [
            ("chairs", true),
            ("CHAIRS order", true),
            ("chairs tables", false),
            ("chairs OR tables", true),
            ("chairs AND NOT tables", true),
            ("NOT chairs", false),
            ("\"twelve chairs\"", true),
            ("\"chairs twelve\"", false),
            ("status:todo", true),
            ("status:done", false),
            ("tags:office pinned:true", true),
            ("title:\"order twelve chairs\"", true),
            ("10:30", true),
            ("10:31", false),
            ("NOT 10:30", false),
            ("http://x.example/a", true),
            ("http://x.example/b", false),
            // Of a member that somebody chose.
            ("colour:red", true),
            ("colour:blue", false),
            (
                "tables OR (chairs NOT (status:done OR status:archived))",
                true,
            ),
            ("tables OR chairs AND status:done", false),
        ] {
            let expression = Expression::read(text).expect(text);
            assert_eq!(expression.holds(record), expected, "{text}: {expression:?}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_refused() {
        let deep = "(".repeat(5_000);
        let nots = "NOT ".repeat(60) + "x";
        let long = "x ".repeat(MAX_PARTS + 1);
        for text in [
            "",
            "  ",
            "AND",
            "a AND",
            "a OR OR b",
            "(a",
            "a)",
            "NOT",
            "\"a",
            "()",
            &deep,
            &nots,
            &long,
        ] {
            assert!(Expression::read(text).is_err(), "{text}");
        }
    }
}

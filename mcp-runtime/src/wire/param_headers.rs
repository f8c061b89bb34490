//! Arguments that a header repeats: `"x-mcp-header": "Region"` on a property of a tool's arguments,
//! `Mcp-Param-Region` on the request. So that a gateway can route by an argument, and what it saw
//! is what the tool gets.

use http::HeaderName;
use serde_json::{Map, Number, Value};

use crate::json::{Node, Object};
use crate::wire::headers::{Routing, decode};

const ANNOTATION: &str = "x-mcp-header";

/// The annotated arguments of a tool; of most, none.
#[derive(Debug, Default)]
pub(crate) struct ParamHeaders(Vec<ParamHeader>);

#[derive(Debug)]
struct ParamHeader {
    name: HeaderName,
    /// The names of the properties that lead to the value.
    path: Vec<Box<str>>,
}

impl ParamHeaders {
    /// Reads the annotations of the schema of arguments. Reports every problem, not only the first.
    pub(crate) fn of(schema: &Value) -> Result<Self, Vec<String>> {
        let mut reading = Reading::default();
        match schema.as_object() {
            Some(schema) if schema.contains_key(ANNOTATION) => {
                reading.problems.push(format!(
                    "`{ANNOTATION}` is for a property, not for all arguments"
                ));
            }
            Some(schema) => reading.members(schema, true),
            None => {}
        }
        if reading.problems.is_empty() {
            Ok(Self(reading.found))
        } else {
            Err(reading.problems)
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Compares the headers with the arguments. `Err` says what does not fit.
    pub(crate) fn match_arguments(
        &self,
        headers: Routing<'_>,
        arguments: &Object<'_>,
    ) -> Result<(), String> {
        self.0.iter().try_for_each(|header| {
            let name = header.name.as_str();
            let body = header.value(arguments);
            match (headers.single(&header.name)?, body) {
                (None, None) => Ok(()),
                (None, Some(_)) => Err(format!("the header {name} is missing")),
                (Some(_), None) => Err(format!(
                    "the header {name} repeats an argument that is not there"
                )),
                (Some(text), Some(body)) => {
                    let text = decode(text)
                        .ok_or_else(|| format!("the header {name} is not valid base64"))?;
                    if is(&text, body) {
                        Ok(())
                    } else {
                        Err(format!("the header {name} differs from the body"))
                    }
                }
            }
        })
    }
}

impl ParamHeader {
    fn value<'a>(&self, arguments: &'a Object<'_>) -> Option<&'a Node<'a>> {
        let (last, way) = self.path.split_last()?;
        let object = way
            .iter()
            .try_fold(arguments, |object, name| object.get(name)?.as_object())?;
        object.get(last).filter(|value| **value != Node::Null)
    }
}

/// Whether a header says what the body says.
fn is(text: &str, body: &Node<'_>) -> bool {
    match body {
        Node::String(body) => text == body,
        Node::Bool(body) => text == if *body { "true" } else { "false" },
        Node::Number(body) => is_number(text, body),
        // Not a type that can be annotated: what is wrong with it, the check of the arguments says.
        Node::Null | Node::Array(_) | Node::Object(_) => true,
    }
}

/// `42`, `42.0` and `4.2e1` are the same integer.
fn is_number(text: &str, body: &Number) -> bool {
    match (text.parse::<i128>(), body.as_i128()) {
        (Ok(text), Some(body)) => text == body,
        _ => text
            .parse::<f64>()
            .is_ok_and(|text| body.as_f64() == Some(text)),
    }
}

#[derive(Default)]
struct Reading<'a> {
    path: Vec<&'a str>,
    found: Vec<ParamHeader>,
    problems: Vec<String>,
}

impl<'a> Reading<'a> {
    /// The schemas inside a schema. `reached`: through `properties` alone, so that every client
    /// finds the value without validating.
    fn members(&mut self, schema: &'a Map<String, Value>, reached: bool) {
        for (keyword, value) in schema {
            match keyword.as_str() {
                "properties" => self.named(value, reached),
                "$defs" | "definitions" | "dependentSchemas" | "patternProperties" => {
                    self.named(value, false)
                }
                // Values, not schemas.
                "default" | "const" | "enum" | "examples" => {}
                _ => self.anywhere(value),
            }
        }
    }

    fn named(&mut self, schemas: &'a Value, reached: bool) {
        for (name, schema) in schemas.as_object().into_iter().flatten() {
            self.path.push(name);
            self.schema(schema, reached);
            self.path.pop();
        }
    }

    fn anywhere(&mut self, value: &'a Value) {
        match value {
            Value::Array(items) => items.iter().for_each(|item| self.anywhere(item)),
            other => self.schema(other, false),
        }
    }

    fn schema(&mut self, schema: &'a Value, reached: bool) {
        let Some(schema) = schema.as_object() else {
            return;
        };
        if let Some(annotation) = schema.get(ANNOTATION) {
            let read = if reached {
                self.header(annotation, schema.get("type"))
            } else {
                Err("is not reached through `properties` alone".to_owned())
            };
            match read {
                Ok(header) => self.found.push(header),
                Err(problem) => {
                    self.problems.push(format!(
                        "the `{ANNOTATION}` of `{}` {problem}",
                        self.path.join(".")
                    ));
                }
            }
        }
        self.members(schema, reached);
    }

    fn header(&self, annotation: &Value, kind: Option<&Value>) -> Result<ParamHeader, String> {
        if !matches!(
            kind.and_then(Value::as_str),
            Some("string" | "integer" | "boolean")
        ) {
            return Err("is on neither a string, an integer nor a boolean".to_owned());
        }
        // A name of HTTP is a token, and no longer than a header may be.
        let name = annotation
            .as_str()
            .filter(|name| !name.is_empty())
            .and_then(|name| HeaderName::try_from(format!("mcp-param-{name}")).ok())
            .ok_or("is not the name of a header: letters, digits and `-`")?;
        if self.found.iter().any(|other| other.name == name) {
            return Err("is that of another property too, but for capitals".to_owned());
        }
        let path = self.path.iter().map(|name| (*name).into()).collect();
        Ok(ParamHeader { name, path })
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderName, HeaderValue};
    use serde_json::{Value, json};

    use super::ParamHeaders;
    use crate::json;
    use crate::wire::headers::Routing;

    fn of(properties: &Value) -> Result<ParamHeaders, Vec<String>> {
        ParamHeaders::of(&json!({ "type": "object", "properties": properties }))
    }

    fn fits(headers: &[(&str, &str)], arguments: &str) -> bool {
        let annotated = of(&json!({
            "region": { "type": "string", "x-mcp-header": "Region" },
            "limit": { "type": "integer", "x-mcp-header": "Limit" },
            "page": { "type": "object", "properties": { "all": { "type": "boolean", "x-mcp-header": "All" } } },
        }));
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let name = HeaderName::try_from(*name).unwrap();
            map.append(name, HeaderValue::try_from(*value).unwrap());
        }
        let arguments = json::parse(arguments.as_bytes()).unwrap();
        annotated
            .unwrap()
            .match_arguments(Routing(&map), arguments.as_object().unwrap())
            .is_ok()
    }

    #[test]
    fn a_header_and_its_argument_are_the_same_or_both_absent() {
        for (headers, arguments, fit) in [
            (&[][..], r#"{}"#, true),
            (&[], r#"{"region":null}"#, true),
            (&[], r#"{"region":"eu"}"#, false),
            (&[("mcp-param-region", "eu")], r#"{}"#, false),
            (&[("mcp-param-region", "eu")], r#"{"region":"eu"}"#, true),
            (&[("mcp-param-region", "eu")], r#"{"region":"EU"}"#, false),
            (
                &[("mcp-param-region", "eu"), ("mcp-param-region", "eu")],
                r#"{"region":"eu"}"#,
                false,
            ),
            (
                &[("mcp-param-region", "=?base64?w7w=?=")],
                r#"{"region":"ü"}"#,
                true,
            ),
            (
                &[("mcp-param-region", "=?base64?w7w?=")],
                r#"{"region":"ü"}"#,
                false,
            ),
            (&[("mcp-param-limit", "42.0")], r#"{"limit":42}"#, true),
            (&[("mcp-param-limit", "42")], r#"{"limit":4.2e1}"#, true),
            (&[("mcp-param-limit", "43")], r#"{"limit":42}"#, false),
            (
                &[("mcp-param-limit", "9007199254740993")],
                r#"{"limit":9007199254740992}"#,
                false,
            ),
            (
                &[("mcp-param-all", "true")],
                r#"{"page":{"all":true}}"#,
                true,
            ),
            (
                &[("mcp-param-all", "false")],
                r#"{"page":{"all":true}}"#,
                false,
            ),
            (&[("mcp-param-all", "true")], r#"{"page":"all"}"#, false),
            (&[("mcp-param-other", "x")], r#"{}"#, true),
        ] {
            assert_eq!(fits(headers, arguments), fit, "{headers:?} {arguments}");
        }
    }

    #[test]
    fn annotations_that_no_client_could_follow_are_refused() {
        for properties in [
            json!({ "a": { "type": "number", "x-mcp-header": "A" } }),
            json!({ "a": { "type": ["string", "null"], "x-mcp-header": "A" } }),
            json!({ "a": { "type": "string", "x-mcp-header": "" } }),
            json!({ "a": { "type": "string", "x-mcp-header": "bad name" } }),
            json!({ "a": { "type": "string", "x-mcp-header": 1 } }),
            json!({ "a": { "type": "string", "x-mcp-header": "A" }, "b": { "type": "string", "x-mcp-header": "a" } }),
            json!({ "a": { "type": "array", "items": { "type": "string", "x-mcp-header": "A" } } }),
            json!({ "a": { "anyOf": [{ "type": "string", "x-mcp-header": "A" }] } }),
        ] {
            assert_eq!(of(&properties).unwrap_err().len(), 1, "{properties}");
        }
        assert!(ParamHeaders::of(&json!({ "type": "object", "x-mcp-header": "A" })).is_err());
        // A property of this name, and a value, are no annotations.
        let named =
            json!({ "x-mcp-header": { "type": "object", "default": { "x-mcp-header": 1 } } });
        assert!(of(&named).unwrap().is_empty());
    }
}

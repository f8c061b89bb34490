//! One parse of a message, borrowed from its bytes.
//!
//! Every check that a hostile body deserves happens in this single pass: syntax, UTF-8, nesting and
//! repeated names. What comes out is read by the envelope, by the schema validator and by `serde`
//! without another parse and, for strings without escapes, without a copy.

mod reader;

use std::borrow::Cow;
use std::fmt;

use jsonschema::JsonType;
use jsonschema::json::{Array, Json, Node as JsonNode, NodeIdentity, Object as JsonObject, cmp};
use serde::de::{self, DeserializeSeed, IntoDeserializer, Visitor};
use serde_json::{Number, Value};

use self::reader::Aside;

/// Nesting allowed in a message. No tool comes near it, and it keeps recursion off the stack's end.
pub(crate) const MAX_DEPTH: usize = 64;

/// A JSON value that borrows from the message.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) enum Node<'a> {
    #[default]
    Null,
    Bool(bool),
    Number(Number),
    String(Cow<'a, str>),
    Array(Vec<Self>),
    Object(Object<'a>),
}

/// Members in the order of the message. Looked up by scanning: messages have few members, and the
/// one place where a caller chooses their number (`parse`) switches to a hash set.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Object<'a>(pub(crate) Vec<(Cow<'a, str>, Node<'a>)>);

/// Why a message is not acceptable JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Not JSON, not UTF-8, or nested deeper than [`MAX_DEPTH`].
    Syntax,
    /// An object names a member twice; which one wins would depend on the reader.
    Duplicate,
}

/// Parses a value.
pub(crate) fn parse(bytes: &[u8]) -> Result<Node<'_>, Fault> {
    reader::read(bytes, None)
}

/// Parses a value, but for the member at `path` (names from the outside in): that one is left out,
/// and comes as its text, of which nothing more is known than where it ends. `known` says how much
/// of a text is a value that was parsed before, where that is so; then it is not even looked at.
pub(crate) fn parse_without<'a>(
    bytes: &'a [u8],
    path: &[&str],
    known: fn(&str) -> Option<usize>,
) -> Result<(Node<'a>, Option<&'a str>), Fault> {
    let left = None;
    let mut aside = Aside { path, known, left };
    let node = reader::read(bytes, Some(&mut aside))?;
    Ok((node, aside.left))
}

impl<'a> Node<'a> {
    pub(crate) fn as_object(&self) -> Option<&Object<'a>> {
        match self {
            Self::Object(object) => Some(object),
            _ => None,
        }
    }

    pub(crate) fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn into_owned(self) -> Node<'static> {
        match self {
            Self::Null => Node::Null,
            Self::Bool(b) => Node::Bool(b),
            Self::Number(n) => Node::Number(n),
            Self::String(s) => Node::String(Cow::Owned(s.into_owned())),
            Self::Array(items) => Node::Array(items.into_iter().map(Self::into_owned).collect()),
            Self::Object(o) => Node::Object(o.into_owned()),
        }
    }

    pub(crate) fn to_value(&self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(b) => Value::Bool(*b),
            Self::Number(n) => Value::Number(n.clone()),
            Self::String(s) => Value::String(s.as_ref().to_owned()),
            Self::Array(items) => Value::Array(items.iter().map(Self::to_value).collect()),
            Self::Object(o) => Value::Object(
                o.0.iter()
                    .map(|(k, v)| (k.as_ref().to_owned(), v.to_value()))
                    .collect(),
            ),
        }
    }
}

impl<'a> Object<'a> {
    pub(crate) fn into_owned(self) -> Object<'static> {
        let members = self.0.into_iter();
        Object(
            members
                .map(|(name, value)| (Cow::Owned(name.into_owned()), value.into_owned()))
                .collect(),
        )
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Node<'a>> {
        self.0
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value)
    }

    pub(crate) fn take(&mut self, name: &str) -> Option<Node<'a>> {
        let at = self.0.iter().position(|(key, _)| key == name)?;
        Some(self.0.swap_remove(at).1)
    }
}

/// The representation that the schema validator reads.
pub(crate) struct Borrowed;

impl Json for Borrowed {
    type Node<'a> = &'a Node<'a>;
    type PreparedKey = Box<str>;
    type StringBuffer = Node<'static>;
    const KEYS_PER_LOOKUP: usize = 2;

    fn prepare_key(key: &str) -> Box<str> {
        key.into()
    }

    fn with_string_node<T>(
        buffer: &mut Node<'static>,
        string: &str,
        f: impl for<'a> FnOnce(&'a Node<'a>) -> T,
    ) -> T {
        *buffer = Node::String(Cow::Owned(string.to_owned()));
        f(buffer)
    }
}

impl<'a> JsonNode<'a, Borrowed> for &'a Node<'a> {
    type Object = &'a Object<'a>;
    type Array = &'a [Node<'a>];
    type Number = &'a Number;

    fn as_object(&self) -> Option<&'a Object<'a>> {
        match self {
            Node::Object(object) => Some(object),
            _ => None,
        }
    }

    fn as_array(&self) -> Option<&'a [Node<'a>]> {
        match self {
            Node::Array(items) => Some(items),
            _ => None,
        }
    }

    fn as_string(&self) -> Option<Cow<'a, str>> {
        match self {
            Node::String(text) => Some(Cow::Borrowed(text)),
            _ => None,
        }
    }

    fn as_number(&self) -> Option<&'a Number> {
        match self {
            Node::Number(number) => Some(number),
            _ => None,
        }
    }

    fn as_boolean(&self) -> Option<bool> {
        match self {
            Node::Bool(b) => Some(*b),
            _ => None,
        }
    }

    fn is_null(&self) -> bool {
        matches!(self, Node::Null)
    }

    fn json_type(&self) -> JsonType {
        match self {
            Node::Null => JsonType::Null,
            Node::Bool(_) => JsonType::Boolean,
            Node::Number(_) => JsonType::Number,
            Node::String(_) => JsonType::String,
            Node::Array(_) => JsonType::Array,
            Node::Object(_) => JsonType::Object,
        }
    }

    fn equals_value(&self, expected: &Value) -> bool {
        match (self, expected) {
            (Node::String(a), Value::String(b)) => a == b,
            (Node::Bool(a), Value::Bool(b)) => a == b,
            (Node::Null, Value::Null) => true,
            (Node::String(_) | Node::Bool(_) | Node::Null, _) => false,
            _ => cmp::equal(&Node::to_value(self), expected),
        }
    }

    fn to_value(&self) -> Cow<'a, Value> {
        Cow::Owned(Node::to_value(self))
    }

    fn identity(&self) -> Option<NodeIdentity> {
        Some(NodeIdentity::new(
            std::ptr::from_ref::<Node<'a>>(self).addr(),
        ))
    }
}

impl<'a> JsonObject<'a, Borrowed> for &'a Object<'a> {
    type Node = &'a Node<'a>;
    type MemberName = &'a str;
    type MembersIter = Members<'a>;

    fn len(&self) -> usize {
        self.0.len()
    }

    fn get(&self, key: &Box<str>) -> Option<&'a Node<'a>> {
        Object::get(self, key)
    }

    fn members(&self) -> Members<'a> {
        Members(self.0.iter())
    }
}

pub(crate) struct Members<'a>(std::slice::Iter<'a, (Cow<'a, str>, Node<'a>)>);

impl<'a> Iterator for Members<'a> {
    type Item = (&'a str, &'a Node<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next().map(|(name, value)| (name.as_ref(), value))
    }
}

impl<'a> Array<'a, Borrowed> for &'a [Node<'a>] {
    type Node = &'a Node<'a>;
    type ElementsIter = std::slice::Iter<'a, Node<'a>>;

    fn len(&self) -> usize {
        <[Node<'a>]>::len(self)
    }

    fn elements(&self) -> Self::ElementsIter {
        self.iter()
    }
}

/// A value that its type refuses although the schema let it pass. Holds where and what was
/// expected, never the value: both end up in front of the caller.
#[derive(Debug)]
pub(crate) struct ReadError {
    /// JSON pointer below the value that was read.
    pub(crate) pointer: String,
    /// What the type wants, in the words of its `Deserialize`.
    pub(crate) expected: Option<String>,
    /// The type's own complaint. For the operator: it may quote the value.
    pub(crate) detail: String,
}

impl ReadError {
    fn below(mut self, segment: impl fmt::Display) -> Self {
        let segment = segment.to_string().replace('~', "~0").replace('/', "~1");
        self.pointer.insert_str(0, &segment);
        self.pointer.insert(0, '/');
        self
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl std::error::Error for ReadError {}

impl de::Error for ReadError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self {
            pointer: String::new(),
            expected: None,
            detail: message.to_string(),
        }
    }

    fn invalid_type(unexpected: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        let detail = format!("invalid type: {unexpected}, expected {expected}");
        Self {
            pointer: String::new(),
            expected: Some(expected.to_string()),
            detail,
        }
    }

    fn invalid_value(unexpected: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        let detail = format!("invalid value: {unexpected}, expected {expected}");
        Self {
            pointer: String::new(),
            expected: Some(expected.to_string()),
            detail,
        }
    }
}

/// `2.0` is an integer to JSON Schema and to a model, but not to serde's integer visitors.
fn visit_number<'de, V: Visitor<'de>>(
    number: &Number,
    integer: bool,
    visitor: V,
) -> Result<V::Value, ReadError> {
    if let Some(n) = number.as_u64() {
        return visitor.visit_u64(n);
    }
    if let Some(n) = number.as_i64() {
        return visitor.visit_i64(n);
    }
    let n = number.as_f64().unwrap_or(f64::NAN);
    // 2^53: beyond it neighbouring integers share one float.
    if integer && n.fract() == 0.0 && n.abs() <= 9_007_199_254_740_992.0 {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "checked: whole and within 2^53"
        )]
        return visitor.visit_i64(n as i64);
    }
    visitor.visit_f64(n)
}

macro_rules! integers {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
            match self {
                Node::Number(n) => visit_number(n, true, visitor),
                _ => de::Deserializer::deserialize_any(self, visitor),
            }
        }
    )*};
}

impl<'de> de::Deserializer<'de> for &'de Node<'de> {
    type Error = ReadError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        match self {
            Node::Null => visitor.visit_unit(),
            Node::Bool(b) => visitor.visit_bool(*b),
            Node::Number(n) => visit_number(n, false, visitor),
            Node::String(s) => visitor.visit_borrowed_str(s),
            Node::Array(items) => visitor.visit_seq(Elements {
                items: items.iter(),
                at: 0,
            }),
            Node::Object(o) => visitor.visit_map(Entries {
                members: o.0.iter(),
                value: None,
            }),
        }
    }

    integers! {
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        match self {
            Node::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        match self {
            Node::String(s) => visitor.visit_enum(s.as_ref().into_deserializer()),
            Node::Object(Object(members)) if members.len() == 1 => {
                let (variant, value) = &members[0];
                visitor.visit_enum(Variant { variant, value })
            }
            _ => Err(de::Error::invalid_type(
                de::Unexpected::Other("value"),
                &"a variant",
            )),
        }
    }

    serde::forward_to_deserialize_any! {
        bool f32 f64 char str string bytes byte_buf unit unit_struct seq tuple tuple_struct map
        struct identifier ignored_any
    }
}

struct Elements<'de> {
    items: std::slice::Iter<'de, Node<'de>>,
    at: usize,
}

impl<'de> de::SeqAccess<'de> for Elements<'de> {
    type Error = ReadError;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, ReadError> {
        let Some(item) = self.items.next() else {
            return Ok(None);
        };
        let at = self.at;
        self.at += 1;
        seed.deserialize(item)
            .map(Some)
            .map_err(|error| error.below(at))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.items.len())
    }
}

struct Entries<'de> {
    members: std::slice::Iter<'de, (Cow<'de, str>, Node<'de>)>,
    value: Option<(&'de str, &'de Node<'de>)>,
}

impl<'de> de::MapAccess<'de> for Entries<'de> {
    type Error = ReadError;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, ReadError> {
        let Some((name, value)) = self.members.next() else {
            return Ok(None);
        };
        self.value = Some((name, value));
        let name: de::value::BorrowedStrDeserializer<'de, ReadError> =
            de::value::BorrowedStrDeserializer::new(name);
        seed.deserialize(name).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, ReadError> {
        let Some((name, value)) = self.value.take() else {
            return Err(de::Error::custom("a value was read before its name"));
        };
        seed.deserialize(value).map_err(|error| error.below(name))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.members.len())
    }
}

struct Variant<'de> {
    variant: &'de str,
    value: &'de Node<'de>,
}

impl<'de> de::EnumAccess<'de> for Variant<'de> {
    type Error = ReadError;
    type Variant = &'de Node<'de>;

    fn variant_seed<V: DeserializeSeed<'de>>(
        self,
        seed: V,
    ) -> Result<(V::Value, &'de Node<'de>), ReadError> {
        let name: de::value::BorrowedStrDeserializer<'de, ReadError> =
            de::value::BorrowedStrDeserializer::new(self.variant);
        Ok((seed.deserialize(name)?, self.value))
    }
}

impl<'de> de::VariantAccess<'de> for &'de Node<'de> {
    type Error = ReadError;

    fn unit_variant(self) -> Result<(), ReadError> {
        match self {
            Node::Null => Ok(()),
            _ => Err(de::Error::invalid_type(
                de::Unexpected::Other("value"),
                &"no content",
            )),
        }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, ReadError> {
        seed.deserialize(self)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, ReadError> {
        de::Deserializer::deserialize_any(self, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        de::Deserializer::deserialize_any(self, visitor)
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[test]
    fn refuses_what_two_readers_could_read_differently() {
        let many = (0..100).map(|n| format!("\"k{n}\":1,")).collect::<String>();
        for body in [
            r#"{"a":1,"a":2}"#.to_owned(),
            r#"{"a":1,"\u0061":2}"#.to_owned(),
            r#"[{"x":{"a":1,"b":2,"a":3}}]"#.to_owned(),
            format!("{{{many}\"k50\":1}}"),
        ] {
            assert_eq!(parse(body.as_bytes()), Err(Fault::Duplicate), "{body}");
        }
    }

    #[test]
    fn leaves_out_one_member_and_only_there() {
        let text = br#" {"a":{"_m":1,"b":2},"p":{"c":3,"_m": {"d":[4 ]} ,"e":{"_m":5}},"_m":6}"#;
        let (node, left) = parse_without(text, &["p", "_m"], |_| None).unwrap();
        let rest = br#"{"a":{"_m":1,"b":2},"p":{"c":3,"e":{"_m":5}},"_m":6}"#;
        assert_eq!(node, parse(rest).unwrap());
        assert_eq!(left, Some(r#"{"d":[4 ]}"#));
        let (again, left) = parse_without(text, &["p", "_m"], |rest| {
            rest.starts_with(r#"{"d":[4 ]}"#).then_some(10)
        })
        .unwrap();
        assert_eq!((again, left), (node, Some(r#"{"d":[4 ]}"#)));
        for (value, text) in [
            ("1 ", "1"),
            ("\"}\\\"\"", "\"}\\\"\""),
            ("[{}]", "[{}]"),
            ("é", ""),
        ] {
            let message = format!(r#"{{"p":{{"_m":{value},"a":1}}}}"#);
            let left = parse_without(message.as_bytes(), &["p", "_m"], |_| None);
            let left = left.map(|(_, left)| left.unwrap_or_default());
            assert_eq!(left.unwrap_or_default(), text, "{message}");
        }
        let none = parse_without(br#"{"p":[{"_m":1}]}"#, &["p", "_m"], |_| None);
        assert_eq!(none.unwrap().1, None);
        for (text, fault) in [
            (r#"{"p":{"_m":1,"_m":1}}"#, Fault::Duplicate),
            (r#"{"p":{"_m":1,"\u005fm":1}}"#, Fault::Duplicate),
            (r#"{"p":{"_m":1},"p":{"_m":1}}"#, Fault::Duplicate),
            (r#"{"p":{"_m":}}"#, Fault::Syntax),
            (r#"{"p":{"_m":{"a":1}"#, Fault::Syntax),
        ] {
            let read = parse_without(text.as_bytes(), &["p", "_m"], |_| None);
            assert_eq!(read.unwrap_err(), fault, "{text}");
        }
    }

    #[test]
    fn refuses_depth_rubbish_and_bad_utf8() {
        let deep = |n: usize| [vec![b'['; n], vec![b']'; n]].concat();
        assert!(parse(&deep(MAX_DEPTH)).is_ok());
        assert_eq!(parse(&deep(MAX_DEPTH + 2)), Err(Fault::Syntax));
        assert_eq!(parse(&vec![b'['; 100_000]), Err(Fault::Syntax));
        for body in [
            &b"{bad"[..],
            b"",
            b"{} x",
            b"\"\xff\xfe\"",
            b"\"\\ud800\"",
            b"1e999",
        ] {
            assert_eq!(parse(body), Err(Fault::Syntax), "{body:?}");
        }
    }

    #[test]
    fn reads_types_the_way_serde_json_does() {
        #[derive(Debug, Deserialize, PartialEq)]
        enum Shape {
            Dot,
            Circle(f64),
            Box { w: u32, h: u32 },
        }
        #[derive(Debug, Deserialize, PartialEq)]
        struct All {
            shapes: Vec<Shape>,
            name: Option<String>,
            pair: (i8, bool),
            other: std::collections::BTreeMap<String, Value>,
        }
        let text = r#"{"shapes":["Dot",{"Circle":1.5},{"Box":{"w":1,"h":2}}],"name":"é\n",
            "pair":[-3,true],"other":{"x":[1,2.5,null,{"y":"z"}]}}"#;
        let ours: All = All::deserialize(&parse(text.as_bytes()).unwrap()).unwrap();
        assert_eq!(ours, serde_json::from_str(text).unwrap());
    }

    #[test]
    fn a_read_error_says_where_and_keeps_the_value_for_the_operator() {
        #[derive(Debug, Deserialize)]
        struct Line {
            #[expect(dead_code, reason = "only read")]
            cents: u8,
        }
        let node = parse(br#"{"lines":[{"cents":1},{"cents":"secret"}]}"#).unwrap();
        let error = std::collections::HashMap::<String, Vec<Line>>::deserialize(&node).unwrap_err();
        assert_eq!(error.pointer, "/lines/1/cents");
        assert_eq!(error.expected.as_deref(), Some("u8"));
        assert_eq!(u32::deserialize(&parse(b"2.0").unwrap()).unwrap(), 2);
        assert!(u32::deserialize(&parse(b"2.5").unwrap()).is_err());
    }
}

//! The head of a SKILL.md: plain YAML between two lines of `---`, as JSON.
//!
//! Hosts read the same lines with libraries of their own and compare, field by field, with what
//! the server says. So everything about which those libraries disagree is refused while it can
//! still be mended: anchors, tags, merge keys, and plain words that are a truth value or a date to
//! some.

use saphyr_parser::{Event, Parser, ScalarStyle, StrInput};
use serde_json::{Map, Number, Value};

/// The longest head, in bytes.
const MAX_BYTES: usize = 64 << 10;
/// How deep its lists and mappings may nest.
const MAX_DEPTH: usize = 16;
/// The limits of the Agent Skills specification, in characters.
const MAX_DESCRIPTION: usize = 1024;
const MAX_COMPATIBILITY: usize = 500;

/// Reads the frontmatter of the skill in the folder `folder`.
pub(super) fn read(text: &str, folder: &str) -> Result<Map<String, Value>, Vec<String>> {
    let head = split(text).map_err(|problem| vec![problem])?;
    let fields = parse(head).map_err(|problem| vec![format!("in its frontmatter, {problem}")])?;
    let problems = field_problems(&fields, folder);
    if problems.is_empty() {
        Ok(fields)
    } else {
        Err(problems)
    }
}

/// What stands between the lines of `---`.
fn split(text: &str) -> Result<&str, String> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let behind = text
        .strip_prefix("---\n")
        .or_else(|| text.strip_prefix("---\r\n"))
        .ok_or("it does not begin with a line of `---` and the frontmatter of a skill")?;
    let mut length = 0;
    for line in behind.split_inclusive('\n') {
        if line.trim_end() == "---" {
            return Ok(&behind[..length]);
        }
        length += line.len();
        if length > MAX_BYTES {
            return Err(format!("its frontmatter is longer than {MAX_BYTES} bytes"));
        }
    }
    Err("its frontmatter does not end with a line of `---`".to_owned())
}

fn field_problems(fields: &Map<String, Value>, folder: &str) -> Vec<String> {
    let mut problems = Vec::new();
    match fields.get("name") {
        None => problems.push(format!(
            "its frontmatter has no `name`: add `name: {folder}`"
        )),
        Some(Value::String(name)) if !is_name(name) => problems.push(format!(
            "its name `{}` has other than 1 to 64 lower-case letters of ASCII, digits and single hyphens between them",
            name.escape_debug()
        )),
        Some(Value::String(name)) if name == folder => {}
        Some(Value::String(name)) => problems.push(format!(
            "its name is `{name}` and its folder `{folder}`: give both the same name"
        )),
        Some(_) => problems.push("its `name` is not a string".to_owned()),
    }
    problems.extend(text_problem(fields, "description", MAX_DESCRIPTION, true));
    problems.extend(text_problem(
        fields,
        "compatibility",
        MAX_COMPATIBILITY,
        false,
    ));
    problems
}

/// The naming rules of the Agent Skills specification.
fn is_name(name: &str) -> bool {
    let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    (1..=64).contains(&name.len())
        && name.chars().all(legal)
        && !name.starts_with('-')
        && !name.ends_with('-')
        && !name.contains("--")
}

fn text_problem(
    fields: &Map<String, Value>,
    field: &str,
    longest: usize,
    required: bool,
) -> Option<String> {
    match fields.get(field) {
        None if required => Some(format!("its frontmatter has no `{field}`")),
        None => None,
        Some(Value::String(text)) if text.trim().is_empty() => {
            Some(format!("its `{field}` is empty"))
        }
        Some(Value::String(text)) if text.chars().count() > longest => {
            Some(format!("its `{field}` is longer than {longest} characters"))
        }
        Some(Value::String(_)) => None,
        Some(_) => Some(format!("its `{field}` is not a string")),
    }
}

fn parse(head: &str) -> Result<Map<String, Value>, String> {
    let mut loader = Loader(Parser::new_from_str(head));
    loader.expect(&Event::StreamStart)?;
    match loader.next()? {
        Event::DocumentStart(_) => {}
        _ => return Err("there is nothing".to_owned()),
    }
    let first = loader.next()?;
    let Value::Object(fields) = loader.value(first, 0)? else {
        return Err("there is no mapping like `name: …`".to_owned());
    };
    loader.expect(&Event::DocumentEnd)?;
    loader.expect(&Event::StreamEnd)?;
    Ok(fields)
}

struct Loader<'a>(Parser<'a, StrInput<'a>>);

impl<'a> Loader<'a> {
    fn next(&mut self) -> Result<Event<'a>, String> {
        match self.0.next_event() {
            Some(Ok((event, _))) => Ok(event),
            Some(Err(error)) => Err(format!("the YAML is malformed: {error}")),
            None => Err("the YAML ends too early".to_owned()),
        }
    }

    fn expect(&mut self, expected: &Event<'_>) -> Result<(), String> {
        match self.next()? {
            event if event == *expected => Ok(()),
            _ => Err("there is more than one document".to_owned()),
        }
    }

    fn value(&mut self, event: Event<'a>, depth: usize) -> Result<Value, String> {
        if depth > MAX_DEPTH {
            return Err(format!("values nest deeper than {MAX_DEPTH} levels"));
        }
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                plain(anchor, tag.is_some())?;
                match style {
                    ScalarStyle::Plain => resolve(&text),
                    _ => Ok(Value::String(text.into_owned())),
                }
            }
            Event::SequenceStart(anchor, tag) => {
                plain(anchor, tag.is_some())?;
                self.list(depth)
            }
            Event::MappingStart(anchor, tag) => {
                plain(anchor, tag.is_some())?;
                self.mapping(depth)
            }
            Event::Alias(_) => Err(NOT_PLAIN.to_owned()),
            _ => Err("the YAML is malformed".to_owned()),
        }
    }

    fn list(&mut self, depth: usize) -> Result<Value, String> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                Event::SequenceEnd => return Ok(Value::Array(items)),
                event => items.push(self.value(event, depth + 1)?),
            }
        }
    }

    fn mapping(&mut self, depth: usize) -> Result<Value, String> {
        let mut fields = Map::new();
        loop {
            let key = match self.next()? {
                Event::MappingEnd => return Ok(Value::Object(fields)),
                Event::Scalar(text, style, anchor, tag) => {
                    plain(anchor, tag.is_some())?;
                    key(text.into_owned(), style)?
                }
                _ => return Err("a key is not a string".to_owned()),
            };
            let event = self.next()?;
            let value = self.value(event, depth + 1)?;
            if fields.contains_key(&key) {
                return Err(format!("`{}` is there twice", key.escape_debug()));
            }
            fields.insert(key, value);
        }
    }
}

const NOT_PLAIN: &str = "there is an anchor, an alias or a tag: write the value out";

fn plain(anchor: usize, tagged: bool) -> Result<(), String> {
    if anchor == 0 && !tagged {
        Ok(())
    } else {
        Err(NOT_PLAIN.to_owned())
    }
}

fn key(text: String, style: ScalarStyle) -> Result<String, String> {
    let is_string = style != ScalarStyle::Plain || resolve(&text)?.is_string();
    if !is_string || text == "<<" {
        return Err(format!(
            "the key `{}` is not a string: quote it",
            text.escape_debug()
        ));
    }
    Ok(text)
}

/// What a plain scalar is in the core schema of YAML 1.2, which is also what it is in 1.1.
fn resolve(text: &str) -> Result<Value, String> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Ok(Value::Null),
        "true" | "True" | "TRUE" => return Ok(Value::Bool(true)),
        "false" | "False" | "FALSE" => return Ok(Value::Bool(false)),
        _ => {}
    }
    if is_disputed(text) {
        return Err(format!(
            "readers disagree on what `{}` is: quote it",
            text.escape_debug()
        ));
    }
    let number = match () {
        () if is_integer(text) => text
            .trim_start_matches('+')
            .parse::<i64>()
            .map(Number::from)
            .ok()
            .or_else(|| text.trim_start_matches('+').parse().map(u64::into).ok()),
        () if is_fraction(text) => text.parse().ok().and_then(Number::from_f64),
        () => return Ok(Value::String(text.to_owned())),
    };
    number.map(Value::Number).ok_or_else(|| {
        format!(
            "the number `{}` is too large: quote it",
            text.escape_debug()
        )
    })
}

fn digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

fn unsigned(text: &str) -> &str {
    text.strip_prefix(['+', '-']).unwrap_or(text)
}

fn is_integer(text: &str) -> bool {
    digits(unsigned(text))
}

/// `1.5`, `.5`, `1.`, `1e3`
fn is_fraction(text: &str) -> bool {
    let text = unsigned(text);
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text, None),
    };
    let (whole, part) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    (digits(whole) || digits(part))
        && (whole.is_empty() || digits(whole))
        && (part.is_empty() || digits(part))
        && exponent.is_none_or(|exponent| digits(unsigned(exponent)))
}

/// Whether YAML 1.1 and 1.2, or two common libraries, read a plain scalar differently.
fn is_disputed(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    let body = unsigned(&lower);
    let words = [
        "yes", "no", "on", "off", "y", "n", ".inf", ".nan", "=", "<<",
    ];
    let number_like = body.starts_with(|c: char| c.is_ascii_digit())
        && body
            .chars()
            .all(|c| c.is_ascii_hexdigit() || "_:.xo".contains(c));
    let octal = body.len() > 1 && body.starts_with('0') && digits(body);
    let based = ["0x", "0o", "0b"]
        .iter()
        .any(|prefix| body.starts_with(prefix));
    let exponent = is_fraction(text) && body.contains('e');
    words.contains(&body)
        || octal
        || exponent
        || (number_like && (based || body.contains(['_', ':'])))
        || is_date(&lower)
}

/// `2026-01-31`, with or without a time behind it.
fn is_date(text: &str) -> bool {
    let mut parts = text.splitn(3, '-');
    let mut next = || parts.next().unwrap_or_default();
    let (year, month, rest) = (next(), next(), next());
    let day = rest.split(['t', ' ']).next().unwrap_or_default();
    year.len() == 4 && digits(year) && digits(month) && digits(day)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn plain_yaml_is_json() {
        for (yaml, expected) in [
            ("a: b", json!({"a": "b"})),
            ("a: 1\nb: -2\nc: 1.5", json!({"a": 1, "b": -2, "c": 1.5})),
            (
                "a: true\nb: null\nc:",
                json!({"a": true, "b": null, "c": null}),
            ),
            ("a: 'yes'\nb: \"1\"", json!({"a": "yes", "b": "1"})),
            (
                "a: [x, 'y z']\nb:\n  - 1\n  - c: d",
                json!({"a": ["x", "y z"], "b": [1, {"c": "d"}]}),
            ),
            (
                "a: >\n  one\n  two\nb: |\n  one\n  two\n",
                json!({"a": "one two\n", "b": "one\ntwo\n"}),
            ),
            ("a: 18446744073709551615", json!({"a": u64::MAX})),
            (
                "# nothing\na: http://x.example.com/?a:b",
                json!({"a": "http://x.example.com/?a:b"}),
            ),
            ("a: 1.2.3\nb: v1", json!({"a": "1.2.3", "b": "v1"})),
            ("a: Bash(git:*) Read", json!({"a": "Bash(git:*) Read"})),
        ] {
            assert_eq!(parse(yaml).map(Value::Object), Ok(expected), "{yaml}");
        }
    }

    #[test]
    fn what_readers_may_read_differently_is_refused() {
        let deep = format!("a: {}1{}", "[".repeat(20), "]".repeat(20));
        for (yaml, word) in [
            ("", "nothing"),
            ("- a", "mapping"),
            ("a: b\na: c", "twice"),
            ("a: &x b\nc: *x", "anchor"),
            ("a: !!str 1", "tag"),
            ("<<: {a: b}", "quote"),
            ("1: a", "quote"),
            ("? [a]\n: b", "key"),
            ("a: yes", "quote"),
            ("a: Off", "quote"),
            ("a: 2026-01-31", "quote"),
            ("a: 012", "quote"),
            ("a: 1_000", "quote"),
            ("a: 0x1f", "quote"),
            ("a: 1:30", "quote"),
            ("a: 1e3", "quote"),
            ("a: .inf", "quote"),
            ("a: 99999999999999999999", "too large"),
            ("a: b\n...\n---\nc: d", "more than one"),
            ("a: 'b", "malformed"),
            ("a:\tb: c: d", "malformed"),
            (&deep, "deeper"),
        ] {
            match parse(yaml) {
                Ok(read) => panic!("{yaml} was read as {read:?}"),
                Err(why) => assert!(why.contains(word), "{yaml}: {why}"),
            }
        }
    }

    #[test]
    fn the_head_ends_where_it_says() {
        assert_eq!(split("---\na: b\n---\nText --- text"), Ok("a: b\n"));
        assert_eq!(split("\u{feff}---\r\na: b\r\n---"), Ok("a: b\r\n"));
        assert!(split("a: b").is_err());
        assert!(split("----\na: b\n----\n").is_err());
        assert!(split("---\na: b\n").is_err());
        assert!(split(&format!("---\n{}---\n", "a: b\n".repeat(20_000))).is_err());
    }
}

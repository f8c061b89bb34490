//! From the text of a message to its tree, in one pass.
//!
//! Takes what serde_json takes, and nothing else; a test compares the two. It stands here because
//! nearly half of what a short message costs was its parse, and because of what no library does on
//! the way: repeated names are refused, and one member can be left for whoever knows it already.

use std::borrow::Cow;
use std::collections::HashSet;

use serde_json::Number;

use super::{Fault, MAX_DEPTH, Node, Object};

/// From here on a repeated name is looked for by hash instead of by scanning.
const SCAN_UP_TO: usize = 16;

/// A member that is left out, as its text.
pub(super) struct Aside<'p, 'a> {
    /// Where it is: names from the outside in.
    pub(super) path: &'p [&'p str],
    /// How much of a text is a value that is known to be one; `None` when that is not known.
    pub(super) known: fn(&str) -> Option<usize>,
    pub(super) left: Option<&'a str>,
}

/// Reads all of a text as one value.
pub(super) fn read<'a>(
    bytes: &'a [u8],
    aside: Option<&mut Aside<'_, 'a>>,
) -> Result<Node<'a>, Fault> {
    // Once for the whole message: string by string costs more than all the rest of a short one.
    let text = std::str::from_utf8(bytes).map_err(|_| Fault::Syntax)?;
    let mut reader = Reader { text, at: 0 };
    reader.space();
    let node = reader.value(MAX_DEPTH, aside.map(|aside| (aside, 0)))?;
    reader.space();
    match reader.peek() {
        None => Ok(node),
        Some(_) => Err(Fault::Syntax),
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn rest(&self) -> &'a [u8] {
        &self.text.as_bytes()[self.at..]
    }

    fn space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.at += 1;
        }
    }

    fn expect(&mut self, byte: u8) -> Result<(), Fault> {
        if self.peek() != Some(byte) {
            return Err(Fault::Syntax);
        }
        self.at += 1;
        Ok(())
    }

    fn word(&mut self, word: &str, node: Node<'a>) -> Result<Node<'a>, Fault> {
        if !self.rest().starts_with(word.as_bytes()) {
            return Err(Fault::Syntax);
        }
        self.at += word.len();
        Ok(node)
    }

    /// A value, without space before it. Of what is left out, as many names as are given lead here.
    fn value(
        &mut self,
        depth: usize,
        aside: Option<(&mut Aside<'_, 'a>, usize)>,
    ) -> Result<Node<'a>, Fault> {
        match self.peek() {
            Some(b'"') => {
                self.at += 1;
                self.string().map(Node::String)
            }
            Some(b'{') => {
                self.at += 1;
                let below = depth.checked_sub(1).ok_or(Fault::Syntax)?;
                self.object(below, aside).map(Node::Object)
            }
            Some(b'[') => {
                self.at += 1;
                let below = depth.checked_sub(1).ok_or(Fault::Syntax)?;
                self.array(below).map(Node::Array)
            }
            Some(b'-' | b'0'..=b'9') => self.number().map(Node::Number),
            Some(b't') => self.word("true", Node::Bool(true)),
            Some(b'f') => self.word("false", Node::Bool(false)),
            Some(b'n') => self.word("null", Node::Null),
            _ => Err(Fault::Syntax),
        }
    }

    fn array(&mut self, depth: usize) -> Result<Vec<Node<'a>>, Fault> {
        let mut items = Vec::new();
        self.space();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(items);
        }
        loop {
            self.space();
            items.push(self.value(depth, None)?);
            self.space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => {
                    self.at += 1;
                    return Ok(items);
                }
                _ => return Err(Fault::Syntax),
            }
        }
    }

    fn object(
        &mut self,
        depth: usize,
        mut aside: Option<(&mut Aside<'_, 'a>, usize)>,
    ) -> Result<Object<'a>, Fault> {
        let mut members: Vec<(Cow<'a, str>, Node<'a>)> = Vec::new();
        let mut seen: Option<HashSet<Cow<'a, str>>> = None;
        self.space();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(Object(members));
        }
        loop {
            self.space();
            self.expect(b'"')?;
            let name = self.string()?;
            let twice = match &mut seen {
                Some(seen) => !seen.insert(name.clone()),
                None => members.iter().any(|(known, _)| *known == name),
            };
            if twice {
                return Err(Fault::Duplicate);
            }
            self.space();
            self.expect(b':')?;
            self.space();
            let mut below = None;
            let mut is_left = false;
            if let Some((aside, at)) = &mut aside
                && aside.path.get(*at).is_some_and(|next| *next == name)
            {
                if *at + 1 == aside.path.len() {
                    let text = self.unread(aside.known)?;
                    if aside.left.replace(text).is_some() {
                        return Err(Fault::Duplicate);
                    }
                    is_left = true;
                } else {
                    below = Some((&mut **aside, *at + 1));
                }
            }
            if !is_left {
                let value = self.value(depth, below)?;
                members.push((name, value));
                if members.len() == SCAN_UP_TO {
                    seen = Some(members.iter().map(|(name, _)| name.clone()).collect());
                }
            }
            self.space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => {
                    self.at += 1;
                    return Ok(Object(members));
                }
                _ => return Err(Fault::Syntax),
            }
        }
    }

    /// A string, behind its first quotation mark.
    fn string(&mut self) -> Result<Cow<'a, str>, Fault> {
        let start = self.at;
        self.at += plain(self.rest());
        match self.peek() {
            Some(b'"') => {
                let text = &self.text[start..self.at];
                self.at += 1;
                Ok(Cow::Borrowed(text))
            }
            Some(b'\\') => self.escaped(start).map(Cow::Owned),
            _ => Err(Fault::Syntax),
        }
    }

    /// The same with escapes, from the first one on.
    #[cold]
    fn escaped(&mut self, start: usize) -> Result<String, Fault> {
        let mut text = self.text[start..self.at].to_owned();
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(text);
                }
                Some(b'\\') => {
                    self.at += 1;
                    text.push(self.escape()?);
                }
                _ => return Err(Fault::Syntax),
            }
            let start = self.at;
            self.at += plain(self.rest());
            text.push_str(&self.text[start..self.at]);
        }
    }

    /// What an escape stands for, behind its backslash.
    fn escape(&mut self) -> Result<char, Fault> {
        let kind = self.peek().ok_or(Fault::Syntax)?;
        self.at += 1;
        Ok(match kind {
            b'"' => '"',
            b'\\' => '\\',
            b'/' => '/',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let unit = self.unit()?;
                let code = match unit {
                    0xd800..=0xdbff => {
                        self.expect(b'\\')?;
                        self.expect(b'u')?;
                        let low = self.unit()?;
                        if !(0xdc00..=0xdfff).contains(&low) {
                            return Err(Fault::Syntax);
                        }
                        0x1_0000 + ((unit - 0xd800) << 10) + (low - 0xdc00)
                    }
                    unit => unit,
                };
                // Half of a pair is no character.
                char::from_u32(code).ok_or(Fault::Syntax)?
            }
            _ => return Err(Fault::Syntax),
        })
    }

    /// Four hexadecimal digits.
    fn unit(&mut self) -> Result<u32, Fault> {
        let digits = self.rest().get(..4).ok_or(Fault::Syntax)?;
        let mut unit = 0;
        for digit in digits {
            let value = char::from(*digit).to_digit(16).ok_or(Fault::Syntax)?;
            unit = unit << 4 | value;
        }
        self.at += 4;
        Ok(unit)
    }

    fn number(&mut self) -> Result<Number, Fault> {
        let start = self.at;
        let negative = self.peek() == Some(b'-');
        self.at += usize::from(negative);
        let first = self.at;
        let whole = self.digits()?;
        if self.at - first > 1 && self.text.as_bytes()[first] == b'0' {
            return Err(Fault::Syntax);
        }
        let mut is_whole = true;
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
            is_whole = false;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
            is_whole = false;
        }
        if is_whole && let Some(whole) = whole {
            if !negative {
                return Ok(whole.into());
            }
            // There is no integer that is -0.
            if let Some(number) = 0_i64.checked_sub_unsigned(whole)
                && number != 0
            {
                return Ok(number.into());
            }
        }
        let number: f64 = self.text[start..self.at]
            .parse()
            .map_err(|_| Fault::Syntax)?;
        Number::from_f64(number).ok_or(Fault::Syntax)
    }

    /// One digit or more, and what they say unless that is too much for 64 bits.
    fn digits(&mut self) -> Result<Option<u64>, Fault> {
        let start = self.at;
        let mut value = Some(0_u64);
        while let Some(digit @ b'0'..=b'9') = self.peek() {
            let add = |value: u64| value.checked_add(u64::from(digit - b'0'));
            value = value.and_then(|value| value.checked_mul(10)).and_then(add);
            self.at += 1;
        }
        if self.at == start {
            return Err(Fault::Syntax);
        }
        Ok(value)
    }

    /// The text of a value, of which only the end is looked for: whoever reads it finds out whether
    /// it is one.
    fn unread(&mut self, known: fn(&str) -> Option<usize>) -> Result<&'a str, Fault> {
        let start = self.at;
        let mut open = 0_usize;
        if let Some(length) = known(&self.text[start..]) {
            self.at += length;
            return Ok(&self.text[start..self.at]);
        }
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    self.string()?;
                }
                Some(b'{' | b'[') => {
                    open += 1;
                    self.at += 1;
                    continue;
                }
                Some(b'}' | b']') if open > 0 => {
                    open -= 1;
                    self.at += 1;
                }
                Some(b',' | b'}' | b']' | b' ' | b'\n' | b'\r' | b'\t') if open == 0 => break,
                Some(byte) if byte.is_ascii() => {
                    self.at += 1;
                    continue;
                }
                _ => return Err(Fault::Syntax),
            }
            if open == 0 {
                break;
            }
        }
        if self.at == start {
            return Err(Fault::Syntax);
        }
        Ok(&self.text[start..self.at])
    }
}

/// How many bytes come before the first that is not simply one of a string: a quotation mark, a
/// backslash, a control character. Eight at a time.
fn plain(bytes: &[u8]) -> usize {
    const ONES: u64 = u64::MAX / 255;
    const HIGH: u64 = ONES << 7;
    // The lowest byte that is marked is one that is meant; what is above it may be marked by the
    // borrow of the subtraction.
    let below = |word: u64, limit: u64| word.wrapping_sub(ONES * limit) & !word & HIGH;
    let mut at = 0;
    let (words, tail) = bytes.as_chunks::<8>();
    for word in words {
        let word = u64::from_le_bytes(*word);
        let quotes = below(word ^ (ONES * u64::from(b'"')), 1);
        let escapes = below(word ^ (ONES * u64::from(b'\\')), 1);
        let found = below(word, 0x20) | quotes | escapes;
        if found != 0 {
            return at + (found.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    let is_special = |byte: &u8| *byte < 0x20 || matches!(byte, b'"' | b'\\');
    at + tail.iter().position(is_special).unwrap_or(tail.len())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;
    use crate::json::parse;

    /// What serde_json says of the same text, where it can be compared: it takes repeated names,
    /// and goes deeper.
    fn agrees(text: &[u8]) {
        let theirs = serde_json::from_slice::<Value>(text);
        let shown = String::from_utf8_lossy(text);
        match (parse(text), theirs) {
            (Ok(ours), Ok(theirs)) => assert_eq!(ours.to_value(), theirs, "{shown}"),
            (Ok(ours), Err(error)) => panic!("took what is wrong ({error}): {shown} as {ours:?}"),
            (Err(Fault::Syntax), Ok(_)) => {
                let deepest = text
                    .iter()
                    .filter(|byte| matches!(byte, b'[' | b'{'))
                    .count();
                assert!(deepest > MAX_DEPTH, "refused what is right: {shown}");
            }
            (Err(Fault::Duplicate), Ok(_)) | (Err(_), Err(_)) => {}
        }
    }

    #[test]
    fn takes_what_serde_json_takes_and_nothing_else() {
        let values = [
            "0",
            "-0",
            "-0.0",
            "00",
            "01",
            "-",
            "-1",
            "1.",
            ".5",
            "1.5",
            "1e5",
            "1E+5",
            "1e-5",
            "1e",
            "1e+",
            "+1",
            "0x1",
            "18446744073709551615",
            "18446744073709551616",
            "-9223372036854775808",
            "-9223372036854775809",
            "123456789012345678901234567890",
            "1e308",
            "1e309",
            "-1e309",
            "1e-400",
            "0.1",
            "2.2250738585072011e-308",
            "NaN",
            "Infinity",
            "true",
            "tru",
            "truee",
            "false",
            "null",
            "nul",
            "\"\"",
            "\"a",
            "\"\\\"",
            "\"\\u0041\"",
            "\"\\u00e9\"",
            "\"\\ud83d\\ude00\"",
            "\"\\ud83d\"",
            "\"\\ude00\"",
            "\"\\ud83dx\"",
            "\"\\ud83d\\u0041\"",
            "\"\\u12\"",
            "\"\\u12g4\"",
            "\"\\x\"",
            "\"\\/\"",
            "\"\\b\\f\\n\\r\\t\\\\\"",
            "\"\t\"",
            "\"\n\"",
            "\"\u{7f}\u{80}é😀\"",
            "\"12345678\"",
            "\"1234567\u{1}\"",
            "\"12345678\u{1}\"",
            "\"!\\\"#\"",
            "\"\u{0}\"",
            "[]",
            "[ ]",
            "[,]",
            "[1,]",
            "[1 2]",
            "[1,2]",
            "[1",
            "{}",
            "{ }",
            "{,}",
            "{\"a\":1,}",
            "{\"a\" : 1 }",
            "{\"a\"}",
            "{\"a\":}",
            "{a:1}",
            "{'a':1}",
            "{\"a\":1 \"b\":2}",
            "{1:2}",
            "{\"a\":1",
            "",
            " ",
            "\u{a0}1",
            "\u{feff}1",
            "1 1",
            "// 1",
            "1 // 1",
            "\u{c}1",
            "[1]]",
            "\"a\"b",
        ];
        for value in values {
            for around in [
                "#",
                " \n\t\r# ",
                "[#]",
                "[#,#]",
                "{\"k\":#}",
                "{\"k\":#,\"l\":[#]}",
            ] {
                agrees(around.replace('#', value).as_bytes());
            }
        }
        for bytes in [
            &b"\"\xff\""[..],
            b"\xef\xbb\xbf1",
            b"\"\xed\xa0\x80\"",
            b"\"\xc3\"",
        ] {
            agrees(bytes);
        }
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            ".{0,20}".prop_map(Value::from),
            "[a-z\"\\\\\u{0}-\u{1f}]{0,20}".prop_map(Value::from),
        ];
        leaf.prop_recursive(6, 64, 8, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
                prop::collection::btree_map("[a-e\u{e9}\n]{0,3}", inner, 0..8)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn reads_what_is_written_and_agrees_on_what_is_broken(
            value in any_value(),
            pretty in any::<bool>(),
            breaks in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
            cut in any::<prop::sample::Index>(),
        ) {
            let text = match pretty {
                true => serde_json::to_vec_pretty(&value),
                false => serde_json::to_vec(&value),
            };
            let mut text = text.expect("a value");
            prop_assert_eq!(parse(&text).expect("what serde_json wrote").to_value(), value);
            agrees(&text[..cut.index(text.len() + 1)]);
            for (at, byte) in breaks {
                // Mostly bytes that mean something.
                let syntax = b"{}[]\",:\\ 0e-.u";
                let at = at.index(text.len());
                text[at] = match byte {
                    0..=199 => syntax[usize::from(byte) % syntax.len()],
                    other => other,
                };
                agrees(&text);
            }
        }
    }
}

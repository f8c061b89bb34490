//! URI templates (RFC 6570), as far as resources need them: `{name}` for one segment, `{+path}`
//! for any number of them.

/// Longer URIs are not looked at.
const MAX_URI: usize = 2048;

/// A template, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UriTemplate(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    /// Up to the next `/`.
    Segment(String),
    /// Anything.
    Path(String),
}

impl UriTemplate {
    pub(crate) fn parse(template: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = template;
        while let Some(open) = rest.find('{') {
            if open > 0 {
                parts.push(Part::Text(rest[..open].to_owned()));
            }
            let close = rest[open..].find('}').ok_or("`{` is never closed")? + open;
            let inner = &rest[open + 1..close];
            let (name, path) = match inner.strip_prefix('+') {
                Some(name) => (name, true),
                None => (inner, false),
            };
            if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
                return Err(format!(
                    "`{{{inner}}}` is neither `{{name}}` nor `{{+name}}`"
                ));
            }
            if matches!(parts.last(), Some(Part::Segment(_) | Part::Path(_))) {
                return Err(
                    "two variables stand side by side, so nobody can tell where one ends"
                        .to_owned(),
                );
            }
            let name = name.to_owned();
            parts.push(if path {
                Part::Path(name)
            } else {
                Part::Segment(name)
            });
            rest = &rest[close + 1..];
        }
        if rest.contains('}') {
            return Err("`}` closes nothing".to_owned());
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        Ok(Self(parts))
    }

    /// The names of the variables, in order.
    pub(crate) fn variables(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|part| match part {
            Part::Text(_) => None,
            Part::Segment(name) | Part::Path(name) => Some(name.as_str()),
        })
    }

    /// The values of the variables in `uri`, percent-decoded once; `None` when it is not of this
    /// template. Takes time in proportion to the length of the URI.
    pub(crate) fn matches(&self, uri: &str) -> Option<Vec<(&str, String)>> {
        if uri.len() > MAX_URI {
            return None;
        }
        let mut values = Vec::new();
        let mut rest = uri;
        let mut parts = self.0.iter().peekable();
        while let Some(part) = parts.next() {
            let (name, one_segment) = match part {
                Part::Text(text) => {
                    rest = rest.strip_prefix(text.as_str())?;
                    continue;
                }
                Part::Segment(name) => (name, true),
                Part::Path(name) => (name, false),
            };
            let end = match parts.peek() {
                None => rest.len(),
                // A segment ends where the text first comes, a path where it comes last.
                Some(Part::Text(text)) if one_segment => rest.find(text.as_str())?,
                Some(Part::Text(text)) => rest.rfind(text.as_str())?,
                Some(_) => return None,
            };
            let value = &rest[..end];
            if value.is_empty() || (one_segment && value.contains(['/', '?', '#'])) {
                return None;
            }
            values.push((name.as_str(), percent_decode(value)?));
            rest = &rest[end..];
        }
        rest.is_empty().then_some(values)
    }

    /// Whether some URI could be of both templates; errs on the side of no.
    pub(crate) fn same_shape(&self, other: &Self) -> bool {
        self.0.len() == other.0.len()
            && self.0.iter().zip(&other.0).all(|(a, b)| match (a, b) {
                (Part::Text(a), Part::Text(b)) => a == b,
                (Part::Segment(_), Part::Segment(_)) | (Part::Path(_), Part::Path(_)) => true,
                _ => false,
            })
    }
}

/// Decodes `%41` once; `None` for what is cut off, not hexadecimal, or not UTF-8 afterwards.
fn percent_decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        if *first == b'%' {
            let (hex, tail) = tail.split_at_checked(2)?;
            let digit = |b: u8| char::from(b).to_digit(16);
            bytes.push(u8::try_from(digit(hex[0])? * 16 + digit(hex[1])?).ok()?);
            rest = tail;
        } else {
            bytes.push(*first);
            rest = tail;
        }
    }
    let text = String::from_utf8(bytes).ok()?;
    (!text.contains('\0')).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_values_of_its_variables() {
        for (template, uri, expected) in [
            (
                "test://template/{id}/data",
                "test://template/123/data",
                Some(vec![("id", "123")]),
            ),
            (
                "test://template/{id}/data",
                "test://template/a%2Fb/data",
                Some(vec![("id", "a/b")]),
            ),
            (
                "test://template/{id}/data",
                "test://template/a%252Fb/data",
                Some(vec![("id", "a%2Fb")]),
            ),
            (
                "test://template/{id}/data",
                "test://template/a/b/data",
                None,
            ),
            ("test://template/{id}/data", "test://template//data", None),
            (
                "test://template/{id}/data",
                "test://template/1/data?x",
                None,
            ),
            (
                "file:///{+path}",
                "file:///a/b.txt",
                Some(vec![("path", "a/b.txt")]),
            ),
            ("x://{a}-{b}", "x://1-2", Some(vec![("a", "1"), ("b", "2")])),
            ("x://{a}", "x://%zz", None),
            ("x://{a}", "x://%ff", None),
            ("x://{a}", "x://%0", None),
            ("x://{a}", "x://a%00b", None),
        ] {
            let found = UriTemplate::parse(template).unwrap();
            let found = found.matches(uri);
            let expected =
                expected.map(|v| v.into_iter().map(|(n, v)| (n, v.to_owned())).collect());
            assert_eq!(found, expected, "{template} {uri}");
        }
    }

    #[test]
    fn refuses_templates_that_it_does_not_know() {
        for template in [
            "x://{a",
            "x://a}",
            "x://{}",
            "x://{?a}",
            "x://{a}{b}",
            "x://{a*}",
        ] {
            assert!(UriTemplate::parse(template).is_err(), "{template}");
        }
    }
}

//! Parameters of a query or a form.

use reqwest::Url;

use super::answers::Fault;

const MAX_PARAMETERS: usize = 64;

/// Parameters, each of them there once.
pub(super) struct Params(Vec<(String, String)>);

const REPEATED: Fault = Fault::new(400, "invalid_request", "a parameter is there twice");

impl Params {
    /// # Errors
    /// When a name is there twice, whatever its values: which one counts would depend on who
    /// reads it.
    pub(super) fn read(text: &str) -> Result<Self, Fault> {
        let mut carrier = Url::parse("http://localhost/").map_err(|_| REPEATED)?;
        carrier.set_query(Some(text));
        let mut all: Vec<(String, String)> = Vec::new();
        for (name, value) in carrier.query_pairs() {
            if all.len() >= MAX_PARAMETERS || all.iter().any(|(known, _)| *known == name) {
                return Err(REPEATED);
            }
            all.push((name.into_owned(), value.into_owned()));
        }
        Ok(Self(all))
    }

    pub(super) fn of_form(body: &[u8]) -> Result<Self, Fault> {
        let text = std::str::from_utf8(body)
            .map_err(|_| Fault::new(400, "invalid_request", "the form is not UTF-8"))?;
        Self::read(text)
    }

    /// A parameter without a value is one that was left out (RFC 6749, 3.1).
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(known, value)| known == name && !value.is_empty())
            .map(|(_, value)| value.as_str())
    }
}

/// Adds parameters to the query of a URL.
pub(super) fn with_query(url: &str, parameters: &[(&str, &str)]) -> Option<String> {
    let mut url = Url::parse(url).ok()?;
    url.query_pairs_mut().extend_pairs(parameters);
    Some(url.into())
}

/// A form of parameters.
pub(super) fn form(parameters: &[(&str, &str)]) -> String {
    with_query("http://localhost/", parameters)
        .and_then(|url| Some(url.split_once('?')?.1.to_owned()))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn once_each_and_as_sent() {
        let params = Params::read("a=1&state=a%26b%3Dc%23d+%250d%250aX%3A+y&empty=")
            .ok()
            .unwrap();
        assert_eq!(params.get("a"), Some("1"));
        assert_eq!(params.get("state"), Some("a&b=c#d %0d%0aX: y"));
        assert_eq!(params.get("empty"), None);
        assert!(Params::read("a=1&b=2&a=1").is_err());
        assert!(Params::of_form(b"\xff=1").is_err());
    }

    #[test]
    fn what_is_added_comes_back() {
        let url = with_query("https://c.example/cb?x=1", &[("state", "a&b=c#d\r\n")]).unwrap();
        assert!(
            url.starts_with("https://c.example/cb?x=1&state=") && !url.contains('\n'),
            "{url}"
        );
        let form = form(&[("a", "1 2"), ("b", "ö&")]);
        assert_eq!(Params::read(&form).ok().unwrap().get("b"), Some("ö&"));
    }
}

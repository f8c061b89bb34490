//! Which form of answer a client takes.

use http::{HeaderMap, header};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Json,
    /// One event in a stream, for clients that take nothing else.
    Sse,
}

/// JSON wherever the client takes it, or says nothing; `None` when it takes neither form.
pub(crate) fn form(headers: &HeaderMap) -> Option<Form> {
    let mut said = false;
    let (mut json, mut sse) = (false, false);
    for value in headers.get_all(header::ACCEPT) {
        said = true;
        // A value that is not text names no type.
        for part in value.to_str().unwrap_or_default().split(',') {
            let mut pieces = part.split(';').map(str::trim);
            let kind = pieces.next().unwrap_or_default();
            let refused = pieces.any(|p| {
                p.strip_prefix("q=")
                    .is_some_and(|q| q.parse::<f32>().is_ok_and(|q| q <= 0.0))
            });
            if refused {
                continue;
            }
            let is = |wanted: &[&str]| wanted.iter().any(|w| kind.eq_ignore_ascii_case(w));
            json |= is(&["application/json", "application/*", "*/*"]);
            sse |= is(&["text/event-stream", "text/*"]);
        }
    }
    match (said, json, sse) {
        (false, ..) | (_, true, _) => Some(Form::Json),
        (_, _, true) => Some(Form::Sse),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_unless_only_a_stream_is_taken() {
        for (accept, expected) in [
            ("application/json, text/event-stream", Some(Form::Json)),
            ("application/json", Some(Form::Json)),
            ("*/*", Some(Form::Json)),
            ("Application/*;q=0.5", Some(Form::Json)),
            ("text/event-stream", Some(Form::Sse)),
            ("application/json;q=0, text/event-stream", Some(Form::Sse)),
            ("application/json; q=0", None),
            ("text/html", None),
            ("application/jsonx", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, accept.parse().unwrap());
            assert_eq!(form(&headers), expected, "{accept}");
        }
        assert_eq!(form(&HeaderMap::new()), Some(Form::Json));
    }
}

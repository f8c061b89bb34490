//! Which form of answer a client takes.

use http::{HeaderMap, header};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Json,
    /// One event in a stream, for clients that take nothing else.
    Sse,
}

/// What a client takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Accepted {
    /// The form of an answer that comes at once.
    pub(crate) form: Form,
    /// Whether it names events, so that a call may speak before it answers.
    pub(crate) events: bool,
}

/// JSON wherever the client takes it, or says nothing; `None` when it takes neither form.
pub(crate) fn accepted(headers: &HeaderMap) -> Option<Accepted> {
    let mut said = false;
    let (mut json, mut sse, mut events) = (false, false, false);
    let mut json_refused = false;
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
                // Says more than a wildcard elsewhere in the list.
                json_refused |= kind.eq_ignore_ascii_case("application/json");
                continue;
            }
            let is = |wanted: &[&str]| wanted.iter().any(|w| kind.eq_ignore_ascii_case(w));
            json |= is(&["application/json", "application/*", "*/*"]);
            events |= is(&["text/event-stream", "text/*"]);
            sse |= events || is(&["*/*"]);
        }
    }
    let form = match (said, json && !json_refused, sse) {
        (false, ..) | (_, true, _) => Form::Json,
        (_, _, true) => Form::Sse,
        _ => return None,
    };
    Some(Accepted {
        form,
        events: events || form == Form::Sse,
    })
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
            ("application/json;q=0, */*", Some(Form::Sse)),
            ("application/json; q=0", None),
            ("text/html", None),
            ("application/jsonx", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, accept.parse().unwrap());
            let form = accepted(&headers).map(|accepted| accepted.form);
            assert_eq!(form, expected, "{accept}");
        }
        let nothing = accepted(&HeaderMap::new());
        assert_eq!(
            nothing,
            Some(Accepted {
                form: Form::Json,
                events: false
            })
        );
    }
}

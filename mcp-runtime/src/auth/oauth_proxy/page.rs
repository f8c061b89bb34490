//! The two pages: one that asks, and one that says what is wrong. Neither has a script, and
//! neither shows anything that is not text.

use std::fmt::Write;

use http::{StatusCode, header};

use super::answers::{Answer, raw, set};
use super::clients::{Client, is_loopback};

/// What the page that asks is about.
pub(super) struct Question<'a> {
    pub(super) server: &'a str,
    pub(super) client: &'a Client,
    pub(super) redirect_uri: &'a str,
    pub(super) scope: &'a str,
    /// Comes back with the answer.
    pub(super) request: &'a str,
    pub(super) csrf: &'a str,
}

impl Question<'_> {
    pub(super) fn page(&self) -> Answer {
        let mut body = format!(
            "<h1>Let {} use {}?</h1>",
            escaped(&self.client.name),
            escaped(self.server)
        );
        // Writing to a `String` cannot fail.
        let _ = match &self.client.host {
            Some(host) => write!(body, "<p>It is published by <b>{}</b>.</p>", escaped(host)),
            None => write!(
                body,
                "<p>Nobody has checked that it is what it calls itself.</p>"
            ),
        };
        body += "<p>It asks for:</p><ul>";
        let mut scopes = self.scope.split_whitespace().peekable();
        if scopes.peek().is_none() {
            body += "<li>knowing who you are</li>";
        }
        for scope in scopes {
            let _ = write!(body, "<li><code>{}</code></li>", escaped(scope));
        }
        let _ = write!(
            body,
            "</ul><p>The answer goes to <b>{}</b><br><code>{}</code></p>",
            escaped(host(self.redirect_uri)),
            escaped(self.redirect_uri)
        );
        if is_loopback(self.redirect_uri) {
            body += "<p><b>That is a program on your own computer. Any program there can call \
                     itself by this name: go on only if you have just started it \
                     yourself.</b></p>";
        }
        let _ = write!(
            body,
            "<form method=\"post\" action=\"/oauth2/consent\">\
             <input type=\"hidden\" name=\"request\" value=\"{}\">\
             <input type=\"hidden\" name=\"csrf\" value=\"{}\">\
             <button name=\"action\" value=\"approve\">Allow</button> \
             <button name=\"action\" value=\"deny\">Deny</button></form>",
            escaped(self.request),
            escaped(self.csrf)
        );
        page(StatusCode::OK, "Allow access?", &body)
    }
}

/// What is wrong with a request that must not be answered anywhere else.
pub(super) fn problem(status: u16, text: &'static str) -> Answer {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
    let body = format!("<h1>This did not work</h1><p>{}</p>", escaped(text));
    page(status, "This did not work", &body)
}

fn page(status: StatusCode, title: &str, body: &str) -> Answer {
    let html = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>{title}</title></head>\
         <body>{body}</body></html>"
    );
    let mut answer = raw(status, "text/html; charset=utf-8", html);
    // No `form-action`: browsers hold it against the redirects that follow the answer.
    set(
        &mut answer,
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; base-uri 'none'; frame-ancestors 'none'",
    );
    set(&mut answer, header::X_FRAME_OPTIONS, "DENY");
    answer
}

fn host(uri: &str) -> &str {
    let rest = uri.split_once("://").map_or(uri, |(_, rest)| rest);
    rest.split(['/', '?']).next().unwrap_or_default()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&#39;")
}

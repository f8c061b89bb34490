//! One record, and the line it becomes.

use std::fmt::Write as _;
use std::net::IpAddr;

use serde::Serialize;
use serde_json::Value;

use crate::digest::sha256_hex;

/// What came before the first record of a chain.
pub(crate) const GENESIS: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// What a record tells of its call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum AuditEvent {
    /// All of it: a call that changes nothing, or was turned away.
    Call,
    /// That it is about to run. Written before it does.
    Begin,
    /// How a call that had begun went. It has the request id of its beginning.
    End,
}

/// One record of the audit log. Texts that came from outside are in it as they came; whoever
/// writes it somewhere takes [`sealed`](Self::sealed), which escapes them.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct AuditRecord {
    /// When: UTC, RFC 3339, microseconds.
    pub ts: String,
    /// What it tells of the call.
    pub event: AuditEvent,
    /// The id of the call, the same in the log of the server.
    pub request_id: String,
    /// Who vouches for the caller; `None` for a caller without a token.
    pub iss: Option<String>,
    /// Who called.
    pub sub: Option<String>,
    /// The verified e-mail address, where one is known.
    pub email: Option<String>,
    /// For which tenant.
    pub tenant: Option<String>,
    /// From where, over HTTP.
    pub address: Option<IpAddr>,
    /// `tool`, `resource` or `prompt`.
    pub kind: &'static str,
    /// Its name, of a resource its URI or template.
    pub tool: String,
    /// `allow` or `deny`.
    pub decision: &'static str,
    /// What decided: the policy that let the caller in, or what turned them away.
    pub rule: String,
    /// SHA-256 over the arguments as JSON with sorted members, secrets blanked out.
    pub args_sha256: String,
    /// The arguments, shortened, without secrets. Not repeated at the end of a call that had begun.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arguments: Option<Value>,
    /// `ok`, `failed`, `timeout`, `panic`, `cancelled`, `asks` (its client was asked something) or
    /// `refused`; `None` while that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<&'static str>,
    /// The code of the error that the caller was told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// How long it took.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_us: Option<u64>,
}

impl AuditRecord {
    /// What stands for the hash of the record before the first.
    pub const GENESIS: &'static str = GENESIS;

    /// The record as one line of JSON behind the record with the hash `previous`, and its own hash.
    ///
    /// The hash is SHA-256 over the line as far as `,"hash"`, which has the hash of the record
    /// before in it: whoever changes, removes or inserts a record breaks the chain there.
    pub fn sealed(&self, previous: &str) -> (String, String) {
        #[derive(Serialize)]
        struct Chained<'a> {
            #[serde(flatten)]
            record: &'a AuditRecord,
            prev_hash: &'a str,
        }
        let chained = Chained {
            record: self,
            prev_hash: previous,
        };
        let json = serde_json::to_string(&chained)
            .expect("texts, numbers and JSON values serialize, and names are texts");
        let mut line = visible(&json);
        line.pop();
        let hash = sha256_hex(&line);
        // Writing to a `String` cannot fail.
        let _ = write!(line, "{HASH}{hash}\"}}");
        (line, hash)
    }
}

const HASH: &str = ",\"hash\":\"";

/// Takes a line apart into what was hashed and the hash; `None` when it is no record.
pub(crate) fn unseal(line: &str) -> Option<(&str, &str)> {
    let rest = line.strip_suffix("\"}")?;
    let (body, hash) = rest.split_at_checked(rest.len().checked_sub(64)?)?;
    let is_hash = hash
        .bytes()
        .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    is_hash.then_some((body.strip_suffix(HASH)?, hash))
}

/// JSON that cannot move a cursor, hide text or end a line, wherever it is shown. What is not ASCII
/// stands inside of strings only, where an escape means the same.
fn visible(json: &str) -> String {
    let mut text = String::with_capacity(json.len() + 128);
    for c in json.chars() {
        if is_tricky(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(text, "\\u{unit:04x}");
            }
        } else {
            text.push(c);
        }
    }
    text
}

/// Controls, separators of lines, marks that change direction or are not seen.
fn is_tricky(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_line_moves_the_cursor_or_hides() {
        let nasty = "a\u{7f}\u{85}\u{9b}\u{202e}\u{2028}\u{200b}\u{feff}\u{e0041}é漢\\u0041";
        let json = serde_json::to_string(nasty).unwrap();
        let text = visible(&json);
        assert!(!text.chars().any(is_tricky), "{text:?}");
        assert!(text.contains("é漢"));
        assert_eq!(serde_json::from_str::<String>(&text).unwrap(), nasty);
    }

    #[test]
    fn what_is_sealed_can_be_taken_apart() {
        let hash = "ab".repeat(32);
        let line = format!("{{\"a\":1,\"hash\":\"{hash}\"}}");
        assert_eq!(unseal(&line), Some(("{\"a\":1", &*hash)));
        for line in [
            "",
            "{}",
            "\"}",
            "é\"}",
            &line[1..60],
            &line.replace("ab", "AB"),
        ] {
            assert_eq!(unseal(line), None, "{line}");
        }
    }
}

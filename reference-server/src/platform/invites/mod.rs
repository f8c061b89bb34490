//! Inviting instructors by mail, in two steps: a preview shows what would happen and issues a
//! confirm token, a send carries out exactly what that token holds, once.
//!
//! `preview` writes an audit row and nothing else. `send` is a chain of steps, each of which
//! can be repeated, so that a send cut off anywhere is finished later and never done twice:
//!
//! 1. take the idempotency key (`mcp_runtime::idempotency`),
//! 2. use up the token in the name of that key (`mcp_runtime::confirm`),
//! 3. in one transaction: claim founding slots, write the invites and the mails to send,
//! 4. deliver each mail and mark it,
//! 5. write the result, then tell it to the key.

mod finish;
mod preview;
mod send;
mod write;

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub(super) use self::finish::finish_interrupted;
pub(super) use self::preview::preview;
pub(super) use self::send::send;

/// What tokens and idempotency keys are for. Part of every token's signature.
const OPERATION: &str = "invites_send";

const TOKEN_LIFETIME: Duration = Duration::from_secs(30 * 60);

/// After this long a send that says nothing is taken for dead. A hundred mails to a server that
/// times out on each take four and a half minutes.
pub(super) const LONGEST_SEND: Duration = Duration::from_secs(15 * 60);

/// What a token confirms.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Invitation {
    recipient_emails: Vec<String>,
    grant_founding_status: bool,
    expires_in_days: i64,
    message_note: Option<String>,
}

impl Invitation {
    fn subject(&self) -> &'static str {
        if self.grant_founding_status {
            "You're invited to join iNSTAiNSTRU as a Founding Instructor"
        } else {
            "You're invited to teach on iNSTAiNSTRU"
        }
    }

    fn expires_at(&self, now: Timestamp) -> Timestamp {
        let days = u64::try_from(self.expires_in_days).unwrap_or_default();
        let lifetime = Duration::from_secs(days * 24 * 60 * 60);
        now.checked_add(lifetime).unwrap_or(Timestamp::MAX)
    }

    fn letter(&self, code: &str, invite_url: &str, expires_at: Timestamp) -> String {
        let mut text = "Hello,\n\nwe would like you to teach on iNSTAiNSTRU.\n".to_owned();
        if self.grant_founding_status {
            text.push_str("Your invitation includes the status of a Founding Instructor.\n");
        }
        if let Some(note) = &self.message_note {
            text.push_str(&format!("\n{note}\n"));
        }
        text.push_str(&format!(
            "\nRegister here: {invite_url}?code={code}\nYour code: {code}\n\
             It can be used once, until {} UTC.\n\nYour iNSTAiNSTRU team\n",
            expires_at.strftime("%-d %B %Y, %H:%M")
        ));
        text
    }
}

//! `POST /invites/preview`: what a send would do, and the token that allows it.

use std::collections::{HashMap, HashSet};

use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;
use sqlx::{AnyConnection, AssertSqlSafe};

use super::{Invitation, OPERATION, TOKEN_LIFETIME};
use crate::platform::Platform;
use crate::platform::answer::{Answer, Data, Problem, reply};
use crate::platform::audit;
use crate::platform::auth::Actor;
use crate::platform::body::Fields;
use crate::platform::confirmed::issue;
use crate::platform::founding::FoundingCap;
use crate::platform::mail::is_address;

const MAX_RECIPIENTS: usize = 100;
const MAX_NOTE: usize = 2_000;

#[derive(Serialize)]
pub(in super::super) struct Preview {
    recipient_count: usize,
    recipients: Vec<Recipient>,
    invite_preview: InvitePreview,
    confirm_token: String,
    confirm_expires_at: Timestamp,
    warnings: Vec<String>,
}

#[derive(Serialize)]
struct Recipient {
    email: String,
    exists_in_system: bool,
    user_id: Option<String>,
}

#[derive(Serialize)]
struct InvitePreview {
    subject: &'static str,
    expires_at: Timestamp,
    grants_founding: bool,
    founding_cap_remaining: i64,
}

pub(in super::super) async fn preview(
    State(platform): State<Platform>,
    actor: Actor,
    body: Result<Bytes, BytesRejection>,
) -> Answer<Data<Preview>> {
    let (invitation, duplicates) = read(Fields::of(body)?)?;
    let now = platform.now();
    let mut tx = platform.0.db.begin_write().await?;
    let recipients = look_up(&mut tx, &invitation.recipient_emails).await?;
    let cap = FoundingCap::read(&mut tx, platform.0.settings.founding_cap, now).await?;
    let founding_cap_remaining = cap.available();
    let issued = issue(&platform, &actor, OPERATION, &invitation, TOKEN_LIFETIME)?;
    let entry = audit::Entry {
        entity_type: "invite_preview",
        entity_id: &actor.request_id,
        action: "invites.preview",
        after: json!({
            "recipient_count": recipients.len(),
            "grant_founding_status": invitation.grant_founding_status,
            "expires_in_days": invitation.expires_in_days,
            "has_note": invitation.message_note.is_some(),
        }),
    };
    audit::record(&mut tx, &actor, now, entry).await?;
    tx.commit().await?;

    let data = Preview {
        recipient_count: recipients.len(),
        warnings: warnings(&invitation, &recipients, duplicates, founding_cap_remaining),
        recipients,
        invite_preview: InvitePreview {
            subject: invitation.subject(),
            expires_at: invitation.expires_at(now),
            grants_founding: invitation.grant_founding_status,
            founding_cap_remaining,
        },
        confirm_token: issued.token,
        confirm_expires_at: issued.expires_at,
    };
    Ok(reply(actor, now, Data { data }))
}

/// What is asked for, each address once, and how many were there more than once.
fn read(mut fields: Fields) -> Result<(Invitation, usize), Problem> {
    let given = fields.texts("recipient_emails");
    let grant_founding_status = fields.flag("grant_founding_status", true);
    let expires_in_days = fields.int("expires_in_days", 14, 1..=180);
    let message_note = fields
        .text("message_note")
        .map(|note| note.trim().to_owned())
        .filter(|note| !note.is_empty());

    if given.len() > MAX_RECIPIENTS {
        let rule = format!("must have at most {MAX_RECIPIENTS} addresses");
        fields.problems.add("recipient_emails", rule);
    }
    let mut recipient_emails = Vec::new();
    let mut seen = HashSet::new();
    for (n, address) in given.iter().take(MAX_RECIPIENTS).enumerate() {
        let address = address.trim().to_lowercase();
        if !is_address(&address) {
            let which = format!("recipient_emails[{n}]");
            fields.problems.add(&which, "is not an e-mail address");
        } else if seen.insert(address.clone()) {
            recipient_emails.push(address);
        }
    }
    let written = |c: char| !c.is_control() || matches!(c, '\n' | '\r' | '\t');
    if message_note
        .as_ref()
        .is_some_and(|note| note.chars().count() > MAX_NOTE || !note.chars().all(written))
    {
        let rule = format!("must have at most {MAX_NOTE} characters, none of them control ones");
        fields.problems.add("message_note", rule);
    }
    fields.finish()?;
    if given.is_empty() {
        return Err(Problem::bad_request(
            "recipient_emails_required",
            "Name at least one address in recipient_emails.",
        ));
    }
    let duplicates = given.len() - recipient_emails.len();
    let invitation = Invitation {
        recipient_emails,
        grant_founding_status,
        expires_in_days,
        message_note,
    };
    Ok((invitation, duplicates))
}

async fn look_up(
    connection: &mut AnyConnection,
    emails: &[String],
) -> Result<Vec<Recipient>, Problem> {
    let places: Vec<String> = (1..=emails.len()).map(|n| format!("${n}")).collect();
    // Only placeholders are put together here, never values.
    let sql = format!(
        "SELECT email, id FROM users WHERE email IN ({})",
        places.join(", ")
    );
    let mut query = sqlx::query_as::<_, (String, String)>(AssertSqlSafe(sql));
    for email in emails {
        query = query.bind(email.clone());
    }
    let mut known: HashMap<String, String> =
        query.fetch_all(connection).await?.into_iter().collect();
    let recipients = emails.iter().map(|email| {
        let user_id = known.remove(email);
        Recipient {
            email: email.clone(),
            exists_in_system: user_id.is_some(),
            user_id,
        }
    });
    Ok(recipients.collect())
}

fn warnings(
    invitation: &Invitation,
    recipients: &[Recipient],
    duplicates: usize,
    remaining: i64,
) -> Vec<String> {
    let mut warnings = Vec::new();
    if duplicates > 0 {
        warnings.push(format!("{duplicates} duplicate address(es) dropped"));
    }
    let known = recipients.iter().filter(|one| one.exists_in_system).count();
    if known > 0 {
        warnings.push(format!(
            "{known} recipient(s) already have an account and would be invited all the same"
        ));
    }
    let wanted = recipients.len();
    if invitation.grant_founding_status && wanted as i64 > remaining {
        warnings.push(format!(
            "{wanted} founding slots wanted, {remaining} left: sending this will be refused"
        ));
    }
    warnings
}

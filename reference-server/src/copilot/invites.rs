//! Inviting instructors by mail: look first, then send.

use jiff::Timestamp;
use mcp_runtime::prelude::*;
use serde_json::json;

use super::reply::{Meta, confirmed};
use crate::backend::Backend;

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct InvitesPreview {
    pub meta: Meta,
    pub data: Preview,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Preview {
    pub recipient_count: u64,
    pub recipients: Vec<Recipient>,
    pub invite_preview: InvitePreview,
    /// What instainstru_invites_send takes. Good once, for this preview and this admin.
    pub confirm_token: String,
    pub confirm_expires_at: Timestamp,
    /// What the user should know before agreeing.
    pub warnings: Vec<String>,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Recipient {
    pub email: String,
    /// Whether somebody has an account with this address already.
    pub exists_in_system: bool,
    pub user_id: Option<String>,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct InvitePreview {
    pub subject: String,
    /// When the invites would expire.
    pub expires_at: Timestamp,
    pub grants_founding: bool,
    pub founding_cap_remaining: u64,
}

/// First step of inviting instructors by mail: checks the addresses, shows what would be sent and
/// what speaks against it, and returns a confirm_token that is good for half an hour. Sends
/// nothing. Show the recipients and warnings to the user, then call instainstru_invites_send.
#[mcp_tool(title = "Preview invites", scope = "copilot:write", timeout = "60s")]
pub async fn instainstru_invites_preview(
    backend: &Backend,
    caller: &Caller,
    /// E-mail addresses to invite; one that is named twice is invited once.
    #[arg(len = 1..=100, example = vec!["ann@example.com".to_owned()])]
    recipient_emails: Vec<String>,
    /// Whether the invites promise the founding status, of which only some are left.
    #[arg(default = true)]
    grant_founding_status: bool,
    /// How many days the invites are good for.
    #[arg(range = 1..=180, default = 14)]
    expires_in_days: u32,
    /// A personal note that is added to every mail.
    #[arg(len = ..=2000)]
    message_note: Option<String>,
) -> ToolResult<InvitesPreview> {
    let body = json!({
        "recipient_emails": recipient_emails,
        "grant_founding_status": grant_founding_status,
        "expires_in_days": expires_in_days,
        "message_note": message_note,
    });
    backend
        .post(caller, "/invites/preview", body)
        .answer()
        .await
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct InvitesSend {
    pub meta: Meta,
    pub data: Sent,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Sent {
    pub sent_count: u64,
    pub failed_count: u64,
    pub invites: Vec<SentInvite>,
    pub audit_id: String,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct SentInvite {
    pub email: String,
    /// What the invited person registers with; empty when the mail failed.
    pub code: String,
    /// `sent` or `failed`.
    pub status: String,
}

/// Second step of inviting instructors: mails exactly what instainstru_invites_preview showed.
/// Cannot be undone, so ask the user first. Choose a new idempotency_key for every send; after a
/// timeout or a lost answer call again with the same token and the same key: the result of the
/// first call comes back and nothing is mailed twice.
#[mcp_tool(
    title = "Send invites",
    scope = "copilot:write",
    destructive,
    idempotent,
    open_world,
    timeout = "60s"
)]
pub async fn instainstru_invites_send(
    backend: &Backend,
    caller: &Caller,
    /// The confirm_token of the preview, unchanged.
    #[arg(len = 1..=66_000, secret)]
    confirm_token: String,
    /// A name for this send that was not used before, like a UUID.
    #[arg(len = 1..=255, pattern = "^[!-~]+$")]
    idempotency_key: String,
) -> ToolResult<InvitesSend> {
    let endpoint = "/invites/send";
    let ask = confirmed(backend, caller, endpoint, &confirm_token, &idempotency_key);
    ask.answer().await
}

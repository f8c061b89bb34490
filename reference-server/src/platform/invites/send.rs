//! `POST /invites/send`: the request, its key and its token.

use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::HeaderMap;
use serde_json::Value;

use super::finish::finish;
use super::write;
use super::{Invitation, OPERATION};
use crate::platform::Platform;
use crate::platform::answer::{Answer, Data, Problem, reply};
use crate::platform::auth::Actor;
use crate::platform::confirmed::{Confirmation, Execution, once_per_key};
use crate::platform::crash::crash_at;

pub(in super::super) async fn send(
    State(platform): State<Platform>,
    actor: Actor,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Answer<Data<Value>> {
    let confirmation = Confirmation::of(&headers, body)?;
    let data = once_per_key(&platform, &actor, OPERATION, confirmation, send_or_resume).await?;
    Ok(reply(actor, platform.now(), Data { data }))
}

/// A send that was begun needs its token no more: it may have expired since.
async fn send_or_resume(platform: Platform, execution: Execution) -> Result<Value, Problem> {
    if let Some(send_id) = write::find(&platform, &execution).await? {
        return finish(&platform, &send_id).await;
    }
    let invitation: Invitation = execution.confirmed(&platform, |_| Ok(())).await?;
    let send_id = write::write(&platform, &execution, &invitation).await?;
    crash_at!(platform, InvitesWritten);
    finish(&platform, &send_id).await
}

//! The records API: notes, tasks, comments, chats and chat messages of many tenants, kept in step
//! on many devices.
//!
//! A request passes through `who` (which user of which tenant: the service token and signed tenant
//! headers, both), `often` and, where it is about records, `sessions` (a session of the current
//! epoch). What fails is a `trouble`: `{error, message, correlation_id, …}`.
//!
//! | endpoint | room |
//! |---|---|
//! | `/v1/{kind}`, `/{uid}`, `/{uid}/archive`, `/{uid}/process` | `entities` |
//! | `/v1/batch` | `batch` |
//! | `/v1/changes` | `changes` |
//! | `/v1/search`, `/v1/aggregate` | `search`, with what an `expression` is |
//! | `/v1/sync/sessions` | `sessions` |
//! | `/v1/sync/info`, `/state`, `/wipe`, `/{kind}/push`, `/{kind}/pull` | `sync` |
//!
//! What tells the five kinds apart is in `entity`, and nowhere else; SQL is in `rows`.

mod batch;
mod changes;
mod demo;
mod entities;
mod entity;
mod expression;
mod often;
mod rows;
mod search;
mod sessions;
mod sync;
mod trouble;
mod who;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Extension};
use axum::http::StatusCode;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{get, post};
use mcp_runtime::tenant_signature::VerifyTenant;

pub(super) use self::changes::Ear;
pub(super) use self::demo::fill_if_empty;
pub(super) use self::often::Often;
pub(super) use self::sessions::Sessions;
use self::trouble::Trouble;
use super::Platform;

/// The largest body, in bytes: a push of many records.
pub(super) const MAX_BODY: usize = 4 << 20;

/// The whole API. Without signed tenant headers it would not know whose records to show, so there
/// is none without.
pub(super) fn router(platform: &Platform, tenants: VerifyTenant) -> Router<Platform> {
    let mut records = Router::new();
    for entity in &entity::ALL {
        let one = Router::new()
            .route("/", get(entities::list).post(entities::create))
            .route(
                "/{uid}",
                get(entities::get)
                    .put(entities::replace)
                    .patch(entities::patch)
                    .delete(entities::delete),
            )
            .route("/{uid}/archive", post(entities::archive))
            .route("/{uid}/process", post(entities::process));
        let copies = Router::new()
            .route("/push", post(sync::push))
            .route("/pull", get(sync::pull));
        records = records
            .nest(&format!("/{}", entity.plural), one.layer(Extension(entity)))
            .nest(
                &format!("/sync/{}", entity.plural),
                copies.layer(Extension(entity)),
            );
    }
    let limited = records
        .route("/batch", post(batch::batch))
        .route("/changes", get(changes::changes))
        .route("/search", post(search::search))
        .route("/aggregate", post(search::aggregate))
        .route("/sync/state", get(sync::state))
        .route("/sync/wipe", post(sync::wipe))
        .layer(from_fn_with_state(platform.clone(), often::limit));
    // Not counted: a session is opened for the sake of a request that is.
    let inside = limited
        .route("/sync/sessions", post(sessions::create))
        .route(
            "/sync/sessions/{id}",
            get(sessions::read).delete(sessions::delete),
        )
        .layer(tenants)
        .layer(from_fn_with_state(platform.clone(), who::authenticate));
    inside
        .route("/sync/info", get(sync::info))
        .fallback(no_such_path)
        .method_not_allowed_fallback(wrong_method)
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(from_fn(who::correlate))
}

async fn no_such_path() -> Trouble {
    Trouble::new(
        StatusCode::NOT_FOUND,
        "path_not_found",
        "there is no such path",
    )
}

async fn wrong_method() -> Trouble {
    let message = "this path does not take this method; the Allow header says which";
    Trouble::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method_not_allowed",
        message,
    )
}

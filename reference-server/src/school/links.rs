//! Links to exports: whoever has one can fetch the file, for a day.
//!
//! The signature covers tenant, export and end, so none of them can be changed, and the export is
//! looked up among those of the signed tenant alone. A link that is wrong, over or another
//! tenant's is answered exactly like one that was never made.

use aws_lc_rs::hmac;
use axum::Router;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use mcp_runtime::{Tenant, ToolResult};
use serde::Deserialize;

use super::School;
use super::books::values;
use crate::secret::Secret;

/// What the key of links is derived with. Part of every signature: it never changes.
const LABEL: &[u8] = b"reference-server school export link, key 1";

pub(super) struct Links {
    key: hmac::Key,
    base: String,
}

#[derive(Deserialize)]
struct Claim {
    tenant: String,
    until: i64,
    signature: String,
}

impl Links {
    pub(super) fn new(secret: &Secret, base: &str) -> Self {
        let root = hmac::Key::new(hmac::HMAC_SHA256, secret.reveal().as_bytes());
        let derived = hmac::sign(&root, LABEL);
        Self {
            key: hmac::Key::new(hmac::HMAC_SHA256, derived.as_ref()),
            base: base.trim_end_matches('/').to_owned(),
        }
    }

    /// The link to an export, good until then (milliseconds since 1970).
    pub(super) fn link(&self, tenant: &Tenant, export: &str, until: i64) -> String {
        let signature = hmac::sign(&self.key, &signed(tenant, export, until));
        let (base, signature) = (&self.base, URL_SAFE_NO_PAD.encode(signature));
        format!(
            "{base}/school/exports/{export}?tenant={tenant}&until={until}&signature={signature}"
        )
    }

    fn holds(&self, tenant: &Tenant, export: &str, claim: &Claim) -> bool {
        let text = signed(tenant, export, claim.until);
        URL_SAFE_NO_PAD
            .decode(&claim.signature)
            .is_ok_and(|signature| hmac::verify(&self.key, &text, &signature).is_ok())
    }
}

/// No part can hold a line break: not a tenant by its letters, not a number, and an export that
/// has one is in no table.
fn signed(tenant: &Tenant, export: &str, until: i64) -> Vec<u8> {
    format!("{tenant}\n{until}\n{export}").into_bytes()
}

/// Where exports are fetched: `GET /school/exports/{id}`.
pub fn routes(school: &School) -> Router {
    Router::new()
        .route("/school/exports/{id}", get(fetch))
        .with_state(school.clone())
}

struct Export {
    name: String,
    media_type: String,
    content: Vec<u8>,
}

async fn fetch(
    State(school): State<School>,
    Path(id): Path<String>,
    claim: Result<Query<Claim>, QueryRejection>,
    headers: HeaderMap,
) -> Response {
    let Ok(Query(claim)) = claim else {
        return gone();
    };
    match find(&school, &id, &claim, &headers).await {
        Ok(Some(export)) => file(export),
        Ok(None) => gone(),
        Err(error) => {
            tracing::error!(export = id, ?error, "an export cannot be read");
            (StatusCode::INTERNAL_SERVER_ERROR, "Internal error\n").into_response()
        }
    }
}

async fn find(
    school: &School,
    id: &str,
    claim: &Claim,
    headers: &HeaderMap,
) -> ToolResult<Option<Export>> {
    let office = school.open()?;
    let Ok(tenant) = Tenant::new(&claim.tenant) else {
        return Ok(None);
    };
    // Somebody who says for whom they ask has to mean the tenant of the link.
    let named = headers.get_all("x-tenant-id").iter();
    let agrees = named
        .into_iter()
        .all(|value| value.as_bytes() == tenant.as_str().as_bytes());
    if !agrees || !office.links.holds(&tenant, id, claim) {
        return Ok(None);
    }
    let mut books = school.read(&tenant).await?;
    if claim.until <= books.millis() {
        return Ok(None);
    }
    let now = books.millis();
    let row: Option<(String, String, String)> = books
        .one(
            "SELECT x.file_name, x.media_type, x.content FROM exports x
             WHERE x.tenant_id = $1 AND x.id = $2 AND x.expires_at > $3",
            values![id, now],
        )
        .await?;
    row.map(|(name, media_type, content)| {
        Ok(Export {
            name,
            media_type,
            content: STANDARD.decode(content)?,
        })
    })
    .transpose()
}

fn file(export: Export) -> Response {
    // The name has letters, digits, `.`, `_` and `-` only.
    let disposition = format!("attachment; filename=\"{}\"", export.name);
    let headers = [
        (header::CONTENT_TYPE, export.media_type),
        (header::CONTENT_DISPOSITION, disposition),
        (header::CACHE_CONTROL, "private, no-store".to_owned()),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
        (header::REFERRER_POLICY, "no-referrer".to_owned()),
    ];
    (headers, export.content).into_response()
}

fn gone() -> Response {
    (
        StatusCode::NOT_FOUND,
        "There is no such export, or its link is over\n",
    )
        .into_response()
}

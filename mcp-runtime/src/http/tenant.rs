//! Where a middleware has verified the tenant of a request, the access token has to be for it.

use std::sync::Arc;

use http::StatusCode;
use http::request::Parts;

use crate::caller::Caller;
use crate::http::app::{Answer, App, respond};
use crate::tenant::Tenant;
use crate::tenant_signature::agrees;
use crate::wire::reply::{Reply, code};

impl App {
    /// Who sends this request, in agreement with the tenant that it was signed for.
    pub(super) async fn tenants_caller(&self, head: &Parts) -> Result<Arc<Caller>, Answer> {
        let caller = self.caller(head).await?;
        match head.extensions.get::<Tenant>() {
            Some(tenant) if !agrees(&caller, tenant) => Err(other_tenant()),
            _ => Ok(caller),
        }
    }
}

fn other_tenant() -> Answer {
    tracing::warn!(target: "mcp::auth", outcome = "tenant_of_token_differs", "request refused");
    let mut reply = Reply::malformed(code::FORBIDDEN, "The access token is for another tenant");
    reply.status = StatusCode::FORBIDDEN.as_u16();
    respond(reply)
}

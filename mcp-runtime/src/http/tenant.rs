//! Where a middleware has verified the tenant of a request, the access token has to be for it.

use std::sync::Arc;

use http::request::Parts;
use http::{HeaderName, StatusCode};

use crate::caller::Caller;
use crate::http::app::{Answer, App, respond};
use crate::tenant::Tenant;
use crate::tenant_signature::agrees;
use crate::wire::headers::Once;
use crate::wire::reply::{Reply, code};

impl App {
    /// Who sends this request, in agreement with the tenant that it was signed for.
    pub(super) async fn tenants_caller(&self, head: &Parts) -> Result<Arc<Caller>, Answer> {
        let caller = self.caller(head).await?;
        if let Some(name) = &self.tenant_header
            && !header_agrees(name, head, &caller)
        {
            return Err(other_tenant());
        }
        match head.extensions.get::<Tenant>() {
            Some(tenant) if !agrees(&caller, tenant) => Err(other_tenant()),
            _ => Ok(caller),
        }
    }
}

/// Whether the header is absent, or says once what the access token says.
fn header_agrees(name: &HeaderName, head: &Parts, caller: &Caller) -> bool {
    match Once::of(&head.headers, name) {
        Once::Never => true,
        Once::Is(value) => caller
            .acts_for()
            .is_some_and(|tenant| value.as_bytes() == tenant.as_str().as_bytes()),
        Once::Again => false,
    }
}

fn other_tenant() -> Answer {
    tracing::warn!(target: "mcp::auth", outcome = "tenant_of_token_differs", "request refused");
    let mut reply = Reply::malformed(code::FORBIDDEN, "The access token is for another tenant");
    reply.status = StatusCode::FORBIDDEN.as_u16();
    respond(reply)
}

//! A server whose callers come from an identity provider.

use std::time::Duration;

use mcp_runtime::auth::{Algorithm, Authenticate, Egress, Jwt, Setup};
use mcp_runtime::prelude::*;
use mcp_runtime::testing::{IdentityProvider, TestReply, TestServer};
use serde_json::{Value, json};

use crate::ask::{Ask, MODERN, call, header};
use crate::clock;

pub(crate) const RESOURCE: &str = "https://mcp.example.com/mcp";

/// For everybody.
#[mcp_tool(public, read_only)]
fn open() -> u8 {
    1
}

/// For readers.
#[mcp_tool(scope = "mcp:read", read_only)]
fn echo(message: String) -> String {
    message
}

/// For administrators.
#[mcp_tool(scope = "mcp:admin", destructive)]
fn wipe() -> u8 {
    1
}

/// For those who have a role.
#[mcp_tool(authenticated, role = "chief", read_only)]
fn ranked() -> u8 {
    1
}

/// All that a tool can learn of its caller.
#[mcp_tool(authenticated, read_only)]
fn whoami(caller: &Caller) -> Who {
    let who = caller.principal();
    let owned = |name: &str| name.to_owned();
    Who {
        subject: caller.subject().map(owned),
        issuer: who.map(|who| owned(who.issuer())),
        tenant: who.and_then(|who| who.tenant().map(owned)),
        email: who.and_then(|who| who.email().map(owned)),
        scopes: who.map_or_else(Vec::new, |who| who.scopes().map(owned).collect()),
        roles: who.map_or_else(Vec::new, |who| who.roles().map(owned).collect()),
        expires: who.and_then(|who| who.expires().map(|at| at.as_second())),
        debug: format!("{caller} {caller:?}"),
    }
}

#[derive(Serialize, JsonSchema)]
struct Who {
    subject: Option<String>,
    issuer: Option<String>,
    tenant: Option<String>,
    email: Option<String>,
    scopes: Vec<String>,
    roles: Vec<String>,
    expires: Option<i64>,
    debug: String,
}

pub(crate) fn builder() -> Server {
    Server::new(tools![open, echo, wipe, ranked, whoami]).public_url(RESOURCE)
}

pub(crate) fn local() -> Egress {
    Egress::new().allow_loopback()
}

/// An identity provider, a server that trusts it, and the clock of both.
pub(crate) struct World {
    pub(crate) idp: IdentityProvider,
    pub(crate) clock: Clock,
    pub(crate) server: TestServer,
}

impl World {
    /// As the cases of the specification have it: RS256 alone.
    pub(crate) async fn new() -> Self {
        Self::with(|idp| {
            Jwt::discover(idp.issuer())
                .egress(local())
                .algorithms([Algorithm::Rs256])
        })
        .await
    }

    pub(crate) async fn with<A: Authenticate>(auth: impl FnOnce(&IdentityProvider) -> A) -> Self {
        let clock = clock();
        let idp = IdentityProvider::start(clock.clone(), RESOURCE)
            .await
            .unwrap();
        let server = builder().clock(clock.clone()).auth(auth(&idp));
        let server = TestServer::new(server).unwrap();
        Self { idp, clock, server }
    }

    /// What comes of calling a tool with a token, the same in every revision.
    pub(crate) async fn call(&self, tool: &str, token: &str) -> TestReply {
        let ask = |revision| {
            let arguments = match tool {
                "echo" => json!({ "message": "hi" }),
                _ => json!({}),
            };
            call(revision, tool, arguments).header("authorization", &format!("Bearer {token}"))
        };
        let modern = ask(MODERN).send(&self.server).await;
        let legacy = ask("2025-06-18").send(&self.server).await;
        assert_eq!(modern.status, legacy.status, "the revisions differ");
        modern
    }

    pub(crate) async fn status(&self, tool: &str, token: &str) -> u16 {
        self.call(tool, token).await.status
    }

    /// Who a token makes one.
    pub(crate) async fn who(&self, token: &str) -> Value {
        let reply = self.call("whoami", token).await;
        reply.structured().clone()
    }

    pub(crate) fn now(&self) -> i64 {
        self.clock.now().as_second()
    }

    pub(crate) fn wait(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }
}

/// Refused as a token that is not good: in so many words, and no more of them.
#[track_caller]
pub(crate) fn assert_invalid(reply: &TestReply, case: &str) {
    let challenge = header(reply, "www-authenticate").unwrap_or_default();
    assert_eq!(
        (reply.status, challenge),
        (
            401,
            "Bearer error=\"invalid_token\", \
             resource_metadata=\"https://mcp.example.com/.well-known/oauth-protected-resource/mcp\""
        ),
        "{case}: {}",
        reply.body
    );
    assert_eq!(
        reply.body["error"],
        json!({ "code": 401, "message": "The access token is not valid here: get a new one" }),
        "{case}"
    );
}

/// Nobody can tell at the moment: come back, and learn nothing.
#[track_caller]
pub(crate) fn assert_unavailable(reply: &TestReply, case: &str) {
    assert_eq!(
        (reply.status, header(reply, "retry-after")),
        (503, Some("5")),
        "{case}: {}",
        reply.body
    );
    assert_eq!(
        reply.body, "Access tokens cannot be checked at the moment\n",
        "{case}"
    );
}

/// Known, and not let in: no list and no hint.
#[track_caller]
pub(crate) fn assert_denied(reply: &TestReply, case: &str) {
    assert_eq!(
        (reply.status, header(reply, "www-authenticate")),
        (403, None),
        "{case}: {}",
        reply.body
    );
    let said = json!({ "code": 403, "message": "Access denied" });
    assert_eq!(reply.body["error"], said, "{case}");
}

/// A request without a token that has everything else.
pub(crate) fn bare(tool: &str) -> Ask {
    call(MODERN, tool, json!({}))
}

/// A way to check tokens, ready to be asked without a server around it.
pub(crate) fn prepared<A: Authenticate>(mut auth: A, clock: &Clock) -> A {
    auth.prepare(&Setup::new(Some(RESOURCE), clock)).unwrap();
    auth
}

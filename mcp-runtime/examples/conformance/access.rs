//! What needs scopes, for the tokens that the suite's drafts for servers know: one operation of
//! each kind. The one token has too little for all of them, the other enough.

use mcp_runtime::prelude::*;
use mcp_runtime::{Authenticate, Authentication, PromptSet, ResourceSet};

const LOW: &str = "mcp-conformance-scope-low";
const FULL: &str = "mcp-conformance-scope-full";
pub(crate) const BASELINE: &str = "mcp:conformance:baseline";

pub(crate) fn tools() -> ToolSet {
    tools![test_scoped_tool]
}

pub(crate) fn resources() -> ResourceSet {
    resources![scoped, scoped_template]
}

pub(crate) fn prompts() -> PromptSet {
    prompts![test_scoped_prompt]
}

/// Needs two scopes, which are asked for at once.
#[mcp_tool(scopes("mcp:conformance:tools:call", "mcp:conformance:tools:test_scoped_tool"))]
fn test_scoped_tool() -> &'static str {
    "You have the scopes."
}

/// Needs two scopes.
#[mcp_resource(
    "test://scoped",
    scopes("mcp:conformance:resources:read", "mcp:conformance:resources:static")
)]
fn scoped() -> &'static str {
    "You have the scopes."
}

/// Needs two scopes, one of which names what is read.
#[mcp_resource(
    "test://scoped/{id}",
    scopes(
        "mcp:conformance:resources:read",
        "mcp:conformance:resources:template:{id}"
    )
)]
fn scoped_template(id: String) -> String {
    format!("You have the scopes of {id}.")
}

/// Needs two scopes.
#[mcp_prompt(scopes(
    "mcp:conformance:prompts:get",
    "mcp:conformance:prompts:test_scoped_prompt"
))]
fn test_scoped_prompt() -> &'static str {
    "You have the scopes."
}

/// The two tokens, of an authorization server that is only named.
pub(crate) struct Tokens(StaticTokens);

impl Tokens {
    pub(crate) fn new() -> Self {
        let all = [
            BASELINE,
            "mcp:conformance:tools:call",
            "mcp:conformance:tools:test_scoped_tool",
            "mcp:conformance:resources:read",
            "mcp:conformance:resources:static",
            "mcp:conformance:resources:template:123",
            "mcp:conformance:prompts:get",
            "mcp:conformance:prompts:test_scoped_prompt",
        ];
        let suite = || Caller::user("conformance");
        Self(
            StaticTokens::new()
                .token(LOW, suite().scope(BASELINE))
                .token(FULL, suite().scopes(all)),
        )
    }
}

impl Authenticate for Tokens {
    fn authenticate<'a>(&'a self, token: &'a str) -> Authentication<'a> {
        self.0.authenticate(token)
    }

    fn authorization_servers(&self) -> Vec<String> {
        vec!["https://as.example.com".to_owned()]
    }
}

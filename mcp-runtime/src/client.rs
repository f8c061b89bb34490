//! What is known of the client of a request.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::json::{Node, Object};
use crate::trace_context::TraceContext;
use crate::wire::revision::Revision;

/// What a client declared that it can do, and what it asked for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Client {
    pub(crate) elicit_form: bool,
    pub(crate) elicit_url: bool,
    pub(crate) sampling: bool,
    pub(crate) sampling_tools: bool,
    pub(crate) roots: bool,
    pub(crate) tasks: bool,
    /// Of the request; a session has its own.
    #[serde(skip)]
    pub(crate) log_level: Option<LogLevel>,
}

impl Client {
    /// Reads `clientCapabilities` (or `capabilities` of `initialize`).
    pub(crate) fn declared(capabilities: &Object<'_>) -> Self {
        let member = |name: &str| capabilities.get(name).and_then(Node::as_object);
        let elicitation = member("elicitation");
        let sampling = member("sampling");
        let extensions = member("extensions");
        Self {
            // `{}` stands for forms: it is from before there was a second mode.
            elicit_form: elicitation.is_some_and(|e| e.0.is_empty() || e.get("form").is_some()),
            elicit_url: elicitation.is_some_and(|e| e.get("url").is_some()),
            sampling: sampling.is_some(),
            sampling_tools: sampling.is_some_and(|s| s.get("tools").is_some()),
            roots: member("roots").is_some(),
            tasks: extensions.is_some_and(|e| e.get("io.modelcontextprotocol/tasks").is_some()),
            log_level: None,
        }
    }

    /// Whether the client can be asked anything at all.
    pub(crate) fn has_back_channel(&self) -> bool {
        self.elicit_form || self.elicit_url || self.sampling || self.roots
    }

    /// The capabilities that are missing for `needed`, as the protocol writes them.
    pub(crate) fn lacks(&self, needed: Needed) -> Option<Value> {
        let (has, object) = match needed {
            Needed::ElicitForm => (self.elicit_form, json!({ "elicitation": { "form": {} } })),
            Needed::ElicitUrl => (self.elicit_url, json!({ "elicitation": { "url": {} } })),
            Needed::Sampling => (self.sampling, json!({ "sampling": {} })),
            Needed::SamplingTools => (
                self.sampling && self.sampling_tools,
                json!({ "sampling": { "tools": {} } }),
            ),
            Needed::Roots => (self.roots, json!({ "roots": {} })),
            Needed::Tasks => (
                self.tasks,
                json!({ "extensions": { "io.modelcontextprotocol/tasks": {} } }),
            ),
        };
        (!has).then_some(object)
    }
}

/// A capability that a question to the client needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Needed {
    ElicitForm,
    ElicitUrl,
    Sampling,
    SamplingTools,
    Roots,
    Tasks,
}

/// The severities of MCP logging, least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(
    missing_docs,
    reason = "the eight levels of syslog speak for themselves"
)]
pub enum LogLevel {
    Debug,
    Info,
    Notice,
    Warning,
    Error,
    Critical,
    Alert,
    Emergency,
}

impl LogLevel {
    pub(crate) const NAMES: [&str; 8] = [
        "debug",
        "info",
        "notice",
        "warning",
        "error",
        "critical",
        "alert",
        "emergency",
    ];

    pub(crate) fn parse(name: &str) -> Option<Self> {
        const ALL: [LogLevel; 8] = [
            LogLevel::Debug,
            LogLevel::Info,
            LogLevel::Notice,
            LogLevel::Warning,
            LogLevel::Error,
            LogLevel::Critical,
            LogLevel::Alert,
            LogLevel::Emergency,
        ];
        ALL.into_iter().find(|level| level.as_str() == name)
    }

    pub(crate) fn as_str(self) -> &'static str {
        Self::NAMES[self as usize]
    }
}

/// How a call can reach its client while it runs.
pub(crate) struct Reach {
    pub(crate) revision: Revision,
    pub(crate) client: Client,
    /// The JSON of the progress token, as it came.
    pub(crate) progress_token: Option<String>,
    /// Where the client is, over HTTP.
    pub(crate) address: Option<IpAddr>,
    /// The span of the client that the request belongs to.
    pub(crate) trace: Option<TraceContext>,
    /// Whether a refusal can be told by the status of the answer: over HTTP, outside of a session.
    pub(crate) has_status: bool,
}

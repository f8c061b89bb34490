//! What the tools that create and replace records have in common.

use http::Method;
use mcp_runtime::ToolResult;
use serde::Serialize;
use serde_json::{Map, Value};

use super::client::Records;
use super::reply::Record;

/// The members of a record in the making: what a tool has no parameter for comes first, so that
/// it cannot stand in for what the tool has one for.
pub(super) struct Members(Map<String, Value>);

impl Members {
    pub(super) fn of(additional: Option<Map<String, Value>>) -> Self {
        Self(additional.unwrap_or_default())
    }

    /// Sets a member; without a value nothing is set.
    pub(super) fn set(mut self, name: &str, value: impl Serialize) -> Self {
        match serde_json::to_value(value) {
            Ok(Value::Null) | Err(_) => {}
            Ok(value) => {
                self.0.insert(name.to_owned(), value);
            }
        }
        self
    }
}

impl Records<'_> {
    pub(super) async fn create(
        &self,
        endpoint: &'static str,
        members: Members,
    ) -> ToolResult<Record> {
        self.send(self.ask(Method::POST, endpoint)?.body(members.0))
            .await
    }

    /// Replaces everything; only while the version is the expected one, if there is one.
    pub(super) async fn replace(
        &self,
        endpoint: &'static str,
        uid: &str,
        if_match: Option<u64>,
        members: Members,
    ) -> ToolResult<Record> {
        let ask = self.ask(Method::PUT, endpoint)?.segment("{uid}", uid);
        let ask = match if_match {
            Some(version) => ask.header("if-match", &format!("\"{version}\"")),
            None => ask,
        };
        self.send(ask.body(members.0)).await
    }
}

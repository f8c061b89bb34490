//! A request over HTTP, written down as what differs from a good one.

use std::sync::Arc;

use http::Request;
use mcp_runtime::Caller;
use mcp_runtime::testing::{TestReply, TestServer};
use serde_json::{Value, json};

pub(crate) const LEGACY: [&str; 4] = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"];
pub(crate) const MODERN: &str = "2026-07-28";
const PREFIX: &str = "io.modelcontextprotocol";

#[derive(Clone)]
pub(crate) struct Ask {
    method: String,
    uri: String,
    headers: Vec<(String, Vec<u8>)>,
    pub(crate) body: Vec<u8>,
}

impl Ask {
    /// A good request of one of the earlier revisions, with the id 7.
    pub(crate) fn legacy(revision: &str, method: &str, params: Value) -> Self {
        let ask = Self::raw(
            json!({ "jsonrpc": "2.0", "id": 7, "method": method, "params": params }).to_string(),
        );
        match method {
            "initialize" => ask,
            _ => ask.header("mcp-protocol-version", revision),
        }
    }

    /// A good request of 2026-07-28, with the id 7.
    pub(crate) fn modern(method: &str, mut params: Value) -> Self {
        if params.get("_meta").is_none() {
            params["_meta"] = meta();
        }
        let name = params["name"].as_str().map(str::to_owned);
        let body = json!({ "jsonrpc": "2.0", "id": 7, "method": method, "params": params });
        let ask = Self::raw(body.to_string())
            .header("mcp-protocol-version", MODERN)
            .header("mcp-method", method);
        match name {
            Some(name) => ask.header("mcp-name", &name),
            None => ask,
        }
    }

    /// A good request of any revision.
    pub(crate) fn of(revision: &str, method: &str, params: Value) -> Self {
        if revision == MODERN {
            Self::modern(method, params)
        } else {
            Self::legacy(revision, method, params)
        }
    }

    /// Any body, with the headers that every request has.
    pub(crate) fn raw(body: impl Into<Vec<u8>>) -> Self {
        Self {
            method: "POST".into(),
            uri: "/mcp".into(),
            headers: Vec::new(),
            body: body.into(),
        }
        .header("host", "localhost")
        .header("content-type", "application/json")
        .header("accept", "application/json, text/event-stream")
    }

    pub(crate) fn method(mut self, method: &str) -> Self {
        self.method = method.into();
        self
    }

    pub(crate) fn uri(mut self, uri: &str) -> Self {
        self.uri = uri.into();
        self
    }

    pub(crate) fn with_body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Sets a header.
    pub(crate) fn header(self, name: &str, value: &str) -> Self {
        self.without(name).also(name, value)
    }

    /// Adds a header beside those of its name.
    pub(crate) fn also(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers.push((name.into(), value.as_ref().to_vec()));
        self
    }

    pub(crate) fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(known, _)| known != name);
        self
    }

    pub(crate) async fn send(&self, server: &TestServer) -> TestReply {
        server
            .send(self.http().body(self.body.clone()).unwrap())
            .await
    }

    /// The request of somebody whom a middleware knows.
    pub(crate) fn request(&self, caller: Caller) -> Request<Vec<u8>> {
        let request = self.http().extension(Arc::new(caller));
        request.body(self.body.clone()).unwrap()
    }

    fn http(&self) -> http::request::Builder {
        let mut request = Request::builder()
            .method(self.method.as_str())
            .uri(&self.uri);
        for (name, value) in &self.headers {
            request = request.header(name, value.as_slice());
        }
        request
    }

    /// The bytes on a socket; the server closes it after the answer.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = format!("{} {} HTTP/1.1\r\n", self.method, self.uri).into_bytes();
        for (name, value) in &self.headers {
            bytes.extend_from_slice(name.as_bytes());
            bytes.extend_from_slice(b": ");
            bytes.extend_from_slice(value);
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(
            format!(
                "connection: close\r\ncontent-length: {}\r\n\r\n",
                self.body.len()
            )
            .as_bytes(),
        );
        bytes.extend_from_slice(&self.body);
        bytes
    }
}

/// What every request of 2026-07-28 carries.
pub(crate) fn meta() -> Value {
    json!({
        format!("{PREFIX}/protocolVersion"): MODERN,
        format!("{PREFIX}/clientCapabilities"): {},
    })
}

/// A call of a tool.
pub(crate) fn call(revision: &str, tool: &str, arguments: Value) -> Ask {
    Ask::of(
        revision,
        "tools/call",
        json!({ "name": tool, "arguments": arguments }),
    )
}

pub(crate) fn header<'a>(reply: &'a TestReply, name: &str) -> Option<&'a str> {
    reply
        .headers
        .get(name)
        .map(|value| value.to_str().unwrap_or("not visible ASCII"))
}

//! A server in the same process, and callers as values.
//!
//! ```
//! use mcp_runtime::prelude::*;
//! use mcp_runtime::testing::TestServer;
//! use serde_json::json;
//!
//! /// Add two numbers.
//! #[mcp_tool(scope = "sums:read", read_only)]
//! fn add(a: i64, b: i64) -> i64 {
//!     a + b
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> mcp_runtime::Result {
//! let server = TestServer::new(Server::new(tools![add]))?;
//! let ada = server.as_user("ada").scopes(["sums:read"]);
//! assert_eq!(ada.call("add", json!({"a": 1, "b": 2})).await.structured(), &json!({"result": 3}));
//! assert_eq!(server.call("add", json!({"a": 1, "b": 2})).await.status, 401);
//! assert_eq!(server.as_user("bob").call("add", json!({})).await.status, 403);
//! # Ok(())
//! # }
//! ```

#[cfg(feature = "auth")]
mod identity_provider;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, header};
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};

use crate::caller::Caller;
use crate::error::Result;
use crate::http::app::Answer;
use crate::http::stream::AnswerBody;
use crate::server::{Server, Service};

#[cfg(feature = "auth")]
pub use self::identity_provider::{Endpoint, Fault, IdentityProvider, Mint, Signer, User};

/// A server that answers in the same process, over the same path as HTTP: request heads, policies,
/// limits and bytes, everything but a socket.
#[derive(Clone)]
pub struct TestServer {
    service: Service,
    next_id: Arc<AtomicU64>,
}

/// A [`TestServer`] as one caller sees it.
#[derive(Clone)]
pub struct TestClient {
    server: TestServer,
    caller: Caller,
    revision: &'static str,
    capabilities: Value,
}

/// What came back.
#[derive(Clone, Debug)]
pub struct TestReply {
    /// The status of HTTP.
    pub status: u16,
    /// The headers of HTTP.
    pub headers: HeaderMap,
    /// The JSON body, `null` where there is none; of a stream, its last message.
    pub body: Value,
    /// What a stream said before its last message.
    pub notes: Vec<Value>,
}

impl TestServer {
    /// Builds a server.
    ///
    /// # Errors
    /// As [`Server::build`].
    pub fn new<S: Send + Sync + 'static>(server: Server<S>) -> Result<Self> {
        Ok(Self::over(server.build()?))
    }

    /// Tests a server that is built.
    pub fn over(service: Service) -> Self {
        Self {
            service,
            next_id: Arc::default(),
        }
    }

    /// A client without a token.
    pub fn anonymous(&self) -> TestClient {
        self.as_caller(Caller::anonymous())
    }

    /// A client that is known as `subject`.
    pub fn as_user(&self, subject: &str) -> TestClient {
        self.as_caller(Caller::user(subject))
    }

    /// A client that is this caller.
    pub fn as_caller(&self, caller: Caller) -> TestClient {
        TestClient {
            server: self.clone(),
            caller,
            revision: "2026-07-28",
            capabilities: json!({}),
        }
    }

    /// Calls a tool without a token.
    pub async fn call(&self, tool: &str, arguments: Value) -> TestReply {
        self.anonymous().call(tool, arguments).await
    }

    /// Sends any request to any path.
    pub async fn send(&self, request: Request<Vec<u8>>) -> TestReply {
        let answer = self.answer(request).await;
        let (head, body) = answer.into_parts();
        let bytes = match body.collect().await {
            Ok(body) => body.to_bytes(),
            Err(never) => match never {},
        };
        let mut notes = messages(&bytes);
        TestReply {
            status: head.status.as_u16(),
            headers: head.headers,
            body: notes.pop().unwrap_or_default(),
            notes,
        }
    }
}

impl TestServer {
    async fn answer(&self, request: Request<Vec<u8>>) -> Answer {
        let request = request.map(|body| Full::new(Bytes::from(body)));
        self.service.app().answer(request).await
    }
}

/// The messages of a body: one of JSON, those of a stream, or what is neither as a string.
fn messages(bytes: &[u8]) -> Vec<Value> {
    if let Ok(body) = serde_json::from_slice(bytes) {
        return vec![body];
    }
    let text = String::from_utf8_lossy(bytes);
    let events: Vec<Value> = text
        .split("\n\n")
        .filter(|event| event.lines().any(|line| line == "event: message"))
        .flat_map(str::lines)
        .filter_map(|line| serde_json::from_str(line.strip_prefix("data: ")?).ok())
        .collect();
    if events.is_empty() && !text.is_empty() {
        return vec![json!(text)];
    }
    events
}

impl TestClient {
    /// Grants scopes.
    #[must_use]
    pub fn scopes<T: Into<String>>(mut self, scopes: impl IntoIterator<Item = T>) -> Self {
        self.caller = self.caller.scopes(scopes);
        self
    }

    /// Gives roles.
    #[must_use]
    pub fn roles<T: Into<String>>(mut self, roles: impl IntoIterator<Item = T>) -> Self {
        self.caller = self.caller.roles(roles);
        self
    }

    /// Sets the tenant.
    #[must_use]
    pub fn tenant(mut self, tenant: &str) -> Self {
        self.caller = self.caller.tenant(tenant);
        self
    }

    /// Speaks this revision of the protocol; 2026-07-28 unless said otherwise.
    #[must_use]
    pub fn revision(mut self, revision: &'static str) -> Self {
        self.revision = revision;
        self
    }

    /// Declares what this client can do (`{"elicitation": {}}`), since 2026-07-28.
    #[must_use]
    pub fn declares(mut self, capabilities: Value) -> Self {
        self.capabilities = capabilities;
        self
    }

    /// Declares tasks, beside what is declared already: calls of tools with `task` are answered
    /// with a task.
    #[must_use]
    pub fn declares_tasks(mut self) -> Self {
        self.capabilities["extensions"]["io.modelcontextprotocol/tasks"] = json!({});
        self
    }

    /// Asks about a task until it is not `working` any more: it has ended, or asks something.
    ///
    /// # Panics
    /// When the answer to `created` is not a task, and when the task still works after ten seconds.
    pub async fn await_task(&self, created: &TestReply) -> TestReply {
        let id = created.task_id();
        let patience = std::time::Duration::from_secs(10);
        let settled = async {
            loop {
                let reply = self.request("tasks/get", json!({ "taskId": id })).await;
                let status = reply.body.pointer("/result/status");
                if status.and_then(Value::as_str) != Some("working") {
                    return reply;
                }
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        };
        match tokio::time::timeout(patience, settled).await {
            Ok(reply) => reply,
            Err(_) => panic!("the task still works: {}", created.body),
        }
    }

    /// Calls a tool.
    pub async fn call(&self, tool: &str, arguments: Value) -> TestReply {
        self.request(
            "tools/call",
            json!({ "name": tool, "arguments": arguments }),
        )
        .await
    }

    /// Sends a request, and sends it again with the answers to what it is asked, until there is
    /// nothing more to ask: `answer` gets the key of a question and the question, and says what the
    /// human or the model of the client would (`{"action": "accept", "content": {…}}`).
    ///
    /// # Panics
    /// When it is asked more than ten times.
    pub async fn asked(
        &self,
        method: &str,
        params: Value,
        answer: impl Fn(&str, &Value) -> Value,
    ) -> TestReply {
        let mut with_answers = params.clone();
        for _ in 0..10 {
            let reply = self.request(method, with_answers).await;
            let asks = reply.body.pointer("/result/inputRequests");
            let Some(questions) = asks.and_then(Value::as_object) else {
                return reply;
            };
            let answers = questions
                .iter()
                .map(|(key, question)| (key.clone(), answer(key, question)));
            with_answers = params.clone();
            with_answers["inputResponses"] = Value::Object(answers.collect());
            with_answers["requestState"] = reply.result()["requestState"].clone();
        }
        panic!("{method} asks without end");
    }

    /// Reads a resource.
    pub async fn read(&self, uri: &str) -> TestReply {
        self.request("resources/read", json!({ "uri": uri })).await
    }

    /// Gets a prompt.
    pub async fn prompt(&self, name: &str, arguments: Value) -> TestReply {
        let params = json!({ "name": name, "arguments": arguments });
        self.request("prompts/get", params).await
    }

    /// What is suggested for an argument of a prompt (`{"type": "ref/prompt", "name": …}`) or of a
    /// resource template (`{"type": "ref/resource", "uri": …}`).
    pub async fn complete(&self, reference: Value, argument: &str, typed: &str) -> Vec<String> {
        let argument = json!({ "name": argument, "value": typed });
        let params = json!({ "ref": reference, "argument": argument });
        let reply = self.request("completion/complete", params).await;
        let values = reply.result()["completion"]["values"].as_array();
        texts(values.into_iter().flatten())
    }

    /// The names of the tools that this caller sees, on all pages.
    pub async fn tools(&self) -> Vec<String> {
        self.list("tools", "tools", "name").await
    }

    /// The URIs of the resources that this caller sees, on all pages.
    pub async fn resources(&self) -> Vec<String> {
        self.list("resources", "resources", "uri").await
    }

    /// The resource templates that this caller sees, on all pages.
    pub async fn templates(&self) -> Vec<String> {
        self.list("resources/templates", "resourceTemplates", "uriTemplate")
            .await
    }

    /// The names of the prompts that this caller sees, on all pages.
    pub async fn prompts(&self) -> Vec<String> {
        self.list("prompts", "prompts", "name").await
    }

    async fn list(&self, of: &str, field: &str, name: &str) -> Vec<String> {
        let mut names = Vec::new();
        let mut params = json!({});
        loop {
            let reply = self.request(&format!("{of}/list"), params).await;
            let result = reply.result();
            let listed = result[field].as_array().into_iter().flatten();
            names.extend(texts(listed.map(|item| &item[name])));
            match result.get("nextCursor") {
                Some(cursor) => params = json!({ "cursor": cursor }),
                None => return names,
            }
        }
    }

    /// Listens to changes, as `subscriptions/listen` has it: `{"toolsListChanged": true}`,
    /// `{"resourceSubscriptions": [uri]}`. The first message says what will be heard.
    pub async fn listen(&self, notifications: Value) -> TestStream {
        let params = json!({ "notifications": notifications });
        let (_, request) = self.built("subscriptions/listen", params);
        let answer = self.server.answer(request).await;
        TestStream {
            body: answer.into_body(),
            buffer: String::new(),
        }
    }

    /// Sends a request of this method.
    pub async fn request(&self, method: &str, params: Value) -> TestReply {
        let (id, request) = self.built(method, params);
        let reply = self.server.send(request).await;
        if let Some(echoed) = reply.body.get("id") {
            assert_eq!(echoed, &json!(id), "the answer is to another request");
        }
        reply
    }

    fn built(&self, method: &str, mut params: Value) -> (u64, Request<Vec<u8>>) {
        let id = self.server.next_id.fetch_add(1, Ordering::Relaxed);
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(self.server.service.endpoint())
            .header(header::HOST, "localhost")
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::ACCEPT, "application/json, text/event-stream")
            .extension(Arc::new(self.caller.clone()));
        if self.revision >= "2026-07-28" {
            params["_meta"]["io.modelcontextprotocol/protocolVersion"] = json!(self.revision);
            params["_meta"]["io.modelcontextprotocol/clientCapabilities"] =
                self.capabilities.clone();
            request = request.header("mcp-method", method);
            // What a request is about: the tool or the prompt, the resource, or the task.
            let name = match method {
                "resources/read" => &params["uri"],
                "tasks/get" | "tasks/update" | "tasks/cancel" => &params["taskId"],
                _ => &params["name"],
            };
            if let Some(name) = name.as_str() {
                request = request.header("mcp-name", name);
            }
        }
        if method != "initialize" {
            request = request.header("mcp-protocol-version", self.revision);
        }
        let body = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
        let request = request
            .body(body.to_string().into_bytes())
            .expect("these are headers");
        (id, request)
    }
}

fn texts<'a>(values: impl Iterator<Item = &'a Value>) -> Vec<String> {
    values
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect()
}

/// A stream that goes on, as one client hears it. Dropping it hangs up.
pub struct TestStream {
    body: AnswerBody,
    buffer: String,
}

impl TestStream {
    /// The next message; `None` when the stream has ended.
    ///
    /// # Panics
    /// When nothing comes within ten seconds.
    pub async fn next(&mut self) -> Option<Value> {
        let patience = std::time::Duration::from_secs(10);
        loop {
            if let Some((event, rest)) = self.buffer.split_once("\n\n") {
                let message = messages(format!("{event}\n\n").as_bytes()).pop();
                self.buffer = rest.to_owned();
                match message.filter(Value::is_object) {
                    Some(message) => return Some(message),
                    // A comment, that keeps the stream alive.
                    None => continue,
                }
            }
            let frame = tokio::time::timeout(patience, self.body.frame()).await;
            let Ok(frame) = frame else {
                panic!("nothing is heard within {patience:?}");
            };
            let frame = match frame? {
                Ok(frame) => frame,
                Err(never) => match never {},
            };
            if let Some(bytes) = frame.data_ref() {
                self.buffer.push_str(&String::from_utf8_lossy(bytes));
            }
        }
    }
}

impl TestReply {
    /// The result of JSON-RPC.
    ///
    /// # Panics
    /// When the answer is an error, which it shows.
    #[track_caller]
    pub fn result(&self) -> &Value {
        self.body
            .get("result")
            .unwrap_or_else(|| panic!("no result, but {}: {}", self.status, self.body))
    }

    /// The error of JSON-RPC.
    ///
    /// # Panics
    /// When the answer is a result, which it shows.
    #[track_caller]
    pub fn error(&self) -> &Value {
        self.body
            .get("error")
            .unwrap_or_else(|| panic!("no error, but {}: {}", self.status, self.body))
    }

    /// The id of the task that a call has become.
    ///
    /// # Panics
    /// When the answer is something else.
    #[track_caller]
    pub fn task_id(&self) -> &str {
        let result = self.result();
        assert_eq!(result["resultType"], json!("task"), "no task: {result}");
        result["taskId"]
            .as_str()
            .unwrap_or_else(|| panic!("no task id: {result}"))
    }

    /// The structured content of a call that went well.
    ///
    /// # Panics
    /// When it did not, with what the tool said.
    #[track_caller]
    pub fn structured(&self) -> &Value {
        let result = self.result();
        assert_eq!(result["isError"], json!(false), "the call failed: {result}");
        &result["structuredContent"]
    }

    /// The text of the first piece of content.
    ///
    /// # Panics
    /// When there is none.
    #[track_caller]
    pub fn text(&self) -> &str {
        let result = self.result();
        result["content"][0]["text"]
            .as_str()
            .unwrap_or_else(|| panic!("no text: {result}"))
    }

    /// The code of a failed call.
    ///
    /// # Panics
    /// When the call went well.
    #[track_caller]
    pub fn code(&self) -> &str {
        let result = self.result();
        assert_eq!(
            result["isError"],
            json!(true),
            "the call went well: {result}"
        );
        result["structuredContent"]["code"]
            .as_str()
            .unwrap_or_else(|| panic!("no code: {result}"))
    }
}

//! What the server answers: bytes, and what HTTP says around them.

use serde::Serialize;
use serde_json::{Value, json};

use crate::call::Call;
use crate::error::{Refusal, ToolError};
use crate::output::{Outcome, Shape};
use crate::wire::message::Id;

/// Error codes of JSON-RPC and MCP.
pub(crate) mod code {
    pub(crate) const PARSE_ERROR: i32 = -32700;
    pub(crate) const INVALID_REQUEST: i32 = -32600;
    pub(crate) const METHOD_NOT_FOUND: i32 = -32601;
    pub(crate) const INVALID_PARAMS: i32 = -32602;
    pub(crate) const INTERNAL: i32 = -32603;
    pub(crate) const HEADER_MISMATCH: i32 = -32020;
    pub(crate) const UNSUPPORTED_VERSION: i32 = -32022;
    /// Of our own, outside the range that JSON-RPC reserves; the same numbers as in HTTP.
    pub(crate) const UNAUTHENTICATED: i32 = 401;
    pub(crate) const FORBIDDEN: i32 = 403;
}

/// An answer. `body` is empty where there is nothing to say (202).
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
    /// What a `WWW-Authenticate` header has to ask for.
    pub(crate) challenge: Option<Challenge>,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Challenge {
    pub(crate) error: Option<&'static str>,
    /// All scopes of the operation, separated by spaces.
    pub(crate) scope: String,
}

impl Reply {
    pub(crate) fn accepted() -> Self {
        Self {
            status: 202,
            body: Vec::new(),
            challenge: None,
        }
    }

    /// A message that could not be read far enough to know its id.
    pub(crate) fn malformed(code: i32, message: &str) -> Self {
        let body = json!({ "jsonrpc": "2.0", "error": { "code": code, "message": message } });
        Self {
            status: 400,
            body: body.to_string().into_bytes(),
            challenge: None,
        }
    }

    pub(crate) fn error(id: &Id<'_>, status: u16, code: i32, message: &str) -> Self {
        Self::error_with(id, status, code, message, None)
    }

    pub(crate) fn error_with(
        id: &Id<'_>,
        status: u16,
        code: i32,
        message: &str,
        data: Option<Value>,
    ) -> Self {
        #[derive(Serialize)]
        struct Error<'a> {
            code: i32,
            message: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            data: Option<Value>,
        }
        let mut body = begin(id, 192);
        body.extend_from_slice(b"\"error\":");
        push_json(
            &mut body,
            &Error {
                code,
                message,
                data,
            },
        );
        body.push(b'}');
        Self {
            status,
            body,
            challenge: None,
        }
    }

    /// A result that is JSON already.
    pub(crate) fn result(id: &Id<'_>, json: &[u8]) -> Self {
        let mut body = begin(id, json.len() + 64);
        body.extend_from_slice(b"\"result\":");
        body.extend_from_slice(json);
        body.push(b'}');
        Self {
            status: 200,
            body,
            challenge: None,
        }
    }
}

/// `{"jsonrpc":"2.0","id":7,`
fn begin(id: &Id<'_>, capacity: usize) -> Vec<u8> {
    let mut body = Vec::with_capacity(capacity + 48);
    body.extend_from_slice(b"{\"jsonrpc\":\"2.0\",\"id\":");
    match id {
        Id::Unsigned(n) => push_json(&mut body, n),
        Id::Signed(n) => push_json(&mut body, n),
        Id::Text(text) => push_json(&mut body, text),
    }
    body.push(b',');
    body
}

fn push_json(body: &mut Vec<u8>, value: &(impl Serialize + ?Sized)) {
    serde_json::to_writer(body, value)
        .expect("strings, numbers and JSON values serialize, and a Vec takes them");
}

/// Writes the results of calls, for one revision.
pub(crate) struct Results<'a> {
    pub(crate) modern: bool,
    /// `"_meta":{…}` with the identity of the server.
    pub(crate) meta: &'a [u8],
    pub(crate) call: &'a Call,
}

impl Results<'_> {
    /// The result of a call that ran.
    pub(crate) fn outcome(&self, id: &Id<'_>, shape: Shape, outcome: Outcome) -> Reply {
        match outcome {
            Outcome::Value(json) => self.value(id, shape, &json),
            Outcome::Reply(reply) => {
                let content: Vec<&Value> = reply.content.iter().map(|content| &content.0).collect();
                let structured = reply.structured.map(|value| value.to_string());
                self.write(
                    id,
                    structured.as_deref().unwrap_or_default(),
                    false,
                    |body| push_json(body, &content),
                )
            }
            Outcome::Error(error) => self.error(id, &error),
            Outcome::Refused(refusal) => self.refusal(id, &refusal),
        }
    }

    fn value(&self, id: &Id<'_>, shape: Shape, json: &str) -> Reply {
        if shape == Shape::Nothing {
            return self.write(id, "", false, |body| body.extend_from_slice(b"[]"));
        }
        let structured = shape.structured(json).unwrap_or_default();
        self.write(id, &structured, false, |body| {
            body.extend_from_slice(b"[{\"type\":\"text\",\"text\":");
            // The mirror is the same JSON, escaped; of a string, the string itself.
            if shape == Shape::Text {
                body.extend_from_slice(json.as_bytes());
            } else {
                push_json(body, &*structured);
            }
            body.extend_from_slice(b"}]");
        })
    }

    fn write(
        &self,
        id: &Id<'_>,
        structured: &str,
        is_error: bool,
        content: impl FnOnce(&mut Vec<u8>),
    ) -> Reply {
        let mut body = begin(
            id,
            structured.len() * 2 + structured.len() / 4 + self.meta.len() + 160,
        );
        body.extend_from_slice(b"\"result\":{");
        if self.modern {
            body.extend_from_slice(b"\"resultType\":\"complete\",");
        }
        body.extend_from_slice(b"\"content\":");
        content(&mut body);
        if !structured.is_empty() {
            body.extend_from_slice(b",\"structuredContent\":");
            body.extend_from_slice(structured.as_bytes());
        }
        body.extend_from_slice(if is_error {
            b",\"isError\":true"
        } else {
            b",\"isError\":false"
        });
        if self.modern {
            body.push(b',');
            body.extend_from_slice(self.meta);
        }
        body.extend_from_slice(b"}}");
        Reply {
            status: 200,
            body,
            challenge: None,
        }
    }

    /// An error that the model is to read: text, and the same in structured form.
    fn failed(&self, id: &Id<'_>, text: &str, structured: &Value) -> Reply {
        self.write(id, &structured.to_string(), true, |body| {
            push_json(body, &json!([{ "type": "text", "text": text }]));
        })
    }

    fn error(&self, id: &Id<'_>, error: &ToolError) -> Reply {
        let request_id = self.call.request_id();
        let Some(message) = error.message() else {
            tracing::error!(target: "mcp::call", request_id, cause = %causes(error), "a tool failed");
            return self.internal(id, request_id);
        };
        if error.source().is_some() {
            tracing::warn!(target: "mcp::call", request_id, code = error.code_str(), cause = %causes(error), "a tool failed");
        }
        let mut structured = json!({ "code": error.code_str(), "message": message });
        match error.data_value() {
            Some(Value::Object(data)) => {
                for (name, value) in data {
                    structured[name] = value.clone();
                }
            }
            Some(data) => structured["data"] = data.clone(),
            None => {}
        }
        self.failed(id, message, &structured)
    }

    fn internal(&self, id: &Id<'_>, request_id: &str) -> Reply {
        let text = format!("internal error, request {request_id}");
        self.failed(
            id,
            &text,
            &json!({ "code": "internal", "message": text, "requestId": request_id }),
        )
    }

    /// The answer to a call that did not run, or did not end. `401` and `403` leave the room for
    /// whoever speaks HTTP; elsewhere they read like any other failure.
    pub(crate) fn refusal(&self, id: &Id<'_>, refusal: &Refusal) -> Reply {
        let code = refusal.word();
        match refusal {
            // One fixed text: it must not tell a hidden tool from an unknown one.
            Refusal::UnknownTool => Reply::error(
                id,
                200,
                code::INVALID_PARAMS,
                "Unknown tool: `tools/list` has the names of all tools that you can call",
            ),
            Refusal::Unauthenticated { scopes } => {
                let text = "This tool needs to know who calls: send an access token (Authorization: Bearer …).";
                let mut reply = self.failed(
                    id,
                    text,
                    &json!({ "code": code, "message": text, "scopes": scopes }),
                );
                reply.status = 401;
                reply.challenge = Some(Challenge {
                    error: None,
                    scope: scopes.join(" "),
                });
                reply
            }
            Refusal::InsufficientScope { scopes } => {
                let text = format!(
                    "This tool needs the scope{} {}, and the access token does not have {}. Ask for an access token with {0}.",
                    if scopes.len() == 1 { "" } else { "s" },
                    scopes.join(" "),
                    if scopes.len() == 1 {
                        "it"
                    } else {
                        "all of them"
                    }
                );
                let mut reply = self.failed(
                    id,
                    &text,
                    &json!({ "code": code, "message": text, "scopes": scopes }),
                );
                reply.status = 403;
                reply.challenge = Some(Challenge {
                    error: Some("insufficient_scope"),
                    scope: scopes.join(" "),
                });
                reply
            }
            Refusal::Forbidden => {
                let text = "You are not allowed to call this tool with these arguments.";
                self.failed(id, text, &json!({ "code": code, "message": text }))
            }
            Refusal::InvalidArguments(problems) => {
                let count = match problems.len() {
                    1 => "One problem".to_owned(),
                    n => format!("{n} problems"),
                };
                let mut text = format!("{count} with the arguments:");
                for problem in problems {
                    text += &format!("\n- {problem}");
                }
                text += "\nMend them and call again.";
                self.failed(
                    id,
                    &text,
                    &json!({ "code": code, "message": text, "problems": problems }),
                )
            }
            Refusal::TimedOut { seconds } => {
                let text = format!(
                    "The tool did not answer within {seconds} s and was stopped. Ask for less at once, or try again later."
                );
                self.failed(id, &text, &json!({ "code": code, "message": text }))
            }
            Refusal::ResultTooLarge => {
                let text = "The result is larger than 4 MiB. Ask for less: a narrower filter, or a smaller limit.";
                self.failed(id, text, &json!({ "code": code, "message": text }))
            }
            Refusal::Panicked => {
                let request_id = self.call.request_id();
                tracing::error!(target: "mcp::call", request_id, "a tool panicked; its message is on stderr");
                Reply::error(
                    id,
                    200,
                    code::INTERNAL,
                    &format!("Internal error, request {request_id}"),
                )
            }
            Refusal::Unserializable(cause) => {
                let request_id = self.call.request_id();
                tracing::error!(target: "mcp::call", request_id, cause, "the result of a tool does not serialize");
                self.internal(id, request_id)
            }
        }
    }
}

/// An error with all that lies beneath it, for the log.
fn causes(error: &ToolError) -> String {
    let mut text = String::new();
    let mut next: Option<&(dyn std::error::Error + 'static)> = error.source().map(|e| e as _);
    while let Some(error) = next {
        if !text.is_empty() {
            text += ": ";
        }
        text += &error.to_string();
        next = error.source();
    }
    text
}

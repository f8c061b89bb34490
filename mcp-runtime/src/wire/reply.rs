//! What the server answers: bytes, and what HTTP says around them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::call::Call;
use crate::error::{Refusal, ToolError};
use crate::output::{Outcome, Shape};
use crate::resource_set::{self, BoundResource};
use crate::wire::message::Id;

/// By which the author of a resource says that there is nothing behind a URI.
const NOT_FOUND: &str = "not_found";
/// What `_meta` tells of an answer that may have been kept: `{"hit": true, "ageMs": 1200}`.
const RESULT_CACHE: &str = "mcp-runtime/resultCache";

/// Error codes of JSON-RPC and MCP.
pub(crate) mod code {
    pub(crate) const PARSE_ERROR: i32 = -32700;
    pub(crate) const INVALID_REQUEST: i32 = -32600;
    pub(crate) const METHOD_NOT_FOUND: i32 = -32601;
    pub(crate) const INVALID_PARAMS: i32 = -32602;
    pub(crate) const INTERNAL: i32 = -32603;
    pub(crate) const HEADER_MISMATCH: i32 = -32020;
    pub(crate) const MISSING_CAPABILITY: i32 = -32021;
    /// Before 2026-07-28.
    pub(crate) const RESOURCE_NOT_FOUND: i32 = -32002;
    pub(crate) const SESSION_NOT_FOUND: i32 = -32001;
    pub(crate) const UNSUPPORTED_VERSION: i32 = -32022;
    /// Of our own, outside the range that JSON-RPC reserves; the same numbers as in HTTP.
    pub(crate) const TOO_MANY: i32 = 429;
    pub(crate) const UNAVAILABLE: i32 = 503;
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
    /// The id of a session that has just been opened.
    pub(crate) session: Option<Box<str>>,
    /// When to ask again, in seconds, after too many requests.
    pub(crate) retry_after_s: Option<u64>,
    /// The headers of the request, and then the memory for those of the answer.
    pub(crate) request: Option<Box<HeaderMap>>,
    /// The code of JSON-RPC, of an error.
    pub(crate) error: Option<i32>,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Challenge {
    pub(crate) error: Option<&'static str>,
    /// All scopes of the operation, separated by spaces.
    pub(crate) scope: String,
}

impl Reply {
    fn new(status: u16, body: Vec<u8>) -> Self {
        Self {
            status,
            body,
            challenge: None,
            session: None,
            retry_after_s: None,
            request: None,
            error: None,
        }
    }

    pub(crate) fn accepted() -> Self {
        Self::new(202, Vec::new())
    }

    /// A message that could not be read far enough to know its id.
    pub(crate) fn malformed(code: i32, message: &str) -> Self {
        let body = json!({ "jsonrpc": "2.0", "error": { "code": code, "message": message } });
        let mut reply = Self::new(400, body.to_string().into_bytes());
        reply.error = Some(code);
        reply
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
        let mut reply = Self::new(status, body);
        reply.error = Some(code);
        reply
    }

    /// A result that is JSON already.
    pub(crate) fn result(id: &Id<'_>, json: &[u8]) -> Self {
        Self::result_in_pieces(id, &[json])
    }

    /// The same, of several pieces one after the other.
    pub(crate) fn result_in_pieces(id: &Id<'_>, json: &[&[u8]]) -> Self {
        let length: usize = json.iter().map(|piece| piece.len()).sum();
        let mut body = begin(id, length + 64);
        body.extend_from_slice(b"\"result\":");
        for piece in json {
            body.extend_from_slice(piece);
        }
        body.push(b'}');
        Self::new(200, body)
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
            Outcome::Reply {
                content,
                structured,
            } => self.write(id, &structured, false, |body| {
                body.extend_from_slice(content.as_bytes());
            }),
            Outcome::Error(error) => self.error(id, &error),
            Outcome::Refused(refusal) => self.refusal(id, &refusal),
            Outcome::Blob(_) | Outcome::Messages(_) | Outcome::Ask(..) => {
                self.misplaced(id, "a tool returned what only a resource or a prompt may")
            }
        }
    }

    /// The messages of a prompt.
    pub(crate) fn prompt(
        &self,
        id: &Id<'_>,
        description: &str,
        shape: Shape,
        outcome: Outcome,
    ) -> Reply {
        let messages = match outcome {
            Outcome::Messages(messages) => Value::Array(messages.0),
            Outcome::Value(json) => {
                let text = serde_json::from_str::<String>(&json)
                    .ok()
                    .filter(|_| shape == Shape::Text);
                json!([{ "role": "user", "content": { "type": "text", "text": text.unwrap_or(json) } }])
            }
            other => return self.not_contents(id, other, None),
        };
        let result = json!({ "description": description, "messages": messages });
        self.finish(id, &result, None)
    }

    /// The contents of a resource.
    pub(crate) fn contents(
        &self,
        id: &Id<'_>,
        uri: &str,
        resource: &BoundResource,
        outcome: Outcome,
    ) -> Reply {
        let BoundResource {
            resource,
            bound,
            meta,
            ..
        } = resource;
        let (public, shape) = (bound.policy.is_public(), bound.shape);
        let mime = resource_set::mime(resource, bound);
        let mut entry = json!({ "uri": uri });
        if let Some(mime) = mime {
            entry["mimeType"] = json!(mime);
        }
        match outcome {
            Outcome::Blob(bytes) => entry["blob"] = json!(STANDARD.encode(bytes)),
            Outcome::Value(json) => {
                let text = serde_json::from_str::<String>(&json)
                    .ok()
                    .filter(|_| shape == Shape::Text);
                entry["text"] = json!(text.unwrap_or(json));
            }
            other => return self.not_contents(id, other, Some(uri)),
        }
        if let Some(meta) = meta {
            entry["_meta"] = meta.clone();
        }
        let scope = if public { "public" } else { "private" };
        self.finish(id, &json!({ "contents": [entry] }), Some((0, scope)))
    }

    /// A result of an object, with what the revision adds to it.
    pub(crate) fn finish(&self, id: &Id<'_>, result: &Value, cache: Option<(u32, &str)>) -> Reply {
        let mut text = result.to_string();
        if self.modern {
            text.pop();
            let cache = cache.map_or(String::new(), |(ttl, scope)| {
                format!(",\"ttlMs\":{ttl},\"cacheScope\":\"{scope}\"")
            });
            let separator = if text.len() > 1 { "," } else { "" };
            text += &format!("{separator}\"resultType\":\"complete\"{cache},");
            text += std::str::from_utf8(self.meta).unwrap_or_default();
            text.push('}');
        }
        Reply::result(id, text.as_bytes())
    }

    /// Open questions, in the only form in which they reach a client of this revision.
    pub(crate) fn ask(
        &self,
        id: &Id<'_>,
        questions: &Map<String, Value>,
        state: Option<String>,
    ) -> Reply {
        let mut result = json!({ "resultType": "input_required", "inputRequests": questions });
        if let Some(state) = state {
            result["requestState"] = json!(state);
        }
        let mut text = result.to_string();
        text.pop();
        text.push(',');
        text += std::str::from_utf8(self.meta).unwrap_or_default();
        text.push('}');
        Reply::result(id, text.as_bytes())
    }

    /// Prompts and resources have no form for a failure but the error of JSON-RPC.
    fn not_contents(&self, id: &Id<'_>, outcome: Outcome, uri: Option<&str>) -> Reply {
        match outcome {
            Outcome::Error(error) => match error.required_capabilities() {
                Some(required) => self.lacks_capability(id, required, &error),
                None => match (uri, error.message()) {
                    (Some(uri), Some(message)) if error.code_str() == NOT_FOUND => {
                        self.absent(id, uri, message)
                    }
                    _ => self.plain_error(id, &error),
                },
            },
            Outcome::Refused(Refusal::InvalidArguments(problems)) if uri.is_some() => {
                tracing::debug!(target: "mcp::call", ?problems, "a URI does not fit its resource");
                self.no_resource(id, uri.unwrap_or_default())
            }
            Outcome::Refused(Refusal::InvalidArguments(problems)) => {
                let said: Vec<String> = problems.iter().map(ToString::to_string).collect();
                let text = format!("Invalid params: {}", said.join("; "));
                Reply::error_with(
                    id,
                    200,
                    code::INVALID_PARAMS,
                    &text,
                    Some(json!({ "problems": problems })),
                )
            }
            Outcome::Refused(refusal) => self.plain_refusal(id, &refusal, uri),
            _ => self.misplaced(id, "a resource or a prompt returned what only a tool may"),
        }
    }

    /// The refusal of a prompt or a resource.
    pub(crate) fn plain_refusal(&self, id: &Id<'_>, refusal: &Refusal, uri: Option<&str>) -> Reply {
        let word = refusal.word();
        match refusal {
            Refusal::Unknown => match uri {
                Some(uri) => self.no_resource(id, uri),
                None => Reply::error(
                    id,
                    200,
                    code::INVALID_PARAMS,
                    "Unknown prompt: `prompts/list` has the names of all that you can get",
                ),
            },
            Refusal::Unauthenticated { scopes } => {
                let mut reply = Reply::error_with(
                    id,
                    401,
                    code::UNAUTHENTICATED,
                    "This needs to know who calls: send an access token",
                    Some(json!({ "code": word, "scopes": scopes })),
                );
                reply.challenge = Some(Challenge {
                    error: None,
                    scope: scopes.join(" "),
                });
                reply
            }
            Refusal::InsufficientScope { scopes } => {
                let mut reply = Reply::error_with(
                    id,
                    403,
                    code::FORBIDDEN,
                    "The access token lacks a scope",
                    Some(json!({ "code": word, "scopes": scopes })),
                );
                reply.challenge = Some(Challenge {
                    error: Some("insufficient_scope"),
                    scope: scopes.join(" "),
                });
                reply
            }
            Refusal::Forbidden => Reply::error_with(
                id,
                200,
                code::INVALID_PARAMS,
                "You are not allowed to read this",
                Some(json!({ "code": word })),
            ),
            Refusal::TooMany(too_many) => self.plain_too_many(id, too_many),
            Refusal::AuditUnavailable => self.plain_unrecorded(id),
            Refusal::TimedOut { seconds } => Reply::error_with(
                id,
                200,
                code::INTERNAL,
                &format!("There was no answer within {seconds} s"),
                Some(json!({ "code": word })),
            ),
            Refusal::ResultTooLarge => Reply::error_with(
                id,
                200,
                code::INTERNAL,
                "The result is larger than 4 MiB",
                Some(json!({ "code": word })),
            ),
            Refusal::Panicked | Refusal::Unserializable(_) | Refusal::InvalidArguments(_) => {
                self.misplaced(id, word)
            }
        }
    }

    pub(crate) fn no_resource(&self, id: &Id<'_>, uri: &str) -> Reply {
        self.absent(id, uri, "Resource not found")
    }

    /// There is nothing behind this URI, for the reason that `message` gives.
    fn absent(&self, id: &Id<'_>, uri: &str, message: &str) -> Reply {
        let code = if self.modern {
            code::INVALID_PARAMS
        } else {
            code::RESOURCE_NOT_FOUND
        };
        let uri: String = uri.chars().take(2048).collect();
        Reply::error_with(id, 200, code, message, Some(json!({ "uri": uri })))
    }

    fn plain_error(&self, id: &Id<'_>, error: &ToolError) -> Reply {
        let request_id = self.call.request_id();
        if let Some(source) = error.source() {
            tracing::warn!(target: "mcp::call", request_id, code = error.code_str(), cause = %source, "a resource or prompt failed");
        }
        match error.message() {
            Some(message) => Reply::error_with(
                id,
                200,
                code::INTERNAL,
                message,
                Some(json!({ "code": error.code_str() })),
            ),
            None => Reply::error(
                id,
                200,
                code::INTERNAL,
                &format!("Internal error, request {request_id}"),
            ),
        }
    }

    fn lacks_capability(&self, id: &Id<'_>, required: &Value, error: &ToolError) -> Reply {
        Reply::error_with(
            id,
            400,
            code::MISSING_CAPABILITY,
            error.message().unwrap_or_default(),
            Some(json!({ "requiredCapabilities": required })),
        )
    }

    fn misplaced(&self, id: &Id<'_>, why: &str) -> Reply {
        let request_id = self.call.request_id();
        tracing::error!(target: "mcp::call", request_id, why, "a call has no answer");
        Reply::error(
            id,
            200,
            code::INTERNAL,
            &format!("Internal error, request {request_id}"),
        )
    }

    fn value(&self, id: &Id<'_>, shape: Shape, json: &str) -> Reply {
        let raw = shape == Shape::Raw;
        if shape == Shape::Nothing || (raw && json == "null") {
            return self.write(id, "", false, |body| body.extend_from_slice(b"[]"));
        }
        let value = shape.structured(json).unwrap_or_default();
        // Clients before 2026-07-28 only know objects.
        let hidden = raw && !self.modern && !json.starts_with('{');
        let structured = if hidden { "" } else { &*value };
        self.write(id, structured, false, |body| {
            body.extend_from_slice(b"[{\"type\":\"text\",\"text\":");
            // The mirror is the same JSON, escaped; of a string, the string itself.
            if shape == Shape::Text || (raw && json.starts_with('"')) {
                body.extend_from_slice(json.as_bytes());
            } else {
                push_json(body, &*value);
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
        self.push_meta(&mut body);
        body.extend_from_slice(b"}}");
        Reply::new(200, body)
    }

    /// Who answers, and where the answer comes from, if it may have been kept.
    fn push_meta(&self, body: &mut Vec<u8>) {
        let Some(origin) = self.call.inner().origin.get() else {
            if self.modern {
                body.push(b',');
                body.extend_from_slice(self.meta);
            }
            return;
        };
        let (hit, age) = (origin.hit, origin.age_ms);
        let origin = format!("\"{RESULT_CACHE}\":{{\"hit\":{hit},\"ageMs\":{age}}}}}");
        match self.meta.strip_suffix(b"}").filter(|_| self.modern) {
            Some(open) => {
                body.push(b',');
                body.extend_from_slice(open);
                body.push(b',');
            }
            None => body.extend_from_slice(b",\"_meta\":{"),
        }
        body.extend_from_slice(origin.as_bytes());
    }

    /// An error that the model is to read: text, and the same in structured form.
    pub(crate) fn failed(&self, id: &Id<'_>, text: &str, structured: &Value) -> Reply {
        self.write(id, &structured.to_string(), true, |body| {
            push_json(body, &json!([{ "type": "text", "text": text }]));
        })
    }

    fn error(&self, id: &Id<'_>, error: &ToolError) -> Reply {
        if let Some(required) = error.required_capabilities()
            && self.modern
        {
            return self.lacks_capability(id, required, error);
        }
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
            Refusal::Unknown => Reply::error(
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
                let (plural, it) = if scopes.len() == 1 {
                    ("", "it")
                } else {
                    ("s", "all of them")
                };
                let scopes_text = scopes.join(" ");
                let text = format!(
                    "This needs the scope{plural} {scopes_text}, and the access token does not have {it}. \
                     Ask for an access token with {scopes_text}."
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
            Refusal::TooMany(too_many) => self.too_many(id, too_many),
            Refusal::AuditUnavailable => self.unrecorded(id),
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

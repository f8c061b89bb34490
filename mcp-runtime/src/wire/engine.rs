//! The engine: from the bytes of one message to the bytes of its answer, for every transport.

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;
use serde_json::{Map, Value, json};

use crate::call::{self, Call};
use crate::caller::Caller;
use crate::clock::Clock;
use crate::error::Refusal;
use crate::json::{Node, Object};
use crate::tool_set::Tools;
use crate::wire::headers::Routing;
use crate::wire::message::{self, Id, Message};
use crate::wire::reply::{Reply, Results, code};
use crate::wire::revision::Revision;

const META_VERSION: &str = "io.modelcontextprotocol/protocolVersion";
const META_CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
const META_LOG_LEVEL: &str = "io.modelcontextprotocol/logLevel";
const LOG_LEVELS: &[&str] = &[
    "debug",
    "info",
    "notice",
    "warning",
    "error",
    "critical",
    "alert",
    "emergency",
];
/// How long a client may keep what `server/discover` says, in milliseconds.
const DISCOVER_TTL_MS: u32 = 60_000;

/// A server, ready to answer. Everything in here is made once.
pub(crate) struct Engine {
    pub(crate) tools: Tools,
    pub(crate) clock: Clock,
    /// `"capabilities":{…},"serverInfo":{…},"instructions":"…"}`, after the protocol version.
    initialize_tail: String,
    discover: Vec<u8>,
    /// `"_meta":{…}`
    meta: Vec<u8>,
}

/// How a server introduces itself.
pub(crate) struct Identity {
    pub(crate) name: String,
    pub(crate) title: Option<String>,
    pub(crate) version: String,
    pub(crate) instructions: Option<String>,
}

/// A request that has been understood: which revision it speaks, and what it wants.
struct Request<'a> {
    id: Id<'a>,
    method: &'a str,
    params: Object<'a>,
    revision: Revision,
}

impl Engine {
    pub(crate) fn new(tools: Tools, clock: Clock, identity: &Identity) -> Self {
        let mut info = Map::new();
        info.insert("name".into(), json!(identity.name));
        if let Some(title) = &identity.title {
            info.insert("title".into(), json!(title));
        }
        info.insert("version".into(), json!(identity.version));
        let info = Value::Object(info);
        // What is advertised is what is served.
        let capabilities = if tools.is_empty() {
            json!({})
        } else {
            json!({ "tools": {} })
        };
        let instructions = identity
            .instructions
            .as_ref()
            .map_or(String::new(), |text| {
                format!(",\"instructions\":{}", json!(text))
            });
        let meta = format!("\"_meta\":{{\"io.modelcontextprotocol/serverInfo\":{info}}}");
        let versions: Vec<&str> = Revision::ALL
            .iter()
            .map(|revision| revision.as_str())
            .collect();
        let discover = format!(
            "{{\"resultType\":\"complete\",\"supportedVersions\":{},\"capabilities\":{capabilities}{instructions},\
             \"ttlMs\":{DISCOVER_TTL_MS},\"cacheScope\":\"public\",{meta}}}",
            json!(versions)
        );
        Self {
            tools,
            clock,
            initialize_tail: format!(
                "\"capabilities\":{capabilities},\"serverInfo\":{info}{instructions}}}"
            ),
            discover: discover.into_bytes(),
            meta: meta.into_bytes(),
        }
    }

    /// Answers one message. `headers` are those of HTTP; other transports have none.
    pub(crate) async fn handle(
        &self,
        bytes: &Bytes,
        headers: Option<&HeaderMap>,
        caller: Arc<Caller>,
    ) -> Reply {
        match message::read(bytes) {
            Ok(Message::Request { id, method, params }) => {
                match self.understand(id, &method, params, headers) {
                    Ok(request) => self.dispatch(request, bytes, caller).await,
                    Err(reply) => reply,
                }
            }
            Ok(Message::Notification { .. }) => Reply::accepted(),
            Err(reply) => reply,
        }
    }

    /// Which revision a request speaks, and whether it says so as the revision demands.
    fn understand<'a>(
        &self,
        id: Id<'a>,
        method: &'a str,
        params: Object<'a>,
        headers: Option<&HeaderMap>,
    ) -> Result<Request<'a>, Reply> {
        let routing = headers.map(Routing);
        let meta = match params.get("_meta") {
            None => None,
            Some(Node::Object(meta)) => Some(meta),
            Some(_) => return Err(invalid_params(&id, 400, "`_meta` must be an object")),
        };
        let in_body = meta.and_then(|meta| meta.get(META_VERSION));
        let mismatch = |why: String| {
            Reply::error(
                &id,
                400,
                code::HEADER_MISMATCH,
                &format!("Header mismatch: {why}"),
            )
        };
        let in_header = match &routing {
            Some(routing) => routing.version().map_err(mismatch)?,
            None => None,
        };
        let revision = match (in_body, in_header) {
            // `initialize` is how a client of the earlier revisions starts, whatever its headers say.
            (None, _) if method == "initialize" => Revision::LATEST_WITH_INITIALIZE,
            (None, None) if method == "server/discover" => {
                return Err(invalid_params(
                    &id,
                    400,
                    &format!("`_meta` needs `{META_VERSION}` and `{META_CAPABILITIES}`"),
                ));
            }
            (None, None) => Revision::V2025_03_26,
            (None, Some(version)) => {
                let revision = Revision::parse(version).ok_or_else(|| unsupported(&id, version))?;
                if revision.is_modern() {
                    return Err(invalid_params(
                        &id,
                        400,
                        &format!("`_meta` needs `{META_VERSION}`"),
                    ));
                }
                return Ok(Request {
                    id,
                    method,
                    params,
                    revision,
                });
            }
            (Some(version), in_header) => {
                let Some(version) = version.as_str() else {
                    return Err(invalid_params(
                        &id,
                        400,
                        &format!("`{META_VERSION}` must be a string"),
                    ));
                };
                match in_header {
                    None if routing.is_some() => {
                        return Err(mismatch(
                            "the header MCP-Protocol-Version is missing".into(),
                        ));
                    }
                    Some(header) if header != version => {
                        return Err(mismatch(
                            "the header MCP-Protocol-Version differs from the body".into(),
                        ));
                    }
                    _ => {}
                }
                Revision::parse(version).ok_or_else(|| unsupported(&id, version))?
            }
        };
        if revision.is_modern() {
            if let Some(routing) = &routing {
                let name = (method == "tools/call")
                    .then(|| params.get("name").and_then(Node::as_str))
                    .flatten();
                routing.matches(method, name).map_err(mismatch)?;
            }
            check_meta(&id, meta)?;
        }
        Ok(Request {
            id,
            method,
            params,
            revision,
        })
    }

    async fn dispatch(&self, request: Request<'_>, bytes: &Bytes, caller: Arc<Caller>) -> Reply {
        let modern = request.revision.is_modern();
        match request.method {
            "tools/call" if !self.tools.is_empty() => self.call_tool(request, bytes, caller).await,
            "tools/list" if !self.tools.is_empty() => self.list_tools(&request, &caller),
            "server/discover" if modern => Reply::result(&request.id, &self.discover),
            "initialize" if !modern => self.initialize(&request),
            "ping" if !modern => Reply::result(&request.id, b"{}"),
            _ => {
                let status = if modern { 404 } else { 200 };
                Reply::error(
                    &request.id,
                    status,
                    code::METHOD_NOT_FOUND,
                    "Method not found: this server does not offer it at this protocol version",
                )
            }
        }
    }

    fn initialize(&self, request: &Request<'_>) -> Reply {
        let Some(wanted) = request.params.get("protocolVersion").and_then(Node::as_str) else {
            return invalid_params(&request.id, 200, "`protocolVersion` must be a string");
        };
        let revision = Revision::parse(wanted)
            .filter(|revision| !revision.is_modern())
            .unwrap_or(Revision::LATEST_WITH_INITIALIZE);
        let result = format!(
            "{{\"protocolVersion\":\"{}\",{}",
            revision.as_str(),
            self.initialize_tail
        );
        Reply::result(&request.id, result.as_bytes())
    }

    fn list_tools(&self, request: &Request<'_>, caller: &Caller) -> Reply {
        let cursor = match request.params.get("cursor") {
            None | Some(Node::Null) => None,
            Some(Node::String(cursor)) => Some(&**cursor),
            Some(_) => return invalid_params(&request.id, 200, "`cursor` must be a string"),
        };
        let pages = self.tools.listing(caller);
        let Some(page) = pages.page(cursor) else {
            return invalid_params(
                &request.id,
                200,
                "`cursor` is not one of this list: begin again without it",
            );
        };
        if request.revision.is_modern() {
            let mut reply = Reply::result(&request.id, &page.modern);
            // The page is open at its end, and so is the message: identity, then both braces.
            reply.body.pop();
            reply.body.extend_from_slice(&self.meta);
            reply.body.extend_from_slice(b"}}");
            reply
        } else {
            Reply::result(&request.id, &page.legacy)
        }
    }

    async fn call_tool(
        &self,
        mut request: Request<'_>,
        bytes: &Bytes,
        caller: Arc<Caller>,
    ) -> Reply {
        let arguments = match request.params.take("arguments") {
            None | Some(Node::Null) => Object::default(),
            Some(Node::Object(arguments)) => arguments,
            Some(_) => return invalid_params(&request.id, 200, "`arguments` must be an object"),
        };
        let Some(name) = request.params.get("name").and_then(Node::as_str) else {
            return invalid_params(&request.id, 200, "`name` must be the name of a tool");
        };
        let call = Call::new(caller, self.clock.clone(), bytes.clone());
        let results = Results {
            modern: request.revision.is_modern(),
            meta: &self.meta,
            call: &call,
        };
        match call::answer(&self.tools, name, arguments, &call).await {
            Ok((shape, outcome)) => results.outcome(&request.id, shape, outcome),
            Err(refusal) => {
                if !matches!(refusal, Refusal::UnknownTool) {
                    tracing::info!(target: "mcp::call", request_id = call.request_id(), tool = name, caller = %call.caller(), outcome = refusal.word(), "call refused");
                }
                results.refusal(&request.id, &refusal)
            }
        }
    }
}

/// What the `_meta` of a request has to say since 2026-07-28, apart from the version.
fn check_meta(id: &Id<'_>, meta: Option<&Object<'_>>) -> Result<(), Reply> {
    let member = |name| meta.and_then(|meta| meta.get(name));
    if member(META_CAPABILITIES)
        .and_then(Node::as_object)
        .is_none()
    {
        return Err(invalid_params(
            id,
            400,
            &format!("`_meta` needs the object `{META_CAPABILITIES}`"),
        ));
    }
    match member(META_LOG_LEVEL) {
        None => Ok(()),
        Some(level)
            if level
                .as_str()
                .is_some_and(|level| LOG_LEVELS.contains(&level)) =>
        {
            Ok(())
        }
        Some(_) => Err(invalid_params(
            id,
            400,
            &format!(
                "`{META_LOG_LEVEL}` must be one of {}",
                LOG_LEVELS.join(", ")
            ),
        )),
    }
}

fn invalid_params(id: &Id<'_>, status: u16, why: &str) -> Reply {
    Reply::error(
        id,
        status,
        code::INVALID_PARAMS,
        &format!("Invalid params: {why}"),
    )
}

fn unsupported(id: &Id<'_>, requested: &str) -> Reply {
    let supported: Vec<&str> = Revision::ALL
        .iter()
        .map(|revision| revision.as_str())
        .collect();
    let requested: String = requested
        .chars()
        .filter(|c| !c.is_control())
        .take(64)
        .collect();
    Reply::error_with(
        id,
        400,
        code::UNSUPPORTED_VERSION,
        "Unsupported protocol version",
        Some(json!({ "supported": supported, "requested": requested })),
    )
}

//! The engine: from the bytes of one message to the bytes of its answer, for every transport.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;
use serde_json::{Map, Value, json};

use crate::audit::AuditLog;
use crate::caller::Caller;
use crate::changes::{Changes, Offered};
use crate::client::{Client, LogLevel, Reach};
use crate::clock::Clock;
use crate::icon::{self, Icons};
use crate::instances::Instances;
use crate::json::{Node, Object};
use crate::limits::Shared;
use crate::metrics::{Figures, InFlight};
use crate::outbox::Outbox;
use crate::policy::Lists;
use crate::resource_set::{Prompts, Resources};
use crate::result_cache::ResultCache;
use crate::rounds::Seal;
use crate::session::{NoSession, Session, Sessions};
use crate::skills::BoundSkills;
use crate::tasks::{TaskLimits, Tasks};
use crate::tool_set::Tools;
use crate::trace_context::{TRACEPARENT, TraceContext};
use crate::ui;
use crate::wire::batch;
use crate::wire::headers::Routing;
use crate::wire::list::Pages;
use crate::wire::message::{self, Id, Message};
use crate::wire::meta::Meta;
use crate::wire::reply::{Reply, code};
use crate::wire::request_log::{self, RequestLog};
use crate::wire::revision::Revision;
use crate::wire::tasks;
pub(crate) use crate::wire::watch::Watch;

const META_VERSION: &str = "io.modelcontextprotocol/protocolVersion";
const META_CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
/// The extension of skills.
const SKILLS: &str = "io.modelcontextprotocol/skills";
const META_LOG_LEVEL: &str = "io.modelcontextprotocol/logLevel";
/// How long a client may keep what `server/discover` says, in milliseconds.
const DISCOVER_TTL_MS: u32 = 60_000;

/// A server, ready to answer. Everything in here is made once.
pub(crate) struct Engine {
    pub(crate) tools: Arc<Tools>,
    pub(crate) resources: Arc<Resources>,
    pub(crate) prompts: Arc<Prompts>,
    pub(crate) skills: BoundSkills,
    pub(crate) clock: Clock,
    pub(crate) changes: Changes,
    pub(crate) sessions: Sessions,
    pub(crate) instances: Instances,
    /// There when a tool may become one.
    pub(crate) tasks: Option<Arc<Tasks>>,
    pub(crate) seal: Seal,
    pub(crate) modes: Modes,
    pub(crate) limits: Option<Arc<Shared>>,
    /// Whether some tools have others.
    pub(crate) own_limits: bool,
    pub(crate) audit: Option<AuditLog>,
    pub(crate) figures: Option<Arc<Figures>>,
    /// There when answers of a tool are kept.
    pub(crate) result_cache: Option<Arc<ResultCache>>,
    /// `"capabilities":{…},"serverInfo":{…},"instructions":"…"}`, after the protocol version.
    initialize_tail: String,
    /// The same for a client without a session, whom nobody could tell what it subscribes to.
    initialize_tail_alone: String,
    discover: Vec<u8>,
    /// `"_meta":{…}`
    pub(crate) meta: Vec<u8>,
}

/// What a server has to offer.
pub(crate) struct Offers {
    pub(crate) tools: Tools,
    pub(crate) resources: Resources,
    pub(crate) prompts: Prompts,
    pub(crate) skills: BoundSkills,
    /// Whether any of them is an app, or has one.
    pub(crate) apps: bool,
}

/// How an engine is to answer, whatever it has to offer.
pub(crate) struct Settings {
    pub(crate) modes: Modes,
    pub(crate) sessions: Sessions,
    pub(crate) instances: Instances,
    pub(crate) tasks: TaskLimits,
    pub(crate) watch: Watch,
    pub(crate) seal: Seal,
    pub(crate) changes: Changes,
}

/// How a server treats the earlier revisions.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Modes {
    pub(crate) sessions: SessionMode,
    /// Whether clients may ask for log messages.
    pub(crate) logging: bool,
    /// Whether `shutdown`, which is no method of MCP, ends a session.
    pub(crate) shutdown: bool,
    /// What lists hold.
    pub(crate) lists: Lists,
}

/// When a client of the earlier revisions gets a session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SessionMode {
    /// When it can be asked something: it declared sampling, elicitation or roots.
    #[default]
    Auto,
    /// Never: every request stands for itself, and any instance can answer it.
    Stateless,
    /// Always.
    Stateful,
}

/// How a server introduces itself.
pub(crate) struct Identity {
    pub(crate) name: String,
    pub(crate) title: Option<String>,
    pub(crate) version: String,
    pub(crate) instructions: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) website: Option<String>,
    pub(crate) icons: Icons,
}

/// Where a message comes from, and what can be sent back besides its answer.
pub(crate) struct Link {
    pub(crate) caller: Arc<Caller>,
    pub(crate) outbox: Arc<Outbox>,
    /// Whether the client reads the outbox while it waits for the answer.
    pub(crate) streams: bool,
    pub(crate) session: Option<Arc<Session>>,
    /// Where `initialize` opens a session: over HTTP, among the others of the server.
    pub(crate) opens_sessions: bool,
    /// Where the client is, where that is known and somebody wants to know it.
    pub(crate) address: Option<IpAddr>,
    /// The span of the client, where a head names it.
    pub(crate) trace: Option<TraceContext>,
}

/// A request that has been understood: which revision it speaks, and what it wants.
pub(crate) struct Request<'a> {
    pub(crate) id: Id<'a>,
    pub(crate) method: &'a str,
    /// Without `_meta`.
    pub(crate) params: Object<'a>,
    pub(crate) meta: Meta<'a>,
    pub(crate) revision: Revision,
    /// The headers that repeat the body, where a revision demands that they agree.
    pub(crate) routing: Option<Routing<'a>>,
    /// The span of the client that this belongs to.
    pub(crate) trace: Option<TraceContext>,
}

impl Engine {
    pub(crate) fn new(
        offers: Offers,
        clock: Clock,
        identity: &Identity,
        settings: Settings,
    ) -> Self {
        let Offers {
            tools,
            resources,
            prompts,
            skills,
            apps,
        } = offers;
        let Settings {
            modes,
            sessions,
            instances,
            tasks: task_limits,
            watch,
            seal,
            changes,
        } = settings;
        changes.share(instances.voice());
        let mut info = Map::new();
        info.insert("name".into(), json!(identity.name));
        if let Some(title) = &identity.title {
            info.insert("title".into(), json!(title));
        }
        info.insert("version".into(), json!(identity.version));
        let known = Value::Object(info.clone());
        if let Some(text) = &identity.description {
            info.insert("description".into(), json!(text));
        }
        if let Some(url) = &identity.website {
            info.insert("websiteUrl".into(), json!(url));
        }
        if let Some(icons) = icon::json(&identity.icons) {
            info.insert("icons".into(), icons);
        }
        let info = Value::Object(info);
        // What is advertised is what is served.
        let mut capabilities = Map::new();
        if !tools.is_empty() {
            capabilities.insert("tools".into(), json!({ "listChanged": true }));
        }
        if !resources.is_empty() || !skills.is_empty() {
            capabilities.insert(
                "resources".into(),
                json!({ "listChanged": true, "subscribe": true }),
            );
        }
        if !prompts.is_empty() {
            capabilities.insert("prompts".into(), json!({ "listChanged": true }));
        }
        if resources.completes() || prompts.completes() {
            capabilities.insert("completions".into(), json!({}));
        }
        if modes.logging {
            capabilities.insert("logging".into(), json!({}));
        }
        let mut extensions = Map::new();
        if apps {
            extensions.insert(ui::EXTENSION.into(), json!({}));
            capabilities.insert("extensions".into(), json!(extensions));
        }
        let legacy_capabilities = Value::Object(capabilities.clone());
        let mut alone = legacy_capabilities.clone();
        if let Some(resources) = alone.get_mut("resources").and_then(Value::as_object_mut) {
            resources.remove("subscribe");
        }
        // Skills and tasks build on what there is since 2026-07-28, which clients that initialize
        // never see; to those, skills are resources.
        if !skills.is_empty() {
            extensions.insert(SKILLS.into(), json!({ "directoryRead": true }));
        }
        if tools.have_tasks() {
            extensions.insert(tasks::EXTENSION.into(), json!({}));
        }
        if !extensions.is_empty() {
            capabilities.insert("extensions".into(), Value::Object(extensions));
        }
        let capabilities = Value::Object(capabilities);
        let instructions = identity
            .instructions
            .as_ref()
            .map_or(String::new(), |text| {
                format!(",\"instructions\":{}", json!(text))
            });
        let tail = |capabilities: &Value| {
            format!("\"capabilities\":{capabilities},\"serverInfo\":{info}{instructions}}}")
        };
        // Who it was is enough for every answer; who it is stands where clients look for it.
        let [meta, full_meta] = [&known, &info]
            .map(|info| format!("\"_meta\":{{\"io.modelcontextprotocol/serverInfo\":{info}}}"));
        let versions: Vec<&str> = Revision::ALL
            .iter()
            .map(|revision| revision.as_str())
            .collect();
        let discover = format!(
            "{{\"resultType\":\"complete\",\"supportedVersions\":{},\"capabilities\":{capabilities}{instructions},\
             \"ttlMs\":{DISCOVER_TTL_MS},\"cacheScope\":\"public\",{full_meta}}}",
            json!(versions)
        );
        let tasks = tools.have_tasks().then(|| {
            let meta = meta.clone().into_bytes();
            let figures = watch.figures.clone();
            Arc::new(Tasks::new(
                task_limits,
                clock.clone(),
                changes.clone(),
                meta,
                figures,
            ))
        });
        let (tools, resources, prompts) = (Arc::new(tools), Arc::new(resources), Arc::new(prompts));
        changes.offer(Offered {
            tools: Arc::clone(&tools),
            resources: Arc::clone(&resources),
            prompts: Arc::clone(&prompts),
            lists: modes.lists,
        });
        Self {
            tools,
            resources,
            prompts,
            skills,
            clock,
            changes,
            sessions,
            instances,
            tasks,
            seal,
            modes,
            limits: watch.limits,
            own_limits: watch.own_limits,
            audit: watch.audit,
            figures: watch.figures,
            result_cache: watch.cache,
            initialize_tail: tail(&legacy_capabilities),
            initialize_tail_alone: tail(&alone),
            discover: discover.into_bytes(),
            meta: meta.into_bytes(),
        }
    }

    /// The server stops: tasks and subscriptions end.
    pub(crate) fn close(&self) {
        if let Some(tasks) = &self.tasks {
            tasks.close();
        }
        self.changes.close();
    }

    /// Answers one message. `headers` are those of HTTP; other transports have none.
    pub(crate) async fn handle(
        &self,
        bytes: &Bytes,
        headers: Option<&HeaderMap>,
        link: &Link,
    ) -> Reply {
        let reply = if batch::is_array(bytes) {
            // Boxed, so that what is rare does not make every other call larger.
            Box::pin(self.handle_array(bytes, headers, link)).await
        } else {
            self.handle_one(bytes, headers, link).await
        };
        if let (Some(figures), Some(code)) = (&self.figures, reply.error) {
            figures.error(code);
        }
        reply
    }

    async fn handle_one(&self, bytes: &Bytes, headers: Option<&HeaderMap>, link: &Link) -> Reply {
        match message::read(bytes) {
            Ok(Message::Request {
                id,
                method,
                params,
                meta,
            }) => match self.understand(id, &method, params, meta, headers) {
                Ok(mut request) => self.answer(&mut request, bytes, link).await,
                Err(reply) => reply,
            },
            Ok(Message::Notification { method, params }) => hear(&method, &params, link),
            Ok(Message::Response { id, answer }) => answered(id, answer, link).await,
            Err(reply) => reply,
        }
    }

    /// Answers a request, unless its client cancels it. The request is lent all the way down: each
    /// future on that way that owned it would hold it twice.
    pub(super) async fn answer(
        &self,
        request: &mut Request<'_>,
        bytes: &Bytes,
        link: &Link,
    ) -> Reply {
        request.trace = request.trace.or(link.trace);
        let log = RequestLog::begin(request);
        let figures = self.figures.as_deref();
        let _in_flight =
            figures.map(|figures| InFlight::begin(figures, request.method, request.revision));
        let reply = self.unless_cancelled(request, bytes, link).await;
        log.end(&reply);
        reply
    }

    async fn unless_cancelled(
        &self,
        request: &mut Request<'_>,
        bytes: &Bytes,
        link: &Link,
    ) -> Reply {
        match &link.session {
            Some(session) if !request.revision.is_modern() && is_slow(request.method) => {
                let running = session.begin(&request.id);
                let token = running.token.clone();
                let reply = tokio::select! {
                    biased;
                    reply = self.dispatch(request, bytes, link) => reply,
                    // The client does not want to hear of it any more.
                    () = token.cancelled() => Reply::accepted(),
                    never = self.sessions.in_use(session) => match never {},
                };
                self.sessions.used(session);
                reply
            }
            None if self.needs_session(request, link) => Reply::error(
                &request.id,
                400,
                code::INVALID_REQUEST,
                "Invalid request: send the Mcp-Session-Id that `initialize` gave you",
            ),
            _ => self.dispatch(request, bytes, link).await,
        }
    }

    /// Whether a request over HTTP has no session where every client of its revision has one.
    fn needs_session(&self, request: &Request<'_>, link: &Link) -> bool {
        self.modes.sessions == SessionMode::Stateful
            && link.opens_sessions
            && !request.revision.is_modern()
            && !matches!(request.method, "initialize" | "ping")
    }

    /// Which revision a request speaks, and whether it says so as the revision demands.
    pub(super) fn understand<'a>(
        &self,
        id: Id<'a>,
        method: &'a str,
        params: Object<'a>,
        meta: Meta<'a>,
        headers: Option<&'a HeaderMap>,
    ) -> Result<Request<'a>, Reply> {
        let routing = headers.map(Routing);
        if meta.node().is_some() && meta.object().is_none() {
            return Err(invalid_params(&id, 400, "`_meta` must be an object"));
        }
        let in_body = meta.get(META_VERSION);
        let trace = meta
            .get(TRACEPARENT)
            .and_then(Node::as_str)
            .and_then(TraceContext::parse);
        let mismatch = |why: String| header_mismatch(&id, &why);
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
                    meta,
                    revision,
                    routing: None,
                    trace,
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
                let name = match method {
                    "tools/call" | "prompts/get" => params.get("name"),
                    "resources/read" => params.get("uri"),
                    "tasks/get" | "tasks/update" | "tasks/cancel" if self.tasks.is_some() => {
                        params.get("taskId")
                    }
                    _ => None,
                };
                routing
                    .matches(method, name.and_then(Node::as_str))
                    .map_err(mismatch)?;
            }
            check_meta(&id, &meta)?;
        }
        let routing = routing.filter(|_| revision.is_modern());
        Ok(Request {
            id,
            method,
            params,
            meta,
            revision,
            routing,
            trace,
        })
    }

    async fn dispatch(&self, request: &mut Request<'_>, bytes: &Bytes, link: &Link) -> Reply {
        if let Err(reply) = self.admit(request, link).await {
            return reply;
        }
        let modern = request.revision.is_modern();
        let caller = &link.caller;
        let (tools, skills) = (!self.tools.is_empty(), !self.skills.is_empty());
        let resources = skills || !self.resources.is_empty();
        let prompts = !self.prompts.is_empty();
        match request.method {
            "tools/call" if tools => self.call_tool(request, bytes, link).await,
            "tools/list" if tools => self.list(request, &self.tools.pages(caller)),
            "resources/read" if resources => self.read_resource(request, bytes, link).await,
            "resources/list" if resources => self.list(request, &self.resources.pages(caller)),
            "resources/templates/list" if resources => {
                self.list(request, &self.resources.template_pages(caller))
            }
            "skills/list" if modern && skills => self.list(request, &self.skills.pages(caller)),
            "skills/get" if modern && skills => self.get_skill(request, bytes, link),
            "resources/directory/read" if modern && skills => {
                self.read_directory(request, bytes, link)
            }
            "prompts/get" if prompts => self.get_prompt(request, bytes, link).await,
            "prompts/list" if prompts => self.list(request, &self.prompts.pages(caller)),
            "completion/complete" if self.resources.completes() || self.prompts.completes() => {
                self.complete(request, link).await
            }
            "server/discover" if modern => Reply::result(&request.id, &self.discover),
            "subscriptions/listen" if modern => Box::pin(self.listen(request, link)).await,
            // In boxes, so that what is rare does not make every other call larger.
            "tasks/get" if modern && self.tasks.is_some() => {
                Box::pin(self.get_task(request, link)).await
            }
            "tasks/update" if modern && self.tasks.is_some() => {
                Box::pin(self.update_task(request, link)).await
            }
            "tasks/cancel" if modern && self.tasks.is_some() => {
                Box::pin(self.cancel_task(request, link)).await
            }
            "initialize" if !modern => self.initialize(request, link).await,
            "ping" if !modern => Reply::result(&request.id, b"{}"),
            "shutdown" if !modern && self.modes.shutdown => self.shut_down(request, link).await,
            "logging/setLevel" if !modern && self.modes.logging => set_level(request, link).await,
            "resources/subscribe" if !modern && resources => {
                self.subscribe(request, link, true).await
            }
            "resources/unsubscribe" if !modern && resources => {
                self.subscribe(request, link, false).await
            }
            _ => Reply::error(
                &request.id,
                if modern { 404 } else { 200 },
                code::METHOD_NOT_FOUND,
                "Method not found: this server does not offer it at this protocol version",
            ),
        }
    }

    async fn initialize(&self, request: &Request<'_>, link: &Link) -> Reply {
        let Some(wanted) = request.params.get("protocolVersion").and_then(Node::as_str) else {
            return invalid_params(&request.id, 200, "`protocolVersion` must be a string");
        };
        let revision = Revision::parse(wanted)
            .filter(|revision| !revision.is_modern())
            .unwrap_or(Revision::LATEST_WITH_INITIALIZE);
        let client = request
            .params
            .get("capabilities")
            .and_then(Node::as_object)
            .map(Client::declared);
        let client = client.unwrap_or_default();
        let wants_session = match self.modes.sessions {
            SessionMode::Auto => client.has_back_channel(),
            SessionMode::Stateless => false,
            SessionMode::Stateful => true,
        };
        let mut opened = None;
        if link.opens_sessions && wants_session {
            match self
                .sessions
                .open(&link.caller, client, Some(revision))
                .await
            {
                Ok(session) => opened = Some((*session.id).into()),
                // Better served without a back-channel than not at all.
                Err(NoSession::TooMany) if self.modes.sessions == SessionMode::Auto => {
                    tracing::warn!(target: "mcp::session", "too many sessions: served without one");
                }
                Err(error) => return without_session(&request.id, error),
            }
        } else if let Some(session) = &link.session {
            session.introduce(client, revision);
        }
        let tail = match opened.is_some() || link.session.is_some() {
            true => &self.initialize_tail,
            false => &self.initialize_tail_alone,
        };
        let result = format!("{{\"protocolVersion\":\"{}\",{tail}", revision.as_str());
        let mut reply = Reply::result(&request.id, result.as_bytes());
        reply.session = opened;
        reply
    }

    /// Ends the session after the answer: that of HTTP is gone, a connection closes.
    async fn shut_down(&self, request: &Request<'_>, link: &Link) -> Reply {
        if let Some(session) = &link.session {
            if link.opens_sessions
                && let Err(error) = self.sessions.close(&session.id, &link.caller).await
            {
                return without_session(&request.id, error);
            }
            session.conclude();
        }
        Reply::result(&request.id, b"{}")
    }

    pub(crate) fn list(&self, request: &Request<'_>, pages: &Pages) -> Reply {
        let cursor = match request.params.get("cursor") {
            None | Some(Node::Null) => None,
            Some(Node::String(cursor)) => Some(&**cursor),
            Some(_) => return invalid_params(&request.id, 200, "`cursor` must be a string"),
        };
        let Some(page) = pages.page(cursor) else {
            return invalid_params(
                &request.id,
                200,
                "`cursor` is not one of this list: begin again without it",
            );
        };
        let reply = if request.revision.is_modern() {
            // The page is open at its end: identity, then its brace.
            Reply::result_in_pieces(&request.id, &[&page.modern, &self.meta, b"}"])
        } else {
            Reply::result(&request.id, &page.legacy)
        };
        request_log::listed(request, &reply);
        reply
    }

    /// What is known of the client of a request, and how it can be reached while it waits.
    pub(crate) fn reach(&self, request: &Request<'_>, link: &Link) -> Reach {
        let meta = &request.meta;
        let progress_token = meta.get("progressToken").and_then(|token| match token {
            Node::String(text) if text.len() <= 1024 => Some(json!(text).to_string()),
            Node::Number(number) => Some(number.to_string()),
            _ => None,
        });
        let client = if request.revision.is_modern() {
            let capabilities = meta.get(META_CAPABILITIES).and_then(Node::as_object);
            let mut client = capabilities.map(Client::declared).unwrap_or_default();
            let level = meta.get(META_LOG_LEVEL).and_then(Node::as_str);
            client.log_level = level.and_then(LogLevel::parse);
            client
        } else {
            link.session
                .as_ref()
                .map(|session| session.client())
                .unwrap_or_default()
        };
        Reach {
            revision: request.revision,
            client,
            progress_token,
            address: link.address,
            trace: request.trace,
            has_status: link.opens_sessions && link.session.is_none(),
        }
    }
}

/// Takes a notification.
pub(super) fn hear(method: &str, params: &Object<'_>, link: &Link) -> Reply {
    if let (Some(session), "notifications/cancelled") = (&link.session, method)
        && let Some(id) = params.get("requestId").cloned().and_then(message::read_id)
    {
        session.cancel(&id.into_owned());
    }
    if let (Some(session), "notifications/initialized") = (&link.session, method) {
        tracing::info!(target: "mcp::session", event = "mcp_session_initialized", session_id = session.shown(), caller = %link.caller, "session initialized");
    }
    Reply::accepted()
}

/// Takes the answer to a question of ours.
pub(super) async fn answered(id: u64, answer: Result<Value, Value>, link: &Link) -> Reply {
    match &link.session {
        Some(session) => match session.answered(id, answer).await {
            Ok(()) => Reply::accepted(),
            Err(error) => no_session(error),
        },
        None => Reply::malformed(
            code::INVALID_REQUEST,
            "Invalid request: nothing was asked here, so there is nothing to answer",
        ),
    }
}

/// Requests that run the code of others.
fn is_slow(method: &str) -> bool {
    matches!(
        method,
        "tools/call" | "resources/read" | "prompts/get" | "completion/complete"
    )
}

async fn set_level(request: &Request<'_>, link: &Link) -> Reply {
    let level = request
        .params
        .get("level")
        .and_then(Node::as_str)
        .and_then(LogLevel::parse);
    match (level, &link.session) {
        (None, _) => invalid_params(
            &request.id,
            200,
            &format!("`level` must be one of {}", LogLevel::NAMES.join(", ")),
        ),
        (Some(level), session) => {
            if let Some(session) = session
                && let Err(error) = session.set_log_level(level).await
            {
                return without_session(&request.id, error);
            }
            Reply::result(&request.id, b"{}")
        }
    }
}

/// What the `_meta` of a request has to say since 2026-07-28, apart from the version.
fn check_meta(id: &Id<'_>, meta: &Meta<'_>) -> Result<(), Reply> {
    if meta
        .get(META_CAPABILITIES)
        .and_then(Node::as_object)
        .is_none()
    {
        return Err(invalid_params(
            id,
            400,
            &format!("`_meta` needs the object `{META_CAPABILITIES}`"),
        ));
    }
    match meta.get(META_LOG_LEVEL) {
        None => Ok(()),
        Some(level)
            if level
                .as_str()
                .is_some_and(|level| LogLevel::parse(level).is_some()) =>
        {
            Ok(())
        }
        Some(_) => Err(invalid_params(
            id,
            400,
            &format!(
                "`{META_LOG_LEVEL}` must be one of {}",
                LogLevel::NAMES.join(", ")
            ),
        )),
    }
}

pub(crate) fn invalid_params(id: &Id<'_>, status: u16, why: &str) -> Reply {
    Reply::error(
        id,
        status,
        code::INVALID_PARAMS,
        &format!("Invalid params: {why}"),
    )
}

pub(crate) fn header_mismatch(id: &Id<'_>, why: &str) -> Reply {
    Reply::error(
        id,
        400,
        code::HEADER_MISMATCH,
        &format!("Header mismatch: {why}"),
    )
}

/// Answers a request that needs a session and cannot have it.
pub(crate) fn without_session(id: &Id<'_>, why: NoSession) -> Reply {
    let (status, code, message) = explain(why);
    Reply::error(id, status, code, message)
}

/// The same, where there is no request to answer.
pub(crate) fn no_session(why: NoSession) -> Reply {
    let (status, code, message) = explain(why);
    let mut reply = Reply::malformed(code, message);
    reply.status = status;
    reply
}

fn explain(why: NoSession) -> (u16, i32, &'static str) {
    match why {
        NoSession::Unknown => (
            404,
            code::SESSION_NOT_FOUND,
            "Session not found: begin a new one with `initialize`",
        ),
        NoSession::TooMany => {
            tracing::warn!(target: "mcp::session", "too many sessions");
            (
                429,
                code::TOO_MANY,
                "Too many sessions: end one, or try again later",
            )
        }
        NoSession::Unavailable => (
            503,
            code::UNAVAILABLE,
            "Sessions cannot be used at the moment: try again later",
        ),
    }
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

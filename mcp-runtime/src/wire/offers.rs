//! Tools, resources, prompts and completion: the requests that run what an author wrote.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::json;

use crate::audit;
use crate::bound::Bound;
use crate::call::{self, BackChannel, Call};
use crate::completion::{Complete, Completer, MAX_VALUES};
use crate::digest::of_arguments;
use crate::error::Refusal;
use crate::json::{Node, Object};
use crate::output::Outcome;
use crate::policy;
use crate::rounds::{self, Rounds};
use crate::tasks::{Channel, TaskMode};
use crate::tool::Tool;
use crate::tool_set::BoundTool;
use crate::wire::engine::{Engine, Link, Request, header_mismatch, invalid_params};
use crate::wire::reply::{Reply, Results};
use crate::wire::tasks::Ran;

/// Longer suggestions are asked for by nobody.
const MAX_TYPED: usize = 4096;

impl Engine {
    pub(crate) async fn call_tool(
        &self,
        request: &mut Request<'_>,
        bytes: &Bytes,
        link: &Link,
    ) -> Reply {
        let arguments = match request.params.take("arguments") {
            None | Some(Node::Null) => Object::default(),
            Some(Node::Object(arguments)) => arguments,
            Some(_) => return invalid_params(&request.id, 200, "`arguments` must be an object"),
        };
        let Some(Node::String(name)) = request.params.take("name") else {
            return invalid_params(&request.id, 200, "`name` must be the name of a tool");
        };
        let found = self.tools.find(&name);
        let tool = found.map(|found| &found.tool);
        let (call, context) = match self.open(request, &name, &arguments, bytes, link, tool) {
            Ok(opened) => opened,
            Err(reply) => return reply,
        };
        let results = self.results(request, &call);
        let Some(found) = found else {
            if let Some(figures) = &self.figures {
                figures.unknown_tool();
            }
            if let Some(log) = &self.audit {
                audit::unknown(log, &call, &name, &arguments).await;
            }
            return results.refusal(&request.id, &Refusal::Unknown);
        };
        let BoundTool { bound, headers, .. } = found;
        // Whoever may not call hears that, and nothing of the headers.
        if let Some(routing) = request.routing
            && !headers.is_empty()
            && policy::authorize(&bound.policy, call.caller(), &|_| None).is_ok()
            && let Err(why) = headers.match_arguments(routing, &arguments)
        {
            return header_mismatch(&request.id, &why);
        }
        let answered = match (&call.inner().back, found.tool.task) {
            (BackChannel::Task(_), _) => {
                // In a box of its own, so that calls of other tools do not carry its state.
                let run = self.run_detachable(found, arguments, &call, bytes.len());
                match Box::pin(run).await {
                    Ran::Here(answered) => answered,
                    Ran::On(task) => return self.created(&request.id, &task),
                }
            }
            (_, Some(TaskMode::Required)) => self.without_task(found, &call),
            _ => call::answer(bound, arguments, &call, &|_| None).await,
        };
        match answered {
            Ok(Outcome::Ask(questions, answers)) => {
                let state = self.seal.seal(answers, &context.bytes(), self.clock.now());
                results.ask(&request.id, &questions, state)
            }
            Ok(outcome) => results.outcome(&request.id, bound.shape, outcome),
            Err(refusal) => {
                self.note_refusal(&call, bound, &refusal);
                results.refusal(&request.id, &refusal)
            }
        }
    }

    pub(crate) async fn read_resource(
        &self,
        request: &mut Request<'_>,
        bytes: &Bytes,
        link: &Link,
    ) -> Reply {
        let Some(Node::String(uri)) = request.params.take("uri") else {
            return invalid_params(&request.id, 200, "`uri` must be a string");
        };
        let (call, context) = match self.open(request, &uri, &Object::default(), bytes, link, None)
        {
            Ok(opened) => opened,
            Err(reply) => return reply,
        };
        let results = self.results(request, &call);
        match self.skills.file(&uri, call.caller()) {
            Ok(None) => {}
            Ok(Some(file)) => return self.kept(request, file),
            Err(refusal) => {
                log_refused(&call, &uri, &refusal);
                return results.plain_refusal(&request.id, &refusal, Some(&uri));
            }
        }
        let Some((found, variables)) = self.resources.find(&uri) else {
            if let Some(figures) = &self.figures {
                figures.unknown_resource();
            }
            return results.no_resource(&request.id, &uri);
        };
        let of_scope = |name: &str| {
            variables
                .iter()
                .find(|(n, _)| *n == name)
                .map(|(_, value)| value.clone())
        };
        let arguments = variables
            .iter()
            .map(|(name, value)| (Cow::Borrowed(*name), Cow::Borrowed(value.as_str())));
        let arguments = found.bound.read_spelled(arguments.collect());
        match call::answer(&found.bound, arguments, &call, &of_scope).await {
            Ok(Outcome::Ask(questions, answers)) => {
                let state = self.seal.seal(answers, &context.bytes(), self.clock.now());
                results.ask(&request.id, &questions, state)
            }
            Ok(outcome) => results.contents(&request.id, &uri, found, outcome),
            Err(refusal) => {
                self.note_refusal(&call, &found.bound, &refusal);
                results.plain_refusal(&request.id, &refusal, Some(&uri))
            }
        }
    }

    pub(crate) async fn get_prompt(
        &self,
        request: &mut Request<'_>,
        bytes: &Bytes,
        link: &Link,
    ) -> Reply {
        let Some(Node::String(name)) = request.params.take("name") else {
            return invalid_params(&request.id, 200, "`name` must be the name of a prompt");
        };
        let arguments = match request.params.take("arguments") {
            None | Some(Node::Null) => Object::default(),
            Some(Node::Object(arguments)) => arguments,
            Some(_) => return invalid_params(&request.id, 200, "`arguments` must be an object"),
        };
        let (call, context) = match self.open(request, &name, &arguments, bytes, link, None) {
            Ok(opened) => opened,
            Err(reply) => return reply,
        };
        let results = self.results(request, &call);
        let Some(found) = self.prompts.find(&name) else {
            if let Some(figures) = &self.figures {
                figures.unknown_prompt();
            }
            return results.plain_refusal(&request.id, &Refusal::Unknown, None);
        };
        let mut texts = Vec::with_capacity(arguments.0.len());
        for (name, value) in arguments.0 {
            let Node::String(text) = value else {
                return invalid_params(&request.id, 200, "the arguments of a prompt are strings");
            };
            texts.push((name, text));
        }
        let arguments = found.bound.read_spelled(texts);
        match call::answer(&found.bound, arguments, &call, &|_| None).await {
            Ok(Outcome::Ask(questions, answers)) => {
                let state = self.seal.seal(answers, &context.bytes(), self.clock.now());
                results.ask(&request.id, &questions, state)
            }
            Ok(outcome) => results.prompt(
                &request.id,
                &found.prompt.description,
                found.bound.shape,
                outcome,
            ),
            Err(refusal) => {
                self.note_refusal(&call, &found.bound, &refusal);
                results.plain_refusal(&request.id, &refusal, None)
            }
        }
    }

    pub(crate) async fn complete(&self, request: &Request<'_>, link: &Link) -> Reply {
        let params = &request.params;
        let member = |object: Option<&Object<'_>>, name: &str| {
            object
                .and_then(|object| object.get(name))
                .and_then(Node::as_str)
                .map(str::to_owned)
        };
        let reference = params.get("ref").and_then(Node::as_object);
        let typed = params.get("argument").and_then(Node::as_object);
        let (Some(argument), Some(value)) = (member(typed, "name"), member(typed, "value")) else {
            return invalid_params(
                &request.id,
                200,
                "`argument` needs the strings `name` and `value`",
            );
        };
        if value.len() > MAX_TYPED {
            return invalid_params(&request.id, 200, "`argument.value` is too long");
        }
        let found = match (
            member(reference, "type").as_deref(),
            member(reference, "name"),
            member(reference, "uri"),
        ) {
            (Some("ref/prompt"), Some(name), _) => self
                .prompts
                .find(&name)
                .map(|found| (&found.bound, found.prompt.complete.as_ref())),
            (Some("ref/resource"), _, Some(uri)) => self
                .resources
                .of_template(&uri)
                .map(|found| (&found.bound, found.resource.complete.as_ref())),
            _ => None,
        };
        let visible = found.filter(|(bound, _)| {
            policy::authorize(&bound.policy, &link.caller, &|_| Some("*".into())).is_ok()
        });
        let Some((_, completer)) = visible else {
            return invalid_params(
                &request.id,
                200,
                "`ref` is neither a prompt nor a resource template of this server",
            );
        };
        let context = params.get("context").and_then(Node::as_object);
        let others = context
            .and_then(|context| context.get("arguments"))
            .and_then(Node::as_object);
        let others: BTreeMap<String, String> = others
            .map(|others| {
                others
                    .0
                    .iter()
                    .filter_map(|(k, v)| Some((k.to_string(), v.as_str()?.to_owned())))
                    .collect()
            })
            .unwrap_or_default();
        let ask = Complete {
            argument,
            value,
            others,
            caller: Arc::clone(&link.caller),
        };
        link.outbox.begin();
        let mut values = suggest(completer, ask).await;
        let total = values.len();
        values.truncate(MAX_VALUES);
        let result = json!({ "completion": { "values": values, "total": total, "hasMore": total > MAX_VALUES } });
        self.results(request, &self.bare_call(request, link))
            .finish(&request.id, &result, None)
    }

    /// A call that runs nothing, for answers that name one.
    pub(crate) fn bare_call(&self, request: &Request<'_>, link: &Link) -> Call {
        Call::new(
            Arc::clone(&link.caller),
            self.clock.clone(),
            Bytes::new(),
            self.reach(request, link),
            Arc::clone(&link.outbox),
            BackChannel::None,
            self.changes.clone(),
        )
    }

    pub(crate) fn results<'a>(&'a self, request: &Request<'_>, call: &'a Call) -> Results<'a> {
        Results {
            modern: request.revision.is_modern(),
            meta: &self.meta,
            call,
        }
    }

    /// The call of a request, with the answers that it brings to earlier questions.
    pub(crate) fn open<'a>(
        &self,
        request: &mut Request<'_>,
        name: &'a str,
        arguments: &Object<'_>,
        bytes: &Bytes,
        link: &Link,
        tool: Option<&Tool>,
    ) -> Result<(Call, Context<'a>), Reply> {
        let reach = self.reach(request, link);
        let modern = request.revision.is_modern();
        let mut context = Context {
            owner: None,
            method: String::new(),
            name,
            arguments: None,
        };
        let back = if modern {
            let rounds = if reach.client.has_back_channel() {
                context.owner = Some(link.caller.owner());
                request.method.clone_into(&mut context.method);
                context.arguments = Some(of_arguments(arguments));
                self.rounds(request, &context)?
            } else {
                Rounds::default()
            };
            match (tool.and_then(|tool| tool.task), &self.tasks) {
                (Some(mode), Some(tasks)) if reach.client.tasks => {
                    let limit = tasks.limit(tool.and_then(|tool| tool.timeout));
                    BackChannel::Task(Box::new(Channel::new(rounds, mode, limit)))
                }
                _ => BackChannel::Rounds(rounds),
            }
        } else {
            match &link.session {
                Some(session) if link.streams => BackChannel::Session(Arc::clone(session)),
                _ => BackChannel::None,
            }
        };
        let call = Call::new(
            Arc::clone(&link.caller),
            self.clock.clone(),
            bytes.clone(),
            reach,
            Arc::clone(&link.outbox),
            back,
            self.changes.clone(),
        );
        Ok((call, context))
    }

    fn note_refusal(&self, call: &Call, bound: &Bound, refusal: &Refusal) {
        if let (Some(figures), Refusal::TooMany(too_many)) = (&self.figures, refusal) {
            figures.limited(too_many);
        }
        log_refused(call, &bound.name, refusal);
    }

    /// The answers that a request brings: those of earlier rounds, sealed, and new ones.
    fn rounds(&self, request: &mut Request<'_>, context: &Context<'_>) -> Result<Rounds, Reply> {
        let mut answers = match request.params.take("requestState") {
            None | Some(Node::Null) => BTreeMap::new(),
            Some(Node::String(state)) => self
                .seal
                .open(&state, &context.bytes(), self.clock.now())
                .map_err(|_| {
                    invalid_params(
                        &request.id,
                        200,
                        "`requestState` is not good here: call again without it",
                    )
                })?,
            Some(_) => {
                return Err(invalid_params(
                    &request.id,
                    200,
                    "`requestState` must be a string",
                ));
            }
        };
        match request.params.take("inputResponses") {
            None | Some(Node::Null) => {}
            Some(Node::Object(responses)) => {
                answers.extend(
                    responses
                        .0
                        .into_iter()
                        // What only we write into a sealed state.
                        .filter(|(key, _)| key != rounds::MARK)
                        .map(|(key, value)| (key.into_owned(), value.to_value())),
                );
            }
            Some(_) => {
                return Err(invalid_params(
                    &request.id,
                    200,
                    "`inputResponses` must be an object",
                ));
            }
        }
        Ok(Rounds::new(answers))
    }
}

/// What a sealed state is bound to. Only filled in for clients that can be asked something.
pub(crate) struct Context<'a> {
    owner: Option<String>,
    method: String,
    name: &'a str,
    arguments: Option<String>,
}

impl Context<'_> {
    fn bytes(&self) -> Vec<u8> {
        json!([self.owner, self.method, self.name, self.arguments])
            .to_string()
            .into_bytes()
    }
}

async fn suggest(completer: Option<&Completer>, ask: Complete) -> Vec<String> {
    let Some(completer) = completer else {
        return Vec::new();
    };
    // On a task of its own, so that its panic is not ours; and not for long: somebody is typing.
    let task = tokio::spawn(completer.suggest(ask));
    let stop = task.abort_handle();
    match tokio::time::timeout(std::time::Duration::from_secs(5), task).await {
        Ok(Ok(values)) => values,
        Ok(Err(_)) => Vec::new(),
        Err(_) => {
            stop.abort();
            Vec::new()
        }
    }
}

pub(crate) fn log_refused(call: &Call, name: &str, refusal: &Refusal) {
    if !matches!(refusal, Refusal::Unknown) {
        tracing::info!(target: "mcp::call", request_id = call.request_id(), name, caller = %call.caller(), outcome = refusal.word(), "call refused");
    }
}

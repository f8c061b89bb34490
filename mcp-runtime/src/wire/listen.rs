//! Subscriptions: `subscriptions/listen` since 2026-07-28, `resources/subscribe` before.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::caller::Caller;
use crate::changes::Filter;
use crate::json::Node;
use crate::wire::engine::{Engine, Link, Request, invalid_params, without_session};
use crate::wire::message::Id;
use crate::wire::reply::Reply;
use crate::wire::tasks::{self, Found};

/// URIs that one subscription may watch.
const MAX_URIS: usize = 100;
/// Tasks that one subscription may watch.
const MAX_TASKS: usize = 100;

impl Engine {
    /// Acknowledges what will be heard, then is heard until the client goes, its token is over or
    /// the server stops.
    pub(crate) async fn listen(&self, request: &Request<'_>, link: &Link) -> Reply {
        let wanted = request
            .params
            .get("notifications")
            .and_then(Node::as_object);
        let asks = |name: &str| wanted.and_then(|w| w.get(name)) == Some(&Node::Bool(true));
        let uris = match wanted.and_then(|wanted| wanted.get("resourceSubscriptions")) {
            None | Some(Node::Null) => Vec::new(),
            Some(Node::Array(uris)) if uris.len() <= MAX_URIS => uris
                .iter()
                .filter_map(Node::as_str)
                .map(str::to_owned)
                .collect(),
            Some(_) => {
                return invalid_params(
                    &request.id,
                    200,
                    "`resourceSubscriptions` must be a list of at most 100 URIs",
                );
            }
        };
        let task_ids = match wanted.and_then(|wanted| wanted.get("taskIds")) {
            None | Some(Node::Null) => Vec::new(),
            Some(Node::Array(ids)) if ids.len() <= MAX_TASKS => {
                if self.tasks.is_some()
                    && let Err(reply) = self.knows_tasks(request, link)
                {
                    return reply;
                }
                ids.iter().filter_map(Node::as_str).collect()
            }
            Some(_) => {
                return invalid_params(
                    &request.id,
                    200,
                    "`taskIds` must be a list of at most 100 ids",
                );
            }
        };
        if !link.streams {
            return invalid_params(
                &request.id,
                200,
                "listening needs a client that accepts text/event-stream",
            );
        }
        let tasks = match self.own_tasks(&task_ids, link).await {
            Ok(tasks) => tasks,
            Err(_) => return tasks::unavailable(&request.id),
        };
        let filter = Filter {
            tools: asks("toolsListChanged") && !self.tools.is_empty(),
            prompts: asks("promptsListChanged") && !self.prompts.is_empty(),
            resources: asks("resourcesListChanged") && !self.resources.is_empty(),
            uris: uris
                .into_iter()
                .filter(|uri| self.may_watch(uri, &link.caller))
                .collect(),
            caller: Arc::clone(&link.caller),
            tasks: tasks.iter().map(Found::named).collect(),
        };
        let tag = json_of(&request.id);
        let meta = json!({ "io.modelcontextprotocol/subscriptionId": tag });
        let acknowledged = json!({
            "jsonrpc": "2.0",
            "method": "notifications/subscriptions/acknowledged",
            "params": { "_meta": meta, "notifications": accepted(&filter) },
        });
        link.outbox.push(acknowledged.to_string().into_bytes());
        let _listening = self
            .changes
            .listen(Arc::clone(&link.outbox), filter, Some(tag.clone()));
        // What a task has become before anybody listened would never be told.
        for task in tasks {
            match task {
                Found::Here(task) => task.tell(&link.outbox, &tag),
                Found::Away(task) => self.tell_away(&task.id, link, &tag).await,
            }
        }
        match &link.session {
            // A connection that is its own session ends by itself, too.
            Some(session) => tokio::select! {
                () = self.changes.closed() => {}
                () = session.ended() => {}
                () = link.caller.over(&self.clock) => {}
            },
            None => tokio::select! {
                () = self.changes.closed() => {}
                () = link.caller.over(&self.clock) => {}
            },
        }
        Reply::result(
            &request.id,
            json!({ "resultType": "complete", "_meta": meta })
                .to_string()
                .as_bytes(),
        )
    }

    /// `resources/subscribe` and its opposite. Without a session there is nobody to tell later,
    /// and a client that subscribes all the same is not worse off.
    pub(crate) async fn subscribe(&self, request: &Request<'_>, link: &Link, on: bool) -> Reply {
        let Some(uri) = request.params.get("uri").and_then(Node::as_str) else {
            return invalid_params(&request.id, 200, "`uri` must be a string");
        };
        if on && !self.may_watch(uri, &link.caller) {
            return invalid_params(&request.id, 200, "`uri` is not a resource of this server");
        }
        let Some(session) = &link.session else {
            return Reply::result(&request.id, b"{}");
        };
        match session.subscribe(uri, on).await {
            Ok(true) => Reply::result(&request.id, b"{}"),
            Ok(false) => invalid_params(&request.id, 200, "too many subscriptions in this session"),
            Err(error) => without_session(&request.id, error),
        }
    }

    /// Nobody hears of what they may not read.
    fn may_watch(&self, uri: &str, caller: &Caller) -> bool {
        matches!(self.skills.file(uri, caller), Ok(Some(_))) || self.resources.may_read(uri, caller)
    }
}

/// The filter as the acknowledgement repeats it.
fn accepted(filter: &Filter) -> Value {
    let mut accepted = Map::new();
    for (name, on) in [
        ("toolsListChanged", filter.tools),
        ("promptsListChanged", filter.prompts),
        ("resourcesListChanged", filter.resources),
    ] {
        if on {
            accepted.insert(name.to_owned(), json!(true));
        }
    }
    if !filter.uris.is_empty() {
        accepted.insert("resourceSubscriptions".to_owned(), json!(filter.uris));
    }
    if !filter.tasks.is_empty() {
        let ids: Vec<&String> = filter.tasks.values().collect();
        accepted.insert("taskIds".to_owned(), json!(ids));
    }
    Value::Object(accepted)
}

fn json_of(id: &Id<'_>) -> Value {
    match id {
        Id::Unsigned(n) => json!(n),
        Id::Signed(n) => json!(n),
        Id::Text(text) => json!(text),
    }
}

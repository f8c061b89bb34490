//! Telling clients what has changed: one hub for sessions and for `subscriptions/listen`.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;

use crate::outbox::Outbox;

/// Where changes are announced. Tools borrow it as `&Changes`; a clone may leave the function.
#[derive(Clone, Default)]
pub struct Changes(Arc<Hub>);

#[derive(Default)]
struct Hub {
    listeners: Mutex<Listeners>,
    closing: CancellationToken,
}

#[derive(Default)]
struct Listeners {
    next: u64,
    open: HashMap<u64, Listener>,
}

/// What one listener wants to hear.
#[derive(Clone, Debug, Default)]
pub(crate) struct Filter {
    pub(crate) tools: bool,
    pub(crate) prompts: bool,
    pub(crate) resources: bool,
    pub(crate) uris: BTreeSet<String>,
    /// The ids of tasks.
    pub(crate) tasks: BTreeSet<String>,
}

struct Listener {
    outbox: Arc<Outbox>,
    filter: Filter,
    /// The JSON of the id of the request that listens, which tags everything it hears.
    tag: Option<Value>,
}

/// Ends a subscription when dropped.
pub(crate) struct Listening {
    hub: Arc<Hub>,
    id: u64,
}

impl Changes {
    /// The list of tools has changed.
    pub fn tools(&self) {
        self.announce("notifications/tools/list_changed", Map::new(), |filter| {
            filter.tools
        });
    }

    /// The list of prompts has changed.
    pub fn prompts(&self) {
        self.announce("notifications/prompts/list_changed", Map::new(), |filter| {
            filter.prompts
        });
    }

    /// The list of resources has changed.
    pub fn resources(&self) {
        self.announce(
            "notifications/resources/list_changed",
            Map::new(),
            |filter| filter.resources,
        );
    }

    /// What this URI holds has changed.
    pub fn resource(&self, uri: &str) {
        let params = Map::from_iter([("uri".to_owned(), json!(uri))]);
        self.announce("notifications/resources/updated", params, |filter| {
            filter.uris.contains(uri)
        });
    }

    /// A task has changed; `members` writes it, if anybody wants to know.
    pub(crate) fn task(&self, id: &str, members: impl FnOnce() -> String) {
        let listeners = self
            .0
            .listeners
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let mut wanted = listeners
            .open
            .values()
            .filter(|listener| listener.filter.tasks.contains(id))
            .peekable();
        if wanted.peek().is_some() {
            let members = members();
            for listener in wanted {
                let note = task_note(&members, listener.tag.as_ref());
                listener.outbox.push(note);
            }
        }
    }

    pub(crate) fn listen(
        &self,
        outbox: Arc<Outbox>,
        filter: Filter,
        tag: Option<Value>,
    ) -> Listening {
        let mut listeners = self
            .0
            .listeners
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        listeners.next += 1;
        let id = listeners.next;
        listeners.open.insert(
            id,
            Listener {
                outbox,
                filter,
                tag,
            },
        );
        Listening {
            hub: Arc::clone(&self.0),
            id,
        }
    }

    /// Ends all subscriptions: the server stops.
    pub(crate) fn close(&self) {
        self.0.closing.cancel();
    }

    pub(crate) async fn closed(&self) {
        self.0.closing.cancelled().await;
    }

    fn announce(&self, method: &str, params: Map<String, Value>, wanted: impl Fn(&Filter) -> bool) {
        let listeners = self
            .0
            .listeners
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        for listener in listeners
            .open
            .values()
            .filter(|listener| wanted(&listener.filter))
        {
            let mut params = params.clone();
            if let Some(tag) = &listener.tag {
                params.insert(
                    "_meta".into(),
                    json!({ "io.modelcontextprotocol/subscriptionId": tag }),
                );
            }
            let mut message = json!({ "jsonrpc": "2.0", "method": method });
            if !params.is_empty() {
                message["params"] = Value::Object(params);
            }
            listener.outbox.push(message.to_string().into_bytes());
        }
    }
}

/// The message about a task with these members.
pub(crate) fn task_note(members: &str, tag: Option<&Value>) -> Vec<u8> {
    let tag = tag.map_or(String::new(), |tag| {
        format!(",\"_meta\":{{\"io.modelcontextprotocol/subscriptionId\":{tag}}}")
    });
    format!(
        "{{\"jsonrpc\":\"2.0\",\"method\":\"notifications/tasks\",\"params\":{{{members}{tag}}}}}"
    )
    .into_bytes()
}

impl Listening {
    /// Adds a URI to what is heard, or takes one away.
    pub(crate) fn watch(&self, uri: &str, on: bool) {
        let mut listeners = self
            .hub
            .listeners
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(listener) = listeners.open.get_mut(&self.id) {
            if on {
                listener.filter.uris.insert(uri.to_owned());
            } else {
                listener.filter.uris.remove(uri);
            }
        }
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.hub
            .listeners
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .open
            .remove(&self.id);
    }
}

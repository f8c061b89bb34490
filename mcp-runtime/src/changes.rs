//! Telling clients what has changed: one hub for sessions and for `subscriptions/listen`.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;

use crate::caller::Caller;
use crate::instances::{List, Said, Voice};
use crate::outbox::Outbox;
use crate::policy::{Lists, Policy};
use crate::resource_set::{Prompts, Resources};
use crate::tenant::Tenant;
use crate::tool_set::Tools;

const TOOLS: &str = "notifications/tools/list_changed";
const PROMPTS: &str = "notifications/prompts/list_changed";
const RESOURCES: &str = "notifications/resources/list_changed";
const UPDATED: &str = "notifications/resources/updated";

/// Where changes are announced. Tools borrow it as `&Changes`; a clone may leave the function.
#[derive(Clone, Default)]
pub struct Changes(Arc<Hub>);

#[derive(Default)]
struct Hub {
    listeners: Mutex<Listeners>,
    /// What is there to change, once the server is built.
    offered: OnceLock<Offered>,
    closing: CancellationToken,
    /// Where other instances have listeners, too, once the server is built.
    voice: OnceLock<Voice>,
}

#[derive(Default)]
struct Listeners {
    next: u64,
    open: HashMap<u64, Listener>,
}

/// What a server offers.
pub(crate) struct Offered {
    pub(crate) tools: Arc<Tools>,
    pub(crate) resources: Arc<Resources>,
    pub(crate) prompts: Arc<Prompts>,
    pub(crate) lists: Lists,
}

/// What one listener wants to hear, and who it is: nobody hears of what they may not see.
#[derive(Clone, Debug, Default)]
pub(crate) struct Filter {
    pub(crate) tools: bool,
    pub(crate) prompts: bool,
    pub(crate) resources: bool,
    pub(crate) uris: BTreeSet<String>,
    pub(crate) caller: Arc<Caller>,
    /// The ids of tasks, by their names.
    pub(crate) tasks: BTreeMap<String, String>,
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
    /// Has other instances hear of changes, too. Called once, when the server is built.
    pub(crate) fn share(&self, voice: Option<&Voice>) {
        if let Some(voice) = voice {
            let _ = self.0.voice.set(voice.clone());
        }
    }

    /// The list of tools has changed.
    pub fn tools(&self) {
        self.changed(List::Tools);
        self.tell(|| Said::Changed { list: List::Tools });
    }

    /// The list of prompts has changed.
    pub fn prompts(&self) {
        self.changed(List::Prompts);
        self.tell(|| Said::Changed {
            list: List::Prompts,
        });
    }

    /// The list of resources has changed.
    pub fn resources(&self) {
        self.changed(List::Resources);
        self.tell(|| Said::Changed {
            list: List::Resources,
        });
    }

    /// What this URI holds has changed. Heard by those who watch it and may read it.
    pub fn resource(&self, uri: &str) {
        self.updated(uri, None);
        self.tell(|| Said::Updated {
            uri: uri.to_owned(),
            tenant: None,
        });
    }

    /// What this URI holds for one tenant has changed. Heard by those who watch it, may read it and
    /// act for this tenant: what others are at is nobody's business.
    pub fn resource_of(&self, tenant: &Tenant, uri: &str) {
        self.updated(uri, Some(tenant));
        self.tell(|| Said::Updated {
            uri: uri.to_owned(),
            tenant: Some(tenant.as_str().to_owned()),
        });
    }

    /// What this URI holds for one principal has changed, whose [`Caller::owner`] this is. Heard by
    /// nobody else.
    pub fn resource_of_owner(&self, owner: &str, uri: &str) {
        self.updated_of(owner, uri);
        self.tell(|| Said::UpdatedOf {
            uri: uri.to_owned(),
            owner: owner.to_owned(),
        });
    }

    /// A list has changed, for those who listen here.
    pub(crate) fn changed(&self, list: List) {
        match list {
            List::Tools => self.announce(TOOLS, Map::new(), |filter| filter.tools),
            List::Prompts => self.announce(PROMPTS, Map::new(), |filter| filter.prompts),
            List::Resources => self.announce(RESOURCES, Map::new(), |filter| filter.resources),
        }
    }

    /// What a URI holds has changed, for those who listen here.
    pub(crate) fn updated(&self, uri: &str, tenant: Option<&Tenant>) {
        let params = Map::from_iter([("uri".to_owned(), json!(uri))]);
        // Rights are looked at now: they may have been others when the URI was subscribed to.
        self.announce(UPDATED, params, |filter| {
            filter.uris.contains(uri)
                && tenant.is_none_or(|tenant| filter.caller.acts_for() == Some(tenant))
                && self.may_read(uri, &filter.caller)
        });
    }

    /// What a URI holds for one principal has changed, for those who listen here.
    pub(crate) fn updated_of(&self, owner: &str, uri: &str) {
        let params = Map::from_iter([("uri".to_owned(), json!(uri))]);
        self.announce(UPDATED, params, |filter| {
            filter.uris.contains(uri)
                && !filter.caller.is_anonymous()
                && filter.caller.owner() == owner
                && self.may_read(uri, &filter.caller)
        });
    }

    /// Anything may have changed: who listens here is to look at everything again.
    pub(crate) fn anything(&self) {
        for list in [List::Tools, List::Prompts, List::Resources] {
            self.changed(list);
        }
        let watched: BTreeSet<String> = {
            let listeners = self.listeners();
            let uris = listeners.open.values().flat_map(|it| &it.filter.uris);
            uris.cloned().collect()
        };
        for uri in &watched {
            self.updated(uri, None);
        }
    }

    fn may_read(&self, uri: &str, caller: &Caller) -> bool {
        self.offered()
            .is_some_and(|offered| offered.resources.may_read(uri, caller))
    }

    fn tell(&self, said: impl FnOnce() -> Said) {
        if let Some(voice) = self.voice() {
            voice.tell(said());
        }
    }

    /// By which the other instances hear of a switch.
    pub(crate) fn voice(&self) -> Option<&Voice> {
        self.0.voice.get()
    }

    /// A tool with this policy has come or gone.
    pub(crate) fn tools_for(&self, policy: &Policy) {
        self.announce(TOOLS, Map::new(), |filter| {
            filter.tools && self.lists(policy, &filter.caller)
        });
    }

    /// A prompt with this policy has come or gone.
    pub(crate) fn prompts_for(&self, policy: &Policy) {
        self.announce(PROMPTS, Map::new(), |filter| {
            filter.prompts && self.lists(policy, &filter.caller)
        });
    }

    /// A resource with this policy has come or gone.
    pub(crate) fn resources_for(&self, policy: &Policy) {
        self.announce(RESOURCES, Map::new(), |filter| {
            filter.resources && self.lists(policy, &filter.caller)
        });
    }

    /// Whether a list of this caller has changed with what has this policy.
    fn lists(&self, policy: &Policy, caller: &Caller) -> bool {
        let lists = self
            .offered()
            .map_or_else(Lists::default, |offered| offered.lists);
        policy.lists_for(caller, lists)
    }

    /// Learns what the server offers. Called once, when it is built.
    pub(crate) fn offer(&self, offered: Offered) {
        let _ = self.0.offered.set(offered);
    }

    pub(crate) fn offered(&self) -> Option<&Offered> {
        self.0.offered.get()
    }

    /// Whether anybody wants to know about a task.
    pub(crate) fn awaits_task(&self, name: &str) -> bool {
        let listeners = self.listeners();
        let mut filters = listeners.open.values().map(|listener| &listener.filter);
        filters.any(|filter| filter.tasks.contains_key(name))
    }

    /// The names of the tasks that somebody wants to know about.
    pub(crate) fn awaited_tasks(&self) -> BTreeSet<String> {
        let listeners = self.listeners();
        let tasks = listeners.open.values().map(|it| &it.filter.tasks);
        tasks.flat_map(BTreeMap::keys).cloned().collect()
    }

    /// A task has changed; `members` writes it, but for its id, if anybody wants to know.
    pub(crate) fn task(&self, name: &str, members: impl FnOnce() -> String) {
        let listeners = self.listeners();
        let mut wanted = listeners
            .open
            .values()
            .filter_map(|listener| Some((listener, listener.filter.tasks.get(name)?)))
            .peekable();
        if wanted.peek().is_some() {
            let members = members();
            for (listener, id) in wanted {
                let members = format!("\"taskId\":\"{id}\",{members}");
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
        let mut listeners = self.listeners();
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

    pub(crate) fn is_closed(&self) -> bool {
        self.0.closing.is_cancelled()
    }

    pub(crate) async fn closed(&self) {
        self.0.closing.cancelled().await;
    }

    fn listeners(&self) -> MutexGuard<'_, Listeners> {
        let listeners = &self.0.listeners;
        listeners.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn announce(&self, method: &str, params: Map<String, Value>, wanted: impl Fn(&Filter) -> bool) {
        let listeners = self.listeners();
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

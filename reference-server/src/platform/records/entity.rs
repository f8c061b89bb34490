//! What a record of each kind has to be, and what can be done to it. This is the only place that
//! tells the five kinds apart.

use serde_json::{Map, Value, json};

use super::trouble::Trouble;

/// The members of a record.
pub(super) type Payload = Map<String, Value>;

/// One kind of record.
pub(super) struct Entity {
    /// As in paths and in the database: `chat_messages`.
    pub(super) plural: &'static str,
    /// Members that are a text, and not an empty one.
    texts: &'static [&'static str],
    /// What it belongs to.
    parent: Parent,
    /// What archiving sets.
    archived: Set,
    /// What the actions of `process` set.
    actions: &'static [(&'static str, Set)],
}

/// A member and what it becomes.
#[derive(Clone, Copy)]
enum Set {
    Word(&'static str, &'static str),
    Flag(&'static str, bool),
}

enum Parent {
    None,
    /// `parentType` and `parentUid`: a note or a task.
    NoteOrTask,
    /// `chatUid`.
    Chat,
}

/// Another record, which has to be there.
#[derive(PartialEq)]
pub(super) struct Reference {
    pub(super) plural: &'static str,
    pub(super) uid: String,
    /// The member that names it.
    member: &'static str,
}

use Set::{Flag, Word};

const ARCHIVED: Set = Word("status", "archived");

/// Lists and objects within each other, the record itself among them. JSON is read to twice that,
/// and a record stands inside of other things where it is answered.
pub(super) const MAX_DEPTH: usize = 64;

/// The members that records have by what they are. All others are names that somebody chose.
const MEMBERS: [&str; 18] = [
    "archived",
    "author",
    "chatUid",
    "content",
    "delivered",
    "description",
    "dueDate",
    "messageType",
    "parentType",
    "parentUid",
    "participants",
    "pinned",
    "priority",
    "read",
    "sender",
    "status",
    "tags",
    "title",
];

pub(super) static ALL: [Entity; 5] = [
    Entity {
        plural: "notes",
        texts: &["title", "content"],
        parent: Parent::None,
        archived: ARCHIVED,
        actions: &[
            ("pin", Flag("pinned", true)),
            ("unpin", Flag("pinned", false)),
            ("archive", ARCHIVED),
            ("unarchive", Word("status", "active")),
        ],
    },
    Entity {
        plural: "tasks",
        texts: &["title"],
        parent: Parent::None,
        archived: ARCHIVED,
        actions: &[
            ("start", Word("status", "in_progress")),
            ("complete", Word("status", "done")),
            ("reopen", Word("status", "todo")),
        ],
    },
    Entity {
        plural: "comments",
        texts: &["content"],
        parent: Parent::NoteOrTask,
        archived: ARCHIVED,
        actions: &[
            ("resolve", Word("status", "resolved")),
            ("reopen", Word("status", "open")),
        ],
    },
    Entity {
        plural: "chats",
        texts: &["title"],
        parent: Parent::None,
        archived: Flag("archived", true),
        actions: &[
            ("resolve", Word("status", "resolved")),
            ("reopen", Word("status", "active")),
        ],
    },
    Entity {
        plural: "chat_messages",
        texts: &["content"],
        parent: Parent::Chat,
        archived: Flag("archived", true),
        actions: &[
            ("mark_read", Flag("read", true)),
            ("mark_delivered", Flag("delivered", true)),
        ],
    },
];

impl Entity {
    pub(super) fn named(plural: &str) -> Option<&'static Self> {
        ALL.iter().find(|entity| entity.plural == plural)
    }

    /// Brings a payload into the form in which it is kept, or says what is wrong with it. Returns
    /// the record that it belongs to.
    pub(super) fn settle(&self, payload: &mut Payload) -> Result<Option<Reference>, Trouble> {
        for ours in ["uid", "sync", "updatedTs"] {
            payload.remove(ours);
        }
        if !payload.values().all(|value| fits(value, MAX_DEPTH - 1)) {
            return Err(invalid(format!(
                "a record has at most {MAX_DEPTH} lists and objects within each other"
            )));
        }
        for name in self.texts {
            let text = payload.get(*name).and_then(Value::as_str);
            if text.is_none_or(|text| text.trim().is_empty()) {
                return Err(invalid(format!(
                    "`{name}` must be a text, and not an empty one"
                )));
            }
        }
        if self.plural == "tasks" {
            settle_task(payload)?;
        }
        let parent = self.reference(payload)?;
        if let Some(parent) = &parent {
            payload.insert(parent.member.to_owned(), json!(parent.uid));
        }
        Ok(parent)
    }

    /// What a record belongs to stays when a replacement does not name it.
    pub(super) fn carry_over(&self, from: &Payload, to: &mut Payload) {
        let names: &[&str] = match self.parent {
            Parent::None => &[],
            Parent::NoteOrTask => &["parentType", "parentUid"],
            Parent::Chat => &["chatUid"],
        };
        if names.iter().all(|name| is_absent(to, name)) {
            for name in names {
                if let Some(value) = from.get(*name) {
                    to.insert((*name).to_owned(), value.clone());
                }
            }
        }
    }

    pub(super) fn archive(&self, payload: &mut Payload) {
        self.archived.apply(payload);
    }

    pub(super) fn process(&self, action: &str, payload: &mut Payload) -> Result<(), Trouble> {
        let found = self.actions.iter().find(|(name, _)| *name == action);
        let Some((_, set)) = found else {
            let known: Vec<_> = self.actions.iter().map(|(name, _)| *name).collect();
            // Shown because the contract says so; a caller's own text, so not all of it.
            let shown: String = action
                .chars()
                .filter(|c| !c.is_control())
                .take(40)
                .collect();
            let message = format!(
                "there is no action `{shown}` for {}; there are: {}",
                self.plural,
                known.join(", ")
            );
            return Err(Trouble::bad_request("invalid_action", message));
        };
        set.apply(payload);
        Ok(())
    }

    /// The record that a payload belongs to.
    pub(super) fn reference(&self, payload: &Payload) -> Result<Option<Reference>, Trouble> {
        let (plural, member) = match self.parent {
            Parent::None => return Ok(None),
            Parent::Chat => ("chats", "chatUid"),
            Parent::NoteOrTask => match payload.get("parentType").and_then(Value::as_str) {
                Some("note") => ("notes", "parentUid"),
                Some("task") => ("tasks", "parentUid"),
                _ => return Err(invalid("`parentType` must be note or task")),
            },
        };
        let uid = payload.get(member).and_then(Value::as_str).and_then(uid);
        let uid = uid.ok_or_else(|| invalid(format!("`{member}` must be the uid of a record")))?;
        Ok(Some(Reference {
            plural,
            uid,
            member,
        }))
    }
}

impl Set {
    fn apply(self, payload: &mut Payload) {
        let (name, value) = match self {
            Word(name, word) => (name, json!(word)),
            Flag(name, flag) => (name, json!(flag)),
        };
        payload.insert(name.to_owned(), value);
    }
}

/// Two vocabularies are in use for the state of a task; one is kept.
fn settle_task(payload: &mut Payload) -> Result<(), Trouble> {
    let priority = payload.get("priority").filter(|value| !value.is_null());
    if priority.is_some_and(|value| !matches!(value.as_str(), Some("low" | "medium" | "high"))) {
        return Err(invalid("`priority` must be low, medium or high"));
    }
    if is_absent(payload, "status") {
        return Ok(());
    }
    let kept = match payload["status"].as_str() {
        Some("todo" | "open") => "todo",
        Some("in_progress") => "in_progress",
        Some("done" | "completed") => "done",
        Some("archived") => "archived",
        _ => {
            let rule = "`status` must be todo, in_progress, done or archived";
            return Err(invalid(rule));
        }
    };
    payload.insert("status".to_owned(), json!(kept));
    Ok(())
}

/// Whether a value has at most so many lists and objects within each other.
fn fits(value: &Value, levels: usize) -> bool {
    match value {
        Value::Array(values) => levels > 0 && values.iter().all(|value| fits(value, levels - 1)),
        Value::Object(members) => {
            levels > 0 && members.values().all(|value| fits(value, levels - 1))
        }
        _ => true,
    }
}

/// Whether records of some kind have a member of this name by what they are.
pub(super) fn is_member(name: &str) -> bool {
    MEMBERS.contains(&name)
}

fn is_absent(payload: &Payload, name: &str) -> bool {
    payload.get(name).is_none_or(Value::is_null)
}

fn invalid(message: impl Into<String>) -> Trouble {
    Trouble::bad_request("invalid_payload", message)
}

/// A UUID in lower case.
pub(super) fn uid(text: &str) -> Option<String> {
    let shaped = text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        });
    shaped.then(|| text.to_ascii_lowercase())
}

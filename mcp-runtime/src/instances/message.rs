//! What is said, and how it is put into a message.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// What one instance says to others. Sessions, tasks and streams are named by digests of their ids.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "k", rename_all = "snake_case")]
pub(crate) enum Said {
    /// Something of mine is lost.
    Lost,
    /// A list has changed.
    Changed { list: List },
    /// What a resource holds has changed, perhaps for one tenant alone.
    Updated { uri: String, tenant: Option<String> },
    /// What a resource holds for one principal has changed.
    UpdatedOf { uri: String, owner: String },
    /// Answers that are kept of a family are old.
    Dropped { family: String },
    /// Something has been switched: the store says what.
    Switched,
    /// A request of a session is cancelled, by the digest of its id.
    Cancelled { session: String, request: String },
    /// What is remembered of a session has changed.
    Learned { session: String },
    /// A session is used here that was opened for a stream there.
    Used { session: String },
    /// A session is over.
    Ended { session: String },
    /// The answer to a question lies in the store.
    Answered { question: u64 },
    /// A task has changed.
    Task { task: String },
    /// Cancel a task of yours.
    CancelTask { task: String },
    /// Answers to what a task of yours asks.
    UpdateTask {
        task: String,
        answers: Map<String, Value>,
    },
    /// What comes on a stream after an event of it.
    Resume {
        session: String,
        stream: String,
        after: u64,
        /// What the last batch said, unless this is the first one.
        reader: Option<u64>,
    },
    /// It is done; or there is nothing of this name.
    Done { found: bool },
    /// What came on a stream.
    Events(Batch),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum List {
    Tools,
    Prompts,
    Resources,
}

/// Events of a stream, with their numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Batch {
    /// Who keeps the stream, and the number of this reader there.
    pub(crate) instance: String,
    pub(crate) reader: u64,
    pub(crate) events: Vec<(u64, String)>,
    /// Whether nothing comes after them on this connection.
    pub(crate) ended: bool,
    /// Whether that is because all has been said.
    pub(crate) through: bool,
    /// Whether the stream belongs to no request.
    pub(crate) feed: bool,
}

impl Said {
    /// What clients say to each other through us is nobody's who only listens.
    pub(super) fn is_private(&self) -> bool {
        match self {
            Self::UpdateTask { .. } => true,
            Self::Events(batch) => !batch.events.is_empty(),
            _ => false,
        }
    }
}

/// Something to be said, and to whom.
pub(super) struct Letter {
    pub(super) said: Said,
    pub(super) to: Option<String>,
    pub(super) question: Option<u64>,
    pub(super) answers: Option<u64>,
}

impl Letter {
    pub(super) fn to_all(said: Said) -> Self {
        Self {
            said,
            to: None,
            question: None,
            answers: None,
        }
    }

    pub(super) fn question(said: Said, to: Option<&str>, number: u64) -> Self {
        Self {
            to: to.map(str::to_owned),
            question: Some(number),
            ..Self::to_all(said)
        }
    }

    pub(super) fn answer(said: Said, to: String, number: u64) -> Self {
        Self {
            to: Some(to),
            answers: Some(number),
            ..Self::to_all(said)
        }
    }
}

/// A message as it is published.
#[derive(Serialize, Deserialize)]
pub(super) struct Envelope {
    #[serde(rename = "s")]
    pub(super) server: String,
    #[serde(rename = "f")]
    pub(super) from: String,
    #[serde(rename = "t", default, skip_serializing_if = "Option::is_none")]
    pub(super) to: Option<String>,
    #[serde(rename = "q", default, skip_serializing_if = "Option::is_none")]
    pub(super) question: Option<u64>,
    #[serde(rename = "a", default, skip_serializing_if = "Option::is_none")]
    pub(super) answers: Option<u64>,
    /// What is said.
    #[serde(rename = "m", default, skip_serializing_if = "Option::is_none")]
    pub(super) said: Option<Value>,
    /// Where it lies, when it is too long to be said or not for everybody's ears: under which name
    /// and in how many parts.
    #[serde(rename = "l", default, skip_serializing_if = "Option::is_none")]
    pub(super) laid: Option<(String, usize)>,
}

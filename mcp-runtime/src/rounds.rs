//! Questions to a client that is only reached by answering it (2026-07-28): the call ends with the
//! questions, and the client calls again with the answers.
//!
//! What was answered before travels with the client, sealed: encrypted, bound to caller, tool and
//! arguments, and good for a short time. The function runs again from its beginning, and every
//! question that has an answer is answered at once.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::digest::{hex, random};
use crate::keys::{Keys, Purpose};

/// How long a client has for its answers.
pub(crate) const LIFETIME: Duration = Duration::from_secs(15 * 60);
/// Sealed states above this size are not opened.
const MAX_STATE: usize = 64 << 10;
/// Questions of one call.
const MAX_ANSWERS: usize = 64;
/// Among the answers, what no client answers: the [`Mark`].
pub(crate) const MARK: &str = "\0mark";

/// Whether a person was asked to confirm the call, and agreed. Only a sealed state brings one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Mark {
    /// Good for one run.
    pub(crate) id: String,
    pub(crate) agreed: bool,
}

impl Mark {
    pub(crate) fn new(agreed: bool) -> Self {
        let id = hex(&random::<16>());
        Self { id, agreed }
    }
}

/// The answers to the questions of one call, and the questions that are still open.
#[derive(Default)]
pub(crate) struct Rounds(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    answers: BTreeMap<String, Value>,
    open: Map<String, Value>,
}

impl Rounds {
    pub(crate) fn new(answers: BTreeMap<String, Value>) -> Self {
        Self(Mutex::new(Inner {
            answers,
            open: Map::new(),
        }))
    }

    /// The answer to a question, or nothing, and the question is open.
    pub(crate) fn answer(&self, key: &str, question: impl FnOnce() -> Value) -> Option<Value> {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(answer) = inner.answers.get(key) {
            return Some(answer.clone());
        }
        if inner.answers.len() + inner.open.len() < MAX_ANSWERS {
            inner.open.insert(key.to_owned(), question());
        }
        None
    }

    /// Forgets an answer that does not fit its question, so that it is asked again.
    pub(crate) fn forget(&self, key: &str) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .answers
            .remove(key);
    }

    pub(crate) fn mark(&self) -> Option<Mark> {
        let inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        serde_json::from_value(inner.answers.get(MARK)?.clone()).ok()
    }

    /// What the next round brings back. Gives its id.
    pub(crate) fn set_mark(&self, mark: Mark) -> String {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        inner.answers.insert(MARK.to_owned(), json!(mark));
        mark.id
    }

    /// The open questions, if there are any, with the answers so far.
    pub(crate) fn take_open(&self) -> Option<(Map<String, Value>, BTreeMap<String, Value>)> {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if inner.open.is_empty() {
            return None;
        }
        Some((std::mem::take(&mut inner.open), inner.answers.clone()))
    }
}

/// Seals what travels with the client.
pub(crate) struct Seal {
    /// The first seals; all open.
    keys: Vec<(String, XChaCha20Poly1305)>,
}

#[derive(Serialize, Deserialize)]
struct State {
    /// Milliseconds since 1970.
    expires: i64,
    answers: BTreeMap<String, Value>,
}

/// Why a sealed state does not open. One reason for everybody outside: it is not good here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotGood;

impl Seal {
    /// Keys that live as long as the process.
    pub(crate) fn random() -> Self {
        let key: [u8; 32] = rand::random();
        Self {
            keys: vec![("p".to_owned(), XChaCha20Poly1305::new(&Key::from(key)))],
        }
    }

    /// Keys that other instances have, too.
    pub(crate) fn of(keys: &Keys) -> Self {
        let cipher = |key| XChaCha20Poly1305::new(&Key::from(key));
        let derived = keys.derive(Purpose::RequestState);
        Self {
            keys: derived
                .into_iter()
                .map(|(id, key)| (id, cipher(key)))
                .collect(),
        }
    }

    /// Seals answers for whoever `context` describes.
    pub(crate) fn seal(
        &self,
        answers: BTreeMap<String, Value>,
        context: &[u8],
        now: Timestamp,
    ) -> Option<String> {
        let expires = now.as_millisecond() + i64::try_from(LIFETIME.as_millis()).ok()?;
        let plain = serde_json::to_vec(&State { expires, answers }).ok()?;
        let (id, cipher) = self.keys.first()?;
        let nonce: [u8; 24] = rand::random();
        let sealed = cipher
            .encrypt(
                &XNonce::from(nonce),
                Payload {
                    msg: &plain,
                    aad: context,
                },
            )
            .ok()?;
        Some(format!(
            "rs1.{id}.{}",
            URL_SAFE_NO_PAD.encode([&nonce[..], &sealed].concat())
        ))
    }

    /// Opens what [`seal`](Self::seal) made for the same context.
    pub(crate) fn open(
        &self,
        state: &str,
        context: &[u8],
        now: Timestamp,
    ) -> Result<BTreeMap<String, Value>, NotGood> {
        if state.len() > MAX_STATE {
            return Err(NotGood);
        }
        let (id, sealed) = state
            .strip_prefix("rs1.")
            .and_then(|rest| rest.split_once('.'))
            .ok_or(NotGood)?;
        let (_, cipher) = self
            .keys
            .iter()
            .find(|(known, _)| known == id)
            .ok_or(NotGood)?;
        let sealed = URL_SAFE_NO_PAD.decode(sealed).map_err(|_| NotGood)?;
        let (nonce, sealed) = sealed.split_first_chunk::<24>().ok_or(NotGood)?;
        let plain = cipher
            .decrypt(
                &XNonce::from(*nonce),
                Payload {
                    msg: sealed,
                    aad: context,
                },
            )
            .map_err(|_| NotGood)?;
        let state: State = serde_json::from_slice(&plain).map_err(|_| NotGood)?;
        if state.expires <= now.as_millisecond() {
            Err(NotGood)
        } else {
            Ok(state.answers)
        }
    }
}

//! What an instance says, one message after the other.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::message::{Envelope, Letter, Said};
use super::{Pause, RENEWAL, SWITCHES_LIVE, Voice, lock, warn};
use crate::digest;
use crate::store::{MAX_MESSAGE, MAX_VALUE, StoreError};

/// How long what is laid down waits to be fetched.
const LAID_LIVES: Duration = Duration::from_secs(60);
/// Switched from many sides at the same moment; each try is one of them less.
const MAX_TRIES: usize = 16;

/// Sends what is to be said until nobody is left to say anything, or nothing is to come.
pub(super) async fn speak(
    voice: Voice,
    mut letters: mpsc::Receiver<Letter>,
    closing: CancellationToken,
) {
    loop {
        let letter = tokio::select! {
            biased;
            letter = letters.recv() => match letter {
                Some(letter) => Some(letter),
                None => return,
            },
            () = voice.0.poked.notified() => None,
            () = closing.cancelled() => return,
        };
        let sent = match &letter {
            Some(letter) => voice.publish(letter).await,
            None => voice.store_switches().await,
        };
        if let Err(error) = sent {
            warn(&error, "other instances cannot be told");
            voice.0.lost.store(true, Ordering::Release);
        }
        voice.make_up().await;
    }
}

/// Says again and again that this instance lives, once somebody has to know.
pub(super) async fn keep_alive(voice: Voice) {
    loop {
        tokio::time::sleep(RENEWAL).await;
        if voice.0.leased.load(Ordering::Acquire)
            && let Err(error) = voice.renew().await
        {
            warn(&error, "other instances cannot be told that this one lives");
        }
    }
}

impl Voice {
    /// After something could not be said: says so, as soon as that works.
    async fn make_up(&self) {
        let mut pause = Pause::new();
        while self.0.lost.swap(false, Ordering::AcqRel) {
            let made_up = match self.store_switches().await {
                Ok(()) => self.publish(&Letter::to_all(Said::Lost)).await,
                Err(error) => Err(error),
            };
            if made_up.is_err() {
                self.0.lost.store(true, Ordering::Release);
                pause.wait().await;
            }
        }
    }

    async fn publish(&self, letter: &Letter) -> Result<(), StoreError> {
        let said = serde_json::to_value(&letter.said).map_err(StoreError::unavailable)?;
        let mut envelope = Envelope {
            server: self.0.server.clone(),
            from: self.0.name.clone(),
            to: letter.to.clone(),
            question: letter.question,
            answers: letter.answers,
            said: Some(said),
            laid: None,
        };
        let mut bytes = serde_json::to_vec(&envelope).map_err(StoreError::unavailable)?;
        if letter.said.is_private() || bytes.len() > MAX_MESSAGE {
            envelope.laid = Some(self.lay_down(&letter.said).await?);
            envelope.said = None;
            bytes = serde_json::to_vec(&envelope).map_err(StoreError::unavailable)?;
        }
        self.0.store.publish(&bytes).await
    }

    /// Lays down what is said; tells its name and in how many parts it lies there.
    async fn lay_down(&self, said: &Said) -> Result<(String, usize), StoreError> {
        let bytes = serde_json::to_vec(said).map_err(StoreError::unavailable)?;
        let name = digest::hex(&digest::random::<16>());
        let mut parts = 0;
        for part in bytes.chunks(MAX_VALUE) {
            let key = self.key("message", &format!("{name}.{parts}"));
            let end = self.after(LAID_LIVES);
            self.0.store.put(&key, part, end).await?;
            parts += 1;
        }
        Ok((name, parts))
    }

    /// Writes down what was switched here, and has everybody look.
    pub(super) async fn store_switches(&self) -> Result<(), StoreError> {
        let key = self.key("switches", "all");
        for _ in 0..MAX_TRIES {
            let mine = lock(&self.0.switched).clone();
            if mine.is_empty() {
                return Ok(());
            }
            let (before, mut switches) = self.read_switches(&key).await?;
            switches.extend(mine.clone());
            let after = serde_json::to_vec(&switches).map_err(StoreError::unavailable)?;
            let (store, end) = (&self.0.store, self.after(SWITCHES_LIVE));
            let written = match &before {
                Some(before) => store.replace(&key, before, &after, end).await?,
                None => store.put_if_absent(&key, &after, end).await?,
            };
            if !written {
                continue;
            }
            // What was switched again meanwhile is still to be written.
            lock(&self.0.switched).retain(|name, on| mine.get(name) != Some(on));
            self.publish(&Letter::to_all(Said::Switched)).await?;
        }
        if lock(&self.0.switched).is_empty() {
            return Ok(());
        }
        Err(StoreError::unavailable(
            "switched from too many sides at once",
        ))
    }

    /// What is on and off, as far as somebody has switched it.
    pub(super) async fn switches(&self) -> Result<BTreeMap<String, bool>, StoreError> {
        let key = self.key("switches", "all");
        let (_, switches) = self.read_switches(&key).await?;
        Ok(switches)
    }

    async fn read_switches(
        &self,
        key: &str,
    ) -> Result<(Option<Vec<u8>>, BTreeMap<String, bool>), StoreError> {
        let bytes = self.0.store.get(key).await?;
        let switches = match &bytes {
            Some(bytes) => serde_json::from_slice(bytes).map_err(StoreError::unavailable)?,
            None => BTreeMap::new(),
        };
        Ok((bytes, switches))
    }
}

//! What an instance hears, one message after the other.

use std::sync::{Arc, Weak};

use tokio_util::sync::CancellationToken;

use super::message::{Envelope, Said};
use super::{Answer, Ear, FIRST, Pause, Voice, lock, warn};
use crate::store::{Notice, StoreError, Subscription};

/// More than anybody lays down for one message.
const MAX_PARTS: usize = 64;

/// Hears until there is nobody left to hear. `listening` is cancelled when the first attempt to
/// listen is over.
pub(super) async fn hear<E: Ear>(voice: Voice, ear: Weak<E>, listening: CancellationToken) {
    let mut pause = Pause::new();
    loop {
        let missed = listening.is_cancelled();
        match begin(&voice, &ear).await {
            Ok(Some(subscription)) => {
                pause = Pause::new();
                listening.cancel();
                if missed {
                    match ear.upgrade() {
                        Some(ear) => ear.missed().await,
                        None => return,
                    }
                }
                listen(&voice, &ear, subscription).await;
            }
            Ok(None) => return,
            Err(error) => {
                warn(&error, "other instances are not heard");
                listening.cancel();
            }
        }
        if ear.strong_count() == 0 {
            return;
        }
        pause.wait().await;
    }
}

/// Listens, then looks at what was said before.
async fn begin<E: Ear>(voice: &Voice, ear: &Weak<E>) -> Result<Option<Subscription>, StoreError> {
    let subscribed = tokio::time::timeout(FIRST, voice.0.store.subscribe()).await;
    let subscription = subscribed.map_err(StoreError::unavailable)??;
    let Some(ear) = ear.upgrade() else {
        return Ok(None);
    };
    look_at_switches(voice, &ear).await?;
    Ok(Some(subscription))
}

async fn listen<E: Ear>(voice: &Voice, ear: &Weak<E>, mut subscription: Subscription) {
    while let Some(notice) = subscription.next().await {
        let Some(ear) = ear.upgrade() else {
            return;
        };
        let heard = match notice {
            Notice::Gap => take(voice, ear, Said::Lost, None).await,
            Notice::Message(bytes) => match open(voice, &bytes).await {
                Ok(Some((said, to))) => take(voice, ear, said, to).await,
                Ok(None) => Ok(()),
                Err(error) => Err(error),
            },
        };
        if let Err(error) = heard {
            warn(&error, "what another instance said is lost");
            // Whatever it was, listening anew looks at everything.
            return;
        }
    }
}

async fn take<E: Ear>(
    voice: &Voice,
    ear: Arc<E>,
    said: Said,
    to: Option<(String, u64)>,
) -> Result<(), StoreError> {
    match said {
        Said::Lost => {
            look_at_switches(voice, &ear).await?;
            ear.missed().await;
        }
        Said::Switched => look_at_switches(voice, &ear).await?,
        said => {
            let answer = Answer {
                voice: voice.clone(),
                to,
            };
            ear.hear(said, answer).await;
        }
    }
    Ok(())
}

async fn look_at_switches<E: Ear>(voice: &Voice, ear: &Arc<E>) -> Result<(), StoreError> {
    for (switch, on) in voice.switches().await? {
        // What is switched here at this moment is newer than what the store has of it.
        let mine = lock(&voice.0.switched).contains_key(&switch);
        if let (false, Some((kind, name))) = (mine, switch.split_once(' ')) {
            ear.switched(kind, name, on);
        }
    }
    Ok(())
}

/// What a message says to this instance, and by whom it wants to be answered. Answers to our own
/// questions go to whoever waits for them.
async fn open(
    voice: &Voice,
    bytes: &[u8],
) -> Result<Option<(Said, Option<(String, u64)>)>, StoreError> {
    // Of another version, perhaps.
    let Ok(envelope) = serde_json::from_slice::<Envelope>(bytes) else {
        return Ok(None);
    };
    let inner = &voice.0;
    let elsewhere = envelope.to.as_ref().is_some_and(|to| *to != inner.name);
    if envelope.server != inner.server || elsewhere {
        return Ok(None);
    }
    // What was switched in two places at once is as the store has it, for both.
    let own = envelope.from == inner.name;
    let said = match (envelope.said, envelope.laid) {
        (Some(said), _) => serde_json::from_value::<Said>(said).ok(),
        (None, Some(_)) if own => None,
        (None, Some((name, parts))) => fetch(voice, &name, parts).await?,
        (None, None) => None,
    };
    let Some(said) = said.filter(|said| !own || *said == Said::Switched) else {
        return Ok(None);
    };
    if let Some(number) = envelope.answers {
        if let Some(waits) = lock(&inner.waiting).remove(&number) {
            let _ = waits.send(said);
        }
        return Ok(None);
    }
    let to = envelope.question.map(|number| (envelope.from, number));
    Ok(Some((said, to)))
}

/// What was laid down.
async fn fetch(voice: &Voice, name: &str, parts: usize) -> Result<Option<Said>, StoreError> {
    let mut bytes = Vec::new();
    for part in 0..parts.min(MAX_PARTS) {
        let key = voice.key("message", &format!("{name}.{part}"));
        match voice.0.store.get(&key).await? {
            Some(part) => bytes.extend(part),
            // Too late.
            None => return Ok(Some(Said::Lost)),
        }
    }
    Ok(serde_json::from_slice(&bytes).ok())
}

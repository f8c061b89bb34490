//! Answers of tools that only read, kept for a few seconds: `#[mcp_tool(read_only, cache = "5s")]`.
//!
//! An answer is for one caller alone, with the scopes and roles of this very token, and for the same
//! arguments, whatever the order of their members. Policy, limits and audit stand before it as
//! before every call. Failures are not kept, nor is anything of callers without a token.
//!
//! A tool that may change something drops the answers of its family, for all callers, however it
//! ends. An answer that was under way meanwhile is not kept: it may be of before.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use crate::audit::Redaction;
use crate::bound::Bound;
use crate::call::Call;
use crate::caller::Caller;
use crate::clock::Clock;
use crate::error::Refusal;
use crate::instances::{Said, Voice};
use crate::json::Object;
use crate::output::Outcome;

/// The family of tools that name none. What changes something here may concern every other.
pub(crate) const ALL: &str = "";

/// What an entry costs beside its answer, in bytes.
const OVERHEAD: usize = 256;

type Key = [u8; 32];

/// How much is kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room {
    pub(crate) entries: usize,
    pub(crate) bytes: usize,
}

impl Default for Room {
    fn default() -> Self {
        Self {
            entries: 1_024,
            bytes: 16 << 20,
        }
    }
}

/// The answers of one server.
pub(crate) struct ResultCache {
    clock: Clock,
    room: Room,
    voice: Option<Voice>,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    entries: HashMap<Key, Entry>,
    /// The oldest first.
    order: BTreeMap<u64, Key>,
    bytes: usize,
    serial: u64,
    /// How often each family was dropped. Known when the server is built.
    drops: HashMap<Arc<str>, u64>,
}

struct Entry {
    answer: Arc<Answer>,
    family: Arc<str>,
    at: Timestamp,
    until: Timestamp,
    serial: u64,
    size: usize,
}

enum Answer {
    Value(String),
    Reply { content: String, structured: String },
}

/// What a tool has to do with the cache.
pub(crate) struct Cached {
    cache: Arc<ResultCache>,
    family: Arc<str>,
    /// For how long its answers are kept; `None` for one that may change something.
    keeps: Option<Duration>,
}

/// Where an answer came from: published in its `_meta`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin {
    pub(crate) hit: bool,
    pub(crate) age_ms: u64,
}

/// What comes of a look.
pub(crate) enum Look<'call> {
    /// The answer is there.
    Hit(Outcome),
    /// The tool has to run, and its end be told.
    Run(Watch<'call>),
}

/// Looks for the answer to a call that may be made.
pub(crate) fn look<'call>(bound: &'call Bound, call: &Call, arguments: &Object<'_>) -> Look<'call> {
    let Some(cached) = &bound.cached else {
        return Look::Run(Watch(None));
    };
    let Some(ttl) = cached.keeps else {
        return Look::Run(Watch(Some((cached, Purpose::Drop))));
    };
    let Some(key) = key(&bound.name, call.caller(), arguments) else {
        return Look::Run(Watch(None));
    };
    let (found, drops) = cached.cache.find(&key, &cached.family);
    let origin = Origin {
        hit: found.is_some(),
        age_ms: found.as_ref().map_or(0, |(_, age_ms)| *age_ms),
    };
    let _ = call.inner().origin.set(origin);
    match found {
        Some((answer, _)) => Look::Hit(answer.outcome()),
        None => Look::Run(Watch(Some((cached, Purpose::Keep { key, ttl, drops })))),
    }
}

/// A call that runs. Left without an end, it may still have changed something.
pub(crate) struct Watch<'call>(Option<(&'call Cached, Purpose)>);

enum Purpose {
    Keep { key: Key, ttl: Duration, drops: u64 },
    Drop,
}

impl Watch<'_> {
    pub(crate) fn end(mut self, outcome: &Outcome) {
        let began = !matches!(
            outcome,
            Outcome::Refused(Refusal::InvalidArguments(_) | Refusal::AuditUnavailable)
        );
        match self.0.take() {
            Some((cached, Purpose::Keep { key, ttl, drops })) => {
                if let Some(answer) = Answer::of(outcome) {
                    cached.cache.keep(key, answer, ttl, &cached.family, drops);
                }
            }
            Some((cached, Purpose::Drop)) if began => cached.cache.changed(&cached.family),
            _ => {}
        }
    }
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        if let Some((cached, Purpose::Drop)) = self.0.take() {
            cached.cache.changed(&cached.family);
        }
    }
}

impl Cached {
    pub(crate) fn new(
        cache: &Arc<ResultCache>,
        family: Option<&str>,
        keeps: Option<Duration>,
    ) -> Self {
        Self {
            cache: Arc::clone(cache),
            family: cache.family(family.unwrap_or(ALL)),
            keeps,
        }
    }
}

impl ResultCache {
    pub(crate) fn new(clock: Clock, room: Room, voice: Option<Voice>) -> Self {
        Self {
            clock,
            room,
            voice,
            kept: Mutex::default(),
        }
    }

    /// Drops what is kept of a family, of all callers. Of a family that nobody names, everything
    /// goes: another server may know more than this one.
    pub(crate) fn drop_family(&self, family: &str) {
        let mut kept = self.kept();
        let everything = family == ALL || !kept.drops.contains_key(family);
        let touched = |of: &str| everything || of == family || of == ALL;
        for (of, drops) in &mut kept.drops {
            *drops += u64::from(touched(of));
        }
        let gone: Vec<Key> = kept
            .entries
            .iter()
            .filter(|(_, entry)| touched(&entry.family))
            .map(|(key, _)| *key)
            .collect();
        gone.iter().for_each(|key| kept.remove(key));
    }

    /// Something of a family was changed here: other instances hear of it.
    fn changed(&self, family: &str) {
        self.drop_family(family);
        if let Some(voice) = &self.voice {
            voice.tell(Said::Dropped {
                family: family.to_owned(),
            });
        }
    }

    /// The one name of a family, counted from now on.
    fn family(&self, name: &str) -> Arc<str> {
        let mut kept = self.kept();
        if let Some((known, _)) = kept.drops.get_key_value(name) {
            return Arc::clone(known);
        }
        let name: Arc<str> = Arc::from(name);
        kept.drops.insert(Arc::clone(&name), 0);
        name
    }

    /// The answer and its age, and how often the family was dropped so far.
    fn find(&self, key: &Key, family: &Arc<str>) -> (Option<(Arc<Answer>, u64)>, u64) {
        let now = self.clock.now();
        let mut kept = self.kept();
        let drops = kept.drops.get(family).copied().unwrap_or_default();
        let Some(entry) = kept.entries.get(key) else {
            return (None, drops);
        };
        // A clock that was set back tells no age.
        if now >= entry.until || now < entry.at {
            kept.remove(key);
            return (None, drops);
        }
        let age = now.duration_since(entry.at).as_millis();
        let age = u64::try_from(age).unwrap_or_default();
        (Some((Arc::clone(&entry.answer), age)), drops)
    }

    /// Keeps an answer, unless its family was dropped while it was made. The oldest make room.
    fn keep(&self, key: Key, answer: Answer, ttl: Duration, family: &Arc<str>, drops: u64) {
        let size = answer.size() + OVERHEAD;
        let at = self.clock.now();
        let Ok(until) = at.checked_add(ttl) else {
            return;
        };
        let mut kept = self.kept();
        // One answer is not worth all others.
        if size > self.room.bytes / 8 || kept.drops.get(family) != Some(&drops) {
            return;
        }
        kept.remove(&key);
        while kept.entries.len() >= self.room.entries.max(1) || kept.bytes + size > self.room.bytes
        {
            let Some(oldest) = kept.order.values().next().copied() else {
                break;
            };
            kept.remove(&oldest);
        }
        kept.serial += 1;
        let serial = kept.serial;
        kept.bytes += size;
        kept.order.insert(serial, key);
        let entry = Entry {
            answer: Arc::new(answer),
            family: Arc::clone(family),
            at,
            until,
            serial,
            size,
        };
        kept.entries.insert(key, entry);
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn remove(&mut self, key: &Key) {
        if let Some(entry) = self.entries.remove(key) {
            self.order.remove(&entry.serial);
            self.bytes -= entry.size;
        }
    }
}

impl Answer {
    /// Of a call that went well.
    fn of(outcome: &Outcome) -> Option<Self> {
        match outcome {
            Outcome::Value(json) => Some(Self::Value(json.clone())),
            Outcome::Reply {
                content,
                structured,
            } => Some(Self::Reply {
                content: content.clone(),
                structured: structured.clone(),
            }),
            _ => None,
        }
    }

    fn outcome(&self) -> Outcome {
        match self {
            Self::Value(json) => Outcome::Value(json.clone()),
            Self::Reply {
                content,
                structured,
            } => Outcome::Reply {
                content: content.clone(),
                structured: structured.clone(),
            },
        }
    }

    fn size(&self) -> usize {
        match self {
            Self::Value(json) => json.len(),
            Self::Reply {
                content,
                structured,
            } => content.len() + structured.len(),
        }
    }
}

/// Who asks what; nothing for a caller without a token. Scopes and roles are part of it: a tool may
/// tell more to whoever has more of them.
fn key(tool: &str, caller: &Caller, arguments: &Object<'_>) -> Option<Key> {
    let principal = caller.principal()?;
    let mut hash = Sha256::new();
    let mut add = |part: &[u8]| {
        // Lengths keep ("ab", "c") and ("a", "bc") apart.
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    };
    add(&caller.owner_digest()?);
    add(principal.email().unwrap_or_default().as_bytes());
    for list in [
        principal.scopes().collect::<Vec<_>>(),
        principal.roles().collect(),
    ] {
        add(&(list.len() as u64).to_be_bytes());
        list.iter().for_each(|one| add(one.as_bytes()));
    }
    add(tool.as_bytes());
    add(Redaction::Nothing.digest(arguments).as_bytes());
    Some(hash.finalize().into())
}

impl fmt::Debug for ResultCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kept = self.kept();
        f.debug_struct("ResultCache")
            .field("entries", &kept.entries.len())
            .field("bytes", &kept.bytes)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache(entries: usize, bytes: usize) -> ResultCache {
        let clock = Clock::manual(Timestamp::UNIX_EPOCH);
        ResultCache::new(clock, Room { entries, bytes }, None)
    }

    fn keep(cache: &ResultCache, key: u8, size: usize, family: &Arc<str>) {
        let (_, drops) = cache.find(&[key; 32], family);
        let answer = Answer::Value("x".repeat(size));
        cache.keep([key; 32], answer, Duration::from_secs(5), family, drops);
    }

    #[test]
    fn neither_entries_nor_bytes_grow_without_end() {
        for (entries, bytes, size) in [(10, 1 << 20, 10), (1_000, 64 << 10, 5_000)] {
            let cache = cache(entries, bytes);
            let family = cache.family("books");
            for key in 0..=255 {
                keep(&cache, key, size, &family);
                let kept = cache.kept();
                assert!(kept.entries.len() <= entries && kept.bytes <= bytes);
                assert_eq!(kept.entries.len(), kept.order.len());
            }
            assert!(
                cache.find(&[255; 32], &family).0.is_some(),
                "the newest is there"
            );
            assert!(
                cache.find(&[0; 32], &family).0.is_none(),
                "the oldest made room"
            );
        }
    }

    #[test]
    fn one_answer_does_not_push_out_all_others() {
        let cache = cache(10, 80_000);
        let family = cache.family("books");
        keep(&cache, 1, 100, &family);
        keep(&cache, 2, 10_001, &family);
        assert!(cache.find(&[1; 32], &family).0.is_some());
        assert!(cache.find(&[2; 32], &family).0.is_none());
    }

    #[test]
    fn what_was_dropped_meanwhile_is_not_kept() {
        let cache = cache(10, 1 << 20);
        let (books, shelves) = (cache.family("books"), cache.family("shelves"));
        for (dropped, stays) in [
            ("shelves", true),
            ("books", false),
            ("", false),
            ("?", false),
        ] {
            let (_, drops) = cache.find(&[1; 32], &books);
            cache.drop_family(dropped);
            let answer = Answer::Value("1".to_owned());
            cache.keep([1; 32], answer, Duration::from_secs(5), &books, drops);
            assert_eq!(cache.find(&[1; 32], &books).0.is_some(), stays, "{dropped}");
            cache.drop_family("");
        }
        keep(&cache, 1, 1, &books);
        keep(&cache, 2, 1, &shelves);
        cache.drop_family("shelves");
        assert!(cache.find(&[1; 32], &books).0.is_some());
        assert!(cache.find(&[2; 32], &shelves).0.is_none());
        assert_eq!(cache.kept().bytes, OVERHEAD + 1);
    }
}

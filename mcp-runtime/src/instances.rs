//! What the instances of a server that share a store tell each other.
//!
//! Each of them listens to what all publish, once. A message is heard at most once, so none of
//! them is the truth: the store is, and a message says where to look. Who may have missed one
//! looks at everything again.

mod hearing;
mod message;
mod speaking;

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::{Notify, OnceCell, mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::digest;
use crate::store::{Store, StoreError};

use message::Letter;
pub(crate) use message::{Batch, List, Said};

/// Messages that wait to be sent. More are dropped, and the others look at everything again.
const MAX_WAITING: usize = 1024;
/// How long the first request waits until its instance hears the others.
const FIRST: Duration = Duration::from_secs(5);
/// How long an instance that stops tries to say so.
const LAST: Duration = Duration::from_secs(2);
/// How long an instance counts as alive after it last said so, and how often it does.
const LEASE: Duration = Duration::from_secs(30);
const RENEWAL: Duration = Duration::from_secs(10);
/// What is switched is remembered for ten years: stores have no entries without an end.
const SWITCHES_LIVE: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// Who hears what other instances say.
pub(crate) trait Ear: Send + Sync + 'static {
    /// Takes a message. What is slow does not belong here: the next one waits.
    fn hear(self: Arc<Self>, said: Said, answer: Answer) -> impl Future<Output = ()> + Send;

    /// Something was said that was not heard.
    fn missed(self: Arc<Self>) -> impl Future<Output = ()> + Send;

    /// Something is switched on or off, perhaps as it was before.
    fn switched(&self, kind: &str, name: &str, on: bool);
}

/// One instance among those of its server, or alone. What runs for it ends when it is dropped.
pub(crate) struct Instances {
    voice: Option<Voice>,
    letters: Mutex<Option<mpsc::Receiver<Letter>>>,
    joined: OnceCell<()>,
    /// Whether it hears the others, or has tried.
    listening: CancellationToken,
    /// Nothing is to be said any more but what waits; and whether that is said.
    closing: CancellationToken,
    closed: CancellationToken,
    over: CancellationToken,
}

/// By which an instance speaks to the others. Clones are the same.
#[derive(Clone)]
pub(crate) struct Voice(Arc<Inner>);

struct Inner {
    /// Of this instance; nobody else has it.
    name: String,
    /// What all instances of a server have in common, and no other server.
    server: String,
    store: Arc<dyn Store>,
    clock: Clock,
    letters: mpsc::Sender<Letter>,
    /// Whether something could not be said.
    lost: AtomicBool,
    next: std::sync::atomic::AtomicU64,
    /// Questions to other instances, by their number.
    waiting: Mutex<HashMap<u64, oneshot::Sender<Said>>>,
    /// What was switched here and is not in the store yet, by kind and name.
    switched: Mutex<BTreeMap<String, bool>>,
    poked: Notify,
    leased: AtomicBool,
}

impl Instances {
    /// One of the instances that share `store`. Those with the same `server` are one.
    pub(crate) fn new(store: Option<(Arc<dyn Store>, &str)>, clock: &Clock) -> Self {
        let (sender, letters) = mpsc::channel(MAX_WAITING);
        let voice = store.map(|(store, server)| {
            Voice(Arc::new(Inner {
                name: digest::hex(&digest::random::<16>()),
                server: digest::sha256_hex(server)[..16].to_owned(),
                store,
                clock: clock.clone(),
                letters: sender,
                lost: AtomicBool::new(false),
                next: std::sync::atomic::AtomicU64::new(1),
                waiting: Mutex::default(),
                switched: Mutex::default(),
                poked: Notify::new(),
                leased: AtomicBool::new(false),
            }))
        });
        Self {
            letters: Mutex::new(voice.is_some().then_some(letters)),
            voice,
            joined: OnceCell::new(),
            listening: CancellationToken::new(),
            closing: CancellationToken::new(),
            closed: CancellationToken::new(),
            over: CancellationToken::new(),
        }
    }

    /// `None` for an instance that is alone.
    pub(crate) fn voice(&self) -> Option<&Voice> {
        self.voice.as_ref()
    }

    /// Whether there is nobody to join, or that is done.
    pub(crate) fn has_joined(&self) -> bool {
        self.voice.is_none() || self.joined.initialized()
    }

    /// Hears the others from now on. Waits for that once, and not for ever: a store that fails is
    /// tried again while the instance serves what it can.
    pub(crate) async fn join<E: Ear>(&self, ear: &Arc<E>) {
        let Some(voice) = &self.voice else {
            return;
        };
        let joined = async {
            self.begin(voice, ear);
            let _ = tokio::time::timeout(FIRST, self.listening.cancelled()).await;
        };
        self.joined.get_or_init(|| joined).await;
    }

    fn begin<E: Ear>(&self, voice: &Voice, ear: &Arc<E>) {
        let Some(letters) = lock(&self.letters).take() else {
            return;
        };
        let ear: Weak<E> = Arc::downgrade(ear);
        let hearing = hearing::hear(voice.clone(), ear, self.listening.clone());
        let speaking = speaking::speak(voice.clone(), letters, self.closing.clone());
        let alive = speaking::keep_alive(voice.clone());
        let over = self.over.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = over.cancelled() => {}
                () = async { tokio::join!(hearing, alive); } => {}
            }
        });
        // Apart from the other, which may wait long for the store.
        let (over, closed) = (self.over.clone(), self.closed.clone());
        tokio::spawn(async move {
            tokio::select! {
                () = over.cancelled() => {}
                () = speaking => {}
            }
            closed.cancel();
        });
    }

    /// Says what is still to be said, and neither speaks nor hears any more.
    pub(crate) async fn leave(&self) {
        let Some(voice) = &self.voice else {
            return;
        };
        self.closing.cancel();
        let has_begun = lock(&self.letters).is_none();
        let last_words = async {
            if has_begun {
                self.closed.cancelled().await;
            }
            let switched = voice.store_switches().await;
            if voice.0.leased.swap(false, Ordering::AcqRel) {
                let key = voice.lease_key(&voice.0.name);
                voice.0.store.remove(&key).await?;
            }
            switched
        };
        match tokio::time::timeout(LAST, last_words).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => warn(&error, "other instances cannot be told that this one stops"),
            Err(_) => {
                tracing::warn!(target: "mcp::instances", "the store takes too long for last words");
            }
        }
        self.over.cancel();
    }
}

impl Drop for Instances {
    fn drop(&mut self) {
        self.over.cancel();
    }
}

impl Voice {
    /// Tells the other instances, some time soon.
    pub(crate) fn tell(&self, said: Said) {
        self.send(Letter::to_all(said));
    }

    /// Tells the other instances, if there is room to spare: what any client may say as often as it
    /// likes must not keep from them what they have to know.
    pub(crate) fn mention(&self, said: Said) {
        if self.0.letters.capacity() > MAX_WAITING / 2 {
            self.tell(said);
        }
    }

    /// Asks the instance of this name, or whichever knows, and waits for the answer. `None` when
    /// there is none within `patience`.
    pub(crate) async fn ask(
        &self,
        whom: Option<&str>,
        said: Said,
        patience: Duration,
    ) -> Option<Said> {
        let number = self.0.next.fetch_add(1, Ordering::Relaxed);
        let (answer, answered) = oneshot::channel();
        lock(&self.0.waiting).insert(number, answer);
        // However the wait ends, nobody waits any more.
        let _closed = Closes(self, number);
        self.send(Letter::question(said, whom, number));
        tokio::time::timeout(patience, answered).await.ok()?.ok()
    }

    /// Something was switched here, and is to be everywhere.
    pub(crate) fn switched(&self, kind: &str, name: &str, on: bool) {
        lock(&self.0.switched).insert(format!("{kind} {name}"), on);
        self.0.poked.notify_one();
    }

    /// Says that this instance lives, now and until it ends.
    pub(crate) async fn live(&self) -> Result<(), StoreError> {
        if !self.0.leased.load(Ordering::Acquire) {
            self.renew().await?;
            self.0.leased.store(true, Ordering::Release);
        }
        Ok(())
    }

    /// Whether the instance of this name lives.
    pub(crate) async fn lives(&self, name: &str) -> Result<bool, StoreError> {
        let lease = self.0.store.get(&self.lease_key(name)).await?;
        Ok(lease.is_some())
    }

    /// The name of this instance.
    pub(crate) fn name(&self) -> &str {
        &self.0.name
    }

    pub(crate) fn store(&self) -> &Arc<dyn Store> {
        &self.0.store
    }

    /// A key in the store that other servers do not use.
    pub(crate) fn key(&self, what: &str, name: &str) -> String {
        format!("mcp:{what}:{}:{name}", self.0.server)
    }

    fn lease_key(&self, name: &str) -> String {
        self.key("instance", name)
    }

    async fn renew(&self) -> Result<(), StoreError> {
        let key = self.lease_key(&self.0.name);
        self.0.store.put(&key, b"", self.after(LEASE)).await
    }

    fn after(&self, time: Duration) -> jiff::Timestamp {
        let now = self.0.clock.now();
        now.checked_add(time).unwrap_or(jiff::Timestamp::MAX)
    }

    fn send(&self, letter: Letter) {
        if self.0.letters.try_send(letter).is_err() {
            self.0.lost.store(true, Ordering::Release);
        }
    }
}

/// By which a question of another instance is answered.
pub(crate) struct Answer {
    voice: Voice,
    /// Who asked, and its number of the question.
    to: Option<(String, u64)>,
}

impl Answer {
    /// Answers, if something was asked.
    pub(crate) fn with(self, said: Said) {
        if let Some((name, number)) = self.to {
            self.voice.send(Letter::answer(said, name, number));
        }
    }
}

struct Closes<'a>(&'a Voice, u64);

impl Drop for Closes<'_> {
    fn drop(&mut self) {
        lock(&self.0.0.waiting).remove(&self.1);
    }
}

/// Pauses that grow while something fails.
struct Pause(Duration);

impl Pause {
    const LEAST: Duration = Duration::from_millis(200);
    const MOST: Duration = Duration::from_secs(10);

    fn new() -> Self {
        Self(Self::LEAST)
    }

    async fn wait(&mut self) {
        tokio::time::sleep(self.0).await;
        self.0 = (self.0 * 2).min(Self::MOST);
    }
}

fn warn(error: &StoreError, what: &str) {
    let cause = std::error::Error::source(error).map(ToString::to_string);
    tracing::warn!(target: "mcp::instances", %error, cause, "{what}");
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

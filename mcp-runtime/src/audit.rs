//! Who did what, and who was kept from it: one record for every call, in a chain that shows where
//! somebody changed it.
//!
//! What may change something is recorded *before* it runs: no record, no call. How it went is
//! recorded after; that cannot be made undone, so it is retried, logged, and never kept from the
//! caller.

mod arguments;
mod lines;
mod record;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod sql;
mod verify;

use std::error::Error;
use std::fmt;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::Semaphore;

pub(crate) use self::arguments::{Redaction, has_secret};
pub use self::record::{AuditEvent, AuditRecord};
pub use self::verify::{Broken, Verified};

use crate::bound::Bound;
use crate::call::{self, Call};
use crate::caller::Caller;
use crate::clock::Clock;
use crate::error::Refusal;
use crate::json::Object;
use crate::output::Outcome;
use crate::policy::Policy;

/// Where records are kept.
pub trait AuditSink: Send + Sync + 'static {
    /// Keeps a record. Ready when it is as safe as this sink makes it: a tool that changes
    /// something waits for that. [`AuditRecord::sealed`] makes a line of it that is safe to show.
    fn write<'a>(&'a self, record: &'a AuditRecord) -> AuditFuture<'a>;
}

/// What [`AuditSink::write`] returns.
pub type AuditFuture<'a> = Pin<Box<dyn Future<Output = Result<(), AuditError>> + Send + 'a>>;

/// Why a record could not be kept. For the operator.
#[derive(Debug, thiserror::Error)]
#[error("the audit log cannot be written: {0}")]
pub struct AuditError(#[source] Box<dyn Error + Send + Sync>);

impl AuditError {
    /// An error with this cause.
    pub fn new(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(cause.into())
    }

    #[cfg(any(feature = "sqlite", feature = "postgres"))]
    pub(crate) fn cause(&self) -> &(dyn Error + Send + Sync) {
        &*self.0
    }
}

/// An audit log. Clones write to the same one.
#[derive(Clone)]
pub struct AuditLog(Arc<Shared>);

struct Shared {
    sink: Box<dyn AuditSink>,
    /// Records that are written while nobody waits for them.
    later: Arc<Semaphore>,
}

/// More are written to the log of the server instead.
const MAX_LATER: usize = 1024;
const RETRIES: [Duration; 3] = [
    Duration::from_millis(100),
    Duration::from_secs(1),
    Duration::from_secs(5),
];

impl AuditLog {
    /// A log in a sink of your own.
    pub fn new(sink: impl AuditSink) -> Self {
        Self(Arc::new(Shared {
            sink: Box::new(sink),
            later: Arc::new(Semaphore::new(MAX_LATER)),
        }))
    }

    /// A log in a file, a record a line, which only its owner can read. Any number of processes
    /// may write to it, and it may be moved away to rotate it.
    ///
    /// A record counts as written when the operating system has it: it survives the end of the
    /// process, whatever ends it, and not that of the power. See
    /// [`json_lines_synced`](Self::json_lines_synced).
    ///
    /// # Errors
    /// When the file cannot be opened or read.
    pub fn json_lines(path: impl AsRef<Path>) -> Result<Self, AuditError> {
        Self::lines(path.as_ref(), false)
    }

    /// As [`json_lines`](Self::json_lines), and every record is on the disk before it counts as
    /// written. That takes milliseconds for each.
    ///
    /// # Errors
    /// When the file cannot be opened or read.
    pub fn json_lines_synced(path: impl AsRef<Path>) -> Result<Self, AuditError> {
        Self::lines(path.as_ref(), true)
    }

    fn lines(path: &Path, synced: bool) -> Result<Self, AuditError> {
        let lines = lines::Lines::open(path, synced).map_err(AuditError::new)?;
        Ok(Self::new(lines))
    }

    /// A log in the table `mcp_audit` of a database, which is made when it is not there:
    /// `sqlite:audit.db`, with a path as it is, or `postgres://user:password@host/database`. A file
    /// is made for its owner only. Any number of processes may write to it.
    ///
    /// # Errors
    /// When the database cannot be used.
    #[cfg(any(feature = "sqlite", feature = "postgres"))]
    pub async fn sql(url: &str) -> Result<Self, AuditError> {
        Ok(Self::new(sql::Rows::open(url).await?))
    }

    /// Reads a file of [`json_lines`](Self::json_lines) and checks its chain.
    ///
    /// # Errors
    /// The first row where it is broken, or that the file cannot be read.
    pub fn verify(path: impl AsRef<Path>) -> Result<Verified, Broken> {
        verify::lines(path.as_ref())
    }

    /// Reads the table of [`sql`](Self::sql) and checks its chain.
    ///
    /// # Errors
    /// The first row where it is broken, or that the table cannot be read.
    #[cfg(any(feature = "sqlite", feature = "postgres"))]
    pub async fn verify_sql(url: &str) -> Result<Verified, Broken> {
        sql::verify(url).await
    }

    /// Writes a record that comes too late to prevent anything.
    async fn keep(&self, record: AuditRecord) {
        let Err(error) = self.0.sink.write(&record).await else {
            return;
        };
        tracing::error!(target: "mcp::audit", request_id = record.request_id, cause = %error, "a record was not written; trying again");
        let log = self.clone();
        self.spawn(record.clone(), async move {
            for delay in RETRIES {
                tokio::time::sleep(delay).await;
                if log.0.sink.write(&record).await.is_ok() {
                    return;
                }
            }
            lose(&record);
        });
    }

    /// Writes the record of a call that was dropped: nobody is left to wait for it.
    fn keep_dropped(&self, record: AuditRecord) {
        if Handle::try_current().is_err() {
            return lose(&record);
        }
        let (log, kept) = (self.clone(), record.clone());
        let mut work: Pin<Box<dyn Future<Output = ()> + Send>> =
            Box::pin(async move { log.keep(kept).await });
        // A sink that is quick is done at once, also when the server is about to stop.
        let mut context = Context::from_waker(Waker::noop());
        if work.as_mut().poll(&mut context).is_pending() {
            self.spawn(record, work);
        }
    }

    fn spawn(&self, record: AuditRecord, work: impl Future<Output = ()> + Send + 'static) {
        match Arc::clone(&self.0.later).try_acquire_owned() {
            Ok(place) => {
                tokio::spawn(async move {
                    work.await;
                    drop(place);
                });
            }
            Err(_) => lose(&record),
        }
    }
}

/// What no sink takes is at least in the log of the server.
fn lose(record: &AuditRecord) {
    let (line, _) = record.sealed(record::GENESIS);
    tracing::error!(target: "mcp::audit", record = line, "a record is lost");
}

impl fmt::Debug for AuditLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AuditLog")
    }
}

/// What is recorded of a function, as far as it is known before a call.
pub(crate) struct Audited {
    log: AuditLog,
    kind: &'static str,
    /// What the policy asks for, for people.
    rule: String,
    read_only: bool,
}

impl Audited {
    pub(crate) fn new(
        log: &AuditLog,
        kind: &'static str,
        policy: &Policy,
        read_only: bool,
    ) -> Self {
        Self {
            log: log.clone(),
            kind,
            rule: rule(policy),
            read_only,
        }
    }
}

fn rule(policy: &Policy) -> String {
    let scopes = policy.needed_scopes();
    let mut text = if policy.is_public() {
        "public".to_owned()
    } else if scopes.is_empty() {
        "authenticated".to_owned()
    } else {
        format!("scope {}", scopes.join(" "))
    };
    if !policy.needed_roles().is_empty() {
        text += &format!(", role {}", policy.needed_roles().join(" or "));
    }
    text
}

/// The record of one call, from before its policy is asked to its end. A call that is dropped
/// closes it, too. Nothing, where there is no audit.
pub(crate) struct Ticket<'call>(Option<Box<Open<'call>>>);

struct Open<'call> {
    log: &'call AuditLog,
    clock: &'call Clock,
    record: AuditRecord,
    since: Instant,
    read_only: bool,
}

impl<'call> Ticket<'call> {
    pub(crate) fn new(bound: &'call Bound, call: &'call Call, arguments: &Object<'_>) -> Self {
        let Some(audited) = &bound.audited else {
            return Self(None);
        };
        let mut record = blank(call.caller(), call, audited.kind, &bound.name);
        record.rule.clone_from(&audited.rule);
        record.args_sha256 = bound.redaction.digest(arguments);
        record.arguments = Some(bound.redaction.show(arguments));
        Self(Some(Box::new(Open {
            log: &audited.log,
            clock: call.clock(),
            record,
            since: Instant::now(),
            read_only: audited.read_only,
        })))
    }

    /// Records that the call was turned away.
    pub(crate) async fn deny(mut self, refusal: &Refusal) {
        let Some(mut open) = self.0.take() else {
            return;
        };
        open.deny(refusal);
        open.end("refused", Some(refusal.word()));
        open.keep().await;
    }

    /// Records that the call is about to run, if it may change something.
    ///
    /// # Errors
    /// When that is not possible: then it must not run.
    pub(crate) async fn open(&mut self) -> Result<(), Refusal> {
        let Some(open) = self.0.as_mut().filter(|open| !open.read_only) else {
            return Ok(());
        };
        let begun = Box::pin(open.begin()).await;
        if begun.is_err() {
            self.0 = None;
        }
        begun
    }

    /// Records how the call went.
    pub(crate) async fn close(mut self, outcome: &Outcome) {
        let Some(mut open) = self.0.take() else {
            return;
        };
        let word = call::word(outcome);
        let (said, code) = match outcome {
            Outcome::Error(error) => ("failed", Some(error.code_str())),
            Outcome::Refused(Refusal::TimedOut { .. }) => ("timeout", Some(word)),
            Outcome::Refused(Refusal::Panicked) => ("panic", Some(word)),
            Outcome::Refused(refusal @ Refusal::Forbidden) => {
                open.deny(refusal);
                ("refused", Some(word))
            }
            Outcome::Refused(Refusal::InvalidArguments(_)) => ("refused", Some(word)),
            Outcome::Refused(_) => ("failed", Some(word)),
            _ => (word, None),
        };
        open.end(said, code);
        open.keep().await;
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        if let Some(mut open) = self.0.take() {
            open.end("cancelled", None);
            open.log.keep_dropped(open.record);
        }
    }
}

impl Open<'_> {
    async fn begin(&mut self) -> Result<(), Refusal> {
        let mut begin = self.record.clone();
        begin.event = AuditEvent::Begin;
        begin.ts = now(self.clock);
        // Dropped while this is written: the end of a call that may not have begun says at least
        // that there was one.
        self.record.event = AuditEvent::End;
        if let Err(cause) = self.log.0.sink.write(&begin).await {
            tracing::error!(target: "mcp::audit", request_id = begin.request_id, %cause, "no record, no call");
            return Err(Refusal::AuditUnavailable);
        }
        self.record.arguments = None;
        Ok(())
    }

    /// In a box, so that calls without an audit do not carry what it takes.
    fn keep(self) -> Pin<Box<impl Future<Output = ()>>> {
        Box::pin(self.log.keep(self.record))
    }

    fn deny(&mut self, refusal: &Refusal) {
        self.record.decision = "deny";
        self.record.rule = match refusal {
            Refusal::Unknown => "hidden".to_owned(),
            Refusal::InsufficientScope { scopes } => {
                format!("insufficient_scope {}", scopes.join(" "))
            }
            Refusal::Forbidden => "guard".to_owned(),
            Refusal::TooMany(too_many) => format!("limit on {}", too_many.what),
            other => other.word().to_owned(),
        };
    }

    fn end(&mut self, outcome: &'static str, code: Option<&str>) {
        self.record.ts = now(self.clock);
        self.record.outcome = Some(outcome);
        self.record.code = code.map(|code| arguments::short(code, &mut 256));
        self.record.duration_us =
            Some(u64::try_from(self.since.elapsed().as_micros()).unwrap_or(u64::MAX));
    }
}

/// Records a call of something that does not exist: whoever tries names is seen.
pub(crate) async fn unknown(log: &AuditLog, call: &Call, name: &str, arguments: &Object<'_>) {
    let mut record = blank(call.caller(), call, "tool", name);
    record.decision = "deny";
    record.rule = "unknown".to_owned();
    // Nobody said which of these are secret.
    record.args_sha256 = Redaction::nothing_known().digest(arguments);
    record.outcome = Some("refused");
    record.code = Some(Refusal::Unknown.word().to_owned());
    Box::pin(log.keep(record)).await;
}

/// A record of which only the circumstances are known.
fn blank(caller: &Caller, call: &Call, kind: &'static str, name: &str) -> AuditRecord {
    let principal = caller.principal();
    let short = |text: &str| arguments::short(text, &mut 1024);
    AuditRecord {
        ts: now(call.clock()),
        event: AuditEvent::Call,
        request_id: call.request_id().to_owned(),
        iss: principal.map(|p| short(p.issuer())),
        sub: principal.map(|p| short(p.subject())),
        email: principal.and_then(|p| p.email()).map(short),
        tenant: principal.and_then(|p| p.tenant()).map(short),
        address: call.inner().reach.address,
        kind,
        tool: short(name),
        decision: "allow",
        rule: String::new(),
        args_sha256: String::new(),
        arguments: None,
        outcome: None,
        code: None,
        duration_us: None,
    }
}

fn now(clock: &Clock) -> String {
    format!("{:.6}", clock.now())
}

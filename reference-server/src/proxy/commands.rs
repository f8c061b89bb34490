//! Running a command: no shell, an empty environment, an empty folder of its own, a process group
//! that ends as a whole, and a cap on time, output and number.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use mcp_runtime::BootError;
use mcp_runtime::prelude::*;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};
use tokio::sync::Semaphore;

use super::grammar::{self, Template};
use super::logs::{Ran, hides, tame};
use super::redact::redacted;
use super::settings::CommandSettings;
use super::store::Store;
use crate::random;

/// Of standard output and standard error together.
const MAX_OUTPUT: usize = 64 << 10;
/// Of a word, what is remembered.
const MAX_WORD: usize = 200;

/// What a command left behind.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Finished {
    /// Null for a command that was ended by a signal, as one with too much output is.
    pub exit_code: Option<i32>,
    /// Bytes that are no text, and control characters, are replaced.
    pub stdout: String,
    pub stderr: String,
    /// Whether the output was cut at 64 KiB.
    pub truncated: bool,
    pub duration_ms: u64,
}

pub(super) struct Commands {
    templates: Vec<Template>,
    path: String,
    /// Above the folders in which they run.
    folder: PathBuf,
    timeout: Duration,
    places: Arc<Semaphore>,
}

impl Commands {
    pub(super) fn new(settings: &CommandSettings, folder: PathBuf) -> Result<Self, BootError> {
        let read = |text: &String| {
            Template::read(text, &settings.path).map_err(|problem| {
                BootError::new(format!("proxy.commands.allow: `{text}` {problem}"))
            })
        };
        if !settings.allow.is_empty() {
            crate::data::create(&folder)?;
        }
        if settings.at_once == 0 {
            return Err(BootError::new(
                "proxy.commands.at_once is 0: none could run",
            ));
        }
        let folders = settings
            .path
            .iter()
            .map(|folder| folder.display().to_string());
        Ok(Self {
            templates: settings.allow.iter().map(read).collect::<Result<_, _>>()?,
            path: folders.collect::<Vec<_>>().join(":"),
            folder,
            timeout: settings.timeout,
            places: Arc::new(Semaphore::new(settings.at_once)),
        })
    }

    pub(super) fn are_on(&self) -> bool {
        !self.templates.is_empty()
    }

    pub(super) async fn run(
        &self,
        command: &str,
        call: &Call,
        store: &Arc<Store>,
    ) -> ToolResult<Finished> {
        let words = grammar::words(command).unwrap_or_default();
        let mut record = Record::new(command, call, store);
        let Some(program) = self.templates.iter().find_map(|one| one.fits(&words)) else {
            record.refused("not_allowed");
            return Err(self.not_allowed());
        };
        let Ok(_place) = self.places.try_acquire() else {
            record.refused("busy");
            let text = "As many commands run as may run at once. Try again later.";
            return Err(ToolError::new(text).code("busy"));
        };
        let folder = Folder::new(&self.folder).tell("There is no folder to run it in.");
        let folder = folder.inspect_err(|_| record.refused("failed"))?;
        let child = Command::new(program)
            .args(&words[1..])
            .env_clear()
            .env("PATH", &self.path)
            .env("LANG", "C.UTF-8")
            .env("HOME", "/nonexistent")
            .current_dir(&folder.0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .tell("The program cannot be started.");
        let child = child.inspect_err(|_| record.refused("failed"))?;
        let finished = Group::new(child).finish(self.timeout, record.since).await;
        record.end(&finished);
        finished.unwrap_or_else(|error| Err(ToolError::internal(error)))
    }

    fn not_allowed(&self) -> ToolError {
        let allowed: Vec<&str> = self.templates.iter().map(Template::text).collect();
        ToolError::new(
            "This command is not allowed. Words are parted by single spaces; quotes, pipes and \
             other signs of a shell mean nothing here.",
        )
        .code("not_allowed")
        .data(serde_json::json!({ "allowed": allowed }))
    }
}

/// An empty folder, removed with what is in it when this is dropped.
struct Folder(PathBuf);

impl Folder {
    fn new(above: &Path) -> std::io::Result<Self> {
        let folder = above.join(random::uuid4());
        std::fs::create_dir(&folder)?;
        Ok(Self(folder))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::warn!(%error, "the folder of a command stays behind");
        }
    }
}

type Ended = std::io::Result<ToolResult<Finished>>;

/// A child with everything that it starts; killed as a whole when this is dropped.
struct Group {
    child: Child,
    /// The id of the group is that of its first process.
    id: Option<u32>,
}

impl Group {
    fn new(child: Child) -> Self {
        let id = child.id();
        Self { child, id }
    }

    async fn finish(mut self, timeout: Duration, since: Instant) -> Ended {
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        let pipes = (self.child.stdout.take(), self.child.stderr.take());
        let budget = AtomicUsize::new(MAX_OUTPUT);
        let until_end = async {
            let read = async {
                tokio::try_join!(
                    read(pipes.0, &mut stdout, &budget),
                    read(pipes.1, &mut stderr, &budget)
                )
            };
            if read.await.is_err() {
                return Ok(None);
            }
            self.child.wait().await.map(Some)
        };
        let Ok(ended) = tokio::time::timeout(timeout, until_end).await else {
            let text = format!("The command took longer than {timeout:?} and was ended.");
            return Ok(Err(ToolError::new(text).code("timed_out")));
        };
        let status = ended?;
        let mut left = MAX_OUTPUT;
        let ((stdout, out_cut), (stderr, err_cut)) =
            (shown(&stdout, &mut left), shown(&stderr, &mut left));
        Ok(Ok(Finished {
            exit_code: status.and_then(|status| status.code()),
            stdout,
            stderr,
            truncated: status.is_none() || out_cut || err_cut,
            duration_ms: millis(since),
        }))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        #[cfg(unix)]
        if let Some(pid) = self
            .id
            .and_then(|id| i32::try_from(id).ok())
            .and_then(rustix::process::Pid::from_raw)
        {
            // Fails when nobody of the group is left, which is as well.
            let _ = rustix::process::kill_process_group(pid, rustix::process::Signal::KILL);
        }
    }
}

/// Too much was written.
struct Full;

async fn read(
    pipe: Option<impl AsyncRead + Unpin>,
    into: &mut Vec<u8>,
    budget: &AtomicUsize,
) -> Result<(), Full> {
    let Some(mut pipe) = pipe else {
        return Ok(());
    };
    let mut piece = [0; 8192];
    loop {
        let Ok(count @ 1..) = pipe.read(&mut piece).await else {
            return Ok(());
        };
        let left = budget.load(Ordering::Relaxed);
        let fits = count.min(left);
        into.extend_from_slice(&piece[..fits]);
        // Both pipes are read by one task: nobody else has counted since.
        budget.store(left - fits, Ordering::Relaxed);
        if fits < count {
            return Err(Full);
        }
    }
}

/// The text, as far as it fits into what is left, and whether it was cut: what stands for a byte that
/// is no text is longer than that byte.
fn shown(bytes: &[u8], left: &mut usize) -> (String, bool) {
    let text = String::from_utf8_lossy(bytes);
    let tame = |c: char| match c {
        '\n' | '\t' => c,
        c if hides(c) => '\u{fffd}',
        c => c,
    };
    let mut shown = String::with_capacity(bytes.len());
    for c in text.chars().map(tame) {
        let Some(rest) = left.checked_sub(c.len_utf8()) else {
            return (shown, true);
        };
        *left = rest;
        shown.push(c);
    }
    (shown, false)
}

fn millis(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// What is remembered of a command, also of one that was refused or that nobody waited for.
struct Record {
    store: Arc<Store>,
    since: Instant,
    ran: Option<Ran>,
}

impl Record {
    fn new(command: &str, call: &Call, store: &Arc<Store>) -> Self {
        // As it was sent: what is refused may have no words, or other signs than words have.
        let words = command.split(' ').filter(|word| !word.is_empty());
        let words: Vec<String> = words.map(|word| tame(word, MAX_WORD)).collect();
        Self {
            store: Arc::clone(store),
            since: Instant::now(),
            ran: Some(Ran {
                at: call.clock().now(),
                subject: call.caller().to_string(),
                request_id: call.request_id().to_owned(),
                argv: redacted(&words),
                outcome: "cancelled",
                exit_code: None,
                duration_ms: 0,
                bytes: 0,
            }),
        }
    }

    fn refused(&mut self, why: &'static str) {
        if let Some(ran) = &mut self.ran {
            ran.outcome = why;
        }
    }

    fn end(&mut self, ended: &Ended) {
        let Some(ran) = &mut self.ran else {
            return;
        };
        match ended {
            Ok(Ok(finished)) => {
                ran.outcome = if finished.truncated {
                    "truncated"
                } else {
                    "ended"
                };
                ran.exit_code = finished.exit_code;
                ran.bytes = (finished.stdout.len() + finished.stderr.len()) as u64;
            }
            Ok(Err(_)) => ran.outcome = "timed_out",
            Err(_) => ran.outcome = "failed",
        }
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let Some(mut ran) = self.ran.take() else {
            return;
        };
        ran.duration_ms = millis(self.since);
        tracing::info!(
            subject = ran.subject,
            request_id = ran.request_id,
            argv = ?ran.argv,
            outcome = ran.outcome,
            exit_code = ran.exit_code,
            duration_ms = ran.duration_ms,
            bytes = ran.bytes,
            "a command was asked for"
        );
        self.store.ran(ran);
    }
}

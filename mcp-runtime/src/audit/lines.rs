//! Records as lines of a file.
//!
//! Any number of processes may write to one file: each takes the lock of the file for the moment
//! in which it reads the end of the chain and appends to it. A file that was moved away to rotate
//! it is left for a new one, in which the chain goes on.

use std::fs::{File, Metadata, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, TryLockError as TryMutexError};

use super::record::{AuditRecord, GENESIS, unseal};
use super::{AuditError, AuditFuture, AuditSink};

/// How far back the last line is looked for. The longest is a fraction of it.
const TAIL: u64 = 256 << 10;

pub(super) struct Lines(Arc<Shared>);

struct Shared {
    /// Whether a record is on the disk, and not only with the operating system, when it counts as
    /// written.
    synced: bool,
    tail: Mutex<Tail>,
}

/// The end of the chain, as far as this process knows.
struct Tail {
    path: PathBuf,
    file: File,
    end: u64,
    hash: String,
    /// The last line is without its end: somebody died in the middle of it.
    torn: bool,
}

impl Lines {
    pub(super) fn open(path: &Path, synced: bool) -> io::Result<Self> {
        let mut tail = Tail {
            path: path.to_owned(),
            file: open(path)?,
            end: 0,
            hash: GENESIS.to_owned(),
            torn: false,
        };
        tail.catch_up()?;
        Ok(Self(Arc::new(Shared {
            synced,
            tail: Mutex::new(tail),
        })))
    }
}

impl AuditSink for Lines {
    fn write<'a>(&'a self, record: &'a AuditRecord) -> AuditFuture<'a> {
        Box::pin(async move {
            // A line for the operating system takes microseconds. What may take longer, waiting
            // for another process or for the disk, does so on a thread of its own.
            if !self.0.synced
                && let Some(written) = self.0.try_append(record)
            {
                return written.map_err(AuditError::new);
            }
            let (shared, record) = (Arc::clone(&self.0), record.clone());
            let written = tokio::task::spawn_blocking(move || shared.append(&record)).await;
            match written {
                Ok(written) => written.map_err(AuditError::new),
                Err(stopped) => Err(AuditError::new(stopped)),
            }
        })
    }
}

impl Shared {
    /// `None` when somebody else is writing.
    fn try_append(&self, record: &AuditRecord) -> Option<io::Result<()>> {
        let mut tail = match self.tail.try_lock() {
            Ok(tail) => tail,
            Err(TryMutexError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryMutexError::WouldBlock) => return None,
        };
        if let Err(error) = tail.follow() {
            return Some(Err(error));
        }
        match tail.file.try_lock() {
            Ok(()) => Some(tail.append_and_unlock(record, false)),
            Err(TryLockError::WouldBlock) => None,
            Err(TryLockError::Error(error)) => Some(Err(error)),
        }
    }

    fn append(&self, record: &AuditRecord) -> io::Result<()> {
        let mut tail = self.tail.lock().unwrap_or_else(PoisonError::into_inner);
        tail.follow()?;
        tail.file.lock()?;
        tail.append_and_unlock(record, self.synced)
    }
}

impl Tail {
    fn append_and_unlock(&mut self, record: &AuditRecord, synced: bool) -> io::Result<()> {
        let appended = self.append(record);
        self.file.unlock()?;
        appended?;
        if synced {
            self.file.sync_data()?;
        }
        Ok(())
    }

    fn append(&mut self, record: &AuditRecord) -> io::Result<()> {
        self.catch_up()?;
        let (line, hash) = record.sealed(&self.hash);
        let start = if self.torn { "\n" } else { "" };
        let text = format!("{start}{line}\n");
        if let Err(error) = self.file.write_all(text.as_bytes()) {
            // Half a record would break the chain; on a full disk there is at least room for this.
            let _ = self.file.set_len(self.end);
            return Err(error);
        }
        self.end += text.len() as u64;
        self.hash = hash;
        self.torn = false;
        Ok(())
    }

    /// Reads what others have appended since.
    fn catch_up(&mut self) -> io::Result<()> {
        let end = self.file.metadata()?.len();
        if end == self.end {
            return Ok(());
        }
        self.end = end;
        let from = end.saturating_sub(TAIL);
        let mut bytes = Vec::new();
        self.file.seek(SeekFrom::Start(from))?;
        (&self.file).take(TAIL).read_to_end(&mut bytes)?;
        self.torn = bytes.last().is_some_and(|last| *last != b'\n');
        let mut lines = bytes.split(|byte| *byte == b'\n').rev();
        // Behind the last line end, or what was torn.
        lines.next();
        let hash = lines
            .filter_map(|line| std::str::from_utf8(line).ok())
            .find_map(unseal)
            .map(|(_, hash)| hash.to_owned());
        if let Some(hash) = hash {
            self.hash = hash;
        }
        Ok(())
    }

    /// Goes over to the file that has the name now.
    fn follow(&mut self) -> io::Result<()> {
        let named = match std::fs::metadata(&self.path) {
            Ok(named) if same(&named, &self.file.metadata()?) => return Ok(()),
            Ok(_) => open(&self.path)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => open(&self.path)?,
            Err(error) => return Err(error),
        };
        // The chain goes on from the last record of the old one, whoever wrote it.
        self.catch_up()?;
        self.file = named;
        self.end = 0;
        self.torn = false;
        Ok(())
    }
}

fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.create(true).read(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

#[cfg(unix)]
fn same(one: &Metadata, other: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

/// Files that are open are not moved elsewhere.
#[cfg(not(unix))]
fn same(_: &Metadata, _: &Metadata) -> bool {
    true
}

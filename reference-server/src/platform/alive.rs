//! Which processes use a SQLite file, and which of them are dead.
//!
//! A server and programs that clients start may use one file at the same time. What one of them
//! has begun and not finished is finished by another only when the one is dead: two that mail the
//! same invites would mail them twice. So every process locks a file of its own for as long as it
//! lives. The system lets go of the lock when the process ends, however it ends.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::OpenError;
use crate::random;

/// Held by one process at a time, while it opens the database.
pub(super) struct Gate {
    folder: PathBuf,
    _locked: File,
}

/// Held as long as the process lives.
pub(super) struct Alive {
    folder: PathBuf,
    name: String,
    locked: Mutex<Option<File>>,
}

impl Gate {
    /// Waits for the gate of this database.
    pub(super) async fn pass(database: &Path) -> Result<Self, OpenError> {
        let beside = |suffix: &str| {
            let mut path = database.as_os_str().to_owned();
            path.push(suffix);
            PathBuf::from(path)
        };
        let (folder, lock) = (beside(".alive"), beside(".lock"));
        let passed = tokio::task::spawn_blocking(move || {
            fs::create_dir_all(&folder)?;
            let locked = File::create(lock)?;
            locked.lock()?;
            Ok(Self {
                folder,
                _locked: locked,
            })
        });
        let passed = passed.await.map_err(io::Error::other).flatten();
        passed.map_err(|source| trouble(database, source))
    }

    /// From now on others can tell that this process lives. Clears away what dead ones left.
    pub(super) fn enter(&self) -> Result<Alive, OpenError> {
        let enter = || {
            for entry in fs::read_dir(&self.folder)? {
                let path = entry?.path();
                if !lives(&path) {
                    fs::remove_file(path)?;
                }
            }
            let name = random::uuid4();
            let file = File::create(self.folder.join(&name))?;
            file.try_lock()?;
            Ok((name, file))
        };
        let (name, file) = enter().map_err(|source| trouble(&self.folder, source))?;
        Ok(Alive {
            folder: self.folder.clone(),
            name,
            locked: Mutex::new(Some(file)),
        })
    }
}

impl Alive {
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Tells whether the process of a name lives.
    pub(super) fn witness(&self) -> impl Fn(&str) -> bool + Send + Sync + 'static {
        let folder = self.folder.clone();
        move |name| lives(&folder.join(name))
    }

    /// What the end of the process does.
    #[cfg(debug_assertions)]
    pub(super) fn die(&self) {
        self.locked
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        let locked = self
            .locked
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        if locked.take().is_some() {
            // Left over, it would be cleared away by the next process.
            let _ = fs::remove_file(self.folder.join(&self.name));
        }
    }
}

/// Shared, so that two who look at the same time do not take each other for the owner. A file
/// that cannot be looked at belongs to somebody.
fn lives(path: &Path) -> bool {
    match File::open(path) {
        Ok(file) => file.try_lock_shared().is_err(),
        Err(error) => error.kind() != io::ErrorKind::NotFound,
    }
}

fn trouble(path: &Path, source: io::Error) -> OpenError {
    OpenError::File {
        path: path.display().to_string(),
        source,
    }
}

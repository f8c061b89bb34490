//! Which processes use a SQLite file, and which of them are dead.
//!
//! A server and programs that clients start may use one file at the same time. What one of them
//! has begun and not finished is finished by another only when the one is dead: two that mail the
//! same invites would mail them twice. So every process locks a file of its own for as long as it
//! lives. The system lets go of the lock when the process ends, however it ends.

use std::fs::{self, File};
use std::future::{Ready, ready};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::OpenError;
use crate::database::Database;
use crate::random;

/// Held as long as the process lives.
pub(super) struct Alive {
    folder: PathBuf,
    name: String,
    locked: Mutex<Option<File>>,
}

impl Alive {
    /// From now on others can tell that this process lives. Clears away what dead ones left.
    pub(super) async fn enter(database: &Database, file: &Path) -> Result<Self, OpenError> {
        let mut folder = file.as_os_str().to_owned();
        folder.push(".alive");
        let folder = PathBuf::from(folder);
        // A file that is not locked yet looks like one of the dead.
        let _gate = database.gate().await?;
        let enter = || {
            fs::create_dir_all(&folder)?;
            for entry in fs::read_dir(&folder)? {
                let path = entry?.path();
                if !lives(&path) {
                    fs::remove_file(path)?;
                }
            }
            let name = random::uuid4();
            let file = File::create(folder.join(&name))?;
            file.try_lock()?;
            Ok((name, file))
        };
        let (name, file) = enter().map_err(|source| trouble(&folder, source))?;
        Ok(Self {
            folder,
            name,
            locked: Mutex::new(Some(file)),
        })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Tells whether the process of a name lives.
    pub(super) fn witness(&self) -> impl Fn(&str) -> Ready<bool> + Send + Sync + 'static {
        let folder = self.folder.clone();
        move |name| ready(lives(&folder.join(name)))
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

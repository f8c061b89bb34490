//! One process per SQLite file.
//!
//! Taking over what a crash cut off rests on knowing that its process is dead. Two processes on
//! one file would each take the other for dead and mail the same invites. So the first one locks
//! a file beside the database; the system lets go of the lock when the process ends, however.

use std::collections::HashMap;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::OpenError;

/// Held as long as one platform of this process has the database open.
pub(super) type LockFile = Arc<File>;

/// The locks of this process. It may open a database again, as after a crash in a test.
static HELD: Mutex<Option<HashMap<PathBuf, Weak<File>>>> = Mutex::new(None);

pub(super) fn lock(database: &Path) -> Result<LockFile, OpenError> {
    let mut path = database.as_os_str().to_owned();
    path.push(".lock");
    let path = PathBuf::from(path);
    let failed = |source| OpenError::File {
        path: path.display().to_string(),
        source,
    };
    let file = File::create(&path).map_err(failed)?;
    let name = path.canonicalize().map_err(failed)?;
    let mut held = HELD.lock().unwrap_or_else(PoisonError::into_inner);
    let held = held.get_or_insert_default();
    if let Some(lock) = held.get(&name).and_then(Weak::upgrade) {
        return Ok(lock);
    }
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            return Err(OpenError::InUse {
                path: database.display().to_string(),
            });
        }
        Err(TryLockError::Error(source)) => return Err(failed(source)),
    }
    let lock = Arc::new(file);
    held.insert(name, Arc::downgrade(&lock));
    Ok(lock)
}

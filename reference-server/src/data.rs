//! The data folder: files that only their owner reads, and secrets that are made on first start.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::Path;

use mcp_runtime::{BootError, Result};

use crate::random;
use crate::secret::Secret;

/// Makes the folder, for its owner alone.
pub(crate) fn create(folder: &Path) -> Result {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder
        .create(folder)
        .map_err(|error| trouble(folder, &error))
}

/// The secret in this file, which is made when it is not there.
pub(crate) fn secret(folder: &Path, name: &str) -> Result<Secret> {
    create(folder)?;
    let path = folder.join(name);
    read_or_make(folder, &path).map_err(|error| trouble(&path, &error))
}

fn read_or_make(folder: &Path, path: &Path) -> io::Result<Secret> {
    match std::fs::read_to_string(path) {
        Ok(text) => return Ok(text.trim().into()),
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        Err(_) => {}
    }
    // Written beside and linked into place: of two processes that start together one wins, and
    // the other never sees half a secret.
    let draft = folder.join(format!(".{}.part", random::uuid4()));
    let mut file = private(OpenOptions::new().write(true).create_new(true)).open(&draft)?;
    file.write_all(format!("{}\n", random::secret()).as_bytes())?;
    file.sync_all()?;
    let linked = std::fs::hard_link(&draft, path);
    std::fs::remove_file(&draft)?;
    match linked {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
        _ => File::open(folder)?.sync_all()?,
    }
    Ok(std::fs::read_to_string(path)?.trim().into())
}

/// New files are for their owner alone.
pub(crate) fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options
}

pub(crate) fn trouble(path: &Path, error: &io::Error) -> BootError {
    BootError::new(format!("cannot use {}: {error}", path.display()))
}

//! One folder, and files with plain names in it. Works on files: not for an async task.

use std::fs::{File, OpenOptions, symlink_metadata};
use std::io::{self, ErrorKind, Read, Write};
use std::path::PathBuf;

use crate::{data, random};

/// Larger files are not read.
const MAX_FILE: u64 = 16 << 20;

pub(in crate::proxy) struct Folder {
    /// Above the folder.
    root: PathBuf,
    path: PathBuf,
}

impl Folder {
    pub(super) fn new(root: PathBuf, path: PathBuf) -> Self {
        Self { root, path }
    }

    /// Writes a file, for its owner alone; it is there as a whole or not at all. What was there under
    /// this name is replaced, a link too: nothing is written where it leads.
    pub(in crate::proxy) fn write(&self, name: &str, text: &[u8]) -> io::Result<()> {
        std::fs::create_dir_all(&self.root)?;
        data::create(&self.path).map_err(io::Error::other)?;
        self.check()?;
        let draft = self.path.join(format!(".{}.part", random::uuid4()));
        let written = self.put(&draft, text).and_then(|()| {
            let place = self.place(name)?;
            std::fs::rename(&draft, place)
        });
        if written.is_err() {
            // Half a file is of no use to anybody.
            let _ = std::fs::remove_file(&draft);
        }
        written
    }

    /// Reads a regular file; nothing that a link leads to.
    pub(in crate::proxy) fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        self.check()?;
        let place = self.place(name)?;
        let seen = symlink_metadata(&place)?;
        let file = File::open(&place)?;
        let opened = file.metadata()?;
        // Between the look and the opening it might have been exchanged.
        if !seen.is_file() || !is_same(&seen, &opened) {
            return Err(io::Error::new(ErrorKind::NotFound, "it is no regular file"));
        }
        let mut text = Vec::new();
        file.take(MAX_FILE + 1).read_to_end(&mut text)?;
        match text.len() as u64 > MAX_FILE {
            true => Err(io::Error::new(ErrorKind::FileTooLarge, "it is too large")),
            false => Ok(text),
        }
    }

    fn put(&self, draft: &std::path::Path, text: &[u8]) -> io::Result<()> {
        let mut file =
            data::private(OpenOptions::new().write(true).create_new(true)).open(draft)?;
        file.write_all(text)?;
        file.sync_all()
    }

    /// The folder itself is no link, and lies where it should.
    fn check(&self) -> io::Result<()> {
        let metadata = symlink_metadata(&self.path)?;
        let inside = self
            .path
            .canonicalize()?
            .starts_with(self.root.canonicalize()?);
        match metadata.is_dir() && inside {
            true => Ok(()),
            false => Err(io::Error::new(
                ErrorKind::NotFound,
                "it is no folder of ours",
            )),
        }
    }

    fn place(&self, name: &str) -> io::Result<PathBuf> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        // The schema of the tool says the same; here nothing depends on it.
        if !(1..=64).contains(&name.len()) || !name.bytes().all(plain) {
            return Err(io::Error::new(
                ErrorKind::NotFound,
                "it is no name of a file",
            ));
        }
        Ok(self.path.join(format!("{name}.json")))
    }
}

#[cfg(unix)]
fn is_same(one: &std::fs::Metadata, other: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

#[cfg(not(unix))]
fn is_same(one: &std::fs::Metadata, other: &std::fs::Metadata) -> bool {
    other.is_file() && one.len() == other.len()
}

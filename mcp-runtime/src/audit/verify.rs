//! Whether a chain is whole.

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::path::Path;

use serde_json::Value;

use super::record::unseal;
use crate::digest::sha256_hex;

/// A chain that is whole.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Verified {
    /// How many records there are.
    pub records: u64,
    /// The hash that the first record names as the one before it: 64 zeros where a log begins, the
    /// last hash of the file before where one was rotated. `None` without a record.
    pub follows: Option<String>,
    /// The hash of the last record. Whoever keeps it elsewhere notices when records are cut off.
    pub last: Option<String>,
}

/// Where a chain is not whole, or that it cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub struct Broken {
    /// The line of a file, or the row of a table, counted from one; `None` when nothing could be
    /// read.
    pub row: Option<u64>,
    /// What is wrong there.
    pub problem: String,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.row {
            Some(row) => write!(f, "row {row}: {}", self.problem),
            None => f.write_str(&self.problem),
        }
    }
}

impl Broken {
    pub(super) fn unreadable(problem: impl fmt::Display) -> Self {
        Self {
            row: None,
            problem: format!("the audit log cannot be read: {problem}"),
        }
    }
}

/// Longer lines are nothing of ours.
const MAX_LINE: u64 = 1 << 20;

pub(super) fn lines(path: &Path) -> Result<Verified, Broken> {
    let file = File::open(path).map_err(Broken::unreadable)?;
    let end = end(&file).map_err(Broken::unreadable)?;
    let mut reader = BufReader::new(file.take(end));
    let mut chain = Chain::default();
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = (&mut reader)
            .take(MAX_LINE)
            .read_until(b'\n', &mut line)
            .map_err(Broken::unreadable)?;
        if read == 0 {
            return Ok(chain.whole());
        }
        let row = chain.records + 1;
        let text = line
            .strip_suffix(b"\n")
            .and_then(|line| std::str::from_utf8(line).ok());
        chain.next(row, text.unwrap_or_default())?;
    }
}

/// How long the file is while nobody is in the middle of a line. Writers wait for no more than that.
fn end(file: &File) -> io::Result<u64> {
    file.lock_shared()?;
    let end = file.metadata()?.len();
    file.unlock()?;
    Ok(end)
}

/// A chain as far as it was read.
#[derive(Default)]
pub(super) struct Chain {
    records: u64,
    follows: Option<String>,
    last: Option<String>,
}

impl Chain {
    pub(super) fn next(&mut self, row: u64, record: &str) -> Result<(), Broken> {
        let broken = |problem: &str| Broken {
            row: Some(row),
            problem: problem.to_owned(),
        };
        let (body, hash) = unseal(record).ok_or_else(|| broken("this is not a record"))?;
        if sha256_hex(body) != hash {
            return Err(broken("the record was changed: it does not have its hash"));
        }
        let previous = serde_json::from_str::<Value>(record)
            .ok()
            .and_then(|record| record["prev_hash"].as_str().map(str::to_owned))
            .ok_or_else(|| broken("this is not a record"))?;
        match &self.last {
            Some(last) if *last != previous => {
                return Err(broken(
                    "the record does not follow the one before it: records were removed, inserted or reordered",
                ));
            }
            Some(_) => {}
            None => self.follows = Some(previous),
        }
        self.records += 1;
        self.last = Some(hash.to_owned());
        Ok(())
    }

    pub(super) fn whole(self) -> Verified {
        Verified {
            records: self.records,
            follows: self.follows,
            last: self.last,
        }
    }
}

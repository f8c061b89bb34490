//! `reference-server audit`

use clap::{Args, Subcommand};
use mcp_runtime::{AuditLog, BootError, Result, Verified};

use super::Common;
use crate::config::AuditPlace;
use crate::database::{is_postgres, shown};

#[derive(Args)]
pub(super) struct Audit {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Check that no record was changed, removed or inserted; fails at the first that was.
    Verify(Verify),
}

#[derive(Args)]
struct Verify {
    /// File of JSON lines, or URL of a database (sqlite:... or postgres://...) [default: that of the configuration]
    #[arg(value_name = "FILE|URL")]
    log: Option<String>,
    #[command(flatten)]
    common: Common,
}

impl Audit {
    pub(super) async fn run(self) -> Result {
        let What::Verify(verify) = self.what;
        verify.run().await
    }
}

impl Verify {
    #[expect(clippy::print_stdout, reason = "the verdict is what was asked for")]
    async fn run(self) -> Result {
        let place = match self.log {
            Some(url) if url.starts_with("sqlite:") || is_postgres(&url) => {
                AuditPlace::Database(url.into())
            }
            Some(path) => AuditPlace::File(path.into()),
            None => self.common.load()?.audit_place()?,
        };
        let (verified, at) = match place {
            AuditPlace::File(path) => (AuditLog::verify(&path), path.display().to_string()),
            AuditPlace::Database(url) => {
                let url = url.reveal();
                (AuditLog::verify_sql(url).await, shown(url).into_owned())
            }
        };
        let verified =
            verified.map_err(|broken| BootError::new(format!("{at} is not whole: {broken}")))?;
        println!("{}", told(&at, &verified));
        Ok(())
    }
}

/// The hashes are what to keep elsewhere: only whoever knows the last one notices when records were
/// cut off at the end.
fn told(at: &str, verified: &Verified) -> String {
    let mut text = format!("{at} is whole: {} records", verified.records);
    if let Some(follows) = verified
        .follows
        .as_ref()
        .filter(|hash| hash.contains(|c| c != '0'))
    {
        text += &format!("\nfollows {follows}");
    }
    if let Some(last) = &verified.last {
        text += &format!("\nlast    {last}");
    }
    text
}

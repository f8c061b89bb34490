//! `reference-server token`

use clap::Args;
use mcp_runtime::{BootError, Clock, Result};

use super::Common;
use crate::data;
use crate::identity::{Identity, TokenFile};

#[derive(Args)]
pub(super) struct Token {
    /// Demo identity: admin, reader, or bob of another tenant
    #[arg(long = "as", value_name = "NAME")]
    name: String,
    /// Only this scope of the identity; may be repeated [default: all of them]
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<String>,
    #[command(flatten)]
    common: Common,
}

impl Token {
    /// Prints the token alone, so that a script can take it as it is.
    #[expect(clippy::print_stdout, reason = "the token is what was asked for")]
    pub(super) fn run(self) -> Result {
        let config = self.common.load()?;
        if !config.identity.demo {
            return Err(BootError::new(
                "identity.demo is off: there are no demo identities",
            ));
        }
        let caller = Identity::named(&self.name)?.caller(&self.scopes)?;
        data::create(&config.data)?;
        println!(
            "{}",
            TokenFile::new(&config.data, Clock::system()).issue(&caller)?
        );
        Ok(())
    }
}

//! `reference-server stdio`

use clap::Args;
use mcp_runtime::{Clock, Result, init_logs};

use super::{Common, start};
use crate::identity::Identity;

#[derive(Args)]
pub(super) struct Stdio {
    #[command(flatten)]
    common: Common,
    /// Serve only these tools; may be repeated [default: all]
    #[arg(long, value_name = "NAME")]
    toolset: Vec<String>,
    /// Demo identity that calls: whoever starts this program owns the data
    #[arg(long = "as", value_name = "NAME", default_value = "admin")]
    name: String,
}

impl Stdio {
    pub(super) async fn run(self) -> Result {
        let mut config = self.common.load()?;
        if !self.toolset.is_empty() {
            config.toolsets = self.toolset;
        }
        init_logs(config.log_format(), &config.log.filter);
        let caller = Identity::named(&self.name)?.caller(&[])?;
        start::server(&config, &Clock::system())
            .await?
            .stdio(caller)
            .await
    }
}

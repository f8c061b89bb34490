//! `reference-server platform`

use axum::serve::ListenerExt;
use clap::Args;
use mcp_runtime::{Clock, Result};

use super::{Common, serve, start};
use crate::traces;

#[derive(Args)]
pub(super) struct Platform {
    #[command(flatten)]
    common: Common,
    /// Address to listen on; port 0 takes a free one [default: 127.0.0.1:8788]
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
}

impl Platform {
    pub(super) async fn run(self) -> Result {
        let mut config = self.common.load()?;
        if let Some(listen) = self.listen {
            config.platform.listen = listen;
        }
        let _traces = traces::init(&config)?;
        let platform = start::platform(&config, &Clock::system()).await?;
        let listener = serve::listen(&config.platform.listen, "platform.listen").await?;
        let address = listener.local_addr()?;
        tracing::info!(%address, url = format!("http://{address}"), "the platform's REST API is served");
        // Small answers at once, not after the client has acknowledged the one before.
        let listener = listener.tap_io(|connection| drop(connection.set_nodelay(true)));
        let served = axum::serve(listener, platform.router());
        Ok(served
            .with_graceful_shutdown(mcp_runtime::told_to_stop())
            .await?)
    }
}

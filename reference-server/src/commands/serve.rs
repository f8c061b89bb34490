//! `reference-server serve`

use std::net::SocketAddr;

use clap::Args;
use mcp_runtime::{BootError, Clock, Result, init_logs};
use tokio::net::TcpListener;

use super::{Common, start};
use crate::config::{Config, Format};

#[derive(Args)]
pub(super) struct Serve {
    #[command(flatten)]
    common: Common,
    /// Address to listen on; port 0 takes a free one [default: 127.0.0.1:8787]
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
    /// Serve only these tools; may be repeated [default: all]
    #[arg(long, value_name = "NAME")]
    toolset: Vec<String>,
}

impl Serve {
    pub(super) async fn run(self) -> Result {
        let mut config = self.common.load()?;
        if let Some(listen) = self.listen {
            config.listen = listen;
        }
        if !self.toolset.is_empty() {
            config.toolsets = self.toolset;
        }
        init_logs(config.log_format(), &config.log.filter);
        let service = start::server(&config, &Clock::system()).await?.build()?;
        let listener = listen(&config.listen, "listen").await?;
        if config.log.format == Format::Human {
            greet(&config, listener.local_addr()?, service.tools().count());
        }
        service
            .serve_with(listener, mcp_runtime::told_to_stop())
            .await
    }
}

pub(super) async fn listen(address: &str, key: &str) -> Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .map_err(|error| BootError::new(format!("cannot listen on {address} ({key}): {error}")))
}

/// Tells people what to do next.
fn greet(config: &Config, address: SocketAddr, tools: usize) {
    let url = config.public_url.clone().unwrap_or_else(|| {
        let scheme = if config.tls.cert.is_some() {
            "https"
        } else {
            "http"
        };
        format!("{scheme}://{address}/mcp")
    });
    eprintln!("{tools} tools at {url}");
    if config.identity.demo {
        let data = match config.data.to_str() {
            Some("data") => String::new(),
            _ => format!(" --data {}", config.data.display()),
        };
        eprintln!(
            "\nGet a token:\n  reference-server token --as admin{data}\n  \
             (from the source: cargo run -p reference-server -- token --as admin{data})"
        );
    }
    eprintln!(
        "\nConnect a client:\n  {{\"mcpServers\": {{\"admin\": {{\"type\": \"http\", \"url\": \"{url}\", \
         \"headers\": {{\"Authorization\": \"Bearer <token>\"}}}}}}}}\n\n\
         Or try it:\n  curl {url} -H 'Authorization: Bearer <token>' \\\n    \
         -H 'Content-Type: application/json' \\\n    \
         -d '{{\"jsonrpc\": \"2.0\", \"id\": 1, \"method\": \"tools/list\"}}'\n"
    );
}

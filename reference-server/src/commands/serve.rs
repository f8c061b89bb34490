//! `reference-server serve`

use std::net::SocketAddr;

use clap::Args;
use mcp_runtime::{BootError, Clock, Result};
use tokio::net::TcpListener;

use super::{Common, start};
use crate::config::{Config, Format};
use crate::identity::{DEMO, Provider};
use crate::{metrics, traces};

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
    /// Also start an identity provider on loopback, where clients log in as a demo identity
    #[arg(long)]
    demo_identity: bool,
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
        config.identity.provider |= self.demo_identity;
        let _traces = traces::init(&config)?;
        let clock = Clock::system();
        let (service, listener, _provider) = match config.identity.provider {
            false => {
                let service = start::server(&config, &clock).await?.build()?;
                (service, listen(&config.listen, "listen").await?, None)
            }
            // Tokens are issued for the address, which has to be known first.
            true => {
                config.refuse_provider()?;
                let listener = listen(&config.listen, "listen").await?;
                let address = listener.local_addr()?;
                let resource = config
                    .public_url
                    .get_or_insert_with(|| format!("http://{address}/mcp"))
                    .clone();
                let provider = Provider::start(&mut config, &clock, &resource).await?;
                let service = start::server(&config, &clock).await?.build()?;
                (service, listener, Some(provider))
            }
        };
        if config.log.format == Format::Human {
            greet(&config, listener.local_addr()?, service.tools().count());
        }
        let figures = match &config.metrics.listen {
            Some(address) => Some(listen(address, "metrics.listen").await?),
            None => None,
        };
        metrics::serve_beside(service, listener, figures, &config.metrics.allowed_hosts).await
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
    if config.identity.provider {
        let names = DEMO.map(|identity| identity.name).join(", ");
        eprintln!(
            "\nConnect a client that knows OAuth; a page opens where you log in as {names}:\n  \
             claude mcp add --transport http admin {url}\n  \
             npx @modelcontextprotocol/inspector --transport http --server-url {url}"
        );
    }
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

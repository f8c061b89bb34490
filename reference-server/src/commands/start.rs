//! From a configuration to a server.

use mcp_runtime::tenant_signature::Signer;
use mcp_runtime::{AuthMode, Authenticate, BootError, Clock, Result, Server};
use reqwest::Url;

use crate::backend::{Backend, is_loopback};
use crate::config::{Config, Mode, SharedStore, Transports};
use crate::identity::TokenFile;
use crate::platform::Platform;
use crate::proxy::{self, Proxy};
use crate::school::{self, OnlyAdmins, School};
use crate::{App, copilot, data, toolsets};

/// The server that `config` describes. Everything that can be wrong is found before it listens.
pub(super) async fn server(config: &Config, clock: &Clock) -> Result<Server<App>> {
    // Before anything is created for a server that is not to be.
    toolsets::tools(&config.toolsets)?;
    data::create(&config.data)?;
    let tls = config.tls.tls()?;
    let school = school(config, clock).await?;
    let app = App {
        backend: backend(config, clock).await?,
        proxy: proxy(config, clock).await?,
        school: school.clone().unwrap_or_default(),
    };
    let mut server = introduced(toolsets::server(app, &config.toolsets)?, &config.toolsets)
        .clock(clock.clone())
        .keys(config.server_keys()?);
    if let Some(url) = &config.public_url {
        server = server.public_url(url);
    }
    for host in &config.allowed_hosts {
        server = server.allow_host(host);
    }
    for origin in &config.allowed_origins {
        server = server.allow_origin(origin);
    }
    server = ways_in(server, config.transports);
    if let Some(tls) = tls {
        server = server.tls(tls);
    }
    if let Some(school) = &school {
        server = server
            .tenant_header(TENANT_HEADER)
            .routes(school::links::routes(school));
    }
    let own = TokenFile::new(&config.data, clock.clone());
    let own: Option<Box<dyn Authenticate>> = match config.identity.demo {
        true => Some(Box::new(own)),
        false => None,
    };
    server = if only_school(&config.toolsets) {
        config
            .guarded(server, own, |way| Box::new(OnlyAdmins(way)))?
            .auth_mode(AuthMode::Required)
    } else {
        config.guarded(server, own, |way| way)?
    };
    let server = config.sharing(server, clock).await?;
    config.watched(server).await
}

fn ways_in(mut server: Server<App>, chosen: Transports) -> Server<App> {
    if chosen.websocket {
        server = server.websocket();
    }
    if chosen.rpc {
        server = server.rpc_alias();
    }
    if chosen.sse {
        server = server.legacy_sse();
    }
    if chosen.shutdown {
        server = server.answer_shutdown();
    }
    server
}

/// With which clients of the school may say for whom they ask.
const TENANT_HEADER: http::HeaderName = http::HeaderName::from_static("x-tenant-id");

/// Whether there is nothing here but the school.
fn only_school(wanted: &[String]) -> bool {
    !wanted.is_empty() && wanted.iter().all(|name| name == "school")
}

/// The school, where its tools are served.
async fn school(config: &Config, clock: &Clock) -> Result<Option<School>> {
    if !toolsets::serves(&config.toolsets, "school")? {
        return Ok(None);
    }
    let school = School::open_with(config.school_settings()?, clock.clone()).await;
    school
        .map(Some)
        .map_err(|error| error.told("the school does not start"))
}

fn introduced(server: Server<App>, wanted: &[String]) -> Server<App> {
    if only_school(wanted) {
        return server
            .identity(school::NAME, env!("CARGO_PKG_VERSION"))
            .title(school::TITLE)
            .instructions(school::INSTRUCTIONS);
    }
    server
        .identity(copilot::TITLE, env!("CARGO_PKG_VERSION"))
        .title(copilot::TITLE)
        .instructions(copilot::INSTRUCTIONS)
}

/// The reverse proxy, if its tools are served.
async fn proxy(config: &Config, clock: &Clock) -> Result<Proxy> {
    if !toolsets::serves(&config.toolsets, proxy::NAME)? {
        return Ok(Proxy::default());
    }
    Proxy::open(config.proxy_settings(clock)?, clock.clone()).await
}

async fn backend(config: &Config, clock: &Clock) -> Result<Backend> {
    let signer = config.auth.tenant_signature.signer(clock)?;
    let records = config.record_signatures()?;
    let records = Signer::new(records.key, clock.clone()).version(records.version);
    let backend = unsigned(config, clock).await?.with_records(records);
    Ok(match signer {
        Some(signer) => backend.signed_by(signer),
        None => backend,
    })
}

async fn unsigned(config: &Config, clock: &Clock) -> Result<Backend> {
    let limits = config.backend_limits();
    match config.backend.mode {
        Mode::InProcess if config.backend.url.is_some() => Err(BootError::new(
            "backend.url is set: say backend.mode = \"url\" to use it",
        )),
        Mode::InProcess => {
            let router = platform(config, clock).await?.router();
            Backend::in_process(router, &config.service_token()?, limits)
        }
        Mode::Url => {
            let url = config.backend.url.as_deref();
            let url =
                url.ok_or_else(|| BootError::new("backend.mode is \"url\": set backend.url"))?;
            // The token in our data folder means something only to what runs on it, too.
            let ours = url.parse().is_ok_and(|url: Url| is_loopback(&url));
            if config.backend.service_token.is_none() && !ours {
                return Err(BootError::new(
                    "set backend.service_token for the API at backend.url",
                ));
            }
            Backend::remote(url, &config.service_token()?, limits)
        }
    }
}

/// The marketplace on the data of this machine.
pub(super) async fn platform(config: &Config, clock: &Clock) -> Result<Platform> {
    let settings = config.platform_settings()?;
    let shared = config.store.open(clock).await?;
    let shared = shared.and_then(SharedStore::lasting);
    Platform::open_sharing(settings, clock.clone(), shared)
        .await
        .map_err(|error| error.told("the platform does not start"))
}

//! From a configuration to a server.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mcp_runtime::tenant_signature::Signer;
use mcp_runtime::{
    AuditLog, AuthMode, Authenticate, BootError, Changes, Clock, Keys, Metrics, Result, Server,
    Service,
};
use reqwest::Url;

use crate::backend::{Backend, is_loopback};
use crate::config::{Config, Mode, SharedStore, Transports};
use crate::identity::TokenFile;
use crate::introduction::introduced;
use crate::platform::{Platform, counted};
use crate::proxy::{self, Proxy};
use crate::school::{self, OnlyAdmins, School};
use crate::{App, data, metrics, records, toolsets};

/// The server that `config` describes, with all that is served anywhere. Everything that can be
/// wrong is found before it listens.
pub(super) async fn server(config: &Config, clock: &Clock) -> Result<Server<App>> {
    let mut config = config.clone();
    config.endpoints()?;
    config.toolsets = config.all_toolsets();
    config.mount = Vec::new();
    let systems = Systems::open(&config, clock).await?;
    endpoint(&config, clock, &systems)
}

/// The services that `config` describes, on one listener: one unless there are mounts.
pub(super) async fn service(config: &Config, clock: &Clock) -> Result<Service> {
    let endpoints = config.endpoints()?;
    let systems = Systems::open(config, clock).await?;
    let mut endpoints = endpoints.iter();
    let Some(first) = endpoints.next() else {
        return Err(BootError::new("there is no endpoint to serve"));
    };
    let mut server = endpoint(first, clock, &systems)?;
    if let Some(tls) = config.tls.tls()? {
        server = server.tls(tls);
    }
    if let Some(school) = &systems.school {
        server = server.routes(school::links::routes(school));
    }
    let mut service = server.build()?;
    let mut each = vec![service.clone()];
    for other in endpoints {
        let server = endpoint(other, clock, &systems)?.limits_of(&service);
        let other = server.build()?;
        each.push(other.clone());
        service = service.beside(other)?;
    }
    // What another process has changed, no tool of this one has dropped.
    let drop_kept = move || each.iter().for_each(|one| one.drop_family(proxy::FAMILY));
    systems.app.proxy.on_change(drop_kept);
    Ok(service)
}

/// What the endpoints of a process share.
struct Systems {
    app: App,
    school: Option<School>,
    keys: Keys,
    store: Option<SharedStore>,
    audit: Option<AuditLog>,
    figures: Option<Metrics>,
    listeners: Listeners,
}

/// The endpoints whose clients are to hear when a record changes.
#[derive(Clone, Default)]
struct Listeners(Arc<Mutex<Vec<Changes>>>);

impl Listeners {
    fn join(&self) -> Changes {
        let changes = Changes::default();
        self.lock().push(changes.clone());
        changes
    }

    fn tell(&self, owner: &str) {
        for changes in self.lock().iter() {
            changes.resource_of_owner(owner, records::changes::URI);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Changes>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Systems {
    async fn open(config: &Config, clock: &Clock) -> Result<Self> {
        let wanted = config.all_toolsets();
        // Before anything is created for a server that is not to be.
        toolsets::tools(&wanted)?;
        data::create(&config.data)?;
        config.tls.tls()?;
        let store = config.store.open(clock).await?;
        let school = school(config, &wanted, clock).await?;
        let figures = metrics::of(config);
        let listeners = Listeners::default();
        let beneath = Beneath {
            store: store.as_ref(),
            figures: figures.as_ref(),
            listeners: &listeners,
        };
        let app = App {
            backend: backend(config, clock, beneath).await?,
            proxy: proxy(config, &wanted, clock).await?,
            school: school.clone().unwrap_or_default(),
        };
        if let Some(figures) = &figures {
            app.proxy.count_in(figures);
            metrics::count_process(figures);
        }
        Ok(Self {
            app,
            school,
            keys: config.server_keys()?,
            store,
            audit: config.audit_log().await?,
            figures,
            listeners,
        })
    }
}

/// One endpoint.
fn endpoint(config: &Config, clock: &Clock, systems: &Systems) -> Result<Server<App>> {
    let limits = |toolset: &str| config.limits.of_toolset(toolset);
    let server = toolsets::limited_server(systems.app.clone(), &config.toolsets, limits)?;
    let mut server = introduced(server, &config.toolsets)?
        .clock(clock.clone())
        .changes(systems.listeners.join());
    server = match config.mount.first() {
        // What was made at one endpoint is good at no other.
        Some(mount) => server
            .keys(systems.keys.of_part(&mount.path))
            .sessions(mount.sessions.into())
            .replies(mount.replies.into()),
        None => server.keys(systems.keys.clone()),
    };
    server = match (&config.public_url, config.mount.first()) {
        (Some(url), _) => server.public_url(url),
        (None, Some(mount)) => server.path(&mount.path),
        (None, None) => server,
    };
    if let Some(figures) = &systems.figures {
        server = server.metrics(figures);
    }
    for host in &config.allowed_hosts {
        server = server.allow_host(host);
    }
    for origin in &config.allowed_origins {
        server = server.allow_origin(origin);
    }
    server = ways_in(server, config.transports);
    if toolsets::serves(&config.toolsets, "school")? {
        server = server.tenant_header(TENANT_HEADER);
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
    let server = config.sharing(server, systems.store.as_ref());
    config.watched(server, systems.audit.as_ref())
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
async fn school(config: &Config, wanted: &[String], clock: &Clock) -> Result<Option<School>> {
    if !toolsets::serves(wanted, "school")? {
        return Ok(None);
    }
    let school = School::open_with(config.school_settings()?, clock.clone()).await;
    school
        .map(Some)
        .map_err(|error| error.told("the school does not start"))
}

/// The reverse proxy, if its tools are served.
async fn proxy(config: &Config, wanted: &[String], clock: &Clock) -> Result<Proxy> {
    let serves = |name| toolsets::serves(wanted, name);
    if !serves(proxy::NAME)? && !serves(proxy::EXTENDED)? {
        return Ok(Proxy::default());
    }
    Proxy::open(config.proxy_settings(clock)?, clock.clone()).await
}

/// What the marketplace in this process stands on, and who watches it.
#[derive(Clone, Copy)]
struct Beneath<'a> {
    store: Option<&'a SharedStore>,
    figures: Option<&'a Metrics>,
    listeners: &'a Listeners,
}

async fn backend(config: &Config, clock: &Clock, beneath: Beneath<'_>) -> Result<Backend> {
    let signer = config.auth.tenant_signature.signer(clock)?;
    let records = config.record_signatures()?;
    let records = Signer::new(records.key, clock.clone()).version(records.version);
    let backend = unsigned(config, clock, beneath)
        .await?
        .with_records(records);
    Ok(match signer {
        Some(signer) => backend.signed_by(signer),
        None => backend,
    })
}

async fn unsigned(config: &Config, clock: &Clock, beneath: Beneath<'_>) -> Result<Backend> {
    let limits = config.backend_limits();
    match config.backend.mode {
        Mode::InProcess if config.backend.url.is_some() => Err(BootError::new(
            "backend.url is set: say backend.mode = \"url\" to use it",
        )),
        Mode::InProcess => {
            let platform = platform(config, clock, beneath.store).await?;
            let listeners = beneath.listeners.clone();
            platform.on_record_change(move |_, owner| listeners.tell(owner));
            let mut router = platform.router();
            if let Some(figures) = beneath.figures {
                router = counted(router, figures);
            }
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
            let backend = Backend::remote(url, &config.service_token()?, limits)?;
            // What others change over there, nobody tells us.
            let listeners = beneath.listeners.clone();
            Ok(backend.on_record_change(move |owner| listeners.tell(owner)))
        }
    }
}

/// The marketplace on the data of this machine.
pub(super) async fn platform(
    config: &Config,
    clock: &Clock,
    store: Option<&SharedStore>,
) -> Result<Platform> {
    let settings = config.platform_settings()?;
    let shared = store.and_then(SharedStore::lasting);
    Platform::open_sharing(settings, clock.clone(), shared)
        .await
        .map_err(|error| error.told("the platform does not start"))
}

//! From settings to a server: everything is checked, and every problem said at once.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use http::Uri;

use super::{STORE_CAPACITY, Server, Service};
use crate::auth::Setup;
#[cfg(feature = "auth")]
use crate::auth::oauth_proxy::{Place, Proxy};
use crate::confirm;
use crate::confirmation::Desk;
use crate::error::{BootError, Result};
use crate::http::app::{App, AuthMode};
use crate::http::challenge::Challenges;
use crate::http::guard::Guard;
use crate::http::legacy_sse::Streams;
use crate::http::peer::Proxies;
use crate::http::peers::Peers;
use crate::http::resource_metadata::ResourceMetadata;
#[cfg(feature = "tls")]
use crate::http::tls::Tls;
use crate::icon;
use crate::instances::Instances;
use crate::limits::Tally;
use crate::policy::Policy;
use crate::prompt::Prompt;
use crate::resource::Resource;
use crate::result_cache::ResultCache;
use crate::rounds::Seal;
use crate::session::Sessions;
use crate::skills;
use crate::store::MemoryStore;
use crate::tool::Tool;
use crate::ui;
use crate::wire::engine::{Engine, Offers, Settings, Watch};
use crate::wire::list::Cut;

impl<S: Send + Sync + 'static> Server<S> {
    /// Checks everything and makes the server.
    ///
    /// # Errors
    /// All problems at once, each with the place where it can be mended.
    pub fn build(mut self) -> Result<Service> {
        let mut problems = Vec::new();
        // A proxy that issues tokens is the one who checks them.
        #[cfg(feature = "auth")]
        let oauth = self.bind_oauth(&mut problems);
        if let Some(wrap) = self.auth_within.take() {
            self.auth = self.auth.take().map(wrap);
        }
        problems.extend(self.setting_problems());
        let scopes = self.advertised_scopes();
        let authorization_servers = self
            .auth
            .as_ref()
            .map(|auth| auth.authorization_servers())
            .unwrap_or_default();
        // Clients are to come to the proxy, and not to whom it stands for.
        #[cfg(feature = "auth")]
        let authorization_servers = match &oauth {
            Some(oauth) => vec![oauth.issuer().to_owned()],
            None => authorization_servers,
        };
        if let Some(metrics) = &self.metrics {
            self.store = self.store.map(|store| metrics.over_store(store));
        }
        let state = Arc::new(self.state);
        problems.extend(ui::tool_problems(&self.tools, &self.resources));
        // Sessions are shared where there is something to share them in.
        let shared = self.store.clone();
        let store = self
            .store
            .unwrap_or_else(|| Arc::new(MemoryStore::new(self.clock.clone(), STORE_CAPACITY)));
        let tokens = match &self.keys {
            Some(keys) => keys.of_tokens()?,
            None => confirm::Keys::random(),
        };
        let desk = Arc::new(Desk::new(
            tokens,
            self.clock.clone(),
            Arc::clone(&store),
            self.confirm_life,
        ));
        let apps = ui::is_used(&self.tools, &self.resources);
        let cut = Cut {
            page_size: self.page_size,
            lists: self.modes.lists,
        };
        let (skills, skill_files) = skills::bind(self.skills, cut, &mut problems);
        let mut offers = Offers {
            tools: self.tools.bind(&state, cut, &desk, &mut problems),
            resources: self
                .resources
                .bind(&state, cut, (&skills, skill_files), &mut problems),
            prompts: self.prompts.bind(&state, cut, &mut problems),
            skills,
            apps,
        };
        let tally = self.shared_limits.map(Tally::new);
        let limits = match self.shares_limits {
            Some(shared) => Some(shared),
            None => Watch::limits(&self.call_limits, tally.as_ref(), &mut problems),
        };
        let (guard, path) = reached_as(
            self.public_url.as_deref(),
            self.path.as_deref(),
            &self.hosts,
            &self.origins,
            &mut problems,
        );
        // Several servers may share one store: theirs is what has the same name and place.
        let server = format!("{} {path}", self.identity.name);
        let instances = Instances::new(shared.map(|store| (store, server.as_str())), &self.clock);
        let watch = Watch::over(
            &mut offers,
            limits,
            tally.as_ref(),
            self.audit,
            self.metrics.as_ref(),
            ResultCache::new(
                self.clock.clone(),
                self.result_cache,
                instances.voice().cloned(),
            ),
            &mut problems,
        );
        let mut proxies = Proxies::default();
        problems.extend(
            self.proxies
                .iter()
                .filter_map(|proxy| proxies.trust(proxy).err()),
        );
        if self.ways.paths("").contains(&path) {
            problems.push(format!(
                "the endpoint and another way to the server both lie at `{path}`: give `public_url` another path"
            ));
        }
        if let Some(auth) = &mut self.auth {
            let setup = Setup::new(self.public_url.as_deref(), &self.clock);
            if let Err(error) = auth.prepare(&setup) {
                problems.extend_from_slice(error.problems());
            }
        }
        #[cfg(feature = "tls")]
        let tls = self.tls.map(Tls::load).transpose();
        #[cfg(feature = "tls")]
        let tls = tls.unwrap_or_else(|problem| {
            problems.push(problem);
            None
        });
        BootError::collect(problems)?;
        let service = self
            .identity
            .title
            .clone()
            .unwrap_or_else(|| self.identity.name.clone());
        // Without somebody who issues tokens there is nothing to tell.
        let metadata = self
            .public_url
            .as_ref()
            .filter(|_| !authorization_servers.is_empty() && self.auth_mode != AuthMode::Open)
            .map(|url| {
                ResourceMetadata::new(url, &path, &service, &authorization_servers, &scopes)
            });
        let challenges = Challenges {
            resource_metadata: metadata.as_ref().map(|metadata| metadata.url.clone()),
            baseline: self.baseline_scopes.join(" "),
            step_up: self.step_up,
        };
        #[cfg(feature = "auth")]
        let addresses = watch.addresses || oauth.is_some();
        #[cfg(not(feature = "auth"))]
        let addresses = watch.addresses;
        let proxies = addresses.then_some(proxies);
        let seal = self.keys.as_ref().map_or_else(Seal::random, Seal::of);
        let settings = Settings {
            modes: self.modes,
            sessions: Sessions::new(
                self.session_limits,
                self.clock.clone(),
                instances.voice().cloned(),
            )
            .counted(watch.figures.clone()),
            instances,
            tasks: self.tasks,
            watch,
            seal,
            changes: self.changes,
        };
        let engine = Engine::new(offers, self.clock, &self.identity, settings);
        Ok(Service {
            public: self.public_url.is_some() || !self.hosts.is_empty(),
            public_url: self.public_url,
            metrics: self.metrics,
            others: Vec::new(),
            limits: self.limits,
            #[cfg(feature = "tls")]
            tls,
            app: Arc::new(App {
                proxies,
                engine: Arc::new(engine),
                auth: self.auth.map(Arc::from),
                mode: self.auth_mode,
                challenges,
                metadata,
                #[cfg(feature = "auth")]
                oauth,
                guard,
                path,
                max_body: self.max_body,
                replies: self.replies,
                strict_accept: self.strict_accept,
                end_event: self.end_event,
                ways: self.ways,
                tenant_header: self.tenant_header,
                routes: self.routes,
                peers: Arc::<Peers>::default(),
                streams: Arc::<Streams>::default(),
                service,
                version: self.identity.version,
                stopping: AtomicBool::new(false),
            }),
        })
    }

    /// The scopes of the resource metadata: those that were named, or every one there is.
    fn advertised_scopes(&self) -> Vec<String> {
        if let Some(scopes) = &self.supported_scopes {
            return scopes.clone();
        }
        let tools = self.tools.iter().map(Tool::policy_ref);
        let resources = self.resources.iter().map(Resource::policy_ref);
        let prompts = self.prompts.iter().map(Prompt::policy_ref);
        let scopes: BTreeSet<String> = tools
            .chain(resources)
            .chain(prompts)
            .flat_map(Policy::needed_scopes)
            // Of those with a variable there is no end.
            .filter(|scope| !scope.contains('{'))
            .map(|scope| scope.to_string())
            // A matter between the client and its authorization server.
            .filter(|scope| scope != "offline_access")
            .collect();
        scopes.into_iter().collect()
    }

    /// What is wrong with settings that stand for themselves.
    fn setting_problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.auth_mode == AuthMode::Required && self.auth.is_none() {
            problems.push(
                "every request needs a token, and nobody can check one: say who with `auth`".into(),
            );
        }
        let named = self
            .baseline_scopes
            .iter()
            .chain(self.supported_scopes.iter().flatten());
        for scope in named.filter(|scope| !is_scope(scope)) {
            problems.push(format!(
                "{scope:?} is not a scope: write visible ASCII without `\"` and `\\`"
            ));
        }
        let icons = icon::problems(&self.identity.icons);
        problems.extend(icons.map(|problem| format!("of the server, {problem}")));
        let website = self.identity.website.as_ref();
        if let Some(url) = website.filter(|url| !icon::is_https(url)) {
            problems.push(format!(
                "the website `{}` is not an `https://` URL",
                url.escape_debug()
            ));
        }
        if self.confirm_life.is_zero() {
            problems.push("`confirm_within` is zero: nobody could confirm anything".to_owned());
        }
        if self.max_body == 0 {
            problems.push("`max_body` is zero: no message would fit".to_owned());
        }
        problems.extend(self.tasks.problem().map(str::to_owned));
        problems
    }

    /// Makes the proxy, and lets the tokens in that it issues.
    #[cfg(feature = "auth")]
    fn bind_oauth(&mut self, problems: &mut Vec<String>) -> Option<Arc<dyn Proxy>> {
        let make = self.oauth.take()?;
        let name = self.identity.title.as_ref().unwrap_or(&self.identity.name);
        let place = Place {
            public_url: self.public_url.as_deref(),
            clock: &self.clock,
            // A flood of clients must not crowd out what else is remembered.
            store: self
                .store
                .clone()
                .unwrap_or_else(|| Arc::new(MemoryStore::new(self.clock.clone(), STORE_CAPACITY))),
            keys: self.keys.as_ref(),
            name: name.clone(),
        };
        let (proxy, tokens) = match make(&place) {
            Ok(made) => made,
            Err(error) => {
                problems.extend_from_slice(error.problems());
                return None;
            }
        };
        self.auth = match (tokens, self.auth.take()) {
            (Some(own), Some(other)) => Some(Box::new(crate::auth::any_of(own).or(other))),
            (Some(own), None) => Some(own),
            (None, Some(other)) => Some(other),
            (None, None) => {
                problems.push(
                    "the OAuth proxy hands out tokens of its provider, and nobody can check them: \
                     say who with `auth(Jwt::discover(…))`"
                        .to_owned(),
                );
                None
            }
        };
        Some(proxy)
    }
}

/// The names that the server answers to, and the path of its endpoint.
fn reached_as(
    public_url: Option<&str>,
    own_path: Option<&str>,
    hosts: &[String],
    origins: &[String],
    problems: &mut Vec<String>,
) -> (Guard, String) {
    let mut guard = Guard::default();
    let mut path = "/mcp".to_owned();
    match public_url.map(public) {
        Some(Ok((host, public_path))) => {
            problems.extend(guard.allow_host(&host).err());
            if !public_path.is_empty() {
                path = public_path;
            }
        }
        Some(Err(problem)) => problems.push(problem),
        None => {}
    }
    match own_path {
        Some(_) if public_url.is_some() => problems.push(
            "the server has a `path` and a `public_url`, which has its own: say one of them"
                .to_owned(),
        ),
        Some(own) if is_path(own) => path = own.to_owned(),
        Some(own) => problems.push(format!(
            "`{}` is not a path: write it like `/mcp`",
            own.escape_debug()
        )),
        None => {}
    }
    problems.extend(hosts.iter().filter_map(|host| guard.allow_host(host).err()));
    problems.extend(
        origins
            .iter()
            .filter_map(|origin| guard.allow_origin(origin).err()),
    );
    (guard, path)
}

/// Whether this is a path as it stands in requests: plain segments, no slash at its end.
fn is_path(path: &str) -> bool {
    let plain = |segment: &str| {
        !segment.is_empty()
            && !matches!(segment, "." | "..")
            && segment
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'~'))
    };
    path.strip_prefix('/')
        .is_some_and(|rest| rest.split('/').all(plain))
}

/// Whether OAuth can carry this as a scope.
fn is_scope(scope: &str) -> bool {
    !scope.is_empty()
        && scope
            .bytes()
            .all(|b| b.is_ascii_graphic() && b != b'"' && b != b'\\')
}

/// The host (with its port, if it has one) and the path of a public URL.
fn public(url: &str) -> std::result::Result<(String, String), String> {
    let problem = |why: &str| {
        format!("the public URL `{url}` {why}: write it like `https://mcp.example.com/mcp`")
    };
    let uri: Uri = url.parse().map_err(|_| problem("is not a URL"))?;
    let host = uri.host().ok_or_else(|| problem("has no host"))?;
    let local = ["localhost", "127.0.0.1", "[::1]"].contains(&host);
    match uri.scheme_str() {
        Some("https") => {}
        Some("http") if local => {}
        _ => return Err(problem("does not start with `https://`")),
    }
    if uri.query().is_some() {
        return Err(problem("has a query"));
    }
    Ok((host.to_owned(), uri.path().trim_end_matches('/').to_owned()))
}

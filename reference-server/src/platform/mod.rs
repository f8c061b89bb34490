//! The marketplace's REST API.
//!
//! The admin tools are a thin layer over this API; the server carries it along so that it runs
//! without anything else. [`Platform::router`] is an ordinary axum router: called in-process as a
//! tower service, or served on a socket of its own.
//!
//! All endpoints live below `/api/v1/admin/mcp` and want the service token. A request passes
//! through `auth` (who asks), `tenants` (for whom), `limits` (how often) and its handler; it ends as an `answer`,
//! either `{meta, …}` or `{"detail": {code, message, details?}}`.
//!
//! | endpoint | room |
//! |---|---|
//! | `GET /founding/funnel`, `GET /founding/stuck` | `funnel` |
//! | `GET /instructors`, `/instructors/coverage` | `instructors` |
//! | `GET /instructors/{identifier}` | `instructor_detail` |
//! | `GET /search/top-queries`, `/search/zero-results` | `search` |
//! | `POST /invites/preview`, `/invites/send` | `invites` |
//! | `GET /metrics/{metric_name}` | `metrics` |
//! | `GET /ops/bookings/…`, `/bookings/{id}/…` and the changes below it | `bookings` |
//! | `GET /analytics/…`, `/ops/payments/…` | `figures` |
//!
//! Below `/v1` is another system, the records API: `records`.

mod alive;
mod alive_session;
mod answer;
mod audit;
mod auth;
mod body;
mod bookings;
mod confirmed;
mod crash;
pub(crate) mod db;
mod demo;
mod figures;
mod founding;
mod funnel;
mod instructor_detail;
mod instructors;
mod invites;
mod limits;
pub(crate) mod mail;
mod metrics;
mod query;
mod records;
mod search;
mod settings;
mod tenants;
mod traffic;

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};
use mcp_runtime::confirm::Confirm;
use mcp_runtime::idempotency::Idempotency;
use mcp_runtime::store::Store;
use mcp_runtime::tenant_signature::VerifyTenant;
use mcp_runtime::{BootError, Clock};
use serde_json::json;

use self::answer::Problem;
use self::auth::ServiceAccount;
#[cfg(debug_assertions)]
pub use self::crash::Step;
use self::db::Db;
use self::limits::Limits;
use self::mail::Mailer;
pub use self::settings::{Mail, PageSizes, RateLimits, Settings};
pub use self::tenants::TenantSignatures;
pub(crate) use self::traffic::counted;
pub use crate::secret::Secret;

/// The marketplace: its database, its rules and its REST API. Clones share everything.
#[derive(Clone)]
pub struct Platform(Arc<Inner>);

struct Inner {
    settings: Settings,
    clock: Clock,
    db: Db,
    service_account: ServiceAccount,
    limits: Limits,
    confirm: Confirm,
    idempotency: Idempotency,
    mailer: Mailer,
    tenants: Option<VerifyTenant>,
    record_tenants: Option<VerifyTenant>,
    record_sessions: records::Sessions,
    record_limits: records::Often,
    record_changes: records::Ear,
    #[cfg(debug_assertions)]
    crash: crash::CrashPoint,
}

/// Why the platform cannot start. Meant for the operator, not for callers of the API.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("the setting `{setting}` {problem}")]
    Setting {
        setting: &'static str,
        problem: String,
    },
    #[error("cannot open the database")]
    Database(#[from] sqlx::Error),
    #[error("cannot bring the database to the current schema")]
    Migration(#[from] sqlx::migrate::MigrateError),
    #[error("cannot open the store of used tokens and idempotency keys")]
    Store(#[from] mcp_runtime::store::StoreError),
    #[error("cannot prepare {path}")]
    File {
        path: String,
        #[source]
        source: std::io::Error,
    },
}

impl OpenError {
    /// With what lies beneath it.
    pub(crate) fn told(&self, what: &str) -> BootError {
        let mut text = format!("{what}: {self}");
        let mut next = std::error::Error::source(self);
        while let Some(cause) = next {
            text.push_str(&format!(": {cause}"));
            next = cause.source();
        }
        BootError::new(text)
    }
}

impl Platform {
    /// Opens the database, brings its schema up to date, fills an empty one with demo data when
    /// asked to, and finishes invite sends that a crash interrupted. Other processes may have the
    /// same database open: what they are about to send is left to them.
    pub async fn open(settings: Settings, clock: Clock) -> Result<Self, OpenError> {
        Self::open_sharing(settings, clock, None).await
    }

    /// As [`open`](Self::open). What may happen once, a token or an idempotency key, then happens
    /// once among all who share this store instead of the database, and the rate limits are theirs
    /// together. Whether one of them still lives cannot be seen in it, only in a PostgreSQL database
    /// that they share, too: with another, what a dead one has begun is taken over when its lease
    /// is over.
    pub async fn open_sharing(
        settings: Settings,
        clock: Clock,
        shared: Option<Arc<dyn Store>>,
    ) -> Result<Self, OpenError> {
        settings.check()?;
        let keys = settings.keys()?;
        let mailer = Mailer::new(&settings.mail)?;
        let db = Db::open(settings.database.reveal()).await?;
        if settings.demo_data {
            demo::fill_if_empty(&db, &clock).await?;
            if settings.record_signatures.is_some() {
                records::fill_if_empty(&db, &clock).await?;
            }
        }
        let service_account = auth::ensure_service_account(&db, &clock, &settings).await?;
        let limits = Limits::new(settings.rate_limits, shared.as_ref());
        let record_limits = records::Often::new(shared.as_ref());
        let (store, idempotency) = match shared {
            Some(store) => {
                let idempotency = db.idempotency_among(Arc::clone(&store), clock.clone());
                (store, idempotency)
            }
            None => {
                let store = db.store(&clock).await?;
                (store.clone(), db.idempotency(store, clock.clone()))
            }
        };
        let signatures = settings.tenant_signatures.as_ref();
        let platform = Self(Arc::new(Inner {
            tenants: signatures.map(|signatures| signatures.layer(&clock, &store, body::LIMIT)),
            record_tenants: settings
                .record_signatures
                .as_ref()
                .map(|signatures| signatures.layer(&clock, &store, records::MAX_BODY)),
            record_sessions: records::Sessions::default(),
            record_limits,
            record_changes: records::Ear::default(),
            limits,
            confirm: Confirm::new(keys, clock.clone(), store.clone()),
            idempotency: idempotency.with_lease(invites::LONGEST_SEND),
            mailer,
            #[cfg(debug_assertions)]
            crash: crash::CrashPoint::default(),
            settings,
            clock,
            db,
            service_account,
        }));
        invites::finish_interrupted(&platform).await?;
        bookings::finish_interrupted(&platform).await?;
        Ok(platform)
    }

    /// The REST API.
    pub fn router(&self) -> Router {
        let admin = Router::new()
            .route("/founding/funnel", get(funnel::summary))
            .route("/founding/stuck", get(funnel::stuck))
            .route("/instructors", get(instructors::list))
            .route("/instructors/coverage", get(instructors::coverage))
            .route("/instructors/{identifier}", get(instructor_detail::detail))
            .route("/search/top-queries", get(search::top_queries))
            .route("/search/zero-results", get(search::zero_results))
            .route("/invites/preview", post(invites::preview))
            .route("/invites/send", post(invites::send))
            .route("/metrics/{metric_name}", get(metrics::describe))
            .merge(bookings::routes())
            .merge(figures::routes())
            .fallback(answer::no_such_path)
            .method_not_allowed_fallback(answer::wrong_method)
            .layer(from_fn_with_state(self.clone(), limits::limit));
        let admin = match &self.0.tenants {
            Some(verify) => admin.layer(verify.clone()),
            None => admin,
        };
        let admin = admin.layer(from_fn_with_state(self.clone(), auth::authenticate));
        let root = match &self.0.record_tenants {
            Some(tenants) => Router::new().nest("/v1", records::router(self, tenants.clone())),
            None => Router::new(),
        };
        let all = root
            .route("/api/v1/health", get(health))
            .route("/healthz", get(|| async { "ok" }))
            .nest("/api/v1/admin/mcp", admin)
            .fallback(answer::no_such_path)
            .method_not_allowed_fallback(answer::wrong_method)
            .layer(DefaultBodyLimit::max(body::LIMIT))
            .with_state(self.clone());
        traffic::traced(all)
    }

    fn now(&self) -> jiff::Timestamp {
        self.0.clock.now()
    }
}

/// Alive and able to read its database; open to everyone, tells nothing else.
async fn health(
    State(platform): State<Platform>,
) -> Result<axum::Json<serde_json::Value>, Problem> {
    platform.0.db.ping().await?;
    Ok(axum::Json(json!({
        "status": "ok",
        "service": "platform",
        "version": env!("CARGO_PKG_VERSION"),
    })))
}

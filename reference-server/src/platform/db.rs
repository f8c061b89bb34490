//! The database of the marketplace and of the school, and what both keep in it.

use std::sync::Arc;

use jiff::Timestamp;
use mcp_runtime::Clock;
use mcp_runtime::idempotency::Idempotency;
use mcp_runtime::store::{MemoryStore, SqlStore, Store};
use sqlx::{Any, AnyPool, Transaction};
use ulid::Ulid;

use super::OpenError;
use super::alive::Alive;
use super::alive_session::Session;
use crate::database::{Database, Part};

#[derive(Clone)]
pub(crate) struct Db {
    database: Database,
    /// Of a database that other processes can open, too.
    alive: Option<Arc<Presence>>,
}

/// By what others can tell that this process lives.
enum Presence {
    Locked(Alive),
    Connected(Session),
}

impl Db {
    pub(super) async fn open(url: &str) -> Result<Self, OpenError> {
        let part = Part {
            name: "platform",
            tables: sqlx::migrate!("./migrations"),
            durable: true,
        };
        let mut db = Self::open_with(url, &part).await?;
        let presence = match (db.database.file(), db.database.postgres()) {
            (Some(file), _) => Presence::Locked(Alive::enter(&db.database, file).await?),
            (_, Some(options)) => {
                let session = Session::enter(db.pool().clone(), options.clone()).await?;
                Presence::Connected(session)
            }
            (None, None) => return Ok(db),
        };
        db.alive = Some(Arc::new(presence));
        Ok(db)
    }

    /// Opens a database with these tables.
    pub(crate) async fn open_with(url: &str, part: &Part) -> Result<Self, OpenError> {
        Ok(Self {
            database: Database::open(url, part).await?,
            alive: None,
        })
    }

    /// What happens once across all processes that have this database open. What a dead one has
    /// begun is taken over.
    pub(super) fn idempotency(&self, store: Arc<dyn Store>, clock: Clock) -> Idempotency {
        let idempotency = Idempotency::new(store, clock);
        match self.alive.as_deref() {
            Some(Presence::Locked(alive)) => idempotency.known_as(alive.name(), alive.witness()),
            Some(Presence::Connected(session)) => {
                idempotency.known_as(session.name(), session.witness())
            }
            None => idempotency,
        }
    }

    /// What happens once among all who share `store`. Some of them may have another database, and
    /// only PostgreSQL tells who has this one: whoever is unknown there may be alive elsewhere.
    pub(super) fn idempotency_among(&self, store: Arc<dyn Store>, clock: Clock) -> Idempotency {
        let idempotency = Idempotency::new(store, clock);
        match self.alive.as_deref() {
            Some(Presence::Connected(session)) => {
                idempotency.known_as(session.name(), session.witness_among())
            }
            _ => idempotency,
        }
    }

    /// What the end of the process does.
    #[cfg(debug_assertions)]
    pub(super) fn die(&self) {
        match self.alive.as_deref() {
            Some(Presence::Locked(alive)) => alive.die(),
            Some(Presence::Connected(session)) => session.die(),
            None => {}
        }
    }

    /// Where confirmed tokens and idempotency keys are remembered: in the same database, so that a
    /// backup holds both the invites and the fact that their token is used up.
    pub(super) async fn store(&self, clock: &Clock) -> Result<Arc<dyn Store>, OpenError> {
        Ok(match (self.database.file(), self.database.postgres()) {
            (Some(path), _) => Arc::new(SqlStore::open(path, clock.clone()).await?),
            #[cfg(feature = "postgres")]
            (_, Some(options)) => {
                let url = options.database_url.as_str();
                Arc::new(SqlStore::connect(url, clock.clone()).await?)
            }
            (None, _) => Arc::new(MemoryStore::new(clock.clone(), 10_000)),
        })
    }

    pub(crate) fn pool(&self) -> &AnyPool {
        self.database.pool()
    }

    pub(crate) async fn ping(&self) -> sqlx::Result<()> {
        self.database.ping().await
    }

    /// As [`Database::begin_read`].
    pub(crate) async fn begin_read(&self) -> sqlx::Result<Transaction<'static, Any>> {
        self.database.begin_read().await
    }

    /// As [`Database::begin_write`].
    pub(crate) async fn begin_write(&self) -> sqlx::Result<Transaction<'static, Any>> {
        self.database.begin_write().await
    }

    /// As [`Database::begin_alone`].
    pub(crate) async fn begin_alone(&self) -> sqlx::Result<Transaction<'static, Any>> {
        self.database.begin_alone().await
    }
}

/// An instant as the database keeps it.
pub(crate) fn millis(at: Timestamp) -> i64 {
    at.as_millisecond()
}

/// An instant as the API shows it.
pub(crate) fn instant(millis: i64) -> Timestamp {
    // Only a damaged row holds a value out of range (years -9999 to 9999).
    Timestamp::from_millisecond(millis).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// A fresh id, ordered by time.
pub(crate) fn new_id(now: Timestamp) -> String {
    let mut random = [0; 16];
    getrandom::fill(&mut random).expect("the operating system provides randomness");
    let millis = u64::try_from(now.as_millisecond()).unwrap_or(0);
    Ulid::from_parts(millis, u128::from_be_bytes(random)).to_string()
}

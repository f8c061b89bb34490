//! Which processes use a PostgreSQL database, and which of them are dead.
//!
//! As with files ([`alive`](super::alive)), every process holds a lock of its own for as long as it
//! lives: an advisory one, of a connection that it keeps for nothing else. The server lets go of
//! the lock when the connection ends. A connection may end while its process lives on, so the
//! process looks after it, and nobody takes a process for dead before it had the time to.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use sqlx::any::AnyConnectOptions;
use sqlx::{AnyConnection, AnyPool, Connection, Executor};
use tokio::task::JoinHandle;

use crate::database;
use crate::random;

/// How often a process looks after its connection.
const LOOK: Duration = Duration::from_secs(1);
/// How long a lock is free before its process counts as dead.
const GRACE: Duration = Duration::from_secs(3);

/// When the machine of a process goes without a word, the server notices soon.
const KEEPALIVES: &str = "SET tcp_keepalives_idle TO 5; SET tcp_keepalives_interval TO 5; \
    SET tcp_keepalives_count TO 3";

/// Holds the lock until it is dropped.
pub(super) struct Session {
    name: String,
    /// How the names of all begin that have this database open.
    place: String,
    pool: AnyPool,
    keeper: Mutex<Option<JoinHandle<()>>>,
}

impl Session {
    /// From now on others can tell that this process lives.
    pub(super) async fn enter(pool: AnyPool, options: AnyConnectOptions) -> sqlx::Result<Self> {
        let place = place(&pool).await;
        let name = format!("{place}{}", random::uuid4());
        let connection = hold(&options, &name).await?;
        let keeper = tokio::spawn(keep(connection, options, name.clone()));
        Ok(Self {
            name,
            place,
            pool,
            keeper: Mutex::new(Some(keeper)),
        })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Tells whether the process of a name lives. One that cannot be asked about does.
    pub(super) fn witness(
        &self,
    ) -> impl Fn(&str) -> std::pin::Pin<Box<dyn Future<Output = bool> + Send>> + Send + Sync + 'static
    {
        let pool = self.pool.clone();
        move |name| {
            let (pool, key) = (pool.clone(), key(name));
            Box::pin(async move {
                if holds(&pool, key).await {
                    return true;
                }
                tokio::time::sleep(GRACE).await;
                holds(&pool, key).await
            })
        }
    }

    /// The same, where some of those who are asked about may have another database. They live.
    pub(super) fn witness_among(
        &self,
    ) -> impl Fn(&str) -> std::pin::Pin<Box<dyn Future<Output = bool> + Send>> + Send + Sync + 'static
    {
        let (place, witness) = (self.place.clone(), self.witness());
        move |name| match name.starts_with(&place) {
            true => witness(name),
            false => Box::pin(std::future::ready(true)),
        }
    }

    /// What the end of the process does.
    #[cfg(debug_assertions)]
    pub(super) fn die(&self) {
        self.end();
    }

    fn end(&self) {
        let mut keeper = self.keeper.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(keeper) = keeper.take() {
            keeper.abort();
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.end();
    }
}

/// Sees to it that the lock is held.
async fn keep(mut connection: AnyConnection, options: AnyConnectOptions, name: String) {
    loop {
        tokio::time::sleep(LOOK).await;
        let Err(error) = connection.ping().await else {
            continue;
        };
        tracing::warn!(%error, "the database does not know any more that this process lives");
        loop {
            match hold(&options, &name).await {
                Ok(anew) => break connection = anew,
                Err(_) => tokio::time::sleep(LOOK).await,
            }
        }
        tracing::info!("the database knows again that this process lives");
    }
}

async fn hold(options: &AnyConnectOptions, name: &str) -> sqlx::Result<AnyConnection> {
    let mut connection = database::connect(options).await?;
    connection.execute(KEEPALIVES).await?;
    sqlx::query("SELECT pg_advisory_lock($1)")
        .bind(key(name))
        .execute(&mut connection)
        .await?;
    Ok(connection)
}

/// Whether somebody holds this lock. Shared, so that two who look at the same time do not take
/// each other for the owner, and let go of at once.
async fn holds(pool: &AnyPool, key: i64) -> bool {
    let free = sqlx::query_scalar("SELECT pg_try_advisory_xact_lock_shared($1)")
        .bind(key)
        .fetch_one(pool)
        .await;
    !free.unwrap_or(false)
}

/// Which database this is, of all that there are; of none where the server does not say.
async fn place(pool: &AnyPool) -> String {
    let place = sqlx::query_scalar(
        "SELECT system_identifier::text || '/' || oid::text || '/'
         FROM pg_control_system(), pg_database WHERE datname = current_database()",
    );
    let place = place.fetch_one(pool).await;
    place.unwrap_or_else(|error| {
        tracing::info!(%error, "the database does not say which one it is");
        format!("{}/", random::uuid4())
    })
}

fn key(name: &str) -> i64 {
    database::lock_key(&format!("process {name}"))
}

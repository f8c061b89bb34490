//! Records as rows of a table, `mcp_audit`.
//!
//! A row has a number, one more than the row before it, and the record. Of two processes that take
//! the same number the database lets one in; the other reads the end of the chain anew.

#[cfg(feature = "sqlite")]
use std::path::Path;
use std::time::Duration;

use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::{AnyConnection, AnyPool, ConnectOptions as _, Connection as _};
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::record::{AuditRecord, GENESIS, unseal};
use super::verify::{Broken, Chain, Verified};
use super::{AuditError, AuditFuture, AuditSink};
#[cfg(feature = "postgres")]
use crate::store::check_parameters;
#[cfg(feature = "sqlite")]
use crate::store::{configure, create_private, file_url};

const CREATE_TABLE: &str =
    "CREATE TABLE IF NOT EXISTS mcp_audit (seq BIGINT NOT NULL PRIMARY KEY, record TEXT NOT NULL)";
/// Of two who create a table at the same time PostgreSQL lets one fail.
const ONE_AT_A_TIME: &str = "SELECT pg_advisory_xact_lock(7213549905)";
const IS_THERE: &str = "SELECT to_regclass('mcp_audit') IS NOT NULL";
/// A record that was acknowledged is on the disk, and none waits for ever.
const CONFIGURE: &str = "SET synchronous_commit TO on; SET statement_timeout TO '5s'";
const LAST: &str = "SELECT seq, record FROM mcp_audit ORDER BY seq DESC LIMIT 1";
const INSERT: &str = "INSERT INTO mcp_audit (seq, record) VALUES ($1, $2)";
const PAGE: &str = "SELECT seq, record FROM mcp_audit WHERE seq > $1 ORDER BY seq LIMIT 500";

/// How often one record gives way to those of others before it is given up.
const TRIES: usize = 50;
const PATIENCE: Duration = Duration::from_secs(5);

pub(super) struct Rows {
    pool: AnyPool,
    /// The end of the chain, as far as this process knows.
    last: Mutex<Option<(i64, String)>>,
}

impl Rows {
    pub(super) async fn open(url: &str) -> Result<Self, AuditError> {
        let pool = connect(url, true).await?;
        Ok(Self {
            pool,
            last: Mutex::new(None),
        })
    }

    async fn append(&self, record: &AuditRecord) -> Result<(), AuditError> {
        let mut last = self.last.lock().await;
        for _ in 0..TRIES {
            // What this process knows may be old, and is nothing while a write is under way.
            let (seq, hash) = match last.take() {
                Some(known) => known,
                None => self.read_last().await?,
            };
            let (line, own) = record.sealed(&hash);
            match self.insert(seq + 1, line).await {
                Ok(()) => {
                    *last = Some((seq + 1, own));
                    return Ok(());
                }
                Err(error) if is_taken(&error) => {}
                Err(error) => return Err(AuditError::new(error)),
            }
        }
        Err(AuditError::new(std::io::Error::other(
            "other processes write to the audit table all the time",
        )))
    }

    async fn insert(&self, seq: i64, line: String) -> sqlx::Result<()> {
        let mut connection = self.pool.acquire().await?;
        let insert = sqlx::query(INSERT).bind(seq).bind(line);
        // Longer than a statement may take, where the database still answers.
        match timeout(2 * PATIENCE, insert.execute(&mut *connection)).await {
            Ok(inserted) => inserted.map(drop),
            Err(late) => {
                connection.close_on_drop();
                Err(std::io::Error::from(late).into())
            }
        }
    }

    async fn read_last(&self) -> Result<(i64, String), AuditError> {
        let row: Option<(i64, String)> = sqlx::query_as(LAST)
            .fetch_optional(&self.pool)
            .await
            .map_err(AuditError::new)?;
        Ok(match row {
            None => (0, GENESIS.to_owned()),
            Some((seq, record)) => {
                let hash = unseal(&record).map_or(GENESIS, |(_, hash)| hash);
                (seq, hash.to_owned())
            }
        })
    }
}

impl AuditSink for Rows {
    fn write<'a>(&'a self, record: &'a AuditRecord) -> AuditFuture<'a> {
        Box::pin(self.append(record))
    }
}

pub(super) async fn verify(url: &str) -> Result<Verified, Broken> {
    let pool = connect(url, false)
        .await
        .map_err(|error| Broken::unreadable(error.cause()))?;
    let mut chain = Chain::default();
    let mut after = 0;
    loop {
        let rows: Vec<(i64, String)> = sqlx::query_as(PAGE)
            .bind(after)
            .fetch_all(&pool)
            .await
            .map_err(Broken::unreadable)?;
        if rows.is_empty() {
            pool.close().await;
            return Ok(chain.whole());
        }
        for (seq, record) in rows {
            chain.next(u64::try_from(seq).unwrap_or_default(), &record)?;
            after = seq;
        }
    }
}

async fn connect(url: &str, create: bool) -> Result<AnyPool, AuditError> {
    sqlx::any::install_default_drivers();
    let place = Place::of(url, create)?;
    // Not by way of the pool, which would try again and again and then report that it took long.
    let connected = timeout(PATIENCE, place.options.connect()).await;
    let mut connection = connected
        .map_err(AuditError::new)?
        .map_err(AuditError::new)?;
    if create {
        place
            .create_table(&mut connection)
            .await
            .map_err(AuditError::new)?;
    }
    connection.close().await.map_err(AuditError::new)?;
    let Place { options, is_file } = place;
    Ok(AnyPoolOptions::new()
        // A chain has one end.
        .max_connections(1)
        .acquire_timeout(PATIENCE)
        .after_connect(move |connection, _| Box::pin(prepare(connection, is_file)))
        .connect_lazy_with(options))
}

/// Where the table is.
struct Place {
    options: AnyConnectOptions,
    is_file: bool,
}

impl Place {
    fn of(url: &str, create: bool) -> Result<Self, AuditError> {
        let file = url
            .strip_prefix("sqlite://")
            .or_else(|| url.strip_prefix("sqlite:"));
        let url = match file {
            #[cfg(feature = "sqlite")]
            Some(path) => {
                let path = Path::new(path);
                if create {
                    create_private(path).map_err(AuditError::new)?;
                }
                &*file_url(path).map_err(AuditError::new)?
            }
            _ => url,
        };
        let options = url.parse().map_err(AuditError::new)?;
        #[cfg(feature = "postgres")]
        if file.is_none() {
            check_parameters(&options).map_err(AuditError::new)?;
        }
        Ok(Self {
            options,
            is_file: file.is_some(),
        })
    }

    async fn create_table(&self, connection: &mut AnyConnection) -> sqlx::Result<()> {
        prepare(connection, self.is_file).await?;
        if self.is_file {
            let create = sqlx::query(CREATE_TABLE).execute(connection);
            return create.await.map(drop);
        }
        // Who may not create anything can still use what is there.
        let is_there = sqlx::query_scalar(IS_THERE);
        if is_there.fetch_one(&mut *connection).await? {
            return Ok(());
        }
        let mut transaction = connection.begin().await?;
        for statement in [ONE_AT_A_TIME, CREATE_TABLE] {
            sqlx::query(statement).execute(&mut *transaction).await?;
        }
        transaction.commit().await
    }
}

async fn prepare(connection: &mut AnyConnection, is_file: bool) -> sqlx::Result<()> {
    match is_file {
        #[cfg(feature = "sqlite")]
        true => configure(connection).await,
        _ => sqlx::raw_sql(CONFIGURE).execute(connection).await.map(drop),
    }
}

/// Whether somebody else has taken the number.
fn is_taken(error: &sqlx::Error) -> bool {
    error
        .as_database_error()
        .is_some_and(|error| error.is_unique_violation())
}

//! Records as rows of a table, `mcp_audit`.
//!
//! A row has a number, one more than the row before it, and the record. Of two processes that take
//! the same number the database lets one in; the other reads the end of the chain anew.

use std::path::Path;
use std::time::Duration;

use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::{AnyPool, ConnectOptions as _, Connection as _};
use tokio::sync::Mutex;

use super::record::{AuditRecord, GENESIS, unseal};
use super::verify::{Broken, Chain, Verified};
use super::{AuditError, AuditFuture, AuditSink};
use crate::store::{configure, create_private, file_url};

const CREATE_TABLE: &str =
    "CREATE TABLE IF NOT EXISTS mcp_audit (seq BIGINT NOT NULL PRIMARY KEY, record TEXT NOT NULL)";
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
            let inserted = sqlx::query(INSERT)
                .bind(seq + 1)
                .bind(line)
                .execute(&self.pool)
                .await;
            match inserted {
                Ok(_) => {
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
    let file = url
        .strip_prefix("sqlite://")
        .or_else(|| url.strip_prefix("sqlite:"));
    let options: AnyConnectOptions = match file {
        Some(path) => {
            let path = Path::new(path);
            if create {
                create_private(path).map_err(AuditError::new)?;
            }
            file_url(path).map_err(AuditError::new)?.parse()
        }
        None => url.parse(),
    }
    .map_err(AuditError::new)?;
    // Not by way of the pool, which would try again and again and then report that it took long.
    let mut connection = options.connect().await.map_err(AuditError::new)?;
    if create {
        if file.is_some() {
            configure(&mut connection).await.map_err(AuditError::new)?;
        }
        sqlx::query(CREATE_TABLE)
            .execute(&mut connection)
            .await
            .map_err(AuditError::new)?;
    }
    connection.close().await.map_err(AuditError::new)?;
    let local = file.is_some();
    Ok(AnyPoolOptions::new()
        // A chain has one end.
        .max_connections(1)
        .acquire_timeout(PATIENCE)
        .after_connect(move |connection, _| {
            Box::pin(async move {
                if local {
                    configure(connection).await
                } else {
                    Ok(())
                }
            })
        })
        .connect_lazy_with(options))
}

/// Whether somebody else has taken the number.
fn is_taken(error: &sqlx::Error) -> bool {
    error
        .as_database_error()
        .is_some_and(|error| error.is_unique_violation())
}

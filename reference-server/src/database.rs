//! Databases: files of SQLite, and PostgreSQL. What differs between the two is here, and nowhere
//! else.
//!
//! Statements go through sqlx's `Any` driver with `$n` placeholders and the types `i64`, `f64` and
//! text, so that the same code and migrations serve both. SQLite lets one writer in at a time.
//! PostgreSQL lets in many, each of which sees what others have committed by then: whoever decides
//! by what it reads first updates a row that its competitors update, too, or begins
//! [alone](Database::begin_alone).

use std::borrow::Cow;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};
use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::migrate::{Migration, Migrator};
use sqlx::{
    Any, AnyConnection, AnyPool, AssertSqlSafe, ConnectOptions, Connection, Executor, SqlSafeStr,
    Transaction,
};

use crate::data;
use crate::platform::OpenError;

/// The tables of one part of the server.
pub(crate) struct Part {
    /// Named like its schema in PostgreSQL: parts that share a database do not share tables.
    pub(crate) name: &'static str,
    pub(crate) tables: Migrator,
    /// Whether what was acknowledged survives a power cut. What did not may be missing, never
    /// damaged.
    pub(crate) durable: bool,
}

/// An open database. Clones share the connections.
#[derive(Clone)]
pub(crate) struct Database {
    pool: AnyPool,
    place: Place,
}

/// Where the data lives.
#[derive(Clone)]
enum Place {
    Memory,
    File(PathBuf),
    Postgres(Arc<Postgres>),
}

struct Postgres {
    options: AnyConnectOptions,
    /// The schema of the part.
    schema: String,
}

/// Connections of one process to one part.
const CONNECTIONS: u32 = 8;
/// How long somebody waits for a connection, for a lock, or for the database to answer at all.
const PATIENCE: Duration = Duration::from_secs(5);

/// Whoever was used a moment ago is taken to be there.
const IDLE: Duration = Duration::from_secs(1);

impl Database {
    /// Opens a database and brings its tables up to date. A file is made for its owner alone.
    pub(crate) async fn open(url: &str, part: &Part) -> Result<Self, OpenError> {
        sqlx::any::install_default_drivers();
        let place = Place::of(url, part).await?;
        let _gate = place.gate().await?;
        let pool = match &place {
            Place::Postgres(there) => {
                let pool = there.pool(part);
                in_postgres(&part.tables).run(&pool).await?;
                return Ok(Self { pool, place });
            }
            Place::File(path) => sqlite(&file_url(path), part, CONNECTIONS).await?,
            // It belongs to its connection: one, kept for ever.
            Place::Memory => sqlite("sqlite::memory:", part, 1).await?,
        };
        part.tables.run(&pool).await?;
        Ok(Self { pool, place })
    }

    pub(crate) fn pool(&self) -> &AnyPool {
        &self.pool
    }

    /// The file, if it is one.
    pub(crate) fn file(&self) -> Option<&Path> {
        match &self.place {
            Place::File(path) => Some(path),
            _ => None,
        }
    }

    /// How PostgreSQL is reached, if it is that.
    pub(crate) fn postgres(&self) -> Option<&AnyConnectOptions> {
        match &self.place {
            Place::Postgres(there) => Some(&there.options),
            _ => None,
        }
    }

    pub(crate) async fn ping(&self) -> sqlx::Result<()> {
        sqlx::query("SELECT 1").execute(&self.pool).await.map(drop)
    }

    /// Held by one process at a time, while it sets something up beside the tables of a file.
    pub(crate) async fn gate(&self) -> Result<Option<File>, OpenError> {
        self.place.gate().await
    }

    /// A transaction that only reads: all of its statements see the same state.
    pub(crate) async fn begin_read(&self) -> sqlx::Result<Transaction<'static, Any>> {
        match &self.place {
            Place::Postgres(_) => {
                let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
                self.pool.begin_with(begin).await
            }
            _ => self.pool.begin().await,
        }
    }

    /// A transaction that will write. SQLite takes its write lock now: a transaction that reads
    /// first and writes later may find its snapshot outdated and fail without waiting.
    pub(crate) async fn begin_write(&self) -> sqlx::Result<Transaction<'static, Any>> {
        match &self.place {
            Place::Postgres(_) => self.pool.begin().await,
            _ => self.pool.begin_with("BEGIN IMMEDIATE").await,
        }
    }

    /// A transaction beside which there is no other that began like this.
    pub(crate) async fn begin_alone(&self) -> sqlx::Result<Transaction<'static, Any>> {
        let mut tx = self.begin_write().await?;
        if let Place::Postgres(there) = &self.place {
            sqlx::query("SELECT pg_advisory_xact_lock($1)")
                .bind(lock_key(&there.schema))
                .execute(&mut *tx)
                .await?;
        }
        Ok(tx)
    }
}

/// What is wrong with a database that does not do as it was told.
pub(crate) enum Ailment {
    /// Others have what is needed. It passes.
    Busy,
    /// It cannot be reached or cannot write. An operator may have to do something.
    Down,
    /// The statement is wrong, or the data.
    Other,
}

impl Ailment {
    pub(crate) fn of(error: &sqlx::Error) -> Self {
        match error {
            sqlx::Error::PoolTimedOut => Self::Busy,
            sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::PoolClosed => Self::Down,
            sqlx::Error::Database(error) => match error.code() {
                Some(code) if code.len() == 5 => Self::of_state(&code),
                Some(code) => Self::of_sqlite(code.parse().unwrap_or_default()),
                None => Self::Other,
            },
            _ => Self::Other,
        }
    }

    /// By PostgreSQL's SQLSTATE: its first two characters are the class.
    fn of_state(state: &str) -> Self {
        match state {
            // Serialization failure, deadlock, lock not available, statement cancelled.
            "40001" | "40P01" | "55P03" | "57014" => Self::Busy,
            _ => match &state[..2] {
                // Connection, insufficient resources, operator intervention, system error.
                "08" | "53" | "57" | "58" => Self::Down,
                _ => Self::Other,
            },
        }
    }

    /// By SQLite's primary result code; the extended ones keep it in their low byte.
    fn of_sqlite(code: u32) -> Self {
        match code & 0xff {
            // BUSY, LOCKED
            5 | 6 => Self::Busy,
            // IOERR, FULL, CANTOPEN
            10 | 13 | 14 => Self::Down,
            _ => Self::Other,
        }
    }
}

impl Place {
    async fn of(url: &str, part: &Part) -> Result<Self, OpenError> {
        if is_postgres(url) {
            if !cfg!(feature = "postgres") {
                return wrong("names PostgreSQL, which this program was built without");
            }
            let there = Postgres::reach(url, part).await?;
            return Ok(Self::Postgres(Arc::new(there)));
        }
        let path = url
            .strip_prefix("sqlite:")
            .map(|rest| rest.strip_prefix("//").unwrap_or(rest));
        match path {
            Some(":memory:") => Ok(Self::Memory),
            Some(path) if !path.is_empty() && !path.contains(['?', '#']) => {
                Ok(Self::File(PathBuf::from(path)))
            }
            _ => wrong(
                "must look like sqlite://data/name.db, sqlite::memory: or \
                 postgres://user@host/name",
            ),
        }
    }

    /// One at a time: SQLite's migrations do not expect company. PostgreSQL sees to it itself.
    async fn gate(&self) -> Result<Option<File>, OpenError> {
        let Self::File(path) = self else {
            return Ok(None);
        };
        make_private(path).map_err(|source| trouble(path, source))?;
        let beside = path.with_added_extension("lock");
        let lock = move || {
            let mut options = OpenOptions::new();
            let options = data::private(options.create(true).write(true).truncate(false));
            let file = options.open(beside)?;
            file.lock().map(|()| file)
        };
        let locked = tokio::task::spawn_blocking(lock).await;
        let locked = locked.map_err(io::Error::other).flatten();
        locked.map(Some).map_err(|source| trouble(path, source))
    }
}

pub(crate) fn is_postgres(url: &str) -> bool {
    url.starts_with("postgres://") || url.starts_with("postgresql://")
}

/// A URL as it may be shown: without user, password and options.
pub(crate) fn shown(url: &str) -> Cow<'_, str> {
    if !is_postgres(url) {
        return url.into();
    }
    let (scheme, rest) = url.split_once("://").unwrap_or_default();
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    // A password may hold a `@` that was not encoded: what follows the last one is no secret.
    let place = rest.rsplit_once('@').map_or(rest, |(_, place)| place);
    format!("{scheme}://{place}").into()
}

async fn sqlite(url: &str, part: &Part, connections: u32) -> sqlx::Result<AnyPool> {
    let pragmas = match part.durable {
        true => "PRAGMA synchronous = FULL",
        false => "PRAGMA synchronous = NORMAL",
    };
    AnyPoolOptions::new()
        .max_connections(connections)
        .min_connections(u32::from(connections == 1))
        .idle_timeout(None)
        .max_lifetime(None)
        .acquire_timeout(2 * PATIENCE)
        .after_connect(move |connection, _| {
            Box::pin(async move {
                connection.execute(PRAGMAS).await?;
                connection.execute(pragmas).await.map(drop)
            })
        })
        .connect(url)
        .await
}

const PRAGMAS: &str = "PRAGMA busy_timeout = 5000; PRAGMA journal_mode = WAL; \
    PRAGMA foreign_keys = ON;";

impl Postgres {
    /// Connects once, and makes the schema where there is none: beside the one that the URL or the
    /// role is for, so that several servers can share a database, too.
    async fn reach(url: &str, part: &Part) -> Result<Self, OpenError> {
        let options: AnyConnectOptions = url.parse()?;
        check_parameters(&options)?;
        // Not by way of the pool, which would try again and again and then report that it took long.
        let mut connection = connect(&options).await?;
        let current = sqlx::query_scalar("SELECT current_schema()::text");
        let current: Option<String> = current.fetch_one(&mut connection).await?;
        let schema = match current.as_deref() {
            Some("public") => part.name.to_owned(),
            Some(current) => format!("{current}_{}", part.name),
            None => return wrong("names a schema (search_path) that is not there: create it"),
        };
        let there = Self { options, schema };
        there.create_schema(&mut connection).await?;
        connection.close().await?;
        Ok(there)
    }

    /// A role that may not create schemas can use one that is there.
    async fn create_schema(&self, connection: &mut AnyConnection) -> sqlx::Result<()> {
        let mut tx = connection.begin().await?;
        sqlx::query("SELECT pg_advisory_xact_lock($1)")
            .bind(lock_key(&self.schema))
            .execute(&mut *tx)
            .await?;
        let found = sqlx::query("SELECT 1 FROM pg_namespace WHERE nspname = $1")
            .bind(self.schema.clone())
            .fetch_optional(&mut *tx)
            .await?;
        if found.is_none() {
            let create = format!("CREATE SCHEMA {}", quoted(&self.schema));
            sqlx::query(AssertSqlSafe(create)).execute(&mut *tx).await?;
        }
        tx.commit().await
    }

    fn pool(&self, part: &Part) -> AnyPool {
        let durable = if part.durable { "on" } else { "off" };
        let session = format!(
            "SET search_path TO {}; SET synchronous_commit TO {durable}; {SESSION}",
            quoted(&self.schema)
        );
        AnyPoolOptions::new()
            .max_connections(CONNECTIONS)
            .acquire_timeout(PATIENCE)
            // A question to each connection before each use would double the way of most answers.
            .test_before_acquire(false)
            .before_acquire(|connection, meta| {
                Box::pin(async move {
                    if meta.idle_for > IDLE {
                        connection.ping().await?;
                    }
                    Ok(true)
                })
            })
            .after_connect(move |connection, _| {
                let session = AssertSqlSafe(session.clone());
                Box::pin(async move { connection.execute(session).await.map(drop) })
            })
            .connect_lazy_with(self.options.clone())
    }
}

/// sqlx passes over a parameter that it does not know and logs its value, which may be a password
/// under a misspelt name.
fn check_parameters(options: &AnyConnectOptions) -> Result<(), OpenError> {
    const KNOWN: [&str; 17] = [
        "application_name",
        "dbname",
        "host",
        "hostaddr",
        "options",
        "password",
        "port",
        "ssl-ca",
        "ssl-cert",
        "ssl-key",
        "ssl-mode",
        "ssl-root-cert",
        "sslcert",
        "sslkey",
        "sslmode",
        "sslrootcert",
        "user",
    ];
    let mut names = options.database_url.query_pairs().map(|(name, _)| name);
    match names.find(|name| !KNOWN.contains(&&**name) && !name.starts_with("options[")) {
        None => Ok(()),
        Some(name) => wrong(&format!(
            "has an unknown parameter `{}`; there are: {}",
            name.escape_debug(),
            KNOWN.join(", ")
        )),
    }
}

fn wrong<T>(problem: &str) -> Result<T, OpenError> {
    Err(OpenError::Setting {
        setting: "database",
        problem: problem.to_owned(),
    })
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// What others may have set for all connections, and code here counts on. A lock is waited for as
/// long as SQLite waits, and nothing holds one for ever.
const SESSION: &str = "SET lock_timeout TO '5s'; SET statement_timeout TO '60s'; \
    SET idle_in_transaction_session_timeout TO '120s'; \
    SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL READ COMMITTED, READ WRITE";

/// A connection of its own, beside the pool.
pub(crate) async fn connect(options: &AnyConnectOptions) -> sqlx::Result<AnyConnection> {
    let connected = tokio::time::timeout(PATIENCE, options.connect()).await;
    connected.unwrap_or_else(|_| Err(io::Error::from(ErrorKind::TimedOut).into()))
}

/// The key of an advisory lock of PostgreSQL.
pub(crate) fn lock_key(name: &str) -> i64 {
    let digest = Sha256::digest(format!("reference-server {name}"));
    let first = digest.first_chunk().copied().unwrap_or_default();
    i64::from_be_bytes(first)
}

/// The same tables, with texts in the order of their bytes as in SQLite, whatever the language of
/// the database.
fn in_postgres(tables: &Migrator) -> Migrator {
    let migrations = tables.iter().map(|one| {
        let sql = one.sql.as_str().replace(" TEXT", " TEXT COLLATE \"C\"");
        // Known by the checksum of the file, as in SQLite.
        Migration {
            sql: AssertSqlSafe(sql).into_sql_str(),
            ..one.clone()
        }
    });
    Migrator {
        migrations: migrations.collect(),
        ..Migrator::DEFAULT
    }
}

/// sqlx's URL of a file.
fn file_url(path: &Path) -> String {
    let mut url = "sqlite:".to_owned();
    for &byte in path.as_os_str().as_encoded_bytes() {
        match byte {
            b'/' | b'-' | b'_' | b'.' => url.push(byte.into()),
            _ if byte.is_ascii_alphanumeric() => url.push(byte.into()),
            _ => url.push_str(&format!("%{byte:02X}")),
        }
    }
    url
}

/// Makes the folder and the file, readable by its owner only: it holds addresses and invite
/// codes. SQLite gives its side files the same permissions.
fn make_private(path: &Path) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let mut options = OpenOptions::new();
    match data::private(options.write(true).create_new(true)).open(path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

fn trouble(path: &Path, source: io::Error) -> OpenError {
    OpenError::File {
        path: path.display().to_string(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_shown_without_what_is_secret_in_it() {
        for (url, expected) in [
            ("sqlite://data/x.db", "sqlite://data/x.db"),
            ("postgres://db.example.com/x", "postgres://db.example.com/x"),
            (
                "postgres://me:hunter2@db.example.com:5433/x?sslmode=require&password=hunter2",
                "postgres://db.example.com:5433/x",
            ),
            ("postgresql://me:hun@ter2@[::1]/x", "postgresql://[::1]/x"),
        ] {
            assert_eq!(shown(url), expected);
        }
    }

    #[test]
    fn states_of_postgresql_are_told_apart() {
        for (state, busy, down) in [
            ("40001", true, false),
            ("55P03", true, false),
            ("57014", true, false),
            ("57P01", false, true),
            ("53300", false, true),
            ("08006", false, true),
            ("23505", false, false),
            ("42P01", false, false),
        ] {
            let ailment = Ailment::of_state(state);
            let found = (
                matches!(ailment, Ailment::Busy),
                matches!(ailment, Ailment::Down),
            );
            assert_eq!(found, (busy, down), "{state}");
        }
    }
}

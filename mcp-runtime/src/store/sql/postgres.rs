//! PostgreSQL: a server that instances on many machines share.
//!
//! What the table says is in [`super`]; here is how to reach it, and messages, which PostgreSQL
//! passes on itself (`LISTEN`, `NOTIFY`).

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;
use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};
use sqlx::{AnyConnection, AnyPool, ConnectOptions, Connection};
use tokio::time::timeout;

use super::unavailable;
use crate::digest;
use crate::store::listen::{BEAT, Listener, Lost};
use crate::store::{Publisher, StoreError};

/// How long a statement, or a connection, is waited for.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// Connections of one instance. A statement takes a millisecond; more would only wait for the disk
/// of the server instead of for each other.
const CONNECTIONS: u32 = 8;

/// A connection that lay idle for so long is tried before it is used.
const IDLE: Duration = Duration::from_secs(1);

/// What holds on every connection, whatever the server or the role say otherwise. A commit that is
/// acknowledged before it is on the disk would be a used token, used again; a stricter isolation
/// would fail where this one waits.
const CONFIGURE: &str = "\
    SELECT set_config('statement_timeout', '5000', false), \
        set_config('default_transaction_isolation', 'read committed', false), \
        CASE WHEN current_setting('synchronous_commit') = 'off' \
            THEN set_config('synchronous_commit', 'on', false) END";

const IS_THERE: &str = "SELECT to_regclass('mcp_store') IS NOT NULL";

/// `IF NOT EXISTS` looks and creates in two steps, between which another instance may create.
const ONE_AT_A_TIME: &str = "SELECT pg_advisory_xact_lock(7307196212911237747)";

/// Keys are compared byte by byte, and in the index, too.
const CREATE_TABLE: &str = "\
    CREATE TABLE IF NOT EXISTS mcp_store (\
        entry_key TEXT COLLATE \"C\" NOT NULL PRIMARY KEY, \
        value BYTEA NOT NULL, \
        expires_at BIGINT NOT NULL)";

const CREATE_INDEX: &str =
    "CREATE INDEX IF NOT EXISTS mcp_store_expires_at ON mcp_store (expires_at)";

const SCHEMA: &str = "SELECT current_schema()::text";

pub(super) const PUBLISH: &str = "SELECT pg_notify($1, $2)";

/// How to listen.
#[derive(Clone)]
pub(super) struct Messages {
    options: PgConnectOptions,
    /// That of the schema: channels are those of a whole database.
    pub(super) channel: String,
}

pub(super) async fn connect(url: &str) -> Result<(AnyPool, Messages), StoreError> {
    let options: AnyConnectOptions = url.parse().map_err(unavailable)?;
    check_parameters(&options)?;
    let messages: PgConnectOptions = url.parse().map_err(unavailable)?;
    // Not by way of the pool, which would try again until it reports that this took too long.
    let schema = timeout(PATIENCE, create_table(&options))
        .await
        .map_err(unavailable)?
        .map_err(unavailable)?;
    let pool = AnyPoolOptions::new()
        .max_connections(CONNECTIONS)
        .acquire_timeout(PATIENCE)
        .test_before_acquire(false)
        .before_acquire(|connection, meta| {
            Box::pin(async move {
                if meta.idle_for > IDLE {
                    connection.ping().await?;
                }
                Ok(true)
            })
        })
        .after_connect(|connection, _| Box::pin(configure(connection)))
        .connect_lazy_with(options);
    let messages = Messages {
        options: messages,
        channel: format!("mcp_store_{}", &digest::sha256_hex(&schema)[..32]),
    };
    Ok((pool, messages))
}

/// sqlx passes over a parameter that it does not know and logs its value, which may be a password
/// under a misspelt name.
pub(crate) fn check_parameters(options: &AnyConnectOptions) -> Result<(), StoreError> {
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
        Some(name) => Err(StoreError::unavailable(format!(
            "the URL of the database has an unknown parameter `{}`; there are: {}",
            name.escape_debug(),
            KNOWN.join(", ")
        ))),
    }
}

/// Makes the table where there is none, and tells in which schema.
async fn create_table(options: &AnyConnectOptions) -> sqlx::Result<String> {
    let mut connection = options.connect().await?;
    configure(&mut connection).await?;
    // Who may not create anything can still use what is there.
    if !sqlx::query_scalar(IS_THERE)
        .fetch_one(&mut connection)
        .await?
    {
        let mut transaction = connection.begin().await?;
        for statement in [ONE_AT_A_TIME, CREATE_TABLE, CREATE_INDEX] {
            sqlx::query(statement).execute(&mut *transaction).await?;
        }
        transaction.commit().await?;
    }
    let schema = sqlx::query_scalar(SCHEMA)
        .fetch_one(&mut connection)
        .await?;
    connection.close().await?;
    Ok(schema)
}

async fn configure(connection: &mut AnyConnection) -> sqlx::Result<()> {
    sqlx::query(CONFIGURE).execute(connection).await.map(drop)
}

/// A message as text, which is what a notification carries: of the 8000 bytes that one may have,
/// the longest message takes 5462.
pub(super) fn encoded(message: &[u8]) -> String {
    BASE64.encode(message)
}

pub(super) struct Notifications(PgListener);

impl Listener for Notifications {
    type Source = Messages;

    async fn connect(source: &Messages, _: &Publisher) -> Result<Self, Lost> {
        let pool = PgPoolOptions::new()
            .max_connections(1)
            .max_lifetime(None)
            .idle_timeout(None)
            .acquire_timeout(PATIENCE)
            .connect_lazy_with(source.options.clone());
        let mut listener = PgListener::connect_with(&pool).await?;
        listener.ignore_pool_close_event(true);
        listener.eager_reconnect(false);
        timeout(PATIENCE, listener.listen(&source.channel)).await??;
        Ok(Self(listener))
    }

    async fn listen(mut self, publisher: &Publisher) -> Lost {
        loop {
            match timeout(BEAT, self.0.try_recv()).await {
                Ok(Ok(Some(notification))) => match BASE64.decode(notification.payload()) {
                    Ok(message) => drop(publisher.send(&message)),
                    Err(_) => tracing::warn!("somebody else notifies on the channel of messages"),
                },
                Ok(Ok(None)) => return "closed by the other side".into(),
                Ok(Err(error)) => return error.into(),
                Err(_) => {
                    let alive = sqlx::query("SELECT 1").execute(&mut self.0);
                    match timeout(PATIENCE, alive).await {
                        Ok(Ok(_)) => {}
                        Ok(Err(error)) => return error.into(),
                        Err(late) => return late.into(),
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_connection_is_durable_whatever_the_role_says() {
        sqlx::any::install_default_drivers();
        let url = std::env::var("MCP_TEST_POSTGRES");
        let url = url.unwrap_or_else(|_| "postgres://root@127.0.0.1:5432/root".to_owned());
        for (said, expected) in [("off", "on"), ("local", "local"), ("on", "on")] {
            let mut options: AnyConnectOptions = url.parse().unwrap();
            let lax = format!("-c synchronous_commit={said} -c statement_timeout=0");
            let mut query = options.database_url.query_pairs_mut();
            query.append_pair("options", &lax);
            drop(query);
            let mut connection = match options.connect().await {
                Ok(connection) => connection,
                Err(error) => {
                    let ci = std::env::var("CI").is_ok_and(|ci| ci == "true");
                    assert!(!ci, "CI needs PostgreSQL (MCP_TEST_POSTGRES): {error}");
                    eprintln!("SKIPPED: PostgreSQL does not answer (MCP_TEST_POSTGRES): {error}");
                    return;
                }
            };
            configure(&mut connection).await.unwrap();
            for (setting, expected) in [
                ("SHOW synchronous_commit", expected),
                ("SHOW statement_timeout", "5s"),
                ("SHOW default_transaction_isolation", "read committed"),
            ] {
                let value = sqlx::query_scalar::<_, String>(setting);
                let value = value.fetch_one(&mut connection).await.unwrap();
                assert_eq!(value, expected, "{setting} where the role says {said}");
            }
            // Counting does not wait for the disk; what comes after it does.
            let table = CREATE_TABLE.replacen("CREATE TABLE", "CREATE TEMPORARY TABLE", 1);
            let table = sqlx::query(sqlx::AssertSqlSafe(table));
            table.execute(&mut connection).await.unwrap();
            let mut take = sqlx::query(super::super::TAKE_SOON).bind("bucket");
            for number in 1..=6_i64 {
                take = take.bind(number);
            }
            let taken = take.execute(&mut connection).await.unwrap();
            assert_eq!(taken.rows_affected(), 1);
            let value = sqlx::query_scalar::<_, String>("SHOW synchronous_commit");
            assert_eq!(value.fetch_one(&mut connection).await.unwrap(), expected);
        }
    }
}

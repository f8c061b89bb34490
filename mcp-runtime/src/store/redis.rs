//! A store in Redis, or in what speaks like it.
//!
//! Redis counts milliseconds by its own clock, and a store microseconds by that of its server. So
//! an entry carries the time until which it lives, and Redis is told to forget it a while later:
//! that keeps its memory bounded and decides nothing.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use redis::aio::{ConnectionManager, ConnectionManagerConfig, MultiplexedConnection};
use redis::io::tcp::TcpSettings;
use redis::{
    AsyncConnectionConfig, Client, Cmd, FromRedisValue, ProtocolVersion, PushInfo, PushKind,
    RedisError, Script, ScriptInvocation, Value,
};
use tokio::sync::Notify;
use tokio::time::timeout;

use super::listen::{self, BEAT, Listener, Lost};
use super::{
    Bucket, Publisher, Store, StoreError, StoreFuture, Subscription, check_message, check_size,
};
use crate::Clock;
use crate::limits::Rate;

/// A [`Store`] in Redis 6 or later, or Valkey: for instances on many machines.
///
/// Every operation is one command or one script, so it happens as a whole or not at all. An
/// operation takes three seconds at most; a lost connection is made again by itself, and until
/// then operations fail.
///
/// How much is left after Redis itself has failed is a matter of how it is set up: without
/// `appendonly`, or with a replica that takes over, the last writes may be gone, and a used token
/// is a new one again.
pub struct RedisStore {
    connection: ConnectionManager,
    client: Client,
    clock: Clock,
    prefix: String,
    scripts: Arc<Scripts>,
}

impl RedisStore {
    /// Connects to `redis://user:password@host:6379/0`, or to `rediss://…` by TLS. Each [subscription](Store::subscribe) is a connection of its own.
    ///
    /// # Errors
    /// When Redis cannot be reached within three seconds, or is set up to evict entries when it is
    /// full: it would forget that a token is used up.
    pub async fn connect(url: &str, clock: Clock) -> Result<Self, StoreError> {
        let client = client(url).map_err(failed)?;
        let config = ConnectionManagerConfig::new()
            .set_number_of_retries(2)
            .set_min_delay(Duration::from_millis(50))
            .set_max_delay(Duration::from_millis(500))
            .set_connection_timeout(Some(RESPONSE))
            .set_response_timeout(Some(RESPONSE));
        let connection = ConnectionManager::new_with_config(client.clone(), config);
        let connection = timeout(PATIENCE, connection)
            .await
            .map_err(StoreError::unavailable)?
            .map_err(failed)?;
        let store = Self {
            connection,
            client,
            clock,
            prefix: "mcp:".to_owned(),
            scripts: Arc::new(Scripts::new()),
        };
        store.refuse_eviction().await?;
        Ok(store)
    }

    /// What all keys and the channel of messages begin with; `mcp:` unless said otherwise. Servers
    /// that have nothing to do with each other and share one Redis need different ones.
    #[must_use]
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    async fn refuse_eviction(&self) -> Result<(), StoreError> {
        let mut info = redis::cmd("INFO");
        info.arg("memory");
        let info: String = match self.ask(&info).await {
            Ok(info) => info,
            Err(error) if is_timeout(&error) => return Err(error),
            // Whoever runs Redis for us may not let us look.
            Err(_) => {
                tracing::warn!("Redis does not tell its maxmemory-policy: it has to be noeviction");
                return Ok(());
            }
        };
        match evicts(&info) {
            None => Ok(()),
            Some(policy) => Err(StoreError::unavailable(format!(
                "Redis evicts entries when its memory is full (maxmemory-policy {policy}), and \
                 would forget which tokens are used up: set it to noeviction"
            ))),
        }
    }

    fn key(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }

    /// Other databases of the same Redis have the same channels.
    fn channel(&self) -> String {
        let database = self.client.get_connection_info().redis_settings().db();
        format!("{}messages:{database}", self.prefix)
    }

    fn now(&self) -> i64 {
        self.clock.now().as_microsecond()
    }

    async fn ask<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, StoreError> {
        let mut connection = self.connection.clone();
        self.answer(command.query_async(&mut connection)).await
    }

    async fn run<T: FromRedisValue>(&self, script: &ScriptInvocation<'_>) -> Result<T, StoreError> {
        let mut connection = self.connection.clone();
        self.answer(script.invoke_async(&mut connection)).await
    }

    async fn answer<T>(
        &self,
        answer: impl Future<Output = Result<T, RedisError>>,
    ) -> Result<T, StoreError> {
        match timeout(PATIENCE, answer).await {
            Ok(answer) => answer.map_err(failed),
            Err(late) => Err(StoreError::unavailable(late)),
        }
    }
}

impl Store for RedisStore {
    fn get<'a>(&'a self, key: &'a str) -> StoreFuture<'a, Option<Vec<u8>>> {
        Box::pin(async move {
            let mut get = redis::cmd("GET");
            get.arg(self.key(key));
            let entry: Option<Vec<u8>> = self.ask(&get).await?;
            let Some(mut entry) = entry else {
                return Ok(None);
            };
            let until = until(&entry).ok_or_else(foreign)?;
            if until <= self.now() {
                return Ok(None);
            }
            entry.drain(..HEAD);
            Ok(Some(entry))
        })
    }

    fn put<'a>(
        &'a self,
        key: &'a str,
        value: &'a [u8],
        expires_at: Timestamp,
    ) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            check_size(key, value)?;
            let entry = Entry::new(value, expires_at, self.now());
            let mut set = redis::cmd("SET");
            set.arg(self.key(key))
                .arg(&entry.bytes)
                .arg("PX")
                .arg(entry.keep_ms);
            self.ask(&set).await
        })
    }

    fn put_if_absent<'a>(
        &'a self,
        key: &'a str,
        value: &'a [u8],
        expires_at: Timestamp,
    ) -> StoreFuture<'a, bool> {
        Box::pin(async move {
            check_size(key, value)?;
            let now = self.now();
            let entry = Entry::new(value, expires_at, now);
            let mut script = self.scripts.put_if_absent.key(self.key(key));
            script.arg(now).arg(&entry.bytes).arg(entry.keep_ms);
            self.run(&script).await
        })
    }

    fn replace<'a>(
        &'a self,
        key: &'a str,
        expected: &'a [u8],
        value: &'a [u8],
        expires_at: Timestamp,
    ) -> StoreFuture<'a, bool> {
        Box::pin(async move {
            check_size(key, value)?;
            let now = self.now();
            let entry = Entry::new(value, expires_at, now);
            let mut script = self.scripts.replace.key(self.key(key));
            script
                .arg(now)
                .arg(&entry.bytes)
                .arg(entry.keep_ms)
                .arg(expected);
            self.run(&script).await
        })
    }

    fn remove<'a>(&'a self, key: &'a str) -> StoreFuture<'a, bool> {
        Box::pin(async move {
            let mut script = self.scripts.remove.key(self.key(key));
            script.arg(self.now());
            self.run(&script).await
        })
    }

    fn take<'a>(&'a self, key: &'a str, rate: Rate) -> StoreFuture<'a, Result<(), Duration>> {
        Box::pin(async move {
            check_size(key, &[])?;
            let now = self.now();
            let bucket = Bucket::of(rate, now);
            let mut script = self.scripts.take.key(self.key(key));
            script
                .arg(now)
                .arg(bucket.interval.min(LAST))
                .arg(bucket.latest.min(LAST))
                .arg(bucket.empty.min(LAST))
                .arg(bucket.impossible.min(LAST))
                .arg(KEEP_MS);
            let end: Option<i64> = self.run(&script).await?;
            Ok(end.map_or(Ok(()), |end| Err(bucket.wait(end))))
        })
    }

    fn publish<'a>(&'a self, message: &'a [u8]) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            check_message(message)?;
            let mut publish = redis::cmd("PUBLISH");
            publish.arg(self.channel()).arg(message);
            self.ask::<Value>(&publish).await.map(drop)
        })
    }

    fn subscribe(&self) -> StoreFuture<'_, Subscription> {
        let source = (self.client.clone(), self.channel());
        let never = std::future::pending();
        Box::pin(listen::subscribe::<Channel>(source, never))
    }
}

/// Not the address, in which a password may stand.
impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore")
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}

/// How long Redis has to answer, and to accept a connection.
const RESPONSE: Duration = Duration::from_secs(2);
/// How long an operation may take with everything, a connection that is made again included.
const PATIENCE: Duration = Duration::from_secs(3);

/// How long an entry stays when it is over. Without it, an instance whose clock is behind would
/// miss what it still takes for alive.
const KEEP_MS: i64 = 60_000;

/// The bytes of an entry before its value: until when it lives, in microseconds since 1970.
const HEAD: usize = 16;

/// The last time that scripts can calculate with, whose numbers are those of `f64`: in the year
/// 2255.
const LAST: i64 = (1 << 53) - 1;

/// What is stored under a key.
struct Entry {
    bytes: Vec<u8>,
    /// How long Redis keeps it.
    keep_ms: i64,
}

impl Entry {
    fn new(value: &[u8], expires_at: Timestamp, now: i64) -> Self {
        let until = expires_at.as_microsecond().clamp(0, LAST);
        let mut bytes = Vec::with_capacity(HEAD + value.len());
        bytes.extend_from_slice(format!("{until:016}").as_bytes());
        bytes.extend_from_slice(value);
        Self {
            bytes,
            keep_ms: until.saturating_sub(now).max(0) / 1000 + KEEP_MS,
        }
    }
}

/// Until when an entry lives.
fn until(entry: &[u8]) -> Option<i64> {
    std::str::from_utf8(entry.get(..HEAD)?).ok()?.parse().ok()
}

fn foreign() -> StoreError {
    StoreError::unavailable("under this key in Redis lies what is not an entry of a store")
}

struct Scripts {
    put_if_absent: Script,
    replace: Script,
    remove: Script,
    take: Script,
}

impl Scripts {
    fn new() -> Self {
        Self {
            put_if_absent: Script::new(PUT_IF_ABSENT),
            replace: Script::new(REPLACE),
            remove: Script::new(REMOVE),
            take: Script::new(TAKE),
        }
    }
}

// Each reads the head of an entry and not its value, which may be long.

const PUT_IF_ABSENT: &str = "\
local till = tonumber(redis.call('GETRANGE', KEYS[1], 0, 15))
if till and till > tonumber(ARGV[1]) then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1";

const REPLACE: &str = "\
local till = tonumber(redis.call('GETRANGE', KEYS[1], 0, 15))
if not till or till <= tonumber(ARGV[1]) then return 0 end
if redis.call('GETRANGE', KEYS[1], 16, -1) ~= ARGV[4] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1";

const REMOVE: &str = "\
local till = tonumber(redis.call('GETRANGE', KEYS[1], 0, 15))
redis.call('DEL', KEYS[1])
if till and till > tonumber(ARGV[1]) then return 1 end
return 0";

/// Nothing, or the end of a bucket that is empty. Arguments: now, interval, latest, empty,
/// impossible, milliseconds to keep it.
const TAKE: &str = "\
local now, interval, latest = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local till = tonumber(redis.call('GETRANGE', KEYS[1], 0, 15))
if not till or till < now then till = now end
if till > tonumber(ARGV[5]) then
    till = tonumber(ARGV[4])
elseif till > latest then
    return till
else
    till = math.min(till + interval, 9007199254740991)
end
local keep = math.ceil((till - now) / 1000) + tonumber(ARGV[6])
redis.call('SET', KEYS[1], string.format('%016.0f', till), 'PX', string.format('%.0f', keep))
return false";

fn client(url: &str) -> Result<Client, RedisError> {
    let client = Client::open(url)?;
    let info = client.get_connection_info().clone();
    // RESP3 tells of a lost connection when it is lost, and not with the next command.
    let redis = info
        .redis_settings()
        .clone()
        .set_protocol(ProtocolVersion::RESP3);
    let tcp = TcpSettings::default().set_nodelay(true);
    // A server that is gone without a word is given up as fast as one that does not answer.
    #[cfg(target_os = "linux")]
    let tcp = tcp.set_user_timeout(PATIENCE);
    Client::open(info.set_redis_settings(redis).set_tcp_settings(tcp))
}

fn failed(error: RedisError) -> StoreError {
    match error.code() {
        Some("OOM") => StoreError::full(),
        _ => StoreError::unavailable(error),
    }
}

fn is_timeout(error: &StoreError) -> bool {
    let source = std::error::Error::source(error);
    source.is_some_and(|source| match source.downcast_ref::<RedisError>() {
        Some(error) => error.is_io_error(),
        None => true,
    })
}

/// The policy by which Redis throws entries out that are not over, if it does.
fn evicts(info: &str) -> Option<&str> {
    let field = |name: &str| {
        let mut lines = info.lines();
        lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
    };
    let limited = field("maxmemory").is_some_and(|bytes| bytes != "0");
    let policy = field("maxmemory_policy").filter(|policy| *policy != "noeviction");
    policy.filter(|_| limited)
}

/// A connection that listens to the channel of messages.
struct Channel {
    connection: MultiplexedConnection,
    lost: Arc<Notify>,
}

impl Listener for Channel {
    type Source = (Client, String);

    async fn connect(
        (client, channel): &Self::Source,
        publisher: &Publisher,
    ) -> Result<Self, Lost> {
        let lost = Arc::new(Notify::new());
        let (to, gone) = (publisher.clone(), Arc::clone(&lost));
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(RESPONSE))
            .set_response_timeout(Some(RESPONSE))
            .set_push_sender(move |push: PushInfo| -> Result<(), redis::aio::SendError> {
                match (push.kind, push.data.into_iter().nth(1)) {
                    (PushKind::Message, Some(Value::BulkString(message))) => {
                        to.send(&message);
                    }
                    (PushKind::Disconnection, _) => gone.notify_one(),
                    _ => {}
                }
                Ok(())
            });
        let connection = client.get_multiplexed_async_connection_with_config(&config);
        let mut connection = timeout(PATIENCE, connection).await??;
        connection.subscribe(channel).await?;
        Ok(Self { connection, lost })
    }

    async fn listen(mut self, _: &Publisher) -> Lost {
        loop {
            tokio::select! {
                () = self.lost.notified() => return "closed by the other side".into(),
                () = tokio::time::sleep(BEAT) => {}
            }
            let alive = redis::cmd("PING")
                .query_async::<Value>(&mut self.connection)
                .await;
            if let Err(error) = alive {
                return error.into();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_redis_that_forgets_nothing_alive_will_do() {
        for (info, expected) in [
            (
                "# Memory\r\nmaxmemory:0\r\nmaxmemory_policy:allkeys-lru\r\n",
                None,
            ),
            ("maxmemory:100\r\nmaxmemory_policy:noeviction\r\n", None),
            (
                "maxmemory:100\r\nmaxmemory_human:100B\r\nmaxmemory_policy:volatile-lru\r\n",
                Some("volatile-lru"),
            ),
            ("", None),
        ] {
            assert_eq!(evicts(info), expected, "{info}");
        }
    }

    #[test]
    fn a_redis_that_is_full_says_so_as_a_store_in_memory_does() {
        use super::super::StoreErrorKind::{Full, Unavailable};
        for (said, expected) in [
            (
                "-OOM command not allowed when used memory > 'maxmemory'. script: 1, on @user_script:1.\r\n",
                Full,
            ),
            (
                "-READONLY You can't write against a read only replica.\r\n",
                Unavailable,
            ),
            ("-WRONGTYPE Operation against a key\r\n", Unavailable),
        ] {
            let answer = redis::parse_redis_value(said.as_bytes()).unwrap();
            let error = answer.extract_error().unwrap_err();
            assert_eq!(failed(error).kind(), expected, "{said}");
        }
    }
}

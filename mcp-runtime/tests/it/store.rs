use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use mcp_runtime::store::{
    MAX_KEY, MAX_MESSAGE, MAX_VALUE, MemoryStore, Notice, Store, StoreErrorKind, Subscription,
};
use mcp_runtime::{Clock, Rate};

use crate::clock;
use Step::*;

/// One operation and what it has to answer. Times are microseconds from the start.
enum Step {
    Get(&'static str, Option<&'static str>),
    Put(&'static str, &'static str, i64),
    PutIfAbsent(&'static str, &'static str, i64, bool),
    Replace(&'static str, &'static str, &'static str, i64, bool),
    Remove(&'static str, bool),
    Advance(u64),
    /// Takes from a bucket of one every 10 microseconds, and three at once. What it says to wait.
    Take(&'static str, Option<u64>),
}

/// What holds for every store.
const CONTRACT: &[(&str, &[Step])] = &[
    (
        "an unknown key is absent",
        &[
            Get("a", None),
            Remove("a", false),
            Replace("a", "", "x", 9, false),
            Get("a", None),
        ],
    ),
    (
        "put replaces value and expiry",
        &[
            Put("a", "1", 10),
            Put("a", "2", 20),
            Get("a", Some("2")),
            Advance(10),
            Get("a", Some("2")),
            Put("a", "3", 15),
            Advance(5),
            Get("a", None),
        ],
    ),
    (
        "put_if_absent leaves a living entry alone",
        &[
            PutIfAbsent("a", "1", 10, true),
            PutIfAbsent("a", "2", 20, false),
            Get("a", Some("1")),
            Advance(10),
            Get("a", None),
        ],
    ),
    (
        "replace needs the expected value",
        &[
            Put("a", "1", 10),
            Replace("a", "2", "3", 20, false),
            Replace("a", "", "3", 20, false),
            Get("a", Some("1")),
            Replace("a", "1", "3", 20, true),
            Advance(10),
            Get("a", Some("3")),
        ],
    ),
    (
        "replace by an expired entry removes",
        &[
            Put("a", "1", 10),
            Replace("a", "1", "", -1, true),
            Get("a", None),
            PutIfAbsent("a", "2", 10, true),
        ],
    ),
    (
        "remove removes once",
        &[
            Put("a", "1", 10),
            Remove("a", true),
            Get("a", None),
            Remove("a", false),
        ],
    ),
    (
        "an entry lives until just before its expiry",
        &[
            Put("a", "1", 10),
            Advance(9),
            Get("a", Some("1")),
            PutIfAbsent("a", "2", 20, false),
            Replace("a", "1", "1", 10, true),
            Advance(1),
            Get("a", None),
        ],
    ),
    (
        "at its expiry an entry is absent for replace",
        &[
            Put("a", "1", 10),
            Advance(10),
            Replace("a", "1", "2", 20, false),
        ],
    ),
    (
        "at its expiry an entry is absent for remove",
        &[Put("a", "1", 10), Advance(10), Remove("a", false)],
    ),
    (
        "at its expiry an entry is absent for put_if_absent",
        &[
            Put("a", "1", 10),
            Advance(10),
            PutIfAbsent("a", "2", 20, true),
            Get("a", Some("2")),
        ],
    ),
    (
        "an entry that expires on arrival is never there",
        &[
            PutIfAbsent("a", "1", 0, true),
            Get("a", None),
            PutIfAbsent("a", "2", 10, true),
            Get("a", Some("2")),
        ],
    ),
    (
        "keys are compared byte by byte",
        &[
            Put("a", "1", 10),
            Put("A", "2", 10),
            Put("a ", "3", 10),
            Put("ä", "4", 10),
            Put("", "5", 10),
            Get("a", Some("1")),
            Get("A", Some("2")),
            Get("a ", Some("3")),
            Get("ä", Some("4")),
            Get("", Some("5")),
            Get("a%", None),
        ],
    ),
    (
        "an empty value is a value",
        &[
            Put("a", "", 10),
            Get("a", Some("")),
            PutIfAbsent("a", "1", 10, false),
            Replace("a", "", "1", 10, true),
        ],
    ),
    (
        "a bucket gives what it holds, then one at a time",
        &[
            Take("a", None),
            Take("a", None),
            Take("a", None),
            Take("a", Some(10)),
            Take("b", None),
            Advance(4),
            Take("a", Some(6)),
            Advance(6),
            Take("a", None),
            Take("a", Some(10)),
            Advance(1000),
            Take("a", None),
            Take("a", None),
            Take("a", None),
            Take("a", Some(10)),
        ],
    ),
    (
        "a clock that is set back does not shut a bucket",
        &[
            Put("a", "", 60_000_000),
            Take("a", None),
            Take("a", Some(10)),
            Advance(10),
            Take("a", None),
            Take("a", Some(10)),
            Advance(1000),
            Take("a", None),
            Take("a", None),
            Take("a", None),
            Take("a", Some(10)),
        ],
    ),
    (
        "clocks that differ a little share a bucket",
        &[
            Put("a", "", 9_000_030),
            Take("a", Some(9_000_010)),
            Advance(9_000_010),
            Take("a", None),
            Take("a", Some(10)),
        ],
    ),
    (
        "a bucket is an entry like others",
        &[
            Take("a", None),
            PutIfAbsent("a", "1", 100, false),
            Advance(10),
            Get("a", None),
            PutIfAbsent("a", "1", 100, true),
        ],
    ),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_50_that_take_at_once_as_many_get_one_as_there_are() {
    for (name, store, _, _own) in stores("buckets").await {
        let rate = Rate::new(1, Duration::from_secs(60)).burst(7);
        let taken = race(50, |_| {
            let store = Arc::clone(&store);
            async move { store.take("bucket", rate).await.unwrap() }
        })
        .await;
        let given = taken.iter().filter(|taken| taken.is_ok()).count();
        assert_eq!(given, 7, "{name}");
    }
}

#[tokio::test]
async fn who_subscribed_hears_every_message_in_order_and_nothing_from_before() {
    for (name, store, _, _own) in stores("messages").await {
        store.publish(b"before").await.unwrap();
        let mut heard = [
            store.subscribe().await.unwrap(),
            store.subscribe().await.unwrap(),
        ];
        let longest = vec![0xff; MAX_MESSAGE];
        let said: [&[u8]; 4] = [b"one", b"", &longest, b"one"];
        for message in said {
            store.publish(message).await.unwrap();
        }
        for subscription in &mut heard {
            for message in said {
                let next = tokio::time::timeout(Duration::from_secs(10), subscription.next());
                let next = next.await.unwrap_or_else(|_| panic!("{name}: no message"));
                assert_eq!(next, Some(Notice::Message(message.to_vec())), "{name}");
            }
        }
        let error = store.publish(&vec![0; MAX_MESSAGE + 1]).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::TooLarge, "{name}");
        drop(heard);
        store.publish(b"to nobody").await.unwrap();
    }
}

#[tokio::test]
async fn who_is_too_slow_is_told_of_a_gap() {
    let (publisher, mut slow) = Subscription::channel(2);
    for message in [b"1", b"2", b"3"] {
        assert!(publisher.send(message));
    }
    let message = |text: &str| Some(Notice::Message(text.as_bytes().to_vec()));
    assert_eq!(slow.next().await, Some(Notice::Gap));
    assert_eq!(slow.next().await, message("1"));
    assert_eq!(slow.next().await, message("2"));
    assert!(publisher.send(b"4"));
    assert_eq!(slow.next().await, message("4"));
    drop(slow);
    assert!(!publisher.send(b"5"));
}

#[tokio::test]
async fn every_store_keeps_the_contract() {
    for (case, steps) in CONTRACT {
        for (name, store, clock, _own) in stores(case).await {
            let start = clock.now();
            for (number, step) in steps.iter().enumerate() {
                let at = format!("{name}: {case}: step {number}");
                run(step, &*store, &clock, start, &at).await;
            }
        }
    }
}

async fn run(step: &Step, store: &dyn Store, clock: &Clock, start: Timestamp, at: &str) {
    let time = |micros: i64| start + jiff::SignedDuration::from_micros(micros);
    let bytes = str::as_bytes;
    match *step {
        Get(key, expected) => {
            let value = store.get(key).await.expect(at);
            assert_eq!(value.as_deref(), expected.map(bytes), "{at}");
        }
        Put(key, value, until) => {
            store.put(key, bytes(value), time(until)).await.expect(at);
        }
        PutIfAbsent(key, value, until, expected) => {
            let done = store
                .put_if_absent(key, bytes(value), time(until))
                .await
                .expect(at);
            assert_eq!(done, expected, "{at}");
        }
        Replace(key, old, new, until, expected) => {
            let done = store
                .replace(key, bytes(old), bytes(new), time(until))
                .await
                .expect(at);
            assert_eq!(done, expected, "{at}");
        }
        Remove(key, expected) => {
            assert_eq!(store.remove(key).await.expect(at), expected, "{at}");
        }
        Advance(micros) => clock.advance(Duration::from_micros(micros)),
        Take(key, wait) => {
            let rate = Rate::new(100_000, Duration::from_secs(1)).burst(3);
            let taken = store.take(key, rate).await.expect(at);
            assert_eq!(taken.err(), wait.map(Duration::from_micros), "{at}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_50_concurrent_writers_exactly_one_wins() {
    for (name, store, clock, _own) in stores("race").await {
        let until = clock.now() + Duration::from_secs(60);
        for round in 0..5 {
            let key = format!("key {round}");
            let won = race(50, |writer| {
                let (store, key) = (store.clone(), key.clone());
                async move {
                    let value = [writer; 100];
                    store
                        .put_if_absent(&key, &value, until)
                        .await
                        .unwrap()
                        .then_some(value)
                }
            });
            let won: Vec<_> = won.await.into_iter().flatten().collect();
            assert_eq!(won.len(), 1, "{name}: put_if_absent");
            assert_eq!(
                store.get(&key).await.unwrap().as_deref(),
                Some(&won[0][..]),
                "{name}"
            );

            let swapped = race(50, |writer| {
                let (store, key, old) = (store.clone(), key.clone(), won[0]);
                async move { store.replace(&key, &old, &[writer], until).await.unwrap() }
            });
            let swapped = swapped.await.into_iter().filter(|won| *won).count();
            assert_eq!(swapped, 1, "{name}: replace");
        }
    }
}

#[tokio::test]
async fn a_store_takes_keys_and_values_up_to_its_limits() {
    for (name, store, clock, _own) in stores("size").await {
        let until = clock.now() + Duration::from_secs(60);
        let (key, value) = ("k".repeat(MAX_KEY), vec![0xff; MAX_VALUE]);
        assert!(
            store.put_if_absent(&key, &value, until).await.unwrap(),
            "{name}"
        );
        assert_eq!(
            store.get(&key).await.unwrap(),
            Some(value.clone()),
            "{name}"
        );

        let (long_key, large) = (format!("{key}k"), vec![0xff; MAX_VALUE + 1]);
        let refused = [
            store.put(&long_key, b"", until).await.unwrap_err(),
            store.put(&key, &large, until).await.unwrap_err(),
            store.put_if_absent("new", &large, until).await.unwrap_err(),
            store
                .replace(&key, &value, &large, until)
                .await
                .unwrap_err(),
        ];
        for error in refused {
            assert_eq!(error.kind(), StoreErrorKind::TooLarge, "{name}");
        }
        assert_eq!(
            store.get(&key).await.unwrap(),
            Some(value),
            "{name}: it was left alone"
        );
    }
}

#[tokio::test]
async fn a_full_memory_store_refuses_and_forgets_nothing_alive() {
    let clock = clock();
    let store = MemoryStore::new(clock.clone(), 2);
    let until = |seconds| clock.now() + Duration::from_secs(seconds);
    store.put("short", b"1", until(10)).await.unwrap();
    store.put("long", b"2", until(100)).await.unwrap();

    let full = store
        .put_if_absent("third", b"3", until(100))
        .await
        .unwrap_err();
    assert_eq!(full.kind(), StoreErrorKind::Full);
    assert_eq!(
        store
            .put("third", b"3", until(100))
            .await
            .unwrap_err()
            .kind(),
        full.kind()
    );
    store
        .put("short", b"4", until(10))
        .await
        .expect("overwriting needs no room");
    assert!(store.replace("long", b"2", b"5", until(100)).await.unwrap());

    clock.advance(Duration::from_secs(10));
    assert!(
        store
            .put_if_absent("third", b"3", until(100))
            .await
            .unwrap(),
        "one has expired"
    );
    assert_eq!(store.get("long").await.unwrap().unwrap(), b"5");
    assert_eq!(
        store
            .put("fourth", b"6", until(1))
            .await
            .unwrap_err()
            .kind(),
        full.kind()
    );
}

#[test]
fn a_store_prints_no_values() {
    let printed = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(async {
            let store = MemoryStore::new(clock(), 2);
            store.put("key", b"secret", Timestamp::MAX).await.unwrap();
            format!("{store:?}")
        });
    let bytes = format!("{:?}", b"secret");
    assert!(
        !printed.contains("secret") && !printed.contains(&bytes),
        "{printed}"
    );
}

#[cfg(feature = "sqlite")]
pub(crate) mod sqlite {
    use super::*;
    use mcp_runtime::store::SqlStore;
    use sqlx::Connection;
    use std::path::PathBuf;

    /// A path nothing is at, with characters that mean something in a URL.
    pub(crate) fn path(name: &str) -> PathBuf {
        let name: String = name
            .chars()
            .map(|c| if c.is_alphanumeric() { c } else { '_' })
            .collect();
        let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("a b?c#d%20é");
        std::fs::create_dir_all(&directory).unwrap();
        let path = directory.join(format!("{name}.db"));
        for suffix in ["", "-wal", "-shm"] {
            let mut file = path.clone().into_os_string();
            file.push(suffix);
            let _ = std::fs::remove_file(file);
        }
        path
    }

    #[tokio::test]
    async fn what_was_stored_is_there_after_reopening() {
        let (path, clock) = (path("reopen"), clock());
        let until = clock.now() + Duration::from_secs(60);
        let store = SqlStore::open(&path, clock.clone()).await.unwrap();
        assert!(store.put_if_absent("a", b"1", until).await.unwrap());
        store.put("gone", b"2", until).await.unwrap();
        assert!(store.remove("gone").await.unwrap());
        store.close().await;

        let store = SqlStore::open(&path, clock.clone()).await.unwrap();
        assert_eq!(store.get("a").await.unwrap().unwrap(), b"1");
        assert_eq!(store.get("gone").await.unwrap(), None);
        assert!(!store.put_if_absent("a", b"3", until).await.unwrap());
        clock.set(until);
        assert!(
            store.put_if_absent("a", b"3", until).await.unwrap(),
            "it expired meanwhile"
        );
    }

    /// Both see each other's writes at once: what one process has redeemed, no other may.
    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn two_stores_on_one_file_are_one_store() {
        let (path, clock) = (path("shared"), clock());
        let until = clock.now() + Duration::from_secs(60);
        let stores = [
            Arc::new(SqlStore::open(&path, clock.clone()).await.unwrap()),
            Arc::new(SqlStore::open(&path, clock.clone()).await.unwrap()),
        ];
        let won = race(50, |writer| {
            let store = stores[usize::from(writer) % 2].clone();
            async move { store.put_if_absent("a", &[writer], until).await.unwrap() }
        });
        assert_eq!(won.await.into_iter().filter(|won| *won).count(), 1);
    }

    #[tokio::test]
    async fn expired_entries_are_deleted_along_with_a_write() {
        let (path, clock) = (path("sweep"), clock());
        let store = SqlStore::open(&path, clock.clone()).await.unwrap();
        for key in 0..10 {
            let until = clock.now() + Duration::from_secs(60);
            store.put(&key.to_string(), b"", until).await.unwrap();
        }
        clock.advance(Duration::from_secs(60));
        store.put("new", b"", Timestamp::MAX).await.unwrap();
        assert_eq!(query(&path, "SELECT COUNT(*) FROM mcp_store").await, 1);
    }

    #[tokio::test]
    async fn the_file_is_in_wal_mode_and_private() {
        let path = path("mode");
        let store = SqlStore::open(&path, clock()).await.unwrap();
        store.put("a", b"", Timestamp::MAX).await.unwrap();
        for suffix in ["", "-wal"] {
            let mut file = path.clone().into_os_string();
            file.push(suffix);
            let metadata = std::fs::metadata(&file).expect("WAL mode keeps a second file");
            #[cfg(unix)]
            {
                let mode = std::os::unix::fs::PermissionsExt::mode(&metadata.permissions());
                assert_eq!(mode & 0o777, 0o600, "{file:?}");
            }
        }
    }

    #[tokio::test]
    async fn an_error_tells_the_caller_nothing_about_the_database() {
        let nowhere = path("x").join("no/such/directory.db");
        let error = SqlStore::open(&nowhere, clock()).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Unavailable);
        assert_eq!(
            error.to_string(),
            "the server's storage cannot be used; try again later"
        );
        assert!(
            std::error::Error::source(&error).is_some(),
            "the operator needs the reason"
        );

        let damaged = path("damaged");
        std::fs::write(&damaged, "this is not a database ".repeat(100)).unwrap();
        let error = SqlStore::open(&damaged, clock()).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Unavailable);
        let reason = std::error::Error::source(&error).unwrap().to_string();
        assert!(reason.contains("not a database"), "{reason}");
    }

    #[tokio::test]
    async fn a_locked_file_is_waited_for_and_then_an_error() {
        let (path, clock) = (path("locked"), clock());
        let store = SqlStore::open(&path, clock.clone()).await.unwrap();
        store.put("a", b"1", Timestamp::MAX).await.unwrap();
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&path);
        let mut other = sqlx::SqliteConnection::connect_with(&options)
            .await
            .unwrap();
        sqlx::query("BEGIN EXCLUSIVE")
            .execute(&mut other)
            .await
            .unwrap();

        let error = store.put("a", b"2", Timestamp::MAX).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Unavailable);
        assert_eq!(
            store.get("a").await.unwrap().unwrap(),
            b"1",
            "reading needs no lock"
        );

        let (written, ()) = tokio::join!(store.put("a", b"3", Timestamp::MAX), async {
            tokio::time::sleep(Duration::from_millis(500)).await;
            sqlx::query("COMMIT").execute(&mut other).await.unwrap();
        });
        written.expect("it waited for the lock");
        assert_eq!(store.get("a").await.unwrap().unwrap(), b"3");
    }

    async fn query(path: &std::path::Path, sql: &'static str) -> i64 {
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path);
        let pool = sqlx::SqlitePool::connect_with(options).await.unwrap();
        sqlx::query_scalar(sql).fetch_one(&pool).await.unwrap()
    }
}

/// With its name, its clock, and what has to outlive it.
type Named = (&'static str, Arc<dyn Store>, Clock, Box<dyn Any>);

/// Every kind of store that can be had here, empty, each with a clock of its own.
async fn stores(test: &str) -> Vec<Named> {
    let memory = clock();
    #[cfg_attr(
        not(any(feature = "postgres", feature = "redis", feature = "sqlite")),
        expect(unused_mut, reason = "there is only one then")
    )]
    let mut stores: Vec<Named> = vec![(
        "memory",
        Arc::new(MemoryStore::new(memory.clone(), 100)),
        memory,
        Box::new(()),
    )];
    #[cfg(feature = "sqlite")]
    {
        let clock = clock();
        let path = sqlite::path(&format!("stores {test}"));
        let store = mcp_runtime::store::SqlStore::open(path, clock.clone())
            .await
            .unwrap();
        stores.push(("sqlite", Arc::new(store), clock, Box::new(())));
    }
    #[cfg(not(feature = "sqlite"))]
    let _ = test;
    #[cfg(all(feature = "postgres", feature = "redis"))]
    stores.extend(crate::network_stores::stores().await);
    stores
}

/// Runs `count` tasks at the same time.
pub(crate) async fn race<F>(count: u8, mut task: impl FnMut(u8) -> F) -> Vec<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    let tasks: Vec<_> = (0..count)
        .map(|number| tokio::spawn(task(number)))
        .collect();
    let mut results = Vec::new();
    for task in tasks {
        results.push(task.await.unwrap());
    }
    results
}

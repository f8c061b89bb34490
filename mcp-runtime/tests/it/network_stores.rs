//! Stores on other machines: what holds for them beyond the contract of all stores.

use std::any::Any;
use std::error::Error as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mcp_runtime::store::{
    Notice, RedisStore, SqlStore, Store, StoreError, StoreErrorKind, Subscription,
};
use mcp_runtime::{Clock, Rate};
use reqwest::Url;
use sqlx::{Connection, PgConnection};

use crate::clock;
use crate::services::{self, Corner, Relay};
use crate::store::race;

type Named = (&'static str, Arc<dyn Store>, Clock, Box<dyn Any>);

/// Those that answer, empty, each with a clock of its own.
pub(crate) async fn stores() -> Vec<Named> {
    let mut stores: Vec<Named> = Vec::new();
    for (name, corner) in corners().await {
        let clock = clock();
        let store = open(name, &corner, &corner.url, &clock).await.unwrap();
        stores.push((name, store, clock, Box::new(corner)));
    }
    stores
}

async fn corners() -> Vec<(&'static str, Corner)> {
    let mut corners = Vec::new();
    corners.extend(
        services::postgres()
            .await
            .map(|corner| ("postgres", corner)),
    );
    corners.extend(services::redis().await.map(|corner| ("redis", corner)));
    corners
}

async fn open(
    name: &str,
    corner: &Corner,
    url: &Url,
    clock: &Clock,
) -> Result<Arc<dyn Store>, StoreError> {
    Ok(match name {
        "postgres" => Arc::new(SqlStore::connect(url.as_str(), clock.clone()).await?),
        _ => {
            let store = RedisStore::connect(url.as_str(), clock.clone()).await?;
            Arc::new(store.prefix(corner.name.as_str()))
        }
    })
}

fn rate() -> Rate {
    Rate::new(60, Duration::from_secs(60))
}

/// Asks until the answer is good; not for ever.
async fn in_time<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let since = Instant::now();
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(since.elapsed() < Duration::from_secs(30), "{what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn next(name: &str, heard: &mut Subscription) -> Notice {
    let next = tokio::time::timeout(Duration::from_secs(30), heard.next()).await;
    next.unwrap_or_else(|_| panic!("{name}: nothing is heard"))
        .unwrap_or_else(|| panic!("{name}: the subscription has ended"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_is_gone_fails_closed_and_comes_back_by_itself() {
    for (name, corner) in corners().await {
        let relay = Relay::to(&corner.url).await;
        let clock = clock();
        let store = open(name, &corner, &relay.url(&corner.url), &clock)
            .await
            .unwrap();
        let until = clock.now() + Duration::from_secs(3600);
        assert!(store.put_if_absent("used", b"1", until).await.unwrap());
        let mut heard = store.subscribe().await.unwrap();

        relay.cut();
        for round in 0..2 {
            let since = Instant::now();
            let errors = [
                store.get("used").await.err(),
                store.put("used", b"2", until).await.err(),
                store.put_if_absent("used", b"2", until).await.err(),
                store.replace("used", b"1", b"2", until).await.err(),
                store.remove("used").await.err(),
                store.take("bucket", rate()).await.err(),
                store.publish(b"lost").await.err(),
                store.subscribe().await.err(),
            ];
            for (number, error) in errors.into_iter().enumerate() {
                let at = format!("{name}: round {round}: operation {number}");
                let error = error.unwrap_or_else(|| panic!("{at} succeeded"));
                assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{at}");
                assert_eq!(
                    error.to_string(),
                    "the server's storage cannot be used; try again later",
                    "{at}"
                );
            }
            let took = since.elapsed();
            assert!(took < Duration::from_secs(50), "{name}: {took:?}");
        }

        relay.mend();
        let value = in_time(&format!("{name} does not come back"), async || {
            store.get("used").await.ok()
        })
        .await;
        assert_eq!(value.as_deref(), Some(&b"1"[..]), "{name}");
        assert!(!store.put_if_absent("used", b"3", until).await.unwrap());
        assert_eq!(next(name, &mut heard).await, Notice::Gap, "{name}");
        store.publish(b"again").await.unwrap();
        let again = Notice::Message(b"again".to_vec());
        assert_eq!(next(name, &mut heard).await, again, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_says_nothing_is_not_waited_for() {
    for (name, corner) in corners().await {
        let relay = Relay::to(&corner.url).await;
        let store = open(name, &corner, &relay.url(&corner.url), &clock())
            .await
            .unwrap();
        store.get("a").await.unwrap();
        relay.silence();
        let since = Instant::now();
        let error = store.get("a").await.expect_err(name);
        assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{name}");
        let took = since.elapsed();
        assert!(took < Duration::from_secs(12), "{name}: {took:?}");
        relay.mend();
        in_time(&format!("{name} does not come back"), async || {
            store.get("a").await.ok()
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_there_at_the_start_is_an_error_at_once() {
    let clock = clock();
    for (name, corner) in corners().await {
        let relay = Relay::to(&corner.url).await;
        relay.cut();
        let since = Instant::now();
        let opened = open(name, &corner, &relay.url(&corner.url), &clock).await;
        let error = opened.err().unwrap_or_else(|| panic!("{name} opened"));
        assert!(
            error.source().is_some(),
            "{name}: the operator needs the reason"
        );
        assert!(since.elapsed() < Duration::from_secs(10), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn instances_that_start_at_once_share_one_store() {
    for (name, corner) in corners().await {
        let corner = Arc::new(corner);
        let clock = clock();
        let opened = race(10, |_| {
            let (corner, clock) = (Arc::clone(&corner), clock.clone());
            async move { open(name, &corner, &corner.url, &clock).await.unwrap() }
        });
        let stores = Arc::new(opened.await);
        let until = clock.now() + Duration::from_secs(60);
        let won = race(50, |writer| {
            let stores = Arc::clone(&stores);
            let store = usize::from(writer) % 10;
            async move {
                stores[store]
                    .put_if_absent("a", &[writer], until)
                    .await
                    .unwrap()
            }
        });
        let won = won.await.into_iter().filter(|won| *won).count();
        assert_eq!(won, 1, "{name}");
        let taken = race(50, |number| {
            let stores = Arc::clone(&stores);
            let store = usize::from(number) % 10;
            async move {
                let rate = Rate::new(1, Duration::from_secs(60)).burst(7);
                stores[store].take("bucket", rate).await.unwrap().is_ok()
            }
        });
        let taken = taken.await.into_iter().filter(|taken| *taken).count();
        assert_eq!(taken, 7, "{name}");
        // What one says, all hear.
        let mut heard = stores[1].subscribe().await.unwrap();
        stores[2].publish(b"from another").await.unwrap();
        let message = Notice::Message(b"from another".to_vec());
        assert_eq!(next(name, &mut heard).await, message);
    }
}

#[tokio::test]
async fn a_password_is_in_no_error_and_in_no_debug() {
    const SECRET: &str = "hunter2hunter2";
    let mut said = String::new();
    let mut hear = |opened: Result<Box<dyn std::fmt::Debug>, StoreError>| match opened {
        Ok(store) => said.push_str(&format!("{store:?}\n")),
        Err(error) => {
            said.push_str(&format!("{error} {error:?}\n"));
            let mut cause = error.source();
            while let Some(error) = cause {
                said.push_str(&format!("{error} {error:?}\n"));
                cause = error.source();
            }
        }
    };
    for url in [
        format!("redis://:{SECRET}@127.0.0.1:1"),
        format!("redis://user:{SECRET}@127.0.0.1:99999/0"),
        format!("redis://user:{SECRET}@127.0.0.1/x"),
        format!("nonsense://{SECRET}"),
    ] {
        let store = RedisStore::connect(&url, clock()).await;
        hear(store.map(|store| Box::new(store) as _));
    }
    for url in [
        format!("postgres://user:{SECRET}@127.0.0.1:1/x"),
        format!("postgres://user:{SECRET}@127.0.0.1:99999/x"),
        format!("postgres://127.0.0.1/x?pasword={SECRET}"),
        format!("nonsense://{SECRET}"),
    ] {
        let store = SqlStore::connect(&url, clock()).await;
        hear(store.map(|store| Box::new(store) as _));
    }
    if let Some(mut corner) = services::postgres().await {
        corner.url.set_password(Some(SECRET)).unwrap();
        let store = SqlStore::connect(corner.url.as_str(), clock()).await;
        hear(store.map(|store| Box::new(store) as _));
    }
    if let Some(mut corner) = services::redis().await {
        corner.url.set_password(Some(SECRET)).unwrap();
        let store = RedisStore::connect(corner.url.as_str(), clock()).await;
        hear(store.map(|store| Box::new(store) as _));
    }
    assert!(said.contains("`pasword`"), "{said}");
    assert!(!said.contains(SECRET), "{said}");
}

#[tokio::test]
async fn a_role_that_may_create_nothing_uses_the_table_that_is_there() {
    let Some(corner) = services::postgres().await else {
        return;
    };
    let first = SqlStore::connect(corner.url.as_str(), clock())
        .await
        .unwrap();
    first.close().await;
    let mut owner = PgConnection::connect(corner.url.as_str()).await.unwrap();
    let role = format!("{}_role", corner.name);
    for statement in [
        format!("CREATE ROLE {role} LOGIN"),
        format!("GRANT USAGE ON SCHEMA {} TO {role}", corner.name),
        format!("GRANT SELECT, INSERT, UPDATE, DELETE ON mcp_store TO {role}"),
    ] {
        sqlx::query(sqlx::AssertSqlSafe(statement))
            .execute(&mut owner)
            .await
            .unwrap();
    }
    let mut url = corner.url.clone();
    url.set_username(&role).unwrap();
    let used = async {
        let store = SqlStore::connect(url.as_str(), clock()).await?;
        store.put("a", b"1", jiff::Timestamp::MAX).await?;
        store.close().await;
        Ok::<_, StoreError>(())
    };
    let used = used.await;
    for statement in [format!("DROP OWNED BY {role}"), format!("DROP ROLE {role}")] {
        sqlx::query(sqlx::AssertSqlSafe(statement))
            .execute(&mut owner)
            .await
            .unwrap();
    }
    used.unwrap_or_else(|error| panic!("{:?}", error.source()));
}

#[tokio::test]
async fn redis_forgets_what_is_over_by_itself() {
    let Some(corner) = services::redis().await else {
        return;
    };
    let clock = clock();
    let store = RedisStore::connect(corner.url.as_str(), clock.clone())
        .await
        .unwrap()
        .prefix(corner.name.as_str());
    let until = clock.now() + Duration::from_secs(100);
    store.put("put", b"", until).await.unwrap();
    store.put_if_absent("absent", b"", until).await.unwrap();
    store.put("replaced", b"", until).await.unwrap();
    store.replace("replaced", b"", b"1", until).await.unwrap();
    let rate = Rate::new(1, Duration::from_secs(100));
    store.take("taken", rate).await.unwrap().unwrap();
    let keys = services::keys(&corner.url, &corner.name).await;
    assert_eq!(keys.len(), 4, "{keys:?}");
    for key in keys {
        let mut ttl = redis::cmd("PTTL");
        let ttl: i64 = services::ask(&corner.url, ttl.arg(&key)).await;
        assert!((150_000..=160_000).contains(&ttl), "{key}: {ttl} ms");
    }
    // Something else under a key is an error, and is left alone.
    let foreign = format!("{}foreign", corner.name);
    let mut set = redis::cmd("SET");
    services::ask::<()>(&corner.url, set.arg(&foreign).arg("theirs")).await;
    let error = store.get("foreign").await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable);
}

#[tokio::test]
async fn databases_of_one_redis_do_not_hear_each_other() {
    let Some(corner) = services::redis().await else {
        return;
    };
    let open = async |database: &str| {
        let mut url = corner.url.clone();
        url.set_path(database);
        let store = RedisStore::connect(url.as_str(), clock()).await.unwrap();
        store.prefix(corner.name.as_str())
    };
    let (one, two) = (open("1").await, open("2").await);
    let mut heard = one.subscribe().await.unwrap();
    two.publish(b"theirs").await.unwrap();
    one.publish(b"ours").await.unwrap();
    let ours = Notice::Message(b"ours".to_vec());
    assert_eq!(next("redis", &mut heard).await, ours);
}

/// Medians of each operation; run by hand, with `--ignored --nocapture`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures"]
async fn how_long_operations_take() {
    const ROUNDS: usize = 1000;
    let memory = clock();
    let path = crate::store::sqlite::path("latency");
    let sqlite = SqlStore::open(path, memory.clone()).await.unwrap();
    let mut all: Vec<Named> = vec![
        (
            "memory",
            Arc::new(mcp_runtime::store::MemoryStore::new(memory.clone(), 10_000)),
            memory.clone(),
            Box::new(()),
        ),
        ("sqlite", Arc::new(sqlite), memory, Box::new(())),
    ];
    all.extend(stores().await);
    for (name, store, clock, _own) in all {
        let until = clock.now() + Duration::from_secs(3600);
        let value = [7; 300];
        let rate = Rate::new(1_000_000, Duration::from_secs(1));
        let mut figures: Vec<(&str, Vec<Duration>)> = Vec::new();
        for operation in [
            "put_if_absent",
            "get",
            "replace",
            "put",
            "take",
            "remove",
            "publish",
        ] {
            let mut times = Vec::with_capacity(ROUNDS);
            for round in 0..ROUNDS {
                let key = format!("mcp:session:{round:064}");
                let since = Instant::now();
                match operation {
                    "put_if_absent" => {
                        store.put_if_absent(&key, &value, until).await.unwrap();
                    }
                    "get" => drop(store.get(&key).await.unwrap().unwrap()),
                    "replace" => {
                        assert!(store.replace(&key, &value, &value, until).await.unwrap());
                    }
                    "put" => store.put(&key, &value, until).await.unwrap(),
                    "take" => store.take("bucket", rate).await.unwrap().unwrap(),
                    "remove" => assert!(store.remove(&key).await.unwrap()),
                    _ => store.publish(&value).await.unwrap(),
                }
                times.push(since.elapsed());
            }
            times.sort();
            figures.push((operation, times));
        }
        let mut heard = store.subscribe().await.unwrap();
        let mut times = Vec::new();
        for _ in 0..50 {
            let since = Instant::now();
            store.publish(b"now").await.unwrap();
            next(name, &mut heard).await;
            times.push(since.elapsed());
        }
        times.sort();
        figures.push(("publish to hearing", times));
        for (operation, times) in figures {
            let (median, p99) = (times[times.len() / 2], times[times.len() * 99 / 100]);
            eprintln!("{name:9} {operation:18} median {median:>10.1?}  p99 {p99:>10.1?}");
        }
    }
}

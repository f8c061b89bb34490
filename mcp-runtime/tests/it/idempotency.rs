use std::sync::Arc;
use std::time::Duration;

use mcp_runtime::Clock;
use mcp_runtime::idempotency::{Begin, Idempotency, IdempotencyError, Lease};
use mcp_runtime::store::{MemoryStore, Store};
use serde_json::{Value, json};

use crate::clock;
use crate::confirm::Broken;

const LEASE: Duration = Duration::from_secs(120);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

#[tokio::test]
async fn a_finished_call_is_replayed_for_a_day() {
    let (store, clock) = store();
    let calls = Idempotency::new(store, clock.clone());
    let result = json!({"sent_count": 2, "rate": 0.30000000000000004, "audit_id": "01J"});
    run(&calls, "key").await.complete(&result).await.unwrap();

    for wait in [
        Duration::ZERO,
        LEASE,
        DAY - LEASE - Duration::from_micros(1),
    ] {
        clock.advance(wait);
        assert_eq!(replay(&calls, "key").await, result, "after {wait:?}");
    }
    clock.advance(Duration::from_micros(1));
    drop(run(&calls, "key").await);
}

#[tokio::test]
async fn only_the_same_call_shares_a_key() {
    let (store, clock) = store();
    let calls = Idempotency::new(store, clock);
    let begin = |owner, operation, key, print| {
        let calls = calls.clone();
        async move {
            match calls.begin(owner, operation, key, print).await {
                Ok(Begin::Run(lease)) => {
                    lease
                        .complete(&json!([owner, operation, key]))
                        .await
                        .unwrap();
                    "run"
                }
                Ok(Begin::Replay(result)) => {
                    assert_eq!(result, json!([owner, operation, key]));
                    "replay"
                }
                Err(error) => error.code(),
            }
        }
    };
    assert_eq!(begin("ann", "send", "key", "f1").await, "run");
    for (owner, operation, key, fingerprint, expected) in [
        ("ann", "send", "key", "f1", "replay"),
        ("ann", "send", "key", "f2", "idempotency_key_reused"),
        ("bob", "send", "key", "f2", "run"),
        ("ann", "drop", "key", "f2", "run"),
        ("ann", "send", "KEY", "f2", "run"),
        ("ann", "send", "key", "f1", "replay"),
    ] {
        let outcome = begin(owner, operation, key, fingerprint).await;
        assert_eq!(outcome, expected, "{owner} {operation} {key} {fingerprint}");
    }
}

#[tokio::test]
async fn a_running_call_is_not_started_again() {
    let (store, clock) = store();
    let calls = Idempotency::new(store, clock.clone());
    let lease = run(&calls, "key").await;
    assert_eq!(refused(&calls, "key").await, "idempotency_in_progress");
    let other = calls
        .begin("ann", "send", "key", "other arguments")
        .await
        .unwrap_err();
    assert_eq!(other.code(), "idempotency_key_reused");
    lease.complete(&json!(1)).await.unwrap();
    assert_eq!(replay(&calls, "key").await, json!(1));
}

#[tokio::test]
async fn an_abandoned_call_may_be_made_again_at_once() {
    let (store, clock) = store();
    let calls = Idempotency::new(store, clock);
    run(&calls, "key").await.abandon().await.unwrap();
    let other = calls
        .begin("ann", "send", "key", "other arguments")
        .await
        .unwrap();
    assert!(
        matches!(other, Begin::Run(_)),
        "nothing happened, so nothing is remembered"
    );
}

#[tokio::test]
async fn a_dropped_lease_keeps_its_key_until_it_runs_out() {
    let (store, clock) = store();
    let calls = Idempotency::new(store, clock.clone());
    drop(run(&calls, "key").await);
    clock.advance(LEASE - Duration::from_nanos(1));
    assert_eq!(refused(&calls, "key").await, "idempotency_in_progress");
    clock.advance(Duration::from_nanos(1));
    run(&calls, "key").await.complete(&json!(1)).await.unwrap();
    assert_eq!(replay(&calls, "key").await, json!(1));
}

#[tokio::test]
async fn who_has_lost_the_lease_changes_nothing_any_more() {
    let (store, clock) = store();
    let calls = Idempotency::new(store, clock.clone()).with_lease(Duration::from_secs(5));
    let slow = run(&calls, "key").await;
    let slower = {
        clock.advance(Duration::from_secs(5));
        run(&calls, "key").await
    };
    assert!(matches!(
        slow.abandon().await,
        Err(IdempotencyError::LeaseLost)
    ));
    assert_eq!(
        refused(&calls, "key").await,
        "idempotency_in_progress",
        "the key is not freed"
    );

    clock.advance(Duration::from_secs(5));
    run(&calls, "key")
        .await
        .complete(&json!("third"))
        .await
        .unwrap();
    let lost = slower.complete(&json!("second")).await;
    assert!(matches!(lost, Err(IdempotencyError::LeaseLost)));
    assert_eq!(replay(&calls, "key").await, json!("third"));
}

#[tokio::test]
async fn a_late_result_counts_if_nobody_has_taken_over() {
    let (store, clock) = store();
    let calls = Idempotency::new(store, clock.clone());
    let lease = run(&calls, "key").await;
    clock.advance(LEASE * 2);
    lease.complete(&json!(1)).await.unwrap();
    assert_eq!(replay(&calls, "key").await, json!(1));
}

#[tokio::test]
async fn the_call_of_a_dead_process_is_taken_over_at_once_where_that_is_known() {
    let (store, clock) = store();
    let process = || Idempotency::new(store.clone(), clock.clone());
    let crashed = run(&process(), "key").await;

    let shared = process();
    assert_eq!(
        refused(&shared, "key").await,
        "idempotency_in_progress",
        "it may be alive"
    );
    let restarted = process().exclusive();
    let lease = run(&restarted, "key").await;
    assert_eq!(
        refused(&restarted, "key").await,
        "idempotency_in_progress",
        "this one is alive"
    );
    assert_eq!(
        refused(&restarted.clone(), "key").await,
        "idempotency_in_progress"
    );
    lease.complete(&json!(1)).await.unwrap();
    assert!(matches!(
        crashed.abandon().await,
        Err(IdempotencyError::LeaseLost)
    ));
    assert_eq!(replay(&shared, "key").await, json!(1));
}

#[tokio::test]
async fn the_work_of_a_dead_process_is_taken_over_and_that_of_a_live_one_is_not() {
    let (store, clock) = store();
    let process = |name: &'static str| {
        Idempotency::new(store.clone(), clock.clone())
            .with_lease(LEASE)
            .known_as(name, |other| std::future::ready(other == "alive"))
    };
    let (alive, dead, third) = (process("alive"), process("dead"), process("third"));
    let _running = run(&alive, "of-alive").await;
    let crashed = run(&dead, "of-dead").await;
    assert_eq!(
        refused(&dead, "of-dead").await,
        "idempotency_in_progress",
        "to itself a process lives"
    );
    assert_eq!(refused(&third, "of-alive").await, "idempotency_in_progress");
    run(&third, "of-dead")
        .await
        .complete(&json!(1))
        .await
        .unwrap();
    assert!(matches!(
        crashed.complete(&json!(2)).await,
        Err(IdempotencyError::LeaseLost)
    ));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_50_parallel_calls_one_runs() {
    let (store, clock) = store();
    let calls = Idempotency::new(store, clock.clone());
    drop(run(&calls, "taken-over").await);
    clock.advance(LEASE);
    for key in ["new", "taken-over"] {
        let tasks: Vec<_> = (0..50)
            .map(|_| {
                let calls = calls.clone();
                tokio::spawn(async move { calls.begin("ann", "send", key, "f1").await })
            })
            .collect();
        let mut leases = Vec::new();
        for task in tasks {
            match task.await.unwrap() {
                Ok(Begin::Run(lease)) => leases.push(lease),
                Ok(Begin::Replay(result)) => panic!("{key}: nothing has finished: {result}"),
                Err(error) => assert_eq!(error.code(), "idempotency_in_progress", "{key}"),
            }
        }
        assert_eq!(leases.len(), 1, "{key}");
    }
}

#[tokio::test]
async fn a_key_is_visible_ascii() {
    let (store, clock) = store();
    let calls = Idempotency::new(store, clock);
    let (longest, too_long) = ("k".repeat(255), "k".repeat(256));
    for key in [
        "",
        "two words",
        "tab\t",
        "line\n",
        "nul\0",
        "é",
        "\u{7f}",
        &too_long,
    ] {
        assert_eq!(
            refused(&calls, key).await,
            "idempotency_key_invalid",
            "{key:?}"
        );
    }
    for key in ["!", "~", "a:b", "5f0c2b1e-7d", &longest] {
        run(&calls, key).await.abandon().await.unwrap();
    }
}

#[tokio::test]
async fn without_its_store_nothing_runs() {
    let calls = Idempotency::new(Arc::new(Broken), clock());
    assert_eq!(
        refused(&calls, "key").await,
        "idempotency_store_unavailable"
    );

    let (store, clock) = store();
    let calls = Idempotency::new(store.clone(), clock);
    let record =
        "mcp:idempotency:send:49915e0d7d4b402e3017d010bc1c0e83cac6c797d6c16e66340fe3268693a6a1:key";
    drop(run(&calls, "key").await);
    store
        .put(record, b"damaged", jiff::Timestamp::MAX)
        .await
        .unwrap();
    assert_eq!(
        refused(&calls, "key").await,
        "idempotency_store_unavailable"
    );
}

#[tokio::test]
async fn a_lease_prints_nothing_of_its_call() {
    let (store, clock) = store();
    let calls = Idempotency::new(store, clock);
    let lease = run(&calls, "canary").await;
    let refused = calls
        .begin("ann", "send", "canary", "f1")
        .await
        .unwrap_err();
    let printed = format!("{calls:?} {lease:?} {refused:?} {refused}");
    assert!(
        !printed.contains("canary") && !printed.contains("ann"),
        "{printed}"
    );
}

#[cfg(feature = "sqlite")]
#[tokio::test]
async fn a_restarted_server_remembers_and_resumes() {
    use mcp_runtime::store::SqlStore;
    let path = crate::store::sqlite::path("idempotency");
    let clock = clock();
    let server = || async {
        let store = Arc::new(SqlStore::open(&path, clock.clone()).await.unwrap());
        (
            Idempotency::new(store.clone(), clock.clone()).exclusive(),
            store,
        )
    };
    let (calls, store) = server().await;
    run(&calls, "done").await.complete(&json!(1)).await.unwrap();
    drop(run(&calls, "cut-off").await);
    store.close().await;

    let (calls, _store) = server().await;
    assert_eq!(replay(&calls, "done").await, json!(1));
    run(&calls, "cut-off")
        .await
        .complete(&json!(2))
        .await
        .unwrap();
}

fn store() -> (Arc<dyn Store>, Clock) {
    let clock = clock();
    (Arc::new(MemoryStore::new(clock.clone(), 100)), clock)
}

async fn run(calls: &Idempotency, key: &str) -> Lease {
    match calls.begin("ann", "send", key, "f1").await.unwrap() {
        Begin::Run(lease) => lease,
        Begin::Replay(result) => panic!("{key} was replayed: {result}"),
    }
}

async fn replay(calls: &Idempotency, key: &str) -> Value {
    match calls.begin("ann", "send", key, "f1").await.unwrap() {
        Begin::Run(_) => panic!("{key} was run again"),
        Begin::Replay(result) => result,
    }
}

async fn refused(calls: &Idempotency, key: &str) -> &'static str {
    match calls.begin("ann", "send", key, "f1").await {
        Err(error) => error.code(),
        Ok(_) => panic!("{key} was accepted"),
    }
}

//! Twenty clients at once, on two processes that share a database.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use mcp_runtime::testing::{TestReply, TestServer};
use reference_server::school::gateway::{Charge, Charged, Gateway, TestGateway};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::JoinSet;

use super::{Campus, admin_of, code, ok};
use crate::databases::Database;

const CLIENTS: usize = 20;
const STUDENT: &str = "org_a-student-01";

/// Remembers every charge that it was asked for.
#[derive(Default)]
struct Till(Mutex<Vec<String>>);

impl Gateway for Till {
    fn charge<'a>(&'a self, charge: &'a Charge) -> Charged<'a> {
        self.0
            .lock()
            .expect("nobody panics")
            .push(charge.key.clone());
        TestGateway.charge(charge)
    }
}

/// A school with two servers.
struct Twins {
    campus: Campus,
    second: TestServer,
    till: Arc<Till>,
    _folder: TempDir,
}

impl Twins {
    async fn new() -> Self {
        let (folder, till) = (TempDir::new().expect("a folder"), Arc::<Till>::default());
        let database = Database::file(&folder.path().join("school.db"));
        let campus = Campus::on(database, till.clone()).await;
        Self {
            second: campus.beside(till.clone()).await,
            campus,
            till,
            _folder: folder,
        }
    }

    /// Calls this tool twenty times at once, every other time on the second server.
    async fn call(&self, tool: &'static str, arguments: impl Fn(usize) -> Value) -> Vec<TestReply> {
        let mut calls = JoinSet::new();
        for n in 0..CLIENTS {
            let server = [&self.campus.server, &self.second][n % 2];
            let (admin, arguments) = (server.as_caller(admin_of("org_a")), arguments(n));
            calls.spawn(async move { admin.call(tool, arguments).await });
        }
        calls.join_all().await
    }
}

/// What went through, and the codes of what did not.
fn told(replies: &[TestReply]) -> (Vec<Value>, BTreeSet<String>) {
    let (refused, done): (Vec<_>, Vec<_>) = replies
        .iter()
        .partition(|reply| reply.result()["isError"] == true);
    (
        done.iter()
            .map(|reply| reply.structured().clone())
            .collect(),
        refused.iter().map(|reply| code(reply)).collect(),
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn s4_005_one_key_is_one_payment() {
    let twins = Twins::new().await;
    let pay = json!({"student_id": STUDENT, "amount": 10_500, "idempotency_key": "one"});
    let (done, refused) = told(&twins.call("process_payment", |_| pay.clone()).await);
    assert_eq!((done.len(), refused.len()), (CLIENTS, 0), "{refused:?}");
    assert!(done.iter().all(|one| *one == done[0]), "{done:?}");
    let keys = twins.till.0.lock().expect("nobody panics").clone();
    let keys: BTreeSet<String> = keys.into_iter().collect();
    assert_eq!(
        keys.len(),
        1,
        "the gateway takes the money once for a key: {keys:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn s4_005_other_keys_charge_no_more_than_is_open() {
    let twins = Twins::new().await;
    let pay = |n: usize| json!({"student_id": STUDENT, "amount": 10_500, "idempotency_key": format!("key-{n}")});
    let (done, refused) = told(&twins.call("process_payment", pay).await);
    assert_eq!(done.len(), 1, "{done:?}");
    assert_eq!(refused, BTreeSet::from(["amount_too_high".to_owned()]));
    assert_eq!(twins.till.0.lock().expect("nobody panics").len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn s4_006_an_invoice_is_paid_once() {
    let twins = Twins::new().await;
    let pay = |n: usize| {
        json!({"invoice_id": "org_a-invoice-01", "amount": 10_500, "payment_method": "cash",
            "transaction_id": format!("t-{n}")})
    };
    let (done, refused) = told(&twins.call("record_payment", pay).await);
    assert_eq!(done.len(), 1, "{done:?}");
    assert_eq!(refused, BTreeSet::from(["overpayment".to_owned()]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn s4_013_every_invoice_has_a_number_of_its_own() {
    let twins = Twins::new().await;
    let bill = |n: usize| json!({"student_id": STUDENT, "amount": n, "description": "x", "due_date": "2026-07-01"});
    let (done, refused) = told(&twins.call("create_invoice", bill).await);
    assert_eq!(refused, BTreeSet::new());
    let numbers: BTreeSet<String> = done.iter().map(|one| one["number"].to_string()).collect();
    assert_eq!(numbers.len(), CLIENTS, "{numbers:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn s4_003_a_class_never_has_more_students_than_places() {
    let twins = Twins::new().await;
    let admin = twins.campus.admin();
    let class = json!({"name": "Small", "level": "Beginner", "capacity": 3,
        "teacher_id": "org_a-teacher-1", "schedule": "by arrangement",
        "start_date": "2026-06-01"});
    let class = ok(&admin, "create_class", class).await["class_id"].clone();
    let enrol =
        |n: usize| json!({"user_id": format!("org_a-student-{:02}", n + 1), "class_id": class});
    let (done, refused) = told(&twins.call("create_enrollment", enrol).await);
    assert_eq!(done.len(), 3, "{done:?}");
    assert_eq!(refused, BTreeSet::from(["class_full".to_owned()]));
}

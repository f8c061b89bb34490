//! Money: taken once, written down once, never more than is owed.

use std::sync::Arc;
use std::sync::Mutex;

use mcp_runtime::Caller;
use mcp_runtime::testing::TestClient;
use reference_server::school::gateway::{Charge, ChargeError, Charged, Gateway, TestGateway};
use reference_server::school::{School, SchoolSettings};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Campus, code, ok, read};
use crate::databases::Database;

const STUDENT: &str = "org_a-student-01";

#[tokio::test]
async fn s4_067_student_info_then_payment_then_record() {
    let campus = Campus::new().await;
    let admin = campus.admin();
    let info = ok(&admin, "get_student_info", json!({"name": "ada abbott"})).await;
    assert_eq!(info["student_id"], STUDENT);
    assert_eq!(
        (&info["amount_due"], &info["currency"]),
        (&json!(10_500), &json!("USD"))
    );
    let pay = json!({"student_id": STUDENT, "amount": 10_500, "idempotency_key": "one"});
    let receipt = ok(&admin, "process_payment", pay.clone()).await["receipt"].clone();
    assert_eq!(receipt["status"], "captured");
    // The same key is the same payment; what is charged is not open any more.
    assert_eq!(
        ok(&admin, "process_payment", pay.clone()).await["receipt"],
        receipt
    );
    let mut other = pay.clone();
    other["idempotency_key"] = json!("two");
    assert_eq!(
        code(&admin.call("process_payment", other).await),
        "amount_too_high"
    );
    let mut changed = pay;
    changed["amount"] = json!(1);
    assert_eq!(
        code(&admin.call("process_payment", changed).await),
        "idempotency_key_reused"
    );

    let record = json!({"student_id": STUDENT, "receipt": receipt});
    let recorded = ok(&admin, "record_payment", record.clone()).await;
    assert_eq!(recorded["invoice_status"], "paid");
    assert_eq!(
        (&recorded["amount"], &recorded["balance"]),
        (&json!(10_500), &json!(0))
    );
    assert_eq!(
        code(&admin.call("record_payment", record).await),
        "already_recorded"
    );
    let info = ok(&admin, "get_student_info", json!({"student_id": STUDENT})).await;
    assert_eq!(
        (&info["amount_due"], &info["open_invoices"]),
        (&json!(0), &json!([]))
    );
    let summary = read(&admin, "admin://payment_summary").await;
    assert_eq!(summary["payment_methods"]["stripe"], 10_500);
}

#[tokio::test]
async fn s4_005_what_is_declined_costs_nothing() {
    let campus = Campus::new().await;
    let admin = campus.admin();
    let pay = |amount: i64, key: &str| json!({"student_id": STUDENT, "amount": amount, "idempotency_key": key});
    assert_eq!(
        code(&admin.call("process_payment", pay(102, "a")).await),
        "payment_declined"
    );
    assert_eq!(
        code(&admin.call("process_payment", pay(102, "a")).await),
        "payment_declined"
    );
    ok(&admin, "process_payment", pay(10_500, "b")).await;
}

#[tokio::test]
async fn s4_006_a_receipt_is_of_its_student_and_says_what_it_said() {
    let campus = Campus::new().await;
    let admin = campus.admin();
    let pay = json!({"student_id": STUDENT, "amount": 500, "idempotency_key": "one"});
    let receipt = ok(&admin, "process_payment", pay).await["receipt"].clone();
    let mut forged = receipt.clone();
    forged["amount"] = json!(10_500);
    let number = receipt["receipt_number"].clone();
    let wrong = [
        json!({"student_id": STUDENT, "receipt": forged}),
        json!({"student_id": "org_a-student-02", "receipt": number}),
        json!({"student_id": STUDENT, "receipt": "R-none"}),
    ];
    for arguments in wrong {
        assert_eq!(
            code(&admin.call("record_payment", arguments).await),
            "receipt_not_found"
        );
    }
    let half = json!({"student_id": STUDENT, "receipt": number, "amount": 5});
    assert_eq!(
        code(&admin.call("record_payment", half).await),
        "payment_incomplete"
    );
    let recorded = ok(
        &admin,
        "record_payment",
        json!({"student_id": STUDENT, "receipt": number}),
    )
    .await;
    assert_eq!(
        (&recorded["invoice_status"], &recorded["balance"]),
        (&json!("pending"), &json!(10_000))
    );
}

#[tokio::test]
async fn s4_006_by_hand_no_more_than_is_owed_and_no_transaction_twice() {
    let campus = Campus::new().await;
    let admin = campus.admin();
    let came = |invoice: &str, amount: i64, transaction: &str| {
        json!({"invoice_id": invoice,
        "amount": amount, "payment_method": "bank_transfer", "transaction_id": transaction})
    };
    let (one, two) = ("org_a-invoice-01", "org_a-invoice-02");
    assert_eq!(
        code(&admin.call("record_payment", came(one, 10_501, "t")).await),
        "overpayment"
    );
    let recorded = ok(&admin, "record_payment", came(one, 10_000, "t")).await;
    assert_eq!(
        (&recorded["invoice_status"], &recorded["balance"]),
        (&json!("pending"), &json!(500))
    );
    assert_eq!(
        code(&admin.call("record_payment", came(two, 1, "t")).await),
        "already_recorded"
    );
    let rest = ok(&admin, "record_payment", came(one, 500, "u")).await;
    assert_eq!(rest["invoice_status"], "paid");
}

/// Money for several invoices goes to the oldest first, all of it.
#[tokio::test]
async fn s4_006_a_receipt_settles_the_oldest_first() {
    let campus = Campus::new().await;
    let admin = campus.admin();
    for (amount, due) in [(300, "2026-06-03"), (200, "2026-06-02")] {
        let bill =
            json!({"student_id": STUDENT, "amount": amount, "description": "X", "due_date": due});
        ok(&admin, "create_invoice", bill).await;
    }
    let pay = json!({"student_id": STUDENT, "amount": 450, "idempotency_key": "one"});
    let receipt = ok(&admin, "process_payment", pay).await["receipt"].clone();
    let recorded = ok(
        &admin,
        "record_payment",
        json!({"student_id": STUDENT, "receipt": receipt}),
    )
    .await;
    let parts: Vec<(i64, i64)> = recorded["allocations"]
        .as_array()
        .expect("allocations")
        .iter()
        .map(|part| {
            (
                part["amount"].as_i64().unwrap(),
                part["balance"].as_i64().unwrap(),
            )
        })
        .collect();
    assert_eq!(parts, [(200, 0), (250, 50)]);
    assert_eq!(
        (&recorded["amount"], &recorded["balance"]),
        (&json!(450), &json!(0))
    );
}

/// Cannot be reached the first time, and keeps what it was asked.
#[derive(Default)]
struct Shaky(Mutex<Vec<String>>);

impl Gateway for Shaky {
    fn charge<'a>(&'a self, charge: &'a Charge) -> Charged<'a> {
        let mut asked = self.0.lock().expect("nobody panics");
        asked.push(charge.key.clone());
        let first = asked.len() == 1;
        Box::pin(async move {
            match first {
                true => Err(ChargeError::Unavailable("secret host is down".into())),
                false => Ok("transaction".to_owned()),
            }
        })
    }
}

#[tokio::test]
async fn s4_005_after_an_outage_the_same_key_charges_once() {
    let gateway = Arc::new(Shaky::default());
    let campus = Campus::with(gateway.clone()).await;
    let admin = campus.admin();
    let pay = json!({"student_id": STUDENT, "amount": 500, "idempotency_key": "one"});
    let lost = admin.call("process_payment", pay.clone()).await;
    assert_eq!(code(&lost), "payment_unavailable");
    assert!(
        !lost.body.to_string().contains("secret host"),
        "{}",
        lost.body
    );
    let first = ok(&admin, "process_payment", pay.clone()).await;
    assert_eq!(ok(&admin, "process_payment", pay).await, first);
    let asked = gateway.0.lock().expect("nobody panics").clone();
    assert_eq!(asked.len(), 2, "asked again after the money was taken");
    assert_eq!(asked[0], asked[1], "another key for the same charge");
}

/// A charge whose answer was lost may have taken the money: what comes by hand as well would be
/// paid twice, and the receipt could never be recorded.
#[tokio::test]
async fn s4_006_money_under_way_is_not_taken_by_hand_as_well() {
    let campus = Campus::with(Arc::new(Shaky::default())).await;
    let admin = campus.admin();
    let pay = json!({"student_id": STUDENT, "amount": 10_500, "idempotency_key": "one"});
    let lost = admin.call("process_payment", pay.clone()).await;
    assert_eq!(code(&lost), "payment_unavailable");
    let cash = |amount: i64| {
        json!({"invoice_id": "org_a-invoice-01", "amount": amount,
        "payment_method": "cash"})
    };
    let early = admin.call("record_payment", cash(10_500)).await;
    assert_eq!(code(&early), "payment_under_way", "while nobody knows");
    let facts = &early.result()["structuredContent"];
    assert_eq!(facts["open"], 0, "{facts}");
    // Enough to finish the charge with, for somebody who has lost the key.
    let charge = &facts["charges"][0];
    assert_eq!(
        (&charge["idempotency_key"], &charge["status"]),
        (&json!("one"), &json!("pending")),
        "{facts}"
    );

    let receipt = ok(&admin, "process_payment", pay).await["receipt"].clone();
    let late = admin.call("record_payment", cash(1)).await;
    assert_eq!(code(&late), "payment_under_way", "charged and not recorded");
    let record = json!({"student_id": STUDENT, "receipt": receipt});
    let recorded = ok(&admin, "record_payment", record).await;
    assert_eq!(
        (&recorded["invoice_status"], &recorded["amount"]),
        (&json!("paid"), &json!(10_500))
    );
    assert_eq!(
        code(&admin.call("record_payment", cash(1)).await),
        "overpayment",
        "nothing is owed any more"
    );
}

/// A charge without an invoice may go to any of them, one with an invoice to that.
#[tokio::test]
async fn s4_006_by_hand_there_is_room_for_what_was_charged() {
    for (invoice, room_of_first, room_of_other) in
        [(None, 200, 200), (Some("org_a-invoice-01"), 0, 300)]
    {
        let campus = Campus::new().await;
        let admin = campus.admin();
        let bill = json!({"student_id": STUDENT, "amount": 300, "description": "X",
            "due_date": "2026-07-01"});
        let other = ok(&admin, "create_invoice", bill).await["invoice_id"].clone();
        let charged = if invoice.is_some() { 10_500 } else { 10_600 };
        let mut pay = json!({"student_id": STUDENT, "amount": charged, "idempotency_key": "one"});
        if let Some(invoice) = invoice {
            pay["invoice_id"] = json!(invoice);
        }
        let receipt = ok(&admin, "process_payment", pay).await["receipt"].clone();
        for (id, room) in [
            (json!("org_a-invoice-01"), room_of_first),
            (other.clone(), room_of_other),
        ] {
            let cash = json!({"invoice_id": id, "amount": room + 1, "payment_method": "cash"});
            let reply = admin.call("record_payment", cash).await;
            let owed = if id == other { 300 } else { 10_500 };
            let expected = if room < owed {
                "payment_under_way"
            } else {
                "overpayment"
            };
            assert_eq!(code(&reply), expected, "{invoice:?}, {id}");
            let open = &reply.result()["structuredContent"]["open"];
            assert_eq!(*open, room, "{invoice:?}, {id}");
        }
        let cash = json!({"invoice_id": other, "amount": room_of_other, "payment_method": "cash"});
        ok(&admin, "record_payment", cash).await;
        let record = json!({"student_id": STUDENT, "receipt": receipt});
        let recorded = ok(&admin, "record_payment", record).await;
        assert_eq!(recorded["amount"], charged, "{invoice:?}");
        let info = ok(&admin, "get_student_info", json!({"student_id": STUDENT})).await;
        assert_eq!(info["amount_due"], 0, "{invoice:?}");
    }
}

/// The money of a receipt that is recorded by its transaction is recorded, and is not counted as
/// under way for ever.
#[tokio::test]
async fn s4_006_by_hand_with_the_transaction_of_a_receipt_settles_it() {
    let campus = Campus::new().await;
    let admin = campus.admin();
    let charge = |amount: i64, key: &str| json!({"student_id": STUDENT, "amount": amount, "idempotency_key": key});
    let receipt = ok(&admin, "process_payment", charge(500, "one")).await["receipt"].clone();
    let by_hand = |invoice: &str, amount: i64| {
        json!({"invoice_id": invoice, "amount": amount, "payment_method": "stripe",
            "transaction_id": receipt["transaction_id"]})
    };
    for (invoice, amount) in [
        ("org_a-invoice-01", 400),
        ("org_a-invoice-01", 600),
        ("org_a-invoice-02", 500),
    ] {
        let reply = admin.call("record_payment", by_hand(invoice, amount)).await;
        assert_eq!(code(&reply), "receipt_mismatch", "{invoice} {amount}");
        let facts = &reply.result()["structuredContent"];
        assert_eq!(facts["receipt_number"], receipt["receipt_number"]);
    }
    let recorded = ok(&admin, "record_payment", by_hand("org_a-invoice-01", 500)).await;
    assert_eq!(recorded["balance"], 10_000);
    let again = [
        by_hand("org_a-invoice-01", 500),
        json!({"student_id": STUDENT, "receipt": receipt}),
    ];
    for arguments in again {
        let reply = admin.call("record_payment", arguments.clone()).await;
        assert_eq!(code(&reply), "already_recorded", "{arguments}");
    }
    // All that is left can be charged.
    ok(&admin, "process_payment", charge(10_000, "two")).await;
}

/// Somebody read the transaction at the gateway and was quicker than its answer.
#[tokio::test]
async fn s4_006_a_transaction_recorded_before_its_answer_came_is_not_under_way() {
    let campus = Campus::with(Arc::new(Shaky::default())).await;
    let admin = campus.admin();
    let charge = |amount: i64, key: &str| json!({"student_id": STUDENT, "amount": amount, "idempotency_key": key});
    let lost = admin.call("process_payment", charge(500, "one")).await;
    assert_eq!(code(&lost), "payment_unavailable");
    let seen = json!({"invoice_id": "org_a-invoice-01", "amount": 500, "payment_method": "stripe",
        "transaction_id": "transaction"});
    ok(&admin, "record_payment", seen).await;
    ok(&admin, "process_payment", charge(500, "one")).await;
    // All that is left can be charged.
    ok(&admin, "process_payment", charge(10_000, "two")).await;
}

#[tokio::test]
async fn s4_013_invoices_page_by_page() {
    let campus = Campus::new().await;
    let admin = campus.admin();
    let mut seen: Vec<String> = Vec::new();
    let mut arguments = json!({"limit": 10});
    loop {
        let page = ok(&admin, "list_invoices", arguments.clone()).await;
        let rows = page["invoices"].as_array().expect("invoices").clone();
        seen.extend(
            rows.iter()
                .map(|row| row["due_date"].to_string() + &row["invoice_id"].to_string()),
        );
        match &page["next_cursor"] {
            Value::Null => break,
            cursor => arguments["cursor"] = cursor.clone(),
        }
    }
    assert_eq!(seen.len(), 24);
    assert!(seen.is_sorted(), "{seen:?}");
    for (status, count) in [
        ("paid", 8),
        ("overdue", 4),
        ("pending", 12),
        ("cancelled", 0),
    ] {
        let page = ok(&admin, "list_invoices", json!({"status": status})).await;
        let rows = page["invoices"].as_array().expect("invoices");
        assert_eq!(rows.len(), count, "{status}");
        assert!(
            rows.iter().all(|row| row["status"] == status),
            "{status}: {rows:?}"
        );
    }
}

#[tokio::test]
async fn s4_004_several_students_are_listed_instead() {
    let campus = Campus::new().await;
    let admin = campus.admin();
    let info = ok(&admin, "get_student_info", json!({"name": "ada"})).await;
    assert_eq!(info["ambiguous"], true);
    assert_eq!(info["matches"].as_array().map(Vec::len), Some(2));
    let all = ok(&admin, "get_student_info", json!({"name": "a"})).await;
    assert_eq!(all["matches"].as_array().map(Vec::len), Some(10));
    // What means something to a database is a letter like any other.
    for name in ["%", "_", "\\", "' OR 1=1 --"] {
        let reply = admin.call("get_student_info", json!({"name": name})).await;
        assert_eq!(code(&reply), "student_not_found", "{name}");
    }
    // No database but SQLite has texts with this one.
    let reply = admin.call("get_student_info", json!({"name": "a\0"})).await;
    assert_eq!(code(&reply), "invalid_text");
}

/// Nine at once who charge all that is open, three keys among them: one of the keys wins, and its
/// callers read the same receipt.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s4_005_at_the_same_time_no_more_is_charged_than_is_open() {
    let campus = Campus::new().await;
    let calls: Vec<_> = (0..9)
        .map(|number| {
            let admin = campus.admin();
            let pay = json!({"student_id": STUDENT, "amount": 10_500,
                "idempotency_key": format!("key-{}", number % 3)});
            tokio::spawn(async move { admin.call("process_payment", pay).await })
        })
        .collect();
    let mut receipts = Vec::new();
    for call in calls {
        let reply = call.await.expect("no panic");
        if reply.result()["isError"] == true {
            assert_eq!(code(&reply), "amount_too_high");
        } else {
            receipts.push(reply.structured()["receipt"].clone());
        }
    }
    assert_eq!(receipts.len(), 3, "{receipts:?}");
    assert!(
        receipts.iter().all(|receipt| *receipt == receipts[0]),
        "{receipts:?}"
    );
}

/// Another admin of the first school.
fn colleague(campus: &Campus) -> TestClient {
    campus.server.as_caller(
        Caller::user("colleague")
            .tenant("org_a")
            .roles(["admin"])
            .scopes(["school:admin"]),
    )
}

/// Whoever is told of a charge under way can finish it, and nobody charges a second time by it.
#[tokio::test]
async fn s4_005_a_key_is_of_the_school_whoever_sends_it() {
    let gateway = Arc::new(Shaky::default());
    let campus = Campus::with(gateway.clone()).await;
    let (first, second) = (campus.admin(), colleague(&campus));
    let pay = json!({"student_id": STUDENT, "amount": 500, "idempotency_key": "one"});
    let lost = first.call("process_payment", pay.clone()).await;
    assert_eq!(code(&lost), "payment_unavailable");
    let receipt = ok(&second, "process_payment", pay.clone()).await["receipt"].clone();
    let mut named = pay.clone();
    named["currency"] = json!("USD");
    for admin in [&first, &second] {
        for same in [&pay, &named] {
            let again = ok(admin, "process_payment", same.clone()).await;
            assert_eq!(again["receipt"], receipt, "{same}");
        }
        for (field, value) in [
            ("student_id", json!("org_a-student-02")),
            ("amount", json!(501)),
            ("invoice_id", json!("org_a-invoice-01")),
            ("currency", json!("EUR")),
        ] {
            let mut other = pay.clone();
            other[field] = value;
            let reply = admin.call("process_payment", other).await;
            assert_eq!(code(&reply), "idempotency_key_reused", "{field}");
        }
    }
    let asked = gateway.0.lock().expect("nobody panics").clone();
    assert_eq!(asked.len(), 2, "asked again after the money was taken");
    assert_eq!(asked[0], asked[1], "another key for the same charge");

    let theirs = json!({"student_id": "org_b-student-01", "amount": 500, "idempotency_key": "one"});
    let theirs = ok(&campus.admin_of("org_b"), "process_payment", theirs).await;
    assert_ne!(
        theirs["receipt"]["receipt_number"],
        receipt["receipt_number"]
    );
}

/// Keys were each admin's own once: a database from then opens, and its receipts are found.
#[tokio::test]
async fn s4_005_a_key_that_two_admins_used_before_stays_good() {
    let folder = TempDir::new().expect("a folder");
    let database = Database::file(&folder.path().join("school.db"));
    let campus = Campus::on(database, Arc::new(TestGateway)).await;
    let pay = |amount: i64, key: &str| json!({"student_id": STUDENT, "amount": amount, "idempotency_key": key});
    let receipt = ok(&campus.admin(), "process_payment", pay(500, "one")).await["receipt"].clone();
    let mut behind = campus.database.connect().await;
    for statement in [
        "DROP INDEX receipts_once",
        "DROP INDEX receipts_by_transaction",
        "DROP INDEX payments_by_transaction",
        "ALTER TABLE receipts DROP COLUMN older_namesakes",
        "CREATE UNIQUE INDEX receipts_once ON receipts (tenant_id, requested_by, idempotency_key)",
        "INSERT INTO receipts (tenant_id, id, student_id, invoice_id, amount, currency,
            transaction_id, status, settled, idempotency_key, requested_by, created_at, updated_at)
         SELECT tenant_id, id || '-2', student_id, invoice_id, amount + 100, currency,
            transaction_id || '-2', status, settled, idempotency_key, 'colleague', created_at,
            updated_at
         FROM receipts",
        "DELETE FROM _sqlx_migrations WHERE version = 3",
    ] {
        let done = sqlx::query(statement).execute(&mut behind).await;
        done.unwrap_or_else(|error| panic!("{statement}: {error}"));
    }
    let server = campus.beside(Arc::new(TestGateway)).await;
    let admin = |name: &str| {
        let caller = Caller::user(name).tenant("org_a").roles(["admin"]);
        server.as_caller(caller.scopes(["school:admin"]))
    };
    let first = receipt["receipt_number"].as_str().expect("a number");
    let second = format!("{first}-2");
    let known = [(500, first), (600, second.as_str())];
    for name in ["admin", "colleague", "visitor"] {
        for (amount, number) in known {
            let again = ok(&admin(name), "process_payment", pay(amount, "one")).await;
            assert_eq!(again["receipt"]["receipt_number"], number, "{name}");
        }
        let other = admin(name).call("process_payment", pay(700, "one")).await;
        assert_eq!(code(&other), "idempotency_key_reused", "{name}");
    }
    let new = ok(&admin("admin"), "process_payment", pay(300, "two")).await;
    let again = ok(&admin("colleague"), "process_payment", pay(300, "two")).await;
    assert_eq!(new, again);
}

#[tokio::test]
async fn s4_006_a_whole_receipt_is_the_one_that_was_made() {
    let campus = Campus::new().await;
    let admin = campus.admin();
    let pay = json!({"student_id": STUDENT, "amount": 500, "idempotency_key": "one"});
    let receipt = ok(&admin, "process_payment", pay).await["receipt"].clone();
    for (field, value) in [
        ("transaction_id", json!("test_another")),
        ("student_id", json!("org_a-student-02")),
        ("amount", json!(501)),
        ("currency", json!("EUR")),
        ("status", json!("pending")),
        ("created_at", json!("2026-06-01T12:00:01Z")),
    ] {
        let mut forged = receipt.clone();
        forged[field] = value;
        let record = json!({"student_id": STUDENT, "receipt": forged});
        let reply = admin.call("record_payment", record).await;
        assert_eq!(code(&reply), "receipt_not_found", "{field}");
    }
    let record = json!({"student_id": STUDENT, "receipt": receipt});
    ok(&admin, "record_payment", record).await;
}

#[tokio::test]
async fn s4_006_a_transaction_is_the_same_in_other_letters_and_with_spaces() {
    let campus = Campus::new().await;
    let admin = campus.admin();
    let came = |invoice: &str, amount: i64, transaction: &str| {
        json!({"invoice_id": invoice, "amount": amount, "payment_method": "bank_transfer",
            "transaction_id": transaction})
    };
    let (one, two) = ("org_a-invoice-01", "org_a-invoice-02");
    ok(&admin, "record_payment", came(one, 100, " Tx-1\n")).await;
    for (transaction, expected) in [
        ("Tx-1", "already_recorded"),
        ("tx-1", "already_recorded"),
        ("\tTX-1 ", "already_recorded"),
        (" ", "invalid_arguments"),
    ] {
        let reply = admin.call("record_payment", came(two, 1, transaction));
        assert_eq!(code(&reply.await), expected, "{transaction:?}");
    }
    // That of a receipt, too.
    let charge = |amount: i64, key: &str| json!({"student_id": STUDENT, "amount": amount, "idempotency_key": key});
    let receipt = ok(&admin, "process_payment", charge(500, "one")).await["receipt"].clone();
    let transaction = receipt["transaction_id"].as_str().expect("a transaction");
    let shouted = format!(" {} ", transaction.to_uppercase());
    let part = admin.call("record_payment", came(one, 400, &shouted)).await;
    assert_eq!(code(&part), "receipt_mismatch");
    ok(&admin, "record_payment", came(one, 500, &shouted)).await;
    let record = json!({"student_id": STUDENT, "receipt": receipt});
    assert_eq!(
        code(&admin.call("record_payment", record).await),
        "already_recorded"
    );
    // All that is left can be charged.
    ok(&admin, "process_payment", charge(9_900, "two")).await;

    let backup = ok(&admin, "create_backup", json!({})).await;
    let place = backup["place"].as_str().expect("a place");
    let path = campus.folder.path().join("backups").join(place);
    let copy = std::fs::read_to_string(path).expect("a backup");
    assert!(copy.contains("\"transaction_id\":\"Tx-1\""), "{copy}");
}

#[tokio::test]
async fn s4_016_a_school_that_wrote_nothing_counts_in_the_configured_currency() {
    let campus = Campus::new().await;
    let admin = campus.admin_of("org_c");
    let summary = read(&admin, "admin://payment_summary").await;
    assert_eq!(summary["currency"], "USD");
    let report = json!({"report_type": "payment_summary"});
    let report = ok(&admin, "generate_report", report).await;
    let text = report["text"].as_str().expect("a text");
    assert!(text.contains("0.00 USD"), "{text}");
}

/// 4.7: two decimals.
#[tokio::test]
async fn a_school_counts_in_hundredths_or_does_not_start() {
    let campus = Campus::new().await;
    for (currency, starts) in [
        ("EUR", true),
        ("JPY", false),
        ("KRW", false),
        ("KWD", false),
        ("CLF", false),
        ("XAU", false),
    ] {
        let settings = SchoolSettings {
            currency: currency.to_owned(),
            ..campus.settings.clone()
        };
        match School::open_with(settings, campus.clock.clone()).await {
            Ok(_) => assert!(starts, "{currency}"),
            Err(error) => {
                let said = error.to_string();
                let clear = said.contains("school.currency") && said.contains(currency);
                assert!(!starts && clear, "{currency}: {said}");
            }
        }
    }
}

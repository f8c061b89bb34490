//! Money: taken once, written down once, never more than is owed.

use std::sync::Arc;
use std::sync::Mutex;

use reference_server::school::gateway::{Charge, ChargeError, Charged, Gateway};
use serde_json::{Value, json};

use super::{Campus, code, ok, read};

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

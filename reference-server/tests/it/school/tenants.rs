//! Two schools that know nothing of each other.

use std::sync::Arc;

use http::Request;
use mcp_runtime::testing::TestClient;
use serde_json::{Value, json};

use super::{Campus, admin_of, code, ok, read};
use crate::databases::model_steps;

/// TN-12: somebody else's is answered exactly like what was never there.
#[tokio::test]
async fn tn_12_ids_of_another_school_are_ids_of_nothing() {
    let campus = Campus::new().await;
    let admin = campus.admin();
    let date = "2026-06-01";
    let calls = |user: &str, class: &str, invoice: &str| {
        vec![
            ("get_student_info", json!({"student_id": user})),
            ("modify_user", json!({"user_id": user, "name": "X"})),
            (
                "create_enrollment",
                json!({"user_id": user, "class_id": "org_a-class-1"}),
            ),
            (
                "create_enrollment",
                json!({"user_id": "org_a-student-20", "class_id": class}),
            ),
            ("modify_class", json!({"class_id": class, "name": "X"})),
            (
                "create_invoice",
                json!({"student_id": user, "amount": 1, "description": "X", "due_date": date}),
            ),
            (
                "process_payment",
                json!({"student_id": user, "amount": 1, "idempotency_key": user}),
            ),
            (
                "process_payment",
                json!({"student_id": "org_a-student-01", "amount": 1, "invoice_id": invoice, "idempotency_key": invoice}),
            ),
            (
                "record_payment",
                json!({"invoice_id": invoice, "amount": 1, "payment_method": "cash"}),
            ),
            (
                "record_attendance",
                json!({"class_id": class, "session_date": date,
                "attendance_records": [{"student_id": user, "status": "late"}]}),
            ),
            (
                "create_booking",
                json!({"student_id": user, "teacher_id": "org_a-teacher-1",
                "date": date, "start_time": "08:00", "duration_minutes": 30}),
            ),
            (
                "create_class",
                json!({"name": "X", "level": "Beginner", "capacity": 1,
                "teacher_id": user, "schedule": "X", "start_date": date}),
            ),
        ]
    };
    let theirs = calls("org_b-student-01", "org_b-class-1", "org_b-invoice-01");
    let nobodys = calls("zzz_b-student-01", "zzz_b-class-1", "zzz_b-invoice-01");
    for ((tool, theirs), (_, nobodys)) in theirs.into_iter().zip(nobodys) {
        let (one, two) = (
            admin.call(tool, theirs).await,
            admin.call(tool, nobodys).await,
        );
        assert_eq!(code(&one), code(&two), "{tool}");
        assert_eq!(one.result(), two.result(), "{tool}");
    }
    let named = admin
        .call("list_invoices", json!({"tenant_id": "org_b"}))
        .await;
    assert_eq!(code(&named), "invalid_arguments");
}

/// 4.6: `X-Tenant-ID` says what the token says, or the answer is 403.
#[tokio::test]
async fn s4_043_the_header_agrees_with_the_token() {
    let campus = Campus::new().await;
    let rows = [
        (vec![], 200),
        (vec!["org_a"], 200),
        (vec!["org_b"], 403),
        (vec!["ORG_A"], 403),
        (vec![""], 403),
        (vec!["org_a", "org_b"], 403),
        (vec!["org_a", "org_a"], 403),
    ];
    for (values, expected) in rows {
        let mut request = Request::post("/mcp")
            .header("host", "localhost")
            .header("content-type", "application/json")
            .header("accept", "application/json")
            .header("mcp-protocol-version", "2025-06-18")
            .extension(Arc::new(admin_of("org_a")));
        for value in &values {
            request = request.header("x-tenant-id", *value);
        }
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}});
        let request = request
            .body(body.to_string().into_bytes())
            .expect("a request");
        assert_eq!(
            campus.server.send(request).await.status,
            expected,
            "{values:?}"
        );
    }
}

/// splitmix64
struct Dice(u64);

impl Dice {
    fn throw(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((x ^ (x >> 31)) % sides as u64) as usize
    }
}

/// What a tenant should see: the users it added, with their names.
#[derive(Default)]
struct Model {
    users: Vec<(String, String)>,
}

/// S4-051: two schools do at random what schools do, often with ids of the other. Each sees
/// exactly what it did itself.
#[tokio::test]
async fn s4_051_whatever_two_schools_do_nothing_leaks() {
    for seed in 1..=3 {
        let campus = Campus::new().await;
        let names = ["org_a", "org_b"];
        let admins = names.map(|tenant| campus.admin_of(tenant));
        let mut models = [Model::default(), Model::default()];
        let mut dice = Dice(seed);
        for step in 0..model_steps() / 3 {
            let (mine, place) = (dice.throw(2), format!("seed {seed}, step {step}"));
            let theirs = 1 - mine;
            let (tool, arguments, foreign) = move_of(&mut dice, &models, (mine, theirs), step);
            let reply = admins[mine].call(tool, arguments.clone()).await;
            let text = reply.body.to_string();
            let marker = format!("of {}", names[theirs]);
            assert!(
                !text.contains(&marker),
                "{place}: {tool} {arguments} shows {text}"
            );
            assert!(
                !text.contains(&format!("@{}", names[theirs])),
                "{place}: {text}"
            );
            let failed = reply.result()["isError"] == true;
            assert!(
                !foreign || failed,
                "{place}: {tool} {arguments} went through: {text}"
            );
            if failed {
                assert!(foreign, "{place}: {tool} {arguments}: {text}");
                continue;
            }
            follow(&mut models[mine], tool, &arguments, reply.structured());
        }
        for (at, admin) in admins.iter().enumerate() {
            check(admin, &models[at], names[at]).await;
        }
    }
}

fn move_of(
    dice: &mut Dice,
    models: &[Model; 2],
    (mine, theirs): (usize, usize),
    step: usize,
) -> (&'static str, Value, bool) {
    let name = format!("Number {step} of org_{}", ["a", "b"][mine]);
    let foreign = dice.throw(3) == 0;
    let from = &models[if foreign { theirs } else { mine }].users;
    if from.is_empty() || dice.throw(3) == 0 {
        // Often the same address as in the other school.
        let email = format!("n{step}@example.com");
        let user =
            json!({"email": email, "name": name, "role": "student", "send_welcome_email": false});
        return ("add_user", user, false);
    }
    let id = &from[dice.throw(from.len())].0;
    match dice.throw(4) {
        0 => ("modify_user", json!({"user_id": id, "name": name}), foreign),
        1 => ("get_student_info", json!({"student_id": id}), foreign),
        2 => (
            "create_invoice",
            json!({"student_id": id, "amount": 100, "description": name, "due_date": "2026-07-01"}),
            foreign,
        ),
        _ => ("list_invoices", json!({"limit": 200}), false),
    }
}

fn follow(model: &mut Model, tool: &str, arguments: &Value, answer: &Value) {
    let name = || arguments["name"].as_str().expect("a name").to_owned();
    match tool {
        "add_user" => {
            let id = answer["user_id"].as_str().expect("an id").to_owned();
            model.users.push((id, name()));
        }
        "modify_user" => {
            let user = model
                .users
                .iter_mut()
                .find(|(id, _)| arguments["user_id"] == **id);
            user.expect("one of ours").1 = name();
        }
        _ => {}
    }
}

async fn check(admin: &TestClient, model: &Model, tenant: &str) {
    // 29 people of the demo in each school.
    let roster = read(admin, "admin://user_roster").await;
    let total = 29 + model.users.len();
    assert_eq!(roster["total"], total, "{tenant}");
    for (id, name) in &model.users {
        let info = ok(admin, "get_student_info", json!({"student_id": id})).await;
        assert_eq!(info["name"], **name, "{tenant}");
    }
    let csv = ok(
        admin,
        "generate_csv_export",
        json!({"template_id": "user_roster_v1"}),
    )
    .await;
    assert_eq!(csv["rows"], total, "{tenant}");
    let log = ok(admin, "view_audit_log", json!({"limit": 500})).await;
    let other = if tenant == "org_a" {
        "of org_b"
    } else {
        "of org_a"
    };
    for page in [&roster, &log, &read(admin, "admin://class_list").await] {
        assert!(!page.to_string().contains(other), "{tenant}: {page}");
    }
}

//! school.md 4.2, row by row: names, parameters, limits, effects and scopes as published; one good
//! and one bad call of each, with results that match what was published.

use serde_json::{Value, json};

use super::Campus;

/// What the contract says of a tool: the row of acceptance.csv (or its section), parameters with
/// `*` where required, what a call may do, and a call that is refused with its code.
struct Row {
    id: &'static str,
    tool: &'static str,
    parameters: &'static [&'static str],
    /// Reads, destroys, may be repeated, reaches outside.
    effects: [bool; 4],
    good: Value,
    bad: (Value, &'static str),
}

const WRITES: [bool; 4] = [false; 4];
const READS: [bool; 4] = [true, false, false, false];

fn rows() -> Vec<Row> {
    let row = |id, tool, parameters, effects, good, bad| Row {
        id,
        tool,
        parameters,
        effects,
        good,
        bad,
    };
    let (student, class) = ("org_a-student-20", "org_a-class-2");
    let new_class = json!({"name": "Night Owls", "level": "Advanced", "capacity": 5,
        "teacher_id": "org_a-teacher-3", "schedule": "Sun 20:00-21:00", "start_date": "2026-06-07"});
    let mut ends_early = new_class.clone();
    ends_early["end_date"] = json!("2026-06-01");
    vec![
        row(
            "S4-001",
            "add_user",
            &["email*", "name*", "role*", "password", "send_welcome_email"],
            [false, false, false, true],
            json!({"email": "New.One@example.com", "name": "New One", "role": "student"}),
            (
                json!({"email": "no address", "name": "X", "role": "student"}),
                "invalid_email",
            ),
        ),
        row(
            "S4-002",
            "create_class",
            &[
                "name*",
                "level*",
                "capacity*",
                "teacher_id*",
                "schedule*",
                "start_date*",
                "end_date",
            ],
            WRITES,
            new_class,
            (ends_early, "ends_before_start"),
        ),
        row(
            "S4-003",
            "create_enrollment",
            &["user_id", "student_id", "class_id*", "enrollment_date"],
            WRITES,
            json!({"user_id": student, "class_id": class}),
            (
                json!({"user_id": student, "class_id": "none"}),
                "class_not_found",
            ),
        ),
        row(
            "S4-003",
            "enroll_student",
            &["student_id*", "class_id*", "enrollment_date"],
            WRITES,
            json!({"student_id": "org_a-student-21", "class_id": class}),
            (
                json!({"student_id": "org_a-teacher-1", "class_id": class}),
                "not_a_student",
            ),
        ),
        row(
            "S4-004",
            "get_student_info",
            &["name", "student_id"],
            READS,
            json!({"name": "Ada Abbott"}),
            (json!({"name": "Nobody"}), "student_not_found"),
        ),
        row(
            "S4-005",
            "process_payment",
            &[
                "student_id*",
                "amount*",
                "invoice_id",
                "currency",
                "method",
                "idempotency_key*",
            ],
            [false, true, true, true],
            json!({"student_id": "org_a-student-01", "amount": 1000, "idempotency_key": "k"}),
            (
                json!({"student_id": "org_a-student-01", "amount": 1_000_000, "idempotency_key": "l"}),
                "amount_too_high",
            ),
        ),
        row(
            "S4-006",
            "record_payment",
            &[
                "student_id",
                "receipt",
                "invoice_id",
                "amount",
                "payment_method",
                "transaction_id",
                "payment_date",
                "notes",
            ],
            WRITES,
            json!({"invoice_id": "org_a-invoice-02", "amount": 500, "payment_method": "cash"}),
            (
                json!({"invoice_id": "none", "amount": 5, "payment_method": "cash"}),
                "invoice_not_found",
            ),
        ),
        row(
            "S4-007",
            "list_export_templates",
            &[],
            READS,
            json!({}),
            (json!({"x": 1}), "invalid_arguments"),
        ),
        row(
            "S4-007",
            "generate_excel_export",
            &["template_id*", "filters", "filename"],
            WRITES,
            json!({"template_id": "user_roster_v1"}),
            (json!({"template_id": "none"}), "template_not_found"),
        ),
        row(
            "S4-008",
            "generate_csv_export",
            &["template_id*", "filters", "filename"],
            WRITES,
            json!({"template_id": "payment_ledger_v1"}),
            (
                json!({"template_id": "user_roster_v1", "filename": "../x"}),
                "invalid_arguments",
            ),
        ),
        row(
            "S4-009",
            "modify_user",
            &["user_id*", "email", "name", "role", "status"],
            [false, false, true, false],
            json!({"user_id": "org_a-student-22", "name": "Another Name"}),
            (json!({"user_id": "none", "name": "X"}), "user_not_found"),
        ),
        row(
            "S4-010",
            "delete_user",
            &["user_id*", "confirm*", "confirm_token"],
            [false, true, false, false],
            json!({"user_id": "org_a-student-23", "confirm": true}),
            (
                json!({"user_id": "org_a-student-23", "confirm": false}),
                "not_confirmed",
            ),
        ),
        row(
            "S4-011",
            "modify_class",
            &[
                "class_id*",
                "name",
                "level",
                "capacity",
                "teacher_id",
                "schedule",
                "start_date",
                "end_date",
                "status",
            ],
            [false, false, true, false],
            json!({"class_id": class, "schedule": "Tue, Thu 10:00-11:30"}),
            (json!({"class_id": class, "capacity": 1}), "class_full"),
        ),
        row(
            "S4-012",
            "generate_report",
            &["report_type*", "date_range", "filters"],
            READS,
            json!({"report_type": "payment_summary"}),
            (
                json!({"report_type": "user_summary",
                    "date_range": {"start_date": "2026-02-01", "end_date": "2026-01-01"}}),
                "ends_before_start",
            ),
        ),
        row(
            "S4-013",
            "list_invoices",
            &["student_id", "status", "due_before", "limit", "cursor"],
            READS,
            json!({"status": "overdue", "limit": 2}),
            (json!({"cursor": "*"}), "invalid_cursor"),
        ),
        row(
            "S4-013",
            "create_invoice",
            &[
                "student_id*",
                "amount*",
                "description*",
                "due_date*",
                "items",
            ],
            WRITES,
            json!({"student_id": student, "amount": 300, "description": "Books",
                "due_date": "2026-07-01",
                "items": [{"description": "Book", "quantity": 3, "unit_price": 100}]}),
            (
                json!({"student_id": student, "amount": 301, "description": "Books",
                    "due_date": "2026-07-01",
                    "items": [{"description": "Book", "quantity": 3, "unit_price": 100}]}),
                "items_do_not_add_up",
            ),
        ),
        row(
            "4.2.2",
            "record_attendance",
            &["class_id*", "session_date*", "attendance_records*"],
            [false, false, true, false],
            json!({"class_id": "org_a-class-1", "session_date": "2026-06-01",
                "attendance_records": [{"student_id": "org_a-student-01", "status": "late"}]}),
            (
                json!({"class_id": "org_a-class-1", "session_date": "2026-06-01",
                    "attendance_records": [{"student_id": "org_a-student-24", "status": "late"}]}),
                "not_enrolled",
            ),
        ),
        row(
            "4.2.2",
            "create_booking",
            &[
                "student_id*",
                "teacher_id*",
                "date*",
                "start_time*",
                "duration_minutes*",
                "subject",
                "notes",
            ],
            WRITES,
            json!({"student_id": student, "teacher_id": "org_a-teacher-1", "date": "2026-06-02",
                "start_time": "15:00", "duration_minutes": 45}),
            (
                json!({"student_id": "org_a-student-21", "teacher_id": "org_a-teacher-1",
                    "date": "2026-06-02", "start_time": "15:30", "duration_minutes": 45}),
                "schedule_conflict",
            ),
        ),
        row(
            "4.2.2",
            "create_backup",
            &["backup_type", "include_files"],
            WRITES,
            json!({}),
            (json!({"backup_type": "weekly"}), "invalid_arguments"),
        ),
        row(
            "4.2.2",
            "view_audit_log",
            &["limit", "action_type", "user_id", "date_range"],
            READS,
            json!({"action_type": "add_user"}),
            (json!({"limit": 501}), "invalid_arguments"),
        ),
    ]
}

#[tokio::test]
async fn s4_001_to_013_031_tools_are_published_as_the_contract_has_them() {
    let campus = Campus::new().await;
    let reply = campus.admin().request("tools/list", json!({})).await;
    let tools = reply.result()["tools"].as_array().expect("tools");
    assert_eq!(tools.len(), rows().len());
    for (row, tool) in rows().iter().zip(tools) {
        let place = format!("{} {}", row.id, row.tool);
        assert_eq!(tool["name"], row.tool, "{place}");
        assert!(tool["title"].is_string(), "{place}: no title");
        assert!(
            tool["outputSchema"].is_object(),
            "{place}: no output schema"
        );
        let about = tool["description"].as_str().unwrap_or_default().len();
        assert!((80..=1024).contains(&about), "{place}: {about} characters");
        let schema = &tool["inputSchema"];
        let required = schema["required"].as_array().cloned().unwrap_or_default();
        let properties = schema["properties"]
            .as_object()
            .cloned()
            .unwrap_or_default();
        let mut published: Vec<String> = properties
            .iter()
            .map(|(name, schema)| {
                let about = schema["description"].as_str().unwrap_or_default();
                assert!(!about.is_empty(), "{place}: {name} says nothing");
                let star = if required.contains(&json!(name)) {
                    "*"
                } else {
                    ""
                };
                format!("{name}{star}")
            })
            .collect();
        published.sort();
        let mut expected: Vec<&str> = row.parameters.to_vec();
        expected.sort_unstable();
        assert_eq!(published, expected, "{place}");
        let hints = [
            "readOnlyHint",
            "destructiveHint",
            "idempotentHint",
            "openWorldHint",
        ];
        for (hint, expected) in hints.iter().zip(row.effects) {
            assert_eq!(tool["annotations"][hint], expected, "{place}: {hint}");
        }
    }
}

/// `(tool, pointer into its input schema, what stands there)`
const LIMITS: &[(&str, &str, &str)] = &[
    ("add_user", "/properties/password/minLength", "8"),
    ("add_user", "/properties/password/writeOnly", "true"),
    ("add_user", "/properties/send_welcome_email/default", "true"),
    ("add_user", "/properties/name/minLength", "1"),
    ("create_class", "/properties/capacity/minimum", "1"),
    ("process_payment", "/properties/amount/minimum", "1"),
    (
        "process_payment",
        "/properties/method/default",
        "\"stripe\"",
    ),
    ("record_payment", "/properties/amount/minimum", "1"),
    ("create_invoice", "/properties/amount/minimum", "0"),
    ("list_invoices", "/properties/limit/minimum", "1"),
    ("list_invoices", "/properties/limit/maximum", "200"),
    ("list_invoices", "/properties/limit/default", "50"),
    (
        "create_backup",
        "/properties/backup_type/default",
        "\"full\"",
    ),
    (
        "create_backup",
        "/properties/include_files/default",
        "false",
    ),
    ("view_audit_log", "/properties/limit/maximum", "500"),
    ("view_audit_log", "/properties/limit/default", "50"),
];

#[tokio::test]
async fn s4_031_032_limits_and_defaults_are_published() {
    let campus = Campus::new().await;
    let reply = campus.admin().request("tools/list", json!({})).await;
    for (tool, pointer, expected) in LIMITS {
        let tools = reply.result()["tools"].as_array().expect("tools");
        let schema = tools
            .iter()
            .find(|listed| listed["name"] == *tool)
            .expect("listed");
        let found = schema["inputSchema"]
            .pointer(pointer)
            .cloned()
            .unwrap_or_default();
        assert_eq!(found.to_string(), *expected, "{tool} {pointer}");
    }
}

#[tokio::test]
async fn s4_025_033_every_tool_answers_good_and_bad_calls_as_it_published() {
    let campus = Campus::new().await;
    let admin = campus.admin();
    let listed = admin.request("tools/list", json!({})).await;
    for row in rows() {
        let tools = listed.result()["tools"].as_array().expect("tools");
        let tool = tools
            .iter()
            .find(|tool| tool["name"] == row.tool)
            .expect("listed");
        let schema = jsonschema::draft202012::new(&tool["outputSchema"]).expect("a schema");
        let mut reply = admin.call(row.tool, row.good.clone()).await;
        if reply.result()["isError"] == true && reply.code() == "confirmation_required" {
            let mut again = row.good.clone();
            again["confirm_token"] = reply.result()["structuredContent"]["confirm_token"].clone();
            reply = admin.call(row.tool, again).await;
        }
        let errors: Vec<String> = schema
            .iter_errors(reply.structured())
            .map(|error| error.to_string())
            .collect();
        assert!(errors.is_empty(), "{} {}: {errors:?}", row.id, row.tool);
        let mirror: Value = serde_json::from_str(reply.text()).expect("a mirror in JSON");
        assert_eq!(&mirror, reply.structured(), "{}", row.tool);

        let refused = admin.call(row.tool, row.bad.0).await;
        assert_eq!(
            refused.code(),
            row.bad.1,
            "{} {}: {}",
            row.id,
            row.tool,
            refused.body
        );
    }
}

/// S4-049: neither without the role nor without the scope, and never without a tenant.
#[tokio::test]
async fn s4_049_role_scope_and_tenant_are_looked_at_in_every_call() {
    let campus = Campus::new().await;
    let somebody = || campus.server.as_user("ada");
    let no_role = somebody().tenant("org_a").scopes(["school:admin"]);
    let no_tenant = somebody().roles(["admin"]).scopes(["school:admin"]);
    let no_scope = somebody().tenant("org_a").roles(["admin"]);
    for row in rows() {
        for client in [&no_role, &no_tenant] {
            let refused = client.call(row.tool, row.good.clone()).await;
            let unknown = client.call("no_such_tool", json!({})).await;
            assert_eq!(refused.status, unknown.status, "{}", row.tool);
            assert_eq!(
                refused.error()["code"],
                unknown.error()["code"],
                "{}",
                row.tool
            );
        }
        let refused = no_scope.call(row.tool, row.good.clone()).await;
        assert_eq!(refused.status, 403, "{}: {}", row.tool, refused.body);
    }
}

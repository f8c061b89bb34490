//! school.md 4.2, row by row: one good and one bad call of each tool, with results that match what
//! was published.

use serde_json::{Value, json};

use super::Campus;

/// A tool with the row of acceptance.csv (or its section), a call that goes well, and one that is
/// refused with its code.
struct Row {
    id: &'static str,
    tool: &'static str,
    good: Value,
    bad: (Value, &'static str),
}

fn rows() -> Vec<Row> {
    let row = |id, tool, good, bad| Row {
        id,
        tool,
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
            json!({"email": "New.One@example.com", "name": "New One", "role": "student"}),
            (
                json!({"email": "no address", "name": "X", "role": "student"}),
                "invalid_email",
            ),
        ),
        row(
            "S4-002",
            "create_class",
            new_class,
            (ends_early, "ends_before_start"),
        ),
        row(
            "S4-003",
            "create_enrollment",
            json!({"user_id": student, "class_id": class}),
            (
                json!({"user_id": student, "class_id": "none"}),
                "class_not_found",
            ),
        ),
        row(
            "S4-003",
            "enroll_student",
            json!({"student_id": "org_a-student-21", "class_id": class}),
            (
                json!({"student_id": "org_a-teacher-1", "class_id": class}),
                "not_a_student",
            ),
        ),
        row(
            "S4-004",
            "get_student_info",
            json!({"name": "Ada Abbott"}),
            (json!({"name": "Nobody"}), "student_not_found"),
        ),
        row(
            "S4-005",
            "process_payment",
            json!({"student_id": "org_a-student-01", "amount": 1000, "idempotency_key": "k"}),
            (
                json!({"student_id": "org_a-student-01", "amount": 1_000_000, "idempotency_key": "l"}),
                "amount_too_high",
            ),
        ),
        row(
            "S4-006",
            "record_payment",
            json!({"invoice_id": "org_a-invoice-02", "amount": 500, "payment_method": "cash"}),
            (
                json!({"invoice_id": "none", "amount": 5, "payment_method": "cash"}),
                "invoice_not_found",
            ),
        ),
        row(
            "S4-007",
            "list_export_templates",
            json!({}),
            (json!({"x": 1}), "invalid_arguments"),
        ),
        row(
            "S4-007",
            "generate_excel_export",
            json!({"template_id": "user_roster_v1"}),
            (json!({"template_id": "none"}), "template_not_found"),
        ),
        row(
            "S4-008",
            "generate_csv_export",
            json!({"template_id": "payment_ledger_v1"}),
            (
                json!({"template_id": "user_roster_v1", "filename": "../x"}),
                "invalid_arguments",
            ),
        ),
        row(
            "S4-009",
            "modify_user",
            json!({"user_id": "org_a-student-22", "name": "Another Name"}),
            (json!({"user_id": "none", "name": "X"}), "user_not_found"),
        ),
        row(
            "S4-010",
            "delete_user",
            json!({"user_id": "org_a-student-23", "confirm": true}),
            (
                json!({"user_id": "org_a-student-23", "confirm": false}),
                "not_confirmed",
            ),
        ),
        row(
            "S4-011",
            "modify_class",
            json!({"class_id": class, "schedule": "Tue, Thu 10:00-11:30"}),
            (json!({"class_id": class, "capacity": 1}), "class_full"),
        ),
        row(
            "S4-012",
            "generate_report",
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
            json!({"status": "overdue", "limit": 2}),
            (json!({"cursor": "*"}), "invalid_cursor"),
        ),
        row(
            "S4-013",
            "create_invoice",
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
            json!({}),
            (json!({"backup_type": "weekly"}), "invalid_arguments"),
        ),
        row(
            "4.2.2",
            "view_audit_log",
            json!({"action_type": "add_user"}),
            (json!({"limit": 501}), "invalid_arguments"),
        ),
    ]
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

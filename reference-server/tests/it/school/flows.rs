//! Work that takes several calls, and the rules of a school.

use mcp_runtime::Caller;
use mcp_runtime::testing::TestClient;
use serde_json::{Value, json};

use super::{Campus, code, ok, read};

#[tokio::test]
async fn s4_066_add_a_user_then_enrol_and_the_roster_shows_it() {
    let campus = Campus::new().await;
    let admin = campus.admin();
    let before = read(&admin, "admin://user_roster").await;
    let listed = read(&admin, "admin://class_list").await;
    let user = json!({"email": "Zoe@Example.com", "name": " Zoe Zimmer ", "role": "student"});
    let added = ok(&admin, "add_user", user).await;
    assert_eq!(added["email"], "zoe@example.com");
    assert_eq!(added["welcome_email_sent"], true);
    let place = json!({"user_id": added["user_id"], "class_id": "org_a-class-1"});
    let enrolled = ok(&admin, "create_enrollment", place.clone()).await;
    assert_eq!(enrolled["status"], "active");
    assert_eq!(enrolled["enrollment_date"], "2026-06-01");
    assert_eq!(enrolled["seats_left"], 5);

    let after = read(&admin, "admin://user_roster").await;
    assert_eq!(
        after["total"],
        before["total"].as_i64().expect("a number") + 1
    );
    assert!(after.to_string().contains("Zoe Zimmer"), "{after}");
    let count = |list: &Value| {
        let classes = list["classes"].as_array().expect("classes");
        let class = classes.iter().find(|class| class["id"] == "org_a-class-1");
        class.expect("listed")["enrolled"]
            .as_i64()
            .expect("a number")
    };
    let now = read(&admin, "admin://class_list").await;
    assert_eq!(
        count(&now),
        count(&listed) + 1,
        "not dropped from the cache"
    );

    assert_eq!(
        code(
            &admin
                .call(
                    "enroll_student",
                    json!({"student_id": added["user_id"], "class_id": "org_a-class-1"})
                )
                .await
        ),
        "already_enrolled"
    );
}

/// S4-058: the password is nowhere but in the letter.
#[tokio::test]
async fn s4_058_a_password_never_comes_back() {
    let campus = Campus::new().await;
    let admin = campus.admin();
    let user = json!({"email": "a1@example.com", "name": "A", "role": "teacher"});
    let made = admin.call("add_user", user).await;
    let letters = campus.letters();
    let letter = letters.first().expect("a letter").replace("=\r\n", "");
    let made_up = letter
        .split("first password is ")
        .nth(1)
        .expect("a password");
    let made_up = made_up.split_whitespace().next().expect("a word");
    assert!(made_up.len() >= 40, "{made_up}");
    assert!(!made.body.to_string().contains(made_up));

    let user = json!({"email": "a2@example.com", "name": "A", "role": "teacher",
        "password": "correct horse", "send_welcome_email": false});
    let chosen = ok(&admin, "add_user", user).await;
    assert_eq!(chosen["welcome_email_sent"], false);
    assert_eq!(campus.letters().len(), 1);
    let log = ok(&admin, "view_audit_log", json!({})).await;
    let roster = read(&admin, "admin://user_roster").await;
    for text in [&chosen, &log, &roster] {
        let text = text.to_string();
        assert!(
            !text.contains("correct horse") && !text.contains("pbkdf2"),
            "{text}"
        );
    }
}

#[tokio::test]
async fn s4_001_an_address_is_taken_once_and_free_after_a_deletion() {
    let campus = Campus::new().await;
    let admin = campus.admin();
    let user = json!({"email": "twice@example.com", "name": "A", "role": "student"});
    let first = ok(&admin, "add_user", user.clone()).await;
    let mut again = user.clone();
    again["email"] = json!("TWICE@example.com");
    let reply = admin.call("add_user", again).await;
    assert_eq!(code(&reply), "email_taken");
    assert!(
        reply.result()["content"][0]["text"]
            .to_string()
            .contains("Email already registered")
    );
    let other = json!({"user_id": "org_a-student-01", "email": "twice@example.com"});
    assert_eq!(code(&admin.call("modify_user", other).await), "email_taken");

    // Another school's users are another matter.
    ok(&campus.admin_of("org_b"), "add_user", user.clone()).await;

    let gone = delete(&admin, first["user_id"].as_str().expect("an id")).await;
    assert_eq!(gone["status"], "archived");
    ok(&admin, "add_user", user).await;
}

#[tokio::test]
async fn s4_010_060_a_deletion_is_confirmed() {
    let campus = Campus::new().await;
    let admin = campus.admin();
    let arguments = json!({"user_id": "org_a-student-01", "confirm": true});
    let unsure = json!({"user_id": "org_a-student-01", "confirm": false});
    assert_eq!(
        code(&admin.call("delete_user", unsure).await),
        "not_confirmed"
    );

    let preview = admin.call("delete_user", arguments.clone()).await;
    assert_eq!(code(&preview), "confirmation_required");
    let token = preview.result()["structuredContent"]["confirm_token"].clone();
    ok(
        &admin,
        "get_student_info",
        json!({"student_id": "org_a-student-01"}),
    )
    .await;
    // The token is for this user and this caller.
    let stolen = json!({"user_id": "org_a-student-02", "confirm": true, "confirm_token": token});
    assert_eq!(
        code(&admin.call("delete_user", stolen).await),
        "confirm_token_invalid"
    );
    let mut confirmed = arguments.clone();
    confirmed["confirm_token"] = token;
    let gone = ok(&admin, "delete_user", confirmed).await;
    assert_eq!(gone["enrollments_dropped"], 1);
    let info = admin
        .call(
            "get_student_info",
            json!({"student_id": "org_a-student-01"}),
        )
        .await;
    assert_eq!(code(&info), "student_not_found");
    let log = ok(
        &admin,
        "view_audit_log",
        json!({"action_type": "delete_user"}),
    )
    .await;
    assert_eq!(log["entries"][0]["resource_id"], "org_a-student-01");
    assert_eq!(log["entries"][0]["user_id"], "admin");
}

#[tokio::test]
async fn s4_009_010_nobody_removes_themselves_or_the_last_admin() {
    let campus = Campus::new().await;
    let admin = campus.admin();
    let demote = |id: &str| json!({"user_id": id, "role": "teacher"});
    assert_eq!(
        code(&admin.call("modify_user", demote("org_a-admin-1")).await),
        "own_account"
    );
    let changed = ok(&admin, "modify_user", demote("org_a-admin-2")).await;
    assert_eq!(
        changed["changes"],
        json!([{"field": "role", "old": "admin", "new": "teacher"}])
    );
    // Somebody whose token says admin, and who is no user of the school.
    let other = campus.server.as_caller(
        Caller::user("visitor")
            .tenant("org_a")
            .roles(["admin"])
            .scopes(["school:admin"]),
    );
    assert_eq!(
        code(&other.call("modify_user", demote("org_a-admin-1")).await),
        "last_admin"
    );
    let suspend = json!({"user_id": "org_a-admin-1", "status": "suspended"});
    assert_eq!(
        code(&other.call("modify_user", suspend).await),
        "last_admin"
    );
}

/// An identity provider has names of its own for people: their verified address says who they are.
#[tokio::test]
async fn s4_009_010_an_admin_is_known_by_the_verified_address() {
    let campus = Campus::new().await;
    let user = json!({"email": "nina@example.com", "name": "Nina", "role": "admin",
        "send_welcome_email": false});
    let nina = ok(&campus.admin(), "add_user", user).await["user_id"].clone();
    let called = |email: &str| {
        campus.server.as_caller(
            Caller::user("provider|77")
                .tenant("org_a")
                .email(email)
                .roles(["admin"])
                .scopes(["school:admin"]),
        )
    };
    let own = called("Nina@Example.com");
    let demote = json!({"user_id": nina, "role": "teacher"});
    assert_eq!(
        code(&own.call("modify_user", demote.clone()).await),
        "own_account"
    );
    let mut delete = json!({"user_id": nina, "confirm": true});
    let preview = own.call("delete_user", delete.clone()).await;
    delete["confirm_token"] = preview.result()["structuredContent"]["confirm_token"].clone();
    assert_eq!(code(&own.call("delete_user", delete).await), "own_account");
    ok(&called("other@example.com"), "modify_user", demote).await;
}

async fn delete(client: &TestClient, user_id: &str) -> Value {
    let arguments = json!({"user_id": user_id, "confirm": true});
    let preview = client.call("delete_user", arguments.clone()).await;
    let mut confirmed = arguments;
    confirmed["confirm_token"] = preview.result()["structuredContent"]["confirm_token"].clone();
    ok(client, "delete_user", confirmed).await
}

#[tokio::test]
async fn s4_002_003_011_places_and_times() {
    let campus = Campus::new().await;
    let admin = campus.admin();
    let full = json!({"user_id": "org_a-student-01", "class_id": "org_a-class-4"});
    let reply = admin.call("create_enrollment", full.clone()).await;
    assert_eq!(code(&reply), "class_full");
    assert!(reply.body.to_string().contains("(2/2)"), "{}", reply.body);
    ok(
        &admin,
        "modify_class",
        json!({"class_id": "org_a-class-4", "capacity": 3}),
    )
    .await;
    assert_eq!(ok(&admin, "create_enrollment", full).await["seats_left"], 0);

    let class = |schedule: &str, teacher: &str| {
        json!({"name": "X", "level": "Beginner",
        "capacity": 3, "teacher_id": teacher, "schedule": schedule, "start_date": "2026-06-01"})
    };
    let at_once = class("Wednesday 19:00-20:00", "org_a-teacher-1");
    assert_eq!(
        code(&admin.call("create_class", at_once).await),
        "schedule_conflict"
    );
    let student = class("Wed 19:00-20:00", "org_a-student-01");
    assert_eq!(
        code(&admin.call("create_class", student).await),
        "not_a_teacher"
    );
    let created = ok(
        &admin,
        "create_class",
        class("Wed 19:00-20:00", "org_a-teacher-2"),
    )
    .await;
    // The student is in the class of Wed 18:00-19:30.
    let both = json!({"user_id": "org_a-student-01", "class_id": created["class_id"]});
    assert_eq!(
        code(&admin.call("create_enrollment", both.clone()).await),
        "schedule_conflict"
    );
    let cancel = json!({"class_id": created["class_id"], "status": "cancelled"});
    ok(&admin, "modify_class", cancel).await;
    assert_eq!(
        code(&admin.call("create_enrollment", both).await),
        "class_not_active"
    );
}

/// 4.2.2: admins, and the teacher of the class.
#[tokio::test]
async fn attendance_is_recorded_by_the_teacher_of_the_class() {
    let campus = Campus::new().await;
    let teacher = |id: &str| {
        campus.server.as_caller(
            Caller::user(id)
                .tenant("org_a")
                .roles(["teacher"])
                .scopes(["school:attendance"]),
        )
    };
    let (mine, other) = (teacher("org_a-teacher-3"), teacher("org_a-teacher-2"));
    assert_eq!(mine.tools().await, ["record_attendance"]);
    let session = |day: &str| {
        json!({"class_id": "org_a-class-3", "session_date": day,
        "attendance_records": [{"student_id": "org_a-student-13", "status": "absent"},
            {"student_id": "org_a-student-14", "status": "excused"}]})
    };
    assert_eq!(
        code(&other.call("record_attendance", session("2026-06-01")).await),
        "not_your_class"
    );
    assert_eq!(
        code(&mine.call("record_attendance", session("2026-06-02")).await),
        "no_session_then"
    );
    let recorded = ok(&mine, "record_attendance", session("2026-06-01")).await;
    assert_eq!(
        (&recorded["recorded"], &recorded["present"]),
        (&json!(2), &json!(0))
    );
    let overview = read(&campus.admin(), "admin://attendance_overview").await;
    assert_eq!(
        overview["classes_with_low_attendance"][0]["class_id"],
        "org_a-class-3"
    );
}

/// A teacher made by add_user, whose `sub` nobody has told the school.
#[tokio::test]
async fn attendance_is_recorded_by_a_teacher_known_by_the_verified_address() {
    let campus = Campus::new().await;
    let admin = campus.admin();
    let user = json!({"email": "Nina@Example.com", "name": "Nina", "role": "teacher",
        "send_welcome_email": false});
    let nina = ok(&admin, "add_user", user.clone()).await["user_id"].clone();
    ok(&campus.admin_of("org_b"), "add_user", user).await;
    let class = json!({"name": "New", "level": "Beginner", "capacity": 3, "teacher_id": nina,
        "schedule": "by arrangement", "start_date": "2026-06-01"});
    let class = ok(&admin, "create_class", class).await["class_id"].clone();
    let place = json!({"user_id": "org_a-student-24", "class_id": class});
    ok(&admin, "create_enrollment", place).await;
    let session = json!({"class_id": class, "session_date": "2026-06-01",
        "attendance_records": [{"student_id": "org_a-student-24", "status": "present"}]});
    let teacher = |tenant: &str| {
        Caller::user("provider|78")
            .tenant(tenant)
            .roles(["teacher"])
            .scopes(["school:attendance"])
    };
    let rows = [
        (teacher("org_a"), "not_your_class"),
        (teacher("org_a").email("tara@example.com"), "not_your_class"),
        (
            teacher("org_b").email("nina@example.com"),
            "class_not_found",
        ),
    ];
    for (caller, expected) in rows {
        let name = format!("{caller:?}");
        let reply = campus.server.as_caller(caller);
        let reply = reply.call("record_attendance", session.clone()).await;
        assert_eq!(code(&reply), expected, "{name}");
    }
    let own = campus
        .server
        .as_caller(teacher("org_a").email("nina@EXAMPLE.com"));
    let recorded = ok(&own, "record_attendance", session).await;
    assert_eq!(recorded["present"], 1);
}

#[tokio::test]
async fn backups_hold_one_tenant_and_no_secrets() {
    let campus = Campus::new().await;
    let admin = campus.admin();
    let early = json!({"backup_type": "incremental"});
    assert_eq!(
        code(&admin.call("create_backup", early.clone()).await),
        "no_backup_yet"
    );
    campus.clock.advance(std::time::Duration::from_secs(60));
    let full = ok(&admin, "create_backup", json!({})).await;
    let path = campus
        .folder
        .path()
        .join("backups")
        .join(full["place"].as_str().expect("a place"));
    let text = std::fs::read_to_string(path).expect("a backup");
    assert_eq!(text.len() as u64, full["size_bytes"]);
    let copy: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(copy["tables"]["people"].as_array().map(Vec::len), Some(29));
    assert!(
        !text.contains("org_b") && !text.contains("password"),
        "of others, or secret"
    );

    campus.clock.advance(std::time::Duration::from_secs(60));
    ok(
        &admin,
        "modify_user",
        json!({"user_id": "org_a-student-01", "name": "Changed"}),
    )
    .await;
    let next = ok(&admin, "create_backup", early).await;
    let path = campus
        .folder
        .path()
        .join("backups")
        .join(next["place"].as_str().expect("a place"));
    let copy: Value =
        serde_json::from_str(&std::fs::read_to_string(path).expect("a backup")).expect("JSON");
    assert_eq!(copy["tables"]["people"].as_array().map(Vec::len), Some(1));
    let status = read(&admin, "admin://system_status").await;
    assert_eq!(status["last_backup"], "2026-06-01T12:02:00Z");
}

/// A teacher of the first school, new and with nothing to do.
async fn new_teacher(admin: &TestClient, name: &str) -> Value {
    let user = json!({"email": format!("{name}@example.com"), "name": name, "role": "teacher",
        "send_welcome_email": false});
    ok(admin, "add_user", user).await["user_id"].clone()
}

#[tokio::test]
async fn s4_002_times_are_read_as_people_write_them() {
    let rows = [
        (
            "Mon 18:00-19:00, Wed 10:00-11:00",
            "Mon 18:00-19:00",
            "schedule_conflict",
        ),
        (
            "Mon 18:00-19:00; Wed 10:00-11:00",
            "Wed 10:30-11:30",
            "schedule_conflict",
        ),
        ("Mon 18:00-19:00; Wed 10:00-11:00", "Mon 10:30-11:30", ""),
        ("Mon 18:00 - 19:00", "Mon 18:30-19:30", "schedule_conflict"),
        ("Mon 18:00 – 19:00", "Mon 18:30-19:30", "schedule_conflict"),
        (
            "Thurs 18:00-19:00",
            "Thursday 18:30-19:00",
            "schedule_conflict",
        ),
        ("Tues 9:00-10:00", "Tue 09:30-10:30", "schedule_conflict"),
        (
            "Sat 22:00-24:00",
            "Saturdays 23:30-23:45",
            "schedule_conflict",
        ),
        (
            "Sat-Mon 10:00-11:00",
            "Sun 10:00-11:00",
            "schedule_conflict",
        ),
        ("Sat-Mon 10:00-11:00", "Tue 10:00-11:00", ""),
        ("Mon 22:00-01:00", "mon 22:00-01:00 ", "schedule_conflict"),
        ("Mon 22:00-01:00", "Mon 22:30-23:00", ""),
    ];
    let campus = Campus::new().await;
    let admin = campus.admin();
    for (row, (one, two, expected)) in rows.into_iter().enumerate() {
        let teacher = new_teacher(&admin, &format!("n{row}")).await;
        let class = |schedule: &str| {
            json!({"name": "X", "level": "Beginner", "capacity": 3, "teacher_id": teacher,
                "schedule": schedule, "start_date": "2026-06-01"})
        };
        ok(&admin, "create_class", class(one)).await;
        let reply = admin.call("create_class", class(two)).await;
        let said = match reply.result()["isError"] == true {
            true => code(&reply),
            false => String::new(),
        };
        assert_eq!(said, expected, "{one} / {two}");
    }
}

/// Whatever the status of the class; only a class that takes place needs a teacher who is free.
#[tokio::test]
async fn s4_011_whoever_is_named_as_its_teacher_is_one() {
    let campus = Campus::new().await;
    let admin = campus.admin();
    let class = "org_a-class-1";
    let teaches = |teacher: &str| json!({"class_id": class, "teacher_id": teacher});
    for status in ["active", "completed", "cancelled"] {
        let change = json!({"class_id": class, "status": status});
        ok(&admin, "modify_class", change).await;
        for (teacher, expected) in [
            ("none", "user_not_found"),
            ("org_b-teacher-1", "user_not_found"),
            ("org_a-student-01", "not_a_teacher"),
            ("org_a-admin-2", "not_a_teacher"),
        ] {
            let reply = admin.call("modify_class", teaches(teacher)).await;
            assert_eq!(code(&reply), expected, "{status} {teacher}");
        }
        ok(&admin, "modify_class", teaches("org_a-teacher-2")).await;
    }
    let busy = json!({"class_id": class, "teacher_id": "org_a-teacher-2",
        "schedule": "Tue 09:30-10:30"});
    ok(&admin, "modify_class", busy).await;
    let back = json!({"class_id": class, "status": "active"});
    let reply = admin.call("modify_class", back).await;
    assert_eq!(code(&reply), "schedule_conflict");
}

/// The student is in the class of Mon, Wed 18:00-19:30.
#[tokio::test]
async fn s4_011_a_class_does_not_move_to_where_its_students_are_elsewhere() {
    let campus = Campus::new().await;
    let admin = campus.admin();
    let evening = "org_a-class-1";
    let joined = async |name: &str, schedule: &str, start: &str| {
        let teacher = new_teacher(&admin, name).await;
        let class = json!({"name": name, "level": "Beginner", "capacity": 3,
            "teacher_id": teacher, "schedule": schedule, "start_date": start});
        let class = ok(&admin, "create_class", class).await["class_id"].clone();
        let place = json!({"user_id": "org_a-student-01", "class_id": class});
        ok(&admin, "create_enrollment", place).await;
        class
    };
    let refused = async |change: Value, with: &Value| {
        let reply = admin.call("modify_class", change.clone()).await;
        assert_eq!(code(&reply), "schedule_conflict", "{change}");
        let facts = &reply.result()["structuredContent"];
        assert_eq!(facts["class_id"], *with, "{change}");
    };
    let sunday = joined("sunday", "Sun 10:00-11:00", "2026-06-01").await;
    let wednesday = "Wed 19:00-20:00";
    let moved = json!({"class_id": sunday, "schedule": wednesday});
    refused(moved.clone(), &json!(evening)).await;
    let cancelled = json!({"class_id": sunday, "status": "cancelled"});
    ok(&admin, "modify_class", cancelled).await;
    ok(&admin, "modify_class", moved).await;
    let back = json!({"class_id": sunday, "status": "active"});
    refused(back.clone(), &json!(evening)).await;

    // One ends before the other begins.
    let end = |day: &str| json!({"class_id": evening, "end_date": day});
    ok(&admin, "modify_class", end("2026-06-30")).await;
    let monday = joined("monday", "Mon 18:00-19:00", "2026-07-01").await;
    refused(end("2026-07-31"), &monday).await;
    let early = json!({"class_id": monday, "start_date": "2026-06-15"});
    refused(early, &json!(evening)).await;
    let renamed = json!({"class_id": monday, "name": "July", "capacity": 4});
    ok(&admin, "modify_class", renamed).await;

    // Who is not in it any more is not in the way.
    delete(&admin, "org_a-student-01").await;
    ok(&admin, "modify_class", back).await;
    ok(&admin, "modify_class", end("2026-07-31")).await;
}

#[tokio::test]
async fn attendance_is_recorded_by_nobody_who_is_suspended() {
    let campus = Campus::new().await;
    let admin = campus.admin();
    let teacher = |id: &str| {
        campus.server.as_caller(
            Caller::user(id)
                .tenant("org_a")
                .roles(["teacher"])
                .scopes(["school:attendance"]),
        )
    };
    let session = json!({"class_id": "org_a-class-3", "session_date": "2026-06-01",
        "attendance_records": [{"student_id": "org_a-student-13", "status": "present"}]});
    for status in ["suspended", "archived"] {
        let change = json!({"user_id": "org_a-teacher-3", "status": status});
        ok(&admin, "modify_user", change).await;
        for (id, expected) in [
            ("org_a-teacher-3", "user_not_active"),
            ("org_a-teacher-2", "not_your_class"),
        ] {
            let reply = teacher(id).call("record_attendance", session.clone()).await;
            assert_eq!(code(&reply), expected, "{status} {id}");
        }
        ok(&admin, "record_attendance", session.clone()).await;
    }
    let change = json!({"user_id": "org_a-teacher-3", "status": "active"});
    ok(&admin, "modify_user", change).await;
    ok(&teacher("org_a-teacher-3"), "record_attendance", session).await;
}

#[tokio::test]
async fn the_audit_log_takes_all_ranges_that_are_in_order() {
    let campus = Campus::new().await;
    let admin = campus.admin();
    let rename = json!({"user_id": "org_a-student-01", "name": "Changed"});
    ok(&admin, "modify_user", rename).await;
    for (range, entries) in [
        (json!({}), 1),
        (json!({"end_date": "9999-12-31"}), 1),
        (json!({"end_date": "9999-12-30"}), 1),
        (
            json!({"start_date": "0001-01-01", "end_date": "9999-12-31"}),
            1,
        ),
        (json!({"start_date": "9999-12-31"}), 0),
        (
            json!({"start_date": "2026-06-01", "end_date": "2026-06-01"}),
            1,
        ),
        (json!({"end_date": "2026-05-31"}), 0),
        (json!({"start_date": "2026-06-02"}), 0),
    ] {
        let log = ok(&admin, "view_audit_log", json!({"date_range": range})).await;
        assert_eq!(log["total"], entries, "{range}");
    }
    let turned = json!({"date_range": {"start_date": "2026-06-02", "end_date": "2026-06-01"}});
    let reply = admin.call("view_audit_log", turned).await;
    assert_eq!(code(&reply), "ends_before_start");
}

#[tokio::test]
async fn the_audit_log_is_searched_by_the_names_of_tools() {
    let campus = Campus::new().await;
    let admin = campus.admin();
    let class = "org_a-class-1";
    let places = [
        (
            "create_enrollment",
            json!({"user_id": "org_a-student-23", "class_id": class}),
        ),
        (
            "enroll_student",
            json!({"student_id": "org_a-student-24", "class_id": class}),
        ),
    ];
    let roster = json!({"template_id": "user_roster_v1"});
    let exports =
        ["generate_csv_export", "generate_excel_export"].map(|tool| (tool, roster.clone()));
    for (tool, arguments) in places.into_iter().chain(exports) {
        ok(&admin, tool, arguments).await;
    }
    for (action, resource, entries) in [
        ("create_enrollment", "enrollment", 2),
        ("enroll_student", "enrollment", 2),
        ("generate_csv_export", "export", 2),
        ("generate_excel_export", "export", 2),
        ("export", "export", 2),
        ("list_invoices", "", 0),
    ] {
        let log = ok(&admin, "view_audit_log", json!({"action_type": action})).await;
        let found = log["entries"].as_array().expect("entries");
        assert_eq!(found.len(), entries, "{action}: {log}");
        let fits = |entry: &Value| entry["resource_type"] == resource;
        assert!(found.iter().all(fits), "{action}: {log}");
    }
}

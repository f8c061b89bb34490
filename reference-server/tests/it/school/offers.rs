//! Resources, their subscriptions, and prompts.

use std::sync::Arc;
use std::time::Duration;

use reference_server::school::gateway::TestGateway;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{
    AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream, Lines, ReadHalf, WriteHalf,
};
use tokio::task::AbortHandle;

use super::{Campus, admin_of, ok, read};
use crate::databases::Database;

const URIS: [&str; 5] = [
    "admin://user_roster",
    "admin://class_list",
    "admin://payment_summary",
    "admin://system_status",
    "admin://attendance_overview",
];

#[tokio::test]
async fn s4_014_to_017_resources_are_listed_and_read() {
    let campus = Campus::new().await;
    let admin = campus.admin();
    let listed = admin.request("resources/list", json!({})).await;
    let resources = listed.result()["resources"].as_array().expect("resources");
    let uris: Vec<&str> = resources
        .iter()
        .filter_map(|one| one["uri"].as_str())
        .collect();
    assert_eq!(uris, URIS);
    for resource in resources {
        assert!(
            resource["name"].is_string() && resource["title"].is_string(),
            "{resource}"
        );
        assert_eq!(resource["mimeType"], "application/json");
    }
    let roster = read(&admin, URIS[0]).await;
    assert_eq!(roster["total"], 29);
    let classes = read(&admin, URIS[1]).await;
    assert_eq!(classes["classes"][0]["name"], "Evening Beginners");
    assert_eq!(classes["classes"][0]["teacher_name"], "Tara Teacher");
    let payments = read(&admin, URIS[2]).await;
    assert_eq!(
        (&payments["paid"], &payments["overdue_count"]),
        (&json!(8), &json!(4))
    );
    assert_eq!(payments["period"], "2026-05-03 to 2026-06-01");
    let status = read(&admin, URIS[3]).await;
    assert_eq!(
        (&status["total_users"], &status["total_classes"]),
        (&json!(29), &json!(4))
    );
    let attendance = read(&admin, URIS[4]).await;
    assert_eq!(
        attendance["classes_with_low_attendance"][0]["class_name"],
        "Exam Preparation"
    );

    let teacher = campus
        .server
        .as_user("t")
        .tenant("org_a")
        .roles(["teacher"]);
    let teacher = teacher.scopes(["school:admin", "school:attendance"]);
    for uri in URIS {
        let refused = teacher.request("resources/read", json!({"uri": uri})).await;
        let unknown = teacher
            .request("resources/read", json!({"uri": "admin://x"}))
            .await;
        assert_eq!(refused.error()["code"], unknown.error()["code"], "{uri}");
    }
}

/// A list of a hundred; the rest is in exports.
#[tokio::test]
async fn s4_014_the_roster_ends_after_a_hundred() {
    let campus = Campus::new().await;
    let admin = campus.admin();
    for number in 0..75 {
        let user = json!({"email": format!("n{number}@example.com"), "name": "N",
            "role": "student", "send_welcome_email": false});
        ok(&admin, "add_user", user).await;
    }
    let roster = read(&admin, URIS[0]).await;
    assert_eq!(roster["total"], 104);
    assert_eq!(roster["users"].as_array().map(Vec::len), Some(100));
}

/// Whoever hears of a change may read on a server that did not make it.
#[tokio::test]
async fn s4_014_015_what_one_server_changes_another_reads() {
    let folder = TempDir::new().expect("a folder");
    let database = Database::file(&folder.path().join("school.db"));
    let campus = Campus::on(database, Arc::new(TestGateway)).await;
    let second = campus.beside(Arc::new(TestGateway)).await;
    let (here, there) = (campus.admin(), second.as_caller(admin_of("org_a")));
    for uri in [URIS[0], URIS[1]] {
        read(&there, uri).await;
    }
    let rename = json!({"user_id": "org_a-teacher-1", "name": "Tara Married"});
    ok(&here, "modify_user", rename).await;
    for (client, name) in [(&here, "here"), (&there, "there")] {
        for uri in [URIS[0], URIS[1]] {
            let page = read(client, uri).await.to_string();
            assert!(page.contains("Tara Married"), "{uri} {name}: {page}");
            assert!(!page.contains("Tara Teacher"), "{uri} {name}: {page}");
        }
    }
}

/// Kept for a while: what somebody writes behind our back is seen when the while is over.
#[tokio::test]
async fn s4_014_lists_are_kept_for_minutes() {
    let folder = TempDir::new().expect("a folder");
    let database = Database::file(&folder.path().join("school.db"));
    let campus = Campus::on(database, Arc::new(TestGateway)).await;
    let admin = campus.admin();
    read(&admin, URIS[0]).await;
    let mut behind = campus.database.connect().await;
    sqlx::query("UPDATE people SET name = 'Nobody' WHERE id = 'org_a-teacher-1'")
        .execute(&mut behind)
        .await
        .expect("written");
    for (seconds, seen) in [(299, false), (2, true)] {
        campus.clock.advance(Duration::from_secs(seconds));
        let page = read(&admin, URIS[0]).await.to_string();
        assert_eq!(
            page.contains("Nobody"),
            seen,
            "after {seconds} s more: {page}"
        );
    }
}

/// Somebody of the first school who watches a resource.
struct Watcher {
    lines: Lines<BufReader<ReadHalf<DuplexStream>>>,
    send: WriteHalf<DuplexStream>,
    pipe: AbortHandle,
}

impl Watcher {
    async fn of(campus: &Campus, uri: &str) -> Self {
        let service = campus.service.clone();
        let (near, far) = tokio::io::duplex(1 << 16);
        let (input, output) = tokio::io::split(far);
        let pipe = tokio::spawn(service.pipe(admin_of("org_a"), BufReader::new(input), output));
        let (lines, send) = tokio::io::split(near);
        let mut watcher = Self {
            lines: BufReader::new(lines).lines(),
            send,
            pipe: pipe.abort_handle(),
        };
        let messages = [
            json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
                "protocolVersion": "2025-06-18", "capabilities": {},
                "clientInfo": {"name": "test", "version": "1"}}}),
            json!({"jsonrpc": "2.0", "method": "notifications/initialized"}),
            json!({"jsonrpc": "2.0", "id": 2, "method": "resources/subscribe",
                "params": {"uri": uri}}),
        ];
        for message in messages {
            watcher.say(&message).await;
        }
        while watcher.next().await["id"] != 2 {}
        watcher
    }

    async fn say(&mut self, message: &Value) {
        let line = format!("{message}\n");
        self.send.write_all(line.as_bytes()).await.expect("sent");
    }

    async fn next(&mut self) -> Value {
        let line = tokio::time::timeout(Duration::from_secs(30), self.lines.next_line());
        let line = line
            .await
            .expect("in time")
            .expect("a pipe")
            .expect("a line");
        serde_json::from_str(&line).expect("JSON")
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.pipe.abort();
    }
}

/// S4-018: who watches hears of their own school, and of no other.
#[tokio::test]
async fn s4_018_changes_are_told_to_the_school_they_happen_in() {
    let campus = Campus::new().await;
    let mut watcher = Watcher::of(&campus, URIS[0]).await;
    let user = |name: &str| {
        json!({"email": format!("{name}@example.com"), "name": name,
        "role": "student", "send_welcome_email": false})
    };
    ok(&campus.admin_of("org_b"), "add_user", user("quiet")).await;
    // Whatever was said of the other school would come before this answer.
    let ping = json!({"jsonrpc": "2.0", "id": 3, "method": "ping"});
    watcher.say(&ping).await;
    assert_eq!(watcher.next().await["id"], 3, "heard of another school");
    ok(&campus.admin(), "add_user", user("loud")).await;
    let heard = watcher.next().await;
    assert_eq!(heard["method"], "notifications/resources/updated");
    assert_eq!(heard["params"]["uri"], URIS[0]);
}

/// S4-018: the list of classes names teachers, so it changes with their names.
#[tokio::test]
async fn s4_018_a_new_name_is_a_change_of_the_class_list() {
    let campus = Campus::new().await;
    let mut watcher = Watcher::of(&campus, URIS[1]).await;
    let rename = json!({"user_id": "org_a-teacher-1", "name": "Tara Married"});
    ok(&campus.admin(), "modify_user", rename).await;
    let heard = watcher.next().await;
    assert_eq!(
        heard["method"], "notifications/resources/updated",
        "{heard}"
    );
    assert_eq!(heard["params"]["uri"], URIS[1], "{heard}");
}

/// S4-018: the status says how much room exports take.
#[tokio::test]
async fn s4_018_an_export_is_a_change_of_the_status() {
    let campus = Campus::new().await;
    let admin = campus.admin();
    let mut watcher = Watcher::of(&campus, URIS[3]).await;
    let mut used = read(&admin, URIS[3]).await["storage_used"].as_i64();
    for tool in ["generate_csv_export", "generate_excel_export"] {
        ok(&admin, tool, json!({"template_id": "user_roster_v1"})).await;
        let heard = watcher.next().await;
        assert_eq!(heard["method"], "notifications/resources/updated", "{tool}");
        assert_eq!(heard["params"]["uri"], URIS[3], "{tool}");
        let now = read(&admin, URIS[3]).await["storage_used"].as_i64();
        assert!(now > used, "{tool}: {now:?}");
        used = now;
    }
}

#[tokio::test]
async fn s4_019_to_023_prompts_take_arguments() {
    let campus = Campus::new().await;
    let admin = campus.admin();
    let listed = admin.request("prompts/list", json!({})).await;
    let prompts = listed.result()["prompts"].as_array().expect("prompts");
    let names: Vec<&str> = prompts
        .iter()
        .filter_map(|one| one["name"].as_str())
        .collect();
    assert_eq!(
        names,
        [
            "admin_persona",
            "generate_lesson",
            "quick_report",
            "onboarding_wizard",
            "support_reply"
        ]
    );
    let rows = [
        ("admin_persona", json!({}), "Professional and formal"),
        (
            "admin_persona",
            json!({"tone": "Warm", "language": "German"}),
            "Answer in German",
        ),
        (
            "generate_lesson",
            json!({"topic": "Fractions"}),
            "60 minutes",
        ),
        (
            "quick_report",
            json!({"report_focus": "payments"}),
            "admin://payment_summary",
        ),
        ("quick_report", json!({}), "admin://system_status"),
        ("onboarding_wizard", json!({}), "6. Payments"),
        (
            "support_reply",
            json!({"question": "When is the exam?"}),
            "When is the exam?",
        ),
    ];
    for (name, arguments, expected) in rows {
        let got = admin
            .request("prompts/get", json!({"name": name, "arguments": arguments}))
            .await;
        let message = &got.result()["messages"][0];
        assert_eq!(message["role"], "user", "{name}: T6");
        let text = message["content"]["text"].as_str().expect("a text");
        assert!(text.contains(expected), "{name}: {text}");
    }
    let wrong = json!({"name": "generate_lesson", "arguments": {}});
    assert_eq!(
        admin.request("prompts/get", wrong).await.error()["code"],
        -32602
    );
}

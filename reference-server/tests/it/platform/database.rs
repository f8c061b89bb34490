//! Opening the database, and what happens when it is in trouble.

use mcp_runtime::Clock;
use reference_server::platform::{Mail, OpenError, Platform, RateLimits, Settings};
use serde_json::json;
use sqlx::Executor;
use tokio::net::TcpListener;

use super::{Stage, TOKEN, open, send, send_request};
use crate::databases;

const KEY: &str = "a-confirm-key-of-at-least-32-bytes-for-tests";

/// `(setting at fault, how it is wrong)`
type Fault = (&'static str, fn(&mut Settings));

const FAULTS: &[Fault] = &[
    ("database", |s| {
        s.database = "mysql://user:hunter2@localhost/x".into()
    }),
    ("database", |s| s.database = "sqlite://".into()),
    ("database", |s| {
        s.database = "postgres://user@localhost/x?pasword=hunter2".into()
    }),
    ("service_token", |s| s.service_token = "short".into()),
    ("confirm_keys", |s| s.confirm_keys.clear()),
    ("confirm_keys", |s| {
        s.confirm_keys = vec!["a".repeat(31).into()]
    }),
    ("confirm_keys", |s| {
        s.confirm_keys = vec![KEY.into(), KEY.into()]
    }),
    ("service_account", |s| {
        s.service_account = "admin".to_owned()
    }),
    ("invite_url", |s| {
        s.invite_url = "https://example.com/?x=1".to_owned()
    }),
    ("page_sizes", |s| s.page_sizes.default = 0),
    ("mail", |s| {
        s.mail = Mail::Smtp {
            url: "https://user:hunter2@mail.example.com".into(),
            from: "invites@example.com".to_owned(),
        };
    }),
];

#[tokio::test]
async fn a_wrong_setting_is_named_without_its_secret() {
    for (setting, spoil) in FAULTS {
        let mut settings = Settings::new("sqlite::memory:", TOKEN, KEY);
        spoil(&mut settings);
        match Platform::open(settings, Clock::system()).await {
            Err(error @ OpenError::Setting { .. }) => {
                let text = format!("{error} {error:?}");
                assert!(text.contains(setting), "{setting}: {text}");
                assert!(!text.contains("hunter2"), "{text}");
            }
            Err(other) => panic!("{setting}: {other}"),
            Ok(_) => panic!("{setting}: accepted"),
        }
    }
}

#[test]
fn settings_come_from_a_file_with_defaults_and_without_unknown_keys() {
    let mut file = json!({
        "database": "sqlite::memory:",
        "service_token": TOKEN,
        "confirm_keys": [KEY],
        "mail": {"smtp": {"url": "smtp://mail.example.com"}},
        "rate_limits": "shadow",
    });
    let settings: Settings = serde_json::from_value(file.clone()).expect("settings");
    assert_eq!((settings.founding_cap, settings.demo_data), (100, false));
    assert_eq!(settings.rate_limits, RateLimits::Shadow);
    file["founding_kap"] = json!(5);
    let error = serde_json::from_value::<Settings>(file).expect_err("a misspelt key");
    assert!(error.to_string().contains("founding_kap"), "{error}");
}

#[tokio::test]
async fn everything_works_in_memory_too() {
    let stage = Stage::with(|settings| settings.database = "sqlite::memory:".into()).await;
    let token = stage.token(&["ann@example.com"]).await;
    stage.send(&token, "key").await.ok();
    assert_eq!(stage.letters().len(), 1);
}

#[tokio::test]
async fn an_empty_marketplace_answers_with_nothing_not_with_errors() {
    let stage = Stage::with(|settings| settings.demo_data = false).await;
    for path in [
        "/founding/stuck",
        "/instructors",
        "/instructors/coverage",
        "/search/top-queries",
    ] {
        stage.get(path).await.ok();
    }
    let funnel = stage.get("/founding/funnel").await.ok();
    assert_eq!(funnel["conversion_rates"][0]["rate"], json!(0.0));
    let zero = stage.get("/search/zero-results").await.ok();
    assert_eq!(zero["data"]["zero_result_rate"], json!(0.0));
}

#[tokio::test]
async fn demo_data_is_inserted_once_and_the_same_for_the_same_clock() {
    let mut stage = Stage::new().await;
    let first = stage.get("/instructors?limit=200").await.ok();
    stage.restart().await;
    let again = stage.get("/instructors?limit=200").await.ok();
    assert_eq!(first["items"], again["items"]);
    let other = Stage::new().await.get("/instructors?limit=200").await.ok();
    assert_eq!(first["items"], other["items"]);
}

#[cfg(unix)]
#[tokio::test]
async fn the_database_is_readable_by_its_owner_only() {
    use std::os::unix::fs::PermissionsExt;

    if databases::are_postgres() {
        return; // There is no file.
    }
    let stage = Stage::new().await;
    let file = std::fs::metadata(stage.folder.path().join("platform.db")).expect("a file");
    assert_eq!(file.permissions().mode() & 0o777, 0o600);
}

/// Two platforms in one process are to each other what two processes are: the locks that tell
/// the living from the dead belong to open files.
#[tokio::test]
async fn two_processes_work_on_one_database() {
    let first = Stage::new().await;
    let second = open(&first.settings, &first.clock).await.router();
    let token = first.token(&["ann@example.com"]).await;
    let sent = send(&second, send_request(&[], &token, "key")).await.ok();
    let again = first.send(&token, "key").await.ok();
    assert_eq!(sent["data"], again["data"]);
    assert_eq!(first.letters().len(), 1);
}

#[tokio::test]
async fn what_a_living_process_sends_is_left_to_it() {
    // A mail server that takes the connection and says nothing.
    let mute = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = mute.local_addr().expect("an address");
    let url = format!("smtp://{address}");
    let stage = Stage::with(|settings| settings.mail = Mail::smtp(url.into(), None)).await;
    let token = stage.token(&["ann@example.com"]).await;
    let (router, request) = (stage.router.clone(), send_request(&[], &token, "key"));
    let sending = tokio::spawn(async move { send(&router, request).await });
    let _connection = mute.accept().await.expect("the send has begun");

    let mut settings = stage.settings.clone();
    settings.mail = Mail::Folder(stage.folder.path().join("mail"));
    let second = open(&settings, &stage.clock).await.router();
    let answer = send(&second, send_request(&[], &token, "key")).await;
    answer.refused(409, "idempotency_in_progress");
    assert!(stage.letters().is_empty(), "the second process mailed, too");
    sending.abort();
}

/// Waits for the five seconds that a lock is waited for.
#[tokio::test]
async fn a_locked_database_is_busy_not_broken() {
    let stage = Stage::with(|settings| settings.rate_limits = RateLimits::On).await;
    let mut other = stage.database.connect().await;
    let lock = match databases::are_postgres() {
        true => "BEGIN; LOCK TABLE audit_log IN ACCESS EXCLUSIVE MODE",
        false => "BEGIN IMMEDIATE",
    };
    other.execute(lock).await.expect("the lock");
    let preview = json!({"recipient_emails": ["ann@example.com"]});
    let (refused, read) = tokio::join!(
        stage.preview(preview.clone()),
        stage.get("/instructors/coverage")
    );
    read.ok();
    assert_eq!(refused.headers["retry-after"], "1");
    let body = refused.refused(503, "database_busy");
    assert!(!body.to_string().contains("locked"), "{body}");
    other.execute("ROLLBACK").await.expect("unlocked");
    stage.preview(preview).await.ok();
}

#[tokio::test]
async fn a_broken_database_shows_no_internals() {
    let stage = Stage::new().await;
    let mut db = stage.database.connect().await;
    db.execute("DROP VIEW instructors").await.expect("dropped");
    let body = stage
        .get("/instructors")
        .await
        .refused(500, "internal_error");
    for internal in [
        "SELECT",
        "no such table",
        "does not exist",
        "sqlite",
        "postgres",
        "instructors",
    ] {
        assert!(!body.to_string().contains(internal), "{internal} in {body}");
    }
}

#[tokio::test]
async fn without_its_store_of_keys_nothing_is_sent() {
    let stage = Stage::new().await;
    let token = stage.token(&["ann@example.com"]).await;
    let mut db = stage.database.connect().await;
    db.execute("DROP TABLE mcp_store").await.expect("dropped");
    let answer = stage.send(&token, "key").await;
    answer.refused(503, "idempotency_store_unavailable");
    assert!(stage.letters().is_empty());
}

#[tokio::test]
async fn a_previous_confirm_key_is_accepted_until_it_is_dropped() {
    let mut stage = Stage::new().await;
    let tokens = [
        stage.token(&["ann@example.com"]).await,
        stage.token(&["bob@example.com"]).await,
    ];
    let new = "another-confirm-key-of-at-least-32-bytes";
    stage.settings.confirm_keys.insert(0, new.into());
    stage.restart().await;
    stage.send(&tokens[0], "key-1").await.ok();
    stage.settings.confirm_keys.pop();
    stage.restart().await;
    let refused = stage.send(&tokens[1], "key-2").await;
    refused.refused(400, "MCP_TOKEN_INVALID_SIGNATURE");
}

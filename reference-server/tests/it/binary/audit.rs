//! Limits and audit of the program, as an operator meets them.

use std::process::Output;

use serde_json::{Value, json};

use super::program::Place;

const TOOL: &str = "instainstru_metrics_describe";

fn arguments() -> Value {
    json!({"metric_name": "founding.cap"})
}

fn said(output: &Output) -> String {
    let texts = [&output.stdout, &output.stderr];
    texts.map(|text| String::from_utf8_lossy(text)).concat()
}

#[tokio::test]
async fn au_06_verify_names_the_row_that_was_changed() {
    let place = Place::new();
    let token = place.token(&["--as", "admin"]);
    {
        let server = place.serve(&[]).await;
        for _ in 0..3 {
            server.call(&token, TOOL, arguments()).await.structured();
        }
    }
    // Another process goes on where the first ended.
    let mut pipe = place.pipe(&[]);
    pipe.call(TOOL, arguments());
    pipe.close();
    let log = place.data().join("audit.jsonl");
    let text = std::fs::read_to_string(&log).expect("on by default");
    assert_eq!(text.lines().count(), 4, "{text}");
    assert!(!text.contains(&token), "the token is in the audit log");
    let row: Value = serde_json::from_str(text.lines().next().expect("a row")).expect("JSON");
    assert_eq!(
        (&row["tool"], &row["outcome"]),
        (&json!(TOOL), &json!("ok"))
    );
    assert_eq!(row["address"], "127.0.0.1");

    let whole = place.run(&["audit", "verify"]);
    assert!(whole.status.success(), "{}", said(&whole));
    assert!(said(&whole).contains("4 records"), "{}", said(&whole));
    let changed = text.replacen("\"outcome\":\"ok\"", "\"outcome\":\"no\"", 3);
    let changed = changed.replacen("\"outcome\":\"no\"", "\"outcome\":\"ok\"", 2);
    std::fs::write(&log, changed).expect("written");
    let by_name = log.display().to_string();
    for arguments in [&["audit", "verify"][..], &["audit", "verify", &by_name]] {
        let broken = place.run(arguments);
        assert!(!broken.status.success(), "{}", said(&broken));
        assert!(said(&broken).contains("row 3"), "{}", said(&broken));
    }
    let missing = place.run(&["audit", "verify", "none.jsonl"]);
    assert!(!missing.status.success() && said(&missing).contains("none.jsonl"));
}

#[tokio::test]
async fn au_06_a_database_is_verified_by_its_url() {
    let place = Place::new();
    let url = place.database().unwrap_or("sqlite:audit.db").to_owned();
    let place = place.env("MCP_AUDIT__SQL", &url);
    let token = place.token(&["--as", "admin"]);
    let mut server = place.serve(&[]).await;
    for _ in 0..2 {
        server.call(&token, TOOL, arguments()).await.structured();
    }
    server.kill();
    assert!(!place.data().join("audit.jsonl").exists());
    for arguments in [&["audit", "verify"][..], &["audit", "verify", &url]] {
        let whole = place.run(arguments);
        assert!(
            whole.status.success() && said(&whole).contains("2 records"),
            "{}",
            said(&whole)
        );
        assert!(!said(&whole).contains('@'), "who asks: {}", said(&whole));
    }
}

#[tokio::test]
async fn rl_01_07_the_limits_are_on_unless_switched_off() {
    let place = [
        "REQUESTS",
        "WRITES",
        "CONCURRENT",
        "ANONYMOUS",
        "FAILED_AUTHENTICATIONS",
    ]
    .iter()
    .fold(Place::new(), |place, key| {
        place.without(&format!("MCP_LIMITS__{key}"))
    });
    let reader = place.token(&["--as", "reader"]);
    let admin = place.token(&["--as", "admin"]);
    let server = place.serve(&[]).await;
    let (mut well, mut limited) = (0, 0);
    for _ in 0..30 {
        let reply = server.call(&reader, TOOL, arguments()).await;
        match reply.status.as_u16() {
            200 => well += 1,
            429 => {
                limited += 1;
                assert!(reply.headers.contains_key("retry-after"));
                assert_eq!(reply.body["error"]["data"]["code"], "rate_limited");
            }
            other => panic!("{other}: {}", reply.body),
        }
    }
    assert!(
        well >= 10 && limited >= 1,
        "{well} went well, {limited} did not"
    );
    server.call(&admin, TOOL, arguments()).await.structured();
}

#[test]
fn hi_04_what_would_be_unsafe_does_not_start() {
    for (name, value, expected) in [
        ("MCP_LIMITS__TRUSTED_PROXIES", "0.0.0.0/0", "everybody"),
        ("MCP_LIMITS__TRUSTED_PROXIES", "10.0.0.1, ::/0", "everybody"),
        ("MCP_LIMITS__CONCURRENT", "0", "limits.concurrent"),
        ("MCP_LIMITS__REQUESTS", "0/min", "lets nobody in"),
        ("MCP_LIMITS__WRITES", "fast", "10/min"),
        ("MCP_LIMITS__BURST", "1", "MCP_LIMITS__BURST"),
        ("MCP_AUDIT__PATH", ".", "audit log"),
        ("MCP_AUDIT__SQL", "mysql://localhost/audit", "audit log"),
        ("MCP_AUDIT__MODE", "perhaps", "mode"),
    ] {
        let place = Place::new().without(name).env(name, value);
        let output = place.run(&["serve", "--listen", "127.0.0.1:0"]);
        assert!(!output.status.success(), "{name}={value}");
        assert!(
            said(&output).contains(expected),
            "{name}={value}: {}",
            said(&output)
        );
    }
    let both = Place::new()
        .env("MCP_AUDIT__SQL", "sqlite:a.db")
        .env("MCP_AUDIT__PATH", "a.jsonl");
    let output = both.run(&["serve", "--listen", "127.0.0.1:0"]);
    assert!(!output.status.success() && said(&output).contains("one place"));
}

#[tokio::test]
async fn au_03_10_11_secrets_of_the_program_are_nowhere() {
    let place = Place::new()
        .env("MCP_BACKEND__SERVICE_TOKEN", "CNRY-SERVICE-0123456789")
        .env(
            "MCP_PLATFORM__CONFIRM_KEYS",
            "CNRY-KEY-0123456789-0123456789-0123456789",
        )
        .env("MCP_LOG__FILTER", "trace");
    let token = place.token(&["--as", "admin"]);
    let server = place.serve(&[]).await;
    server.call(&token, TOOL, arguments()).await.structured();
    let guess = server
        .call("CNRY-GUESS-0123456789", TOOL, arguments())
        .await;
    assert_eq!(guess.status, 401);
    let health = server.request(reqwest::Method::GET, "/api/v1/health");
    let health = super::program::Reply::of(health).await.body;
    assert_eq!(health["status"], "ok");
    assert_eq!(health.as_object().expect("an object").len(), 3, "{health}");
    let audit = std::fs::read_to_string(place.data().join("audit.jsonl")).expect("a log");
    let log = server.log();
    assert!(log.contains("serving") && audit.contains(TOOL));
    for (what, text) in [
        ("log", log),
        ("audit", audit),
        ("answer", format!("{health} {}", guess.body)),
        ("command line", server.command_line()),
    ] {
        for canary in ["CNRY", "Q05SWS", &token] {
            assert!(!text.contains(canary), "{canary} in the {what}");
        }
    }
}

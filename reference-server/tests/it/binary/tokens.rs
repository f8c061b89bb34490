//! `reference-server token`, and what a server makes of it.

use serde_json::json;

use super::program::{Place, Running};

async fn status(server: &Running, token: &str) -> u16 {
    let arguments = json!({"metric_name": "founding.cap"});
    server
        .call(token, "instainstru_metrics_describe", arguments)
        .await
        .status
        .as_u16()
}

#[tokio::test]
async fn s0_038_a_token_is_good_whether_it_is_older_or_younger_than_the_server() {
    let place = Place::new();
    let older = place.token(&["--as", "admin"]);
    assert!(
        !place.data().join("platform.db").exists(),
        "a token needs no database"
    );
    let mut server = place.serve(&[]).await;
    assert_eq!(status(&server, &older).await, 200);
    let younger = place.token(&["--as", "reader"]);
    assert_eq!(status(&server, &younger).await, 200);
    server.kill();
    let server = place.serve(&[]).await;
    assert_eq!(status(&server, &younger).await, 200);
}

#[tokio::test]
async fn a_token_is_narrowed_taken_back_and_expires() {
    let place = Place::new();
    let server = place.serve(&[]).await;
    let writer = place.token(&["--as", "admin", "--scope", "copilot:write"]);
    assert_eq!(status(&server, &writer).await, 403);
    let token = place.token(&["--as", "admin"]);
    assert_eq!(status(&server, &token).await, 200);

    let file = place.data().join("tokens.jsonl");
    let text = std::fs::read_to_string(&file).expect("the tokens");
    // Expired, and a line of nonsense that spoils nothing.
    let year = text.split("\"expires_at\":\"").nth(1).expect("a date")[..4].to_owned();
    let expired = text.replace(&format!("\"expires_at\":\"{year}"), "\"expires_at\":\"2020");
    std::fs::write(&file, format!("{{\n{expired}")).expect("written");
    assert_eq!(status(&server, &token).await, 401);
    std::fs::write(&file, format!("{{\n\n{text}torn")).expect("written");
    assert_eq!(status(&server, &token).await, 200);
    // Issued after a line that was torn.
    let next = place.token(&["--as", "admin"]);
    assert_eq!(status(&server, &next).await, 200);
    std::fs::write(&file, "").expect("written");
    assert_eq!(status(&server, &token).await, 401);
}

#[test]
fn a_token_stands_alone_on_stdout_and_nowhere_else() {
    let place = Place::new();
    let output = place.run(&["token", "--as", "admin", "--data", "elsewhere"]);
    assert!(output.status.success() && output.stderr.is_empty());
    let printed = String::from_utf8(output.stdout).expect("text");
    let token = printed.strip_suffix('\n').expect("one line");
    assert!(
        token.len() > 40 && token.bytes().all(|byte| byte.is_ascii_graphic()),
        "{token}"
    );
    let kept = std::fs::read_to_string(place.path().join("elsewhere/tokens.jsonl")).expect("kept");
    assert!(
        !kept.contains(token) && kept.contains("\"sha256\""),
        "{kept}"
    );
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let file = std::fs::metadata(place.path().join("elsewhere/tokens.jsonl")).expect("a file");
        assert_eq!(file.permissions().mode() & 0o777, 0o600);
    }
}

#[test]
fn many_tokens_at_once_are_all_kept() {
    let place = Place::new();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| place.token(&["--as", "admin"]));
        }
    });
    let kept = std::fs::read_to_string(place.data().join("tokens.jsonl")).expect("kept");
    let lines = kept
        .lines()
        .filter(|line| serde_json::from_str::<serde_json::Value>(line).is_ok());
    assert_eq!(lines.count(), 8);
}

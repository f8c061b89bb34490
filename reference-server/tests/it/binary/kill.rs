//! `kill -9` between a send and its reply.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::program::Place;

const SEND: &str = "instainstru_invites_send";
const RECIPIENTS: usize = 100;

/// A send that was killed with some mails out and others not, and no reply.
struct CutOff {
    place: Place,
    admin: String,
    people: Vec<String>,
    arguments: Value,
}

/// On a machine that is busy elsewhere the send may be over before it is killed. Then the next one
/// is.
async fn cut_off() -> CutOff {
    for _ in 0..10 {
        if let Some(cut_off) = try_to_cut_off().await {
            return cut_off;
        }
    }
    panic!("ten sends were faster than the kill");
}

async fn try_to_cut_off() -> Option<CutOff> {
    let place = Place::new();
    let mut server = place.serve(&[]).await;
    let admin = place.token(&["--as", "admin"]);
    let people: Vec<String> = (0..RECIPIENTS)
        .map(|n| format!("a{n}@example.com"))
        .collect();
    let preview = json!({"recipient_emails": people, "grant_founding_status": false});
    let preview = server.call(&admin, "instainstru_invites_preview", preview);
    let token = preview.await.structured()["data"]["confirm_token"].clone();
    let arguments = json!({"confirm_token": token, "idempotency_key": "key"});

    let params = json!({"name": SEND, "arguments": arguments});
    let message = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params});
    let request = server
        .request(reqwest::Method::POST, "/mcp")
        .bearer_auth(&admin)
        .header("content-type", "application/json")
        .body(message.to_string());
    let asked = tokio::spawn(request.send());
    let since = Instant::now();
    while place.letters().is_empty() {
        let waited = since.elapsed();
        assert!(waited < Duration::from_secs(30), "nothing is sent");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    server.kill();
    let unanswered = asked.await.expect("no panic").is_err();
    (unanswered && place.letters().len() < RECIPIENTS).then_some(CutOff {
        place,
        admin,
        people,
        arguments,
    })
}

#[tokio::test]
async fn s0_009_013_a_kill_between_send_and_reply_loses_and_doubles_nothing() {
    let CutOff {
        place,
        admin,
        people,
        arguments,
    } = cut_off().await;
    // The start finishes what was begun, without being asked.
    let server = place.serve(&[]).await;
    assert_eq!(place.letters().len(), RECIPIENTS);
    let first = server.call(&admin, SEND, arguments.clone()).await;
    let again = server.call(&admin, SEND, arguments).await;
    assert_eq!(first.structured()["data"]["sent_count"], RECIPIENTS);
    assert_eq!(first.structured()["data"], again.structured()["data"]);

    let mail = place.data().join("mail");
    let letters: Vec<String> = place
        .letters()
        .iter()
        .map(|name| std::fs::read_to_string(mail.join(name)).expect("a letter"))
        .collect();
    assert_eq!(letters.len(), RECIPIENTS);
    for person in &people {
        let to = format!("To: {person}\r\n");
        let count = letters.iter().filter(|text| text.contains(&to)).count();
        assert_eq!(count, 1, "{person}");
    }
}

//! `kill -9` between a send and its reply.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::program::Place;

const RECIPIENTS: usize = 60;

#[tokio::test]
async fn s0_009_013_a_kill_between_send_and_reply_loses_and_doubles_nothing() {
    let place = Place::new();
    let mut server = place.serve(&[]).await;
    let admin = place.token(&["--as", "admin"]);
    let people: Vec<String> = (0..RECIPIENTS)
        .map(|n| format!("a{n}@example.com"))
        .collect();
    let preview = json!({"recipient_emails": people, "grant_founding_status": false});
    let preview = server
        .call(&admin, "instainstru_invites_preview", preview)
        .await;
    let token = &preview.structured()["data"]["confirm_token"];
    let send = json!({"confirm_token": token, "idempotency_key": "key"});

    let params = json!({"name": "instainstru_invites_send", "arguments": send});
    let message = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params});
    let request = server
        .request(reqwest::Method::POST, "/mcp")
        .bearer_auth(&admin);
    let request = request
        .header("content-type", "application/json")
        .body(message.to_string());
    let asked = tokio::spawn(request.send());
    let since = Instant::now();
    while place.letters().is_empty() {
        assert!(since.elapsed() < Duration::from_secs(30), "nothing is sent");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    server.kill();
    assert!(
        asked.await.expect("no panic").is_err(),
        "the reply was faster than the kill"
    );
    assert!(
        place.letters().len() < RECIPIENTS,
        "all was sent before the kill"
    );

    // The start finishes what was begun, without being asked.
    let server = place.serve(&[]).await;
    assert_eq!(place.letters().len(), RECIPIENTS);
    let mut before: Option<Value> = None;
    for _ in 0..2 {
        let reply = server
            .call(&admin, "instainstru_invites_send", send.clone())
            .await;
        let data = reply.structured()["data"].clone();
        assert_eq!(data["sent_count"], RECIPIENTS);
        assert!(before.is_none_or(|before| before == data));
        before = Some(data);
    }
    let mut addressed: Vec<String> = place.letters();
    addressed.sort();
    addressed.dedup();
    assert_eq!(addressed.len(), RECIPIENTS);
    let mail = place.data().join("mail");
    for person in &people {
        let to = format!("To: {person}\r\n");
        let letters = addressed.iter().filter(|name| {
            std::fs::read_to_string(mail.join(name)).is_ok_and(|text| text.contains(&to))
        });
        assert_eq!(letters.count(), 1, "{person}");
    }
}

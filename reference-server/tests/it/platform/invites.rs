//! Preview, then send: what goes through, and what does not.

use std::time::Duration;

use axum::body::Body;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::{Stage, admin_request, send, send_request};

#[tokio::test]
async fn a_preview_shows_what_would_happen() {
    let stage = Stage::new().await;
    let mut body = stage
        .preview(json!({
            "recipient_emails": [" Ann@Example.com", "maya.chen@example.com", "ann@example.com"],
            "message_note": "See you on Monday",
        }))
        .await
        .ok();
    body["meta"]["actor"]["id"] = json!("[id]");
    body["data"]["confirm_token"] = json!("[token]");
    insta::assert_json_snapshot!("preview", body);
    assert!(stage.letters().is_empty(), "a preview sends nothing");
}

/// `(body, status, code, text that the answer must contain)`
fn refused_previews() -> Vec<(Value, u16, &'static str, &'static str)> {
    let many: Vec<String> = (0..101).map(|n| format!("a{n}@example.com")).collect();
    let ann = ["ann@example.com"];
    let invalid = "validation_failed";
    vec![
        (
            json!({"recipient_emails": many}),
            422,
            invalid,
            "at most 100",
        ),
        (
            json!({"recipient_emails": ["ann@example.com", "ann"]}),
            422,
            invalid,
            "recipient_emails[1]",
        ),
        (
            json!({"recipient_emails": ["ann@example.com\r\nBcc: eve@example.com"]}),
            422,
            invalid,
            "[0]",
        ),
        (
            json!({"recipient_emails": [" "]}),
            422,
            invalid,
            "recipient_emails[0]",
        ),
        (
            json!({"recipient_emails": "ann@example.com"}),
            422,
            invalid,
            "a list of texts",
        ),
        (
            json!({"recipient_emails": [1]}),
            422,
            invalid,
            "a list of texts",
        ),
        (
            json!({"recipient_emails": []}),
            400,
            "recipient_emails_required",
            "recipient_emails",
        ),
        (
            json!({}),
            400,
            "recipient_emails_required",
            "recipient_emails",
        ),
        (
            json!({"recipient_emails": ann, "expires_in_days": 0}),
            422,
            invalid,
            "from 1 to 180",
        ),
        (
            json!({"recipient_emails": ann, "expires_in_days": 181}),
            422,
            invalid,
            "from 1 to 180",
        ),
        (
            json!({"recipient_emails": ann, "expires_in_days": 1.5}),
            422,
            invalid,
            "whole number",
        ),
        (
            json!({"recipient_emails": ann, "grant_founding_status": "yes"}),
            422,
            invalid,
            "true or false",
        ),
        (
            json!({"recipient_emails": ann, "message_note": "x".repeat(2001)}),
            422,
            invalid,
            "2000",
        ),
        (
            json!({"recipient_emails": ann, "message_note": "\u{1b}[2J"}),
            422,
            invalid,
            "control",
        ),
        (
            json!({"recipient_emails": ann, "template": "spam"}),
            422,
            invalid,
            "`template` is unknown",
        ),
        (json!([1, 2]), 422, invalid, "a JSON object"),
        (
            json!({"recipient_emails": ann, "message_note": "x".repeat(300_000)}),
            413,
            "body_too_large",
            "bytes",
        ),
    ]
}

#[tokio::test]
async fn a_wrong_preview_says_what_is_wrong() {
    let stage = Stage::new().await;
    for (body, status, code, text) in refused_previews() {
        let answer = stage.preview(body).await.refused(status, code);
        assert!(answer.to_string().contains(text), "{text} not in {answer}");
    }
}

#[tokio::test]
async fn a_send_carries_out_exactly_the_preview() {
    let stage = Stage::new().await;
    let preview = stage
        .preview(json!({
            "recipient_emails": ["ann@example.com", "bob@example.org"],
            "expires_in_days": 7,
            "message_note": "See you on Monday",
        }))
        .await
        .ok();
    let token = preview["data"]["confirm_token"].as_str().expect("a token");
    let body = stage.send(token, "key-1").await.ok();
    let data = &body["data"];
    assert_eq!(
        (&data["sent_count"], &data["failed_count"]),
        (&json!(2), &json!(0))
    );

    let letters = stage.letters();
    assert_eq!(letters.len(), 2);
    for (n, (name, letter)) in letters.iter().enumerate() {
        let invite = &data["invites"][n];
        let code = invite["code"].as_str().expect("a code");
        let plain = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit();
        assert!(code.len() == 8 && code.chars().all(plain), "{code}");
        assert_eq!(invite["status"], "sent");
        let id = name.strip_suffix(".eml").expect("an .eml file");
        for text in [
            &format!("To: {}", invite["email"].as_str().expect("an address")),
            &format!("Message-ID: <{id}@example.com>"),
            "as a Founding Instructor",
            &format!("code={code}"),
            "8 June 2026, 12:00 UTC",
            "See you on Monday",
            "Date: Mon, 01 Jun 2026 12:00:00 +0000",
        ] {
            // Quoted-printable may have broken long lines and written `=` as `=3D`.
            let plain = letter.replace("=\r\n", "").replace("=3D", "=");
            assert!(plain.contains(text), "{text} not in {plain}");
        }
    }
    let cap = stage.get("/founding/funnel").await.ok()["founding_cap"].clone();
    assert_eq!(
        (&cap["remaining"], &cap["reserved"]),
        (&json!(100), &json!(2))
    );
}

#[tokio::test]
async fn the_audit_names_the_admin_and_counts_but_no_address() {
    let stage = Stage::new().await;
    let headers = [("x-acting-user", "ada")];
    let body = json!({"recipient_emails": ["ann@example.com"], "message_note": "Hello Ann"});
    let preview = stage.preview_as(&headers, body).await.ok();
    let token = preview["data"]["confirm_token"].as_str().expect("a token");
    let sent = stage.send_as(&headers, token, "key-1").await.ok();
    assert_eq!(sent["data"]["audit_id"].as_str().map(str::len), Some(26));
    let rows = "SELECT COUNT(*) FROM audit_log WHERE actor_id = 'ada' AND actor_role = 'admin'";
    assert_eq!(stage.number(rows).await, 3, "preview, send, delivered");
    let addresses = "SELECT COUNT(*) FROM audit_log
        WHERE after_state LIKE '%@%' OR after_state LIKE '%Ann%' OR entity_id LIKE '%@%'";
    assert_eq!(stage.number(addresses).await, 0);
}

#[tokio::test]
async fn the_same_key_gets_the_same_answer_and_sends_nothing_again() {
    let mut stage = Stage::new().await;
    let token = stage.token(&["ann@example.com"]).await;
    let first = stage.send(&token, "key-1").await.ok();
    let second = stage.send(&token, "key-1").await.ok();
    assert_eq!(first["data"], second["data"]);
    stage.restart().await;
    let third = stage.send(&token, "key-1").await.ok();
    assert_eq!(first["data"], third["data"]);
    // The key store has forgotten and the token has expired; the send itself is still known.
    stage.clock.advance(Duration::from_secs(25 * 3600));
    let fourth = stage.send(&token, "key-1").await.ok();
    assert_eq!(first["data"], fourth["data"]);
    assert_eq!(stage.letters().len(), 1);
    assert_eq!(stage.number("SELECT COUNT(*) FROM beta_invites").await, 1);

    let other = stage.token(&["bob@example.com"]).await;
    stage
        .send(&other, "key-1")
        .await
        .refused(422, "idempotency_key_reused");
    assert_eq!(stage.letters().len(), 1);
}

#[tokio::test]
async fn a_token_is_good_for_one_key() {
    let stage = Stage::new().await;
    let token = stage.token(&["ann@example.com"]).await;
    stage.send(&token, "key-1").await.ok();
    let body = stage
        .send(&token, "key-2")
        .await
        .refused(400, "MCP_TOKEN_ALREADY_USED");
    assert_eq!(body["detail"]["details"]["reason"], "already_used");
    assert_eq!(stage.letters().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn fifty_parallel_sends_with_one_token_are_one_send() {
    let stage = Stage::new().await;
    let token = stage.token(&["ann@example.com", "bob@example.com"]).await;
    let mut sends = JoinSet::new();
    for n in 0..50 {
        let (router, request) = (
            stage.router.clone(),
            send_request(&[], &token, &format!("key-{n}")),
        );
        sends.spawn(async move { send(&router, request).await });
    }
    let answers = sends.join_all().await;
    let (sent, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(|a| a.status == 200);
    assert_eq!((sent.len(), refused.len()), (1, 49));
    for answer in refused {
        answer.refused(400, "MCP_TOKEN_ALREADY_USED");
    }
    assert_eq!(stage.letters().len(), 2);
    assert_eq!(stage.number("SELECT COUNT(*) FROM beta_invites").await, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn parallel_sends_with_one_key_are_one_send() {
    let stage = Stage::new().await;
    let token = stage.token(&["ann@example.com"]).await;
    let mut sends = JoinSet::new();
    for _ in 0..20 {
        let (router, request) = (stage.router.clone(), send_request(&[], &token, "key"));
        sends.spawn(async move { send(&router, request).await });
    }
    for answer in sends.join_all().await {
        if answer.status != 200 {
            answer.refused(409, "idempotency_in_progress");
        }
    }
    assert_eq!(stage.letters().len(), 1);
}

#[tokio::test]
async fn only_the_admin_who_previewed_may_send() {
    let stage = Stage::new().await;
    let (ada, bob) = ([("x-acting-user", "ada")], [("x-acting-user", "bob")]);
    let body = json!({"recipient_emails": ["ann@example.com"]});
    let preview = stage.preview_as(&ada, body).await.ok();
    let token = preview["data"]["confirm_token"].as_str().expect("a token");
    for headers in [&bob[..], &[]] {
        let answer = stage.send_as(headers, token, "key").await;
        let body = answer.refused(400, "MCP_TOKEN_ACTOR_MISMATCH");
        assert_eq!(body["detail"]["details"]["reason"], "actor_mismatch");
    }
    assert!(stage.letters().is_empty());
    stage.send_as(&ada, token, "key").await.ok();
}

#[tokio::test]
async fn a_token_expires_after_half_an_hour() {
    let stage = Stage::new().await;
    let early = stage.token(&["ann@example.com"]).await;
    let late = stage.token(&["bob@example.com"]).await;
    stage.clock.advance(Duration::from_secs(30 * 60 - 1));
    stage.send(&early, "key-1").await.ok();
    stage.clock.advance(Duration::from_secs(1));
    stage
        .send(&late, "key-2")
        .await
        .refused(400, "MCP_TOKEN_EXPIRED");
    assert_eq!(stage.letters().len(), 1);
}

#[tokio::test]
async fn an_altered_token_sends_nothing() {
    let stage = Stage::new().await;
    let token = stage.token(&["ann@example.com"]).await;
    let known = [
        "MCP_TOKEN_INVALID_FORMAT",
        "MCP_TOKEN_PAYLOAD_MISMATCH",
        "MCP_TOKEN_INVALID_SIGNATURE",
        "MCP_TOKEN_ACTOR_MISMATCH",
    ];
    let mut altered: Vec<String> = (0..token.len())
        .map(|at| {
            let mut bytes = token.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            String::from_utf8(bytes).expect("ASCII")
        })
        .collect();
    altered.extend(["", "x", &token[..token.len() - 1]].map(str::to_owned));
    for (n, token) in altered.iter().enumerate() {
        let answer = stage.send(token, &format!("key-{n}")).await;
        let code = answer.body["detail"]["code"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        assert!(known.contains(&code.as_str()), "{code}");
        let body = answer.refused(400, &code);
        assert!(body["detail"]["details"]["reason"].is_string(), "{body}");
    }
    assert!(stage.letters().is_empty());
}

#[tokio::test]
async fn another_payload_under_the_old_signature_is_a_mismatch() {
    let stage = Stage::new().await;
    let token = stage.token(&["ann@example.com"]).await;
    let json = URL_SAFE_NO_PAD.decode(token).expect("base64url");
    let text = String::from_utf8(json)
        .expect("JSON")
        .replace("ann@", "eve@");
    let forged = URL_SAFE_NO_PAD.encode(text);
    stage
        .send(&forged, "key")
        .await
        .refused(400, "MCP_TOKEN_PAYLOAD_MISMATCH");
    assert!(stage.letters().is_empty());
}

#[tokio::test]
async fn the_key_stands_in_header_and_body() {
    let stage = Stage::new().await;
    let token = stage.token(&["ann@example.com"]).await;
    let body = || Body::from(json!({"confirm_token": token, "idempotency_key": "key"}).to_string());

    let request = admin_request("POST", "/invites/send", &[], body());
    send(&stage.router, request)
        .await
        .refused(400, "idempotency_key_header_required");

    let headers = [("idempotency-key", "other")];
    let request = admin_request("POST", "/invites/send", &headers, body());
    send(&stage.router, request)
        .await
        .refused(400, "idempotency_key_mismatch");

    let request = admin_request("POST", "/invites/send", &[], Body::from("{}"));
    let answer = send(&stage.router, request)
        .await
        .refused(422, "validation_failed");
    assert_eq!(
        answer["detail"]["details"]["problems"]
            .as_array()
            .map(Vec::len),
        Some(2)
    );

    stage
        .send(&token, "")
        .await
        .refused(422, "idempotency_key_invalid");
    stage
        .send(&token, "two words")
        .await
        .refused(422, "idempotency_key_invalid");
    assert!(stage.letters().is_empty());
}

#[tokio::test]
async fn founding_slots_are_counted_again_when_sending() {
    let stage = Stage::with(|settings| settings.founding_cap = 3).await;
    let two = json!({"recipient_emails": ["ann@example.com", "bob@example.com"]});
    let mut tokens = Vec::new();
    for _ in 0..2 {
        let preview = stage.preview(two.clone()).await.ok();
        assert_eq!(
            preview["data"]["invite_preview"]["founding_cap_remaining"],
            3
        );
        tokens.push(
            preview["data"]["confirm_token"]
                .as_str()
                .expect("a token")
                .to_owned(),
        );
        // Two previews of the same instant would be one token.
        stage.clock.advance(Duration::from_secs(1));
    }
    stage.send(&tokens[0], "key-1").await.ok();
    let body = stage
        .send(&tokens[1], "key-2")
        .await
        .refused(409, "founding_slots_taken");
    assert_eq!(
        body["detail"]["details"],
        json!({"requested": 2, "remaining": 1})
    );
    assert!(body.to_string().contains("preview again"), "{body}");
    assert_eq!(stage.letters().len(), 2);

    let preview = stage.preview(two).await.ok();
    assert_eq!(
        preview["data"]["invite_preview"]["founding_cap_remaining"],
        1
    );
    let warnings = preview["data"]["warnings"].to_string();
    assert!(
        warnings.contains("2 founding slots wanted, 1 left"),
        "{warnings}"
    );
    // Slots promised in an invite that nobody used come back.
    stage.clock.advance(Duration::from_secs(14 * 24 * 3600));
    let cap = stage.get("/founding/funnel").await.ok()["founding_cap"].clone();
    assert_eq!(cap["reserved"], 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn parallel_sends_never_promise_more_than_the_cap() {
    let stage = Stage::with(|settings| settings.founding_cap = 5).await;
    let mut sends = JoinSet::new();
    for n in 0..10 {
        let pair = [format!("a{n}@example.com"), format!("b{n}@example.com")];
        let preview = stage.preview(json!({"recipient_emails": pair})).await.ok();
        let token = preview["data"]["confirm_token"].as_str().expect("a token");
        let router = stage.router.clone();
        let request = send_request(&[], token, &format!("key-{n}"));
        sends.spawn(async move { send(&router, request).await.status });
    }
    let sent = sends
        .join_all()
        .await
        .into_iter()
        .filter(|status| *status == 200)
        .count();
    assert_eq!(sent, 2);
    let invites = "SELECT COUNT(*) FROM beta_invites WHERE grant_founding_status = 1";
    assert_eq!(stage.number(invites).await, 4);
}

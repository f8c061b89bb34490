//! A send that stops anywhere is finished later, and happens once.

use std::time::Duration;

use reference_server::platform::Step;

use super::{Stage, send, send_request};

const RECIPIENTS: [&str; 3] = ["ann@example.com", "bob@example.org", "eve@example.net"];

/// Where it stops, and whether the next start already finishes it without being asked.
const STEPS: [(Step, bool); 6] = [
    (Step::KeyTaken, false),
    (Step::TokenRedeemed, false),
    (Step::InvitesWritten, true),
    (Step::MailDelivered, true),
    (Step::MailsMarked, true),
    (Step::SendFinished, true),
];

/// Sends until `step` and leaves everything as it is there.
async fn crash(stage: &Stage, step: Step, token: &str) {
    let reached = stage.platform.crash_at(step);
    tokio::select! {
        answer = send(&stage.router, send_request(&[], token, "key")) => {
            panic!("answered before {step:?}: {}", answer.body)
        }
        () = reached.notified() => {}
    }
}

#[tokio::test]
async fn a_retry_after_a_crash_anywhere_sends_once() {
    for (step, finished_at_start) in STEPS {
        let mut stage = Stage::new().await;
        let token = stage.token(&RECIPIENTS).await;
        crash(&stage, step, &token).await;
        stage.restart().await;
        let expected = if finished_at_start { 3 } else { 0 };
        assert_eq!(stage.letters().len(), expected, "{step:?}");
        let before = stage.letters();

        let first = stage.send(&token, "key").await.ok();
        assert_eq!(first["data"]["sent_count"], 3, "{step:?}");
        let again = stage.send(&token, "key").await.ok();
        assert_eq!(first["data"], again["data"], "{step:?}");
        assert_eq!(stage.letters().len(), 3, "{step:?}");
        if finished_at_start {
            assert_eq!(stage.letters(), before, "{step:?}");
        }
        for (table, sql) in [
            ("invites", "SELECT COUNT(*) FROM beta_invites"),
            (
                "mails",
                "SELECT COUNT(*) FROM mail_outbox WHERE status = 'sent'",
            ),
        ] {
            assert_eq!(stage.number(sql).await, 3, "{table}, {step:?}");
        }
        let audited = "SELECT COUNT(*) FROM audit_log WHERE entity_type = 'invite_send'";
        assert_eq!(stage.number(audited).await, 2, "{step:?}");
    }
}

#[tokio::test]
async fn after_a_crash_the_token_is_still_good_for_its_key_only() {
    let mut stage = Stage::new().await;
    let token = stage.token(&RECIPIENTS).await;
    crash(&stage, Step::TokenRedeemed, &token).await;
    stage.restart().await;
    stage
        .send(&token, "other")
        .await
        .refused(400, "MCP_TOKEN_ALREADY_USED");
    stage.send(&token, "key").await.ok();
    assert_eq!(stage.letters().len(), 3);
}

#[tokio::test]
async fn an_interrupted_send_is_resumed_although_its_token_has_expired() {
    let mut stage = Stage::new().await;
    let token = stage.token(&RECIPIENTS).await;
    crash(&stage, Step::InvitesWritten, &token).await;
    stage.clock.advance(Duration::from_secs(3600));
    stage.restart().await;
    let body = stage.send(&token, "key").await.ok();
    assert_eq!(body["data"]["sent_count"], 3);
}

#[tokio::test]
async fn while_a_send_is_running_its_key_is_busy() {
    let stage = Stage::new().await;
    let token = stage.token(&RECIPIENTS).await;
    crash(&stage, Step::InvitesWritten, &token).await;
    stage
        .send(&token, "key")
        .await
        .refused(409, "idempotency_in_progress");
}

#[tokio::test]
async fn a_caller_who_hangs_up_does_not_stop_the_send() {
    let stage = Stage::new().await;
    let token = stage.token(&RECIPIENTS).await;
    let request = send(&stage.router, send_request(&[], &token, "key"));
    let hung_up = tokio::time::timeout(Duration::from_millis(1), request).await;
    let mut tries = 0;
    while stage.letters().len() < 3
        || stage
            .number("SELECT COUNT(*) FROM invite_sends WHERE finished_at IS NOT NULL")
            .await
            < 1
    {
        tries += 1;
        assert!(
            tries < 200,
            "not sent after 10 s (hung up: {})",
            hung_up.is_err()
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

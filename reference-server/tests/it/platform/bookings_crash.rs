//! A change of a booking that stops anywhere is finished later, and happens once.

use axum::body::Body;
use reference_server::platform::Step;
use serde_json::{Value, json};

use super::{Answer, Stage, admin_request, send};

impl Stage {
    async fn change(&self, booking: &str, step: &str, body: Value) -> Answer {
        let path = format!("/bookings/{booking}/force-cancel/{step}");
        let body = Body::from(body.to_string());
        let headers = [("idempotency-key", "key")];
        send(&self.router, admin_request("POST", &path, &headers, body)).await
    }
}

#[tokio::test]
async fn a_retry_after_a_crash_anywhere_cancels_once() {
    for (step, finished_at_start) in [
        (Step::KeyTaken, false),
        (Step::TokenRedeemed, false),
        (Step::ChangeWritten, true),
        (Step::MailsMarked, true),
        (Step::SendFinished, true),
    ] {
        let mut stage = Stage::new().await;
        let recent = stage
            .get("/ops/bookings/recent?status=CONFIRMED")
            .await
            .ok();
        let booking = recent["bookings"][0]["booking_id"].as_str().expect("an id");
        let asked = json!({"reason_code": "TECHNICAL_ISSUE", "note": "Twice"});
        let preview = stage.change(booking, "preview", asked).await.ok();
        let token = &preview["data"]["confirm_token"];
        let confirmed = json!({"confirm_token": token, "idempotency_key": "key"});

        let reached = stage.platform.crash_at(step);
        tokio::select! {
            answer = stage.change(booking, "execute", confirmed.clone()) => {
                panic!("answered before {step:?}: {}", answer.body)
            }
            () = reached.notified() => {}
        }
        stage.restart().await;
        let expected = if finished_at_start { 2 } else { 0 };
        assert_eq!(stage.letters().len(), expected, "{step:?}");
        let first = stage
            .change(booking, "execute", confirmed.clone())
            .await
            .ok();
        assert_eq!(first["data"]["new_status"], "CANCELLED", "{step:?}");
        let again = stage.change(booking, "execute", confirmed).await.ok();
        assert_eq!(first["data"], again["data"], "{step:?}");
        assert_eq!(stage.letters().len(), 2, "{step:?}");
        let audited = "SELECT COUNT(*) FROM audit_log WHERE action = 'bookings.force_cancel'";
        assert_eq!(stage.number(audited).await, 1, "{step:?}");
    }
}

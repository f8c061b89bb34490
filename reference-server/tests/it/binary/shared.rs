//! Several processes on one data folder.

use serde_json::json;
use tokio::net::TcpListener;

use super::program::{Place, structured};

const PREVIEW: &str = "instainstru_invites_preview";
const SEND: &str = "instainstru_invites_send";

#[tokio::test]
async fn a_server_and_two_pipes_start_together_on_an_empty_folder() {
    let place = Place::new();
    let (mut first, mut second) = (place.pipe(&[]), place.pipe(&[]));
    let server = place.serve(&[]).await;
    let admin = place.token(&["--as", "admin"]);
    // A preview here, the send there, the replay at the third.
    let arguments = json!({"recipient_emails": ["ann@example.com"]});
    let token = structured(&first.call(PREVIEW, arguments))["data"]["confirm_token"].clone();
    let send = json!({"confirm_token": token, "idempotency_key": "key"});
    let sent = server.call(&admin, SEND, send.clone()).await;
    assert_eq!(sent.structured()["data"]["sent_count"], 1);
    let again = second.call(SEND, send);
    assert_eq!(structured(&again)["data"], sent.structured()["data"]);
    assert_eq!(place.letters().len(), 1);
}

#[tokio::test]
async fn what_one_process_sends_another_leaves_alone_until_it_is_dead() {
    // A mail server that takes connections and says nothing: the send hangs in the middle.
    let mute = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("smtp://{}", mute.local_addr().expect("an address"));
    let place = Place::new();
    let admin = place.token(&["--as", "admin"]);
    let place = place.env("MCP_PLATFORM__MAIL__SMTP_URL", &url);
    let mut hanging = place.serve(&[]).await;
    let arguments = json!({"recipient_emails": ["ann@example.com"]});
    let preview = hanging.call(&admin, PREVIEW, arguments).await;
    let token = &preview.structured()["data"]["confirm_token"];
    let send = json!({"confirm_token": token, "idempotency_key": "key"});
    let request = async {
        let params = json!({"name": SEND, "arguments": send});
        let message = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params});
        let request = hanging
            .request(reqwest::Method::POST, "/mcp")
            .bearer_auth(&admin);
        let request = request.header("content-type", "application/json");
        request.body(message.to_string()).send().await
    };
    let _connection = tokio::select! {
        answer = request => panic!("answered: {answer:?}"),
        connection = mute.accept() => connection.expect("a connection"),
    };

    let place = place.without("MCP_PLATFORM__MAIL__SMTP_URL");
    let other = place.serve(&[]).await;
    let busy = other.call(&admin, SEND, send.clone()).await;
    assert_eq!(busy.code(), "idempotency_in_progress");
    assert!(place.letters().is_empty());
    hanging.kill();
    let sent = other.call(&admin, SEND, send).await;
    assert_eq!(sent.structured()["data"]["sent_count"], 1);
    assert_eq!(place.letters().len(), 1);
}

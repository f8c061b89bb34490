//! `reference-server stdio`, as a client that starts the program sees it.

use serde_json::{Value, json};

use super::calls;
use super::program::{Place, structured};

fn initialize() -> Value {
    json!({"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}})
}

#[test]
fn s0_001_to_011_ten_tools_answer_on_a_pipe_that_carries_nothing_else() {
    let place = Place::new();
    let mut pipe = place.pipe(&["--toolset", "copilot"]);
    let hello = pipe.ask("initialize", initialize());
    assert_eq!(hello["result"]["serverInfo"]["title"], "iNSTAiNSTRU Admin");
    let listed = pipe.ask("tools/list", json!({}));
    assert_eq!(listed["result"]["tools"].as_array().map(Vec::len), Some(10));
    let mut token = Value::Null;
    for (tool, arguments, pointer) in calls() {
        let answer = pipe.call(tool, arguments);
        let found = structured(&answer)
            .pointer(pointer)
            .cloned()
            .unwrap_or_default();
        assert!(!found.is_null(), "{tool} {pointer}: {answer}");
        token = found;
    }
    let send = json!({"confirm_token": token, "idempotency_key": "key"});
    let sent = pipe.call("instainstru_invites_send", send.clone());
    assert_eq!(structured(&sent)["data"]["sent_count"], 2);
    assert_eq!(
        structured(&pipe.call("instainstru_invites_send", send))["data"],
        structured(&sent)["data"]
    );
    assert_eq!(place.letters().len(), 2);
    let (rest, status) = pipe.close();
    assert!(rest.is_empty() && status.success(), "{rest:?} {status}");
}

#[test]
fn somebody_else_can_be_the_caller() {
    let place = Place::new();
    let mut pipe = place.pipe(&["--as", "reader"]);
    pipe.ask("initialize", initialize());
    let arguments = json!({"recipient_emails": ["ann@example.com"]});
    let refused = pipe.call("instainstru_invites_preview", arguments);
    assert_eq!(
        refused["result"]["structuredContent"]["code"],
        "insufficient_scope"
    );
}

/// across T7: the program ends after the answer, although its input stays open.
#[test]
fn t7_shutdown_ends_the_program() {
    let place = Place::new();
    let mut pipe = place.pipe(&[]);
    pipe.ask("initialize", initialize());
    let refused = pipe.ask("shutdown", json!({}));
    assert_eq!(refused["error"]["code"], -32601, "off unless turned on");

    let place = Place::new().env("MCP_TRANSPORTS__SHUTDOWN", "true");
    let mut pipe = place.pipe(&[]);
    pipe.ask("initialize", initialize());
    assert_eq!(pipe.ask("shutdown", json!({}))["result"], json!({}));
    let (rest, status) = pipe.ended();
    assert!(rest.is_empty() && status.success(), "{rest:?} {status}");
}

/// ST-12: so it does when it is told to stop.
#[cfg(unix)]
#[test]
fn st_12_sigterm_ends_the_program() {
    let place = Place::new();
    let mut pipe = place.pipe(&[]);
    pipe.ask("initialize", initialize());
    let since = std::time::Instant::now();
    pipe.terminate();
    let (rest, status) = pipe.ended();
    assert!(rest.is_empty() && status.success(), "{rest:?} {status}");
    assert!(
        since.elapsed().as_secs() < 2,
        "ST-12: {:?}",
        since.elapsed()
    );
}

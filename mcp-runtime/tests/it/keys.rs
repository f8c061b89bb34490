//! One secret for several instances of a server, and its replacement.

use std::process::Command;
use std::sync::Arc;

use mcp_runtime::prelude::*;
use mcp_runtime::store::MemoryStore;
use mcp_runtime::testing::{TestReply, TestServer};
use mcp_runtime::{Keys, Result};
use serde_json::{Value, json};

use crate::clock;

const ONE: &str = "vT8qLm3ZxN5pRw7yBc2dFg4hJk6s9AeUiO1r";
const TWO: &str = "Qm4nVb7xCz2LkJh9GfDs3ApOi8UyTr5EwKj0";

#[derive(Deserialize, JsonSchema)]
struct Name {
    name: String,
}

/// Greet the human by name.
#[mcp_tool(public)]
async fn greet(call: &Call) -> ToolResult<String> {
    let name = call.elicit::<Name>("Who are you?").key("name").await?;
    Ok(name.accepted().map(|name| name.name).unwrap_or_default())
}

/// Delete everything.
#[mcp_tool(public, confirm = "Delete everything?")]
fn wipe() -> &'static str {
    "gone"
}

fn keys(secrets: &[&str]) -> Option<Keys> {
    let (first, older) = secrets.split_first()?;
    let keys = Keys::new(first).unwrap();
    Some(
        older
            .iter()
            .fold(keys, |keys, secret| keys.older(secret).unwrap()),
    )
}

fn instance(secrets: &[&str], store: &Arc<MemoryStore>) -> TestServer {
    let store = Arc::clone(store);
    let server = Server::new(tools![greet, wipe]).clock(clock()).store(store);
    let server = match keys(secrets) {
        Some(keys) => server.keys(keys),
        None => server,
    };
    TestServer::new(server).unwrap()
}

async fn asked(server: &TestServer) -> Value {
    let client = server.as_user("ada").declares(json!({ "elicitation": {} }));
    let reply = client.call("greet", json!({})).await;
    reply.result()["requestState"].clone()
}

async fn answered(server: &TestServer, state: &Value) -> TestReply {
    let client = server.as_user("ada").declares(json!({ "elicitation": {} }));
    let answer = json!({ "name": { "action": "accept", "content": { "name": "Ada" } } });
    let params = json!({ "name": "greet", "arguments": {}, "requestState": state, "inputResponses": answer });
    client.request("tools/call", params).await
}

async fn previewed(server: &TestServer) -> Value {
    let reply = server.as_user("ada").call("wipe", json!({})).await;
    reply.result()["structuredContent"]["confirm_token"].clone()
}

async fn wiped(server: &TestServer, token: &Value) -> TestReply {
    let arguments = json!({ "confirm_token": token });
    server.as_user("ada").call("wipe", arguments).await
}

#[tokio::test]
async fn an_instance_opens_what_another_gave_out_if_it_has_the_secret() {
    for (gives, takes, good) in [
        (&[ONE][..], &[ONE][..], true),
        (&[ONE], &[TWO, ONE], true),
        (&[TWO, ONE], &[ONE, TWO], true),
        (&[ONE], &[TWO], false),
        (&[TWO, ONE], &[ONE], false),
        (&[ONE], &[], false),
        (&[], &[], false),
    ] {
        let store = Arc::new(MemoryStore::new(clock(), 100));
        let (gives_, takes_) = (instance(gives, &store), instance(takes, &store));
        let place = format!("{} secrets, then {}: good {good}", gives.len(), takes.len());

        let reply = answered(&takes_, &asked(&gives_).await).await;
        match good {
            true => assert_eq!(reply.text(), "Ada", "{place}"),
            false => assert_eq!(reply.error()["code"], -32602, "{place}"),
        }
        let token = previewed(&gives_).await;
        let reply = wiped(&takes_, &token).await;
        match good {
            true => assert_eq!(reply.text(), "gone", "{place}"),
            false => assert_eq!(reply.code(), "confirm_token_invalid", "{place}"),
        }
        // What one instance has taken is no longer good anywhere.
        let again = wiped(&gives_, &token).await;
        match good {
            true => assert_eq!(again.code(), "confirm_token_used", "{place}"),
            false => assert_eq!(again.text(), "gone", "{place}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn instances_that_share_a_store_run_a_confirmed_call_once() {
    let store = Arc::new(MemoryStore::new(clock(), 100));
    let instances = [instance(&[ONE], &store), instance(&[ONE], &store)];
    let token = previewed(&instances[0]).await;
    let mut calls = tokio::task::JoinSet::new();
    for at in 0..40 {
        let (server, token) = (instances[at % 2].clone(), token.clone());
        calls.spawn(async move { wiped(&server, &token).await });
    }
    let replies = calls.join_all().await;
    let ran = replies
        .iter()
        .filter(|reply| reply.result()["isError"] == false)
        .count();
    assert_eq!(ran, 1);
}

#[test]
fn a_secret_that_could_be_guessed_is_refused_and_not_repeated() {
    let told = |result: Result<Keys>| result.err().map(|error| error.to_string());
    for (secret, said) in [
        ("", "0 bytes"),
        ("kX9vT3qLm7ZxN5pRw2yBc8dFg4hJk6s", "31 bytes"),
        ("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "placeholder"),
        ("abababababababababababababababababababab", "placeholder"),
        ("please-changeme-before-you-go-live-1234", "placeholder"),
        ("this-is-an-EXAMPLE-of-a-secret-key-9876", "placeholder"),
        ("0123456789abcdef0123456789abcdef", "placeholder"),
    ] {
        let error = told(Keys::new(secret)).expect(secret);
        assert!(error.contains(said), "{secret}: {error}");
        assert!(error.contains("openssl rand"), "what to do: {error}");
        assert!(secret.is_empty() || !error.contains(secret), "{error}");
        let older = Keys::new(ONE).and_then(|keys| keys.older(secret));
        assert_eq!(told(older).as_deref(), Some(error.as_str()), "{secret}");
    }
    let twice = Keys::new(ONE).and_then(|keys| keys.older(ONE));
    assert!(told(twice).expect("the same").contains("twice"));
    let shown = format!("{:?}", keys(&[ONE, TWO]));
    assert!(
        !shown.contains(&ONE[..6]) && !shown.contains(&TWO[..6]),
        "{shown}"
    );
}

#[tokio::test]
async fn secrets_are_read_from_a_file() {
    let folder = tempdir("keys");
    let path = folder.join("keys");
    std::fs::write(&path, format!("{TWO}\n\n  {ONE}\r\n")).unwrap();
    let store = Arc::new(MemoryStore::new(clock(), 100));
    let from_file = Server::new(tools![greet, wipe])
        .clock(clock())
        .keys(Keys::from_file(&path).unwrap());
    let from_file = TestServer::new(from_file).unwrap();
    for secrets in [&[ONE][..], &[TWO]] {
        let state = asked(&instance(secrets, &store)).await;
        assert_eq!(answered(&from_file, &state).await.text(), "Ada");
    }
    let state = asked(&from_file).await;
    assert_eq!(
        answered(&instance(&[TWO], &store), &state).await.text(),
        "Ada",
        "the first seals"
    );
    for (content, said) in [
        ("", "no secret"),
        (" \n ", "no secret"),
        ("short", "5 bytes"),
    ] {
        std::fs::write(&path, content).unwrap();
        let error = Keys::from_file(&path).unwrap_err().to_string();
        assert!(error.contains(said) && error.contains("keys"), "{error}");
        assert!(
            content.trim().is_empty() || !error.contains(content),
            "{error}"
        );
    }
    std::fs::remove_dir_all(&folder).unwrap();
    let error = Keys::from_file(&path).unwrap_err().to_string();
    assert!(error.contains("cannot be read"), "{error}");
}

/// The environment belongs to the whole process, so another one is asked.
#[test]
fn secrets_are_read_from_the_environment() {
    const ROLE: &str = "MCP_TEST_KEYS_EXPECTED";
    if let Ok(expected) = std::env::var(ROLE) {
        let read = Keys::from_env("MCP_TEST_KEYS");
        let said = read.map_or_else(|error| error.to_string(), |keys| format!("{keys:?}"));
        assert!(said.contains(&expected), "`{expected}` is not in: {said}");
        assert!(!said.contains(&ONE[..6]), "{said}");
        return;
    }
    let both = format!("{TWO} {ONE}");
    for (value, expected) in [
        (Some(ONE), "secrets: 1"),
        (Some(both.as_str()), "secrets: 2"),
        (
            Some("short"),
            "MCP_TEST_KEYS: a secret of the server has 5 bytes",
        ),
        (Some(""), "MCP_TEST_KEYS has no secret"),
        (None, "MCP_TEST_KEYS has no secret"),
    ] {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["--exact", "keys::secrets_are_read_from_the_environment"])
            .env(ROLE, expected)
            .env_remove("MCP_TEST_KEYS");
        if let Some(value) = value {
            command.env("MCP_TEST_KEYS", value);
        }
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success() && said.contains("1 passed"),
            "{expected}: {said}"
        );
    }
}

fn tempdir(name: &str) -> std::path::PathBuf {
    let folder = std::env::temp_dir().join(format!("mcp-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

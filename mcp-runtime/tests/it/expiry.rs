//! No stream outlives the token that opened it.

use std::time::Duration;

use mcp_runtime::prelude::*;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::ask::Ask;
use crate::clock;
use crate::live::{Live, within};

const TOKEN: &str = "token-of-ada-0123456789";
/// Seconds that the token has left, and those that clocks are given.
const LIFE: u64 = 20;
const LEEWAY: u64 = 30;

/// Say hello.
#[mcp_tool(public)]
fn hello() -> &'static str {
    "hello"
}

/// Reads until this is there.
async fn until(stream: &mut TcpStream, seen: &mut Vec<u8>, mark: &[u8]) {
    let found = |seen: &[u8]| seen.windows(mark.len()).any(|bytes| bytes == mark);
    while !found(seen) {
        let read = within(stream.read_buf(seen)).await.unwrap();
        let text = String::from_utf8_lossy(seen);
        let mark = String::from_utf8_lossy(mark);
        assert_ne!(read, 0, "{mark:?} never came: {text}");
    }
}

fn get(path: &str, more: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n{more}\r\n")
        .into_bytes()
}

/// A ping, posted to where the first event of a stream says.
fn ping(seen: &[u8]) -> Vec<u8> {
    let seen = String::from_utf8_lossy(seen);
    let (_, rest) = seen.split_once("data: ").expect("an event");
    let place = rest.lines().next().unwrap_or_default();
    Ask::raw(r#"{"jsonrpc":"2.0","id":7,"method":"ping"}"#)
        .uri(place)
        .header("authorization", &format!("Bearer {TOKEN}"))
        .bytes()
}

const EVENTS: &str = "Accept: text/event-stream\r\n";
/// The end of a body in chunks.
const OVER: &[u8] = b"\r\n0\r\n\r\n";

/// `(what, what is sent, what says that it is open, what says that it is over)`
type Row = (&'static str, Vec<u8>, &'static [u8], &'static [u8]);

/// SE-10: the end comes within 60 s of the end of the token, and not before the leeway is over.
#[tokio::test]
async fn se_10_streams_end_with_the_token_that_opened_them() {
    let listens = json!({ "notifications": { "toolsListChanged": true } });
    let listens = Ask::modern("subscriptions/listen", listens)
        .header("accept", "application/json, text/event-stream")
        .header("authorization", &format!("Bearer {TOKEN}"))
        .bytes();
    let listens = String::from_utf8(listens)
        .unwrap()
        .replace("connection: close\r\n", "");
    let upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: mcp\r\n";
    let rows: [Row; 4] = [
        (
            "a subscription",
            listens.into_bytes(),
            b"acknowledged",
            OVER,
        ),
        (
            "a stream of a session",
            get("/mcp", EVENTS),
            b": open",
            OVER,
        ),
        (
            "a stream of 2024-11-05",
            get("/sse", EVENTS),
            b"\n\n\r\n",
            OVER,
        ),
        (
            "a WebSocket",
            get("/mcp/ws", upgrade),
            b"\r\n\r\n",
            b"the access token is over",
        ),
    ];
    for (what, request, opened, over) in rows {
        let clock = clock();
        let end = clock.now() + Duration::from_secs(LIFE);
        let tokens = StaticTokens::new().token(TOKEN, Caller::user("ada").expires(end));
        let service = Server::new(tools![hello])
            .clock(clock.clone())
            .auth(tokens)
            .legacy_sse()
            .websocket()
            .build()
            .unwrap();
        let changes = service.changes().clone();
        let live = Live::start(service).await;
        let mut stream = live.connect().await;
        stream.write_all(&request).await.unwrap();
        let mut seen = Vec::new();
        until(&mut stream, &mut seen, opened).await;
        clock.advance(Duration::from_secs(LIFE + LEEWAY - 1));
        // It is still there.
        match what {
            "a WebSocket" => {
                let ping = [0x89, 0x80, 0, 0, 0, 0];
                stream.write_all(&ping).await.unwrap();
                until(&mut stream, &mut seen, &[0x8a, 0]).await;
            }
            "a stream of 2024-11-05" => {
                live.exchange(&ping(&seen)).await;
                until(&mut stream, &mut seen, b"\"id\":7").await;
            }
            _ => {
                changes.tools();
                until(&mut stream, &mut seen, b"tools/list_changed").await;
            }
        }
        let text = String::from_utf8_lossy(&seen);
        assert!(
            !text.contains(&*String::from_utf8_lossy(over)),
            "{what}: {text}"
        );
        clock.advance(Duration::from_secs(1));
        until(&mut stream, &mut seen, over).await;
        live.stop().await;
    }
}

/// A token that does not end opens streams that do not, and neither does nobody's.
#[tokio::test]
async fn what_has_no_end_goes_on() {
    let clock = clock();
    let service = Server::new(tools![hello])
        .clock(clock.clone())
        .auth(StaticTokens::new().token(TOKEN, Caller::user("ada")))
        .legacy_sse()
        .build()
        .unwrap();
    let changes = service.changes().clone();
    let live = Live::start(service).await;
    let nobody = format!("GET /mcp HTTP/1.1\r\nHost: localhost\r\n{EVENTS}\r\n");
    for request in [get("/mcp", EVENTS), nobody.into_bytes()] {
        let mut stream = live.connect().await;
        stream.write_all(&request).await.unwrap();
        let mut seen = Vec::new();
        until(&mut stream, &mut seen, b": open").await;
        clock.advance(Duration::from_secs(10 * LIFE));
        changes.tools();
        until(&mut stream, &mut seen, b"tools/list_changed").await;
    }
    live.stop().await;
}

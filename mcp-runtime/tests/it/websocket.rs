//! MCP over a WebSocket, with a client that somebody else wrote.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use mcp_runtime::Service;
use mcp_runtime::prelude::*;
use mcp_runtime::testing::TestServer;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::ask::{Ask, LEGACY, header, meta};
use crate::gated::{Gate, State, ada_and_bob, greet, hang, nap, whoami};
use crate::live::{Live, rest, status, within};

/// Say it again.
#[mcp_tool(public)]
fn echo(message: String) -> String {
    message
}

/// Change the list of tools.
#[mcp_tool(public)]
fn change(changes: &Changes) {
    changes.tools();
}

fn builder() -> (Server<State>, Arc<Gate>) {
    let gate = Gate::new();
    let tools = tools![echo, whoami, greet, hang, nap, change];
    let server = Server::with_state(State { gate: gate.clone() }, tools)
        .auth(ada_and_bob())
        .allow_origin("https://app.example.test")
        .answer_shutdown()
        .max_body(64 << 10)
        .websocket();
    (server, gate)
}

fn service() -> (Service, Arc<Gate>) {
    let (server, gate) = builder();
    (server.build().unwrap(), gate)
}

/// A request to upgrade, written by hand.
const UPGRADE: &[u8] = b"GET /mcp/ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: mcp\r\n\r\n";

struct Client(WebSocketStream<TcpStream>);

impl Client {
    async fn open(address: SocketAddr) -> Self {
        Self::connect(address, "/mcp/ws", &[]).await.unwrap()
    }

    async fn open_as(address: SocketAddr, name: &str) -> Result<Self, u16> {
        let token = format!("Bearer token-of-{name}-0123456789");
        Self::connect(address, "/mcp/ws", &[("authorization", &token)]).await
    }

    /// The status of a refusal.
    async fn connect(
        address: SocketAddr,
        path: &str,
        headers: &[(&'static str, &str)],
    ) -> Result<Self, u16> {
        let url = format!("ws://{address}{path}");
        let mut request = url.into_client_request().unwrap();
        request
            .headers_mut()
            .insert("sec-websocket-protocol", "chat, mcp".parse().unwrap());
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        let stream = TcpStream::connect(address).await.unwrap();
        match within(tokio_tungstenite::client_async(request, stream)).await {
            Ok((socket, answer)) => {
                assert_eq!(answer.headers()["sec-websocket-protocol"], "mcp");
                Ok(Self(socket))
            }
            Err(Error::Http(answer)) => Err(answer.status().as_u16()),
            Err(error) => panic!("no answer of HTTP: {error}"),
        }
    }

    async fn send(&mut self, message: Value) {
        let message = Message::text(message.to_string());
        within(self.0.send(message)).await.unwrap();
    }

    /// The next message. Every text frame is one.
    async fn next(&mut self) -> Value {
        match self.frame().await {
            Message::Text(text) => serde_json::from_str(&text).unwrap(),
            other => panic!("no text: {other:?}"),
        }
    }

    async fn frame(&mut self) -> Message {
        within(self.0.next()).await.expect("closed").unwrap()
    }

    async fn ask(&mut self, id: u64, method: &str, params: Value) -> Value {
        self.send(request(id, method, params)).await;
        self.next().await
    }

    async fn call(&mut self, id: u64, tool: &str, arguments: Value) -> Value {
        self.ask(
            id,
            "tools/call",
            json!({ "name": tool, "arguments": arguments }),
        )
        .await
    }

    /// The code with which the server closes; what it says before is skipped.
    async fn closed(&mut self) -> Option<CloseCode> {
        loop {
            match within(self.0.next()).await {
                Some(Ok(Message::Close(frame))) => return frame.map(|frame| frame.code),
                Some(Ok(_)) => {}
                Some(Err(error)) => panic!("broken, not closed: {error}"),
                None => return None,
            }
        }
    }
}

fn request(id: u64, method: &str, params: Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })
}

fn initialize(revision: &str, capabilities: Value) -> Value {
    json!({ "protocolVersion": revision, "capabilities": capabilities, "clientInfo": { "name": "t", "version": "1" } })
}

#[tokio::test]
async fn every_revision_is_spoken() {
    let live = Live::start(service().0).await;
    for revision in LEGACY {
        let mut client = Client::open(live.address).await;
        let hello = client
            .ask(0, "initialize", initialize(revision, json!({})))
            .await;
        assert_eq!(hello["result"]["protocolVersion"], revision);
        assert_eq!(hello["id"], 0);
        client
            .send(json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }))
            .await;
        let reply = client.call(1, "echo", json!({ "message": "ü" })).await;
        assert_eq!(
            reply["result"]["structuredContent"],
            json!({ "result": "ü" })
        );
        assert_eq!(reply["result"].get("resultType"), None);
    }
    // Since 2026-07-28 there is nothing to begin with, and no header to repeat anything.
    let mut client = Client::open(live.address).await;
    let reply = client
        .ask(1, "server/discover", json!({ "_meta": meta() }))
        .await;
    assert_eq!(reply["result"]["resultType"], "complete");
    let params = json!({ "name": "echo", "arguments": { "message": "x" }, "_meta": meta() });
    let reply = client.ask(2, "tools/call", params).await;
    assert_eq!(
        reply["result"]["structuredContent"],
        json!({ "result": "x" })
    );
    assert_eq!(reply["result"]["resultType"], "complete");
    live.stop().await;
}

#[tokio::test]
async fn what_is_refused_is_refused_before_the_upgrade() {
    let live = Live::start(service().0).await;
    let head = |method: &str, extra: &str| {
        let mut lines = vec![
            "Host: localhost",
            "Upgrade: websocket",
            "Connection: keep-alive, Upgrade",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            "Sec-WebSocket-Protocol: mcp",
        ];
        for line in extra.lines() {
            let name = line.split(':').next().unwrap();
            lines.retain(|known| known.split(':').next() != Some(name));
        }
        let extra: String = extra
            .lines()
            .filter(|line| !line.ends_with(": -"))
            .map(|line| format!("{line}\r\n"))
            .collect();
        format!(
            "{method} /mcp/ws HTTP/1.1\r\n{}\r\n{extra}\r\n",
            lines.join("\r\n")
        )
    };
    for (what, method, extra, expected) in [
        ("no sub-protocol", "GET", "Sec-WebSocket-Protocol: -", 400),
        (
            "another sub-protocol",
            "GET",
            "Sec-WebSocket-Protocol: chat, mcp2",
            400,
        ),
        ("no key", "GET", "Sec-WebSocket-Key: -", 400),
        ("a short key", "GET", "Sec-WebSocket-Key: YWJj", 400),
        ("another version", "GET", "Sec-WebSocket-Version: 8", 426),
        ("no version", "GET", "Sec-WebSocket-Version: -", 426),
        ("no upgrade", "GET", "Upgrade: -", 426),
        ("an upgrade to something else", "GET", "Upgrade: h2c", 426),
        ("TR-01 a foreign host", "GET", "Host: evil.example", 403),
        (
            "TR-02 a foreign origin",
            "GET",
            "Origin: https://evil.example",
            403,
        ),
        (
            "TR-02 before the token",
            "GET",
            "Origin: https://evil.example\nAuthorization: Bearer bad",
            403,
        ),
        ("TR-04 null", "GET", "Origin: null", 403),
        ("a bad token", "GET", "Authorization: Bearer bad", 401),
        ("no bearer token", "GET", "Authorization: Basic YTpi", 401),
        ("another method", "POST", "Connection: close", 405),
        ("another method", "DELETE", "Connection: close", 405),
    ] {
        let mut stream = live.connect().await;
        stream
            .write_all(head(method, extra).as_bytes())
            .await
            .unwrap();
        let got = crate::live::answer(&mut stream).await;
        assert_eq!(status(&got), expected, "{what}: {got}");
        assert!(!got.contains("evil"), "{what}: {got}");
        match expected {
            401 => assert!(got.contains("www-authenticate: Bearer"), "{what}: {got}"),
            405 => assert!(got.contains("allow: GET, OPTIONS"), "{what}: {got}"),
            426 => assert!(got.contains("sec-websocket-version: 13"), "{what}: {got}"),
            _ => {}
        }
    }
    // The example of RFC 6455.
    let mut stream = live.connect().await;
    stream
        .write_all(head("GET", "Origin: https://app.example.test").as_bytes())
        .await
        .unwrap();
    let got = crate::live::answer(&mut stream).await;
    assert_eq!(status(&got), 101, "{got}");
    assert!(
        got.contains("sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
        "{got}"
    );
    assert!(got.contains("sec-websocket-protocol: mcp"), "{got}");
    drop(stream);
    live.stop().await;
}

#[tokio::test]
async fn it_is_off_unless_asked_for() {
    let live = Live::start(Server::new(tools![echo]).build().unwrap()).await;
    assert_eq!(
        Client::connect(live.address, "/mcp/ws", &[]).await.err(),
        Some(404)
    );
    live.stop().await;
    let (server, _) = builder();
    let live = Live::start(server.public_url("http://localhost/a/b").build().unwrap()).await;
    assert_eq!(
        Client::connect(live.address, "/mcp/ws", &[]).await.err(),
        Some(404)
    );
    assert!(Client::connect(live.address, "/a/b/ws", &[]).await.is_ok());
    live.stop().await;
    // Nothing to upgrade in a test without sockets, and no panic either.
    let server = TestServer::new(builder().0).unwrap();
    let ask = Ask::raw("").method("GET").uri("/mcp/ws");
    let reply = ask.send(&server).await;
    assert_eq!(
        (reply.status, header(&reply, "upgrade")),
        (426, Some("websocket"))
    );
}

#[tokio::test]
async fn frames_that_are_not_for_us_close_the_connection() {
    let live = Live::start(service().0).await;
    let text = |bytes: &[u8], last: bool| {
        Message::Frame(Frame::message(
            bytes.to_vec(),
            OpCode::Data(Data::Text),
            last,
        ))
    };
    let more =
        |bytes: Vec<u8>| Message::Frame(Frame::message(bytes, OpCode::Data(Data::Continue), false));
    let half = vec![b'x'; 40 << 10];
    for (what, frames, code) in [
        (
            "binary",
            vec![Message::binary(b"{}".to_vec())],
            CloseCode::Unsupported,
        ),
        (
            "too large",
            vec![Message::text("x".repeat((64 << 10) + 1))],
            CloseCode::Size,
        ),
        (
            "far too large",
            vec![Message::text("x".repeat(4 << 20))],
            CloseCode::Size,
        ),
        (
            "too large in pieces",
            vec![text(&half, false), more(half.clone())],
            CloseCode::Size,
        ),
        (
            "not UTF-8",
            vec![text(b"\"\xff\xfe\"", true)],
            CloseCode::Invalid,
        ),
        (
            "a piece of nothing",
            vec![more(vec![b'x'])],
            CloseCode::Protocol,
        ),
    ] {
        let mut client = Client::open(live.address).await;
        for frame in frames {
            // The server may have closed before all is sent.
            let _ = within(client.0.send(frame)).await;
        }
        assert_eq!(client.closed().await, Some(code), "{what}");
    }
    // As large as allowed is not too large, and what is no message is answered.
    let mut client = Client::open(live.address).await;
    let frame = request(
        1,
        "tools/call",
        json!({ "name": "echo", "arguments": { "message": "" } }),
    )
    .to_string();
    let message = "x".repeat((64 << 10) - frame.len());
    let reply = client.call(1, "echo", json!({ "message": message })).await;
    assert_eq!(reply["result"]["isError"], false);
    for (what, text, code) in [
        ("not JSON", "{bad", -32700),
        ("empty", "", -32700),
        ("a batch", "[]", -32600),
    ] {
        client.0.send(Message::text(text)).await.unwrap();
        assert_eq!(client.next().await["error"]["code"], code, "{what}");
    }
    live.stop().await;
}

#[tokio::test]
async fn the_token_of_the_upgrade_says_who_calls() {
    let live = Live::start(service().0).await;
    for (name, expected) in [("ada", "ada"), ("bob", "bob")] {
        let mut client = Client::open_as(live.address, name).await.unwrap();
        let reply = client.call(1, "whoami", json!({})).await;
        assert_eq!(reply["result"]["structuredContent"]["result"], expected);
    }
    let mut client = Client::open(live.address).await;
    let reply = client.call(1, "whoami", json!({})).await;
    assert_eq!(reply["result"]["structuredContent"]["result"], "nobody");
    // A token in the URL is none.
    let mut client = Client::connect(
        live.address,
        "/mcp/ws?access_token=token-of-ada-0123456789",
        &[],
    )
    .await
    .unwrap();
    let reply = client.call(1, "whoami", json!({})).await;
    assert_eq!(reply["result"]["structuredContent"]["result"], "nobody");
    live.stop().await;
}

#[tokio::test]
async fn calls_ask_their_client_and_are_cancelled_by_it() {
    let (service, gate) = service();
    let live = Live::start(service).await;
    let mut client = Client::open(live.address).await;
    client
        .ask(
            0,
            "initialize",
            initialize("2025-11-25", json!({ "elicitation": {} })),
        )
        .await;
    let question = client.call(1, "greet", json!({})).await;
    assert_eq!(question["method"], "elicitation/create", "{question}");
    let answer = json!({ "action": "accept", "content": { "name": "Ada" } });
    client
        .send(json!({ "jsonrpc": "2.0", "id": question["id"], "result": answer }))
        .await;
    assert_eq!(
        client.next().await["result"]["content"][0]["text"],
        "Hello, Ada!"
    );

    client
        .send(request(12, "tools/call", json!({ "name": "hang" })))
        .await;
    within(gate.entered.acquire()).await.unwrap().forget();
    client.send(json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": 12 } })).await;
    within(gate.left.acquire()).await.unwrap().forget();
    let next = client.ask(13, "ping", json!({})).await;
    assert_eq!(
        next["id"], 13,
        "there is no answer to a cancelled call: {next}"
    );

    // A client that goes takes its calls with it.
    client
        .send(request(14, "tools/call", json!({ "name": "hang" })))
        .await;
    within(gate.entered.acquire()).await.unwrap().forget();
    client.0.close(None).await.unwrap();
    within(gate.left.acquire()).await.unwrap().forget();
    let mut client = Client::open(live.address).await;
    client
        .send(request(14, "tools/call", json!({ "name": "hang" })))
        .await;
    within(gate.entered.acquire()).await.unwrap().forget();
    drop(client);
    within(gate.left.acquire()).await.unwrap().forget();
    live.stop().await;
}

#[tokio::test]
async fn connections_do_not_hear_each_other_and_one_that_ends_ends_alone() {
    let live = Live::start(service().0).await;
    let (mut ada, mut bob) = (
        Client::open(live.address).await,
        Client::open(live.address).await,
    );
    let listen = json!({ "notifications": { "toolsListChanged": true }, "_meta": meta() });
    let acknowledged = ada.ask(9, "subscriptions/listen", listen).await;
    assert_eq!(
        acknowledged["method"],
        "notifications/subscriptions/acknowledged"
    );
    for n in 0..50_u64 {
        bob.send(request(
            n,
            "tools/call",
            json!({ "name": "echo", "arguments": { "message": "bob" } }),
        ))
        .await;
        ada.send(request(
            n,
            "tools/call",
            json!({ "name": "echo", "arguments": { "message": "ada" } }),
        ))
        .await;
    }
    for (client, name) in [(&mut ada, "ada"), (&mut bob, "bob")] {
        for _ in 0..50 {
            assert_eq!(
                client.next().await["result"]["content"][0]["text"],
                name,
                "answers are crossed"
            );
        }
    }
    bob.0.close(None).await.unwrap();
    assert!(
        within(bob.0.next())
            .await
            .is_some_and(|frame| frame.is_ok()),
        "a goodbye is answered"
    );
    // The listener of the other connection is still there.
    let mut carol = Client::open(live.address).await;
    carol.call(1, "change", json!({})).await;
    let note = ada.next().await;
    assert_eq!(note["method"], "notifications/tools/list_changed", "{note}");
    assert_eq!(
        note["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"],
        9
    );
    live.stop().await;
}

#[tokio::test]
async fn a_server_that_stops_says_so_after_what_it_began() {
    let (service, gate) = service();
    let mut live = Live::start(service).await;
    let mut client = Client::open(live.address).await;
    client
        .send(request(
            1,
            "tools/call",
            json!({ "name": "nap", "arguments": { "ms": 300 } }),
        ))
        .await;
    within(gate.entered.acquire()).await.unwrap().forget();
    live.tell_to_stop();
    let reply = client.next().await;
    assert_eq!(
        reply["result"]["structuredContent"]["result"], 300,
        "{reply}"
    );
    assert_eq!(client.closed().await, Some(CloseCode::Away));
    assert!(live.stop().await < Duration::from_secs(5));
}

#[tokio::test]
async fn a_server_does_not_wait_for_ever_to_stop() {
    let (server, gate) = builder();
    let live = Live::start(server.drain(Duration::from_millis(200)).build().unwrap()).await;
    let mut client = Client::open(live.address).await;
    client
        .send(request(1, "tools/call", json!({ "name": "hang" })))
        .await;
    within(gate.entered.acquire()).await.unwrap().forget();
    let took = live.stop().await;
    assert!(took < Duration::from_secs(3), "{took:?}");
    within(gate.left.acquire()).await.unwrap().forget();
}

#[tokio::test]
async fn shutdown_ends_the_session_after_its_answer() {
    let live = Live::start(service().0).await;
    let mut client = Client::open(live.address).await;
    client
        .ask(0, "initialize", initialize("2025-06-18", json!({})))
        .await;
    let reply = client.ask(1, "shutdown", json!({})).await;
    assert_eq!(reply, json!({ "jsonrpc": "2.0", "id": 1, "result": {} }));
    assert_eq!(client.closed().await, Some(CloseCode::Normal));
    // Nobody else is concerned.
    let mut other = Client::open(live.address).await;
    assert_eq!(other.ask(1, "ping", json!({})).await["result"], json!({}));
    live.stop().await;
}

/// A client that does not answer pings is let go; one that does may be silent for as long as it
/// likes.
#[tokio::test]
async fn silent_clients_are_let_go() {
    let live = Live::start(service().0).await;
    let mut silent = live.connect().await;
    silent.write_all(UPGRADE).await.unwrap();
    crate::live::answer(&mut silent).await;
    let mut well = Client::open(live.address).await;
    well.ask(1, "ping", json!({})).await;
    tokio::time::pause();
    let since = tokio::time::Instant::now();
    let mut pings = 0;
    // Reading answers pings.
    while since.elapsed() < Duration::from_secs(200) {
        let next = tokio::time::timeout(Duration::from_secs(10), well.0.next()).await;
        if let Ok(frame) = next {
            assert!(matches!(frame, Some(Ok(Message::Ping(_)))), "{frame:?}");
            pings += 1;
        }
    }
    assert!((5..=7).contains(&pings), "{pings} pings in 200 s");
    tokio::time::resume();
    assert_eq!(well.ask(2, "ping", json!({})).await["result"], json!({}));
    let mut said = Vec::new();
    within(silent.read_to_end(&mut said)).await.unwrap();
    assert!(said.starts_with(&[0x89, 0]), "a ping: {said:?}");
    let goodbye = said.iter().position(|byte| *byte == 0x88).unwrap();
    assert_eq!(said[goodbye + 2..goodbye + 4], 1008_u16.to_be_bytes());
    live.stop().await;
}

#[tokio::test]
async fn no_caller_has_all_connections() {
    let live = Live::start(service().0).await;
    let mut open = Vec::new();
    for _ in 0..32 {
        open.push(Client::open_as(live.address, "ada").await.unwrap());
    }
    assert_eq!(Client::open_as(live.address, "ada").await.err(), Some(429));
    assert!(
        Client::open_as(live.address, "bob").await.is_ok(),
        "another caller"
    );
    assert!(
        Client::connect(live.address, "/mcp/ws", &[]).await.is_ok(),
        "nobody in particular"
    );
    let mut last = open.pop().unwrap();
    last.0.close(None).await.unwrap();
    let since = Instant::now();
    while Client::open_as(live.address, "ada").await.is_err() {
        assert!(
            since.elapsed() < Duration::from_secs(5),
            "the place of a closed connection is not given back"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    live.stop().await;
}

/// A client that sends and does not read keeps the server from reading on.
#[tokio::test]
async fn a_reader_that_stops_reading_stops_the_server_from_reading() {
    let live = Live::start(service().0).await;
    let mut client = Client::open(live.address).await;
    let call = request(
        1,
        "tools/call",
        json!({ "name": "echo", "arguments": { "message": "z".repeat(60_000) } }),
    );
    let call = Message::text(call.to_string());
    let mut sent = 0;
    while sent < 2000 {
        let send = client.0.send(call.clone());
        if tokio::time::timeout(Duration::from_millis(500), send)
            .await
            .is_err()
        {
            break;
        }
        sent += 1;
    }
    assert!(
        sent < 1000,
        "120 MB of answers are waiting for a reader that does not read"
    );
    let mut other = Client::open(live.address).await;
    assert_eq!(other.ask(2, "ping", json!({})).await["result"], json!({}));
    drop(client);
    live.stop().await;
}

/// The same under the roof of a larger application.
#[tokio::test]
async fn a_router_nests_it() {
    let app = axum::Router::new().nest("/apps", service().0.router());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let served = tokio::spawn(async move { axum::serve(listener, app).await });
    let mut client = Client::connect(address, "/apps/mcp/ws", &[]).await.unwrap();
    let reply = client.call(1, "echo", json!({ "message": "x" })).await;
    assert_eq!(reply["result"]["content"][0]["text"], "x");
    assert_eq!(
        Client::connect(address, "/mcp/ws", &[]).await.err(),
        Some(404)
    );
    let bad = [("origin", "https://evil.example")];
    assert_eq!(
        Client::connect(address, "/apps/mcp/ws", &bad).await.err(),
        Some(403)
    );
    served.abort();
}

/// What a client sends right behind its request to upgrade is not lost.
#[tokio::test]
async fn an_eager_client_is_heard() {
    let live = Live::start(service().0).await;
    let mut stream = live.connect().await;
    let mut bytes = UPGRADE.to_vec();
    let ping = br#"{"jsonrpc":"2.0","id":"eager","method":"ping"}"#;
    // A masked text frame, whose mask of zeros leaves it as it is, and a masked goodbye.
    bytes.extend([0x81, 0x80 | u8::try_from(ping.len()).unwrap(), 0, 0, 0, 0]);
    bytes.extend(ping);
    stream.write_all(&bytes).await.unwrap();
    let answer = br#"{"jsonrpc":"2.0","id":"eager","result":{}}"#;
    let mut got = Vec::new();
    while !got.windows(answer.len()).any(|part| part == answer) {
        let read = within(stream.read_buf(&mut got)).await.unwrap();
        assert_ne!(read, 0, "closed: {}", String::from_utf8_lossy(&got));
    }
    stream.write_all(&[0x88, 0x80, 0, 0, 0, 0]).await.unwrap();
    rest(&mut stream).await;
    live.stop().await;
}

//! The transport of 2024-11-05: a stream of events, and messages posted beside it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use mcp_runtime::Service;
use mcp_runtime::prelude::*;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::gated::{Gate, State, ada_and_bob, greet, hang, nap, whoami};
use crate::live::{Live, answer, status, within};
use crate::rows::request;

fn builder() -> (Server<State>, Arc<Gate>) {
    let gate = Gate::new();
    let state = State { gate: gate.clone() };
    let server = Server::with_state(state, tools![whoami, greet, hang, nap])
        .auth(ada_and_bob())
        .answer_shutdown()
        .max_body(64 << 10)
        .legacy_sse();
    (server, gate)
}

fn service() -> (Service, Arc<Gate>) {
    let (server, gate) = builder();
    (server.build().unwrap(), gate)
}

fn bearer(name: &str) -> String {
    match name {
        "" => String::new(),
        name => format!("Authorization: Bearer token-of-{name}-0123456789\r\n"),
    }
}

/// A client with its stream.
struct Client<'a> {
    live: &'a Live,
    name: &'static str,
    stream: TcpStream,
    buffer: Vec<u8>,
    /// Where to post messages, as the first event says.
    place: String,
}

impl<'a> Client<'a> {
    async fn open(live: &'a Live, name: &'static str) -> Self {
        Self::connect(live, name, "/sse").await.unwrap()
    }

    /// The status of a refusal.
    async fn connect(live: &'a Live, name: &'static str, path: &str) -> Result<Self, u16> {
        let mut stream = live.connect().await;
        let head = format!(
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n{}\r\n",
            bearer(name)
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut client = Self {
            live,
            name,
            stream,
            buffer: Vec::new(),
            place: String::new(),
        };
        let head = client.until("\r\n\r\n").await.unwrap();
        if status(&head) != 200 {
            return Err(status(&head));
        }
        assert!(head.contains("content-type: text/event-stream"), "{head}");
        assert!(head.contains("x-accel-buffering: no"), "{head}");
        let (kind, data) = client.event().await.unwrap();
        assert_eq!(kind, "endpoint", "the first event says where to post");
        client.place = data;
        Ok(client)
    }

    /// What comes up to and with `end`; `None` at the end of the stream.
    async fn until(&mut self, end: &str) -> Option<String> {
        loop {
            let found = self
                .buffer
                .windows(end.len())
                .position(|part| part == end.as_bytes());
            if let Some(at) = found {
                let rest = self.buffer.split_off(at + end.len());
                let part = std::mem::replace(&mut self.buffer, rest);
                return Some(String::from_utf8(part).unwrap());
            }
            if within(self.stream.read_buf(&mut self.buffer)).await.ok()? == 0 {
                return None;
            }
        }
    }

    /// The next event: its name and its data. Every event is one chunk of the body.
    async fn event(&mut self) -> Option<(String, String)> {
        loop {
            let length = self.until("\r\n").await?;
            if length.trim() == "0" {
                return None;
            }
            let chunk = self.until("\n\n\r\n").await?;
            assert_eq!(
                usize::from_str_radix(length.trim(), 16).unwrap(),
                chunk.len() - 2
            );
            let field = |name: &str| chunk.lines().find_map(|line| line.strip_prefix(name));
            if let (Some(kind), Some(data)) = (field("event: "), field("data: ")) {
                return Some((kind.to_owned(), data.to_owned()));
            }
        }
    }

    async fn next(&mut self) -> Value {
        let (kind, data) = self.event().await.expect("the stream has ended");
        assert_eq!(kind, "message");
        serde_json::from_str(&data).unwrap()
    }

    /// The whole answer to a message posted there.
    async fn post_to(&self, place: &str, name: &str, body: &str) -> String {
        let mut stream = self.live.connect().await;
        let head = format!(
            "POST {place} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{}Content-Length: {}\r\n\r\n",
            bearer(name),
            body.len()
        );
        stream
            .write_all(format!("{head}{body}").as_bytes())
            .await
            .unwrap();
        answer(&mut stream).await
    }

    async fn send(&self, message: Value) {
        let got = self
            .post_to(&self.place, self.name, &message.to_string())
            .await;
        assert_eq!(status(&got), 202, "{got}");
        assert!(
            got.ends_with("\r\n\r\n"),
            "the answer comes on the stream: {got}"
        );
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
}

fn hello() -> Value {
    json!({ "protocolVersion": "2024-11-05", "capabilities": { "elicitation": {} }, "clientInfo": { "name": "t", "version": "1" } })
}

/// copilot 1.6
#[tokio::test]
async fn a_client_of_2024_11_05_is_served() {
    let live = Live::start(service().0).await;
    let mut client = Client::open(&live, "ada").await;
    let id = client
        .place
        .strip_prefix("/messages/?session_id=")
        .unwrap()
        .to_owned();
    assert!(
        id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit()),
        "{id}"
    );
    let reply = client.ask(0, "initialize", hello()).await;
    assert_eq!(reply["result"]["protocolVersion"], "2024-11-05");
    assert_eq!(reply["id"], 0);
    client
        .send(json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }))
        .await;
    let reply = client.ask(1, "tools/list", json!({})).await;
    assert_eq!(reply["result"]["tools"].as_array().map(Vec::len), Some(4));
    let reply = client.call(2, "whoami", json!({})).await;
    assert_eq!(reply["result"]["content"][0]["text"], "ada");
    // The same id, written like a UUID, and without the slash.
    let dashed = format!(
        "{}-{}-{}-{}-{}",
        &id[..8],
        &id[8..12],
        &id[12..16],
        &id[16..20],
        &id[20..]
    );
    for place in [
        format!("/messages/?session_id={dashed}"),
        format!("/messages?session_id={id}"),
        format!("/messages?a=b&session_id={}", dashed.to_uppercase()),
    ] {
        let ping = request(3, "ping", json!({})).to_string();
        assert_eq!(
            status(&client.post_to(&place, "ada", &ping).await),
            202,
            "{place}"
        );
        assert_eq!(client.next().await["result"], json!({}), "{place}");
    }
    let question = client.call(4, "greet", json!({})).await;
    assert_eq!(question["method"], "elicitation/create", "{question}");
    let answer = json!({ "action": "accept", "content": { "name": "Ada" } });
    client
        .send(json!({ "jsonrpc": "2.0", "id": question["id"], "result": answer }))
        .await;
    assert_eq!(
        client.next().await["result"]["content"][0]["text"],
        "Hello, Ada!"
    );
    drop(client);
    live.stop().await;
}

#[tokio::test]
async fn a_stream_belongs_to_its_caller() {
    let live = Live::start(service().0).await;
    let mut client = Client::open(&live, "ada").await;
    let ping = request(1, "ping", json!({})).to_string();
    let unknown = format!("/messages/?session_id={}", "0".repeat(32));
    let dateless = |answer: String| -> String {
        let lines = answer.split_inclusive("\r\n");
        lines.filter(|line| !line.starts_with("date: ")).collect()
    };
    let unknown = dateless(client.post_to(&unknown, "ada", &ping).await);
    assert_eq!(status(&unknown), 404, "{unknown}");
    assert!(unknown.contains("-32001"), "{unknown}");
    let place = client.place.clone();
    for (what, place, name) in [
        ("SE-03 foreign", place.as_str(), "bob"),
        ("SE-03 nobody's", place.as_str(), ""),
        ("no id", "/messages/", "ada"),
        ("half an id", "/messages/?session_id=0123", "ada"),
        ("two ids", &format!("{place}&session_id=1"), "ada"),
    ] {
        let got = dateless(client.post_to(place, name, &ping).await);
        assert_eq!(got, unknown, "{what}: answered like an unknown one");
    }
    assert_eq!(
        client.ask(2, "ping", json!({})).await["id"],
        2,
        "nothing else was heard"
    );
    drop(client);
    live.stop().await;
}

#[tokio::test]
async fn it_has_the_checks_of_the_endpoint() {
    let live = Live::start(service().0).await;
    let client = Client::open(&live, "").await;
    let get = |extra: &str| {
        format!("GET /sse HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{extra}\r\n")
    };
    let post = |extra: &str, body: &str| {
        format!(
            "POST {} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{extra}Content-Length: {}\r\n\r\n{body}",
            client.place,
            body.len()
        )
    };
    let json = "Content-Type: application/json\r\n";
    let large = format!("\"{}\"", "x".repeat(64 << 10));
    for (what, bytes, expected) in [
        ("TR-02 stream", get("Origin: https://evil.example\r\n"), 403),
        ("TR-29 stream", get("Host: evil.example\r\n"), 400),
        ("a bad token", get("Authorization: Bearer bad\r\n"), 401),
        ("no events taken", get("Accept: text/html\r\n"), 406),
        (
            "POST to the stream",
            get("").replacen("GET", "POST", 1),
            405,
        ),
        ("PUT to the stream", get("").replacen("GET", "PUT", 1), 405),
        (
            "TR-02 message",
            post(
                "Origin: https://evil.example\r\nContent-Type: application/json\r\n",
                "{}",
            ),
            403,
        ),
        (
            "a bad token",
            post(
                "Authorization: Bearer bad\r\nContent-Type: application/json\r\n",
                "{}",
            ),
            401,
        ),
        ("no type", post("", "{}"), 415),
        ("text", post("Content-Type: text/plain\r\n", "{}"), 415),
        ("TR-18 bad JSON", post(json, "{bad"), 400),
        ("no message", post(json, "{}"), 400),
        (
            "TR-19 a batch",
            post(json, "[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}]"),
            400,
        ),
        ("TR-11 too large", post(json, &large), 413),
        (
            "GET of a message",
            post(json, "").replacen("POST", "GET", 1),
            405,
        ),
        (
            "DELETE of a message",
            post(json, "").replacen("POST", "DELETE", 1),
            405,
        ),
    ] {
        let got = live.exchange(bytes.as_bytes()).await;
        assert_eq!(status(&got), expected, "{what}: {got:.300}");
    }
    drop(client);
    live.stop().await;
    let live = Live::start(Server::new(tools![whoami]).build().unwrap()).await;
    assert_eq!(
        Client::connect(&live, "", "/sse").await.err(),
        Some(404),
        "off unless asked for"
    );
    live.stop().await;
}

#[tokio::test]
async fn the_end_of_the_stream_is_that_of_the_session() {
    let (service, gate) = service();
    let live = Live::start(service).await;
    let mut other = Client::open(&live, "ada").await;
    let client = Client::open(&live, "ada").await;
    client
        .send(request(1, "tools/call", json!({ "name": "hang" })))
        .await;
    within(gate.entered.acquire()).await.unwrap().forget();
    let place = client.place.clone();
    drop(client);
    within(gate.left.acquire()).await.unwrap().forget();
    let ping = request(2, "ping", json!({})).to_string();
    let since = Instant::now();
    while status(&other.post_to(&place, "ada", &ping).await) != 404 {
        assert!(
            since.elapsed() < Duration::from_secs(5),
            "the session outlives its stream"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(
        other.ask(3, "ping", json!({})).await["id"],
        3,
        "others go on"
    );
    // T7: the stream ends after the answer.
    assert_eq!(
        other.ask(4, "shutdown", json!({})).await["result"],
        json!({})
    );
    assert_eq!(within(other.event()).await, None);
    live.stop().await;
}

#[tokio::test]
async fn calls_are_cancelled() {
    let (service, gate) = service();
    let live = Live::start(service).await;
    let mut client = Client::open(&live, "").await;
    client
        .send(request(7, "tools/call", json!({ "name": "hang" })))
        .await;
    within(gate.entered.acquire()).await.unwrap().forget();
    client.send(json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": 7 } })).await;
    within(gate.left.acquire()).await.unwrap().forget();
    assert_eq!(client.ask(8, "ping", json!({})).await["id"], 8);
    drop(client);
    live.stop().await;
}

/// Appendix A: overloaded is 429 with `Retry-After`, and what is under way is bounded.
#[tokio::test]
async fn appendix_a_23_too_many_streams_and_too_many_messages() {
    let (service, gate) = service();
    let live = Live::start(service).await;
    let mut open = Vec::new();
    for _ in 0..32 {
        open.push(Client::open(&live, "ada").await);
    }
    assert_eq!(Client::connect(&live, "ada", "/sse").await.err(), Some(429));
    assert!(
        Client::connect(&live, "bob", "/sse").await.is_ok(),
        "another caller"
    );
    assert!(
        Client::connect(&live, "", "/sse").await.is_ok(),
        "nobody in particular"
    );
    let get = format!(
        "GET /sse HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{}\r\n",
        bearer("ada")
    );
    let got = live.exchange(get.as_bytes()).await;
    assert!(
        status(&got) == 429 && got.contains("retry-after: 10"),
        "{got}"
    );
    // 4 MiB of messages on one stream, none of which ends.
    let client = &open[0];
    let hang = json!({ "name": "hang", "_meta": { "x": "y".repeat(60_000) } });
    let mut refused = None;
    for n in 0..100 {
        let got = client
            .post_to(
                &client.place,
                "ada",
                &request(n, "tools/call", hang.clone()).to_string(),
            )
            .await;
        if status(&got) != 202 {
            refused = Some(got);
            break;
        }
    }
    let refused = refused.expect("messages are taken without end");
    assert!(
        status(&refused) == 429 && refused.contains("retry-after: "),
        "{refused}"
    );
    // What cancels is heard all the same.
    within(gate.entered.acquire()).await.unwrap().forget();
    client.send(json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": 0 } })).await;
    within(gate.left.acquire()).await.unwrap().forget();
    drop(open);
    live.stop().await;
}

#[tokio::test]
async fn a_server_that_stops_answers_what_it_began() {
    let (service, gate) = service();
    let mut live = Live::start(service).await;
    let mut stream = live.connect().await;
    stream
        .write_all(b"GET /sse HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await
        .unwrap();
    let mut seen = Vec::new();
    let place = loop {
        within(stream.read_buf(&mut seen)).await.unwrap();
        let text = String::from_utf8_lossy(&seen).into_owned();
        if let Some((_, rest)) = text.split_once("data: ")
            && let Some((place, _)) = rest.split_once('\n')
        {
            break place.to_owned();
        }
    };
    let body = request(
        1,
        "tools/call",
        json!({ "name": "nap", "arguments": { "ms": 300 } }),
    )
    .to_string();
    let post = format!(
        "POST {place} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    assert_eq!(status(&live.exchange(post.as_bytes()).await), 202);
    within(gate.entered.acquire()).await.unwrap().forget();
    live.tell_to_stop();
    let said = crate::live::rest(&mut stream).await;
    assert!(said.contains(r#""result":300"#), "{said}");
    assert!(live.stop().await < Duration::from_secs(5));
}

/// Under the roof of a larger application the first event names the way from outside.
#[tokio::test]
async fn a_router_nests_it() {
    let app = axum::Router::new().nest("/apps", service().0.router());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let served = tokio::spawn(async move { axum::serve(listener, app).await });
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream
        .write_all(b"GET /apps/sse HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await
        .unwrap();
    let mut seen = Vec::new();
    while !seen.ends_with(b"\n\n\r\n") {
        assert_ne!(within(stream.read_buf(&mut seen)).await.unwrap(), 0);
    }
    let seen = String::from_utf8(seen).unwrap();
    assert!(seen.contains("data: /apps/messages/?session_id="), "{seen}");
    served.abort();
}

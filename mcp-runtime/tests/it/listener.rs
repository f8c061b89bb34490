//! Clients that break the rules of HTTP, and how the server ends. Real sockets.

use std::time::{Duration, Instant};

use mcp_runtime::Service;
use mcp_runtime::prelude::*;
use mcp_runtime::testing::TestServer;
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::sync::Semaphore;

use crate::ask::{Ask, MODERN, call};
use crate::live::{Live, alone, answer, resident_kib, rest, status, within};

/// Say it again.
#[mcp_tool(public)]
fn echo(message: String) -> String {
    message
}

/// What a test and its tool tell each other.
struct Gate {
    entered: Semaphore,
    open: Semaphore,
}

#[derive(Lend)]
struct State {
    gate: std::sync::Arc<Gate>,
}

/// Waits for the gate.
#[mcp_tool(public)]
async fn wait(gate: &std::sync::Arc<Gate>) -> String {
    gate.entered.add_permits(1);
    let _ = gate.open.acquire().await;
    "through".into()
}

fn gate() -> std::sync::Arc<Gate> {
    std::sync::Arc::new(Gate {
        entered: Semaphore::new(0),
        open: Semaphore::new(0),
    })
}

fn service() -> Service {
    Server::new(tools![echo]).build().unwrap()
}

fn good() -> Vec<u8> {
    call(MODERN, "echo", json!({ "message": "hi" })).bytes()
}

/// The same, on a connection that stays.
fn kept() -> Vec<u8> {
    let text = String::from_utf8(good()).unwrap();
    text.replacen("connection: close\r\n", "", 1).into_bytes()
}

async fn alive(live: &Live) {
    assert_eq!(
        status(&live.exchange(&good()).await),
        200,
        "the server does not answer a good call any more"
    );
}

#[tokio::test]
async fn heads_out_of_bounds() {
    for live in Live::both(impatient).await {
        let head = |extra: &str| {
            format!("POST /mcp HTTP/1.1\r\nHost: localhost\r\n{extra}Content-Length: 0\r\n\r\n")
        };
        let many = (0..101)
            .map(|n| format!("X-{n}: 1\r\n"))
            .collect::<String>();
        let large = format!("X-Large: {}\r\n", "x".repeat(64 << 10));
        let long = |kib: usize| {
            let query = "x".repeat(kib << 10);
            format!("POST /mcp?{query} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        };
        let rows: Vec<(&str, String, &[u16])> = vec![
            ("TR-31 101 headers", head(&many), &[431]),
            ("TR-31 64 KiB in one header", head(&large), &[431]),
            ("TR-31 a URI of 33 KiB", long(33), &[414, 431]),
            ("TR-31 a URI of 9 KiB", long(9), &[414]),
            ("TR-27 two lengths", head("Content-Length: 2\r\n"), &[400]),
            ("TR-28 an unknown coding", "POST /mcp HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: xchunked\r\n\r\n".into(), &[400]),
            ("TR-28 chunked is not last", "POST /mcp HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked, identity\r\n\r\n".into(), &[400]),
            ("TR-28 chunked at HTTP/1.0", "POST /mcp HTTP/1.0\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".into(), &[400]),
            ("TR-28 a space before the colon", "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Length : 2\r\n\r\n{}".into(), &[400]),
            ("TR-29 two hosts", head("Host: evil.example\r\n"), &[400]),
            ("TR-30 an absolute URI", "POST http://evil.example/mcp HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".into(), &[400, 403]),
            ("TR-35 CONNECT", "CONNECT localhost:1 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".into(), &[400, 404, 405]),
            ("TR-35 TRACE", "TRACE /mcp HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".into(), &[405]),
            ("no HTTP", "\x16\x03\x01\x02\x00\x01".into(), &[0, 400]),
            ("HTTP/2 without a word", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".into(), &[0, 400, 505]),
            ("a line break in a header", "POST /mcp HTTP/1.1\r\nHost: localhost\r\nX: a\n b\r\n\r\n".into(), &[400]),
        ];
        for (what, bytes, expected) in rows {
            let got = live.exchange(bytes.as_bytes()).await;
            assert!(
                expected.contains(&status(&got)),
                "{what}: expected one of {expected:?}, got {got:.300}"
            );
            assert!(
                !got.contains("evil"),
                "{what}: what was sent is echoed: {got}"
            );
        }
        alive(&live).await;
        live.stop().await;
    }
}

/// TR-26: two readers must not see two different requests.
#[tokio::test]
async fn a_request_is_not_smuggled_behind_another() {
    for live in Live::both(service).await {
        for (what, head) in [
            (
                "length first",
                "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
            ),
            (
                "coding first",
                "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
            ),
        ] {
            let bytes = format!(
                "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{head}\r\n0\r\n\r\n\
                 GET /api/v1/health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
            );
            let got = live.exchange(bytes.as_bytes()).await;
            assert_eq!(
                got.matches("HTTP/1.1 ").count(),
                1,
                "TR-26 {what}: exactly one answer, then the end: {got}"
            );
            assert!(
                !got.contains("\"status\""),
                "TR-26 {what}: the hidden request was answered: {got}"
            );
        }
        live.stop().await;
    }
}

#[tokio::test]
async fn bodies_over_the_limit_are_not_read() {
    if !alone("listener::bodies_over_the_limit_are_not_read") {
        return;
    }
    let live = Live::start(service()).await;
    let before = resident_kib();
    let head = "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";
    // TR-11: by its declared length. The body is never sent; the answer comes all the same.
    for length in ["1048577", "1099511627776", "18446744073709551615"] {
        let since = Instant::now();
        let got = live
            .exchange(format!("{head}Content-Length: {length}\r\n\r\n0123456789").as_bytes())
            .await;
        assert!(
            [413, 431].contains(&status(&got)),
            "TR-11, TR-13 {length}: {got}"
        );
        assert!(
            since.elapsed() < Duration::from_secs(1),
            "TR-13: the refusal waits for the body"
        );
    }
    // TR-12: chunk by chunk.
    let mut stream = live.connect().await;
    stream
        .write_all(format!("{head}Transfer-Encoding: chunked\r\n\r\n").as_bytes())
        .await
        .unwrap();
    let chunk = [
        format!("{:x}\r\n", 64 << 10).as_bytes(),
        &[b' '; 64 << 10],
        b"\r\n",
    ]
    .concat();
    let mut taken = 0;
    while taken < 400 && within(stream.write_all(&chunk)).await.is_ok() {
        taken += 1;
        if stream.try_read(&mut [0; 0]).is_err() {
            tokio::task::yield_now().await;
        }
    }
    assert!(
        taken < 400,
        "TR-12: 25 MiB were taken from a body that may have 1 MiB"
    );
    assert!(
        resident_kib() < before + (16 << 10),
        "TR-12: memory grew with the body"
    );
    alive(&live).await;
    live.stop().await;
}

#[tokio::test]
async fn oversize_is_answered_when_the_client_listens() {
    for live in Live::both(|| Server::new(tools![echo]).max_body(1000).build().unwrap()).await {
        let body = "x".repeat(600);
        let head = "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
        let mut stream = live.connect().await;
        stream
            .write_all(format!("{head}258\r\n{body}\r\n258\r\n{body}\r\n").as_bytes())
            .await
            .unwrap();
        let got = rest(&mut stream).await;
        assert_eq!(status(&got), 413, "TR-12: {got}");
        assert!(
            got.contains("connection: close") && got.contains("-32600"),
            "{got}"
        );
        live.stop().await;
    }
}

fn impatient() -> Service {
    Server::new(tools![echo])
        .request_deadlines(Duration::from_millis(300), Duration::from_millis(300))
        .build()
        .unwrap()
}

/// TR-32, TR-33: a request has to arrive, however alive its client looks.
#[tokio::test]
async fn slow_clients_are_let_go() {
    for live in Live::both(impatient).await {
        let rows: [(&str, &str); 5] = [
            ("TR-32 half a line", "POST /m"),
            (
                "TR-32 half a head",
                "POST /mcp HTTP/1.1\r\nHost: localhost\r\nX-A: ",
            ),
            (
                "TR-33 half a body",
                "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{",
            ),
            (
                "TR-33 half a chunk",
                "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{",
            ),
            (
                "a refused request with half a body",
                "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\nContent-Length: 1000\r\n\r\n{",
            ),
        ];
        for (what, bytes) in rows {
            let since = Instant::now();
            let got = live.exchange(bytes.as_bytes()).await;
            assert!(
                since.elapsed() < Duration::from_secs(3),
                "{what}: closed only after {:?}",
                since.elapsed()
            );
            assert!([0, 400, 408, 415].contains(&status(&got)), "{what}: {got}");
        }
        // A byte now and then does not move the deadline.
        for head in [
            "POST /mcp HTTP/1.1\r\nHost: localhost\r\nX-A: ",
            "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n",
        ] {
            let mut stream = live.connect().await;
            stream.write_all(head.as_bytes()).await.unwrap();
            let since = Instant::now();
            while stream.write_all(b" ").await.is_ok() && since.elapsed() < Duration::from_secs(5) {
                tokio::time::sleep(Duration::from_millis(40)).await;
            }
            assert!(
                since.elapsed() < Duration::from_secs(3),
                "TR-33: dripping bytes keep a request open"
            );
        }
        // The second request of a connection has the same deadlines as the first.
        let mut stream = live.connect().await;
        stream.write_all(&kept()).await.unwrap();
        assert_eq!(status(&answer(&mut stream).await), 200);
        stream
            .write_all(b"POST /mcp HTTP/1.1\r\nHost: ")
            .await
            .unwrap();
        let since = Instant::now();
        rest(&mut stream).await;
        assert!(
            since.elapsed() < Duration::from_secs(3),
            "TR-32: a second request may take for ever"
        );
        alive(&live).await;
        live.stop().await;
    }
}

/// TR-34: the clock of the runtime stands still but for waiting, so 75 s take no time.
#[tokio::test(start_paused = true)]
async fn idle_connections_are_let_go() {
    let live = Live::start(service()).await;
    let mut silent = live.connect().await;
    let mut used = live.connect().await;
    used.write_all(&kept()).await.unwrap();
    let since = tokio::time::Instant::now();
    let mut bytes = Vec::new();
    tokio::io::AsyncReadExt::read_to_end(&mut silent, &mut bytes)
        .await
        .unwrap();
    assert!(bytes.is_empty());
    bytes.clear();
    let _ = tokio::io::AsyncReadExt::read_to_end(&mut used, &mut bytes).await;
    let waited = since.elapsed();
    assert!(
        waited <= Duration::from_secs(120),
        "TR-34: idle connections stay for {waited:?}"
    );
    assert_eq!(status(&String::from_utf8_lossy(&bytes)), 200);
}

/// TR-50: each request gets its own answer, in order.
#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    for live in Live::both(service).await {
        let mut stream = live.connect().await;
        let mut bytes = Vec::new();
        for n in 0..100 {
            let body = json!({ "jsonrpc": "2.0", "id": n, "method": "tools/call",
                "params": { "name": "echo", "arguments": { "message": format!("m{n}") } } });
            let one = Ask::raw(body.to_string()).bytes();
            let text = String::from_utf8(one).unwrap();
            bytes.extend_from_slice(
                if n == 99 {
                    text.clone()
                } else {
                    text.replacen("connection: close\r\n", "", 1)
                }
                .as_bytes(),
            );
        }
        stream.write_all(&bytes).await.unwrap();
        let got = rest(&mut stream).await;
        let answers: Vec<_> = got.split("HTTP/1.1 200 OK").skip(1).collect();
        assert_eq!(answers.len(), 100, "TR-50: every request has its answer");
        for (n, answer) in answers.iter().enumerate() {
            assert!(
                answer.contains(&format!("\"id\":{n},")) && answer.contains(&format!("\"m{n}\"")),
                "TR-50: {n} got {answer}"
            );
        }
        live.stop().await;
    }
}

/// TR-50: what comes with the first request or after its answer, in whatever two pieces.
#[tokio::test]
async fn a_second_request_may_be_cut_anywhere() {
    let second = String::from_utf8(kept()).unwrap();
    let chunked = second.replacen(
        "\r\n\r\n",
        &format!(
            "\r\n\r\n{:x}\r\n",
            second.split_once("\r\n\r\n").unwrap().1.len()
        ),
        1,
    ) + "\r\n0\r\n\r\n";
    let length = second
        .lines()
        .find(|line| line.starts_with("content-length"))
        .unwrap();
    let chunked = chunked.replacen(length, "transfer-encoding: chunked", 1);
    for live in Live::both(service).await {
        let mut stream = live.connect().await;
        for second in [&second, &chunked] {
            for cut in 0..second.len() {
                let (with_first, later) = second.as_bytes().split_at(cut);
                let early = [&kept(), with_first].concat();
                stream.write_all(&early).await.unwrap();
                let first = answer(&mut stream).await;
                assert_eq!(status(&first), 200, "{cut}: {first}");
                stream.write_all(later).await.unwrap();
                let second = answer(&mut stream).await;
                assert_eq!(status(&second), 200, "{cut}: {second}");
            }
        }
        live.stop().await;
    }
}

/// What many connections cost that wait for their next request.
#[tokio::test]
async fn connections_that_wait_keep_no_buffers() {
    if !alone("listener::connections_that_wait_keep_no_buffers") {
        return;
    }
    const MANY: usize = 1_000;
    let live = Live::start(service()).await;
    let mut streams = Vec::new();
    let mut before = 0;
    for n in 0..MANY + 100 {
        if n == 100 {
            before = resident_kib();
        }
        let mut stream = live.connect().await;
        stream.write_all(&kept()).await.unwrap();
        assert_eq!(status(&answer(&mut stream).await), 200);
        streams.push(stream);
    }
    let each = (resident_kib() - before) as f64 / MANY as f64;
    assert!(
        each < 8.0,
        "a connection costs {each:.1} KiB, and its client"
    );
    live.stop().await;
}

/// TR-50: also what comes while a call runs, in whatever pieces.
#[tokio::test]
async fn a_request_that_comes_during_a_call_is_answered_after_it() {
    let gate = gate();
    let service = || {
        let state = State { gate: gate.clone() };
        let server = Server::with_state(state, tools![wait] + tools![echo]);
        server.build().unwrap()
    };
    for live in Live::both(service).await {
        a_request_during_a_call(live, &gate).await;
    }
}

async fn a_request_during_a_call(live: Live, gate: &Gate) {
    let mut stream = live.connect().await;
    let slow = call(MODERN, "wait", json!({})).bytes();
    let slow = String::from_utf8(slow).unwrap();
    let slow = slow.replacen("connection: close\r\n", "", 1);
    stream.write_all(slow.as_bytes()).await.unwrap();
    within(gate.entered.acquire()).await.unwrap().forget();
    let (begin, end) = (&good()[..1], &good()[1..]);
    stream.write_all(begin).await.unwrap();
    // Answered on another connection: by then the byte has been seen.
    alive(&live).await;
    gate.open.add_permits(1);
    stream.write_all(end).await.unwrap();
    let got = rest(&mut stream).await;
    let answers: Vec<_> = got.split("HTTP/1.1 200 OK").skip(1).collect();
    assert_eq!(answers.len(), 2, "{got}");
    assert!(answers[0].contains("through"), "{got}");
    assert!(answers[1].contains("hi"), "{got}");
    live.stop().await;
}

/// Ends with the call that holds it.
struct Held(std::sync::Arc<Gate>);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.open.add_permits(1);
    }
}

/// Never comes back.
#[mcp_tool(public)]
async fn stay(gate: &std::sync::Arc<Gate>) -> String {
    let _held = Held(gate.clone());
    gate.entered.add_permits(1);
    std::future::pending().await
}

#[tokio::test]
async fn a_call_ends_with_the_connection_of_its_client() {
    let gate = gate();
    let service = || {
        let state = State { gate: gate.clone() };
        let server = Server::with_state(state, tools![stay]);
        server.build().unwrap()
    };
    for live in Live::both(service).await {
        let mut stream = live.connect().await;
        let request = call(MODERN, "stay", json!({})).bytes();
        stream.write_all(&request).await.unwrap();
        within(gate.entered.acquire()).await.unwrap().forget();
        drop(stream);
        within(gate.open.acquire()).await.unwrap().forget();
        live.stop().await;
    }
}

#[tokio::test]
async fn connections_over_the_cap_wait_their_turn() {
    let live = Live::start(
        Server::new(tools![echo])
            .max_connections(1)
            .build()
            .unwrap(),
    )
    .await;
    let mut first = live.connect().await;
    first.write_all(&kept()).await.unwrap();
    assert_eq!(status(&answer(&mut first).await), 200);
    let mut second = live.connect().await;
    second.write_all(&good()).await.unwrap();
    let early = tokio::time::timeout(Duration::from_millis(100), answer(&mut second)).await;
    assert!(
        early.is_err(),
        "a second connection was served beside the only one"
    );
    drop(first);
    assert_eq!(
        status(&answer(&mut second).await),
        200,
        "the place of a closed connection is free"
    );
    live.stop().await;
}

/// RE-19: calls in flight finish; nobody else waits.
#[tokio::test]
async fn a_server_that_stops_finishes_what_it_began() {
    let gate = gate();
    let service = || {
        let server = Server::with_state(State { gate: gate.clone() }, tools![wait]);
        server.build().unwrap()
    };
    let few = service();
    finishes_what_it_began(few.clone(), Live::start(few).await, &gate).await;
    let many = service();
    finishes_what_it_began(many.clone(), Live::crowded(many).await, &gate).await;
}

async fn finishes_what_it_began(service: Service, mut live: Live, gate: &Gate) {
    let inside = TestServer::over(service);
    let mut silent = live.connect().await;
    let mut idle = live.connect().await;
    idle.write_all(
        &String::from_utf8(Ask::raw("").method("GET").uri("/api/v1/ready").bytes())
            .unwrap()
            .replacen("connection: close\r\n", "", 1)
            .into_bytes(),
    )
    .await
    .unwrap();
    assert_eq!(status(&answer(&mut idle).await), 200);
    let mut busy = live.connect().await;
    busy.write_all(&call(MODERN, "wait", json!({})).bytes())
        .await
        .unwrap();
    within(gate.entered.acquire()).await.unwrap().forget();

    let since = Instant::now();
    live.tell_to_stop();
    assert_eq!(
        rest(&mut idle).await,
        "",
        "RE-19: an idle connection is closed"
    );
    assert_eq!(
        rest(&mut silent).await,
        "",
        "RE-19: a connection that never spoke is closed"
    );
    assert!(
        since.elapsed() < Duration::from_secs(1),
        "RE-19: idle connections are closed at once"
    );
    let ready = Ask::raw("")
        .method("GET")
        .uri("/api/v1/ready")
        .send(&inside)
        .await;
    assert_eq!(
        (ready.status, &ready.body["status"]),
        (503, &json!("stopping")),
        "RE-19"
    );
    let health = Ask::raw("")
        .method("GET")
        .uri("/api/v1/health")
        .send(&inside)
        .await;
    assert_eq!(health.status, 200, "the process is well while it stops");
    let refused = tokio::net::TcpStream::connect(live.address).await;
    assert!(refused.is_err(), "RE-19: the listener is closed");

    gate.open.add_permits(1);
    let got = rest(&mut busy).await;
    assert!(
        status(&got) == 200 && got.contains("through"),
        "RE-19: the call in flight was lost: {got}"
    );
    assert!(live.stop().await < Duration::from_secs(1));
}

#[tokio::test]
async fn a_server_does_not_wait_for_ever_to_stop() {
    let gate = gate();
    let service = Server::with_state(State { gate: gate.clone() }, tools![wait])
        .drain(Duration::from_millis(200))
        .build()
        .unwrap();
    let live = Live::start(service).await;
    let mut busy = live.connect().await;
    busy.write_all(&call(MODERN, "wait", json!({})).bytes())
        .await
        .unwrap();
    within(gate.entered.acquire()).await.unwrap().forget();
    let took = live.stop().await;
    assert!(
        took >= Duration::from_millis(150) && took < Duration::from_secs(2),
        "RE-19: drained in {took:?}"
    );
    assert_eq!(
        rest(&mut busy).await,
        "",
        "the connection is cut off with the drain deadline"
    );
}

/// RE-31 in small: 500 bad clients cost neither the process nor much memory.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_clients_are_survived() {
    if !alone("listener::bad_clients_are_survived") {
        return;
    }
    let live = Live::start(impatient()).await;
    alive(&live).await;
    let before = resident_kib();
    let mut held = Vec::new();
    for n in 0..500 {
        let mut stream = live.connect().await;
        let bytes: &[u8] = match n % 5 {
            0 => b"POST /mcp HTTP/1.1\r\nHost: localhost\r\nX-A: ",
            1 => b"POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n[[[[",
            2 => b"\xff\xfe\x00rubbish\r\n\r\n",
            3 => b"",
            _ => b"POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 1\r\n\r\n[",
        };
        let _ = stream.write_all(bytes).await;
        held.push(stream);
    }
    alive(&live).await;
    let grown = resident_kib().saturating_sub(before);
    assert!(grown < 48 << 10, "RE-31: 500 bad clients cost {grown} KiB");
    drop(held);
    alive(&live).await;
    assert!(live.stop().await < Duration::from_secs(3));
}

/// `Service::router` inside a larger application: the same answers, under another roof.
#[tokio::test]
async fn a_router_nests() {
    let service = Server::new(tools![echo])
        .public_url("http://localhost/tools/mcp")
        .build()
        .unwrap();
    let app = axum::Router::new().nest("/apps", service.router());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let served = tokio::spawn(async move { axum::serve(listener, app).await });
    let good = || call(MODERN, "echo", json!({ "message": "hi" }));
    for (path, expected) in [
        ("/apps/tools/mcp", 200),
        ("/apps/tools/mcp/", 200),
        ("/apps/tools/mcp/mcp", 404),
        ("/apps/mcp", 404),
        ("/tools/mcp", 404),
    ] {
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        stream.write_all(&good().uri(path).bytes()).await.unwrap();
        assert_eq!(status(&rest(&mut stream).await), expected, "{path}");
    }
    served.abort();
}

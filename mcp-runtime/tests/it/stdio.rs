//! MCP over a pipe.

use std::sync::Arc;
use std::time::{Duration, Instant};

use mcp_runtime::prelude::*;
use serde_json::{Value, json};
use tokio::io::{
    AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, DuplexStream, Lines, ReadHalf,
    WriteHalf,
};
use tokio::task::JoinHandle;

use crate::ask::meta;
use crate::gated::{Gate, State, hang};
use crate::live::{alone, resident_kib, within};

/// Takes a moment.
#[mcp_tool(public)]
async fn nap(#[arg(range = 0..=1000)] ms: u64) -> u64 {
    tokio::time::sleep(Duration::from_millis(ms)).await;
    ms
}

/// Say it again.
#[mcp_tool(public)]
fn echo(message: String) -> String {
    message
}

/// Panics.
#[mcp_tool(public)]
fn boom() -> String {
    panic!("boom-secret-xyz")
}

/// For admins.
#[mcp_tool(authenticated, role = "admin")]
fn admin() -> u8 {
    1
}

/// For a scope.
#[mcp_tool(scope = "a:read")]
fn scoped() -> u8 {
    1
}

struct Pipe {
    gate: Arc<Gate>,
    input: Option<WriteHalf<DuplexStream>>,
    output: Lines<BufReader<ReadHalf<DuplexStream>>>,
    served: JoinHandle<mcp_runtime::Result>,
}

impl Pipe {
    fn open() -> Self {
        Self::open_as(Caller::anonymous())
    }

    fn open_as(caller: Caller) -> Self {
        let gate = Gate::new();
        let tools = tools![hang, nap, echo, boom, admin, scoped];
        let service = Server::with_state(State { gate: gate.clone() }, tools)
            .build()
            .unwrap();
        let (ours, theirs) = tokio::io::duplex(64 << 10);
        let (read, write) = tokio::io::split(theirs);
        let served = tokio::spawn(service.pipe(caller, read, write));
        let (read, write) = tokio::io::split(ours);
        Self {
            gate,
            input: Some(write),
            output: BufReader::new(read).lines(),
            served,
        }
    }

    async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        within(self.input.as_mut().unwrap().write_all(bytes.as_ref()))
            .await
            .unwrap();
    }

    async fn message(&mut self, message: Value) {
        self.send(format!("{message}\n")).await;
    }

    async fn call(&mut self, id: i64, tool: &str, arguments: Value) {
        self.message(json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": { "name": tool, "arguments": arguments } })).await;
    }

    /// The next line; every line is one message.
    async fn next(&mut self) -> Value {
        let line = within(self.output.next_line())
            .await
            .unwrap()
            .expect("the pipe is closed");
        serde_json::from_str(&line)
            .unwrap_or_else(|error| panic!("T1: `{line}` is not a message: {error}"))
    }

    /// A ping is answered, and nothing else is waiting.
    async fn alive(&mut self, what: &str) {
        self.message(json!({ "jsonrpc": "2.0", "id": "alive", "method": "ping" }))
            .await;
        let next = self.next().await;
        assert_eq!(
            next,
            json!({ "jsonrpc": "2.0", "id": "alive", "result": {} }),
            "{what}: the next answer should be that to the ping"
        );
    }

    /// Closes the input; what is still said until the server is done, and how long that takes.
    async fn close(mut self) -> (Vec<String>, Duration) {
        let since = Instant::now();
        // Both halves of a duplex have to go for the other side to see its end.
        let mut input = self.input.take().unwrap();
        within(input.shutdown()).await.unwrap();
        let mut lines = Vec::new();
        while let Ok(Some(line)) = within(self.output.next_line()).await {
            lines.push(line);
        }
        within(self.served).await.unwrap().unwrap();
        (lines, since.elapsed())
    }
}

#[tokio::test]
async fn st_01_02_09_10_lines_that_are_no_messages() {
    let mut pipe = Pipe::open();
    let deep = "[".repeat(200_000);
    let rows: Vec<(&str, Vec<u8>, i64)> = vec![
        (
            "ST-01 not JSON (protocol-4.1-2, T5)",
            b"not json\n".to_vec(),
            -32700,
        ),
        (
            "ST-02 not UTF-8",
            b"{\"a\":\"\xff\xfe\"}\n".to_vec(),
            -32700,
        ),
        (
            "ST-09 batch",
            b"[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}]\n".to_vec(),
            -32600,
        ),
        (
            "ST-10 NUL",
            b"{\"jsonrpc\":\"2.0\",\"id\":1,\x00\"method\":\"ping\"}\n".to_vec(),
            -32700,
        ),
        ("ST-10 depth", format!("{deep}\n").into_bytes(), -32700),
        (
            "id null",
            b"{\"jsonrpc\":\"2.0\",\"id\":null,\"method\":\"ping\"}\n".to_vec(),
            -32600,
        ),
        (
            "a result and an error at once",
            b"{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{},\"error\":{}}\n".to_vec(),
            -32600,
        ),
    ];
    for (what, bytes, code) in rows {
        pipe.send(bytes).await;
        let next = pipe.next().await;
        assert_eq!(
            (&next["error"]["code"], next.get("id")),
            (&json!(code), None),
            "{what}: {next}"
        );
        pipe.alive(what).await;
    }
    // ST-10: what editors and other systems add.
    for line in ["\u{feff}{}", "{}\r", "  {}  ", "\t{}\r"] {
        let ping = json!({ "jsonrpc": "2.0", "id": 1, "method": "ping" }).to_string();
        pipe.send(format!("\n\r\n   \n{}\n", line.replace("{}", &ping)))
            .await;
        assert_eq!(pipe.next().await["result"], json!({}), "ST-10: {line:?}");
    }
    pipe.alive("ST-10").await;
    assert!(pipe.close().await.0.is_empty());
}

/// ST-03
#[tokio::test(start_paused = true)]
async fn st_03_frames_come_as_they_like() {
    let mut pipe = Pipe::open();
    let one = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": { "name": "echo", "arguments": { "message": "ü" } } });
    for byte in format!("{one}\n").into_bytes() {
        pipe.send([byte]).await;
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(
        pipe.next().await["result"]["structuredContent"],
        json!({ "result": "ü" }),
        "ST-03"
    );
    pipe.send(format!(
        "{0}\n{0}\n",
        json!({ "jsonrpc": "2.0", "id": 2, "method": "ping" })
    ))
    .await;
    assert_eq!(
        (
            pipe.next().await["id"].clone(),
            pipe.next().await["id"].clone()
        ),
        (json!(2), json!(2)),
        "ST-03"
    );
    // A last line without a line break counts.
    pipe.send(json!({ "jsonrpc": "2.0", "id": 3, "method": "ping" }).to_string())
        .await;
    let (lines, _) = pipe.close().await;
    assert_eq!(lines, [r#"{"jsonrpc":"2.0","id":3,"result":{}}"#], "ST-03");
}

/// ST-04
#[tokio::test]
async fn st_04_endless_lines_are_skipped() {
    if !alone("stdio::st_04_endless_lines_are_skipped") {
        return;
    }
    let mut pipe = Pipe::open();
    let before = resident_kib();
    let chunk = vec![b'x'; 1 << 20];
    for _ in 0..64 {
        pipe.send(&chunk).await;
    }
    let grown = resident_kib().saturating_sub(before);
    pipe.send("\n").await;
    let next = pipe.next().await;
    assert_eq!(
        (&next["error"]["code"], next.get("id")),
        (&json!(-32600), None),
        "ST-04: {next}"
    );
    assert!(grown < 24 << 10, "ST-04: a line of 64 MiB cost {grown} KiB");
    pipe.alive("ST-04").await;
}

/// ST-06, T4
#[tokio::test]
async fn st_06_the_end_of_input_ends_the_server() {
    let mut pipe = Pipe::open();
    pipe.call(1, "nap", json!({ "ms": 300 })).await;
    pipe.call(2, "hang", json!({})).await;
    within(pipe.gate.entered.acquire()).await.unwrap().forget();
    let gate = pipe.gate.clone();
    let (lines, took) = pipe.close().await;
    assert_eq!(lines.len(), 1, "ST-06: short calls finish: {lines:?}");
    assert!(
        took < Duration::from_secs(2),
        "ST-06: the end took {took:?}"
    );
    within(gate.left.acquire()).await.unwrap().forget();
}

/// ST-07, protocol-4.1-15
/// ST-06: what was sent before the end is answered, also where it has not begun by then.
#[tokio::test]
async fn st_06_nothing_that_was_sent_before_the_end_is_dropped() {
    let mut pipe = Pipe::open();
    let call = |id: i64| {
        json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call",
            "params": { "name": "nap", "arguments": { "ms": 5 } } })
    };
    let lines: String = (0..200).map(|id| format!("{}\n", call(id))).collect();
    pipe.send(lines).await;
    let (lines, _) = pipe.close().await;
    let answers = lines
        .iter()
        .filter(|line| line.contains("\"isError\":false"));
    assert_eq!(answers.count(), 200, "ST-06: {:?}", lines.last());
}

#[tokio::test]
async fn st_07_protocol_4_1_15_an_id_used_twice_gets_two_answers() {
    let mut pipe = Pipe::open();
    pipe.call(10, "nap", json!({ "ms": 200 })).await;
    pipe.call(10, "echo", json!({ "message": "x" })).await;
    let (first, second) = (pipe.next().await, pipe.next().await);
    assert_eq!(
        (&first["id"], &second["id"]),
        (&json!(10), &json!(10)),
        "ST-07"
    );
    assert_eq!(
        first["result"]["structuredContent"],
        json!({ "result": "x" }),
        "ST-07: the quick one comes first"
    );
    assert_eq!(
        second["result"]["structuredContent"],
        json!({ "result": 200 }),
        "ST-07: the first is never lost"
    );
}

/// ST-08, T3
#[tokio::test]
async fn st_08_cancelled_calls_stop_and_stay_silent() {
    let cancel = |id: Value| json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": id } });
    let mut pipe = Pipe::open();
    for odd in [json!(999), json!("12"), json!(null), json!([]), json!(1.5)] {
        pipe.message(cancel(odd)).await;
    }
    pipe.message(json!({ "jsonrpc": "2.0", "method": "notifications/cancelled" }))
        .await;
    pipe.call(12, "hang", json!({})).await;
    within(pipe.gate.entered.acquire()).await.unwrap().forget();
    pipe.message(cancel(json!("12"))).await;
    pipe.alive("ST-08: the text \"12\" is another id").await;
    assert_eq!(
        pipe.gate.left.available_permits(),
        0,
        "ST-08: another id cancels nothing"
    );
    let since = Instant::now();
    pipe.message(cancel(json!(12))).await;
    within(pipe.gate.left.acquire()).await.unwrap().forget();
    assert!(
        since.elapsed() < Duration::from_millis(200),
        "ST-08: stopped after {:?}",
        since.elapsed()
    );
    pipe.alive("ST-08: there is no answer to a cancelled call")
        .await;
    assert!(pipe.close().await.0.is_empty(), "ST-08: nor a late one");
}

/// T6, protocol-4.1-7
#[tokio::test]
async fn protocol_4_1_07_a_notification_may_come_first() {
    let mut pipe = Pipe::open();
    pipe.message(json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": 1 } })).await;
    pipe.message(json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }))
        .await;
    pipe.alive("protocol-4.1-7").await;
}

/// T9, L12: any era, any order.
#[tokio::test]
async fn both_eras_share_a_pipe() {
    let mut pipe = Pipe::open();
    pipe.message(json!({ "jsonrpc": "2.0", "id": 1, "method": "server/discover", "params": { "_meta": meta() } })).await;
    assert_eq!(pipe.next().await["result"]["resultType"], "complete", "T9");
    pipe.message(json!({ "jsonrpc": "2.0", "id": 2, "method": "initialize", "params": { "protocolVersion": "2025-06-18" } })).await;
    assert_eq!(pipe.next().await["result"]["protocolVersion"], "2025-06-18");
    pipe.call(3, "echo", json!({ "message": "x" })).await;
    assert_eq!(pipe.next().await["result"].get("resultType"), None, "L6");
    pipe.message(json!({ "jsonrpc": "2.0", "id": 4, "method": "tools/call", "params": { "name": "echo", "arguments": { "message": "x" }, "_meta": meta() } })).await;
    assert_eq!(pipe.next().await["result"]["resultType"], "complete", "L6");
    pipe.message(
        json!({ "jsonrpc": "2.0", "id": 5, "method": "ping", "params": { "_meta": meta() } }),
    )
    .await;
    assert_eq!(pipe.next().await["error"]["code"], -32601, "L9");
    pipe.message(json!({ "jsonrpc": "2.0", "id": 6, "method": "server/discover" }))
        .await;
    assert_eq!(pipe.next().await["error"]["code"], -32602, "L2");
}

/// ST-14, protocol-4.1-6
#[tokio::test]
async fn st_14_protocol_4_1_06_panics_are_answered() {
    let mut pipe = Pipe::open();
    pipe.call(1, "boom", json!({})).await;
    let next = pipe.next().await;
    assert_eq!(next["error"]["code"], -32603, "ST-14");
    assert!(!next.to_string().contains("boom-secret"), "ST-14: {next}");
    pipe.alive("ST-14").await;
}

/// ST-13: the caller is who the environment says; refusals are messages like any other.
#[tokio::test]
async fn st_13_the_caller_is_given_from_outside() {
    let mut pipe = Pipe::open_as(Caller::user("ada").role("reader"));
    pipe.message(json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {
        "name": "admin", "arguments": { "role": "admin" }, "_meta": { "role": "admin", "io.modelcontextprotocol/clientInfo": { "name": "admin" } } } })).await;
    assert_eq!(pipe.next().await["error"]["code"], -32602, "ST-13");
    pipe.call(2, "scoped", json!({})).await;
    assert_eq!(
        pipe.next().await["result"]["structuredContent"]["code"],
        "insufficient_scope"
    );
    let mut pipe = Pipe::open();
    pipe.call(3, "scoped", json!({})).await;
    assert_eq!(
        pipe.next().await["result"]["structuredContent"]["code"],
        "unauthenticated"
    );
    let mut pipe = Pipe::open_as(Caller::user("ada").role("admin"));
    pipe.call(4, "admin", json!({})).await;
    assert_eq!(
        pipe.next().await["result"]["structuredContent"],
        json!({ "result": 1 })
    );
}

/// ST-12: a reader that is gone ends the server.
#[tokio::test]
async fn st_12_a_closed_output_ends_the_server() {
    let service = Server::new(tools![echo]).build().unwrap();
    let (mut input, theirs) = tokio::io::duplex(64 << 10);
    let (output, ours) = tokio::io::duplex(16);
    let served = tokio::spawn(service.pipe(Caller::anonymous(), theirs, output));
    drop(ours);
    for n in 0..3 {
        let ping = json!({ "jsonrpc": "2.0", "id": n, "method": "ping" });
        if input
            .write_all(format!("{ping}\n").as_bytes())
            .await
            .is_err()
        {
            break;
        }
        tokio::task::yield_now().await;
    }
    let _ = within(served).await.unwrap();
}

/// T1: as many calls as one likes at once, and every line of the output is one whole message.
#[tokio::test]
async fn answers_never_mix() {
    let mut pipe = Pipe::open();
    let long = "y".repeat(3000);
    for n in 0..50 {
        pipe.call(
            n,
            if n % 2 == 0 { "echo" } else { "nap" },
            if n % 2 == 0 {
                json!({ "message": long })
            } else {
                json!({ "ms": n })
            },
        )
        .await;
        let _ = pipe.next_if_ready().await;
    }
    let (lines, _) = pipe.close().await;
    for line in lines {
        let message: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(message["jsonrpc"], "2.0", "T1: {line:.100}");
    }
}

impl Pipe {
    async fn next_if_ready(&mut self) -> Option<String> {
        tokio::time::timeout(Duration::from_millis(1), self.output.next_line())
            .await
            .ok()?
            .unwrap()
    }
}

/// Real standard input and output are not touched here; a pipe that nobody reads keeps the server
/// from reading on, so memory stays bounded.
#[tokio::test]
async fn a_reader_that_stops_reading_stops_the_server_from_reading() {
    let mut pipe = Pipe::open();
    let line = format!(
        "{}\n",
        json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": { "name": "echo", "arguments": { "message": "z".repeat(10_000) } } })
    );
    let mut sent = 0;
    while sent < 2000 {
        let wrote = tokio::time::timeout(
            Duration::from_millis(200),
            pipe.input.as_mut().unwrap().write_all(line.as_bytes()),
        )
        .await;
        if wrote.is_err() {
            break;
        }
        sent += 1;
    }
    assert!(
        sent < 1000,
        "20 MB of answers are waiting for a reader that does not read"
    );
    let mut byte = [0];
    within(pipe.output.get_mut().read_exact(&mut byte))
        .await
        .unwrap();
}

//! What a server holds for its clients, and whether it loses any of it: sessions, streams, calls
//! that all have the same id. `held SERVER` starts the conformance example at that path.
//!
//! Every figure is checked against its aim; the program fails when one is missed.
#![expect(clippy::print_stdout, reason = "it prints a table")]

mod wire;

use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinSet;

use crate::wire::{Connection, Stream};

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

#[tokio::main]
async fn main() -> Result {
    let program = std::env::args().nth(1).ok_or("held SERVER")?;
    println!("| what | measured | aim |\n|---|---:|---:|");
    let mut missed = 0;
    for measure in [
        Measure::SameIds,
        Measure::FirstByte,
        Measure::Sessions,
        Measure::Listening,
        Measure::Minute,
    ] {
        let server = Server::start(&program).await?;
        for row in measure.run(&server).await? {
            println!("| {} | {} | {} |", row.what, row.measured, row.aim);
            missed += u32::from(!row.reached);
        }
    }
    if missed == 0 {
        Ok(())
    } else {
        Err(format!("{missed} aims missed").into())
    }
}

enum Measure {
    SameIds,
    FirstByte,
    Sessions,
    Listening,
    Minute,
}

struct Row {
    what: &'static str,
    measured: String,
    aim: &'static str,
    reached: bool,
}

impl Measure {
    async fn run(&self, server: &Server) -> Result<Vec<Row>> {
        match self {
            Self::SameIds => same_ids(server).await,
            Self::FirstByte => first_byte(server).await,
            Self::Sessions => sessions(server).await,
            Self::Listening => listening(server).await,
            Self::Minute => minute(server).await,
        }
    }
}

/// 20 clients make 200 calls each, all with the id 1, and each asks for something of its own.
async fn same_ids(server: &Server) -> Result<Vec<Row>> {
    let mut clients = JoinSet::new();
    for client in 0..20 {
        let address = server.address.clone();
        clients.spawn(async move {
            let mut connection = Connection::open(&address).await?;
            let mut crossed = 0;
            for round in 0..200 {
                let own = format!("client {client}, round {round}");
                let answer = connection
                    .post(&legacy(
                        1,
                        "prompts/get",
                        &json!({
                            "name": "test_prompt_with_arguments",
                            "arguments": { "arg1": own, "arg2": "x" },
                        }),
                    ))
                    .await?;
                crossed += u32::from(!answer.text.contains(&own));
            }
            Result::Ok(crossed)
        });
    }
    let mut crossed = 0;
    while let Some(client) = clients.join_next().await {
        crossed += client??;
    }
    Ok(vec![Row {
        what: "answers crossed, of 4,000 calls with the same id",
        measured: crossed.to_string(),
        aim: "0",
        reached: crossed == 0,
    }])
}

/// A call that reports its progress, a thousand times: how long until the stream says anything.
async fn first_byte(server: &Server) -> Result<Vec<Row>> {
    let mut clients = JoinSet::new();
    for _ in 0..10 {
        let address = server.address.clone();
        clients.spawn(async move {
            let mut times = Vec::new();
            for id in 0..100 {
                let call = modern(
                    id,
                    "tools/call",
                    "test_tool_with_progress",
                    json!({ "name": "test_tool_with_progress" }),
                    &json!({ "progressToken": id }),
                );
                let begun = Instant::now();
                let mut stream = Stream::open(&address, &call).await?;
                stream.first_byte().await?;
                times.push(begun.elapsed());
                stream.until(|event| event.contains("\"result\"")).await?;
            }
            Result::Ok(times)
        });
    }
    let mut times = Vec::new();
    while let Some(client) = clients.join_next().await {
        times.extend(client??);
    }
    times.sort();
    let in_time = times
        .iter()
        .filter(|time| **time < Duration::from_millis(100))
        .count();
    Ok(vec![
        Row {
            what: "streams whose first byte came within 100 ms, of 1,000",
            measured: in_time.to_string(),
            aim: "1000",
            reached: in_time == 1000,
        },
        Row {
            what: "first byte, median and slowest",
            measured: format!(
                "{:.1?}, {:.1?}",
                times[times.len() / 2],
                times[times.len() - 1]
            ),
            aim: "",
            reached: true,
        },
    ])
}

/// 10,000 times `initialize` from 50 connections, each with a session.
async fn sessions(server: &Server) -> Result<Vec<Row>> {
    const SESSIONS: usize = 10_000;
    let before = server.resident()?;
    let mut clients = JoinSet::new();
    for _ in 0..50 {
        let address = server.address.clone();
        clients.spawn(async move {
            let mut connection = Connection::open(&address).await?;
            let mut failed = 0;
            for id in 0..SESSIONS / 50 {
                let params = json!({
                    "protocolVersion": "2025-11-25",
                    "capabilities": { "elicitation": {}, "sampling": {}, "roots": {} },
                    "clientInfo": { "name": "held", "version": "1" },
                });
                let answer = connection.post(&legacy(id, "initialize", &params)).await?;
                failed += usize::from(answer.session.is_none());
            }
            Result::Ok(failed)
        });
    }
    let mut failed = 0;
    while let Some(client) = clients.join_next().await {
        failed += client??;
    }
    let each = (server.resident()? - before).max(0.0) * 1024.0 / 10_000.0;
    Ok(vec![
        Row {
            what: "`initialize` without a session, of 10,000",
            measured: failed.to_string(),
            aim: "0",
            reached: failed == 0,
        },
        Row {
            what: "resident memory of a session without a stream, KiB",
            measured: format!("{each:.2}"),
            aim: "≤ 4",
            reached: each <= 4.0,
        },
    ])
}

/// 10,000 clients that listen, and hear nothing.
async fn listening(server: &Server) -> Result<Vec<Row>> {
    const STREAMS: usize = 9_900;
    let before = server.resident()?;
    let mut streams = Vec::with_capacity(STREAMS);
    for id in 0..STREAMS {
        let mut stream = Stream::open(&server.address, &listen(id)).await?;
        stream.until(|event| event.contains("acknowledged")).await?;
        streams.push(stream);
    }
    let whole = server.resident()?;
    let scaled = (whole - before) * 10_000.0 / 9_900.0 + before;
    Ok(vec![Row {
        what: "resident memory with 10,000 idle listen streams, MiB",
        measured: format!("{scaled:.0}"),
        aim: "≤ 400",
        reached: scaled <= 400.0,
    }])
}

/// 100 streams for a minute, with a change every second: who hears less than all of them?
async fn minute(server: &Server) -> Result<Vec<Row>> {
    const CHANGES: usize = 60;
    let mut listeners = JoinSet::new();
    for id in 0..100 {
        let address = server.address.clone();
        listeners.spawn(async move {
            let mut stream = Stream::open(&address, &listen(id)).await?;
            for _ in 0..CHANGES {
                stream
                    .until(|event| event.contains("tools/list_changed"))
                    .await?;
            }
            Result::Ok(())
        });
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let mut connection = Connection::open(&server.address).await?;
    for id in 0..CHANGES {
        let call = modern(
            id,
            "tools/call",
            "test_trigger_tool_change",
            json!({ "name": "test_trigger_tool_change" }),
            &json!({}),
        );
        connection.post(&call).await?;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let mut whole = 0;
    let all = async {
        while let Some(listener) = listeners.join_next().await {
            whole += usize::from(matches!(listener, Ok(Ok(()))));
        }
    };
    let _ = tokio::time::timeout(Duration::from_secs(10), all).await;
    Ok(vec![Row {
        what: "streams that heard every change of a minute, of 100",
        measured: whole.to_string(),
        aim: "100",
        reached: whole == 100,
    }])
}

fn listen(id: usize) -> wire::Request {
    let wanted = json!({ "notifications": { "toolsListChanged": true } });
    modern(id, "subscriptions/listen", "", wanted, &json!({}))
}

fn legacy(id: usize, method: &str, params: &Value) -> wire::Request {
    wire::Request {
        headers: "MCP-Protocol-Version: 2025-11-25\r\n".to_owned(),
        body: json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }).to_string(),
    }
}

fn modern(id: usize, method: &str, name: &str, mut params: Value, meta: &Value) -> wire::Request {
    let mut headers = format!("MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: {method}\r\n");
    if !name.is_empty() {
        headers += &format!("Mcp-Name: {name}\r\n");
    }
    params["_meta"] = meta.clone();
    params["_meta"]["io.modelcontextprotocol/protocolVersion"] = json!("2026-07-28");
    params["_meta"]["io.modelcontextprotocol/clientCapabilities"] = json!({});
    wire::Request {
        headers,
        body: json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }).to_string(),
    }
}

/// The conformance example, on a free port of this machine. It ends with this.
struct Server {
    process: Child,
    address: String,
}

impl Server {
    async fn start(program: &str) -> Result<Self> {
        let mut process = Command::new(program)
            .arg("127.0.0.1:0")
            .args(["--sessions", "auto", "--replies", "negotiate"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        let output = process.stdout.take().ok_or("it is piped")?;
        let line = BufReader::new(output).lines().next_line().await?;
        let url = line.ok_or("the server does not start")?;
        let address = url
            .strip_prefix("http://")
            .and_then(|rest| rest.strip_suffix("/mcp"))
            .ok_or("not a URL of this machine")?;
        Ok(Self {
            process,
            address: address.to_owned(),
        })
    }

    /// Resident memory in MiB.
    fn resident(&self) -> Result<f64> {
        let id = self.process.id().ok_or("the server has ended")?;
        let status = std::fs::read_to_string(format!("/proc/{id}/status"))?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .ok_or("no VmRSS")?;
        let kib: f64 = line.trim().trim_end_matches(" kB").parse()?;
        Ok(kib / 1024.0)
    }
}

//! `load REFERENCE_SERVER [SECONDS] [DATABASE_URL]`: fifty people at the forty tools of the records,
//! each one call after the other without a pause, and what it costs the server.

mod reference;
#[expect(dead_code, reason = "streams are for `held`")]
mod wire;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::reference::{Folder, Server, UNLIMITED};
use crate::wire::{Connection, Request};

type Result<T = (), E = Box<dyn std::error::Error + Send + Sync>> = std::result::Result<T, E>;

const USERS: usize = 50;
const KINDS: [&str; 5] = ["note", "task", "comment", "chat", "chat_message"];

#[tokio::main]
async fn main() -> Result {
    let mut args = std::env::args().skip(1);
    let program = args.next().ok_or("which reference-server?")?;
    let seconds = args.next().map_or(Ok(120), |text| text.parse())?;
    let tokens: Vec<_> = (0..USERS)
        .map(|user| (format!("LOAD_TOKEN_{user}"), token(user)))
        .collect();
    let folder = Folder::new(&settings(args.next().as_deref())?)?;
    let server = Server::start(&program, "serve", &folder, &tokens).await?;
    let before = server.cpu()?;
    tokio::time::sleep(Duration::from_secs(10)).await;
    let idle = (server.cpu()? - before) / 10.0;
    let end = Instant::now() + Duration::from_secs(seconds);
    let users: Vec<_> = (0..USERS)
        .map(|user| tokio::spawn(work(server.address.clone(), user, end)))
        .collect();
    let mut all = Calls::default();
    for user in users {
        all.add(user.await??);
    }
    match report(&all, seconds, idle, server.peak_kib()?) {
        0 => Ok(()),
        missed => Err(format!("{missed} aims missed").into()),
    }
}

/// How many aims were missed.
#[expect(clippy::print_stdout, reason = "it reports there")]
fn report(all: &Calls, seconds: u64, idle: f64, peak_kib: u64) -> usize {
    let mut times: Vec<Duration> = all.times.values().flatten().copied().collect();
    let calls = times.len();
    println!("{calls} calls of {} tools in {seconds} s", all.times.len());
    for error in all.errors.iter().take(5) {
        println!("    {error}");
    }
    let [p50, p95, p99] = [0.50, 0.95, 0.99].map(|part| share(&mut times, part));
    let mut slowest: Vec<(f64, &str)> = all
        .times
        .iter()
        .map(|(tool, times)| (share(&mut times.clone(), 0.95), tool.as_str()))
        .collect();
    slowest.sort_by(|a, b| b.0.total_cmp(&a.0));
    for (p95, tool) in slowest.iter().take(3) {
        println!("    p95 {p95:.1} ms: {tool}");
    }
    println!("p50 {p50:.1} ms, p99 {p99:.1} ms\n\n| what | measured | aim |\n|---|---:|---:|");
    let aims = [
        ("errors", all.errors.len() as f64, 0.0, ""),
        ("p95 of a call", p95, 150.0, " ms"),
        (
            "memory at its peak",
            peak_kib as f64 / 1024.0,
            120.0,
            " MiB",
        ),
        ("CPU when idle", idle * 100.0, 1.0, " %"),
    ];
    for (what, measured, aim, unit) in aims {
        println!("| {what} | {measured:.1}{unit} | {aim}{unit} |");
    }
    let missed = aims.iter().filter(|(_, measured, aim, _)| measured > aim);
    missed.count() + usize::from(all.times.len() != 40)
}

/// Milliseconds within which this share of the calls was answered.
fn share(times: &mut [Duration], share: f64) -> f64 {
    times.sort_unstable();
    let at = (times.len() as f64 * share) as usize;
    times
        .get(at.min(times.len().saturating_sub(1)))
        .map_or(0.0, |time| time.as_secs_f64() * 1e3)
}

/// What one user saw, or all of them.
#[derive(Default)]
struct Calls {
    times: BTreeMap<String, Vec<Duration>>,
    errors: Vec<String>,
}

impl Calls {
    fn add(&mut self, other: Self) {
        for (tool, times) in other.times {
            self.times.entry(tool).or_default().extend(times);
        }
        self.errors.extend(other.errors);
    }
}

/// One user: all forty tools, again and again.
async fn work(address: Arc<str>, number: usize, end: Instant) -> Result<Calls> {
    let mut user = User {
        connection: Connection::open(&address).await?,
        token: token(number),
        calls: Calls::default(),
    };
    while Instant::now() < end {
        user.round(number).await?;
    }
    Ok(user.calls)
}

struct User {
    connection: Connection,
    token: String,
    calls: Calls,
}

impl User {
    async fn round(&mut self, number: usize) -> Result {
        let mut uids: Vec<String> = Vec::new();
        for kind in KINDS {
            let arguments = match kind {
                "note" => json!({ "title": format!("Note of {number}"), "content": "Twelve." }),
                "task" => json!({ "title": "Order", "status": "open", "priority": "high" }),
                "comment" => {
                    json!({ "content": "Done?", "parent_type": "note", "parent_uid": uids[0] })
                }
                "chat" => json!({ "title": "Desk" }),
                _ => json!({ "content": "Hello", "chat_uid": uids[3] }),
            };
            let created = self.call(&format!("create_{kind}"), arguments).await?;
            let uid = created["uid"].as_str().ok_or("nothing was created")?;
            uids.push(uid.to_owned());
        }
        let steps = [
            json!({ "title": "Tables", "content": "Three." }),
            json!({ "title": "Order now", "status": "done" }),
            json!({ "content": "Yes." }),
            json!({ "title": "Front desk" }),
            json!({ "content": "Hello!" }),
        ];
        let actions = ["pin", "start", "resolve", "resolve", "mark_read"];
        for (n, kind) in KINDS.iter().enumerate() {
            let uid = &uids[n];
            self.call(&format!("get_{kind}"), json!({ "uid": uid }))
                .await?;
            let mut update = steps[n].clone();
            update["uid"] = json!(uid);
            self.call(&format!("update_{kind}"), update).await?;
            let patch = json!({ "uid": uid, "updates": { "colour": "blue" } });
            self.call(&format!("patch_{kind}"), patch).await?;
            let process = json!({ "uid": uid, "action": actions[n] });
            self.call(&format!("process_{kind}"), process).await?;
            self.call(&format!("archive_{kind}"), json!({ "uid": uid }))
                .await?;
            self.call(&format!("list_{kind}s"), json!({ "limit": 20 }))
                .await?;
        }
        for (n, kind) in KINDS.iter().enumerate().rev() {
            self.call(&format!("delete_{kind}"), json!({ "uid": uids[n] }))
                .await?;
        }
        Ok(())
    }

    async fn call(&mut self, tool: &str, arguments: Value) -> Result<Value> {
        let body = json!({
            "jsonrpc": "2.0", "id": 1, "method": "tools/call",
            "params": { "name": tool, "arguments": arguments },
        });
        let request = Request {
            headers: format!(
                "Authorization: Bearer {}\r\nMCP-Protocol-Version: 2025-11-25\r\n",
                self.token
            ),
            body: body.to_string(),
        };
        let begin = Instant::now();
        let answer = self.connection.post(&request).await?;
        let took = begin.elapsed();
        let mut answer: Value = serde_json::from_str(&answer.text)?;
        let result = answer["result"].take();
        if result["isError"] != false {
            self.calls
                .errors
                .push(format!("{tool}: {} {result}", answer["error"]));
        }
        self.calls
            .times
            .entry(tool.to_owned())
            .or_default()
            .push(took);
        Ok(result["structuredContent"].clone())
    }
}

fn token(user: usize) -> String {
    format!("load-user-{user:02}-with-a-token-of-its-own")
}

/// Everything that a server has by default, but for limits: this is about what it can do.
fn settings(database: Option<&str>) -> Result<String> {
    let mut text = format!("{UNLIMITED}[identity]\ndemo = false\n");
    if let Some(database) = database {
        let platform = format!("[platform]\ndatabase = {database:?}\n");
        text = text.replacen("[platform]\n", &platform, 1);
    }
    for user in 0..USERS {
        write!(
            text,
            "[[auth.static_token]]\nname = \"user{user}\"\ntoken_env = \"LOAD_TOKEN_{user}\"\n\
             scopes = [\"records:read\", \"records:write\"]\ntenant = \"org_{}\"\n",
            user % 5
        )?;
    }
    Ok(text)
}

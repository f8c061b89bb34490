//! What is recorded of a call, before it and after it, and what never is.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mcp_runtime::prelude::*;
use mcp_runtime::testing::TestServer;
use mcp_runtime::{
    AuditError, AuditEvent, AuditFuture, AuditLog, AuditRecord, AuditSink, Limits, Secret,
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::Semaphore;

use crate::clock;
use crate::live::within;

#[derive(Lend)]
struct State {
    gate: Arc<Gate>,
}

struct Gate {
    entered: Semaphore,
    ran: AtomicUsize,
}

macro_rules! both {
    ($($(#[$attr:meta])* $read:ident $write:ident($($parameter:ident: $ty:ty),*) -> $out:ty $body:block)*) => {$(
        $(#[$attr])*
        #[mcp_tool(scope = "a:read", read_only, timeout = "100ms")]
        async fn $read($($parameter: $ty),*) -> $out $body

        $(#[$attr])*
        #[mcp_tool(scope = "a:read", timeout = "100ms")]
        async fn $write($($parameter: $ty),*) -> $out $body
    )*};
}

both! {
    /// Say it again.
    echo write_echo(message: String) -> String { message }
    /// Fails.
    fails write_fails() -> ToolResult<u8> { Err(ToolError::new("Nothing is left.").code("sold_out")) }
    /// Fails inside.
    breaks write_breaks() -> ToolResult<u8> {
        Err(ToolError::internal("java.lang.NullPointerException: SELECT * FROM users at /srv/app"))
    }
    /// Takes too long.
    slow write_slow() -> u8 { std::future::pending().await }
    /// Panics.
    boom write_boom() -> u8 { panic!("boom") }
}

/// Only odd numbers.
#[mcp_tool(authenticated, guard = n % 2 == 1)]
fn odd(n: u8) -> u8 {
    n
}

/// For admins.
#[mcp_tool(authenticated, role = "admin", read_only)]
fn hidden() -> u8 {
    1
}

/// Waits for ever.
#[mcp_tool(public, timeout = "1h")]
async fn hang(gate: &Arc<Gate>) -> u8 {
    gate.entered.add_permits(1);
    std::future::pending().await
}

/// Counts.
#[mcp_tool(public)]
fn count(gate: &Arc<Gate>) -> usize {
    gate.ran.fetch_add(1, Ordering::SeqCst)
}

/// Looks at the count.
#[mcp_tool(public, read_only)]
fn look(gate: &Arc<Gate>) -> usize {
    gate.ran.load(Ordering::SeqCst)
}

#[derive(Deserialize, JsonSchema)]
struct Login {
    user: String,
    pin: Secret<u32>,
}

/// Takes secrets in every way.
#[mcp_tool(public)]
fn secrets(
    #[arg(secret)] token: String,
    password: Secret<String>,
    login: Login,
    #[arg(len = 3..)] more: Option<Secret<String>>,
) -> ToolResult<String> {
    let shown = format!("{password} {:?} {} {more:?}", login.pin, login.user);
    if password.expose().is_empty() && token.is_empty() {
        return Err(ToolError::new(shown));
    }
    Ok(shown)
}

/// A page.
#[mcp_resource("pages://{id}", public)]
fn page(id: u32) -> String {
    id.to_string()
}

fn builder(log: AuditLog) -> (Arc<Gate>, Server<State>) {
    let gate = Arc::new(Gate {
        entered: Semaphore::new(0),
        ran: AtomicUsize::new(0),
    });
    let state = State {
        gate: Arc::clone(&gate),
    };
    let tools = tools![
        echo,
        write_echo,
        fails,
        write_fails,
        breaks,
        write_breaks,
        slow,
        write_slow,
        boom,
        write_boom,
        odd,
        hidden,
        hang,
        count,
        look,
        secrets
    ];
    let server = Server::with_state(state, tools)
        .resources(resources![page])
        .clock(clock())
        .audit(log);
    (gate, server)
}

/// A log in a file of its own.
struct File {
    folder: TempDir,
}

impl File {
    fn new() -> Self {
        Self {
            folder: TempDir::new().unwrap(),
        }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("audit.jsonl")
    }

    fn log(&self) -> AuditLog {
        AuditLog::json_lines(self.path()).unwrap()
    }

    fn server(&self) -> TestServer {
        TestServer::new(builder(self.log()).1).unwrap()
    }

    fn rows(&self) -> Vec<Value> {
        rows(&self.path())
    }
}

fn rows(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")))
        .collect()
}

fn ada() -> Caller {
    Caller::user("ada")
        .issuer("https://id.example.com")
        .email("ada@example.com")
        .tenant("acme")
        .scope("a:read")
}

/// Event, tool, decision, outcome and code of each row.
fn told(rows: &[Value]) -> Vec<String> {
    let word = |row: &Value, name: &str| row[name].as_str().unwrap_or("-").to_owned();
    rows.iter()
        .map(|row| {
            ["event", "tool", "decision", "outcome", "code"]
                .map(|name| word(row, name))
                .join(" ")
        })
        .collect()
}

#[tokio::test]
async fn au_01_five_calls_are_five_records() {
    let file = File::new();
    let server = file.server();
    let client = server.as_caller(ada());
    client.call("echo", json!({ "message": "hi" })).await;
    server
        .as_user("bob")
        .call("echo", json!({ "message": "hi" }))
        .await;
    client.call("fails", json!({})).await;
    client.call("slow", json!({})).await;
    client.call("boom", json!({})).await;
    let rows = file.rows();
    assert_eq!(
        told(&rows),
        [
            "call echo allow ok -",
            "call echo deny refused insufficient_scope",
            "call fails allow failed sold_out",
            "call slow allow timeout timeout",
            "call boom allow panic panic",
        ]
    );
    for row in &rows {
        assert_eq!(row["ts"], "2026-01-01T00:00:00.000000Z");
        assert_eq!(row["request_id"].as_str().unwrap().len(), 26, "{row}");
        assert_eq!(row["args_sha256"].as_str().unwrap().len(), 64, "{row}");
        assert_eq!(row["kind"], "tool");
        assert!(row["duration_us"].is_u64(), "{row}");
    }
    let row = &rows[0];
    assert_eq!(row["iss"], "https://id.example.com");
    assert_eq!(row["sub"], "ada");
    assert_eq!(row["email"], "ada@example.com");
    assert_eq!(row["tenant"], "acme");
    assert_eq!(row["rule"], "scope a:read");
    assert_eq!(row["arguments"], json!({ "message": "hi" }));
    assert_eq!(rows[1]["rule"], "insufficient_scope a:read");
    assert_eq!(rows[1]["args_sha256"], row["args_sha256"]);
    assert!(rows[3]["duration_us"].as_u64().unwrap() >= 100_000);
    assert_eq!(AuditLog::verify(file.path()).unwrap().records, 5);
}

#[tokio::test]
async fn au_01_what_changes_something_is_recorded_before_and_after() {
    let file = File::new();
    let server = file.server();
    let client = server.as_caller(ada());
    client.call("write_echo", json!({ "message": "hi" })).await;
    client.call("write_fails", json!({})).await;
    client.call("write_slow", json!({})).await;
    client.call("write_boom", json!({})).await;
    client.call("odd", json!({ "n": 2 })).await;
    // Neither of these runs.
    client.call("write_echo", json!({ "message": 7 })).await;
    server.call("write_echo", json!({ "message": "hi" })).await;
    let rows = file.rows();
    assert_eq!(
        told(&rows),
        [
            "begin write_echo allow - -",
            "end write_echo allow ok -",
            "begin write_fails allow - -",
            "end write_fails allow failed sold_out",
            "begin write_slow allow - -",
            "end write_slow allow timeout timeout",
            "begin write_boom allow - -",
            "end write_boom allow panic panic",
            "begin odd allow - -",
            "end odd deny refused forbidden",
            "call write_echo allow refused invalid_arguments",
            "call write_echo deny refused unauthenticated",
        ]
    );
    for pair in rows[..10].chunks(2) {
        assert_eq!(pair[0]["request_id"], pair[1]["request_id"]);
        assert_eq!(pair[0]["args_sha256"], pair[1]["args_sha256"]);
    }
    assert_eq!(rows[0]["arguments"], json!({ "message": "hi" }));
    assert_eq!(rows[1].get("arguments"), None);
}

#[tokio::test]
async fn au_01_denials_say_why_and_unknown_names_are_seen() {
    let file = File::new();
    let (_, server) = builder(file.log());
    let server = server.limits(Limits::none().writes("1/day".parse().unwrap()));
    let server = TestServer::new(server).unwrap();
    let client = server.as_caller(ada());
    client.call("hidden", json!({})).await;
    client.call("odd", json!({ "n": 1 })).await;
    client.call("odd", json!({ "n": 1 })).await;
    client
        .request("resources/read", json!({ "uri": "pages://7" }))
        .await;
    let rows = file.rows();
    let rules: Vec<&str> = rows
        .iter()
        .map(|row| row["rule"].as_str().unwrap())
        .collect();
    assert_eq!(
        rules,
        [
            "hidden",
            "authenticated",
            "authenticated",
            "limit on calls that change something",
            "public"
        ]
    );
    assert_eq!(rows[4]["kind"], "resource");
    assert_eq!(rows[4]["arguments"], json!({ "id": 7 }));
    // Whoever tries names is seen, and nothing of what they sent.
    client.call("nothing", json!({ "password": "hush" })).await;
    let row = file.rows().pop().unwrap();
    assert_eq!(
        (&row["rule"], &row["tool"]),
        (&json!("unknown"), &json!("nothing"))
    );
    assert_eq!(row.get("arguments"), None);
}

#[tokio::test]
async fn au_02_one_line_each_whatever_is_in_it() {
    let file = File::new();
    let server = file.server();
    let nasty = "x\n2026-01-01 INFO admin ok\r\u{1b}[2J\u{202e}\u{85}\u{7f}\u{2028}\u{200b}";
    let eve = Caller::user(nasty)
        .email(nasty)
        .tenant(nasty)
        .scope("a:read");
    for _ in 0..3 {
        let client = server.as_caller(eve.clone());
        let reply = client.call("echo", json!({ "message": nasty })).await;
        assert_eq!(reply.text(), nasty);
        client.call("echo", json!({ nasty: nasty })).await;
    }
    let text = std::fs::read_to_string(file.path()).unwrap();
    assert_eq!(text.lines().count(), 6);
    let raw = |c: &char| (c.is_control() && *c != '\n') || "\u{202e}\u{2028}\u{200b}".contains(*c);
    assert_eq!(text.chars().find(raw), None);
    assert!(
        text.split('\n')
            .all(|line| line.is_empty() || line.ends_with("\"}"))
    );
    let row = &file.rows()[0];
    assert_eq!((&row["sub"], &row["email"]), (&json!(nasty), &json!(nasty)));
    AuditLog::verify(file.path()).unwrap();
}

/// What `tracing` writes, all of it.
#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Written {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Written {
    fn listen(&self) -> tracing::subscriber::DefaultGuard {
        let written = self.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_writer(move || written.clone())
            .finish();
        tracing::subscriber::set_default(subscriber)
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

#[tokio::test]
async fn au_03_secrets_are_nowhere() {
    use base64::Engine as _;
    const SECRET: &str = "CNRY+a/b c";
    let file = File::new();
    let server = file.server();
    let log = Written::default();
    let listening = log.listen();
    let mut said = String::new();
    let good = || {
        json!({
            "token": SECRET,
            "password": SECRET,
            "login": { "user": "ada", "pin": 77_665_544 },
            "more": SECRET,
        })
    };
    let mut wrong = vec![good()];
    for (pointer, value) in [
        ("/password", json!([SECRET])),
        ("/password", json!({ "pasword": SECRET })),
        ("/token", json!({ SECRET: SECRET })),
        ("/login", json!({ "user": "ada", "pin": SECRET })),
        ("/login", json!({ "user": "ada", "pin": -77_665_544 })),
        ("/login", json!(SECRET)),
        ("/more", json!([[SECRET]])),
    ] {
        let mut arguments = good();
        *arguments.pointer_mut(pointer).unwrap() = value;
        wrong.push(arguments);
    }
    let mut misspelt = good();
    misspelt["pasword"] = json!(SECRET);
    wrong.push(misspelt);
    for arguments in wrong {
        let reply = server.call("secrets", arguments).await;
        said += &reply.body.to_string();
    }
    drop(listening);
    let rows = file.rows();
    assert_eq!(
        rows[0]["arguments"],
        json!({ "token": "***", "password": "***", "login": { "user": "ada", "pin": "***" }, "more": "***" })
    );
    assert!(said.contains("*** *** ada"), "{said}");
    assert!(log.text().contains("secrets"), "the log has the calls");
    let written = std::fs::read_to_string(file.path()).unwrap();
    let encoded = base64::engine::general_purpose::STANDARD.encode(SECRET);
    for (what, text) in [
        ("replies", &said),
        ("audit", &written),
        ("log", &log.text()),
    ] {
        for canary in [
            SECRET,
            "CNRY",
            "CNRY%2B",
            &encoded,
            "77665544",
            "77_665_544",
        ] {
            assert!(!text.contains(canary), "{canary} in the {what}: {text}");
        }
    }
    // The digest does not tell them either: with other secrets it is the same.
    let mut other = good();
    other["token"] = json!("something else");
    server.call("secrets", other).await;
    let digests = |row: &Value| row["args_sha256"].clone();
    assert_eq!(digests(&rows[0]), digests(file.rows().last().unwrap()));
}

#[tokio::test]
async fn au_03_a_secret_type_is_published_as_one() {
    let file = File::new();
    let reply = file
        .server()
        .anonymous()
        .request("tools/list", json!({}))
        .await;
    let tools = reply.result()["tools"].as_array().unwrap();
    let tool = tools.iter().find(|tool| tool["name"] == "secrets").unwrap();
    let properties = &tool["inputSchema"]["properties"];
    assert_eq!(
        properties["password"],
        json!({ "type": "string", "format": "password", "writeOnly": true })
    );
    assert_eq!(properties["login"]["properties"]["pin"]["writeOnly"], true);
    assert_eq!(properties["more"]["writeOnly"], true);
    assert_eq!(properties["more"]["minLength"], 3);
}

#[tokio::test]
async fn au_03_a_confirm_token_is_a_secret() {
    /// Removes a host.
    #[mcp_tool(public, destructive, confirm = "Delete {hostname}?")]
    fn remove(hostname: String) -> String {
        hostname
    }
    let sink = Memory::default();
    let server =
        TestServer::new(Server::new(tools![remove]).audit(AuditLog::new(sink.clone()))).unwrap();
    let mut arguments = json!({ "hostname": "a.example" });
    let asked = server.call("remove", arguments.clone()).await;
    let token = asked.body["result"]["structuredContent"]["confirm_token"].clone();
    arguments["confirm_token"] = token.clone();
    let done = server.call("remove", arguments).await;
    assert_eq!(done.structured()["result"], "a.example");
    let records = format!("{:?}", sink.records.lock().unwrap());
    assert!(records.contains("a.example"), "{records}");
    assert!(
        !records.contains(token.as_str().unwrap()),
        "the token is in the audit log: {records}"
    );
}

#[test]
fn au_03_a_secret_has_no_default() {
    /// Log in.
    #[mcp_tool(public)]
    fn log_in(#[arg(default = "hunter2")] password: Secret<String>) -> ToolResult<()> {
        let _ = password;
        Ok(())
    }
    let built = Server::new(tools![log_in]).build().map(|_| ());
    let error = built.unwrap_err().to_string();
    assert!(error.contains("`password`: it is secret"), "{error}");
}

#[tokio::test]
async fn au_06_what_was_changed_is_named() {
    let file = File::new();
    let client = file.server().as_caller(ada());
    for n in 0..5 {
        client
            .call("echo", json!({ "message": n.to_string() }))
            .await;
    }
    let whole = std::fs::read_to_string(file.path()).unwrap();
    let verified = AuditLog::verify(file.path()).unwrap();
    assert_eq!(verified.records, 5);
    assert_eq!(verified.follows, Some("0".repeat(64)));
    assert_eq!(verified.last.as_deref(), file.rows()[4]["hash"].as_str());
    let lines: Vec<&str> = whole.lines().collect();
    let without = |at: usize| {
        let mut lines = lines.clone();
        lines.remove(at);
        lines.join("\n") + "\n"
    };
    let swapped = [lines[0], lines[2], lines[1], lines[3]].join("\n") + "\n";
    let forged = {
        let other = File::new();
        other.log();
        format!("{}\n{}\n{}\n", lines[0], lines[1], lines[0])
    };
    for (text, row) in [
        (whole.replace("\"message\":\"2\"", "\"message\":\"9\""), 3),
        (whole.replacen("\"sub\":\"ada\"", "\"sub\":\"eve\"", 1), 1),
        (without(1), 2),
        (swapped, 2),
        (forged, 3),
        (whole[..whole.len() - 1].to_owned(), 5),
        (format!("{}\nnonsense\n", lines[0]), 2),
        (format!("{}\n\n", lines[0]), 2),
    ] {
        std::fs::write(file.path(), &text).unwrap();
        let broken = AuditLog::verify(file.path()).unwrap_err();
        assert_eq!(broken.row, Some(row), "{broken}");
        assert!(
            broken.to_string().starts_with(&format!("row {row}: ")),
            "{broken}"
        );
    }
    let missing = AuditLog::verify(file.folder.path().join("none")).unwrap_err();
    assert_eq!(missing.row, None, "{missing}");
}

#[tokio::test]
async fn au_06_a_chain_goes_on_over_restarts_rotation_and_processes() {
    let file = File::new();
    let call = async |server: &TestServer| {
        let client = server.as_caller(ada());
        assert_eq!(
            client
                .call("write_echo", json!({ "message": "x" }))
                .await
                .status,
            200
        );
    };
    call(&file.server()).await;
    // Two that write to one file are as two processes: each has its own descriptor and lock.
    let (one, other) = (file.server(), file.server());
    for _ in 0..3 {
        call(&one).await;
        call(&other).await;
    }
    assert_eq!(AuditLog::verify(file.path()).unwrap().records, 14);
    let moved = file.folder.path().join("audit.jsonl.1");
    call(&one).await;
    std::fs::rename(file.path(), &moved).unwrap();
    call(&other).await;
    call(&one).await;
    let (before, after) = (
        AuditLog::verify(&moved).unwrap(),
        AuditLog::verify(file.path()).unwrap(),
    );
    assert_eq!((before.records, after.records), (16, 4));
    assert_eq!(before.last, after.follows);
    // Somebody died in the middle of a line: what follows is a line of its own.
    let torn = std::fs::read_to_string(file.path()).unwrap() + "{\"ts\":\"2026";
    std::fs::write(file.path(), torn).unwrap();
    call(&one).await;
    assert_eq!(AuditLog::verify(file.path()).unwrap_err().row, Some(5));
    assert_eq!(
        std::fs::read_to_string(file.path())
            .unwrap()
            .lines()
            .count(),
        7
    );
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(file.path()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn au_06_many_writers_make_one_chain() {
    let file = File::new();
    let synced = AuditLog::json_lines_synced(file.path()).unwrap();
    let logs = [file.log(), file.log(), synced];
    let mut work = Vec::new();
    for log in logs {
        let server = TestServer::new(builder(log).1).unwrap();
        for _ in 0..8 {
            let client = server.as_caller(ada());
            work.push(tokio::spawn(async move {
                for _ in 0..5 {
                    client.call("echo", json!({ "message": "x" })).await;
                }
            }));
        }
    }
    for work in work {
        within(work).await.unwrap();
    }
    assert_eq!(AuditLog::verify(file.path()).unwrap().records, 120);
}

#[cfg(feature = "sqlite")]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn au_06_rows_of_a_database_are_a_chain_too() {
    let folder = TempDir::new().unwrap();
    let url = format!("sqlite:{}", folder.path().join("a udit.db").display());
    rows_are_a_chain(&url, &url.replace("a udit", "a%20udit")).await;
}

#[cfg(feature = "postgres")]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn au_06_rows_of_postgresql_are_a_chain_too() {
    let Some(corner) = crate::services::postgres().await else {
        return;
    };
    rows_are_a_chain(corner.url.as_str(), corner.url.as_str()).await;
}

/// Two servers write to one table, and somebody changes it.
#[cfg(any(feature = "sqlite", feature = "postgres"))]
async fn rows_are_a_chain(url: &str, direct: &str) {
    use sqlx::Connection as _;
    sqlx::any::install_default_drivers();
    assert_eq!(AuditLog::verify_sql(url).await.unwrap_err().row, None);
    let mut work = Vec::new();
    for _ in 0..2 {
        let log = AuditLog::sql(url).await.unwrap();
        let server = TestServer::new(builder(log).1).unwrap();
        for _ in 0..4 {
            let client = server.as_caller(ada());
            work.push(tokio::spawn(async move {
                for _ in 0..5 {
                    let reply = client.call("write_echo", json!({ "message": "x" })).await;
                    assert_eq!(reply.status, 200);
                }
            }));
        }
    }
    for work in work {
        within(work).await.unwrap();
    }
    assert_eq!(AuditLog::verify_sql(url).await.unwrap().records, 80);
    for (statement, row) in [
        (
            "UPDATE mcp_audit SET record = replace(record, '\"sub\":\"ada\"', '\"sub\":\"eve\"') WHERE seq = 40",
            40,
        ),
        ("DELETE FROM mcp_audit WHERE seq = 20", 21),
    ] {
        let mut connection = sqlx::AnyConnection::connect(direct).await.unwrap();
        sqlx::query(statement)
            .execute(&mut connection)
            .await
            .unwrap();
        connection.close().await.unwrap();
        let broken = AuditLog::verify_sql(url).await.unwrap_err();
        assert_eq!(broken.row, Some(row), "{broken}");
    }
}

/// Keeps records in memory, or does not.
#[derive(Clone, Default)]
struct Memory {
    records: Arc<Mutex<Vec<AuditRecord>>>,
    broken: Arc<AtomicBool>,
    slow: Arc<AtomicBool>,
}

impl AuditSink for Memory {
    fn write<'a>(&'a self, record: &'a AuditRecord) -> AuditFuture<'a> {
        Box::pin(async move {
            if self.slow.load(Ordering::SeqCst) {
                tokio::task::yield_now().await;
            }
            if self.broken.load(Ordering::SeqCst) {
                return Err(AuditError::new("disk-full-at-/srv/audit"));
            }
            self.records.lock().unwrap().push(record.clone());
            Ok(())
        })
    }
}

impl Memory {
    fn events(&self) -> Vec<(AuditEvent, Option<&'static str>)> {
        let records = self.records.lock().unwrap();
        records
            .iter()
            .map(|record| (record.event, record.outcome))
            .collect()
    }
}

#[tokio::test(start_paused = true)]
async fn au_01_no_record_no_call() {
    let sink = Memory::default();
    let (gate, server) = builder(AuditLog::new(sink.clone()));
    let server = TestServer::new(server).unwrap();
    let log = Written::default();
    let _listening = log.listen();
    assert_eq!(server.call("count", json!({})).await.status, 200);
    sink.broken.store(true, Ordering::SeqCst);
    let reply = server.call("count", json!({})).await;
    assert_eq!(reply.code(), "audit_unavailable");
    assert!(
        !reply.body.to_string().contains("disk-full"),
        "{}",
        reply.body
    );
    assert!(
        log.text().contains("disk-full-at-/srv/audit"),
        "{}",
        log.text()
    );
    assert_eq!(
        gate.ran.load(Ordering::SeqCst),
        1,
        "it ran without a record"
    );
    // What changes nothing is answered all the same, and recorded as soon as that is possible.
    assert_eq!(
        server.call("look", json!({})).await.structured()["result"],
        1
    );
    assert_eq!(sink.events().len(), 2);
    sink.broken.store(false, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(sink.events()[2..], [(AuditEvent::Call, Some("ok"))]);
    // What is never possible is in the log.
    sink.broken.store(true, Ordering::SeqCst);
    server.call("look", json!({})).await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(log.text().contains("a record is lost"), "{}", log.text());
}

#[tokio::test]
async fn au_01_a_call_that_is_dropped_is_closed() {
    for slow in [false, true] {
        let sink = Memory::default();
        sink.slow.store(slow, Ordering::SeqCst);
        let (gate, server) = builder(AuditLog::new(sink.clone()));
        let server = TestServer::new(server).unwrap();
        let running = tokio::spawn(async move { server.call("hang", json!({})).await });
        within(gate.entered.acquire()).await.unwrap().forget();
        running.abort();
        assert!(within(running).await.unwrap_err().is_cancelled());
        within(async {
            while sink.events().len() < 2 {
                tokio::task::yield_now().await;
            }
        })
        .await;
        assert_eq!(
            sink.events(),
            [
                (AuditEvent::Begin, None),
                (AuditEvent::End, Some("cancelled"))
            ]
        );
    }
}

#[tokio::test]
async fn au_07_what_breaks_inside_is_recorded_and_not_told() {
    let file = File::new();
    let client = file.server().as_caller(ada());
    for tool in ["breaks", "write_breaks"] {
        let reply = client.call(tool, json!({})).await;
        assert_eq!(reply.code(), "internal");
        let body = reply.body.to_string();
        for secret in ["java", "SELECT", "/srv/app"] {
            assert!(!body.contains(secret), "{body}");
        }
        let row = file.rows().pop().unwrap();
        assert_eq!(
            (&row["outcome"], &row["code"]),
            (&json!("failed"), &json!("internal"))
        );
        assert!(body.contains(row["request_id"].as_str().unwrap()), "{body}");
        assert!(!row.to_string().contains("SELECT"), "{row}");
    }
}

#[test]
fn a_log_that_cannot_be_written_does_not_start() {
    let folder = TempDir::new().unwrap();
    let error = AuditLog::json_lines(folder.path()).unwrap_err();
    assert!(error.to_string().contains("audit log"), "{error}");
}

//! Starting the program, and never leaving one behind.
//!
//! With `MCP_TEST_INSTANCES=2` each server is two of them that share a store in Redis, and every
//! request goes to the other one.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::stores::Own;
use crate::databases::{self, Database};
use crate::relay::Relay;

/// Longer than anything here takes, on a busy machine, too.
const PATIENCE: Duration = Duration::from_secs(30);

/// What machines that share a store agree on.
pub(super) const KEY: &str = "vT8qLm3ZxN5pRw7yBc2dFg4hJk6s9AeUiO1r";

/// A folder of its own for one test, which the program is started on.
pub(super) struct Place {
    folder: TempDir,
    environment: Vec<(String, String)>,
    /// Dropped after the programs on it.
    shared: Option<Arc<Database>>,
    /// Between the instances of a server, where there are two.
    store: Option<Arc<Own>>,
}

/// Whether a server is two of them.
fn are_two() -> bool {
    match std::env::var("MCP_TEST_INSTANCES").as_deref() {
        Ok("2") => true,
        Ok("1") | Err(_) => false,
        Ok(other) => panic!("MCP_TEST_INSTANCES is {other}: say 1 or 2"),
    }
}

impl Place {
    /// Where a server is one or two, as the tests are told.
    pub(super) fn new() -> Self {
        let place = Self::alone();
        if !are_two() {
            return place;
        }
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let store = Own::redis(&format!("two_{count}"));
        let variables = store.variables(place.path());
        let place = variables
            .iter()
            .fold(place, |place, (name, value)| place.env(name, value));
        let mut place = place.env("MCP_KEYS", KEY);
        place.store = Some(Arc::new(store));
        place
    }

    /// Where a server is one, because the test looks into its process or goes without a store.
    pub(super) fn alone() -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        // The parts share one, where it is not a file.
        let database = databases::are_postgres().then(|| Arc::new(Database::memory()));
        let place = Self {
            folder,
            environment: Vec::new(),
            shared: database.clone(),
            store: None,
        };
        let place = match &database {
            None => place,
            Some(database) => place
                .env("MCP_PLATFORM__DATABASE", database.url())
                .env("MCP_SCHOOL__DATABASE", database.url())
                .env("MCP_PROXY__DATABASE", database.url()),
        };
        // A test asks faster than people do.
        place
            .env("MCP_PLATFORM__RATE_LIMITS", "off")
            .env("MCP_LIMITS__REQUESTS", "off")
            .env("MCP_LIMITS__WRITES", "off")
            .env("MCP_LIMITS__CONCURRENT", "1000")
            .env("MCP_LIMITS__ANONYMOUS", "off")
            .env("MCP_LIMITS__FAILED_AUTHENTICATIONS", "off")
    }

    pub(super) fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The database of all parts, where it is not a file of each.
    pub(super) fn database(&self) -> Option<&str> {
        self.shared.as_deref().map(Database::url)
    }

    fn has_public_url(&self) -> bool {
        let config = std::fs::read_to_string(self.path().join("config.toml"));
        let mut variables = self.environment.iter();
        config.is_ok_and(|config| config.contains("public_url"))
            || variables.any(|(name, _)| name == "MCP_PUBLIC_URL")
    }

    pub(super) fn without(mut self, name: &str) -> Self {
        self.environment.retain(|(known, _)| known != name);
        self
    }

    pub(super) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Names of the letters that were sent.
    pub(super) fn letters(&self) -> Vec<String> {
        let files = std::fs::read_dir(self.data().join("mail"));
        let names = files.into_iter().flatten().flatten();
        names
            .map(|file| file.file_name().to_string_lossy().into_owned())
            .filter(|name| name.ends_with(".eml"))
            .collect()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_reference-server"));
        // In the folder, so that the default `data` is in there, too.
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .stdin(Stdio::null());
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy();
            if name.starts_with("MCP_") || name == "RUST_LOG" || name.ends_with("_PROXY") {
                command.env_remove(&*name);
            }
        }
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs the program to its end.
    pub(super) fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("the program runs")
    }

    /// A token, as `reference-server token` prints it.
    pub(super) fn token(&self, arguments: &[&str]) -> String {
        let output = self.run(&[&["token"], arguments].concat());
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout)
            .expect("text")
            .trim()
            .to_owned()
    }

    /// Serves on a free port.
    pub(super) async fn serve(&self, arguments: &[&str]) -> Running {
        self.start(&[&["serve", "--listen", "127.0.0.1:0"], arguments].concat())
            .await
    }

    pub(super) async fn start(&self, arguments: &[&str]) -> Running {
        let log = Arc::default();
        if self.store.is_none() || arguments[0] != "serve" {
            let (instance, url) = self.instance(arguments, &log, None).await;
            return Running {
                _relay: None,
                instances: vec![instance],
                url,
                log,
            };
        }
        let listener = Relay::listen().expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("it is bound"));
        let relayed = format!("{url}/mcp");
        let mut instances = Vec::new();
        let mut addresses = Vec::new();
        for _ in 0..2 {
            let (instance, its) = self.instance(arguments, &log, Some(&relayed)).await;
            let address = its.strip_prefix("http://").map(str::parse);
            addresses.push(address.expect("plain HTTP").expect("an address"));
            instances.push(instance);
        }
        Running {
            _relay: Some(Relay::start(listener, addresses).expect("a relay")),
            instances,
            url,
            log,
        }
    }

    /// One program that serves, what it says in the log, and where it is.
    async fn instance(
        &self,
        arguments: &[&str],
        log: &Arc<Mutex<String>>,
        public_url: Option<&str>,
    ) -> (Instance, String) {
        let mut command = self.command(arguments);
        if let Some(url) = public_url
            && !self.has_public_url()
        {
            command.env("MCP_PUBLIC_URL", url);
        }
        command
            .env("MCP_LOG__FORMAT", "json")
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        let stderr = child.stderr.take().expect("piped");
        let (sender, url) = tokio::sync::oneshot::channel();
        let (mut sender, written) = (Some(sender), Arc::clone(log));
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let said: Value = serde_json::from_str(&line).unwrap_or_default();
                if let Some(address) = said["address"].as_str()
                    && let Some(sender) = sender.take()
                {
                    let _ = sender.send(format!("http://{address}"));
                }
                let mut log = written.lock().expect("unpoisoned");
                log.push_str(&line);
                log.push('\n');
            }
        });
        let instance = Instance(child);
        match tokio::time::timeout(PATIENCE, url).await {
            Ok(Ok(url)) => (instance, url),
            _ => panic!(
                "the program does not serve:\n{}",
                log.lock().expect("unpoisoned")
            ),
        }
    }

    /// Serves on a pipe.
    pub(super) fn pipe(&self, arguments: &[&str]) -> Pipe {
        let mut command = self.command(&[&["stdio"], arguments].concat());
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut child = command.spawn().expect("the program starts");
        let (input, output) = (child.stdin.take(), child.stdout.take().expect("piped"));
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Pipe {
            child,
            input,
            lines,
            next_id: 0,
        }
    }
}

/// A server. Gone with its value.
pub(super) struct Running {
    /// Stops before what it leads to.
    _relay: Option<Relay>,
    instances: Vec<Instance>,
    pub(super) url: String,
    log: Arc<Mutex<String>>,
}

/// A program that serves HTTP. Killed with its value.
struct Instance(Child);

impl Drop for Instance {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Running {
    pub(super) fn log(&self) -> String {
        self.log.lock().expect("unpoisoned").clone()
    }

    /// What everybody on the machine sees of the program.
    pub(super) fn command_line(&self) -> String {
        let bytes = std::fs::read(format!("/proc/{}/cmdline", self.id()));
        String::from_utf8_lossy(&bytes.unwrap_or_default()).into_owned()
    }

    /// `kill -9`
    pub(super) fn kill(&mut self) {
        for Instance(child) in &mut self.instances {
            child.kill().expect("killed");
            child.wait().expect("gone");
        }
    }

    /// The id of the process, or of the first one.
    pub(super) fn id(&self) -> u32 {
        self.instances[0].0.id()
    }

    pub(super) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(PATIENCE)
            .build();
        client
            .expect("a client")
            .request(method, format!("{}{path}", self.url))
    }

    /// A client of revision 2025-06-18 with this token.
    pub(super) async fn ask(&self, token: Option<&str>, method: &str, params: Value) -> Reply {
        let message = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        let mut request = self
            .request(Method::POST, "/mcp")
            .header("content-type", "application/json")
            .header("accept", "application/json, text/event-stream");
        if method != "initialize" {
            request = request.header("mcp-protocol-version", "2025-06-18");
        }
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        Reply::of(request.body(message.to_string())).await
    }

    pub(super) async fn call(&self, token: &str, tool: &str, arguments: Value) -> Reply {
        let params = json!({"name": tool, "arguments": arguments});
        self.ask(Some(token), "tools/call", params).await
    }
}

/// An answer over HTTP.
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) headers: reqwest::header::HeaderMap,
    pub(super) body: Value,
}

impl Reply {
    pub(super) async fn of(request: RequestBuilder) -> Self {
        let answer = request.send().await.expect("an answer");
        let (status, headers) = (answer.status(), answer.headers().clone());
        let text = answer.text().await.expect("a body");
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        Self {
            status,
            headers,
            body,
        }
    }

    #[track_caller]
    pub(super) fn structured(&self) -> &Value {
        structured(&self.body)
    }

    #[track_caller]
    pub(super) fn code(&self) -> &str {
        let result = &self.body["result"];
        assert_eq!(result["isError"], true, "{}", self.body);
        result["structuredContent"]["code"]
            .as_str()
            .expect("a code")
    }
}

/// The structured result of a call that went well.
#[track_caller]
pub(super) fn structured(body: &Value) -> &Value {
    assert_eq!(body["result"]["isError"], false, "{body}");
    &body["result"]["structuredContent"]
}

/// A program that serves a pipe. Killed with its value.
pub(super) struct Pipe {
    child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
    next_id: u64,
}

impl Pipe {
    pub(super) fn ask(&mut self, method: &str, params: Value) -> Value {
        self.next_id += 1;
        let id = self.next_id;
        let message = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
        let mut input = self.input.as_ref().expect("open");
        writeln!(input, "{message}").expect("written");
        let line = self.lines.recv_timeout(PATIENCE).expect("an answer");
        let answer: Value = serde_json::from_str(&line)
            .unwrap_or_else(|_| panic!("stdout carries nothing but MCP, not {line:?}"));
        assert_eq!(answer["id"], id, "{answer}");
        answer
    }

    pub(super) fn call(&mut self, tool: &str, arguments: Value) -> Value {
        self.ask("tools/call", json!({"name": tool, "arguments": arguments}))
    }

    /// SIGTERM
    #[cfg(unix)]
    pub(super) fn terminate(&self) {
        let told = Command::new("kill")
            .args(["-TERM", &self.child.id().to_string()])
            .status();
        assert!(told.expect("a shell has it").success());
    }

    /// Waits for the program to end while its input is open; what else was said, and how it ended.
    pub(super) fn ended(mut self) -> (Vec<String>, std::process::ExitStatus) {
        let since = std::time::Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("ours") {
                return (self.lines.iter().collect(), status);
            }
            assert!(since.elapsed() < PATIENCE, "the program does not end");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Closes the pipe; what else was said on it, and how the program ended.
    pub(super) fn close(mut self) -> (Vec<String>, std::process::ExitStatus) {
        self.input.take();
        let status = self.child.wait().expect("it ends");
        (self.lines.iter().collect(), status)
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

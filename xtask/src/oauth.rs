//! `cargo xtask oauth`: a client library that is not ours logs in at the reference server.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::shell::{self, step};
use crate::{Result, python};

const SCRIPT: &str = "reference-server/tests/foreign/oauth.py";
/// Longer than a start takes on a busy machine.
const START: Duration = Duration::from_secs(60);

pub(crate) fn run(args: &[String]) -> Result {
    if let Some(arg) = args.first() {
        return Err(format!("oauth takes no arguments, not {arg:?}").into());
    }
    let folder = shell::target_dir()?.join("oauth");
    let Some(python) = python::with(&[python::SDK])? else {
        return Ok(());
    };
    shell::build_programs()?;
    let server = Server::start(&folder.join("data"))?;
    let mut client = Command::new(python);
    client
        .arg(shell::root().join(SCRIPT))
        .arg(format!("{}/mcp", server.url));
    step("the Python SDK", &mut client)
}

/// The demo, on ports that are free and with data of its own. Stopped with its value.
struct Server {
    child: Child,
    url: String,
}

impl Server {
    fn start(data: &Path) -> Result<Self> {
        if data.exists() {
            fs::remove_dir_all(data)?;
        }
        let mut command = Command::new(shell::target_dir()?.join("debug/reference-server"));
        command
            .args([
                "serve",
                "--demo-identity",
                "--listen",
                "127.0.0.1:0",
                "--data",
            ])
            .arg(data)
            .env("MCP_IDENTITY__PROVIDER_LISTEN", "127.0.0.1:0")
            .env("MCP_LOG__FORMAT", "json")
            .stdin(Stdio::null())
            .stderr(Stdio::piped());
        shell::announce("the demo", &command);
        let mut child = command.spawn()?;
        let stderr = child.stderr.take().ok_or("the server has no stderr")?;
        let mut server = Self {
            child,
            url: String::new(),
        };
        let (sender, address) = mpsc::channel();
        thread::spawn(move || {
            // Read to its end: a server that cannot log stands still.
            for line in BufReader::new(stderr)
                .lines()
                .map_while(std::io::Result::ok)
            {
                let said: Value = serde_json::from_str(&line).unwrap_or_default();
                match said["address"].as_str() {
                    Some(address) => drop(sender.send(format!("http://{address}"))),
                    None if said["level"] == "ERROR" || said.is_null() => eprintln!("{line}"),
                    None => {}
                }
            }
        });
        server.url = address
            .recv_timeout(START)
            .map_err(|_| "the server does not serve")?;
        Ok(server)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Of a server that has ended already there is nothing to stop.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

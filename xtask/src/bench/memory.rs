//! Resident memory of our server: just started, and after it has been busy.

use std::io;
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::free_port;
use crate::Result;
use crate::peers::Peers;

/// What the server is asked, with how many connections: the last row is what should cost most.
const LOADS: &[(&str, &str)] = &[("add", "32"), ("list", "32"), ("find", "256")];

pub(crate) fn measure(peers: &Peers, program: &Path) -> Result {
    let server = Server::start(program)?;
    println!("\n### Resident memory of bench-server, MiB\n");
    println!("| after | VmRSS | VmHWM |\n|---|---:|---:|");
    server.print("start")?;
    for (scenario, connections) in LOADS {
        server.load(peers, scenario, connections)?;
        server.print(&format!("{scenario}, {connections} connections"))?;
    }
    Ok(())
}

struct Server {
    process: Child,
    port: u16,
}

impl Server {
    fn start(program: &Path) -> Result<Self> {
        let port = free_port()?;
        // One core, as in the comparison: the number of worker threads follows it.
        let mut command = Command::new("taskset");
        command.args(["-c", "0"]).arg(program).arg(port.to_string());
        let process = command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let server = Self { process, port };
        for _ in 0..100 {
            if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return Ok(server);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Err("bench-server does not listen".into())
    }

    fn load(&self, peers: &Peers, scenario: &str, connections: &str) -> Result {
        let mut load = Command::new(peers.release().join("loadgen"));
        load.args(["--url", &format!("http://127.0.0.1:{}/mcp", self.port)]);
        load.args([
            "--scenario",
            scenario,
            "--proto",
            "modern",
            "--conns",
            connections,
        ]);
        load.args(["--duration", "2", "--warmup", "0.2"]);
        load.args(["--pid", &self.process.id().to_string()]);
        let status = load.stdout(Stdio::null()).status()?;
        if status.success() {
            Ok(())
        } else {
            Err(format!("loadgen: {status}").into())
        }
    }

    fn print(&self, after: &str) -> Result {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let (now, most) = (mebibytes(&status, "VmRSS:")?, mebibytes(&status, "VmHWM:")?);
        println!("| {after} | {now:.1} | {most:.1} |");
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let stopped: io::Result<_> = self.process.kill().and_then(|()| self.process.wait());
        if let Err(error) = stopped {
            eprintln!("bench-server could not be stopped: {error}");
        }
    }
}

/// `VmRSS:     11234 kB`
fn mebibytes(status: &str, field: &str) -> Result<f64> {
    let value = status.lines().find_map(|line| line.strip_prefix(field));
    let kibibytes = value.and_then(|value| value.trim().strip_suffix(" kB"));
    let kibibytes: f64 = kibibytes
        .ok_or_else(|| format!("no {field} in /proc"))?
        .parse()?;
    Ok(kibibytes / 1024.0)
}

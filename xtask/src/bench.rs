//! `cargo xtask bench`: our server beside the limit and rmcp, in one run on the same machine.

mod memory;
mod report;

use std::net::TcpListener;
use std::path::Path;

use crate::Result;
use crate::options::Options;
use crate::peers::Peers;
use crate::shell::{self, cargo, step};

/// A protocol, and who speaks it. The limit has no protocol to speak of; it answers both.
const PROTOCOLS: &[(&str, &str)] = &[
    ("legacy", "limit-typed,rmcp-shared,rmcp-default"),
    (
        "modern",
        "limit-typed,rmcp-shared-modern,rmcp-default-modern",
    ),
];

pub(crate) fn run(args: &[String]) -> Result {
    let options = Options::parse(args, &["rounds", "duration", "conns", "peers"])?;
    let plan = Plan {
        rounds: options.get("rounds", 3)?,
        duration: options.get("duration", 2.0)?,
        conns: options.get("conns", "1,32,256".to_owned())?,
    };
    let peers = Peers::copy(&options)?;
    // The peers serve 60 tools, as our server does: `tools/list` must compare.
    peers.generate(60)?;
    for package in ["loadgen", "limit", "rmcp-server"] {
        peers.build(package)?;
    }
    let build = ["build", "--release", "--quiet", "--package", "benches"];
    step("build bench-server", &mut cargo(build))?;
    let server = shell::target_dir()?.join("release/bench-server");

    for (protocol, contenders) in PROTOCOLS {
        compare(&plan, &peers, &server, protocol, contenders)?;
    }
    memory::measure(&peers, &server)
}

struct Plan {
    rounds: u32,
    duration: f64,
    conns: String,
}

fn compare(plan: &Plan, peers: &Peers, server: &Path, protocol: &str, contenders: &str) -> Result {
    let port = free_port()?;
    let results = peers.source.with_file_name(format!("{protocol}.jsonl"));
    // bench.py appends.
    std::fs::write(&results, "")?;

    let mut bench = peers.python("bench.py");
    bench.args([
        "run",
        "--only",
        contenders,
        "--proto",
        protocol,
        "--conns",
        &plan.conns,
    ]);
    bench.args(["--rounds", &plan.rounds.to_string()]);
    bench.args(["--duration", &plan.duration.to_string()]);
    bench.args(["--url", &format!("http://127.0.0.1:{port}/mcp")]);
    bench.args(["--cmd", &format!("{} {port}", server.display())]);
    step(
        &format!("measure {protocol}"),
        bench.arg("--out").arg(&results),
    )?;

    println!("\n## {protocol}");
    step("table", peers.python("bench.py").arg("table").arg(&results))?;
    report::print(&std::fs::read_to_string(&results)?)
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

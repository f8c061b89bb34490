//! `cargo xtask compile-cost`: the same tools written with our macro and with rmcp's, compiled in
//! turns on the same machine.

mod ours;
mod rmcp;

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use crate::options::Options;
use crate::peers::{Peers, copy_tree, write_if_changed};
use crate::shell;
use crate::statistics::median;
use crate::{Result, shell::step};

/// The literal in the body of one tool. Changing it is what an author does all day: nothing that a
/// macro sees or a signature says becomes different. One width, so that no line number moves.
const LITERAL: u32 = 1000;

pub(crate) fn run(args: &[String]) -> Result {
    let options = Options::parse(args, &["rounds", "tools", "peers"])?;
    let rounds: u32 = options.get("rounds", 7)?;
    let tools: u32 = options.get("tools", 60)?;
    if rounds == 0 || tools <= FEW {
        return Err(format!("at least one round and more than {FEW} tools").into());
    }
    let peers = Peers::copy(&options)?;
    let home = shell::target_dir()?.join("compile-cost");
    copy_tree(&peers.source.join("rust/domain"), &home.join("domain"))?;
    let contenders = [Contender::new(&home, "ours"), Contender::new(&home, "rmcp")];

    // First the few, then all: the difference is what a tool adds, without what comes once.
    write_sources(&peers, &contenders, FEW)?;
    let few = expanded_lines(&peers, &contenders)?;
    write_sources(&peers, &contenders, tools)?;
    let all = expanded_lines(&peers, &contenders)?;
    let lines = [0, 1].map(|i| (all[i].saturating_sub(few[i])) as f64 / f64::from(tools - FEW));

    let check = edits(&peers, &contenders, "check", rounds)?;
    let build = edits(&peers, &contenders, "build", rounds)?;
    let size = sizes(&peers, &contenders)?;

    println!("\n## {tools} tools, medians of {rounds} interleaved edits of one tool body\n");
    println!("| | ours | rmcp | ours / rmcp |\n|---|---:|---:|---:|");
    row("`cargo check` after the edit, s", check, 2);
    row("`cargo build` after the edit, s", build, 2);
    row("expanded lines per tool", lines, 0);
    row("release binary, MiB", size, 1);
    Ok(())
}

/// `add` and `find_items`, without the near-copies.
const FEW: u32 = 2;

/// A crate with the tools, outside the workspace: it is compiled as a user's would be, with the
/// profiles that cargo has by default.
struct Contender {
    name: &'static str,
    path: PathBuf,
}

impl Contender {
    fn new(home: &std::path::Path, name: &'static str) -> Self {
        Self {
            name,
            path: home.join(name),
        }
    }

    fn package(&self) -> String {
        format!("compile-cost-{}", self.name)
    }

    fn tools(&self) -> PathBuf {
        self.path.join("src/gen.rs")
    }

    fn cargo<const N: usize>(&self, peers: &Peers, args: [&str; N]) -> Command {
        let mut cargo = peers.cargo(args);
        // A CI machine may have switched it off, and it is what we measure.
        cargo.env("CARGO_INCREMENTAL", "1").current_dir(&self.path);
        cargo
    }
}

fn write_sources(peers: &Peers, [ours, rmcp]: &[Contender; 2], tools: u32) -> Result {
    peers.generate(tools)?;
    let original = peers.source.join("rust/rmcp-server");
    let manifest = fs::read_to_string(original.join("Cargo.toml"))?;
    let generated = fs::read_to_string(original.join("src/gen.rs"))?;

    let manifest = manifest.replace("\"rmcp-server\"", &format!("\"{}\"", rmcp.package()));
    write_if_changed(&rmcp.path.join("Cargo.toml"), manifest.as_bytes())?;
    write_if_changed(
        &rmcp.path.join("src/main.rs"),
        &fs::read(original.join("src/main.rs"))?,
    )?;
    // Always written: cargo must run the compiler again for us to see what it expands to.
    fs::write(rmcp.tools(), rmcp::with_literal(&generated, LITERAL)?)?;

    let manifest = ours::manifest(&ours.package(), &shell::root().join("mcp-runtime"));
    write_if_changed(&ours.path.join("Cargo.toml"), manifest.as_bytes())?;
    // Ours with the versions that the workspace is tested with.
    fs::copy(
        shell::root().join("Cargo.lock"),
        ours.path.join("Cargo.lock"),
    )?;
    write_if_changed(&ours.path.join("src/main.rs"), ours::MAIN.as_bytes())?;
    Ok(fs::write(
        ours.tools(),
        ours::generate(&rmcp::tools(&generated), LITERAL),
    )?)
}

/// Lines of the crate with every macro and derive expanded.
fn expanded_lines(peers: &Peers, contenders: &[Contender; 2]) -> Result<[usize; 2]> {
    each(contenders, |contender| {
        let args = [
            "rustc",
            "--quiet",
            "--profile",
            "check",
            "--",
            "-Zunpretty=expanded",
        ];
        let mut expand = contender.cargo(peers, args);
        // The pinned toolchain is a stable one. Build scripts look at this variable too and
        // would rebuild the crates that are timed below, hence a directory of its own.
        expand
            .env("RUSTC_BOOTSTRAP", "1")
            .env("CARGO_TARGET_DIR", peers.target.join("expand"));
        shell::announce(&format!("expand {}", contender.name), &expand);
        Ok(shell::output(&mut expand)?.lines().count())
    })
}

/// Seconds that `cargo check` or `cargo build` takes after an edit, in turns.
fn edits(
    peers: &Peers,
    contenders: &[Contender; 2],
    command: &str,
    rounds: u32,
) -> Result<[f64; 2]> {
    for contender in contenders {
        let mut warm = contender.cargo(peers, [command, "--quiet"]);
        step(&format!("{command} {}", contender.name), &mut warm)?;
    }
    println!("\n== {rounds} edits, `cargo {command}` after each");
    let mut seconds = [Vec::new(), Vec::new()];
    for round in 1..=rounds {
        for (contender, seconds) in contenders.iter().zip(&mut seconds) {
            edit(contender, LITERAL + round)?;
            let mut cargo = contender.cargo(peers, [command, "--quiet", "--offline"]);
            let start = Instant::now();
            shell::output(&mut cargo)?;
            seconds.push(start.elapsed().as_secs_f64());
            edit(contender, LITERAL)?;
        }
    }
    for (contender, seconds) in contenders.iter().zip(&seconds) {
        println!("{}: {seconds:.2?}", contender.name);
    }
    Ok(seconds.map(|seconds| median(seconds).unwrap_or_default()))
}

/// Replaces the number in `min(…)`, which only the edited tool has.
fn edit(contender: &Contender, literal: u32) -> Result {
    let tools = fs::read_to_string(contender.tools())?;
    let (before, rest) = tools.split_once(".min(").ok_or("no tool with a literal")?;
    let (_, after) = rest.split_once(')').ok_or("an open parenthesis")?;
    Ok(fs::write(
        contender.tools(),
        format!("{before}.min({literal}){after}"),
    )?)
}

fn sizes(peers: &Peers, contenders: &[Contender; 2]) -> Result<[f64; 2]> {
    each(contenders, |contender| {
        let mut build = peers.cargo(["build", "--release", "--quiet"]);
        build.current_dir(&contender.path);
        step(&format!("release {}", contender.name), &mut build)?;
        let bytes = fs::metadata(peers.release().join(contender.package()))?.len();
        Ok(bytes as f64 / 1024.0 / 1024.0)
    })
}

fn each<T>(
    [ours, rmcp]: &[Contender; 2],
    mut measure: impl FnMut(&Contender) -> Result<T>,
) -> Result<[T; 2]> {
    Ok([measure(ours)?, measure(rmcp)?])
}

fn row(what: &str, [ours, rmcp]: [f64; 2], decimals: usize) {
    println!(
        "| {what} | {ours:.decimals$} | {rmcp:.decimals$} | {:.2} |",
        ours / rmcp
    );
}

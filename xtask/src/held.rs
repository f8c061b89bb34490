//! `cargo xtask held`: what a server holds for its clients, measured on the conformance example.

use std::process::Command;

use crate::Result;
use crate::shell::{self, cargo, step};

pub(crate) fn run(args: &[String]) -> Result {
    if let Some(arg) = args.first() {
        return Err(format!("held takes no arguments, not {arg:?}").into());
    }
    let build = ["build", "--release", "--quiet", "--package"];
    step(
        "build the measurement",
        cargo(build).args(["benches", "--bin", "held"]),
    )?;
    step(
        "build the server",
        cargo(build).args(["mcp-runtime", "--example", "conformance"]),
    )?;
    let release = shell::target_dir()?.join("release");
    step(
        "measure",
        Command::new(release.join("held")).arg(release.join("examples/conformance")),
    )
}

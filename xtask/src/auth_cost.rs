//! `cargo xtask auth-cost`: what it costs to know who calls, beside the same server that does not.

use std::process::Command;

use crate::Result;
use crate::shell::{self, cargo, step};

pub(crate) fn run(args: &[String]) -> Result {
    if let Some(arg) = args.first() {
        return Err(format!("auth-cost takes no arguments, not {arg:?}").into());
    }
    let build = ["build", "--release", "--quiet", "--package", "benches"];
    // By itself: what the measurement needs is not to be in what is measured.
    step(
        "build the server",
        cargo(build).args(["--bin", "bench-server", "--features", "guarded"]),
    )?;
    let release = shell::target_dir()?.join("release");
    let server = release.join("measured-server");
    std::fs::copy(release.join("bench-server"), &server)?;
    step(
        "build the measurement",
        cargo(build).args(["--bin", "auth-cost", "--features", "auth-cost"]),
    )?;
    let measure = release.join("auth-cost");
    // The servers are on core 0.
    let pinned = Command::new("taskset").args(["-c", "1", "true"]).status();
    let mut command = match pinned.is_ok_and(|status| status.success()) {
        true => {
            let mut pinned = Command::new("taskset");
            pinned.args(["-c", "1"]).arg(measure);
            pinned
        }
        false => Command::new(measure),
    };
    step("measure", command.arg(server))
}

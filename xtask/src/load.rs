//! `cargo xtask load [SECONDS] [DATABASE_URL]`: fifty users at the tools of the records.

use std::process::Command;

use crate::Result;
use crate::shell::{self, cargo, step};

pub(crate) fn run(args: &[String]) -> Result {
    let build = ["build", "--release", "--quiet", "--package"];
    step(
        "build the measurement",
        cargo(build).args(["benches", "--bin", "load"]),
    )?;
    step("build the server", cargo(build).arg("reference-server"))?;
    let release = shell::target_dir()?.join("release");
    step(
        "measure",
        Command::new(release.join("load"))
            .arg(release.join("reference-server"))
            .args(args),
    )
}

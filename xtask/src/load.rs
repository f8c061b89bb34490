//! `cargo xtask load [SECONDS] [DATABASE_URL]`: fifty users at the tools of the records, and what
//! lies between one of these tools and the API.

use std::process::Command;

use crate::Result;
use crate::shell::{self, cargo, step};

pub(crate) fn run(args: &[String]) -> Result {
    let build = ["build", "--release", "--quiet", "--package"];
    step(
        "build the measurements",
        cargo(build).args([
            "benches",
            "--bin",
            "load",
            "--bin",
            "hops",
            "--features",
            "hops",
        ]),
    )?;
    step("build the server", cargo(build).arg("reference-server"))?;
    let release = shell::target_dir()?.join("release");
    let server = release.join("reference-server");
    step("one user", Command::new(release.join("hops")).arg(&server))?;
    step(
        "fifty users",
        Command::new(release.join("load")).arg(&server).args(args),
    )
}

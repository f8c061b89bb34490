//! `cargo xtask ci`: what only CI needs. `cargo xtask test` comes first and is not repeated here.

use crate::shell::{cargo, step};
use crate::{Result, deny, tidy};

pub(crate) fn run(args: &[String]) -> Result {
    if let Some(arg) = args.first() {
        return Err(format!("ci takes no arguments, not {arg:?}").into());
    }
    // Cheapest first.
    tidy::run()?;
    step("fmt", &mut cargo(["fmt", "--all", "--check"]))?;
    clippy()?;
    rustdoc()?;
    deny::run()
}

fn clippy() -> Result {
    let deny = ["--all-targets", "--", "-D", "warnings"];
    step(
        "clippy",
        cargo(["clippy", "--workspace", "--all-features"]).args(deny),
    )?;
    // The other steps unite the features of the whole workspace. What users build first is the
    // library alone, without any.
    step(
        "clippy, default features",
        cargo(["clippy", "--package", "mcp-runtime"]).args(deny),
    )
}

fn rustdoc() -> Result {
    let mut command = cargo(["doc", "--workspace", "--all-features", "--no-deps"]);
    step("rustdoc", command.env("RUSTDOCFLAGS", "-D warnings"))
}

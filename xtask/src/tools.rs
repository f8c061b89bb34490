//! `cargo xtask tools`: the list of all tools in the book. A test of the reference server compares.

use std::fs;

use crate::Result;
use crate::shell::{cargo, output, root};

const PAGE: &str = "book/src/tools.md";
const COMMAND: [&str; 8] = [
    "run",
    "--package=reference-server",
    "--quiet",
    "--",
    "tools",
    "--toolset=all",
    "--format",
    "markdown",
];

pub(crate) fn run(args: &[String]) -> Result {
    if let Some(arg) = args.first() {
        return Err(format!("tools takes no arguments, not {arg:?}").into());
    }
    let list = output(&mut cargo(COMMAND))?;
    let page = fs::read_to_string(root().join(PAGE))?;
    // What stands above the first chapter is written by hand.
    let head = page.split("## ").next().unwrap_or_default();
    fs::write(root().join(PAGE), format!("{head}{list}"))?;
    println!("{PAGE} is written");
    Ok(())
}

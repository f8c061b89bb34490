//! cargo-deny: licences, banned crates, sources, and known vulnerabilities where they can be known.

use std::path::PathBuf;
use std::process::Command;

use crate::shell::{cargo, step};
use crate::{Result, shell};

const VERSION: &str = "0.20.2";

pub(crate) fn run() -> Result {
    let tool = installed()?;
    let check = || {
        let mut command = Command::new(&tool);
        command.arg("--all-features").current_dir(shell::root());
        command
    };
    // Duplicates are warnings; with the trees of who wants them, they would bury the errors.
    let quiet = ["check", "--hide-inclusion-graph"];
    let mut rules = check();
    step(
        "cargo-deny",
        rules.args(quiet).args(["bans", "licenses", "sources"]),
    )?;
    // Offline: with the database that is here, however old, instead of a fetch that may fail.
    let mut known = check();
    advisories(known.arg("--offline").args(quiet).arg("advisories"))
}

/// The database of advisories is a git repository, which not every machine can reach: it is
/// checked where someone has put it (`cargo deny fetch` does), and said to be missing where not.
fn advisories(check: &mut Command) -> Result {
    if advisory_db().is_some() {
        return step("advisories", check);
    }
    println!("\n== advisories\nnot checked: no advisory database here; `cargo deny fetch` gets it");
    Ok(())
}

fn advisory_db() -> Option<PathBuf> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")))?;
    let databases = home.join("advisory-dbs").read_dir().ok()?;
    databases
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.is_dir())
}

/// A cargo-deny of the version we mean; installs it once per machine.
fn installed() -> Result<PathBuf> {
    let root = shell::tools_dir()?.join(format!("cargo-deny-{VERSION}"));
    let tool = root.join("bin/cargo-deny");
    if !tool.exists() {
        let mut install = cargo(["install", "cargo-deny", "--locked", "--version", VERSION]);
        // It runs for a second and is compiled for minutes: an unoptimized build is done sooner.
        install.arg("--debug").arg("--root").arg(&root);
        // Its build directory is temporary; ours need not keep its 400 crates.
        install.env_remove("CARGO_TARGET_DIR");
        step("install cargo-deny", &mut install)?;
    }
    Ok(tool)
}

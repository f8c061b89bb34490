//! Commands, and where things are.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::Result;

/// A named thing to run. Says what it runs; an error names the step.
pub(crate) fn step(name: &str, command: &mut Command) -> Result {
    announce(name, command);
    let status = command
        .status()
        .map_err(|error| format!("{name}: {error}"))?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("{name}: {status}").into())
    }
}

pub(crate) fn announce(name: &str, command: &Command) {
    let variables = command.get_envs().filter_map(|(key, value)| {
        Some(format!(
            "{}={:?} ",
            key.to_string_lossy(),
            value?.to_string_lossy()
        ))
    });
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words: Vec<_> = words.map(|word| word.to_string_lossy()).collect();
    println!(
        "\n== {name}\n$ {}{}",
        variables.collect::<String>(),
        words.join(" ")
    );
}

/// Standard output of a command that must succeed.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("{program} could not be started: {error}"))?;
    if !output.status.success() {
        return Err(format!("{program}: {}", output.status).into());
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// Builds the reference server and the conformance example, with what the tests are built with, so
/// that after those hardly anything is compiled: for one package alone, cargo would build its
/// dependencies anew with the features that this package asks for, and for a program without a test
/// or an example beside it without those that tests ask for.
pub(crate) fn build_programs() -> Result {
    let programs = ["--bin", "reference-server", "--example", "conformance"];
    step(
        "build the programs",
        cargo(["build", "--workspace", "--all-features"]).args(programs),
    )
}

/// cargo in the workspace.
pub(crate) fn cargo<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new("cargo");
    command.args(args).current_dir(root());
    // `cargo run` describes the xtask package to us. Build scripts that watch these variables
    // would run again, and everything above them, after each change between here and a plain cargo.
    for (key, _) in std::env::vars_os() {
        let name = key.to_string_lossy();
        if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
            command.env_remove(key);
        }
    }
    command
}

/// What cargo knows of the workspace.
pub(crate) fn metadata() -> Result<Value> {
    let args = ["metadata", "--format-version", "1", "--no-deps"];
    Ok(serde_json::from_str(&output(&mut cargo(args))?)?)
}

pub(crate) fn target_dir() -> Result<PathBuf> {
    let metadata = metadata()?;
    Ok(metadata["target_directory"]
        .as_str()
        .ok_or("cargo metadata names no target")?
        .into())
}

pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("xtask is a directory of the workspace")
}

/// Where tools are kept between runs: not in the clone, which CI makes anew each time.
pub(crate) fn tools_dir() -> Result<PathBuf> {
    let cache = match std::env::var_os("XDG_CACHE_HOME") {
        Some(cache) => PathBuf::from(cache),
        None => PathBuf::from(std::env::var_os("HOME").ok_or("HOME is not set")?).join(".cache"),
    };
    Ok(cache.join("mcp-runtime-tools"))
}

pub(crate) fn exists(program: &str) -> bool {
    Command::new(program)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

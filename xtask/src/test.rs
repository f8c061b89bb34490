//! `cargo xtask test`: everything a contribution must pass.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::services::Service;
use crate::{Result, shell};

pub(crate) fn run(args: &[String]) -> Result {
    // Unit, integration and UI tests, and every program in the documentation, the README and the
    // book. All features: `testing` and `sqlite` have tests of their own.
    let mut command = shell::cargo(["test", "--workspace", "--all-features", "--no-fail-fast"]);
    tests("tests", command.args(args))?;
    // Those of one package or one test say so themselves.
    match args {
        [] => on_postgres(),
        _ => Ok(()),
    }
}

/// Random operations of each model test on PostgreSQL, where each of them costs ten times as much.
const MODEL_STEPS: &str = "200";

/// The reference server once more: with its databases in PostgreSQL, and where a test starts the
/// program, with two of it that share them and Redis.
fn on_postgres() -> Result {
    if Service::Postgres.find()?.is_none() {
        return Ok(());
    }
    let two = Service::Redis.find()?.map(|_| ("MCP_TEST_INSTANCES", "2"));
    // The binary that has just run: for one package alone, cargo would build its dependencies anew,
    // with the features that this package asks for.
    let program = reference_server_tests()?;
    let run = |name: &str, which: &[&str], instances: Option<(&str, &str)>| {
        let mut command = Command::new(&program);
        command.current_dir(shell::root().join("reference-server"));
        command.args(which);
        // Each test opens dozens of connections, and a server gives a hundred by default.
        command.args(["--test-threads", "2"]);
        command.env("MCP_TEST_DATABASE", "postgres");
        command.envs(instances);
        if std::env::var_os("MCP_TEST_MODEL_STEPS").is_none() {
            command.env("MCP_TEST_MODEL_STEPS", MODEL_STEPS);
        }
        tests(name, &mut command)
    };
    let name = match two {
        Some(_) => "the program, twice, on PostgreSQL and Redis",
        None => "the program on PostgreSQL",
    };
    let in_process = run("tests on PostgreSQL", &["--skip", "binary::"], None);
    in_process.and(run(name, &["binary::"], two))
}

/// Where the integration tests of the reference server lie.
fn reference_server_tests() -> Result<PathBuf> {
    let args = ["test", "--workspace", "--all-features", "--no-run"];
    let mut command = shell::cargo(args);
    let messages = shell::output(command.arg("--message-format=json-render-diagnostics"))?;
    let artifact = |line: &str| {
        let message: Value = serde_json::from_str(line).ok()?;
        let manifest = message["manifest_path"].as_str()?;
        let ours = manifest.ends_with("reference-server/Cargo.toml")
            && message["target"]["kind"] == json!(["test"]);
        ours.then(|| message["executable"].as_str().map(PathBuf::from))?
    };
    let found = messages.lines().find_map(artifact);
    Ok(found.ok_or("the reference server has no integration tests")?)
}

/// Runs a `cargo test`, and adds up what its many binaries report.
fn tests(name: &str, command: &mut Command) -> Result {
    shell::announce(name, command);
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|e| format!("{name}: {e}"))?;
    let mut total = Counts::default();
    for line in BufReader::new(child.stdout.take().expect("it is piped")).lines() {
        let line = line?;
        println!("{line}");
        if let Some(counts) = Counts::read(&line) {
            total.add(&counts);
        }
    }
    let status = child.wait()?;
    println!(
        "\n{name}: {} passed, {} failed, {} skipped",
        total.passed, total.failed, total.ignored
    );
    if status.success() {
        Ok(())
    } else {
        Err(format!("{name}: {status}").into())
    }
}

#[derive(Debug, Default, PartialEq)]
struct Counts {
    passed: u32,
    failed: u32,
    ignored: u32,
}

impl Counts {
    /// `test result: ok. 12 passed; 0 failed; 1 ignored; …`
    fn read(line: &str) -> Option<Self> {
        let (_, counts) = line.strip_prefix("test result: ")?.split_once(". ")?;
        let number = |what: &str| {
            let part = counts
                .split("; ")
                .find_map(|part| part.strip_suffix(what))?;
            part.trim_end().parse().ok()
        };
        Some(Self {
            passed: number("passed")?,
            failed: number("failed")?,
            ignored: number("ignored")?,
        })
    }

    fn add(&mut self, other: &Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.ignored += other.ignored;
    }
}

#[cfg(test)]
mod tests {
    use super::Counts;

    #[test]
    fn reads_what_cargo_test_prints() {
        let line = "test result: FAILED. 12 passed; 3 failed; 1 ignored; 0 measured; 9 filtered out; finished in 0.01s";
        assert_eq!(
            Counts::read(line),
            Some(Counts {
                passed: 12,
                failed: 3,
                ignored: 1
            })
        );
        assert_eq!(Counts::read("test result_is_kept ... ok"), None);
    }
}

//! Rules that no compiler checks.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::{Result, shell};

/// Places on one machine, and the hosts that packages were downloaded from there. Written in two
/// halves so that this list does not find itself.
const MACHINE: &[&str] = &[
    concat!("/wo", "rk/"),
    concat!("/ro", "ot/"),
    concat!("index.", "crates.io"),
    concat!("static.", "crates.io"),
    concat!("registry.", "npmjs.org"),
    concat!("files.", "pythonhosted.org"),
    concat!("deb.", "debian.org"),
];

/// All findings of all rules at once.
pub(crate) fn run() -> Result {
    println!("\n== tidy");
    let metadata = shell::metadata()?;
    let mut findings = Vec::new();
    findings.extend(crates_inherit_the_lints(&metadata)?);
    findings.extend(toolchain_is_the_declared_one(&metadata)?);
    findings.extend(tracked_files_name_no_machine()?);
    if findings.is_empty() {
        Ok(())
    } else {
        Err(findings.join("\nerror: ").into())
    }
}

fn crates_inherit_the_lints(metadata: &Value) -> Result<Vec<String>> {
    let mut findings = Vec::new();
    for manifest in packages(metadata).filter_map(|package| package["manifest_path"].as_str()) {
        if !fs::read_to_string(manifest)?.contains("[lints]\nworkspace = true") {
            findings.push(format!("{manifest}: add `[lints] workspace = true`"));
        }
    }
    Ok(findings)
}

/// We test with the oldest compiler that we promise, so the promise is tested.
fn toolchain_is_the_declared_one(metadata: &Value) -> Result<Vec<String>> {
    let pinned = fs::read_to_string(shell::root().join("rust-toolchain.toml"))?;
    let pinned = pinned
        .lines()
        .find_map(|line| line.strip_prefix("channel = "));
    let pinned = pinned
        .ok_or("rust-toolchain.toml: no channel")?
        .trim_matches('"');
    let running = shell::output(
        Command::new("rustc")
            .arg("--version")
            .current_dir(shell::root()),
    )?;

    let mut findings = Vec::new();
    if running.split(' ').nth(1) != Some(pinned) {
        findings.push(format!(
            "rust-toolchain.toml: pins {pinned}, but this is {running}"
        ));
    }
    for package in packages(metadata) {
        let name = package["name"].as_str().unwrap_or_default();
        match package["rust_version"].as_str() {
            Some(promised) if same_minor(promised, pinned) => {}
            promised => findings.push(format!(
                "{name}: rust-version is {promised:?}, rust-toolchain.toml pins {pinned}"
            )),
        }
    }
    Ok(findings)
}

fn tracked_files_name_no_machine() -> Result<Vec<String>> {
    let list = shell::output(
        Command::new("git")
            .arg("ls-files")
            .current_dir(shell::root()),
    )?;
    let mut findings = Vec::new();
    for file in list.lines() {
        // A file may be deleted and not yet committed, and a picture has no lines.
        let Ok(text) = fs::read_to_string(shell::root().join(file)) else {
            continue;
        };
        findings.extend(names_of_machines(Path::new(file), &text));
    }
    Ok(findings)
}

fn names_of_machines(file: &Path, text: &str) -> Vec<String> {
    let lines = text.lines().enumerate();
    let found = lines.filter_map(|(number, line)| {
        let name = MACHINE.iter().find(|name| line.contains(*name))?;
        Some(format!(
            "{}:{}: names {name:?}, which is of one machine",
            file.display(),
            number + 1
        ))
    });
    found.collect()
}

fn packages(metadata: &Value) -> impl Iterator<Item = &Value> {
    metadata["packages"].as_array().into_iter().flatten()
}

fn same_minor(left: &str, right: &str) -> bool {
    left.split('.').take(2).eq(right.split('.').take(2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_a_machine() {
        let text = format!("fine\nsee {}x", MACHINE[0]);
        assert_eq!(names_of_machines(Path::new("a.md"), &text).len(), 1);
        assert!(names_of_machines(Path::new("a.md"), "network/ crates.io").is_empty());
    }

    #[test]
    fn minor_versions() {
        assert!(same_minor("1.95", "1.95.0"));
        assert!(!same_minor("1.9", "1.95.0"));
    }
}

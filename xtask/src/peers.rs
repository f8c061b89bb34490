//! The peers we are measured against: a copy of their sources, built beside our target directory.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::shell::{self, cargo, step};
use crate::{Result, options::Options};

pub(crate) struct Peers {
    /// The copy. The original may be read-only, and its crates have no lock file of their own:
    /// the one that cargo writes here stays, so that two runs measure the same code.
    pub(crate) source: PathBuf,
    /// One target directory for all: they share most of their dependencies.
    pub(crate) target: PathBuf,
}

impl Peers {
    pub(crate) fn copy(options: &Options) -> Result<Self> {
        let from = options.peers()?;
        if !from.join("bench.py").is_file() {
            let from = from.display();
            return Err(format!("{from} has no bench.py; name the directory with --peers").into());
        }
        if !shell::exists("python3") {
            return Err("python3 is needed for bench.py and gen.py".into());
        }
        let home = shell::target_dir()?.join("peers");
        let peers = Self {
            source: home.join("source"),
            target: home.join("build"),
        };
        copy_tree(&from, &peers.source)?;
        Ok(peers)
    }

    pub(crate) fn release(&self) -> PathBuf {
        self.target.join("release")
    }

    /// Writes the sources of the tools, `tools` of them for each peer.
    pub(crate) fn generate(&self, tools: u32) -> Result {
        let mut generate = self.python("gen.py");
        step(
            "generate the peers' tools",
            generate.args(["--tools", &tools.to_string()]),
        )
    }

    pub(crate) fn build(&self, package: &str) -> Result {
        let mut build = self.cargo(["build", "--release", "--quiet"]);
        build.current_dir(self.source.join("rust").join(package));
        step(&format!("build {package}"), &mut build)
    }

    pub(crate) fn python(&self, script: &str) -> Command {
        let mut python = Command::new("python3");
        python
            .arg(script)
            .current_dir(&self.source)
            .env("BENCH_BIN", self.release());
        python
    }

    pub(crate) fn cargo<const N: usize>(&self, args: [&str; N]) -> Command {
        let mut command = cargo(args);
        command.env("CARGO_TARGET_DIR", &self.target);
        command
    }
}

/// Leaves files alone that have not changed: cargo rebuilds what is newer than its output.
pub(crate) fn copy_tree(from: &Path, to: &Path) -> Result {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (source, copy) = (entry.path(), to.join(entry.file_name()));
        if !entry.file_type()?.is_dir() {
            write_if_changed(&copy, &fs::read(source)?)?;
        } else if entry.file_name() != "target" {
            copy_tree(&source, &copy)?;
        }
    }
    Ok(())
}

pub(crate) fn write_if_changed(file: &Path, content: &[u8]) -> Result {
    if fs::read(file).is_ok_and(|old| old == content) {
        return Ok(());
    }
    fs::create_dir_all(file.parent().ok_or("a file is in a directory")?)?;
    Ok(fs::write(file, content)?)
}

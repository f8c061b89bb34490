//! Python, with packages in a folder of their own that the next run finds again.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::Result;
use crate::shell::{self, step};

/// The official Python SDK.
pub(crate) const SDK: &str = "mcp==2.3.0";

/// The interpreter that has these packages. Without Python there is none on a machine of one's own,
/// which is said; where nobody reads that, it is an error.
pub(crate) fn with(packages: &[&str]) -> Result<Option<PathBuf>> {
    if !shell::exists("python3") {
        if std::env::var_os("CI").is_some_and(|ci| ci == "true") {
            return Err("there is no python3".into());
        }
        println!("\nnot checked: there is no python3 here");
        return Ok(None);
    }
    let place = shell::target_dir()?
        .join("python")
        .join(packages.join("-").replace("==", "-"));
    let python = place.join("bin").join("python");
    let done = place.join("installed");
    if done.exists() {
        return Ok(Some(python));
    }
    fs::create_dir_all(&place)?;
    let mut venv = Command::new("python3");
    step("venv", venv.args(["-m", "venv"]).arg(&place))?;
    let mut install = Command::new(&python);
    step(
        "pip",
        install
            .args(["-m", "pip", "install", "--quiet"])
            .args(packages),
    )?;
    fs::write(done, packages.join("\n"))?;
    Ok(Some(python))
}

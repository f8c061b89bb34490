//! `cargo xtask foreign`: a client and a validator that are not ours use every tool.

use std::process::Command;

use crate::shell::{self, cargo, step};
use crate::{Result, python};

const FOLDER: &str = "reference-server/tests/foreign";
const SCRIPTS: [(&str, &str); 2] = [
    ("every tool, good and bad", "every_tool.py"),
    ("what takes several steps", "flows.py"),
];
/// The last one is what the validator needs to know about dates with a time.
const PACKAGES: [&str; 3] = [
    python::SDK,
    "jsonschema==4.26.0",
    "rfc3339-validator==0.1.4",
];

pub(crate) fn run(args: &[String]) -> Result {
    if let Some(arg) = args.first() {
        return Err(format!("foreign takes no arguments, not {arg:?}").into());
    }
    let Some(python) = python::with(&PACKAGES)? else {
        return Ok(());
    };
    step("server", &mut cargo(["build", "-p", "reference-server"]))?;
    let program = shell::target_dir()?.join("debug/reference-server");
    for (name, script) in SCRIPTS {
        let script = shell::root().join(FOLDER).join(script);
        // No folder of compiled scripts beside them.
        let mut client = Command::new(&python);
        step(name, client.arg("-B").arg(script).arg(&program))?;
    }
    Ok(())
}

//! `cargo xtask foreign`: a client and a validator that are not ours use every tool, of one server and
//! of two that share what they have, each of which gets every other request.

use std::process::Command;

use crate::services::Service;
use crate::shell::{self, step};
use crate::{Result, python};

const FOLDER: &str = "reference-server/tests/foreign";
const SCRIPTS: [(&str, &str); 2] = [
    ("every tool, good and bad", "every_tool.py"),
    ("what takes several steps", "flows.py"),
];
/// The third is what the validator needs to know about dates with a time; the last two make room in
/// the services that two servers share.
const PACKAGES: [&str; 5] = [
    python::SDK,
    "jsonschema==4.26.0",
    "rfc3339-validator==0.1.4",
    "psycopg[binary]==3.3.9",
    "redis==8.1.0",
];

pub(crate) fn run(args: &[String]) -> Result {
    if let Some(arg) = args.first() {
        return Err(format!("foreign takes no arguments, not {arg:?}").into());
    }
    let Some(python) = python::with(&PACKAGES)? else {
        return Ok(());
    };
    shell::build_programs()?;
    let program = shell::target_dir()?.join("debug/reference-server");
    let script = |script: &str| {
        let mut client = Command::new(&python);
        // No folder of compiled scripts beside them.
        client
            .arg("-B")
            .arg(shell::root().join(FOLDER).join(script));
        client.arg(&program);
        client
    };
    for (name, file) in SCRIPTS {
        step(name, &mut script(file))?;
    }
    if Service::Postgres.find()?.is_none() || Service::Redis.find()?.is_none() {
        return Ok(());
    }
    for (name, file) in SCRIPTS {
        let mut client = script(file);
        client.env("FOREIGN_RELAY", std::env::current_exe()?);
        step(&format!("{name}, two servers"), &mut client)?;
    }
    Ok(())
}

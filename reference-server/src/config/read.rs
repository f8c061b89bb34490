//! From a file and the environment to a [`Config`].

use std::collections::BTreeMap;
use std::path::Path;

use mcp_runtime::{BootError, Result};
use toml::{Table, Value};

use super::Config;
use super::keys::{self, Kind};

/// What precedes every key in the environment.
const PREFIX: &str = "MCP_";

/// Variables of MCP clients, which hand their environment on to the servers that they start.
const OF_CLIENTS: &[&str] = &[
    "MCP_CLIENT_SECRET",
    "MCP_DEBUG",
    "MCP_OAUTH_CALLBACK_PORT",
    "MCP_TIMEOUT",
    "MCP_TOOL_TIMEOUT",
];

pub(super) fn load(
    file: Option<&Path>,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<Config> {
    let known = keys::known();
    let mut table = match file {
        Some(path) => read_file(path)?,
        None => Table::new(),
    };
    let place = file
        .map(|path| path.display().to_string())
        .unwrap_or_default();
    refuse_unknown(&table, "", &place, &known)?;
    for (name, value) in environment {
        if let Some(key) = name.strip_prefix(PREFIX)
            && !OF_CLIENTS.contains(&name.as_str())
        {
            let key = key.to_lowercase().replace("__", ".");
            let place = "the environment";
            let kind = *known
                .get(&key)
                .ok_or_else(|| unknown(&key, &name, place, &known))?;
            put(&mut table, &key, from_text(&name, &value, kind)?);
        }
    }
    Value::Table(table)
        .try_into()
        .map_err(|error: toml::de::Error| {
            BootError::new(format!("the configuration is wrong: {}", one_line(&error)))
        })
}

fn read_file(path: &Path) -> Result<Table> {
    let at = path.display();
    let text = std::fs::read_to_string(path)
        .map_err(|error| BootError::new(format!("cannot read {at}: {error}")))?;
    text.parse().map_err(|error: toml::de::Error| {
        // The error itself would show the line, which may hold a secret.
        let line = error
            .span()
            .map_or(0, |span| text[..span.start].lines().count().max(1));
        BootError::new(format!("{at}, line {line}: {}", error.message()))
    })
}

fn refuse_unknown(
    table: &Table,
    above: &str,
    place: &str,
    known: &BTreeMap<String, Kind>,
) -> Result {
    for (name, value) in table {
        let key = if above.is_empty() {
            name.clone()
        } else {
            format!("{above}.{name}")
        };
        let section = format!("{key}.");
        match value {
            _ if known.contains_key(&key) => {}
            Value::Table(inner) if known.keys().any(|known| known.starts_with(&section)) => {
                refuse_unknown(inner, &key, place, known)?;
            }
            _ => return Err(unknown(&key, &key, place, known)),
        }
    }
    Ok(())
}

fn unknown(key: &str, written: &str, place: &str, known: &BTreeMap<String, Kind>) -> BootError {
    let closest = known
        .keys()
        .map(|known| (strsim::jaro_winkler(key, known), known))
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .filter(|(likeness, _)| *likeness > 0.85);
    let advice = closest.map_or_else(
        || "config.example.toml lists all keys".to_owned(),
        |(_, known)| match written.strip_prefix(PREFIX) {
            Some(_) => format!("did you mean `{}`?", in_environment(known)),
            None => format!("did you mean `{known}`?"),
        },
    );
    BootError::new(format!(
        "there is no setting `{written}` (in {place}); {advice}"
    ))
}

/// The variable of a key: `MCP_PLATFORM__FOUNDING_CAP`.
fn in_environment(key: &str) -> String {
    format!("{PREFIX}{}", key.replace('.', "__").to_uppercase())
}

fn from_text(name: &str, text: &str, kind: Kind) -> Result<Value> {
    let wrong =
        |rule: &str| BootError::new(format!("the environment variable {name} must be {rule}"));
    Ok(match kind {
        Kind::Text => Value::String(text.to_owned()),
        Kind::Number => Value::Integer(text.trim().parse().map_err(|_| wrong("a whole number"))?),
        Kind::Flag => match text.trim() {
            "true" | "1" => Value::Boolean(true),
            "false" | "0" => Value::Boolean(false),
            _ => return Err(wrong("true or false")),
        },
        Kind::Toml => toml::from_str::<Table>(&format!("value = {text}"))
            .ok()
            .and_then(|mut table| table.remove("value"))
            .ok_or_else(|| wrong("TOML on one line, like [{ key = \"value\" }]"))?,
        Kind::List => {
            let parts = text
                .split(',')
                .map(str::trim)
                .filter(|part| !part.is_empty());
            Value::Array(parts.map(|part| Value::String(part.to_owned())).collect())
        }
    })
}

fn put(table: &mut Table, key: &str, value: Value) {
    match key.split_once('.') {
        None => drop(table.insert(key.to_owned(), value)),
        Some((section, rest)) => {
            let section = table.entry(section).or_insert_with(|| Table::new().into());
            if let Value::Table(section) = section {
                put(section, rest, value);
            }
        }
    }
}

fn one_line(error: &toml::de::Error) -> String {
    error
        .to_string()
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
}

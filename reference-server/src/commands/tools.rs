//! `reference-server tools`

use clap::{Args, ValueEnum};
use mcp_runtime::{Result, Tool};
use serde_json::{Value, json};

use crate::toolsets;

#[derive(Args)]
pub(super) struct Tools {
    /// How to show them
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// Show only these tools; may be repeated [default: all]
    #[arg(long, value_name = "NAME")]
    toolset: Vec<String>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    Table,
    Json,
    Markdown,
}

const HEADS: [&str; 4] = ["tool", "who may call", "effects", "deadline"];

impl Tools {
    #[expect(clippy::print_stdout, reason = "the list is what was asked for")]
    pub(super) fn run(self) -> Result {
        let tools = toolsets::tools(&self.toolset)?;
        let text = match self.format {
            Format::Table => table(tools.iter().map(row)),
            Format::Markdown => markdown(tools.iter().map(row)),
            Format::Json => format!("{:#}", tools.iter().map(described).collect::<Value>()),
        };
        println!("{text}");
        Ok(())
    }
}

fn row(tool: &Tool) -> [String; 4] {
    let deadline = format!("{} s", tool.timeout().as_secs_f64());
    [tool.name().to_owned(), who(tool), effects(tool), deadline]
}

fn who(tool: &Tool) -> String {
    let policy = tool.policy_ref();
    let scopes = policy.needed_scopes().join(" ");
    let mut who = match scopes.is_empty() {
        _ if policy.is_public() => "everybody".to_owned(),
        true => "everybody with a token".to_owned(),
        false => scopes,
    };
    if !policy.needed_roles().is_empty() {
        who.push_str(&format!(", role {}", policy.needed_roles().join(" or ")));
    }
    if policy.needs_tenant() {
        who.push_str(", with a tenant");
    }
    who
}

fn effects(tool: &Tool) -> String {
    let effects = tool.effects();
    let named = [
        (effects.read_only, "reads"),
        (!effects.read_only, "writes"),
        (effects.destructive, "cannot be undone"),
        (effects.idempotent, "repeatable"),
        (effects.open_world, "reaches outside"),
    ];
    named
        .iter()
        .filter(|(is, _)| *is)
        .map(|(_, name)| *name)
        .collect::<Vec<_>>()
        .join(", ")
}

fn described(tool: &Tool) -> Value {
    let policy = tool.policy_ref();
    json!({
        "name": tool.name(),
        "description": tool.about(),
        "public": policy.is_public(),
        "scopes": policy.needed_scopes(),
        "roles": policy.needed_roles(),
        "tenant": policy.needs_tenant(),
        "effects": tool.effects(),
        "timeout_s": tool.timeout().as_secs_f64(),
    })
}

fn table(rows: impl Iterator<Item = [String; 4]>) -> String {
    let mut rows: Vec<[String; 4]> = rows.collect();
    rows.insert(0, HEADS.map(str::to_owned));
    let width = |at: usize| {
        rows.iter()
            .map(|row| row[at].len())
            .max()
            .unwrap_or_default()
    };
    let widths = [width(0), width(1), width(2), width(3)];
    let line = |row: &[String; 4]| {
        let cells = row
            .iter()
            .zip(widths)
            .map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn markdown(rows: impl Iterator<Item = [String; 4]>) -> String {
    let line = |cells: [String; 4]| format!("| {} |", cells.join(" | "));
    let heads = [
        line(HEADS.map(str::to_owned)),
        "|---|---|---|---|".to_owned(),
    ];
    let rows = rows.map(|mut row| {
        row[0] = format!("`{}`", row[0]);
        line(row)
    });
    heads.into_iter().chain(rows).collect::<Vec<_>>().join("\n")
}

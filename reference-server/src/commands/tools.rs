//! `reference-server tools`

use clap::{Args, ValueEnum};
use mcp_runtime::{Result, Tool, ToolSet};
use serde_json::{Value, json};

use super::grid;
use crate::{App, toolsets};

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
            Format::Table => grid::table(&rows(&tools)),
            Format::Markdown => grid::markdown(&rows(&tools)),
            Format::Json => format!("{:#}", tools.iter().map(described).collect::<Value>()),
        };
        println!("{text}");
        Ok(())
    }
}

fn rows(tools: &ToolSet<App>) -> Vec<Vec<String>> {
    let row = |tool: &Tool| {
        let deadline = format!("{} s", tool.timeout().as_secs_f64());
        [tool.name().to_owned(), who(tool), effects(tool), deadline].to_vec()
    };
    let heads = HEADS.map(str::to_owned).to_vec();
    std::iter::once(heads)
        .chain(tools.iter().map(row))
        .collect()
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

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
    /// Show only these tools; may be repeated, `all` is every toolset [default: those that are
    /// served when none is named]
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
        let sets = toolsets::tools_by_name(&self.toolset)?;
        let text = match self.format {
            Format::Table => grid::table(&table(&sets)),
            Format::Markdown => sections(&sets),
            Format::Json => format!("{:#}", described(&sets)),
        };
        println!("{text}");
        Ok(())
    }
}

type Sets = [(&'static str, ToolSet<App>)];

fn table(sets: &Sets) -> Vec<Vec<String>> {
    let tools = sets.iter().flat_map(|(_, tools)| tools.iter());
    let heads = HEADS.map(str::to_owned).to_vec();
    std::iter::once(heads)
        .chain(tools.map(|tool| row(tool).to_vec()))
        .collect()
}

/// A chapter for each toolset, with what each tool is for.
fn sections(sets: &Sets) -> String {
    let section = |(name, tools): &(&str, ToolSet<App>)| {
        let heads = HEADS.iter().chain(&["what it does"]);
        let mut rows = vec![heads.map(|head| (*head).to_owned()).collect()];
        rows.extend(tools.iter().map(|tool| {
            let mut row = row(tool).to_vec();
            row.push(first_sentence(tool.about()));
            row
        }));
        let count = tools.len();
        format!("## {name}\n\n{count} tools.\n\n{}", grid::markdown(&rows))
    };
    sets.iter().map(section).collect::<Vec<_>>().join("\n\n")
}

fn row(tool: &Tool) -> [String; 4] {
    let deadline = format!("{} s", tool.timeout().as_secs_f64());
    [tool.name().to_owned(), who(tool), effects(tool), deadline]
}

fn first_sentence(about: &str) -> String {
    let text = about.split_whitespace().collect::<Vec<_>>().join(" ");
    let end = text.find(". ").map_or(text.len(), |end| end + 1);
    text[..end].replace('|', "\\|")
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

fn described(sets: &Sets) -> Value {
    let one = |toolset: &str, tool: &Tool| {
        let policy = tool.policy_ref();
        json!({
            "toolset": toolset,
            "name": tool.name(),
            "description": tool.about(),
            "public": policy.is_public(),
            "scopes": policy.needed_scopes(),
            "roles": policy.needed_roles(),
            "tenant": policy.needs_tenant(),
            "effects": tool.effects(),
            "timeout_s": tool.timeout().as_secs_f64(),
        })
    };
    sets.iter()
        .flat_map(|(name, tools)| tools.iter().map(|tool| one(name, tool)))
        .collect()
}

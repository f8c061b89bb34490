//! `reference-server access` and `reference-server why`

use std::collections::BTreeSet;

use clap::{Args, ValueEnum};
use mcp_runtime::access::{Access as Decided, Decision, Operation, Policies};
use mcp_runtime::{BootError, Caller, Result};
use serde_json::{Value, json};

use super::{Common, grid};
use crate::config::Config;
use crate::identity::{DEMO, Identity};
use crate::toolsets;

#[derive(Args)]
pub(super) struct Access {
    /// How to show it
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// Show only these tools; may be repeated [default: all]
    #[arg(long, value_name = "NAME")]
    toolset: Vec<String>,
    #[command(flatten)]
    common: Common,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    Table,
    Json,
    Markdown,
}

#[derive(Args)]
pub(super) struct Why {
    /// What is tried: tool:NAME, resource:URI or prompt:NAME
    operation: Operation,
    /// Who tries: a demo identity, or anybody with the scopes, roles and tenant that are given
    /// [default: a caller without a token]
    #[arg(long = "as", value_name = "NAME")]
    name: Option<String>,
    /// A scope of the caller; may be repeated
    #[arg(long = "scope", value_name = "SCOPE", requires = "name")]
    scopes: Vec<String>,
    /// A role of the caller; may be repeated
    #[arg(long = "role", value_name = "ROLE", requires = "name")]
    roles: Vec<String>,
    /// The tenant that the caller acts for
    #[arg(long, value_name = "TENANT", requires = "name")]
    tenant: Option<String>,
    #[command(flatten)]
    common: Common,
}

impl Access {
    #[expect(clippy::print_stdout, reason = "the matrix is what was asked for")]
    pub(super) fn run(self) -> Result {
        let mut config = self.common.load()?;
        if !self.toolset.is_empty() {
            config.toolsets = self.toolset;
        }
        let policies = policies(&config)?;
        let text = match self.format {
            Format::Table => grid::table(&rows(&policies, config.identity.demo)),
            Format::Markdown => grid::markdown(&rows(&policies, config.identity.demo)),
            Format::Json => format!("{:#}", described(&policies, config.identity.demo)),
        };
        println!("{text}");
        Ok(())
    }
}

impl Why {
    #[expect(clippy::print_stdout, reason = "the reason is what was asked for")]
    pub(super) fn run(self) -> Result {
        let policies = policies(&self.common.load()?)?;
        let caller = self.caller()?;
        let decided = policies.explain(&caller, &self.operation);
        println!("{}", told(&caller, &decided));
        if !policies.iter().any(|(known, _)| *known == self.operation)
            && let Some(near) = near(&policies, &self.operation)
        {
            println!("  the closest is {near}");
        }
        Ok(())
    }

    fn caller(&self) -> Result<Caller> {
        let Some(name) = &self.name else {
            return Ok(Caller::anonymous());
        };
        if self.scopes.is_empty() && self.roles.is_empty() && self.tenant.is_none() {
            return Identity::named(name)?.caller(&[]).map_err(|error| {
                BootError::new(format!("{error}; or say --scope, --role or --tenant"))
            });
        }
        let caller = Caller::user(name)
            .scopes(self.scopes.iter().cloned())
            .roles(self.roles.iter().cloned());
        Ok(match &self.tenant {
            Some(tenant) => caller.tenant(tenant),
            None => caller,
        })
    }
}

fn policies(config: &Config) -> Result<Policies> {
    let policies = toolsets::policies(&config.all_toolsets())?;
    Ok(policies
        .mode(config.auth.mode.into())
        .lists(config.auth.lists.into()))
}

/// What there are of callers: each lacks one thing, the last nothing. After them the demo
/// identities.
fn classes(policies: &Policies, demo: bool) -> Vec<(String, Caller)> {
    let policy = |of: fn(&mcp_runtime::Policy) -> &[std::borrow::Cow<'static, str>]| {
        let names = policies.iter().flat_map(move |(_, policy)| of(policy));
        names.map(|name| name.to_string()).collect::<BTreeSet<_>>()
    };
    let scopes = policy(mcp_runtime::Policy::needed_scopes);
    let roles = policy(mcp_runtime::Policy::needed_roles);
    let caller = || Caller::user("somebody");
    let mut classes = vec![
        ("no token", Caller::anonymous()),
        ("no scope", caller().roles(roles.clone()).tenant("tenant")),
        ("no role", caller().scopes(scopes.clone()).tenant("tenant")),
        (
            "no tenant",
            caller().scopes(scopes.clone()).roles(roles.clone()),
        ),
        ("all", caller().scopes(scopes).roles(roles).tenant("tenant")),
    ];
    if demo {
        let known = DEMO.iter().filter_map(|identity| {
            // An identity always has its own scopes.
            Some((identity.name, identity.caller(&[]).ok()?))
        });
        classes.extend(known);
    }
    let owned = |(name, caller): (&str, Caller)| (name.to_owned(), caller);
    classes.into_iter().map(owned).collect()
}

fn rows(policies: &Policies, demo: bool) -> Vec<Vec<String>> {
    let classes = classes(policies, demo);
    let names = classes.iter().map(|(name, _)| name.clone());
    let mut rows = vec![["operation".to_owned()].into_iter().chain(names).collect()];
    for (operation, _) in policies.iter() {
        let cells = classes
            .iter()
            .map(|(_, caller)| policies.explain(caller, operation).decision.to_string());
        rows.push([operation.to_string()].into_iter().chain(cells).collect());
    }
    rows
}

fn described(policies: &Policies, demo: bool) -> Value {
    let classes = classes(policies, demo);
    let row = |operation: &Operation| {
        let decisions = classes.iter().map(|(name, caller)| {
            let access = policies.explain(caller, operation);
            let mut cell = json!(access.decision);
            cell["listed"] = json!(access.listed);
            (name.clone(), cell)
        });
        json!({
            "kind": operation.kind(),
            "name": operation.name(),
            "callers": decisions.collect::<serde_json::Map<_, _>>(),
        })
    };
    policies
        .iter()
        .map(|(operation, _)| row(operation))
        .collect()
}

fn told(caller: &Caller, decided: &Decided) -> String {
    let mut text = format!(
        "{} for {}: {}",
        decided.operation,
        named(caller),
        decided.decision
    );
    for reason in &decided.reasons {
        text += &format!("\n  {reason}");
    }
    let hidden = decided.decision == Decision::Hide || decided.decision.is_allowed();
    if !hidden && !decided.listed {
        text += "\n  lists do not hold it for this caller";
    }
    text
}

fn named(caller: &Caller) -> String {
    let Some(principal) = caller.principal() else {
        return "a caller without a token".to_owned();
    };
    let list = |names: Vec<&str>| match names.is_empty() {
        true => "none".to_owned(),
        false => names.join(" "),
    };
    format!(
        "{} (scopes: {}; roles: {}; tenant: {})",
        principal.subject(),
        list(principal.scopes().collect()),
        list(principal.roles().collect()),
        principal.tenant().unwrap_or("none"),
    )
}

/// What was probably meant.
fn near(policies: &Policies, asked: &Operation) -> Option<Operation> {
    let likeness = |known: &Operation| strsim::jaro_winkler(known.name(), asked.name());
    let known = policies.iter().map(|(operation, _)| operation);
    let closest = known.max_by(|a, b| likeness(a).total_cmp(&likeness(b)))?;
    (likeness(closest) > 0.85).then(|| closest.clone())
}

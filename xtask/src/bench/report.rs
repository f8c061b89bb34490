//! What bench.py's own table leaves out: how far the slow requests are from the usual ones, and
//! how far we are from what we promised.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::Result;

/// (scenario, connections, contender)
type Cell = (String, u64, String);

/// The connections that the targets are for, and the share of the limit they ask for.
const CONNECTIONS: u64 = 32;
const TARGETS: &[(&str, f64)] = &[
    ("add", 0.85),
    ("find", 0.70),
    ("list", 0.90),
    ("init", 0.75),
];
/// Cores that other processes may take; above it bench.py repeats a cell, up to three times.
const QUIET: f64 = 0.12;
const LIMIT: &str = "limit-typed";
const OURS: &str = "contender";

/// `results`: one JSON object a line, one line a cell and round.
pub(crate) fn print(results: &str) -> Result {
    let cells = read(results)?;
    println!("\n### Share of the limit at {CONNECTIONS} connections\n");
    println!("| scenario | ours, req/s | share | target | share by CPU time |");
    println!("|---|---:|---:|---:|---:|");
    for (scenario, target) in TARGETS {
        let of = |name: &str, field| median(&cells, scenario, CONNECTIONS, name, field);
        let (rate, limit) = (of(OURS, "rps"), of(LIMIT, "rps"));
        let (cpu, limit_cpu) = (of(OURS, "cpu_ms_per_1k"), of(LIMIT, "cpu_ms_per_1k"));
        if let (Some(rate), Some(limit), Some(cpu), Some(limit_cpu)) = (rate, limit, cpu, limit_cpu)
        {
            let (share, by_cpu) = (rate / limit, limit_cpu / cpu);
            println!("| {scenario} | {rate:.0} | {share:.2} | {target:.2} | {by_cpu:.2} |");
        }
    }
    let others = cells
        .values()
        .flatten()
        .filter_map(|round| round["other"].as_f64());
    if let Some(others) = crate::statistics::median(others).filter(|cores| *cores > QUIET) {
        println!(
            "\nThe machine was busy ({others:.2} cores for others in the median cell): do not keep"
        );
        println!("these figures. The share by CPU time suffers least.");
    }

    let Some(most) = cells.keys().map(|(_, connections, _)| *connections).max() else {
        return Err("no cell was measured".into());
    };
    println!("\n### p99/p50 at {most} connections\n");
    let scenarios: Vec<_> = TARGETS.iter().map(|(scenario, _)| *scenario).collect();
    println!("| contender | {} |", scenarios.join(" | "));
    println!("|---|{}", "---:|".repeat(TARGETS.len()));
    for name in contenders(&cells) {
        let ratios = TARGETS.iter().map(|(scenario, _)| {
            let at = |field| median(&cells, scenario, most, &name, field);
            match (at("p99_us"), at("p50_us")) {
                (Some(slow), Some(usual)) if usual > 0.0 => format!("{:.1}", slow / usual),
                _ => "-".to_owned(),
            }
        });
        println!("| {name} | {} |", ratios.collect::<Vec<_>>().join(" | "));
    }
    Ok(())
}

fn read(results: &str) -> Result<BTreeMap<Cell, Vec<Value>>> {
    let mut cells: BTreeMap<Cell, Vec<Value>> = BTreeMap::new();
    for line in results.lines() {
        let cell: Value = serde_json::from_str(line)?;
        let text = |field: &str| cell[field].as_str().unwrap_or_default().to_owned();
        if !cell["failed"].is_null() {
            // A comparison in which one did not take part is none.
            return Err(format!("{} failed: {}", text("name"), text("failed")).into());
        }
        let connections = cell["conns"].as_u64().ok_or("a cell without connections")?;
        cells
            .entry((text("scenario"), connections, text("name")))
            .or_default()
            .push(cell);
    }
    Ok(cells)
}

/// Contenders in the order of their names, ours first.
fn contenders(cells: &BTreeMap<Cell, Vec<Value>>) -> Vec<String> {
    let mut names: Vec<_> = cells.keys().map(|(_, _, name)| name.clone()).collect();
    names.sort_by_key(|name| (name != OURS, name.clone()));
    names.dedup();
    names
}

/// Of a field over the rounds of one cell.
fn median(
    cells: &BTreeMap<Cell, Vec<Value>>,
    scenario: &str,
    connections: u64,
    name: &str,
    field: &str,
) -> Option<f64> {
    let rounds = cells.get(&(scenario.to_owned(), connections, name.to_owned()))?;
    crate::statistics::median(rounds.iter().filter_map(|round| round[field].as_f64()))
}

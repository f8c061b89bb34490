//! Every row of acceptance.csv is shown by something that exists, or it is said why not.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

const ROWS: &str = include_str!("contracts/acceptance.txt");
/// How many rows each system has.
const SYSTEMS: [(&str, u32); 5] = [("S0", 85), ("S1", 56), ("S2", 65), ("S3", 128), ("S4", 94)];

#[test]
fn every_row_is_shown_or_explained() {
    let tests = tests();
    let mut seen = BTreeMap::new();
    let mut wrong = Vec::new();
    for line in ROWS.lines().filter(|line| line.starts_with('S')) {
        let (ids, shown) = line.split_once(' ').expect(line);
        for id in each(ids) {
            *seen.entry(id).or_insert(0) += 1;
        }
        if let Some((_, why)) = shown.split_once(' ')
            && (shown.starts_with("open ") || shown.starts_with("outside "))
        {
            assert!(!why.is_empty(), "{ids} says not why");
            continue;
        }
        for what in shown.split(' ') {
            if !tests.contains(what) && !root().join(what).is_file() {
                wrong.push(format!("{ids}: there is no {what}"));
            }
        }
    }
    for (system, rows) in SYSTEMS {
        for id in (1..=rows).map(|row| format!("{system}-{row:03}")) {
            match seen.remove(&id) {
                Some(1) => {}
                lines => wrong.push(format!("{id} is on {} lines", lines.unwrap_or(0))),
            }
        }
    }
    wrong.extend(seen.keys().map(|id| format!("{id} is no row")));
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// `S0-001` or `S0-001..003`.
fn each(ids: &str) -> Vec<String> {
    let (first, last) = ids.split_once("..").unwrap_or((ids, ids));
    let (system, first) = first.split_once('-').expect(ids);
    let last = last.rsplit('-').next().expect(ids);
    let number = |text: &str| text.parse::<u32>().expect(ids);
    (number(first)..=number(last))
        .map(|row| format!("{system}-{row:03}"))
        .collect()
}

/// The names of all functions in the tests of the workspace.
fn tests() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut folders: Vec<PathBuf> = ["mcp-runtime", "reference-server"]
        .iter()
        .flat_map(|package| ["src", "tests"].map(|folder| root().join(package).join(folder)))
        .collect();
    while let Some(folder) = folders.pop() {
        for entry in folder.read_dir().expect("a folder").flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|kind| kind == "rs") {
                let text = std::fs::read_to_string(&path).expect("a source");
                let after_fn = text.split("fn ").skip(1);
                names.extend(after_fn.filter_map(|rest| Some(rest.split_once('(')?.0.to_owned())));
            }
        }
    }
    names
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("a directory of the workspace")
}

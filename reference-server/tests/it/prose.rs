//! A tool, a resource or a prompt is a function that fits on a screen.

use std::path::{Path, PathBuf};

/// Lines, from `fn` to the closing brace, parameters with their descriptions included.
const SCREEN: usize = 50;

#[test]
fn no_tool_function_is_longer_than_a_screen() {
    let (mut count, mut long) = (0, Vec::new());
    for file in sources() {
        let text = std::fs::read_to_string(&file).expect("a source");
        for (name, lines) in functions(&text) {
            count += 1;
            if lines > SCREEN {
                long.push(format!("{}: {name} has {lines} lines", file.display()));
            }
        }
    }
    assert!(count > 50, "only {count} functions found");
    assert!(
        long.is_empty(),
        "name the steps of these as functions of their own:\n{}",
        long.join("\n")
    );
}

/// The functions below an attribute of ours, with how many lines they have.
fn functions(text: &str) -> Vec<(String, usize)> {
    let lines: Vec<&str> = text.lines().collect();
    let ours = |line: &str| {
        let line = line.trim_start();
        ["#[mcp_tool", "#[mcp_resource", "#[mcp_prompt"]
            .iter()
            .any(|start| line.starts_with(start))
    };
    let starts = (0..lines.len()).filter(|at| ours(lines[*at]));
    let function = |start: usize| {
        let from = (start..lines.len()).find(|at| lines[*at].contains("fn "))?;
        // rustfmt sees to it: the brace that closes a function stands below its first letter.
        let indent = lines[from].len() - lines[from].trim_start().len();
        let end = format!("{}}}", " ".repeat(indent));
        let to = (from..lines.len()).find(|at| lines[*at] == end)?;
        let name = lines[from].split("fn ").nth(1)?.split('(').next()?;
        Some((name.to_owned(), to - from + 1))
    };
    starts.filter_map(function).collect()
}

fn sources() -> Vec<PathBuf> {
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in folder.read_dir().expect("a folder").flatten() {
            let path = entry.path();
            match path.is_dir() {
                true => folders.push(path),
                false => files.push(path),
            }
        }
    }
    files.retain(|path| path.extension().is_some_and(|kind| kind == "rs"));
    files
}

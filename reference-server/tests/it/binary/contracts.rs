//! The tools that the program serves, beside what the contracts say about them.
//!
//! A table per toolset in `tests/it/contracts/`, written by hand from the contract. A line that
//! begins at the margin is a tool: the row of acceptance.csv, the name, what it does, the scope (or
//! `public`) and the deadline. What it does: `R` reads, `W` writes, `X` cannot be undone, `E`
//! reaches outside, `I` may be repeated. The lines below it are its parameters: the name, with `*`
//! where it is required; the type, or the words that it may be; `=` the default; `[a..b]` the
//! values of a number, the length of a text or a list, both included. `{a..b}` are bounds that we
//! drew where the contract has none.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::program::Place;

const TABLES: &[(&str, &str)] = &[
    ("copilot", include_str!("../contracts/copilot.txt")),
    ("records", include_str!("../contracts/records.txt")),
    ("proxy", include_str!("../contracts/proxy.txt")),
    ("school", include_str!("../contracts/school.txt")),
    (
        "copilot-extended",
        include_str!("../contracts/copilot-extended.txt"),
    ),
    (
        "proxy-extended",
        include_str!("../contracts/proxy-extended.txt"),
    ),
    (
        "records-extended",
        include_str!("../contracts/records-extended.txt"),
    ),
];

/// S0-001 to S0-011, S1-001 to S1-011, S3-001 to S3-041, S4-001 to S4-013 and what goes beyond them:
/// every difference, with the id of its row.
#[tokio::test]
async fn the_tools_are_those_of_the_contracts() {
    let place = Place::new().env("MCP_PROXY__COMMANDS__ALLOW", "env");
    let server = place.serve(&["--toolset", "all"]).await;
    let admin = place.token(&["--as", "admin"]);
    let listed = server.ask(Some(&admin), "tools/list", json!({})).await;
    let published = by_name(&listed.body["result"]["tools"]);
    let policies = place.run(&["tools", "--toolset", "all", "--format", "json"]);
    let policies: Value = serde_json::from_slice(&policies.stdout).expect("JSON");

    let mut wrong = Vec::new();
    let rows: Vec<Row> = TABLES
        .iter()
        .flat_map(|(set, table)| read(set, table))
        .collect();
    for policy in policies.as_array().expect("tools") {
        let (set, name) = (text(&policy["toolset"]), text(&policy["name"]));
        match rows.iter().find(|row| row.tool == name) {
            None => wrong.push(format!("{set}: {name} is in no table")),
            Some(row) if row.toolset != set => wrong.push(format!("{}: is in {set}", row.place())),
            Some(row) => match published.get(name) {
                None => wrong.push(format!("{}: is not listed", row.place())),
                Some(tool) => wrong.extend(row.differences(tool, policy)),
            },
        }
    }
    assert_eq!(published.len(), rows.len(), "a tool for each row");
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// The page of the book is what the program prints.
#[test]
fn the_list_in_the_book_is_up_to_date() {
    let arguments = ["tools", "--toolset", "all", "--format", "markdown"];
    let list = Place::new().run(&arguments).stdout;
    let list = String::from_utf8(list).expect("text");
    let page = include_str!("../../../../book/src/tools.md");
    assert!(
        list.starts_with("## ") && page.ends_with(&list),
        "book/src/tools.md is out of date: run `cargo xtask tools`"
    );
}

/// A tool, as the contract has it.
struct Row {
    toolset: &'static str,
    id: &'static str,
    tool: &'static str,
    effects: &'static str,
    scope: &'static str,
    deadline: &'static str,
    parameters: Vec<Parameter>,
}

struct Parameter {
    name: &'static str,
    required: bool,
    kind: &'static str,
    default: Option<Value>,
    bounds: Option<[Option<u64>; 2]>,
}

fn read(toolset: &'static str, table: &'static str) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    let lines = table.lines().filter(|line| !line.starts_with('#'));
    for line in lines.filter(|line| !line.is_empty()) {
        if line.starts_with("  ") {
            let row = rows.last_mut().expect("a tool before its parameters");
            row.parameters.push(Parameter::read(line.trim()));
            continue;
        }
        let words: Vec<&str> = line.split(' ').collect();
        let [id, tool, effects, scope, deadline] = words[..] else {
            panic!("{toolset}: {line}");
        };
        let parameters = Vec::new();
        rows.push(Row {
            toolset,
            id,
            tool,
            effects,
            scope,
            deadline,
            parameters,
        });
    }
    rows
}

impl Parameter {
    fn read(line: &'static str) -> Self {
        let mut words = line.split(' ');
        let name = words.next().expect("a name");
        let mut parameter = Self {
            name: name.trim_end_matches('*'),
            required: name.ends_with('*'),
            kind: words.next().expect("a type"),
            default: None,
            bounds: None,
        };
        for word in words {
            if let Some(default) = word.strip_prefix('=') {
                parameter.default = Some(serde_json::from_str(default).expect(line));
            } else {
                let inner = word.trim_matches(['[', ']', '{', '}']);
                let (low, high) = inner.split_once("..").expect(line);
                parameter.bounds = Some([low, high].map(|bound| bound.parse().ok()));
            }
        }
        parameter
    }

    fn differences(&self, schema: &Value) -> Vec<String> {
        let mut wrong = Vec::new();
        let mut expect = |what: &str, found: &Value, expected: Value| {
            if *found != expected {
                wrong.push(format!("{}: {what} is {found}, not {expected}", self.name));
            }
        };
        let default = self.default.clone().unwrap_or_default();
        expect("the default", &schema["default"], default);
        match self.kind {
            "text" | "uid" => expect("the type", &schema["type"], json!("string")),
            // Never logged, audited or shown: the schema says so.
            "secret" | "token" => expect("whether it is secret", &schema["writeOnly"], json!(true)),
            "date" => expect("the format", &schema["format"], json!("date")),
            "instant" => expect("the format", &schema["format"], json!("date-time")),
            "texts" => expect("the items", &schema["items"]["type"], json!("string")),
            "objects" => expect("the items", &schema["items"]["type"], json!("object")),
            "list" => expect("the type", &schema["type"], json!("array")),
            "any" => expect("the type", &schema["type"], Value::Null),
            "integer" | "boolean" | "object" => {
                expect("the type", &schema["type"], json!(self.kind));
            }
            words => {
                let words: Vec<&str> = words.split('|').collect();
                expect("what it may be", &schema["enum"], json!(words));
            }
        }
        let bounds = match self.kind {
            "integer" => ["minimum", "maximum"],
            "text" | "secret" => ["minLength", "maxLength"],
            _ => ["minItems", "maxItems"],
        };
        // Our own bounds where the contract draws none keep memory bounded: those of texts and
        // lists have to be there, those of numbers stand in the table.
        let open = matches!(self.kind, "text" | "secret" | "texts" | "objects" | "list");
        let drawn = self.bounds.unwrap_or([None, None]);
        for (name, bound) in bounds.into_iter().zip(drawn) {
            match bound {
                Some(bound) => expect(name, &schema[name], json!(bound)),
                None if self.kind == "integer" && self.bounds.is_none() => {
                    expect(name, &schema[name], Value::Null);
                }
                None => {}
            }
        }
        if open && schema[bounds[1]].is_null() && schema["pattern"].is_null() {
            wrong.push(format!("{}: has no end", self.name));
        }
        if schema["description"].as_str().is_none_or(str::is_empty) {
            wrong.push(format!("{}: says nothing", self.name));
        }
        wrong
    }
}

impl Row {
    fn place(&self) -> String {
        format!("{} {}", self.id, self.tool)
    }

    fn differences(&self, tool: &Value, policy: &Value) -> Vec<String> {
        let mut wrong = Vec::new();
        let mut expect = |what: &str, found: Value, expected: Value| {
            if found != expected {
                wrong.push(format!("{what}: {found}, not {expected}"));
            }
        };
        for (letter, hint) in [
            ('R', "readOnlyHint"),
            ('X', "destructiveHint"),
            ('E', "openWorldHint"),
            ('I', "idempotentHint"),
        ] {
            let found = tool["annotations"][hint].clone();
            expect(hint, found, json!(self.effects.contains(letter)));
        }
        let scopes = match self.scope {
            "public" => json!([]),
            scope => json!([scope]),
        };
        expect("scopes", policy["scopes"].clone(), scopes);
        expect(
            "public",
            policy["public"].clone(),
            json!(self.scope == "public"),
        );
        let deadline = format!("{}s", policy["timeout_s"].as_f64().unwrap_or_default());
        expect("the deadline", json!(deadline), json!(self.deadline));
        let about = text(&tool["description"]).len();
        expect(
            "80 to 1024 characters about it",
            json!((80..=1024).contains(&about)),
            json!(true),
        );
        for member in ["title", "outputSchema"] {
            expect(member, json!(tool[member].is_null()), json!(false));
        }

        let schema = &tool["inputSchema"];
        // S2-026: nothing but what is listed.
        expect(
            "others",
            schema["additionalProperties"].clone(),
            json!(false),
        );
        let properties = by_key(&schema["properties"]);
        let mut required: Vec<&str> = self
            .parameters
            .iter()
            .filter(|parameter| parameter.required)
            .map(|parameter| parameter.name)
            .collect();
        required.sort_unstable();
        let mut found: Vec<&str> = schema["required"]
            .as_array()
            .into_iter()
            .flatten()
            .map(text)
            .collect();
        found.sort_unstable();
        expect("required", json!(found), json!(required));
        for name in properties.keys() {
            if !self
                .parameters
                .iter()
                .any(|parameter| parameter.name == *name)
            {
                wrong.push(format!("{name}: is not in the contract"));
            }
        }
        for parameter in &self.parameters {
            match properties.get(parameter.name) {
                Some(schema) => wrong.extend(parameter.differences(schema)),
                None => wrong.push(format!("{}: is missing", parameter.name)),
            }
        }
        let place = self.place();
        wrong
            .iter()
            .map(|what| format!("{place}: {what}"))
            .collect()
    }
}

fn by_name(tools: &Value) -> BTreeMap<&str, &Value> {
    let tools = tools.as_array().expect("tools").iter();
    tools.map(|tool| (text(&tool["name"]), tool)).collect()
}

fn by_key(object: &Value) -> BTreeMap<&str, &Value> {
    let members = object.as_object().into_iter().flatten();
    members
        .map(|(name, value)| (name.as_str(), value))
        .collect()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

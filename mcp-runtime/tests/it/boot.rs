//! What is refused when a server is built: everything at once, each with its place.

use mcp_runtime::prelude::*;
use mcp_runtime::{BootError, DynamicTool, Handler, Policy, Tool};
use serde_json::{Value, json};

#[track_caller]
fn tool(name: &'static str) -> DynamicTool<Handler> {
    Tool::dynamic(name, "Does something.", Policy::public()).handler(|_, _| async { Ok(1) })
}

#[track_caller]
fn with_schema(schema: Value) -> DynamicTool<Handler> {
    Tool::dynamic("schema", "Has a schema.", Policy::public())
        .input_schema(schema)
        .handler(|_, _| async { Ok(1) })
}

fn refused(server: Server) -> BootError {
    match server.build() {
        Ok(_) => panic!("this server must not be built"),
        Err(error) => error,
    }
}

/// One problem, which says all of these.
#[track_caller]
fn one(server: Server, words: &[&str]) {
    let error = refused(server);
    assert_eq!(
        error.problems().len(),
        1,
        "one mistake, one problem: {error}"
    );
    for word in words {
        assert!(
            error.problems()[0].contains(word),
            "`{word}` is missing in: {error}"
        );
    }
}

#[track_caller]
fn one_tool(tool: DynamicTool<Handler>, words: &[&str]) {
    let place = ["boot.rs:"];
    one(
        Server::new(ToolSet::new().with(tool)),
        &[words, &place].concat(),
    );
}

/// Twice.
#[mcp_tool(public)]
fn twice() -> u8 {
    2
}

/// TM-01
#[test]
fn tm_01_names() {
    one(
        Server::new(tools![twice, twice]),
        &["boot.rs:", "`twice`", "taken", "rename"],
    );
    one(
        Server::new(tools![twice].with(tool("twice"))),
        &["boot.rs:", "`twice`", "taken"],
    );
    for name in ["", "a b", "a/b", "ü", "a\u{200b}", "a.b\n", "a\"b"] {
        one_tool(tool(name), &["name", "letters, digits"]);
    }
    let long = "x".repeat(65);
    one(
        Server::new(ToolSet::new().with(tool("x")).prefix(&long)),
        &["66 characters", "64"],
    );
    assert!(
        Server::new(ToolSet::new().with(tool("x")).prefix(&long[..63]))
            .build()
            .is_ok(),
        "64 characters fit"
    );
    assert!(
        Server::new(tools![twice] + tools![twice].prefix("again_"))
            .build()
            .is_ok()
    );
}

#[test]
fn what_a_tool_says_about_itself() {
    let described = |text: &'static str, policy: Policy| {
        Tool::dynamic("t", text, policy).handler(|_, _| async { Ok(1) })
    };
    one_tool(described("", Policy::public()), &["description"]);
    one_tool(described(" \n ", Policy::public()), &["description"]);
    one_tool(
        described("x", Policy::public().roles(["r"])),
        &["public", "role", "authenticated"],
    );
    one_tool(
        described("x", Policy::scopes::<String>([])),
        &["empty set of scopes"],
    );
    one_tool(described("x", Policy::scope("a b")), &["scope", "ASCII"]);
    one_tool(described("x", Policy::scope("a\"b")), &["scope", "ASCII"]);
    one_tool(described("x", Policy::scope("")), &["scope", "ASCII"]);
    one_tool(
        described("x", Policy::authenticated().roles([""])),
        &["role without a name"],
    );
    one_tool(
        tool("t").map(|t| t.read_only().destructive()),
        &["read-only and destructive"],
    );
    one_tool(tool("t").map(|t| t.timeout_ms(0)), &["timeout is zero"]);
}

/// TM-09: nothing is ever fetched; what cannot be checked is not served.
#[test]
fn tm_09_raw_schemas() {
    let property =
        |schema: Value| with_schema(json!({ "type": "object", "properties": { "a": schema } }));
    one_tool(
        with_schema(json!({ "type": "string" })),
        &["\"type\": \"object\"", "root"],
    );
    one_tool(with_schema(json!(true)), &["\"type\": \"object\"", "root"]);
    one_tool(
        property(json!({ "type": "text" })),
        &["schema of its arguments", "2020-12"],
    );
    one_tool(
        property(json!({ "minimum": "1" })),
        &["schema of its arguments", "2020-12"],
    );
    one_tool(
        property(json!({ "required": "a" })),
        &["schema of its arguments", "2020-12"],
    );
    one_tool(
        property(json!({ "$ref": "http://127.0.0.1:9/s.json" })),
        &["cannot be checked"],
    );
    one_tool(
        property(json!({ "$ref": "file:///etc/passwd" })),
        &["cannot be checked"],
    );
    one_tool(
        property(json!({ "$ref": "#/$defs/nowhere" })),
        &["cannot be checked"],
    );
    one_tool(
        property(json!({ "pattern": "(?<=a)b" })),
        &["cannot be checked"],
    );
    one_tool(
        property(json!({ "pattern": "(a)\\1" })),
        &["cannot be checked"],
    );
    one_tool(
        property(json!({ "pattern": "(" })),
        &["schema of its arguments"],
    );
    let output = Tool::dynamic("t", "x", Policy::public())
        .output_schema(json!({ "type": "text" }))
        .handler(|_, _| async { Ok(1) });
    one_tool(output, &["schema of its result"]);
}

/// Too many, out of sight of the macro.
const NINE: u8 = 9;

/// A default outside its range.
#[mcp_tool(public)]
fn bad_default(#[arg(range = 1..=5, default = NINE)] n: u8) -> u8 {
    n
}

/// A range on a text, by way of a type that the macro cannot see through.
type Text = String;

/// A rule that does not fit.
#[mcp_tool(public)]
fn bad_rule(#[arg(range = 1..=5)] text: Text) -> String {
    text
}

/// A length of a number.
type Number = u32;

/// A rule that does not fit.
#[mcp_tool(public)]
fn bad_length(#[arg(len = 1..=5)] n: Number) -> u32 {
    n
}

/// A pattern for a number.
#[mcp_tool(public)]
fn bad_pattern(#[arg(pattern = "^a$")] n: Number) -> u32 {
    n
}

/// An example outside its range.
#[mcp_tool(public)]
fn bad_example(#[arg(range = 1..=5, example = NINE)] n: u8) -> u8 {
    n
}

#[test]
fn rules_of_inputs() {
    one(
        Server::new(tools![bad_default]),
        &["boot.rs:", "`bad_default`", "`n`", "default", "at most 5"],
    );
    one(
        Server::new(tools![bad_rule]),
        &["boot.rs:", "`text`", "`range` limits numbers", "string"],
    );
    one(
        Server::new(tools![bad_length]),
        &["boot.rs:", "`n`", "`len`", "integer"],
    );
    one(
        Server::new(tools![bad_pattern]),
        &["boot.rs:", "`n`", "`pattern` is for texts"],
    );
    one(
        Server::new(tools![bad_example]),
        &["boot.rs:", "`n`", "example", "at most 5"],
    );
}

/// HI-04
#[test]
fn names_of_the_server() {
    let server = || Server::new(tools![twice]);
    for url in [
        "mcp.example.com",
        "/mcp",
        "http://mcp.example.com/mcp",
        "ftp://mcp.example.com",
        "https://",
        "https://mcp.example.com/mcp?x=1",
        "not a url",
        "",
    ] {
        one(
            server().public_url(url),
            &["public URL", "https://mcp.example.com/mcp"],
        );
    }
    for origin in [
        "*",
        "null",
        "app.example.com",
        "https://*",
        "https://app.example.com/",
        "https://app.example.com/x",
        "ftp://app.example.com",
        "",
    ] {
        one(
            server().allow_origin(origin),
            &["is not an origin", "https://app.example.com"],
        );
    }
    for host in [
        "*",
        "",
        "https://mcp.example.com",
        "mcp.example.com/",
        "a b",
        "mcp.example.com:99999",
        "user@mcp.example.com",
    ] {
        one(server().allow_host(host), &["is not a host name"]);
    }
    one(server().max_body(0), &["max_body"]);
    assert!(
        server()
            .public_url("http://127.0.0.1:8000/mcp")
            .build()
            .is_ok(),
        "loopback needs no TLS"
    );
    assert!(
        server()
            .public_url("https://mcp.example.com")
            .allow_host("10.0.0.7:80")
            .build()
            .is_ok()
    );
}

#[test]
fn everything_at_once() {
    let set = tools![twice, twice, bad_default, bad_rule]
        .with(tool("a b"))
        .with(tool("a b"))
        .with(Tool::dynamic("", "", Policy::public().roles(["r"])).handler(|_, _| async { Ok(1) }))
        .with(with_schema(json!({ "type": "string" })));
    let error = refused(
        Server::new(set)
            .public_url("x")
            .allow_origin("*")
            .allow_host("")
            .max_body(0),
    );
    let shown = error.to_string();
    for words in [
        "`twice`: the name is taken",
        "`a b`: its name",
        "`a b`: the name is taken",
        "``: its name",
        "a model chooses by the description",
        "is public and asks for a role",
        "default must be at most 5",
        "`range` limits numbers",
        "\"type\": \"object\"",
        "public URL",
        "`*` is not an origin",
        "`` is not a host name",
        "max_body",
    ] {
        assert!(
            shown.contains(words),
            "`{words}` is not reported along with the others:\n{shown}"
        );
    }
    assert!(
        shown.starts_with(&format!("{} problems\n  - ", error.problems().len())),
        "{shown}"
    );
    assert_eq!(
        format!("{error:?}"),
        shown,
        "`main` prints errors with `Debug`"
    );
    for problem in error.problems().iter().filter(|p| p.contains("tool `")) {
        let (file, rest) = problem.split_once(".rs:").expect("a file");
        let line: u32 = rest.split(':').next().unwrap().parse().expect("a line");
        assert!(
            file.ends_with("boot") && line > 1,
            "not a place in this file: {problem}"
        );
    }
}

#[tokio::test]
async fn other_machines_reach_only_servers_with_a_name() {
    let listen = || async { tokio::net::TcpListener::bind("0.0.0.0:0").await.unwrap() };
    let service = Server::new(tools![twice]).build().unwrap();
    let error = service
        .serve_with(listen().await, async {})
        .await
        .unwrap_err();
    assert!(error.to_string().contains("public_url"), "HI-04: {error}");
    for named in [
        Server::new(tools![twice]).public_url("https://mcp.example.com/mcp"),
        Server::new(tools![twice]).allow_host("mcp.internal"),
    ] {
        named
            .build()
            .unwrap()
            .serve_with(listen().await, async {})
            .await
            .unwrap();
    }
}

#[test]
fn tokens_from_the_environment_say_what_is_wrong_without_showing_them() {
    let error = StaticTokens::from_env("MCP_TEST_NO_SUCH_VARIABLE").unwrap_err();
    assert!(
        error
            .to_string()
            .contains("MCP_TEST_NO_SUCH_VARIABLE is not set"),
        "{error}"
    );
}

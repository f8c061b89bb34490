//! The schemas that clients see.

use std::collections::BTreeMap;

use mcp_runtime::prelude::*;
use mcp_runtime::testing::{TestClient, TestServer};
use mcp_runtime::{Policy, Tool};
use serde_json::{Value, json};

#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct Address {
    /// Street and number
    street: String,
    zip: Option<String>,
    #[serde(default)]
    floor: i32,
}

#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct Person {
    #[schemars(length(min = 1, max = 20))]
    name: String,
    /// Where she lives
    home: Address,
    age: Option<u8>,
    friends: Option<Vec<Option<u8>>>,
}

#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct Tree {
    value: f64,
    children: Vec<Tree>,
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum Shape {
    Circle { radius: f64 },
    Square { side: f64 },
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum Key {
    Number(u64),
    Name(String),
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Level {
    /// Hardly anything
    Low,
    /// As usual
    Mid,
    High,
}

#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct Flat {
    id: u32,
    #[serde(flatten)]
    page: Page,
}

#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct Page {
    limit: u16,
    cursor: Option<String>,
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Strict {
    a: i8,
}

/// Numbers of every size.
#[mcp_tool(public)]
pub(crate) fn numbers(a: i8, b: u16, c: i32, d: u64, e: f32, f: f64, h: i64) -> f64 {
    f64::from(a) + f64::from(b) + f64::from(c) + d as f64 + f64::from(e) + f + h as f64
}

/// What may be left out.
#[mcp_tool(public)]
pub(crate) fn options(
    a: Option<u32>,
    b: Option<String>,
    c: Option<Level>,
    d: Option<Address>,
    #[arg(default = 5)] e: u8,
) -> Vec<bool> {
    vec![a.is_some(), b.is_some(), c.is_some(), d.is_some(), e == 5]
}

/// A person, nested.
#[mcp_tool(public)]
pub(crate) fn nested(
    /// Who
    person: Person,
) -> Person {
    person
}

/// One type at two places.
#[mcp_tool(public)]
pub(crate) fn shared(from: Address, to: Address) -> bool {
    from.street == to.street
}

/// A tree.
#[mcp_tool(public)]
pub(crate) fn recursive(tree: Tree) -> Tree {
    tree
}

/// Enums of every kind.
#[mcp_tool(public)]
pub(crate) fn enums(shape: Shape, key: Key, level: Level) -> Level {
    let _ = (shape, key);
    level
}

/// Flattened, strict, maps, tuples.
#[mcp_tool(public)]
pub(crate) fn shapes(
    flat: Flat,
    strict: Strict,
    map: BTreeMap<String, u8>,
    pair: (String, u8),
) -> u32 {
    flat.id
        + u32::from(flat.page.limit)
        + u32::from(strict.a.unsigned_abs())
        + map.len() as u32
        + u32::from(pair.1)
}

/// Dates.
#[mcp_tool(public)]
pub(crate) fn dates(day: jiff::civil::Date, at: Option<jiff::Timestamp>) -> String {
    format!("{day} {}", at.is_some())
}

/// Rules.
#[mcp_tool(public)]
pub(crate) fn rules(
    #[arg(range = 1..=100, default = 10)] limit: u32,
    #[arg(pattern = r"^ord_\w+$", example = "ord_1")] order: Option<String>,
    #[arg(len = 1..=3)] tags: Option<Vec<String>>,
    #[arg(format = "email", secret)] email: Option<String>,
    #[arg(rename = "class")] class_: Option<u8>,
    #[arg(range = 0..10)] digit: Option<u8>,
) -> u32 {
    let _ = (order, tags, email, class_, digit);
    limit
}

/// Nothing at all.
#[mcp_tool(public)]
pub(crate) fn nothing() {}

#[derive(Serialize, JsonSchema)]
struct Unit;

/// Gives a list.
#[mcp_tool(public)]
fn gives_list() -> Vec<u8> {
    vec![1, 2]
}

/// Gives a text.
#[mcp_tool(public)]
fn gives_text() -> String {
    "a \"b\"".into()
}

/// Gives a word of a few.
#[mcp_tool(public)]
fn gives_enum() -> Level {
    Level::Mid
}

/// Gives something or nothing.
#[mcp_tool(public)]
fn gives_option(some: bool) -> Option<Page> {
    some.then_some(Page {
        limit: 1,
        cursor: None,
    })
}

/// Gives one of several objects.
#[mcp_tool(public)]
fn gives_union() -> Shape {
    Shape::Circle { radius: 1.0 }
}

/// Gives a unit struct.
#[mcp_tool(public)]
fn gives_unit() -> Unit {
    Unit
}

/// Gives an object.
#[mcp_tool(public)]
fn gives_object() -> Page {
    Page {
        limit: 1,
        cursor: Some("c".into()),
    }
}

/// Gives a map.
#[mcp_tool(public)]
fn gives_map() -> BTreeMap<String, u8> {
    BTreeMap::from([("a".to_owned(), 1)])
}

/// Gives anything.
#[mcp_tool(public)]
fn gives_value() -> Value {
    json!([1])
}

/// Gives content.
#[mcp_tool(public)]
fn gives_content() -> Content {
    Content::image(b"\x89PNG", "image/png")
}

/// Gives a result.
#[mcp_tool(public)]
fn gives_result() -> ToolResult<u8> {
    Ok(7)
}

/// Tools that take.
pub(crate) fn takers() -> ToolSet {
    tools![
        numbers, options, nested, shared, recursive, enums, shapes, dates, rules, nothing
    ]
}

fn givers() -> ToolSet {
    tools![
        gives_list,
        gives_text,
        gives_enum,
        gives_option,
        gives_union,
        gives_unit,
        gives_object,
        gives_map,
        gives_value,
        gives_content,
        gives_result
    ]
}

fn client() -> TestClient {
    TestServer::new(Server::new(takers() + givers()))
        .unwrap()
        .anonymous()
}

async fn listed(client: &TestClient) -> Vec<Value> {
    client.request("tools/list", json!({})).await.result()["tools"]
        .as_array()
        .unwrap()
        .clone()
}

/// Visits every schema within a schema, with its place.
fn each(schema: &Value, at: &str, visit: &mut impl FnMut(&str, &Value)) {
    match schema {
        Value::Object(object) => {
            visit(at, schema);
            for (name, value) in object {
                each(value, &format!("{at}/{name}"), visit);
            }
        }
        Value::Array(items) => items
            .iter()
            .enumerate()
            .for_each(|(n, item)| each(item, &format!("{at}/{n}"), visit)),
        _ => {}
    }
}

#[tokio::test]
async fn schemas_have_nothing_that_clients_stumble_over() {
    for tool in listed(&client()).await {
        let name = tool["name"].as_str().unwrap().to_owned();
        for side in ["inputSchema", "outputSchema"] {
            let Some(root) = tool.get(side) else { continue };
            assert_eq!(
                root["type"], "object",
                "{name} {side}: the root is an object"
            );
            for keyword in ["oneOf", "anyOf", "allOf", "not", "enum", "$ref", "$schema"] {
                assert!(
                    root.get(keyword).is_none(),
                    "{name} {side}: `{keyword}` at the root"
                );
            }
            each(root, "", &mut |at, schema| {
                if let Some(format) = schema.get("format").and_then(Value::as_str) {
                    let of_rust = ["int", "uint", "float", "double"]
                        .iter()
                        .any(|f| format.starts_with(f));
                    assert!(
                        !of_rust,
                        "{name} {side}{at}: the format `{format}` is Rust's, not JSON Schema's"
                    );
                }
                if side == "inputSchema" {
                    // A name may be `type`; an element of a list may be `null`.
                    let elsewhere = at.ends_with("/properties") || at.ends_with("/items");
                    let kinds = schema.get("type").filter(|_| !elsewhere);
                    assert!(
                        !kinds.is_some_and(Value::is_array),
                        "{name}{at}: a list of types"
                    );
                }
                let composed = ["allOf", "anyOf", "oneOf", "$ref"]
                    .iter()
                    .any(|k| schema.get(k).is_some());
                if side == "inputSchema"
                    && schema.get("properties").is_some_and(Value::is_object)
                    && schema.get("type").is_some_and(|t| t == "object")
                    && !composed
                {
                    let closed = schema.get("additionalProperties") == Some(&json!(false))
                        || schema.get("unevaluatedProperties") == Some(&json!(false));
                    assert!(closed, "{name}{at}: unknown members are taken: {schema}");
                }
            });
        }
    }
}

/// TM-04: the bytes are the same in every run and in every process.
#[tokio::test]
async fn tm_04_schemas_are_stable() {
    let mut text = String::new();
    for tool in listed(&client()).await {
        text += &format!("{}\n", serde_json::to_string_pretty(&json!({
            "name": tool["name"], "inputSchema": tool["inputSchema"], "outputSchema": tool["outputSchema"],
        })).unwrap());
    }
    insta::assert_snapshot!("schemas", text);
    let body = || async {
        crate::ask::Ask::modern("tools/list", json!({}))
            .send(&TestServer::new(Server::new(takers() + givers())).unwrap())
            .await
            .body
    };
    assert_eq!(body().await, body().await, "TM-04");
}

async fn input_of(name: &str) -> Value {
    let tools = listed(&client()).await;
    tools.into_iter().find(|tool| tool["name"] == name).unwrap()["inputSchema"].clone()
}

#[tokio::test]
async fn references_used_once_are_inlined_and_recursion_is_kept() {
    assert_eq!(
        input_of("nested").await.get("$defs"),
        None,
        "every type of `nested` is used once"
    );
    let shared = input_of("shared").await;
    assert_eq!(
        shared["$defs"]["Address"]["additionalProperties"], false,
        "{shared}"
    );
    assert_eq!(
        shared["properties"]["from"]["$ref"], "#/$defs/Address",
        "{shared}"
    );
    let tree = input_of("recursive").await;
    assert_eq!(
        tree["$defs"]["Tree"]["properties"]["children"]["items"]["$ref"], "#/$defs/Tree",
        "{tree}"
    );
}

#[tokio::test]
async fn options_are_plain_and_not_required() {
    let schema = input_of("options").await;
    assert_eq!(schema.get("required"), None, "{schema}");
    for (name, kind) in [
        ("a", "integer"),
        ("b", "string"),
        ("d", "object"),
        ("e", "integer"),
    ] {
        assert_eq!(schema["properties"][name]["type"], kind, "{schema}");
    }
    assert_eq!(
        schema["properties"]["c"]["enum"],
        json!(["high", "low", "mid"]),
        "documented variants are one list: {schema}"
    );
    let description = schema["properties"]["c"]["description"].as_str().unwrap();
    assert!(
        description.contains("`low`: Hardly anything"),
        "{description}"
    );
    let person = input_of("nested").await;
    let person = &person["properties"]["person"];
    assert_eq!(
        person["description"], "Who",
        "the parameter speaks, not its type"
    );
    assert_eq!(
        person["properties"]["home"]["required"],
        json!(["street"]),
        "{person}"
    );
    assert_eq!(
        person["properties"]["home"]["description"], "Where she lives",
        "{person}"
    );
    assert_eq!(
        person["properties"]["home"]["properties"]["zip"]["type"], "string",
        "{person}"
    );
    assert_eq!(
        person["properties"]["name"]["maxLength"], 20,
        "schemars' own rules count: {person}"
    );
}

#[tokio::test]
async fn results_are_wrapped_where_they_are_no_objects() {
    let client = client();
    let tools = listed(&client).await;
    let rows = [
        (
            "gives_list",
            json!({}),
            Some(json!({ "result": [1, 2] })),
            true,
        ),
        (
            "gives_text",
            json!({}),
            Some(json!({ "result": "a \"b\"" })),
            true,
        ),
        (
            "gives_enum",
            json!({}),
            Some(json!({ "result": "mid" })),
            true,
        ),
        (
            "gives_option",
            json!({ "some": true }),
            Some(json!({ "result": { "limit": 1, "cursor": null } })),
            true,
        ),
        (
            "gives_option",
            json!({ "some": false }),
            Some(json!({ "result": null })),
            true,
        ),
        (
            "gives_union",
            json!({}),
            Some(json!({ "result": { "kind": "circle", "radius": 1.0 } })),
            true,
        ),
        ("gives_unit", json!({}), None, false),
        (
            "gives_object",
            json!({}),
            Some(json!({ "limit": 1, "cursor": "c" })),
            true,
        ),
        ("gives_map", json!({}), Some(json!({ "a": 1 })), true),
        (
            "gives_value",
            json!({}),
            Some(json!({ "result": [1] })),
            true,
        ),
        (
            "gives_result",
            json!({}),
            Some(json!({ "result": 7 })),
            true,
        ),
    ];
    for (name, arguments, structured, described) in rows {
        let reply = client.call(name, arguments).await;
        let result = reply.result();
        assert_eq!(
            result.get("structuredContent"),
            structured.as_ref(),
            "{name}"
        );
        let schema = tools
            .iter()
            .find(|tool| tool["name"] == name)
            .unwrap()
            .get("outputSchema");
        assert_eq!(schema.is_some(), described, "{name}: {schema:?}");
        if let (Some(schema), Some(structured)) = (schema, &structured) {
            assert!(
                jsonschema::is_valid(schema, structured),
                "U8 {name}: {structured} is not {schema}"
            );
            // The mirror says the same; of a text, the text itself.
            let mirror = result["content"][0]["text"].as_str().unwrap();
            if name == "gives_text" {
                assert_eq!(mirror, "a \"b\"");
            } else {
                assert_eq!(
                    &serde_json::from_str::<Value>(mirror).unwrap(),
                    structured,
                    "{name}"
                );
            }
        }
    }
    let reply = client.call("gives_content", json!({})).await;
    assert_eq!(
        reply.result()["content"][0],
        json!({ "type": "image", "data": "iVBORw==", "mimeType": "image/png" })
    );
}

/// protocol.md 3.4, `json_schema_2020_12_tool`
fn raw_schema() -> Value {
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "$defs": { "address": { "$anchor": "addressDef", "type": "object", "properties": { "street": { "type": "string" }, "city": { "type": "string" } } } },
        "properties": {
            "name": { "type": "string" }, "address": { "$ref": "#/$defs/address" },
            "contactMethod": { "type": "string", "enum": ["phone", "email"] },
            "phone": { "type": "string" }, "email": { "type": "string" },
        },
        "allOf": [{ "anyOf": [{ "required": ["phone"] }, { "required": ["email"] }] }],
        "if": { "properties": { "contactMethod": { "const": "phone" } }, "required": ["contactMethod"] },
        "then": { "required": ["phone"] },
        "else": { "required": ["email"] },
        "additionalProperties": false,
    })
}

#[tokio::test]
async fn raw_schemas_are_published_untouched_and_enforced() {
    let raw = Tool::dynamic("raw", "Raw.", Policy::public())
        .input_schema(raw_schema())
        .handler(|_, arguments| async move { Ok(arguments) });
    let client = TestServer::new(Server::new(ToolSet::new().with(raw)))
        .unwrap()
        .anonymous();
    assert_eq!(listed(&client).await[0]["inputSchema"], raw_schema(), "U5");
    for (arguments, accepted) in [
        (json!({ "contactMethod": "phone", "phone": "1" }), true),
        (
            json!({ "email": "e", "address": { "street": "s", "more": 1 } }),
            true,
        ),
        (json!({ "contactMethod": "phone", "email": "e" }), false),
        (json!({ "phone": "1" }), false),
        (json!({ "email": "e", "other": 1 }), false),
        (json!({ "email": "e", "address": { "street": 1 } }), false),
        (json!({ "email": null }), false),
        (json!({}), false),
    ] {
        let reply = client.call("raw", arguments.clone()).await;
        if accepted {
            assert_eq!(reply.structured(), &arguments);
        } else {
            assert_eq!(reply.code(), "invalid_arguments", "U6: {arguments}");
        }
    }
}

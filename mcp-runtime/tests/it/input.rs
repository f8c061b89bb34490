//! What becomes of arguments: taken, or refused with a way to mend them.

use std::time::Instant;

use mcp_runtime::prelude::*;
use mcp_runtime::testing::{TestClient, TestServer};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::ask::{Ask, LEGACY, MODERN, call};

/// Say it again.
#[mcp_tool(public)]
fn echo(#[arg(len = 0..=10_000)] message: String) -> String {
    message
}

/// Lists items.
#[mcp_tool(public)]
fn list_items(#[arg(range = 1..=100)] limit: u32, cursor: Option<String>) -> u32 {
    let _ = cursor;
    limit
}

/// A pattern that other engines choke on.
#[mcp_tool(public)]
fn redos(#[arg(pattern = "^(a+)+$")] text: String) -> usize {
    text.len()
}

/// Takes a password.
#[mcp_tool(public)]
fn login(
    #[arg(len = 8..=12, secret)] password: String,
    #[arg(secret, range = 1..=9)] pin: u32,
) -> String {
    format!("{}{pin}", password.len())
}

#[derive(Serialize, Deserialize, JsonSchema, Clone, PartialEq)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
struct Picky(String);

impl TryFrom<String> for Picky {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text == "good" {
            Ok(Self(text))
        } else {
            Err(format!("`{text}` is not good"))
        }
    }
}

impl From<Picky> for String {
    fn from(picky: Picky) -> Self {
        picky.0
    }
}

/// Takes what its type likes.
#[mcp_tool(public)]
fn picky(value: Picky) -> String {
    value.0
}

fn client() -> TestClient {
    let tools = crate::schema::takers() + tools![echo, list_items, redos, login, picky];
    TestServer::new(Server::new(tools)).unwrap().anonymous()
}

/// Arguments and where the problems with them are; none when they are good.
type Row = (&'static str, Value, &'static [&'static str]);

#[tokio::test]
async fn arguments_are_taken_or_every_problem_has_its_place() {
    let person = |change: fn(&mut Value)| {
        let mut person = json!({ "name": "Ada", "home": { "street": "s" } });
        change(&mut person);
        json!({ "person": person })
    };
    let numbers = |name: &str, value: Value| {
        let mut all = json!({ "a": 1, "b": 1, "c": 1, "d": 1, "e": 1.5, "f": 1, "h": 1 });
        all[name] = value;
        all
    };
    let shapes = |change: fn(&mut Value)| {
        let mut all = json!({ "flat": { "id": 1, "limit": 2 }, "strict": { "a": 1 }, "map": { "k": 1 }, "pair": ["a", 1] });
        change(&mut all);
        all
    };
    let enums = |shape: Value, key: Value, level: Value| json!({ "shape": shape, "key": key, "level": level });
    let circle = || json!({ "kind": "circle", "radius": 1 });
    let rows: Vec<Row> = vec![
        // Options: absent, null, and a value; nested too.
        ("options", json!({}), &[]),
        (
            "options",
            json!({ "a": null, "b": null, "c": null, "d": null, "e": null }),
            &[],
        ),
        (
            "options",
            json!({ "a": 1, "b": "x", "c": "low", "d": { "street": "s", "zip": null }, "e": 5 }),
            &[],
        ),
        (
            "options",
            json!({ "d": { "street": "s", "zip": null, "floor": 3 } }),
            &[],
        ),
        ("options", json!({ "c": "LOW" }), &["/c"]),
        ("options", json!({ "d": {} }), &["/d/street"]),
        ("nested", person(|_| {}), &[]),
        ("nested", person(|p| p["age"] = Value::Null), &[]),
        ("nested", person(|p| p["friends"] = json!([1, null])), &[]),
        ("nested", person(|p| p["home"]["zip"] = Value::Null), &[]),
        (
            "nested",
            person(|p| p["home"] = Value::Null),
            &["/person/home"],
        ),
        (
            "nested",
            person(|p| p["name"] = json!("")),
            &["/person/name"],
        ),
        (
            "nested",
            person(|p| p["nmae"] = json!("x")),
            &["/person/nmae"],
        ),
        (
            "nested",
            person(|p| p["home"]["stret"] = json!("x")),
            &["/person/home/stret"],
        ),
        (
            "nested",
            person(|p| p["age"] = json!(256)),
            &["/person/age"],
        ),
        (
            "nested",
            json!({ "person": { "age": "x", "home": { "zip": 7 } } }),
            &[
                "/person/age",
                "/person/home/street",
                "/person/home/zip",
                "/person/name",
            ],
        ),
        // Numbers.
        ("numbers", numbers("a", json!(1)), &[]),
        ("numbers", numbers("c", json!(2.0)), &[]),
        ("numbers", numbers("d", json!(1e3)), &[]),
        ("numbers", numbers("h", json!(-9.0)), &[]),
        ("numbers", numbers("f", json!(-0.0)), &[]),
        ("numbers", numbers("a", json!(1.5)), &["/a"]),
        ("numbers", numbers("a", json!(200)), &["/a"]),
        ("numbers", numbers("b", json!(-1)), &["/b"]),
        ("numbers", numbers("c", json!(3_000_000_000_u64)), &["/c"]),
        ("numbers", numbers("d", json!(-1)), &["/d"]),
        ("numbers", numbers("d", json!(1e300)), &["/d"]),
        ("numbers", numbers("h", json!(u64::MAX)), &["/h"]),
        ("numbers", numbers("h", json!("1")), &["/h"]),
        ("numbers", numbers("f", json!(true)), &["/f"]),
        // Shapes.
        ("shapes", shapes(|_| {}), &[]),
        ("shapes", shapes(|s| s["flat"]["cursor"] = json!("c")), &[]),
        ("shapes", shapes(|s| s["flat"]["cursor"] = Value::Null), &[]),
        (
            "shapes",
            shapes(|s| s["flat"]["limit"] = json!("x")),
            &["/flat/limit"],
        ),
        (
            "shapes",
            shapes(|s| s["flat"]["more"] = json!(1)),
            &["/flat/more"],
        ),
        (
            "shapes",
            shapes(|s| s["strict"]["b"] = json!(1)),
            &["/strict/b"],
        ),
        ("shapes", shapes(|s| s["map"] = json!({})), &[]),
        (
            "shapes",
            shapes(|s| s["map"]["x"] = json!(300)),
            &["/map/x"],
        ),
        ("shapes", shapes(|s| s["pair"] = json!(["a"])), &["/pair"]),
        (
            "shapes",
            shapes(|s| s["pair"] = json!(["a", 1, 2])),
            &["/pair"],
        ),
        (
            "shapes",
            shapes(|s| s["pair"] = json!([1, "a"])),
            &["/pair/0", "/pair/1"],
        ),
        (
            "recursive",
            json!({ "tree": { "value": 1, "children": [{ "value": 2.5, "children": [] }] } }),
            &[],
        ),
        (
            "recursive",
            json!({ "tree": { "value": 1, "children": [{ "value": "x", "children": [] }] } }),
            &["/tree/children/0/value"],
        ),
        // Enums.
        ("enums", enums(circle(), json!(1), json!("low")), &[]),
        (
            "enums",
            enums(
                json!({ "kind": "square", "side": 2 }),
                json!("a"),
                json!("high"),
            ),
            &[],
        ),
        (
            "enums",
            enums(circle(), json!(1), json!("loww")),
            &["/level"],
        ),
        (
            "enums",
            enums(circle(), json!(true), json!("low")),
            &["/key"],
        ),
        // Dates.
        ("dates", json!({ "day": "2026-01-31" }), &[]),
        (
            "dates",
            json!({ "day": "2026-01-31", "at": "2026-01-31T09:30:00Z" }),
            &[],
        ),
        ("dates", json!({ "day": "31.1.2026" }), &["/day"]),
        ("dates", json!({ "day": "2026-02-30" }), &["/day"]),
        (
            "dates",
            json!({ "day": "2026-01-31", "at": "yesterday" }),
            &["/at"],
        ),
        // Rules.
        ("rules", json!({}), &[]),
        ("rules", json!({ "limit": null }), &[]),
        (
            "rules",
            json!({ "limit": 0, "order": "x", "tags": [], "email": "x", "digit": 10 }),
            &["/digit", "/email", "/limit", "/order", "/tags"],
        ),
        ("rules", json!({ "class": 1 }), &[]),
        ("rules", json!({ "class_": 1 }), &["/class_"]),
        ("nothing", json!({}), &[]),
        ("nothing", json!({ "x": 1 }), &["/x"]),
        // TM-07, TM-08
        (
            "echo",
            json!({ "message": "x", "is_admin": true, "tenant_id": "org_b" }),
            &["/is_admin", "/tenant_id"],
        ),
        ("list_items", json!({ "limit": 1e12 }), &["/limit"]),
        ("list_items", json!({ "limit": -1 }), &["/limit"]),
        ("list_items", json!({ "limit": 1.5 }), &["/limit"]),
        ("list_items", json!({ "limit": "10" }), &["/limit"]),
        ("list_items", json!({ "limit": [] }), &["/limit"]),
        ("list_items", json!({}), &["/limit"]),
        ("picky", json!({ "value": "good" }), &[]),
        ("picky", json!({ "value": "bad" }), &["/value"]),
        // Names that need escaping in a pointer.
        (
            "nothing",
            json!({ "a/b": 1, "c~d": 2 }),
            &["/a~1b", "/c~0d"],
        ),
    ];
    let client = client();
    let mut wrong = Vec::new();
    for (tool, arguments, expected) in rows {
        let reply = client.call(tool, arguments.clone()).await;
        let result = reply.result();
        let mut got: Vec<String> = Vec::new();
        for problem in result["structuredContent"]["problems"]
            .as_array()
            .into_iter()
            .flatten()
        {
            got.push(problem["pointer"].as_str().unwrap().to_owned());
            let message = problem["message"].as_str().unwrap();
            assert!(
                message.len() > 8 && !problem["rule"].as_str().unwrap().is_empty(),
                "says too little: {problem}"
            );
            assert!(
                reply.text().contains(message),
                "the text leaves out {message}"
            );
        }
        got.sort();
        if got != expected || result["isError"] != json!(!expected.is_empty()) {
            wrong.push(format!(
                "{tool} {arguments}: expected problems at {expected:?}, got {result}"
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn problems_say_how_to_mend_them() {
    let client = client();
    for (tool, arguments, words) in [
        (
            "list_items",
            json!({ "limit": 0 }),
            &["/limit: must be at least 1"][..],
        ),
        (
            "list_items",
            json!({ "limit": 101 }),
            &["/limit: must be at most 100"],
        ),
        (
            "list_items",
            json!({ "limit": "x" }),
            &["/limit: must be an integer"],
        ),
        (
            "list_items",
            json!({ "limt": 1 }),
            &[
                "/limt: is not known here; did you mean `limit`?",
                "/limit: is missing, and it is required",
            ],
        ),
        (
            "list_items",
            json!({ "Limit": 1 }),
            &["did you mean `limit`?"],
        ),
        (
            "list_items",
            json!({ "limit": 1, "colour": 1 }),
            &["known are `cursor`, `limit`"],
        ),
        ("options", json!({ "b": 7 }), &["/b: must be a string"]),
        (
            "options",
            json!({ "c": "loud" }),
            &["/c: must be one of \"high\", \"low\", \"mid\""],
        ),
        (
            "dates",
            json!({ "day": "x" }),
            &["must be a date, like 2026-01-31"],
        ),
        (
            "rules",
            json!({ "order": "x" }),
            &["must match the pattern ^ord_\\w+$"],
        ),
        (
            "rules",
            json!({ "tags": ["a", "b", "c", "d"] }),
            &["must have at most 3 elements"],
        ),
        ("rules", json!({ "digit": 10 }), &["must be"]),
        ("nothing", json!({ "x": 1 }), &["leave it out"]),
        (
            "nested",
            json!({ "person": { "name": "x", "home": { "stret": "s" } } }),
            &["did you mean `street`?"],
        ),
        (
            "shared",
            json!({ "from": { "stret": "s" }, "to": { "street": "s" } }),
            &["/from/stret: is not known here; did you mean `street`?"],
        ),
        (
            "recursive",
            json!({ "tree": { "value": 1, "children": [{ "value": 1, "children": [], "chidren": 1 }] } }),
            &["/tree/children/0/chidren: is not known here; did you mean `children`?"],
        ),
        (
            "enums",
            json!({ "shape": { "kind": "circle", "side": 1 }, "key": 1, "level": "low" }),
            &[
                "/shape/radius: is missing",
                "/shape/side: is not known here",
            ],
        ),
        (
            "enums",
            json!({ "shape": { "kind": "oval" }, "key": 1, "level": "low" }),
            &["/shape/kind: must be one of \"circle\", \"square\""],
        ),
        (
            "enums",
            json!({ "shape": {}, "key": true, "level": "low" }),
            &[
                "/shape/kind: is missing",
                "/key: must be an integer or a string",
            ],
        ),
        (
            "numbers",
            json!({ "a": 1, "b": 1, "c": 3_000_000_000_u64, "d": 1, "e": 1, "f": 1, "h": 1 }),
            &["/c: must be"],
        ),
    ] {
        let reply = client.call(tool, arguments.clone()).await;
        assert_eq!(reply.code(), "invalid_arguments");
        for word in words {
            assert!(
                reply.text().contains(word),
                "{tool} {arguments}: `{word}` is missing in:\n{}",
                reply.text()
            );
        }
    }
}

/// TM-08: the value that is refused is never shown, whatever refuses it.
#[tokio::test]
async fn tm_08_refused_values_are_not_echoed() {
    const CANARY: &str = "CNRY-VALUE-93f";
    let client = client();
    let rows = [
        ("list_items", json!({ "limit": CANARY })),
        ("list_items", json!({ "limit": [CANARY] })),
        ("list_items", json!({ "limit": { CANARY: CANARY } })),
        ("list_items", json!({ "limit": 93_939_393_939_u64 })),
        ("rules", json!({ "order": CANARY })),
        ("rules", json!({ "email": CANARY })),
        ("rules", json!({ "tags": [CANARY, CANARY, CANARY, CANARY] })),
        ("options", json!({ "c": CANARY })),
        ("dates", json!({ "day": CANARY })),
        (
            "enums",
            json!({ "shape": { "kind": CANARY }, "key": [CANARY], "level": CANARY }),
        ),
        (
            "shapes",
            json!({ "flat": CANARY, "strict": CANARY, "map": { "k": CANARY }, "pair": [CANARY, CANARY] }),
        ),
        ("nested", json!({ "person": CANARY })),
        ("picky", json!({ "value": CANARY })),
        (
            "login",
            json!({ "password": format!("{CANARY}-too-long"), "pin": 93_939_393 }),
        ),
        ("login", json!({ "password": 93_939_393, "pin": CANARY })),
        ("echo", json!({ "message": CANARY.repeat(1000) })),
        (
            "numbers",
            json!({ "c": 93_939_393_939_u64, "a": 93_939_393 }),
        ),
    ];
    for (tool, arguments) in rows {
        for revision in LEGACY.into_iter().chain([MODERN]) {
            let reply = client
                .clone()
                .revision(revision)
                .call(tool, arguments.clone())
                .await;
            assert_eq!(reply.code(), "invalid_arguments", "{tool} {arguments}");
            let text = reply.body.to_string();
            assert!(
                !text.contains("CNRY") && !text.contains("939393"),
                "TM-08 {tool}: the value is shown: {text}"
            );
        }
    }
}

/// TM-10, TM-08
#[tokio::test]
async fn tm_07_08_10_large_and_hostile_values_cost_little() {
    let client = client();
    for (what, tool, arguments) in [
        (
            "TM-10",
            "redos",
            json!({ "text": format!("{}!", "a".repeat(50 << 10)) }),
        ),
        ("TM-08", "echo", json!({ "message": "x".repeat(900 << 10) })),
        (
            "TM-07",
            "echo",
            Value::Object((0..20_000).map(|n| (format!("k{n}"), json!(n))).collect()),
        ),
    ] {
        let since = Instant::now();
        let reply = client.call(tool, arguments).await;
        let took = since.elapsed();
        assert_eq!(reply.code(), "invalid_arguments", "{what}");
        assert!(took.as_secs() < 3, "{what}: took {took:?}");
        assert!(
            reply.body.to_string().len() < 20_000,
            "{what}: the answer is as large as the attack"
        );
    }
    assert_eq!(
        client
            .call("redos", json!({ "text": "a".repeat(50 << 10) }))
            .await
            .structured(),
        &json!({ "result": 50 << 10 })
    );
}

#[tokio::test]
async fn numbers_that_are_no_numbers() {
    let client = TestServer::new(Server::new(tools![list_items])).unwrap();
    for number in [
        "1e999", "-1e999", "NaN", "Infinity", "01", "0x10", "1_000", "+1", ".5",
    ] {
        let body = format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"list_items","arguments":{{"limit":{number}}}}}}}"#
        );
        let reply = Ask::raw(body).send(&client).await;
        assert_eq!(
            (reply.status, &reply.body["error"]["code"]),
            (400, &json!(-32700)),
            "TM-08 {number}"
        );
    }
}

/// Any JSON, a few levels deep.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        (-3_i64..300).prop_map(Value::from),
        any::<f64>().prop_map(|n| json!(n)),
        "\\PC{0,8}".prop_map(Value::from),
        prop::sample::select(vec![
            "low",
            "high",
            "circle",
            "good",
            "2026-01-31",
            "ord_1",
            "s"
        ])
        .prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((any_name(), inner), 0..5)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// Names that the tools know, mostly.
fn any_name() -> impl Strategy<Value = String> {
    prop_oneof![
        9 => prop::sample::select(vec![
            "a", "b", "c", "d", "e", "f", "g", "h", "person", "name", "home", "street", "zip", "floor", "age", "friends",
            "from", "to", "tree", "value", "children", "shape", "kind", "radius", "side", "key", "level", "flat", "id",
            "limit", "cursor", "strict", "map", "pair", "day", "at", "order", "tags", "email", "class", "digit",
        ]).prop_map(str::to_owned),
        1 => "\\PC{0,6}",
    ]
}

fn any_arguments() -> impl Strategy<Value = Value> {
    let members = prop::collection::vec((any_name(), any_json()), 0..9);
    members.prop_map(|members| Value::Object(members.into_iter().collect::<Map<_, _>>()))
}

/// Makes arguments that are nearly right: the good ones, with one value changed.
fn nearly_right() -> impl Strategy<Value = (&'static str, Value)> {
    let good = vec![
        (
            "numbers",
            json!({ "a": 1, "b": 1, "c": 1, "d": 1, "e": 1.5, "f": 1, "h": 1 }),
        ),
        (
            "nested",
            json!({ "person": { "name": "Ada", "home": { "street": "s", "floor": 1 }, "age": 3, "friends": [1] } }),
        ),
        (
            "shared",
            json!({ "from": { "street": "a" }, "to": { "street": "b" } }),
        ),
        (
            "recursive",
            json!({ "tree": { "value": 1, "children": [{ "value": 2, "children": [] }] } }),
        ),
        (
            "enums",
            json!({ "shape": { "kind": "circle", "radius": 1 }, "key": 1, "level": "low" }),
        ),
        (
            "shapes",
            json!({ "flat": { "id": 1, "limit": 2, "cursor": "c" }, "strict": { "a": 1 }, "map": { "k": 1 }, "pair": ["a", 1] }),
        ),
        (
            "dates",
            json!({ "day": "2026-01-31", "at": "2026-01-31T09:30:00Z" }),
        ),
        (
            "rules",
            json!({ "limit": 1, "order": "ord_1", "tags": ["a"], "email": "a@b.c", "class": 1, "digit": 1 }),
        ),
        ("picky", json!({ "value": "good" })),
    ];
    (
        prop::sample::select(good),
        any::<prop::sample::Index>(),
        any_json(),
    )
        .prop_map(|((tool, mut arguments), at, value)| {
            let mut places = Vec::new();
            collect_places(&arguments, String::new(), &mut places);
            let place = &places[at.index(places.len())];
            *arguments.pointer_mut(place).unwrap() = value;
            (tool, arguments)
        })
}

fn collect_places(value: &Value, at: String, places: &mut Vec<String>) {
    match value {
        Value::Object(members) => members
            .iter()
            .for_each(|(name, value)| collect_places(value, format!("{at}/{name}"), places)),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .for_each(|(n, value)| collect_places(value, format!("{at}/{n}"), places)),
        _ => {}
    }
    if !at.is_empty() {
        places.push(at);
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

/// The tool ran, or every problem is named; never an internal error.
fn ran_or_refused(client: &TestClient, tool: &str, arguments: &Value) -> Result<(), TestCaseError> {
    let reply = runtime().block_on(client.call(tool, arguments.clone()));
    prop_assert_eq!(reply.status, 200);
    let Some(result) = reply.body.get("result") else {
        return Err(TestCaseError::fail(format!(
            "{tool} {arguments}: {}",
            reply.body
        )));
    };
    if result["isError"] == true {
        prop_assert_eq!(
            &result["structuredContent"]["code"],
            "invalid_arguments",
            "{} {}: {}",
            tool,
            arguments,
            reply.body
        );
        let problems = result["structuredContent"]["problems"].as_array().unwrap();
        prop_assert!(
            !problems.is_empty(),
            "refused without a problem: {tool} {arguments}"
        );
        for problem in problems {
            // The place exists, or is that of a missing member.
            let pointer = problem["pointer"].as_str().unwrap();
            let parent = pointer.rsplit_once('/').map_or("", |(parent, _)| parent);
            prop_assert!(
                arguments.pointer(parent).is_some(),
                "{tool} {arguments}: there is no place {pointer}"
            );
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_arguments_run_or_are_refused(
        tool in prop::sample::select(vec!["numbers", "options", "nested", "shared", "recursive", "enums", "shapes", "dates", "rules", "nothing"]),
        arguments in any_arguments(),
    ) {
        ran_or_refused(&client(), tool, &arguments)?;
    }

    #[test]
    fn nearly_right_arguments_run_or_are_refused((tool, arguments) in nearly_right()) {
        ran_or_refused(&client(), tool, &arguments)?;
    }

    /// Good messages with bytes changed, and bytes that never were a message.
    #[test]
    fn hostile_bytes_are_always_answered(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        rubbish in prop::collection::vec(any::<u8>(), 0..64),
        mutate in any::<bool>(),
    ) {
        let ask = call(MODERN, "nested", json!({ "person": { "name": "Ada", "home": { "street": "s" } } }));
        let mut body = if mutate { ask.body.clone() } else { rubbish };
        for (at, byte) in changes {
            if !body.is_empty() {
                let at = at.index(body.len());
                body[at] = byte;
            }
        }
        let server = TestServer::new(Server::new(crate::schema::takers())).unwrap();
        for ask in [ask.with_body(body.clone()), Ask::raw(body.clone())] {
            let reply = runtime().block_on(ask.send(&server));
            if reply.status == 202 {
                prop_assert_eq!(&reply.body, &Value::Null);
            } else {
                prop_assert!([200, 400, 404].contains(&reply.status), "{} to {:?}", reply.status, body);
                prop_assert_eq!(&reply.body["jsonrpc"], "2.0");
                prop_assert!(reply.body.get("result").is_some() || reply.body["error"]["code"].is_i64(), "{}", reply.body);
                prop_assert!(reply.body["error"]["code"] != -32603, "an internal error for {:?}", body);
            }
        }
    }
}

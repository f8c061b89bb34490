//! Two tenants on one server, and nothing between them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use http::Request;
use mcp_runtime::confirm::{Confirm, ConfirmError, Keys};
use mcp_runtime::idempotency::{Begin, Idempotency};
use mcp_runtime::prelude::*;
use mcp_runtime::store::MemoryStore;
use mcp_runtime::testing::{TestClient, TestServer};
use mcp_runtime::{Policy, Tool};
use serde_json::{Value, json};

use crate::clock;

/// An item of the tenant.
#[mcp_tool(authenticated, read_only)]
fn get_item(tenant: &Tenant, asked: &Asked, id: String) -> ToolResult<String> {
    asked.0.lock().unwrap().push(tenant.to_string());
    match (tenant.as_str(), id.as_str()) {
        ("org_a", "item-of-a") | ("org_b", "item-of-b") => Ok(format!("{id}, in {tenant}")),
        _ => Err(ToolError::new("There is no such item. List the items first.").code("not_found")),
    }
}

/// Needs a scope, too.
#[mcp_tool(scope = "items:write")]
fn put_item(tenant: &Tenant) -> String {
    tenant.to_string()
}

/// Another name for the same.
type Org = Tenant;

/// Lends the tenant by another name, to a guard as well, and blocks.
#[mcp_tool(authenticated, blocking, guard = org.as_str() != "org_c")]
fn aliased(org: &Org, caller: &Caller) -> String {
    format!("{caller} of {org}")
}

/// For whoever has a token.
#[mcp_tool(authenticated)]
fn anybody(caller: &Caller) -> String {
    caller.to_string()
}

/// The items of a tenant.
#[mcp_resource("tenant://{org}/items", authenticated, guard = org == tenant.as_str())]
fn items(tenant: &Tenant, org: String) -> String {
    format!("{org}: the items of {tenant}")
}

/// The rules of the house.
#[mcp_resource("house://rules", authenticated)]
fn rules(tenant: &Tenant) -> String {
    format!("rules of {tenant}")
}

/// Says hello.
#[mcp_prompt(authenticated)]
fn greet(tenant: &Tenant) -> String {
    format!("Hello {tenant}")
}

/// Asks, and says who answered.
#[mcp_tool(authenticated)]
async fn ask(call: &Call, tenant: &Tenant) -> ToolResult<String> {
    let answer = call.elicit::<Answer>("Sure?").key("sure").await?;
    let word = answer.accepted().map(|answer| answer.word);
    Ok(format!("{tenant}: {}", word.unwrap_or_default()))
}

#[derive(Deserialize, JsonSchema)]
struct Answer {
    word: String,
}

/// For which tenants the system behind was asked.
#[derive(Default)]
struct Asked(std::sync::Mutex<Vec<String>>);

#[derive(Lend)]
struct State {
    asked: Arc<Asked>,
}

fn server() -> (TestServer, Arc<Asked>) {
    let asked = Arc::new(Asked::default());
    let state = State {
        asked: Arc::clone(&asked),
    };
    let dynamic = Tool::dynamic("dynamic", "Of a tenant.", Policy::authenticated().tenant())
        .handler(|call, _| async move {
            let tenant = call.caller().acts_for().map(ToString::to_string);
            Ok::<_, ToolError>(tenant.unwrap_or_default())
        });
    let tools = tools![get_item, put_item, aliased, anybody, ask].with(dynamic);
    let server = Server::with_state(state, tools)
        .resources(resources![items, rules])
        .prompts(prompts![greet])
        .clock(clock());
    (TestServer::new(server).unwrap(), asked)
}

fn of(server: &TestServer, tenant: &str) -> TestClient {
    server.as_user("ada").tenant(tenant)
}

#[tokio::test]
async fn what_borrows_a_tenant_exists_for_those_who_act_for_one() {
    let (server, asked) = server();
    let a = of(&server, "org_a");
    let all = [
        "get_item", "put_item", "aliased", "anybody", "ask", "dynamic",
    ];
    assert_eq!(a.tools().await, all);
    let item = a.call("get_item", json!({"id": "item-of-a"})).await;
    assert_eq!(item.text(), "item-of-a, in org_a");
    assert_eq!(a.call("aliased", json!({})).await.text(), "ada of org_a");
    assert_eq!(a.call("dynamic", json!({})).await.text(), "org_a");
    assert_eq!(
        a.call("put_item", json!({})).await.status,
        403,
        "a scope is asked for as before"
    );
    let refused = of(&server, "org_c").call("aliased", json!({})).await;
    assert_eq!(refused.code(), "forbidden");
    let before = asked.0.lock().unwrap().len();
    // Nobody else: without a tenant, with what is no id of one, without a token.
    let long = "a".repeat(65);
    let ada = server.as_user("ada").scopes(["items:write"]);
    let mut strangers = vec![ada.clone(), server.anonymous()];
    strangers.extend(
        ["", "org a", "org_a/../org_b", "org_a\0", "\u{e9}", &long]
            .map(|id| ada.clone().tenant(id)),
    );
    for client in strangers {
        for (tool, arguments) in [
            ("get_item", json!({"id": "item-of-a"})),
            ("put_item", json!({})),
            ("aliased", json!({})),
            ("ask", json!({})),
            ("dynamic", json!({})),
        ] {
            let hidden = client.call(tool, arguments.clone()).await;
            let unknown = client.call("no_such_tool", arguments).await;
            assert_eq!(
                (
                    hidden.status,
                    hidden.body["error"]
                        .to_string()
                        .replace(tool, "no_such_tool")
                ),
                (unknown.status, unknown.body["error"].to_string()),
            );
        }
        assert_eq!(client.tools().await, ["anybody"]);
    }
    assert_eq!(asked.0.lock().unwrap().len(), before);
}

#[tokio::test]
async fn resources_and_prompts_hide_alike() {
    let (server, _) = server();
    let (a, none) = (of(&server, "org_a"), server.as_user("ada"));
    for (method, field, count) in [
        ("resources/list", "resources", 1),
        ("resources/templates/list", "resourceTemplates", 1),
        ("prompts/list", "prompts", 1),
    ] {
        let listed = |reply: &mcp_runtime::testing::TestReply| {
            reply.result()[field].as_array().unwrap().len()
        };
        assert_eq!(
            listed(&a.request(method, json!({})).await),
            count,
            "{method}"
        );
        let reply = none.request(method, json!({})).await;
        assert_eq!(listed(&reply), 0, "{method}");
        // What depends on who asks is kept by nobody between.
        assert_eq!(reply.result()["cacheScope"], "private", "{method}");
    }
    let read = a
        .request("resources/read", json!({"uri": "house://rules"}))
        .await;
    assert_eq!(read.result()["contents"][0]["text"], "rules of org_a");
    let hidden = none
        .request("resources/read", json!({"uri": "house://rules"}))
        .await;
    let unknown = none
        .request("resources/read", json!({"uri": "house://other"}))
        .await;
    assert_eq!(hidden.error()["code"], unknown.error()["code"]);
    assert_eq!(hidden.error()["message"], unknown.error()["message"]);
    assert!(
        a.request("prompts/get", json!({"name": "greet"}))
            .await
            .body
            .to_string()
            .contains("Hello org_a")
    );
    let hidden = none.request("prompts/get", json!({"name": "greet"})).await;
    let unknown = none.request("prompts/get", json!({"name": "grxxt"})).await;
    assert_eq!(
        hidden.error().to_string().replace("greet", "grxxt"),
        unknown.error().to_string()
    );
}

#[test]
fn a_public_tool_cannot_borrow_a_tenant() {
    /// Open to all.
    #[mcp_tool(public)]
    fn open(tenant: &Tenant) -> String {
        tenant.to_string()
    }
    let error = Server::new(tools![open]).build().err().expect("refused");
    let text = error.to_string();
    assert!(
        text.contains("tenant.rs:") && text.contains("tool `open`"),
        "{text}"
    );
    assert!(
        text.contains("borrows") && text.contains("`authenticated`"),
        "{text}"
    );
}

#[tokio::test]
async fn tn_12_an_id_of_another_tenant_is_like_an_unknown_one() {
    let (server, asked) = server();
    let a = of(&server, "org_a");
    let foreign = a.call("get_item", json!({"id": "item-of-b"})).await;
    let random = a.call("get_item", json!({"id": "item-of-x"})).await;
    assert_eq!(foreign.code(), "not_found");
    assert_eq!(
        (foreign.status, foreign.result()),
        (random.status, random.result())
    );
    let named = a
        .call("get_item", json!({"id": "item-of-b", "tenant_id": "org_b"}))
        .await;
    assert_eq!(named.code(), "invalid_arguments");
    assert!(named.text().contains("tenant_id"), "{}", named.text());
    assert!(
        asked
            .0
            .lock()
            .unwrap()
            .iter()
            .all(|tenant| tenant == "org_a")
    );
    let b = of(&server, "org_b")
        .call("get_item", json!({"id": "item-of-b"}))
        .await;
    assert_eq!(b.text(), "item-of-b, in org_b");
}

#[tokio::test]
async fn tn_17_no_two_principals_have_one_owner() {
    let parts = [
        "",
        "a",
        "b",
        "a:b",
        "b:c",
        "c",
        "ab",
        "bc",
        ":",
        "a\0",
        "\0b",
        "[\"a\"]",
        "anonymous",
    ];
    let mut owners: HashMap<String, Caller> = HashMap::new();
    owners.insert(Caller::anonymous().owner(), Caller::anonymous());
    let mut count = 1;
    for issuer in parts {
        for subject in parts {
            let bare = Caller::user(subject).issuer(issuer);
            let tenants = parts.map(|tenant| bare.clone().tenant(tenant));
            for caller in std::iter::once(bare).chain(tenants) {
                count += 1;
                // Scopes, roles and addresses come and go with tokens.
                let other = caller.clone().scope("s").role("r").email("e@example.com");
                assert_eq!(caller.owner(), other.owner());
                if let Some(before) = owners.insert(caller.owner(), caller.clone()) {
                    panic!("{before:?} and {caller:?} are one owner");
                }
            }
        }
    }
    assert_eq!(owners.len(), count);
    let (left, right) = (
        Caller::user("a:b").tenant("c"),
        Caller::user("a").tenant("b:c"),
    );
    assert_ne!(left.owner(), right.owner());
}

#[tokio::test]
async fn tn_18_the_uri_of_another_tenant_is_like_an_unknown_one() {
    let (server, _) = server();
    let a = of(&server, "org_a");
    let read = |uri: &str| a.request("resources/read", json!({ "uri": uri }));
    assert_eq!(
        read("tenant://org_a/items").await.result()["contents"][0]["text"],
        "org_a: the items of org_a"
    );
    let unknown = read("tenant://org_x/items").await;
    for uri in [
        "tenant://org_b/items",
        "tenant://ORG_A/items",
        "tenant://ORG_A/../org_b/items",
        "tenant://org_a%2F..%2Forg_b/items",
        "tenant://org_b%00/items",
    ] {
        let foreign = read(uri).await;
        assert!(
            foreign.body.get("result").is_none(),
            "{uri}: {}",
            foreign.body
        );
        assert!(!foreign.body.to_string().contains("the items"), "{uri}");
        if uri == "tenant://org_b/items" {
            let as_unknown = foreign.error().to_string().replace("org_b", "org_x");
            assert_eq!(
                (foreign.status, as_unknown),
                (unknown.status, unknown.error().to_string())
            );
        }
    }
}

#[tokio::test]
async fn tn_19_the_same_subject_in_two_tenants_shares_no_handle() {
    let (server, _) = server();
    let can_ask = json!({ "elicitation": {} });
    let a = of(&server, "org_a").declares(can_ask.clone());
    let b = of(&server, "org_b").declares(can_ask);
    let first = a.call("ask", json!({})).await;
    let result = first.result();
    assert_eq!(result["resultType"], "input_required", "{result}");
    let (key, _) = result["inputRequests"]
        .as_object()
        .unwrap()
        .iter()
        .next()
        .unwrap();
    let answer = json!({ "action": "accept", "content": { "word": "yes" } });
    let retry = json!({ "name": "ask", "arguments": {}, "inputResponses": { key: answer }, "requestState": result["requestState"] });
    let foreign = b.request("tools/call", retry.clone()).await;
    assert!(foreign.body.get("result").is_none(), "{}", foreign.body);
    let mut made_up = retry.clone();
    made_up["requestState"] = json!("made-up");
    let unknown = b.request("tools/call", made_up).await;
    assert_eq!(
        (foreign.status, foreign.error()),
        (unknown.status, unknown.error())
    );
    assert_eq!(a.request("tools/call", retry).await.text(), "org_a: yes");
}

/// A generator that gives the same numbers every time: a failure can be seen again.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % sides as u64).unwrap()
    }
}

/// Callers that a careless key would take for each other.
fn crowd() -> Vec<Caller> {
    let ada = || Caller::user("ada");
    vec![
        ada().tenant("org_a"),
        ada().tenant("org_b"),
        ada(),
        ada().tenant("org_a").issuer("https://as.example.com"),
        Caller::user("ada:org_a"),
        Caller::user("ada:org").tenant("a"),
        Caller::user("bob").tenant("org_a"),
        Caller::user("bob").tenant("org_b"),
    ]
}

/// 100,000 operations on confirmation tokens and idempotency keys, by callers at random, each
/// checked against what a model of one caller alone would give.
#[tokio::test]
async fn tn_19_a_random_crowd_never_gets_at_the_handles_of_others() {
    const OPERATIONS: usize = 100_000;
    let clock = clock();
    let store = Arc::new(MemoryStore::new(clock.clone(), 200_000));
    let confirm = Confirm::new(Keys::random(), clock.clone(), store.clone());
    let idempotency = Idempotency::new(store, clock.clone());
    let owners: Vec<String> = crowd().iter().map(Caller::owner).collect();
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    // Token, whose it is, and whether it is used up.
    let mut tokens: Vec<(String, usize, bool)> = Vec::new();
    let mut done: HashMap<(usize, usize), usize> = HashMap::new();
    let (mut foreign, mut replayed, mut confirmed) = (0, 0, 0);
    for n in 0..OPERATIONS {
        let who = dice.roll(owners.len());
        match dice.roll(4) {
            0 => {
                let payload = json!({ "of": who, "n": n });
                let ttl = Duration::from_secs(1800);
                let issued = confirm.issue(&owners[who], "send", &payload, ttl).unwrap();
                if tokens.len() < 500 {
                    tokens.push((issued.token, who, false));
                } else {
                    let place = dice.roll(500);
                    tokens[place] = (issued.token, who, false);
                }
            }
            1 if !tokens.is_empty() => {
                let place = dice.roll(tokens.len());
                let (token, whose, used) = &mut tokens[place];
                match confirm.open(&owners[who], "send", token) {
                    Err(ConfirmError::OwnerMismatch) => {
                        assert_ne!(who, *whose, "operation {n}: the owner is refused");
                        foreign += 1;
                    }
                    Ok(opened) => {
                        assert_eq!(
                            (who, opened.payload()["of"].as_u64()),
                            (*whose, Some(who as u64)),
                            "operation {n}"
                        );
                        let redeemed = confirm.redeem(&opened, &format!("{n}")).await.is_ok();
                        assert_eq!(redeemed, !*used, "operation {n}: a token is good once");
                        *used = true;
                        confirmed += 1;
                    }
                    Err(error) => panic!("operation {n}: {error}"),
                }
            }
            _ => {
                let key = dice.roll(4000);
                let begun = idempotency
                    .begin(&owners[who], "send", &format!("key-{key}"), "same")
                    .await;
                match begun.unwrap() {
                    Begin::Run(lease) => {
                        assert!(
                            done.insert((who, key), n).is_none(),
                            "operation {n}: run twice"
                        );
                        lease.complete(&json!({ "of": who, "n": n })).await.unwrap();
                    }
                    Begin::Replay(result) => {
                        let expected = done.get(&(who, key)).copied();
                        let expected = json!({ "of": who, "n": expected });
                        assert_eq!(result, expected, "operation {n}: somebody else's result");
                        replayed += 1;
                    }
                }
            }
        }
    }
    // The dice have tried what this is about.
    assert!(
        foreign > 10_000 && replayed > 10_000 && confirmed > 1_000,
        "{foreign} {replayed} {confirmed}"
    );
}

/// Sessions of earlier revisions and sealed states of this one, over the whole path of a request:
/// 4,000 operations, as each is one and not a look into a map.
#[tokio::test]
async fn tn_19_a_random_crowd_never_gets_into_the_sessions_of_others() {
    const OPERATIONS: usize = 4_000;
    let (server, _) = server();
    let crowd = crowd();
    let mut dice = Dice(0x2545_f491_4f6c_dd1d);
    let mut sessions: Vec<(String, usize)> = Vec::new();
    let mut states: Vec<(Value, usize)> = Vec::new();
    let (mut own, mut foreign) = (0, 0);
    for n in 0..OPERATIONS {
        let who = dice.roll(crowd.len());
        let client = server.as_caller(crowd[who].clone());
        match dice.roll(5) {
            0 if sessions.len() < 200 => {
                let hello = json!({ "protocolVersion": "2025-11-25", "capabilities": { "roots": {} }, "clientInfo": { "name": "t", "version": "1" } });
                let reply = client
                    .revision("2025-11-25")
                    .request("initialize", hello)
                    .await;
                let id = reply.headers["mcp-session-id"].to_str().unwrap();
                sessions.push((id.to_owned(), who));
            }
            1 if states.len() < 200 && crowd[who].acts_for().is_some() => {
                let client = client.declares(json!({ "elicitation": {} }));
                let reply = client.call("ask", json!({})).await;
                states.push((reply.result().clone(), who));
            }
            2 | 3 if !sessions.is_empty() => {
                let place = dice.roll(sessions.len());
                let (id, whose) = sessions[place].clone();
                let ends = dice.roll(20) == 0;
                let request = Request::builder()
                    .method(if ends { "DELETE" } else { "POST" })
                    .uri("/mcp")
                    .header("host", "localhost")
                    .header("content-type", "application/json")
                    .header("accept", "application/json, text/event-stream")
                    .header("mcp-protocol-version", "2025-11-25")
                    .header("mcp-session-id", &id)
                    .extension(Arc::new(crowd[who].clone()))
                    .body(
                        json!({ "jsonrpc": "2.0", "id": 1, "method": "ping" })
                            .to_string()
                            .into_bytes(),
                    )
                    .unwrap();
                let status = server.send(request).await.status;
                let expected = match (who == whose, ends) {
                    (false, _) => 404,
                    (true, false) => 200,
                    (true, true) => 204,
                };
                assert_eq!(status, expected, "operation {n}");
                if status == 204 {
                    sessions.swap_remove(place);
                }
                *(if who == whose { &mut own } else { &mut foreign }) += 1;
            }
            _ if !states.is_empty() && crowd[who].acts_for().is_some() => {
                let (asked, whose) = &states[dice.roll(states.len())];
                let (key, _) = asked["inputRequests"]
                    .as_object()
                    .unwrap()
                    .iter()
                    .next()
                    .unwrap();
                let answer = json!({ "action": "accept", "content": { "word": "yes" } });
                let retry = json!({ "name": "ask", "arguments": {}, "inputResponses": { key: answer }, "requestState": asked["requestState"] });
                let client = client.declares(json!({ "elicitation": {} }));
                let reply = client.request("tools/call", retry).await;
                assert_eq!(
                    reply.body.get("result").is_some(),
                    who == *whose,
                    "operation {n}: {}",
                    reply.body
                );
                *(if who == *whose {
                    &mut own
                } else {
                    &mut foreign
                }) += 1;
            }
            _ => {}
        }
    }
    assert!(own > 100 && foreign > 1_000, "{own} {foreign}");
}

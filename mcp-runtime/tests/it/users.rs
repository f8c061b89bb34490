//! Many users at once, who cannot be told apart by anything but their tokens.

use std::collections::BTreeMap;

use mcp_runtime::auth::Egress;
use mcp_runtime::prelude::*;
use mcp_runtime::testing::IdentityProvider;
use serde_json::{Value, json};

use crate::live::Live;

const USERS: usize = 20;
const CALLS: usize = 200;
/// Connections that are busy at the same time.
const AT_ONCE: usize = 40;
const RESOURCE: &str = "https://mcp.example.com/mcp";

#[derive(Serialize, JsonSchema)]
struct Seen {
    subject: String,
    tenant: String,
    round: u64,
}

/// Who calls, as the tool sees it, before and after it has waited for others.
#[mcp_tool(scope = "me:read", read_only)]
async fn who(caller: &Caller, tenant: &Tenant, round: u64) -> ToolResult<Seen> {
    let before = caller.subject().map(str::to_owned);
    tokio::task::yield_now().await;
    let subject = caller.subject().unwrap_or_default().to_owned();
    if before.as_ref() != Some(&subject) {
        return Err(ToolError::new("somebody else took over"));
    }
    Ok(Seen {
        subject,
        tenant: tenant.to_string(),
        round,
    })
}

/// Every user sends the same id; half of them share a tenant, each has two tokens.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_thousand_calls_of_twenty_users_with_the_same_id_are_never_crossed() {
    let idp = IdentityProvider::start(Clock::system(), RESOURCE)
        .await
        .unwrap();
    let auth = Jwt::discover(idp.issuer())
        .tenant_claim("org_id")
        .egress(Egress::new().allow_loopback());
    let server = Server::new(tools![who]).public_url(RESOURCE).auth(auth);
    let live = Live::start(server.build().unwrap()).await;
    let url = format!("http://{}/mcp", live.address);
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let tokens: Vec<[String; 2]> = (0..USERS)
        .map(|user| {
            let token = || {
                idp.token(json!({
                    "sub": format!("user-{user}"), "scope": "me:read", "org_id": tenant(user),
                }))
            };
            [token(), token()]
        })
        .collect();

    let mut jobs = tokio::task::JoinSet::new();
    let mut answered: BTreeMap<usize, usize> = BTreeMap::new();
    for call in 0..USERS * CALLS {
        if jobs.len() == AT_ONCE {
            let user = jobs.join_next().await.unwrap().unwrap();
            *answered.entry(user).or_default() += 1;
        }
        let (user, round) = (call % USERS, call / USERS);
        let request = client
            .post(&url)
            .bearer_auth(&tokens[user][round % 2])
            .header("content-type", "application/json")
            .header("accept", "application/json, text/event-stream")
            .header("mcp-protocol-version", "2025-06-18")
            .body(message(round));
        jobs.spawn(async move {
            let answer = request.send().await.unwrap();
            assert_eq!(answer.status(), 200);
            let answer: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
            assert_eq!(answer["id"], 1);
            let seen = &answer["result"]["structuredContent"];
            let own = json!({
                "subject": format!("user-{user}"), "tenant": tenant(user), "round": round,
            });
            assert_eq!(seen, &own, "the answer is somebody else's");
            user
        });
    }
    while let Some(user) = jobs.join_next().await {
        *answered.entry(user.unwrap()).or_default() += 1;
    }
    assert_eq!(answered.len(), USERS);
    assert!(answered.values().all(|calls| *calls == CALLS));
    drop(client);
    live.stop().await;
}

fn tenant(user: usize) -> String {
    match user % 2 {
        0 => "shared".to_owned(),
        _ => format!("org-{user}"),
    }
}

fn message(round: usize) -> String {
    let params = json!({ "name": "who", "arguments": { "round": round } });
    json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params }).to_string()
}

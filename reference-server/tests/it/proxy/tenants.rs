//! Whatever owners do, each sees its own hosts and requests, and nothing of another's.

use std::collections::BTreeMap;

use mcp_runtime::testing::TestClient;
use serde_json::{Value, json};

use super::{Site, browser, confirmed};
use crate::databases::model_steps;

/// A generator of numbers that look random, the same ones in every run: splitmix64.
struct Dice(u64);

impl Dice {
    fn throw(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((x ^ (x >> 31)) % sides as u64) as usize
    }
}

const HOSTS: usize = 12;

fn host(n: usize) -> String {
    format!("h{n:02}.example.test")
}

/// Of one tenant, of another, and the same name in both.
fn owners(site: &Site) -> [TestClient; 3] {
    [("bob", "org_a"), ("eve", "org_b"), ("bob", "org_b")].map(|(name, tenant)| {
        let scopes = ["proxy:read", "proxy:write"];
        site.server.as_user(name).tenant(tenant).scopes(scopes)
    })
}

/// Which host belongs to whom.
type Model = BTreeMap<String, usize>;

#[tokio::test]
async fn s1_003_no_sequence_of_calls_lets_one_owner_see_what_is_anothers() {
    let mut site = Site::new().await;
    let (mut model, mut dice) = (Model::new(), Dice(20_260_601));
    let (steps, browser) = (model_steps(), browser());
    for step in 0..steps {
        // The owners of hosts are in the database: it says the same after a start.
        if step == steps / 2 {
            let Site {
                folder,
                database,
                target,
                server,
                ..
            } = site;
            drop(server);
            site = Site::on((folder, database), target, |_| {}).await;
        }
        let (at, name) = (dice.throw(3), host(dice.throw(HOSTS)));
        let caller = &owners(&site)[at];
        let owner = model.get(&name).copied();
        match dice.throw(6) {
            0 => {
                let target = site.target.url();
                let arguments =
                    json!({"hostname": name, "target_url": target, "enable_https": false});
                let reply = caller.call("create_proxy", arguments).await;
                match owner {
                    Some(_) => assert_eq!(reply.code(), "hostname_taken", "step {step}"),
                    None => {
                        reply.structured();
                        model.insert(name, at);
                    }
                }
            }
            1 if owner == Some(at) => {
                let arguments = json!({ "hostname": name });
                confirmed(caller, "delete_proxy", arguments)
                    .await
                    .structured();
                model.remove(&name);
            }
            1 => {
                let reply = caller
                    .call("delete_proxy", json!({ "hostname": name }))
                    .await;
                assert_eq!(reply.code(), "not_found", "step {step}");
            }
            2 | 3 => {
                let mark = owner.map_or("nobody".to_owned(), |owner| owner.to_string());
                let (http, _) = site.proxy.addresses();
                let url = format!("http://{}/of-{mark}-{step}", http.expect("it listens"));
                let request = browser.get(url).header("host", &name);
                let answer = request.send().await.expect("an answer");
                let expected = if owner.is_some() { 200 } else { 404 };
                assert_eq!(answer.status(), expected, "step {step}");
            }
            4 => drop(sees_its_requests(caller, at).await),
            _ => sees_its_hosts(caller, &model, at).await,
        }
    }
    for (at, caller) in owners(&site).iter().enumerate() {
        sees_its_hosts(caller, &model, at).await;
        assert!(
            sees_its_requests(caller, at).await > 0,
            "nobody visited {at}"
        );
    }
}

async fn sees_its_hosts(caller: &TestClient, model: &Model, at: usize) {
    let listed = caller.call("list_proxies", json!({"limit": 500})).await;
    let listed = listed.structured()["proxies"].as_array().cloned();
    let seen: Vec<Value> = listed
        .expect("a list")
        .iter()
        .map(|host| host["hostname"].clone())
        .collect();
    let own: Vec<&String> = model
        .iter()
        .filter(|(_, owner)| **owner == at)
        .map(|(name, _)| name)
        .collect();
    assert_eq!(json!(seen), json!(own));
}

/// Requests are remembered for whoever had the host at that time.
async fn sees_its_requests(caller: &TestClient, at: usize) -> usize {
    let arguments = json!({"lines": 100, "level": "INFO"});
    let found = caller.call("get_logs", arguments).await;
    let logs = found.structured()["logs"]
        .as_array()
        .cloned()
        .expect("logs");
    let own = format!("/of-{at}-");
    for entry in &logs {
        let path = entry["path"].as_str().expect("a path");
        assert!(path.starts_with(&own), "{at} sees {entry}");
    }
    logs.len()
}

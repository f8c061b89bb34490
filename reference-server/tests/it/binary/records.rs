//! The records tools of the program as it is started.

use serde_json::{Value, json};

use super::program::{Place, Running};

async fn titles(server: &Running, token: &str) -> Vec<Value> {
    let listed = server.call(token, "list_notes", json!({})).await;
    let items = listed.structured()["items"].as_array().cloned();
    let titles = items.expect("items").into_iter();
    titles
        .map(|item| item["payload"]["title"].clone())
        .collect()
}

/// Nothing is configured, and still every request is signed: with a key of the data folder.
#[tokio::test]
async fn s3_043_s3_051_s3_064_each_tenant_has_its_records_here_and_elsewhere() {
    let place = Place::new();
    let here = place.serve(&[]).await;
    let (admin, bob) = (
        place.token(&["--as", "admin"]),
        place.token(&["--as", "bob"]),
    );
    let written = json!({"title": "Mine", "content": "c"});
    here.call(&admin, "create_note", written).await.structured();
    for (token, expected) in [
        (&admin, vec!["Welcome, org_a", "Opening hours", "Mine"]),
        (&bob, vec!["Welcome, org_b", "Opening hours"]),
    ] {
        assert_eq!(titles(&here, token).await, expected);
    }
    let reader = place.token(&["--as", "reader"]);
    assert_eq!(
        titles(&here, &reader).await.len(),
        2,
        "of the same tenant, and not the admin's"
    );
    drop(here);

    let platform = place.start(&["platform", "--listen", "127.0.0.1:0"]).await;
    let health = reqwest::get(format!("{}/healthz", platform.url)).await;
    assert_eq!(health.expect("an answer").text().await.expect("text"), "ok");
    let place = place
        .env("MCP_BACKEND__MODE", "url")
        .env("MCP_BACKEND__URL", &platform.url);
    let elsewhere = place.serve(&[]).await;
    assert_eq!(titles(&elsewhere, &admin).await.len(), 3);
    assert_eq!(titles(&elsewhere, &bob).await.len(), 2);
    let key = std::fs::read_to_string(place.data().join("tenant.key")).expect("made");
    for log in [elsewhere.log(), platform.log()] {
        assert!(
            !log.contains(key.trim()) && !log.contains("Opening hours"),
            "{log}"
        );
    }
}

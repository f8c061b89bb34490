//! What is remembered, who sees it, and how much.

use serde_json::json;

use super::Site;

#[tokio::test]
async fn rp_10_limits_are_refused_and_secrets_are_not_remembered() {
    let site = Site::new().await;
    let bob = site.bob();
    site.create(&bob, "b.example.test").await.structured();
    for arguments in [
        json!({"lines": 1_000_000_000}),
        json!({"lines": -1}),
        json!({"lines": 0}),
        json!({"lines": "all"}),
        json!({"level": "ERROR\n"}),
        json!({"level": "ERROR' OR 1=1--"}),
        json!({"hours": 169}),
        json!({"status_code": 99}),
    ] {
        let reply = bob.call("get_logs", arguments.clone()).await;
        assert_eq!(reply.code(), "invalid_arguments", "{arguments}");
    }
    let nothing = json!({"hostname": "' OR 1=1--", "level": "DEBUG"});
    assert_eq!(bob.call("get_logs", nothing).await.structured()["count"], 0);
    site.get("b.example.test", "/missing?token=CNRY-query")
        .await;
    let reply = site.logs(&bob, json!({"level": "WARNING"}), 1).await;
    assert_eq!(reply["logs"][0]["path"], "/missing");
    assert!(!reply.to_string().contains("CNRY"), "{reply}");
}

#[tokio::test]
async fn rp_10_secrets_in_paths_referrers_and_names_of_browsers_are_not_remembered() {
    let site = Site::new().await;
    let bob = site.bob();
    site.create(&bob, "b.example.test").await.structured();
    let (http, _) = site.proxy.addresses();
    let path = "/cb/ghp_0123456789abcdef/eyJhbGciOiJIUzI1NiJ9.e30.x";
    let url = format!("http://{}{path}", http.expect("it listens"));
    let name = http::HeaderValue::from_bytes(b"caf\xe9 mcp_Zk3v9QpLw2").expect("a value");
    let request = super::browser()
        .get(url)
        .header("host", "b.example.test")
        .header("referer", format!("https://x.example.test{path}?a=b"))
        .header("user-agent", name);
    request.send().await.expect("an answer");
    let seen = site.logs(&bob, json!({"level": "INFO"}), 1).await;
    let entry = &seen["logs"][0];
    assert_eq!(entry["path"], "/cb/***/***");
    assert_eq!(entry["referrer"], "https://x.example.test/cb/***/***");
    assert_eq!(entry["user_agent"], "caf\u{fffd} ***");
}

#[tokio::test]
async fn rp_10_a_thousand_lines_stay_below_a_mebibyte() {
    let site = Site::new().await;
    let bob = site.bob();
    site.create(&bob, "b.example.test").await.structured();
    let path = format!("/missing/{}", "x".repeat(2000));
    let (http, _) = site.proxy.addresses();
    let client = super::browser();
    for _ in 0..1001 {
        let request = client
            .get(format!("http://{}{path}", http.expect("it listens")))
            .header("host", "b.example.test")
            .header("user-agent", "\u{fffd}".repeat(300))
            .header("referer", "y".repeat(3000));
        request
            .send()
            .await
            .expect("an answer")
            .bytes()
            .await
            .expect("a body");
    }
    let reply = bob
        .call("get_logs", json!({"level": "DEBUG", "lines": 1000}))
        .await;
    assert_eq!(reply.structured()["truncated"], true);
    assert!(
        reply.structured()["count"]
            .as_u64()
            .is_some_and(|count| count >= 250)
    );
    let size = reply.body.to_string().len();
    assert!(size <= 1 << 20, "{size}");
}

#[tokio::test]
async fn s1_009_an_owner_sees_their_own_requests_and_an_admin_all() {
    let site = Site::new().await;
    let (bob, admin) = (site.bob(), site.admin());
    site.create(&bob, "b.example.test").await.structured();
    site.create(&admin, "a.example.test").await.structured();
    for host in ["b.example.test", "a.example.test", "nobodys.example.test"] {
        site.get(host, "/missing").await;
    }
    let all = json!({"level": "WARNING"});
    site.logs(&admin, all.clone(), 3).await;
    let seen = site.logs(&bob, all.clone(), 1).await;
    assert_eq!(seen["logs"][0]["hostname"], "b.example.test");
    let seen = site
        .logs(
            &bob,
            json!({"level": "WARNING", "hostname": "a.example.test"}),
            0,
        )
        .await;
    assert_eq!(seen["logs"], json!([]));
    // Who gets the name later does not read about the time before.
    super::confirmed(&bob, "delete_proxy", json!({"hostname": "b.example.test"}))
        .await
        .structured();
    let carol = site
        .server
        .as_user("carol")
        .scopes(["proxy:read", "proxy:write"]);
    site.create(&carol, "b.example.test").await.structured();
    site.logs(&carol, all, 0).await;
}

#[tokio::test]
async fn old_requests_are_forgotten_and_strangers_push_out_only_their_own() {
    let site = Site::with(|settings| settings.log_limit = 100).await;
    let bob = site.bob();
    site.create(&bob, "b.example.test").await.structured();
    for _ in 0..5 {
        site.get("b.example.test", "/missing").await;
    }
    for _ in 0..600 {
        site.get("nobodys.example.test", "/").await;
    }
    let everything = json!({"level": "DEBUG", "lines": 1000});
    let reply = site.admin().call("get_logs", everything.clone()).await;
    let kept = reply.structured()["count"].as_u64().unwrap_or_default();
    assert!((5..=400).contains(&kept), "{kept}");
    site.logs(&bob, everything, 5).await;
}

//! Who may do what, and who sees what.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{Site, confirmed};

#[tokio::test]
async fn s1_045_047_each_tool_names_the_scope_it_needs() {
    let site = Site::with(|settings| settings.commands.allow = vec!["env".to_owned()]).await;
    let rows = [
        ("health_check", "proxy:read"),
        ("list_proxies", "proxy:read"),
        ("create_proxy", "proxy:write"),
        ("delete_proxy", "proxy:write"),
        ("list_certificates", "proxy:read"),
        ("list_tokens", "proxy:admin"),
        ("list_services", "proxy:read"),
        ("get_logs", "proxy:read"),
        ("run_command", "proxy:admin"),
    ];
    for (tool, scope) in rows {
        assert_eq!(
            site.server.call(tool, json!({})).await.status,
            401,
            "{tool}"
        );
        let others: Vec<&str> = ["proxy:read", "proxy:write", "proxy:admin"]
            .into_iter()
            .filter(|other| *other != scope)
            .collect();
        let refused = site
            .server
            .as_user("eve")
            .scopes(others)
            .call(tool, json!({}))
            .await;
        assert_eq!(refused.status, 403, "{tool}");
        let challenge = refused.headers["www-authenticate"].to_str().expect("text");
        assert!(challenge.contains(scope), "{tool}: {challenge}");
    }
    let open = site.server.call("echo", json!({"message": "x"})).await;
    assert_eq!(open.text(), "Echo: x", "S1-044: open to every caller");
}

#[tokio::test]
async fn rp_04_what_belongs_to_one_is_not_there_for_another() {
    let site = Site::new().await;
    let (bob, admin) = (site.bob(), site.admin());
    // Somebody of another tenant, and somebody of the same name in another tenant.
    let others = [
        site.server.as_user("carol").tenant("org_a"),
        site.server.as_user("bob").tenant("org_c"),
    ]
    .map(|client| client.scopes(["proxy:read", "proxy:write"]));
    site.create(&bob, "b.example.test").await.structured();
    for other in &others {
        assert_eq!(
            site.create(other, "b.example.test").await.code(),
            "hostname_taken"
        );
        let arguments = json!({"hostname": "b.example.test"});
        let foreign = other.call("delete_proxy", arguments).await;
        let unknown = other
            .call("delete_proxy", json!({"hostname": "x.example.test"}))
            .await;
        assert_eq!(foreign.result(), unknown.result());
        assert_eq!(foreign.code(), "not_found");
        for (tool, list) in [
            ("list_proxies", "proxies"),
            ("list_certificates", "certificates"),
        ] {
            let seen = other.call(tool, json!({})).await;
            assert_eq!(seen.structured()[list], json!([]), "{tool}");
        }
    }
    assert_eq!(
        site.get("b.example.test", "/").await.status(),
        200,
        "unchanged"
    );
    // A confirmation is good for whoever was asked.
    let asked = bob
        .call("delete_proxy", json!({"hostname": "b.example.test"}))
        .await;
    let token = &asked.result()["structuredContent"]["confirm_token"];
    let stolen = json!({"hostname": "b.example.test", "confirm_token": token});
    assert_eq!(
        admin.call("delete_proxy", stolen).await.code(),
        "confirm_token_invalid"
    );
    // An admin sees all and may end all.
    let seen = admin.call("list_proxies", json!({})).await;
    assert_eq!(
        seen.structured()["proxies"][0]["hostname"],
        "b.example.test"
    );
    confirmed(
        &admin,
        "delete_proxy",
        json!({"hostname": "b.example.test"}),
    )
    .await
    .structured();
    assert_eq!(site.get("b.example.test", "/").await.status(), 404);
}

#[tokio::test]
async fn s1_003_pages_show_every_host_once_and_a_cursor_is_its_callers() {
    let site = Site::new().await;
    let bob = site.bob();
    for number in 0..7 {
        site.create(&bob, &format!("h{number}.example.test"))
            .await
            .structured();
    }
    site.create(&site.admin(), "admins.example.test")
        .await
        .structured();
    let (mut seen, mut cursor) = (BTreeSet::new(), Value::Null);
    loop {
        let reply = bob
            .call("list_proxies", json!({"limit": 3, "cursor": cursor}))
            .await;
        let page = reply.structured();
        assert_eq!(page["total"], 7);
        for host in page["proxies"].as_array().expect("hosts") {
            assert!(host.get("enable_http").is_none(), "no details: {host}");
            assert!(seen.insert(host["hostname"].as_str().expect("text").to_owned()));
        }
        cursor = page["next_cursor"].clone();
        if cursor.is_null() {
            break;
        }
        let stolen = json!({"cursor": cursor});
        assert_eq!(
            site.admin().call("list_proxies", stolen).await.code(),
            "invalid_cursor"
        );
    }
    assert_eq!(seen.len(), 7);
    let made_up = json!({"cursor": "aDEuZXhhbXBsZS50ZXN0"});
    assert_eq!(
        bob.call("list_proxies", made_up).await.code(),
        "invalid_cursor"
    );
}

#[tokio::test]
async fn a_host_that_asks_for_a_token_lets_its_tenant_in() {
    let site = Site::new().await;
    let arguments = json!({"hostname": "b.example.test", "target_url": site.target.url(), "auth_enabled": true});
    site.bob()
        .call("create_proxy", arguments)
        .await
        .structured();
    let token = |name: &str| {
        let identity = reference_server::identity::Identity::named(name).expect("an identity");
        site.tokens
            .issue(&identity.caller(&[]).expect("a caller"))
            .expect("issued")
    };
    let (http, _) = site.proxy.addresses();
    let url = format!("http://{}/", http.expect("it listens"));
    let get = async |token: Option<&str>| {
        let request = super::browser().get(&url).header("host", "b.example.test");
        let request = token
            .into_iter()
            .fold(request, |request, token| request.bearer_auth(token));
        request.send().await.expect("an answer")
    };
    assert_eq!(get(None).await.status(), 401);
    assert_eq!(get(Some("nonsense")).await.status(), 401);
    assert_eq!(
        get(Some(&token("admin"))).await.status(),
        403,
        "of another tenant"
    );
    assert_eq!(site.target.hits(), 0);
    let logs = site
        .logs(
            &site.bob(),
            json!({"level": "WARNING", "status_code": 403}),
            1,
        )
        .await;
    assert_eq!(logs["logs"][0]["user_id"], "admin", "{logs}");
    let said: Value = super::said(get(Some(&token("bob"))).await).await;
    assert_eq!(said["headers"]["x-auth-user"], "bob");
    assert!(
        said["headers"].get("authorization").is_none(),
        "the token is not handed on"
    );
    let logs = site
        .logs(&site.bob(), json!({"level": "INFO", "status_code": 200}), 1)
        .await;
    assert_eq!(logs["logs"][0]["user_id"], "bob");
}

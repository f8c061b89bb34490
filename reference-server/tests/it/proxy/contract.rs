//! Every answer has the shape that was published; resources and prompts beside the tools.

use serde_json::{Value, json};

use super::{Site, confirmed};

async fn site() -> Site {
    Site::with(|settings| settings.commands.allow = vec!["env".to_owned()]).await
}

/// Every tool with what it takes, and with something that it does not take.
#[tokio::test]
async fn s1_001_to_010_every_tool_answers_in_its_shape_and_refuses_nonsense() {
    let socket = super::services::engine(super::services::CONTAINERS).await;
    let site = Site::with(|settings| {
        settings.commands.allow = vec!["env".to_owned()];
        settings.docker_socket = Some(socket.path());
    })
    .await;
    let admin = site.admin();
    let target = site.target.url();
    let rows = [
        ("echo", json!({"message": "hi"}), json!({"message": 5})),
        ("health_check", json!({}), json!({"deep": true})),
        (
            "create_proxy",
            json!({"hostname": "a.example.test", "target_url": target}),
            json!({"hostname": "a.example.test"}),
        ),
        (
            "list_proxies",
            json!({"include_details": true}),
            json!({"limit": 0}),
        ),
        ("list_proxies", json!({}), json!({"limit": 501})),
        ("list_certificates", json!({}), json!({"token": "x"})),
        ("list_tokens", json!({}), json!({"token": "x"})),
        ("list_services", json!({}), json!({"all": true})),
        (
            "get_logs",
            json!({"level": "DEBUG"}),
            json!({"level": "LOUD"}),
        ),
        (
            "run_command",
            json!({"command": "env"}),
            json!({"command": ["env"]}),
        ),
        (
            "delete_proxy",
            json!({"hostname": "a.example.test"}),
            json!({}),
        ),
    ];
    let listed = admin.request("tools/list", json!({})).await;
    for (tool, good, bad) in rows {
        let reply = match tool {
            "delete_proxy" => confirmed(&admin, tool, good).await,
            _ => admin.call(tool, good).await,
        };
        let structured = reply.structured();
        let tools = listed.result()["tools"].as_array().expect("tools");
        let schema = &tools
            .iter()
            .find(|one| one["name"] == tool)
            .expect("listed")["outputSchema"];
        let schema = jsonschema::validator_for(schema).expect("a schema");
        assert!(schema.is_valid(structured), "{tool}: {structured}");
        let refused = admin.call(tool, bad.clone()).await;
        assert_eq!(refused.code(), "invalid_arguments", "{tool} {bad}");
    }
    assert_eq!(
        admin.call("echo", json!({"message": "hi"})).await.text(),
        "Echo: hi"
    );
}

#[tokio::test]
async fn s1_002_health_names_what_is_unwell() {
    let site = site().await;
    let reply = site.admin().call("health_check", json!({})).await;
    let health = reply.structured();
    assert_eq!(health["status"], "healthy");
    assert_eq!(
        health["components"],
        json!({"store": "healthy", "listener": "healthy", "cert_manager": "healthy", "docker_manager": null})
    );
    std::fs::remove_dir_all(site.folder.path().join("proxy/certificates")).expect("removed");
    let reply = site.admin().call("health_check", json!({})).await;
    let health = reply.structured();
    assert_eq!(health["status"], "degraded");
    assert_eq!(health["components"]["cert_manager"], "unhealthy");
}

#[tokio::test]
async fn s1_049_resources_show_what_the_tools_list() {
    let site = site().await;
    site.create(&site.bob(), "b.example.test")
        .await
        .structured();
    let read = async |client: &mcp_runtime::testing::TestClient, uri: &str| {
        client.request("resources/read", json!({"uri": uri})).await
    };
    let rows = [
        (
            "proxy://targets",
            "/targets/0/hostname",
            json!("b.example.test"),
        ),
        (
            "proxy://targets/b.example.test",
            "/created_by",
            json!("bob"),
        ),
        (
            "proxy://certificates",
            "/certificates/0/name",
            json!("b_example_test"),
        ),
        (
            "proxy://certificates/b_example_test",
            "/self_signed",
            json!(true),
        ),
        (
            "proxy://routes",
            "/routes/1/url",
            json!("https://b.example.test/"),
        ),
        ("proxy://logs/errors", "/count", json!(0)),
    ];
    for (uri, pointer, expected) in rows {
        let reply = read(&site.bob(), uri).await;
        let text = reply.result()["contents"][0]["text"]
            .as_str()
            .expect("text");
        let shown: Value = serde_json::from_str(text).expect("JSON");
        assert_eq!(shown.pointer(pointer), Some(&expected), "{uri}: {shown}");
        assert_eq!(
            read(&site.server.anonymous(), uri).await.status,
            401,
            "{uri}"
        );
    }
    // A foreign host is answered like one that there is not.
    let carol = site.server.as_user("carol").scopes(["proxy:read"]);
    let foreign = read(&carol, "proxy://targets/b.example.test").await;
    let unknown = read(&carol, "proxy://targets/c.example.test").await;
    assert!(foreign.body["error"].is_object(), "{}", foreign.body);
    assert_eq!(
        foreign.body["error"]["message"],
        unknown.body["error"]["message"]
    );
    let none = read(&carol, "proxy://targets").await;
    assert!(
        none.result()["contents"][0]["text"]
            .as_str()
            .is_some_and(|text| text.contains("\"total\":0"))
    );
    let services = read(&site.bob(), "proxy://services").await;
    assert!(
        services.body["error"].is_object(),
        "none is configured: {}",
        services.body
    );
}

#[tokio::test]
async fn s1_050_prompts_lead_through_the_tools() {
    let site = site().await;
    let rows = [
        (
            "onboard_proxy",
            json!({"hostname": "a.example.test", "target_url": "http://app:80"}),
            "a.example.test",
        ),
        (
            "diagnose_proxy",
            json!({"hostname": "a.example.test"}),
            "get_logs",
        ),
        ("certificate_expiry_review", json!({}), "30 days"),
        ("certificate_expiry_review", json!({"days": "7"}), "7 days"),
        ("incident_summary", json!({}), "24 hours"),
    ];
    for (name, arguments, expected) in rows {
        let params = json!({"name": name, "arguments": arguments});
        let reply = site.admin().request("prompts/get", params).await;
        let text = &reply.result()["messages"][0]["content"]["text"];
        assert!(
            text.as_str().is_some_and(|text| text.contains(expected)),
            "{name}: {text}"
        );
    }
    let wrong = json!({"name": "incident_summary", "arguments": {"hours": "169"}});
    assert!(site.admin().request("prompts/get", wrong).await.body["error"].is_object());
}

//! The configuration in files: saved, loaded, and nothing beside.

use std::path::PathBuf;

use mcp_runtime::testing::{TestClient, TestServer};
use reference_server::App;
use reference_server::backend::{Backend, Limits};
use reference_server::toolsets;
use serde_json::{Value, json};

use super::{Site, confirmed};

/// A site with the tools that are served only when named.
struct Desk {
    site: Site,
}

impl Desk {
    async fn new() -> Self {
        let mut site = Site::new().await;
        let token = "a-service-token-for-tests".into();
        let backend = Backend::in_process(axum::Router::new(), &token, Limits::default());
        let app = App {
            backend: backend.expect("a client"),
            proxy: site.proxy.clone(),
            school: reference_server::school::School::absent(),
        };
        let server = toolsets::server(app, &["proxy", "proxy-extended"]).expect("toolsets");
        site.server = TestServer::new(server).expect("a server");
        Self { site }
    }

    async fn save(&self, client: &TestClient, arguments: Value) -> Value {
        client
            .call("config_save", arguments)
            .await
            .structured()
            .clone()
    }

    async fn names(&self, client: &TestClient) -> Vec<String> {
        let reply = client.call("list_proxies", json!({"limit": 500})).await;
        let proxies = reply.structured()["proxies"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let name = |one: &Value| one["hostname"].as_str().map(str::to_owned);
        proxies.iter().filter_map(name).collect()
    }

    /// The one file of this name, whoever saved it.
    fn file(&self, name: &str) -> PathBuf {
        let exports = self.site.folder.path().join("proxy/exports");
        let folders = std::fs::read_dir(&exports).expect("exports");
        let files = folders.map(|folder| folder.expect("a folder").path().join(name));
        let found: Vec<PathBuf> = files.filter(|file| file.exists()).collect();
        assert_eq!(found.len(), 1, "{found:?}");
        found[0].clone()
    }
}

#[tokio::test]
async fn what_was_saved_comes_back_and_answers_traffic() {
    let desk = Desk::new().await;
    let (site, bob) = (&desk.site, desk.site.bob());
    for name in ["one.example.com", "two.example.com"] {
        site.create(&bob, name).await.structured();
    }
    let saved = desk.save(&bob, json!({})).await;
    assert_eq!(saved["host_count"], 2);
    assert_eq!(
        (&saved["token_count"], &saved["certificate_count"]),
        (&json!(0), &json!(0))
    );
    confirmed(&bob, "delete_proxy", json!({"hostname": "one.example.com"}))
        .await
        .structured();
    assert_eq!(site.get("one.example.com", "/").await.status(), 404);

    let there = confirmed(&bob, "config_load", json!({})).await;
    assert_eq!(there.code(), "hosts_exist");
    assert_eq!(
        desk.names(&bob).await,
        ["two.example.com"],
        "all or nothing"
    );
    let loaded = confirmed(&bob, "config_load", json!({"force": true})).await;
    assert_eq!(loaded.structured()["created"], json!(["one.example.com"]));
    assert_eq!(loaded.structured()["replaced"], json!(["two.example.com"]));
    assert_eq!(
        desk.names(&bob).await,
        ["one.example.com", "two.example.com"]
    );
    assert_eq!(site.get("one.example.com", "/").await.status(), 200);
}

#[tokio::test]
async fn everybody_has_files_of_their_own() {
    let desk = Desk::new().await;
    let (admin, bob) = (desk.site.admin(), desk.site.bob());
    desk.site
        .create(&admin, "admin.example.com")
        .await
        .structured();
    desk.site.create(&bob, "bob.example.com").await.structured();
    assert_eq!(
        desk.save(&admin, json!({"name": "all"})).await["host_count"],
        2
    );
    let missing = confirmed(&bob, "config_load", json!({"name": "all"})).await;
    assert_eq!(missing.code(), "not_found");
    assert_eq!(
        desk.save(&bob, json!({"name": "mine"})).await["host_count"],
        1
    );

    // The hosts of others come back as theirs.
    for (client, name) in [(&admin, "admin.example.com"), (&bob, "bob.example.com")] {
        confirmed(client, "delete_proxy", json!({"hostname": name}))
            .await
            .structured();
    }
    confirmed(&admin, "config_load", json!({"name": "all"}))
        .await
        .structured();
    assert_eq!(desk.names(&bob).await, ["bob.example.com"]);
}

#[tokio::test]
async fn secrets_are_left_out_unless_an_admin_asks() {
    let desk = Desk::new().await;
    let (site, admin, bob) = (&desk.site, desk.site.admin(), desk.site.bob());
    site.create(&bob, "bob.example.com").await.structured();
    for ask in ["include_tokens", "include_secrets"] {
        let refused = bob.call("config_save", json!({ask: true})).await;
        assert_eq!(refused.code(), "insufficient_scope", "{ask}");
    }
    let token = site
        .tokens
        .issue(&mcp_runtime::Caller::user("carol"))
        .expect("a token");
    desk.save(&admin, json!({"name": "plain"})).await;
    let plain = std::fs::read_to_string(desk.file("plain.json")).expect("a file");
    assert!(
        !plain.contains("PRIVATE KEY") && !plain.contains("carol"),
        "{plain}"
    );

    let with = json!({"name": "with", "include_tokens": true, "include_secrets": true});
    let saved = desk.save(&admin, with).await;
    assert_eq!(saved["certificate_count"], 1);
    let path = desk.file("with.json");
    let text = std::fs::read_to_string(&path).expect("a file");
    assert!(text.contains("PRIVATE KEY") && text.contains("carol"));
    assert!(!text.contains(&token), "a token is saved");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = path.metadata().expect("metadata").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    // Certificates that are gone come back with their keys.
    let certificate = site
        .folder
        .path()
        .join("proxy/certificates/bob_example_com");
    let key = std::fs::read(certificate.with_extension("key")).expect("a key");
    for ending in ["key", "crt"] {
        std::fs::remove_file(certificate.with_extension(ending)).expect("removed");
    }
    let load = json!({"name": "with", "force": true});
    let loaded = confirmed(&admin, "config_load", load).await;
    assert_eq!(loaded.structured()["certificate_count"], 1);
    assert_eq!(
        std::fs::read(certificate.with_extension("key")).expect("a key"),
        key
    );
}

/// RP-12: no name leads out of the folder, and no link.
#[tokio::test]
async fn rp_12_no_name_and_no_link_leads_out_of_the_folder() {
    let desk = Desk::new().await;
    let bob = desk.site.bob();
    desk.site.create(&bob, "bob.example.com").await.structured();
    desk.save(&bob, json!({"name": "real"})).await;
    for name in [
        "../../etc/passwd",
        "..\\x",
        "a/b",
        "a\u{0}",
        "/etc/passwd",
        "",
        ".",
        "..",
        "a.json",
    ] {
        for tool in ["config_save", "config_load"] {
            let reply = bob.call(tool, json!({"name": name})).await;
            assert_eq!(reply.code(), "invalid_arguments", "{tool} {name:?}");
        }
    }
    let real = desk.file("real.json");
    let outside = desk.site.folder.path().join("outside.json");
    std::fs::copy(&real, &outside).expect("copied");
    #[cfg(unix)]
    {
        let link = real.with_file_name("link.json");
        std::os::unix::fs::symlink(&outside, &link).expect("a link");
        let reply = confirmed(&bob, "config_load", json!({"name": "link", "force": true})).await;
        assert_eq!(reply.code(), "not_found");
        // What is saved replaces the link, and not what it leads to.
        std::fs::write(&outside, "untouched").expect("written");
        desk.save(&bob, json!({"name": "link"})).await;
        assert_eq!(
            std::fs::read_to_string(&outside).expect("a file"),
            "untouched"
        );
        let folder = real.parent().expect("a folder");
        let elsewhere = desk.site.folder.path().join("elsewhere");
        std::fs::rename(folder, &elsewhere).expect("moved");
        std::os::unix::fs::symlink(&elsewhere, folder).expect("a link");
        let reply = confirmed(&bob, "config_load", json!({"name": "real", "force": true})).await;
        assert_eq!(reply.code(), "not_found");
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_file_is_told_and_nothing_is_loaded() {
    let desk = Desk::new().await;
    let (admin, bob) = (desk.site.admin(), desk.site.bob());
    desk.site.create(&bob, "bob.example.com").await.structured();
    desk.save(&bob, json!({})).await;
    let path = desk.file("proxy.json");
    let good: Value = serde_json::from_slice(&std::fs::read(&path).expect("a file")).expect("JSON");
    let host = |name: &str, target: &str| {
        let mut host = good["hosts"][0].clone();
        host["hostname"] = json!(name);
        host["target_url"] = json!(target);
        host
    };
    let target = desk.site.target.url();
    desk.site
        .create(&admin, "theirs.example.com")
        .await
        .structured();
    let rows = [
        (
            vec![host("new.example.com", &target), host("no-dot", &target)],
            "invalid_configuration",
        ),
        (
            vec![
                host("new.example.com", &target),
                host("x.example.com", "http://169.254.169.254"),
            ],
            "invalid_configuration",
        ),
        (
            vec![
                host("new.example.com", &target),
                host("NEW.example.com", &target),
            ],
            "invalid_configuration",
        ),
        (
            vec![
                host("new.example.com", &target),
                host("theirs.example.com", &target),
            ],
            "hostname_taken",
        ),
        (
            vec![
                host("new.example.com", &target),
                host("mcp.example.test", &target),
            ],
            "reserved",
        ),
    ];
    for (hosts, code) in rows {
        let mut document = good.clone();
        document["hosts"] = json!(hosts);
        std::fs::write(&path, document.to_string()).expect("written");
        let reply = confirmed(&bob, "config_load", json!({"force": true})).await;
        assert_eq!(reply.code(), code, "{}", reply.body);
        assert_eq!(desk.names(&bob).await, ["bob.example.com"], "{code}");
    }
    for text in [
        "",
        "{}",
        "[]",
        "{\"format\": 2, \"saved_at\": \"2026-01-01T00:00:00Z\", \"hosts\": []}",
    ] {
        std::fs::write(&path, text).expect("written");
        let reply = confirmed(&bob, "config_load", json!({})).await;
        assert_eq!(reply.code(), "invalid_file", "{text}");
    }
}

#[tokio::test]
async fn a_list_is_kept_until_a_host_comes_or_goes() {
    let desk = Desk::new().await;
    let bob = desk.site.bob();
    let hit = async || {
        let reply = bob.call("list_proxies", json!({})).await;
        reply.result()["_meta"]["mcp-runtime/resultCache"]["hit"].clone()
    };
    assert_eq!(hit().await, false);
    assert_eq!(hit().await, true);
    desk.site
        .create(&desk.site.admin(), "new.example.com")
        .await
        .structured();
    assert_eq!(hit().await, false, "a host has come");
    assert_eq!(hit().await, true);
    desk.save(&bob, json!({})).await;
    assert_eq!(hit().await, true, "saving changes no host");
}

#[tokio::test]
async fn keys_are_restored_only_when_nothing_speaks_against_the_hosts() {
    let desk = Desk::new().await;
    let (site, admin) = (&desk.site, desk.site.admin());
    site.create(&admin, "one.example.com").await.structured();
    desk.save(&admin, json!({"include_secrets": true})).await;
    let certificate = site
        .folder
        .path()
        .join("proxy/certificates/one_example_com");
    for ending in ["key", "crt"] {
        std::fs::remove_file(certificate.with_extension(ending)).expect("removed");
    }
    let refused = confirmed(&admin, "config_load", json!({})).await;
    assert_eq!(refused.code(), "hosts_exist", "{}", refused.body);
    assert!(!certificate.with_extension("key").exists(), "a key is back");
}

/// S1-051: only where the client has declared a model, and the list alone otherwise.
#[tokio::test]
async fn errors_are_summed_up_by_the_model_of_a_client_that_has_one() {
    let desk = Desk::new().await;
    let (site, bob) = (&desk.site, desk.site.bob());
    let nothing = bob.call("summarize_logs", json!({})).await;
    assert_eq!(
        nothing.structured(),
        &json!({"summary": null, "logs": [], "count": 0})
    );
    site.create(&bob, "b.example.com").await.structured();
    site.get("b.example.com", "/broken").await;
    site.get("b.example.com", "/missing").await;
    site.logs(&bob, json!({"level": "WARNING"}), 2).await;

    let alone = bob.call("summarize_logs", json!({"hours": 168})).await;
    assert_eq!(alone.structured()["summary"], Value::Null);
    assert_eq!(alone.structured()["count"], 1, "errors only");
    assert_eq!(alone.structured()["logs"][0]["path"], "/broken");

    let able = site.bob().declares(json!({"sampling": {}}));
    let call = json!({"name": "summarize_logs", "arguments": {"hostname": "B.example.com"}});
    let summed = able.asked("tools/call", call, |_, question| {
        assert_eq!(question["method"], "sampling/createMessage");
        assert_eq!(question["params"]["maxTokens"], 1024);
        assert!(question.to_string().contains("/broken"), "{question}");
        json!({"role": "assistant", "model": "m", "content": {"type": "text", "text": " Broken. "}})
    });
    let summed = summed.await;
    assert_eq!(summed.structured()["summary"], "Broken.");
    assert_eq!(summed.structured()["count"], 1);
    // Who may not see a host reads nothing of it.
    let carol = site.server.as_user("carol").scopes(["proxy:read"]);
    let foreign = carol.call("summarize_logs", json!({})).await;
    assert_eq!(foreign.structured()["count"], 0);
}

//! Two processes that share a database: many who want the same host, and lists that begin at one and
//! go on at the other.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use mcp_runtime::testing::{TestClient, TestServer};
use reference_server::App;
use reference_server::backend::{Backend, Limits};
use reference_server::proxy::{Proxy, Settings};
use reference_server::toolsets;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::{Site, confirmed};

const HOST: &str = "a.example.test";
/// What all processes sign cursors with.
const SECRET: &str = "a-secret-that-all-instances-share";

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_host_has_one_owner_whoever_asks_where() {
    let site = Site::new().await;
    let second = beside(&site).await;
    let mut calls = JoinSet::new();
    for n in 0..20 {
        let server = [&site.server, &second][n % 2];
        let client = server.as_user(&format!("user{n}")).tenant("org_a");
        let client = client.scopes(["proxy:read", "proxy:write"]);
        let target = site.target.url();
        calls.spawn(async move {
            let host =
                json!({"hostname": "a.example.test", "target_url": target, "enable_https": false});
            client.call("create_proxy", host).await
        });
    }
    let mut created = 0;
    for reply in calls.join_all().await {
        match reply.result()["isError"] == true {
            true => assert_eq!(reply.code(), "hostname_taken"),
            false => created += 1,
        }
    }
    assert_eq!(created, 1);
    let mut connection = site.database.connect().await;
    let count = sqlx::query_scalar("SELECT COUNT(*) FROM proxy_targets");
    let rows: i64 = count.fetch_one(&mut connection).await.expect("a number");
    assert_eq!(rows, 1);
}

/// They share the folder of certificates, too: whoever is late is told of the name.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_name_that_is_taken_meanwhile_is_told_as_such_with_one_folder_of_certificates() {
    let site = Site::new().await;
    let certificates = site.folder.path().join("proxy/certificates");
    let (second, _proxy) = served(&site, |settings| settings.certificates = certificates).await;
    for round in 0..10 {
        let hostname = format!("h{round}.example.test");
        let mut calls = JoinSet::new();
        for server in [&site.server, &second] {
            let client = user(server, "before");
            let host = json!({"hostname": hostname, "target_url": site.target.url()});
            calls.spawn(async move { client.call("create_proxy", host).await });
        }
        let replies = calls.join_all().await;
        let refused = replies
            .iter()
            .filter(|reply| reply.result()["isError"] == true);
        let codes: Vec<&str> = refused.map(|reply| reply.code()).collect();
        assert_eq!(codes, ["hostname_taken"], "{hostname}");
    }
}

#[tokio::test]
async fn a_host_whose_certificate_fails_is_not_there() {
    let site = Site::new().await;
    let folder = site.folder.path().join("proxy/certificates");
    std::fs::remove_dir_all(&folder).expect("removed");
    let client = user(&site.server, "before");
    let refused = site.create(&client, HOST).await;
    assert_eq!(refused.code(), "unavailable", "{}", refused.body);
    assert!(creators(&site).await.is_empty(), "it is stored");
    assert_eq!(site.get(HOST, "/").await.status(), 404);
    std::fs::create_dir(&folder).expect("made");
    site.create(&client, HOST).await.structured();
    assert_eq!(site.get(HOST, "/").await.status(), 200);
}

#[tokio::test]
async fn https_is_answered_by_the_other_process_right_after_the_creation() {
    let site = Site::new().await;
    let (_second, proxy) = listening_beside(&site).await;
    let https = proxy.addresses().1.expect("it listens");
    let client = user(&site.server, "before");
    site.create(&client, HOST).await.structured();
    let url = format!("https://{HOST}:{}/", https.port());
    assert_eq!(answered(&url, Some(https)).await, Some(200));
}

#[tokio::test]
async fn what_is_kept_is_dropped_when_another_process_changes_something() {
    let site = Site::new().await;
    let (second, proxy) = listening_beside(&site).await;
    let told = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&told);
    proxy.on_change(move || {
        counted.fetch_add(1, Ordering::SeqCst);
    });
    // The first look reads everything.
    let list = user(&second, "before")
        .call("list_proxies", json!({}))
        .await;
    assert_eq!(list.structured()["total"], 0);
    let before = told.load(Ordering::SeqCst);
    let client = user(&site.server, "before");
    site.create(&client, HOST).await.structured();
    until("the second is told", async || {
        told.load(Ordering::SeqCst) > before
    })
    .await;
}

/// What the second process has confirmed was about a host that is gone.
#[tokio::test]
async fn what_somebody_else_has_got_meanwhile_is_neither_deleted_nor_replaced() {
    let rows = [
        ("delete_proxy", json!({"hostname": HOST}), "not_found"),
        ("config_load", json!({"force": true}), "hostname_taken"),
    ];
    for (tool, mut arguments, code) in rows {
        let site = Site::new().await;
        let (before, after) = (user(&site.server, "before"), user(&site.server, "after"));
        site.create(&before, HOST).await.structured();
        let second = beside(&site).await;
        let late = user(&second, "before");
        late.call("config_save", json!({})).await.structured();
        let asked = late.call(tool, arguments.clone()).await;
        assert_eq!(asked.code(), "confirmation_required", "{}", asked.body);
        arguments["confirm_token"] = asked.result()["structuredContent"]["confirm_token"].clone();

        confirmed(&before, "delete_proxy", json!({"hostname": HOST}))
            .await
            .structured();
        site.create(&after, HOST).await.structured();
        let refused = late.call(tool, arguments).await;
        assert_eq!(refused.code(), code, "{tool}: {}", refused.body);
        assert_eq!(
            creators(&site).await,
            ["after"],
            "{tool} has touched what is somebody else's"
        );
    }
}

#[tokio::test]
async fn a_cursor_is_good_at_another_process_and_after_a_start() {
    let site = Site::with(|settings| settings.cursor_secret = Some(SECRET.into())).await;
    let second = beside(&site).await;
    let cursor = begun(&site).await;
    let next = json!({"limit": 1, "cursor": cursor});
    let reply = user(&second, "before").call("list_proxies", next).await;
    assert_eq!(
        reply.structured()["proxies"][0]["hostname"],
        "b.example.test"
    );

    // Without a secret, one is made and kept in the folder.
    let site = Site::new().await;
    let cursor = begun(&site).await;
    let Site {
        folder,
        database,
        target,
        server,
        ..
    } = site;
    drop(server);
    let site = Site::on((folder, database), target, |_| {}).await;
    let next = json!({"limit": 1, "cursor": cursor});
    let reply = user(&site.server, "before")
        .call("list_proxies", next)
        .await;
    assert_eq!(
        reply.structured()["proxies"][0]["hostname"],
        "b.example.test"
    );
}

#[tokio::test]
async fn what_one_process_changes_the_other_knows_at_once_and_its_listeners_soon() {
    let site = Site::new().await;
    let (second, proxy) = listening_beside(&site).await;
    let (here, there) = (user(&site.server, "before"), user(&second, "before"));
    // Answers are kept for a while where instances have no store to tell each other of writes: each
    // question is another one.
    let hosts = async |limit: u32| {
        let list = there.call("list_proxies", json!({ "limit": limit })).await;
        list.structured()["total"].clone()
    };
    assert_eq!(hosts(1).await, 0);
    site.create(&here, HOST).await.structured();
    let (http, https) = proxy.addresses();
    let http = format!("http://{}/", http.expect("it listens"));
    assert_eq!(answered(&http, None).await, Some(200), "http");
    assert_eq!(hosts(2).await, 1, "created at the first");
    // Its certificate folder is its own.
    let https = https.expect("it listens");
    let url = format!("https://{HOST}:{}/", https.port());
    assert_eq!(answered(&url, Some(https)).await, Some(200), "https");

    let deleted = confirmed(&there, "delete_proxy", json!({"hostname": HOST})).await;
    deleted.structured();
    let list = here.call("list_proxies", json!({})).await;
    assert_eq!(list.structured()["total"], 0, "deleted at the second");
    until("the first has stopped", async || {
        site.get(HOST, "/").await.status() == 404
    })
    .await;
}

/// The status of an answer for the host, where there is one.
async fn answered(url: &str, at: Option<std::net::SocketAddr>) -> Option<u16> {
    let mut client = reqwest::Client::builder()
        .no_proxy()
        .tls_danger_accept_invalid_certs(true);
    if let Some(at) = at {
        client = client.resolve(HOST, at);
    }
    let client = client.build().expect("a client");
    let answer = client.get(url).header("host", HOST).send().await;
    answer.ok().map(|answer| answer.status().as_u16())
}

async fn until(what: &str, holds: impl AsyncFn() -> bool) {
    let since = std::time::Instant::now();
    while !holds().await {
        assert!(since.elapsed() < super::PATIENCE, "not yet: {what}");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

/// The cursor after the first of two hosts.
async fn begun(site: &Site) -> Value {
    let client = user(&site.server, "before");
    for name in [HOST, "b.example.test"] {
        site.create(&client, name).await.structured();
    }
    let page = client.call("list_proxies", json!({"limit": 1})).await;
    let cursor = page.structured()["next_cursor"].clone();
    assert!(cursor.is_string(), "no second page: {}", page.body);
    cursor
}

fn user(server: &TestServer, name: &str) -> TestClient {
    let client = server.as_user(name).tenant("org_a");
    client.scopes(["proxy:read", "proxy:write"])
}

/// Who has created the hosts that there are.
async fn creators(site: &Site) -> Vec<String> {
    let mut connection = site.database.connect().await;
    let names = sqlx::query_scalar("SELECT created_by FROM proxy_targets");
    names.fetch_all(&mut connection).await.expect("names")
}

/// A second process on the database of this one.
async fn beside(site: &Site) -> TestServer {
    served(site, |_| {}).await.0
}

/// The same, with listeners of its own.
async fn listening_beside(site: &Site) -> (TestServer, Proxy) {
    served(site, |settings| {
        settings.listen = Some("127.0.0.1:0".to_owned());
        settings.tls_listen = Some("127.0.0.1:0".to_owned());
    })
    .await
}

async fn served(site: &Site, adjust: impl FnOnce(&mut Settings)) -> (TestServer, Proxy) {
    let mut settings = Settings::new(site.database.url(), site.folder.path().join("second"));
    settings.private_targets = vec![site.target.url()];
    settings.cursor_secret = Some(SECRET.into());
    adjust(&mut settings);
    let clock = mcp_runtime::Clock::system();
    let proxy = Proxy::open(settings, clock.clone()).await;
    let proxy = proxy.expect("a second proxy");
    let router = axum::Router::new();
    let backend = Backend::in_process(router, &"a-service-token".into(), Limits::default());
    let app = App {
        backend: backend.expect("a client"),
        proxy: proxy.clone(),
        school: reference_server::school::School::absent(),
    };
    let server = toolsets::server(app, &["proxy", "proxy-extended"]).expect("toolsets");
    let server = TestServer::new(server.clock(clock)).expect("a server");
    (server, proxy)
}

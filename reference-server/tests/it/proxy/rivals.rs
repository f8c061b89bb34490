//! Many who want the same host, on two processes that share a database.

use mcp_runtime::testing::TestServer;
use reference_server::App;
use reference_server::backend::{Backend, Limits};
use reference_server::proxy::{Proxy, Settings};
use reference_server::toolsets;
use serde_json::json;
use tokio::task::JoinSet;

use super::Site;

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

/// A second process on the database of this one.
async fn beside(site: &Site) -> TestServer {
    let mut settings = Settings::new(site.database.url(), site.folder.path().join("second"));
    settings.private_targets = vec![site.target.url()];
    let clock = mcp_runtime::Clock::system();
    let proxy = Proxy::open(settings, clock.clone()).await;
    let router = axum::Router::new();
    let backend = Backend::in_process(router, &"a-service-token".into(), Limits::default());
    let app = App {
        backend: backend.expect("a client"),
        proxy: proxy.expect("a second proxy"),
        school: reference_server::school::School::absent(),
    };
    let server = toolsets::server(app, &["proxy"]).expect("a toolset");
    TestServer::new(server.clock(clock)).expect("a server")
}

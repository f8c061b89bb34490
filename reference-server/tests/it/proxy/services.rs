//! Containers, asked for at a socket of our own.

use std::path::PathBuf;

use axum::Router;
use axum::http::Uri;
use axum::routing::get;
use serde_json::json;
use tempfile::TempDir;
use tokio::net::UnixListener;

use super::Site;

pub(super) const CONTAINERS: &str = r#"[
    {"Id": "1", "Names": ["/web"], "Image": "nginx:1", "State": "running", "Status": "Up 2 hours",
     "Ports": [{"IP": "127.0.0.1", "PrivatePort": 80, "PublicPort": 8080, "Type": "tcp"},
               {"PrivatePort": 443, "Type": "tcp"}]},
    {"Id": "2", "Names": ["/db"], "Image": "postgres:18", "State": "exited", "Status": "x", "Ports": []}
]"#;

/// A container engine that has these containers.
pub(super) struct Engine(TempDir);

impl Engine {
    pub(super) fn path(&self) -> PathBuf {
        self.0.path().join("docker.sock")
    }
}

pub(super) async fn engine(containers: &'static str) -> Engine {
    let engine = Engine(TempDir::new().expect("a temporary folder"));
    let listener = UnixListener::bind(engine.path()).expect("a socket");
    let list = move |uri: Uri| async move {
        assert_eq!(uri.query(), Some("all=true"));
        containers
    };
    let router = Router::new()
        .route("/containers/json", get(list))
        .route("/_ping", get(|| async { "OK" }));
    tokio::spawn(async move { axum::serve(listener, router).await });
    engine
}

#[tokio::test]
async fn s1_008_containers_are_listed() {
    let engine = engine(CONTAINERS).await;
    let site = Site::with(|settings| settings.docker_socket = Some(engine.path())).await;
    let reply = site.demo("reader").call("list_services", json!({})).await;
    let expected = json!({"count": 2, "services": [
        {"name": "db", "image": "postgres:18", "status": "exited", "ports": []},
        {"name": "web", "image": "nginx:1", "status": "running",
         "ports": ["127.0.0.1:8080->80/tcp", "443/tcp"]},
    ]});
    assert_eq!(reply.structured(), &expected);
    let health = site.admin().call("health_check", json!({})).await;
    assert_eq!(
        health.structured()["components"]["docker_manager"],
        "healthy"
    );
}

#[tokio::test]
async fn s1_008_without_an_engine_services_are_unavailable() {
    let site = Site::new().await;
    let reply = site.admin().call("list_services", json!({})).await;
    assert_eq!(reply.code(), "unavailable");
    let nowhere = site.folder.path().join("nowhere.sock");
    let site = Site::with(|settings| settings.docker_socket = Some(nowhere)).await;
    let reply = site.admin().call("list_services", json!({})).await;
    assert_eq!(reply.code(), "unavailable");
    assert!(
        !reply.body.to_string().contains("nowhere.sock"),
        "{}",
        reply.body
    );
    let health = site.admin().call("health_check", json!({})).await;
    assert_eq!(health.structured()["status"], "degraded");
    // What is no list of containers is no answer, either.
    let engine = engine("{\"message\": \"no\"}").await;
    let site = Site::with(|settings| settings.docker_socket = Some(engine.path())).await;
    let reply = site.admin().call("list_services", json!({})).await;
    assert_eq!(reply.code(), "unavailable");
}

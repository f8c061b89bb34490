//! Which hosts and which targets are refused.

use serde_json::json;
use tokio::net::TcpListener;

use super::{Site, confirmed};

#[tokio::test]
async fn rp_01_targets_that_are_not_allowed_are_refused_and_not_stored() {
    let site = Site::new().await;
    let sink = TcpListener::bind("127.0.0.1:0").await.expect("a socket");
    let port = sink.local_addr().expect("an address").port();
    let own = site.target.address.port();
    let rows = [
        ("http://169.254.169.254/".to_owned(), "target_not_allowed"),
        (format!("http://127.0.0.1:{port}"), "target_not_allowed"),
        (format!("http://localhost:{port}"), "target_not_allowed"),
        (format!("http://[::1]:{port}"), "target_not_allowed"),
        (
            format!("http://[::ffff:127.0.0.1]:{port}"),
            "target_not_allowed",
        ),
        (format!("http://2130706433:{port}"), "target_not_allowed"),
        (format!("https://127.0.0.1:{own}"), "target_not_allowed"),
        ("http://10.0.0.1".to_owned(), "target_not_allowed"),
        ("http://0.0.0.0".to_owned(), "target_not_allowed"),
        (
            "http://no-such-host.invalid".to_owned(),
            "target_unresolvable",
        ),
        ("file:///etc/passwd".to_owned(), "invalid_target"),
        ("gopher://127.0.0.1:6379/_".to_owned(), "invalid_target"),
        ("unix:/run/x".to_owned(), "invalid_target"),
        (format!("http://u:p@127.0.0.1:{own}"), "invalid_target"),
        (format!("http://127.0.0.1:{own}/?a=b"), "invalid_target"),
        ("nonsense".to_owned(), "invalid_target"),
    ];
    for (target, code) in rows {
        let arguments = json!({"hostname": "a.example.test", "target_url": target});
        let reply = site.admin().call("create_proxy", arguments).await;
        assert_eq!(reply.code(), code, "{target}");
    }
    let listed = site.admin().call("list_proxies", json!({})).await;
    assert_eq!(listed.structured()["total"], 0);
    let knock = tokio::time::timeout(std::time::Duration::from_millis(50), sink.accept()).await;
    assert!(knock.is_err(), "somebody connected");
    assert_eq!(site.target.hits(), 0);
}

#[tokio::test]
async fn rp_01_metadata_services_are_refused_even_when_they_are_listed() {
    let metadata = "http://169.254.169.254";
    let site = Site::with(|settings| settings.private_targets.push(metadata.to_owned())).await;
    let arguments = json!({"hostname": "a.example.test", "target_url": metadata});
    let reply = site.admin().call("create_proxy", arguments).await;
    assert_eq!(reply.code(), "target_not_allowed");
}

#[tokio::test]
async fn rp_03_host_names_that_are_none_or_taken_are_refused() {
    let site = Site::new().await;
    site.create(&site.admin(), "a.example.test")
        .await
        .structured();
    let long = format!("{}.example.test", "a.".repeat(121));
    assert!(long.len() >= 254);
    let rows = [
        ("a\r\nX: y", "invalid_hostname"),
        ("*.example.test", "invalid_hostname"),
        ("-bad", "invalid_hostname"),
        ("-bad.example.test", "invalid_hostname"),
        ("plain", "invalid_hostname"),
        ("a..b", "invalid_hostname"),
        (".a.b", "invalid_hostname"),
        ("a.example.test.", "invalid_hostname"),
        ("xn--80ak6aa92e.test", "invalid_hostname"),
        ("\u{430}.example.test", "invalid_hostname"),
        ("127.0.0.1", "invalid_hostname"),
        ("1.2.3", "invalid_hostname"),
        ("a.example.test:80", "invalid_hostname"),
        ("a/b.example.test", "invalid_hostname"),
        (&long, "invalid_hostname"),
        ("mcp.example.test", "reserved"),
        ("MCP.example.test", "reserved"),
        ("A.EXAMPLE.TEST", "hostname_taken"),
    ];
    for (hostname, code) in rows {
        let reply = site.create(&site.admin(), hostname).await;
        assert_eq!(reply.code(), code, "{hostname:?}");
    }
    let listed = site.admin().call("list_proxies", json!({})).await;
    assert_eq!(listed.structured()["total"], 1);
}

#[tokio::test]
async fn rp_05_nothing_is_deleted_before_it_is_confirmed() {
    let site = Site::new().await;
    let admin = site.admin();
    site.create(&admin, "a.example.test").await.structured();
    site.create(&admin, "b.example.test").await.structured();
    let preview = admin
        .call("delete_proxy", json!({"hostname": "a.example.test"}))
        .await;
    assert_eq!(preview.code(), "confirmation_required");
    let shown = &preview.result()["structuredContent"];
    assert!(
        shown["preview"]
            .as_str()
            .is_some_and(|text| text.contains("a.example.test")),
        "{shown}"
    );
    assert_eq!(
        site.get("a.example.test", "/").await.status(),
        200,
        "not yet"
    );
    let other = json!({"hostname": "b.example.test", "confirm_token": shown["confirm_token"]});
    let other = admin.call("delete_proxy", other).await;
    assert_eq!(other.code(), "confirm_token_invalid");
    assert_eq!(site.get("b.example.test", "/").await.status(), 200);
    confirmed(
        &admin,
        "delete_proxy",
        json!({"hostname": "a.example.test"}),
    )
    .await
    .structured();
    assert_eq!(site.get("a.example.test", "/").await.status(), 404);
}

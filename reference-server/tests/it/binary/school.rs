//! The program itself with the school in it.

use http::Method;
use serde_json::{Value, json};

use super::program::{Place, Reply, structured};

/// S4-048, S4-066, S4-008 over HTTP: who is no admin does not come in; an admin adds a user,
/// enrols it and fetches an export.
#[tokio::test]
async fn s4_048_066_the_school_over_http() {
    let place = Place::new();
    let server = place.serve(&["--toolset", "school"]).await;
    let hello = json!({"protocolVersion": "2025-06-18", "capabilities": {},
        "clientInfo": {"name": "test", "version": "1"}});
    for token in [
        place.token(&["--as", "reader"]),
        place.token(&["--as", "bob"]),
    ] {
        let refused = server.ask(Some(&token), "initialize", hello.clone()).await;
        assert_eq!(refused.status, 403, "{}", refused.body);
    }
    assert_eq!(
        server.ask(None, "initialize", hello.clone()).await.status,
        401
    );
    let admin = place.token(&["--as", "admin"]);
    let welcome = server.ask(Some(&admin), "initialize", hello).await;
    assert_eq!(welcome.body["result"]["serverInfo"]["name"], "admin-mcp");

    let user = json!({"email": "zoe@example.com", "name": "Zoe", "role": "student"});
    let added = server
        .call(&admin, "add_user", user)
        .await
        .structured()
        .clone();
    let seat = json!({"user_id": added["user_id"], "class_id": "org_a-class-1"});
    assert_eq!(
        server
            .call(&admin, "create_enrollment", seat)
            .await
            .structured()["status"],
        "active"
    );
    let export = server
        .call(
            &admin,
            "generate_csv_export",
            json!({"template_id": "user_roster_v1"}),
        )
        .await;
    let url = export.structured()["download_url"]
        .as_str()
        .expect("a link")
        .to_owned();
    let path = &url[url.find("/school/").expect("a path")..];
    let file = Reply::of(server.request(Method::GET, path)).await;
    assert_eq!(file.status, 200, "{url}: {}", file.body);
    assert!(
        file.body
            .as_str()
            .expect("text")
            .contains("zoe@example.com")
    );
    assert!(!server.log().contains("signature="), "a link is in the log");
}

/// S4-040, S4-041
#[test]
fn s4_040_041_a_host_says_who_calls_and_where_the_data_is() {
    let place = Place::new()
        .env("USER_ID", "u-1")
        .env("ROLE", "admin")
        .env("TENANT_ID", "org_b")
        .env("DATABASE_URL", "sqlite://elsewhere.db");
    let mut pipe = place.pipe(&["--toolset", "school"]);
    let hello = json!({"protocolVersion": "2025-06-18", "capabilities": {},
        "clientInfo": {"name": "test", "version": "1"}});
    pipe.ask("initialize", hello);
    let read = pipe.ask("resources/read", json!({"uri": "admin://user_roster"}));
    let text = read["result"]["contents"][0]["text"]
        .as_str()
        .expect("a text");
    let roster: Value = serde_json::from_str(text).expect("JSON");
    assert_eq!(
        roster["users"][0]["id"].as_str().map(|id| &id[..5]),
        Some("org_b")
    );
    let report = pipe.call("generate_report", json!({"report_type": "user_summary"}));
    assert!(
        structured(&report)["text"]
            .as_str()
            .expect("text")
            .contains("29 users")
    );
    assert!(place.path().join("elsewhere.db").exists());
    assert!(!place.data().join("school.db").exists());
    let (rest, status) = pipe.close();
    assert!(rest.is_empty() && status.success(), "{rest:?} {status}");
}

#[test]
fn s4_048_a_host_that_vouches_for_no_admin_is_told_so() {
    let rows = [
        (vec![("USER_ID", "u")], "all three"),
        (
            vec![("USER_ID", "u"), ("ROLE", "teacher"), ("TENANT_ID", "t")],
            "ROLE is not admin",
        ),
        (
            vec![("USER_ID", "u"), ("ROLE", "admin"), ("TENANT_ID", "a:b")],
            "TENANT_ID is no tenant",
        ),
        (
            vec![("USER_ID", ""), ("ROLE", "admin"), ("TENANT_ID", "t")],
            "USER_ID is empty",
        ),
        (
            vec![("USER_ID", " "), ("ROLE", "admin"), ("TENANT_ID", "t")],
            "USER_ID is empty",
        ),
    ];
    for (environment, expected) in rows {
        let place = environment
            .iter()
            .fold(Place::new(), |place, (name, value)| place.env(name, value));
        let output = place.run(&["stdio", "--toolset", "school"]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            !output.status.success() && said.contains(expected),
            "{environment:?}: {said}"
        );
    }
}

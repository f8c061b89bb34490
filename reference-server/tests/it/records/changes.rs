//! What has changed: read on from a cursor, heard as it happens, and heard by nobody else.

use mcp_runtime::Changes;
use mcp_runtime::testing::{TestClient, TestStream};
use reference_server::Secret;
use reference_server::backend::{Backend, Limits};
use serde_json::{Value, json};

use super::{Office, done, note, uid_of};

const URI: &str = "toolbridge://changes";

async fn read(client: &TestClient, uri: &str) -> Value {
    let reply = client.read(uri).await;
    let text = reply.result()["contents"][0]["text"]
        .as_str()
        .expect("text");
    serde_json::from_str(text).expect("JSON")
}

/// A stream that is open: what changes from now on is heard.
async fn listen(client: &TestClient) -> TestStream {
    let mut stream = client.listen(json!({"resourceSubscriptions": [URI]})).await;
    let begun = stream.next().await.expect("a beginning");
    assert!(
        begun["method"]
            .as_str()
            .is_some_and(|method| method.contains("subscriptions")),
        "{begun}"
    );
    stream
}

#[track_caller]
fn is_of_changes(message: &Value) {
    assert_eq!(
        message["method"], "notifications/resources/updated",
        "{message}"
    );
    assert_eq!(message["params"]["uri"], URI, "{message}");
}

#[tokio::test]
async fn changes_are_read_on_from_where_somebody_stopped() {
    let office = Office::new().await;
    let ada = office.user("ada", "org_a");
    let empty = read(&ada, URI).await;
    assert_eq!(empty["changes"], json!([]));
    let first = uid_of(&note(&ada, "First").await);
    let second = uid_of(&note(&ada, "Second").await);
    let task = done(&ada, "create_task", json!({"title": "Third"})).await;
    let all = read(&ada, URI).await;
    let seen: Vec<&Value> = all["changes"]
        .as_array()
        .expect("changes")
        .iter()
        .map(|one| &one["uid"])
        .collect();
    assert_eq!(seen, [&json!(first), &json!(second), &task["uid"]]);

    done(
        &ada,
        "patch_note",
        json!({"uid": first, "updates": {"title": "1"}}),
    )
    .await;
    done(&ada, "delete_note", json!({"uid": second})).await;
    let since = |list: &Value| format!("{URI}/{}", list["nextCursor"].as_str().expect("a cursor"));
    let later = read(&ada, &since(&all)).await;
    let told: Vec<(&Value, &Value)> = later["changes"]
        .as_array()
        .expect("changes")
        .iter()
        .map(|one| (&one["uid"], &one["change"]))
        .collect();
    assert_eq!(
        told,
        [
            (&json!(first), &json!("updated")),
            (&json!(second), &json!("deleted"))
        ]
    );
    assert_eq!(later["changes"][1]["entity"], "notes");
    assert!(later["changes"][1]["deletedAt"].is_string());
    let nothing = read(&ada, &since(&later)).await;
    assert_eq!(nothing["changes"], json!([]));
    assert_eq!(nothing["nextCursor"], later["nextCursor"]);
    let from_the_start = read(&ada, &since(&empty)).await;
    assert_eq!(from_the_start["changes"].as_array().map(Vec::len), Some(3));
}

#[tokio::test]
async fn a_wipe_begins_a_new_epoch_in_which_everything_is_new() {
    let office = Office::new().await;
    let ada = office.user("ada", "org_a");
    note(&ada, "Before").await;
    let before = read(&ada, URI).await;
    let owner = mcp_runtime::Caller::user("ada").tenant("org_a").owner();
    let whose = [("x-acting-user", &*owner)];
    let wiped = office
        .ask("POST", "/v1/sync/wipe", &whose, json!({"confirm": "WIPE"}))
        .await;
    assert_eq!(wiped.status, 200, "{}", wiped.body);
    let after = note(&ada, "After").await;
    let cursor = before["nextCursor"].as_str().expect("a cursor");
    let later = read(&ada, &format!("{URI}/{cursor}")).await;
    assert_eq!(
        later["epoch"],
        json!(before["epoch"].as_i64().map(|epoch| epoch + 1))
    );
    assert_eq!(later["changes"][0]["uid"], after["uid"]);
    assert_eq!(later["changes"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn a_cursor_of_somewhere_else_leads_nowhere() {
    let office = Office::new().await;
    let ada = office.user("ada", "org_a");
    for cursor in ["bm9uc2Vuc2U", "x", "%2e%2e"] {
        let reply = ada.read(&format!("{URI}/{cursor}")).await;
        assert!(
            reply.body.get("error").is_some(),
            "{cursor}: {}",
            reply.body
        );
    }
}

#[tokio::test]
async fn what_is_no_cursor_is_not_found_like_any_resource_that_is_not_there() {
    let office = Office::new().await;
    let ada = office.user("ada", "org_a");
    let nothing = ada.read("toolbridge://nothing").await;
    let nothing = nothing.error();
    for cursor in ["zzzz", "bm9uc2Vuc2U", "x", "%2e%2e"] {
        let reply = ada.read(&format!("{URI}/{cursor}")).await;
        let error = reply.error();
        assert_eq!(error["code"], nothing["code"], "{cursor}: {error}");
        assert_eq!(error["message"], nothing["message"], "{cursor}: {error}");
    }
}

/// Whatever changes one's records, each change is heard once.
#[tokio::test]
async fn whoever_listens_hears_of_each_change_however_it_was_made() {
    let office = Office::new().await;
    let ada = office.user("ada", "org_a");
    let mut stream = listen(&ada).await;
    let uid = uid_of(&note(&ada, "Title").await);
    is_of_changes(&stream.next().await.expect("the creation"));
    let archived = json!({"uid": uid});
    done(&ada, "archive_note", archived).await;
    is_of_changes(&stream.next().await.expect("the archiving"));

    // Over the API itself, from another device.
    let owner = mcp_runtime::Caller::user("ada").tenant("org_a").owner();
    let (session, epoch) = office.session(&owner, "org_a").await;
    let headers = [
        ("x-acting-user", &*owner),
        ("x-sync-session", &*session),
        ("x-sync-epoch", &*epoch),
    ];
    let body = json!({"title": "On the phone", "content": "text"});
    let made = office.ask("POST", "/v1/notes", &headers, body).await;
    assert_eq!(made.status, 201, "{}", made.body);
    is_of_changes(&stream.next().await.expect("the change of another device"));
    let whose = [("x-acting-user", &*owner)];
    office
        .ask("POST", "/v1/sync/wipe", &whose, json!({"confirm": "WIPE"}))
        .await;
    is_of_changes(&stream.next().await.expect("the wipe"));

    // What only reads, and what fails, is no change: the next thing heard is the last change.
    done(&ada, "list_notes", json!({})).await;
    done(&ada, "search", json!({"query": "chairs"})).await;
    let missing = json!({"uid": super::NOBODY, "title": "x", "content": "x"});
    ada.call("update_note", missing).await.code();
    let mut other = listen(&ada).await;
    note(&ada, "Last").await;
    is_of_changes(&stream.next().await.expect("the last change"));
    is_of_changes(&other.next().await.expect("the last change"));
    let heard = tokio::time::timeout(std::time::Duration::from_millis(200), stream.next()).await;
    assert!(heard.is_err(), "heard twice: {heard:?}");
}

/// TN: neither the other user of the tenant, nor the same name in another tenant.
#[tokio::test]
async fn tn_nobody_hears_or_reads_of_the_changes_of_another() {
    let office = Office::new().await;
    let ada = office.user("ada", "org_a");
    let others = [office.user("bob", "org_a"), office.user("ada", "org_b")];
    let mut streams = Vec::new();
    for other in &others {
        streams.push(listen(other).await);
    }
    note(&ada, "Secret").await;
    let cursor = read(&ada, URI).await["nextCursor"]
        .as_str()
        .expect("a cursor")
        .to_owned();
    for (other, stream) in others.iter().zip(&mut streams) {
        let heard =
            tokio::time::timeout(std::time::Duration::from_millis(200), stream.next()).await;
        assert!(heard.is_err(), "{heard:?}");
        assert_eq!(read(other, URI).await["changes"], json!([]));
        assert_eq!(
            read(other, &format!("{URI}/{cursor}")).await["changes"],
            json!([])
        );
        // The stream works: the own change is heard.
        note(other, "Own").await;
        is_of_changes(&stream.next().await.expect("the own change"));
    }
}

/// Where the API runs elsewhere, nobody tells what others change there: own changes are heard.
#[tokio::test]
async fn of_an_api_elsewhere_own_changes_are_heard() {
    let office = Office::new().await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a socket");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let router = office.router.clone();
    tokio::spawn(async move { axum::serve(listener, router).await });
    let changes = Changes::default();
    let heard = changes.clone();
    let backend = Backend::remote(&url, &Secret::from(super::TOKEN), Limits::default())
        .expect("a client")
        .on_record_change(move |owner| heard.resource_of_owner(owner, URI));
    let server = super::tools_with(backend, &office.clock, changes);
    let scopes = ["records:read", "records:write"];
    let ada = server.as_user("ada").tenant("org_a").scopes(scopes);
    let mut stream = listen(&ada).await;
    note(&ada, "Title").await;
    is_of_changes(&stream.next().await.expect("the own change"));
    done(&ada, "list_notes", json!({})).await;
    done(&ada, "search", json!({"query": "title"})).await;
    let bob = server.as_user("bob").tenant("org_a").scopes(scopes);
    note(&bob, "Not hers").await;
    let more = tokio::time::timeout(std::time::Duration::from_millis(200), stream.next()).await;
    assert!(more.is_err(), "{more:?}");
}

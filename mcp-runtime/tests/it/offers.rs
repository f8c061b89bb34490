//! Resources, prompts and completion, as clients meet them.

use mcp_runtime::ResourceSet;
use mcp_runtime::prelude::*;
use mcp_runtime::testing::{TestClient, TestReply, TestServer};
use serde_json::{Value, json};

use crate::ask::{LEGACY, MODERN, header};

#[derive(Serialize, JsonSchema)]
struct Note {
    id: u32,
    text: &'static str,
}

/// How to write a note.
#[mcp_resource("notes://help", public, title = "Help")]
fn help() -> &'static str {
    "Write \"milk\"."
}

/// The logo.
#[mcp_resource("notes://logo", public, mime = "image/png")]
fn logo() -> Blob {
    Blob(b"\x89PNG".to_vec())
}

/// A note.
#[mcp_resource("notes://{id}", public)]
fn note(id: u32) -> ToolResult<Note> {
    match id {
        7 => Ok(Note { id, text: "milk" }),
        9 => Err(ToolError::new("note 9 was thrown away").code("not_found")),
        _ => Err(ToolError::new("there is no such note").code("no_note")),
    }
}

/// What a segment says.
#[mcp_resource("echo://{word}/end", public)]
fn echo(word: String) -> String {
    word
}

/// A file.
#[mcp_resource("files:///{+path}", public, mime = "text/markdown", complete = paths)]
fn file(path: String) -> String {
    path
}

async fn paths(typed: Complete) -> Vec<String> {
    typed.among(["a/b.md", "a/c.md", "d.md"])
}

/// A document, for whoever holds the scope of that document.
#[mcp_resource("docs://{id}", scope = "docs:{id}:read")]
fn document(id: String) -> String {
    id
}

/// For chiefs.
#[mcp_resource("secret://plan", authenticated, role = "chief")]
fn plan() -> &'static str {
    "plan"
}

/// For whoever the path names.
#[mcp_resource("home://{user}", authenticated, guard = caller.subject() == Some(&*user))]
fn home(caller: &Caller, user: String) -> String {
    let _ = caller;
    user
}

/// Say hello.
#[mcp_prompt(public)]
fn hello() -> &'static str {
    "Hello!"
}

/// Review code.
#[mcp_prompt(public, title = "Review", complete = languages)]
fn review(
    /// What it is written in.
    language: String,
    #[arg(range = 1..=5)] depth: Option<u8>,
) -> Messages {
    Messages::new()
        .user(format!("Review {language}, {} deep.", depth.unwrap_or(1)))
        .assistant(Content::image(b"x", "image/png"))
}

async fn languages(typed: Complete) -> Vec<String> {
    match &*typed.argument {
        "language" => typed.among(["Rust", "Ruby", "Go"]),
        // As many as there are.
        "depth" => (0..250).map(|n| n.to_string()).collect(),
        "who" => vec![typed.caller.subject().unwrap_or("nobody").to_owned()],
        _ => typed.others.into_values().collect(),
    }
}

/// For chiefs.
#[mcp_prompt(authenticated, role = "chief", complete = languages)]
fn order() -> &'static str {
    "March!"
}

fn notes() -> ResourceSet {
    resources![help, logo, note, echo, file, document, plan, home]
}

fn server() -> TestServer {
    let server = Server::new(tools![])
        .resources(notes())
        .prompts(prompts![hello, review, order]);
    TestServer::new(server).unwrap()
}

async fn read(client: &TestClient, uri: &str) -> TestReply {
    client
        .request("resources/read", json!({ "uri": uri }))
        .await
}

async fn get(name: &str, arguments: Value) -> TestReply {
    let params = json!({ "name": name, "arguments": arguments });
    server().anonymous().request("prompts/get", params).await
}

async fn complete(client: &TestClient, reference: Value, argument: &str, value: &str) -> TestReply {
    let params = json!({ "ref": reference, "argument": { "name": argument, "value": value } });
    client.request("completion/complete", params).await
}

fn prompt(name: &str) -> Value {
    json!({ "type": "ref/prompt", "name": name })
}

fn revisions() -> impl Iterator<Item = &'static str> {
    LEGACY.into_iter().chain([MODERN])
}

#[tokio::test]
async fn what_is_read_is_text_bytes_or_json() {
    for revision in revisions() {
        let client = server().anonymous().revision(revision);
        for (uri, mime, field, held) in [
            ("notes://help", "text/plain", "text", "Write \"milk\"."),
            ("notes://logo", "image/png", "blob", "iVBORw=="),
            (
                "notes://7",
                "application/json",
                "text",
                r#"{"id":7,"text":"milk"}"#,
            ),
            ("files:///a/b.md", "text/markdown", "text", "a/b.md"),
        ] {
            let reply = read(&client, uri).await;
            let expected = json!([{ "uri": uri, "mimeType": mime, field: held }]);
            assert_eq!(reply.result()["contents"], expected, "{revision} {uri}");
        }
    }
}

#[tokio::test]
async fn a_variable_is_decoded_once_and_stays_in_its_segment() {
    let client = server().anonymous();
    for (uri, expected) in [
        ("echo://a%2Fb/end", Some("a/b")),
        ("echo://a%252Fb/end", Some("a%2Fb")),
        ("echo://%C3%A9/end", Some("é")),
        ("echo://a/b/end", None),
        ("echo:///end", None),
        ("echo://%ff/end", None),
        ("echo://%zz/end", None),
        ("files:///a/b/c", Some("a/b/c")),
        ("files:///", None),
    ] {
        let reply = read(&client, uri).await;
        let text = reply.body["result"]["contents"][0]["text"].as_str();
        assert_eq!(text, expected, "{uri}: {}", reply.body);
    }
}

#[tokio::test]
async fn what_is_not_there_is_told_in_the_words_of_the_revision() {
    for revision in revisions() {
        let code = if revision == MODERN { -32602 } else { -32002 };
        let client = server().as_user("ada").revision(revision);
        // Nowhere, hidden, and of the template, but not of its type.
        for uri in [
            "nowhere://x",
            "secret://plan",
            "notes://seven",
            "notes://-7",
        ] {
            let reply = read(&client, uri).await;
            assert_eq!(reply.status, 200, "{revision} {uri}");
            assert_eq!(
                *reply.error(),
                json!({ "code": code, "message": "Resource not found", "data": { "uri": uri } }),
                "{revision} {uri}"
            );
        }
        // Or its author says so.
        let reply = read(&client, "notes://9").await;
        let expected = json!({ "code": code, "message": "note 9 was thrown away", "data": { "uri": "notes://9" } });
        assert_eq!(*reply.error(), expected, "{revision}");
    }
}

#[tokio::test]
async fn an_error_of_the_author_is_told() {
    let reply = read(&server().anonymous(), "notes://8").await;
    let expected = json!({ "code": -32603, "message": "there is no such note", "data": { "code": "no_note" } });
    assert_eq!(*reply.error(), expected);
}

#[tokio::test]
async fn a_scope_may_depend_on_the_uri() {
    let (server, uri) = (server(), "docs://7");
    let with = |scope: &str| server.as_user("ada").scopes([scope]);
    for scope in ["docs:8:read", "docs:{id}:read", "docs:*:read", "docs:read"] {
        let reply = read(&with(scope), uri).await;
        let challenge = header(&reply, "www-authenticate").unwrap_or_default();
        assert_eq!(reply.status, 403, "{scope}: {}", reply.body);
        assert!(challenge.contains("scope=\"docs:7:read\""), "{challenge}");
    }
    let anonymous = read(&server.anonymous(), uri).await;
    assert_eq!(anonymous.status, 401);
    let granted = read(&with("docs:7:read"), uri).await;
    assert_eq!(granted.status, 200);
    assert_eq!(granted.result()["contents"][0]["text"], "7");
    // What no scope can be: `docs:a b:read` is two of them.
    let split = server.as_user("ada").scopes(["docs:a", "b:read"]);
    assert_eq!(read(&split, "docs://a%20b").await.error()["code"], -32602);
}

#[tokio::test]
async fn roles_hide_and_guards_refuse() {
    let server = server();
    let chief = server.as_user("ada").roles(["chief"]);
    assert_eq!(
        read(&chief, "secret://plan").await.result()["contents"][0]["text"],
        "plan"
    );
    assert_eq!(
        read(&chief, "home://ada").await.result()["contents"][0]["text"],
        "ada"
    );
    assert_eq!(
        read(&chief, "home://bob").await.error()["data"]["code"],
        "forbidden"
    );
    let order = |client: TestClient| async move {
        client
            .request("prompts/get", json!({ "name": "order" }))
            .await
    };
    assert_eq!(
        order(chief).await.result()["messages"][0]["content"]["text"],
        "March!"
    );
    let hidden = order(server.as_user("bob")).await;
    let unknown = server
        .as_user("bob")
        .request("prompts/get", json!({ "name": "x" }))
        .await;
    assert_eq!(hidden.error(), unknown.error());
}

#[tokio::test]
async fn resources_and_templates_are_listed_apart() {
    let client = server().as_user("ada");
    let resources = client.request("resources/list", json!({})).await;
    assert_eq!(
        resources.result()["resources"],
        json!([
            { "uri": "notes://help", "name": "help", "title": "Help", "description": "How to write a note.", "mimeType": "text/plain" },
            { "uri": "notes://logo", "name": "logo", "description": "The logo.", "mimeType": "image/png" },
        ])
    );
    let templates = client.request("resources/templates/list", json!({})).await;
    let listed = templates.result()["resourceTemplates"]
        .as_array()
        .unwrap()
        .iter();
    let uris: Vec<_> = listed
        .map(|template| template["uriTemplate"].as_str().unwrap())
        .collect();
    assert_eq!(
        uris,
        [
            "notes://{id}",
            "echo://{word}/end",
            "files:///{+path}",
            "docs://{id}",
            "home://{user}"
        ]
    );
}

#[tokio::test]
async fn lists_come_in_pages() {
    let server = Server::new(tools![])
        .resources(notes())
        .prompts(prompts![hello, review, order])
        .page_size(1);
    let chief = TestServer::new(server)
        .unwrap()
        .as_user("ada")
        .roles(["chief"]);
    for (method, field, name, expected) in [
        (
            "resources/list",
            "resources",
            "name",
            &["help", "logo", "plan"][..],
        ),
        (
            "resources/templates/list",
            "resourceTemplates",
            "name",
            &["note", "echo", "file", "document", "home"],
        ),
        (
            "prompts/list",
            "prompts",
            "name",
            &["hello", "review", "order"],
        ),
    ] {
        let (mut names, mut params) = (Vec::new(), json!({}));
        loop {
            let reply = chief.request(method, params).await;
            let page = reply.result()[field].as_array().unwrap();
            assert_eq!(page.len(), 1, "{method}");
            names.push(page[0][name].as_str().unwrap().to_owned());
            match reply.result().get("nextCursor") {
                Some(cursor) => params = json!({ "cursor": cursor }),
                None => break,
            }
        }
        assert_eq!(names, expected, "{method}");
        let stray = chief.request(method, json!({ "cursor": "9-x" })).await;
        assert_eq!(stray.error()["code"], -32602, "{method}");
    }
}

#[tokio::test]
async fn a_prompt_lists_its_arguments() {
    let reply = server()
        .anonymous()
        .request("prompts/list", json!({}))
        .await;
    assert_eq!(
        reply.result()["prompts"],
        json!([
            { "name": "hello", "description": "Say hello." },
            { "name": "review", "title": "Review", "description": "Review code.", "arguments": [
                { "name": "language", "description": "What it is written in.", "required": true },
                { "name": "depth", "required": false },
            ] },
        ])
    );
}

#[tokio::test]
async fn a_prompt_becomes_messages() {
    let hello = get("hello", json!({})).await;
    assert_eq!(
        hello.result()["messages"],
        json!([{ "role": "user", "content": { "type": "text", "text": "Hello!" } }])
    );
    assert_eq!(hello.result()["description"], "Say hello.");
    let review = get("review", json!({ "language": "Rust", "depth": "3" })).await;
    assert_eq!(
        review.result()["messages"],
        json!([
            { "role": "user", "content": { "type": "text", "text": "Review Rust, 3 deep." } },
            { "role": "assistant", "content": { "type": "image", "data": "eA==", "mimeType": "image/png" } },
        ])
    );
    // What looks like a number stays the text that it is.
    let review = get("review", json!({ "language": "3" })).await;
    assert_eq!(
        review.result()["messages"][0]["content"]["text"],
        "Review 3, 1 deep."
    );
}

#[tokio::test]
async fn arguments_of_a_prompt_are_checked() {
    for (arguments, word) in [
        (json!({}), "language"),
        (json!({ "language": "Rust", "depth": "9" }), "depth"),
        (json!({ "language": "Rust", "depth": "deep" }), "depth"),
        (json!({ "language": "Rust", "deep": "1" }), "deep"),
        (json!({ "language": 1 }), "strings"),
        (json!([]), "object"),
    ] {
        let reply = get("review", arguments.clone()).await;
        let error = reply.error();
        assert_eq!(error["code"], -32602, "{arguments}");
        assert!(
            error["message"].as_str().unwrap().contains(word),
            "{arguments}: {error}"
        );
    }
}

#[tokio::test]
async fn what_is_typed_is_completed() {
    for revision in revisions() {
        let client = server().as_user("ada").revision(revision);
        let file = json!({ "type": "ref/resource", "uri": "files:///{+path}" });
        for (reference, argument, value, expected) in [
            (prompt("review"), "language", "ru", vec!["Rust", "Ruby"]),
            (prompt("review"), "who", "", vec!["ada"]),
            (file.clone(), "path", "A/", vec!["a/b.md", "a/c.md"]),
            (file, "path", "x", vec![]),
            // Known, but nobody suggests.
            (prompt("hello"), "name", "", vec![]),
        ] {
            let reply = complete(&client, reference, argument, value).await;
            assert_eq!(
                reply.result()["completion"],
                json!({ "values": expected, "total": expected.len(), "hasMore": false }),
                "{revision} {argument}"
            );
        }
    }
}

#[tokio::test]
async fn a_hundred_suggestions_at_once() {
    let reply = complete(&server().anonymous(), prompt("review"), "depth", "").await;
    let completion = &reply.result()["completion"];
    assert_eq!(completion["values"].as_array().unwrap().len(), 100);
    assert_eq!(
        (&completion["total"], &completion["hasMore"]),
        (&json!(250), &json!(true))
    );
}

#[tokio::test]
async fn suggestions_know_the_other_arguments() {
    let params = json!({
        "ref": prompt("review"),
        "argument": { "name": "other", "value": "" },
        "context": { "arguments": { "language": "Rust" } },
    });
    let reply = server()
        .anonymous()
        .request("completion/complete", params)
        .await;
    assert_eq!(reply.result()["completion"]["values"], json!(["Rust"]));
}

#[tokio::test]
async fn what_may_not_be_known_of_is_not_completed() {
    let server = server();
    for reference in [
        prompt("nothing"),
        prompt("order"),
        json!({ "type": "ref/resource", "uri": "files:///a" }),
        json!({ "type": "ref/tool", "name": "review" }),
        json!({}),
    ] {
        let reply = complete(&server.as_user("bob"), reference.clone(), "language", "").await;
        assert_eq!(reply.error()["code"], -32602, "{reference}");
    }
    let chief = server.as_user("ada").roles(["chief"]);
    let reply = complete(&chief, prompt("order"), "language", "g").await;
    assert_eq!(reply.result()["completion"]["values"], json!(["Go"]));
}

#[tokio::test]
async fn what_a_server_does_not_have_it_does_not_know() {
    let server = TestServer::new(Server::new(tools![]).prompts(prompts![hello])).unwrap();
    let reply = complete(&server.anonymous(), prompt("hello"), "x", "").await;
    assert_eq!(reply.error()["code"], -32601);
    for method in [
        "resources/list",
        "resources/templates/list",
        "resources/read",
    ] {
        let reply = server
            .anonymous()
            .request(method, json!({ "uri": "x://y" }))
            .await;
        assert_eq!(reply.error()["code"], -32601, "{method}");
    }
    let discover = server
        .anonymous()
        .request("server/discover", json!({}))
        .await;
    let capabilities = discover.result()["capabilities"].as_object().unwrap();
    assert!(capabilities.contains_key("prompts"), "{capabilities:?}");
    assert!(!capabilities.contains_key("resources"), "{capabilities:?}");
    assert!(
        !capabilities.contains_key("completions"),
        "{capabilities:?}"
    );
}

//! What lists hold for whom, where they hold what is allowed: the challenge of a call is the same.

use mcp_runtime::access::{Decision, Operation};
use mcp_runtime::prelude::*;
use mcp_runtime::testing::TestServer;
use mcp_runtime::{Lists, Service};
use serde_json::json;

use crate::ask::{Ask, MODERN, header};
use crate::live::within;

/// For everybody.
#[mcp_tool(public)]
fn open() -> u8 {
    1
}

/// For those who say who they are.
#[mcp_tool(authenticated)]
fn known() -> u8 {
    1
}

/// For one scope.
#[mcp_tool(scope = "a:read")]
fn scoped() -> u8 {
    1
}

/// For two scopes.
#[mcp_tool(scopes("a:read", "b:write"))]
fn both() -> u8 {
    1
}

/// For a scope and a role.
#[mcp_tool(scope = "a:read", role = "chief")]
fn ranked() -> u8 {
    1
}

/// For one scope.
#[mcp_resource("notes://today", scope = "a:read")]
fn today() -> &'static str {
    "milk"
}

/// For whoever holds the scope of a document.
#[mcp_resource("docs://{id}", scope = "docs:{id}:read")]
fn document(id: String) -> String {
    id
}

/// For one scope.
#[mcp_prompt(scope = "b:write")]
fn letter() -> &'static str {
    "Write."
}

fn service(lists: Lists) -> Service {
    Server::new(tools![open, known, scoped, both, ranked])
        .resources(resources![today, document])
        .prompts(prompts![letter])
        .lists(lists)
        .build()
        .unwrap()
}

type Found = [&'static [&'static str]; 4];

/// `(who, the caller, tools, resources, templates, prompts)` where lists hold what is allowed.
fn rows() -> Vec<(&'static str, Caller, Found)> {
    let ada = || Caller::user("ada");
    vec![
        (
            "nobody in particular",
            Caller::anonymous(),
            [&["open"], &[], &[], &[]],
        ),
        ("no scope", ada(), [&["open", "known"], &[], &[], &[]]),
        (
            "one scope",
            ada().scope("a:read"),
            [&["open", "known", "scoped"], &["notes://today"], &[], &[]],
        ),
        (
            "scopes that look alike",
            ada().scopes(["a:read2", "docs::read", "docs:7:write", "docs:7:read:x"]),
            [&["open", "known"], &[], &[], &[]],
        ),
        (
            "the scope of one document",
            ada().scope("docs:7:read"),
            [&["open", "known"], &[], &["docs://{id}"], &[]],
        ),
        (
            "everything",
            ada().scopes(["a:read", "b:write"]).role("chief"),
            [
                &["open", "known", "scoped", "both", "ranked"],
                &["notes://today"],
                &[],
                &["letter"],
            ],
        ),
    ]
}

#[tokio::test]
async fn jw_02_tm_06_lists_hold_what_is_allowed_and_calls_challenge_all_the_same() {
    let server = TestServer::over(service(Lists::Allowed));
    for (who, caller, [tools, resources, templates, prompts]) in rows() {
        for revision in ["2025-06-18", MODERN] {
            let client = server.as_caller(caller.clone()).revision(revision);
            assert_eq!(client.tools().await, tools, "{who}, {revision}");
            assert_eq!(client.resources().await, resources, "{who}, {revision}");
            assert_eq!(client.templates().await, templates, "{who}, {revision}");
            assert_eq!(client.prompts().await, prompts, "{who}, {revision}");
        }
    }
    let ada = server.as_user("ada").revision(MODERN);
    let refused = ada.call("both", json!({})).await;
    assert_eq!(
        (refused.status, header(&refused, "www-authenticate")),
        (
            403,
            Some("Bearer error=\"insufficient_scope\", scope=\"a:read b:write\"")
        )
    );
    let anonymous = server.anonymous().revision(MODERN);
    let refused = anonymous.call("both", json!({})).await;
    assert_eq!(
        (refused.status, header(&refused, "www-authenticate")),
        (401, Some("Bearer scope=\"a:read b:write\""))
    );
}

#[tokio::test]
async fn unless_said_otherwise_lists_hold_what_a_scope_would_open() {
    for server in [
        TestServer::over(service(Lists::Acquirable)),
        TestServer::over(service(Lists::default())),
    ] {
        let anonymous = server.anonymous();
        assert_eq!(anonymous.tools().await, ["open", "known", "scoped", "both"]);
        assert_eq!(anonymous.resources().await, ["notes://today"]);
        assert_eq!(anonymous.templates().await, ["docs://{id}"]);
        assert_eq!(anonymous.prompts().await, ["letter"]);
    }
}

/// TR-48: what differs between callers is never shared between them, empty or not.
#[tokio::test]
async fn tr_48_a_list_that_differs_between_callers_is_private() {
    let scope = async |server: &TestServer, method: &str| {
        let reply = Ask::modern(method, json!({})).send(server).await;
        reply.result()["cacheScope"].clone()
    };
    let server = TestServer::over(service(Lists::Allowed));
    for method in [
        "tools/list",
        "resources/list",
        "resources/templates/list",
        "prompts/list",
    ] {
        assert_eq!(scope(&server, method).await, "private", "{method}");
    }
    let all_open = TestServer::new(Server::new(tools![open]).lists(Lists::Allowed)).unwrap();
    assert_eq!(scope(&all_open, "tools/list").await, "public");
}

#[tokio::test]
async fn nobody_hears_of_a_list_that_did_not_change_for_them() {
    let wanted = json!({ "toolsListChanged": true, "promptsListChanged": true });
    for (lists, expected) in [
        (Lists::Allowed, "notifications/prompts/list_changed"),
        (Lists::Acquirable, "notifications/tools/list_changed"),
    ] {
        let service = service(lists);
        let switches = service.switches();
        let changes = service.changes().clone();
        let server = TestServer::over(service);
        let mut hears = server
            .as_user("ada")
            .revision(MODERN)
            .listen(wanted.clone())
            .await;
        let acknowledged = within(hears.next()).await.expect("an acknowledgement");
        assert!(
            acknowledged["method"]
                .as_str()
                .is_some_and(|method| method.ends_with("acknowledged")),
            "{acknowledged}"
        );
        switches.tool("scoped").off().unwrap();
        // Marks the end: a change that is announced to everybody.
        changes.prompts();
        let heard = within(hears.next()).await.expect("a note");
        assert_eq!(heard["method"], expected, "{lists:?}");
    }
}

#[test]
fn the_matrix_says_what_is_listed() {
    let ada = Caller::user("ada");
    for (lists, listed) in [(Lists::Allowed, false), (Lists::Acquirable, true)] {
        let service = service(lists);
        let scoped = service.explain(&ada, &Operation::tool("scoped"));
        let scopes = vec!["a:read".to_owned()];
        assert_eq!(scoped.decision, Decision::StepUp { scopes });
        assert_eq!(scoped.listed, listed, "{lists:?}");
        let ranked = service.explain(&ada, &Operation::tool("ranked"));
        assert_eq!((ranked.decision, ranked.listed), (Decision::Hide, false));
        assert!(service.explain(&ada, &Operation::tool("open")).listed);
    }
}

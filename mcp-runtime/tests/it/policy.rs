//! Who may call what, and what everybody else learns.

use mcp_runtime::prelude::*;
use mcp_runtime::testing::{TestReply, TestServer};
use mcp_runtime::{AuthError, Authenticate, Authentication};
use serde_json::{Value, json};

use crate::ask::{Ask, LEGACY, MODERN, call, header};
use crate::live::Live;

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
fn both(#[arg(range = 1..=3)] n: u8) -> u8 {
    n
}

/// For a scope and one of two roles.
#[mcp_tool(scope = "a:read", roles("chief", "deputy"))]
fn ranked(#[arg(range = 1..=3)] n: u8) -> u8 {
    n
}

/// For the owner of an order.
#[mcp_tool(authenticated, guard = caller.subject() == Some(&*order))]
fn guarded(caller: &Caller, order: String) -> String {
    let _ = caller;
    order
}

fn builder() -> Server {
    Server::new(tools![open, known, scoped, both, ranked, guarded])
}

fn server() -> TestServer {
    TestServer::new(builder()).unwrap()
}

fn callers() -> Vec<(&'static str, Caller)> {
    let ada = || Caller::user("ada");
    vec![
        ("anonymous", Caller::anonymous()),
        ("no scope", ada()),
        ("some scopes", ada().scope("a:read")),
        ("all scopes", ada().scopes(["a:read", "b:write"])),
        (
            "wrong role",
            ada().scopes(["a:read", "b:write"]).role("Chief"),
        ),
        (
            "right role",
            ada().scopes(["a:read", "b:write"]).role("deputy"),
        ),
        ("right role, no scope", ada().role("chief")),
    ]
}

/// One word for what came back.
fn word(reply: &TestReply) -> String {
    let challenge = header(reply, "www-authenticate");
    match (reply.status, &reply.body) {
        (200, body) if body.get("error").is_some() => format!("{}", body["error"]["code"]),
        (200, body) if body["result"]["isError"] == true => {
            body["result"]["structuredContent"]["code"]
                .as_str()
                .unwrap_or("?")
                .to_owned()
        }
        (200, _) => "ok".to_owned(),
        (status, _) => format!("{status} {}", challenge.unwrap_or("without a challenge")),
    }
}

#[tokio::test]
async fn every_kind_of_caller_meets_every_kind_of_policy() {
    const OK: &str = "ok";
    const UNKNOWN: &str = "-32602";
    const ANON: &str = "401 Bearer";
    const ANON_A: &str = "401 Bearer scope=\"a:read\"";
    const ANON_AB: &str = "401 Bearer scope=\"a:read b:write\"";
    const NEED_A: &str = "403 Bearer error=\"insufficient_scope\", scope=\"a:read\"";
    const NEED_AB: &str = "403 Bearer error=\"insufficient_scope\", scope=\"a:read b:write\"";
    let matrix: [(&str, Value, [&str; 7]); 7] = [
        ("open", json!({}), [OK; 7]),
        ("known", json!({}), [ANON, OK, OK, OK, OK, OK, OK]),
        (
            "scoped",
            json!({}),
            [ANON_A, NEED_A, OK, OK, OK, OK, NEED_A],
        ),
        (
            "both",
            json!({ "n": 1 }),
            [ANON_AB, NEED_AB, NEED_AB, OK, OK, OK, NEED_AB],
        ),
        (
            "ranked",
            json!({ "n": 1 }),
            [UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, OK, NEED_A],
        ),
        (
            "guarded",
            json!({ "order": "ada" }),
            [ANON, OK, OK, OK, OK, OK, OK],
        ),
        (
            "guarded",
            json!({ "order": "bob" }),
            [
                ANON,
                "forbidden",
                "forbidden",
                "forbidden",
                "forbidden",
                "forbidden",
                "forbidden",
            ],
        ),
    ];
    let server = server();
    let mut wrong = Vec::new();
    for revision in LEGACY.into_iter().chain([MODERN]) {
        for (tool, arguments, row) in &matrix {
            for ((who, caller), expected) in callers().into_iter().zip(row) {
                let reply = server
                    .as_caller(caller)
                    .revision(revision)
                    .call(tool, arguments.clone())
                    .await;
                let got = word(&reply);
                if got != *expected {
                    wrong.push(format!(
                        "{revision} {who} × {tool}{arguments}: expected {expected}, got {got}"
                    ));
                }
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "the access matrix is broken:\n{}",
        wrong.join("\n")
    );
}

#[tokio::test]
async fn lists_show_what_can_be_acquired_and_hide_what_cannot() {
    let server = server();
    for (who, caller) in callers() {
        let names = server.as_caller(caller).tools().await.join(" ");
        let expected = match who {
            "right role" | "right role, no scope" => "open known scoped both ranked guarded",
            _ => "open known scoped both guarded",
        };
        assert_eq!(names, expected, "{who}");
    }
}

/// TM-06: not a byte tells a hidden tool from an unknown one, at any revision, with any arguments.
#[tokio::test]
async fn hidden_is_unknown_to_the_last_byte() {
    let tokens =
        StaticTokens::new().token("ada-token-0123456789", Caller::user("ada").scope("a:read"));
    let live = Live::start(builder().auth(tokens).build().unwrap()).await;
    for revision in LEGACY.into_iter().chain([MODERN]) {
        for token in [None, Some("Bearer ada-token-0123456789")] {
            for arguments in [
                json!({}),
                json!({ "n": 1 }),
                json!({ "n": "x", "is_admin": true }),
            ] {
                let mut answers = Vec::new();
                for tool in ["ranked", "zzzzzz"] {
                    let mut ask = call(revision, tool, arguments.clone());
                    if let Some(token) = token {
                        ask = ask.header("authorization", token);
                    }
                    let answer = live.exchange(&ask.bytes()).await;
                    // The date changes by itself.
                    let lines: Vec<_> = answer
                        .lines()
                        .filter(|l| !l.starts_with("date:"))
                        .map(str::to_owned)
                        .collect();
                    answers.push(lines);
                }
                assert_eq!(
                    answers[0], answers[1],
                    "{revision}: a hidden tool can be told from an unknown one"
                );
                assert!(answers[0][0].contains("200"), "{:?}", answers[0]);
            }
        }
    }
    live.stop().await;
}

/// TM-17: who may not call learns nothing about the arguments.
#[tokio::test]
async fn tm_17_arguments_are_read_after_the_policy() {
    let server = server();
    let bad = json!({ "n": "nine", "nn": 1 });
    assert_eq!(server.call("both", bad.clone()).await.status, 401, "TM-17");
    assert_eq!(
        server.as_user("ada").call("both", bad.clone()).await.status,
        403,
        "TM-17"
    );
    let ada = server.as_user("ada").scopes(["a:read", "b:write"]);
    assert_eq!(
        ada.call("ranked", bad.clone()).await.error()["code"],
        -32602,
        "TM-17"
    );
    assert_eq!(ada.call("both", bad).await.code(), "invalid_arguments");
}

/// TM-14: a name is its bytes.
#[tokio::test]
async fn tm_14_names_that_only_look_right_are_unknown() {
    let server = server();
    let reference = Ask::legacy("2025-06-18", "tools/call", json!({ "name": "nobody" }))
        .send(&server)
        .await;
    for name in [
        "Open",
        "OPEN",
        "open ",
        " open",
        "open\u{200b}",
        "\u{feff}open",
        "op\u{435}n",
        "open\u{0}",
        "open/",
        "./open",
        "",
        "оpen",
    ] {
        let reply = Ask::legacy("2025-06-18", "tools/call", json!({ "name": name }))
            .send(&server)
            .await;
        assert_eq!(reply.body, reference.body, "TM-14: {name:?}");
    }
}

const GOOD: &str = "ada-token-0123456789";

fn guarded_by_tokens() -> TestServer {
    let tokens = StaticTokens::new()
        .token(GOOD, Caller::user("ada").scope("a:read"))
        .digest(
            mcp_runtime::token_digest("bob-token-0123456789"),
            Caller::user("bob"),
        );
    TestServer::new(builder().auth(tokens)).unwrap()
}

#[tokio::test]
async fn a_token_is_never_overlooked() {
    let server = guarded_by_tokens();
    let open = || call(MODERN, "open", json!({}));
    let with = |value: &str| open().header("authorization", value);
    let rows: Vec<(&str, Ask, u16)> = vec![
        ("none", open(), 200),
        ("good", with(&format!("Bearer {GOOD}")), 200),
        (
            "a scheme in any capitals",
            with(&format!("bEARER  {GOOD} ")),
            200,
        ),
        ("by digest", with("Bearer bob-token-0123456789"), 200),
        ("unknown", with("Bearer nobody-0123456789"), 401),
        (
            "in other capitals",
            with(&format!("Bearer {}", GOOD.to_uppercase())),
            401,
        ),
        ("a prefix", with(&format!("Bearer {}", &GOOD[..10])), 401),
        ("more than a token", with(&format!("Bearer {GOOD} x")), 401),
        ("empty", with(""), 401),
        ("no token", with("Bearer"), 401),
        ("no token but a space", with("Bearer "), 401),
        ("another scheme", with("Basic YWRhOmFkYQ=="), 401),
        ("no scheme", with(GOOD), 401),
        (
            "twice the same",
            with(&format!("Bearer {GOOD}")).also("authorization", format!("Bearer {GOOD}")),
            401,
        ),
        (
            "good and bad",
            with(&format!("Bearer {GOOD}")).also("authorization", "Bearer x"),
            401,
        ),
        (
            "not ASCII",
            open().also("authorization", b"Bearer \xff\xfe"),
            401,
        ),
        (
            "in the query",
            open().uri(&format!("/mcp?access_token={GOOD}")),
            200,
        ),
    ];
    for (what, ask, status) in rows {
        let reply = ask.send(&server).await;
        assert_eq!(
            reply.status, status,
            "a token that is {what}: {}",
            reply.body
        );
        if status == 401 {
            assert_eq!(
                header(&reply, "www-authenticate"),
                Some("Bearer error=\"invalid_token\""),
                "A3: {what}"
            );
            assert!(
                !reply.body.to_string().contains("token-0123456789"),
                "the token is echoed: {}",
                reply.body
            );
        }
    }
    let in_query = call(MODERN, "known", json!({})).uri(&format!("/mcp?access_token={GOOD}"));
    assert_eq!(
        in_query.send(&server).await.status,
        401,
        "A5: a token counts in its header only"
    );
    let ada = call(MODERN, "scoped", json!({})).header("authorization", &format!("Bearer {GOOD}"));
    assert_eq!(ada.send(&server).await.status, 200);
    let bob =
        call(MODERN, "scoped", json!({})).header("authorization", "Bearer bob-token-0123456789");
    assert_eq!(bob.send(&server).await.status, 403);
    // Bad tokens are refused before a byte of the body is read.
    let garbage = Ask::raw("{garbage").header("authorization", "Bearer x");
    assert_eq!(garbage.send(&server).await.status, 401);
    assert!(
        !format!("{:?}", StaticTokens::new().token(GOOD, Caller::user("a"))).contains("ada-token")
    );
}

#[tokio::test]
async fn without_authentication_every_token_is_refused() {
    let reply = call(MODERN, "open", json!({}))
        .header("authorization", "Bearer anything")
        .send(&server())
        .await;
    assert_eq!(reply.status, 401);
}

/// HI-02: nothing that a proxy may add opens anything.
#[tokio::test]
async fn forwarded_headers_open_nothing() {
    let server = guarded_by_tokens();
    for name in [
        "x-forwarded-uri",
        "x-original-url",
        "x-rewrite-url",
        "x-forwarded-path",
        "x-forwarded-prefix",
    ] {
        let reply = call(MODERN, "known", json!({}))
            .header(name, "/api/v1/health")
            .send(&server)
            .await;
        assert_eq!(reply.status, 401, "HI-02: {name}");
    }
    for name in [
        "x-forwarded-user",
        "x-user",
        "x-remote-user",
        "x-forwarded-email",
    ] {
        let reply = call(MODERN, "known", json!({}))
            .header(name, "ada")
            .send(&server)
            .await;
        assert_eq!(reply.status, 401, "HI-02: {name}");
    }
}

/// ST-13: what a client says about itself gives it nothing.
#[tokio::test]
async fn claims_in_the_message_give_nothing() {
    let server = server();
    let mut meta = crate::ask::meta();
    meta["role"] = json!("chief");
    meta["io.modelcontextprotocol/clientInfo"] = json!({ "name": "chief", "version": "1" });
    let params =
        json!({ "name": "ranked", "arguments": { "n": 1 }, "role": "chief", "_meta": meta });
    let reply = Ask::modern("tools/call", params).send(&server).await;
    assert_eq!(reply.error()["code"], -32602, "ST-13");
}

struct Down;

impl Authenticate for Down {
    fn authenticate<'a>(&'a self, _: &'a str) -> Authentication<'a> {
        Box::pin(async { Err(AuthError::Unavailable) })
    }
}

#[tokio::test]
async fn who_cannot_be_checked_stays_outside() {
    let server = TestServer::new(builder().auth(Down)).unwrap();
    let reply = call(MODERN, "open", json!({}))
        .header("authorization", "Bearer x")
        .send(&server)
        .await;
    assert_eq!(
        (reply.status, header(&reply, "retry-after")),
        (503, Some("5")),
        "fails closed"
    );
}

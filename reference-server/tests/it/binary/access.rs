//! Who may do what: the matrix that the program shows, and what it answers over the wire to every
//! kind of caller. What is added to a toolset is in here by itself.

use mcp_runtime::access::{Decision, Operation};
use mcp_runtime::testing::IdentityProvider;
use mcp_runtime::{Clock, Policy};
use reference_server::toolsets;
use serde_json::{Value, json};

use super::program::{Place, Reply, Running};

const RESOURCE: &str = "https://mcp.example.com/mcp";

/// Adding something to a toolset changes this: look at who may do it, then `cargo insta accept`.
#[test]
fn the_matrix_is_pinned() {
    let output = Place::new().run(&["access", "--format", "markdown"]);
    insta::assert_snapshot!(String::from_utf8(output.stdout).expect("text"));
}

#[test]
fn the_matrix_comes_in_three_forms_and_touches_no_data() {
    let place = Place::new();
    let show = |format: &str| {
        let output = place.run(&["access", "--format", format]);
        String::from_utf8(output.stdout).expect("text")
    };
    let rows: Value = serde_json::from_str(&show("json")).expect("JSON");
    let rows = rows.as_array().expect("rows");
    assert_eq!(
        rows.len(),
        toolsets::policies::<&str>(&[]).expect("all").iter().count()
    );
    let send = rows
        .iter()
        .find(|row| row["name"] == "instainstru_invites_send")
        .expect("the send");
    assert_eq!(
        send["callers"]["reader"],
        json!({"decision": "step_up", "scopes": ["copilot:write"], "listed": false})
    );
    assert_eq!(
        send["callers"]["admin"],
        json!({"decision": "allow", "listed": true})
    );
    let table = show("table");
    assert_eq!(table.lines().count(), rows.len() + 1, "{table}");
    assert!(!place.data().exists());
}

/// `(arguments, what is said)`
const WHY: &[(&[&str], &[&str])] = &[
    (
        &["tool:instainstru_invites_send", "--as", "reader"],
        &[
            "reader (scopes: copilot:read ",
            "403 (copilot:write)",
            "lacks",
        ],
    ),
    (
        &["tool:instainstru_invites_send", "--as", "admin"],
        &[": allow"],
    ),
    (
        &["tool:instainstru_invites_send"],
        &[
            "a caller without a token: 401 (copilot:write)",
            "asks for a token",
        ],
    ),
    (
        &["tool:instainstru_invites_sent", "--as", "admin"],
        &[": hide", "no such thing", "tool:instainstru_invites_send"],
    ),
    (
        &[
            "tool:instainstru_metrics_describe",
            "--as",
            "eve",
            "--scope",
            "copilot:read",
            "--role",
            "guest",
            "--tenant",
            "org_x",
        ],
        &["eve (scopes: copilot:read; roles: guest; tenant: org_x): allow"],
    ),
];

#[test]
fn one_decision_is_explained() {
    let place = Place::new();
    for (arguments, expected) in WHY {
        let output = place.run(&[&["why"], *arguments].concat());
        let text = String::from_utf8_lossy(&output.stdout);
        for part in *expected {
            assert!(text.contains(part), "{arguments:?}: {text}");
        }
    }
    let required = Place::new().env("MCP_AUTH__MODE", "required");
    let output = required.run(&["why", "tool:instainstru_metrics_describe"]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("the mode is `required`"), "{text}");
    for (arguments, expected) in [
        (["why", "instainstru_invites_send"], "tool:NAME"),
        (["why", "tool:"], "tool:NAME"),
    ] {
        let error = place.run(&arguments).stderr;
        let error = String::from_utf8_lossy(&error);
        assert!(error.contains(expected), "{error}");
    }
}

/// Who tries. `Right` lacks nothing; every other lacks one thing.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Class {
    Anonymous,
    WrongAudience,
    Expired,
    WrongScope,
    WrongRole,
    WrongTenant,
    Right,
}

const CLASSES: [Class; 7] = [
    Class::Anonymous,
    Class::WrongAudience,
    Class::Expired,
    Class::WrongScope,
    Class::WrongRole,
    Class::WrongTenant,
    Class::Right,
];

/// What stands for a variable of a template.
const VARIABLE: &str = "MXwx";

#[tokio::test]
async fn every_kind_of_caller_gets_what_the_policy_says_for_everything_there_is() {
    let idp = IdentityProvider::start(Clock::system(), RESOURCE)
        .await
        .expect("an identity provider");
    let issuer = format!(
        "[{{ issuer = \"{}\", tenant_claim = \"org_id\", allow_loopback = true }}]",
        idp.issuer()
    );
    let place = Place::new()
        .env("MCP_AUTH__ISSUER", &issuer)
        .env("MCP_PUBLIC_URL", RESOURCE)
        // Everything there is, asked for by everybody, as fast as it goes.
        .env("MCP_PROXY__COMMANDS__ALLOW", "uptime")
        .env("MCP_LIMITS__REQUESTS", "off")
        .env("MCP_LIMITS__WRITES", "off")
        .env("MCP_LIMITS__ANONYMOUS", "off")
        .env("MCP_LIMITS__FAILED_AUTHENTICATIONS", "off");
    let server = place.serve(&[]).await;
    let policies = toolsets::policies::<&str>(&[]).expect("all");
    let mut hidden = 0;
    for (operation, policy) in policies.iter() {
        for class in CLASSES {
            let token = token(&idp, policy, class);
            let expected = expected(policy, class);
            let reply = attempt(
                &server,
                token.as_deref(),
                operation.kind(),
                operation.name(),
            )
            .await;
            let at = format!("{operation} for {class:?}: {} {}", reply.status, reply.body);
            let other: String = operation.name().chars().rev().collect();
            let unknown = attempt(&server, token.as_deref(), operation.kind(), &other).await;
            let unknown = unknown
                .body
                .to_string()
                .replace(&filled(&other), &filled(operation.name()));
            match &expected {
                Decision::Allow => {
                    assert!(reply.status != 401 && reply.status != 403, "{at}");
                    assert_ne!(reply.body.to_string(), unknown, "{at}");
                }
                Decision::Hide => {
                    hidden += 1;
                    assert_eq!(reply.body.to_string(), unknown, "{at}");
                    let listed = listed(&server, token.as_deref(), operation).await;
                    assert!(!listed.contains(operation.name()), "{at}: it is listed");
                }
                Decision::Authenticate { .. } => {
                    assert_eq!(reply.status, 401, "{at}");
                    let challenge = challenge(&reply);
                    let sent = token.is_some();
                    assert_eq!(challenge.contains("invalid_token"), sent, "{challenge}");
                    assert!(challenge.contains("resource_metadata="), "{challenge}");
                }
                Decision::StepUp { scopes } => {
                    assert_eq!(reply.status, 403, "{at}");
                    let challenge = challenge(&reply);
                    let all = format!("scope=\"{}\"", scopes.join(" "));
                    assert!(
                        challenge.contains("error=\"insufficient_scope\"")
                            && challenge.contains(&all),
                        "{challenge}"
                    );
                }
            }
        }
    }
    let asks =
        |policy: &Policy| usize::from(!policy.needed_roles().is_empty() || policy.needs_tenant());
    let least: usize = policies.iter().map(|(_, policy)| asks(policy)).sum();
    assert!(
        hidden >= least,
        "what asks for a role or a tenant was hidden from somebody"
    );
}

/// Written down once more, from the rules rather than from the code.
fn expected(policy: &Policy, class: Class) -> Decision {
    let restricted = !policy.needed_roles().is_empty() || policy.needs_tenant();
    let scopes: Vec<String> = policy
        .needed_scopes()
        .iter()
        .map(|scope| filled(scope))
        .collect();
    match class {
        Class::WrongAudience | Class::Expired => Decision::Authenticate { scopes },
        Class::Anonymous if restricted => Decision::Hide,
        Class::Anonymous if policy.is_public() => Decision::Allow,
        Class::Anonymous => Decision::Authenticate { scopes },
        Class::WrongRole if !policy.needed_roles().is_empty() => Decision::Hide,
        Class::WrongTenant if policy.needs_tenant() => Decision::Hide,
        Class::WrongScope if !scopes.is_empty() => Decision::StepUp { scopes },
        _ => Decision::Allow,
    }
}

fn token(idp: &IdentityProvider, policy: &Policy, class: Class) -> Option<String> {
    let scopes: Vec<String> = policy
        .needed_scopes()
        .iter()
        .map(|scope| filled(scope))
        .collect();
    let role = policy.needed_roles().first().map_or("staff", |role| role);
    let mint = idp
        .mint()
        .claim("scope", scopes.join(" "))
        .claim("roles", json!([role]))
        .claim("org_id", "org_a");
    let mint = match class {
        Class::Anonymous => return None,
        Class::WrongAudience => mint.claim("aud", "https://other.example.com/mcp"),
        Class::Expired => mint.claim("iat", 1_700_000_000).claim("exp", 1_700_000_600),
        Class::WrongScope => mint.claim("scope", "other:scope"),
        Class::WrongRole => mint.claim("roles", json!(["somebody-else"])),
        Class::WrongTenant => mint.without("org_id"),
        Class::Right => mint,
    };
    Some(mint.sign())
}

/// Tries it with an argument that nothing has, so that what is allowed ends at the check of the
/// arguments, before it does anything.
async fn attempt(server: &Running, token: Option<&str>, kind: &str, name: &str) -> Reply {
    let extra = json!({"no_such_argument": "x"});
    let (method, params) = match kind {
        "tool" => ("tools/call", json!({"name": name, "arguments": extra})),
        "prompt" => ("prompts/get", json!({"name": name, "arguments": extra})),
        _ => ("resources/read", json!({"uri": filled(name)})),
    };
    server.ask(token, method, params).await
}

async fn listed(server: &Running, token: Option<&str>, operation: &Operation) -> String {
    let method = match operation {
        Operation::Tool(_) => "tools/list",
        Operation::Prompt(_) => "prompts/list",
        Operation::Resource(uri) if uri.contains('{') => "resources/templates/list",
        Operation::Resource(_) => "resources/list",
    };
    server.ask(token, method, json!({})).await.body.to_string()
}

fn challenge(reply: &Reply) -> String {
    let header = reply.headers.get("www-authenticate");
    let header = header.expect("a challenge").to_str().expect("text");
    header.to_owned()
}

/// With something for every variable.
fn filled(template: &str) -> String {
    let mut parts = template.split('{');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| {
        text + VARIABLE + part.split_once('}').map_or("", |(_, rest)| rest)
    })
}

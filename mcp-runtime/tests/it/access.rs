//! What the policies say, and that it is what happens.

use mcp_runtime::access::{Decision, Operation, Policies};
use mcp_runtime::prelude::*;
use mcp_runtime::testing::TestServer;
use mcp_runtime::{AuthMode, Policy, PromptSet, ResourceSet, Skills};
use serde_json::json;

use crate::ask::Ask;

/// For everybody.
#[mcp_tool(public)]
fn open() -> u8 {
    1
}

/// For everybody who is known.
#[mcp_tool(authenticated)]
fn known() -> u8 {
    1
}

/// Needs two scopes.
#[mcp_tool(scopes("orders:read", "orders:write"))]
fn order() -> u8 {
    1
}

/// Needs a role and a scope.
#[mcp_tool(role = "support", scope = "refunds:write")]
fn refund() -> u8 {
    1
}

/// Needs a tenant.
#[mcp_tool(authenticated)]
fn ours(tenant: &Tenant) -> String {
    tenant.to_string()
}

/// Needs a scope.
#[mcp_resource("shop://stock", scope = "stock:read")]
fn stock() -> &'static str {
    "full"
}

/// Needs a role and a scope that names the document.
#[mcp_resource("shop://docs/{id}", role = "support", scope = "docs:{id}:read")]
fn document(id: String) -> String {
    id
}

/// Needs a role.
#[mcp_prompt(authenticated, role = "support")]
fn letter() -> &'static str {
    "Write."
}

fn tools() -> ToolSet {
    tools![open, known, order, refund, ours]
}

fn all_resources() -> ResourceSet {
    resources![stock, document]
}

fn server() -> Server {
    Server::new(tools())
        .resources(all_resources())
        .prompts(prompts![letter])
}

fn callers() -> Vec<Caller> {
    let ada = || Caller::user("ada");
    let scopes = [
        "orders:read",
        "orders:write",
        "refunds:write",
        "stock:read",
        "docs:7:read",
    ];
    vec![
        Caller::anonymous(),
        ada(),
        ada().scope("orders:read"),
        ada().role("support"),
        ada().role("somebody"),
        ada().tenant("acme"),
        // No id of a tenant.
        ada().tenant("../acme"),
        ada().scopes(scopes),
        ada().scopes(scopes).role("support"),
        ada().scopes(scopes).role("support").tenant("acme"),
    ]
}

async fn attempt(server: &TestServer, caller: &Caller, operation: &Operation) -> (u16, String) {
    let name = operation.name().replace("{id}", "7");
    let ask = match operation {
        Operation::Tool(_) => Ask::modern("tools/call", json!({ "name": name, "arguments": {} })),
        Operation::Prompt(_) => Ask::modern("prompts/get", json!({ "name": name })),
        Operation::Resource(_) => {
            Ask::modern("resources/read", json!({ "uri": name })).header("mcp-name", &name)
        }
    };
    let reply = server.send(ask.request(caller.clone())).await;
    (reply.status, reply.body.to_string())
}

#[tokio::test]
async fn what_is_decided_is_what_happens() {
    let service = server().build().unwrap();
    let policies = Policies::of(&tools(), &all_resources(), &prompts![letter]);
    let server = TestServer::over(service.clone());
    for caller in callers() {
        for operation in service.operations() {
            // Read is one of the template.
            let one = Operation::resource(operation.name().replace("{id}", "7"));
            let tried = match operation {
                Operation::Resource(_) => &one,
                _ => &operation,
            };
            let access = service.explain(&caller, tried);
            assert_eq!(access, policies.explain(&caller, tried));
            let (status, body) = attempt(&server, &caller, &operation).await;
            let unknown = match &operation {
                Operation::Tool(_) => Operation::tool("nothing"),
                Operation::Resource(_) => Operation::resource("shop://nothing"),
                Operation::Prompt(_) => Operation::prompt("nothing"),
            };
            let (nothing, other) = attempt(&server, &caller, &unknown).await;
            let other = other.replace(unknown.name(), tried.name());
            let hidden = (status, &body) == (nothing, &other);
            let happened = match (status, hidden) {
                (_, true) => "hide",
                (200, _) => "allow",
                (401, _) => "401",
                (403, _) => "403",
                _ => "something else",
            };
            let said = access.decision.to_string();
            assert_eq!(
                said.split(' ').next(),
                Some(happened),
                "{operation} for {caller:?}: {status} {body}"
            );
            assert_eq!(access.reasons.is_empty(), access.decision.is_allowed());
        }
    }
}

/// `(caller, operation, decision, what the reasons say)`
#[test]
fn everything_that_is_missing_is_named() {
    let service = server().build().unwrap();
    let ada = || Caller::user("ada");
    let scoped = |scopes: &[&str]| scopes.iter().map(|scope| (*scope).to_owned()).collect();
    let rows: Vec<(Caller, &str, Decision, Vec<&str>)> = vec![
        (
            ada(),
            "tool:refund",
            Decision::Hide,
            vec!["role `support`", "scope `refunds:write`"],
        ),
        (
            ada().scope("orders:read"),
            "tool:order",
            Decision::StepUp {
                scopes: scoped(&["orders:read", "orders:write"]),
            },
            vec!["`orders:write`"],
        ),
        (
            Caller::anonymous(),
            "tool:known",
            Decision::Authenticate {
                scopes: scoped(&[]),
            },
            vec!["asks for a token"],
        ),
        (ada(), "tool:ours", Decision::Hide, vec!["of a tenant"]),
        (
            ada().role("support"),
            "resource:shop://docs/7",
            Decision::StepUp {
                scopes: scoped(&["docs:7:read"]),
            },
            vec!["`docs:7:read`"],
        ),
        (
            ada().role("support"),
            "resource:shop://docs/{id}",
            Decision::StepUp {
                scopes: scoped(&["docs:{id}:read"]),
            },
            vec!["`docs:{id}:read`"],
        ),
        (
            ada().role("support"),
            "resource:shop://docs/a%22b",
            Decision::Hide,
            vec!["this URI cannot be part of"],
        ),
        (
            ada(),
            "prompt:letters",
            Decision::Hide,
            vec!["no such thing"],
        ),
        (ada(), "tool:known", Decision::Allow, vec![]),
    ];
    for (caller, operation, decision, reasons) in rows {
        let parsed: Operation = operation.parse().unwrap();
        assert_eq!(parsed.to_string(), operation);
        let access = service.explain(&caller, &parsed);
        assert_eq!(access.decision, decision, "{operation}");
        assert_eq!(access.reasons.len(), reasons.len(), "{:?}", access.reasons);
        for (said, part) in access.reasons.iter().zip(reasons) {
            assert!(said.contains(part), "{operation}: {said}");
        }
    }
    for wrong in ["refund", "tool:", "tools:refund", ""] {
        assert!(wrong.parse::<Operation>().is_err(), "{wrong}");
    }
}

#[test]
fn switches_and_modes_are_seen() {
    let service = server().build().unwrap();
    let open = Operation::tool("open");
    let anonymous = Caller::anonymous();
    assert!(service.explain(&anonymous, &open).decision.is_allowed());
    service.switches().tool("open").off().unwrap();
    let access = service.explain(&anonymous, &open);
    assert_eq!(access.decision, Decision::Hide);
    assert_eq!(access.reasons, ["it is switched off"]);
    // A template that is off is off for what it reads.
    let support = Caller::user("ada").role("support").scope("docs:7:read");
    let document = Operation::resource("shop://docs/7");
    assert!(service.explain(&support, &document).decision.is_allowed());
    service
        .switches()
        .resource("shop://docs/{id}")
        .off()
        .unwrap();
    assert_eq!(
        service.explain(&support, &document).decision,
        Decision::Hide
    );

    let tokens = StaticTokens::new().token("correct horse battery staple", Caller::user("ada"));
    let required = server().auth(tokens).auth_mode(AuthMode::Required);
    let required = required.build().unwrap();
    for access in required.access(&anonymous) {
        assert!(matches!(access.decision, Decision::Authenticate { .. }));
    }
    let open = server().auth_mode(AuthMode::Open).build().unwrap();
    for access in open.access(&Caller::user("ada")) {
        assert!(matches!(access.decision, Decision::Authenticate { .. }));
    }
}

#[test]
fn skills_are_resources_with_the_policy_of_their_folder() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("notes")).unwrap();
    let text = "---\nname: notes\ndescription: How to take notes.\n---\nTake notes.\n";
    std::fs::write(folder.path().join("notes/SKILL.md"), text).unwrap();
    let skills = Skills::dir(folder.path()).policy(Policy::scope("skills:read"));
    let service = Server::new(tools![open])
        .skills(skills)
        .prompts(PromptSet::new())
        .build()
        .unwrap();
    let access = service.access(&Caller::user("ada"));
    let found = access
        .iter()
        .find(|access| access.operation.kind() == "resource");
    let found = found.expect("the SKILL.md");
    assert!(found.operation.name().ends_with("notes/SKILL.md"));
    assert_eq!(found.decision.to_string(), "403 (skills:read)");
}

//! Only the tenant of the runtime narrows a policy, by whatever name.

use mcp_runtime::Policy;
use mcp_runtime::prelude::*;

type Org = mcp_runtime::Tenant;

mod rooms {
    use mcp_runtime::prelude::*;

    /// Somebody who rents a room, whom the state knows by the same name.
    pub struct Tenant(pub &'static str);

    #[derive(Lend)]
    pub struct House {
        pub tenant: Tenant,
    }

    /// Who lives here.
    #[mcp_tool(public, read_only)]
    pub fn lives_here(tenant: &Tenant) -> String {
        tenant.0.to_owned()
    }
}

/// For whom the caller acts.
#[mcp_tool(scope = "house:read", roles("janitor", "owner"))]
async fn acts_for(org: &Org, again: &Org, caller: &Caller) -> String {
    format!("{org} {again} {caller}")
}

/// The rules.
#[mcp_resource("house://rules", authenticated)]
fn rules(org: &Org) -> String {
    org.to_string()
}

fn main() {
    let house = rooms::House {
        tenant: rooms::Tenant("Ada"),
    };
    let service = Server::with_state(house, tools![rooms::lives_here, acts_for])
        .resources(resources![rules])
        .build()
        .expect("a server");
    let policies: Vec<&Policy> = service.tools().map(|tool| tool.policy_ref()).collect();
    assert!(policies[0].is_public() && !policies[0].needs_tenant());
    assert!(policies[1].needs_tenant());
    assert_eq!(policies[1].needed_roles(), ["janitor", "owner"]);
}

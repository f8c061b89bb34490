//! `reference-server stdio`

use clap::Args;
use mcp_runtime::{BootError, Caller, Clock, Result, Tenant};

use super::{Common, start};
use crate::identity::Identity;
use crate::traces;

#[derive(Args)]
pub(super) struct Stdio {
    #[command(flatten)]
    common: Common,
    /// Serve only these tools; may be repeated [default: all]
    #[arg(long, value_name = "NAME")]
    toolset: Vec<String>,
    /// Demo identity that calls: whoever starts this program owns the data
    #[arg(long = "as", value_name = "NAME", default_value = "admin")]
    name: String,
    #[command(flatten)]
    host: Host,
}

/// What a host that starts this program for a school puts into the environment. Only looked at
/// with `--toolset school`: the names are anybody's.
#[derive(Args)]
struct Host {
    /// Who calls, for the school
    #[arg(long, env = "USER_ID", value_name = "ID", hide_env_values = true)]
    user_id: Option<String>,
    /// Role of who calls, for the school; only admins come in
    #[arg(long, env = "ROLE", hide_env_values = true)]
    role: Option<String>,
    /// Tenant of who calls, for the school
    #[arg(long, env = "TENANT_ID", value_name = "ID", hide_env_values = true)]
    tenant_id: Option<String>,
    /// Database of the school
    #[arg(long, env = "DATABASE_URL", value_name = "URL", hide_env_values = true)]
    database_url: Option<String>,
}

impl Stdio {
    pub(super) async fn run(self) -> Result {
        let mut config = self.common.load()?;
        if !self.toolset.is_empty() {
            config.toolsets = self.toolset;
        }
        let _traces = traces::init(&config)?;
        let for_school = config.toolsets.iter().any(|name| name == "school");
        let caller = match self.host.caller().filter(|_| for_school) {
            Some(caller) => caller?,
            None => Identity::named(&self.name)?.caller(&[])?,
        };
        if let Some(database) = self.host.database_url.filter(|_| for_school) {
            config.school.database = Some(database.into());
        }
        start::server(&config, &Clock::system())
            .await?
            .stdio(caller)
            .await
    }
}

impl Host {
    /// The admin that the host vouches for; `None` when it names nobody.
    fn caller(&self) -> Option<Result<Caller>> {
        let set = [&self.user_id, &self.role, &self.tenant_id];
        if set.iter().all(|value| value.is_none()) {
            return None;
        }
        let [Some(user), Some(role), Some(tenant)] = set else {
            return Some(Err(BootError::new(
                "set USER_ID, ROLE and TENANT_ID, all three or none of them",
            )));
        };
        if user.trim().is_empty() {
            return Some(Err(BootError::new("USER_ID is empty: say who calls")));
        }
        if role != "admin" {
            return Some(Err(BootError::new(
                "ROLE is not admin: only admins use the tools of the school",
            )));
        }
        let known = Tenant::new(tenant)
            .map_err(|error| BootError::new(format!("TENANT_ID is no tenant: {error}")));
        Some(known.map(|tenant| {
            Caller::user(user)
                .tenant(tenant.as_str())
                .role("admin")
                .scopes(["school:admin", "school:attendance"])
        }))
    }
}

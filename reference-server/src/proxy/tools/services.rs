//! Containers.

use mcp_runtime::prelude::*;

use crate::proxy::Proxy;
use crate::proxy::docker::{self, Service};
use crate::proxy::system::{Inner, unavailable};

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct ServiceList {
    /// By name.
    pub services: Vec<Service>,
    pub count: usize,
}

/// The containers on the machine of the proxy, running or not, with image, state and ports: what a
/// host may lead to. Only where the operator has configured a container engine.
#[mcp_tool(
    title = "List services",
    scope = "proxy:read",
    read_only,
    cache = "5s",
    family = "services"
)]
pub async fn list_services(proxy: &Proxy) -> ToolResult<ServiceList> {
    services(proxy.get()?).await
}

pub(in crate::proxy) async fn services(inner: &Inner) -> ToolResult<ServiceList> {
    let socket = inner.docker_socket.as_deref();
    let socket = socket.ok_or_else(|| {
        unavailable(
            "No container engine is configured (proxy.docker_socket), so none can be asked.",
        )
    })?;
    let services = docker::services(socket).await.map_err(|error| {
        unavailable("The container engine does not answer. Try again later.").caused_by(error)
    })?;
    Ok(ServiceList {
        count: services.len(),
        services,
    })
}

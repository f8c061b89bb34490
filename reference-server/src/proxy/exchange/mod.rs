//! The configuration of the proxy in a file: what it looks like, and where it may lie.
//!
//! Everybody has a folder of their own below the one that is configured, and a file has a plain
//! name in it: nothing leads out, and nobody loads what somebody else has saved.

mod folder;

use std::path::PathBuf;

use jiff::Timestamp;
use mcp_runtime::{Caller, ToolError, ToolResult};
use serde::{Deserialize, Serialize};

pub(super) use self::folder::Folder;
use super::routes::{Live, Route};
use super::tools::tokens::Token;

/// What this version writes and reads.
const FORMAT: u32 = 1;

/// A saved configuration.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Document {
    format: u32,
    pub(super) saved_at: Timestamp,
    pub(super) hosts: Vec<Host>,
    /// Who holds a token, never the token; to look at, for tokens are not issued by loading.
    #[serde(default)]
    pub(super) tokens: Vec<Token>,
    #[serde(default)]
    pub(super) certificates: Vec<Pem>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Host {
    pub(super) hostname: String,
    pub(super) target_url: String,
    enable_http: bool,
    enable_https: bool,
    auth_enabled: bool,
    owner: String,
    tenant: Option<String>,
    created_by: String,
}

/// A certificate with its key.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Pem {
    pub(super) name: String,
    pub(super) certificate: String,
    pub(super) key: String,
}

impl Document {
    pub(super) fn new(saved_at: Timestamp, hosts: Vec<Host>) -> Self {
        Self {
            format: FORMAT,
            saved_at,
            hosts,
            tokens: Vec::new(),
            certificates: Vec::new(),
        }
    }

    pub(super) fn read(text: &[u8]) -> ToolResult<Self> {
        let read: Result<Self, _> = serde_json::from_slice(text);
        match read {
            Ok(document) if document.format == FORMAT => Ok(document),
            Ok(_) => Err(unfit("The file is of another version of this server.")),
            Err(error) => Err(unfit("The file holds no configuration.").caused_by(error)),
        }
    }
}

impl Host {
    pub(super) fn of(live: &Live) -> Self {
        let route = live.route.clone();
        Self {
            hostname: route.hostname,
            target_url: route.target_url,
            enable_http: route.enable_http,
            enable_https: route.enable_https,
            auth_enabled: route.auth_enabled,
            owner: route.owner,
            tenant: route.tenant,
            created_by: route.created_by,
        }
    }

    /// For whom it was, when an admin brings it back; for whoever brings it back otherwise.
    pub(super) fn route(
        self,
        hostname: String,
        caller: &Caller,
        is_admin: bool,
        now: Timestamp,
    ) -> Route {
        let tenant = caller.principal().and_then(|principal| principal.tenant());
        let (owner, tenant, created_by) = match is_admin {
            true => (self.owner, self.tenant, self.created_by),
            false => (
                caller.owner(),
                tenant.map(str::to_owned),
                caller.to_string(),
            ),
        };
        Route {
            hostname,
            target_url: self.target_url,
            owner,
            tenant,
            created_by,
            created_at: now,
            enable_http: self.enable_http,
            enable_https: self.enable_https,
            auth_enabled: self.auth_enabled,
        }
    }
}

fn unfit(text: &'static str) -> ToolError {
    ToolError::new(text).code("invalid_file")
}

/// Where the configurations of a caller lie.
pub(super) fn folder_of(exports: &std::path::Path, caller: &Caller) -> Folder {
    let path: PathBuf = exports.join(caller.owner());
    Folder::new(exports.to_owned(), path)
}

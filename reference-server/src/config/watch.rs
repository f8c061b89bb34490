//! How much each caller may ask, and where calls are recorded.

use std::path::PathBuf;

use mcp_runtime::{AuditLog, BootError, Limits, Rate, Result, Server};
use schemars::JsonSchema;
use serde::Deserialize;

use super::Config;
use crate::data;
use crate::secret::Secret;

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CallLimits {
    pub requests: Often,
    pub writes: Often,
    pub concurrent: u32,
    pub anonymous: Often,
    pub failed_authentications: Often,
    pub trusted_proxies: Vec<String>,
    /// Of toolsets that are asked more often than a marketplace is administered.
    pub records: SetLimits,
    pub proxy: SetLimits,
    pub school: SetLimits,
}

/// How often the tools of one system may be called. What is not said is its usual figure, or `off`
/// where that of all others is.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SetLimits {
    pub requests: Option<Often>,
    pub writes: Option<Often>,
}

#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Audit {
    pub mode: AuditMode,
    pub path: Option<PathBuf>,
    pub sql: Option<Secret>,
    pub synced: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AuditMode {
    #[default]
    On,
    Off,
}

/// Where the records are.
pub enum AuditPlace {
    File(PathBuf),
    Database(Secret),
}

/// A rate like `60/min, burst 10`, or `off`.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(with = "String")]
pub struct Often(Option<Rate>);

impl TryFrom<String> for Often {
    type Error = String;

    fn try_from(text: String) -> std::result::Result<Self, String> {
        match text.trim() {
            "off" => Ok(Self(None)),
            rate => rate.parse().map(Some).map(Self),
        }
    }
}

impl Often {
    fn by_default(count: u32, burst: u32) -> Self {
        let minute = std::time::Duration::from_secs(60);
        Self(Some(Rate::new(count, minute).burst(burst)))
    }
}

impl Default for CallLimits {
    fn default() -> Self {
        Self {
            requests: Often::by_default(60, 10),
            writes: Often::by_default(10, 2),
            concurrent: 8,
            anonymous: Often::by_default(30, 10),
            // Ten in five minutes, from one address.
            failed_authentications: Often::by_default(2, 10),
            trusted_proxies: Vec::new(),
            records: SetLimits::default(),
            proxy: SetLimits::default(),
            school: SetLimits::default(),
        }
    }
}

impl CallLimits {
    /// The limits of a toolset that is counted by itself, and the name of what is counted together.
    pub fn of_toolset(&self, toolset: &str) -> Option<(&'static str, Limits)> {
        let (name, chosen, usual) = match toolset {
            "records" | "records-extended" => ("records", &self.records, (600, 120)),
            "proxy" | "proxy-extended" => ("proxy", &self.proxy, (120, 30)),
            "school" => ("school", &self.school, (100, 20)),
            _ => return None,
        };
        let usual = self.requests.0.and(Often::by_default(usual.0, usual.1).0);
        let requests = chosen.requests.map_or(usual, |often| often.0);
        let writes = chosen.writes.and_then(|often| often.0);
        let mut limits = Limits::none();
        if let Some(rate) = requests {
            limits = limits.requests(rate);
        }
        if let Some(rate) = self.anonymous.0 {
            limits = limits.anonymous(rate);
        }
        if let Some(rate) = writes {
            limits = limits.writes(rate);
        }
        Some((name, limits))
    }
}

impl Config {
    /// Puts limits and audit on a server.
    ///
    /// # Errors
    /// When the limits make no sense.
    pub fn watched<S: Send + Sync + 'static>(
        &self,
        server: Server<S>,
        log: Option<&AuditLog>,
    ) -> Result<Server<S>> {
        let server = server
            .limits(self.call_limits()?)
            .trusted_proxies(self.limits.trusted_proxies.clone());
        Ok(match log {
            Some(log) => server.audit(log.clone()),
            None => server,
        })
    }

    /// Where calls are recorded.
    ///
    /// # Errors
    /// When the audit log cannot be written: a server that should record does not start without.
    pub async fn audit_log(&self) -> Result<Option<AuditLog>> {
        if self.audit.mode == AuditMode::Off {
            return Ok(None);
        }
        let log = match self.audit_place()? {
            AuditPlace::Database(_) if self.audit.synced => {
                return Err(BootError::new(
                    "audit.synced is for a file: a database is always on the disk",
                ));
            }
            AuditPlace::Database(url) => AuditLog::sql(url.reveal()).await,
            AuditPlace::File(path) => {
                if self.audit.path.is_none() {
                    data::create(&self.data)?;
                }
                match self.audit.synced {
                    true => AuditLog::json_lines_synced(&path),
                    false => AuditLog::json_lines(&path),
                }
            }
        };
        let log = log.map_err(|error| BootError::new(format!("{error} (audit)")))?;
        Ok(Some(log))
    }

    fn call_limits(&self) -> Result<Limits> {
        let chosen = &self.limits;
        let mut limits = Limits::none();
        if let Some(rate) = chosen.requests.0 {
            limits = limits.requests(rate);
        }
        if let Some(rate) = chosen.anonymous.0 {
            limits = limits.anonymous(rate);
        }
        if let Some(rate) = chosen.writes.0 {
            limits = limits.writes(rate);
        }
        if let Some(rate) = chosen.failed_authentications.0 {
            limits = limits.failed_authentications(rate);
        }
        if chosen.concurrent == 0 {
            return Err(BootError::new("limits.concurrent is 0: no call could run"));
        }
        Ok(limits.concurrent(chosen.concurrent))
    }

    /// Where the records of this configuration are.
    ///
    /// # Errors
    /// When it names two places.
    pub fn audit_place(&self) -> Result<AuditPlace> {
        match (&self.audit.path, &self.audit.sql) {
            (Some(_), Some(_)) => Err(BootError::new(
                "audit has both path and sql: records go to one place",
            )),
            (None, Some(url)) => Ok(AuditPlace::Database(url.clone())),
            (Some(path), None) => Ok(AuditPlace::File(path.clone())),
            (None, None) => Ok(AuditPlace::File(self.data.join("audit.jsonl"))),
        }
    }
}

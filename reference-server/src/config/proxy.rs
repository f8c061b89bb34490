//! The reverse proxy.

use std::path::PathBuf;
use std::sync::Arc;

use mcp_runtime::{BootError, Clock, Result};
use reqwest::Url;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{Config, Span};
use crate::data;
use crate::identity::TokenFile;
use crate::proxy::{CommandSettings, Settings};
use crate::secret::Secret;

/// Longer, and the tool would end before its command.
const LONGEST_COMMAND: std::time::Duration = std::time::Duration::from_secs(300);

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Proxy {
    pub listen: String,
    pub tls_listen: String,
    pub database: Option<Secret>,
    pub certificates: Option<PathBuf>,
    pub exports: Option<PathBuf>,
    pub private_targets: Vec<String>,
    pub docker_socket: Option<PathBuf>,
    pub log_limit: u32,
    pub timeouts: ProxyTimeouts,
    pub commands: Commands,
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ProxyTimeouts {
    pub connect: Span,
    pub answer: Span,
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Commands {
    pub allow: Vec<String>,
    pub path: Vec<PathBuf>,
    pub timeout: Span,
    pub at_once: u32,
}

impl Default for Proxy {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:0".to_owned(),
            tls_listen: "127.0.0.1:0".to_owned(),
            database: None,
            certificates: None,
            exports: None,
            private_targets: Vec::new(),
            docker_socket: None,
            log_limit: Settings::new("", "").log_limit,
            timeouts: ProxyTimeouts::default(),
            commands: Commands::default(),
        }
    }
}

impl Default for ProxyTimeouts {
    fn default() -> Self {
        let settings = Settings::new("", "");
        Self {
            connect: Span(settings.connect),
            answer: Span(settings.answer),
        }
    }
}

impl Default for Commands {
    fn default() -> Self {
        let settings = CommandSettings::default();
        Self {
            allow: settings.allow,
            path: settings.path,
            timeout: Span(settings.timeout),
            at_once: 2,
        }
    }
}

impl Config {
    /// What the reverse proxy needs to know.
    ///
    /// # Errors
    /// When what is configured is not safe.
    pub fn proxy_settings(&self, clock: &Clock) -> Result<Settings> {
        let chosen = &self.proxy;
        data::create(&self.data)?;
        let folder = self.data.join("proxy");
        let database = chosen.database.clone();
        let database = database
            .unwrap_or_else(|| format!("sqlite://{}", self.data.join("proxy.db").display()).into());
        let mut settings = Settings::new(database, folder);
        settings.listen = socket(&chosen.listen);
        settings.tls_listen = socket(&chosen.tls_listen);
        if let Some(folder) = &chosen.certificates {
            settings.certificates.clone_from(folder);
        }
        if let Some(folder) = &chosen.exports {
            settings.exports.clone_from(folder);
        }
        settings.reserved = self.own_names();
        settings.private_targets.clone_from(&chosen.private_targets);
        settings.docker_socket.clone_from(&chosen.docker_socket);
        settings.log_limit = chosen.log_limit;
        settings.connect = chosen.timeouts.connect.0;
        settings.answer = chosen.timeouts.answer.0;
        settings.commands = chosen.commands.settings()?;
        settings.cursor_secret = self.first_secret()?;
        if self.identity.demo {
            let tokens = TokenFile::new(&self.data, clock.clone());
            settings.tokens = Some(Arc::new(tokens));
        }
        Ok(settings)
    }

    /// The host names of the MCP server itself: nobody may put another server there.
    fn own_names(&self) -> Vec<String> {
        let url: Option<Url> = self.public_url.as_deref().and_then(|url| url.parse().ok());
        let public = url.and_then(|url| url.host_str().map(str::to_owned));
        let allowed = self.allowed_hosts.iter().cloned();
        allowed
            .chain(public)
            .map(|name| name.to_ascii_lowercase())
            .map(|name| match name.rsplit_once(':') {
                Some((name, _port)) => name.to_owned(),
                None => name,
            })
            .collect()
    }
}

impl Commands {
    fn settings(&self) -> Result<CommandSettings> {
        if self.timeout.0 > LONGEST_COMMAND {
            return Err(BootError::new("proxy.commands.timeout is longer than 5m"));
        }
        Ok(CommandSettings {
            allow: self.allow.clone(),
            path: self.path.clone(),
            timeout: self.timeout.0,
            at_once: self.at_once as usize,
        })
    }
}

fn socket(address: &str) -> Option<String> {
    (address != "off").then(|| address.to_owned())
}

//! What an operator may decide: one TOML file, every key of which the environment can override
//! (`MCP_PLATFORM__FOUNDING_CAP=50`). `config.example.toml` documents every key.
//!
//! The struct [`Config`] is the only list of keys there is. Keys that it does not have are refused
//! at start, wherever they stand: a misspelt limit that is silently ignored is no limit.

mod keys;
mod proxy;
mod read;
mod school;
mod security;
mod store;
mod tokens;
mod watch;

use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::SignedDuration;
use mcp_runtime::tenant_signature::{SigningKey, Version};
use mcp_runtime::{BootError, Keys, LogFormat, Result};
use schemars::JsonSchema;
use serde::Deserialize;

pub use self::keys::{known as known_keys, of_entries as keys_of_entries};
pub use self::proxy::Proxy;
pub use self::school::School;
pub use self::security::{TenantSignature, TlsFiles};
pub use self::store::{SharedStore, StoreSettings};
pub use self::tokens::{Asked, Auth, Challenge, Issuer, StaticToken, Without};
pub use self::watch::{Audit, AuditMode, AuditPlace, CallLimits, Often};
use crate::backend::Limits;
use crate::data;
use crate::platform::{Mail, PageSizes, RateLimits, Settings, TenantSignatures};
use crate::secret::Secret;

/// All settings, with their defaults.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    pub listen: String,
    pub data: PathBuf,
    pub public_url: Option<String>,
    pub allowed_hosts: Vec<String>,
    pub allowed_origins: Vec<String>,
    pub toolsets: Vec<String>,
    pub keys: Vec<Secret>,
    pub keys_file: Option<PathBuf>,
    pub store: StoreSettings,
    pub transports: Transports,
    pub log: Log,
    pub identity: Identity,
    pub auth: Auth,
    pub tls: TlsFiles,
    pub limits: CallLimits,
    pub audit: Audit,
    pub backend: Backend,
    pub platform: Platform,
    pub proxy: Proxy,
    pub school: School,
}

/// Ways in beside the endpoint, each off unless turned on.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Transports {
    pub websocket: bool,
    pub rpc: bool,
    pub sse: bool,
    pub shutdown: bool,
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    pub format: Format,
    pub filter: String,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    #[default]
    Human,
    Json,
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Identity {
    pub demo: bool,
    pub provider: bool,
    pub provider_listen: String,
}

#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Backend {
    pub mode: Mode,
    pub url: Option<String>,
    pub service_token: Option<Secret>,
    pub timeouts: Timeouts,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    #[default]
    InProcess,
    Url,
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Timeouts {
    pub connect: Span,
    pub read: Span,
    pub call: Span,
    pub invite: Span,
    pub call_patience: Span,
    pub invite_patience: Span,
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Platform {
    pub listen: String,
    pub database: Option<Secret>,
    pub demo_data: bool,
    pub confirm_keys: Vec<Secret>,
    pub service_account: String,
    pub founding_cap: u32,
    pub invite_url: String,
    pub rate_limits: Limiting,
    pub page_sizes: Sizes,
    pub mail: MailSettings,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Limiting {
    #[default]
    On,
    Shadow,
    Off,
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Sizes {
    pub default: i64,
    pub max: i64,
}

#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MailSettings {
    pub folder: Option<PathBuf>,
    pub smtp_url: Option<Secret>,
    pub smtp_from: Option<String>,
}

/// A length of time, written like `30s` or `1m 30s`.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(with = "String")]
pub struct Span(Duration);

impl TryFrom<String> for Span {
    type Error = String;

    fn try_from(text: String) -> std::result::Result<Self, String> {
        let span: Option<SignedDuration> = text.parse().ok();
        let span = span.and_then(|span| Duration::try_from(span).ok());
        span.filter(|span| !span.is_zero())
            .map(Self)
            .ok_or_else(|| "must be a length of time, like 30s".to_owned())
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:8787".to_owned(),
            data: PathBuf::from("data"),
            public_url: None,
            allowed_hosts: Vec::new(),
            allowed_origins: Vec::new(),
            toolsets: Vec::new(),
            keys: Vec::new(),
            keys_file: None,
            store: StoreSettings::default(),
            transports: Transports::default(),
            log: Log::default(),
            identity: Identity::default(),
            auth: Auth::default(),
            tls: TlsFiles::default(),
            limits: CallLimits::default(),
            audit: Audit::default(),
            backend: Backend::default(),
            platform: Platform::default(),
            proxy: Proxy::default(),
            school: School::default(),
        }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self {
            format: Format::default(),
            filter: "info".to_owned(),
        }
    }
}

impl Default for Identity {
    fn default() -> Self {
        Self {
            demo: true,
            provider: false,
            provider_listen: "127.0.0.1:8789".to_owned(),
        }
    }
}

impl Default for Timeouts {
    fn default() -> Self {
        let limits = Limits::default();
        Self {
            connect: Span(limits.connect),
            read: Span(limits.read),
            call: Span(limits.call),
            invite: Span(limits.invite),
            call_patience: Span(limits.call_patience),
            invite_patience: Span(limits.invite_patience),
        }
    }
}

impl Default for Platform {
    fn default() -> Self {
        let settings = Settings::new("", "", "");
        Self {
            listen: "127.0.0.1:8788".to_owned(),
            database: None,
            demo_data: true,
            confirm_keys: Vec::new(),
            service_account: settings.service_account,
            founding_cap: settings.founding_cap,
            invite_url: settings.invite_url,
            rate_limits: Limiting::default(),
            page_sizes: Sizes::default(),
            mail: MailSettings::default(),
        }
    }
}

impl Default for Sizes {
    fn default() -> Self {
        let sizes = PageSizes::default();
        Self {
            default: sizes.default,
            max: sizes.max,
        }
    }
}

impl Config {
    /// Reads the file, if one is named, and what the environment overrides.
    ///
    /// # Errors
    /// When the file cannot be read, or a key is unknown or has a wrong value: named, without the
    /// value.
    pub fn load(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self> {
        read::load(file, environment)
    }

    pub fn log_format(&self) -> LogFormat {
        match self.log.format {
            Format::Human => LogFormat::Human,
            Format::Json => LogFormat::Json,
        }
    }

    /// What the marketplace needs to know. Secrets that are not configured are made.
    ///
    /// # Errors
    /// When the data folder cannot be used, or what is configured is not safe.
    pub fn platform_settings(&self) -> Result<Settings> {
        let chosen = &self.platform;
        data::create(&self.data)?;
        let database = match &chosen.database {
            Some(database) => database.clone(),
            None => format!("sqlite://{}", self.data.join("platform.db").display()).into(),
        };
        let mut confirm_keys = chosen.confirm_keys.clone();
        if confirm_keys.is_empty() {
            confirm_keys.push(data::secret(&self.data, "confirm.key")?);
        }
        let mut settings = Settings::new(database, self.service_token()?, "");
        settings.confirm_keys = confirm_keys;
        settings.service_account.clone_from(&chosen.service_account);
        settings.founding_cap = chosen.founding_cap;
        settings.invite_url.clone_from(&chosen.invite_url);
        settings.demo_data = chosen.demo_data;
        settings.mail = self.mail()?;
        settings.tenant_signatures = self.auth.tenant_signature.signatures()?;
        settings.record_signatures = Some(self.record_signatures()?);
        settings.page_sizes = PageSizes {
            default: chosen.page_sizes.default,
            max: chosen.page_sizes.max,
        };
        settings.rate_limits = match chosen.rate_limits {
            Limiting::On => RateLimits::On,
            Limiting::Shadow => RateLimits::Shadow,
            Limiting::Off => RateLimits::Off,
        };
        Ok(settings)
    }

    /// What the MCP server signs and seals with. Processes on one data folder have the same.
    ///
    /// # Errors
    /// When a secret is too short or a placeholder, or its file cannot be used.
    pub fn server_keys(&self) -> Result<Keys> {
        let told = |error: BootError| BootError::new(format!("keys: {error}"));
        match (self.keys.split_first(), &self.keys_file) {
            (Some(_), Some(_)) => Err(BootError::new(
                "both keys and keys_file are set: the secrets stand in one place",
            )),
            (None, Some(file)) => Keys::from_file(file),
            (Some((first, older)), None) => older
                .iter()
                .try_fold(Keys::new(first.reveal()).map_err(told)?, |keys, older| {
                    keys.older(older.reveal())
                })
                .map_err(told),
            (None, None) => Keys::new(data::secret(&self.data, "server.key")?.reveal()),
        }
    }

    /// How requests to the records API are signed: as configured for all, or with a key of the data
    /// folder. Never not at all, since the signature says whose records they are.
    ///
    /// # Errors
    /// When what is configured is not safe, or the data folder cannot be used.
    pub fn record_signatures(&self) -> Result<TenantSignatures> {
        if let Some(signatures) = self.auth.tenant_signature.signatures()? {
            return Ok(signatures);
        }
        let secret = data::secret(&self.data, "tenant.key")?;
        let key = SigningKey::new(secret.reveal())?;
        Ok(TenantSignatures::new(key, Version::V1))
    }

    fn mail(&self) -> Result<Mail> {
        way_of_mail(&self.platform.mail, "platform.mail", self.data.join("mail"))
    }

    /// The secret that signs, where one is configured.
    fn first_secret(&self) -> Result<Option<Secret>> {
        if let Some(first) = self.keys.first() {
            return Ok(Some(first.clone()));
        }
        let Some(file) = &self.keys_file else {
            return Ok(None);
        };
        let text = std::fs::read_to_string(file).map_err(|error| data::trouble(file, &error))?;
        Ok(text.split_whitespace().next().map(Secret::from))
    }

    /// What proves to the platform that we may ask.
    ///
    /// # Errors
    /// When the data folder, where one is kept that is not configured, cannot be used.
    pub fn service_token(&self) -> Result<Secret> {
        match &self.backend.service_token {
            Some(token) => Ok(token.clone()),
            None => data::secret(&self.data, "service.token"),
        }
    }

    pub fn backend_limits(&self) -> Limits {
        let timeouts = &self.backend.timeouts;
        Limits {
            connect: timeouts.connect.0,
            read: timeouts.read.0,
            call: timeouts.call.0,
            invite: timeouts.invite.0,
            call_patience: timeouts.call_patience.0,
            invite_patience: timeouts.invite_patience.0,
        }
    }
}

/// Mail goes one way: into a folder unless a mail server is named.
fn way_of_mail(mail: &MailSettings, section: &str, folder: PathBuf) -> Result<Mail> {
    match (&mail.smtp_url, &mail.folder) {
        (Some(_), Some(_)) => Err(BootError::new(format!(
            "{section} has both folder and smtp_url: mail goes one way"
        ))),
        (Some(url), None) => Ok(Mail::smtp(url.clone(), mail.smtp_from.clone())),
        (None, _) if mail.smtp_from.is_some() => Err(BootError::new(format!(
            "{section}.smtp_from is of no use without smtp_url"
        ))),
        (None, Some(folder)) => Ok(Mail::Folder(folder.clone())),
        (None, None) => Ok(Mail::Folder(folder)),
    }
}

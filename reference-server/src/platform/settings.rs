//! What an operator may decide.

use std::path::PathBuf;

use mcp_runtime::confirm::Keys;
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::{OpenError, TenantSignatures};
use crate::secret::Secret;

/// Everything [`Platform::open`](super::Platform::open) needs to know besides the time.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Where the data lives, as a URL: `sqlite://data/platform.db`, whose folder is created,
    /// `sqlite::memory:` to forget everything at the end, or `postgres://user@host/name`. Secret
    /// because it may carry a password.
    pub database: Secret,
    /// What callers present as `Authorization: Bearer …`.
    pub service_token: Secret,
    /// Signs confirm tokens: the current key first, then older ones that are still accepted. At
    /// least 32 bytes each.
    pub confirm_keys: Vec<Secret>,
    /// The admin on whose account a request without `X-Acting-User` acts.
    #[serde(default = "default_service_account")]
    pub service_account: String,
    /// How many instructors may ever get the founding status.
    #[serde(default = "default_founding_cap")]
    pub founding_cap: u32,
    /// Where mail goes.
    #[serde(default)]
    pub mail: Mail,
    #[serde(default)]
    pub rate_limits: RateLimits,
    /// Fills an empty database with a made-up marketplace.
    #[serde(default)]
    pub demo_data: bool,
    #[serde(default)]
    pub page_sizes: PageSizes,
    /// Where an invited person registers; the code is appended as `?code=`.
    #[serde(default = "default_invite_url")]
    pub invite_url: String,
    /// Which signatures of tenant headers every request needs; none when nothing is set.
    #[serde(skip)]
    pub tenant_signatures: Option<TenantSignatures>,
    /// Which signatures of tenant headers the records API needs; there is none when nothing is set.
    #[serde(skip)]
    pub record_signatures: Option<TenantSignatures>,
}

impl Settings {
    /// Settings with every default.
    pub fn new(
        database: impl Into<Secret>,
        service_token: impl Into<Secret>,
        confirm_key: impl Into<Secret>,
    ) -> Self {
        Self {
            database: database.into(),
            service_token: service_token.into(),
            confirm_keys: vec![confirm_key.into()],
            service_account: default_service_account(),
            founding_cap: default_founding_cap(),
            mail: Mail::default(),
            rate_limits: RateLimits::default(),
            demo_data: false,
            page_sizes: PageSizes::default(),
            invite_url: default_invite_url(),
            tenant_signatures: None,
            record_signatures: None,
        }
    }

    pub(super) fn check(&self) -> Result<(), OpenError> {
        let wrong = |setting, problem: &str| {
            Err(OpenError::Setting {
                setting,
                problem: problem.to_owned(),
            })
        };
        if self.service_token.reveal().len() < 16 {
            return wrong("service_token", "must have at least 16 characters");
        }
        if !self.service_account.contains('@') {
            return wrong("service_account", "must be an e-mail address");
        }
        if !self.invite_url.starts_with("http") || self.invite_url.contains(['?', '#']) {
            return wrong("invite_url", "must be a web address without ? and #");
        }
        let sizes = self.page_sizes;
        if !(1..=sizes.max).contains(&sizes.default) {
            return wrong("page_sizes", "must satisfy 1 <= default <= max");
        }
        Ok(())
    }

    pub(super) fn keys(&self) -> Result<Keys, OpenError> {
        let wrong = |problem: String| OpenError::Setting {
            setting: "confirm_keys",
            problem,
        };
        let Some((current, previous)) = self.confirm_keys.split_first() else {
            return Err(wrong("must name at least one key".to_owned()));
        };
        let named = |key: &Secret| (key_id(key), key.reveal().as_bytes().to_vec());
        let (id, secret) = named(current);
        let mut keys = Keys::new(&id, &secret).map_err(|error| wrong(error.to_string()))?;
        for (id, secret) in previous.iter().map(named) {
            keys = keys
                .with_previous(&id, &secret)
                .map_err(|error| wrong(error.to_string()))?;
        }
        Ok(keys)
    }
}

/// A name that follows from the key, so that rotating is prepending a key and nothing else.
fn key_id(key: &Secret) -> String {
    let digest = Sha256::digest(format!("id of a confirm key|{}", key.reveal()));
    digest
        .iter()
        .take(4)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// Where mail goes.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Mail {
    /// One `.eml` file per message, for development and for relays that pick up files.
    Folder(PathBuf),
    /// A mail server: `smtps://user:password@mail.example.com` or
    /// `smtp://…?tls=required`. The URL is secret because it carries the password.
    Smtp {
        url: Secret,
        #[serde(default = "default_sender")]
        from: String,
    },
}

impl Mail {
    /// A mail server, with the usual sender unless another is named.
    pub fn smtp(url: Secret, from: Option<String>) -> Self {
        let from = from.unwrap_or_else(default_sender);
        Self::Smtp { url, from }
    }
}

impl Default for Mail {
    fn default() -> Self {
        Self::Folder(PathBuf::from("data/mail"))
    }
}

/// What happens to a caller who asks too often.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RateLimits {
    #[default]
    On,
    /// Measured and reported in headers and log, never refused.
    Shadow,
    Off,
}

/// How many rows a list returns.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PageSizes {
    pub default: i64,
    pub max: i64,
}

impl Default for PageSizes {
    fn default() -> Self {
        Self {
            default: 50,
            max: 200,
        }
    }
}

fn default_service_account() -> String {
    "admin@example.com".to_owned()
}

fn default_founding_cap() -> u32 {
    100
}

fn default_invite_url() -> String {
    "https://www.example.com/instructor/join".to_owned()
}

pub(super) fn default_sender() -> String {
    "iNSTAiNSTRU <invites@example.com>".to_owned()
}

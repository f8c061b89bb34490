//! What an operator decides about the school.

use std::path::PathBuf;

use mcp_runtime::{BootError, Result};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{Config, MailSettings};
use crate::data;
use crate::school::SchoolSettings;
use crate::secret::Secret;

/// Settings of the school.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct School {
    pub database: Option<Secret>,
    pub demo_data: bool,
    pub currency: String,
    pub backups: Option<PathBuf>,
    pub link_base: Option<String>,
    pub mail: MailSettings,
}

impl Default for School {
    fn default() -> Self {
        Self {
            database: None,
            demo_data: true,
            currency: "USD".to_owned(),
            backups: None,
            link_base: None,
            mail: MailSettings::default(),
        }
    }
}

impl Config {
    /// What the school needs to know.
    ///
    /// # Errors
    /// When the data folder cannot be used, or a value makes no sense.
    pub fn school_settings(&self) -> Result<SchoolSettings> {
        let chosen = &self.school;
        let currency = &chosen.currency;
        if currency.len() != 3 || !currency.bytes().all(|byte| byte.is_ascii_uppercase()) {
            return Err(BootError::new(
                "school.currency is no currency: write three capitals, like USD",
            ));
        }
        let beside = |name: &str| self.data.join(name);
        Ok(SchoolSettings {
            database: match &chosen.database {
                Some(database) => database.clone(),
                None => format!("sqlite://{}", beside("school.db").display()).into(),
            },
            currency: currency.clone(),
            demo_data: chosen.demo_data,
            mail: super::way_of_mail(&chosen.mail, "school.mail", beside("school-mail"))?,
            link_key: match self.first_secret()? {
                Some(secret) => secret,
                None => data::secret(&self.data, "server.key")?,
            },
            link_base: self.link_base()?,
            backups: chosen
                .backups
                .clone()
                .unwrap_or_else(|| beside("school-backups")),
        })
    }

    /// Where this server is reached, without a path.
    fn link_base(&self) -> Result<String> {
        if let Some(base) = &self.school.link_base {
            return Ok(base.clone());
        }
        let Some(url) = &self.public_url else {
            let scheme = if self.tls.cert.is_some() {
                "https"
            } else {
                "http"
            };
            return Ok(format!("{scheme}://{}", self.listen));
        };
        let url: reqwest::Url = url
            .parse()
            .map_err(|_| BootError::new("public_url is not a URL"))?;
        Ok(url.origin().ascii_serialization())
    }
}

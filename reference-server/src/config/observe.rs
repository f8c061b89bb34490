//! Where operators read figures, and where traces go.

use mcp_runtime::{BootError, Result};
use schemars::JsonSchema;
use serde::Deserialize;

use super::Config;

#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Metrics {
    pub listen: Option<String>,
    pub allowed_hosts: Vec<String>,
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Traces {
    pub otlp_endpoint: Option<String>,
    pub sample_percent: u8,
    pub service_name: String,
}

impl Default for Traces {
    fn default() -> Self {
        Self {
            otlp_endpoint: None,
            sample_percent: 100,
            service_name: "reference-server".to_owned(),
        }
    }
}

impl Config {
    /// Where spans are sent, like `http://127.0.0.1:4318/v1/traces`.
    ///
    /// # Errors
    /// When the setting is no such URL, or this build cannot send any.
    pub fn collector(&self) -> Result<Option<String>> {
        let Some(endpoint) = &self.traces.otlp_endpoint else {
            return Ok(None);
        };
        if !cfg!(feature = "otlp") {
            return Err(BootError::new(
                "traces.otlp_endpoint is set, and this program was built without the feature otlp",
            ));
        }
        if self.traces.sample_percent > 100 {
            return Err(BootError::new(
                "traces.sample_percent is not a share from 0 to 100",
            ));
        }
        let wrong = |problem: &str| {
            BootError::new(format!(
                "traces.otlp_endpoint {problem}; write it like http://127.0.0.1:4318"
            ))
        };
        let url: reqwest::Url = endpoint.parse().map_err(|_| wrong("is not a URL"))?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
            return Err(wrong("does not start with http:// or https://"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(wrong(
                "has a user or a password, which stand in the log then",
            ));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(wrong("has a query or a fragment"));
        }
        let base = url.as_str().trim_end_matches('/');
        Ok(Some(match base.ends_with("/v1/traces") {
            true => base.to_owned(),
            false => format!("{base}/v1/traces"),
        }))
    }
}

//! Several endpoints in one process: `[[mount]]`.

use mcp_runtime::{BootError, Replies, Result, SessionMode};
use reqwest::Url;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{Config, Without};
use crate::toolsets;

/// An endpoint with tools, modes and tokens of its own.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Mount {
    pub path: String,
    pub toolsets: Vec<String>,
    pub sessions: Kept,
    pub replies: Form,
    pub auth: Option<Without>,
}

/// When a client of the earlier revisions gets a session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kept {
    #[default]
    Auto,
    Stateless,
    Stateful,
}

/// The form of answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    #[default]
    Negotiate,
    Json,
    Sse,
}

impl From<Kept> for SessionMode {
    fn from(mode: Kept) -> Self {
        match mode {
            Kept::Auto => Self::Auto,
            Kept::Stateless => Self::Stateless,
            Kept::Stateful => Self::Stateful,
        }
    }
}

impl From<Form> for Replies {
    fn from(form: Form) -> Self {
        match form {
            Form::Negotiate => Self::Negotiate,
            Form::Json => Self::Json,
            Form::Sse => Self::Sse,
        }
    }
}

/// First segments of paths that mean something else.
const TAKEN: [&str; 8] = [
    ".well-known",
    "api",
    "health",
    "messages",
    "oauth2",
    "register",
    "rpc",
    "sse",
];

impl Config {
    /// One configuration for each endpoint, the first one first. Each has at most one mount.
    ///
    /// # Errors
    /// When the mounts do not go together, or not with the rest.
    pub fn endpoints(&self) -> Result<Vec<Self>> {
        if self.mount.is_empty() {
            return Ok(vec![self.clone()]);
        }
        if !self.toolsets.is_empty() {
            return Err(refused(
                "toolsets are named beside [[mount]]: name them in each mount",
            ));
        }
        for (at, mount) in self.mount.iter().enumerate() {
            check_path(&mount.path)?;
            toolsets::tools(&mount.toolsets)?;
            for other in &self.mount[..at] {
                if lies_in(&mount.path, &other.path) || lies_in(&other.path, &mount.path) {
                    return Err(refused(&format!(
                        "`{}` and `{}` overlap: give each mount a path outside of the others",
                        other.path, mount.path
                    )));
                }
            }
        }
        if self.mount.len() > 1 && self.auth.oauth_proxy.mode.is_some() {
            return Err(refused(
                "auth.oauth_proxy issues tokens for one endpoint, and there are several: name its provider as an [[auth.issuer]]",
            ));
        }
        if self.mount.len() > 1 && self.identity.provider {
            return Err(refused(
                "identity.provider issues tokens for one endpoint, and there are several: use `reference-server token`",
            ));
        }
        let origin = self.origin()?;
        Ok(self.mount.iter().map(|it| self.of(it, &origin)).collect())
    }

    /// All toolsets that are served, at whatever path.
    pub fn all_toolsets(&self) -> Vec<String> {
        if self.mount.iter().any(|mount| mount.toolsets.is_empty()) {
            let default = toolsets::by_default().map(str::to_owned);
            let named = self.mount.iter().flat_map(|it| it.toolsets.iter().cloned());
            return default.chain(named).collect();
        }
        match self.mount.is_empty() {
            true => self.toolsets.clone(),
            false => {
                let named = self.mount.iter().flat_map(|it| it.toolsets.iter().cloned());
                named.collect()
            }
        }
    }

    fn of(&self, mount: &Mount, origin: &Option<String>) -> Self {
        let first = mount.path == self.mount[0].path;
        let mut of = self.clone();
        of.public_url = origin.as_ref().map(|it| format!("{it}{}", mount.path));
        of.toolsets.clone_from(&mount.toolsets);
        of.auth.mode = mount.auth.unwrap_or(self.auth.mode);
        // These have one path for all of them.
        of.transports.rpc &= first;
        of.transports.sse &= first;
        of.mount = vec![mount.clone()];
        of
    }

    /// What the paths are appended to.
    fn origin(&self) -> Result<Option<String>> {
        let Some(text) = &self.public_url else {
            return Ok(None);
        };
        let url: Url = text
            .parse()
            .map_err(|_| BootError::new(format!("public_url `{text}` is not a URL")))?;
        let path = url.path().trim_end_matches('/');
        if !path.is_empty() && self.mount.iter().all(|mount| mount.path != path) {
            return Err(refused(&format!(
                "public_url names `{path}`, which is no mount: leave its path out"
            )));
        }
        let whole = text.trim_end_matches('/');
        match whole.strip_suffix(path) {
            Some(origin) if url.query().is_none() && url.fragment().is_none() => {
                Ok(Some(origin.to_owned()))
            }
            _ => Err(refused(&format!(
                "public_url `{text}` is more than an origin: write it like https://mcp.example.com"
            ))),
        }
    }
}

fn check_path(path: &str) -> Result {
    let plain = |segment: &str| {
        !segment.is_empty()
            && !segment.starts_with('.')
            && segment
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'~'))
    };
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    if !path.starts_with('/') || segments.is_empty() || !segments.iter().all(|it| plain(it)) {
        return Err(refused(&format!(
            "`{}` is not a path: write it like \"/mcp\"",
            path.escape_debug()
        )));
    }
    if TAKEN.contains(&segments[0]) || segments.last() == Some(&"ws") {
        return Err(refused(&format!(
            "`{path}` means something else already: take another path"
        )));
    }
    Ok(())
}

/// Whether a path is another or below it.
fn lies_in(path: &str, other: &str) -> bool {
    path.strip_prefix(other)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn refused(problem: &str) -> BootError {
    BootError::new(format!("mount: {problem}"))
}

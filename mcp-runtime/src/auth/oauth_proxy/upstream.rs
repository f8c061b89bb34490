//! The identity provider, as its metadata describes it.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use reqwest::Url;
use tokio::sync::Mutex;

use super::answers::{BAD_GATEWAY, Fault};
use crate::auth::egress::{Egress, Lost};
use crate::auth::jwks::metadata_places;
use crate::clock::Clock;
use crate::json::{self, Node, Object};

/// How long metadata is used without asking again.
const KEEP: Duration = Duration::from_hours(1);
/// What failed is not tried again for this time.
const FAILED: Duration = Duration::from_secs(5);
const MAX_ITEMS: usize = 100;

/// A provider.
pub(super) struct Upstream {
    issuer: String,
    origin: Url,
    pub(super) egress: Egress,
    clock: Clock,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    metadata: Option<(Timestamp, Arc<Metadata>)>,
    failed: Option<(Timestamp, Fault)>,
}

/// What of its metadata is used or passed on. What it says beyond that is left out.
pub(super) struct Metadata {
    pub(super) issuer: String,
    pub(super) authorization: Url,
    pub(super) token: Url,
    pub(super) registration: Option<Url>,
    pub(super) userinfo: Option<Url>,
    pub(super) jwks: Option<Url>,
    pub(super) names_itself: bool,
    /// Lists of short texts, by their names.
    pub(super) lists: Vec<(&'static str, Vec<String>)>,
}

/// The lists that clients need, and that say nothing of where anything is.
const LISTS: [&str; 8] = [
    "scopes_supported",
    "response_types_supported",
    "response_modes_supported",
    "grant_types_supported",
    "token_endpoint_auth_methods_supported",
    "code_challenge_methods_supported",
    "subject_types_supported",
    "id_token_signing_alg_values_supported",
];

const POISONED: Fault = Fault::new(
    503,
    "temporarily_unavailable",
    "the metadata of the identity provider cannot be used",
);

impl Upstream {
    pub(super) fn new(issuer: &str, url: &Url, egress: Egress, clock: Clock) -> Self {
        Self {
            issuer: issuer.to_owned(),
            origin: url.clone(),
            egress,
            clock,
            kept: Mutex::default(),
        }
    }

    /// The metadata; one request at a time asks for it.
    pub(super) async fn metadata(&self) -> Result<Arc<Metadata>, Fault> {
        let mut kept = self.kept.lock().await;
        let now = self.clock.now();
        let within = |since: Timestamp, time: Duration| since <= now && now < since + time;
        if let Some((since, metadata)) = &kept.metadata
            && within(*since, KEEP)
        {
            return Ok(Arc::clone(metadata));
        }
        if let Some((since, fault)) = kept.failed
            && within(since, FAILED)
        {
            return Err(fault);
        }
        match self.fetch().await {
            Ok(metadata) => {
                let metadata = Arc::new(metadata);
                kept.metadata = Some((now, Arc::clone(&metadata)));
                kept.failed = None;
                Ok(metadata)
            }
            Err(error) => {
                tracing::warn!(target: "mcp::auth", issuer = self.issuer, %error, "the metadata of the identity provider cannot be had");
                let fault = match error {
                    Lost::Refused(_) | Lost::Unusable(_) => POISONED,
                    _ => BAD_GATEWAY,
                };
                kept.failed = Some((now, fault));
                Err(fault)
            }
        }
    }

    async fn fetch(&self) -> Result<Metadata, Lost> {
        let mut lost = Lost::Unusable("there is no place to look for metadata");
        for place in metadata_places(&self.origin) {
            match self.egress.get(&place, None).await?.document() {
                Ok(document) => return self.read(&document),
                // Not here: providers use one of the places.
                Err(error @ Lost::Status(400..=499)) => lost = error,
                Err(error) => return Err(error),
            }
        }
        Err(lost)
    }

    fn read(&self, document: &[u8]) -> Result<Metadata, Lost> {
        let Ok(Node::Object(all)) = json::parse(document) else {
            return Err(Lost::NotJson);
        };
        if all.get("issuer").and_then(Node::as_str) != Some(&self.issuer) {
            return Err(Lost::Unusable(
                "the metadata names another issuer: write the issuer exactly as it writes itself",
            ));
        }
        let needed = |url: Option<Url>| {
            url.ok_or(Lost::Unusable(
                "the metadata has no authorization or token endpoint",
            ))
        };
        let names_itself = all.get("authorization_response_iss_parameter_supported");
        Ok(Metadata {
            issuer: self.issuer.clone(),
            authorization: needed(self.endpoint(&all, "authorization_endpoint")?)?,
            token: needed(self.endpoint(&all, "token_endpoint")?)?,
            registration: self.endpoint(&all, "registration_endpoint")?,
            userinfo: self.endpoint(&all, "userinfo_endpoint")?,
            jwks: self.endpoint(&all, "jwks_uri")?,
            names_itself: matches!(names_itself, Some(Node::Bool(true))),
            lists: LISTS
                .into_iter()
                .filter_map(|name| Some((name, list(all.get(name)?)?)))
                .collect(),
        })
    }

    fn endpoint(&self, all: &Object<'_>, name: &str) -> Result<Option<Url>, Lost> {
        let Some(text) = all.get(name) else {
            return Ok(None);
        };
        let text = text
            .as_str()
            .ok_or(Lost::Unusable("an endpoint in the metadata is not a URL"))?;
        let url = self.egress.url(text).map_err(Lost::Refused)?;
        // Unencrypted is the provider for development, and nothing else on that machine.
        if url.scheme() != "https" && url.origin() != self.origin.origin() {
            return Err(Lost::Unusable(
                "an endpoint in the metadata is neither encrypted nor the provider's own",
            ));
        }
        Ok(Some(url))
    }
}

impl Metadata {
    pub(super) fn list(&self, name: &str) -> Option<&[String]> {
        let found = self.lists.iter().find(|(known, _)| *known == name)?;
        Some(&found.1)
    }
}

fn list(node: &Node<'_>) -> Option<Vec<String>> {
    let Node::Array(items) = node else {
        return None;
    };
    let short = |text: &str| text.len() <= 256 && text.bytes().all(|b| b.is_ascii_graphic());
    Some(
        items
            .iter()
            .take(MAX_ITEMS)
            .filter_map(|item| item.as_str().filter(|text| short(text)))
            .map(str::to_owned)
            .collect(),
    )
}

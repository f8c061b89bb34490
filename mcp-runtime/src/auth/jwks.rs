//! The keys of an issuer: found, filtered, kept and renewed.
//!
//! Nothing is asked of an issuer before the first token of it arrives. One fetch runs at a time,
//! in a task of its own, so that no client that hangs up takes it down; whoever needs it waits for
//! it. What fails is not tried again by every request.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use jsonwebtoken::DecodingKey;
use reqwest::Url;
use tokio::sync::watch;

use super::AuthError;
use super::egress::{Egress, Lost};
use super::jwt::Algorithm;
use crate::clock::Clock;
use crate::json::{self, Node, Object};

/// How long keys are used without asking again, unless said otherwise.
pub(super) const KEEP: Duration = Duration::from_hours(1);
/// A token that names an unknown key makes for one fetch in this time.
const UNKNOWN_KEY: Duration = Duration::from_mins(1);
/// A fetch that failed is not tried again for this time.
const FAILED: Duration = Duration::from_secs(5);
/// For the metadata and the keys together: somebody waits.
const DEADLINE: Duration = Duration::from_secs(5);
const MAX_KEYS: usize = 100;
const MAX_KID: usize = 256;

pub(super) struct KeySource {
    issuer: String,
    place: Place,
    egress: Egress,
    clock: Clock,
    algorithms: Vec<Algorithm>,
    keep: Duration,
    /// How long old keys serve beyond that while new ones cannot be had.
    stale: Duration,
    state: RwLock<State>,
}

/// Where the keys are.
pub(super) enum Place {
    /// At a URL that the metadata of the issuer names; these are where the metadata may be.
    Discovered(Vec<Url>),
    At(Url),
}

#[derive(Default)]
struct State {
    keys: Option<Arc<KeySet>>,
    flight: Option<watch::Receiver<bool>>,
    failed: Option<Timestamp>,
    /// When an unknown key was last looked for.
    looked: Option<Timestamp>,
}

struct KeySet {
    keys: Vec<Key>,
    fetched: Timestamp,
}

pub(super) struct Key {
    id: Option<String>,
    fits: Vec<Algorithm>,
    pub(super) key: DecodingKey,
}

/// A key, and until when it is one.
pub(super) struct Found {
    set: Arc<KeySet>,
    at: usize,
    pub(super) until: Timestamp,
}

impl Found {
    pub(super) fn key(&self) -> &DecodingKey {
        &self.set.keys[self.at].key
    }
}

enum Look {
    Found(Found),
    /// No key of that name, in keys that are fresh.
    Unknown,
    /// A key of that name, but not for that algorithm; or several that could be meant.
    Unfit,
    /// No keys, or old ones.
    Old,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Why {
    Old,
    Unknown,
    /// Soon to be old: renewed while nobody waits.
    Aging,
}

impl KeySource {
    pub(super) fn new(
        issuer: &str,
        place: Place,
        egress: Egress,
        clock: Clock,
        algorithms: Vec<Algorithm>,
        (keep, stale): (Duration, Duration),
    ) -> Arc<Self> {
        Arc::new(Self {
            issuer: issuer.to_owned(),
            place,
            egress,
            clock,
            algorithms,
            keep,
            stale,
            state: RwLock::default(),
        })
    }

    /// The key that a token says it is signed with.
    pub(super) async fn find(
        self: &Arc<Self>,
        kid: Option<&str>,
        algorithm: Algorithm,
    ) -> Result<Found, AuthError> {
        let now = self.clock.now();
        let why = match self.look(kid, algorithm, now, self.keep) {
            Look::Found(found) => {
                if self.is_aging(&found.set, now) {
                    self.fetch_for(Why::Aging, now);
                }
                return Ok(found);
            }
            Look::Unfit => return Err(AuthError::Invalid),
            Look::Unknown => Why::Unknown,
            Look::Old => Why::Old,
        };
        if let Some(mut flight) = self.fetch_for(why, now) {
            // An error is a fetch that died: what there is now counts.
            let _ = flight.wait_for(|landed| *landed).await;
        }
        let now = self.clock.now();
        match self.look(kid, algorithm, now, self.longest()) {
            Look::Found(found) => Ok(found),
            Look::Unknown | Look::Unfit => Err(AuthError::Invalid),
            Look::Old => Err(AuthError::Unavailable),
        }
    }

    fn look(
        &self,
        kid: Option<&str>,
        algorithm: Algorithm,
        now: Timestamp,
        usable: Duration,
    ) -> Look {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        let Some(set) = state
            .keys
            .as_ref()
            .filter(|set| set.is_younger(usable, now))
        else {
            return Look::Old;
        };
        let named = |key: &Key| kid.is_none() || key.id.as_deref() == kid;
        let mut fitting = set
            .keys
            .iter()
            .enumerate()
            .filter(|(_, key)| named(key) && key.fits.contains(&algorithm));
        match (fitting.next(), fitting.next()) {
            (Some((at, _)), None) => Look::Found(Found {
                set: Arc::clone(set),
                at,
                until: after(set.fetched, self.longest()),
            }),
            (None, _) if !set.keys.iter().any(named) => Look::Unknown,
            _ => Look::Unfit,
        }
    }

    /// How long keys serve at the most.
    fn longest(&self) -> Duration {
        self.keep.saturating_add(self.stale)
    }

    fn is_aging(&self, set: &KeySet, now: Timestamp) -> bool {
        !set.is_younger(self.keep / 6 * 5, now)
    }

    /// The fetch that runs, or that this begins; none where it is too early for another one.
    fn fetch_for(self: &Arc<Self>, why: Why, now: Timestamp) -> Option<watch::Receiver<bool>> {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        // One whose task is gone without landing runs no more.
        if let Some(flight) = state.flight.as_ref().filter(|f| f.has_changed().is_ok()) {
            return Some(flight.clone());
        }
        let within = |since: Option<Timestamp>, pause: Duration| {
            since.is_some_and(|since| since <= now && now < since + pause)
        };
        if within(state.failed, FAILED) {
            return None;
        }
        // Another one may have landed between the look and the lock.
        let fresh = |set: &Arc<KeySet>| set.is_younger(self.keep, now);
        match why {
            Why::Old if state.keys.as_ref().is_some_and(fresh) => return None,
            Why::Unknown if within(state.looked, UNKNOWN_KEY) => return None,
            Why::Unknown => state.looked = Some(now),
            Why::Old | Why::Aging => {}
        }
        let (landed, flight) = watch::channel(false);
        state.flight = Some(flight.clone());
        let source = Arc::clone(self);
        tokio::spawn(async move {
            let fetched = tokio::time::timeout(DEADLINE, source.fetch()).await;
            source.land(fetched.unwrap_or(Err(Lost::TimedOut)));
            landed.send_replace(true);
        });
        Some(flight)
    }

    fn land(&self, fetched: Result<Vec<Key>, Lost>) {
        let now = self.clock.now();
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        state.flight = None;
        match fetched {
            Ok(keys) => {
                tracing::debug!(target: "mcp::auth", issuer = self.issuer, keys = keys.len(), "keys fetched");
                state.failed = None;
                state.keys = Some(Arc::new(KeySet { keys, fetched: now }));
            }
            Err(error) => {
                tracing::warn!(target: "mcp::auth", issuer = self.issuer, %error, "the keys of the issuer cannot be fetched");
                state.failed = Some(now);
            }
        }
    }

    async fn fetch(&self) -> Result<Vec<Key>, Lost> {
        let url = match &self.place {
            Place::At(url) => url.clone(),
            Place::Discovered(places) => self.discover(places).await?,
        };
        let document = self.egress.get(&url, None).await?.document()?;
        let keys = read_keys(&document, &self.algorithms)?;
        if keys.is_empty() {
            return Err(Lost::Unusable("there is no key that could be used"));
        }
        Ok(keys)
    }

    /// Where the metadata says that the keys are.
    async fn discover(&self, places: &[Url]) -> Result<Url, Lost> {
        let mut lost = Lost::Unusable("there is no place to look for metadata");
        for place in places {
            match self.egress.get(place, None).await?.document() {
                Ok(document) => return self.keys_url(&document),
                // Not here: issuers use one of the places.
                Err(error @ Lost::Status(400..=499)) => lost = error,
                Err(error) => return Err(error),
            }
        }
        Err(lost)
    }

    fn keys_url(&self, document: &[u8]) -> Result<Url, Lost> {
        let metadata = object(document)?;
        // Whoever answers in the place of the issuer must at least not call itself something else.
        if metadata.get("issuer").and_then(Node::as_str) != Some(&self.issuer) {
            return Err(Lost::Unusable(
                "the metadata names another issuer: write the issuer exactly as it writes itself",
            ));
        }
        let url = metadata.get("jwks_uri").and_then(Node::as_str);
        let url = url.ok_or(Lost::Unusable("the metadata has no `jwks_uri`"))?;
        self.egress.url(url).map_err(Lost::Refused)
    }
}

impl KeySet {
    fn is_younger(&self, age: Duration, now: Timestamp) -> bool {
        self.fetched <= now && now < after(self.fetched, age)
    }
}

/// A time to keep may be as long as somebody likes, time is not.
fn after(start: Timestamp, time: Duration) -> Timestamp {
    start.checked_add(time).unwrap_or(Timestamp::MAX)
}

/// The places where an issuer may have its metadata: those of OpenID Connect and of RFC 8414,
/// which put the path of the issuer at different ends.
pub(super) fn metadata_places(issuer: &Url) -> Vec<Url> {
    let path = issuer.path().trim_end_matches('/').to_owned();
    let mut places = vec![
        format!("{path}/.well-known/openid-configuration"),
        format!("/.well-known/oauth-authorization-server{path}"),
        format!("/.well-known/openid-configuration{path}"),
    ];
    places.dedup();
    if path.is_empty() {
        places.truncate(2);
    }
    places
        .into_iter()
        .map(|place| {
            let mut url = issuer.clone();
            url.set_path(&place);
            url
        })
        .collect()
}

/// The keys of a document that can sign tokens with these algorithms. Keys that cannot be used are
/// left out; a document that is not what it should be is refused.
fn read_keys(document: &[u8], algorithms: &[Algorithm]) -> Result<Vec<Key>, Lost> {
    let set = object(document)?;
    let Some(Node::Array(keys)) = set.get("keys") else {
        return Err(Lost::Unusable("the document has no list of keys"));
    };
    if keys.len() > MAX_KEYS {
        return Err(Lost::Unusable("there are more than 100 keys"));
    }
    Ok(keys
        .iter()
        .filter_map(|key| read_key(key.as_object()?, algorithms))
        .collect())
}

fn read_key(jwk: &Object<'_>, algorithms: &[Algorithm]) -> Option<Key> {
    if !is_for_signatures(jwk) || is_private(jwk) {
        return None;
    }
    let id = match jwk.get("kid") {
        None => None,
        Some(kid) => Some(kid.as_str().filter(|kid| kid.len() <= MAX_KID)?.to_owned()),
    };
    let (key, can) = public_key(jwk)?;
    let alone = match jwk.get("alg") {
        None => None,
        Some(alg) => Some(Algorithm::from_name(alg.as_str()?)?),
    };
    let fits: Vec<Algorithm> = can
        .iter()
        .copied()
        .filter(|can| algorithms.contains(can) && alone.is_none_or(|alone| alone == *can))
        .collect();
    (!fits.is_empty()).then_some(Key { id, fits, key })
}

fn is_for_signatures(jwk: &Object<'_>) -> bool {
    let by_use = jwk.get("use").is_none_or(|u| u.as_str() == Some("sig"));
    let by_operation = match jwk.get("key_ops") {
        None => true,
        Some(Node::Array(all)) => all.iter().any(|one| one.as_str() == Some("verify")),
        Some(_) => false,
    };
    by_use && by_operation
}

/// A private key in public is nobody's any more.
fn is_private(jwk: &Object<'_>) -> bool {
    ["d", "p", "q", "dp", "dq", "qi", "oth", "k"]
        .iter()
        .any(|member| jwk.get(member).is_some())
}

/// The key, and what its type lets it do. Symmetric keys are none of these.
fn public_key(jwk: &Object<'_>) -> Option<(DecodingKey, &'static [Algorithm])> {
    use Algorithm::{EdDsa, Es256, Es384, Ps256, Ps384, Ps512, Rs256, Rs384, Rs512};
    let text = |name: &str| jwk.get(name).and_then(Node::as_str);
    let bytes = |name: &str| URL_SAFE_NO_PAD.decode(text(name)?).ok();
    let point = |length: usize| {
        let (x, y) = (bytes("x")?, bytes("y")?);
        let whole = [&[4], &*x, &*y].concat();
        (x.len() == length && y.len() == length).then(|| DecodingKey::from_ec_der(&whole))
    };
    match (text("kty")?, text("crv")) {
        ("RSA", _) => {
            let (n, e) = (bytes("n")?, bytes("e")?);
            let bits = n.len() * 8 - n.first()?.leading_zeros() as usize;
            let sound =
                (2048..=8192).contains(&bits) && e.len() <= 4 && e.last()? % 2 == 1 && e != [1];
            sound.then(|| {
                (
                    DecodingKey::from_rsa_raw_components(&n, &e),
                    &[Rs256, Rs384, Rs512, Ps256, Ps384, Ps512][..],
                )
            })
        }
        ("EC", Some("P-256")) => Some((point(32)?, &[Es256])),
        ("EC", Some("P-384")) => Some((point(48)?, &[Es384])),
        ("OKP", Some("Ed25519")) => {
            let x = bytes("x").filter(|x| x.len() == 32)?;
            Some((DecodingKey::from_ed_der(&x), &[EdDsa]))
        }
        _ => None,
    }
}

fn object(document: &[u8]) -> Result<Object<'_>, Lost> {
    match json::parse(document) {
        Ok(Node::Object(object)) => Ok(object),
        _ => Err(Lost::NotJson),
    }
}

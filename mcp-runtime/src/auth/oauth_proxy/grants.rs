//! What users let clients do: codes that are good once, and the logins that come of them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::Lives;
use super::answers::{Fault, STORE_DOWN};
use super::params::Params;
use super::ring::{Label, Ring};
use super::tokens::Signer;
use crate::clock::Clock;
use crate::digest::{hex, random, sha256_hex};
use crate::store::Store;

/// How long a client has for redeeming a code.
const CODE: Duration = Duration::from_mins(5);
/// A code that fails this often is burnt.
const MAX_TRIES: u8 = 5;
/// A code that comes again within this time was sent twice by a client in a hurry; later, somebody
/// else has it.
const TWICE: Duration = Duration::from_secs(10);

/// A login: one user, one client, and every token that came of it.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Family {
    pub(super) client: String,
    pub(super) subject: String,
    pub(super) email: Option<String>,
    pub(super) tenant: Option<String>,
    pub(super) roles: Vec<String>,
    pub(super) scope: String,
    /// The refresh token that is good, by its number.
    generation: u64,
    until: Timestamp,
}

/// Who logged in at the provider.
pub(super) struct Person {
    pub(super) subject: String,
    pub(super) email: Option<String>,
    pub(super) tenant: Option<String>,
    pub(super) roles: Vec<String>,
}

/// What a client asked for, which its code is bound to.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Wish {
    pub(super) client: String,
    pub(super) redirect_uri: String,
    pub(super) challenge: String,
    pub(super) scope: String,
    pub(super) state: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct Code {
    client: String,
    redirect_uri: String,
    challenge: String,
    family: String,
    login: Family,
    tries: u8,
    used: Option<Timestamp>,
    until: Timestamp,
}

/// Who is let in, and with which scopes.
pub(super) struct Admission {
    pub(super) emails: Option<Vec<String>>,
    pub(super) scopes: Vec<String>,
    pub(super) scopes_for: BTreeMap<String, Vec<String>>,
}

impl Admission {
    pub(super) fn lets_in(&self, email: Option<&str>) -> bool {
        match &self.emails {
            None => true,
            Some(list) => email.is_some_and(|email| list.iter().any(|known| known == email)),
        }
    }

    /// Every scope that somebody may grant.
    pub(super) fn every_scope(&self) -> impl Iterator<Item = &String> {
        self.scopes.iter().chain(self.scopes_for.values().flatten())
    }

    /// Those of the scopes that this person may grant.
    fn granted(&self, scope: &str, email: Option<&str>) -> String {
        let own = email.and_then(|email| self.scopes_for.get(email));
        let may: Vec<&String> = self
            .scopes
            .iter()
            .chain(own.into_iter().flatten())
            .collect();
        let granted: Vec<&str> = scope
            .split_whitespace()
            .filter(|scope| may.iter().any(|known| known == scope))
            .collect();
        granted.join(" ")
    }
}

pub(super) struct Grants {
    pub(super) store: Arc<dyn Store>,
    pub(super) clock: Clock,
    pub(super) ring: Ring,
    pub(super) signer: Arc<Signer>,
    pub(super) admission: Admission,
    pub(super) lives: Lives,
}

/// What the token endpoint says of a code or a refresh token that is none, for whatever reason.
const INVALID_GRANT: Fault = Fault::new(
    400,
    "invalid_grant",
    "the code or refresh token is not good (any more) for this client: log in again",
);

type Kept<T> = Option<(Vec<u8>, T)>;

impl Grants {
    /// A code for what a person let a client do.
    pub(super) async fn code(&self, wish: &Wish, person: Person) -> Result<String, Fault> {
        let now = self.clock.now();
        let code = URL_SAFE_NO_PAD.encode(random::<32>());
        let granted = self.admission.granted(&wish.scope, person.email.as_deref());
        let kept = Code {
            client: wish.client.clone(),
            redirect_uri: wish.redirect_uri.clone(),
            challenge: wish.challenge.clone(),
            family: hex(&random::<16>()),
            login: Family {
                client: wish.client.clone(),
                subject: person.subject,
                email: person.email,
                tenant: person.tenant,
                roles: person.roles,
                scope: granted,
                generation: 0,
                until: now + self.lives.login,
            },
            tries: 0,
            used: None,
            until: now + CODE,
        };
        self.put(&code_key(&code), &kept, kept.until).await?;
        Ok(code)
    }

    /// Tokens for a code.
    pub(super) async fn redeem(&self, form: &Params) -> Result<Value, Fault> {
        let needed = |name| form.get(name).ok_or(MISSING);
        let (code, verifier) = (needed("code")?, needed("code_verifier")?);
        let (client, redirect_uri) = (needed("client_id")?, needed("redirect_uri")?);
        if !is_verifier(verifier) {
            return Err(Fault::new(
                400,
                "invalid_request",
                "`code_verifier` has 43 to 128 characters of A-Z a-z 0-9 - . _ ~",
            ));
        }
        let key = code_key(code);
        let challenge = challenge(verifier);
        // Whoever loses to another redemption looks again.
        for _ in 0..8 {
            let Some((bytes, mut kept)) = self.get::<Code>(&key).await? else {
                return Err(INVALID_GRANT);
            };
            let now = self.clock.now();
            if let Some(used) = kept.used {
                if now >= used + TWICE {
                    tracing::warn!(target: "mcp::auth", client, "an authorization code came again: its tokens end");
                    self.end(&kept.family).await?;
                }
                return Err(INVALID_GRANT);
            }
            let same = bool::from(challenge.as_bytes().ct_eq(kept.challenge.as_bytes()));
            if !same || kept.client != client || kept.redirect_uri != redirect_uri {
                kept.tries += 1;
                let until = if kept.tries < MAX_TRIES {
                    kept.until
                } else {
                    now
                };
                if self.swap(&key, &bytes, &kept, until).await? {
                    return Err(INVALID_GRANT);
                }
                continue;
            }
            kept.used = Some(now);
            if self.swap(&key, &bytes, &kept, kept.until).await? {
                let family = kept.login;
                let kept_as = family_key(&kept.family);
                self.put(&kept_as, &family, family.until).await?;
                return self.issue(&kept.family, &family, &family.scope);
            }
        }
        Err(INVALID_GRANT)
    }

    /// Tokens for a refresh token, which ends with that.
    pub(super) async fn refresh(&self, form: &Params) -> Result<Value, Fault> {
        let token = form.get("refresh_token").ok_or(MISSING)?;
        let client = form.get("client_id").ok_or(MISSING)?;
        let (id, generation) = self.open(token).ok_or(INVALID_GRANT)?;
        let (bytes, mut family) = self.family(id).await?.ok_or(INVALID_GRANT)?;
        if family.client != client || !self.lets_in(&family) {
            return Err(INVALID_GRANT);
        }
        if family.generation != generation {
            tracing::warn!(target: "mcp::auth", client, "a refresh token came again: its login ends");
            self.end(id).await?;
            return Err(INVALID_GRANT);
        }
        let scope = narrowed(form.get("scope"), &family.scope)?;
        family.generation += 1;
        if !self
            .swap(&family_key(id), &bytes, &family, family.until)
            .await?
        {
            // Somebody used it in this moment.
            self.end(id).await?;
            return Err(INVALID_GRANT);
        }
        self.issue(id, &family, &scope)
    }

    /// Ends the login of a refresh token, if it is one of this client (RFC 7009).
    pub(super) async fn revoke(&self, token: &str, client: &str) -> Result<(), Fault> {
        let Some((id, _)) = self.open(token) else {
            return Ok(());
        };
        match self.family(id).await? {
            Some((_, family)) if family.client == client => self.end(id).await,
            _ => Ok(()),
        }
    }

    /// A login that has not ended.
    pub(super) async fn family(&self, id: &str) -> Result<Kept<Family>, Fault> {
        self.get(&family_key(id)).await
    }

    pub(super) fn lets_in(&self, family: &Family) -> bool {
        self.admission.lets_in(family.email.as_deref())
    }

    fn issue(&self, id: &str, family: &Family, scope: &str) -> Result<Value, Fault> {
        let until = family.until.min(self.clock.now() + self.lives.token);
        let signed = self.signer.sign((id, family), scope, until);
        let (access, seconds) = signed.ok_or(STORE_DOWN)?;
        Ok(json!({
            "access_token": access,
            "token_type": "Bearer",
            "expires_in": seconds,
            "scope": scope,
            "refresh_token": self.refresh_token(id, family.generation),
        }))
    }

    /// Names its login and its number, so that one that comes again is told from one that is made
    /// up; only its seal is secret, and that is not kept.
    fn refresh_token(&self, id: &str, generation: u64) -> String {
        let number = generation.to_string();
        let seal = self.ring.seal(Label::Refresh, &[id, &number]);
        format!("mcp_refresh_{id}.{number}.{}", hex(&seal))
    }

    fn open<'a>(&self, token: &'a str) -> Option<(&'a str, u64)> {
        let mut parts = token.strip_prefix("mcp_refresh_")?.split('.');
        let (id, number, seal) = (parts.next()?, parts.next()?, parts.next()?);
        let seal = unhex(seal).filter(|_| parts.next().is_none() && id.len() == 32)?;
        self.ring
            .made(Label::Refresh, &[id, number], &seal)
            .then_some(())?;
        Some((id, number.parse().ok()?))
    }

    async fn end(&self, family: &str) -> Result<(), Fault> {
        let removed = self.store.remove(&family_key(family)).await;
        removed.map(|_| ()).map_err(lost)
    }

    pub(super) async fn get<T: DeserializeOwned>(&self, key: &str) -> Result<Kept<T>, Fault> {
        let kept = self.store.get(key).await.map_err(lost)?;
        Ok(kept.and_then(|bytes| {
            let thing = serde_json::from_slice(&bytes).ok()?;
            Some((bytes, thing))
        }))
    }

    pub(super) async fn put<T: Serialize>(
        &self,
        key: &str,
        thing: &T,
        until: Timestamp,
    ) -> Result<(), Fault> {
        let bytes = serde_json::to_vec(thing).map_err(|_| STORE_DOWN)?;
        self.store.put(key, &bytes, until).await.map_err(lost)
    }

    async fn swap<T: Serialize>(
        &self,
        key: &str,
        expected: &[u8],
        thing: &T,
        until: Timestamp,
    ) -> Result<bool, Fault> {
        let bytes = serde_json::to_vec(thing).map_err(|_| STORE_DOWN)?;
        let swapped = self.store.replace(key, expected, &bytes, until).await;
        swapped.map_err(lost)
    }
}

const MISSING: Fault = Fault::new(400, "invalid_request", "a parameter is missing");

#[expect(
    clippy::needless_pass_by_value,
    reason = "it is what `map_err` hands over"
)]
fn lost(error: crate::store::StoreError) -> Fault {
    tracing::error!(target: "mcp::auth", error = ?error, "the OAuth proxy cannot use its store");
    STORE_DOWN
}

/// Secrets are kept by their digests alone.
fn code_key(code: &str) -> String {
    format!("mcp:oauth:code:{}", sha256_hex(code))
}

fn family_key(id: &str) -> String {
    format!("mcp:oauth:login:{id}")
}

/// What is asked for, which is never more than there was; all of it where nothing is asked for.
fn narrowed(asked: Option<&str>, had: &str) -> Result<String, Fault> {
    let Some(asked) = asked else {
        return Ok(had.to_owned());
    };
    let known = |scope: &str| had.split_whitespace().any(|known| known == scope);
    if !asked.split_whitespace().all(known) {
        return Err(Fault::new(
            400,
            "invalid_scope",
            "a scope is not one that was granted",
        ));
    }
    Ok(asked.to_owned())
}

/// PKCE, S256.
pub(super) fn challenge(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(verifier))
}

fn is_verifier(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
    (43..=128).contains(&text.len()) && text.bytes().all(plain)
}

pub(super) fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    if digits.len() != 64 || !text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
        return None;
    }
    let pairs = (0..digits.len()).step_by(2);
    pairs
        .map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok())
        .collect()
}

//! The access tokens of a facade: signed here, and checked here.

use std::sync::Arc;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::grants::{Family, Grants};
use super::ring::Ring;
use crate::auth::decisions::{self, Decisions};
use crate::auth::{AuthError, Authenticate, Authentication, token_digest};
use crate::caller::Caller;
use crate::clock::Clock;
use crate::digest::{hex, random, sha256_hex};
use crate::error::BootError;

const MAX_TOKEN: usize = 8 << 10;

/// What a token says.
#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    sub: String,
    client_id: String,
    scope: String,
    iat: i64,
    exp: i64,
    jti: String,
    /// The login that it came from: with it, it ends.
    sid: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    email: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tenant: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    roles: Vec<String>,
}

/// Signs and checks.
pub(super) struct Signer {
    keys: Vec<Key>,
    issuer: String,
    audience: String,
    clock: Clock,
}

struct Key {
    pair: Ed25519KeyPair,
    id: String,
    /// As it stands before every token of this key.
    header: String,
}

impl Signer {
    pub(super) fn new(
        ring: &Ring,
        issuer: &str,
        audience: &str,
        clock: Clock,
    ) -> Result<Self, BootError> {
        let keys = ring
            .seeds()
            .iter()
            .map(Key::new)
            .collect::<Result<_, _>>()?;
        Ok(Self {
            keys,
            issuer: issuer.to_owned(),
            audience: audience.to_owned(),
            clock,
        })
    }

    /// A token of a login, and the seconds that it is good for.
    pub(super) fn sign(
        &self,
        (sid, family): (&str, &Family),
        scope: &str,
        until: Timestamp,
    ) -> Option<(String, i64)> {
        let now = self.clock.now().as_second();
        let claims = Claims {
            iss: self.issuer.clone(),
            aud: self.audience.clone(),
            sub: family.subject.clone(),
            client_id: family.client.clone(),
            scope: scope.to_owned(),
            iat: now,
            exp: until.as_second(),
            jti: hex(&random::<12>()),
            sid: sid.to_owned(),
            email: family.email.clone(),
            tenant: family.tenant.clone(),
            roles: family.roles.clone(),
        };
        let key = self.keys.first()?;
        let claims = URL_SAFE_NO_PAD.encode(serde_json::to_vec(&claims).ok()?);
        let message = format!("{}.{claims}", key.header);
        let signature = URL_SAFE_NO_PAD.encode(key.pair.sign(message.as_bytes()));
        Some((format!("{message}.{signature}"), until.as_second() - now))
    }

    /// The keys, for whoever wants to check a token as well.
    pub(super) fn jwks(&self) -> Value {
        let keys = self.keys.iter().map(|key| {
            json!({
                "kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": key.id,
                "x": URL_SAFE_NO_PAD.encode(key.pair.public_key()),
            })
        });
        json!({ "keys": keys.collect::<Vec<_>>() })
    }

    /// What a token says, all of it checked but for the signature and the login.
    fn read<'a>(&'a self, token: &'a str) -> Option<Unsigned<'a>> {
        let (message, signature) = token.rsplit_once('.')?;
        let (header, claims) = message.split_once('.')?;
        // A header that one of our keys did not write is none of ours, whatever it says.
        let key = self.keys.iter().find(|key| key.header == header)?;
        let claims: Claims = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).ok()?).ok()?;
        let now = self.clock.now().as_second();
        let good = claims.iss == self.issuer && claims.aud == self.audience && now < claims.exp;
        good.then_some(Unsigned {
            claims,
            key,
            message,
            signature,
        })
    }
}

struct Unsigned<'a> {
    claims: Claims,
    key: &'a Key,
    message: &'a str,
    signature: &'a str,
}

impl Unsigned<'_> {
    fn is_signed(&self) -> bool {
        let public = UnparsedPublicKey::new(&ED25519, self.key.pair.public_key());
        let signature = URL_SAFE_NO_PAD.decode(self.signature);
        signature.is_ok_and(|sent| public.verify(self.message.as_bytes(), &sent).is_ok())
    }

    fn caller(&self) -> Option<Caller> {
        let claims = &self.claims;
        let mut caller = Caller::user(&claims.sub)
            .issuer(&claims.iss)
            .scopes(claims.scope.split_whitespace())
            .roles(&claims.roles)
            .expires(Timestamp::from_second(claims.exp).ok()?);
        if let Some(email) = &claims.email {
            caller = caller.email(email);
        }
        if let Some(tenant) = &claims.tenant {
            caller = caller.tenant(tenant);
        }
        Some(caller)
    }
}

impl Key {
    fn new(seed: &[u8; 32]) -> Result<Self, BootError> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed)
            .map_err(|_| BootError::new("the OAuth proxy has no key to sign with"))?;
        let id = sha256_hex(pair.public_key())[..16].to_owned();
        let header = json!({ "alg": "EdDSA", "kid": id, "typ": "at+jwt" }).to_string();
        Ok(Self {
            pair,
            id,
            header: URL_SAFE_NO_PAD.encode(header),
        })
    }
}

/// Checks the tokens of a facade.
pub(crate) struct OwnTokens {
    signer: Arc<Signer>,
    grants: Arc<Grants>,
    decisions: Decisions,
}

impl OwnTokens {
    pub(super) fn new(signer: Arc<Signer>, grants: Arc<Grants>) -> Self {
        Self {
            signer,
            grants,
            decisions: Decisions::new(decisions::KEEP),
        }
    }

    /// The signature is looked at once in a while, the login every time: it may have ended.
    async fn check(&self, token: &str) -> Result<Arc<Caller>, AuthError> {
        let read = (token.len() <= MAX_TOKEN).then(|| self.signer.read(token));
        let read = read.flatten().ok_or(AuthError::Invalid)?;
        let (digest, now) = (token_digest(token), self.signer.clock.now());
        let caller = match self.decisions.granted(&digest, now) {
            Some(caller) => caller,
            None if read.is_signed() => {
                let caller = Arc::new(read.caller().ok_or(AuthError::Invalid)?);
                self.decisions.grant(digest, &caller, now, None);
                caller
            }
            None => return Err(AuthError::Invalid),
        };
        match self.grants.family(&read.claims.sid).await {
            Ok(Some((_, family))) if self.grants.lets_in(&family) => Ok(caller),
            Ok(Some(_)) => Err(AuthError::Denied),
            Ok(None) => Err(AuthError::Invalid),
            Err(_) => Err(AuthError::Unavailable),
        }
    }
}

impl Authenticate for OwnTokens {
    fn authenticate<'a>(&'a self, token: &'a str) -> Authentication<'a> {
        Box::pin(self.check(token))
    }

    fn authorization_servers(&self) -> Vec<String> {
        vec![self.signer.issuer.clone()]
    }

    fn takes(&self, token: &str) -> bool {
        let header = token.split('.').next();
        self.signer
            .keys
            .iter()
            .any(|key| Some(&*key.header) == header)
    }
}

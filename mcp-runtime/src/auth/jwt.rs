//! Signed tokens (JWT, RFC 9068), checked with the keys of their issuers.
//!
//! `jsonwebtoken` is used for the one thing it does well, the signature. What surrounds it is done
//! here: its own checks let claims of another type pass unless each is required by name, do not
//! notice a name that is there twice, and do not look at `typ` or `crit`.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;

use super::claims::{Flaw, Implied, Rules};
use super::decisions::{self, Decisions, Digest};
use super::egress::Egress;
use super::jwks::{self, KeySource, Place};
use super::{AuthError, Authenticate, Authentication, Setup, looks_like_jwt, token_digest};
use crate::caller::Caller;
use crate::clock::Clock;
use crate::error::{BootError, Result as BootResult};
use crate::json::{self, Node, Object};

/// No issuer needs more, and nothing is decoded of what has more.
const MAX_TOKEN: usize = 16 << 10;
const MAX_HEADER: usize = 4 << 10;
const MAX_KID: usize = 256;

/// How a token may be signed. What is not in this list, like `none` and the algorithms that share
/// a secret, is not to be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Algorithm {
    /// RSA, PKCS #1 v1.5, with SHA-256.
    Rs256,
    /// RSA, PKCS #1 v1.5, with SHA-384.
    Rs384,
    /// RSA, PKCS #1 v1.5, with SHA-512.
    Rs512,
    /// RSA, PSS, with SHA-256.
    Ps256,
    /// RSA, PSS, with SHA-384.
    Ps384,
    /// RSA, PSS, with SHA-512.
    Ps512,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// ECDSA on P-384 with SHA-384.
    Es384,
    /// Ed25519.
    EdDsa,
}

impl Algorithm {
    const NAMES: [(&'static str, Self, jsonwebtoken::Algorithm); 10] = [
        ("RS256", Self::Rs256, jsonwebtoken::Algorithm::RS256),
        ("RS384", Self::Rs384, jsonwebtoken::Algorithm::RS384),
        ("RS512", Self::Rs512, jsonwebtoken::Algorithm::RS512),
        ("PS256", Self::Ps256, jsonwebtoken::Algorithm::PS256),
        ("PS384", Self::Ps384, jsonwebtoken::Algorithm::PS384),
        ("PS512", Self::Ps512, jsonwebtoken::Algorithm::PS512),
        ("ES256", Self::Es256, jsonwebtoken::Algorithm::ES256),
        ("ES384", Self::Es384, jsonwebtoken::Algorithm::ES384),
        ("EdDSA", Self::EdDsa, jsonwebtoken::Algorithm::EdDSA),
        // The name since RFC 9864.
        ("Ed25519", Self::EdDsa, jsonwebtoken::Algorithm::EdDSA),
    ];

    /// The algorithm of this name, as tokens and keys write it: `RS256`.
    pub fn from_name(name: &str) -> Option<Self> {
        let row = Self::NAMES.iter().find(|row| row.0 == name)?;
        Some(row.1)
    }

    fn verifies(self, signature: &str, message: &[u8], key: &jsonwebtoken::DecodingKey) -> bool {
        Self::NAMES
            .iter()
            .find(|row| row.1 == self)
            .is_some_and(|row| {
                jsonwebtoken::crypto::verify(signature, message, key, row.2).unwrap_or(false)
            })
    }
}

/// Bearer tokens that are JWTs: access tokens that an issuer signs for this server.
///
/// A token is good when it is signed with a key of its issuer by an expected algorithm; when
/// issuer (`iss`), audience (`aud`), subject (`sub`) and end (`exp`) are there, of the right type
/// and right; when it is in force (`nbf`, `iat`, with 30 seconds for clocks that are off) and does
/// not live longer than allowed. Scopes come from `scope`, `scp` or `scopes`.
///
/// Nothing is asked of an issuer before its first token arrives. Its keys are kept for an hour; a
/// token with an unknown key makes for one more look a minute. While keys cannot be had, requests
/// with tokens are answered with 503.
///
/// ```
/// use mcp_runtime::auth::{Algorithm, Jwt};
///
/// let auth = Jwt::discover("https://as.example.com")
///     .implies("orders:admin", ["orders:read", "orders:write"])
///     // What follows an issuer is said of that issuer.
///     .issuer("https://login.example.org/realms/staff")
///     .audience("api://orders")
///     .algorithms([Algorithm::Es256])
///     .role_claim("/realm_access/roles")
///     .tenant_claim("org_id");
/// ```
pub struct Jwt {
    issuers: Vec<Issuer>,
    implied: Implied,
    egress: Egress,
    keep: Duration,
    keep_keys: (Duration, Duration),
    ready: Option<Ready>,
}

/// One issuer, as it is configured.
struct Issuer {
    name: String,
    jwks_url: Option<String>,
    algorithms: Vec<Algorithm>,
    types: Vec<String>,
    rules: Rules,
    keys: Option<Arc<KeySource>>,
}

/// What [`Authenticate::prepare`] adds. Before it, nobody is let in.
struct Ready {
    clock: Clock,
    decisions: Decisions,
}

impl Jwt {
    /// Tokens of an issuer whose keys are found through its metadata
    /// (`/.well-known/openid-configuration` or `/.well-known/oauth-authorization-server`). The
    /// name is that in the tokens (`iss`), to the letter.
    pub fn discover(issuer: impl Into<String>) -> Self {
        Self {
            issuers: Vec::new(),
            implied: Implied::default(),
            egress: Egress::new(),
            keep: decisions::KEEP,
            keep_keys: (jwks::KEEP, Duration::ZERO),
            ready: None,
        }
        .issuer(issuer)
    }

    /// Tokens of one more issuer. The settings that follow are about this one.
    #[must_use]
    pub fn issuer(mut self, issuer: impl Into<String>) -> Self {
        use Algorithm::{EdDsa, Es256, Ps256, Rs256};
        self.issuers.push(Issuer {
            name: issuer.into(),
            jwks_url: None,
            algorithms: vec![Rs256, Ps256, Es256, EdDsa],
            types: vec!["at+jwt".to_owned(), "jwt".to_owned()],
            rules: Rules::default(),
            keys: None,
        });
        self
    }

    /// Where the keys of the issuer are, in place of what its metadata says.
    #[must_use]
    pub fn jwks_url(self, url: impl Into<String>) -> Self {
        self.with(|issuer| issuer.jwks_url = Some(url.into()))
    }

    /// An audience of the tokens (`aud`); the public URL of the server unless said otherwise.
    /// Several may be said, one of which a token has to have.
    #[must_use]
    pub fn audience(self, audience: impl Into<String>) -> Self {
        self.with(|issuer| issuer.rules.audiences.push(audience.into()))
    }

    /// How tokens may be signed; RS256, PS256, ES256 and EdDSA unless said otherwise.
    #[must_use]
    pub fn algorithms(self, algorithms: impl IntoIterator<Item = Algorithm>) -> Self {
        self.with(|issuer| issuer.algorithms = algorithms.into_iter().collect())
    }

    /// What kinds of token are taken, by the header `typ`; `at+jwt` and `JWT` unless said
    /// otherwise. A token that does not say its kind is taken too.
    #[must_use]
    pub fn token_types<T: Into<String>>(self, types: impl IntoIterator<Item = T>) -> Self {
        self.with(|issuer| {
            let lower = |kind: T| kind.into().to_ascii_lowercase();
            issuer.types = types.into_iter().map(lower).collect();
        })
    }

    /// The longest that a token may live, from `iat` to `exp`; a day unless said otherwise.
    #[must_use]
    pub fn max_lifetime(self, lifetime: Duration) -> Self {
        self.with(|issuer| issuer.rules.max_lifetime = lifetime)
    }

    /// The claim that holds the roles, one or a list; `roles` unless said otherwise. What begins
    /// with a slash is a path into the claims: `/realm_access/roles`.
    #[must_use]
    pub fn role_claim(self, claim: impl Into<String>) -> Self {
        self.with(|issuer| issuer.rules.role_claim = claim.into())
    }

    /// The claim that holds the tenant, by its name or a path; none unless said otherwise.
    #[must_use]
    pub fn tenant_claim(self, claim: impl Into<String>) -> Self {
        self.with(|issuer| issuer.rules.tenant_claim = Some(claim.into()))
    }

    /// A scope as the issuer calls it, and the scopes of this server that it stands for, in its
    /// place.
    #[must_use]
    pub fn scope_map<T: Into<String>>(
        self,
        theirs: impl Into<String>,
        ours: impl IntoIterator<Item = T>,
    ) -> Self {
        let ours = ours.into_iter().map(Into::into).collect();
        self.with(|issuer| _ = issuer.rules.scope_map.insert(theirs.into(), ours))
    }

    /// Scopes that come with a scope, whoever granted it, and with them what they imply.
    #[must_use]
    pub fn implies<T: Into<String>>(
        mut self,
        scope: impl Into<String>,
        implied: impl IntoIterator<Item = T>,
    ) -> Self {
        self.implied
            .add(scope.into(), implied.into_iter().map(Into::into));
        self
    }

    /// How issuers may be reached; only by `https` and at public addresses unless said otherwise.
    #[must_use]
    pub fn egress(mut self, egress: Egress) -> Self {
        self.egress = egress;
        self
    }

    /// How long a good token is remembered, within its own life; 55 seconds unless said otherwise.
    /// A token that is taken back is good for as long.
    #[must_use]
    pub fn remember(mut self, time: Duration) -> Self {
        self.keep = time;
        self
    }

    /// How long keys are used without asking again, an hour unless said otherwise; and how much
    /// longer while the issuer cannot be asked, not at all unless said otherwise.
    #[must_use]
    pub fn keep_keys(mut self, fresh: Duration, stale: Duration) -> Self {
        self.keep_keys = (fresh, stale);
        self
    }

    /// Settings speak of the issuer named last; there is always one.
    fn with(mut self, change: impl FnOnce(&mut Issuer)) -> Self {
        if let Some(issuer) = self.issuers.last_mut() {
            change(issuer);
        }
        self
    }

    async fn check(&self, ready: &Ready, token: &str, digest: Digest) -> Outcome {
        let now = ready.clock.now();
        let parts = Parts::split(token).map_err(refused)?;
        let header = parts.header().map_err(refused)?;
        let claims = parts.claims().map_err(refused)?;
        // All that costs nothing comes before the key is looked for and the signature is counted.
        let checked = self.read(&header, &claims, now).map_err(refused)?;
        let keys = checked.issuer.keys.as_ref();
        let keys = keys.ok_or(AuthError::Unavailable)?;
        let found = keys.find(checked.kid, checked.algorithm).await;
        let found = found.map_err(|error| match error {
            AuthError::Invalid => refused(Flaw("signed with no known key")),
            other => other,
        })?;
        if !checked
            .algorithm
            .verifies(parts.signature, parts.message, found.key())
        {
            return Err(refused(Flaw("the signature is not good")));
        }
        let caller = Arc::new(checked.caller);
        ready
            .decisions
            .grant(digest, &caller, now, Some(found.until));
        Ok(caller)
    }

    /// Everything about a token but its signature.
    fn read<'a>(
        &'a self,
        header: &'a Object<'_>,
        claims: &Object<'_>,
        now: Timestamp,
    ) -> Result<Unsigned<'a>, Flaw> {
        let named = claims.get("iss").and_then(Node::as_str);
        let named = named.ok_or(Flaw("iss"))?;
        let mut issuers = self.issuers.iter();
        let issuer = issuers.find(|issuer| issuer.name == named);
        let issuer = issuer.ok_or(Flaw("of another issuer"))?;
        let (algorithm, kid) = issuer.header(header)?;
        let rules = &issuer.rules;
        rules.audience(claims)?;
        let expires = rules.times(claims, now)?.ok_or(Flaw("has no end (exp)"))?;
        let caller = rules.caller(&issuer.name, claims, Some(expires))?;
        Ok(Unsigned {
            issuer,
            algorithm,
            kid,
            caller,
        })
    }
}

type Outcome = Result<Arc<Caller>, AuthError>;

struct Unsigned<'a> {
    issuer: &'a Issuer,
    algorithm: Algorithm,
    kid: Option<&'a str>,
    caller: Caller,
}

impl Issuer {
    /// How the token says it is signed, as far as that is allowed.
    fn header<'a>(&self, header: &'a Object<'_>) -> Result<(Algorithm, Option<&'a str>), Flaw> {
        // What has to be understood, and is not: extensions, encodings, encryption.
        if ["crit", "b64", "enc", "zip"]
            .iter()
            .any(|name| header.get(name).is_some())
        {
            return Err(Flaw("has a header that is not understood"));
        }
        match header.get("typ").map(Node::as_str) {
            None => {}
            Some(Some(kind)) if self.takes_type(kind) => {}
            Some(_) => return Err(Flaw("another kind of token (typ)")),
        }
        let algorithm = header.get("alg").and_then(Node::as_str);
        let algorithm = algorithm
            .and_then(Algorithm::from_name)
            .filter(|algorithm| self.algorithms.contains(algorithm))
            .ok_or(Flaw("signed by an algorithm that is not expected"))?;
        let kid = match header.get("kid") {
            None => None,
            Some(kid) => Some(
                kid.as_str()
                    .filter(|kid| kid.len() <= MAX_KID)
                    .ok_or(Flaw("kid"))?,
            ),
        };
        Ok((algorithm, kid))
    }

    fn takes_type(&self, kind: &str) -> bool {
        let kind = kind.to_ascii_lowercase();
        let kind = kind.strip_prefix("application/").unwrap_or(&kind);
        self.types.iter().any(|known| known == kind)
    }

    fn prepare(
        &mut self,
        setup: &Setup<'_>,
        egress: &Egress,
        keep_keys: (Duration, Duration),
    ) -> Result<(), String> {
        self.rules.prepare(setup)?;
        if self.algorithms.is_empty() {
            return Err("has no algorithms, so that no token of it could be good".to_owned());
        }
        let url = egress.url(&self.name)?;
        if url.query().is_some() {
            return Err("has a query, which an issuer has not".to_owned());
        }
        let place = match &self.jwks_url {
            Some(url) => Place::At(egress.url(url)?),
            None => Place::Discovered(jwks::metadata_places(&url)),
        };
        self.keys = Some(KeySource::new(
            &self.name,
            place,
            egress.clone(),
            setup.clock().clone(),
            self.algorithms.clone(),
            keep_keys,
        ));
        Ok(())
    }
}

impl Authenticate for Jwt {
    fn authenticate<'a>(&'a self, token: &'a str) -> Authentication<'a> {
        let Some(ready) = &self.ready else {
            tracing::error!(target: "mcp::auth", "tokens arrive before `prepare` was called");
            return Box::pin(std::future::ready(Err(AuthError::Unavailable)));
        };
        if token.len() > MAX_TOKEN {
            return Box::pin(std::future::ready(Err(refused(Flaw("too long")))));
        }
        let digest = token_digest(token);
        if let Some(caller) = ready.decisions.granted(&digest, ready.clock.now()) {
            return Box::pin(std::future::ready(Ok(caller)));
        }
        Box::pin(self.check(ready, token, digest))
    }

    fn authorization_servers(&self) -> Vec<String> {
        self.issuers
            .iter()
            .map(|issuer| issuer.name.clone())
            .collect()
    }

    fn prepare(&mut self, setup: &Setup<'_>) -> BootResult {
        let mut problems = Vec::new();
        problems.extend(self.egress.prepare().err().map(|error| error.to_string()));
        for at in 0..self.issuers.len() {
            let (before, rest) = self.issuers.split_at_mut(at);
            let issuer = &mut rest[0];
            issuer.rules.implied = self.implied.clone();
            let name = issuer.name.clone();
            if before.iter().any(|other| other.name == name) {
                problems.push(format!("the issuer `{name}` is named twice"));
            }
            let prepared = issuer.prepare(setup, &self.egress, self.keep_keys);
            problems.extend(
                prepared
                    .err()
                    .map(|problem| format!("the issuer `{name}`: {problem}")),
            );
        }
        BootError::collect(problems)?;
        self.ready = Some(Ready {
            clock: setup.clock().clone(),
            decisions: Decisions::new(self.keep),
        });
        Ok(())
    }

    fn takes(&self, token: &str) -> bool {
        looks_like_jwt(token)
    }
}

impl std::fmt::Debug for Jwt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let issuers = self.issuers.iter().map(|issuer| &issuer.name);
        f.debug_list().entries(issuers).finish()
    }
}

/// Notes for the operator what the caller does not learn.
fn refused(Flaw(why): Flaw) -> AuthError {
    tracing::debug!(target: "mcp::auth", why, "access token refused");
    AuthError::Invalid
}

/// The compact form: three parts, and nothing else.
struct Parts<'a> {
    message: &'a [u8],
    signature: &'a str,
    header: Vec<u8>,
    claims: Vec<u8>,
}

impl<'a> Parts<'a> {
    fn split(token: &'a str) -> Result<Self, Flaw> {
        let flaw = Flaw("not a signed token");
        let (message, signature) = token.rsplit_once('.').ok_or(flaw)?;
        let (header, claims) = message.split_once('.').ok_or(flaw)?;
        if signature.is_empty() || claims.contains('.') || header.len() > MAX_HEADER {
            return Err(flaw);
        }
        // Without padding and without spare bits: no token has a twin that is written differently.
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| flaw);
        Ok(Self {
            message: message.as_bytes(),
            signature,
            header: decode(header)?,
            claims: decode(claims)?,
        })
    }

    fn header(&self) -> Result<Object<'_>, Flaw> {
        object(
            &self.header,
            "the header is not a JSON object of its own names",
        )
    }

    fn claims(&self) -> Result<Object<'_>, Flaw> {
        object(
            &self.claims,
            "the claims are not a JSON object of their own names",
        )
    }
}

/// A name that is there twice is refused: which one counts would depend on who reads it.
fn object<'a>(bytes: &'a [u8], flaw: &'static str) -> Result<Object<'a>, Flaw> {
    match json::parse(bytes) {
        Ok(Node::Object(object)) => Ok(object),
        _ => Err(Flaw(flaw)),
    }
}

//! From claims, whoever vouches for them, to a caller.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;

use super::Setup;
use crate::caller::Caller;
use crate::json::{Node, Object};

/// How far the clocks of issuers may be off.
const LEEWAY: i64 = 30;

/// What is longer is not a name.
const MAX_NAME: usize = 255;

/// The last second that has a date.
const LAST_DATE: f64 = 253_402_207_200.0;

/// Why claims are refused, for the log; the caller learns that the token is not good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Flaw(pub(super) &'static str);

/// How the claims of one issuer are read.
#[derive(Clone, Debug)]
pub(super) struct Rules {
    pub(super) audiences: Vec<String>,
    pub(super) role_claim: String,
    pub(super) tenant_claim: Option<String>,
    /// What a scope of the issuer stands for here.
    pub(super) scope_map: BTreeMap<String, Vec<String>>,
    pub(super) implied: Implied,
    pub(super) max_lifetime: Duration,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            audiences: Vec::new(),
            role_claim: "roles".to_owned(),
            tenant_claim: None,
            scope_map: BTreeMap::new(),
            implied: Implied::default(),
            max_lifetime: Duration::from_hours(24),
        }
    }
}

impl Rules {
    /// Tokens are for the server itself unless said otherwise, and never for just anybody.
    pub(super) fn prepare(&mut self, setup: &Setup<'_>) -> Result<(), String> {
        if self.audiences.is_empty()
            && let Some(url) = setup.public_url()
        {
            // One resource, which clients write with and without the slash at its end.
            let bare = url.trim_end_matches('/');
            self.audiences = vec![bare.to_owned(), format!("{bare}/")];
        }
        match self.audiences.iter().any(|audience| audience.is_empty()) {
            true => Err("has an empty audience: name the resource that tokens are for".to_owned()),
            false if self.audiences.is_empty() => Err(
                "has no audience, so that it would take tokens that are meant for others: give \
                 the server its `public_url`, or say `.audience(…)`"
                    .to_owned(),
            ),
            false => Ok(()),
        }
    }

    /// When the claims end, if they do, after a look at all that they say about time.
    pub(super) fn times(
        &self,
        claims: &Object<'_>,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, Flaw> {
        let now = now.as_second();
        let date = |name| claims.get(name).map(|claim| date(claim).ok_or(Flaw(name)));
        let (expires, from, issued) = (
            date("exp").transpose()?,
            date("nbf").transpose()?,
            date("iat").transpose()?,
        );
        if from.is_some_and(|from| from - LEEWAY > now) {
            return Err(Flaw("not valid yet (nbf)"));
        }
        if issued.is_some_and(|issued| issued - LEEWAY > now) {
            return Err(Flaw("issued in the future (iat)"));
        }
        let Some(expires) = expires else {
            return Ok(None);
        };
        if expires + LEEWAY <= now {
            return Err(Flaw("expired"));
        }
        let lifetime = expires - issued.unwrap_or(now);
        let longest = i64::try_from(self.max_lifetime.as_secs()).unwrap_or(i64::MAX);
        if lifetime > longest.saturating_add(LEEWAY) {
            return Err(Flaw("lives longer than is allowed here"));
        }
        Timestamp::from_second(expires)
            .map(Some)
            .map_err(|_| Flaw("exp"))
    }

    /// Whether the claims are meant for this server.
    pub(super) fn audience(&self, claims: &Object<'_>) -> Result<(), Flaw> {
        let known = |audience: &str| self.audiences.iter().any(|own| own == audience);
        let meant = match claims.get("aud") {
            Some(Node::String(one)) => known(one),
            // All of them are read before any of them counts.
            Some(Node::Array(many)) => many
                .iter()
                .map(|one| one.as_str().ok_or(Flaw("aud")))
                .collect::<Result<Vec<_>, _>>()?
                .into_iter()
                .any(known),
            Some(_) => return Err(Flaw("aud")),
            None => return Err(Flaw("has no audience")),
        };
        if meant {
            Ok(())
        } else {
            Err(Flaw("meant for another audience"))
        }
    }

    /// Who is meant, with what they may.
    pub(super) fn caller(
        &self,
        issuer: &str,
        claims: &Object<'_>,
        expires: Option<Timestamp>,
    ) -> Result<Caller, Flaw> {
        let subject = name(claims.get("sub")).ok_or(Flaw("sub"))?;
        let mut caller = Caller::user(subject)
            .issuer(issuer)
            .scopes(self.scopes(claims))
            .roles(roles(member(claims, &self.role_claim)));
        if let Some(claim) = &self.tenant_claim
            && let Some(tenant) = member(claims, claim)
        {
            caller = caller.tenant(name(Some(tenant)).ok_or(Flaw("tenant"))?);
        }
        if let Some(email) = verified_email(claims) {
            caller = caller.email(email);
        }
        if let Some(expires) = expires {
            caller = caller.expires(expires);
        }
        Ok(caller)
    }

    /// The scopes, by whichever of its names the issuer knows the claim; what they stand for; and
    /// what those imply.
    fn scopes(&self, claims: &Object<'_>) -> BTreeSet<String> {
        let mut scopes = BTreeSet::new();
        for claim in ["scope", "scp", "scopes"] {
            let found: Vec<&str> = match claims.get(claim) {
                Some(Node::String(text)) => text.split(' ').collect(),
                Some(Node::Array(items)) => items.iter().filter_map(Node::as_str).collect(),
                _ => Vec::new(),
            };
            for scope in found.into_iter().filter(|scope| is_scope(scope)) {
                match self.scope_map.get(scope) {
                    Some(stands_for) => scopes.extend(stands_for.iter().cloned()),
                    None => _ = scopes.insert(scope.to_owned()),
                }
            }
        }
        self.implied.complete(&mut scopes);
        scopes
    }
}

/// Scopes that come with others.
#[derive(Clone, Debug, Default)]
pub(super) struct Implied(BTreeMap<String, BTreeSet<String>>);

impl Implied {
    pub(super) fn add(&mut self, scope: String, implied: impl Iterator<Item = String>) {
        self.0.entry(scope).or_default().extend(implied);
    }

    fn complete(&self, scopes: &mut BTreeSet<String>) {
        let mut open: Vec<String> = match self.0.is_empty() {
            true => return,
            false => scopes.iter().cloned().collect(),
        };
        while let Some(scope) = open.pop() {
            for implied in self.0.get(&scope).into_iter().flatten() {
                if scopes.insert(implied.clone()) {
                    open.push(implied.clone());
                }
            }
        }
    }
}

/// The e-mail address, where the issuer says that it has seen it belong to the subject: `true`,
/// and nothing that merely looks like it.
pub(super) fn verified_email<'a>(claims: &'a Object<'_>) -> Option<&'a str> {
    let verified = matches!(claims.get("email_verified"), Some(Node::Bool(true)));
    name(claims.get("email")).filter(|email| verified && email.contains('@'))
}

/// A text that can name somebody: not empty, not endless, nothing invisible in it.
pub(super) fn name<'a>(claim: Option<&'a Node<'_>>) -> Option<&'a str> {
    let text = claim?.as_str()?;
    let fine = !text.trim().is_empty()
        && text.len() <= MAX_NAME
        && !text.contains(|c: char| c.is_control());
    fine.then_some(text)
}

/// A claim by its name, or by a pointer into the claims (`/realm_access/roles`).
fn member<'a, 'b>(claims: &'a Object<'b>, claim: &str) -> Option<&'a Node<'b>> {
    let Some(path) = claim.strip_prefix('/') else {
        return claims.get(claim);
    };
    let mut steps = path.split('/');
    let first = claims.get(steps.next()?)?;
    steps.try_fold(first, |node, step| node.as_object()?.get(step))
}

fn roles(claim: Option<&Node<'_>>) -> Vec<String> {
    let one = |node: &Node<'_>| name(Some(node)).map(str::to_owned);
    match claim {
        Some(Node::Array(items)) => items.iter().filter_map(one).collect(),
        Some(role) => one(role).into_iter().collect(),
        None => Vec::new(),
    }
}

/// What RFC 6749 lets a scope be. Anything else was never granted.
fn is_scope(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|b| b.is_ascii_graphic() && b != b'"' && b != b'\\')
}

/// A NumericDate: a number of seconds, after 1970 and with a date.
fn date(claim: &Node<'_>) -> Option<i64> {
    let Node::Number(number) = claim else {
        return None;
    };
    let seconds = number.as_f64()?;
    #[expect(clippy::cast_possible_truncation, reason = "the range is checked")]
    (1.0..LAST_DATE)
        .contains(&seconds)
        .then_some(seconds as i64)
}

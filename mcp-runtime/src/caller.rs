//! Who is calling.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use crate::clock::Clock;
use crate::digest::hex;
use crate::tenant::Tenant;

/// How far the clocks of issuers and servers may lie apart.
pub(crate) const LEEWAY: Duration = Duration::from_secs(30);

/// Who makes a call: nobody in particular, or a [`Principal`] that authentication vouches for.
///
/// Tools borrow it as `&Caller`; tests make one as a value:
///
/// ```
/// use mcp_runtime::Caller;
///
/// let ada = Caller::user("ada").scope("refunds:write").role("support");
/// assert!(ada.has_scope("refunds:write") && !ada.has_role("admin"));
/// assert!(Caller::anonymous().subject().is_none());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Caller(Option<Box<Principal>>);

/// An authenticated identity. Two principals are the same when issuer, subject and tenant are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    issuer: Cow<'static, str>,
    subject: String,
    /// A claim that is no id of a tenant still tells principals apart, but is never lent.
    tenant: Option<Result<Tenant, String>>,
    email: Option<String>,
    scopes: BTreeSet<String>,
    roles: BTreeSet<String>,
    expires: Option<Timestamp>,
}

impl Caller {
    /// A caller without a token.
    pub fn anonymous() -> Self {
        Self(None)
    }

    /// A caller known as `subject`, with no scopes and no roles yet.
    pub fn user(subject: impl Into<String>) -> Self {
        Self(Some(Box::new(Principal {
            issuer: Cow::Borrowed("local"),
            subject: subject.into(),
            tenant: None,
            email: None,
            scopes: BTreeSet::new(),
            roles: BTreeSet::new(),
            expires: None,
        })))
    }

    /// Who vouches for the subject (`iss`); `local` unless said otherwise.
    #[must_use]
    pub fn issuer(self, issuer: impl Into<String>) -> Self {
        self.with(|p| p.issuer = Cow::Owned(issuer.into()))
    }

    /// The tenant that the caller acts for. What is no id of a [`Tenant`] is never lent: for tools
    /// that borrow one, such a caller has none.
    #[must_use]
    pub fn tenant(self, tenant: impl Into<String>) -> Self {
        let id = tenant.into();
        let tenant = Tenant::new(&id).map_err(|_| id);
        self.with(|p| p.tenant = Some(tenant))
    }

    /// A verified e-mail address of the caller.
    #[must_use]
    pub fn email(self, email: impl Into<String>) -> Self {
        self.with(|p| p.email = Some(email.into()))
    }

    /// Grants one scope.
    #[must_use]
    pub fn scope(self, scope: impl Into<String>) -> Self {
        self.scopes([scope])
    }

    /// Grants scopes.
    #[must_use]
    pub fn scopes<T: Into<String>>(self, scopes: impl IntoIterator<Item = T>) -> Self {
        self.with(|p| p.scopes.extend(scopes.into_iter().map(Into::into)))
    }

    /// Gives one role.
    #[must_use]
    pub fn role(self, role: impl Into<String>) -> Self {
        self.roles([role])
    }

    /// Gives roles.
    #[must_use]
    pub fn roles<T: Into<String>>(self, roles: impl IntoIterator<Item = T>) -> Self {
        self.with(|p| p.roles.extend(roles.into_iter().map(Into::into)))
    }

    /// When the token ends that this was learned from.
    #[must_use]
    pub fn expires(self, at: Timestamp) -> Self {
        self.with(|p| p.expires = Some(at))
    }

    /// The identity, or `None` for an anonymous caller.
    pub fn principal(&self) -> Option<&Principal> {
        self.0.as_deref()
    }

    /// Whether nobody vouches for this caller.
    pub fn is_anonymous(&self) -> bool {
        self.0.is_none()
    }

    /// The subject (`sub`), or `None` for an anonymous caller.
    pub fn subject(&self) -> Option<&str> {
        self.principal().map(Principal::subject)
    }

    /// The tenant that the caller acts for, when its id is one.
    pub fn acts_for(&self) -> Option<&Tenant> {
        self.principal()?.tenant.as_ref()?.as_ref().ok()
    }

    /// Whether this exact scope was granted.
    pub fn has_scope(&self, scope: &str) -> bool {
        self.principal().is_some_and(|p| p.scopes.contains(scope))
    }

    /// Whether the caller has this role.
    pub fn has_role(&self, role: &str) -> bool {
        self.principal().is_some_and(|p| p.roles.contains(role))
    }

    /// An opaque name of (issuer, subject, tenant), to bind handles to their owner: 32 hexadecimal
    /// digits, the same for every token of one principal, `anonymous` without one.
    pub fn owner(&self) -> String {
        self.principal()
            .map_or_else(|| "anonymous".to_owned(), Principal::owner)
    }

    /// As [`owner`](Self::owner), in bytes; `None` for an anonymous caller.
    pub(crate) fn owner_digest(&self) -> Option<[u8; 16]> {
        self.principal().map(Principal::owner_digest)
    }

    /// Ready when the token is over that this was learned from, and the leeway that clocks are
    /// given; never for one that does not end.
    pub(crate) async fn over(&self, clock: &Clock) {
        match self.principal().and_then(Principal::expires) {
            Some(end) => clock.reached(end.checked_add(LEEWAY).unwrap_or(end)).await,
            None => std::future::pending().await,
        }
    }

    // An anonymous caller stays one: scopes without somebody who holds them mean nothing.
    fn with(mut self, change: impl FnOnce(&mut Principal)) -> Self {
        if let Some(principal) = &mut self.0 {
            change(principal);
        }
        self
    }
}

impl Principal {
    /// Who vouches for the subject (`iss`).
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The subject (`sub`), unique within its issuer.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// The tenant that the principal acts for, as whoever vouches for it wrote it.
    pub fn tenant(&self) -> Option<&str> {
        let tenant = self.tenant.as_ref()?;
        Some(tenant.as_ref().map_or_else(String::as_str, Tenant::as_str))
    }

    /// The verified e-mail address, where the identity source gave one.
    pub fn email(&self) -> Option<&str> {
        self.email.as_deref()
    }

    /// The granted scopes, sorted.
    pub fn scopes(&self) -> impl Iterator<Item = &str> {
        self.scopes.iter().map(String::as_str)
    }

    /// The roles, sorted.
    pub fn roles(&self) -> impl Iterator<Item = &str> {
        self.roles.iter().map(String::as_str)
    }

    /// When the token ends that this was learned from; `None` for one that does not end.
    pub fn expires(&self) -> Option<Timestamp> {
        self.expires
    }

    fn owner(&self) -> String {
        hex(&self.owner_digest())
    }

    fn owner_digest(&self) -> [u8; 16] {
        let mut owner = [0; 16];
        owner.copy_from_slice(&self.owner_key()[..16]);
        owner
    }

    /// What is remembered of (issuer, subject, tenant) goes by this.
    pub(crate) fn owner_key(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        // Lengths keep ("ab", "c") and ("a", "bc") apart.
        for part in [&*self.issuer, &self.subject, self.tenant().unwrap_or("")] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        hash.update([u8::from(self.tenant.is_some())]);
        hash.finalize().into()
    }
}

impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.subject().unwrap_or("anonymous"))
    }
}

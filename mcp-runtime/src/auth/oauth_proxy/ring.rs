//! The keys of a facade, from which everything that it gives out is made.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use crate::digest::random;
use crate::keys::{Keys, Purpose};

/// Keys, the newest first. The first makes, all are accepted.
pub(super) struct Ring(Vec<[u8; 32]>);

/// What a message authenticates. Part of what is made: labels never change.
#[derive(Clone, Copy)]
pub(super) enum Label {
    SigningKey,
    Browser,
    Consent,
    Refresh,
    Verifier,
}

impl Ring {
    /// Without keys of the server, what is given out ends with the process.
    pub(super) fn new(keys: Option<&Keys>) -> Self {
        let derived = keys.map(|keys| keys.derive(Purpose::OAuthProxy));
        match derived {
            Some(derived) => Self(derived.into_iter().map(|(_, key)| key).collect()),
            None => Self(vec![random()]),
        }
    }

    /// The seeds of the keys that sign tokens.
    pub(super) fn seeds(&self) -> Vec<[u8; 32]> {
        let seed = |key| mac(key, Label::SigningKey, &[]);
        self.0.iter().map(seed).collect()
    }

    pub(super) fn seal(&self, label: Label, parts: &[&str]) -> [u8; 32] {
        self.0
            .first()
            .map_or_else(random, |key| mac(key, label, parts))
    }

    /// Whether one of the keys made this.
    pub(super) fn made(&self, label: Label, parts: &[&str], sealed: &[u8]) -> bool {
        self.0
            .iter()
            .any(|key| bool::from(mac(key, label, parts).ct_eq(sealed)))
    }
}

fn mac(key: &[u8; 32], label: Label, parts: &[&str]) -> [u8; 32] {
    let label = match label {
        Label::SigningKey => "signing key 1",
        Label::Browser => "browser 1",
        Label::Consent => "consent 1",
        Label::Refresh => "refresh 1",
        Label::Verifier => "verifier 1",
    };
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key of HMAC has any length");
    for part in [label].iter().chain(parts) {
        // With its length, so that no two lists of parts are the same text.
        mac.update(&(part.len() as u64).to_be_bytes());
        mac.update(part.as_bytes());
    }
    mac.finalize().into_bytes().into()
}

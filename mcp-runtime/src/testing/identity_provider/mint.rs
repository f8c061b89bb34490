//! Keys, and tokens signed with them: good ones, and bad ones of every kind.

use std::sync::LazyLock;

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256,
    RSA_PKCS1_SHA512, RSA_PSS_SHA256, RsaEncoding, RsaKeyPair, RsaPublicKeyComponents,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};

/// What signs a token.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Signer {
    /// The RSA key that the provider has first, `k1`.
    First,
    /// The RSA key that it rotates to, `k2`.
    Second,
    /// An RSA key that it has nothing to do with, which calls itself `k1`.
    Foreign,
    /// A key on P-256, `p256`.
    P256,
    /// An Ed25519 key, `ed`.
    Ed25519,
    /// A secret, for HS256.
    Secret(Vec<u8>),
    /// Nothing: the signature is empty.
    Nobody,
}

/// A token in the making: [`IdentityProvider::mint`](super::IdentityProvider::mint).
#[derive(Clone, Debug)]
#[must_use]
pub struct Mint {
    header: Map<String, Value>,
    claims: Map<String, Value>,
    raw_header: Option<String>,
    raw_claims: Option<String>,
    signer: Signer,
}

impl Mint {
    pub(super) fn new(claims: Map<String, Value>, signer: Signer) -> Self {
        let mint = Self {
            header: Map::new(),
            claims,
            raw_header: None,
            raw_claims: None,
            signer: Signer::Nobody,
        };
        mint.header("typ", "at+jwt").signed_by(signer)
    }

    /// Sets a claim.
    pub fn claim(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.claims.insert(name.to_owned(), value.into());
        self
    }

    /// Leaves a claim out.
    pub fn without(mut self, name: &str) -> Self {
        self.claims.remove(name);
        self
    }

    /// Sets a member of the header.
    pub fn header(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.header.insert(name.to_owned(), value.into());
        self
    }

    /// Leaves a member of the header out.
    pub fn without_header(mut self, name: &str) -> Self {
        self.header.remove(name);
        self
    }

    /// Signs with this, and says so in the header; what is said after it stays.
    pub fn signed_by(mut self, signer: Signer) -> Self {
        let (alg, kid) = match &signer {
            Signer::First | Signer::Foreign => ("RS256", "k1"),
            Signer::Second => ("RS256", "k2"),
            Signer::P256 => ("ES256", "p256"),
            Signer::Ed25519 => ("EdDSA", "ed"),
            Signer::Secret(_) => ("HS256", "k1"),
            Signer::Nobody => ("none", "k1"),
        };
        self.signer = signer;
        self.header("alg", alg).header("kid", kid)
    }

    /// This text in place of the claims.
    pub fn raw_claims(mut self, text: impl Into<String>) -> Self {
        self.raw_claims = Some(text.into());
        self
    }

    /// This text in place of the header.
    pub fn raw_header(mut self, text: impl Into<String>) -> Self {
        self.raw_header = Some(text.into());
        self
    }

    /// The claims as JSON, to be changed as text.
    pub fn claims_text(&self) -> String {
        Value::Object(self.claims.clone()).to_string()
    }

    /// The token. RSA keys sign by the algorithm of the header where it is one of theirs.
    pub fn sign(self) -> String {
        let header = Value::Object(self.header.clone()).to_string();
        let claims = self.claims_text();
        let encode = |text: String| URL_SAFE_NO_PAD.encode(text);
        let message = format!(
            "{}.{}",
            encode(self.raw_header.unwrap_or(header)),
            encode(self.raw_claims.unwrap_or(claims))
        );
        let alg = self.header.get("alg").and_then(Value::as_str);
        let signature = sign(&self.signer, alg.unwrap_or("RS256"), message.as_bytes());
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

/// Made once for all providers of a process: an RSA key takes its time.
struct Keys {
    first: RsaKeyPair,
    second: RsaKeyPair,
    foreign: RsaKeyPair,
    p256: EcdsaKeyPair,
    ed25519: Ed25519KeyPair,
}

static KEYS: LazyLock<Keys> = LazyLock::new(|| {
    let rsa = || RsaKeyPair::generate(KeySize::Rsa2048).expect("the machine can make keys");
    Keys {
        first: rsa(),
        second: rsa(),
        foreign: rsa(),
        p256: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)
            .expect("the machine can make keys"),
        ed25519: Ed25519KeyPair::generate().expect("the machine can make keys"),
    }
});

fn rsa(signer: &Signer) -> Option<&'static RsaKeyPair> {
    match signer {
        Signer::First => Some(&KEYS.first),
        Signer::Second => Some(&KEYS.second),
        Signer::Foreign => Some(&KEYS.foreign),
        _ => None,
    }
}

fn sign(signer: &Signer, alg: &str, message: &[u8]) -> Vec<u8> {
    if let Some(key) = rsa(signer) {
        let padding: &dyn RsaEncoding = match alg {
            "RS512" => &RSA_PKCS1_SHA512,
            "PS256" => &RSA_PSS_SHA256,
            _ => &RSA_PKCS1_SHA256,
        };
        let mut signature = vec![0; key.public_modulus_len()];
        key.sign(padding, &SystemRandom::new(), message, &mut signature)
            .expect("an RSA key signs");
        return signature;
    }
    match signer {
        Signer::P256 => {
            let signature = KEYS.p256.sign(&SystemRandom::new(), message);
            signature.expect("a P-256 key signs").as_ref().to_vec()
        }
        Signer::Ed25519 => KEYS.ed25519.sign(message).as_ref().to_vec(),
        Signer::Secret(secret) => {
            let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
            hmac::sign(&key, message).as_ref().to_vec()
        }
        _ => Vec::new(),
    }
}

pub(super) fn jwk(signer: Signer) -> Value {
    let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    if let Some(key) = rsa(&signer) {
        let kid = if signer == Signer::Second { "k2" } else { "k1" };
        let public = RsaPublicKeyComponents::<Vec<u8>>::from(key.public_key());
        return json!({
            "kty": "RSA", "use": "sig", "alg": "RS256", "kid": kid,
            "n": encode(&public.n), "e": encode(&public.e),
        });
    }
    match signer {
        Signer::P256 => {
            // Uncompressed: a mark, then the two coordinates.
            let point = KEYS.p256.public_key().as_ref();
            json!({
                "kty": "EC", "crv": "P-256", "use": "sig", "kid": "p256",
                "x": encode(&point[1..33]), "y": encode(&point[33..]),
            })
        }
        Signer::Ed25519 => json!({
            "kty": "OKP", "crv": "Ed25519", "use": "sig", "kid": "ed",
            "x": encode(KEYS.ed25519.public_key().as_ref()),
        }),
        Signer::Secret(secret) => json!({ "kty": "oct", "kid": "o1", "k": encode(&secret) }),
        _ => Value::Null,
    }
}

/// The claims of a token that one of the provider's own keys has signed.
pub(super) fn own_claims(token: &str) -> Option<Value> {
    let (message, signature) = token.rsplit_once('.')?;
    let (header, claims) = message.split_once('.')?;
    let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).ok();
    let header: Value = serde_json::from_slice(&decode(header)?).ok()?;
    let signer = match header["kid"].as_str()? {
        "k1" => Signer::First,
        "k2" => Signer::Second,
        _ => return None,
    };
    // These signatures are always the same for the same message.
    let expected = sign(&signer, "RS256", message.as_bytes());
    (header["alg"] == "RS256" && decode(signature)? == expected)
        .then(|| serde_json::from_slice(&decode(claims)?).ok())?
}

//! The token on the wire: unpadded base64url of compact JSON with sorted keys.

use std::collections::BTreeMap;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use subtle::ConstantTimeEq;

use super::{ConfirmError, Keys};
use crate::digest::sha256_hex;

/// The longest token, in bytes. A longer one is neither issued nor looked at.
pub const MAX_TOKEN: usize = 64 * 1024;

/// What a token is about, besides its payload.
pub(super) struct Claims<'a> {
    pub(super) owner: &'a str,
    pub(super) operation: &'a str,
    pub(super) expires_at: Timestamp,
}

/// The fields stand in the order of the alphabet, which is the order they are written in.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Token {
    actor_id: String,
    /// Text, as it was signed.
    expires_at: String,
    kid: String,
    operation: String,
    /// The text rather than the value, as its digest has to be the one it was issued with even
    /// if a number is parsed or printed differently by then.
    payload: Box<RawValue>,
    payload_hash: String,
    signature: String,
    v: u32,
}

impl Token {
    pub(super) fn sign(
        keys: &Keys,
        claims: &Claims<'_>,
        payload: &impl Serialize,
    ) -> Result<Self, ConfirmError> {
        if !is_unambiguous(claims.operation) {
            return Err(ConfirmError::OperationName);
        }
        let payload = sorted_json(payload).map_err(ConfirmError::Unserializable)?;
        let mut token = Self {
            actor_id: claims.owner.to_owned(),
            expires_at: claims.expires_at.to_string(),
            kid: keys.current_id().to_owned(),
            operation: claims.operation.to_owned(),
            payload_hash: sha256_hex(payload.get()),
            payload,
            signature: String::new(),
            v: VERSION,
        };
        token.signature = token.expected_signature(keys)?;
        Ok(token)
    }

    pub(super) fn encode(&self) -> Result<String, ConfirmError> {
        let json = serde_json::to_vec(self).map_err(ConfirmError::Unserializable)?;
        let token = BASE64.encode(json);
        if token.len() > MAX_TOKEN {
            Err(ConfirmError::TooLarge)
        } else {
            Ok(token)
        }
    }

    /// Accepts exactly what [`encode`](Self::encode) writes, apart from the prefix: a token that
    /// can be spelled in two ways would be two tokens to whoever logs or counts them.
    pub(super) fn decode(text: &str) -> Result<Self, ConfirmError> {
        let text = text.strip_prefix(PREFIX).unwrap_or(text);
        if text.len() > MAX_TOKEN {
            return Err(ConfirmError::InvalidFormat);
        }
        let json = BASE64
            .decode(text)
            .map_err(|_| ConfirmError::InvalidFormat)?;
        let token: Self = serde_json::from_slice(&json).map_err(|_| ConfirmError::InvalidFormat)?;
        match serde_json::to_vec(&token) {
            Ok(again) if again == json => Ok(token),
            _ => Err(ConfirmError::InvalidFormat),
        }
    }

    pub(super) fn check_payload_hash(&self) -> Result<(), ConfirmError> {
        if same(&sha256_hex(self.payload.get()), &self.payload_hash) {
            Ok(())
        } else {
            Err(ConfirmError::PayloadMismatch)
        }
    }

    pub(super) fn check_signature(&self, keys: &Keys) -> Result<(), ConfirmError> {
        if self.v == VERSION && same(&self.expected_signature(keys)?, &self.signature) {
            Ok(())
        } else {
            Err(ConfirmError::InvalidSignature)
        }
    }

    /// A token of another operation is not one whose operation is wrong; to this operation it is
    /// no token at all.
    pub(super) fn check_operation(&self, operation: &str) -> Result<(), ConfirmError> {
        if is_unambiguous(operation) && self.operation == operation {
            Ok(())
        } else {
            Err(ConfirmError::InvalidSignature)
        }
    }

    pub(super) fn check_owner(&self, owner: &str) -> Result<(), ConfirmError> {
        if same(&self.actor_id, owner) {
            Ok(())
        } else {
            Err(ConfirmError::OwnerMismatch)
        }
    }

    pub(super) fn expires_at(&self) -> Result<Timestamp, ConfirmError> {
        self.expires_at
            .parse()
            .map_err(|_| ConfirmError::InvalidFormat)
    }

    pub(super) fn payload(&self) -> Result<Value, ConfirmError> {
        serde_json::from_str(self.payload.get()).map_err(|_| ConfirmError::InvalidFormat)
    }

    pub(super) fn signature(&self) -> &str {
        &self.signature
    }

    fn expected_signature(&self, keys: &Keys) -> Result<String, ConfirmError> {
        let Self {
            actor_id,
            expires_at,
            kid,
            operation,
            payload_hash,
            v,
            ..
        } = self;
        let message = format!("{payload_hash}|{actor_id}|{expires_at}|{operation}|{kid}|{v}");
        keys.sign(kid, &message)
            .ok_or(ConfirmError::InvalidSignature)
    }
}

const VERSION: u32 = 1;
const PREFIX: &str = "ctok_";

/// The signed fields are joined with `|`, and only the owner may contain one: then what is signed
/// can be taken apart in one way only.
fn is_unambiguous(operation: &str) -> bool {
    !operation.contains('|')
}

pub(super) fn same(one: &str, other: &str) -> bool {
    one.as_bytes().ct_eq(other.as_bytes()).into()
}

/// Compact JSON with sorted keys, whether or not some other crate has turned on the feature that
/// makes `serde_json` keep the order of insertion.
fn sorted_json(payload: &impl Serialize) -> Result<Box<RawValue>, serde_json::Error> {
    serde_json::value::to_raw_value(&Sorted(&serde_json::to_value(payload)?))
}

struct Sorted<'a>(&'a Value);

impl Serialize for Sorted<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Object(map) => {
                let sorted: BTreeMap<_, _> = map.iter().map(|(k, v)| (k, Sorted(v))).collect();
                serializer.collect_map(sorted)
            }
            Value::Array(items) => serializer.collect_seq(items.iter().map(Sorted)),
            scalar => scalar.serialize(serializer),
        }
    }
}

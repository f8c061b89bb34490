//! Digests and random bytes, in hexadecimal.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::json::{Node, Object};

/// SHA-256 in lower-case hexadecimal.
pub(crate) fn sha256_hex(data: impl AsRef<[u8]>) -> String {
    hex(&Sha256::digest(data))
}

/// Half of it: enough to tell what has an id from all else, and not the id.
pub(crate) fn short(data: impl AsRef<[u8]>) -> String {
    hex(&Sha256::digest(data)[..16])
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            // Writing to a `String` cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
}

/// `N` bytes nobody can guess.
///
/// # Panics
///
/// When the operating system has no randomness to give. A server in that state could neither
/// sign nor tell itself from another process, so it must not come up.
pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the operating system gives randomness");
    bytes
}

/// The digest of arguments, whatever the order of their members.
pub(crate) fn of_arguments(arguments: &Object<'_>) -> String {
    fn sort(value: Value) -> Value {
        match value {
            Value::Object(object) => {
                let sorted: BTreeMap<String, Value> =
                    object.into_iter().map(|(k, v)| (k, sort(v))).collect();
                json!(sorted)
            }
            Value::Array(items) => Value::Array(items.into_iter().map(sort).collect()),
            other => other,
        }
    }
    sha256_hex(sort(Node::Object(arguments.clone()).to_value()).to_string())
}

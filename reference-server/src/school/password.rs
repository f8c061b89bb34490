//! First passwords: kept as salted hashes only.

use std::num::NonZeroU32;

use aws_lc_rs::pbkdf2;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use mcp_runtime::{Secret, ToolResult};

use crate::random;

/// What OWASP asks for with SHA-256: people choose passwords that can be guessed.
const ROUNDS_CHOSEN: u32 = 600_000;
/// 256 random bits are not guessed, however quick a guess is.
const ROUNDS_MADE: u32 = 1_000;

/// The hash of the password, and the password itself when it was made here: its owner does not
/// know it yet.
pub(super) async fn chosen_or_made(
    chosen: Option<Secret<String>>,
) -> ToolResult<(String, Option<Secret<String>>)> {
    let Some(chosen) = chosen else {
        let made = random::secret();
        return Ok((hash(&made, ROUNDS_MADE), Some(Secret::new(made))));
    };
    // A second of work for one core: not on a thread that serves others.
    let work = tokio::task::spawn_blocking(move || hash(chosen.expose(), ROUNDS_CHOSEN));
    Ok((work.await?, None))
}

/// `pbkdf2-sha256$rounds$salt$hash`
fn hash(password: &str, rounds: u32) -> String {
    let salt = random::bytes::<16>();
    let mut out = [0; 32];
    pbkdf2::derive(
        pbkdf2::PBKDF2_HMAC_SHA256,
        NonZeroU32::new(rounds).unwrap_or(NonZeroU32::MIN),
        &salt,
        password.as_bytes(),
        &mut out,
    );
    let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    format!("pbkdf2-sha256${rounds}${}${}", text(&salt), text(&out))
}

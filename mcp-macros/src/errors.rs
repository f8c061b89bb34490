//! Collecting mistakes: all of them in one run, each on its token.

use std::fmt::Display;
use std::thread;

use proc_macro2::TokenStream;
use quote::ToTokens;

/// The mistakes found so far. Must be looked at with [`finish`](Self::finish): an expansion that
/// forgets them would accept what it should refuse.
pub(crate) struct Errors {
    found: Option<Vec<syn::Error>>,
}

impl Errors {
    pub(crate) fn new() -> Self {
        Self {
            found: Some(Vec::new()),
        }
    }

    /// A mistake at these tokens.
    pub(crate) fn at(&mut self, tokens: impl ToTokens, message: impl Display) {
        self.push(syn::Error::new_spanned(tokens, message));
    }

    pub(crate) fn push(&mut self, error: syn::Error) {
        if let Some(found) = &mut self.found {
            found.push(error);
        }
    }

    /// One `compile_error!` per mistake; `Ok` when there is none.
    pub(crate) fn finish(mut self) -> Result<(), TokenStream> {
        match self.found.take().unwrap_or_default() {
            none if none.is_empty() => Ok(()),
            found => Err(found.iter().map(syn::Error::to_compile_error).collect()),
        }
    }
}

impl Drop for Errors {
    fn drop(&mut self) {
        assert!(
            self.found.is_none() || thread::panicking(),
            "the errors of an expansion were not looked at"
        );
    }
}

/// The message for a key that `attribute` does not have.
pub(crate) fn unknown_key(attribute: &str, key: &str, known: &[&str]) -> String {
    let list = known.join("`, `");
    match closest(key, known) {
        Some(meant) => {
            format!("`{attribute}` has no key `{key}`: did you mean `{meant}`? It has `{list}`")
        }
        None => format!("`{attribute}` has no key `{key}`. It has `{list}`"),
    }
}

/// The known word that `word` is probably a slip of.
pub(crate) fn closest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let plain = word.to_ascii_lowercase().replace('-', "_");
    let slips = |candidate: &str| distance(&plain, &candidate.replace('-', "_"));
    // One slip in three letters is a typo, more is another word; and nobody misses the first.
    let most = (word.len() / 3).max(1);
    let begins_alike = |known: &&str| known.chars().next() == plain.chars().next();
    let candidates = known.iter().copied().filter(begins_alike);
    candidates
        .min_by_key(|known| slips(known))
        .filter(|known| slips(known) <= most)
}

/// How many letters to insert, remove or replace, or neighbours to swap.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![(0..=b.len()).collect::<Vec<_>>()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replaced.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_recognised() {
        let known = ["scope", "scopes", "read_only", "timeout", "public"];
        for (word, meant) in [
            ("scop", Some("scope")),
            ("scoeps", Some("scopes")),
            ("readonly", Some("read_only")),
            ("read-only", Some("read_only")),
            ("Public", Some("public")),
            ("timeuot", Some("timeout")),
            ("rate", None),
            ("x", None),
        ] {
            assert_eq!(closest(word, &known), meant, "{word}");
        }
    }

    #[test]
    fn a_stranger_gets_the_list() {
        assert_eq!(
            unknown_key("#[arg]", "rate", &["crate", "len"]),
            "`#[arg]` has no key `rate`. It has `crate`, `len`"
        );
    }
}

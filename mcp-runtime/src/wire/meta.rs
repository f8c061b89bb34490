//! The `_meta` of a request. Most clients send the same with every request since 2026-07-28: who
//! they are and what they can. So it is parsed when it is new, and compared when it is not.

use std::cell::RefCell;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use crate::json::{self, Fault, Node, Object};

/// Values that each thread keeps, and the bytes of one. Clients that change theirs with every
/// request, by a progress token say, are parsed each time, and push nobody out.
const KEPT: usize = 8;
const MAX_KEPT: usize = 2048;
/// How many values are remembered for coming back.
const SEEN: usize = 32;

/// What a request has as its `_meta`.
#[derive(Clone, Debug, Default)]
pub(crate) enum Meta<'a> {
    #[default]
    None,
    New(Node<'a>),
    Known(Arc<Node<'static>>),
}

impl<'a> Meta<'a> {
    pub(crate) fn read(text: &'a str) -> Result<Self, Fault> {
        if text.len() > MAX_KEPT {
            return json::parse(text.as_bytes()).map(Self::New);
        }
        RECENT.with_borrow_mut(|recent| {
            if let Some(node) = recent.find(text) {
                return Ok(Self::Known(node));
            }
            let node = json::parse(text.as_bytes())?;
            Ok(if node.as_object().is_some() && recent.comes_back(text) {
                let node = Arc::new(node.into_owned());
                recent.keep(text, &node);
                Self::Known(node)
            } else {
                Self::New(node)
            })
        })
    }

    /// How long the value is that a text begins with, where it is known. A value in brackets ends
    /// where it ends, whatever comes after it.
    pub(crate) fn known_length(text: &str) -> Option<usize> {
        RECENT.with_borrow(|recent| {
            let mut kept = recent.kept.iter().flatten();
            let found = kept.find(|(known, _)| text.starts_with(&**known));
            found.map(|(known, _)| known.len())
        })
    }

    pub(crate) fn node(&self) -> Option<&Node<'_>> {
        match self {
            Self::None => None,
            Self::New(node) => Some(node),
            Self::Known(node) => Some(node),
        }
    }

    pub(crate) fn object(&self) -> Option<&Object<'_>> {
        self.node().and_then(Node::as_object)
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Node<'_>> {
        self.object()?.get(name)
    }
}

thread_local! {
    static RECENT: RefCell<Recent> = const { RefCell::new(Recent::new()) };
}

/// What came more than once.
struct Recent {
    kept: [Option<(Box<str>, Arc<Node<'static>>)>; KEPT],
    next_kept: usize,
    seen: [u64; SEEN],
    next_seen: usize,
}

impl Recent {
    const fn new() -> Self {
        Self {
            kept: [const { None }; KEPT],
            next_kept: 0,
            seen: [0; SEEN],
            next_seen: 0,
        }
    }

    fn find(&self, text: &str) -> Option<Arc<Node<'static>>> {
        let kept = self.kept.iter().flatten();
        let mut same = kept.filter(|(known, _)| **known == *text);
        same.next().map(|(_, node)| Arc::clone(node))
    }

    /// Whether this was here a while ago. Who guesses the hash of another gets nothing by it.
    fn comes_back(&mut self, text: &str) -> bool {
        let mut hasher = DefaultHasher::new();
        text.hash(&mut hasher);
        let hash = hasher.finish();
        if self.seen.contains(&hash) {
            return true;
        }
        self.seen[self.next_seen] = hash;
        self.next_seen = (self.next_seen + 1) % SEEN;
        false
    }

    fn keep(&mut self, text: &str, node: &Arc<Node<'static>>) {
        self.kept[self.next_kept] = Some((text.into(), Arc::clone(node)));
        self.next_kept = (self.next_kept + 1) % KEPT;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_repeats_is_parsed_once_and_what_does_not_pushes_nothing_out() {
        let known = |text: &str| matches!(Meta::read(text).unwrap(), Meta::Known(_));
        let text = r#"{"a":{"b":[1,"x"]}}"#;
        assert!(!known(text));
        for n in 0..SEEN - 1 {
            assert!(!known(&format!("{{\"token\":{n}}}")));
        }
        assert!(known(text), "the second time it is kept");
        for n in 0..1000 {
            assert!(!known(&format!("{{\"another\":{n}}}")));
        }
        assert!(known(text));
        let Meta::Known(node) = Meta::read(text).unwrap() else {
            panic!("it is known");
        };
        assert_eq!(*node, json::parse(text.as_bytes()).unwrap());
        let long = format!("{{\"a\":\"{}\"}}", "x".repeat(MAX_KEPT));
        assert!(!known(&long) && !known(&long), "too long to keep");
        for _ in 0..3 {
            assert_eq!(
                Meta::read(r#"{"a":1,"a":1}"#).unwrap_err(),
                Fault::Duplicate
            );
            assert_eq!(Meta::read("1e999").unwrap_err(), Fault::Syntax);
        }
    }
}

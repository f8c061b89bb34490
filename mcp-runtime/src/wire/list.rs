//! Lists (`tools/list` and its like): pages made once for each set of things that a caller may see.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use arc_swap::ArcSwap;
use serde_json::{Map, Value};

use crate::caller::Caller;
use crate::policy::{Lists, Policy, Viewers};
use crate::switches::On;

/// How long a client may keep a list, in milliseconds. Who listens hears at once when something in
/// it is switched on or off.
pub(crate) const TTL_MS: u32 = 60_000;

/// Combinations of rules whose pages are kept.
const MAX_CLASSES: usize = 256;

/// Something that is listed.
pub(crate) struct Listed {
    pub(crate) name: String,
    /// Nobody sees what is off.
    pub(crate) on: On,
    /// Who may use it.
    pub(crate) policy: Policy,
    /// Its entry for clients that initialize, and for those that do not.
    pub(crate) legacy: Arc<str>,
    pub(crate) modern: Arc<str>,
}

/// How lists are cut.
#[derive(Clone, Copy, Default)]
pub(crate) struct Cut {
    /// Things on one page.
    pub(crate) page_size: usize,
    pub(crate) lists: Lists,
}

/// Which things which callers see.
///
/// Callers fall into classes by the rules that they satisfy, and a list without rules has one
/// class. Finding the class costs one look per distinct rule, whatever the length of the list.
#[derive(Default)]
pub(crate) struct Listing {
    /// The member of the result that holds the list.
    field: &'static str,
    items: Vec<Listed>,
    /// The distinct rules, and for each item its rule.
    rules: Vec<Viewers>,
    rule_of: Vec<Option<usize>>,
    page_size: usize,
    /// Not even those who see the same may share it: somebody else may not ask for it.
    private: bool,
    made: ArcSwap<Made>,
}

/// The pages as they are until something is switched on or off, each made when it is first asked
/// for.
#[derive(Default)]
struct Made {
    everybody: OnceLock<Arc<Pages>>,
    classes: RwLock<HashMap<Class, Arc<Pages>>>,
}

/// A bit for each rule that is satisfied.
type Class = u128;

/// The pages of one class.
#[derive(Default)]
pub(crate) struct Pages {
    pages: Vec<Page>,
    version: u64,
}

/// One page, as JSON of the result.
pub(crate) struct Page {
    /// `{"tools":[…],"nextCursor":"…"}` for clients that initialize.
    pub(crate) legacy: Box<[u8]>,
    /// The same with `resultType`, `ttlMs` and `cacheScope`, and still open for `_meta`.
    pub(crate) modern: Box<[u8]>,
}

impl Listing {
    pub(crate) fn new(field: &'static str, items: Vec<Listed>, cut: Cut) -> Result<Self, String> {
        Self::shared(field, items, cut, true)
    }

    /// A list that caches may only share when everybody may ask for it.
    pub(crate) fn shared(
        field: &'static str,
        items: Vec<Listed>,
        cut: Cut,
        public: bool,
    ) -> Result<Self, String> {
        let mut rules: Vec<Viewers> = Vec::new();
        let mut rule_of = Vec::with_capacity(items.len());
        for item in &items {
            let viewers = item.policy.viewers(cut.lists);
            rule_of.push((!viewers.are_everybody()).then(|| {
                let known = rules.iter().position(|rule| *rule == viewers);
                known.unwrap_or_else(|| {
                    rules.push(viewers);
                    rules.len() - 1
                })
            }));
        }
        if rules.len() > Class::BITS as usize {
            return Err(format!(
                "the {field} have {} different rules about who sees them (roles, tenants, and scopes where lists hold what is allowed); {} is the limit",
                rules.len(),
                Class::BITS
            ));
        }
        let listing = Self {
            field,
            items,
            rules,
            rule_of,
            page_size: cut.page_size.max(1),
            private: !public,
            made: ArcSwap::default(),
        };
        listing.everybody(&listing.made.load());
        Ok(listing)
    }

    /// Makes the pages anew: something was switched on or off. Whoever still makes old ones makes
    /// them for nobody.
    pub(crate) fn renew(&self) {
        self.made.store(Arc::default());
    }

    pub(crate) fn pages(&self, caller: &Caller) -> Arc<Pages> {
        let class = self.class(caller);
        let made = self.made.load();
        if class == 0 {
            return self.everybody(&made);
        }
        if let Some(pages) = made
            .classes
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&class)
        {
            return Arc::clone(pages);
        }
        let pages = Arc::new(self.write(class));
        let mut classes = made.classes.write().unwrap_or_else(PoisonError::into_inner);
        if classes.len() < MAX_CLASSES {
            classes.insert(class, Arc::clone(&pages));
        }
        pages
    }

    fn everybody(&self, made: &Made) -> Arc<Pages> {
        Arc::clone(made.everybody.get_or_init(|| Arc::new(self.write(0))))
    }

    /// A bit for each rule that the caller satisfies.
    fn class(&self, caller: &Caller) -> Class {
        self.rules.iter().enumerate().fold(0, |class, (bit, rule)| {
            class | Class::from(rule.include(caller)) << bit
        })
    }

    fn write(&self, class: Class) -> Pages {
        let visible: Vec<&Listed> = self
            .items
            .iter()
            .zip(&self.rule_of)
            .filter(|(item, rule)| item.on.is() && rule.is_none_or(|bit| class >> bit & 1 == 1))
            .map(|(item, _)| item)
            .collect();
        let mut hasher = DefaultHasher::new();
        for item in &visible {
            item.name.hash(&mut hasher);
        }
        let version = hasher.finish();
        // A list that depends on who asks must not be shared between callers.
        let scope = if self.rules.is_empty() && !self.private {
            "public"
        } else {
            "private"
        };
        // Nor kept by a client, which may have another token the next moment: one that signs in
        // would go on with what it saw before.
        let ttl_ms = if self.rules.is_empty() { TTL_MS } else { 0 };
        let chunks: Vec<&[&Listed]> = if visible.is_empty() {
            vec![&[]]
        } else {
            visible.chunks(self.page_size).collect()
        };
        let last = chunks.len() - 1;
        let pages = chunks.iter().enumerate().map(|(at, chunk)| {
            let next = if at < last {
                format!(",\"nextCursor\":\"{}\"", cursor(at + 1, version))
            } else {
                String::new()
            };
            let field = self.field;
            let page = |head: &str, entry: fn(&Listed) -> &str, tail: &str| {
                // In one piece, and as long as it gets: a long list is a good part of a small server.
                let entries = chunk
                    .iter()
                    .map(|item| entry(item).len() + 1)
                    .sum::<usize>();
                let mut page = Vec::with_capacity(head.len() + entries + tail.len());
                page.extend_from_slice(head.as_bytes());
                for (at, item) in chunk.iter().enumerate() {
                    if at > 0 {
                        page.push(b',');
                    }
                    page.extend_from_slice(entry(item).as_bytes());
                }
                page.extend_from_slice(tail.as_bytes());
                page.into_boxed_slice()
            };
            Page {
                legacy: page(
                    &format!("{{\"{field}\":["),
                    |item| &item.legacy,
                    &format!("]{next}}}"),
                ),
                modern: page(
                    &format!("{{\"resultType\":\"complete\",\"{field}\":["),
                    |item| &item.modern,
                    &format!("]{next},\"ttlMs\":{ttl_ms},\"cacheScope\":\"{scope}\","),
                ),
            }
        });
        Pages {
            pages: pages.collect(),
            version,
        }
    }
}

impl Pages {
    /// The page behind a cursor; `None` when the cursor is not one of these pages.
    pub(crate) fn page(&self, cursor_sent: Option<&str>) -> Option<&Page> {
        match cursor_sent {
            // The specification has an empty cursor mean the beginning.
            None | Some("") => self.pages.first(),
            Some(sent) => {
                let (at, _) = sent.split_once('-')?;
                let at: usize = at.parse().ok()?;
                (at > 0 && sent == cursor(at, self.version))
                    .then(|| self.pages.get(at))
                    .flatten()
            }
        }
    }
}

fn cursor(at: usize, version: u64) -> String {
    format!("{at}-{version:016x}")
}

/// Writes an entry: its members in the order given, everything below sorted by name, whatever map
/// `serde_json` was built with. The bytes of a list are part of a client's prompt cache.
pub(crate) fn write_entry<'a>(members: impl IntoIterator<Item = (&'a str, &'a Value)>) -> Arc<str> {
    let mut text = String::from("{");
    for (name, value) in members {
        if text.len() > 1 {
            text.push(',');
        }
        text.push_str(&Value::from(name).to_string());
        text.push(':');
        push_sorted(&mut text, value);
    }
    text.push('}');
    text.into()
}

fn push_sorted(text: &mut String, value: &Value) {
    match value {
        Value::Object(object) => push_object(text, object),
        Value::Array(items) => {
            text.push('[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    text.push(',');
                }
                push_sorted(text, item);
            }
            text.push(']');
        }
        other => text.push_str(&other.to_string()),
    }
}

fn push_object(text: &mut String, object: &Map<String, Value>) {
    let mut members: Vec<_> = object.iter().collect();
    members.sort_by_key(|(name, _)| name.as_str());
    text.push('{');
    for (at, (name, value)) in members.into_iter().enumerate() {
        if at > 0 {
            text.push(',');
        }
        text.push_str(&Value::from(name.as_str()).to_string());
        text.push(':');
        push_sorted(text, value);
    }
    text.push('}');
}

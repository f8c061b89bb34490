//! `tools/list`: pages made once for each set of tools that a caller may see.

use std::borrow::Cow;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, PoisonError, RwLock};

use serde_json::{Map, Value};

use crate::call::BoundTool;
use crate::caller::Caller;

/// How long a client may keep a list, in milliseconds. A list changes only when the server does.
const TTL_MS: u32 = 60_000;
/// Combinations of roles whose pages are kept.
const MAX_CLASSES: usize = 256;

/// Which tools which callers see.
///
/// Only roles hide tools, so callers fall into classes by the role rules that they satisfy, and a
/// server without role rules has one class. Finding the class costs one look per distinct rule,
/// whatever the number of tools.
pub(crate) struct Listing {
    /// The distinct role rules.
    rules: Vec<Vec<Cow<'static, str>>>,
    /// For each tool, its rule.
    rule_of: Vec<Option<usize>>,
    page_size: usize,
    everybody: Arc<Pages>,
    classes: RwLock<HashMap<u64, Arc<Pages>>>,
}

/// The pages of one class.
#[derive(Default)]
pub(crate) struct Pages {
    pages: Vec<Page>,
    version: u64,
}

/// One page, as JSON of the result without its closing brace and server identity.
pub(crate) struct Page {
    /// `{"tools":[…],"nextCursor":"…"}` for clients that initialize.
    pub(crate) legacy: Vec<u8>,
    /// The same with `resultType`, `ttlMs` and `cacheScope`, and still open for `_meta`.
    pub(crate) modern: Vec<u8>,
}

impl Default for Listing {
    fn default() -> Self {
        Self {
            rules: Vec::new(),
            rule_of: Vec::new(),
            page_size: 1,
            everybody: Arc::default(),
            classes: RwLock::default(),
        }
    }
}

impl Listing {
    pub(crate) fn new(tools: &[BoundTool], page_size: usize) -> Result<Self, String> {
        let mut rules: Vec<Vec<Cow<'static, str>>> = Vec::new();
        let mut rule_of = Vec::with_capacity(tools.len());
        for bound in tools {
            let roles = bound.tool.policy_ref().needed_roles();
            rule_of.push((!roles.is_empty()).then(|| {
                rules
                    .iter()
                    .position(|rule| rule == roles)
                    .unwrap_or_else(|| {
                        rules.push(roles.to_vec());
                        rules.len() - 1
                    })
            }));
        }
        if rules.len() > 64 {
            return Err(format!(
                "the tools ask for {} different sets of roles; 64 is the limit",
                rules.len()
            ));
        }
        let mut listing = Self {
            rules,
            rule_of,
            page_size: page_size.max(1),
            ..Self::default()
        };
        listing.everybody = Arc::new(listing.write(0, tools));
        Ok(listing)
    }

    pub(crate) fn pages(&self, caller: &Caller, tools: &[BoundTool]) -> Arc<Pages> {
        let class = self.class(caller);
        if class == 0 {
            return Arc::clone(&self.everybody);
        }
        if let Some(pages) = self
            .classes
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&class)
        {
            return Arc::clone(pages);
        }
        let pages = Arc::new(self.write(class, tools));
        let mut classes = self.classes.write().unwrap_or_else(PoisonError::into_inner);
        if classes.len() < MAX_CLASSES {
            classes.insert(class, Arc::clone(&pages));
        }
        pages
    }

    /// A bit for each role rule that the caller satisfies.
    fn class(&self, caller: &Caller) -> u64 {
        self.rules.iter().enumerate().fold(0, |class, (bit, rule)| {
            let satisfied = rule.iter().any(|role| caller.has_role(role));
            class | u64::from(satisfied) << bit
        })
    }

    fn write(&self, class: u64, tools: &[BoundTool]) -> Pages {
        let visible: Vec<&BoundTool> = tools
            .iter()
            .zip(&self.rule_of)
            .filter(|(_, rule)| rule.is_none_or(|bit| class >> bit & 1 == 1))
            .map(|(bound, _)| bound)
            .collect();
        let mut hasher = DefaultHasher::new();
        for bound in &visible {
            bound.tool.name().hash(&mut hasher);
        }
        let version = hasher.finish();
        // A list that depends on who asks must not be shared between callers.
        let scope = if self.rules.is_empty() {
            "public"
        } else {
            "private"
        };
        let chunks: Vec<&[&BoundTool]> = if visible.is_empty() {
            vec![&[]]
        } else {
            visible.chunks(self.page_size).collect()
        };
        let last = chunks.len() - 1;
        let pages = chunks.iter().enumerate().map(|(at, chunk)| {
            let next = if at < last { format!(",\"nextCursor\":\"{}\"", cursor(at + 1, version)) } else { String::new() };
            let list = |modern| chunk.iter().map(|b| entry(b, modern)).collect::<Vec<_>>().join(",");
            Page {
                legacy: format!("{{\"tools\":[{}]{next}}}", list(false)).into_bytes(),
                modern: format!(
                    "{{\"resultType\":\"complete\",\"tools\":[{}]{next},\"ttlMs\":{TTL_MS},\"cacheScope\":\"{scope}\",",
                    list(true)
                )
                .into_bytes(),
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

fn entry(bound: &BoundTool, modern: bool) -> String {
    let mut text = String::from("{");
    for (name, value) in ordered(&bound.listed) {
        if name == "outputSchema" && !modern && !bound.object_output {
            continue;
        }
        if text.len() > 1 {
            text.push(',');
        }
        text.push_str(&Value::from(name).to_string());
        text.push(':');
        push_sorted(&mut text, value);
    }
    text.push('}');
    text
}

/// A tool reads best from its name on.
fn ordered(listed: &Map<String, Value>) -> impl Iterator<Item = (&str, &Value)> {
    [
        "name",
        "title",
        "description",
        "inputSchema",
        "outputSchema",
        "annotations",
    ]
    .into_iter()
    .filter_map(|name| listed.get(name).map(|value| (name, value)))
}

/// Writes members sorted by name, whatever map `serde_json` was built with: the bytes of a list
/// are part of a client's prompt cache.
fn push_sorted(text: &mut String, value: &Value) {
    match value {
        Value::Object(object) => {
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

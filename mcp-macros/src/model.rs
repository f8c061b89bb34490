//! What was said: attribute lists become typed fields. Wrong words and wrong shapes are reported
//! here; whether what was said makes sense is for [`check`](crate::check).

use std::collections::HashSet;

use proc_macro2::{Span, TokenStream};
use quote::ToTokens as _;
use syn::ext::IdentExt as _;
use syn::{
    Attribute, Expr, ExprLit, ExprRange, Ident, ItemFn, Lit, LitStr, Pat, Path, RangeLimits, Type,
};

use crate::errors::{Errors, unknown_key};
use crate::literal::Literal;
use crate::parse;
use crate::parse::{Entries, Entry, Given, Source, ungroup};

/// What a function is made into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Tool,
    Resource,
    Prompt,
}

/// A tool, a resource or a prompt, as its author described it.
pub(crate) struct Offer {
    pub(crate) kind: Kind,
    /// Of a resource: where it is.
    pub(crate) uri: Option<LitStr>,
    pub(crate) function: ItemFn,
    pub(crate) krate: Path,
    /// The path is the author's, not the usual one.
    pub(crate) krate_given: bool,
    pub(crate) name: Option<LitStr>,
    pub(crate) title: Option<LitStr>,
    pub(crate) mime: Option<LitStr>,
    pub(crate) icon: Option<LitStr>,
    /// Of a tool: where its app is.
    pub(crate) ui_uri: Option<LitStr>,
    pub(crate) ui_visibility: Option<LitStr>,
    /// Of an app: what its page needs.
    pub(crate) ui: Option<Expr>,
    pub(crate) complete: Option<Path>,
    pub(crate) description: Doc,
    pub(crate) access: Vec<Access>,
    pub(crate) roles: Vec<Roles>,
    pub(crate) guard: Option<Expr>,
    /// In the order they were said.
    pub(crate) effects: Vec<Ident>,
    pub(crate) timeout: Option<Timeout>,
    /// What a person is asked before the body runs.
    pub(crate) confirm: Option<LitStr>,
    pub(crate) cache: Option<Cache>,
    /// What is read or changed, in a word.
    pub(crate) family: Option<LitStr>,
    pub(crate) rate: Option<Rate>,
    pub(crate) concurrency: Option<u32>,
    pub(crate) blocking: Option<Ident>,
    pub(crate) task: Option<Task>,
    pub(crate) parameters: Vec<Parameter>,
    /// Something in the attribute was meant to say who may call, or may have been.
    pub(crate) access_attempted: bool,
}

/// One answer to "who may call".
pub(crate) struct Access {
    pub(crate) key: Ident,
    pub(crate) who: Who,
}

pub(crate) enum Who {
    Public,
    Authenticated,
    Scopes(Vec<LitStr>),
}

pub(crate) struct Roles {
    pub(crate) key: Ident,
    pub(crate) names: Vec<LitStr>,
}

pub(crate) struct Timeout {
    pub(crate) milliseconds: u64,
}

/// For how long answers are kept.
pub(crate) struct Cache {
    pub(crate) milliseconds: u64,
    pub(crate) written: LitStr,
}

/// When a call becomes a task.
pub(crate) struct Task {
    pub(crate) when: When,
    /// The key, or its value.
    pub(crate) written: TokenStream,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    /// Where the client knows tasks.
    AtOnce,
    /// Always.
    Required,
    /// Where the function says so.
    OnDetach,
}

/// So many in so many seconds.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Rate {
    pub(crate) count: u32,
    pub(crate) seconds: u64,
    pub(crate) burst: u32,
}

/// A parameter with a plain name.
pub(crate) struct Parameter {
    pub(crate) ident: Ident,
    pub(crate) ty: Type,
    pub(crate) cfg: Option<Attribute>,
    pub(crate) arg: Option<Attribute>,
    pub(crate) input: Input,
}

/// What documentation and `#[arg]` say about a parameter. Nothing, when it is lent.
pub(crate) struct Input {
    pub(crate) description: Doc,
    pub(crate) rename: Option<LitStr>,
    pub(crate) range: Option<Bounds>,
    pub(crate) len: Option<Bounds>,
    pub(crate) pattern: Option<LitStr>,
    pub(crate) format: Option<LitStr>,
    pub(crate) default: Option<Preset>,
    pub(crate) example: Option<Preset>,
    pub(crate) secret: Option<Ident>,
}

/// `low..=high`, either end open, or `low..high`.
pub(crate) struct Bounds {
    pub(crate) key: Ident,
    pub(crate) written: Expr,
    pub(crate) low: Option<Expr>,
    pub(crate) high: Option<Expr>,
    /// Whether `high` itself is allowed.
    pub(crate) closed: bool,
}

/// A value written in an attribute.
pub(crate) enum Preset {
    /// `default` alone.
    OfType(Ident),
    Literal(Expr),
    /// Anything else, which has to be of the parameter's type.
    Value(Expr),
}

/// Documentation: text, and pieces like `include_str!("refund.md")`.
pub(crate) struct Doc(pub(crate) Vec<DocPiece>);

pub(crate) enum DocPiece {
    Text(String),
    Expr(Expr),
}

/// A key with an example of its shape.
type Shape = (&'static str, &'static str);

const ACCESS: &[Shape] = &[
    ("public", "public"),
    ("authenticated", "authenticated"),
    ("scope", "scope = \"orders:read\""),
    ("scopes", "scopes(\"orders:read\", \"orders:write\")"),
    ("role", "role = \"admin\""),
    ("roles", "roles(\"admin\", \"support\")"),
    ("guard", "guard = owns(caller, &order)"),
];

const EFFECTS: &[Shape] = &[
    ("read_only", "read_only"),
    ("destructive", "destructive"),
    ("idempotent", "idempotent"),
    ("open_world", "open_world"),
];

const HOW: &[Shape] = &[
    ("timeout", "timeout = \"60s\""),
    ("rate", "rate = \"10/min\""),
    ("concurrency", "concurrency = 4"),
    ("blocking", "blocking"),
    ("name", "name = \"refund_order\""),
    ("title", "title = \"Refund an order\""),
];

const CONFIRM: &[Shape] = &[("confirm", "confirm = \"Delete {hostname}?\"")];
const CACHE: &[Shape] = &[
    ("cache", "cache = \"5s\""),
    ("family", "family = \"orders\""),
];
const TASK: &[Shape] = &[("task", "task")];

const MIME: &[Shape] = &[("mime", "mime = \"text/markdown\"")];

const ICON: &[Shape] = &[("icon", "icon = \"https://example.com/icon.png\"")];

const APP_OF_TOOL: &[Shape] = &[
    ("ui", "ui = \"ui://weather/chart\""),
    ("ui_visibility", "ui_visibility = \"app\""),
];

const APP: &[Shape] = &[("ui", "ui = Ui::new().connect(\"https://api.example.com\")")];

const COMPLETE: &[Shape] = &[("complete", "complete = suggest")];

const CRATE: &[Shape] = &[("crate", "crate = my_mcp_runtime")];

const TOOL_KEYS: Keys = Keys {
    of: "#[mcp_tool]",
    shapes: &[
        ACCESS,
        EFFECTS,
        CONFIRM,
        HOW,
        CACHE,
        TASK,
        ICON,
        APP_OF_TOOL,
        CRATE,
    ],
};

const RESOURCE_KEYS: Keys = Keys {
    of: "#[mcp_resource]",
    shapes: &[ACCESS, HOW, ICON, MIME, APP, COMPLETE, CRATE],
};

const PROMPT_KEYS: Keys = Keys {
    of: "#[mcp_prompt]",
    shapes: &[ACCESS, HOW, ICON, COMPLETE, CRATE],
};

/// The keys of `#[arg]`.
const ARG_KEYS: Keys = Keys {
    of: "#[arg]",
    shapes: &[&[
        ("range", "range = 1..=50"),
        ("len", "len = 1..=50"),
        ("pattern", "pattern = r\"^ord_\""),
        ("format", "format = \"email\""),
        ("default", "default = 5"),
        ("example", "example = 5"),
        ("rename", "rename = \"orderId\""),
        ("secret", "secret"),
    ]],
};

impl Kind {
    /// The word for it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Tool => "tool",
            Self::Resource => "resource",
            Self::Prompt => "prompt",
        }
    }

    /// Who chooses it, and by its description.
    pub(crate) fn chooser(self) -> &'static str {
        match self {
            Self::Tool => "a model",
            Self::Resource => "a client",
            Self::Prompt => "a person",
        }
    }

    /// What a client does with it.
    pub(crate) fn verb(self) -> &'static str {
        match self {
            Self::Tool => "call",
            Self::Resource => "read",
            Self::Prompt => "get",
        }
    }

    fn keys(self) -> Keys {
        match self {
            Self::Tool => TOOL_KEYS,
            Self::Resource => RESOURCE_KEYS,
            Self::Prompt => PROMPT_KEYS,
        }
    }
}

impl Offer {
    pub(crate) fn new(kind: Kind, source: Source, errors: &mut Errors) -> Self {
        let Source {
            uri,
            mut attribute,
            function,
            parameters,
        } = source;
        if kind == Kind::Resource && uri.is_none() {
            lacks_uri(&mut attribute, errors);
        }
        let keys = kind.keys();
        let mut offer = Self {
            kind,
            uri,
            krate: syn::parse_quote!(::mcp_runtime),
            krate_given: false,
            name: None,
            title: None,
            mime: None,
            icon: None,
            ui_uri: None,
            ui_visibility: None,
            ui: None,
            complete: None,
            description: Doc::new(&function.attrs),
            access: Vec::new(),
            roles: Vec::new(),
            guard: None,
            effects: Vec::new(),
            timeout: None,
            confirm: None,
            cache: None,
            family: None,
            rate: None,
            concurrency: None,
            blocking: None,
            task: None,
            parameters: parameters
                .into_iter()
                .filter_map(|p| Parameter::new(kind, p, errors))
                .collect(),
            access_attempted: attribute.torn
                || attribute
                    .list
                    .iter()
                    .any(|entry| may_mean_access(&keys, entry)),
            function,
        };
        for said in keys.read(attribute, errors) {
            offer.hear(said, errors);
        }
        offer
    }

    fn hear(&mut self, mut said: Said, errors: &mut Errors) {
        match said.key().as_str() {
            "public" => self.access.extend(said.alone(errors).map(|key| Access {
                key,
                who: Who::Public,
            })),
            "authenticated" => {
                self.access.extend(said.alone(errors).map(|key| Access {
                    key,
                    who: Who::Authenticated,
                }));
            }
            "scope" | "scopes" => {
                let names = said.names(errors);
                self.access.extend(names.map(|(key, names)| Access {
                    key,
                    who: Who::Scopes(names),
                }));
            }
            "role" | "roles" => {
                self.roles
                    .extend(said.names(errors).map(|(key, names)| Roles { key, names }));
            }
            "guard" => self.guard = said.value(errors),
            "timeout" => {
                self.timeout = said
                    .text(errors)
                    .and_then(|text| Timeout::new(&text, errors))
            }
            "confirm" => self.confirm = said.text(errors),
            "cache" => {
                self.cache = said.text(errors).and_then(|text| Cache::new(text, errors));
            }
            "family" => self.family = said.text(errors),
            "rate" => {
                self.rate = said.text(errors).and_then(|text| Rate::new(&text, errors));
            }
            "concurrency" => self.concurrency = said.count(errors),
            "blocking" => self.blocking = said.alone(errors),
            "task" => self.task = said.task(errors),
            "name" => self.name = said.text(errors),
            "title" => self.title = said.text(errors),
            "mime" => self.mime = said.text(errors),
            "icon" => self.icon = said.text(errors),
            "ui" if self.kind == Kind::Tool => self.ui_uri = said.text(errors),
            "ui" => self.ui = said.value(errors),
            "ui_visibility" => self.ui_visibility = said.text(errors),
            "complete" => self.complete = said.path(errors),
            "crate" => {
                if let Some(path) = said.path(errors) {
                    (self.krate, self.krate_given) = (path, true);
                }
            }
            _ => self.effects.extend(said.alone(errors)),
        }
    }

    /// The name on the wire.
    pub(crate) fn wire_name(&self) -> String {
        self.name.as_ref().map_or_else(
            || self.function.sig.ident.unraw().to_string(),
            LitStr::value,
        )
    }

    pub(crate) fn inputs(&self) -> impl Iterator<Item = &Parameter> {
        self.parameters
            .iter()
            .filter(|parameter| !parameter.is_lent())
    }
}

/// The URI is what a resource is known by, so it comes first and without a key. What stands in its
/// place was meant to be it, unless it is a key that we know.
fn lacks_uri(attribute: &mut Entries, errors: &mut Errors) {
    const WRITE: &str = "the URI comes first: write `#[mcp_resource(\"notes://today\", public)]`";
    let first = attribute.list.first();
    match first.map(|entry| RESOURCE_KEYS.know(&entry.key.unraw().to_string())) {
        // Perhaps it is what could not be read.
        _ if attribute.torn => {}
        Some(false) => errors.at(attribute.list.remove(0).key, WRITE),
        Some(true) => errors.at(&attribute.list[0].key, WRITE),
        None => errors.push(syn::Error::new(Span::call_site(), WRITE)),
    }
    // Without its URI, nothing more is asked of it.
    attribute.torn = true;
}

fn may_mean_access(keys: &Keys, entry: &Entry) -> bool {
    let key = entry.key.unraw().to_string();
    matches!(
        key.as_str(),
        "public" | "authenticated" | "scope" | "scopes"
    ) || !keys.know(&key)
}

impl Parameter {
    /// `None`, and an error, when the parameter has no plain name.
    fn new(kind: Kind, raw: parse::Parameter, errors: &mut Errors) -> Option<Self> {
        let input = Input::new(raw.docs, raw.entries, errors);
        match raw.pattern {
            Pat::Ident(plain) if plain.by_ref.is_none() && plain.subpat.is_none() => Some(Self {
                ident: plain.ident,
                ty: raw.ty,
                cfg: raw.cfg,
                arg: raw.arg,
                input,
            }),
            pattern => {
                errors.at(
                    pattern,
                    format!(
                        "a parameter of a {} has a plain name: {} sends it by that name",
                        kind.word(),
                        if kind == Kind::Tool {
                            "the model"
                        } else {
                            "the client"
                        }
                    ),
                );
                None
            }
        }
    }

    /// The rule of the whole attribute: what the server lends arrives by reference.
    pub(crate) fn is_lent(&self) -> bool {
        self.lent().is_some()
    }

    /// The `Ledger` of `&Ledger`.
    pub(crate) fn lent(&self) -> Option<&Type> {
        match crate::types::bare(&self.ty) {
            Type::Reference(reference) => Some(crate::types::bare(&reference.elem)),
            _ => None,
        }
    }

    /// The name on the wire. An underscore in front tells rustc that the body does not use the
    /// value; the model has no use for it.
    pub(crate) fn wire_name(&self) -> String {
        let own_name = || {
            self.ident
                .unraw()
                .to_string()
                .trim_start_matches('_')
                .to_owned()
        };
        self.input
            .rename
            .as_ref()
            .map_or_else(own_name, LitStr::value)
    }
}

impl Input {
    fn new(docs: Vec<Attribute>, entries: Entries, errors: &mut Errors) -> Self {
        let mut input = Self {
            description: Doc::new(&docs),
            rename: None,
            range: None,
            len: None,
            pattern: None,
            format: None,
            default: None,
            example: None,
            secret: None,
        };
        for said in ARG_KEYS.read(entries, errors) {
            input.hear(said, errors);
        }
        input
    }

    fn hear(&mut self, mut said: Said, errors: &mut Errors) {
        match said.key().as_str() {
            "range" => self.range = said.range(errors),
            "len" => self.len = said.len(errors),
            "pattern" => self.pattern = said.text(errors),
            "format" => self.format = said.text(errors),
            "default" => self.default = said.preset_or_alone(errors),
            "example" => self.example = said.value(errors).map(Preset::new),
            "rename" => self.rename = said.text(errors),
            _ => self.secret = said.alone(errors),
        }
    }
}

impl Preset {
    fn new(expr: Expr) -> Self {
        match Literal::of(&expr) {
            // JSON has no characters; as a value of its type a character can do no harm.
            None | Some(Literal::Char) => Self::Value(expr),
            Some(_) => Self::Literal(expr),
        }
    }
}

impl Bounds {
    fn new(key: Ident, range: &ExprRange) -> Self {
        Self {
            key,
            written: Expr::Range(range.clone()),
            low: range.start.as_deref().cloned(),
            high: range.end.as_deref().cloned(),
            closed: matches!(range.limits, RangeLimits::Closed(_)),
        }
    }

    fn exactly(key: Ident, expr: Expr) -> Self {
        Self {
            key,
            low: Some(expr.clone()),
            high: Some(expr.clone()),
            closed: true,
            written: expr,
        }
    }
}

impl Timeout {
    fn new(text: &LitStr, errors: &mut Errors) -> Option<Self> {
        let zero = "a timeout of zero ends every call: give it time, like `60s`";
        let milliseconds = duration(text, zero, errors)?;
        Some(Self { milliseconds })
    }
}

impl Cache {
    fn new(text: LitStr, errors: &mut Errors) -> Option<Self> {
        let zero = "what is kept for no time is not kept: say how long, like `5s`, or leave it out";
        let milliseconds = duration(&text, zero, errors)?;
        Some(Self {
            milliseconds,
            written: text,
        })
    }
}

fn duration(text: &LitStr, zero: &str, errors: &mut Errors) -> Option<u64> {
    match milliseconds(&text.value()) {
        Ok(0) => errors.at(text, zero),
        Ok(milliseconds) => return Some(milliseconds),
        Err(why) => errors.at(text, why),
    }
    None
}

impl When {
    fn of(value: &str) -> Option<Self> {
        match value {
            "required" => Some(Self::Required),
            "detach" => Some(Self::OnDetach),
            _ => None,
        }
    }
}

/// Reads `500ms`, `60s`, `2m` or `1h`.
fn milliseconds(text: &str) -> Result<u64, String> {
    let shape =
        || format!("`{text}` is not a duration: write it like `500ms`, `60s`, `2m` or `1h`");
    let digits = text.trim_end_matches(|c: char| c.is_ascii_lowercase());
    let unit = match &text[digits.len()..] {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(shape()),
    };
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(shape());
    }
    let milliseconds = digits.parse::<u64>().ok().and_then(|n| n.checked_mul(unit));
    milliseconds.ok_or_else(|| {
        format!("`{text}` is longer than a computer lives: write something like `1h`")
    })
}

impl Rate {
    fn new(text: &LitStr, errors: &mut Errors) -> Option<Self> {
        match Self::read(&text.value()) {
            Ok(rate) => Some(rate),
            Err(why) => {
                errors.at(text, why);
                None
            }
        }
    }

    /// Reads `10/min` or `10/min, burst 2`.
    fn read(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("`{text}` is not a rate: write it like `10/min` or `10/min, burst 2`");
        let (rate, burst) = match text.split_once(',') {
            Some((rate, burst)) => (rate, Some(burst)),
            None => (text, None),
        };
        let (count, unit) = rate.trim().split_once('/').ok_or_else(wrong)?;
        let seconds = match unit.trim() {
            "s" | "sec" => 1,
            "min" => 60,
            "hour" => 3_600,
            "day" => 86_400,
            unit => {
                return Err(format!(
                    "`{unit}` is no unit of a rate: write `s`, `min`, `hour` or `day`, as in `10/min`"
                ));
            }
        };
        let number = |text: &str| {
            let text = text.trim();
            let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
            digits
                .then(|| text.parse().ok())
                .flatten()
                .ok_or_else(wrong)
        };
        let count = number(count)?;
        let burst = match burst {
            None => count,
            Some(burst) => number(burst.trim().strip_prefix("burst ").ok_or_else(wrong)?)?,
        };
        if count == 0 || burst == 0 {
            return Err("a rate of zero lets nobody in: allow one or more, like `10/min`".into());
        }
        Ok(Self {
            count,
            seconds,
            burst,
        })
    }
}

impl Doc {
    pub(crate) fn new(attributes: &[Attribute]) -> Self {
        let docs = attributes
            .iter()
            .filter(|attribute| attribute.path().is_ident("doc"));
        // `#[doc(hidden)]` is a list and documents nothing.
        let values = docs.filter_map(|attribute| attribute.meta.require_name_value().ok());
        Self(values.flat_map(|meta| DocPiece::new(&meta.value)).collect())
    }

    pub(crate) fn is_blank(&self) -> bool {
        self.0
            .iter()
            .all(|piece| matches!(piece, DocPiece::Text(text) if text.trim().is_empty()))
    }
}

impl DocPiece {
    /// One piece per line, without the blank that everybody puts after `///`.
    fn new(value: &Expr) -> Vec<Self> {
        match ungroup(value) {
            Expr::Lit(ExprLit {
                lit: Lit::Str(text),
                ..
            }) => {
                let text = text.value();
                let line = if text.contains('\n') {
                    block_line
                } else {
                    doc_line
                };
                text.split('\n')
                    .map(|text| Self::Text(line(text).to_owned()))
                    .collect()
            }
            other => vec![Self::Expr(other.clone())],
        }
    }
}

/// A line of `///`.
fn doc_line(line: &str) -> &str {
    let line = line.trim_end();
    line.strip_prefix(' ').unwrap_or(line)
}

/// A line of `/** … */`, with or without a column of stars.
fn block_line(line: &str) -> &str {
    let line = line.trim();
    doc_line(line.strip_prefix('*').unwrap_or(line))
}

/// The words an attribute knows.
struct Keys {
    of: &'static str,
    shapes: &'static [&'static [Shape]],
}

impl Keys {
    /// The entries whose key is known and said for the first time.
    fn read(&self, entries: Entries, errors: &mut Errors) -> Vec<Said> {
        let mut seen = HashSet::new();
        let mut said = Vec::new();
        for entry in entries.list {
            let key = entry.key.unraw().to_string();
            match self.shapes().find(|(known, _)| *known == key) {
                None => errors.at(&entry.key, self.unknown(&key)),
                Some(_) if !seen.insert(key.clone()) => {
                    errors.at(&entry.key, format!("`{key}` is said twice: keep one"));
                }
                Some((_, shape)) => said.push(Said { entry, shape }),
            }
        }
        said
    }

    fn shapes(&self) -> impl Iterator<Item = &'static Shape> {
        self.shapes.iter().copied().flatten()
    }

    fn know(&self, key: &str) -> bool {
        self.shapes().any(|(known, _)| *known == key)
    }

    fn unknown(&self, key: &str) -> String {
        if key == "task" && (self.of == RESOURCE_KEYS.of || self.of == PROMPT_KEYS.of) {
            return "only the call of a tool becomes a task: remove `task`, or make it a tool"
                .into();
        }
        let known: Vec<_> = self.shapes().map(|(key, _)| *key).collect();
        unknown_key(self.of, key, &known)
    }
}

/// An entry with a known key, about to be read in the shape that its key has.
struct Said {
    entry: Entry,
    shape: &'static str,
}

impl Said {
    fn key(&self) -> String {
        self.entry.key.unraw().to_string()
    }

    fn misshapen<T>(&self, errors: &mut Errors) -> Option<T> {
        errors.at(&self.entry.key, format!("write it as `{}`", self.shape));
        None
    }

    fn alone(&self, errors: &mut Errors) -> Option<Ident> {
        match &self.entry.given {
            Given::Alone => Some(self.entry.key.clone()),
            _ => self.misshapen(errors),
        }
    }

    fn value(&mut self, errors: &mut Errors) -> Option<Expr> {
        match std::mem::replace(&mut self.entry.given, Given::Alone) {
            Given::Value(value) => Some(value),
            _ => self.misshapen(errors),
        }
    }

    fn text(&mut self, errors: &mut Errors) -> Option<LitStr> {
        let value = self.value(errors)?;
        self.literal(&value, errors)
    }

    fn literal(&self, value: &Expr, errors: &mut Errors) -> Option<LitStr> {
        match ungroup(value) {
            Expr::Lit(ExprLit {
                lit: Lit::Str(text),
                ..
            }) => Some(text.clone()),
            _ => {
                errors.at(
                    value,
                    format!("expected a string literal: `{}`", self.shape),
                );
                None
            }
        }
    }

    /// A number of things, one or more.
    fn count(&mut self, errors: &mut Errors) -> Option<u32> {
        let value = self.value(errors)?;
        let number = match ungroup(&value) {
            Expr::Lit(ExprLit {
                lit: Lit::Int(number),
                ..
            }) => number.base10_parse().ok().filter(|number| *number > 0),
            _ => None,
        };
        if number.is_none() {
            errors.at(
                &value,
                format!("expected a number, 1 or more: `{}`", self.shape),
            );
        }
        number
    }

    /// `scope = "a"` or `scopes("a", "b")`: the plural takes a list.
    fn names(&mut self, errors: &mut Errors) -> Option<(Ident, Vec<LitStr>)> {
        let names: Vec<_> = match &self.entry.given {
            Given::Value(value) if !self.key().ends_with('s') => {
                vec![self.literal(value, errors)?]
            }
            Given::List(values) if self.key().ends_with('s') && !values.is_empty() => values
                .iter()
                .map(|value| self.literal(value, errors))
                .collect::<Option<_>>()?,
            _ => return self.misshapen(errors),
        };
        Some((self.entry.key.clone(), names))
    }

    /// `task`, `task = "required"` or `task = "detach"`.
    fn task(&mut self, errors: &mut Errors) -> Option<Task> {
        let key = &self.entry.key;
        let (when, written) = match &self.entry.given {
            Given::Alone => (Some(When::AtOnce), key.to_token_stream()),
            Given::Value(value) => {
                let when = match ungroup(value) {
                    Expr::Lit(ExprLit {
                        lit: Lit::Str(text),
                        ..
                    }) => When::of(&text.value()),
                    _ => None,
                };
                (when, value.to_token_stream())
            }
            Given::List(_) => (None, key.to_token_stream()),
        };
        if when.is_none() {
            errors.at(
                &written,
                "write `task`, `task = \"required\"` (no call without one) or `task = \"detach\"` (where the \
                 function says `call.detach().await`)",
            );
        }
        Some(Task {
            when: when?,
            written,
        })
    }

    /// `crate = path` or `crate = "path"`.
    fn path(&mut self, errors: &mut Errors) -> Option<Path> {
        let value = self.value(errors)?;
        let path = match ungroup(&value) {
            Expr::Path(path) => Some(path.path.clone()),
            Expr::Lit(ExprLit {
                lit: Lit::Str(text),
                ..
            }) => text.parse_with(Path::parse_mod_style).ok(),
            _ => None,
        };
        if path.is_none() {
            errors.at(&value, format!("expected a path: `{}`", self.shape));
        }
        path
    }

    fn range(&mut self, errors: &mut Errors) -> Option<Bounds> {
        let value = self.value(errors)?;
        match ungroup(&value) {
            Expr::Range(range) => Some(Bounds::new(self.entry.key.clone(), range)),
            _ => {
                errors.at(
                    &value,
                    format!("expected a range: `{}`, `1..` or `..=50`", self.shape),
                );
                None
            }
        }
    }

    /// A range, or one number for an exact length.
    fn len(&mut self, errors: &mut Errors) -> Option<Bounds> {
        let value = self.value(errors)?;
        Some(match ungroup(&value) {
            Expr::Range(range) => Bounds::new(self.entry.key.clone(), range),
            _ => Bounds::exactly(self.entry.key.clone(), value),
        })
    }

    /// `default` alone, or `default = value`.
    fn preset_or_alone(&mut self, errors: &mut Errors) -> Option<Preset> {
        match self.entry.given {
            Given::Alone => Some(Preset::OfType(self.entry.key.clone())),
            _ => self.value(errors).map(Preset::new),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_has_a_number_and_a_unit() {
        for (text, expected) in [
            ("500ms", Some(500)),
            ("60s", Some(60_000)),
            ("2m", Some(120_000)),
            ("1h", Some(3_600_000)),
            ("0s", Some(0)),
            ("60", None),
            ("s", None),
            ("", None),
            ("1.5s", None),
            ("-1s", None),
            ("60 s", None),
            ("1d", None),
            ("60S", None),
            ("99999999999999999999s", None),
            ("18446744073709551615h", None),
            ("1ß", None),
        ] {
            assert_eq!(milliseconds(text).ok(), expected, "{text}");
        }
    }

    #[test]
    fn a_rate_has_a_number_and_a_unit() {
        let rate = |count, seconds, burst| {
            Some(Rate {
                count,
                seconds,
                burst,
            })
        };
        for (text, expected) in [
            ("10/min", rate(10, 60, 10)),
            (" 10 / min , burst 2 ", rate(10, 60, 2)),
            ("1/s", rate(1, 1, 1)),
            ("1/sec", rate(1, 1, 1)),
            ("5/hour, burst 50", rate(5, 3_600, 50)),
            ("5/day", rate(5, 86_400, 5)),
            ("0/min", None),
            ("5/min, burst 0", None),
            ("5/minute", None),
            ("5", None),
            ("/min", None),
            ("+5/min", None),
            ("5/min, 2", None),
            ("5/min burst 2", None),
            ("99999999999/min", None),
        ] {
            assert_eq!(Rate::read(text).ok(), expected, "{text}");
        }
    }

    #[test]
    fn a_line_of_documentation_loses_what_everybody_writes() {
        assert_eq!(doc_line(" Refund. "), "Refund.");
        assert_eq!(doc_line(" * an item"), "* an item");
        assert_eq!(doc_line("    indented"), "   indented");
        assert_eq!(block_line("   * Refund. "), "Refund.");
        assert_eq!(block_line("   *"), "");
    }
}

//! Syntax: from tokens to raw attribute lists, without knowing what they mean.

use proc_macro2::{Span, TokenStream, TokenTree};
use syn::ext::IdentExt as _;
use syn::parse::{ParseStream, Parser as _};
use syn::punctuated::Punctuated;
use syn::{Attribute, Expr, FnArg, Ident, ItemFn, LitStr, Meta, Pat, Token, Type, token};

use crate::errors::Errors;

/// `#[mcp_tool(…)]` or one of its siblings, and the function below it.
pub(crate) struct Source {
    /// The literal in front of the keys.
    pub(crate) uri: Option<LitStr>,
    pub(crate) attribute: Entries,
    /// Without what rustc would refuse: `#[arg]` and documentation on parameters.
    pub(crate) function: ItemFn,
    pub(crate) parameters: Vec<Parameter>,
}

/// A typed parameter, with what was taken off it.
pub(crate) struct Parameter {
    pub(crate) pattern: Pat,
    pub(crate) ty: Type,
    pub(crate) docs: Vec<Attribute>,
    pub(crate) cfg: Option<Attribute>,
    /// The first `#[arg]`, for errors that concern it as a whole.
    pub(crate) arg: Option<Attribute>,
    pub(crate) entries: Entries,
}

/// What stands between the parentheses of an attribute.
#[derive(Default)]
pub(crate) struct Entries {
    pub(crate) list: Vec<Entry>,
    /// Something could not be read, so nothing is to be concluded from what is absent.
    pub(crate) torn: bool,
}

pub(crate) struct Entry {
    pub(crate) key: Ident,
    pub(crate) given: Given,
}

pub(crate) enum Given {
    /// `key`
    Alone,
    /// `key = value`
    Value(Expr),
    /// `key(value, value)`
    List(Vec<Expr>),
}

/// Reads an attribute, which begins with a URI if `located`, and its function. `None` when the item
/// is not a function at all.
pub(crate) fn source(
    located: bool,
    attribute: TokenStream,
    item: TokenStream,
    errors: &mut Errors,
) -> Option<Source> {
    let mut function = match syn::parse2::<ItemFn>(item.clone()) {
        Ok(function) => function,
        Err(error) => {
            errors.push(not_a_function(item, error));
            return None;
        }
    };
    let parameters = function
        .sig
        .inputs
        .iter_mut()
        .filter_map(|input| parameter(input, errors))
        .collect();
    let (uri, attribute) = if located {
        entries_behind_uri(attribute, errors)
    } else {
        (None, entries(attribute, errors))
    };
    Some(Source {
        uri,
        attribute,
        function,
        parameters,
    })
}

fn not_a_function(item: TokenStream, error: syn::Error) -> syn::Error {
    match syn::parse2::<syn::Item>(item) {
        Ok(syn::Item::Fn(_)) | Err(_) => error,
        Ok(_) => syn::Error::new(Span::call_site(), "this goes on a function"),
    }
}

fn parameter(input: &mut FnArg, errors: &mut Errors) -> Option<Parameter> {
    let FnArg::Typed(typed) = input else {
        return None;
    };
    let mut entries = Entries::default();
    let mut arg = None;
    let args: Vec<_> = typed
        .attrs
        .extract_if(.., |attribute| attribute.path().is_ident("arg"))
        .collect();
    for attribute in args {
        entries.extend(arguments(&attribute, errors));
        arg.get_or_insert(attribute);
    }
    let is_doc = |attribute: &mut Attribute| attribute.path().is_ident("doc");
    let is_cfg = |a: &&Attribute| a.path().is_ident("cfg") || a.path().is_ident("cfg_attr");
    Some(Parameter {
        docs: typed.attrs.extract_if(.., is_doc).collect(),
        cfg: typed.attrs.iter().find(is_cfg).cloned(),
        pattern: (*typed.pat).clone(),
        ty: (*typed.ty).clone(),
        arg,
        entries,
    })
}

fn arguments(attribute: &Attribute, errors: &mut Errors) -> Entries {
    match &attribute.meta {
        Meta::List(list) => entries(list.tokens.clone(), errors),
        _ => {
            errors.at(
                attribute,
                "`#[arg]` takes a list, like `#[arg(range = 1..=50)]`",
            );
            Entries {
                list: Vec::new(),
                torn: true,
            }
        }
    }
}

/// Reads `"uri", key, …`.
fn entries_behind_uri(tokens: TokenStream, errors: &mut Errors) -> (Option<LitStr>, Entries) {
    let split = |input: ParseStream<'_>| -> syn::Result<_> {
        if !input.peek(LitStr) {
            return Ok((None, input.parse()?));
        }
        let uri = input.parse()?;
        if !input.is_empty() && input.parse::<Option<Token![,]>>()?.is_none() {
            errors.push(input.error("expected `,` after the URI"));
            skip_to_comma(input)?;
            input.parse::<Option<Token![,]>>()?;
        }
        Ok((Some(uri), input.parse::<TokenStream>()?))
    };
    let (uri, rest) = split.parse2(tokens).expect("the rest is any tokens");
    (uri, entries(rest, errors))
}

/// Reads `key, key = value, key(value)`, and after a mistake goes on behind the next comma.
pub(crate) fn entries(tokens: TokenStream, errors: &mut Errors) -> Entries {
    let read = |input: ParseStream<'_>| {
        let mut entries = Entries::default();
        while !input.is_empty() {
            match entry(input) {
                Ok(entry) => entries.list.push(entry),
                Err(error) => {
                    errors.push(error);
                    entries.torn = true;
                    skip_to_comma(input)?;
                }
            }
            input.parse::<Option<Token![,]>>()?;
        }
        Ok(entries)
    };
    read.parse2(tokens)
        .expect("skipping a token at a time reads any tokens")
}

fn entry(input: ParseStream<'_>) -> syn::Result<Entry> {
    if !input.peek(Ident::peek_any) {
        return Err(input.error("expected a key, as in `key`, `key = value` or `key(value, …)`"));
    }
    // `crate` is a keyword, and a key of ours.
    let key = Ident::parse_any(input)?;
    let given = given(&key, input)?;
    if !input.is_empty() && !input.peek(Token![,]) {
        return Err(input.error(format!("expected `,` after `{key}`")));
    }
    Ok(Entry { key, given })
}

fn given(key: &Ident, input: ParseStream<'_>) -> syn::Result<Given> {
    if input.peek(Token![=]) {
        input.parse::<Token![=]>()?;
        if input.is_empty() || input.peek(Token![,]) {
            return Err(syn::Error::new(
                key.span(),
                format!("`{key} =` lacks its value"),
            ));
        }
        return Ok(Given::Value(input.parse()?));
    }
    if input.peek(token::Paren) {
        let list;
        syn::parenthesized!(list in input);
        let list = Punctuated::<Expr, Token![,]>::parse_terminated(&list)?;
        return Ok(Given::List(list.into_iter().collect()));
    }
    Ok(Given::Alone)
}

fn skip_to_comma(input: ParseStream<'_>) -> syn::Result<()> {
    while !input.is_empty() && !input.peek(Token![,]) {
        input.parse::<TokenTree>()?;
    }
    Ok(())
}

impl Entries {
    fn extend(&mut self, more: Self) {
        self.list.extend(more.list);
        self.torn |= more.torn;
    }
}

/// What a macro variable (`$limit:expr`) stands for: without the invisible group around it.
pub(crate) fn ungroup(mut expr: &Expr) -> &Expr {
    loop {
        expr = match expr {
            Expr::Group(group) => &group.expr,
            Expr::Paren(paren) => &paren.expr,
            other => return other,
        };
    }
}

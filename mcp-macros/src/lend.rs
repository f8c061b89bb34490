//! `#[derive(Lend)]`: a state says what it can lend, field by field.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens as _, quote, quote_spanned};
use syn::spanned::Spanned as _;
use syn::{
    Attribute, Data, DeriveInput, Expr, Field, Fields, Generics, Index, Lit, Member, Meta, Path,
    Type, WhereClause, parse_quote,
};

use crate::errors::{Errors, unknown_key};
use crate::parse::{Entry, Given, entries, ungroup};
use crate::types::{bare, first_argument, is_name, last_segment};

pub(crate) fn derive(input: &DeriveInput) -> TokenStream {
    let mut errors = Errors::new();
    let krate = container(&input.attrs, &mut errors);
    let loans = loans(input, &mut errors);
    all_different(&loans, &mut errors);
    match errors.finish() {
        Ok(()) => loans
            .iter()
            .map(|loan| loan.expand(input, &krate))
            .collect(),
        // The state still lends itself, so that only what is wrong is reported.
        Err(compile_errors) => compile_errors,
    }
}

/// One thing that the state lends.
struct Loan {
    ty: Type,
    /// `&state.ledger`, with `state` for the parameter of ours.
    borrow: Borrow,
}

enum Borrow {
    Whole,
    Field(Member),
    /// What a pointer in a field points to.
    Behind(Member),
}

/// The crate to expand for, from `#[lend(crate = path)]`.
fn container(attributes: &[Attribute], errors: &mut Errors) -> Path {
    let mut krate = parse_quote!(::mcp_runtime);
    for entry in lend_entries(attributes, errors) {
        match path(&entry) {
            Some(path) if entry.key == "crate" => krate = path,
            _ if entry.key == "crate" => {
                errors.at(&entry.key, "write it as `crate = my_mcp_runtime`")
            }
            _ => errors.at(
                &entry.key,
                unknown_key("#[lend]", &entry.key.to_string(), &["crate"]),
            ),
        }
    }
    krate
}

fn path(entry: &Entry) -> Option<Path> {
    let Given::Value(value) = &entry.given else {
        return None;
    };
    match ungroup(value) {
        Expr::Path(path) => Some(path.path.clone()),
        Expr::Lit(literal) => match &literal.lit {
            Lit::Str(text) => text.parse_with(Path::parse_mod_style).ok(),
            _ => None,
        },
        _ => None,
    }
}

fn lend_entries(attributes: &[Attribute], errors: &mut Errors) -> Vec<Entry> {
    let mut list = Vec::new();
    for attribute in attributes
        .iter()
        .filter(|attribute| attribute.path().is_ident("lend"))
    {
        match &attribute.meta {
            Meta::List(tokens) => list.extend(entries(tokens.tokens.clone(), errors).list),
            _ => errors.at(attribute, "`#[lend]` takes a list, like `#[lend(skip)]`"),
        }
    }
    list
}

fn loans(input: &DeriveInput, errors: &mut Errors) -> Vec<Loan> {
    let fields = match &input.data {
        Data::Struct(data) => &data.fields,
        Data::Enum(data) => return refuse_kind(data.enum_token.span, errors),
        Data::Union(data) => return refuse_kind(data.union_token.span, errors),
    };
    let (name, (_, generics, _)) = (&input.ident, input.generics.split_for_impl());
    let mut loans = vec![Loan {
        ty: parse_quote!(#name #generics),
        borrow: Borrow::Whole,
    }];
    for (member, field) in members(fields) {
        if !skipped(field, errors) && lendable(field, &input.generics, errors) {
            loans.extend(field_loans(member, field, &input.generics));
        }
    }
    loans
}

fn refuse_kind(span: Span, errors: &mut Errors) -> Vec<Loan> {
    errors.push(syn::Error::new(
        span,
        "only a struct has parts to lend: put this into a field of one",
    ));
    Vec::new()
}

fn members(fields: &Fields) -> impl Iterator<Item = (Member, &Field)> {
    fields.iter().enumerate().map(|(index, field)| {
        let member = field
            .ident
            .clone()
            .map_or_else(|| Member::Unnamed(Index::from(index)), Member::Named);
        (member, field)
    })
}

fn skipped(field: &Field, errors: &mut Errors) -> bool {
    let mut skipped = false;
    for entry in lend_entries(&field.attrs, errors) {
        match entry.given {
            Given::Alone if entry.key == "skip" => skipped = true,
            _ if entry.key == "skip" => errors.at(&entry.key, "write it as `skip`"),
            _ => errors.at(
                &entry.key,
                unknown_key("#[lend]", &entry.key.to_string(), &["skip"]),
            ),
        }
    }
    skipped
}

/// An `impl … for M` would be for every type there is.
fn lendable(field: &Field, generics: &Generics, errors: &mut Errors) -> bool {
    let bare_parameter = is_parameter(&field.ty, generics);
    if bare_parameter {
        let name = field.ty.to_token_stream();
        errors.at(
            &field.ty,
            format!(
                "`{name}` could be any type: wrap it in a named type, or mark it `#[lend(skip)]`"
            ),
        );
    }
    !bare_parameter
}

fn is_parameter(ty: &Type, generics: &Generics) -> bool {
    generics
        .type_params()
        .any(|parameter| is_name(ty, &parameter.ident.to_string()))
}

/// A field lends itself; an `Arc` or a `Box` also lends what it holds.
fn field_loans(member: Member, field: &Field, generics: &Generics) -> Vec<Loan> {
    let ty = bare(&field.ty);
    let pointer =
        last_segment(ty).filter(|segment| segment.ident == "Arc" || segment.ident == "Box");
    let held = pointer.and_then(first_argument).map(bare);
    let boxed_parameter = |held| is_parameter(held, generics);
    let mut loans = Vec::new();
    // `Box` is fundamental: for the orphan rule, a `Box<M>` is a bare `M`.
    if !held.is_some_and(boxed_parameter) || pointer.is_some_and(|segment| segment.ident == "Arc") {
        loans.push(Loan {
            ty: ty.clone(),
            borrow: Borrow::Field(member.clone()),
        });
    }
    if let Some(held) = held.filter(|held| !boxed_parameter(held)) {
        loans.push(Loan {
            ty: held.clone(),
            borrow: Borrow::Behind(member),
        });
    }
    loans
}

fn all_different(loans: &[Loan], errors: &mut Errors) {
    for (index, loan) in loans.iter().enumerate() {
        if loans[..index].iter().any(|before| before.ty == loan.ty) {
            let ty = loan.ty.to_token_stream().to_string().replace(' ', "");
            errors.at(
                &loan.ty,
                format!(
                    "which `{ty}` would a tool get? Mark one `#[lend(skip)]`, or give it a type of its own"
                ),
            );
        }
    }
}

impl Loan {
    fn expand(&self, input: &DeriveInput, krate: &Path) -> TokenStream {
        let (state, ty) = (&input.ident, &self.ty);
        let (parameters, arguments, _) = input.generics.split_for_impl();
        let clause = self.clause(input);
        let borrow = match &self.borrow {
            Borrow::Whole => quote!(state),
            Borrow::Field(member) => quote!(&state.#member),
            Borrow::Behind(member) => quote!(&*state.#member),
        };
        // At the type of the field: a lent type has to be `Send + Sync`, and is told so there.
        quote_spanned! {ty.span()=>
            #[automatically_derived]
            impl #parameters #krate::__private::LentBy<#state #arguments> for #ty #clause {
                fn lent<'__call>(
                    state: &'__call #state #arguments,
                    _: &'__call #krate::Call,
                ) -> &'__call Self {
                    #borrow
                }
            }
        }
    }

    /// A field that is not `Sync` takes the whole state along. One of the two is enough to report:
    /// with the lifetime, which nothing uses, rustc takes the bound on the state as it is.
    fn clause(&self, input: &DeriveInput) -> Option<WhereClause> {
        let mut clause = input.generics.where_clause.clone();
        if let Borrow::Whole = self.borrow {
            let whole = &self.ty;
            let bound =
                parse_quote!(for<'__any> #whole: ::core::marker::Send + ::core::marker::Sync);
            clause
                .get_or_insert_with(|| parse_quote!(where))
                .predicates
                .push(bound);
        }
        clause
    }
}

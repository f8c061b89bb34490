//! Rules for a parameter as such: what is sent is owned, what is lent is shared.

use proc_macro2::TokenStream;
use quote::ToTokens;
use syn::visit::{self, Visit};
use syn::{
    Lifetime, ParenthesizedGenericArguments, PathSegment, TraitBound, Type, TypeFnPtr,
    TypeImplTrait, TypeInfer, TypePtr, TypeReference,
};

use crate::errors::Errors;
use crate::model::{Kind, Parameter};
use crate::types::{arguments, bare, is_name, shown};

pub(super) fn no_cfg(kind: Kind, parameter: &Parameter, errors: &mut Errors) {
    if let Some(cfg) = &parameter.cfg {
        errors.at(
            cfg,
            format!(
                "one {} has one schema: put the `#[cfg]` on the function",
                kind.word()
            ),
        );
    }
}

pub(super) fn lent_shared(parameter: &Parameter, errors: &mut Errors) -> bool {
    let Type::Reference(reference) = bare(&parameter.ty) else {
        return true;
    };
    let refusal = refused_reference(reference).or_else(|| unlendable(reference));
    push_refusal(refusal, errors)
}

/// `&str` and its like: inputs in disguise.
fn refused_reference(reference: &TypeReference) -> Option<Refusal> {
    let owned = owned_counterpart(&reference.elem)?;
    let why = format!("what the model sends arrives by value: take `{owned}`");
    Some((reference.to_token_stream(), why))
}

/// The `String` for a `str`.
fn owned_counterpart(ty: &Type) -> Option<String> {
    match bare(ty) {
        ty if is_name(ty, "str") => Some("String".into()),
        Type::Slice(slice) => Some(format!("Vec<{}>", shown(&slice.elem))),
        _ => None,
    }
}

fn unlendable(reference: &TypeReference) -> Option<Refusal> {
    if let Some(mutability) = &reference.mutability {
        let why =
            "the server lends to many calls at once: take `&`, and put what changes behind a lock";
        return Some((mutability.to_token_stream(), why.into()));
    }
    if let Some(lifetime) = reference
        .lifetime
        .as_ref()
        .filter(|lifetime| lifetime.ident == "static")
    {
        let why = "the server lends for the length of a call: remove `'static`";
        return Some((lifetime.to_token_stream(), why.into()));
    }
    Borrowed::find(&reference.elem, true)
}

pub(super) fn lent_is_not_constrained(parameter: &Parameter, errors: &mut Errors) {
    if let Some(arg) = &parameter.arg {
        let name = &parameter.ident;
        errors.at(
            arg,
            format!("`{name}` is lent by the server, and `#[arg]` is for what the model sends: take it by value, or remove this"),
        );
    }
}

pub(super) fn owned(parameter: &Parameter, errors: &mut Errors) -> bool {
    let ty = bare(&parameter.ty);
    let refusal = match (ty, owned_counterpart(ty)) {
        (_, Some(owned)) => Some((
            ty.to_token_stream(),
            format!("this has no size: take `{owned}`"),
        )),
        (Type::TraitObject(object), _) => {
            let why = "what the model sends has one type: write it, or take this by reference from the server's state";
            Some((object.to_token_stream(), why.to_owned()))
        }
        _ => Borrowed::find(ty, false),
    };
    push_refusal(refusal, errors)
}

/// What is refused, and why.
type Refusal = (TokenStream, String);

fn push_refusal(refusal: Option<Refusal>, errors: &mut Errors) -> bool {
    let Some((tokens, why)) = refusal else {
        return true;
    };
    errors.at(tokens, why);
    false
}

/// Looks for the first part of a type that cannot arrive as JSON, or not be lent.
struct Borrowed {
    found: Option<Refusal>,
    lent: bool,
}

impl Borrowed {
    fn find(ty: &Type, lent: bool) -> Option<Refusal> {
        let mut borrowed = Self { found: None, lent };
        borrowed.visit_type(ty);
        borrowed.found
    }

    fn refuse(&mut self, tokens: impl ToTokens, why: impl Into<String>) {
        self.found
            .get_or_insert_with(|| (tokens.into_token_stream(), why.into()));
    }

    fn instead(&self) -> &'static str {
        if self.lent {
            "lend an owned type"
        } else {
            "take an owned type"
        }
    }
}

impl Visit<'_> for Borrowed {
    fn visit_type_reference(&mut self, reference: &TypeReference) {
        match refused_reference(reference).filter(|_| !self.lent) {
            Some((tokens, why)) => self.refuse(tokens, why),
            None => self.refuse(
                reference,
                format!("no reference inside of a type: {}", self.instead()),
            ),
        }
    }

    fn visit_lifetime(&mut self, lifetime: &Lifetime) {
        if !(self.lent && lifetime.ident == "static") {
            let why = format!(
                "a type with a lifetime borrows from something: {}",
                self.instead()
            );
            self.refuse(lifetime, why);
        }
    }

    fn visit_path_segment(&mut self, segment: &PathSegment) {
        // The lifetime of a `Cow` may be left out, and an `Rc` stays on its thread: what rustc says
        // to both is about our expansion.
        if !self.lent && (segment.ident == "Cow" || segment.ident == "Rc") {
            let owned = arguments(segment)
                .last()
                .map(|ty| owned_counterpart(ty).unwrap_or_else(|| shown(ty)));
            let owned = owned.unwrap_or("an owned type".into());
            self.refuse(
                segment,
                format!("an input borrows and shares nothing: take `{owned}`"),
            );
        }
        visit::visit_path_segment(self, segment);
    }

    /// What a closure takes and returns, as in `dyn Fn(&str) -> bool`, is not part of it.
    fn visit_parenthesized_generic_arguments(&mut self, _: &ParenthesizedGenericArguments) {}

    fn visit_type_fn_ptr(&mut self, function: &TypeFnPtr) {
        if !self.lent {
            self.refuse(
                function,
                "a function cannot be sent: take what it would compute",
            );
        }
    }

    fn visit_trait_bound(&mut self, bound: &TraitBound) {
        // `for<'a> Handler<'a>` brings its lifetimes along.
        if bound.lifetimes.is_none() {
            visit::visit_trait_bound(self, bound);
        }
    }

    fn visit_type_impl_trait(&mut self, opaque: &TypeImplTrait) {
        self.refuse(
            opaque,
            "an `impl Trait` is many types: write the one you mean",
        );
    }

    fn visit_type_ptr(&mut self, pointer: &TypePtr) {
        let why = format!("a pointer keeps nothing alive: {}", self.instead());
        self.refuse(pointer, why);
    }

    fn visit_type_infer(&mut self, infer: &TypeInfer) {
        self.refuse(infer, "the whole type is needed: write it out");
    }
}

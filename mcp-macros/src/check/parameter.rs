//! Rules for a parameter as such: what is sent is owned, what is lent is shared.

use proc_macro2::TokenStream;
use quote::ToTokens;
use syn::visit::{self, Visit};
use syn::{
    Lifetime, PathSegment, Type, TypeFnPtr, TypeImplTrait, TypeInfer, TypePtr, TypeReference,
};

use crate::errors::Errors;
use crate::model::Parameter;
use crate::types::{arguments, bare, is_name};

pub(super) fn no_cfg(parameter: &Parameter, errors: &mut Errors) {
    if let Some(cfg) = &parameter.cfg {
        errors.at(
            cfg,
            "one tool has one schema: put the `#[cfg]` on the function",
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
fn refused_reference(reference: &TypeReference) -> Option<(TokenStream, String)> {
    let tokens = reference.to_token_stream();
    match bare(&reference.elem) {
        elem if is_name(elem, "str") => Some((
            tokens,
            "what the model sends arrives by value: take `String`".into(),
        )),
        Type::Slice(slice) => {
            let elem = slice.elem.to_token_stream();
            Some((
                tokens,
                format!("what the model sends arrives by value: take `Vec<{elem}>`"),
            ))
        }
        _ => None,
    }
}

fn unlendable(reference: &TypeReference) -> Option<(TokenStream, String)> {
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
    let mut borrowed = Borrowed {
        found: None,
        instead: "lend an owned type",
    };
    borrowed.visit_type(&reference.elem);
    borrowed.found
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
    let refusal = match bare(&parameter.ty) {
        ty if is_name(ty, "str") => Some((ty.to_token_stream(), "take `String`".to_owned())),
        Type::Slice(slice) => Some((
            slice.to_token_stream(),
            format!("take `Vec<{}>`", slice.elem.to_token_stream()),
        )),
        Type::TraitObject(object) => {
            let why = "what the model sends has one type: write it, or take this by reference from the server's state";
            Some((object.to_token_stream(), why.to_owned()))
        }
        ty => {
            let mut borrowed = Borrowed {
                found: None,
                instead: "take an owned type",
            };
            borrowed.visit_type(ty);
            borrowed.found
        }
    };
    push_refusal(refusal, errors)
}

fn push_refusal(refusal: Option<(TokenStream, String)>, errors: &mut Errors) -> bool {
    let Some((tokens, why)) = refusal else {
        return true;
    };
    errors.at(tokens, why);
    false
}

/// Looks for the first part of a type that cannot arrive as JSON, or not be lent.
struct Borrowed {
    found: Option<(TokenStream, String)>,
    instead: &'static str,
}

impl Borrowed {
    fn refuse(&mut self, tokens: impl ToTokens, why: impl Into<String>) {
        self.found
            .get_or_insert_with(|| (tokens.into_token_stream(), why.into()));
    }
}

impl Visit<'_> for Borrowed {
    fn visit_type_reference(&mut self, reference: &TypeReference) {
        match refused_reference(reference) {
            Some((tokens, why)) => self.refuse(tokens, why),
            None => self.refuse(
                reference,
                format!("no reference inside of a type: {}", self.instead),
            ),
        }
    }

    fn visit_lifetime(&mut self, lifetime: &Lifetime) {
        self.refuse(
            lifetime,
            format!(
                "a type with a lifetime borrows from something: {}",
                self.instead
            ),
        );
    }

    fn visit_path_segment(&mut self, segment: &PathSegment) {
        // The lifetime of a `Cow` may be left out, and an `Rc` stays on its thread: what rustc says
        // to both is about our expansion.
        if segment.ident == "Cow" || segment.ident == "Rc" {
            let owned = arguments(segment).last().map(ToTokens::to_token_stream);
            let owned = owned
                .map(|ty| ty.to_string())
                .filter(|ty| ty != "str")
                .unwrap_or("String".into());
            self.refuse(
                segment,
                format!("an input borrows and shares nothing: take `{owned}`"),
            );
        }
        visit::visit_path_segment(self, segment);
    }

    fn visit_type_impl_trait(&mut self, opaque: &TypeImplTrait) {
        self.refuse(opaque, "an `impl Trait` has no one schema: write the type");
    }

    fn visit_type_ptr(&mut self, pointer: &TypePtr) {
        self.refuse(
            pointer,
            format!(
                "a pointer means nothing outside of this process: {}",
                self.instead
            ),
        );
    }

    fn visit_type_fn_ptr(&mut self, function: &TypeFnPtr) {
        self.refuse(
            function,
            "a function cannot be sent: take what it would compute",
        );
    }

    fn visit_type_infer(&mut self, infer: &TypeInfer) {
        self.refuse(infer, "the schema needs the whole type: write it out");
    }
}

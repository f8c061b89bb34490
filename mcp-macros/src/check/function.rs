//! Rules for the function and for `#[mcp_tool]` and its siblings.

use std::collections::HashMap;

use syn::{GenericParam, ReturnType, Safety, Type, TypeParamBound};

use super::unfit;
use crate::errors::Errors;
use crate::model::{Kind, Offer, Parameter, Task, When, Who};
use crate::types::{arguments, bare, is_name, last_segment};

pub(super) fn free_function(offer: &Offer, errors: &mut Errors) {
    if let Some(receiver) = offer.function.sig.receiver() {
        errors.at(
            receiver,
            format!(
                "a {} is a free function: move it out of the `impl`, and take what it needs from the server's \
                 state by reference, like `ledger: &Ledger`",
                offer.kind.word()
            ),
        );
    }
}

pub(super) fn plain_function(offer: &Offer, errors: &mut Errors) {
    let (signature, word) = (&offer.function.sig, offer.kind.word());
    if let Some(constness) = &signature.constness {
        errors.at(
            constness,
            format!("a {word} runs at run time: remove `const`"),
        );
    }
    if let Safety::Unsafe(safety) = &signature.safety {
        errors.at(
            safety,
            "a model cannot keep the promises of an `unsafe` function: write a safe one around it",
        );
    }
    if let Some(abi) = &signature.abi {
        errors.at(
            abi,
            format!("a {word} is an ordinary Rust function: remove `extern`"),
        );
    }
    if let Some(variadic) = &signature.variadic {
        errors.at(
            variadic,
            format!("a {word} has a fixed list of parameters: take a `Vec<T>`"),
        );
    }
}

pub(super) fn no_generics(offer: &Offer, errors: &mut Errors) {
    for parameter in &offer.function.sig.generics.params {
        match parameter {
            GenericParam::Lifetime(_) => {}
            GenericParam::Type(ty) => {
                let name = &ty.ident;
                errors.at(
                    name,
                    format!("`{name}` has no one schema: write the type that the model sends"),
                );
            }
            GenericParam::Const(constant) => {
                errors.at(
                    &constant.ident,
                    format!(
                        "a {} is one function, not one for each number: write the number",
                        offer.kind.word()
                    ),
                );
            }
        }
    }
}

pub(super) fn described(offer: &Offer, errors: &mut Errors) {
    let name = &offer.function.sig.ident;
    if offer.description.is_blank() {
        errors.at(
            name,
            format!(
                "{} chooses {}s by their description: write a doc comment above `{name}`",
                offer.kind.chooser(),
                offer.kind.word()
            ),
        );
    }
}

pub(super) fn one_access(offer: &Offer, errors: &mut Errors) {
    let verb = offer.kind.verb();
    match offer.access.as_slice() {
        [] if offer.access_attempted => {}
        [] => {
            let name = &offer.function.sig.ident;
            errors.at(
                name,
                format!(
                    "say who may {verb} `{name}`: add `public`, `authenticated`, `scope = \"…\"` or `scopes(…)`"
                ),
            );
        }
        [first, more @ ..] => {
            for second in more {
                let (first, second) = (&first.key, &second.key);
                let message = if [first, second]
                    .iter()
                    .all(|key| key.to_string().starts_with("scope"))
                {
                    "name all scopes in one `scopes(…)`".to_owned()
                } else {
                    format!("`{first}` already says who may {verb}: keep one of the two")
                };
                errors.at(second, message);
            }
        }
    }
}

pub(super) fn scopes_fit_oauth(offer: &Offer, errors: &mut Errors) {
    for access in &offer.access {
        let Who::Scopes(scopes) = &access.who else {
            continue;
        };
        for (index, scope) in scopes.iter().enumerate() {
            let text = scope.value();
            if text.trim().is_empty() {
                errors.at(
                    scope,
                    "an empty scope lets nobody in: name one, like `\"orders:read\"`",
                );
            } else if text.contains(' ') {
                errors.at(
                    scope,
                    "a space separates scopes: write `scopes(\"a\", \"b\")`",
                );
            } else if !text
                .bytes()
                .all(|b| b.is_ascii_graphic() && b != b'"' && b != b'\\')
            {
                errors.at(
                    scope,
                    "OAuth cannot carry this scope: use visible ASCII without `\"` and `\\`",
                );
            } else if scopes[..index].iter().any(|before| before.value() == text) {
                errors.at(scope, "this scope is named twice: keep one");
            }
        }
    }
}

pub(super) fn roles_need_a_caller(offer: &Offer, errors: &mut Errors) {
    let public = offer
        .access
        .iter()
        .any(|access| matches!(access.who, Who::Public));
    for (index, roles) in offer.roles.iter().enumerate() {
        if public {
            errors.at(
                &roles.key,
                "`public` asks nobody who they are: say `authenticated` to ask for a role",
            );
        } else if index > 0 {
            errors.at(&roles.key, "name all roles in one `roles(…)`");
        }
        for blank in roles
            .names
            .iter()
            .filter(|name| name.value().trim().is_empty())
        {
            errors.at(blank, "a role has a name, like `\"admin\"`");
        }
    }
}

pub(super) fn effects_agree(offer: &Offer, errors: &mut Errors) {
    let mut contradictory = offer
        .effects
        .iter()
        .filter(|key| *key == "read_only" || *key == "destructive");
    if let (Some(_), Some(second)) = (contradictory.next(), contradictory.next()) {
        errors.at(
            second,
            "what is `read_only` destroys nothing: keep `read_only` or `destructive`",
        );
    }
}

/// What is kept is an answer of before: it says nothing of what was changed or asked since.
pub(super) fn what_is_kept_only_reads(offer: &Offer, errors: &mut Errors) {
    let Some(cache) = &offer.cache else {
        return;
    };
    let why = if !offer.effects.iter().any(|effect| effect == "read_only") {
        "only the answer of a `read_only` tool can be kept: add `read_only`, or remove `cache`"
    } else if offer.guard.is_some() {
        "an answer that is kept would get past the `guard`: remove `cache`, or the guard"
    } else if offer.task.is_some() {
        "the answer of a task is for one call: remove `cache`, or `task`"
    } else {
        return;
    };
    errors.at(&cache.written, why);
}

pub(super) fn family_has_a_name(offer: &Offer, errors: &mut Errors) {
    if let Some(family) = &offer.family
        && family.value().trim().is_empty()
    {
        errors.at(
            family,
            "a family has a name, like `\"orders\"`: write one, or leave `family` out",
        );
    }
}

pub(super) fn blocking_is_sync(offer: &Offer, errors: &mut Errors) {
    if let (Some(blocking), Some(_)) = (&offer.blocking, &offer.function.sig.asyncness) {
        errors.at(
            blocking,
            "`blocking` moves a plain `fn` to a thread of its own: remove it, or remove `async`",
        );
    }
}

pub(super) fn detaching_is_async(offer: &Offer, errors: &mut Errors) {
    if let Some(task) = detaching(offer)
        && offer.function.sig.asyncness.is_none()
    {
        errors.at(
            &task.written,
            "a function that says when it becomes a task awaits that: make it an `async fn`, or write `task` alone",
        );
    }
}

/// What is lent may go by any name, but somewhere among it has to be the call.
pub(super) fn detaching_takes_a_call(offer: &Offer, errors: &mut Errors) {
    if let Some(task) = detaching(offer)
        && offer.function.sig.asyncness.is_some()
        && !offer.parameters.iter().any(Parameter::is_lent)
    {
        errors.at(
            &task.written,
            "the function becomes a task with `call.detach().await`: take `call: &Call`, or write `task` alone",
        );
    }
}

fn detaching(offer: &Offer) -> Option<&Task> {
    offer
        .task
        .as_ref()
        .filter(|task| task.when == When::OnDetach)
}

pub(super) fn name_fits_the_wire(offer: &Offer, errors: &mut Errors) {
    let (name, word) = (offer.wire_name(), offer.kind.word());
    let marks = if offer.kind == Kind::Resource {
        "_.-"
    } else {
        "_-"
    };
    let Some(why) = unfit(&name, marks) else {
        return;
    };
    match &offer.name {
        Some(literal) => errors.at(literal, format!("the name of a {word} {why}")),
        None => {
            let message =
                format!("the name of a {word} {why}: give it another with `name = \"…\"`");
            errors.at(&offer.function.sig.ident, message);
        }
    }
}

pub(super) fn title_says_something(offer: &Offer, errors: &mut Errors) {
    if let Some(title) = offer
        .title
        .as_ref()
        .filter(|title| title.value().trim().is_empty())
    {
        errors.at(
            title,
            "an empty title hides the name: write one, or leave `title` out",
        );
    }
}

pub(super) fn result_is_awaitable(offer: &Offer, errors: &mut Errors) {
    let signature = &offer.function.sig;
    let ReturnType::Type(_, ty) = &signature.output else {
        return;
    };
    let Type::ImplTrait(opaque) = bare(ty) else {
        return;
    };
    let is_future = |bound: &TypeParamBound| match bound {
        TypeParamBound::Trait(bound) => bound
            .path
            .segments
            .last()
            .is_some_and(|last| last.ident == "Future"),
        _ => false,
    };
    if signature.asyncness.is_none() && opaque.bounds.iter().any(is_future) {
        errors.at(ty, "nobody would await this: make it an `async fn`");
    }
}

pub(super) fn error_is_public_by_choice(offer: &Offer, errors: &mut Errors) {
    let ReturnType::Type(_, ty) = &offer.function.sig.output else {
        return;
    };
    let Some(result) = last_segment(ty).filter(|segment| segment.ident == "Result") else {
        return;
    };
    let Some(error) = arguments(result).nth(1) else {
        return;
    };
    let is_str =
        matches!(bare(error), Type::Reference(reference) if is_name(&reference.elem, "str"));
    if is_str || last_segment(error).is_some_and(|segment| segment.ident == "String") {
        errors.at(
            error,
            "a string does not say whether the caller may read it: return `ToolResult<T>`, and make the error \
             with `ToolError::new(…)`",
        );
    }
}

pub(super) fn at_most_sixteen_inputs(offer: &Offer, errors: &mut Errors) {
    if let Some(parameter) = offer.inputs().nth(16) {
        errors.at(
            &parameter.ident,
            format!(
                "a {} takes 16 inputs at most: put what belongs together into a struct",
                offer.kind.word()
            ),
        );
    }
}

pub(super) fn inputs_have_names_of_their_own(offer: &Offer, errors: &mut Errors) {
    let mut taken = HashMap::new();
    for parameter in offer.inputs() {
        let name = parameter.wire_name();
        if let Some(first) = taken.insert(name.clone(), &parameter.ident) {
            let message =
                format!("`{first}` is already called `{name}`: give this input another name");
            match &parameter.input.rename {
                Some(rename) => errors.at(rename, message),
                None => errors.at(&parameter.ident, message),
            }
        }
    }
}

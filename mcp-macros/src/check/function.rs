//! Rules for the function and for `#[mcp_tool]`.

use std::collections::HashMap;

use syn::{GenericParam, ReturnType, Safety, Type, TypeParamBound};

use super::unfit;
use crate::errors::Errors;
use crate::model::{Tool, Who};
use crate::types::{arguments, bare, is_name, last_segment};

pub(super) fn free_function(tool: &Tool, errors: &mut Errors) {
    if let Some(receiver) = tool.function.sig.receiver() {
        errors.at(
            receiver,
            "a tool is a free function: move it out of the `impl`, and take what it needs from the server's \
             state by reference, like `ledger: &Ledger`",
        );
    }
}

pub(super) fn plain_function(tool: &Tool, errors: &mut Errors) {
    let signature = &tool.function.sig;
    if let Some(constness) = &signature.constness {
        errors.at(constness, "a tool runs at run time: remove `const`");
    }
    if let Safety::Unsafe(safety) = &signature.safety {
        errors.at(
            safety,
            "a model cannot keep the promises of an `unsafe` function: write a safe one around it",
        );
    }
    if let Some(abi) = &signature.abi {
        errors.at(abi, "a tool is an ordinary Rust function: remove `extern`");
    }
    if let Some(variadic) = &signature.variadic {
        errors.at(
            variadic,
            "a tool has a fixed list of parameters: take a `Vec<T>`",
        );
    }
}

pub(super) fn no_generics(tool: &Tool, errors: &mut Errors) {
    for parameter in &tool.function.sig.generics.params {
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
                    "a tool is one function, not one for each number: write the number",
                );
            }
        }
    }
}

pub(super) fn described(tool: &Tool, errors: &mut Errors) {
    let name = &tool.function.sig.ident;
    if tool.description.is_blank() {
        errors.at(
            name,
            format!(
                "a model chooses tools by their description: write a doc comment above `{name}`"
            ),
        );
    }
}

pub(super) fn one_access(tool: &Tool, errors: &mut Errors) {
    match tool.access.as_slice() {
        [] if tool.access_attempted => {}
        [] => {
            let name = &tool.function.sig.ident;
            errors.at(
                name,
                format!(
                    "say who may call `{name}`: add `public`, `authenticated`, `scope = \"…\"` or `scopes(…)`"
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
                    format!("`{first}` already says who may call: keep one of the two")
                };
                errors.at(second, message);
            }
        }
    }
}

pub(super) fn scopes_fit_oauth(tool: &Tool, errors: &mut Errors) {
    for access in &tool.access {
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

pub(super) fn roles_need_a_caller(tool: &Tool, errors: &mut Errors) {
    let public = tool
        .access
        .iter()
        .any(|access| matches!(access.who, Who::Public));
    for (index, roles) in tool.roles.iter().enumerate() {
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

pub(super) fn effects_agree(tool: &Tool, errors: &mut Errors) {
    let mut contradictory = tool
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

pub(super) fn blocking_is_sync(tool: &Tool, errors: &mut Errors) {
    if let (Some(blocking), Some(_)) = (&tool.blocking, &tool.function.sig.asyncness) {
        errors.at(
            blocking,
            "`blocking` moves a plain `fn` to a thread of its own: remove it, or remove `async`",
        );
    }
}

pub(super) fn name_fits_the_wire(tool: &Tool, errors: &mut Errors) {
    let name = tool.wire_name();
    let Some(why) = unfit(&name, "_-") else {
        return;
    };
    match &tool.name {
        Some(literal) => errors.at(literal, format!("the name of a tool {why}")),
        None => {
            let message = format!("the name of a tool {why}: give it another with `name = \"…\"`");
            errors.at(&tool.function.sig.ident, message);
        }
    }
}

pub(super) fn title_says_something(tool: &Tool, errors: &mut Errors) {
    if let Some(title) = tool
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

pub(super) fn result_is_awaitable(tool: &Tool, errors: &mut Errors) {
    let signature = &tool.function.sig;
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

pub(super) fn error_is_public_by_choice(tool: &Tool, errors: &mut Errors) {
    let ReturnType::Type(_, ty) = &tool.function.sig.output else {
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

pub(super) fn at_most_sixteen_inputs(tool: &Tool, errors: &mut Errors) {
    if let Some(parameter) = tool.inputs().nth(16) {
        errors.at(
            &parameter.ident,
            "a tool takes 16 inputs at most: put what belongs together into a struct",
        );
    }
}

pub(super) fn inputs_have_names_of_their_own(tool: &Tool, errors: &mut Errors) {
    let mut taken = HashMap::new();
    for parameter in tool.inputs() {
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

//! What makes sense: a list of named rules. Each takes the model and pushes its errors, so that
//! one run of the compiler shows all mistakes.

use std::collections::HashMap;
use std::ops::Deref;

use proc_macro2::TokenStream;
use quote::ToTokens;
use syn::visit::{self, Visit};
use syn::{
    Expr, GenericParam, Lifetime, PathSegment, ReturnType, Safety, Type, TypeFnPtr, TypeImplTrait,
    TypeInfer, TypeParamBound, TypePtr, TypeReference,
};

use crate::errors::{Errors, closest};
use crate::literal::{Literal, Number};
use crate::model::{Bounds, Parameter, Preset, Tool, Who};
use crate::types::{Known, arguments, bare, is_name, last_segment};

/// A tool that broke no rule. Only [`tool`] makes one, and only this is expanded.
pub(crate) struct Checked(Tool);

impl Deref for Checked {
    type Target = Tool;

    fn deref(&self) -> &Tool {
        &self.0
    }
}

impl Checked {
    pub(crate) fn who(&self) -> &Who {
        let [access] = self.access.as_slice() else {
            unreachable!("a rule: one_access")
        };
        &access.who
    }
}

/// The rules. A tool that breaks any comes back, with its errors as tokens.
pub(crate) fn tool(tool: Tool, mut errors: Errors) -> Result<Checked, Box<(Tool, TokenStream)>> {
    for rule in [
        free_function,
        plain_function,
        no_generics,
        described,
        one_access,
        scopes_fit_oauth,
        roles_need_a_caller,
        effects_agree,
        blocking_is_sync,
        name_fits_the_wire,
        title_says_something,
        result_is_awaitable,
        error_is_public_by_choice,
        at_most_sixteen_inputs,
        inputs_have_names_of_their_own,
    ] {
        rule(&tool, &mut errors);
    }
    for parameter in &tool.parameters {
        check_parameter(parameter, &mut errors);
    }
    match errors.finish() {
        Ok(()) => Ok(Checked(tool)),
        Err(compile_errors) => Err(Box::new((tool, compile_errors))),
    }
}

/// The rules for one parameter. What is no input at all is not told how to constrain it.
fn check_parameter(parameter: &Parameter, errors: &mut Errors) {
    no_cfg(parameter, errors);
    if parameter.is_lent() {
        if lent_shared(parameter, errors) {
            lent_is_not_constrained(parameter, errors);
        }
        return;
    }
    if !owned(parameter, errors) {
        return;
    }
    for rule in [
        wire_name,
        range_is_for_numbers,
        range_is_not_empty,
        len_is_for_what_has_one,
        len_is_a_count,
        pattern_is_for_text,
        pattern_is_regular,
        format_is_known,
        presets_fit_the_type,
        presets_keep_the_rules,
        secret_is_not_published,
    ] {
        rule(parameter, errors);
    }
}

// Rules for the function.

fn free_function(tool: &Tool, errors: &mut Errors) {
    if let Some(receiver) = tool.function.sig.receiver() {
        errors.at(
            receiver,
            "a tool is a free function: move it out of the `impl`, and take what it needs from the server's \
             state by reference, like `ledger: &Ledger`",
        );
    }
}

fn plain_function(tool: &Tool, errors: &mut Errors) {
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

fn no_generics(tool: &Tool, errors: &mut Errors) {
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

fn described(tool: &Tool, errors: &mut Errors) {
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

fn one_access(tool: &Tool, errors: &mut Errors) {
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

fn scopes_fit_oauth(tool: &Tool, errors: &mut Errors) {
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

fn roles_need_a_caller(tool: &Tool, errors: &mut Errors) {
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

fn effects_agree(tool: &Tool, errors: &mut Errors) {
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

fn blocking_is_sync(tool: &Tool, errors: &mut Errors) {
    if let (Some(blocking), Some(_)) = (&tool.blocking, &tool.function.sig.asyncness) {
        errors.at(
            blocking,
            "`blocking` moves a plain `fn` to a thread of its own: remove it, or remove `async`",
        );
    }
}

fn name_fits_the_wire(tool: &Tool, errors: &mut Errors) {
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

fn title_says_something(tool: &Tool, errors: &mut Errors) {
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

fn result_is_awaitable(tool: &Tool, errors: &mut Errors) {
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

fn error_is_public_by_choice(tool: &Tool, errors: &mut Errors) {
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

fn at_most_sixteen_inputs(tool: &Tool, errors: &mut Errors) {
    if let Some(parameter) = tool.inputs().nth(16) {
        errors.at(
            &parameter.ident,
            "a tool takes 16 inputs at most: put what belongs together into a struct",
        );
    }
}

fn inputs_have_names_of_their_own(tool: &Tool, errors: &mut Errors) {
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

// Rules for a parameter as such.

fn no_cfg(parameter: &Parameter, errors: &mut Errors) {
    if let Some(cfg) = &parameter.cfg {
        errors.at(
            cfg,
            "one tool has one schema: put the `#[cfg]` on the function",
        );
    }
}

fn lent_shared(parameter: &Parameter, errors: &mut Errors) -> bool {
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

fn lent_is_not_constrained(parameter: &Parameter, errors: &mut Errors) {
    if let Some(arg) = &parameter.arg {
        let name = &parameter.ident;
        errors.at(
            arg,
            format!("`{name}` is lent by the server, and `#[arg]` is for what the model sends: take it by value, or remove this"),
        );
    }
}

fn owned(parameter: &Parameter, errors: &mut Errors) -> bool {
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

// Rules for `#[arg]`.

fn wire_name(parameter: &Parameter, errors: &mut Errors) {
    let name = parameter.wire_name();
    let why = match unfit(&name, "_.-") {
        _ if name == "_meta" => "is not `_meta`, which the protocol keeps for itself".to_owned(),
        Some(why) => why,
        None => return,
    };
    match &parameter.input.rename {
        Some(rename) => errors.at(rename, format!("the name of an input {why}")),
        None => {
            let message = format!("the name of an input {why}: add `#[arg(rename = \"…\")]`");
            errors.at(&parameter.ident, message);
        }
    }
}

/// Why a name cannot go over the wire.
fn unfit(name: &str, marks: &str) -> Option<String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || marks.contains(c);
    if name.is_empty() || name.len() > 64 {
        return Some("has 1 to 64 characters".into());
    }
    let stranger = name.chars().find(|c| !fits(*c))?;
    let marks: Vec<_> = marks.chars().map(|mark| format!("`{mark}`")).collect();
    Some(format!(
        "has letters of ASCII, digits and {}, not {stranger:?}",
        marks.join(" ")
    ))
}

fn range_is_for_numbers(parameter: &Parameter, errors: &mut Errors) {
    let Some(range) = &parameter.input.range else {
        return;
    };
    match parameter.known() {
        Known::Text | Known::List | Known::Map => {
            errors.at(&range.key, "`range` is for numbers: use `len`");
        }
        Known::Bool | Known::Char => errors.at(&range.key, "`range` is for numbers"),
        Known::Integer | Known::Float | Known::Nothing => {}
    }
    for end in range.ends() {
        if Literal::of(end).is_some() && Number::of(end).is_none() {
            errors.at(end, "a range of numbers begins and ends with one");
        }
    }
}

fn range_is_not_empty(parameter: &Parameter, errors: &mut Errors) {
    if let Some(range) = &parameter.input.range {
        not_empty(range, errors);
    }
}

fn not_empty(bounds: &Bounds, errors: &mut Errors) {
    if bounds.low.is_none() && bounds.high.is_none() {
        errors.at(
            &bounds.written,
            "`..` allows everything: give it an end, or leave it out",
        );
    }
    let ends = (
        bounds.low.as_ref().and_then(Number::of),
        bounds.high.as_ref().and_then(Number::of),
    );
    let (Some(low), Some(high)) = ends else {
        return;
    };
    if low > high || (low == high && !bounds.closed) {
        errors.at(&bounds.written, "no number is in this range");
    }
}

fn len_is_for_what_has_one(parameter: &Parameter, errors: &mut Errors) {
    let Some(len) = &parameter.input.len else {
        return;
    };
    match parameter.known() {
        Known::Integer | Known::Float => {
            errors.at(
                &len.key,
                "`len` counts characters and elements: use `range`",
            );
        }
        Known::Bool | Known::Char => errors.at(&len.key, "`len` counts characters and elements"),
        Known::Text | Known::List | Known::Map | Known::Nothing => {}
    }
}

fn len_is_a_count(parameter: &Parameter, errors: &mut Errors) {
    let Some(len) = &parameter.input.len else {
        return;
    };
    let mut counts = true;
    for end in len.ends() {
        let fits = match Literal::of(end) {
            Some(Literal::Number(Number::Integer(n))) => n >= 0,
            Some(_) => false,
            None => true,
        };
        if !fits {
            errors.at(end, "a length is a whole number, 0 or more");
            counts = false;
        }
    }
    if counts {
        not_empty(len, errors);
    }
}

fn pattern_is_for_text(parameter: &Parameter, errors: &mut Errors) {
    let key = match &parameter.input {
        input if input.pattern.is_some() => ("pattern", &input.pattern),
        input => ("format", &input.format),
    };
    let (key, Some(literal)) = key else { return };
    let known = parameter.known();
    if known.is_number() || matches!(known, Known::Bool | Known::List | Known::Map) {
        let instead = if known.is_number() {
            ": use `range`"
        } else {
            ""
        };
        errors.at(literal, format!("`{key}` is for text{instead}"));
    }
}

fn pattern_is_regular(parameter: &Parameter, errors: &mut Errors) {
    let Some(pattern) = &parameter.input.pattern else {
        return;
    };
    if let Err(error) = regex_syntax::parse(&pattern.value()) {
        errors.at(pattern, why_irregular(&error));
    }
}

/// The cause in a few words. The error itself draws the pattern over several lines.
fn why_irregular(error: &regex_syntax::Error) -> String {
    use regex_syntax::ast::ErrorKind;
    match error {
        regex_syntax::Error::Parse(error) => match error.kind() {
            ErrorKind::UnsupportedLookAround => {
                "look-around is not supported: patterns run in linear time".into()
            }
            ErrorKind::UnsupportedBackreference => {
                "a backreference is not supported: patterns run in linear time".into()
            }
            kind => format!("not a regular expression: {kind}"),
        },
        regex_syntax::Error::Translate(error) => {
            format!("not a regular expression: {}", error.kind())
        }
        _ => "not a regular expression".into(),
    }
}

const FORMATS: &[&str] = &[
    "date-time",
    "date",
    "time",
    "duration",
    "email",
    "hostname",
    "ipv4",
    "ipv6",
    "uri",
    "uri-reference",
    "uuid",
    "regex",
    "json-pointer",
];

fn format_is_known(parameter: &Parameter, errors: &mut Errors) {
    let Some(format) = &parameter.input.format else {
        return;
    };
    let text = format.value();
    if !FORMATS.contains(&text.as_str()) {
        let meant = closest(&text, FORMATS)
            .map(|meant| format!("did you mean `{meant}`? "))
            .unwrap_or_default();
        errors.at(
            format,
            format!("unknown format: {meant}Known: `{}`", FORMATS.join("`, `")),
        );
    }
}

fn presets_fit_the_type(parameter: &Parameter, errors: &mut Errors) {
    for (_, expr, literal) in literal_presets(parameter) {
        let fits = match parameter.known() {
            Known::Nothing => true,
            Known::Text => matches!(literal, Literal::Text(_)),
            Known::Char => matches!(literal, Literal::Text(_) | Literal::Char),
            Known::Bool => matches!(literal, Literal::Bool),
            Known::Float => matches!(literal, Literal::Number(_)),
            Known::Integer => matches!(literal, Literal::Number(Number::Integer(_))),
            Known::List | Known::Map => false,
        };
        if !fits {
            let ty = bare(&parameter.ty)
                .to_token_stream()
                .to_string()
                .replace(' ', "");
            errors.at(expr, format!("{} is not a `{ty}`", literal.what()));
        }
    }
}

fn presets_keep_the_rules(parameter: &Parameter, errors: &mut Errors) {
    for (key, expr, literal) in literal_presets(parameter) {
        let (bounds, number) = match &literal {
            Literal::Number(number) => (&parameter.input.range, *number),
            // JSON Schema counts characters, not bytes.
            Literal::Text(text) => {
                let characters = i128::try_from(text.chars().count()).unwrap_or(i128::MAX);
                (&parameter.input.len, Number::Integer(characters))
            }
            Literal::Char | Literal::Bool => continue,
        };
        if let Some(bounds) = bounds.as_ref().filter(|bounds| !bounds.allow(number)) {
            let (rule, written) = (&bounds.key, bounds.written.to_token_stream());
            errors.at(expr, format!("this {key} breaks `{rule} = {written}`"));
        }
    }
}

/// The default and the example, where they are literals.
fn literal_presets(parameter: &Parameter) -> impl Iterator<Item = (&'static str, &Expr, Literal)> {
    let input = &parameter.input;
    let presets = [("default", &input.default), ("example", &input.example)];
    presets
        .into_iter()
        .filter_map(|(key, preset)| match preset {
            Some(Preset::Literal(expr) | Preset::Value(expr)) => {
                Literal::of(expr).map(|literal| (key, expr, literal))
            }
            _ => None,
        })
}

fn secret_is_not_published(parameter: &Parameter, errors: &mut Errors) {
    let input = &parameter.input;
    if input.secret.is_none() {
        return;
    }
    for preset in [&input.default, &input.example].into_iter().flatten() {
        let why = "the schema would publish it: leave it out, or remove `secret`";
        match preset {
            Preset::OfType(key) => errors.at(key, why),
            Preset::Literal(expr) | Preset::Value(expr) => errors.at(expr, why),
        }
    }
}

impl Parameter {
    fn known(&self) -> Known {
        Known::of(&self.ty)
    }
}

impl Bounds {
    fn ends(&self) -> impl Iterator<Item = &Expr> {
        self.low
            .iter()
            .chain(self.high.iter().filter(|_| !self.is_one_number()))
    }

    /// `len = 5`: both ends are the same expression.
    fn is_one_number(&self) -> bool {
        !matches!(crate::parse::ungroup(&self.written), Expr::Range(_))
    }

    /// Whether the number is inside, as far as that can be known.
    fn allow(&self, number: Number) -> bool {
        let above = self
            .low
            .as_ref()
            .and_then(Number::of)
            .is_none_or(|low| number >= low);
        let below = self
            .high
            .as_ref()
            .and_then(Number::of)
            .is_none_or(|high| match self.closed {
                true => number <= high,
                false => number < high,
            });
        above && below
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_irregular_pattern_is_refused_in_a_few_words() {
        for (pattern, why) in [
            (
                r"^(?=a)",
                "look-around is not supported: patterns run in linear time",
            ),
            (
                r"(a)\1",
                "a backreference is not supported: patterns run in linear time",
            ),
            ("[a", "not a regular expression: unclosed character class"),
        ] {
            let error = regex_syntax::parse(pattern).expect_err(pattern);
            assert_eq!(why_irregular(&error), why);
        }
    }

    #[test]
    fn a_name_off_the_wire_is_told_why() {
        assert_eq!(unfit("list_users", "_-"), None);
        assert_eq!(unfit("", "_-").as_deref(), Some("has 1 to 64 characters"));
        assert_eq!(
            unfit("list users", "_-").as_deref(),
            Some("has letters of ASCII, digits and `_` `-`, not ' '")
        );
    }
}

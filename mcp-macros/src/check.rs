//! What makes sense: a list of named rules. Each takes the model and pushes its errors, so that
//! one run of the compiler shows all mistakes.

mod function;
mod parameter;
mod resource;
mod arg;
mod app;
mod confirm;

use std::ops::Deref;

use proc_macro2::TokenStream;

use self::{app::*, arg::*, confirm::*, function::*, parameter::*, resource::*};
use crate::errors::Errors;
use crate::model::{Kind, Offer, Parameter, Who};

/// An offer that broke no rule. Only [`offer`] makes one, and only this is expanded.
pub(crate) struct Checked(Offer);

impl Deref for Checked {
    type Target = Offer;

    fn deref(&self) -> &Offer {
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

/// The rules. An offer that breaks any comes back, with its errors as tokens.
pub(crate) fn offer(
    offer: Offer,
    mut errors: Errors,
) -> Result<Checked, Box<(Offer, TokenStream)>> {
    for rule in [
        free_function,
        plain_function,
        no_generics,
        described,
        one_access,
        scopes_fit_oauth,
        scopes_know_their_variables,
        roles_need_a_caller,
        effects_agree,
        blocking_is_sync,
        detaching_is_async,
        detaching_takes_a_call,
        name_fits_the_wire,
        title_says_something,
        result_is_awaitable,
        error_is_public_by_choice,
        at_most_sixteen_inputs,
        inputs_have_names_of_their_own,
        has_a_scheme,
        inputs_are_variables,
        app_of_tool_is_an_app,
        visibility_is_known,
        apps_look_like_apps,
        icon_can_be_shown,
        what_is_kept_only_reads,
        family_has_a_name,
        question_names_inputs,
        question_has_a_use,
        token_is_ours,
    ] {
        rule(&offer, &mut errors);
    }
    for parameter in &offer.parameters {
        check_parameter(offer.kind, parameter, &mut errors);
    }
    match errors.finish() {
        Ok(()) => Ok(Checked(offer)),
        Err(compile_errors) => Err(Box::new((offer, compile_errors))),
    }
}

/// The rules for one parameter. What is no input at all is not told how to constrain it.
fn check_parameter(kind: Kind, parameter: &Parameter, errors: &mut Errors) {
    no_cfg(kind, parameter, errors);
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
        numbers_fit_the_type,
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

#[cfg(test)]
mod tests {
    use super::*;

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

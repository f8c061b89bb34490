//! Rules for `confirm`: a question that a person can answer.

use crate::errors::{Errors, closest};
use crate::model::{Kind, Offer};

/// The input that the runtime adds to a tool that asks.
const TOKEN: &str = "confirm_token";
/// Characters of a question as it is written. What is shown has at most 500, with the values.
const MAX_QUESTION: usize = 300;

/// What stands in braces is an input, and none that must not be seen.
pub(super) fn question_names_inputs(offer: &Offer, errors: &mut Errors) {
    let Some(literal) = &offer.confirm else {
        return;
    };
    let text = literal.value();
    if text.trim().is_empty() {
        return errors.at(
            literal,
            "nobody can answer an empty question: write one, like `\"Delete {hostname}?\"`",
        );
    }
    if text.chars().count() > MAX_QUESTION {
        return errors.at(
            literal,
            format!("nobody reads a question this long: say it in {MAX_QUESTION} characters"),
        );
    }
    // One mistake at a time: all of them are mended in one place.
    if let Some(why) = names(&text).map_or_else(Some, |names| {
        names.iter().find_map(|name| strange(offer, name))
    }) {
        errors.at(literal, why);
    }
}

fn strange(offer: &Offer, name: &str) -> Option<String> {
    let named = |parameter: &&crate::model::Parameter| parameter.wire_name() == name;
    match offer.inputs().find(named) {
        Some(input) if input.input.secret.is_some() => Some(format!(
            "`{name}` is a secret, and the question would show it: leave `{{{name}}}` out"
        )),
        Some(_) => None,
        None => Some(no_input(offer, name)),
    }
}

fn no_input(offer: &Offer, name: &str) -> String {
    let inputs: Vec<String> = offer.inputs().map(|input| input.wire_name()).collect();
    let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
    match (closest(name, &inputs), inputs.as_slice()) {
        (Some(meant), _) => {
            format!("there is no input `{name}`: did you mean `{{{meant}}}`?")
        }
        (None, []) => {
            format!(
                "there is no input `{name}`, nor any other: write the question without `{{{name}}}`"
            )
        }
        (None, inputs) => format!(
            "there is no input `{name}`: what can be shown is `{{{}}}`",
            inputs.join("}`, `{")
        ),
    }
}

pub(super) fn question_has_a_use(offer: &Offer, errors: &mut Errors) {
    if let Some(literal) = &offer.confirm
        && offer.effects.iter().any(|effect| effect == "read_only")
    {
        errors.at(
            literal,
            "what is `read_only` changes nothing that had to be confirmed: keep `read_only` or `confirm`",
        );
    }
}

/// The input that carries the token is added by the runtime, and never reaches the function.
pub(super) fn token_is_ours(offer: &Offer, errors: &mut Errors) {
    if offer.confirm.is_none() || offer.kind != Kind::Tool {
        return;
    }
    for input in offer.inputs().filter(|input| input.wire_name() == TOKEN) {
        let message =
            format!("`confirm` adds an input `{TOKEN}` of its own: give this one another name");
        match &input.input.rename {
            Some(rename) => errors.at(rename, message),
            None => errors.at(&input.ident, message),
        }
    }
}

/// The names in braces, as the runtime reads them: `{{` and `}}` are braces themselves.
fn names(text: &str) -> Result<Vec<String>, String> {
    let mut names = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find(['{', '}']) {
        let (brace, behind) = rest[at..].split_at(1);
        if let Some(behind) = behind.strip_prefix(brace) {
            rest = behind;
            continue;
        }
        if brace == "}" {
            return Err("this `}` closes nothing: write `}}` for a brace".into());
        }
        let (name, behind) = behind
            .split_once('}')
            .ok_or("this `{` is never closed: write `{{` for a brace")?;
        if name.is_empty()
            || !name
                .chars()
                .all(|c| c.is_alphanumeric() || c == '_' || c == '-')
        {
            return Err(format!(
                "`{{{name}}}` is not the name of an input: write it like `{{hostname}}`"
            ));
        }
        names.push(name.to_owned());
        rest = behind;
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::names;

    #[test]
    fn a_question_has_names_in_braces() {
        for (text, found) in [
            ("Delete it?", &[][..]),
            ("Delete {host} and {port-2}?", &["host", "port-2"]),
            ("Write {{}} to {{{path}}}?", &["path"]),
        ] {
            assert_eq!(names(text).expect(text), found, "{text}");
        }
        for text in ["{", "}", "{}", "{a", "a}", "{a:?}", "{a.b}", "{0 }", "{{}"] {
            assert!(names(text).is_err(), "{text}");
        }
    }
}

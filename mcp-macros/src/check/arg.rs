//! Rules for `#[arg]`.

use quote::ToTokens as _;
use syn::Expr;

use super::unfit;
use crate::errors::{Errors, closest};
use crate::literal::{Literal, Number};
use crate::model::{Bounds, Parameter, Preset};
use crate::parse::ungroup;
use crate::types::{Known, shown};

pub(super) fn wire_name(parameter: &Parameter, errors: &mut Errors) {
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

pub(super) fn range_is_for_numbers(parameter: &Parameter, errors: &mut Errors) {
    let Some(range) = &parameter.input.range else {
        return;
    };
    match parameter.known() {
        Known::Text | Known::List | Known::Map => {
            errors.at(&range.key, "`range` is for numbers: use `len`");
        }
        Known::Bool | Known::Char => errors.at(&range.key, "`range` is for numbers"),
        Known::Integer(..) | Known::Float | Known::Nothing => {}
    }
    for end in range.ends() {
        if Literal::of(end).is_some() && Number::of(end).is_none() {
            errors.at(end, "a range of numbers begins and ends with one");
        }
    }
}

pub(super) fn range_is_not_empty(parameter: &Parameter, errors: &mut Errors) {
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

pub(super) fn numbers_fit_the_type(parameter: &Parameter, errors: &mut Errors) {
    let Known::Integer(low, high) = parameter.known() else {
        return;
    };
    let range = parameter.input.range.as_ref();
    // `0..256` is all of a `u8`.
    let open_end = range
        .filter(|range| !range.closed)
        .and_then(|range| range.high.as_ref());
    let ends = range.into_iter().flat_map(Bounds::ends);
    let presets = literal_presets(parameter).map(|(_, expr, _)| expr);
    for expr in ends.chain(presets) {
        let Some(Number::Integer(number)) = Number::of(expr) else {
            continue;
        };
        let last = if open_end == Some(expr) {
            high.saturating_add(1)
        } else {
            high
        };
        if number < low || number > last {
            let ty = shown(&parameter.ty);
            errors.at(
                expr,
                format!("no `{ty}` is {number}: it goes from {low} to {high}"),
            );
        }
    }
}

pub(super) fn len_is_for_what_has_one(parameter: &Parameter, errors: &mut Errors) {
    let Some(len) = &parameter.input.len else {
        return;
    };
    match parameter.known() {
        Known::Integer(..) | Known::Float => {
            errors.at(
                &len.key,
                "`len` counts characters and elements: use `range`",
            );
        }
        Known::Bool | Known::Char => errors.at(&len.key, "`len` counts characters and elements"),
        Known::Text | Known::List | Known::Map | Known::Nothing => {}
    }
}

pub(super) fn len_is_a_count(parameter: &Parameter, errors: &mut Errors) {
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

pub(super) fn pattern_is_for_text(parameter: &Parameter, errors: &mut Errors) {
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

pub(super) fn pattern_is_regular(parameter: &Parameter, errors: &mut Errors) {
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

pub(super) fn format_is_known(parameter: &Parameter, errors: &mut Errors) {
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

pub(super) fn presets_fit_the_type(parameter: &Parameter, errors: &mut Errors) {
    for (_, expr, literal) in literal_presets(parameter) {
        let fits = match parameter.known() {
            Known::Nothing => true,
            Known::Text => matches!(literal, Literal::Text(_)),
            Known::Char => matches!(literal, Literal::Text(_) | Literal::Char),
            Known::Bool => matches!(literal, Literal::Bool),
            Known::Float => matches!(literal, Literal::Number(_)),
            Known::Integer(..) => matches!(literal, Literal::Number(Number::Integer(_))),
            Known::List | Known::Map => false,
        };
        if !fits {
            let ty = shown(&parameter.ty);
            errors.at(expr, format!("{} is not a `{ty}`", literal.what()));
        }
    }
}

pub(super) fn presets_keep_the_rules(parameter: &Parameter, errors: &mut Errors) {
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

pub(super) fn secret_is_not_published(parameter: &Parameter, errors: &mut Errors) {
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
        !matches!(ungroup(&self.written), Expr::Range(_))
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
}

//! Rules for a URI, the variables in it, and what speaks of them.

use syn::LitStr;

use crate::errors::Errors;
use crate::model::{Access, Kind, Offer, Who};
use crate::uri;

pub(super) fn has_a_scheme(offer: &Offer, errors: &mut Errors) {
    if let Some(literal) = offer
        .uri
        .as_ref()
        .filter(|uri| uri::lacks_scheme(&uri.value()))
    {
        errors.at(
            literal,
            "a URI begins with a scheme: write it like `notes://today`",
        );
    }
}

/// Variables and inputs are the same, one for one.
pub(super) fn inputs_are_variables(offer: &Offer, errors: &mut Errors) {
    let Some(literal) = &offer.uri else { return };
    let variables = match uri::variables(&literal.value()) {
        Ok(variables) => variables,
        Err(why) => return errors.at(literal, why),
    };
    let mut strange = false;
    for parameter in offer
        .inputs()
        .filter(|input| !variables.contains(&input.wire_name()))
    {
        strange = true;
        let name = parameter.wire_name();
        errors.at(
            &parameter.ident,
            format!("`{name}` is taken by value, and the URI has no `{{{name}}}`"),
        );
    }
    let taken = |name: &String| offer.inputs().any(|input| input.wire_name() == *name);
    // Of a name that is misspelt, one end is enough.
    if let Some(name) = variables.iter().find(|name| !strange && !taken(name)) {
        errors.at(
            literal,
            format!("`{{{name}}}` goes nowhere: take it as a parameter, like `{name}: String`"),
        );
    }
}

/// A scope of a resource may have the variables of its URI in it; elsewhere there are none.
pub(super) fn scopes_know_their_variables(offer: &Offer, errors: &mut Errors) {
    let known = match &offer.uri {
        Some(literal) => match uri::variables(&literal.value()) {
            Ok(variables) => variables,
            Err(_) => return,
        },
        None if offer.kind == Kind::Resource => return,
        None => Vec::new(),
    };
    for scope in offer.access.iter().filter_map(scopes).flatten() {
        if let Some(why) = strange_brace(offer.kind, &scope.value(), &known) {
            errors.at(scope, why);
        }
    }
}

fn scopes(access: &Access) -> Option<&Vec<LitStr>> {
    match &access.who {
        Who::Scopes(scopes) => Some(scopes),
        Who::Public | Who::Authenticated => None,
    }
}

fn strange_brace(kind: Kind, scope: &str, known: &[String]) -> Option<String> {
    if !scope.contains(['{', '}']) {
        return None;
    }
    if kind != Kind::Resource {
        let word = kind.word();
        return Some(format!(
            "`{{…}}` stands for a variable of a URI, and a {word} has none: write the scope, or ask with a `guard`"
        ));
    }
    let mut rest = scope;
    while let Some((before, behind)) = rest.split_once('{') {
        let Some((name, behind)) = behind.split_once('}').filter(|_| !before.contains('}')) else {
            break;
        };
        if !known.iter().any(|variable| variable == name) {
            return Some(format!("the URI has no `{{{name}}}`"));
        }
        rest = behind;
    }
    rest.contains(['{', '}'])
        .then(|| "a variable in a scope is written `{name}`".to_owned())
}

//! URIs and their templates, as the runtime reads them: `{name}` is one segment, `{+path}` any
//! number of them.

/// The names of the variables in a template, in order.
pub(crate) fn variables(template: &str) -> Result<Vec<String>, String> {
    let mut names: Vec<String> = Vec::new();
    let mut rest = template;
    let mut after_variable = false;
    while let Some((text, behind)) = rest.split_once('{') {
        closes_nothing(text)?;
        if after_variable && text.is_empty() {
            return Err(
                "nobody can tell where one of these variables ends: put text between them".into(),
            );
        }
        let (inner, behind) = behind.split_once('}').ok_or("this `{` is never closed")?;
        names.push(variable(inner, &names)?);
        (rest, after_variable) = (behind, true);
    }
    closes_nothing(rest)?;
    Ok(names)
}

fn closes_nothing(text: &str) -> Result<(), String> {
    match text.contains('}') {
        true => Err("this `}` closes nothing".into()),
        false => Ok(()),
    }
}

fn variable(inner: &str, before: &[String]) -> Result<String, String> {
    let name = inner.strip_prefix('+').unwrap_or(inner);
    if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        return Err(format!(
            "`{{{inner}}}` is neither `{{name}}` nor `{{+path}}`"
        ));
    }
    if before.iter().any(|other| other == name) {
        return Err(format!("`{name}` would have two values: rename one"));
    }
    Ok(name.to_owned())
}

/// Whether nothing says which kind of URI it is.
pub(crate) fn lacks_scheme(uri: &str) -> bool {
    let is_scheme = |scheme: &str| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
    };
    !uri.split_once("://")
        .is_some_and(|(scheme, _)| is_scheme(scheme))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_has_variables() {
        for (template, names) in [
            ("notes://today", &[][..]),
            ("notes://{id}", &["id"]),
            ("x://{a}/{b}-{c_1}", &["a", "b", "c_1"]),
            ("file:///{+path}", &["path"]),
        ] {
            assert_eq!(variables(template).expect(template), names);
        }
    }

    #[test]
    fn a_template_that_the_runtime_does_not_know_is_refused() {
        for template in [
            "x://{a",
            "x://a}",
            "x://}{a}",
            "x://{}",
            "x://{?a}",
            "x://{a}{b}",
            "x://{a*}",
            "x://{a}/{a}",
        ] {
            assert!(variables(template).is_err(), "{template}");
        }
    }

    #[test]
    fn a_uri_has_a_scheme() {
        for (uri, lacks) in [
            ("notes://today", false),
            ("git+ssh://x", false),
            ("today", true),
            ("://today", true),
            ("{scheme}://today", true),
            ("1a://today", true),
        ] {
            assert_eq!(lacks_scheme(uri), lacks, "{uri}");
        }
    }
}

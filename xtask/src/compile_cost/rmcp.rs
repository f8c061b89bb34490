//! The tools as rmcp's macros want them, which gen.py has written.

use crate::Result;

/// A tool that finds something: its name, and what it finds.
#[derive(Debug, PartialEq)]
pub(crate) struct Finder {
    pub(crate) name: String,
    pub(crate) noun: String,
}

/// The finders in gen.py's output, so that ours have the same names.
pub(crate) fn tools(generated: &str) -> Vec<Finder> {
    let mut found = Vec::new();
    let mut noun = None;
    for line in generated.lines().map(str::trim) {
        if let Some(described) = line.strip_prefix("/// Find ") {
            noun = described.split(' ').next();
        } else if let Some(function) = line.strip_prefix("async fn ")
            && let (Some((name, _)), Some(noun)) = (function.split_once('('), noun.take())
        {
            found.push(Finder {
                name: name.to_owned(),
                noun: noun.to_owned(),
            });
        }
    }
    found
}

/// Gives the last tool a literal in its body to edit.
pub(crate) fn with_literal(generated: &str, literal: u32) -> Result<String> {
    let (before, after) = generated
        .rsplit_once("p.limit, p.status")
        .ok_or("gen.py writes bodies that are not known here")?;
    Ok(format!("{before}p.limit.min({literal}), p.status{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GENERATED: &str = "
    /// Add two integers.
    #[tool]
    async fn add(&self) {}

    /// Find orders that match a query, best match first.
    #[tool]
    async fn search_orders(&self, Parameters(p): Parameters<Args>) {
        find_items(&p.query, p.limit, p.status)
    }
";

    #[test]
    fn reads_the_finders() {
        let orders = Finder {
            name: "search_orders".into(),
            noun: "orders".into(),
        };
        assert_eq!(tools(GENERATED), [orders]);
    }

    #[test]
    fn one_body_has_the_literal() {
        let edited = with_literal(GENERATED, 7).unwrap();
        assert!(edited.contains("find_items(&p.query, p.limit.min(7), p.status)"));
        assert!(with_literal("nothing", 7).is_err());
    }
}

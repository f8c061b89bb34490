//! `--name value` pairs.

use std::path::PathBuf;
use std::str::FromStr;

use crate::{Result, shell};

#[derive(Debug)]
pub(crate) struct Options(Vec<(String, String)>);

impl Options {
    /// Refuses what is not in `known`: a mistyped option would measure something else.
    pub(crate) fn parse(args: &[String], known: &[&str]) -> Result<Self> {
        let mut found = Vec::new();
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            let name = arg.strip_prefix("--").filter(|name| known.contains(name));
            let name = name.ok_or_else(|| format!("no option {arg:?}; there are {known:?}"))?;
            let value = args
                .next()
                .ok_or_else(|| format!("--{name} takes a value"))?;
            found.push((name.to_owned(), value.clone()));
        }
        Ok(Self(found))
    }

    pub(crate) fn get<T: FromStr>(&self, name: &str, default: T) -> Result<T> {
        match self.0.iter().rev().find(|(known, _)| known == name) {
            Some((_, value)) => value
                .parse()
                .map_err(|_| format!("--{name} {value}: not understood").into()),
            None => Ok(default),
        }
    }

    /// The directory of the peers and the load generator.
    pub(crate) fn peers(&self) -> Result<PathBuf> {
        self.get("peers", shell::root().join("../shared/bench"))
    }
}

#[cfg(test)]
mod tests {
    use super::Options;

    fn parse(args: &[&str]) -> crate::Result<Options> {
        let args: Vec<String> = args.iter().map(ToString::to_string).collect();
        Options::parse(&args, &["rounds"])
    }

    #[test]
    fn the_last_value_counts() {
        let options = parse(&["--rounds", "1", "--rounds", "5"]).unwrap();
        assert_eq!(options.get("rounds", 3).unwrap(), 5);
    }

    #[test]
    fn a_default_stands_in() {
        assert_eq!(parse(&[]).unwrap().get("rounds", 3).unwrap(), 3);
    }

    #[test]
    fn unknown_options_and_bad_values_are_refused() {
        assert!(parse(&["--round", "1"]).is_err());
        assert!(parse(&["--rounds"]).is_err());
        assert!(parse(&["--rounds", "x"]).unwrap().get("rounds", 3).is_err());
    }
}

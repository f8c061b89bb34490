//! Which commands may be run: templates like `docker logs [--tail <number>] <service>`.
//!
//! A word of a template stands for itself, `<service>`, `<number>` and `<host>` for one word of
//! that kind, and what is in brackets may be left out. A command is its words: there is no shell,
//! so nothing in a word means anything but itself.

use std::path::{Path, PathBuf};

/// A template whose program was found.
#[derive(Debug)]
pub(super) struct Template {
    text: String,
    program: PathBuf,
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq)]
enum Part {
    Word(String),
    Service,
    Number,
    Host,
    Maybe(Vec<Part>),
}

impl Template {
    /// Reads a template and looks for its program in these folders.
    pub(super) fn read(text: &str, path: &[PathBuf]) -> Result<Self, String> {
        let spaced = text.replace('[', " [ ").replace(']', " ] ");
        let mut words = spaced.split(' ').filter(|word| !word.is_empty());
        let name = words.next().unwrap_or_default();
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if name.is_empty() || !name.chars().all(plain) || name.starts_with(['-', '.']) {
            return Err("does not begin with the name of a program".to_owned());
        }
        let program = path.iter().find_map(|folder| executable(folder, name));
        let program = program.ok_or("names a program that is in none of the folders")?;
        let mut parts = vec![Part::Word(name.to_owned())];
        parts.extend(read(&mut words, false)?);
        Ok(Self {
            text: text.to_owned(),
            program,
            parts,
        })
    }

    /// As the operator wrote it.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// The program, when these words are such a command.
    pub(super) fn fits(&self, words: &[String]) -> Option<&Path> {
        fits(&self.parts, words).then_some(&self.program)
    }
}

/// The words of a command: parted by spaces, none of which is special.
pub(super) fn words(command: &str) -> Option<Vec<String>> {
    let plain = |c: char| c == ' ' || c.is_ascii_graphic();
    if !command.chars().all(plain) {
        return None;
    }
    let words = command.split(' ').filter(|word| !word.is_empty());
    Some(words.map(str::to_owned).collect())
}

/// An absolute path: which program runs is decided when the server starts.
fn executable(folder: &Path, name: &str) -> Option<PathBuf> {
    let path = folder.join(name);
    let metadata = std::fs::metadata(&path).ok()?;
    #[cfg(unix)]
    let runs = std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o111 != 0;
    #[cfg(not(unix))]
    let runs = true;
    (metadata.is_file() && runs && path.is_absolute()).then_some(path)
}

fn read<'a>(words: &mut impl Iterator<Item = &'a str>, inside: bool) -> Result<Vec<Part>, String> {
    let mut parts = Vec::new();
    while let Some(word) = words.next() {
        parts.push(match word {
            "[" if inside => return Err("has brackets in brackets".to_owned()),
            "[" => Part::Maybe(read(words, true)?),
            "]" if inside => return Ok(parts),
            "]" => return Err("has a `]` without its `[`".to_owned()),
            "<service>" => Part::Service,
            "<number>" => Part::Number,
            "<host>" => Part::Host,
            word if word.contains(['<', '>']) => {
                return Err(format!(
                    "has `{word}`: there are <service>, <number> and <host>"
                ));
            }
            word => Part::Word(word.to_owned()),
        });
    }
    match inside {
        true => Err("has a `[` without its `]`".to_owned()),
        false => Ok(parts),
    }
}

fn fits(parts: &[Part], words: &[String]) -> bool {
    let Some((part, rest)) = parts.split_first() else {
        return words.is_empty();
    };
    if let Part::Maybe(inner) = part {
        return fits(&[inner, rest].concat(), words) || fits(rest, words);
    }
    let Some((word, others)) = words.split_first() else {
        return false;
    };
    part.is(word) && fits(rest, others)
}

impl Part {
    fn is(&self, word: &str) -> bool {
        match self {
            Self::Word(expected) => expected == word,
            // Never a dash first: what is filled in cannot become an option.
            Self::Service => {
                word.len() <= 63
                    && word.starts_with(|c: char| c.is_ascii_alphanumeric())
                    && word
                        .chars()
                        .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
            }
            Self::Number => {
                (1..=6).contains(&word.len()) && word.bytes().all(|b| b.is_ascii_digit())
            }
            Self::Host => super::hostname::read(word).is_ok(),
            Self::Maybe(_) => false,
        }
    }
}

//! Reading a folder of skills, once, when the server is built.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use crate::digest::sha256_hex;
use crate::output::MAX_RESULT;
use crate::skills::{frontmatter, mime};

/// The file that makes a folder a skill.
pub(super) const SKILL_MD: &str = "SKILL.md";
/// What every host has to accept of one skill.
const MAX_FILES: usize = 512;
const MAX_BYTES: u64 = 16 << 20;
/// What all skills of a server may have together: their files are kept in memory.
const MAX_TOTAL_FILES: usize = 8192;
const MAX_TOTAL_BYTES: u64 = 64 << 20;
/// How deep folders may nest.
const MAX_DEPTH: usize = 16;

/// A folder of a skill, or one on the way to it.
pub(super) struct Folder {
    pub(super) name: String,
    pub(super) uri: String,
    /// Of a skill: what its SKILL.md says of it.
    pub(super) frontmatter: Option<Map<String, Value>>,
    pub(super) folders: Vec<Folder>,
    pub(super) files: Vec<File>,
}

/// A file of a skill, in the form in which it is served.
pub(super) struct File {
    pub(super) name: String,
    pub(super) uri: String,
    pub(super) mime: &'static str,
    pub(super) digest: String,
    pub(super) size: u64,
    /// `"contents":[{…}]`
    pub(super) contents: String,
}

/// What may still be read.
pub(super) struct Budget {
    files: usize,
    bytes: u64,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            files: MAX_TOTAL_FILES,
            bytes: MAX_TOTAL_BYTES,
        }
    }
}

impl Folder {
    /// The skill's own file, and all others in it and below it.
    pub(super) fn all_files(&self) -> Vec<&File> {
        let mut all: Vec<&File> = self.files.iter().collect();
        for folder in &self.folders {
            all.extend(folder.all_files());
        }
        all
    }

    pub(super) fn skill_md(&self) -> Option<&File> {
        self.files.iter().find(|file| file.name == SKILL_MD)
    }

    fn has_skill(&self) -> bool {
        self.skill_md().is_some() || self.folders.iter().any(Self::has_skill)
    }
}

/// Reads the folder at `path`: the folders in it that are skills, or hold some.
pub(super) fn read(path: &Path, budget: &mut Budget, problems: &mut Vec<String>) -> Vec<Folder> {
    let root = match path.canonicalize() {
        Ok(root) if root.is_dir() => root,
        Ok(_) => {
            problems.push(format!("skills in {}: it is not a folder", path.display()));
            return Vec::new();
        }
        Err(error) => {
            problems.push(format!("skills in {}: {error}", path.display()));
            return Vec::new();
        }
    };
    let mut reader = Reader {
        shown: path,
        root,
        budget,
        problems,
    };
    let before = reader.problems.len();
    let root = reader.root.clone();
    let top = reader.folder(&root, Place::default());
    if top.skill_md().is_some() {
        reader.problem(
            "",
            "it is a skill itself, and a skill has a name: serve the folder that it lies in",
        );
    } else if !top.has_skill() && reader.problems.len() == before {
        reader.problem(
            "",
            "there is no skill in it: a skill is a folder with a SKILL.md",
        );
    }
    top.folders
}

struct Reader<'a> {
    /// The path as the author wrote it.
    shown: &'a Path,
    /// The same without links.
    root: PathBuf,
    budget: &'a mut Budget,
    problems: &'a mut Vec<String>,
}

/// Where the reader is.
#[derive(Clone, Default)]
struct Place {
    /// Below the root, with `/` between the names.
    path: String,
    uri: String,
    name: String,
    depth: usize,
    inside_a_skill: bool,
}

impl Place {
    fn child(&self, name: &str) -> Self {
        let join = |before: &str, name: &str, between: &str| {
            if self.depth == 0 {
                name.to_owned()
            } else {
                format!("{before}{between}{name}")
            }
        };
        let segment = segment(name);
        Self {
            path: join(&self.path, name, "/"),
            uri: if self.depth == 0 {
                format!("skill://{segment}")
            } else {
                format!("{}/{segment}", self.uri)
            },
            name: name.to_owned(),
            depth: self.depth + 1,
            inside_a_skill: self.inside_a_skill,
        }
    }
}

impl Reader<'_> {
    fn problem(&mut self, path: &str, what: impl AsRef<str>) {
        let place = self.shown.join(path);
        self.problems
            .push(format!("skills in {}: {}", place.display(), what.as_ref()));
    }

    fn folder(&mut self, path: &Path, mut place: Place) -> Folder {
        let mut folder = Folder {
            name: place.name.clone(),
            uri: place.uri.clone(),
            frontmatter: None,
            folders: Vec::new(),
            files: Vec::new(),
        };
        if place.depth > MAX_DEPTH {
            self.problem(&place.path, format!("folders nest deeper than {MAX_DEPTH}"));
            return folder;
        }
        let entries = match entries(path) {
            Ok(entries) => entries,
            Err(why) => {
                self.problem(&place.path, why);
                return folder;
            }
        };
        let is_skill = entries.contains_key(SKILL_MD);
        let misspelt = entries
            .keys()
            .find(|name| !is_skill && name.eq_ignore_ascii_case(SKILL_MD));
        if let Some(misspelt) = misspelt.filter(|_| !place.inside_a_skill) {
            self.problem(&place.child(misspelt).path, "rename it to SKILL.md");
        }
        place.inside_a_skill |= is_skill;
        for (name, path) in entries {
            let place = place.child(&name);
            if self.budget.files == 0 {
                // Said once, by whoever took the last.
                return folder;
            }
            let Some((path, kind)) = self.resolve(&path, &place) else {
                continue;
            };
            if kind.is_dir() {
                self.budget.files -= 1;
                self.spent(&place);
                let inner = self.folder(&path, place.clone());
                if place.inside_a_skill || inner.has_skill() {
                    folder.folders.push(inner);
                }
            } else if place.inside_a_skill && kind.is_file() {
                let text = folder.read_into(self, &path, &place);
                if name == SKILL_MD
                    && let Some(text) = text
                {
                    folder.frontmatter = self.frontmatter(&text, &folder.name, &place);
                }
            } else if place.inside_a_skill {
                self.problem(&place.path, "it is neither a file nor a folder");
            }
        }
        if is_skill && place.depth > 0 {
            self.limits(&folder, &place);
        }
        folder
    }

    /// What an entry is, behind links. `None`, and a problem, when it lies elsewhere.
    fn resolve(&mut self, path: &Path, place: &Place) -> Option<(PathBuf, fs::FileType)> {
        let resolved = path
            .canonicalize()
            .and_then(|path| Ok((fs::metadata(&path)?.file_type(), path)));
        match resolved {
            Err(error) => self.problem(&place.path, error.to_string()),
            Ok((_, path)) if !path.starts_with(&self.root) => {
                self.problem(
                    &place.path,
                    "it is a link that leads out of the folder of skills",
                );
            }
            Ok((kind, target)) if kind.is_dir() && path.starts_with(&target) && path != target => {
                self.problem(
                    &place.path,
                    "it is a link to a folder that it lies in itself",
                );
            }
            Ok((kind, path)) => return Some((path, kind)),
        }
        None
    }

    fn spent(&mut self, place: &Place) {
        if self.budget.files == 0 {
            self.problem(
                &place.path,
                format!("the skills of this server have more than {MAX_TOTAL_FILES} files"),
            );
        }
    }

    fn bytes(&mut self, path: &Path, place: &Place) -> Option<Vec<u8>> {
        // A file may grow while it is read.
        let limit = u64::try_from(MAX_RESULT).unwrap_or(u64::MAX);
        let mut bytes = Vec::new();
        let read =
            fs::File::open(path).and_then(|file| file.take(limit + 1).read_to_end(&mut bytes));
        let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        match read {
            Err(error) => self.problem(&place.path, error.to_string()),
            Ok(_) if size > limit => self.problem(
                &place.path,
                format!("it is larger than {limit} bytes, which is the limit of one answer"),
            ),
            Ok(_) if size > self.budget.bytes => {
                self.problem(
                    &place.path,
                    format!("the skills of this server have more than {MAX_TOTAL_BYTES} bytes"),
                );
                // The rest would only say it again.
                self.budget.files = 0;
            }
            Ok(_) => {
                self.budget.bytes -= size;
                self.budget.files -= 1;
                self.spent(place);
                return Some(bytes);
            }
        }
        None
    }

    fn frontmatter(
        &mut self,
        text: &str,
        folder: &str,
        place: &Place,
    ) -> Option<Map<String, Value>> {
        match frontmatter::read(text, folder) {
            Ok(fields) => Some(fields),
            // Of the folder that is served, the place is wrong and not the name.
            Err(_) if place.depth == 1 => None,
            Err(problems) => {
                for problem in problems {
                    self.problem(&place.path, problem);
                }
                None
            }
        }
    }

    fn limits(&mut self, folder: &Folder, place: &Place) {
        let files = folder.all_files();
        if files.len() > MAX_FILES {
            self.problem(
                &place.path,
                format!(
                    "the skill has {} files; hosts take {MAX_FILES}",
                    files.len()
                ),
            );
        }
        let size: u64 = files.iter().map(|file| file.size).sum();
        if size > MAX_BYTES {
            self.problem(
                &place.path,
                format!("the skill has {size} bytes; hosts take {MAX_BYTES}"),
            );
        }
    }
}

impl Folder {
    /// Adds a file. Its text, when it is a SKILL.md that can be read.
    fn read_into(&mut self, reader: &mut Reader<'_>, path: &Path, place: &Place) -> Option<String> {
        let bytes = reader.bytes(path, place)?;
        let (digest, size) = (sha256_hex(&bytes), bytes.len());
        let text = String::from_utf8(bytes);
        if place.name == SKILL_MD && text.is_err() {
            reader.problem(&place.path, "it is not UTF-8");
        }
        let (mime, is_text) = mime::of(&place.name, text.is_ok());
        let mut entry = json!({ "uri": place.uri, "mimeType": mime });
        match &text {
            Ok(text) if is_text => entry["text"] = json!(text),
            Ok(text) => entry["blob"] = json!(STANDARD.encode(text)),
            Err(error) => entry["blob"] = json!(STANDARD.encode(error.as_bytes())),
        }
        self.files.push(File {
            name: place.name.clone(),
            uri: place.uri.clone(),
            mime,
            digest: format!("sha256:{digest}"),
            size: u64::try_from(size).unwrap_or(u64::MAX),
            contents: format!("\"contents\":[{entry}]"),
        });
        text.ok().filter(|_| place.name == SKILL_MD)
    }
}

/// The entries of a folder by name, without hidden ones: `.git` and `.env` are no part of a skill.
fn entries(path: &Path) -> Result<BTreeMap<String, PathBuf>, String> {
    let mut entries = BTreeMap::new();
    for entry in fs::read_dir(path).map_err(|error| error.to_string())? {
        let entry = entry.map_err(|error| error.to_string())?;
        let name = entry
            .file_name()
            .into_string()
            .map_err(|name| format!("the name {name:?} in it is not UTF-8"))?;
        if !name.starts_with('.') {
            entries.insert(name, entry.path());
        }
        if entries.len() > MAX_TOTAL_FILES {
            return Err(format!("it has more than {MAX_TOTAL_FILES} files"));
        }
    }
    Ok(entries)
}

/// A name as a segment of a URI: what is not unreserved is percent-encoded.
fn segment(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}

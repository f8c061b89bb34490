//! Skills: folders of instructions for agents, published with the server whose tools they use.
//!
//! Everything is read, checked and written out when the server is built. What a client asks for is
//! looked up among what was read; its URIs never reach the file system.

mod folder;
mod frontmatter;
mod mime;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Value, json};

use self::folder::{Budget, File, Folder};
use crate::caller::Caller;
use crate::error::Refusal;
use crate::policy::{self, Policy};
use crate::switches::On;
use crate::wire::list::{Cut, Listed, Listing, Pages, write_entry};

/// The media type of a folder.
const FOLDER: &str = "inode/directory";

/// A folder of skills, and who may read them.
///
/// Every folder in it with a `SKILL.md` is a skill, at any depth; the folders above it are part of
/// its path, and every file below it is part of it. Files and folders whose names begin with a dot
/// are left out. Everything is read when the server is built and kept in memory, at most 64 MiB.
///
/// ```no_run
/// use mcp_runtime::prelude::*;
/// use mcp_runtime::{Policy, Skills};
///
/// # fn main() -> mcp_runtime::Result {
/// let service = Server::new(tools![])
///     .skills_dir("skills")
///     .skills(Skills::dir("internal-skills").policy(Policy::scope("skills:read")))
///     .build()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Skills {
    path: PathBuf,
    policy: Policy,
}

impl Skills {
    /// The skills in the folder at `path`, for everybody.
    pub fn dir(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            policy: Policy::public(),
        }
    }

    /// Who may read them. Who lacks a role does not see them; who lacks a scope sees them listed,
    /// and hears which scope to ask for.
    #[must_use]
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }
}

/// The skills of a running server. Nothing in here changes or grows with requests.
#[derive(Default)]
pub(crate) struct BoundSkills {
    policies: Vec<Policy>,
    /// By the URI of their SKILL.md.
    skills: HashMap<Box<str>, Kept>,
    files: HashMap<Box<str>, Kept>,
    folders: HashMap<Box<str>, Children>,
    listing: Listing,
}

/// A member of a result, written when the server was built.
pub(crate) struct Kept {
    pub(crate) json: Box<str>,
    policy: usize,
}

struct Children {
    listing: Listing,
    policy: usize,
}

/// What is served, as it is gathered.
#[derive(Default)]
struct Gathered {
    bound: BoundSkills,
    skills: Vec<Listed>,
    files: Vec<Listed>,
    cut: Cut,
    problems: Vec<String>,
}

/// Reads all sets. The second is how their files appear in `resources/list`.
pub(crate) fn bind(
    sets: Vec<Skills>,
    cut: Cut,
    problems: &mut Vec<String>,
) -> (BoundSkills, Vec<Listed>) {
    let mut gathered = Gathered {
        cut,
        ..Gathered::default()
    };
    let mut budget = Budget::default();
    for set in sets {
        gathered.problems.extend(policy_problem(&set));
        let folders = folder::read(&set.path, &mut budget, &mut gathered.problems);
        gathered.bound.policies.push(set.policy);
        for folder in &folders {
            gathered.folder(folder);
        }
    }
    let skills = std::mem::take(&mut gathered.skills);
    gathered.bound.listing = gathered.listing("skills", skills, true);
    problems.append(&mut gathered.problems);
    (gathered.bound, gathered.files)
}

fn policy_problem(set: &Skills) -> Option<String> {
    let variables = set.policy.variables().next().is_some();
    let problem = set
        .policy
        .problem()
        .or_else(|| variables.then_some("has a `{` in a scope, and there is no variable"))?;
    Some(format!(
        "skills in {}: their policy {problem}",
        set.path.display()
    ))
}

impl Gathered {
    fn folder(&mut self, folder: &Folder) {
        let policy = self.policy();
        if self.bound.folders.contains_key(&*folder.uri) {
            self.problems.push(format!(
                "{} is in two folders of skills: rename one",
                folder.uri
            ));
            return;
        }
        let mut children = Vec::new();
        for inner in &folder.folders {
            children.push(self.listed(&inner.uri, folder_entry(inner)));
            self.folder(inner);
        }
        for file in &folder.files {
            let entry = file_entry(file, folder);
            children.push(self.listed(&file.uri, Arc::clone(&entry)));
            let listed = self.listed(&file.uri, entry);
            self.files.push(listed);
            let kept = Kept {
                json: file.contents.as_str().into(),
                policy,
            };
            self.bound.files.insert(file.uri.as_str().into(), kept);
        }
        let public = self.bound.policies[policy].is_public();
        let listing = self.listing("resources", children, public);
        self.bound
            .folders
            .insert(folder.uri.as_str().into(), Children { listing, policy });
        self.skill(folder);
    }

    fn skill(&mut self, folder: &Folder) {
        let (Some(fields), Some(file)) = (&folder.frontmatter, folder.skill_md()) else {
            return;
        };
        let frontmatter = Value::Object(fields.clone());
        let manifest = folder
            .all_files()
            .into_iter()
            .map(|file| json!({ "uri": file.uri, "digest": file.digest, "size": file.size }))
            .collect();
        let entry = write_entry([
            ("uri", &json!(file.uri)),
            ("frontmatter", &frontmatter),
            ("resources", &manifest),
        ]);
        let kept = Kept {
            json: format!("\"skill\":{entry}").into(),
            policy: self.policy(),
        };
        self.bound.skills.insert(file.uri.as_str().into(), kept);
        let listed = self.listed(&file.uri, entry);
        self.skills.push(listed);
    }

    /// The policy of the set that is being gathered.
    fn policy(&self) -> usize {
        self.bound.policies.len() - 1
    }

    fn listed(&self, uri: &str, entry: Arc<str>) -> Listed {
        Listed {
            name: uri.to_owned(),
            on: On::default(),
            policy: self.bound.policies[self.policy()].clone(),
            legacy: Arc::clone(&entry),
            modern: entry,
        }
    }

    fn listing(&mut self, field: &'static str, items: Vec<Listed>, public: bool) -> Listing {
        Listing::shared(field, items, self.cut, public).unwrap_or_else(|problem| {
            self.problems.push(problem);
            Listing::default()
        })
    }
}

fn folder_entry(folder: &Folder) -> Arc<str> {
    write_entry([
        ("uri", &json!(folder.uri)),
        ("name", &json!(folder.name)),
        ("mimeType", &json!(FOLDER)),
    ])
}

/// A SKILL.md goes by the name of its skill, any other file by its own.
fn file_entry(file: &File, folder: &Folder) -> Arc<str> {
    let fields = folder
        .frontmatter
        .as_ref()
        .filter(|_| file.name == folder::SKILL_MD);
    let own = json!(file.name);
    let name = fields.and_then(|fields| fields.get("name")).unwrap_or(&own);
    let (uri, mime, size) = (json!(file.uri), json!(file.mime), json!(file.size));
    let members = [
        ("uri", Some(&uri)),
        ("name", Some(name)),
        (
            "description",
            fields.and_then(|fields| fields.get("description")),
        ),
        ("mimeType", Some(&mime)),
        ("size", Some(&size)),
    ];
    write_entry(
        members
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?))),
    )
}

impl BoundSkills {
    pub(crate) fn is_empty(&self) -> bool {
        self.skills.is_empty()
    }

    /// Whether a file or a folder has this URI, whoever asks.
    pub(crate) fn has(&self, uri: &str) -> bool {
        self.files.contains_key(uri) || self.folders.contains_key(uri)
    }

    /// The URIs of all files, sorted.
    pub(crate) fn uris(&self) -> Vec<&str> {
        let mut uris: Vec<&str> = self.files.keys().map(AsRef::as_ref).collect();
        uris.sort_unstable();
        uris
    }

    /// Who may read the file of this URI.
    pub(crate) fn policy_of(&self, uri: &str) -> Option<&Policy> {
        self.files.get(uri).map(|kept| &self.policies[kept.policy])
    }

    /// A file. What is hidden from the caller is not there.
    pub(crate) fn file(&self, uri: &str, caller: &Caller) -> Result<Option<&Kept>, Refusal> {
        self.allowed(self.files.get(uri), caller, |kept| kept.policy)
    }

    /// The entry of a skill, by the URI of its SKILL.md.
    pub(crate) fn skill(&self, uri: &str, caller: &Caller) -> Result<Option<&Kept>, Refusal> {
        self.allowed(self.skills.get(uri), caller, |kept| kept.policy)
    }

    /// What a folder holds.
    pub(crate) fn children(
        &self,
        uri: &str,
        caller: &Caller,
    ) -> Result<Option<Arc<Pages>>, Refusal> {
        let found = self.allowed(self.folders.get(uri), caller, |folder| folder.policy)?;
        Ok(found.map(|folder| folder.listing.pages(caller)))
    }

    pub(crate) fn pages(&self, caller: &Caller) -> Arc<Pages> {
        self.listing.pages(caller)
    }

    /// Whether everybody may read it.
    pub(crate) fn is_public(&self, kept: &Kept) -> bool {
        self.policies[kept.policy].is_public()
    }

    fn allowed<'a, T>(
        &self,
        found: Option<&'a T>,
        caller: &Caller,
        policy: impl Fn(&T) -> usize,
    ) -> Result<Option<&'a T>, Refusal> {
        let Some(found) = found else { return Ok(None) };
        match policy::authorize(&self.policies[policy(found)], caller, &|_| None) {
            Ok(_) => Ok(Some(found)),
            Err(Refusal::Unknown) => Ok(None),
            Err(refusal) => Err(refusal),
        }
    }
}

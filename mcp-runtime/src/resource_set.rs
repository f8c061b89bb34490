//! Sets of resources and of prompts.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Add;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::bound::{self, Bound, Offered, Published, Said};
use crate::caller::Caller;
use crate::function::Entry;
use crate::icon;
use crate::policy::{self, Policy};
use crate::prompt::Prompt;
use crate::resource::Resource;
use crate::skills::BoundSkills;
use crate::switches::On;
use crate::ui::{self, Ui};
use crate::uri_template::UriTemplate;
use crate::wire::list::{Cut, Listed, Listing, Pages, write_entry};

/// Resources in the order in which they are listed, for a server with state `S`.
/// `resources![a, b]` makes one.
pub struct ResourceSet<S = ()> {
    entries: Vec<Entry<Resource, S>>,
}

/// Prompts in the order in which they are listed, for a server with state `S`. `prompts![a, b]`
/// makes one.
pub struct PromptSet<S = ()> {
    entries: Vec<Entry<Prompt, S>>,
}

/// Lists resources: `resources![roster, school::class_list]`.
#[macro_export]
macro_rules! resources {
    ($($resource:path),* $(,)?) => {
        $crate::__private::resources([$($crate::__private::entry::<$resource, _, _>()),*])
    };
}

/// Lists prompts: `prompts![persona, school::report]`.
#[macro_export]
macro_rules! prompts {
    ($($prompt:path),* $(,)?) => {
        $crate::__private::prompts([$($crate::__private::entry::<$prompt, _, _>()),*])
    };
}

/// Called by `resources!`.
pub fn resources<S, const N: usize>(entries: [Entry<Resource, S>; N]) -> ResourceSet<S> {
    ResourceSet {
        entries: entries.into(),
    }
}

/// Called by `prompts!`.
pub fn prompts<S, const N: usize>(entries: [Entry<Prompt, S>; N]) -> PromptSet<S> {
    PromptSet {
        entries: entries.into(),
    }
}

macro_rules! sets {
    ($($set:ident of $about:ident)*) => {$(
        impl<S: Send + Sync + 'static> $set<S> {
            /// An empty set.
            pub fn new() -> Self {
                Self { entries: Vec::new() }
            }

            /// What is in it, in order.
            pub fn iter(&self) -> impl Iterator<Item = &$about> {
                self.entries.iter().map(|entry| &entry.about)
            }

            /// How many there are.
            pub fn len(&self) -> usize {
                self.entries.len()
            }

            /// Whether there is none.
            pub fn is_empty(&self) -> bool {
                self.entries.is_empty()
            }
        }

        impl<S: Send + Sync + 'static> Default for $set<S> {
            fn default() -> Self {
                Self::new()
            }
        }

        impl<S> Add for $set<S> {
            type Output = Self;

            fn add(mut self, other: Self) -> Self {
                self.entries.extend(other.entries);
                self
            }
        }
    )*};
}
sets! { ResourceSet of Resource PromptSet of Prompt }

/// A resource of a running server.
pub(crate) struct BoundResource {
    pub(crate) resource: Resource,
    pub(crate) bound: Bound,
    pub(crate) template: Option<UriTemplate>,
    /// Of its contents.
    pub(crate) meta: Option<Value>,
    on: On,
}

impl BoundResource {
    pub(crate) fn is_on(&self) -> bool {
        self.on.is()
    }
}

/// A prompt of a running server.
pub(crate) struct BoundPrompt {
    pub(crate) prompt: Prompt,
    pub(crate) bound: Bound,
    on: On,
}

/// The resources of a running server.
#[derive(Default)]
pub(crate) struct Resources {
    all: Vec<BoundResource>,
    by_uri: HashMap<Box<str>, usize>,
    listing: Listing,
    templates: Listing,
}

/// The prompts of a running server.
#[derive(Default)]
pub(crate) struct Prompts {
    all: Vec<BoundPrompt>,
    index: HashMap<Box<str>, usize>,
    listing: Listing,
}

impl<S: Send + Sync + 'static> ResourceSet<S> {
    pub(crate) fn bind(
        self,
        state: &Arc<S>,
        cut: Cut,
        skills: (&BoundSkills, Vec<Listed>),
        problems: &mut Vec<String>,
    ) -> Resources {
        let mut all: Vec<BoundResource> = Vec::new();
        let (mut fixed, mut templates) = (Vec::new(), Vec::new());
        let mut by_uri = HashMap::new();
        for entry in self.entries {
            let resource = entry.about.clone();
            let at = resource.at();
            let template = resource
                .is_template()
                .then(|| UriTemplate::parse(&resource.uri))
                .transpose();
            let mut found = Vec::new();
            if !resource.uri.contains("://") {
                found.push("its URI has no scheme: write it like `notes://today`".to_owned());
            }
            let taken = all.iter().find(|other| match (&other.template, &template) {
                (Some(theirs), Ok(Some(ours))) => theirs.same_shape(ours),
                _ => other.resource.uri == resource.uri,
            });
            if let Some(taken) = taken {
                let (file, line) = taken.resource.at;
                found.push(format!("the URI is taken by the resource at {file}:{line}"));
            }
            found.extend(icon::problems(&resource.icons));
            found.extend(ui::resource_problems(&resource));
            if skills.0.has(&resource.uri) {
                found.push("the URI is taken by a skill".to_owned());
            }
            let said = Said {
                name: resource.uri.clone(),
                description: &resource.description,
                policy: resource.policy.clone(),
                timeout: resource.timeout,
                raw: None,
            };
            match (bound::bind(entry, said, Arc::clone(state)), template) {
                (Ok((resource, bound, published)), Ok(template)) => {
                    found.extend(ui::shape_problem(&resource, bound.shape));
                    found.extend(variable_problems(&resource, template.as_ref(), &published));
                    if found.is_empty() {
                        let list = if template.is_some() {
                            &mut templates
                        } else {
                            &mut fixed
                        };
                        let on = On::default();
                        list.push(list_resource(&resource, &bound, on.clone()));
                        if template.is_none() {
                            by_uri.insert(resource.uri.as_ref().into(), all.len());
                        }
                        all.push(BoundResource {
                            meta: resource.ui.as_ref().map(Ui::meta),
                            resource,
                            bound,
                            template,
                            on,
                        });
                    }
                }
                (bound, template) => {
                    found.extend(bound.err().into_iter().flatten());
                    found.extend(
                        template
                            .err()
                            .map(|problem| format!("in its template, {problem}")),
                    );
                }
            }
            problems.extend(found.into_iter().map(|problem| format!("{at}: {problem}")));
        }
        fixed.extend(skills.1);
        let mut list = |field, items| {
            Listing::new(field, items, cut).unwrap_or_else(|problem| {
                problems.push(problem);
                Listing::default()
            })
        };
        Resources {
            listing: list("resources", fixed),
            templates: list("resourceTemplates", templates),
            all,
            by_uri,
        }
    }
}

/// Inputs, scopes and the template have to speak of the same variables.
fn variable_problems(
    resource: &Resource,
    template: Option<&UriTemplate>,
    published: &Published,
) -> Vec<String> {
    let variables: Vec<&str> = template
        .into_iter()
        .flat_map(UriTemplate::variables)
        .collect();
    let mut problems = Vec::new();
    for (name, _, _) in &published.inputs {
        if !variables.contains(name) {
            problems.push(format!(
                "`{name}` is taken by value, and the URI has no `{{{name}}}` to take it from"
            ));
        }
    }
    for variable in &variables {
        if !published.inputs.iter().any(|(name, _, _)| name == variable) {
            problems.push(format!(
                "`{{{variable}}}` of its URI goes nowhere: take it as a parameter"
            ));
        }
    }
    for name in resource.policy_ref().variables() {
        if !variables.contains(&name) {
            problems.push(format!(
                "a scope speaks of `{{{name}}}`, and the URI has no such variable"
            ));
        }
    }
    problems
}

fn list_resource(resource: &Resource, bound: &Bound, on: On) -> Listed {
    let field = if resource.is_template() {
        "uriTemplate"
    } else {
        "uri"
    };
    let (uri, name) = (json!(resource.uri), json!(resource.name));
    let title = resource.title.as_ref().map(|title| json!(title));
    let description = json!(resource.description);
    let mime = mime(resource, bound).map(|mime| json!(mime));
    let icons = icon::json(&resource.icons);
    let meta = resource.ui.as_ref().map(Ui::meta);
    let members: [(&str, Option<&Value>); 7] = [
        (field, Some(&uri)),
        ("name", Some(&name)),
        ("title", title.as_ref()),
        ("description", Some(&description)),
        ("mimeType", mime.as_ref()),
        ("icons", icons.as_ref()),
        ("_meta", meta.as_ref()),
    ];
    let entry = write_entry(
        members
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?))),
    );
    Listed {
        name: resource.uri.to_string(),
        on,
        policy: resource.policy_ref().clone(),
        legacy: Arc::clone(&entry),
        modern: entry,
    }
}

/// The media type of a resource: what it says, or what follows from what it returns.
pub(crate) fn mime(resource: &Resource, bound: &Bound) -> Option<Cow<'static, str>> {
    use crate::output::Shape;
    if ui::is_app(resource) {
        return Some(Cow::Borrowed(ui::MIME));
    }
    resource.mime.clone().or(match bound.shape {
        Shape::Text => Some(Cow::Borrowed("text/plain")),
        Shape::Object | Shape::Wrapped => Some(Cow::Borrowed("application/json")),
        Shape::Nothing | Shape::Free | Shape::Raw => None,
    })
}

impl Resources {
    pub(crate) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// The resource that a URI is of, and the variables in it. The first template that fits wins.
    pub(crate) fn find<'a>(
        &'a self,
        uri: &str,
    ) -> Option<(&'a BoundResource, Vec<(&'a str, String)>)> {
        // What is off is not served by the next one that would fit, either.
        self.of_uri(uri).filter(|(found, _)| found.is_on())
    }

    /// As [`find`](Self::find), on or off.
    pub(crate) fn of_uri<'a>(
        &'a self,
        uri: &str,
    ) -> Option<(&'a BoundResource, Vec<(&'a str, String)>)> {
        match self.by_uri.get(uri) {
            Some(at) => Some((&self.all[*at], Vec::new())),
            None => self
                .all
                .iter()
                .find_map(|resource| Some((resource, resource.template.as_ref()?.matches(uri)?))),
        }
    }

    /// Whether a caller may read what this URI holds.
    pub(crate) fn may_read(&self, uri: &str, caller: &Caller) -> bool {
        self.find(uri).is_some_and(|(found, variables)| {
            let of_scope = |name: &str| {
                variables
                    .iter()
                    .find(|(n, _)| *n == name)
                    .map(|(_, value)| value.clone())
            };
            policy::authorize(&found.bound.policy, caller, &of_scope).is_ok()
        })
    }

    /// Whether the resource of this URI or template is on, whoever may read it.
    pub(crate) fn switched(&self, uri: &str) -> Option<(&On, &Policy)> {
        let named = |resource: &&BoundResource| resource.resource.uri == uri;
        let found = self.all.iter().find(named)?;
        Some((&found.on, &found.bound.policy))
    }

    /// Switches a resource. Tells whether that changed anything, and for whom.
    pub(crate) fn turn(&self, uri: &str, to: bool) -> Option<(bool, &Policy)> {
        let (on, policy) = self.switched(uri)?;
        let changed = on.turn(to);
        if changed {
            self.listing.renew();
            self.templates.renew();
        }
        Some((changed, policy))
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.all.iter().map(|resource| resource.resource.uri())
    }

    pub(crate) fn offered(&mut self) -> impl Iterator<Item = Offered<'_>> {
        self.all.iter_mut().map(|each| Offered {
            kind: "resource",
            at: each.resource.at(),
            share: each.resource.share,
            limits: None,
            read_only: true,
            cache: None,
            family: None,
            bound: &mut each.bound,
        })
    }

    /// The resource with this template, as completion refers to it.
    pub(crate) fn of_template(&self, template: &str) -> Option<&BoundResource> {
        self.all
            .iter()
            .find(|resource| resource.resource.uri == template && resource.on.is())
    }

    pub(crate) fn pages(&self, caller: &Caller) -> Arc<Pages> {
        self.listing.pages(caller)
    }

    pub(crate) fn template_pages(&self, caller: &Caller) -> Arc<Pages> {
        self.templates.pages(caller)
    }

    pub(crate) fn completes(&self) -> bool {
        self.all
            .iter()
            .any(|resource| resource.resource.complete.is_some())
    }
}

impl<S: Send + Sync + 'static> PromptSet<S> {
    pub(crate) fn bind(self, state: &Arc<S>, cut: Cut, problems: &mut Vec<String>) -> Prompts {
        let mut all: Vec<BoundPrompt> = Vec::new();
        let mut listed = Vec::new();
        let mut index: HashMap<Box<str>, usize> = HashMap::new();
        for entry in self.entries {
            let prompt = entry.about.clone();
            let at = prompt.at();
            if let Some(first) = index.get(&*prompt.name) {
                let (file, line) = all[*first].prompt.at;
                problems.push(format!(
                    "{at}: the name is taken by the prompt at {file}:{line}"
                ));
                continue;
            }
            let found: Vec<String> = icon::problems(&prompt.icons).collect();
            problems.extend(found.into_iter().map(|problem| format!("{at}: {problem}")));
            let said = Said {
                name: prompt.name.clone(),
                description: &prompt.description,
                policy: prompt.policy.clone(),
                timeout: prompt.timeout,
                raw: None,
            };
            match bound::bind(entry, said, Arc::clone(state)) {
                Ok((prompt, bound, published)) => {
                    index.insert(prompt.name.as_ref().into(), all.len());
                    let on = On::default();
                    listed.push(list_prompt(&prompt, &published, on.clone()));
                    all.push(BoundPrompt { prompt, bound, on });
                }
                Err(found) => {
                    problems.extend(found.into_iter().map(|problem| format!("{at}: {problem}")))
                }
            }
        }
        let listing = Listing::new("prompts", listed, cut).unwrap_or_else(|problem| {
            problems.push(problem);
            Listing::default()
        });
        Prompts {
            all,
            index,
            listing,
        }
    }
}

fn list_prompt(prompt: &Prompt, published: &Published, on: On) -> Listed {
    let name = json!(prompt.name);
    let title = prompt.title.as_ref().map(|title| json!(title));
    let description = json!(prompt.description);
    let arguments: Vec<Value> = published
        .inputs
        .iter()
        .map(|(name, description, required)| match description {
            Some(text) => json!({ "name": name, "description": text, "required": required }),
            None => json!({ "name": name, "required": required }),
        })
        .collect();
    let arguments = (!arguments.is_empty()).then_some(Value::Array(arguments));
    let icons = icon::json(&prompt.icons);
    let members = [
        ("name", Some(&name)),
        ("title", title.as_ref()),
        ("description", Some(&description)),
        ("arguments", arguments.as_ref()),
        ("icons", icons.as_ref()),
    ];
    let entry = write_entry(
        members
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?))),
    );
    Listed {
        name: prompt.name.to_string(),
        on,
        policy: prompt.policy_ref().clone(),
        legacy: Arc::clone(&entry),
        modern: entry,
    }
}

impl Prompts {
    pub(crate) fn offered(&mut self) -> impl Iterator<Item = Offered<'_>> {
        self.all.iter_mut().map(|each| Offered {
            kind: "prompt",
            at: each.prompt.at(),
            share: each.prompt.share,
            limits: None,
            read_only: true,
            cache: None,
            family: None,
            bound: &mut each.bound,
        })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    pub(crate) fn find(&self, name: &str) -> Option<&BoundPrompt> {
        self.named(name).filter(|prompt| prompt.on.is())
    }

    fn named(&self, name: &str) -> Option<&BoundPrompt> {
        self.index.get(name).map(|at| &self.all[*at])
    }

    /// Whether the prompt of this name is on, whoever may get it.
    pub(crate) fn switched(&self, name: &str) -> Option<(&On, &Policy)> {
        self.named(name)
            .map(|prompt| (&prompt.on, &prompt.bound.policy))
    }

    /// Switches a prompt. Tells whether that changed anything, and for whom.
    pub(crate) fn turn(&self, name: &str, to: bool) -> Option<(bool, &Policy)> {
        let (on, policy) = self.switched(name)?;
        let changed = on.turn(to);
        if changed {
            self.listing.renew();
        }
        Some((changed, policy))
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.all.iter().map(|prompt| prompt.prompt.name())
    }

    pub(crate) fn pages(&self, caller: &Caller) -> Arc<Pages> {
        self.listing.pages(caller)
    }

    pub(crate) fn completes(&self) -> bool {
        self.all
            .iter()
            .any(|prompt| prompt.prompt.complete.is_some())
    }
}

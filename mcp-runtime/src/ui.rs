//! Apps: resources that a host shows as a page beside the result of a tool.

use std::borrow::Cow;

use serde_json::{Map, Value, json};

use crate::output::Shape;
use crate::resource::Resource;
use crate::resource_set::ResourceSet;
use crate::tool::Tool;
use crate::tool_set::ToolSet;
use crate::uri_template::UriTemplate;

/// The extension of apps.
pub(crate) const EXTENSION: &str = "io.modelcontextprotocol/ui";
/// The one media type of an app.
pub(crate) const MIME: &str = "text/html;profile=mcp-app";
const SCHEME: &str = "ui://";

/// What the page of an app needs beyond itself. A host lets it have nothing else: without a `Ui`,
/// a page loads nothing, connects to nothing, and uses no device.
///
/// Origins are written like `https://api.example.com`; `https://*.example.com` stands for every
/// subdomain. They are checked when the server is built.
///
/// ```
/// use mcp_runtime::prelude::*;
/// use mcp_runtime::Ui;
///
/// /// The chart of a forecast.
/// #[mcp_resource("ui://weather/chart", public, ui = Ui::new().connect("https://api.example.com").border(true))]
/// fn chart() -> &'static str {
///     "<!doctype html><title>Forecast</title><main></main>"
/// }
///
/// /// The forecast of a place.
/// #[mcp_tool(public, read_only, ui = "ui://weather/chart")]
/// fn forecast(place: String) -> String {
///     format!("Sunny in {place}.")
/// }
///
/// # fn main() -> mcp_runtime::Result {
/// let service = Server::new(tools![forecast]).resources(resources![chart]).build()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ui {
    connect: Vec<Cow<'static, str>>,
    load: Vec<Cow<'static, str>>,
    frame: Vec<Cow<'static, str>>,
    base_uri: Vec<Cow<'static, str>>,
    camera: bool,
    microphone: bool,
    geolocation: bool,
    clipboard_write: bool,
    domain: Option<Cow<'static, str>>,
    border: Option<bool>,
}

/// Who calls a tool of an app. It is a hint for hosts, not an access rule: that is the policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Visibility {
    /// Only the model.
    Model,
    /// Only the app: the model is not shown the tool.
    App,
}

impl Visibility {
    fn word(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::App => "app",
        }
    }
}

impl Ui {
    /// A page that needs nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// The page sends requests to this origin (`connect-src`); `wss://` is one too.
    #[must_use]
    pub fn connect(mut self, origin: impl Into<Cow<'static, str>>) -> Self {
        self.connect.push(origin.into());
        self
    }

    /// The page loads scripts, styles, images, fonts and media from this origin.
    #[must_use]
    pub fn load(mut self, origin: impl Into<Cow<'static, str>>) -> Self {
        self.load.push(origin.into());
        self
    }

    /// The page has frames of this origin (`frame-src`).
    #[must_use]
    pub fn frame(mut self, origin: impl Into<Cow<'static, str>>) -> Self {
        self.frame.push(origin.into());
        self
    }

    /// The page may take this origin as the base of its URLs (`base-uri`).
    #[must_use]
    pub fn base_uri(mut self, origin: impl Into<Cow<'static, str>>) -> Self {
        self.base_uri.push(origin.into());
        self
    }

    /// The page asks for the camera.
    #[must_use]
    pub fn camera(mut self) -> Self {
        self.camera = true;
        self
    }

    /// The page asks for the microphone.
    #[must_use]
    pub fn microphone(mut self) -> Self {
        self.microphone = true;
        self
    }

    /// The page asks where it is.
    #[must_use]
    pub fn geolocation(mut self) -> Self {
        self.geolocation = true;
        self
    }

    /// The page asks to write to the clipboard.
    #[must_use]
    pub fn clipboard_write(mut self) -> Self {
        self.clipboard_write = true;
        self
    }

    /// A stable origin for the page, in the form that the host documents.
    #[must_use]
    pub fn domain(mut self, domain: impl Into<Cow<'static, str>>) -> Self {
        self.domain = Some(domain.into());
        self
    }

    /// Whether the host should draw a border; it decides for itself unless said otherwise.
    #[must_use]
    pub fn border(mut self, border: bool) -> Self {
        self.border = Some(border);
        self
    }

    /// The `_meta` of the resource and of its contents.
    pub(crate) fn meta(&self) -> Value {
        let mut csp = Map::new();
        for (name, origins) in self.origins() {
            if !origins.is_empty() {
                csp.insert(name.to_owned(), json!(origins));
            }
        }
        let asked = [
            ("camera", self.camera),
            ("microphone", self.microphone),
            ("geolocation", self.geolocation),
            ("clipboardWrite", self.clipboard_write),
        ];
        let permissions: Map<String, Value> = asked
            .into_iter()
            .filter(|(_, asked)| *asked)
            .map(|(name, _)| (name.to_owned(), json!({})))
            .collect();
        let mut ui = Map::new();
        if !csp.is_empty() {
            ui.insert("csp".to_owned(), Value::Object(csp));
        }
        if !permissions.is_empty() {
            ui.insert("permissions".to_owned(), Value::Object(permissions));
        }
        if let Some(domain) = &self.domain {
            ui.insert("domain".to_owned(), json!(domain));
        }
        if let Some(border) = self.border {
            ui.insert("prefersBorder".to_owned(), json!(border));
        }
        json!({ "ui": ui })
    }

    fn origins(&self) -> [(&'static str, &[Cow<'static, str>]); 4] {
        [
            ("connectDomains", &self.connect),
            ("resourceDomains", &self.load),
            ("frameDomains", &self.frame),
            ("baseUriDomains", &self.base_uri),
        ]
    }

    fn problems(&self) -> Vec<String> {
        let origins = self.origins().into_iter().flat_map(|(_, origins)| origins);
        let mut problems: Vec<String> = origins
            .filter(|origin| !is_origin(origin))
            .map(|origin| {
                format!(
                    "`{}` is not an origin: write it like `https://api.example.com` or `https://*.example.com`",
                    origin.escape_debug()
                )
            })
            .collect();
        let is_host = |host: &str| {
            !host.is_empty()
                && host
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || ".-{}".contains(c))
        };
        if let Some(domain) = self.domain.as_ref().filter(|domain| !is_host(domain)) {
            problems.push(format!(
                "the domain `{}` of its page is not a host name",
                domain.escape_debug()
            ));
        }
        problems
    }
}

/// Whether this can stand in a content security policy without saying more than it seems to.
fn is_origin(origin: &str) -> bool {
    let Some((scheme, authority)) = origin.split_once("://") else {
        return false;
    };
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (authority, None),
    };
    let port_is_one = port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0));
    let name = host.strip_prefix("*.").unwrap_or(host);
    let label = |label: &str| {
        !label.is_empty() && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
    };
    let local = ["localhost", "127.0.0.1"].contains(&host);
    let scheme_is_safe =
        ["https", "wss"].contains(&scheme) || (local && ["http", "ws"].contains(&scheme));
    scheme_is_safe && port_is_one && name.split('.').all(label)
}

/// Whether a resource is an app.
pub(crate) fn is_app(resource: &Resource) -> bool {
    resource.uri.starts_with(SCHEME)
}

/// What is wrong with a resource as an app, or as something that only looks like one.
pub(crate) fn resource_problems(resource: &Resource) -> Vec<String> {
    let mut problems = Vec::new();
    if is_app(resource) {
        if let Some(mime) = resource.mime.as_ref().filter(|mime| *mime != MIME) {
            problems.push(format!(
                "its media type is `{}`, and that of an app is `{MIME}`: leave it out",
                mime.escape_debug()
            ));
        }
    } else if resource.mime.as_ref().is_some_and(|mime| mime == MIME) {
        problems.push(format!(
            "its media type is that of an app, and the URI of an app begins with `{SCHEME}`"
        ));
    } else if resource.ui.is_some() {
        problems.push(format!(
            "it says what its page needs, and the URI of an app begins with `{SCHEME}`"
        ));
    }
    problems.extend(resource.ui.iter().flat_map(Ui::problems));
    problems
}

/// What an app returns is a page: text, or the bytes of it.
pub(crate) fn shape_problem(resource: &Resource, shape: Shape) -> Option<String> {
    let page = matches!(shape, Shape::Text | Shape::Free);
    (is_app(resource) && !page)
        .then(|| "it is an app, and returns other than HTML: return a `String`".to_owned())
}

/// The `_meta` of a tool.
pub(crate) fn tool_meta(tool: &Tool) -> Option<Value> {
    let mut ui = Map::new();
    if let Some(uri) = &tool.ui {
        ui.insert("resourceUri".to_owned(), json!(uri));
    }
    if let Some(visibility) = tool.ui_visibility {
        ui.insert("visibility".to_owned(), json!([visibility.word()]));
    }
    (!ui.is_empty()).then(|| json!({ "ui": ui }))
}

/// The tools whose app is not among the resources.
pub(crate) fn tool_problems<S: Send + Sync + 'static>(
    tools: &ToolSet<S>,
    resources: &ResourceSet<S>,
) -> Vec<String> {
    let shown = tools
        .iter()
        .filter_map(|tool| Some((tool, tool.ui.as_deref()?)));
    let problem = |(tool, uri): (&Tool, &str)| {
        let why = if !uri.starts_with(SCHEME) || uri.len() == SCHEME.len() {
            format!("is not the URI of an app, which begins with `{SCHEME}`")
        } else if !resources.iter().any(|resource| serves(resource, uri)) {
            "is not among the resources of this server: add it to `resources![]`".to_owned()
        } else {
            return None;
        };
        Some(format!(
            "{}: its app `{}` {why}",
            tool.at(),
            uri.escape_debug()
        ))
    };
    shown.filter_map(problem).collect()
}

fn serves(resource: &Resource, uri: &str) -> bool {
    if !resource.is_template() {
        return resource.uri == uri;
    }
    UriTemplate::parse(&resource.uri).is_ok_and(|template| template.matches(uri).is_some())
}

/// Whether a server has apps.
pub(crate) fn is_used<S: Send + Sync + 'static>(
    tools: &ToolSet<S>,
    resources: &ResourceSet<S>,
) -> bool {
    resources.iter().any(is_app) || tools.iter().any(|tool| tool_meta(tool).is_some())
}

#[cfg(test)]
mod tests {
    use super::is_origin;

    #[test]
    fn an_origin_says_no_more_than_it_seems_to() {
        for origin in [
            "https://api.example.com",
            "https://*.example.com",
            "wss://live.example.com:8443",
            "http://localhost:3000",
        ] {
            assert!(is_origin(origin), "{origin}");
        }
        for origin in [
            "",
            "*",
            "https:",
            "https://",
            "https://*",
            "https://*.",
            "https://a.*.example.com",
            "http://api.example.com",
            "https://api.example.com/path",
            "https://api.example.com; script-src *",
            "https://api.example.com https://evil.example.com",
            "https://ada@example.com",
            "https://example.com:0",
            "https://example.com:x",
            "javascript://example.com",
            "'unsafe-eval'",
        ] {
            assert!(!is_origin(origin), "{origin}");
        }
    }
}

//! Resources: texts, bytes and values, under a URI and under all URIs of a template.
#![deny(warnings)]

use mcp_runtime::ResourceSet;
use mcp_runtime::prelude::*;

#[derive(Lend)]
struct App {
    notes: Vec<String>,
}

/// How to write a note.
#[mcp_resource("notes://help", public, mime = "text/markdown", title = "Help", timeout = "5s")]
fn help() -> &'static str {
    "# Notes"
}

/// The logo.
#[mcp_resource("notes://logo", authenticated, name = "logo.png", mime = "image/png", blocking)]
fn logo() -> Blob {
    Blob(vec![0x89])
}

/// A note, borrowed from what is lent.
#[mcp_resource("notes://{id}", scopes("notes:read", "notes:{id}:read"), role = "reader")]
fn note(notes: &Vec<String>, id: usize) -> ToolResult<&String> {
    notes.get(id).ok_or_else(|| ToolError::new("there is no such note").code("no_note"))
}

/// A file of a user.
#[mcp_resource("files://{user}/{+path}", authenticated, guard = caller.subject() == Some(&*user),
    complete = suggest::users)]
async fn file(
    caller: &Caller,
    #[arg(rename = "user", len = 1..=20)] user: String,
    #[arg(rename = "path")] _at: String,
) -> String {
    let _ = caller;
    user
}

mod suggest {
    use mcp_runtime::prelude::*;

    pub(crate) async fn users(typed: Complete) -> Vec<String> {
        typed.among(["ada", "bob"])
    }
}

macro_rules! at {
    ($($uri:literal $name:ident),*) => {$(
        /// From a macro.
        #[mcp_resource($uri, public)]
        fn $name() -> u8 {
            0
        }
    )*};
}
at!("x://a" a, "x://b" b);

fn main() {
    let set: ResourceSet<App> = resources![help, logo, note, file, a, b] + resources![];
    let uris: Vec<_> = set.iter().map(|resource| resource.uri().to_owned()).collect();
    assert_eq!(uris[2..4], ["notes://{id}", "files://{user}/{+path}"]);
    let app = App { notes: vec!["milk".into()] };
    assert_eq!(note(&app.notes, 0).unwrap(), "milk");
    Server::with_state(app, tools![]).resources(set).build().unwrap();
}

//! What clients read.

use mcp_runtime::ResourceSet;
use mcp_runtime::prelude::*;

use crate::content::PNG;

pub(crate) fn resources() -> ResourceSet {
    resources![static_text, static_binary, watched, template]
}

/// Text that never changes.
#[mcp_resource("test://static-text", public)]
fn static_text() -> String {
    "This is the content of the static text resource.".to_owned()
}

/// Bytes that never change.
#[mcp_resource("test://static-binary", public, mime = "image/png")]
fn static_binary() -> Blob {
    Blob(PNG.to_vec())
}

/// Text that clients may watch.
#[mcp_resource("test://watched-resource", public)]
fn watched() -> String {
    "This is a resource to watch.".to_owned()
}

#[derive(Serialize, JsonSchema)]
struct Data {
    id: String,
    data: String,
}

/// The data of an id.
#[mcp_resource("test://template/{id}/data", public, mime = "application/json")]
fn template(id: String) -> Data {
    let data = format!("Data of {id}");
    Data { id, data }
}

//! What tools return: text, images, sounds, resources, and errors.

use mcp_runtime::prelude::*;

/// A red pixel.
pub(crate) const PNG: &[u8] =
    b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x02\0\0\0\x90wS\xde\
    \0\0\0\x0cIDATx\x9cc\xf8\xcf\xc0\0\0\x03\x01\x01\0\xc9\xfe\x92\xef\0\0\0\0IEND\xaeB`\x82";
/// The header of a sound without samples.
const WAV: &[u8] =
    b"RIFF$\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0D\xac\0\0\x88X\x01\0\x02\0\x10\0data\0\0\0\0";

pub(crate) fn tools() -> ToolSet {
    tools![
        test_simple_text,
        test_image_content,
        test_audio_content,
        test_embedded_resource,
        test_multiple_content_types,
        test_error_handling,
    ]
}

/// Returns text.
#[mcp_tool(public, read_only)]
fn test_simple_text() -> String {
    "This is a simple text response for testing.".to_owned()
}

/// Returns an image.
#[mcp_tool(public, read_only)]
fn test_image_content() -> Content {
    Content::image(PNG, "image/png")
}

/// Returns a sound.
#[mcp_tool(public, read_only)]
fn test_audio_content() -> Content {
    Content::audio(WAV, "audio/wav")
}

/// Returns a resource with its text.
#[mcp_tool(public, read_only)]
fn test_embedded_resource() -> Content {
    Content::resource(
        "test://embedded-resource",
        "text/plain",
        "This is an embedded resource content.",
    )
}

/// Returns text, an image and a resource.
#[mcp_tool(public, read_only)]
fn test_multiple_content_types() -> Reply {
    let data = r#"{"test":"data","value":123}"#;
    Reply::new()
        .text("Multiple content types test:")
        .push(Content::image(PNG, "image/png"))
        .push(Content::resource(
            "test://mixed-content-resource",
            "application/json",
            data,
        ))
}

/// Fails.
#[mcp_tool(public, read_only)]
fn test_error_handling() -> ToolResult<String> {
    Err(ToolError::new(
        "This tool intentionally returns an error for testing",
    ))
}

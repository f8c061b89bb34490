//! What people begin with.

use mcp_runtime::PromptSet;
use mcp_runtime::prelude::*;

use crate::content::PNG;

pub(crate) fn prompts() -> PromptSet {
    prompts![
        test_simple_prompt,
        test_prompt_with_arguments,
        test_prompt_with_embedded_resource,
        test_prompt_with_image,
        test_input_required_result_prompt,
    ]
}

/// One message.
#[mcp_prompt(public)]
fn test_simple_prompt() -> String {
    "This is a simple prompt for testing.".to_owned()
}

/// A message with two arguments in it.
#[mcp_prompt(public, complete = suggest)]
fn test_prompt_with_arguments(
    /// The first
    arg1: String,
    /// The second
    arg2: String,
) -> String {
    format!("Prompt with arguments: arg1='{arg1}', arg2='{arg2}'")
}

async fn suggest(ask: Complete) -> Vec<String> {
    match ask.argument.as_str() {
        "arg1" => ask.among(["paris", "park", "party", "test"]),
        _ => Vec::new(),
    }
}

/// A message with a resource in it.
#[mcp_prompt(public)]
fn test_prompt_with_embedded_resource(
    /// The URI of the resource
    #[arg(rename = "resourceUri")]
    resource_uri: String,
) -> Messages {
    Messages::new()
        .user(Content::resource(
            resource_uri,
            "text/plain",
            "Embedded resource content for testing.",
        ))
        .user("Please process the embedded resource above.")
}

/// A message with an image in it.
#[mcp_prompt(public)]
fn test_prompt_with_image() -> Messages {
    Messages::new()
        .user(Content::image(PNG, "image/png"))
        .user("Please analyze the image above.")
}

#[derive(Deserialize, JsonSchema)]
struct Background {
    context: String,
}

/// A message that the human is asked something for.
#[mcp_prompt(public)]
async fn test_input_required_result_prompt(call: &Call) -> ToolResult<String> {
    let asked = call
        .elicit::<Background>("What should the model know?")
        .key("user_context")
        .await?;
    let background = asked
        .accepted()
        .map_or_else(|| "nothing".to_owned(), |answer| answer.context);
    Ok(format!("Take into account: {background}"))
}

//! Tools that ask the client one thing, in any revision.

use mcp_runtime::prelude::*;
use serde_json::{Value, json};

pub(crate) fn tools() -> ToolSet {
    tools![
        test_sampling,
        test_elicitation,
        test_elicitation_sep1034_defaults,
        test_elicitation_sep1330_enums,
        test_missing_capability,
        test_streaming_elicitation,
    ]
}

#[derive(Deserialize, Serialize, JsonSchema)]
struct Contact {
    username: String,
    email: String,
}

/// Asks the model of the client.
#[mcp_tool(public, read_only, open_world)]
async fn test_sampling(
    /// What to ask it
    prompt: String,
    call: &Call,
) -> ToolResult<String> {
    let answer = call.sample(prompt, 100).await?;
    Ok(format!("LLM response: {}", answer.text))
}

/// Asks for a user name and an address.
#[mcp_tool(public, read_only)]
async fn test_elicitation(
    /// What to say to the human
    message: String,
    call: &Call,
) -> ToolResult<String> {
    Ok(told(&call.elicit::<Contact>(message).await?))
}

/// Asks with a form in which everything is filled in already.
#[mcp_tool(public, read_only)]
async fn test_elicitation_sep1034_defaults(call: &Call) -> ToolResult<String> {
    let form = json!({
        "type": "object",
        "properties": {
            "name": { "type": "string", "default": "John Doe" },
            "age": { "type": "integer", "default": 30 },
            "score": { "type": "number", "default": 95.5 },
            "status": { "type": "string", "enum": ["active", "inactive", "pending"], "default": "active" },
            "verified": { "type": "boolean", "default": true },
        },
        "required": [],
    });
    Ok(told(
        &call
            .elicit::<Value>("Please review the defaults")
            .schema(form)
            .await?,
    ))
}

/// Asks with a form that has choices of all kinds.
#[mcp_tool(public, read_only)]
async fn test_elicitation_sep1330_enums(call: &Call) -> ToolResult<String> {
    let names = ["option1", "option2", "option3"];
    let titled = || names.map(|name| json!({ "const": name, "title": format!("Title of {name}") }));
    let form = json!({
        "type": "object",
        "properties": {
            "untitledSingle": { "type": "string", "enum": names },
            "titledSingle": { "type": "string", "oneOf": titled() },
            "legacyEnum": { "type": "string", "enum": names, "enumNames": ["One", "Two", "Three"] },
            "untitledMulti": { "type": "array", "items": { "type": "string", "enum": names } },
            "titledMulti": { "type": "array", "items": { "anyOf": titled() } },
        },
        "required": [],
    });
    Ok(told(
        &call.elicit::<Value>("Please choose").schema(form).await?,
    ))
}

/// Needs a client with a model.
#[mcp_tool(public, read_only)]
async fn test_missing_capability(call: &Call) -> ToolResult<String> {
    Ok(call.sample("Say hello", 100).await?.text)
}

/// Asks for a name.
#[mcp_tool(public, read_only)]
async fn test_streaming_elicitation(call: &Call) -> ToolResult<String> {
    Ok(told(&call.elicit::<Contact>("Who are you?").await?))
}

fn told<T: Serialize>(answer: &Elicited<T>) -> String {
    let (action, content) = match answer {
        Elicited::Accepted(content) => ("accept", json!(content)),
        Elicited::Declined => ("decline", json!({})),
        Elicited::Cancelled => ("cancel", json!({})),
    };
    format!("User response: action={action}, content={content}")
}

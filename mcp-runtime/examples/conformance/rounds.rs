//! Tools that ask the client in rounds: several things at once, or one after the other.

use mcp_runtime::prelude::*;
use tokio::join;

pub(crate) fn tools() -> ToolSet {
    tools![
        test_input_required_result_elicitation,
        test_input_required_result_sampling,
        test_input_required_result_list_roots,
        test_input_required_result_request_state,
        test_input_required_result_multiple_inputs,
        test_input_required_result_multi_round,
        test_input_required_result_tampered_state,
        test_input_required_result_capabilities,
    ]
}

#[derive(Deserialize, JsonSchema)]
struct User {
    name: String,
}

#[derive(Deserialize, JsonSchema)]
struct Confirmation {
    ok: bool,
}

#[derive(Deserialize, JsonSchema)]
struct Favourite {
    color: String,
}

/// Greets whoever says their name.
#[mcp_tool(public, read_only)]
async fn test_input_required_result_elicitation(call: &Call) -> ToolResult<String> {
    let user = answered(
        call.elicit::<User>("What is your name?")
            .key("user_name")
            .await?,
    )?;
    Ok(format!("Hello, {}!", user.name))
}

/// Asks the model of the client for a capital.
#[mcp_tool(public, read_only)]
async fn test_input_required_result_sampling(call: &Call) -> ToolResult<String> {
    let answer = call
        .sample("What is the capital of France?", 100)
        .key("capital_question")
        .await?;
    Ok(format!("The model says: {}", answer.text))
}

/// Asks for the roots of the client.
#[mcp_tool(public, read_only)]
async fn test_input_required_result_list_roots(call: &Call) -> ToolResult<String> {
    let roots = call.roots_as(Some("client_roots")).await?;
    let uris: Vec<String> = roots.into_iter().map(|root| root.uri).collect();
    Ok(format!("Roots: {}", uris.join(", ")))
}

/// Asks for a confirmation. What it knows travels with the client, sealed.
#[mcp_tool(public, read_only)]
async fn test_input_required_result_request_state(call: &Call) -> ToolResult<String> {
    let confirmation = answered(call.elicit::<Confirmation>("Go on?").key("confirm").await?)?;
    Ok(format!("state-ok, confirmed: {}", confirmation.ok))
}

/// Asks the human, the model and the client at once.
#[mcp_tool(public, read_only)]
async fn test_input_required_result_multiple_inputs(call: &Call) -> ToolResult<String> {
    let (user, greeting, roots) = join!(
        call.elicit::<User>("What is your name?").key("user_name"),
        call.sample("Write a greeting", 50).key("greeting"),
        call.roots_as(Some("client_roots")),
    );
    let user = answered(user?)?;
    Ok(format!(
        "{}: {}, with {} roots",
        user.name,
        greeting?.text,
        roots?.len()
    ))
}

/// Asks for a name, then for a colour.
#[mcp_tool(public, read_only)]
async fn test_input_required_result_multi_round(call: &Call) -> ToolResult<String> {
    let user = answered(
        call.elicit::<User>("What is your name?")
            .key("step1")
            .await?,
    )?;
    let question = format!("What is your favourite colour, {}?", user.name);
    let favourite = answered(call.elicit::<Favourite>(question).key("step2").await?)?;
    Ok(format!("{} likes {}.", user.name, favourite.color))
}

/// Asks for a confirmation, and takes no state that somebody changed.
#[mcp_tool(public, read_only)]
async fn test_input_required_result_tampered_state(call: &Call) -> ToolResult<String> {
    let confirmation = answered(call.elicit::<Confirmation>("Go on?").key("confirm").await?)?;
    Ok(format!("Confirmed: {}", confirmation.ok))
}

/// Asks whatever the client can answer.
#[mcp_tool(public, read_only)]
async fn test_input_required_result_capabilities(call: &Call) -> ToolResult<String> {
    let (user, greeting, roots) = join!(
        call.elicit::<User>("What is your name?").key("user_name"),
        call.sample("Write a greeting", 50).key("greeting"),
        call.roots_as(Some("client_roots")),
    );
    if let (Err(error), Err(_), Err(_)) = (user, greeting, roots) {
        return Err(error);
    }
    Ok("The client answered what it can.".to_owned())
}

fn answered<T>(answer: Elicited<T>) -> ToolResult<T> {
    answer
        .accepted()
        .ok_or_else(|| ToolError::new("That was not answered.").code("not_answered"))
}

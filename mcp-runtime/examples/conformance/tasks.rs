//! Tools whose calls become tasks, for clients that know them.

use std::time::Duration;

use mcp_runtime::prelude::*;
use tokio::join;
use tokio::time::sleep;

pub(crate) fn tools() -> ToolSet {
    tools![
        greet,
        slow_compute,
        failing_job,
        protocol_error_job,
        confirm_delete,
        multi_input,
        test_tool_with_task,
    ]
}

#[derive(Deserialize, JsonSchema)]
struct User {
    name: String,
}

#[derive(Deserialize, JsonSchema)]
struct Confirmation {
    confirm: bool,
}

/// Greets somebody, at once.
#[mcp_tool(public, read_only)]
fn greet(name: String) -> String {
    format!("Hello, {name}!")
}

/// Computes for some seconds.
#[mcp_tool(public, read_only, task, timeout = "5m")]
async fn slow_compute(
    #[arg(range = 0.0..=120.0)] seconds: f64,
    #[arg(default = "unnamed")] label: String,
) -> String {
    sleep(Duration::from_secs_f64(seconds)).await;
    format!("Computed {label} for {seconds} s.")
}

/// Fails after a second of work.
#[mcp_tool(public, read_only, task = "required")]
async fn failing_job() -> ToolResult<String> {
    sleep(Duration::from_secs(1)).await;
    Err(ToolError::new("The job failed, as it always does.").code("job_failed"))
}

/// Breaks down: what comes of it is an error of the protocol.
#[mcp_tool(public, read_only, task)]
#[expect(clippy::panic, reason = "the suite wants to see what becomes of it")]
async fn protocol_error_job() -> String {
    sleep(Duration::from_millis(100)).await;
    panic!("this tool panics on purpose")
}

/// Deletes a file, as far as it tells, once somebody has confirmed that.
#[mcp_tool(public, task)]
async fn confirm_delete(call: &Call, filename: String) -> ToolResult<String> {
    let answer = call
        .elicit::<Confirmation>(format!("Delete {filename}?"))
        .key("confirm")
        .await?;
    Ok(match answer.accepted() {
        Some(Confirmation { confirm: true }) => format!("Deleted {filename}."),
        _ => format!("Kept {filename}."),
    })
}

/// Asks two things at once.
#[mcp_tool(public, read_only, task)]
async fn multi_input(call: &Call) -> ToolResult<String> {
    let (user, confirmation) = join!(
        call.elicit::<User>("What is your name?").key("user_name"),
        call.elicit::<Confirmation>("Go on?").key("confirm"),
    );
    let name = user?
        .accepted()
        .map_or("nobody".to_owned(), |user| user.name);
    let confirmed = confirmation?
        .accepted()
        .is_some_and(|answer| answer.confirm);
    Ok(format!("{name} answered, confirmed: {confirmed}"))
}

/// Asks for a name while the client waits, and then works by itself.
#[mcp_tool(public, read_only, task = "detach")]
async fn test_tool_with_task(call: &Call) -> ToolResult<String> {
    let user = call
        .elicit::<User>("What is your name?")
        .key("user_name")
        .await?
        .accepted()
        .ok_or_else(|| ToolError::new("Nobody said who they are.").code("not_answered"))?;
    call.detach().await?;
    sleep(Duration::from_millis(200)).await;
    Ok(format!("Done for {}.", user.name))
}

//! What tools tell while they run: progress, log messages, changes.

use std::time::Duration;

use mcp_runtime::Switches;
use mcp_runtime::prelude::*;
use tokio::time::sleep;

const PAUSE: Duration = Duration::from_millis(50);

pub(crate) fn tools() -> ToolSet {
    tools![
        test_tool_with_progress,
        test_tool_with_logging,
        test_logging_tool,
        test_reconnection,
        test_trigger_tool_change,
        test_trigger_prompt_change,
        tour_forget_everything,
        tour_switch_refunds,
        tour_refund,
    ]
}

/// Reports progress: 0, 50 and 100 of 100.
#[mcp_tool(public, read_only)]
async fn test_tool_with_progress(call: &Call) -> String {
    for done in [0.0, 50.0, 100.0] {
        call.progress(
            done,
            Some(100.0),
            Some(&format!("Completed step {done} of 100")),
        );
        sleep(PAUSE).await;
    }
    "Reported its progress.".to_owned()
}

/// Sends three log messages.
#[mcp_tool(public, read_only)]
async fn test_tool_with_logging(call: &Call) -> String {
    for message in [
        "Tool execution started",
        "Tool processing data",
        "Tool execution completed",
    ] {
        call.log(LogLevel::Info, "conformance", message);
        sleep(PAUSE).await;
    }
    "Logged three messages.".to_owned()
}

/// Sends a log message to a client that asked for some.
#[mcp_tool(public, read_only)]
fn test_logging_tool(call: &Call) -> &'static str {
    call.log(LogLevel::Info, "conformance", "A message of the tool");
    "Logged a message, if it was wanted."
}

/// Takes longer than a client may want to keep its connection: it is to come back for the answer.
#[mcp_tool(public, read_only)]
async fn test_reconnection(call: &Call) -> &'static str {
    call.close_stream();
    sleep(2 * PAUSE).await;
    "Reconnection test completed."
}

/// Announces that the list of tools has changed.
#[mcp_tool(public)]
fn test_trigger_tool_change(changes: &Changes) -> &'static str {
    changes.tools();
    "Announced a change of the tools."
}

/// Announces that the list of prompts has changed.
#[mcp_tool(public)]
fn test_trigger_prompt_change(changes: &Changes) -> &'static str {
    changes.prompts();
    "Announced a change of the prompts."
}

/// Forgets everything, once a person has agreed to that: a client that can ask is asked, any other
/// gets a token.
#[mcp_tool(public, destructive, confirm = "Forget everything about {topic}?")]
fn tour_forget_everything(
    /// What to forget about
    topic: String,
) -> String {
    format!("Nothing is known about {topic} any more.")
}

/// Gives money back, while that is switched on.
#[mcp_tool(public)]
fn tour_refund(cents: u32) -> u32 {
    cents
}

/// Switches `tour_refund` on or off while the server runs.
#[mcp_tool(public)]
fn tour_switch_refunds(switches: &Switches, on: bool) -> ToolResult<bool> {
    let refund = switches.tool("tour_refund");
    let changed = if on { refund.on() } else { refund.off() }?;
    Ok(changed)
}

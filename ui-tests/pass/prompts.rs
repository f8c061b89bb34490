//! Prompts: messages and texts, with arguments or without.
#![deny(warnings)]

use mcp_runtime::PromptSet;
use mcp_runtime::prelude::*;

/// Say hello.
#[mcp_prompt(public)]
fn hello() -> &'static str {
    "Hello!"
}

/// Review code.
#[mcp_prompt(scope = "code:read", title = "Review", name = "review-code", complete = languages)]
async fn review(
    clock: &Clock,
    /// What it is written in.
    language: String,
    #[arg(range = 1..=5, default = 3)] depth: u8,
    focus: Option<String>,
) -> ToolResult<Messages> {
    let _ = clock;
    Ok(Messages::new()
        .user(format!("Review {language}, {depth} levels deep."))
        .assistant(focus.unwrap_or_default()))
}

async fn languages(typed: Complete) -> Vec<String> {
    typed.among(["Rust", "Go"])
}

fn main() {
    let set: PromptSet = prompts![hello, review];
    let names: Vec<_> = set.iter().map(|prompt| prompt.name().to_owned()).collect();
    assert_eq!(names, ["hello", "review-code"]);
    Server::new(tools![]).prompts(set).build().unwrap();
}

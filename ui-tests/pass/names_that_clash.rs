//! A parameter may be called like anything that the expansion uses, even like the function.
#![deny(warnings)]
use mcp_runtime::prelude::*;

/// Say it again.
#[mcp_tool(public, guard = lend == 0 && run != outlet && echo.is_empty())]
async fn echo(echo: String, lend: u32, run: u32, outlet: u32, refusal: u32, function: u32) -> String {
    format!("{echo}{lend}{run}{outlet}{refusal}{function}")
}

/// Say it once more.
#[mcp_tool(public, blocking)]
fn again(call: &Call, again: String, lend: u32, state: u32) -> String {
    let _ = call;
    format!("{again}{lend}{state}")
}

#[allow(non_camel_case_types)]
type inputs = u32;

/// Take a type with an odd name.
#[mcp_tool(public)]
fn tool(inputs: inputs, value: u32) -> u32 {
    inputs + value
}

fn main() {
    let _: ToolSet = tools![echo, again, tool];
}

//! The server that the official conformance suite tests: what it expects to find under which name,
//! as the authors of servers would write it. It doubles as a tour of everything MCP has.
//!
//! `cargo run -p mcp-runtime --example conformance -- 127.0.0.1:8000`; `cargo xtask conformance`
//! runs the suite. With `--features websocket` it speaks that, too.
#![expect(
    clippy::print_stdout,
    reason = "standard output is where the server says its URL"
)]

mod content;
mod running;
mod questions;
mod rounds;
mod schemas;
mod resources;
mod prompts;

use mcp_runtime::prelude::*;
use mcp_runtime::{SessionMode, told_to_stop};
use tokio::net::TcpListener;

const USAGE: &str = "conformance ADDRESS [--sessions auto|stateless|stateful]\n\
    ADDRESS like 127.0.0.1:8000; port 0 takes a free one. Sessions are stateful unless said otherwise.";

#[tokio::main]
async fn main() -> mcp_runtime::Result {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    // The suite declares nothing to the server and still checks sessions: it needs them always.
    let (address, sessions) = match args[..] {
        [address] => (address, "stateful"),
        [address, "--sessions", sessions] => (address, sessions),
        _ => fail(),
    };
    let sessions = match sessions {
        "auto" => SessionMode::Auto,
        "stateless" => SessionMode::Stateless,
        "stateful" => SessionMode::Stateful,
        _ => fail(),
    };
    let server = server().sessions(sessions);
    #[cfg(feature = "websocket")]
    let server = server.websocket();
    let service = server.build()?;
    let listener = TcpListener::bind(address).await?;
    println!("{}", service.url(listener.local_addr()?));
    service.serve_with(listener, told_to_stop()).await
}

fn fail() -> ! {
    eprintln!("{USAGE}");
    std::process::exit(2);
}

fn server() -> Server {
    // The suite calls the first tool of the list without arguments, and it has to succeed.
    let tools = content::tools()
        + running::tools()
        + schemas::tools()
        + questions::tools()
        + rounds::tools();
    Server::new(tools)
        .resources(resources::resources())
        .prompts(prompts::prompts())
        .identity("conformance-server", env!("CARGO_PKG_VERSION"))
        .logging()
        // Every other way in. A server of one's own turns on what its clients need.
        .rpc_alias()
        .legacy_sse()
        .answer_shutdown()
}

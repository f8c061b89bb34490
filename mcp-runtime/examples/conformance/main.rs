//! The server that the official conformance suite tests: what it expects to find under which name,
//! as the authors of servers would write it. It doubles as a tour of everything MCP has.
//!
//! `cargo run -p mcp-runtime --example conformance -- 127.0.0.1:8000`; `cargo xtask conformance`
//! runs the suite. With `--features websocket` it speaks that, too; with `--features sqlite` several
//! of it can share what they remember.
#![expect(
    clippy::print_stdout,
    reason = "standard output is where the server says its URL"
)]

mod content;
mod running;
mod questions;
mod rounds;
mod tasks;
mod schemas;
mod resources;
mod prompts;
mod apps;
mod access;
mod stores;

use mcp_runtime::prelude::*;
use mcp_runtime::{Keys, Replies, SessionLimits, SessionMode, told_to_stop};
use tokio::net::TcpListener;

const USAGE: &str = "conformance ADDRESS [--sessions auto|stateless|stateful] [--replies negotiate|json|sse]\n\
    [--store URL] [--keys-file PATH] [--public-url URL]\n\
    ADDRESS like 127.0.0.1:8000; port 0 takes a free one. Sessions are stateful and replies are streams \
    unless said otherwise.";

/// Where the skills are, whatever directory the server is started in.
const SKILLS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/conformance/skills");

#[tokio::main]
async fn main() -> mcp_runtime::Result {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    // The suite declares nothing to the server and still checks sessions, and some of its checks of
    // streams are only made where an answer is one.
    let (mut sessions, mut replies) = (SessionMode::Stateful, Replies::Sse);
    let (mut store, mut keys, mut public_url) = (None, None, None);
    let [address, options @ ..] = &args[..] else {
        fail()
    };
    for option in options.chunks(2) {
        match option {
            ["--sessions", "auto"] => sessions = SessionMode::Auto,
            ["--sessions", "stateless"] => sessions = SessionMode::Stateless,
            ["--sessions", "stateful"] => sessions = SessionMode::Stateful,
            ["--replies", "negotiate"] => replies = Replies::Negotiate,
            ["--replies", "json"] => replies = Replies::Json,
            ["--replies", "sse"] => replies = Replies::Sse,
            ["--store", url] => store = Some(stores::open(url).await?),
            ["--keys-file", path] => keys = Some(Keys::from_file(path)?),
            ["--public-url", url] => public_url = Some((*url).to_owned()),
            _ => fail(),
        }
    }
    let listener = TcpListener::bind(address).await?;
    // What challenges name; a free port is known only now.
    let url = format!("http://{}/mcp", listener.local_addr()?);
    // Room for `cargo xtask held`, whose clients all are nobody in particular.
    let limits = SessionLimits::default().total(40_000);
    let mut server = server()
        .public_url(public_url.unwrap_or_else(|| url.clone()))
        .sessions(sessions)
        .session_limits(limits)
        .max_connections(15_000)
        .replies(replies);
    if let Some(store) = store {
        server = server.store(store);
    }
    if let Some(keys) = keys {
        server = server.keys(keys);
    }
    #[cfg(feature = "websocket")]
    let server = server.websocket();
    let service = server.build()?;
    println!("{url}");
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
        + rounds::tools()
        + apps::tools()
        + tasks::tools()
        + access::tools();
    Server::new(tools)
        .resources(resources::resources() + apps::resources() + access::resources())
        .prompts(prompts::prompts() + access::prompts())
        .auth(access::Tokens::new())
        .baseline_scopes([access::BASELINE])
        .skills_dir(SKILLS)
        .identity("conformance-server", env!("CARGO_PKG_VERSION"))
        .logging()
        // Every other way in. A server of one's own turns on what its clients need.
        .rpc_alias()
        .legacy_sse()
        .answer_shutdown()
}

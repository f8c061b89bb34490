//! The command line.

mod access;
mod audit;
mod grid;
mod platform;
mod serve;
mod start;
mod stdio;
mod token;
mod tools;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use mcp_runtime::Result;

use crate::config::Config;

const ABOUT: &str = "Admin tools over MCP, with the systems they administer.

Without a subcommand it serves on loopback, with demo data in ./data. Get a token with
`reference-server token --as admin` and send it as `Authorization: Bearer <token>`.";

const AFTER: &str = "Every setting has a key in the configuration file (config.example.toml documents \
all) and a variable in the environment, which wins: `platform.founding_cap` is \
MCP_PLATFORM__FOUNDING_CAP. Command line options win over both.";

#[derive(Parser)]
#[command(name = "reference-server", version, about = "Admin tools over MCP", long_about = ABOUT)]
#[command(after_help = AFTER, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: serve::Serve,
}

#[derive(Subcommand)]
enum Command {
    /// Serve MCP over HTTP (the default).
    Serve(serve::Serve),
    /// Serve MCP on standard input and output, for a client that starts this program.
    Stdio(stdio::Stdio),
    /// Serve the marketplace's REST API alone, for a server that runs elsewhere.
    Platform(platform::Platform),
    /// Show every tool with its policy and effects.
    Tools(tools::Tools),
    /// Show who may do what: callers by tools, resources and prompts.
    Access(access::Access),
    /// Explain what a caller gets when it tries something.
    Why(access::Why),
    /// Check the audit log.
    Audit(audit::Audit),
    /// Issue an access token of a demo identity and print it.
    Token(token::Token),
}

/// Options that most commands take.
#[derive(Args)]
struct Common {
    /// Configuration file (TOML)
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Folder for databases, mail and secrets [default: data]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

impl Common {
    fn load(&self) -> Result<Config> {
        // Names and values that are not Unicode cannot be keys of ours.
        let environment = std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        });
        let mut config = Config::load(self.config.as_deref(), environment)?;
        if let Some(data) = &self.data {
            config.data.clone_from(data);
        }
        Ok(config)
    }
}

/// Runs the command that the command line names.
///
/// # Errors
/// What stopped it, for people.
pub fn run() -> Result {
    let cli = Cli::parse();
    match cli.command.unwrap_or(Command::Serve(cli.serve)) {
        Command::Serve(serve) => in_runtime(serve.run()),
        Command::Stdio(stdio) => in_runtime(stdio.run()),
        Command::Platform(platform) => in_runtime(platform.run()),
        Command::Tools(tools) => tools.run(),
        Command::Access(access) => access.run(),
        Command::Why(why) => why.run(),
        Command::Token(token) => token.run(),
        Command::Audit(audit) => in_runtime(audit.run()),
    }
}

fn in_runtime(work: impl Future<Output = Result>) -> Result {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?
        .block_on(work)
}

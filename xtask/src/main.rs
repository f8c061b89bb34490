//! Project automation: `cargo xtask test`, `ci`, `conformance`, `oauth`, `foreign`, `relay`, `tools`, `bench`, `held`, `load`, `auth-cost`, `compile-cost`.
#![expect(
    clippy::print_stdout,
    reason = "a command line tool; stdout is where it reports"
)]

mod test;
mod ci;
mod tidy;
mod deny;
mod conformance;
mod relay;
mod relaying;
mod oauth;
mod foreign;
mod python;
mod tools;
mod bench;
mod held;
mod load;
mod auth_cost;
mod compile_cost;
mod peers;
mod services;
mod options;
mod statistics;
mod shell;

use std::process::ExitCode;

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

const HELP: &str = "\
cargo xtask test [ARG…]      everything a contribution must pass; ARG… go to cargo test
cargo xtask ci               what only CI needs: fmt, clippy, rustdoc, tidy, cargo-deny
cargo xtask conformance      the official conformance suite, at every revision; needs npm
cargo xtask oauth            the official Python SDK logs in at the reference server; needs pip
cargo xtask foreign          the SDK and a validator use every tool of the reference server; needs pip
cargo xtask relay            gives requests to servers in turns, for scripts: says where it listens, reads where they are
cargo xtask tools            writes the list of all tools into the book
cargo xtask bench            our bench-server beside the limit and rmcp, in one run
    --rounds N                 interleaved rounds (3)
    --duration S               seconds per measurement (2)
    --conns A,B,C              connections (1,32,256)
    --peers DIR                load generator and peers (../shared/bench)
cargo xtask held             what sessions and streams cost, and whether any is lost; two minutes
cargo xtask load             from a tool of the records to its API, and fifty users at all forty; [SECONDS] [DATABASE_URL]
cargo xtask auth-cost        what a token costs, known and unknown; needs a machine to itself
cargo xtask compile-cost     what 60 tools cost to compile, ours and rmcp's side by side
    --rounds N                 interleaved edits (7)
    --tools N                  tools (60)
    --peers DIR                as above";

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let command = args.next().unwrap_or_default();
    let rest: Vec<String> = args.collect();
    let done = match command.as_str() {
        "test" => test::run(&rest),
        "ci" => ci::run(&rest),
        "conformance" => conformance::run(&rest),
        "oauth" => oauth::run(&rest),
        "foreign" => foreign::run(&rest),
        "relay" => relaying::run(&rest),
        "tools" => tools::run(&rest),
        "bench" => bench::run(&rest),
        "held" => held::run(&rest),
        "load" => load::run(&rest),
        "auth-cost" => auth_cost::run(&rest),
        "compile-cost" => compile_cost::run(&rest),
        "" | "help" | "--help" | "-h" => {
            println!("{HELP}");
            return ExitCode::SUCCESS;
        }
        other => Err(format!("no command {other:?}\n\n{HELP}").into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nerror: {error}");
            ExitCode::FAILURE
        }
    }
}

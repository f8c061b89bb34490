//! See `reference-server --help`.

use std::process::ExitCode;

fn main() -> ExitCode {
    match reference_server::commands::run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("reference-server: {error}");
            ExitCode::FAILURE
        }
    }
}

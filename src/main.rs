//! The `criteo-source` binary: parse, run, exit. Everything else is in the library.

use std::process::ExitCode;

use criteo_source::error::{Error, ExitCodes};
use criteo_source::{cli, commands};

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().collect();
    let cli = match cli::parse(&arguments) {
        Ok(cli) => cli,
        Err(error) => return commands::refuse(&error, &arguments),
    };
    // One thread waits for the network; decoding and writing have threads of their own. More would only pass chunks of bodies
    // to each other: a quarter more processor time (docs/performance.md).
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(commands::run(cli)),
        Err(error) => {
            eprint!("{}", Error::unexpected(error).report());
            ExitCode::from(ExitCodes::UNEXPECTED)
        }
    }
}

//! The `criteo-source` binary: parse, run, exit. Everything else is in the library.

use std::process::ExitCode;

use criteo_source::error::{Error, ExitCodes};
use criteo_source::{cli, commands};

/// Threads that decode, write, or look up a host's address.
const WORKERS: usize = 2;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().collect();
    let cli = match cli::parse(&arguments) {
        Ok(cli) => cli,
        Err(error) => return commands::refuse(&error, &arguments),
    };
    // One thread waits for the network; decoding and writing have threads of their own. More would only pass chunks of bodies
    // to each other: a quarter more processor time (docs/performance.md). Each thread keeps memory of its own.
    let runtime = tokio::runtime::Builder::new_current_thread().max_blocking_threads(WORKERS).enable_all().build();
    match runtime {
        Ok(runtime) => runtime.block_on(commands::run(cli)),
        Err(error) => {
            eprint!("{}", Error::unexpected(error).report());
            ExitCode::from(ExitCodes::UNEXPECTED)
        }
    }
}

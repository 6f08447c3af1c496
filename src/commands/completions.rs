//! `completions`: the script that teaches a shell the commands and options. It installs nothing.

use std::io::Write;

use clap_complete::Shell;

use crate::cli;
use crate::error::Error;

/// Writes the script for `shell`.
///
/// # Errors
///
/// When it cannot be written.
pub fn run(shell: Shell, to: &mut dyn Write) -> Result<(), Error> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut cli::command(), "criteo-source", &mut script);
    to.write_all(&script).map_err(|error| Error::output("failed to write the completion script", error))
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum as _;

    use super::*;

    #[test]
    fn every_shell_gets_a_script_that_knows_the_verbs() {
        for shell in Shell::value_variants() {
            let mut script = Vec::new();
            run(*shell, &mut script).unwrap();
            assert!(String::from_utf8(script).unwrap().contains("backfill"), "{shell}");
        }
    }
}

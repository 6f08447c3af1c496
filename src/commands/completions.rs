//! `completions`: the script that teaches a shell the commands and options. It installs nothing.

use clap_complete::Shell;

use crate::cli;
use crate::error::Error;

/// Prints the script for `shell`.
pub fn run(shell: Shell) -> Result<(), Error> {
    super::print_text(&script(shell))
}

fn script(shell: Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut cli::command(), "criteo-source", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum as _;

    use super::*;

    #[test]
    fn every_shell_gets_a_script_that_knows_the_verbs() {
        for shell in Shell::value_variants() {
            assert!(script(*shell).contains("backfill"), "{shell}");
        }
    }
}

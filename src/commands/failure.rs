//! The one JSON document of a run that failed before it could do anything: the same shape as a run's summary, so that
//! whoever reads stdout needs one parser. It does not decide exit codes.

use std::ffi::OsString;

use crate::cli;
use crate::error::{Error, error_chain};
use crate::pull::summary::{Notice, Summary};
use crate::settings::Problems;

/// The document for an error; a configuration with several problems lists each on its own.
pub(super) fn of_error(run_id: &str, command: &str, error: &Error) -> Summary {
    let source = std::error::Error::source(error);
    let errors = if let Some(Problems(problems)) = source.and_then(|source| source.downcast_ref::<Problems>()) {
        problems.iter().map(|problem| Notice::new(problem.code, problem.to_string())).collect()
    } else {
        let message = std::iter::once(error_chain(error)).chain(error.hints().iter().cloned());
        vec![Notice::new(error.kind().code(), message.collect::<Vec<_>>().join("; "))]
    };
    Summary::failed(run_id, command, errors)
}

/// The document for a command line that does not parse.
pub(super) fn of_usage(run_id: &str, error: &clap::Error, arguments: &[OsString]) -> Summary {
    let command = cli::guess_command(arguments).unwrap_or_default();
    Summary::failed(run_id, &command, vec![Notice::new("usage", usage_message(error))])
}

/// What clap says, without its label, its colours and the usage line.
fn usage_message(error: &clap::Error) -> String {
    if error.kind() == clap::error::ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        return "no command was given".to_owned();
    }
    let text = error.render().to_string();
    let is_said = |line: &&str| !line.starts_with("Usage:") && !line.starts_with("For more information");
    let lines = text.lines().map(str::trim).take_while(is_said);
    let joined = lines.filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ").replace(" tip: ", "; ");
    joined.strip_prefix("error: ").unwrap_or(&joined).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Origin, Problem};

    fn usage(line: &str) -> Summary {
        let arguments: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        of_usage("r", &cli::parse(&arguments).unwrap_err(), &arguments)
    }

    #[test]
    fn a_usage_error_is_one_entry_in_plain_words() {
        let document = usage("criteo-source backfill --from 2026-01-01 --format json");
        assert_eq!(document.command, "backfill");
        let message = "the following required arguments were not provided: --to <YYYY-MM-DD>";
        assert_eq!(document.errors[0].message, message);
        let misspelt = usage("criteo-source pull --forma json --format json");
        let message = "unexpected argument '--forma' found; a similar argument exists: '--format'";
        assert_eq!(misspelt.errors[0].message, message);
        let without_verb = usage("criteo-source --format json");
        assert!(without_verb.errors[0].message.contains("requires a subcommand"));
    }

    #[test]
    fn each_problem_of_a_configuration_is_an_entry() {
        let problem = |code| Problem { code, origin: Origin::Default, message: "m".into(), remedy: "r".into() };
        let document = of_error("r", "pull", &Problems(vec![problem("unknown_key"), problem("wrong_type")]).into());
        assert_eq!(document.errors.len(), 2);
        assert_eq!(document.errors[1], Notice::new("wrong_type", "m; r"));
    }

    #[test]
    fn other_errors_carry_their_causes() {
        let error = Error::output("failed to write `x`", std::io::Error::other("disk full"));
        assert_eq!(of_error("r", "pull", &error).errors[0].message, "failed to write `x`: disk full");
    }
}

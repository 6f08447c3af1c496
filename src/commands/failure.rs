//! The one JSON document of a command that failed before it could do anything: the same shape as any other, so that
//! whoever reads stdout needs one parser.

use std::ffi::OsString;

use crate::cli;
use crate::document::Plain;
use crate::error::Error;
use crate::notice::{Code, Notice};

/// The document for an error; a configuration with several problems lists each on its own.
pub(super) fn of_error(run_id: &str, command: &str, error: &Error) -> Plain {
    Plain::new(run_id, command, ()).ended(error.notices(), 0)
}

/// The document for a command line that does not parse.
pub(super) fn of_usage(run_id: &str, error: &clap::Error, arguments: &[OsString]) -> Plain {
    let command = cli::guess_command(arguments).unwrap_or_default();
    let notice = Notice::new(Code::Usage, usage_message(error));
    let help = if command.is_empty() { "--help".to_owned() } else { format!("{command} --help") };
    Plain::new(run_id, &command, ()).ended(vec![notice.remedy(format!("see `criteo-source {help}`"))], 0)
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
    use crate::settings::{Origin, Problem, Problems};

    fn usage(line: &str) -> Plain {
        let arguments: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        of_usage("r", &cli::parse(&arguments).unwrap_err(), &arguments)
    }

    #[test]
    fn a_usage_error_is_one_entry_in_plain_words() {
        let document = usage("criteo-source backfill --from 2026-01-01 --format json");
        assert_eq!((document.command.as_str(), document.exit_code()), ("backfill", 2));
        let message = "the following required arguments were not provided: --to <YYYY-MM-DD>";
        assert_eq!(document.errors[0].message, message);
        let misspelt = usage("criteo-source pull --forma json --format json");
        let message = "unexpected argument '--forma' found; a similar argument exists: '--format'";
        assert_eq!(misspelt.errors[0].message, message);
        let without_verb = usage("criteo-source --format json");
        assert!(without_verb.errors[0].message.contains("requires a subcommand"));
    }

    #[test]
    fn each_problem_of_a_configuration_is_an_entry_with_its_remedy() {
        let problem = |code| Problem { code, origin: Origin::Default, message: "m".into(), remedy: "r".into() };
        let problems = Problems(vec![problem(Code::UnknownKey), problem(Code::WrongType)]);
        let document = of_error("r", "pull", &problems.into());
        assert_eq!(document.errors.len(), 2);
        assert_eq!(document.errors[1], Notice::new(Code::WrongType, "m").remedy("r"));
    }

    #[test]
    fn other_errors_carry_their_causes() {
        let error = Error::output("failed to write `x`", std::io::Error::other("disk full"));
        assert_eq!(of_error("r", "pull", &error).errors[0].message, "failed to write `x`: disk full");
    }
}

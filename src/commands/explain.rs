//! `explain [CODE]`: why a warning or error happens and what to do about it, as on the reference page. It reads nothing and
//! calls nothing.

use std::fmt::Write as _;

use serde::Serialize;

use super::{print_document, print_text};
use crate::cli::{ExplainArguments, Format};
use crate::document::Document;
use crate::error::Error;
use crate::notice::Code;
use crate::settings::nearest;

/// What only this document has.
#[derive(Serialize)]
struct Members {
    codes: Vec<Explanation>,
}

#[derive(Serialize)]
struct Explanation {
    code: Code,
    cause: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    remedy: &'static str,
    exit_code: u8,
    /// Commands that may report it; empty: any.
    seen_in: &'static [&'static str],
}

/// Explains one code, or lists all.
pub fn run(arguments: &ExplainArguments, format: Format, run_id: &str) -> Result<(), Error> {
    let codes = match &arguments.code {
        Some(name) => vec![find(name)?],
        None => Code::ALL.to_vec(),
    };
    if format == Format::Json {
        let codes = codes.into_iter().map(Explanation::of).collect();
        return print_document(&Document::<(), _>::new(run_id, "explain", Members { codes }));
    }
    match (codes.as_slice(), &arguments.code) {
        ([code], Some(_)) => print_text(&text(*code)),
        _ => print_text(&list(&codes)),
    }
}

/// The code of that name; `error[row_cap]` is what people copy from a log.
fn find(name: &str) -> Result<Code, Error> {
    let bare = name.trim_start_matches("error[").trim_start_matches("warning[").trim_end_matches(']');
    Code::named(bare).ok_or_else(|| {
        let error = Error::usage(format!("there is no code `{name}`"));
        match nearest(bare, Code::ALL.iter().map(|code| code.name())) {
            Some(nearest) => error.with_remedy(format!("did you mean `{nearest}`?")),
            None => error.with_remedy("`criteo-source explain` lists all of them"),
        }
    })
}

impl Explanation {
    fn of(code: Code) -> Self {
        let (cause, remedy, seen_in) = (code.cause(), code.remedy(), code.seen_in());
        Self { code, cause, remedy, exit_code: code.exit_code(), seen_in }
    }
}

fn text(code: Code) -> String {
    let commands = match code.seen_in() {
        [] => "any command".to_owned(),
        some => some.join(", "),
    };
    let remedy = if code.remedy().is_empty() { "nothing needs to be done" } else { code.remedy() };
    let exit = match code.exit_code() {
        0 => "a warning: the exit code stays 0".to_owned(),
        exit_code => format!("exit code {exit_code}, where nothing else failed and nothing was done"),
    };
    format!("{code}\n  cause:   {}\n  remedy:  {remedy}\n  seen in: {commands}\n  {exit}\n", code.cause())
}

fn list(codes: &[Code]) -> String {
    let width = codes.iter().map(|code| code.name().len()).max().unwrap_or(0);
    codes.iter().fold(String::new(), |mut text, code| {
        let _ = writeln!(text, "{:<width$}  {}", code.name(), code.cause());
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_found_as_it_stands_in_a_log_and_a_misspelt_one_is_corrected() {
        for name in ["row_cap", "error[row_cap]", "warning[row_cap]"] {
            assert_eq!(find(name).unwrap(), Code::RowCap);
        }
        let error = find("scope_mising").unwrap_err();
        assert!(error.report().to_string().contains("did you mean `scope_missing`?"), "{}", error.report());
    }

    #[test]
    fn an_explanation_says_why_what_to_do_and_where() {
        let text = text(Code::ScopeMissing);
        for part in [Code::ScopeMissing.cause(), Code::ScopeMissing.remedy(), "plan", "exit code 3"] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(list(Code::ALL).lines().count() == Code::ALL.len());
    }
}

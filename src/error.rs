//! The top-level error and the exit codes: what a person reads and what a scheduler branches on.
//!
//! Modules have their own small error enums; a command maps them to one [`Error`] with a kind, and the kind decides the
//! exit code by a match without wildcard. This module knows no other module, and no secret ever reaches it.

use std::error::Error as StdError;
use std::fmt;

type Source = Box<dyn StdError + Send + Sync + 'static>;

/// The exit codes, as documented constants. This type has no value; it only gathers them.
#[derive(Debug)]
pub enum ExitCodes {}

impl ExitCodes {
    /// Everything asked for was done.
    pub const DONE: u8 = 0;
    /// Something nobody foresaw; please report it.
    pub const UNEXPECTED: u8 = 1;
    /// What was typed or configured cannot be used; nothing was called.
    pub const USAGE_OR_CONFIGURATION: u8 = 2;
    /// Criteo refused the credentials, or a consent or scope is missing.
    pub const REFUSED: u8 = 3;
    /// Some tables or partitions failed; the rest is published.
    pub const PARTIAL: u8 = 4;
    /// The API stayed unavailable or throttled past the deadline.
    pub const UNAVAILABLE: u8 = 5;
    /// The output could not be written.
    pub const OUTPUT: u8 = 6;
    /// Another run holds the lock of this output.
    pub const LOCKED: u8 = 7;
    /// SIGINT stopped the run before it was complete: 128 and the signal's number, as shells have it.
    pub const INTERRUPTED: u8 = 130;
    /// SIGTERM did.
    pub const TERMINATED: u8 = 143;

    /// Every code with its meaning, for `--help` and the reference page.
    pub const ALL: [(u8, &'static str); 10] = [
        (Self::DONE, "done"),
        (Self::UNEXPECTED, "unexpected"),
        (Self::USAGE_OR_CONFIGURATION, "usage or configuration"),
        (Self::REFUSED, "credentials, consent or scope refused"),
        (Self::PARTIAL, "some tables or partitions failed, the rest is published"),
        (Self::UNAVAILABLE, "the API stayed unavailable or throttled past the deadline"),
        (Self::OUTPUT, "output could not be written"),
        (Self::LOCKED, "another run holds the lock"),
        (Self::INTERRUPTED, "stopped by SIGINT, what was complete is published"),
        (Self::TERMINATED, "stopped by SIGTERM, what was complete is published"),
    ];
}

/// What kind of failure it is; decides the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// Nobody foresaw it.
    Unexpected,
    /// The command line cannot be used.
    Usage,
    /// The configuration cannot be used, or credentials are not configured.
    Configuration,
    /// Criteo refused the credentials.
    Credentials,
    /// No advertiser, or not the one asked for, has given consent.
    Consent,
    /// The app lacks a Read permission.
    Scope,
    /// Some tables or partitions failed.
    Partial,
    /// A signal stopped the run; what was complete is published.
    Interrupted,
    /// The API stayed unavailable past the deadline.
    Unavailable,
    /// The API throttled past the deadline.
    Throttled,
    /// The output could not be written.
    Output,
    /// Another run holds the lock.
    Locked,
}

impl ErrorKind {
    /// The process exit code of this kind.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Unexpected => ExitCodes::UNEXPECTED,
            Self::Usage | Self::Configuration => ExitCodes::USAGE_OR_CONFIGURATION,
            Self::Credentials | Self::Consent | Self::Scope => ExitCodes::REFUSED,
            Self::Partial | Self::Interrupted => ExitCodes::PARTIAL,
            Self::Unavailable | Self::Throttled => ExitCodes::UNAVAILABLE,
            Self::Output => ExitCodes::OUTPUT,
            Self::Locked => ExitCodes::LOCKED,
        }
    }

    /// Stable name for machines: the `code` of an error in the JSON summary.
    pub fn code(self) -> &'static str {
        match self {
            Self::Unexpected => "unexpected",
            Self::Usage => "usage",
            Self::Configuration => "configuration",
            Self::Credentials => "credentials",
            Self::Consent => "consent",
            Self::Scope => "scope",
            Self::Partial => "partial",
            Self::Interrupted => "interrupted",
            Self::Unavailable => "unavailable",
            Self::Throttled => "throttled",
            Self::Output => "output",
            Self::Locked => "locked",
        }
    }
}

/// Why a command failed.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    source: Option<Source>,
    hints: Vec<String>,
    exit_code: Option<u8>,
}

impl Error {
    /// An error with its kind and a lower-case fragment.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), source: None, hints: Vec::new(), exit_code: None }
    }

    /// What nobody foresaw.
    pub fn unexpected(source: impl Into<Source>) -> Self {
        Self::new(ErrorKind::Unexpected, "something unexpected happened").with_source(source)
    }

    /// A command line that cannot be used.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Usage, message)
    }

    /// An output that could not be written.
    pub fn output(message: impl Into<String>, source: impl Into<Source>) -> Self {
        Self::new(ErrorKind::Output, message).with_source(source)
    }

    /// The same error with what caused it.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Source>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The same error with one more thing to do about it.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// The same error, which ends the process with another code than its kind's: that of a signal.
    #[must_use]
    pub fn with_exit_code(mut self, exit_code: u8) -> Self {
        self.exit_code = Some(exit_code);
        self
    }

    /// Its kind.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The process exit code.
    pub fn exit_code(&self) -> u8 {
        self.exit_code.unwrap_or(self.kind.exit_code())
    }

    /// What to do about it, if known.
    pub fn hints(&self) -> &[String] {
        &self.hints
    }

    /// The whole story for a person: the message, each cause that adds something, and the hints.
    pub fn report(&self) -> Report<'_> {
        Report(self)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_ref().map(|source| source.as_ref() as _)
    }
}

/// An error and its causes on one line, each once: for summaries and logs.
pub fn error_chain(error: &(dyn StdError + 'static)) -> String {
    let mut told = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !told.contains(&text) {
            told = format!("{told}: {text}");
        }
        cause = error.source();
    }
    told
}

/// Prints an [`Error`] as `error: …`, `  caused by: …`, `  hint: …`, never the same words twice.
#[derive(Debug)]
pub struct Report<'a>(&'a Error);

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut told = self.0.message.clone();
        write_labelled(f, "error: ", &told)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            let text = error.to_string();
            // Some libraries paste the inner error into the outer one's text.
            if !told.contains(&text) {
                write_labelled(f, "  caused by: ", &text)?;
                told = text;
            }
            cause = error.source();
        }
        self.0.hints.iter().try_for_each(|hint| write_labelled(f, "  hint: ", hint))
    }
}

/// One label, then the text; further lines of it are indented under the first.
fn write_labelled(f: &mut fmt::Formatter<'_>, label: &str, text: &str) -> fmt::Result {
    for (index, line) in text.lines().enumerate() {
        let before = if index == 0 { label } else { &" ".repeat(label.len()) };
        writeln!(f, "{before}{line}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_listed_once_in_order() {
        let codes: Vec<u8> = ExitCodes::ALL.iter().map(|(code, _)| *code).collect();
        assert_eq!(codes, (0..=7).chain([130, 143]).collect::<Vec<u8>>());
    }

    #[test]
    fn a_report_tells_each_cause_and_hint_once() {
        #[derive(Debug, thiserror::Error)]
        #[error("failed to open: disk full")]
        struct Outer(#[source] std::io::Error);
        let inner = std::io::Error::other("disk full");
        let error = Error::output("failed to publish `ads`", Outer(inner)).with_hint("free some space\nor move");
        assert_eq!(
            error.report().to_string(),
            "error: failed to publish `ads`\n  caused by: failed to open: disk full\n  hint: free some space\n        or move\n"
        );
        assert_eq!(error.exit_code(), 6);
    }

    #[test]
    fn an_error_without_a_cause_is_one_line() {
        assert_eq!(Error::usage("no").report().to_string(), "error: no\n");
    }
}

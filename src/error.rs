//! The error that ends a command before it can report anything itself: a notice, its causes, and how a person reads it.
//!
//! Modules have their own small error enums; a command maps them to one [`Error`] with a [`Code`], and the code decides
//! the exit code. No secret ever reaches it.

use std::error::Error as StdError;
use std::fmt;

pub use crate::notice::{Code, ErrorKind, ExitCodes, Notice, error_chain};

type Source = Box<dyn StdError + Send + Sync + 'static>;

/// Why a command failed.
#[derive(Debug)]
pub struct Error(Box<Inner>);

#[derive(Debug)]
struct Inner {
    notice: Notice,
    /// Each problem on its own, where there are several; then `notice` only sums them up.
    problems: Vec<Notice>,
    source: Option<Source>,
    exit_code: Option<u8>,
    is_about_stdout: bool,
}

impl Error {
    /// An error with its code and a lower-case fragment.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self::from(Notice::new(code, message))
    }

    /// An error of a module, with its causes and, where they tell one, a remedy that fits better than that of its code.
    pub fn caused_by(code: Code, error: impl StdError + Send + Sync + 'static) -> Self {
        let remedy = Notice::of_error(code, &error).remedy;
        let mut result = Self::new(code, error.to_string());
        result.0.notice.remedy = remedy;
        result.with_source(error)
    }

    /// A bug, or a situation this program does not handle.
    pub fn unexpected(source: impl Into<Source>) -> Self {
        Self::new(Code::Unexpected, "something unexpected happened").with_source(source)
    }

    /// A command line that cannot be used.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Code::Usage, message)
    }

    /// An output that could not be written.
    pub fn output(message: impl Into<String>, source: impl Into<Source>) -> Self {
        Self::new(Code::OutputFailed, message).with_source(source)
    }

    /// Several problems; `code` is that of the summary.
    pub fn several(code: Code, summary: impl Into<String>, problems: Vec<Notice>) -> Self {
        let mut error = Self::new(code, summary);
        error.0.problems = problems;
        error
    }

    /// The same error with what caused it.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Source>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// The same error with a remedy that fits better than that of its code.
    #[must_use]
    pub fn with_remedy(mut self, remedy: impl Into<String>) -> Self {
        self.0.notice = self.0.notice.remedy(remedy);
        self
    }

    /// The same error, which ends the process with another code than its kind's: that of a signal.
    #[must_use]
    pub fn with_exit_code(mut self, exit_code: u8) -> Self {
        self.0.exit_code = Some(exit_code);
        self
    }

    /// The same error, about stdout itself: nothing more is printed there.
    #[must_use]
    pub(crate) fn about_stdout(mut self) -> Self {
        self.0.is_about_stdout = true;
        self
    }

    /// Whether stdout is what failed.
    pub(crate) fn is_about_stdout(&self) -> bool {
        self.0.is_about_stdout
    }

    /// Its kind.
    pub fn kind(&self) -> ErrorKind {
        self.0.notice.code.kind()
    }

    /// The process exit code.
    pub fn exit_code(&self) -> u8 {
        self.0.exit_code.unwrap_or(self.kind().exit_code())
    }

    /// What the JSON document lists: each problem on its own, or the one error with its causes.
    pub fn notices(&self) -> Vec<Notice> {
        if !self.0.problems.is_empty() {
            return self.0.problems.clone();
        }
        let mut notice = self.0.notice.clone();
        notice.message = crate::redaction::redact(&error_chain(self)).into_owned();
        vec![notice]
    }

    /// The whole story for a person: the message, each cause that adds something, and the remedies.
    pub fn report(&self) -> Report<'_> {
        Report(self)
    }
}

impl From<Notice> for Error {
    fn from(notice: Notice) -> Self {
        Self(Box::new(Inner { notice, problems: Vec::new(), source: None, exit_code: None, is_about_stdout: false }))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.notice.message)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_ref().map(|source| source.as_ref() as _)
    }
}

/// Prints an [`Error`] as `error: …`, `  caused by: …`, `  remedy: …`, never the same words twice.
#[derive(Debug)]
pub struct Report<'a>(&'a Error);

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { notice, problems, .. } = &*self.0.0;
        let mut shown = notice.message.clone();
        write_labelled(f, "error: ", &shown)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            let text = error.to_string();
            // Some libraries paste the inner error into the outer one's text.
            if !shown.contains(&text) {
                write_labelled(f, "  caused by: ", &text)?;
                shown = text;
            }
            cause = error.source();
        }
        for problem in problems {
            write_labelled(f, "  - ", &problem.message)?;
            write_remedy(f, "    remedy: ", problem)?;
        }
        if problems.is_empty() {
            write_remedy(f, "  remedy: ", notice)?;
            if let Some(trace_id) = notice.trace_id.as_ref().filter(|trace_id| !shown.contains(trace_id.as_str())) {
                write_labelled(f, "  trace id: ", trace_id)?;
            }
        }
        Ok(())
    }
}

fn write_remedy(f: &mut fmt::Formatter<'_>, label: &str, notice: &Notice) -> fmt::Result {
    notice.remedy.iter().try_for_each(|remedy| write_labelled(f, label, remedy))
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
    fn a_report_shows_each_cause_and_the_remedy_once() {
        #[derive(Debug, thiserror::Error)]
        #[error("failed to open: disk full")]
        struct Outer(#[source] std::io::Error);
        let inner = std::io::Error::other("disk full");
        let error = Error::output("failed to publish `ads`", Outer(inner)).with_remedy("free some space\nor move");
        assert_eq!(
            error.report().to_string(),
            "error: failed to publish `ads`\n  caused by: failed to open: disk full\n  remedy: free some space\n          or move\n"
        );
        assert_eq!(error.exit_code(), 6);
        let notice = &error.notices()[0];
        assert_eq!(notice.message, "failed to publish `ads`: failed to open: disk full");
        assert_eq!(notice.remedy.as_deref(), Some("free some space\nor move"));
    }

    #[test]
    fn several_problems_are_listed_each_with_its_remedy() {
        let problems = vec![
            Notice::new(Code::UnknownKey, "c.toml:1 `outputt`: unknown key").remedy("did you mean `output`?"),
            Notice::new(Code::InvalidValue, "c.toml:2 `currency`: `euro` is not a currency code").remedy("use `EUR`"),
        ];
        let error = Error::several(Code::InvalidValue, "the configuration has 2 problems", problems);
        assert_eq!(
            error.report().to_string(),
            "error: the configuration has 2 problems\n  - c.toml:1 `outputt`: unknown key\n    remedy: did you mean \
             `output`?\n  - c.toml:2 `currency`: `euro` is not a currency code\n    remedy: use `EUR`\n"
        );
        assert_eq!(error.notices().len(), 2);
        assert_eq!(error.exit_code(), 2);
    }
}

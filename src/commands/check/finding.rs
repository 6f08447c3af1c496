//! What one check found: fine, odd, wrong, or not looked at, and what to do about it. It decides nothing.

use serde::Serialize;

use crate::criteo::FetchError;
use crate::error::Error;
use crate::notice::{Code, Notice};

/// What was typed and configured.
pub(super) const CONFIGURATION: &str = "configuration";
/// The age of the API version.
pub(super) const API_VERSION: &str = "api_version";
/// Whether the output takes files.
pub(super) const OUTPUT: &str = "output";
/// Whether another run holds its lock.
pub(super) const LOCK: &str = "output.lock";
/// What it holds.
pub(super) const CONTENTS: &str = "output.contents";
/// An access token.
pub(super) const CREDENTIALS: &str = "credentials";

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Verdict {
    /// Fine.
    Ok,
    /// A run will work, and a person should know.
    Warning,
    /// A run will fail, wholly or in part.
    Problem,
    /// Not looked at, because something else is wrong.
    Skipped,
}

/// What one check found. A check that finds several things makes several of these.
#[derive(Clone, Debug)]
pub(super) struct Finding {
    /// Which check.
    pub name: String,
    /// How it ended.
    pub verdict: Verdict,
    /// What was found; code and remedy mean something for warnings and problems only.
    pub notice: Notice,
}

impl Finding {
    fn new(name: &str, verdict: Verdict, notice: Notice) -> Self {
        Self { name: name.to_owned(), verdict, notice }
    }

    /// Fine.
    pub(super) fn ok(name: &str, message: impl Into<String>) -> Self {
        Self::new(name, Verdict::Ok, Notice::new(Code::Unexpected, message))
    }

    /// Not looked at.
    pub(super) fn skipped(name: &str, reason: impl Into<String>) -> Self {
        Self::new(name, Verdict::Skipped, Notice::new(Code::Unexpected, reason))
    }

    /// Odd.
    pub(super) fn warning(name: &str, notice: Notice) -> Self {
        Self::new(name, Verdict::Warning, notice)
    }

    /// Wrong.
    pub(super) fn problem(name: &str, notice: Notice) -> Self {
        Self::new(name, Verdict::Problem, notice)
    }

    /// Wrong, as an error of the configuration, the credentials or the output says it; each problem on its own.
    pub(super) fn of_error(name: &str, error: &Error) -> Vec<Self> {
        error.notices().into_iter().map(|notice| Self::problem(name, notice)).collect()
    }

    /// Wrong, as a failed call says it.
    pub(super) fn of_fetch(name: &str, error: &FetchError) -> Self {
        Self::problem(name, error.notice())
    }

    /// The same finding, about one table.
    pub(super) fn about_table(mut self, table: &str) -> Self {
        self.notice = self.notice.table(table);
        self
    }
}

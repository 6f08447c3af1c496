//! What one check found: fine, odd, wrong, or not looked at, and what to do about it. It decides nothing.

use serde::Serialize;

use crate::criteo::{FetchError, FetchErrorKind};
use crate::error::{Error, ErrorKind, error_chain};
use crate::pull::judge_fetch;
use crate::pull::summary::{Failure, Notice};
use crate::settings::Problems;

/// What was typed and configured.
pub(super) const CONFIGURATION: &str = "configuration";
/// The age of the API version.
pub(super) const API_VERSION: &str = "api_version";
/// The output folder.
pub(super) const OUTPUT: &str = "output";
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
    /// What was found, without the remedy; the code means something for warnings and problems only.
    pub notice: Notice,
    /// What to do.
    pub remedy: Option<String>,
    /// For problems, what decides the exit code.
    kind: Option<ErrorKind>,
}

impl Finding {
    fn new(name: &str, verdict: Verdict, notice: Notice, remedy: Option<String>) -> Self {
        Self { name: name.to_owned(), verdict, notice, remedy, kind: None }
    }

    /// Fine.
    pub(super) fn ok(name: &str, message: impl Into<String>) -> Self {
        Self::new(name, Verdict::Ok, Notice::new("ok", message), None)
    }

    /// Not looked at.
    pub(super) fn skipped(name: &str, reason: impl Into<String>) -> Self {
        Self::new(name, Verdict::Skipped, Notice::new("skipped", reason), None)
    }

    /// Odd.
    pub(super) fn warning(name: &str, notice: Notice, remedy: Option<String>) -> Self {
        Self::new(name, Verdict::Warning, notice, remedy)
    }

    /// Wrong.
    pub(super) fn problem(name: &str, kind: ErrorKind, notice: Notice, remedy: Option<String>) -> Self {
        Self { kind: Some(kind), ..Self::new(name, Verdict::Problem, notice, remedy) }
    }

    /// Wrong, as an error of the configuration, the credentials or the output says it; each problem on its own.
    pub(super) fn of_error(name: &str, error: &Error) -> Vec<Self> {
        let source = std::error::Error::source(error);
        if let Some(Problems(problems)) = source.and_then(|source| source.downcast_ref::<Problems>()) {
            let found = problems.iter().map(|problem| {
                let notice = Notice::new(problem.code, problem.message.clone());
                Self::problem(name, error.kind(), notice, Some(problem.remedy.clone()))
            });
            return found.collect();
        }
        let remedy = (!error.hints().is_empty()).then(|| error.hints().join("; "));
        vec![Self::problem(name, error.kind(), Notice::new(error.kind().code(), error_chain(error)), remedy)]
    }

    /// Wrong, as a failed call says it.
    pub(super) fn of_fetch(name: &str, error: &FetchError) -> Self {
        let (kind, code) = judge_fetch(error.kind());
        let remedy = match error.kind() {
            FetchErrorKind::Unavailable | FetchErrorKind::DeadlinePassed => {
                Some("see whether this machine reaches Criteo's API, then run `criteo-source check` again".to_owned())
            }
            _ => error.remedy().map(str::to_owned),
        };
        Self::problem(name, kind, Notice::new(code, error.reason()).trace(error.trace_id()), remedy)
    }

    /// The same finding, about one table.
    pub(super) fn about_table(mut self, table: &str) -> Self {
        self.notice = self.notice.table(table);
        self
    }

    /// The notice with its remedy, as lists of warnings and errors carry it.
    pub(super) fn full_notice(&self) -> Notice {
        let mut notice = self.notice.clone();
        if let Some(remedy) = &self.remedy {
            notice.message = format!("{}; {remedy}", notice.message);
        }
        notice
    }

    /// The failure of a problem.
    pub(super) fn failure(&self) -> Option<Failure> {
        Some(Failure { kind: self.kind?, notice: self.full_notice() })
    }
}

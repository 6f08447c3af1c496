//! The one JSON document of `--format json`: the members that every command has, whether it succeeds or fails.
//!
//! A command adds members of its own, and to each table what it knows of it. The document decides how the command ended:
//! [`Document::ended`] is where errors become an outcome and an exit code. It knows nothing of any command.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::notice::{ErrorKind, Notice, Outcome, judge};

/// Calls by quota class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Calls {
    /// Reporting endpoints.
    pub report: u64,
    /// Everything else.
    pub default: u64,
    /// Token endpoint.
    pub token: u64,
}

/// The document. `T` is what is said of each table, `M` are the members that only one command has.
#[derive(Clone, Debug, Serialize)]
pub struct Document<T, M> {
    /// Identifier of the run.
    pub run_id: String,
    /// `demo`, `pull`, `backfill`, …
    pub command: String,
    /// How it ended.
    pub outcome: Outcome,
    /// Where the files are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
    /// By table.
    pub tables: BTreeMap<String, T>,
    /// By quota class.
    pub calls: Calls,
    /// Requests that were repeated.
    pub retries: u64,
    /// Seconds waited for quotas and between retries, added over concurrent requests.
    pub waited_secs: f64,
    /// Seconds from start to end.
    pub elapsed_secs: f64,
    /// What somebody should know.
    pub warnings: Vec<Notice>,
    /// What is missing.
    pub errors: Vec<Notice>,
    /// What only this command has.
    #[serde(flatten)]
    pub members: M,
    /// What decides the exit code; set by [`Document::ended`].
    #[serde(skip)]
    pub kind: Option<ErrorKind>,
}

/// A document of a command that has no tables and no members of its own.
pub type Plain = Document<(), ()>;

impl<T, M> Document<T, M> {
    /// A command that has done nothing yet.
    pub fn new(run_id: &str, command: &str, members: M) -> Self {
        Self {
            run_id: run_id.to_owned(),
            command: command.to_owned(),
            outcome: Outcome::Ok,
            output: None,
            tables: BTreeMap::new(),
            calls: Calls::default(),
            retries: 0,
            waited_secs: 0.0,
            elapsed_secs: 0.0,
            warnings: Vec::new(),
            errors: Vec::new(),
            members,
            kind: None,
        }
    }

    /// The same, ended with these errors; `done` is how much was done all the same (see [`judge`]).
    #[must_use]
    pub fn ended(mut self, errors: Vec<Notice>, done: u64) -> Self {
        (self.outcome, self.kind) = judge(&errors, done);
        self.errors = errors;
        self
    }

    /// The exit code of the process.
    pub fn exit_code(&self) -> u8 {
        self.kind.map_or(0, ErrorKind::exit_code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notice::Code;

    #[test]
    fn every_document_has_the_common_members_and_its_own_beside_them() {
        #[derive(Serialize)]
        struct Members {
            path: &'static str,
        }
        let document: Document<(), _> = Document::new("r", "init", Members { path: "x.toml" });
        let json = serde_json::to_value(document).unwrap();
        let names: Vec<&str> = json.as_object().unwrap().keys().map(String::as_str).collect();
        let common = ["calls", "command", "elapsed_secs", "errors", "outcome", "path", "retries", "run_id", "tables"];
        assert_eq!(names, [&common[..], &["waited_secs", "warnings"]].concat());
    }

    #[test]
    fn errors_decide_outcome_and_exit_code() {
        let ended = |done| Plain::new("r", "pull", ()).ended(vec![Notice::new(Code::ScopeMissing, "no")], done);
        assert_eq!((ended(0).outcome, ended(0).exit_code()), (Outcome::Failed, 3));
        assert_eq!((ended(1).outcome, ended(1).exit_code()), (Outcome::Partial, 4));
        assert_eq!(Plain::new("r", "pull", ()).ended(Vec::new(), 0).exit_code(), 0);
    }
}

//! The checklist while it is worked through: what was found so far, and each finding as a line as soon as it is known.
//!
//! Checks run side by side and add to one list, so the lines come in the order of time; the document has them in the order of the
//! list. Remedies are not here: they come together at the end.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::finding::{Finding, Verdict};
use crate::error::Error;

/// Shows a piece of text at once.
type Show = fn(&str) -> Result<(), Error>;

/// Findings as they are made.
pub(super) struct Checklist {
    names: Vec<String>,
    show: Option<Show>,
    found: Mutex<Found>,
}

#[derive(Default)]
struct Found {
    findings: Vec<Finding>,
    /// Why nothing more is shown.
    failure: Option<Error>,
}

impl Checklist {
    /// An empty list of the checks with these names, in their order; findings are shown by `show`, if at all.
    pub(super) fn new(names: Vec<String>, show: Option<Show>) -> Self {
        Self { names, show, found: Mutex::default() }
    }

    fn found(&self) -> MutexGuard<'_, Found> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds what was found, and shows it.
    pub(super) fn add(&self, finding: Finding) {
        let line = self.line(finding.verdict, &finding.name, &finding.notice.message);
        let mut found = self.found();
        found.findings.push(finding);
        self.show(&mut found, &line);
    }

    /// Adds several findings.
    pub(super) fn add_all(&self, findings: impl IntoIterator<Item = Finding>) {
        findings.into_iter().for_each(|finding| self.add(finding));
    }

    /// Notes that those of these checks that have found nothing yet are not made; one line says why.
    pub(super) fn skip<N: AsRef<str>>(&self, names: &[N], reason: &str) {
        let mut found = self.found();
        let is_new = |name: &&str| !found.findings.iter().any(|finding| finding.name == **name);
        let skipped: Vec<&str> = names.iter().map(AsRef::as_ref).filter(is_new).collect();
        if skipped.is_empty() {
            return;
        }
        found.findings.extend(skipped.iter().map(|name| Finding::skipped(name, reason)));
        let line = format!("{:<8} {}: {reason}\n", label(Verdict::Skipped), skipped.join(", "));
        self.show(&mut found, &line);
    }

    fn show(&self, found: &mut Found, line: &str) {
        if let (Some(show), None) = (self.show, &found.failure) {
            found.failure = show(line).err();
        }
    }

    fn line(&self, verdict: Verdict, name: &str, message: &str) -> String {
        let width = self.names.iter().map(String::len).max().unwrap_or(0);
        // What a server said may have lines of its own.
        let message = message.lines().map(str::trim).collect::<Vec<_>>().join(" ");
        format!("{:<8} {name:<width$}  {message}\n", label(verdict))
    }

    /// Everything that was found, in the order of the list.
    ///
    /// # Errors
    ///
    /// When a finding could not be shown.
    pub(super) fn into_findings(self) -> Result<Vec<Finding>, Error> {
        let Found { mut findings, failure } = self.found.into_inner().unwrap_or_else(PoisonError::into_inner);
        findings.sort_by_key(|finding| self.names.iter().position(|name| *name == finding.name));
        failure.map_or(Ok(findings), Err)
    }
}

fn label(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Ok => "ok",
        Verdict::Warning => "warning",
        Verdict::Problem => "problem",
        Verdict::Skipped => "skipped",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_come_in_the_order_of_the_list_and_only_checks_without_one_are_skipped() {
        let names = ["one", "two", "three"].map(str::to_owned).to_vec();
        let list = Checklist::new(names.clone(), None);
        list.add(Finding::ok("three", "fine"));
        list.skip(&names, "no time");
        list.skip(&names, "again");
        let findings = list.into_findings().expect("nothing is shown");
        let found: Vec<(&str, Verdict)> = findings.iter().map(|it| (it.name.as_str(), it.verdict)).collect();
        assert_eq!(found, [("one", Verdict::Skipped), ("two", Verdict::Skipped), ("three", Verdict::Ok)]);
        assert_eq!(findings[0].notice.message, "no time");
    }

    #[test]
    fn what_cannot_be_shown_is_an_error_and_lines_are_aligned() {
        let names = vec!["output".to_owned(), "scope.campaigns".to_owned()];
        let list = Checklist::new(names, Some(|_| Err(Error::usage("closed"))));
        assert_eq!(list.line(Verdict::Ok, "output", "fine"), "ok       output           fine\n");
        assert_eq!(list.line(Verdict::Problem, "output", "<a>\n  <b>"), "problem  output           <a> <b>\n");
        list.add(Finding::ok("output", "fine"));
        assert!(list.into_findings().is_err());
    }
}

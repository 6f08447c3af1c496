//! Whether the output takes what a run writes. The lock is tried and let go at once; no file stays behind but the
//! folders a run would make.

use super::finding::{Finding, OUTPUT};
use crate::clock::Clock;
use crate::ledger::Ledger;
use crate::notice::{Code, Notice};
use crate::pull::{local_root, refuse_mixture};
use crate::settings::Settings;
use crate::store::{LockError, RunLock, Store};

/// Writes, reads the ledger, and looks at the lock.
pub(super) fn check(settings: &Settings, clock: &Clock, run_id: &str) -> Vec<Finding> {
    let root = match local_root(&settings.output) {
        Ok(root) => root,
        Err(error) => return Finding::of_error(OUTPUT, &error),
    };
    let failed = |error: &(dyn std::error::Error + 'static), remedy: &str| {
        vec![Finding::problem(OUTPUT, Notice::of_error(Code::OutputFailed, error).remedy(remedy))]
    };
    let writable = "let this user write there, or name another folder with `output` (or `--output`, `CRITEO_OUTPUT`)";
    let store = match Store::open(root) {
        Ok(store) => store,
        Err(error) => return failed(&error, writable),
    };
    let mut findings = vec![Finding::ok(OUTPUT, format!("`{}` is writable", root.display()))];
    match Ledger::read(&store) {
        Ok(ledger) => {
            if let Err(error) = refuse_mixture(settings, &ledger) {
                findings = Finding::of_error(OUTPUT, &error);
            }
        }
        Err(error) => {
            let remedy = "restore `_ledger` from a backup, or install the criteo-source that wrote it";
            findings = failed(&error, remedy);
        }
    }
    // Bound to a name, the lock would be held until the end of this function; a run may start any moment.
    match RunLock::acquire(&store, run_id, "check", clock.now()).map(drop) {
        Ok(()) => {}
        Err(error @ LockError::Held { .. }) => {
            let remedy = "a run that starts now ends with exit code 7: wait for that one";
            findings.push(Finding::warning(OUTPUT, Notice::of_error(Code::Locked, &error).remedy(remedy)));
        }
        Err(error @ LockError::Store(_)) => findings.extend(failed(&error, writable)),
    }
    findings
}

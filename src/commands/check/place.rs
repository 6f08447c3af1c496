//! Whether the output takes what a run writes. The lock is tried and let go at once; no file stays behind but the
//! folders a run would make.

use super::finding::{Finding, OUTPUT};
use crate::clock::Clock;
use crate::notice::{Code, Notice};
use crate::output::read;
use crate::pull::refuse_mixture;
use crate::settings::Settings;
use crate::store::{LockError, Store, StoreError};

/// Writes, reads the ledger, and looks at the lock. In a bucket the lock is what is written, and it goes away again.
pub(super) async fn check(settings: &Settings, clock: &Clock, run_id: &str) -> Vec<Finding> {
    let failed = |notice: Notice, remedy: &str| vec![Finding::problem(OUTPUT, notice.remedy(remedy))];
    let writable = "let this user write there, or name another place with `output` (or `--output`, `CRITEO_OUTPUT`)";
    let unusable =
        |error: StoreError| failed(Notice::of_error(error.code(), &error), error.remedy().unwrap_or(writable));
    let store = match Store::open(&settings.output).await {
        Ok(store) => store,
        Err(error) => return unusable(error),
    };
    let mut findings = Vec::new();
    // A run may start any moment: the lock is let go at once.
    match store.lock(run_id, "check", clock.now()).await {
        Ok(lock) => lock.release().await,
        Err(error @ LockError::Held { .. }) => {
            let remedy = "a run that starts now ends with exit code 7: wait for that one";
            findings.push(Finding::warning(OUTPUT, Notice::of_error(Code::Locked, &error).remedy(remedy)));
        }
        Err(LockError::Store(error)) => return unusable(error),
    }
    match read(&store).await {
        Ok((ledger, ..)) => match refuse_mixture(settings, &ledger) {
            Ok(()) => findings.insert(0, Finding::ok(OUTPUT, format!("`{}` is writable", store.name()))),
            Err(error) => findings.extend(Finding::of_error(OUTPUT, &error)),
        },
        Err(error) => {
            let remedy = "restore `_ledger` from a backup, or install the criteo-source that wrote it";
            findings.extend(failed(error.notice(), remedy));
        }
    }
    findings
}

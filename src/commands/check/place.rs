//! The output as a run would meet it: writable, locked by whom, and what it holds. Nothing stays behind, not even a folder.

use super::checklist::Checklist;
use super::document::count;
use super::finding::{CONTENTS, Finding, LOCK, OUTPUT};
use crate::catalog::Table;
use crate::error::Error;
use crate::ledger::Ledger;
use crate::notice::{Code, Notice};
use crate::output::read_to_plan;
use crate::pull::refuse_mixture;
use crate::settings::Settings;
use crate::store::{LockError, Store, StoreError};

/// What to do about a bucket, where its own words say no more.
const REACHABLE: &str = "check the network, the name of the bucket in `output`, and the variables of its cloud (`AWS_…`, `GOOGLE_…`, \
     `AZURE_…`)";
/// What to do about a folder that takes no file.
const WRITABLE: &str =
    "let this user write there, or name another place with `output` (or `--output`, `CRITEO_OUTPUT`)";

/// Writes and removes a file, and looks at the lock and the ledger.
pub(super) async fn check(settings: &Settings, tables: &[Table], list: &Checklist) {
    if let Err(error) = look(settings, tables, list).await {
        let usual = match &error {
            StoreError::Disk { .. } => Some(WRITABLE),
            StoreError::Bucket { .. } => Some(REACHABLE),
            _ => None,
        };
        let notice = Notice::of_error(error.code(), &error).remedy_or_usual(error.remedy().or(usual));
        list.add(Finding::problem(OUTPUT, notice));
        list.skip(&[LOCK, CONTENTS], "the output cannot be used");
    }
}

async fn look(settings: &Settings, tables: &[Table], list: &Checklist) -> Result<(), StoreError> {
    let store = Store::read_only(&settings.output)?;
    store.probe_writing().await?;
    let held = store.probe_lock().await?;
    let to_make = if store.exists() { "" } else { "; there is no such folder yet, the first run makes it" };
    list.add(Finding::ok(OUTPUT, format!("`{}` is writable{to_make}", store.name())));
    list.add(lock(held.as_ref()));
    let names: Vec<&str> = tables.iter().map(|table| table.name.as_str()).collect();
    match read_to_plan(&store, &names).await {
        Ok(ledger) => list.add_all(contents(settings, &ledger)),
        Err(error) => list.add_all(Finding::of_error(CONTENTS, &Error::from(error))),
    }
    Ok(())
}

fn lock(held: Option<&LockError>) -> Finding {
    match held {
        None => Finding::ok(LOCK, "free"),
        Some(held) => {
            let remedy = "a run that starts now ends with exit code 7: wait for that one";
            Finding::warning(LOCK, Notice::of_error(Code::Locked, held).remedy(remedy))
        }
    }
}

/// What is there, and whether these settings go with it.
fn contents(settings: &Settings, ledger: &Ledger) -> Vec<Finding> {
    match refuse_mixture(settings, ledger) {
        Ok(()) => vec![Finding::ok(CONTENTS, in_words(ledger))],
        Err(error) => Finding::of_error(CONTENTS, &error),
    }
}

fn in_words(ledger: &Ledger) -> String {
    let partitions = || ledger.tables().flat_map(|table| ledger.partitions(table));
    let dates = || partitions().map(|partition| partition.date);
    let (Some(first), Some(last)) = (dates().min(), dates().max()) else { return "nothing yet".to_owned() };
    let rows: u64 = partitions().map(|partition| partition.rows).sum();
    let convention = |what: &str, value: Option<&str>| value.map(|value| format!("{what} {value}"));
    let parts = [
        Some(count(ledger.tables().count(), "table")),
        Some(count(partitions().count(), "partition")),
        Some(format!("{rows} rows")),
        Some(if first == last { format!("of {first}") } else { format!("from {first} to {last}") }),
        convention("amounts in", ledger.currency()),
        convention("days cut in", ledger.timezone()),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

//! The ledger of an output, read from its files, with the data files that are there.

use super::error::OutputError;
use super::inventory::Inventory;
use crate::ledger::{Change, Ledger, LedgerError, LedgerFiles, PartitionRecord};
use crate::store::{Key, Store, StoreError, checksum};

const LEDGER_FOLDER: &str = "_ledger";

/// Every file of the ledger.
pub async fn read_files(store: &Store) -> Result<LedgerFiles, StoreError> {
    let entries = store.list(LEDGER_FOLDER).await?;
    let wanted = entries.into_iter().map(|entry| entry.key).filter(|key| LedgerFiles::wants(key.as_str()));
    let files = store.get_all(wanted.collect()).await?;
    Ok(LedgerFiles::new(files.into_iter().map(|(key, content)| (key.as_str().to_owned(), content))))
}

/// The ledger as it is, with the files of its tables; for looking at it.
pub async fn read(store: &Store) -> Result<(Ledger, LedgerFiles, Inventory), OutputError> {
    let files = read_files(store).await?;
    let mut ledger = Ledger::of_files(&files)?;
    let inventory = observe(store, &mut ledger, &[]).await?;
    Ok((ledger, files, inventory))
}

/// The ledger as a run that began now would see it: refuses what a run would refuse, and writes nothing.
pub async fn read_to_plan(store: &Store, tables: &[&str]) -> Result<Ledger, OutputError> {
    let (mut ledger, settled, _) = read_to_write(store, tables).await?;
    ledger.apply(settled);
    Ok(ledger)
}

/// The ledger, what settles a publication that broke off, and the data files.
pub(super) async fn read_to_write(
    store: &Store,
    tables: &[&str],
) -> Result<(Ledger, crate::ledger::Prepared, Inventory), OutputError> {
    let files = read_files(store).await?;
    if !files.is_begun()? {
        let partitions = Inventory::of_all(store).await?.count();
        if partitions > 0 {
            return Err(LedgerError::Lost { folder: store.name(), partitions }.into());
        }
    }
    let mut ledger = Ledger::of_files(&files)?;
    let inventory = observe(store, &mut ledger, tables).await?;
    let pending = files.pending()?;
    let settled = settlement(store, &ledger, &pending, files.get(crate::ledger::PENDING_FILE).is_some()).await?;
    Ok((ledger, settled, inventory))
}

/// What settles a publication that broke off: the records whose files are live are taken over, the others are dropped.
pub(super) async fn settlement(
    store: &Store,
    ledger: &Ledger,
    pending: &[PartitionRecord],
    has_pending: bool,
) -> Result<crate::ledger::Prepared, StoreError> {
    let mut live = Vec::new();
    for record in ledger.unsettled(pending) {
        let content = store.get(&key(&record.path())).await?;
        if content.is_some_and(|content| checksum(&content) == record.sha256) {
            live.push(record.clone());
        }
    }
    if !live.is_empty() {
        tracing::info!(partitions = live.len(), "recording partitions that an interrupted run had published");
    }
    let mut prepared = ledger.prepare(Change::Settle(live));
    if !has_pending {
        prepared.steps.clear();
    }
    Ok(prepared)
}

/// Lists the files of every table that has records, and of these.
async fn observe(store: &Store, ledger: &mut Ledger, tables: &[&str]) -> Result<Inventory, StoreError> {
    let mut wanted: Vec<&str> = ledger.tables().chain(tables.iter().copied()).collect();
    wanted.sort_unstable();
    wanted.dedup();
    let inventory = Inventory::of_tables(store, wanted).await?;
    for (table, files) in &inventory.partitions {
        ledger.observe(table, files.clone());
    }
    Ok(inventory)
}

/// The key of a file that the ledger names.
pub(super) fn key(path: &str) -> Key {
    Key::new(path).expect("the names of tables and runs are plain, and dates are")
}

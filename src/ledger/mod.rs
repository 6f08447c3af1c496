//! What was pulled, when, and how it compares: the memory between runs, kept beside the data in `_ledger/`.
//!
//! ```text
//! _ledger/ledger.json                     the format version
//! _ledger/partitions/{table}/2026-11.json one record a partition, a file a month
//! _ledger/runs/{run_id}.json              one record a run
//! _ledger/pending.json                    records of files that are just being published
//! _ledger/damaged/{run_id}/…              what a rebuild replaced because it could not be read
//! _ledger/lock, _ledger/staging/          see `store`
//! ```
//!
//! Publishing writes `pending.json` first, then renames the files, then updates the records. A run that finds a
//! `pending.json` compares checksums: a record whose file is live is taken over, the others are dropped. So the ledger
//! agrees with the files whatever moment a run was killed at.
//!
//! Every file carries `format_version` and ends with a checksum of its content (see `sealed`). A reader accepts a newer
//! version as long as what it knows is there; a writer refuses to touch a ledger newer than itself.
//!
//! A damaged `ledger.json`, `pending.json` or partitions file stops a run, because going on without it would fetch or
//! trust the wrong days, and so does data without any ledger; `rebuild` reconstructs it. A damaged record of a run stops
//! nothing: it only ends what an interrupted backfill can be continued from. The ledger knows neither Criteo nor why
//! something was pulled.

mod book;
mod error;
mod files;
mod rebuild;
mod records;
mod sealed;
#[cfg(test)]
mod tests;
mod verify;

pub use book::Ledger;
pub use error::LedgerError;
pub use rebuild::{Dropped, Rebuild, Rebuilt};
pub use records::{
    Difference, FORMAT_VERSION, PartitionRecord, PartitionStatus, Reconciliation, Restatement, RunOutcome, RunRecord,
    partition_path,
};
pub use sealed::Damage;
#[cfg(any(test, feature = "fuzzing"))]
pub use sealed::fuzz;
pub use verify::{Finding, Problem, Tables, Verification, verify};

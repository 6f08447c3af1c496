//! What was pulled, when, and how it compares: the memory between runs, kept beside the data in `_ledger/`.
//!
//! It is state, and a function from a change to the writes it needs; it reads and writes nothing itself (see `output`).
//!
//! ```text
//! _ledger/ledger.json                     the format version, the output's identity, currency, time zone, proven row caps
//! _ledger/partitions/{table}/2026-11.json one record a partition, a file a month
//! _ledger/runs/{run_id}.json              one record a run
//! _ledger/pending.json                    records of files that are just being published
//! _ledger/damaged/{run_id}/…              what a rebuild replaced because it could not be read
//! _ledger/lock, _ledger/staging/          see `store`
//! ```
//!
//! Publishing writes `pending.json` first, then replaces the files, then updates the records (see `writes`). A run that finds
//! a `pending.json` compares checksums: a record whose file is live is taken over, the others are dropped. So the ledger
//! agrees with the files whatever moment a run was killed at.
//!
//! Every file carries `format_version` and ends with a checksum of its content (see `sealed`). A reader accepts a newer
//! version as long as what it knows is there; a writer refuses to touch a ledger newer than itself.
//!
//! A damaged `ledger.json`, `pending.json` or partitions file stops a run, because going on without it would fetch or
//! trust the wrong days, and so does data without any ledger; `recover` reconstructs it. A damaged record of a run stops
//! nothing: it only ends what an interrupted backfill can be continued from. The ledger knows neither Criteo nor why
//! something was pulled.

mod book;
mod error;
mod files;
mod records;
mod sealed;
mod writes;

pub use book::Ledger;
pub use error::LedgerError;
pub use files::LedgerFiles;
#[cfg(test)]
pub use records::example;
pub use records::{
    AdvertiserCounts, Difference, FORMAT_VERSION, PartitionRecord, PartitionStatus, Reconciliation, Restatement,
    RunOutcome, RunRecord, VersionFile, partition_path,
};
pub(crate) use records::{LOST_RUNS, PENDING_FILE, RUNS_FOLDER, VERSION_FILE};
pub use sealed::Damage;
#[cfg(any(test, feature = "fuzzing"))]
pub use sealed::fuzz;
#[cfg(test)]
pub(crate) use sealed::seal;
pub(crate) use sealed::{newer_version, unseal};
pub use writes::{Change, Prepared, Write, tidy};

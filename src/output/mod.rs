//! An output as runs and readers see it: its ledger, its files, and the one task that changes them.
//!
//! - [`read`], [`read_to_plan`]: the ledger as it is, with the files that are there; nothing is locked or written.
//! - [`Output::open`]: for the holder of the run lock. [`Output`] is a handle of the one task that owns the store and writes the
//!   ledger; everybody else sends it changes and waits, without a lock, for them to be done. What was sent is written even if
//!   nobody waits any more, and [`Output::published`] has counted it.
//!
//! `pull` uses it like this: [`Output::ledger`] to look (a moment's lock on memory, never on a disk), [`Output::stage`] on a thread
//! that may block, then [`Output::publish`], [`Output::confirm`], [`Output::set_row_cap`], [`Output::prune`],
//! [`Output::record_run`], and [`Output::close`] before the lock is released. [`Output::get`] reads a live file.
//!
//! It decides nothing about what should be published.

mod error;
mod inventory;
mod reading;
mod task;
#[cfg(test)]
mod tests;

pub use error::OutputError;
pub use inventory::{Inventory, UnexpectedFile};
pub use reading::{read, read_files, read_to_plan};
pub use task::{NewFile, Output, PublishedFile, carry_out};

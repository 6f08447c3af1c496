//! Loading the output into a warehouse: exactly the partitions that changed, per table in one transaction, proved by counts.
//!
//! One algorithm, [`run`], for every target; a target ([`Target`]) only executes. What a target holds is written in the
//! target itself, in the transaction of the data ([`state`]), so that a lost ledger, a dropped table or a second machine
//! cannot make a load believe something wrong. [`changes`] decides, and is pure; [`files`] is the only place that opens a
//! partition.
//!
//! Refuses to do: change a type, touch a table or view that it did not create, load a file whose checksum is not the
//! recorded one, or know anything of Criteo.

pub mod bigquery;
pub mod changes;
pub mod columns;
pub mod duckdb;
mod error;
pub mod files;
mod report;
pub mod run;
pub mod snowflake;
pub mod state;
mod target;

pub use error::{LoadError, LoadErrorKind};
pub use report::{LoadReport, LoadedTable};
pub use run::{Options, load};
pub use target::{Existing, Loaded, Mode, TableLoad, Target, TargetStatistics};

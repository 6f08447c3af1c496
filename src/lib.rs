//! Criteo Marketing Solutions data as complete, exact, Hive-partitioned Parquet.
//!
//! The binary `criteo-source` is a thin shell around this library: it parses what was typed, calls a command and maps
//! the error to an exit code. Imports point one way: `commands`, then `pull`, then `criteo`, `table` and `store`,
//! then `auth`, then `http`, then the leaves (`clock`, `dates`, `secret`). `http` does not know Criteo, `table` does
//! not know HTTP, `store` does not know what is in the files; `pull` and the loaders meet only in the `ledger`.
//! `sandbox` is a simulated Criteo API and shares no type with the client.

pub mod auth;
pub mod catalog;
pub mod cli;
pub mod clock;
pub mod commands;
pub mod criteo;
pub mod dates;
pub mod document;
pub mod error;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
pub mod http;
pub mod json;
pub mod ledger;
pub mod load;
pub mod logging;
pub mod loopback;
pub mod metrics;
pub mod notice;
pub mod output;
pub mod progress;
pub mod pull;
pub mod recover;
pub mod redaction;
pub mod sandbox;
pub mod secret;
pub mod settings;
pub mod store;
pub mod table;
pub mod unicode;
pub mod waits;

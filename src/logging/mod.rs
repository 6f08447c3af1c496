//! Logs on stderr: text for people, JSON for collectors. Every line carries the run's identifier.
//!
//! The crates that carry requests are held at warnings whatever was requested: at finer levels some of them print
//! headers, and one header is the bearer token. Nothing here writes to stdout, which is for results.

mod fatal;
mod format;
mod options;
mod stderr;

pub use fatal::fatal;
pub use options::{LogFormat, LogOptions, NOTICES, RUN, start};
pub use stderr::{LogWriter, share_with};

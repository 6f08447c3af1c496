//! What must hold for any bytes at all: one function for each place where text from outside is read.
//!
//! Each function takes bytes and panics where a claim is broken; refusing the bytes is fine. A fuzzer calls them (see
//! `fuzz/`), and so do the tests, on the stored corpus and a bounded number of its mutations. The module exists in
//! tests and with the feature `fuzzing` only: a claim that panics has no place in the program.

mod configuration;
mod credentials_file;
mod ledger;
mod list;
#[cfg(test)]
mod mutations;
mod report;

pub use configuration::configuration;
pub use credentials_file::credentials_file;
pub use ledger::ledger;
pub use list::list;
pub use report::report;

//! The ledger against the files: whether they agree, and a new ledger from the files where it was lost.
//!
//! Both are above ledger, output and table, and neither ever touches a data file.

mod rebuild;
#[cfg(test)]
mod tests;
mod verify;

pub use rebuild::{Dropped, Rebuild, Rebuilt};
pub use verify::{Finding, Problem, Tables, Verification, verify};

//! Ledger files: what was written comes back, and nothing else is believed.

pub use crate::ledger::fuzz as ledger;

//! Why the ledger could not be used.

use super::records::FORMAT_VERSION;
use super::sealed::Damage;
use crate::error::{Code, Error};

/// Why the ledger could not be used.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// A file of the ledger is not what it should be.
    #[error("the ledger file `{file}` is damaged")]
    Damaged {
        /// Which file, below the output.
        file: String,
        /// What is wrong with it.
        #[source]
        source: Damage,
    },
    /// There is data, but no ledger.
    #[error("`{folder}` has {partitions} partitions, but its ledger is lost")]
    Lost {
        /// The output.
        folder: String,
        /// Files of data in it.
        partitions: usize,
    },
    /// The ledger was written by a newer program.
    #[error("the ledger has format {found}, this program writes {FORMAT_VERSION}")]
    Newer {
        /// Its version.
        found: u32,
    },
}

impl LedgerError {
    /// What it is called where people and machines read it.
    pub fn code(&self) -> Code {
        match self {
            Self::Damaged { .. } => Code::LedgerDamaged,
            Self::Lost { .. } => Code::LedgerLost,
            Self::Newer { .. } => Code::LedgerNewer,
        }
    }

    /// A file that is not what it should be.
    pub(super) fn damaged(file: &str, source: impl Into<Damage>) -> Self {
        Self::Damaged { file: file.to_owned(), source: source.into() }
    }
}

impl From<LedgerError> for Error {
    fn from(error: LedgerError) -> Self {
        Self::caused_by(error.code(), error)
    }
}

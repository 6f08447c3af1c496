//! Why an output could not be read or changed.

use std::sync::Arc;

use crate::error::{Code, Error};
use crate::ledger::LedgerError;
use crate::notice::Notice;
use crate::store::StoreError;

/// Why an output could not be read or changed. It can be cloned, because several publications may fail together.
#[derive(Clone, Debug, thiserror::Error)]
pub enum OutputError {
    /// The store.
    #[error(transparent)]
    Store(Arc<StoreError>),
    /// The ledger.
    #[error(transparent)]
    Ledger(Arc<LedgerError>),
    /// The task that writes has ended: an earlier error says why.
    #[error("nothing more is written, because the task that writes has ended")]
    Closed,
}

impl OutputError {
    /// Whether the next write would fail too, so that fetching more is a waste of the quota.
    pub fn is_lasting(&self) -> bool {
        match self {
            Self::Store(error) => error.is_lasting(),
            Self::Ledger(_) | Self::Closed => true,
        }
    }

    /// What it is called where people and machines read it.
    pub fn code(&self) -> Code {
        match self {
            Self::Store(error) => error.code(),
            Self::Ledger(error) => error.code(),
            Self::Closed => Code::OutputFailed,
        }
    }

    /// What people read.
    pub fn notice(&self) -> Notice {
        let remedy = match self {
            Self::Store(error) => error.remedy(),
            Self::Ledger(_) | Self::Closed => None,
        };
        Notice::of_error(self.code(), self).remedy_or_usual(remedy)
    }
}

impl From<StoreError> for OutputError {
    fn from(error: StoreError) -> Self {
        Self::Store(Arc::new(error))
    }
}

impl From<LedgerError> for OutputError {
    fn from(error: LedgerError) -> Self {
        Self::Ledger(Arc::new(error))
    }
}

impl From<OutputError> for Error {
    fn from(error: OutputError) -> Self {
        let notice = error.notice();
        let message = error.to_string();
        Self::from(Notice { message, ..notice }).with_source(error)
    }
}

//! Why a table, or a whole target, could not be loaded.

use crate::notice::{Code, Notice};

/// What kind of failure it is: its code in documents, and what it means for the rest of the load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoadErrorKind {
    /// The program or driver that speaks to the target is not installed.
    DriverMissing,
    /// The target cannot be reached, or its settings are incomplete.
    Unreachable,
    /// The target refused the credentials or a permission.
    Refused,
    /// The target refused a statement.
    Failed,
    /// The connection broke, so that it is not known whether the last statement was executed.
    Lost,
    /// A table or view of somebody else.
    NotOurs,
    /// A table whose columns or partitioning are not those of the output.
    Differs,
    /// Another output has loaded into this table.
    Claimed,
    /// The rows that arrived are not as many as were recorded.
    RowsDiffer,
    /// A partition changed while it was being loaded.
    Changed,
    /// A partition's file is missing or is not what the ledger says.
    Damaged,
}

impl LoadErrorKind {
    /// Its code in documents.
    pub fn code(self) -> Code {
        match self {
            Self::DriverMissing => Code::LoadDriverMissing,
            Self::Unreachable | Self::Lost => Code::WarehouseUnavailable,
            Self::Refused | Self::Failed => Code::WarehouseRefused,
            Self::NotOurs => Code::LoadTableNotOurs,
            Self::Differs => Code::LoadTableDiffers,
            Self::Claimed => Code::LoadTableClaimed,
            Self::RowsDiffer => Code::LoadRowsDiffer,
            Self::Changed => Code::LoadPartitionChanged,
            Self::Damaged => Code::LoadFileDamaged,
        }
    }

    /// Whether trying the next table makes no sense.
    pub fn concerns_target(self) -> bool {
        matches!(self, Self::DriverMissing | Self::Unreachable | Self::Refused)
    }
}

/// A failure, in the target's own words where it has said something, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct LoadError {
    /// Kind.
    pub kind: LoadErrorKind,
    /// What happened.
    pub message: String,
    /// What to do; empty where that of the code says it.
    pub remedy: String,
}

impl LoadError {
    /// A failure without a remedy.
    pub fn new(kind: LoadErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), remedy: String::new() }
    }

    /// The same failure with what to do about it.
    #[must_use]
    pub fn with_remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = remedy.into();
        self
    }

    /// The failure as documents have it.
    pub fn notice(&self) -> Notice {
        let remedy = (!self.remedy.is_empty()).then_some(self.remedy.as_str());
        Notice::new(self.kind.code(), self.message.as_str()).remedy_or_usual(remedy)
    }
}

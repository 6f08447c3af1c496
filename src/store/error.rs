//! Why a store did not do what it was asked to.

use std::io;

use crate::error::{Code, Error};

/// An operation that failed: what was being done, to what, and why.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A local disk.
    #[error("could not {action} `{place}`")]
    Disk {
        /// What was being done.
        action: &'static str,
        /// The path.
        place: String,
        /// The operating system's words.
        #[source]
        source: io::Error,
    },
    /// A bucket.
    #[error("could not {action} `{place}`")]
    Bucket {
        /// What was being done.
        action: &'static str,
        /// The URL.
        place: String,
        /// The store's words.
        #[source]
        source: Box<object_store::Error>,
    },
    /// A bucket that cannot be opened as configured.
    #[error("`{place}` cannot be opened")]
    Settings {
        /// The URL.
        place: String,
        /// Why.
        #[source]
        source: Box<object_store::Error>,
    },
    /// Another run has written since this one last looked.
    #[error("`{place}` was written by another run in the meantime; this run publishes nothing more")]
    Overtaken {
        /// The URL.
        place: String,
    },
    /// The lease ran out.
    #[error(
        "the lease on `{place}` expired while this run was paused or could not reach it; this run publishes nothing more"
    )]
    LeaseExpired {
        /// The output.
        place: String,
    },
    /// A thread ended before its work was done.
    #[error("the thread that wrote `{place}` ended early")]
    Thread {
        /// The path.
        place: String,
    },
}

impl StoreError {
    /// Whether the next write would fail too, so that fetching more is a waste of the quota.
    pub fn is_lasting(&self) -> bool {
        match self {
            Self::Disk { source, .. } => matches!(
                source.kind(),
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::ReadOnlyFilesystem
            ),
            Self::Bucket { source, .. } => matches!(
                **source,
                object_store::Error::PermissionDenied { .. } | object_store::Error::Unauthenticated { .. }
            ),
            Self::Settings { .. } | Self::Overtaken { .. } | Self::LeaseExpired { .. } => true,
            Self::Thread { .. } => false,
        }
    }

    /// What it is called where people and machines read it.
    pub fn code(&self) -> Code {
        match self {
            Self::Disk { .. } | Self::Bucket { .. } | Self::Thread { .. } => Code::OutputFailed,
            Self::Settings { .. } => Code::BucketNotConfigured,
            Self::Overtaken { .. } | Self::LeaseExpired { .. } => Code::LeaseLost,
        }
    }

    /// What to do about it, where that is more than its code says.
    pub fn remedy(&self) -> Option<&'static str> {
        match self {
            Self::Bucket { source, .. } => bucket_remedy(source),
            _ => None,
        }
    }
}

/// What to do where the store's words alone do not say it.
fn bucket_remedy(error: &object_store::Error) -> Option<&'static str> {
    match error {
        object_store::Error::PermissionDenied { .. } => {
            Some("give its credentials permission to list, read, write and delete objects there")
        }
        object_store::Error::Unauthenticated { .. } => {
            Some("give it credentials by the usual variables of its cloud (`AWS_…`, `GOOGLE_…`, `AZURE_…`)")
        }
        object_store::Error::NotFound { .. } => Some("create the bucket, or correct its name in `output`"),
        object_store::Error::NotImplemented { .. } | object_store::Error::NotSupported { .. } => {
            Some("use a store that can write conditionally (`If-Match`): without that two runs could mix")
        }
        _ => None,
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        let remedy = error.remedy();
        let error = Self::caused_by(error.code(), error);
        match remedy {
            Some(remedy) => error.with_remedy(remedy),
            None => error,
        }
    }
}

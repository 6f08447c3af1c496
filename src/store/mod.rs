//! Where files live: staged out of sight, published whole, locked by one run at a time.
//!
//! `store` does not know what is in the files. Today it writes to a local (or mounted) file system.

mod local;
mod lock;

pub use local::{Staged, Store, StoreError, hexadecimal};
pub use lock::{LockError, RunLock};

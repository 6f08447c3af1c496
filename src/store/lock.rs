//! One run at a time per output: an advisory lock on `_ledger/lock`, held by the kernel for as long as the process lives.
//!
//! The kernel drops the lock when its holder dies, however it dies, so a stale lock cannot exist; a holder that is only
//! paused keeps it. The file's content says who holds it since when, for the message of the run that comes too early.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::local::{LEDGER_FOLDER, Store, StoreError};
use crate::error::{Code, Error};

/// Why the lock was not obtained.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another run holds it.
    #[error("another run holds the lock of `{output}`: {holder}")]
    Held {
        /// The output folder.
        output: String,
        /// Who, since when.
        holder: String,
    },
    /// The lock file could not be used.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<LockError> for Error {
    fn from(error: LockError) -> Self {
        let code = match &error {
            LockError::Held { .. } => Code::Locked,
            LockError::Store(_) => Code::OutputFailed,
        };
        Self::caused_by(code, error)
    }
}

/// What the lock file says of its holder.
#[derive(Debug, Serialize, Deserialize)]
struct Holder {
    run_id: String,
    command: String,
    process: u32,
    /// The machine, where it is known: the process number says nothing on another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    host: Option<String>,
    since: DateTime<Utc>,
}

/// The lock; dropping it lets go.
#[derive(Debug)]
pub struct RunLock {
    file: File,
}

impl RunLock {
    /// Takes the lock of `store`, or says at once who has it.
    pub fn acquire(store: &Store, run_id: &str, command: &str, now: DateTime<Utc>) -> Result<Self, LockError> {
        let path = store.path(LEDGER_FOLDER).join("lock");
        let failed = |source| LockError::from(StoreError::new("lock", &path, source));
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let output = store.root().display().to_string();
                return Err(LockError::Held { output, holder: describe(&mut file) });
            }
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        let holder = Holder {
            run_id: run_id.to_owned(),
            command: command.to_owned(),
            process: std::process::id(),
            host: host(),
            since: now,
        };
        let text = serde_json::to_vec(&holder).map_err(|error| failed(error.into()))?;
        file.set_len(0).and_then(|()| file.write_all(&text)).map_err(failed)?;
        Ok(Self { file })
    }
}

impl Drop for RunLock {
    fn drop(&mut self) {
        // An empty file tells the next reader that nobody is in; closing it releases the lock.
        let _ = self.file.set_len(0);
    }
}

/// The holder in words; it may just have changed, so anything readable will do.
fn describe(file: &mut File) -> String {
    let mut text = String::new();
    let read = file.rewind().and_then(|()| file.read_to_string(&mut text));
    match read.ok().and_then(|_| serde_json::from_str::<Holder>(&text).ok()) {
        Some(holder) => format!(
            "`{}` (run {}, process {}{}) since {}",
            holder.command,
            holder.run_id,
            holder.process,
            holder.host.map(|host| format!(" on {host}")).unwrap_or_default(),
            holder.since.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
        ),
        None => "it is just starting or ending".to_owned(),
    }
}

/// The name of this machine, where the system says it in a file or a variable.
fn host() -> Option<String> {
    let told = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let name = told.or_else(|| std::env::var("HOSTNAME").ok())?;
    Some(name.trim().to_owned()).filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_run_is_told_who_holds_the_lock_and_a_third_gets_it_after_release() {
        let folder = tempfile::tempdir().expect("a scratch folder");
        let store = Store::open(folder.path()).expect("an output folder");
        let first = RunLock::acquire(&store, "run-1", "pull", DateTime::UNIX_EPOCH).expect("free");
        let refused = RunLock::acquire(&store, "run-2", "pull", DateTime::UNIX_EPOCH).expect_err("held");
        assert!(refused.to_string().contains("run-1"), "{refused}");
        assert!(refused.to_string().contains("since 1970-01-01T00:00:00Z"), "{refused}");
        drop(first);
        RunLock::acquire(&store, "run-3", "pull", DateTime::UNIX_EPOCH).expect("free again");
    }
}

//! Where the refresh token lives between runs.
//!
//! A refresh answer may bring a new refresh token, and it is unknown whether the old one stays valid (Criteo docs, page
//! Authorization Code Setup, and Criteo's samples), so a new one is stored at once. Only refresh tokens are stored:
//! access tokens live for minutes.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use crate::secret::{self, SecretFileError, SecretString};

/// A place for one refresh token.
pub trait RefreshTokenStore: Send + Sync {
    /// The current refresh token; `None` if there never was one.
    fn load(&self) -> Result<Option<SecretString>, SecretFileError>;

    /// Replaces it.
    fn save(&self, token: &SecretString) -> Result<(), SecretFileError>;

    /// What to call the place in messages.
    fn place(&self) -> String;

    /// Whether the next run finds what was stored.
    fn is_lasting(&self) -> bool;
}

/// A file for its owner only, replaced as a whole.
#[derive(Clone, Debug)]
pub struct FileRefreshTokenStore {
    path: PathBuf,
}

impl FileRefreshTokenStore {
    /// The file need not exist; its folder is created when needed.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Forgets the refresh token; nothing happens if there is none.
    pub fn remove(&self) -> Result<(), SecretFileError> {
        match std::fs::remove_file(&self.path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(SecretFileError::Write { path: self.path.clone(), source: error })
            }
            _ => Ok(()),
        }
    }
}

impl RefreshTokenStore for FileRefreshTokenStore {
    fn load(&self) -> Result<Option<SecretString>, SecretFileError> {
        match secret::read_file(&self.path) {
            Err(SecretFileError::Read { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => Ok(None),
            other => other.map(Some),
        }
    }

    fn save(&self, token: &SecretString) -> Result<(), SecretFileError> {
        secret::write_file(&self.path, token)
    }

    fn place(&self) -> String {
        format!("`{}`", self.path.display())
    }

    fn is_lasting(&self) -> bool {
        true
    }
}

/// A refresh token from the environment: a rotated one lasts until the program ends.
#[derive(Debug)]
pub struct MemoryRefreshTokenStore(Mutex<SecretString>);

impl MemoryRefreshTokenStore {
    /// Starts with `token`.
    pub fn new(token: SecretString) -> Self {
        Self(Mutex::new(token))
    }
}

impl RefreshTokenStore for MemoryRefreshTokenStore {
    fn load(&self) -> Result<Option<SecretString>, SecretFileError> {
        Ok(Some(self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()))
    }

    fn save(&self, token: &SecretString) -> Result<(), SecretFileError> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = token.clone();
        Ok(())
    }

    fn place(&self) -> String {
        "the environment".to_owned()
    }

    fn is_lasting(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::ExposeSecret;

    #[test]
    fn a_refresh_token_survives_in_its_file_until_it_is_removed() {
        let folder = tempfile::tempdir().expect("a scratch folder");
        let store = FileRefreshTokenStore::new(folder.path().join("criteo/refresh-token"));
        assert!(store.load().expect("no error").is_none());
        store.save(&SecretString::from("r1")).expect("saves");
        assert_eq!(store.load().expect("loads").expect("is there").expose_secret(), "r1");
        store.remove().expect("removes");
        store.remove().expect("removing nothing is fine");
        assert!(store.load().expect("no error").is_none());
    }

    #[test]
    fn a_memory_store_is_not_printed() {
        let store = MemoryRefreshTokenStore::new(SecretString::from("r1"));
        assert!(!format!("{store:?}").contains("r1"));
    }
}

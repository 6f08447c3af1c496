//! Where a refresh token lives between runs.
//!
//! An answer to a refresh token may bring a new one, and it is unknown whether the old one stays valid (Criteo docs, page
//! Authorization Code Setup, and Criteo's samples), so a new one replaces it at once, atomically, before the access token
//! that came with it is used. Runs at the same time take turns: whoever exchanges holds a lock, and reads the token after
//! it has the lock. Only refresh tokens are stored: access tokens live for minutes.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, Months, Utc};
use serde::{Deserialize, Serialize};

use crate::secret::{self, ExposeSecret, SecretFileError, SecretString};

/// How long a refresh token is valid (Criteo docs, page Authorization Code Setup).
const LIFETIME: Months = Months::new(6);
/// Version of the file that `login` writes; a file of another version is not guessed at.
const FORMAT_VERSION: u32 = 1;

/// A refresh token, and since when it exists where that is known.
#[derive(Clone, Debug)]
pub struct StoredToken {
    /// The token.
    pub token: SecretString,
    /// When Criteo issued it.
    pub issued_at: Option<DateTime<Utc>>,
}

impl StoredToken {
    /// When it ends by itself, where that is known.
    pub fn expires_at(&self) -> Option<DateTime<Utc>> {
        self.issued_at.and_then(expires_at)
    }
}

fn expires_at(issued_at: DateTime<Utc>) -> Option<DateTime<Utc>> {
    issued_at.checked_add_months(LIFETIME)
}

/// Keeps other processes away from a token for as long as it lives.
#[derive(Debug)]
pub struct StoreLock(#[expect(dead_code, reason = "held, not read")] Option<File>);

/// A place for one refresh token.
pub trait RefreshTokenStore: Send + Sync {
    /// Keeps other processes from exchanging the token; `None` while another one does.
    fn try_lock(&self) -> io::Result<Option<StoreLock>>;

    /// The current refresh token; `None` if there is none.
    fn load(&self) -> Result<Option<StoredToken>, SecretFileError>;

    /// Replaces it by one that was issued just now.
    fn save(&self, token: &SecretString, now: DateTime<Utc>) -> Result<(), SecretFileError>;

    /// What to call the place in messages.
    fn place(&self) -> String;

    /// What a person does with a new consent so that it ends up here, as a clause.
    fn remedy(&self) -> &'static str;

    /// Whether the next run finds what was stored.
    fn is_lasting(&self) -> bool;
}

/// The folder that `login` writes to: one file per client id, for its owner only.
#[derive(Clone, Debug)]
pub struct LoginFolder(PathBuf);

impl LoginFolder {
    /// The folder need not exist.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// The file of an application's key; it need not exist.
    pub fn file(&self, client_id: &str) -> LoginFile {
        // Client ids are letters and digits; whatever else comes must not lead out of the folder.
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        let name: String = client_id
            .bytes()
            .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02x}") })
            .collect();
        LoginFile { path: self.0.join(format!("{name}.json")), client_id: client_id.to_owned() }
    }

    /// The client ids that there are files of.
    pub fn client_ids(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.0).into_iter().flatten().filter_map(Result::ok);
        let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
        let names = names.filter(|name| !name.starts_with('.'));
        let mut ids: Vec<String> = names.filter_map(|name| name.strip_suffix(".json").map(str::to_owned)).collect();
        ids.sort();
        ids
    }
}

/// What `login` stored of one consent.
#[derive(Clone, Debug)]
pub struct Login {
    /// The refresh token of it.
    pub current: StoredToken,
    /// When the consent was given.
    pub consented_at: DateTime<Utc>,
}

/// The file of one consent.
#[derive(Clone, Debug)]
pub struct LoginFile {
    path: PathBuf,
    client_id: String,
}

#[derive(Serialize, Deserialize)]
struct Content {
    format_version: u32,
    client_id: String,
    consented_at: DateTime<Utc>,
    issued_at: DateTime<Utc>,
    refresh_token: String,
}

impl LoginFile {
    /// The app's key that it belongs to.
    pub fn client_id(&self) -> &str {
        &self.client_id
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What was stored; `None` if nothing is.
    pub fn read(&self) -> Result<Option<Login>, SecretFileError> {
        let unusable = |reason| SecretFileError::Content { path: self.path.clone(), reason };
        let Some(text) = absent_is_none(secret::read_text(&self.path))? else { return Ok(None) };
        let document: serde_json::Value =
            serde_json::from_str(&text).map_err(|_| unusable("is damaged; remove it and run `criteo-source login`"))?;
        if document.get("format_version").and_then(serde_json::Value::as_u64) != Some(FORMAT_VERSION.into()) {
            return Err(unusable("was written by another version; remove it and run `criteo-source login`"));
        }
        let content: Content = serde_json::from_value(document)
            .map_err(|_| unusable("is damaged; remove it and run `criteo-source login`"))?;
        if content.client_id != self.client_id {
            return Err(unusable("is of another app; remove it and run `criteo-source login`"));
        }
        let current = StoredToken { token: content.refresh_token.into(), issued_at: Some(content.issued_at) };
        Ok(Some(Login { current, consented_at: content.consented_at }))
    }

    /// Stores the token of a consent that was just given.
    pub fn create(&self, token: &SecretString, now: DateTime<Utc>) -> Result<(), SecretFileError> {
        self.write(token, now, now)
    }

    fn write(&self, token: &SecretString, consented: DateTime<Utc>, now: DateTime<Utc>) -> Result<(), SecretFileError> {
        let content = Content {
            format_version: FORMAT_VERSION,
            client_id: self.client_id.clone(),
            consented_at: consented,
            issued_at: now,
            refresh_token: token.expose_secret().to_owned(),
        };
        let text = serde_json::to_string_pretty(&content).expect("plain data serializes");
        secret::write_file(&self.path, &SecretString::from(format!("{text}\n")))
    }

    /// Forgets the consent; false if there was none.
    pub fn remove(&self) -> Result<bool, SecretFileError> {
        let removed = match std::fs::remove_file(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            Err(source) => return Err(SecretFileError::Write { path: self.path.clone(), source }),
            Ok(()) => true,
        };
        // The lock is of no use without the token, and of no harm if it stays.
        let _ = std::fs::remove_file(lock_path(&self.path));
        Ok(removed)
    }
}

impl RefreshTokenStore for LoginFile {
    fn try_lock(&self) -> io::Result<Option<StoreLock>> {
        try_lock(&self.path)
    }

    fn load(&self) -> Result<Option<StoredToken>, SecretFileError> {
        Ok(self.read()?.map(|login| login.current))
    }

    fn save(&self, token: &SecretString, now: DateTime<Utc>) -> Result<(), SecretFileError> {
        let consented_at = self.read().ok().flatten().map_or(now, |login| login.consented_at);
        self.write(token, consented_at, now)
    }

    fn place(&self) -> String {
        format!("`{}`", self.path.display())
    }

    fn remedy(&self) -> &'static str {
        "run `criteo-source login`"
    }

    fn is_lasting(&self) -> bool {
        true
    }
}

/// A file that a user made (`CRITEO_REFRESH_TOKEN_FILE`): the token and nothing else. Its owner and its mode stay.
#[derive(Clone, Debug)]
pub struct TokenFile(PathBuf);

impl TokenFile {
    /// The file must exist when it is read.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }
}

impl RefreshTokenStore for TokenFile {
    fn try_lock(&self) -> io::Result<Option<StoreLock>> {
        try_lock(&self.0)
    }

    fn load(&self) -> Result<Option<StoredToken>, SecretFileError> {
        let token = secret::read_file(&self.0)?;
        // The file was written when the token was issued, or copied later: its end is not before this.
        let written = std::fs::metadata(&self.0).and_then(|metadata| metadata.modified()).ok();
        Ok(Some(StoredToken { token, issued_at: written.map(DateTime::from) }))
    }

    fn save(&self, token: &SecretString, _: DateTime<Utc>) -> Result<(), SecretFileError> {
        secret::rewrite_file(&self.0, token)
    }

    fn place(&self) -> String {
        format!("`{}` (`CRITEO_REFRESH_TOKEN_FILE`)", self.0.display())
    }

    fn remedy(&self) -> &'static str {
        "write the new refresh token to that file"
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
    fn try_lock(&self) -> io::Result<Option<StoreLock>> {
        Ok(Some(StoreLock(None)))
    }

    fn load(&self) -> Result<Option<StoredToken>, SecretFileError> {
        let token = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Ok(Some(StoredToken { token, issued_at: None }))
    }

    fn save(&self, token: &SecretString, _: DateTime<Utc>) -> Result<(), SecretFileError> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = token.clone();
        Ok(())
    }

    fn place(&self) -> String {
        "the variable `CRITEO_REFRESH_TOKEN`".to_owned()
    }

    fn remedy(&self) -> &'static str {
        "set `CRITEO_REFRESH_TOKEN` to the new refresh token"
    }

    fn is_lasting(&self) -> bool {
        false
    }
}

fn absent_is_none<T>(read: Result<T, SecretFileError>) -> Result<Option<T>, SecretFileError> {
    match read {
        Err(SecretFileError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(None),
        other => other.map(Some),
    }
}

fn lock_path(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.lock"))
}

/// The kernel's lock on a file beside the token's, which another file may replace at any time. It ends with the process.
fn try_lock(path: &Path) -> io::Result<Option<StoreLock>> {
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = match options.open(lock_path(path)) {
        // A folder that is not ours to write in, or a mounted secret: nobody replaces the token's own file there.
        Err(error) if matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem) => {
            File::open(path)?
        }
        opened => opened?,
    };
    match file.try_lock() {
        Ok(()) => Ok(Some(StoreLock(Some(file)))),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_790_000_000, 0).expect("an instant")
    }

    fn token(store: &dyn RefreshTokenStore) -> String {
        store.load().expect("loads").expect("is there").token.expose_secret().to_owned()
    }

    #[test]
    fn a_login_survives_in_its_file_until_it_is_removed_and_keeps_the_day_of_its_consent() {
        let folder = tempfile::tempdir().expect("a scratch folder");
        let logins = LoginFolder::new(folder.path().join("criteo-source"));
        let file = logins.file("an-id");
        assert!(file.load().expect("no error").is_none() && logins.client_ids().is_empty());
        file.create(&SecretString::from("r1"), now()).expect("stores");
        let later = now() + chrono::TimeDelta::days(60);
        file.save(&SecretString::from("r2"), later).expect("rotates");
        let login = file.read().expect("reads").expect("is there");
        assert_eq!((login.consented_at, login.current.issued_at), (now(), Some(later)));
        let expires_at = login.current.expires_at().expect("six months later");
        assert_eq!(expires_at, later.checked_add_months(Months::new(6)).expect("a date"));
        assert_eq!((token(&file), logins.client_ids()), ("r2".to_owned(), vec!["an-id".to_owned()]));
        assert!(file.remove().expect("removes") && !file.remove().expect("removing nothing is fine"));
        assert!(file.load().expect("no error").is_none());
    }

    #[test]
    fn a_client_id_never_leads_out_of_the_folder() {
        let file = LoginFolder::new("/state/criteo-source").file("../../etc/passwd");
        assert_eq!(file.path(), Path::new("/state/criteo-source/%2e%2e%2f%2e%2e%2fetc%2fpasswd.json"));
    }

    #[test]
    fn a_file_that_cannot_be_used_says_what_to_do_and_shows_nothing_of_it() {
        let folder = tempfile::tempdir().expect("a scratch folder");
        let file = LoginFolder::new(folder.path()).file("an-id");
        file.create(&SecretString::from("r1-secret"), now()).expect("stores");
        let good = std::fs::read_to_string(file.path()).expect("reads");
        for (content, said) in [
            (good.replace("\"format_version\": 1", "\"format_version\": 2"), "another version"),
            (good.replace("an-id", "other"), "of another app"),
            (good[..good.len() / 2].to_owned(), "damaged"),
            ("{}".to_owned(), "another version"),
        ] {
            std::fs::write(file.path(), content).expect("writes");
            let error = file.load().expect_err("refused").to_string();
            assert!(error.contains(said) && error.contains("criteo-source login"), "{error}");
            assert!(!error.contains("r1-secret"), "{error}");
        }
    }

    #[test]
    fn only_one_process_at_a_time_holds_the_lock() {
        let folder = tempfile::tempdir().expect("a scratch folder");
        let file = LoginFolder::new(folder.path()).file("an-id");
        let held = file.try_lock().expect("no error").expect("it is free");
        assert!(file.try_lock().expect("no error").is_none());
        // Replacing the token does not free it.
        file.create(&SecretString::from("r1"), now()).expect("stores");
        assert!(file.try_lock().expect("no error").is_none());
        drop(held);
        assert!(file.try_lock().expect("no error").is_some());
    }

    #[cfg(unix)]
    #[test]
    fn a_users_file_keeps_its_mode_and_a_link_to_it_stays_a_link() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().expect("a scratch folder");
        let (real, link) = (folder.path().join("token"), folder.path().join("link"));
        std::fs::write(&real, "r1\n").expect("writes");
        std::fs::set_permissions(&real, std::fs::Permissions::from_mode(0o400)).expect("our own file");
        std::os::unix::fs::symlink(&real, &link).expect("links");
        let store = TokenFile::new(&link);
        assert_eq!(token(&store), "r1");
        store.save(&SecretString::from("r2"), now()).expect("rotates");
        assert_eq!(std::fs::read_to_string(&real).expect("reads"), "r2\n");
        assert_eq!(std::fs::metadata(&real).expect("exists").permissions().mode() & 0o777, 0o400);
        assert!(std::fs::symlink_metadata(&link).expect("exists").is_symlink());
        assert_eq!(std::fs::read_dir(folder.path()).expect("lists").count(), 2, "nothing is left over");
    }

    #[test]
    fn a_memory_store_is_not_printed() {
        let store = MemoryRefreshTokenStore::new(SecretString::from("r1"));
        assert!(!format!("{store:?}").contains("r1"));
    }
}

//! The key pairs of the configured application, and the consents that they act by.
//!
//! Which file or variable holds what is decided in `settings`; here they are read. Nothing is called.

use std::path::Path;
use std::sync::Arc;

use super::connection::TokenGate;
use crate::auth::{
    ClientCredentials, Key, LoginFile, LoginFolder, MemoryRefreshTokenStore, RefreshTokenStore, TokenEndpoint,
    TokenFile, read_credentials_file,
};
use crate::error::{Code, Error, error_chain};
use crate::secret::{self, ExposeSecret};
use crate::settings::{ClientSource, RefreshTokenSource, Settings, is_quoted};

/// Everything that can get a token, in the order in which it is tried; never empty.
pub(super) struct Keys {
    pub(super) all: Vec<Key>,
}

impl Keys {
    /// Whether the application is an authorization-code one.
    pub(super) fn act_by_consent(&self) -> bool {
        self.all.iter().any(|key| key.consent.is_some())
    }
}

/// Reads the credentials. An application acts by a consent if a refresh token was given, or `login` has stored one.
pub(super) fn keys(settings: &Settings, gate: &TokenGate) -> Result<Keys, Error> {
    let source = settings.credentials()?;
    let pairs = pairs(&source.client)?;
    let given: Option<Arc<dyn RefreshTokenStore>> = match source.refresh_token {
        Some(RefreshTokenSource::Given(token)) => Some(Arc::new(MemoryRefreshTokenStore::new(token))),
        Some(RefreshTokenSource::File(path)) => Some(Arc::new(readable(TokenFile::new(path))?)),
        None => None,
    };
    let mut all = Vec::new();
    for credentials in pairs {
        let consent = match &given {
            Some(given) => Some(Arc::clone(given)),
            None => stored(settings, &credentials.client_id)?,
        };
        all.push(Key { endpoint: gate.endpoint(credentials), consent });
    }
    if all.iter().any(|key| key.consent.is_some()) {
        // A pair without a consent of its own cannot act for an application that needs one.
        all.retain(|key| key.consent.is_some());
    }
    Ok(Keys { all })
}

impl TokenGate {
    /// The endpoint as it is called with one key pair.
    pub(super) fn endpoint(&self, credentials: ClientCredentials) -> TokenEndpoint {
        TokenEndpoint::new(self.http.clone(), self.url.clone(), credentials, Arc::clone(&self.quota))
    }
}

/// The key pairs that are configured.
pub(super) fn pairs(client: &ClientSource) -> Result<Vec<ClientCredentials>, Error> {
    match client {
        ClientSource::Given { client_id, client_secret } => {
            Ok(vec![ClientCredentials { client_id: client_id.clone(), client_secret: client_secret.clone() }])
        }
        ClientSource::SecretFile { client_id, path } => {
            let client_secret = secret::read_file(path).map_err(|error| configuration(&error))?;
            if is_quoted(client_secret.expose_secret()) {
                let message = format!(
                    "the secret in `{}` (`CRITEO_CLIENT_SECRET_FILE`) is in quotes, which are sent as a part of it",
                    path.display()
                );
                return Err(Error::new(Code::InvalidCredentialsFile, message).with_remedy("remove the quotes"));
            }
            Ok(vec![ClientCredentials { client_id: client_id.clone(), client_secret }])
        }
        ClientSource::CredentialsFile { path } => read_pairs(path),
    }
}

/// The key pairs of a credentials file.
pub(super) fn read_pairs(path: &Path) -> Result<Vec<ClientCredentials>, Error> {
    read_credentials_file(path).map_err(|error| configuration(&error))
}

fn stored(settings: &Settings, client_id: &str) -> Result<Option<Arc<dyn RefreshTokenStore>>, Error> {
    let Some(folder) = &settings.state_folder else { return Ok(None) };
    let file: LoginFile = LoginFolder::new(folder).file(client_id);
    let login = file.read().map_err(|error| configuration(&error))?;
    Ok(login.map(|_| Arc::new(file) as Arc<dyn RefreshTokenStore>))
}

/// The store, unless its token cannot be read: that is known before anything is called.
fn readable(store: TokenFile) -> Result<TokenFile, Error> {
    store.load().map_err(|error| configuration(&error))?;
    Ok(store)
}

fn configuration(error: &(dyn std::error::Error + 'static)) -> Error {
    Error::new(Code::InvalidCredentialsFile, error_chain(error))
}

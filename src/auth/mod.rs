//! Access tokens: getting them from an OAuth token endpoint, keeping them fresh, keeping their secrets secret.
//!
//! Two grants serve requests, client credentials and refresh token; the authorization code of a login is requested and
//! exchanged here too. This module opens no browser, stores nothing but refresh tokens, and sends through `http` like everything
//! else. Rights are not its business: they belong to the application and to the advertisers that consented.

mod consent;
mod credentials_file;
mod error;
mod exchange;
mod grant;
mod keys;
mod refresh;
mod refresh_store;
mod token;

pub use consent::{ConsentRequest, NoChance, RedirectError};
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use credentials_file::parse as parse_credentials;
pub use credentials_file::{CredentialsFileError, read_credentials_file};
pub use error::AuthError;
pub use exchange::finish_exchanges;
pub use grant::{ClientCredentials, Grant, TokenAnswer, TokenEndpoint};
pub use keys::{Key, Tell, token_cache};
pub use refresh_store::{
    Login, LoginFile, LoginFolder, MemoryRefreshTokenStore, RefreshTokenStore, StoreLock, StoredToken, TokenFile,
};
pub use token::{IssuedToken, TokenCache, TokenError};

//! Tokens of an application that may have several key pairs: the first one that the token endpoint knows is used.
//!
//! So a key can be replaced without a gap: put the new pair beside the old one, delete the old one at Criteo, remove it
//! from the file. Only `invalid_client` says that a pair is dead; any other refusal would meet every pair alike.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::FutureExt;

use super::error::AuthError;
use super::grant::{Grant, TokenEndpoint};
use super::refresh::Refresh;
use super::refresh_store::RefreshTokenStore;
use super::token::{IssuedToken, TokenCache};
use crate::clock::{Clock, Deadline};
use crate::notice::Code;

/// Where something goes that an operator should know although the run goes on: a stable code, and a sentence.
pub type Tell = Arc<dyn Fn(Code, String) + Send + Sync>;

/// A key pair, and the consent that it acts by; without one it acts for the application itself.
pub struct Key {
    /// The token endpoint, with the pair.
    pub endpoint: TokenEndpoint,
    /// Where the refresh token of the consent is.
    pub consent: Option<Arc<dyn RefreshTokenStore>>,
}

struct Keys {
    all: Vec<(TokenEndpoint, Option<Refresh>)>,
    /// The first one that was not rejected.
    current: AtomicUsize,
    tell: Tell,
}

/// A token cache that tries the key pairs in their order; the order is not empty.
pub fn token_cache(clock: Clock, keys: Vec<Key>, tell: Tell) -> Arc<TokenCache> {
    let with_refresh = |key: Key| {
        let refresh = key.consent.map(|store| Refresh::new(key.endpoint.clone(), store, Arc::clone(&tell)));
        (key.endpoint, refresh)
    };
    let all = keys.into_iter().map(with_refresh).collect();
    let keys = Arc::new(Keys { all, current: AtomicUsize::new(0), tell });
    TokenCache::new(clock, move |deadline| {
        let keys = Arc::clone(&keys);
        async move { keys.fetch(deadline).await }.boxed()
    })
}

impl Keys {
    async fn fetch(&self, deadline: Deadline) -> Result<IssuedToken, AuthError> {
        loop {
            let index = self.current.load(Ordering::Relaxed);
            let (endpoint, refresh) = &self.all[index];
            let fetched = match refresh {
                Some(refresh) => refresh.fetch(deadline).await,
                None => client_credentials(endpoint, deadline).await,
            };
            let Err(error) = fetched else { return fetched };
            let Some((next, _)) = self.all.get(index + 1).filter(|_| error.is_invalid_client()) else {
                return Err(if index > 0 && error.is_invalid_client() { self.all_rejected(error) } else { error });
            };
            (self.tell)(
                Code::KeyRejected,
                format!(
                    "Criteo does not know the key pair with the client id `{}` (any more); the next one is used, `{}`: remove \
                     the rejected pair from the credentials file, and delete it in the partner portal if it is still there",
                    endpoint.client_id(),
                    next.client_id()
                ),
            );
            self.current.store(index + 1, Ordering::Relaxed);
        }
    }

    fn all_rejected(&self, error: AuthError) -> AuthError {
        let AuthError::Refused { error, description } = error else { return error };
        let ids: Vec<String> = self.all.iter().map(|(endpoint, _)| format!("`{}`", endpoint.client_id())).collect();
        let description = format!("{description} (all {} key pairs: {})", ids.len(), ids.join(", "));
        AuthError::Refused { error, description: description.trim_start().to_owned() }
    }
}

async fn client_credentials(endpoint: &TokenEndpoint, deadline: Deadline) -> Result<IssuedToken, AuthError> {
    let answer = endpoint.request(&Grant::ClientCredentials, deadline).await?;
    Ok(IssuedToken { token: answer.access_token, lifetime: answer.lifetime })
}

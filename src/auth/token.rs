//! One access token, shared by all requests: renewed before it gets old, fetched by one request at a time.
//!
//! The cache knows nothing of Criteo; how a token is fetched is a closure. It keeps no token that was refused, and does
//! not ask again and again with credentials that were refused.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tracing::{error, info, warn};

use super::error::AuthError;
use super::grant::{Grant, TokenEndpoint};
use super::refresh_store::RefreshTokenStore;
use crate::clock::{Clock, Deadline};
use crate::http::{Bearer, BearerError, BearerSource};
use crate::secret::SecretString;

/// A token is renewed when less than this is left (Criteo docs, page Authentication: tokens live 15 minutes; reports
/// may run longer than what is left), or a tenth of a short life.
const MIN_REMAINING: Duration = Duration::from_mins(1);
/// From one fetch to the next at least, for servers that hand out tokens living seconds.
const FETCH_PAUSE: Duration = Duration::from_secs(1);
/// How long a permanent refusal is repeated from memory: requests under way must not each try the same wrong secret.
const REFUSAL_MEMORY: Duration = Duration::from_secs(30);

/// A token and how long it lives from the moment it was asked for.
#[derive(Clone, Debug)]
pub struct IssuedToken {
    /// The token.
    pub token: SecretString,
    /// Its life.
    pub lifetime: Duration,
}

type Fetch = dyn Fn(Deadline) -> BoxFuture<'static, Result<IssuedToken, AuthError>> + Send + Sync;

/// Keeps one token fresh.
pub struct TokenCache {
    clock: Clock,
    fetch: Box<Fetch>,
    cached: RwLock<Cached>,
    /// Held by whoever fetches.
    refresh: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Cached {
    token: Option<Token>,
    refused: Option<(AuthError, Duration)>,
    fetched_at: Option<Duration>,
}

struct Token {
    bearer: Bearer,
    use_until: Duration,
}

impl TokenCache {
    /// A cache that fetches with `fetch`, which must end by the deadline it is given.
    pub fn new<F>(clock: Clock, fetch: F) -> Arc<Self>
    where
        F: Fn(Deadline) -> BoxFuture<'static, Result<IssuedToken, AuthError>> + Send + Sync + 'static,
    {
        let fetch = Box::new(fetch);
        Arc::new(Self { clock, fetch, cached: RwLock::default(), refresh: tokio::sync::Mutex::new(()) })
    }

    /// Tokens of an application that acts for itself.
    pub fn client_credentials(endpoint: TokenEndpoint) -> Arc<Self> {
        Self::new(endpoint.client().clock().clone(), move |deadline| {
            let endpoint = endpoint.clone();
            async move {
                let answer = endpoint.request(&Grant::ClientCredentials, deadline).await?;
                Ok(IssuedToken { token: answer.access_token, lifetime: answer.lifetime })
            }
            .boxed()
        })
    }

    /// Tokens by an earlier consent; a new refresh token goes to the store before the access token is used.
    pub fn refresh_token(endpoint: TokenEndpoint, store: Arc<dyn RefreshTokenStore>) -> Arc<Self> {
        Self::new(endpoint.client().clock().clone(), move |deadline| {
            refresh(endpoint.clone(), Arc::clone(&store), deadline).boxed()
        })
    }

    /// The token, fetched if the one at hand is missing, refused or old.
    pub async fn get(&self, deadline: Deadline) -> Result<Bearer, AuthError> {
        if let Some(known) = self.known() {
            return known;
        }
        let waiting = self.clock.within(deadline, self.refresh.lock());
        let _fetching = waiting.await.map_err(|_| AuthError::DeadlinePassed)?;
        // Somebody else may have fetched it while this one waited.
        if let Some(known) = self.known() {
            return known;
        }
        self.pause().await;
        let asked_at = self.clock.elapsed();
        let fetched = (self.fetch)(deadline).await;
        self.keep(asked_at, fetched)
    }

    fn known(&self) -> Option<Result<Bearer, AuthError>> {
        let now = self.clock.elapsed();
        let cached = self.cached.read().unwrap_or_else(PoisonError::into_inner);
        if let Some((error, _)) = cached.refused.as_ref().filter(|(_, until)| now < *until) {
            return Some(Err(error.clone()));
        }
        let token = cached.token.as_ref().filter(|token| now < token.use_until)?;
        Some(Ok(token.bearer.clone()))
    }

    async fn pause(&self) {
        let fetched_at = self.cached.read().unwrap_or_else(PoisonError::into_inner).fetched_at;
        if let Some(fetched_at) = fetched_at {
            let pause = (fetched_at + FETCH_PAUSE).saturating_sub(self.clock.elapsed());
            if !pause.is_zero() {
                self.clock.sleep(pause).await;
            }
        }
    }

    fn keep(&self, asked_at: Duration, fetched: Result<IssuedToken, AuthError>) -> Result<Bearer, AuthError> {
        let mut cached = self.cached.write().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.elapsed();
        cached.fetched_at = Some(now);
        match fetched {
            Ok(IssuedToken { token, lifetime }) => {
                let bearer = Bearer::new(token);
                let use_until = asked_at + lifetime.saturating_sub(MIN_REMAINING.min(lifetime / 10));
                *cached = Cached { token: Some(Token { bearer: bearer.clone(), use_until }), refused: None, ..*cached };
                Ok(bearer)
            }
            Err(error) => {
                cached.refused = error.is_permanent().then(|| (error.clone(), now + REFUSAL_MEMORY));
                Err(error)
            }
        }
    }
}

async fn refresh(
    endpoint: TokenEndpoint,
    store: Arc<dyn RefreshTokenStore>,
    deadline: Deadline,
) -> Result<IssuedToken, AuthError> {
    let stored = store.load().map_err(|source| AuthError::Store { source: Arc::new(source) })?;
    let current = stored.ok_or_else(|| AuthError::NotLoggedIn { place: store.place() })?;
    let answer = endpoint.request(&Grant::RefreshToken(current), deadline).await?;
    if let Some(rotated) = &answer.refresh_token {
        match store.save(rotated) {
            Ok(()) if store.is_lasting() => info!(place = %store.place(), "stored the refresh token"),
            Ok(()) => warn!(
                "Criteo sent a new refresh token, which is used until this run ends and not stored; should the old one stop \
                 working, the next run needs a new one in `CRITEO_REFRESH_TOKEN`"
            ),
            // This run has its access token; it would be a waste to fail it for the sake of the next one.
            Err(reason) => error!(
                place = %store.place(), %reason, source = ?std::error::Error::source(&reason),
                "cannot store the new refresh token; if the old one is no longer valid, the next run needs a new one"
            ),
        }
    }
    Ok(IssuedToken { token: answer.access_token, lifetime: answer.lifetime })
}

impl BearerSource for TokenCache {
    fn bearer(&self, deadline: Deadline) -> BoxFuture<'_, Result<Bearer, BearerError>> {
        async move { self.get(deadline).await.map_err(BearerError::from) }.boxed()
    }

    fn reject(&self, bearer: &Bearer) -> bool {
        let mut cached = self.cached.write().unwrap_or_else(PoisonError::into_inner);
        // Another request may have dropped it, or fetched a new one, since this one was sent.
        let is_current = cached.token.as_ref().is_some_and(|token| token.bearer.is(bearer));
        if is_current {
            cached.token = None;
        }
        is_current
    }
}

impl fmt::Debug for TokenCache {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("TokenCache").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;

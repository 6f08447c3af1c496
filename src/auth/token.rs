//! One access token, shared by all requests: renewed before it gets old, fetched by one request at a time.
//!
//! The cache knows no server; how a token is fetched is a closure, with an error of its own. It keeps no token that was
//! refused, and does not ask again and again with credentials that were refused.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::error::AuthError;
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

/// A token and how long it lives from the moment it was requested.
#[derive(Clone, Debug)]
pub struct IssuedToken {
    /// The token.
    pub token: SecretString,
    /// Its life.
    pub lifetime: Duration,
}

/// What the cache has to know of the error of its fetches.
pub trait TokenError: std::error::Error + Clone + Send + Sync + 'static {
    /// Whether a person has to change something before a fetch can succeed.
    fn is_permanent(&self) -> bool;

    /// The deadline passed before there was a token.
    fn deadline_passed() -> Self;
}

type Fetch<E> = dyn Fn(Deadline) -> BoxFuture<'static, Result<IssuedToken, E>> + Send + Sync;

/// Keeps one token fresh.
pub struct TokenCache<E: TokenError = AuthError>(Arc<Inner<E>>);

struct Inner<E> {
    clock: Clock,
    fetch: Box<Fetch<E>>,
    cached: RwLock<Cached<E>>,
    /// Held by whoever fetches.
    refresh: Arc<tokio::sync::Mutex<()>>,
}

struct Cached<E> {
    token: Option<Token>,
    refused: Option<(E, Duration)>,
    fetched_at: Option<Duration>,
}

struct Token {
    bearer: Bearer,
    use_until: Duration,
}

impl<E: TokenError> TokenCache<E> {
    /// A cache that fetches with `fetch`, which must end by the deadline it is given, or soon after.
    pub fn new<F>(clock: Clock, fetch: F) -> Arc<Self>
    where
        F: Fn(Deadline) -> BoxFuture<'static, Result<IssuedToken, E>> + Send + Sync + 'static,
    {
        let cached = RwLock::new(Cached { token: None, refused: None, fetched_at: None });
        Arc::new(Self(Arc::new(Inner { clock, fetch: Box::new(fetch), cached, refresh: Arc::default() })))
    }

    /// The token, fetched if the one at hand is missing, refused or old.
    ///
    /// A fetch runs to its end and its token is kept, also when the request that wanted it is cancelled or its deadline
    /// passes: what was exchanged for the token may be gone.
    pub async fn get(&self, deadline: Deadline) -> Result<Bearer, E> {
        if let Some(known) = self.0.known() {
            return known;
        }
        let waiting = self.0.clock.within(deadline, Arc::clone(&self.0.refresh).lock_owned());
        let fetching = waiting.await.map_err(|_| E::deadline_passed())?;
        // Somebody else may have fetched it while this one waited.
        if let Some(known) = self.0.known() {
            return known;
        }
        let inner = Arc::clone(&self.0);
        let task = tokio::spawn(async move {
            let _fetching = fetching;
            inner.pause().await;
            let asked_at = inner.clock.elapsed();
            let fetched = (inner.fetch)(deadline).await;
            inner.keep(asked_at, fetched)
        });
        match self.0.clock.within(deadline, task).await {
            Ok(Ok(result)) => result,
            Ok(Err(error)) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            // The runtime is being shut down, or the deadline has passed.
            Ok(Err(_)) | Err(_) => Err(E::deadline_passed()),
        }
    }
}

impl<E: TokenError> Inner<E> {
    fn known(&self) -> Option<Result<Bearer, E>> {
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

    fn keep(&self, asked_at: Duration, fetched: Result<IssuedToken, E>) -> Result<Bearer, E> {
        let mut cached = self.cached.write().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.elapsed();
        cached.fetched_at = Some(now);
        match fetched {
            Ok(IssuedToken { token, lifetime }) => {
                let bearer = Bearer::new(token);
                let use_until = asked_at + lifetime.saturating_sub(MIN_REMAINING.min(lifetime / 10));
                cached.token = Some(Token { bearer: bearer.clone(), use_until });
                cached.refused = None;
                Ok(bearer)
            }
            Err(error) => {
                cached.refused = error.is_permanent().then(|| (error.clone(), now + REFUSAL_MEMORY));
                Err(error)
            }
        }
    }
}

impl<E: TokenError> BearerSource for TokenCache<E> {
    fn bearer(&self, deadline: Deadline) -> BoxFuture<'_, Result<Bearer, BearerError>> {
        async move { self.get(deadline).await.map_err(BearerError::from) }.boxed()
    }

    fn reject(&self, bearer: &Bearer) -> bool {
        let mut cached = self.0.cached.write().unwrap_or_else(PoisonError::into_inner);
        // Another request may have dropped it, or fetched a new one, since this one was sent.
        let is_current = cached.token.as_ref().is_some_and(|token| token.bearer.is(bearer));
        if is_current {
            cached.token = None;
        }
        is_current
    }
}

impl<E: TokenError> fmt::Debug for TokenCache<E> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("TokenCache").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;

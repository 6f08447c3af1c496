//! The exchange of a refresh token for an access token, by one process at a time and never cut off.
//!
//! The order is fixed: take the lock, read the token, send it, store the new one, hand out the access token. So two runs
//! never send the same token, and no new one is used before it is on disk.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::TimeDelta;
use tracing::{debug, info};

use super::error::AuthError;
use super::exchange;
use super::grant::{Grant, TokenAnswer, TokenEndpoint};
use super::keys::Tell;
use super::refresh_store::{RefreshTokenStore, StoreLock, StoredToken};
use super::token::{IssuedToken, TokenError as _};
use crate::clock::Deadline;
use crate::error::error_chain;
use crate::notice::Code;
use crate::secret::{ExposeSecret, SecretFileError, SecretString};

/// Before the end of a consent a warning says when it ends.
const WARNING: TimeDelta = TimeDelta::days(30);
/// How often another process is asked whether it has finished its exchange.
const LOCK_INTERVAL: Duration = Duration::from_millis(50);
/// An exchange of another process takes seconds; one that takes longer hangs.
const LOCK_PATIENCE: Duration = Duration::from_mins(2);

/// A consent and how to use it.
pub(super) struct Refresh {
    endpoint: TokenEndpoint,
    store: Arc<dyn RefreshTokenStore>,
    tell: Tell,
    /// A new token that could not be stored, and the one that it replaces.
    unsaved: Mutex<Option<(SecretString, SecretString)>>,
}

impl Refresh {
    pub(super) fn new(endpoint: TokenEndpoint, store: Arc<dyn RefreshTokenStore>, tell: Tell) -> Self {
        Self { endpoint, store, tell, unsaved: Mutex::new(None) }
    }

    /// Exchanges the refresh token; the new one, if there is one, is stored when this returns.
    pub(super) async fn fetch(&self, deadline: Deadline) -> Result<IssuedToken, AuthError> {
        let _lock = self.lock(deadline).await?;
        let mut current = self.load()?;
        let _under_way = exchange::begin();
        let answer = match self.exchange(&current, deadline).await {
            // A process that does not know our lock, on another machine perhaps, may have been faster.
            Err(error) if error.is_invalid_grant() => {
                let newer = self.load()?;
                if newer.token.expose_secret() == current.token.expose_secret() {
                    return Err(self.ended(error));
                }
                debug!("the refresh token was replaced meanwhile; trying with the new one");
                current = newer;
                let answer = self.exchange(&current, deadline).await;
                answer.map_err(|error| if error.is_invalid_grant() { self.ended(error) } else { error })?
            }
            answered => answered?,
        };
        let rotated = answer.refresh_token.filter(|new| new.expose_secret() != current.token.expose_secret());
        match rotated {
            Some(rotated) => self.keep(&current, &rotated),
            None => self.warn_of_end(&current),
        }
        Ok(IssuedToken { token: answer.access_token, lifetime: answer.lifetime })
    }

    async fn exchange(&self, current: &StoredToken, deadline: Deadline) -> Result<TokenAnswer, AuthError> {
        self.endpoint.request(&Grant::RefreshToken(current.token.clone()), deadline).await
    }

    /// Waits in real time: the other process knows nothing of our clock.
    async fn lock(&self, deadline: Deadline) -> Result<StoreLock, AuthError> {
        let clock = self.endpoint.client().clock();
        let deadline = deadline.or_sooner(Deadline::after(clock, LOCK_PATIENCE));
        loop {
            let locked = self
                .store
                .try_lock()
                .map_err(|source| AuthError::Lock { place: self.store.place(), source: Arc::new(source) })?;
            if let Some(lock) = locked {
                return Ok(lock);
            }
            if !deadline.allows(clock, LOCK_INTERVAL) {
                return Err(AuthError::deadline_passed());
            }
            tokio::time::sleep(LOCK_INTERVAL).await;
        }
    }

    fn load(&self) -> Result<StoredToken, AuthError> {
        let stored = self.store.load().map_err(|source| AuthError::Store { source: Arc::new(source) })?;
        let stored = stored.ok_or_else(|| AuthError::NotLoggedIn { place: self.store.place() })?;
        let unsaved = self.unsaved.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(match &*unsaved {
            Some((replaced, token)) if replaced.expose_secret() == stored.token.expose_secret() => {
                StoredToken { token: token.clone(), issued_at: None }
            }
            _ => stored,
        })
    }

    fn keep(&self, current: &StoredToken, rotated: &SecretString) {
        let place = self.store.place();
        match self.store.save(rotated, self.endpoint.client().clock().now()) {
            Ok(()) if self.store.is_lasting() => info!(%place, "stored the new refresh token"),
            Ok(()) => (self.tell)(
                Code::RefreshTokenNotStored,
                "Criteo replaced the refresh token of `CRITEO_REFRESH_TOKEN`, and a variable cannot be changed from here: \
                 should the old one stop working, the next run fails; use `CRITEO_REFRESH_TOKEN_FILE` (a file that is kept up \
                 to date) or `criteo-source login`"
                    .to_owned(),
            ),
            Err(error) => self.not_stored(current, rotated, &place, &error),
        }
    }

    /// This run has its access token, and the new refresh token in memory; failing it would help nobody.
    fn not_stored(&self, current: &StoredToken, rotated: &SecretString, place: &str, error: &SecretFileError) {
        let mut unsaved = self.unsaved.lock().unwrap_or_else(PoisonError::into_inner);
        let replaced = match unsaved.take() {
            // What is on disk is still the one that the first unsaved token replaced.
            Some((replaced, token)) if token.expose_secret() == current.token.expose_secret() => replaced,
            _ => current.token.clone(),
        };
        *unsaved = Some((replaced, rotated.clone()));
        (self.tell)(
            Code::RefreshTokenNotStored,
            format!(
                "Criteo replaced the refresh token, and the new one cannot be written to {place} ({}): should the old one stop \
                 working, the next run fails; make the folder of the file writable for this user (a file is replaced, so that \
                 nobody ever reads half of it)",
                error_chain(error)
            ),
        );
    }

    fn warn_of_end(&self, current: &StoredToken) {
        let Some(end) = current.expires_at() else { return };
        if end - self.endpoint.client().clock().now() > WARNING {
            return;
        }
        (self.tell)(
            Code::ConsentEndsSoon,
            format!(
                "the consent for the app with the client id `{}` ends about {}, six months after its refresh token was issued; \
                 let an admin, business manager or technical manager of the advertisers consent again before, and {}",
                self.endpoint.client_id(),
                end.date_naive(),
                self.store.remedy()
            ),
        );
    }

    fn ended(&self, error: AuthError) -> AuthError {
        let AuthError::Refused { description, .. } = error else { return error };
        AuthError::ConsentEnded { place: self.store.place(), description, remedy: self.store.remedy() }
    }
}

//! What the send loop needs to know of an access token: how to get one and how to say that it was refused.
//!
//! Where tokens come from, and how long they live, is the business of `auth`.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::BoxFuture;
use reqwest::header::HeaderValue;

use crate::clock::Deadline;
use crate::secret::{ExposeSecret, SecretString};

/// Why there is no token; `auth` puts its own error here, to be found with `downcast_ref`.
pub type BearerError = Box<dyn std::error::Error + Send + Sync>;

/// An access token, cheap to clone and impossible to print.
#[derive(Clone)]
pub struct Bearer(Arc<Issued>);

struct Issued {
    token: SecretString,
    /// A server has answered a request with it by something else than a 401.
    accepted: AtomicBool,
}

impl Bearer {
    /// A token as the server issued it.
    pub fn new(token: SecretString) -> Self {
        Self(Arc::new(Issued { token, accepted: AtomicBool::new(false) }))
    }

    /// Whether both are the same token.
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0.token.expose_secret() == other.0.token.expose_secret()
    }

    /// The server took it: whatever refuses it later refuses a token that has ended, not the credentials behind it.
    pub(super) fn accept(&self) {
        self.0.accepted.store(true, Ordering::Relaxed);
    }

    /// Whether the server ever took it.
    pub(super) fn was_accepted(&self) -> bool {
        self.0.accepted.load(Ordering::Relaxed)
    }

    /// The `Authorization` header, marked so that no layer logs it; `None` if the token is not fit for a header.
    pub(super) fn header(&self) -> Option<HeaderValue> {
        let mut value = HeaderValue::try_from(format!("Bearer {}", self.0.token.expose_secret())).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

impl fmt::Debug for Bearer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Bearer([redacted])")
    }
}

/// Somewhere access tokens come from.
pub trait BearerSource: Send + Sync {
    /// A token that is good for the next call; issued, renewed or waited for before `deadline`.
    fn bearer(&self, deadline: Deadline) -> BoxFuture<'_, Result<Bearer, BearerError>>;

    /// The server refused this token: it must not be handed out again. False if it was no longer the one handed out,
    /// because another request that used it was refused before.
    fn reject(&self, bearer: &Bearer) -> bool;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bearer_is_not_printed_and_its_header_is_sensitive() {
        let bearer = Bearer::new(SecretString::from("t0ken"));
        let header = bearer.header().expect("fit for a header");
        assert_eq!(header, "Bearer t0ken");
        assert!(!format!("{bearer:?} {header:?}").contains("t0ken"));
        assert!(bearer.is(&Bearer::new(SecretString::from("t0ken"))));
    }
}

//! Why there is no access token, in words that say what to do about it.

use std::sync::Arc;

use super::token::TokenError;
use crate::http::SendError;
use crate::secret::SecretFileError;

/// Why there is no access token. Cheap to clone: everyone who waited for the token is told.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AuthError {
    /// The token endpoint refused the credentials for good.
    #[error("the token endpoint refused: {}; {}", said(error, description), remedy(error))]
    Refused {
        /// OAuth's error, such as `invalid_client`.
        error: String,
        /// The server's words; may be empty.
        description: String,
    },
    /// The token endpoint could not be reached, kept failing, or answered with an error that is not OAuth's.
    #[error("the token endpoint gave no token")]
    Unavailable {
        /// What the send loop says.
        #[source]
        source: Arc<SendError>,
    },
    /// The token endpoint's answer has no usable token.
    #[error("the token endpoint's answer is not usable: {reason}")]
    Answer {
        /// What is wrong with it, without quoting it.
        reason: String,
    },
    /// Another request was fetching a token, and the deadline of this one passed meanwhile.
    #[error("no access token before the deadline")]
    DeadlinePassed,
    /// There is no refresh token.
    #[error("there is no refresh token in {place}; set `CRITEO_REFRESH_TOKEN`")]
    NotLoggedIn {
        /// Where it was looked for.
        place: String,
    },
    /// The stored refresh token cannot be read.
    #[error("the stored refresh token cannot be used")]
    Store {
        /// Why.
        #[source]
        source: Arc<SecretFileError>,
    },
}

impl AuthError {
    /// The error of a failed call to the token endpoint. OAuth's `error` decides, not the status: Criteo answers a
    /// wrong secret with 401, others with 400 (Criteo docs, page Authentication; Criteo's SDK tests).
    pub(super) fn from_send(source: SendError) -> Self {
        let refused = matches!(source, SendError::Refused { .. });
        match source.problem().and_then(|problem| problem.oauth_error()) {
            Some((error, description)) if refused || is_permanent(error) => {
                Self::Refused { error: error.to_owned(), description: description.to_owned() }
            }
            _ => Self::Unavailable { source: Arc::new(source) },
        }
    }
}

impl TokenError for AuthError {
    fn is_permanent(&self) -> bool {
        match self {
            Self::Refused { .. } | Self::Answer { .. } | Self::NotLoggedIn { .. } | Self::Store { .. } => true,
            Self::Unavailable { source } => !source.is_unavailable(),
            Self::DeadlinePassed => false,
        }
    }

    fn deadline_passed() -> Self {
        Self::DeadlinePassed
    }
}

fn is_permanent(error: &str) -> bool {
    matches!(error, "invalid_client" | "invalid_grant" | "unauthorized_client" | "invalid_request")
}

fn said(error: &str, description: &str) -> String {
    if description.is_empty() { format!("`{error}`") } else { format!("`{error}`: {description}") }
}

fn remedy(error: &str) -> &'static str {
    match error {
        "invalid_client" => {
            "check `CRITEO_CLIENT_ID` and `CRITEO_CLIENT_SECRET` (or the credentials file): both must belong to the \
             same key pair of the application, and the secret must be pasted whole, with any `+`, `/` and `=`"
        }
        "invalid_grant" => {
            "the refresh token or code is expired, revoked, used up, or of another application; set \
             a new `CRITEO_REFRESH_TOKEN`, or, where none is used, check `CRITEO_CLIENT_ID` and `CRITEO_CLIENT_SECRET`"
        }
        "unauthorized_client" | "unsupported_grant_type" => {
            "the application may not use this grant; compare its type in Criteo's partner portal (client credentials \
             or authorization code) with what is configured"
        }
        "invalid_request" => "check that no part of the credentials is empty",
        _ => "check the credentials and the application in Criteo's partner portal",
    }
}

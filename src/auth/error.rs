//! Why there is no access token, in words that say what to do about it.

use std::sync::Arc;

use super::token::TokenError;
use crate::http::SendError;
use crate::secret::SecretFileError;

/// Why there is no access token. Cheap to clone: everyone who waited for the token is told.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AuthError {
    /// The token endpoint refused the credentials for good.
    #[error("the token endpoint refused: {}", said(error, description))]
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
    /// The token endpoint does not accept the refresh token.
    #[error(
        "the token endpoint refused the refresh token of {place}: {}; it has expired (after six months), was revoked, or the \
         user who consented has left or has another role",
        said("invalid_grant", description)
    )]
    ConsentEnded {
        /// Where the refresh token was read.
        place: String,
        /// The server's words; may be empty.
        description: String,
        /// What to do after the new consent.
        remedy: &'static str,
    },
    /// It cannot be told whether another process uses the refresh token.
    #[error("{place} cannot be locked against other runs")]
    Lock {
        /// Where the refresh token is.
        place: String,
        /// Why.
        #[source]
        source: Arc<std::io::Error>,
    },
    /// There is no refresh token.
    #[error("there is no refresh token in {place} any more")]
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
    /// Whether the key pair is unknown to the token endpoint.
    pub fn is_invalid_client(&self) -> bool {
        matches!(self, Self::Refused { error, .. } if error == "invalid_client")
    }

    /// Whether what was to be exchanged is worth nothing (any more).
    pub fn is_invalid_grant(&self) -> bool {
        matches!(self, Self::Refused { error, .. } if error == "invalid_grant")
    }

    /// What to do about it, where more is known than that the credentials are to be checked.
    pub fn remedy(&self) -> Option<String> {
        match self {
            Self::Refused { error, .. } => Some(remedy(error).to_owned()),
            Self::ConsentEnded { remedy, .. } => Some(format!(
                "an admin, business manager or technical manager of the advertisers has to consent again, then {remedy}"
            )),
            Self::NotLoggedIn { .. } => Some("run `criteo-source login`".to_owned()),
            _ => None,
        }
    }

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
            Self::Refused { .. }
            | Self::Answer { .. }
            | Self::NotLoggedIn { .. }
            | Self::ConsentEnded { .. }
            | Self::Lock { .. }
            | Self::Store { .. } => true,
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
            "check `CRITEO_CLIENT_ID` and `CRITEO_CLIENT_SECRET` (or the credentials file), and in the partner portal that the \
             app is active"
        }
        "unauthorized_client" | "unsupported_grant_type" => {
            "the application may not use this grant; compare its type in Criteo's partner portal (client credentials \
             or authorization code) with what is configured"
        }
        "invalid_request" => "check that no part of the credentials is empty",
        _ => "check the credentials and the application in Criteo's partner portal",
    }
}

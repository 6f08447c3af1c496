//! Which key pair a sign-in is for: the first one that Criteo knows.

use std::path::Path;

use super::connection::{Patience, TokenGate};
use super::key_pairs::{pairs, read_pairs};
use crate::auth::{Grant, TokenEndpoint};
use crate::clock::{Clock, Deadline};
use crate::error::Error;
use crate::settings::Settings;

/// The consent page (Criteo docs, page Authorization Code Setup).
pub const CONSENT_URL: &str = "https://consent.criteo.com/request";

/// The token endpoint with the key pair to sign in with, and the client ids before it that Criteo does not know.
///
/// With one pair nothing is called. With several, each is tried with the grant that needs no consent: whatever the answer
/// is but `invalid_client`, Criteo knows the pair.
pub async fn login_endpoint(settings: &Settings, clock: &Clock) -> Result<(TokenEndpoint, Vec<String>), Error> {
    let gate = TokenGate::open(settings, clock, Patience::Interactive)?;
    let source = settings.credentials()?;
    let mut endpoints = pairs(&source.client)?.into_iter().map(|credentials| gate.endpoint(credentials)).peekable();
    let mut rejected = Vec::new();
    loop {
        let endpoint = endpoints.next().ok_or_else(|| Error::unexpected("the credentials hold no key pair"))?;
        if endpoints.peek().is_none() {
            return Ok((endpoint, rejected));
        }
        match endpoint.request(&Grant::ClientCredentials, Deadline::never()).await {
            Err(error) if error.is_invalid_client() => rejected.push(endpoint.client_id().to_owned()),
            _ => return Ok((endpoint, rejected)),
        }
    }
}

/// The client ids of a credentials file.
pub fn client_ids(path: &Path) -> Result<Vec<String>, Error> {
    Ok(read_pairs(path)?.into_iter().map(|pair| pair.client_id).collect())
}

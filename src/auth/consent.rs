//! The authorization-code grant as far as it needs no network: the link that asks for a consent, and what the redirect
//! that answers it says (RFC 6749, sections 4.1 and 10.12; RFC 7636 for the proof key).
//!
//! It opens no browser, listens nowhere, and exchanges nothing.

use std::fmt;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use reqwest::Url;
use sha2::{Digest, Sha256};

use super::grant::Grant;
use crate::redaction::remember;
use crate::secret::{ExposeSecret, SecretString};

/// Bytes of chance in a state and in a verifier: nobody guesses them, and a verifier has the 43 characters of RFC 7636.
const CHANCE: usize = 32;

/// One request for a consent.
pub struct ConsentRequest {
    url: Url,
    redirect_uri: String,
    state: String,
    verifier: Option<SecretString>,
}

/// Why a redirect brings no code.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RedirectError {
    /// It is no answer to a request for a consent.
    #[error("there is neither a code nor an error in this address")]
    NoAnswer,
    /// It answers another request, or somebody made it up.
    #[error("the answer belongs to another sign-in (its `state` is not the one that was sent)")]
    WrongState,
    /// The consent was not given.
    #[error("the consent page answered `{error}`{}", after_colon(description))]
    Refused {
        /// OAuth's error, such as `access_denied`.
        error: String,
        /// The server's words; may be empty.
        description: String,
    },
}

fn after_colon(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!(": {text}") }
}

impl RedirectError {
    /// Whether a person said no.
    pub fn is_denial(&self) -> bool {
        matches!(self, Self::Refused { error, .. } if error == "access_denied")
    }
}

/// The system has no source of chance.
#[derive(Debug, thiserror::Error)]
#[error("the system gives no random numbers")]
pub struct NoChance;

impl ConsentRequest {
    /// A request to the page at `base`, with a fresh state and, for `proof_key`, a fresh verifier.
    pub fn new(base: &Url, client_id: &str, redirect_uri: &str, proof_key: bool) -> Result<Self, NoChance> {
        let state = chance()?;
        let verifier = if proof_key { Some(SecretString::from(chance()?)) } else { None };
        verifier.iter().for_each(remember);
        let mut url = base.clone();
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", client_id)
            .append_pair("redirect_uri", redirect_uri)
            .append_pair("state", &state);
        if let Some(verifier) = &verifier {
            let challenge = BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.expose_secret()));
            url.query_pairs_mut()
                .append_pair("code_challenge", &challenge)
                .append_pair("code_challenge_method", "S256");
        }
        Ok(Self { url, redirect_uri: redirect_uri.to_owned(), state, verifier })
    }

    /// The link to open.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// What the query of the address that the consent page redirected to says.
    pub fn read(&self, query: &str) -> Result<Grant, RedirectError> {
        let answer = Answer::read(query);
        if answer.code.is_none() && answer.error.is_none() {
            return Err(RedirectError::NoAnswer);
        }
        if answer.state.as_deref() != Some(&self.state) {
            return Err(RedirectError::WrongState);
        }
        if let Some(error) = answer.error {
            return Err(RedirectError::Refused { error, description: answer.description.unwrap_or_default() });
        }
        Ok(self.grant(answer.code.unwrap_or_default().into()))
    }

    /// What a person pasted: the whole address, its query, or the code alone, which has no state to check.
    pub fn read_pasted(&self, text: &str) -> Result<Grant, RedirectError> {
        let text = text.trim().trim_matches(['"', '\'', '<', '>']);
        if let Some((_, query)) = text.split_once('?') {
            return self.read(query.split('#').next().unwrap_or_default());
        }
        let is_code =
            !text.is_empty() && !text.contains(|letter: char| letter.is_whitespace() || "=&/".contains(letter));
        if is_code { Ok(self.grant(text.into())) } else { self.read(text) }
    }

    fn grant(&self, code: SecretString) -> Grant {
        remember(&code);
        let (redirect_uri, code_verifier) = (self.redirect_uri.clone(), self.verifier.clone());
        Grant::AuthorizationCode { code, redirect_uri, code_verifier }
    }
}

impl fmt::Debug for ConsentRequest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("ConsentRequest").field("redirect_uri", &self.redirect_uri).finish_non_exhaustive()
    }
}

fn chance() -> Result<String, NoChance> {
    let mut bytes = [0; CHANCE];
    getrandom::fill(&mut bytes).map_err(|_| NoChance)?;
    Ok(BASE64_URL_SAFE_NO_PAD.encode(bytes))
}

#[derive(Default)]
struct Answer {
    code: Option<String>,
    state: Option<String>,
    error: Option<String>,
    description: Option<String>,
}

impl Answer {
    /// Empty values are absent ones; a description is cut, and stripped of what a terminal would obey.
    fn read(query: &str) -> Self {
        const MAX_CHARS: usize = 300;
        let clean = |text: &str| text.chars().filter(|letter| !letter.is_control()).take(MAX_CHARS).collect::<String>();
        let mut answer = Self::default();
        let Ok(url) = Url::parse(&format!("http://localhost/?{query}")) else { return answer };
        for (name, value) in url.query_pairs().filter(|(_, value)| !value.is_empty()) {
            match &*name {
                "code" => answer.code = Some(value.into_owned()),
                "state" => answer.state = Some(value.into_owned()),
                "error" => answer.error = Some(clean(&value)),
                "error_description" => answer.description = Some(clean(&value)),
                _ => {}
            }
        }
        answer
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    const REDIRECT: &str = "http://localhost:3000/criteo-auth/callback";

    fn request(proof_key: bool) -> ConsentRequest {
        let base = Url::parse("https://consent.criteo.com/request").expect("an address");
        ConsentRequest::new(&base, "an id", REDIRECT, proof_key).expect("chance")
    }

    fn parameters(request: &ConsentRequest) -> BTreeMap<String, String> {
        request.url().query_pairs().map(|(name, value)| (name.into_owned(), value.into_owned())).collect()
    }

    #[test]
    fn the_link_has_what_criteo_wants_and_the_challenge_is_the_hash_of_the_verifier() {
        let request = request(true);
        let parameters = parameters(&request);
        assert!(
            request
                .url()
                .as_str()
                .starts_with("https://consent.criteo.com/request?response_type=code&client_id=an+id&")
        );
        assert_eq!(
            (parameters["redirect_uri"].as_str(), parameters["code_challenge_method"].as_str()),
            (REDIRECT, "S256")
        );
        let query = format!("code=c0de&state={}", parameters["state"]);
        let Ok(Grant::AuthorizationCode { code, redirect_uri, code_verifier }) = request.read(&query) else {
            panic!("a code")
        };
        let verifier = code_verifier.expect("a verifier");
        let hashed = BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.expose_secret()));
        assert_eq!((code.expose_secret(), redirect_uri.as_str()), ("c0de", REDIRECT));
        assert_eq!((parameters["code_challenge"].as_str(), verifier.expose_secret().len()), (hashed.as_str(), 43));
        assert!(!format!("{request:?}").contains(verifier.expose_secret()));
    }

    #[test]
    fn two_requests_share_nothing_and_without_a_proof_key_none_is_sent() {
        let (one, two) = (parameters(&request(true)), parameters(&request(true)));
        assert!(one["state"] != two["state"] && one["code_challenge"] != two["code_challenge"]);
        let plain = parameters(&request(false));
        assert_eq!(plain.keys().collect::<Vec<_>>(), ["client_id", "redirect_uri", "response_type", "state"]);
    }

    #[test]
    fn an_answer_counts_only_with_the_state_that_was_sent() {
        let request = request(true);
        let state = parameters(&request)["state"].clone();
        for query in ["code=c", "code=c&state=", "code=c&state=other", "error=access_denied", "error=x&state=other"] {
            assert_eq!(request.read(query).expect_err(query), RedirectError::WrongState, "{query}");
        }
        for query in ["", "state=x", "code=", "utm=1", &format!("code=&state={state}")] {
            assert_eq!(request.read(query).expect_err(query), RedirectError::NoAnswer, "{query}");
        }
        let denied = request.read(&format!("error=access_denied&error_description=No%1b[0m+thanks&state={state}"));
        let denied = denied.expect_err("denied");
        assert!(denied.is_denial());
        assert_eq!(denied.to_string(), "the consent page answered `access_denied`: No[0m thanks");
    }

    #[test]
    fn an_address_a_query_or_a_code_may_be_pasted() {
        let request = request(false);
        let state = parameters(&request)["state"].clone();
        let code = |text: &str| match request.read_pasted(text) {
            Ok(Grant::AuthorizationCode { code, .. }) => Ok(code.expose_secret().to_owned()),
            Ok(_) => panic!("another grant"),
            Err(error) => Err(error),
        };
        for text in [
            format!("https://example.com/cb?code=a%2Bb&state={state}#_=_"),
            format!("  \"http://localhost:3000/x?state={state}&code=a%2Bb\"\n"),
            format!("code=a%2Bb&state={state}"),
            "a+b".to_owned(),
        ] {
            assert_eq!(code(&text).as_deref(), Ok("a+b"), "{text}");
        }
        assert_eq!(code("https://example.com/cb?code=a&state=b"), Err(RedirectError::WrongState));
        for text in ["", "two words", "https://example.com/", "https://example.com/?x=y"] {
            assert_eq!(code(text), Err(RedirectError::NoAnswer), "{text}");
        }
    }
}

//! The base URL of the API: encrypted, or on this very machine.
//!
//! The bearer token and the client secret go to this address, so plain http is refused everywhere but on loopback, and
//! an address that carries a user name or password is refused because addresses end up in logs.

use std::fmt;

use reqwest::Url;

use super::problem::Invalid;
use crate::loopback::is_loopback;

/// A base URL without trailing slash, query or fragment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiUrl(String);

impl ApiUrl {
    /// The text to put paths behind: `https://api.criteo.com`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the address is on this machine.
    pub fn is_loopback(&self) -> bool {
        Url::parse(&self.0).is_ok_and(|url| is_loopback(&url))
    }

    pub(super) fn parse(text: &str) -> Result<Self, Invalid> {
        const EXAMPLE: &str = "write something like `https://proxy.example.com`";
        let url = Url::parse(text).map_err(|_| Invalid::new("not a URL", EXAMPLE))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Invalid::new("the URL carries a user name or password", "remove the part before `@`"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(Invalid::new("the URL has a query or fragment", "remove everything from `?` or `#` on"));
        }
        if url.host_str().is_none() || !matches!(url.scheme(), "http" | "https") {
            return Err(Invalid::new(format!("`{text}` is not an https URL"), EXAMPLE));
        }
        if url.scheme() == "http" && !is_loopback(&url) {
            let message = format!("`{text}` would send credentials unencrypted");
            return Err(Invalid::new(message, "use https (http is accepted on loopback only)"));
        }
        Ok(Self(url.as_str().trim_end_matches('/').to_owned()))
    }
}

impl fmt::Display for ApiUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn https_is_accepted_anywhere_and_http_on_loopback_only() {
        for (text, kept) in [
            ("https://api.criteo.com/", "https://api.criteo.com"),
            ("https://proxy.example.com/criteo/", "https://proxy.example.com/criteo"),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("http://localhost:1", "http://localhost:1"),
            ("http://[::1]:9000", "http://[::1]:9000"),
        ] {
            assert_eq!(ApiUrl::parse(text).unwrap().as_str(), kept);
        }
        for text in ["http://api.criteo.com", "http://127.0.0.1.example.com", "ftp://localhost", "file:///etc", "x"] {
            assert!(ApiUrl::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_password_in_the_address_is_refused_and_not_repeated() {
        let refusal = ApiUrl::parse("https://me:hunter2@api.criteo.com").unwrap_err();
        assert!(!format!("{refusal:?}").contains("hunter2"));
        assert!(ApiUrl::parse("https://me@localhost").is_err());
    }
}

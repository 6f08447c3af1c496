//! Proxy variables that cannot work, found before anything is called: the HTTP client ignores what it does not understand,
//! and a request that goes direct where a proxy was meant is refused by a firewall or, worse, is not.
//!
//! Values are never shown: they may hold a password.

use reqwest::Url;

use super::environment::Environment;
use super::problem::{Origin, Problem};
use crate::notice::Code;

/// The variables that are looked at for `https` addresses, the first that is set winning (curl's rules).
const VARIABLES: [&str; 4] = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];

/// What is wrong with the proxy that is configured, if anything.
pub(super) fn problem(environment: &Environment) -> Option<Problem> {
    let (name, value) = VARIABLES.into_iter().find_map(|name| Some((name, environment.of_the_system(name)?)))?;
    let message = match value.to_str() {
        None => "the value is not valid UTF-8".to_owned(),
        Some(text) => flaw(text.trim())?,
    };
    let remedy =
        "write `http://host:port` or `https://host:port`, with `user:password@` before the host where the proxy asks \
                  for it, or unset it"
            .to_owned();
    Some(Problem { code: Code::InvalidValue, origin: Origin::Variable(name), message, remedy })
}

fn flaw(text: &str) -> Option<String> {
    if super::is_quoted(text) {
        return Some("the address of the proxy is in quotes".to_owned());
    }
    // A host and a port without a scheme are an http proxy.
    let url = if text.contains("://") { Url::parse(text) } else { Url::parse(&format!("http://{text}")) };
    let Ok(url) = url else { return Some("the address of the proxy is not an address".to_owned()) };
    match url.scheme() {
        _ if url.host_str().is_none_or(str::is_empty) => Some("the address of the proxy has no host".to_owned()),
        "http" | "https" => None,
        scheme => Some(format!("proxies that speak `{scheme}` are not supported")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_that_cannot_work_is_named_by_its_variable_and_its_password_is_not_shown() {
        let shown = |name: &str, value: &str| {
            problem(&Environment::from_pairs([(name, value)])).map(|problem| problem.to_string()).unwrap_or_default()
        };
        for (name, value, said) in [
            ("HTTPS_PROXY", "socks5://me:hunter2@proxy:1080", "`socks5` are not supported"),
            ("https_proxy", "ftp://proxy:21", "`ftp` are not supported"),
            ("HTTPS_PROXY", "http://me:hunter2@", "not an address"),
            ("ALL_PROXY", "proxy.example.com:port", "not an address"),
            ("HTTPS_PROXY", "http://proxy:99999", "not an address"),
            ("all_proxy", "\"http://me:hunter2@proxy:8080\"", "in quotes"),
            ("HTTPS_PROXY", "http:// proxy", "not an address"),
        ] {
            let message = shown(name, value);
            assert!(
                message.contains(name) && message.contains(said) && !message.contains("hunter2"),
                "{value}: {message}"
            );
        }
        for value in
            ["http://proxy:8080", "proxy.example.com:3128", "https://me:p%40ss@proxy", "proxy", "http://[::1]:3128"]
        {
            assert_eq!(shown("HTTPS_PROXY", value), "", "{value}");
        }
        assert_eq!(shown("HTTPS_PROXY", " "), shown("NO_PROXY", "socks5://x"));
    }
}

//! Whether an address is of this very machine: the only one that is called without encryption.

use reqwest::Url;

/// `localhost`, 127.0.0.0/8 or `::1`; the parser has already turned other spellings of addresses into these.
pub fn is_loopback(url: &Url) -> bool {
    url.host_str().is_some_and(|host| {
        // The address of an IPv6 host is in brackets.
        let address = host.trim_start_matches('[').trim_end_matches(']');
        host == "localhost" || address.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
    })
}

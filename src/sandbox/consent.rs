//! The consent page (API.md 1.4): a person sees who asks for what, and approves or denies.
//!
//! Both ways lead back to the redirect URI, with a code or with an error. A request that makes no sense leads back with an
//! error as well, without a page; one that names no address to go back to gets a page with status 400.

use std::collections::HashMap;

use super::gateway::{Exchange, Gateway, Reply, lock};
use super::tokens::decode_form;

impl Gateway {
    /// `GET` shows the page, `POST` of `decision=approve` or `decision=deny` answers it.
    pub(super) fn consent(&self, exchange: &Exchange) -> Reply {
        let query = decode_form(exchange.query.as_bytes()).unwrap_or_default();
        let field = |name: &str| query.get(name).map_or("", String::as_str);
        let redirect = field("redirect_uri");
        if !["http://localhost", "http://127.0.0.1", "http://[::1]", "https://"]
            .iter()
            .any(|own| redirect.starts_with(own))
        {
            return Reply::html(400);
        }
        let wants_code = field("response_type") == "code" && field("client_id") == self.options.client_id;
        if !wants_code || (self.options.requires_pkce && field("code_challenge").is_empty()) {
            return back(redirect, "error=invalid_request", field("state"));
        }
        if exchange.method != "POST" {
            return self.page(&exchange.query);
        }
        let decision = decode_form(&exchange.body).unwrap_or_default();
        match decision.get("decision").map(String::as_str) {
            Some("approve") => back(redirect, &format!("code={}", self.code(&query)), field("state")),
            _ => back(redirect, "error=access_denied&error_description=The+user+denied+the+request", field("state")),
        }
    }

    fn code(&self, query: &HashMap<String, String>) -> String {
        let hashed = query.get("code_challenge_method").map(String::as_str) != Some("plain");
        let challenge = query.get("code_challenge").map(|challenge| (challenge.clone(), hashed));
        let redirect = query.get("redirect_uri").map_or("", String::as_str);
        lock(&self.tokens).issue_code(self.options.seed, redirect, challenge, self.clock.now())
    }

    fn page(&self, query: &str) -> Reply {
        let consented = self.world.advertisers.iter().filter(|advertiser| advertiser.consented);
        let advertisers: String = consented.map(|it| format!("<li>{} ({})</li>", text(&it.name), it.id)).collect();
        let scopes: String = self.options.scopes.iter().map(|scope| format!("<li>{scope}</li>")).collect();
        let page = format!(
            "<!DOCTYPE html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>Simulated consent</title></head><body>\
             <h1>An app asks for access</h1><p>This page simulates Criteo's.</p><h2>Advertisers</h2><ul>{advertisers}</ul>\
             <h2>Permissions</h2><ul>{scopes}</ul><form method=\"post\" action=\"/request?{}\">\
             <button id=\"approve\" name=\"decision\" value=\"approve\">Approve</button> \
             <button id=\"deny\" name=\"decision\" value=\"deny\">Deny</button></form></body></html>",
            text(query)
        );
        Reply { content_type: "text/html; charset=utf-8", ..Reply::json(200, page.into_bytes()) }
    }
}

fn back(redirect: &str, result: &str, state: &str) -> Reply {
    let mark = if redirect.contains('?') { '&' } else { '?' };
    let state = if state.is_empty() { String::new() } else { format!("&state={}", escape(state)) };
    Reply { headers: vec![("location", format!("{redirect}{mark}{result}{state}"))], ..Reply::html(302) }
}

fn text(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}

fn escape(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

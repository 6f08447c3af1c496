//! Criteo's API as this connector uses it: requests as Criteo wants them, answers judged once.
//!
//! Which endpoints exist is data (`connectors/criteo/connector.toml`); there is no way to call another one. Waiting and
//! repeating belong to `http`, tokens to `auth`, rows to `table`.

mod application;
mod client;
mod connection;
mod decoding;
mod key_pairs;
mod lists;
mod login;
mod pages;
mod requests;
mod version;

pub use crate::document::Calls;
pub use application::Application;
pub use client::{ApiNotice, ClientParts, CriteoClient, FetchError, FetchErrorKind, ReportAnswer, RowMemory};
pub use connection::{Connection, Limits, Patience, Usage};
pub use lists::{ListPage, ListRequest, ResourceSink};
pub use login::{CONSENT_URL, client_ids, login_endpoint};
pub use requests::{ReportFilter, ReportRequest, search_body};
pub use version::VersionAge;

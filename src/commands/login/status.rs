//! `login --status`: which app has signed in, since when, until when, and where its refresh token is.

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::{client_ids, stored};
use crate::auth::LoginFile;
use crate::cli::Format;
use crate::commands::{Ended, print_document, print_text};
use crate::document::Document;
use crate::error::{Code, Error, error_chain};
use crate::settings::Settings;

/// What is stored of one app.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct App {
    client_id: String,
    path: String,
    /// Never: the file is for its owner only, which is said wherever it is named.
    encrypted: bool,
    consented_at: Option<DateTime<Utc>>,
    expires_at: Option<DateTime<Utc>>,
}

impl App {
    /// `None` if nothing is stored, or it cannot be read.
    pub(super) fn of(file: &LoginFile) -> Option<Self> {
        Self::read(file).ok().flatten()
    }

    fn read(file: &LoginFile) -> Result<Option<Self>, Error> {
        let login = file.read().map_err(|error| Error::new(Code::InvalidCredentialsFile, error_chain(&error)))?;
        Ok(login.map(|login| Self {
            client_id: file.client_id().to_owned(),
            path: file.path().display().to_string(),
            encrypted: false,
            consented_at: Some(login.consented_at),
            expires_at: login.current.expires_at(),
        }))
    }

    /// Where the token is and until when it is good.
    pub(super) fn place(&self) -> String {
        let until = self.expires_at.map(|until| until.date_naive().to_string()).unwrap_or_default();
        format!(
            "refresh token: {} (for this user only, not encrypted)\nvalid until:   {until}, unless it is revoked",
            self.path
        )
    }

    fn text(&self, now: DateTime<Utc>) -> String {
        let since = self.consented_at.map(|since| since.format("%Y-%m-%d %H:%M UTC").to_string()).unwrap_or_default();
        let ended = if self.expires_at.is_some_and(|until| until <= now) {
            "\nit has expired: run `criteo-source login`"
        } else {
            ""
        };
        format!("client id:     {}\nsigned in:     {since}\n{}{ended}\n", self.client_id, self.place())
    }
}

/// Prints what is stored for the configured app, or for all if none is configured; exit 3 if there is nothing.
pub fn status(settings: &Settings, format: Format, run_id: &str, now: DateTime<Utc>) -> Result<Ended, Error> {
    let mut apps = Vec::new();
    for file in stored(settings)? {
        apps.extend(App::read(&file)?);
    }
    if apps.is_empty() {
        let ids = client_ids(settings)?;
        let who = if ids.is_empty() { String::new() } else { format!(" with the client id `{}`", ids.join("`, `")) };
        return Err(Error::new(Code::NotSignedIn, format!("no app{who} has signed in")));
    }
    if format == Format::Json {
        print_document(&Document::<(), _>::new(run_id, "login", Members { apps }))?;
    } else {
        print_text(&apps.iter().map(|app| app.text(now)).collect::<Vec<_>>().join("\n"))?;
    }
    Ok(Ended::DONE)
}

/// What only this document has.
#[derive(Serialize)]
struct Members {
    apps: Vec<App>,
}

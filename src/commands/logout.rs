//! `logout`: forgets the refresh token that `login` stored. The consent itself stays with Criteo, until it is withdrawn there.

use serde::Serialize;

use super::login::stored;
use super::session::Session;
use super::{Ended, print_document, print_text};
use crate::cli::{Format, GlobalOptions};
use crate::document::Document;
use crate::error::{Code, Error};

const WITHDRAW: &str = "the consent itself still stands: whoever gave it withdraws it at Criteo, in the list of apps with access to \
                        the account, or the app's owner deletes the key pair in the partner portal";

/// Removes the file of the configured app; without one, of the only app there is.
pub fn run(global: &GlobalOptions, run_id: &str) -> Result<Ended, Error> {
    let Session { settings, .. } = Session::load(global)?;
    let files = stored(&settings)?;
    let is_named = settings.client_id().is_some() || settings.credentials_file().is_some();
    if !is_named && files.len() > 1 {
        let ids: Vec<&str> = files.iter().map(crate::auth::LoginFile::client_id).collect();
        return Err(Error::new(
            Code::MissingCredentials,
            format!("several apps have signed in: `{}`", ids.join("`, `")),
        )
        .with_remedy("set `CRITEO_CLIENT_ID` to the one that is meant"));
    }
    let mut removed = Vec::new();
    for file in files {
        let was_there = file.remove().map_err(|error| Error::output("the refresh token cannot be removed", error))?;
        removed.extend(was_there.then(|| file.path().display().to_string()));
    }
    if global.format == Format::Json {
        print_document(&Document::<(), _>::new(run_id, "logout", Members { removed }))?;
    } else if removed.is_empty() {
        print_text("nothing was stored\n")?;
    } else {
        print_text(&format!("removed {}\n{WITHDRAW}\n", removed.join(", ")))?;
    }
    Ok(Ended::DONE)
}

/// What only this document has.
#[derive(Serialize)]
struct Members {
    removed: Vec<String>,
}

//! Access tokens from Google's own `gcloud`, which knows every kind of credentials: a service-account key or workload identity
//! named by `GOOGLE_APPLICATION_CREDENTIALS`, application-default credentials, the account of the machine.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::process::Command;
use tokio::sync::Mutex;

use crate::clock::{Clock, Deadline};
use crate::http::{Bearer, BearerError, BearerSource};

/// Tokens live for an hour; this one is handed out for less.
const LIFE: Duration = Duration::from_mins(45);
/// Names a file with credentials to `gcloud`, whatever account it is configured for.
const OVERRIDE: &str = "CLOUDSDK_AUTH_CREDENTIAL_FILE_OVERRIDE";

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub(super) enum GoogleError {
    /// `gcloud` is not installed.
    #[error("`gcloud`, which access tokens come from, could not be started")]
    Missing(#[source] std::io::Error),
    /// It has no credentials, or they were refused.
    #[error("`gcloud` gave no access token: {0}")]
    Refused(String),
}

/// Tokens of one account, renewed before they end.
pub(super) struct GoogleBearer {
    credentials_file: Option<PathBuf>,
    clock: Clock,
    issued: Mutex<Option<(Bearer, Duration)>>,
}

impl GoogleBearer {
    pub(super) fn new(credentials_file: Option<&Path>, clock: &Clock) -> Self {
        Self { credentials_file: credentials_file.map(Path::to_owned), clock: clock.clone(), issued: Mutex::default() }
    }

    async fn issue(&self) -> Result<Bearer, GoogleError> {
        let mut command = Command::new("gcloud");
        match &self.credentials_file {
            Some(file) => command.args(["auth", "print-access-token"]).env(OVERRIDE, file),
            None => command.args(["auth", "application-default", "print-access-token"]),
        };
        let output = command.stdin(Stdio::null()).kill_on_drop(true).output().await.map_err(GoogleError::Missing)?;
        let token = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        if !output.status.success() || token.is_empty() {
            let said = String::from_utf8_lossy(&output.stderr);
            let lines: Vec<&str> = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
            return Err(GoogleError::Refused(lines.join(" ")));
        }
        let token = token.into();
        crate::redaction::remember(&token);
        Ok(Bearer::new(token))
    }
}

impl BearerSource for GoogleBearer {
    fn bearer(&self, _: Deadline) -> BoxFuture<'_, Result<Bearer, BearerError>> {
        Box::pin(async {
            let mut issued = self.issued.lock().await;
            let now = self.clock.elapsed();
            if let Some((bearer, _)) = issued.as_ref().filter(|(_, since)| now.saturating_sub(*since) < LIFE) {
                return Ok(bearer.clone());
            }
            let bearer = self.issue().await?;
            *issued = Some((bearer.clone(), now));
            Ok(bearer)
        })
    }

    fn reject(&self, bearer: &Bearer) -> bool {
        // Somebody is just getting another one: then this is no longer the one that is handed out.
        let Ok(mut issued) = self.issued.try_lock() else { return false };
        let is_current = issued.as_ref().is_some_and(|(current, _)| current.is(bearer));
        if is_current {
            *issued = None;
        }
        is_current
    }
}

//! `login`: an authorization-code app signs in with a browser, and its refresh token is stored for later runs.
//!
//! The link is always printed, alone on a line of stderr, so that whoever cannot open a browser here can open it
//! elsewhere. One sign-in takes one answer: the state is checked, the code is exchanged at once (it lives 30 seconds), the
//! token is stored, and the browser is told how it ended. It keeps no access token and reads no data.

mod browser;
mod listen;
mod page;
mod status;

use std::io::BufRead as _;
use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::Url;

use self::browser::Place;
use self::listen::Listener;
use self::page::{Page, Tone};
use super::session::Session;
use super::signals::Signals;
use super::{Ended, print_document, print_text};
use crate::auth::{AuthError, ConsentRequest, Grant, LoginFile, LoginFolder, RedirectError, TokenEndpoint};
use crate::cli::{Format, GlobalOptions, LoginArguments};
use crate::clock::{Clock, Deadline};
use crate::criteo::{CONSENT_URL, login_endpoint};
use crate::document::Document;
use crate::error::{Code, Error, Notice};
use crate::loopback::is_loopback;
use crate::settings::{Environment, Settings};

pub use status::status;

/// A code lives 30 seconds (Criteo docs, page Authorization Code Setup).
const CODE_LIFETIME: Duration = Duration::from_secs(30);

/// Signs in, or says how things are.
pub async fn run(arguments: &LoginArguments, global: &GlobalOptions, run_id: &str) -> Result<Ended, Error> {
    let Session { settings, clock, .. } = Session::load(global)?;
    if arguments.status {
        return status(&settings, global.format, run_id, clock.now());
    }
    let environment = Environment::of_process();
    let redirect = Redirect::parse(&arguments.redirect_uri)?;
    let folder = settings.state_folder.clone().ok_or_else(no_folder)?;
    let (endpoint, rejected) = login_endpoint(&settings, &clock).await?;
    let base = settings.consent_url.as_ref().map_or(CONSENT_URL, |url| url.as_str());
    let base = Url::parse(base).map_err(Error::unexpected)?;
    let request = ConsentRequest::new(&base, endpoint.client_id(), &arguments.redirect_uri, !arguments.no_pkce);
    let request = request.map_err(Error::unexpected)?;
    let file = LoginFolder::new(folder).file(endpoint.client_id());
    let login = Login { arguments, endpoint, request, file, clock };
    let pastes = arguments.paste || !redirect.is_here;
    let signals = Signals::default();
    let answered = async {
        if pastes { login.by_pasting(&redirect).await } else { login.by_browser(&redirect, &environment).await }
    };
    let stored_at = tokio::select! {
        ended = answered => ended?,
        () = signals.clone().first() => return Err(stopped(&signals)),
    };
    let mut warnings: Vec<Notice> = rejected.iter().map(|id| key_rejected(id)).collect();
    if settings.credentials()?.refresh_token.is_some() {
        let message = "`CRITEO_REFRESH_TOKEN` or `CRITEO_REFRESH_TOKEN_FILE` is set and is used instead of what was stored now; unset it";
        warnings.push(Notice::new(Code::SignInNotUsed, message));
    }
    login.report(global.format, run_id, warnings, stored_at)?;
    Ok(Ended::DONE)
}

fn key_rejected(client_id: &str) -> Notice {
    let message =
        format!("Criteo does not know the key pair with the client id `{client_id}` (any more); another one is used");
    Notice::new(Code::KeyRejected, message)
}

fn stopped(signals: &Signals) -> Error {
    let error = Error::new(Code::Interrupted, "the sign-in was stopped; nothing was stored")
        .with_remedy("run `criteo-source login` again");
    match signals.exit_code() {
        Some(code) => error.with_exit_code(code),
        None => error,
    }
}

/// There is no place to keep a refresh token.
pub(super) fn no_folder() -> Error {
    Error::new(Code::InvalidValue, "there is no folder to keep the refresh token in")
        .with_remedy("set `XDG_STATE_HOME` (or `HOME`) to a folder of this user, as an absolute path")
}

/// Where the consent page sends the browser.
#[derive(Debug, PartialEq, Eq)]
struct Redirect {
    /// This program can listen there.
    is_here: bool,
    port: u16,
    path: String,
}

impl Redirect {
    fn parse(text: &str) -> Result<Self, Error> {
        let refused = |reason: &str| Err(Error::usage(format!("`--redirect-uri {text}`: {reason}")));
        let Ok(url) = Url::parse(text) else { return refused("not an address") };
        let Some(port) = url.port_or_known_default() else { return refused("it has no port") };
        let path = url.path().to_owned();
        if url.fragment().is_some() {
            return refused("it must not have a fragment (RFC 6749, section 3.1.2)");
        }
        match (url.scheme(), is_loopback(&url)) {
            ("http", true) => Ok(Self { is_here: true, port, path }),
            ("https", _) => Ok(Self { is_here: false, port, path }),
            ("http", false) => refused("plain http is for this machine only (`http://localhost:…`)"),
            _ => refused("write an https address, or an http one of this machine"),
        }
    }
}

struct Login<'a> {
    arguments: &'a LoginArguments,
    endpoint: TokenEndpoint,
    request: ConsentRequest,
    file: LoginFile,
    clock: Clock,
}

impl Login<'_> {
    /// Opens the browser, or lets somebody open one, and waits for it to come back.
    async fn by_browser(&self, redirect: &Redirect, environment: &Environment) -> Result<DateTime<Utc>, Error> {
        let opened = Listener::open(redirect.port, &redirect.path, self.request.url().as_str()).await;
        let mut listener = opened.map_err(|error| port_is_busy(error, redirect.port))?;
        self.print_link();
        let place = Place::of_process(environment);
        if place == Place::Desktop && !self.arguments.no_browser {
            if let Err(error) = open::that_detached(self.request.url().as_str()) {
                tracing::debug!(%error, "no browser could be started");
                eprintln!("No browser could be started here; open the link yourself.");
            }
        } else if let Some(advice) = place.advice(environment, redirect.port) {
            eprintln!("{advice}");
        }
        eprintln!("Waiting {} for the answer at {} (Ctrl-C stops).", self.patience(), self.arguments.redirect_uri);
        let ended = self.answered(&mut listener).await;
        listener.close().await;
        ended
    }

    async fn answered(&self, listener: &mut Listener) -> Result<DateTime<Utc>, Error> {
        let deadline = Deadline::after(&self.clock, self.timeout());
        loop {
            let Ok(visit) = self.clock.within(deadline, listener.next()).await else { return Err(self.timed_out()) };
            let grant = match self.request.read(&visit.query) {
                Ok(grant) => grant,
                // Somebody looks at the address, or a browser fetches it ahead: the answer is still to come.
                Err(RedirectError::NoAnswer) => {
                    let text = "Open the link that `criteo-source login` has printed, and approve there.";
                    visit.answer(Page::new(Tone::Neutral, "Waiting for the consent", &[text]));
                    continue;
                }
                Err(error) => {
                    let error = self.refused(&error);
                    visit.answer(failed(&error));
                    return Err(error);
                }
            };
            let exchanged = self.exchange(&grant).await;
            visit.answer(match &exchanged {
                Ok(_) => Page::new(
                    Tone::Good,
                    "Signed in",
                    &[
                        "Runs on that machine can now read the data of the advertisers that were chosen.",
                        "You can close this window.",
                    ],
                ),
                Err(error) => failed(error),
            });
            return exchanged;
        }
    }

    /// Prints the link, and takes what somebody types.
    async fn by_pasting(&self, redirect: &Redirect) -> Result<DateTime<Utc>, Error> {
        self.print_link();
        if !redirect.is_here && !self.arguments.paste {
            eprintln!("This program cannot listen at {}, so:", self.arguments.redirect_uri);
        }
        eprintln!(
            "After the approval the browser is sent to {}; whether that page loads does not matter.\n\
             Copy its whole address (or the `code` in it) and paste it here within 30 seconds, {} at most:",
            self.arguments.redirect_uri,
            self.patience()
        );
        let deadline = Deadline::after(&self.clock, self.timeout());
        let Ok(line) = self.clock.within(deadline, typed()).await else { return Err(self.timed_out()) };
        let grant = self.request.read_pasted(&line).map_err(|error| match error {
            RedirectError::NoAnswer if line.trim().is_empty() => Error::new(Code::SignInFailed, "nothing was pasted")
                .with_remedy("run `criteo-source login --paste` in a terminal"),
            error => self.refused(&error),
        })?;
        self.exchange(&grant).await
    }

    fn print_link(&self) {
        eprintln!(
            "Open this link as a user with access to the advertisers (admin, business manager or technical manager), and approve:\n\n{}\n",
            self.request.url()
        );
    }

    fn timeout(&self) -> Duration {
        Duration::from_secs(u64::from(self.arguments.timeout) * 60)
    }

    fn patience(&self) -> String {
        match self.arguments.timeout {
            1 => "1 minute".to_owned(),
            minutes => format!("{minutes} minutes"),
        }
    }

    fn timed_out(&self) -> Error {
        Error::new(Code::SignInTimedOut, format!("no answer came within {}", self.patience()))
    }

    /// Exchanges the code and stores the refresh token.
    async fn exchange(&self, grant: &Grant) -> Result<DateTime<Utc>, Error> {
        let deadline = Deadline::after(&self.clock, CODE_LIFETIME);
        let answer = self.endpoint.request(grant, deadline).await.map_err(|error| self.not_exchanged(error))?;
        let Some(token) = answer.refresh_token else {
            return Err(Error::new(Code::CredentialsRefused, "Criteo accepted the code, but sent no refresh token")
                .with_remedy(
                    "check in the partner portal that the app's authentication method is Authorization Code",
                ));
        };
        let now = self.clock.now();
        self.file.create(&token, now).map_err(|error| Error::output("the refresh token cannot be stored", error))?;
        Ok(now)
    }

    fn not_exchanged(&self, error: AuthError) -> Error {
        if error.is_invalid_grant() {
            return Error::new(Code::SignInFailed, "Criteo did not accept the code").with_source(error).with_remedy(format!(
                "a code works once, within 30 seconds, and only for the redirect URI `{}`, which must be registered for the \
                 app in exactly this spelling; run `criteo-source login` again",
                self.arguments.redirect_uri
            ));
        }
        let (kind, hint) = match &error {
            AuthError::Refused { .. } => (Code::CredentialsRefused, None),
            AuthError::Answer { .. } => (Code::ApiUnavailable, Some("check `CRITEO_API_URL`")),
            _ => (
                Code::ApiUnavailable,
                Some(
                    "check the network, the proxy settings and, if it is set, `CRITEO_API_URL`; then run `criteo-source login` again",
                ),
            ),
        };
        let failed = Error::new(kind, "the code could not be exchanged for a token").with_source(error);
        hint.into_iter().fold(failed, Error::with_remedy)
    }

    fn refused(&self, error: &RedirectError) -> Error {
        match error {
            RedirectError::NoAnswer => Error::new(Code::SignInFailed, error.to_string()).with_remedy(
                "paste the address that the browser was sent to after the approval, not the link itself",
            ),
            RedirectError::WrongState => Error::new(Code::SignInFailed, error.to_string()).with_remedy(
                "an old link was opened, or another page made this address up; nothing was stored: run `criteo-source login` \
                 again and open the link that it prints",
            ),
            RedirectError::Refused { .. } if error.is_denial() => {
                Error::new(Code::SignInDenied, format!("the consent was denied: {error}"))
            }
            RedirectError::Refused { .. } => {
                let pkce =
                    if self.arguments.no_pkce { "; an app with PKCE switched on refuses `--no-pkce`" } else { "" };
                Error::new(Code::SignInFailed, format!("the consent was not given: {error}")).with_remedy(format!(
                    "check in the partner portal that the app with the client id `{}` is active, that its authentication \
                     method is Authorization Code, and that `{}` is one of its redirect URIs in exactly this spelling{pkce}",
                    self.endpoint.client_id(),
                    self.arguments.redirect_uri,
                ))
            }
        }
    }

    fn report(
        &self,
        format: Format,
        run_id: &str,
        warnings: Vec<Notice>,
        stored_at: DateTime<Utc>,
    ) -> Result<(), Error> {
        let app = status::App::of(&self.file).unwrap_or_default();
        if format == Format::Json {
            let mut document = Document::<(), _>::new(run_id, "login", app);
            document.warnings = warnings;
            document.calls.token = self.endpoint.calls();
            return print_document(&document);
        }
        for warning in &warnings {
            eprintln!("warning[{}]: {}", warning.code, warning.message);
        }
        print_text(&format!(
            "signed in on {} with the client id `{}`\n{}\nnext: `criteo-source check` shows which advertisers consented\n",
            stored_at.format("%Y-%m-%d %H:%M UTC"),
            self.endpoint.client_id(),
            app.place()
        ))
    }
}

fn failed(error: &Error) -> Page {
    let paragraphs: Vec<String> = error
        .notices()
        .into_iter()
        .flat_map(|notice| {
            let remedy = notice.remedy.map(|remedy| format!("What to do: {remedy}"));
            std::iter::once(notice.message).chain(remedy)
        })
        .collect();
    let paragraphs: Vec<&str> = paragraphs.iter().map(String::as_str).collect();
    let headline = match error.notices().first().map(|notice| notice.code) {
        Some(Code::SignInDenied) => "The consent was denied",
        _ => "The sign-in failed",
    };
    Page::new(Tone::Bad, headline, &paragraphs)
}

fn port_is_busy(error: listen::ListenError, port: u16) -> Error {
    Error::new(Code::PortBusy, error.to_string()).with_source(error).with_remedy(format!(
        "end the program that listens on port {port}, or register another redirect URI for the app and give it with \
         `--redirect-uri`, or use `--paste`"
    ))
}

/// A line of stdin; the end of it is an empty line.
async fn typed() -> String {
    let (sender, line) = tokio::sync::oneshot::channel();
    // A thread of its own: reading cannot be cancelled, and the process must not wait for it.
    std::thread::spawn(move || {
        let mut line = String::new();
        let _ = std::io::stdin().lock().read_line(&mut line);
        let _ = sender.send(line);
    });
    line.await.unwrap_or_default()
}

/// The client id that a command without a secret is about.
fn client_ids(settings: &Settings) -> Result<Vec<String>, Error> {
    if let Some(path) = settings.credentials_file() {
        return crate::criteo::client_ids(path);
    }
    if let Some(id) = settings.client_id() {
        return Ok(vec![id.to_owned()]);
    }
    Ok(settings.state_folder.iter().flat_map(|folder| LoginFolder::new(folder).client_ids()).collect())
}

/// What is stored for the configured client ids, or for all if none is configured.
pub(super) fn stored(settings: &Settings) -> Result<Vec<LoginFile>, Error> {
    let folder = LoginFolder::new(settings.state_folder.clone().ok_or_else(no_folder)?);
    Ok(client_ids(settings)?.iter().map(|id| folder.file(id)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redirect_uri_is_listened_on_if_it_is_of_this_machine() {
        let redirect =
            |text: &str| Redirect::parse(text).map(|redirect| (redirect.is_here, redirect.port, redirect.path));
        let callback = "/criteo-auth/callback".to_owned();
        assert_eq!(redirect("http://localhost:3000/criteo-auth/callback").unwrap(), (true, 3000, callback.clone()));
        assert_eq!(redirect("http://127.0.0.1:3000/criteo-auth/callback").unwrap(), (true, 3000, callback.clone()));
        assert_eq!(redirect("http://[::1]:1/").unwrap(), (true, 1, "/".to_owned()));
        assert_eq!(redirect("http://localhost").unwrap(), (true, 80, "/".to_owned()));
        assert_eq!(redirect("https://example.com/criteo-auth/callback").unwrap(), (false, 443, callback));
        for text in ["", "localhost:3000", "http://example.com/", "ftp://localhost/", "https://example.com/#x"] {
            assert_eq!(redirect(text).unwrap_err().exit_code(), 2, "{text}");
        }
    }
}

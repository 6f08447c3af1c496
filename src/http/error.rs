//! Why a request was not answered: one failed attempt, and the end of all attempts.
//!
//! Messages name what was requested, never the address with its query, a header or a body that may hold a secret.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use reqwest::StatusCode;

use super::bearer::BearerError;
use super::problem::Problem;
use super::response::ReadError;
use super::tls::{TlsProblem, is_proxy_refusal, tls_problem};

/// The client could not be set up.
#[derive(Debug, thiserror::Error)]
#[error("cannot set up HTTPS (are there certificates on this system? `SSL_CERT_FILE` may name a file of them)")]
pub struct HttpError(#[from] pub(super) reqwest::Error);

/// How one attempt failed.
#[derive(Debug)]
pub enum Failure {
    /// The server answered with an error.
    Status {
        /// The status.
        status: StatusCode,
        /// The server's words.
        problem: Box<Problem>,
        /// How long the server asked to wait.
        retry_after: Option<Duration>,
        /// The request says that this is worth repeating, whatever the status.
        transient: bool,
    },
    /// There was no answer: no connection, a broken one, or silence.
    Transport {
        /// The host that was called.
        host: String,
        /// What happened, without the address.
        error: reqwest::Error,
    },
    /// The answer began well, and its body could not be read.
    Body(ReadError),
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status { status, problem, .. } => write!(formatter, "the server answered {status}: {problem}"),
            Self::Transport { host, error } => match what_failed(error) {
                // The words of the libraries in between say nothing to a person.
                (what, true) => write!(formatter, "{what} `{host}`: {}", root_cause(error)),
                (what, false) => write!(formatter, "{what} `{host}`"),
            },
            Self::Body(error) => write!(formatter, "the answer could not be read: {error}"),
        }
    }
}

impl Error for Failure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            // Their own words are told already.
            Self::Status { .. } | Self::Transport { .. } => None,
            Self::Body(error) => error.source(),
        }
    }
}

/// What failed, in words that a host follows, and whether the cause adds to them.
fn what_failed(error: &reqwest::Error) -> (&'static str, bool) {
    if error.is_timeout() {
        (if error.is_connect() { "no connection in time to" } else { "no answer in time from" }, false)
    } else if error.is_connect() {
        ("no connection to", true)
    } else if error.is_builder() {
        ("no request could be built for", true)
    } else {
        ("the connection broke before an answer from", true)
    }
}

/// The innermost cause: what the operating system or TLS said.
fn root_cause(error: &reqwest::Error) -> String {
    let mut root: &(dyn Error + 'static) = error;
    while let Some(cause) = root.source() {
        root = cause;
    }
    root.to_string()
}

impl Failure {
    /// The failure in a few words: `Criteo answered 503`.
    pub(super) fn in_short(&self, server: &str) -> String {
        match self {
            Self::Status { status, .. } => format!("{server} answered {}", status.as_u16()),
            Self::Transport { error, .. } if error.is_connect() => format!("no connection to {server}"),
            Self::Transport { .. } => format!("no answer from {server}"),
            Self::Body(_) => format!("the answer of {server} was not whole"),
        }
    }

    /// The identifier of the request, where the server named one.
    pub(super) fn trace_id(&self) -> Option<&str> {
        match self {
            Self::Status { problem, .. } => problem.trace_id(),
            Self::Transport { .. } | Self::Body(_) => None,
        }
    }

    /// Whether a proxy in between wants a user name and a password (407).
    pub fn is_proxy_refusal(&self) -> bool {
        matches!(self, Self::Transport { error, .. } if is_proxy_refusal(error))
    }

    /// Whether no connection could be opened, so that nobody at that address has seen the request.
    pub fn is_no_connection(&self) -> bool {
        matches!(self, Self::Transport { error, .. } if error.is_connect())
    }

    /// Whether the other side fell silent: such an attempt has cost minutes.
    pub(super) fn is_silence(&self) -> bool {
        match self {
            Self::Status { .. } => false,
            Self::Transport { error, .. } => error.is_timeout() && !error.is_connect(),
            Self::Body(error) => error.inner().downcast_ref().is_some_and(reqwest::Error::is_timeout),
        }
    }
}

/// Why a request was given up.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The server refused it for good (a 4xx that repeating does not change; a 401 even with a new token).
    #[error("{what}: the server answered {status}: {problem}")]
    Refused {
        /// What was requested.
        what: String,
        /// The status.
        status: StatusCode,
        /// The server's words.
        problem: Box<Problem>,
        /// Attempts made, this one included.
        attempts: u32,
    },
    /// The server pointed elsewhere; a request with a token is not sent where a server points.
    #[error(
        "{what}: the server answered {status} and points to {host}, where requests are not sent; check the address"
    )]
    Redirected {
        /// What was requested.
        what: String,
        /// The status.
        status: StatusCode,
        /// The host pointed to, and nothing else of that address.
        host: String,
    },
    /// Every attempt failed.
    #[error("{what}: gave up after {attempts} attempts in {}", Seconds(*elapsed))]
    Exhausted {
        /// What was requested.
        what: String,
        /// Attempts made.
        attempts: u32,
        /// From the first attempt to the last failure.
        elapsed: Duration,
        /// The last failure.
        #[source]
        last: Box<Failure>,
    },
    /// The deadline passed, or would pass during the next wait.
    #[error("{what}: no answer before the deadline ({attempts} attempts in {})", Seconds(*elapsed))]
    DeadlinePassed {
        /// What was requested.
        what: String,
        /// Attempts made.
        attempts: u32,
        /// From the first attempt on.
        elapsed: Duration,
        /// The last failure, if an attempt failed before.
        #[source]
        last: Option<Box<Failure>>,
    },
    /// There can be no connection to this server (a certificate that does not check out), or no such request.
    #[error("{what}: {}", transport_hint(failure))]
    Connect {
        /// What was requested.
        what: String,
        /// The failure.
        #[source]
        failure: Box<Failure>,
    },
    /// The address is not one that requests are sent to.
    #[error("{what}: {reason}")]
    Address {
        /// What was requested.
        what: String,
        /// Why not.
        reason: String,
    },
    /// There is no HTTPS on this system.
    #[error("{what}: no HTTPS")]
    Setup {
        /// What was requested.
        what: String,
        /// Why not.
        source: HttpError,
    },
    /// There is no access token.
    #[error("{what}: no access token")]
    Bearer {
        /// What was requested.
        what: String,
        /// The token source's own error.
        source: BearerError,
    },
    /// The answer was read and found wanting by its reader.
    #[error("{what}: the answer could not be read")]
    Body {
        /// What was requested.
        what: String,
        /// The reader's own error.
        source: Box<dyn Error + Send + Sync>,
    },
}

impl SendError {
    /// The status of the last answer, if the server gave one that ended the attempts.
    pub fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Refused { status, .. } | Self::Redirected { status, .. } => Some(*status),
            _ => match self.last_failure() {
                Some(Failure::Status { status, .. }) => Some(*status),
                _ => None,
            },
        }
    }

    /// The server's words, if it had any.
    pub fn problem(&self) -> Option<&Problem> {
        match self {
            Self::Refused { problem, .. } => Some(problem),
            _ => match self.last_failure() {
                Some(Failure::Status { problem, .. }) => Some(problem),
                _ => None,
            },
        }
    }

    /// The failure before giving up.
    pub fn last_failure(&self) -> Option<&Failure> {
        match self {
            Self::Exhausted { last: failure, .. } | Self::Connect { failure, .. } => Some(failure),
            Self::DeadlinePassed { last, .. } => last.as_deref(),
            _ => None,
        }
    }

    /// Whether the server was unavailable, too slow or throttling: a later run may succeed unchanged.
    pub fn is_unavailable(&self) -> bool {
        matches!(self, Self::Exhausted { .. } | Self::DeadlinePassed { .. })
    }

    /// Whether a proxy in between wants a user name and a password.
    pub fn is_proxy_refusal(&self) -> bool {
        matches!(self, Self::Connect { failure, .. } if failure.is_proxy_refusal())
    }

    /// Whether the access token was refused although it was new.
    pub fn is_unauthorized(&self) -> bool {
        matches!(self, Self::Refused { status, .. } if *status == StatusCode::UNAUTHORIZED)
    }

    /// The reader's own error, fatal or the last of several retryable ones.
    pub fn reader_error<E: Error + 'static>(&self) -> Option<&E> {
        match (self, self.last_failure()) {
            (Self::Body { source, .. }, _) => source.downcast_ref(),
            (_, Some(Failure::Body(error))) => error.inner().downcast_ref(),
            _ => None,
        }
    }
}

fn transport_hint(failure: &Failure) -> &'static str {
    if failure.is_proxy_refusal() {
        return "the proxy of `HTTPS_PROXY` or `ALL_PROXY` wants a user name and a password (407)";
    }
    let problem = match failure {
        Failure::Transport { error, .. } => tls_problem(error),
        _ => None,
    };
    match problem {
        Some(TlsProblem::Certificate) => {
            "the server's certificate is not trusted (check the address; behind a proxy that inspects traffic, let \
             `SSL_CERT_FILE` name a file with its certificate)"
        }
        Some(TlsProblem::CertificateDates) => {
            "the server's certificate is not valid at the time that this machine's clock shows (set the clock, with NTP)"
        }
        Some(TlsProblem::Handshake) => {
            "the server refuses the encrypted connection (check the address, and whether a proxy is in between)"
        }
        Some(TlsProblem::NotTls) => "the server does not speak TLS (check the address and its port)",
        None => "the request cannot be sent",
    }
}

/// A duration as people say it.
struct Seconds(Duration);

impl fmt::Display for Seconds {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        match seconds {
            0..120 => write!(formatter, "{seconds} s"),
            _ => write!(formatter, "{} min {} s", seconds / 60, seconds % 60),
        }
    }
}

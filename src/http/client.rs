//! The one send loop: token, quota, send, judge, read; then perhaps wait and do it again.

use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::{AUTHORIZATION, HeaderMap, LOCATION, RETRY_AFTER};
use tracing::{debug, info};

use super::bearer::Bearer;
use super::error::{Failure, HttpError, SendError};
use super::quota::{self, Permit};
use super::request::Request;
use super::response::{ReadError, Response};
use super::retry::{Pace, RetryPolicy, Schedule, Verdict, judge};
use crate::clock::{Clock, Deadline};
use crate::loopback::is_loopback;

/// Tokens in a row that are refused to one request before it gives up, whatever they were.
const MAX_REFUSED_TOKENS: u32 = 4;
/// As much of an error page as is read.
const MAX_PROBLEM_BYTES: usize = 64 * 1024;
/// Longest wait that a server is granted when it names one.
const MAX_SERVER_WAIT: Duration = Duration::from_mins(2);
/// Idle connections are dropped before the gateway does so silently.
const IDLE_TIMEOUT: Duration = Duration::from_secs(50);
/// A report may be silent for minutes; this keeps routers between here and there from forgetting the connection.
const KEEP_ALIVE: Duration = Duration::from_secs(30);

/// How connections are made, and what happens when they fail.
#[derive(Clone, Debug)]
pub struct HttpOptions {
    /// For a connection to open.
    pub connect_timeout: Duration,
    /// For the answer to begin, and again for each piece of its body. Reports take tens of seconds before the first
    /// byte (Criteo docs, page API troubleshooting guide), so this is minutes.
    pub read_timeout: Duration,
    /// The `User-Agent` header.
    pub user_agent: String,
    /// When to try again.
    pub retry: RetryPolicy,
    /// Whether `http` addresses of this machine (`localhost`, `127.0.0.0/8`, `::1`) may be called: the sandbox. They
    /// are called directly, whatever the proxy settings; other hosts are never called without encryption.
    pub allow_plain_http: bool,
}

impl Default for HttpOptions {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(20),
            read_timeout: Duration::from_mins(5),
            user_agent: concat!("criteo-source/", env!("CARGO_PKG_VERSION")).to_owned(),
            retry: RetryPolicy::default(),
            allow_plain_http: false,
        }
    }
}

impl HttpOptions {
    /// Attempts without any connection, where somebody waits.
    const INTERACTIVE_ATTEMPTS: u32 = 2;
    /// How long each of them may take.
    const INTERACTIVE_TIMEOUT: Duration = Duration::from_secs(5);

    /// The same for somebody who waits: a connection that cannot be made is given up within seconds.
    #[must_use]
    pub fn interactive(mut self) -> Self {
        self.connect_timeout = self.connect_timeout.min(Self::INTERACTIVE_TIMEOUT);
        self.retry.no_connections = Self::INTERACTIVE_ATTEMPTS;
        self
    }
}

/// What the client did so far, over all requests. Calls, and waits for a quota, are counted by each quota.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HttpStatistics {
    /// Attempts after the first one of a request.
    pub retries: u64,
    /// Pauses before attempts; those of requests that wait at the same time add up.
    pub waited: Duration,
}

/// Sends requests. Cloning it shares connections and statistics.
///
/// Certificates are checked against the system's store, as read when the client is made; `SSL_CERT_FILE` (a file in
/// PEM format) or `SSL_CERT_DIR` replace it on Linux and the BSDs, which is how a company's own authority is added
/// (rustls-native-certs 0.8, "Environment Variables"). A proxy is taken from `HTTPS_PROXY`, `ALL_PROXY` and
/// `NO_PROXY`. Redirects are not followed.
#[derive(Clone, Debug)]
pub struct HttpClient(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    options: HttpOptions,
    clock: Clock,
    /// Made on first use if plain HTTP is allowed: `demo` must work where there are no certificates.
    encrypted: OnceLock<reqwest::Client>,
    plain: Option<reqwest::Client>,
    retries: AtomicU64,
    waited_millis: AtomicU64,
}

impl HttpClient {
    /// A client with its own connections. Fails where the system's certificates cannot be read.
    pub fn new(options: HttpOptions, clock: Clock) -> Result<Self, HttpError> {
        // An error means that a provider is installed already, which is all that is wanted.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let encrypted = OnceLock::new();
        let mut plain = None;
        if options.allow_plain_http {
            plain = Some(builder(&options).no_proxy().tls_certs_only([]).build()?);
        } else {
            let _ = encrypted.set(builder(&options).https_only(true).build()?);
        }
        let counters = (AtomicU64::new(0), AtomicU64::new(0));
        Ok(Self(Arc::new(Inner { options, clock, encrypted, plain, retries: counters.0, waited_millis: counters.1 })))
    }

    /// What was done so far.
    pub fn statistics(&self) -> HttpStatistics {
        HttpStatistics {
            retries: self.0.retries.load(Ordering::Relaxed),
            waited: Duration::from_millis(self.0.waited_millis.load(Ordering::Relaxed)),
        }
    }

    /// The clock that every wait of this client goes by, and that deadlines of its requests are on.
    pub fn clock(&self) -> &Clock {
        &self.0.clock
    }

    /// Sends a request until it is answered and read, refused for good, or given up.
    ///
    /// `read` consumes the whole body of an answer with a 2xx status, or another that the request accepts; its errors say whether repeating may help, and a body that
    /// breaks off repeats the whole request, so `read` must not have effects of its own before it succeeds. Dropping
    /// the future aborts the request.
    pub async fn send<T, F, Fut>(&self, request: &Request, read: F) -> Result<T, SendError>
    where
        F: Fn(Response) -> Fut + Send + Sync,
        Fut: Future<Output = Result<T, ReadError>> + Send,
        T: Send,
    {
        let client = self.client_for(request)?;
        let mut run = Run::new(self, request);
        loop {
            let limit = if request.runs_to_its_end { Deadline::never() } else { request.deadline };
            let outcome = self.0.clock.within(limit, run.attempt(&client, &read)).await;
            match outcome.unwrap_or_else(|_| Err(Setback::Stop(run.deadline_passed(None)))) {
                Ok(value) => return Ok(value),
                Err(Setback::Stop(error)) => return Err(error),
                Err(Setback::Failure(failure)) => run.recover(failure).await?,
            }
        }
    }

    /// The connections that may carry this request: a token must not travel in the clear.
    fn client_for(&self, request: &Request) -> Result<reqwest::Client, SendError> {
        let refuse = |reason: &str| SendError::Address { what: request.what.clone(), reason: reason.to_owned() };
        match (request.url.scheme(), &self.0.plain) {
            ("http", Some(plain)) if is_loopback(&request.url) => Ok(plain.clone()),
            ("http", _) => Err(refuse("only `https` addresses are called, or `http` ones of this machine")),
            ("https", _) => self.encrypted().map_err(|source| SendError::Setup { what: request.what.clone(), source }),
            _ => Err(refuse("the address is not an `https` one")),
        }
    }

    fn encrypted(&self) -> Result<reqwest::Client, HttpError> {
        if let Some(client) = self.0.encrypted.get() {
            return Ok(client.clone());
        }
        let client = builder(&self.0.options).https_only(true).build()?;
        Ok(self.0.encrypted.get_or_init(|| client).clone())
    }
}

fn builder(options: &HttpOptions) -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .user_agent(&options.user_agent)
        .connect_timeout(options.connect_timeout)
        .read_timeout(options.read_timeout)
        // Bodies of HTTP/2 share the window of their connection: one that waits for memory would starve the others.
        .http1_only()
        .redirect(reqwest::redirect::Policy::none())
        .pool_idle_timeout(IDLE_TIMEOUT)
        .tcp_keepalive(KEEP_ALIVE)
        .retry(reqwest::retry::never())
}

/// Why an attempt has no value: a failure to judge, or an end that needs no judging.
enum Setback {
    Failure(Failure),
    Stop(SendError),
}

impl From<Failure> for Setback {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

/// What is remembered from one attempt of a request to the next.
struct Run<'a> {
    client: &'a HttpClient,
    request: &'a Request,
    schedule: Schedule,
    started: Duration,
    attempts: u32,
    /// The token of the attempt under way.
    bearer: Option<Bearer>,
    /// Attempts that ended in silence.
    silences: u32,
    /// Attempts that ended without a connection.
    no_connections: u32,
    /// Attempts in a row that were refused with a 401.
    refused_tokens: u32,
    /// One of them was refused with a new token: the credentials are to blame if it happens again.
    refused_new_token: bool,
    last: Option<Box<Failure>>,
}

impl<'a> Run<'a> {
    fn new(client: &'a HttpClient, request: &'a Request) -> Self {
        Self {
            client,
            request,
            schedule: Schedule::new(&client.0.options.retry),
            started: client.0.clock.elapsed(),
            attempts: 0,
            silences: 0,
            no_connections: 0,
            bearer: None,
            refused_tokens: 0,
            refused_new_token: false,
            last: None,
        }
    }

    async fn attempt<T, F, Fut>(&mut self, client: &reqwest::Client, read: &F) -> Result<T, Setback>
    where
        F: Fn(Response) -> Fut + Send + Sync,
        Fut: Future<Output = Result<T, ReadError>> + Send,
        T: Send,
    {
        let permit = self.prepare().await?;
        self.attempts += 1;
        let mut builder = self.request.build(client);
        if let Some(header) = self.authorization()? {
            builder = builder.header(AUTHORIZATION, header);
        }
        let sent = builder.send().await.map_err(|error| self.no_answer(error))?;
        debug!(what = %self.request.what, attempt = self.attempts, status = sent.status().as_u16(), "answered");
        if let Some(permit) = permit {
            permit.observe(sent.headers());
        }
        if let Some(bearer) = self.bearer.as_ref().filter(|_| sent.status() != StatusCode::UNAUTHORIZED) {
            bearer.accept();
        }
        if !self.request.accepts(sent.status()) {
            return Err(self.refusal(sent).await);
        }
        read(Response::new(sent)).await.map_err(|error| Failure::Body(error).into())
    }

    fn no_answer(&self, error: reqwest::Error) -> Failure {
        let host = self.request.url.host_str().unwrap_or_default().to_owned();
        Failure::Transport { host, error: error.without_url() }
    }

    /// Gets a token and a turn. The turn comes last, because it must be used at once; but it may take minutes to
    /// come, so the token is looked at again, which costs nothing while it is fresh.
    async fn prepare(&mut self) -> Result<Option<Permit>, Setback> {
        self.bearer = self.token().await?;
        let Some(quota) = &self.request.quota else { return Ok(None) };
        let permit = quota.acquire(self.request.deadline).await;
        let mut permit = permit.map_err(|_| Setback::Stop(self.deadline_passed(None)))?;
        self.bearer = self.token().await?;
        permit.use_now();
        Ok(Some(permit))
    }

    async fn token(&self) -> Result<Option<Bearer>, Setback> {
        let Some(source) = &self.request.bearer else { return Ok(None) };
        let bearer = source.bearer(self.request.deadline).await;
        let failed = |source| Setback::Stop(SendError::Bearer { what: self.request.what.clone(), source });
        bearer.map(Some).map_err(failed)
    }

    fn authorization(&self) -> Result<Option<reqwest::header::HeaderValue>, Setback> {
        let Some(bearer) = &self.bearer else { return Ok(None) };
        let unfit = || SendError::Bearer {
            what: self.request.what.clone(),
            source: "the access token has characters that are not allowed in a header".into(),
        };
        bearer.header().map(Some).ok_or_else(|| Setback::Stop(unfit()))
    }

    async fn refusal(&self, response: reqwest::Response) -> Setback {
        let status = response.status();
        let headers = response.headers().clone();
        if let (true, Some(location)) = (status.is_redirection(), headers.get(LOCATION)) {
            let target = location.to_str().ok().and_then(|location| self.request.url.join(location).ok());
            let host = target.and_then(|url| url.host_str().map(str::to_owned));
            let host = host.unwrap_or_else(|| "nowhere".to_owned());
            return Setback::Stop(SendError::Redirected { what: self.request.what.clone(), status, host });
        }
        let body = Response::new(response).beginning(MAX_PROBLEM_BYTES).await;
        let mut problem = (self.request.problem)(status, &headers, &body);
        if self.request.sensitive {
            problem = problem.without_excerpt();
        }
        let retry_after = self.asked_wait(status, &headers);
        let transient = (self.request.transient)(status, &problem);
        Failure::Status { status, problem: Box::new(problem), retry_after, transient }.into()
    }

    /// How long the server asks to wait: Criteo names the reset of its limit (Criteo docs, page Rate limits), others
    /// a `Retry-After` in seconds.
    fn asked_wait(&self, status: StatusCode, headers: &HeaderMap) -> Option<Duration> {
        let retry_after = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
        let asked = retry_after.map(Duration::from_secs);
        let reset = (status == StatusCode::TOO_MANY_REQUESTS)
            .then(|| quota::reset_wait(headers, self.client.0.clock.now()))
            .flatten();
        asked.max(reset).map(|wait| wait.min(MAX_SERVER_WAIT))
    }

    /// Decides what a failure means; returns once the next attempt may begin.
    async fn recover(&mut self, failure: Failure) -> Result<(), SendError> {
        let pace = match judge(&failure) {
            Verdict::Repeat(pace) => pace,
            Verdict::Renew if self.renew() => {
                debug!(what = %self.request.what, "the access token was refused; trying with a new one");
                return Ok(());
            }
            Verdict::Renew | Verdict::Final => return Err(self.finally(failure)),
        };
        (self.refused_tokens, self.refused_new_token) = (0, false);
        self.silences += u32::from(failure.is_silence());
        let policy = &self.client.0.options.retry;
        self.no_connections += u32::from(failure.is_no_connection());
        let attempts = self.request.attempts.map_or(policy.attempts, |attempts| attempts.min(policy.attempts));
        if self.attempts >= attempts || self.silences >= policy.silences || self.no_connections >= policy.no_connections
        {
            return Err(self.exhausted(failure));
        }
        self.pause(pace, failure).await
    }

    /// Drops a refused token; false if two new ones were refused. The repetition does not count as an attempt.
    ///
    /// A token that another request has dropped meanwhile, or that anybody got an answer with, has merely ended: with many
    /// requests under way that happens to one of them twice in a row, and says nothing about the credentials.
    fn renew(&mut self) -> bool {
        let (Some(source), Some(bearer)) = (&self.request.bearer, &self.bearer) else { return false };
        let is_new = source.reject(bearer) && !bearer.was_accepted();
        self.refused_tokens += 1;
        if (is_new && self.refused_new_token) || self.refused_tokens > MAX_REFUSED_TOKENS {
            return false;
        }
        self.refused_new_token |= is_new;
        self.attempts -= 1;
        self.client.0.retries.fetch_add(1, Ordering::Relaxed);
        true
    }

    async fn pause(&mut self, pace: Pace, failure: Failure) -> Result<(), SendError> {
        let asked = match &failure {
            Failure::Status { retry_after, .. } => *retry_after,
            _ => None,
        };
        let own = self.schedule.next(pace);
        let wait = asked.map_or(own, |asked| asked.max(own));
        let clock = &self.client.0.clock;
        if !self.request.deadline.allows(clock, wait) {
            return Err(self.deadline_passed(Some(failure)));
        }
        self.log(&failure, wait);
        let throttled = matches!(&failure, Failure::Status { status, .. } if *status == StatusCode::TOO_MANY_REQUESTS);
        self.last = Some(Box::new(failure));
        self.client.0.retries.fetch_add(1, Ordering::Relaxed);
        if let (true, Some(quota)) = (throttled, &self.request.quota) {
            // Everyone who shares the limit has to wait, and this request waits among them.
            quota.hold(wait);
            return Ok(());
        }
        let waiting = self.last.as_ref().map(|failure| failure.in_short(self.request.server()));
        let _announced = clock.announce(format!("{}, again", waiting.unwrap_or_default()), wait);
        clock.sleep(wait).await;
        let millis = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        self.client.0.waited_millis.fetch_add(millis, Ordering::Relaxed);
        Ok(())
    }

    fn log(&self, failure: &Failure, wait: Duration) {
        let (what, attempt) = (&self.request.what, self.attempts);
        let wait_secs = wait.as_secs_f64();
        // Whoever watches sees what is waited for (see `waits`); whether it was of any use, the end of the request says.
        info!(%what, attempt, wait_secs, trace_id = failure.trace_id(), reason = %failure, "trying again");
    }

    fn finally(&self, failure: Failure) -> SendError {
        let what = self.request.what.clone();
        match failure {
            Failure::Status { status, problem, .. } => {
                SendError::Refused { what, status, problem, attempts: self.attempts }
            }
            Failure::Body(error) => SendError::Body { what, source: error.into_inner() },
            Failure::Transport { .. } => SendError::Connect { what, failure: Box::new(failure) },
        }
    }

    fn elapsed(&self) -> Duration {
        self.client.0.clock.elapsed().saturating_sub(self.started)
    }

    fn exhausted(&self, failure: Failure) -> SendError {
        SendError::Exhausted {
            what: self.request.what.clone(),
            attempts: self.attempts,
            elapsed: self.elapsed(),
            last: Box::new(failure),
        }
    }

    fn deadline_passed(&mut self, failure: Option<Failure>) -> SendError {
        SendError::DeadlinePassed {
            what: self.request.what.clone(),
            attempts: self.attempts,
            elapsed: self.elapsed(),
            last: failure.map(Box::new).or_else(|| self.last.take()),
        }
    }
}

impl HttpClient {
    /// The moment `duration` from now, on this client's clock.
    pub fn deadline_in(&self, duration: Duration) -> Deadline {
        Deadline::after(&self.0.clock, duration)
    }
}

#[cfg(test)]
mod tests;

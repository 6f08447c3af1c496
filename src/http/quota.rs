//! A rate limit: who may call now, and how long the others wait.
//!
//! Two promises pull at each other: no refusal (429) of our own making, and nearly all of the allowed calls used while
//! there is work. A bucket of 40 that refills at 40 a minute breaks the first (it allows 80 calls in a minute), so
//! calls are counted instead: never more than the limit in any window of a minute, however the server cuts its
//! minutes, plus [`MARGIN`] for what happens on the way. That is enough while nobody else uses the application's
//! credentials. For when somebody does, and for limits that Criteo lowers (Criteo docs, page Rate limits), the
//! server's own account is obeyed too: how many calls remain until when.
//!
//! What the server says is about the moment a call reached it, and calls still under way may have reached it later, so
//! they are taken off what remains until they are answered. While nothing is known (at the start, after a refusal, in
//! a new window of a limit that others use), one call goes ahead and the rest wait for its answer.
//!
//! Waiters are served in the order in which they came. This module does not send, and does not decide what to repeat.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::header::{DATE, HeaderMap};
use tokio::sync::Notify;
use tracing::debug;

use crate::clock::{Clock, Deadline};

/// Criteo's limits are per minute (Criteo docs, page Rate limits).
const WINDOW: Duration = Duration::from_mins(1);
/// How much later than a minute a call's place is given away: calls take different times to arrive. Costs 3 %.
const MARGIN: Duration = Duration::from_secs(2);
/// A reset is named in whole seconds, and so is the server's clock.
const RESET_MARGIN: Duration = Duration::from_secs(1);
/// Resets nearer to each other than this are the same one, seen through rounding.
const SAME_RESET: Duration = Duration::from_secs(2);
/// A reset that advances by less than this belongs to a sliding window, not to the next fixed one.
const NEXT_RESET: Duration = Duration::from_secs(45);
/// Longest wait for a reset.
const MAX_RESET_WAIT: Duration = Duration::from_mins(2);
/// A reset further away is not one (milliseconds, another epoch).
const NONSENSICAL_RESET: Duration = Duration::from_hours(1);
/// How long the first call may keep the others waiting for what its answer says.
const PROBE_WAIT: Duration = Duration::from_secs(15);

/// The deadline passed, or would pass, before a call is allowed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the `{quota}` limit allows no call before the deadline")]
pub struct QuotaError {
    /// The limit's name.
    pub quota: String,
}

/// A named class of calls under a rate limit; several classes may share one limit.
#[derive(Debug)]
pub struct Quota {
    name: String,
    calls: AtomicU64,
    /// Milliseconds during which calls of this class were kept waiting.
    waited: AtomicU64,
    limit: Arc<Limit>,
}

#[derive(Debug)]
struct Limit {
    clock: Clock,
    /// Held by the waiter whose turn is next; the lock is fair.
    turn: tokio::sync::Mutex<()>,
    state: Mutex<State>,
    /// Something was learned that may end the wait of the one whose turn is next.
    changed: Notify,
}

impl Quota {
    /// A limit of `calls_per_minute` (at least 1) until the server names another.
    pub fn new(name: impl Into<String>, calls_per_minute: u32, clock: Clock) -> Arc<Self> {
        let limit = Limit {
            clock,
            turn: tokio::sync::Mutex::new(()),
            state: Mutex::new(State::new(calls_per_minute)),
            changed: Notify::new(),
        };
        Self::under(name, Arc::new(limit))
    }

    /// Another class of calls under the same limit, counted apart.
    pub fn beside(&self, name: impl Into<String>) -> Arc<Self> {
        Self::under(name, Arc::clone(&self.limit))
    }

    fn under(name: impl Into<String>, limit: Arc<Limit>) -> Arc<Self> {
        Arc::new(Self { name: name.into(), calls: AtomicU64::new(0), waited: AtomicU64::new(0), limit })
    }

    /// The name given to it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Calls of this class allowed so far, which is attempts sent.
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    /// Calls a minute, as configured or as the server last said.
    pub fn limit(&self) -> u32 {
        self.limit.state().limit
    }

    /// Whether calls of both classes count against one limit.
    pub fn shares_limit_with(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.limit, &other.limit)
    }

    /// More was learned of what the application may do; what the server has said of its limit counts for more.
    pub fn expect_limit(&self, calls_per_minute: u32) {
        let mut state = self.limit.state();
        if !state.limit_is_the_servers {
            state.limit = calls_per_minute.max(1);
            self.limit.changed.notify_one();
        }
    }

    /// Time during which the limit kept calls of this class waiting; waits at the same time count once.
    pub fn waited(&self) -> Duration {
        Duration::from_millis(self.waited.load(Ordering::Relaxed))
    }

    /// Waits for a turn, in order of arrival. The call must be sent at once.
    pub async fn acquire(self: &Arc<Self>, deadline: Deadline) -> Result<Permit, QuotaError> {
        let too_late = || QuotaError { quota: self.name.clone() };
        let limit = &self.limit;
        let _turn = limit.clock.within(deadline, limit.turn.lock()).await.map_err(|_| too_late())?;
        let began = limit.clock.elapsed();
        let granted = loop {
            let now = limit.clock.elapsed();
            let verdict = limit.state().verdict(now);
            let in_time = match verdict {
                Verdict::Go(number) => {
                    self.calls.fetch_add(1, Ordering::Relaxed);
                    break Ok(Permit { limit: Arc::clone(limit), number, granted: now, heard: false });
                }
                Verdict::At(until) => {
                    debug!(quota = %self.name, "waiting for the rate limit");
                    limit.wait(until.saturating_sub(now), deadline).await
                }
                Verdict::AfterAnswer(until) => limit.wait_for_answer(until.saturating_sub(now), deadline).await,
            };
            if !in_time {
                break Err(too_late());
            }
        };
        let waited = limit.clock.elapsed().saturating_sub(began);
        self.waited.fetch_add(u64::try_from(waited.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
        granted
    }

    /// Allows no call for `wait`, and then one before all others: a call was refused for exceeding the limit.
    pub fn hold(&self, wait: Duration) {
        let until = self.limit.clock.elapsed() + wait;
        let mut state = self.limit.state();
        state.held_until = state.held_until.max(until);
        state.probe = Probe::Wanted;
    }
}

impl Limit {
    /// Waits until a call may be allowed, or something was learned; false if the deadline comes first.
    async fn wait(&self, wait: Duration, deadline: Deadline) -> bool {
        if !deadline.allows(&self.clock, wait) {
            return false;
        }
        let _announced = self.clock.announce("quota: next call", wait);
        tokio::select! {
            () = self.clock.sleep(wait) => {}
            () = self.changed.notified() => {}
        }
        true
    }

    /// Waits for the answer to the call that went ahead, but not for long; false if the deadline comes first.
    async fn wait_for_answer(&self, patience: Duration, deadline: Deadline) -> bool {
        let until = Deadline::after(&self.clock, patience).or_sooner(deadline);
        if self.clock.within(until, self.changed.notified()).await.is_err() {
            self.state().probe = Probe::Done;
        }
        deadline.allows(&self.clock, Duration::ZERO)
    }

    fn observe(&self, number: u64, headers: &HeaderMap) {
        let said = RateLimitHeaders::read(headers, self.clock.now());
        let now = self.clock.elapsed();
        self.state().learn(number, &said, now);
        self.changed.notify_one();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every method leaves the state whole, so a panic elsewhere while it was locked does no harm.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right to send one call, now.
#[derive(Debug)]
pub struct Permit {
    limit: Arc<Limit>,
    number: u64,
    granted: Duration,
    heard: bool,
}

impl Permit {
    /// The call is being sent: if it was kept back since the turn came, its place in the window begins now.
    pub(super) fn use_now(&mut self) {
        let now = self.limit.clock.elapsed();
        if now.saturating_sub(self.granted) > MARGIN / 4 {
            self.limit.state().count(self.number, now);
        }
    }

    /// The call was answered: learns what the server says of its limit.
    pub fn observe(mut self, headers: &HeaderMap) {
        self.heard = true;
        self.limit.observe(self.number, headers);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if !self.heard {
            self.limit.state().unanswered(self.number);
            self.limit.changed.notify_one();
        }
    }
}

/// What to do with the one whose turn is next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// It may go, as this number.
    Go(u64),
    /// Not before this time.
    At(Duration),
    /// Not before the answer to the call ahead, or this time.
    AfterAnswer(Duration),
}

/// One call goes ahead while nothing is known of what the server still allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Probe {
    Wanted,
    UnderWay { number: u64, until: Duration },
    Done,
}

/// What the server said of the window that ends at `resets_at`.
#[derive(Clone, Copy, Debug)]
struct ServerWindow {
    resets_at: Duration,
    /// The least that an answer said remained.
    remaining: u32,
    /// When the call was sent whose answer said so.
    as_of: Duration,
    /// More calls were used than we sent.
    shared: bool,
}

#[derive(Debug)]
struct State {
    limit: u32,
    /// The server has named it.
    limit_is_the_servers: bool,
    /// Calls of all classes.
    calls: u64,
    /// When each call was sent that may still count.
    sent: VecDeque<Duration>,
    /// When each call was sent that is not answered yet, by number.
    under_way: BTreeMap<u64, Duration>,
    held_until: Duration,
    probe: Probe,
    window: Option<ServerWindow>,
    last_reset: Option<Duration>,
    /// The server's resets move on with every call: its window slides, and ours mirrors it.
    sliding: bool,
}

impl State {
    fn new(limit: u32) -> Self {
        Self {
            limit: limit.max(1),
            limit_is_the_servers: false,
            calls: 0,
            sent: VecDeque::new(),
            under_way: BTreeMap::new(),
            held_until: Duration::ZERO,
            probe: Probe::Wanted,
            window: None,
            last_reset: None,
            sliding: false,
        }
    }

    fn verdict(&mut self, now: Duration) -> Verdict {
        if now < self.held_until {
            return Verdict::At(self.held_until);
        }
        if let Some(until) = self.own_window_full(now).or_else(|| self.server_window_full(now)) {
            return Verdict::At(until);
        }
        match self.probe {
            Probe::UnderWay { until, .. } if now < until => return Verdict::AfterAnswer(until),
            Probe::UnderWay { .. } => self.probe = Probe::Done,
            Probe::Wanted => self.probe = Probe::UnderWay { number: self.calls + 1, until: now + PROBE_WAIT },
            Probe::Done => {}
        }
        self.calls += 1;
        self.count(self.calls, now);
        Verdict::Go(self.calls)
    }

    fn count(&mut self, number: u64, now: Duration) {
        self.sent.push_back(now);
        self.under_way.insert(number, now);
    }

    /// Until when our own calls of the last minute fill the limit.
    fn own_window_full(&mut self, now: Duration) -> Option<Duration> {
        while self.sent.front().is_some_and(|at| *at + WINDOW + MARGIN <= now) {
            self.sent.pop_front();
        }
        let limit = usize::try_from(self.limit).unwrap_or(usize::MAX);
        let oldest_that_must_go = self.sent.len().checked_sub(limit)?;
        self.sent.get(oldest_that_must_go).map(|at| *at + WINDOW + MARGIN)
    }

    /// Until when the server, by its own account, allows no more calls.
    fn server_window_full(&mut self, now: Duration) -> Option<Duration> {
        let window = self.window?;
        if now >= window.resets_at {
            self.window = None;
            if window.shared && self.probe == Probe::Done {
                self.probe = Probe::Wanted;
            }
            return None;
        }
        // In a sliding window that nobody shares our own count is exact, and the reset may be that of the last call.
        let binding = !self.sliding || window.shared;
        let uncounted = self.under_way.values().filter(|sent_at| window.may_have_missed(**sent_at)).count();
        let full = usize::try_from(window.remaining).is_ok_and(|remaining| remaining <= uncounted);
        (binding && full).then_some(window.resets_at)
    }

    fn learn(&mut self, number: u64, said: &RateLimitHeaders, now: Duration) {
        if matches!(self.probe, Probe::UnderWay { number: probe, .. } if probe == number) {
            self.probe = Probe::Done;
        }
        let as_of = self.under_way.remove(&number).unwrap_or(now);
        if let Some(limit) = said.limit {
            (self.limit, self.limit_is_the_servers) = (limit, true);
        }
        let (Some(remaining), Some(reset_in)) = (said.remaining, said.reset_in) else { return };
        let resets_at = now + reset_in;
        let advance = resets_at.saturating_sub(*self.last_reset.get_or_insert(resets_at));
        if advance > SAME_RESET {
            self.sliding = advance < NEXT_RESET;
            self.last_reset = Some(resets_at);
        }
        let heard = ServerWindow { resets_at, remaining, as_of, shared: false };
        let mut window = match self.window {
            Some(known) if known.is_same_as(&heard, self.sliding) => known.with(heard),
            Some(known) if known.as_of > as_of => known,
            _ => heard,
        };
        window.shared |= self.is_shared(&window);
        self.window = Some(window);
    }

    /// Whether more calls of this window were used than we sent, counting those that the server may not have seen.
    fn is_shared(&self, window: &ServerWindow) -> bool {
        let end = if self.sliding { window.as_of } else { window.resets_at };
        // Generous at the edge: the reset is a little late, and calls take a moment to arrive.
        let begin = end.saturating_sub(WINDOW + 2 * MARGIN);
        let ours = self.sent.iter().filter(|at| **at >= begin).count();
        usize::try_from(self.limit.saturating_sub(window.remaining)).is_ok_and(|used| used > ours)
    }

    /// A call ended without an answer: nobody knows whether it was counted.
    fn unanswered(&mut self, number: u64) {
        if matches!(self.probe, Probe::UnderWay { number: probe, .. } if probe == number) {
            self.probe = Probe::Wanted;
        }
        let sent_at = self.under_way.remove(&number);
        if let (Some(sent_at), Some(window)) = (sent_at, &mut self.window)
            && window.may_have_missed(sent_at)
        {
            window.remaining = window.remaining.saturating_sub(1);
        }
    }
}

impl ServerWindow {
    /// Fixed windows are told apart by their ends; a sliding one is another for every call, save those sent together.
    fn is_same_as(&self, other: &Self, sliding: bool) -> bool {
        if sliding {
            self.as_of.abs_diff(other.as_of) <= MARGIN
        } else {
            self.resets_at.abs_diff(other.resets_at) <= SAME_RESET
        }
    }

    /// Two answers about the same window: less remains with every call, so the smaller number is the newer one.
    fn with(self, other: Self) -> Self {
        let newer = if other.remaining < self.remaining { other } else { self };
        Self { resets_at: self.resets_at.max(other.resets_at), shared: self.shared || other.shared, ..newer }
    }

    /// Whether a call may have arrived after the one that this is known from.
    fn may_have_missed(&self, sent_at: Duration) -> bool {
        sent_at + MARGIN > self.as_of
    }
}

/// What the headers of one answer say; absent or nonsensical parts are `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct RateLimitHeaders {
    limit: Option<u32>,
    remaining: Option<u32>,
    /// From the moment of the answer.
    reset_in: Option<Duration>,
}

impl RateLimitHeaders {
    fn read(headers: &HeaderMap, now: DateTime<Utc>) -> Self {
        let small = |number: u64| u32::try_from(number).ok();
        Self {
            limit: number(headers, "limit").and_then(small).filter(|limit| *limit > 0),
            remaining: number(headers, "remaining").and_then(small),
            reset_in: reset_wait(headers, now),
        }
    }
}

/// How long until the limit is reset, at most two minutes; `None` if the headers do not say or make no sense.
///
/// Criteo names the reset in seconds since 1970 (Criteo docs, page Rate limits), here counted from the answer's own
/// `Date`, because this machine's clock may be wrong. Small numbers are seconds from now, as in the IETF's draft.
pub(super) fn reset_wait(headers: &HeaderMap, now: DateTime<Utc>) -> Option<Duration> {
    let reset = number(headers, "reset")?;
    if reset <= NONSENSICAL_RESET.as_secs() {
        return Some((Duration::from_secs(reset) + RESET_MARGIN).min(MAX_RESET_WAIT));
    }
    let date = headers.get(DATE).and_then(|date| DateTime::parse_from_rfc2822(date.to_str().ok()?).ok());
    let now = date.map_or(now, |date| date.to_utc());
    let reset = DateTime::from_timestamp(i64::try_from(reset).ok()?, 0)?;
    let wait = (reset - now).to_std().ok()?;
    (wait <= NONSENSICAL_RESET).then(|| (wait + RESET_MARGIN).min(MAX_RESET_WAIT))
}

/// The leading number of `x-ratelimit-…`, or of `ratelimit-…` as other gateways write it.
fn number(headers: &HeaderMap, part: &str) -> Option<u64> {
    let header = ["x-ratelimit-", "ratelimit-"].iter().find_map(|prefix| headers.get(format!("{prefix}{part}")))?;
    let text = header.to_str().ok()?.trim();
    let digits = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
    text[..digits].parse().ok()
}

#[cfg(test)]
mod tests;

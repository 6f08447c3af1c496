//! When to send a request again: which failures deserve it, how long to wait, how often.
//!
//! The three are kept apart: [`judge`] decides whether repeating may help, a [`Schedule`] says how long to wait
//! before the next attempt, and the number of attempts is a field of [`RetryPolicy`]. None of them sleeps or sends;
//! the deadline is the send loop's. The `backoff` package is unmaintained (RUSTSEC-2025-0012) and its own loop ignores
//! its time limit when a delay comes from the server, so it is used here, and only here, as a source of intervals.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use backoff::ExponentialBackoff;
use backoff::backoff::Backoff;
use reqwest::StatusCode;

use super::error::Failure;
use super::tls::{is_proxy_refusal, tls_problem};

/// How often a request is repeated, and how long the pauses are.
///
/// Repeated are: connections that fail to open, break, or time out; bodies that end early or do not decompress;
/// the statuses 408, 425, 429 and 5xx, and what the request itself calls transient. Final are: certificates that do not check out, servers that do not speak TLS,
/// proxies that want a password, addresses that make no sense, and every other status from 400 up. A 401 is repeated once with a new token, outside this count.
///
/// The pauses follow Criteo's advice (Criteo docs, page Rate limits: 1, 2, 4, … seconds after a 429; longer ones
/// after a 500 or 503).
#[derive(Clone, Debug)]
pub struct RetryPolicy {
    /// Attempts in all, at least 1.
    pub attempts: u32,
    /// Attempts that may end in silence, at least 1: each has taken the whole read timeout, which is minutes.
    pub silences: u32,
    /// Attempts that may end without any connection, at least 1: somebody who waits wants to know soon.
    pub no_connections: u32,
    /// Pause before the second attempt.
    pub initial: Duration,
    /// The same, after the server said that it is broken or busy (5xx).
    pub initial_unavailable: Duration,
    /// The longest pause before jitter.
    pub max: Duration,
    /// Each pause is the one before times this.
    pub multiplier: f64,
    /// Share of a pause, from 0 to 1, by which chance shortens or lengthens it.
    pub jitter: f64,
    /// Where chance comes from.
    pub random: RandomSource,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            attempts: 8,
            silences: 3,
            no_connections: u32::MAX,
            initial: Duration::from_secs(1),
            initial_unavailable: Duration::from_secs(4),
            max: Duration::from_mins(1),
            multiplier: 2.0,
            jitter: 0.25,
            random: RandomSource::system(),
        }
    }
}

/// A source of numbers from 0 (inclusive) to 1 (exclusive).
#[derive(Clone)]
pub struct RandomSource(Arc<dyn Fn() -> f64 + Send + Sync>);

impl RandomSource {
    /// Different in every process: what keeps a fleet that failed together from coming back together.
    pub fn system() -> Self {
        // The standard library keys its hash tables with random numbers of the operating system.
        Self::seeded(RandomState::new().hash_one(std::process::id()))
    }

    /// The same sequence for the same seed.
    pub fn seeded(seed: u64) -> Self {
        let state = AtomicU64::new(seed);
        Self(Arc::new(move || unit(split_mix(state.fetch_add(GOLDEN_GAMMA, Ordering::Relaxed)))))
    }

    /// Always the same number.
    pub fn fixed(value: f64) -> Self {
        Self(Arc::new(move || value))
    }

    fn next(&self) -> f64 {
        (self.0)()
    }
}

impl fmt::Debug for RandomSource {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("RandomSource")
    }
}

const GOLDEN_GAMMA: u64 = 0x9E37_79B9_7F4A_7C15;

/// The mixing function of `SplitMix64`: plenty for spreading pauses, and no dependency.
fn split_mix(state: u64) -> u64 {
    let mut mixed = state.wrapping_add(GOLDEN_GAMMA);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

fn unit(bits: u64) -> f64 {
    let high = u32::try_from(bits >> 32).unwrap_or(u32::MAX);
    f64::from(high) / (f64::from(u32::MAX) + 1.0)
}

/// Which row of pauses applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pace {
    /// The network, or a limit.
    Usual,
    /// The server is broken or busy.
    Unavailable,
}

/// The pauses of one request, growing with each one taken.
#[derive(Debug)]
pub(super) struct Schedule {
    usual: ExponentialBackoff,
    unavailable: ExponentialBackoff,
    jitter: f64,
    random: RandomSource,
}

impl Schedule {
    pub(super) fn new(policy: &RetryPolicy) -> Self {
        let intervals = |initial: Duration| ExponentialBackoff {
            current_interval: initial,
            initial_interval: initial,
            max_interval: policy.max,
            multiplier: policy.multiplier,
            // Chance is drawn below, from a source that tests can hold still; time is the deadline's business.
            randomization_factor: 0.0,
            max_elapsed_time: None,
            ..ExponentialBackoff::default()
        };
        Self {
            usual: intervals(policy.initial),
            unavailable: intervals(policy.initial_unavailable),
            jitter: policy.jitter.clamp(0.0, 1.0),
            random: policy.random.clone(),
        }
    }

    pub(super) fn next(&mut self, pace: Pace) -> Duration {
        let intervals = match pace {
            Pace::Usual => &mut self.usual,
            Pace::Unavailable => &mut self.unavailable,
        };
        let interval = intervals.next_backoff().unwrap_or(intervals.max_interval);
        let scaled = interval.mul_f64(1.0 + self.jitter * (2.0 * self.random.next() - 1.0));
        // The package adds up to a nanosecond of its own chance.
        Duration::from_millis(u64::try_from(scaled.as_millis()).unwrap_or(u64::MAX))
    }
}

/// What to do about a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Send it again.
    Repeat(Pace),
    /// Send it again with a new token, once.
    Renew,
    /// Give up.
    Final,
}

/// Whether repeating may help.
pub(super) fn judge(failure: &Failure) -> Verdict {
    let repeats = match failure {
        Failure::Status { status, transient, .. } => match judge_status(*status) {
            Verdict::Final if *transient => true,
            verdict => return verdict,
        },
        Failure::Body(error) => error.is_retryable(),
        Failure::Transport { error, .. } => {
            !error.is_builder() && !error.is_redirect() && tls_problem(error).is_none() && !is_proxy_refusal(error)
        }
    };
    if repeats { Verdict::Repeat(Pace::Usual) } else { Verdict::Final }
}

fn judge_status(status: StatusCode) -> Verdict {
    match status {
        StatusCode::UNAUTHORIZED => Verdict::Renew,
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS => {
            Verdict::Repeat(Pace::Usual)
        }
        status if status.is_server_error() => Verdict::Repeat(Pace::Unavailable),
        _ => Verdict::Final,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{Problem, ReadError};

    fn pauses(pace: Pace, draw: f64) -> Vec<f64> {
        let policy = RetryPolicy { random: RandomSource::fixed(draw), ..RetryPolicy::default() };
        let mut schedule = Schedule::new(&policy);
        (0..8).map(|_| schedule.next(pace).as_secs_f64()).collect()
    }

    #[test]
    fn pauses_double_up_to_the_longest_and_chance_moves_them_by_a_quarter_at_most() {
        let close = |actual: Vec<f64>, expected: [f64; 8]| {
            assert!(actual.iter().zip(expected).all(|(a, e)| (a - e).abs() < 0.01), "{actual:?}");
        };
        close(pauses(Pace::Usual, 0.0), [0.75, 1.5, 3.0, 6.0, 12.0, 24.0, 45.0, 45.0]);
        close(pauses(Pace::Usual, 0.5), [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]);
        close(pauses(Pace::Usual, 0.999_999), [1.25, 2.5, 5.0, 10.0, 20.0, 40.0, 75.0, 75.0]);
        close(pauses(Pace::Unavailable, 0.5), [4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0, 60.0]);
    }

    #[test]
    fn chance_stays_between_zero_and_one_and_a_seed_repeats_it() {
        let draw = |seed| {
            let source = RandomSource::seeded(seed);
            (0..1000).map(|_| source.next()).collect::<Vec<_>>()
        };
        let numbers = draw(7);
        assert!(numbers.iter().all(|number| (0.0..1.0).contains(number)));
        assert!((numbers.iter().sum::<f64>() / 1000.0 - 0.5).abs() < 0.05);
        assert!(numbers == draw(7) && numbers != draw(8));
    }

    #[test]
    fn statuses_are_judged_as_the_policy_promises() {
        for (code, expected) in [
            (400, Verdict::Final),
            (401, Verdict::Renew),
            (403, Verdict::Final),
            (404, Verdict::Final),
            (408, Verdict::Repeat(Pace::Usual)),
            (410, Verdict::Final),
            (413, Verdict::Final),
            (415, Verdict::Final),
            (425, Verdict::Repeat(Pace::Usual)),
            (429, Verdict::Repeat(Pace::Usual)),
            (500, Verdict::Repeat(Pace::Unavailable)),
            (502, Verdict::Repeat(Pace::Unavailable)),
            (503, Verdict::Repeat(Pace::Unavailable)),
            (504, Verdict::Repeat(Pace::Unavailable)),
        ] {
            let status = StatusCode::from_u16(code).expect("a status");
            let failed = |transient| {
                let problem = Box::new(Problem::default());
                judge(&Failure::Status { status, problem, retry_after: None, transient })
            };
            assert_eq!(failed(false), expected, "{code}");
            let transient = if expected == Verdict::Final { Verdict::Repeat(Pace::Usual) } else { expected };
            assert_eq!(failed(true), transient, "{code}");
        }
        assert_eq!(judge(&Failure::Body(ReadError::retry("short"))), Verdict::Repeat(Pace::Usual));
        assert_eq!(judge(&Failure::Body(ReadError::fatal("unknown shape"))), Verdict::Final);
    }
}

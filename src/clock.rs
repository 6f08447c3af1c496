//! Time as a value: what the wall clock says, waiting, and the moment by which something must be over.
//!
//! Everything that waits (retry, quota, token renewal, lock leases) takes a [`Clock`], so that a test can run hours of
//! waiting in no time. The clock runs on tokio's, so a paused runtime drives it too. It knows nothing of what is
//! waited for, but keeps the list of what was announced ([`Waits`]).

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::waits::{Announced, Wait, Waits};

/// A source of "now" and of waits, shared by cloning.
#[derive(Clone, Debug)]
pub struct Clock(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    wall_at_start: DateTime<Utc>,
    started: tokio::time::Instant,
    skips_waits: bool,
    /// Nanoseconds that were waited for without sleeping.
    skipped_nanos: AtomicU64,
    waits: Waits,
}

impl Clock {
    /// The system's clock; [`Clock::sleep`] really sleeps.
    pub fn system() -> Self {
        Self::starting_at(Utc::now())
    }

    /// A clock that starts at `now` and runs as the system's does; [`Clock::sleep`] really sleeps.
    pub fn starting_at(now: DateTime<Utc>) -> Self {
        Self::new(now, false)
    }

    /// A clock that starts at `now` and jumps ahead instead of sleeping: for tests of the whole program.
    pub fn skipping(now: DateTime<Utc>) -> Self {
        Self::new(now, true)
    }

    fn new(wall_at_start: DateTime<Utc>, skips_waits: bool) -> Self {
        Self(Arc::new(Inner {
            wall_at_start,
            started: tokio::time::Instant::now(),
            skips_waits,
            skipped_nanos: AtomicU64::new(0),
            waits: Waits::default(),
        }))
    }

    /// Time since this clock was made, never going back.
    pub fn elapsed(&self) -> Duration {
        self.0.started.elapsed() + Duration::from_nanos(self.0.skipped_nanos.load(Ordering::Relaxed))
    }

    /// The wall clock, advanced by whatever waits were skipped.
    pub fn now(&self) -> DateTime<Utc> {
        self.0.wall_at_start + TimeDelta::from_std(self.elapsed()).unwrap_or(TimeDelta::MAX)
    }

    /// What is being waited for on this clock, as far as it was announced.
    pub fn waits(&self) -> &Waits {
        &self.0.waits
    }

    /// Announces a wait of `duration` for `what`, in words that "in 12 s" can follow.
    pub fn announce(&self, what: impl Into<String>, duration: Duration) -> Announced {
        self.0.waits.announce(Wait { what: what.into(), until: self.elapsed() + duration })
    }

    /// Waits for `duration`, or jumps ahead by it. Waits that overlap do not add up, also when they are skipped.
    pub async fn sleep(&self, duration: Duration) {
        if self.0.skips_waits {
            let until = self.elapsed() + duration;
            tokio::task::yield_now().await;
            let missing = until.saturating_sub(self.elapsed());
            let nanos = u64::try_from(missing.as_nanos()).unwrap_or(u64::MAX);
            self.0.skipped_nanos.fetch_add(nanos, Ordering::Relaxed);
        } else {
            tokio::time::sleep(duration).await;
        }
    }

    /// Runs `future` until `deadline` at the latest; it is dropped when the deadline passes.
    ///
    /// Other waits end when their time has come; this one ends when the other side answers, so a clock that skips
    /// waits does not skip it: it gives the other side real time.
    pub async fn within<F: Future>(&self, deadline: Deadline, future: F) -> Result<F::Output, Elapsed> {
        match deadline.remaining(self) {
            None => Ok(future.await),
            Some(remaining) => tokio::time::timeout(remaining, future).await.map_err(|_| Elapsed),
        }
    }
}

/// The deadline came before the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the deadline passed")]
pub struct Elapsed;

/// The moment by which a piece of work must be over, on one [`Clock`]; copied into everything the work does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline(Option<Duration>);

impl Deadline {
    /// No limit.
    pub fn never() -> Self {
        Self(None)
    }

    /// `duration` from now.
    pub fn after(clock: &Clock, duration: Duration) -> Self {
        Self(clock.elapsed().checked_add(duration))
    }

    /// What is left; zero when it has passed, `None` when there is no limit.
    pub fn remaining(self, clock: &Clock) -> Option<Duration> {
        self.0.map(|at| at.saturating_sub(clock.elapsed()))
    }

    /// Whether a wait of `duration`, begun now, would end in time.
    pub fn allows(self, clock: &Clock, duration: Duration) -> bool {
        self.remaining(clock).is_none_or(|remaining| duration < remaining)
    }

    /// The earlier of the two.
    #[must_use]
    pub fn or_sooner(self, other: Self) -> Self {
        match (self.0, other.0) {
            (Some(one), Some(two)) => Self(Some(one.min(two))),
            (one, two) => Self(one.or(two)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn skipped_waits_move_the_wall_clock_and_do_not_add_up_when_they_overlap() {
        let clock = Clock::skipping(DateTime::UNIX_EPOCH);
        let hour = Duration::from_hours(1);
        tokio::join!(clock.sleep(hour), clock.sleep(hour));
        assert!(clock.elapsed() >= hour && clock.elapsed() < hour + Duration::from_mins(1));
        assert!(clock.now() >= DateTime::UNIX_EPOCH + TimeDelta::hours(1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_deadline_ends_what_does_not_end_by_itself() {
        let clock = Clock::system();
        let deadline = Deadline::after(&clock, Duration::from_secs(5));
        assert!(deadline.allows(&clock, Duration::from_secs(4)));
        assert_eq!(clock.within(deadline, std::future::pending::<()>()).await, Err(Elapsed));
        assert!(!deadline.allows(&clock, Duration::ZERO));
        assert_eq!(Deadline::never().or_sooner(deadline), deadline);
    }
}

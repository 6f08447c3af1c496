//! The lock of a bucket: an object that says who may write until when.
//!
//! It is taken by a conditional write, renewed while the run lives, and may be taken over after it expired. Its clock stops the
//! holder well before another run may begin, so that clocks which differ by a quarter of a lease do no harm. Both clocks of a
//! machine are asked, because one of them stands still while it sleeps.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::Key;
use super::bucket::Bucket;
use super::error::StoreError;
use super::lock::Holder;

const LOCK: &str = "_ledger/lock";
/// How long a lease lasts without being renewed; a run that was killed blocks the next one that long.
pub(super) const TERM: Duration = Duration::from_mins(2);

/// How long the holder may write without renewing.
#[derive(Debug)]
pub(super) struct LeaseClock {
    term: Duration,
    renewed: Mutex<(Instant, DateTime<Utc>)>,
    is_lost: AtomicBool,
}

impl LeaseClock {
    fn new(term: Duration) -> Self {
        Self { term, renewed: Mutex::new((Instant::now(), Utc::now())), is_lost: AtomicBool::new(false) }
    }

    /// Whether the holder may write: three quarters of the term have not passed, on either clock.
    pub(super) fn is_valid(&self) -> bool {
        let (instant, time) = *self.renewed.lock().unwrap_or_else(PoisonError::into_inner);
        self.is_valid_at(instant.elapsed(), Utc::now() - time)
    }

    fn is_valid_at(&self, by_instant: Duration, by_time: TimeDelta) -> bool {
        let usable = self.term * 3 / 4;
        // A clock that was set back says nothing.
        let by_time = by_time.to_std().unwrap_or_default();
        !self.is_lost.load(Ordering::Relaxed) && by_instant < usable && by_time < usable
    }

    /// Renewed by a request that was begun then.
    fn renew(&self, begun: (Instant, DateTime<Utc>)) {
        *self.renewed.lock().unwrap_or_else(PoisonError::into_inner) = begun;
    }
}

/// The object.
#[derive(Debug, Serialize, Deserialize)]
struct LeaseFile {
    holder: Holder,
    /// Tells writes of the same holder apart.
    renewals: u64,
    expires_at: DateTime<Utc>,
    /// How long each renewal lasts.
    term_secs: u64,
}

impl LeaseFile {
    fn new(holder: Holder, renewals: u64, now: DateTime<Utc>, term: Duration) -> Self {
        Self { holder, renewals, expires_at: now + term, term_secs: term.as_secs() }
    }

    fn bytes(&self) -> Bytes {
        Bytes::from(serde_json::to_vec(self).expect("a lease serializes"))
    }

    /// Whether somebody may be writing under it; other clocks may be a quarter of a lease behind.
    fn is_held(&self, now: DateTime<Utc>) -> bool {
        now < self.expires_at + Duration::from_secs(self.term_secs) / 4
    }

    /// Who holds it, in words.
    fn holder_in_words(&self) -> String {
        let until = self.expires_at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
        format!("{}; its lease lasts until {until}, whether that run still lives or not", self.holder)
    }
}

/// A lease that is held; it is renewed until it is released or dropped.
#[derive(Debug)]
pub(super) struct Lease {
    bucket: Bucket,
    clock: Arc<LeaseClock>,
    renewal: tokio::task::JoinHandle<()>,
    stop: tokio::sync::watch::Sender<bool>,
}

/// Why there is no lease.
pub(super) enum NoLease {
    Held(String),
    Failed(StoreError),
}

impl From<StoreError> for NoLease {
    fn from(error: StoreError) -> Self {
        Self::Failed(error)
    }
}

impl Lease {
    /// Takes the lease, or says at once who has it.
    pub(super) async fn acquire(bucket: &Bucket, holder: Holder, term: Duration) -> Result<Self, NoLease> {
        let (content, condition) = bucket.read_to_replace(LOCK).await?;
        let known = content.and_then(|content| serde_json::from_slice::<LeaseFile>(&content).ok());
        let now = Utc::now();
        if let Some(lease) = known.filter(|lease| lease.is_held(now)) {
            return Err(NoLease::Held(lease.holder_in_words()));
        }
        let clock = Arc::new(LeaseClock::new(term));
        let file = LeaseFile::new(holder.clone(), 0, now, term);
        match bucket.put_as(LOCK, file.bytes(), condition).await {
            Ok(()) => {}
            Err(StoreError::Overtaken { .. }) => {
                return Err(NoLease::Held("another run took it this very moment".to_owned()));
            }
            Err(error) => return Err(error.into()),
        }
        bucket.write_under(Arc::clone(&clock));
        let (stop, stopped) = tokio::sync::watch::channel(false);
        let renewing = keep_renewing(bucket.clone(), holder, Arc::clone(&clock), stopped);
        let renewal = tokio::spawn(renewing);
        Ok(Self { bucket: bucket.clone(), clock, renewal, stop })
    }

    /// Who holds the lease now, in words; it is only read.
    pub(super) async fn holder(bucket: &Bucket) -> Result<Option<String>, StoreError> {
        let content = bucket.get(&Key::new(LOCK).expect("a key")).await?;
        let lease = content.and_then(|content| serde_json::from_slice::<LeaseFile>(&content).ok());
        let held = lease.filter(|lease| lease.is_held(Utc::now()));
        Ok(held.map(|lease| lease.holder_in_words()))
    }

    /// Lets go: the next run need not wait for the end of the lease. While it is valid nobody else can have it, so that removing
    /// it removes nobody else's.
    pub(super) async fn release(mut self) {
        let _ = self.stop.send(true);
        let _ = (&mut self.renewal).await;
        if !self.clock.is_valid() {
            return;
        }
        let key = Key::new(LOCK).expect("a key");
        if let Err(error) = self.bucket.remove(&key).await {
            tracing::warn!(error = %crate::notice::error_chain(&error), "the lease could not be released; it ends by itself");
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.renewal.abort();
    }
}

/// Renews a third of the term after the last renewal, until told to stop or overtaken.
async fn keep_renewing(
    bucket: Bucket,
    holder: Holder,
    clock: Arc<LeaseClock>,
    mut stopped: tokio::sync::watch::Receiver<bool>,
) {
    for renewals in 1.. {
        tokio::select! {
            () = tokio::time::sleep(clock.term / 3) => {}
            _ = stopped.changed() => return,
        }
        let begun = (Instant::now(), Utc::now());
        let file = LeaseFile::new(holder.clone(), renewals, begun.1, clock.term);
        match bucket.put_as(LOCK, file.bytes(), bucket.to_replace(LOCK)).await {
            Ok(()) => clock.renew(begun),
            Err(error @ (StoreError::Overtaken { .. } | StoreError::LeaseExpired { .. })) => {
                tracing::warn!(%error, "the lease is lost");
                clock.is_lost.store(true, Ordering::Relaxed);
                return;
            }
            Err(error) => {
                tracing::warn!(error = %crate::notice::error_chain(&error), "the lease could not be renewed; trying again");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holder(run_id: &str) -> Holder {
        Holder::new(run_id, "pull", DateTime::UNIX_EPOCH)
    }

    fn held(result: Result<Lease, NoLease>) -> String {
        match result {
            Err(NoLease::Held(who)) => who,
            Err(NoLease::Failed(error)) => panic!("{error}"),
            Ok(_) => panic!("two runs hold the lease"),
        }
    }

    #[test]
    fn the_holder_stops_before_others_may_begin_on_either_clock() {
        let clock = LeaseClock::new(TERM);
        let (short, long) = (Duration::from_secs(89), Duration::from_secs(91));
        let delta = |duration| TimeDelta::from_std(duration).expect("short");
        assert!(clock.is_valid_at(short, delta(short)));
        assert!(!clock.is_valid_at(long, delta(short)), "paused");
        assert!(!clock.is_valid_at(short, delta(long)), "asleep");
        assert!(clock.is_valid_at(short, TimeDelta::seconds(-500)), "set back");
        let now = Utc::now();
        let file = LeaseFile::new(holder("r1"), 0, now, TERM);
        assert!(file.is_held(now + TERM + TimeDelta::seconds(29)));
        assert!(!file.is_held(now + TERM + TimeDelta::seconds(31)));
    }

    #[tokio::test]
    async fn a_second_run_is_told_who_holds_the_lease_and_a_third_gets_it_after_release() {
        let bucket = Bucket::in_memory();
        let first = Lease::acquire(&bucket, holder("run-1"), TERM).await.ok().expect("free");
        let who = held(Lease::acquire(&bucket.of_another_process(), holder("run-2"), TERM).await);
        assert!(who.contains("run-1") && who.contains("its lease lasts until"), "{who}");
        first.release().await;
        let third = Lease::acquire(&bucket.of_another_process(), holder("run-3"), TERM).await;
        assert!(third.is_ok());
    }

    #[tokio::test]
    async fn a_holder_that_was_paused_past_its_lease_writes_nothing_more() {
        let first = Bucket::in_memory();
        let second = first.of_another_process();
        let key = Key::new("t/dt=2026-11-01/data.parquet").expect("a key");
        // A lease of no time has expired as soon as it is taken.
        let paused = Lease::acquire(&first, holder("run-1"), Duration::ZERO).await.ok().expect("free");
        let _second = Lease::acquire(&second, holder("run-2"), TERM).await.ok().expect("expired");
        second.put(&key, Bytes::from_static(b"second")).await.expect("written");
        let refused = first.put(&key, Bytes::from_static(b"first")).await.expect_err("expired");
        assert!(matches!(refused, StoreError::LeaseExpired { .. }), "{refused}");
        assert!(matches!(first.remove(&key).await, Err(StoreError::LeaseExpired { .. })));
        paused.release().await;
        assert_eq!(second.get(&key).await.expect("read"), Some(Bytes::from_static(b"second")));
        let who = held(Lease::acquire(&first.of_another_process(), holder("run-3"), TERM).await);
        assert!(who.contains("run-2"), "the paused one must not release the lease of the other: {who}");
    }

    #[tokio::test]
    async fn what_another_run_wrote_since_it_was_seen_is_not_replaced() {
        let first = Bucket::in_memory();
        let second = first.of_another_process();
        let key = Key::new("t/dt=2026-11-01/data.parquet").expect("a key");
        assert_eq!(first.list("t").await.expect("listed"), []);
        second.put(&key, Bytes::from_static(b"second")).await.expect("written");
        let refused = first.put(&key, Bytes::from_static(b"first")).await.expect_err("overtaken");
        assert!(matches!(refused, StoreError::Overtaken { .. }), "{refused}");
        assert_eq!(second.get(&key).await.expect("read"), Some(Bytes::from_static(b"second")));
        // Its own write whose answer was lost is no other run's.
        first.list("t").await.expect("listed");
        second.put(&key, Bytes::from_static(b"same")).await.expect("written");
        first.put(&key, Bytes::from_static(b"same")).await.expect("the same content");
    }
}

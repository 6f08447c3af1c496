//! What is being waited for, and until when. Whoever waits announces it here; whoever shows progress reads it.
//!
//! Nothing waits in this module, and it does not know what the waits are about.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// One wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wait {
    /// What for, in words that "in 12 s" can follow: `quota: next call`.
    pub what: String,
    /// When it ends, on the clock that it goes by.
    pub until: Duration,
}

/// The waits under way; cloning it shares them.
#[derive(Clone, Default)]
pub struct Waits(Arc<Mutex<State>>);

type Observer = Arc<dyn Fn() + Send + Sync>;

#[derive(Default)]
struct State {
    announced: u64,
    under_way: BTreeMap<u64, Wait>,
    observer: Option<Observer>,
}

impl Waits {
    /// A wait begins; it is over when the result is dropped.
    pub fn announce(&self, wait: Wait) -> Announced {
        let mut state = self.state();
        state.announced += 1;
        let number = state.announced;
        state.under_way.insert(number, wait);
        let observer = state.observer.clone();
        drop(state);
        if let Some(observer) = observer {
            observer();
        }
        Announced { waits: self.clone(), number }
    }

    /// The wait that ends first.
    pub fn next_to_end(&self) -> Option<Wait> {
        self.state().under_way.values().min_by_key(|wait| wait.until).cloned()
    }

    /// Calls `observer` whenever a wait begins, instead of the one before.
    pub fn observe(&self, observer: impl Fn() + Send + Sync + 'static) {
        self.state().observer = Some(Arc::new(observer));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Waits {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Waits").field(&self.state().under_way).finish()
    }
}

/// A wait under way.
#[derive(Debug)]
#[must_use = "the wait is over when this is dropped"]
pub struct Announced {
    waits: Waits,
    number: u64,
}

impl Drop for Announced {
    fn drop(&mut self) {
        self.waits.state().under_way.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[test]
    fn the_wait_that_ends_first_is_shown_until_it_is_over() {
        let (waits, seen) = (Waits::default(), Arc::new(AtomicU32::new(0)));
        let count = Arc::clone(&seen);
        waits.observe(move || {
            count.fetch_add(1, Ordering::Relaxed);
        });
        let wait = |what: &str, seconds| Wait { what: what.to_owned(), until: Duration::from_secs(seconds) };
        let long = waits.announce(wait("long", 9));
        let short = waits.announce(wait("short", 3));
        assert_eq!(waits.next_to_end(), Some(wait("short", 3)));
        drop(short);
        assert_eq!(waits.next_to_end(), Some(wait("long", 9)));
        drop(long);
        assert_eq!((waits.next_to_end(), seen.load(Ordering::Relaxed)), (None, 2));
    }
}

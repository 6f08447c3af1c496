//! Calls per minute, counted in fixed windows on the sandbox's clock (API.md section 7).
//!
//! Report calls and other calls are counted apart. A refused call is not counted, so a client that waits for the reset
//! it was told always gets through.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

/// Which allowance a call draws from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Class {
    /// The POST reports.
    Reports,
    /// Everything else.
    Default,
    /// All calls of an authorization-code app.
    Pooled,
}

/// What the `x-ratelimit-…` headers say after a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Allowance {
    pub(super) limit: u32,
    pub(super) remaining: u32,
    /// Epoch seconds at which the window ends.
    pub(super) reset: i64,
    pub(super) refused: bool,
}

/// The windows in progress.
#[derive(Debug, Default)]
pub(super) struct Quotas(BTreeMap<Class, Window>);

#[derive(Debug, Clone, Copy)]
struct Window {
    minute: i64,
    used: u32,
}

impl Quotas {
    /// Counts one call.
    pub(super) fn take(&mut self, class: Class, limit: u32, now: DateTime<Utc>) -> Allowance {
        let minute = now.timestamp().div_euclid(60);
        let window = self.0.entry(class).or_insert(Window { minute, used: 0 });
        if window.minute != minute {
            *window = Window { minute, used: 0 };
        }
        let refused = window.used >= limit;
        if !refused {
            window.used += 1;
        }
        Allowance { limit, remaining: limit.saturating_sub(window.used), reset: (minute + 1) * 60, refused }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_allows_the_limit_and_the_next_one_starts_afresh() {
        let mut quotas = Quotas::default();
        let now = DateTime::from_timestamp(1_790_000_010, 0).expect("a valid instant");
        assert!((0..40).all(|_| !quotas.take(Class::Reports, 40, now).refused));
        let refused = quotas.take(Class::Reports, 40, now);
        assert!(refused.refused && refused.remaining == 0);
        assert!(!quotas.take(Class::Default, 250, now).refused, "classes are counted apart");
        let later = DateTime::from_timestamp(refused.reset, 0).expect("a valid instant");
        assert_eq!(quotas.take(Class::Reports, 40, later).remaining, 39);
    }
}

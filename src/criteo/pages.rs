//! Where a list ends.
//!
//! Criteo's lists come in pages without a total. The largest page that a server sends is not documented and may be shorter
//! than what is asked for, so that a short page alone does not prove the end; asking every list for an empty page would
//! cost one call more for each. So what the pages of an endpoint have shown is remembered: a page shorter than another
//! one is the last of its list; pages of the same length are followed up until a few lists turned out to end with them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

/// Lists that ended with a page of a length, and none that went on, until that length is believed to be no limit.
const PROOFS: u32 = 3;

/// What the pages of one endpoint have shown.
#[derive(Debug, Default)]
pub(super) struct PageEnds {
    seen: Mutex<Seen>,
    /// Held by the one list whose next page will prove something.
    pub(super) proof: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct Seen {
    longest: usize,
    /// Lists that ended with a page of this length.
    ended: BTreeMap<usize, u32>,
    /// Lengths of pages that others followed: the server's limit, or ours.
    went_on: BTreeSet<usize>,
}

impl PageEnds {
    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a page and whether it is the last of its list, as far as is known.
    pub(super) fn is_last(&self, entries: usize) -> bool {
        let mut seen = self.seen();
        seen.longest = seen.longest.max(entries);
        let is_proven = seen.ended.get(&entries).is_some_and(|lists| *lists >= PROOFS);
        entries < seen.longest || (is_proven && !seen.went_on.contains(&entries))
    }

    /// A list ended with a page of this length: the next one was empty.
    pub(super) fn ended(&self, entries: usize) {
        *self.seen().ended.entry(entries).or_default() += 1;
    }

    /// A page of this length was followed by another.
    pub(super) fn went_on(&self, entries: usize) {
        self.seen().went_on.insert(entries);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_that_is_shorter_than_another_is_the_last() {
        let ends = PageEnds::default();
        assert!(!ends.is_last(12), "12 may be the server's limit");
        assert!(ends.is_last(7) && !ends.is_last(12) && !ends.is_last(13));
    }

    #[test]
    fn a_length_that_lists_ended_with_is_believed_until_one_goes_on() {
        let ends = PageEnds::default();
        for _ in 0..3 {
            assert!(!ends.is_last(12));
            ends.ended(12);
        }
        assert!(ends.is_last(12));
        ends.went_on(12);
        assert!(!ends.is_last(12));
    }
}

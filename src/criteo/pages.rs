//! How a list is read page by page, so that nothing that is in it before and after the reading is missed.
//!
//! Criteo's lists come in pages of `limit` entries from `offset` on, without a total, in an order that is not documented
//! but taken to be stable (API behaviour: `limit` and `offset`, default 50, maximum unknown). A page may be shorter than
//! requested because the server's limit is lower or an entry in it is not visible, and entries may appear or vanish between
//! two pages, which shifts the rest. Hence:
//!
//! - Pages overlap by one entry. A page without any entry that is known already may have skipped some: it is read again
//!   from further back, until it joins.
//! - A short page is never the end. The end is a page that holds nothing but the entry it overlaps with.
//! - Where a page does not begin with the last entry of the page before, something moved, and the list is read once more,
//!   until that brings nothing new, [`MAX_PASSES`] times at most.
//!
//! An unchanged list of n entries takes about n / (limit - 1) + 1 calls. This module makes no calls; it says what to read.

use std::collections::HashSet;

/// Times that a list is read at most while it keeps changing.
const MAX_PASSES: u32 = 3;
/// Steps back in one list, until it counts as changing faster than it can be read.
const MAX_STEPS_BACK: u32 = 64;
/// The same page in a row, at different offsets, until the server counts as one that ignores the offset.
const MAX_REPEATS: u32 = 2;

/// A list of which nobody can tell where it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum EndlessList {
    /// A server that ignores the offset but not the limit shows the first page only.
    #[error("the page at offset {offset} is the same full page as the ones before: the server ignores the offset")]
    Repeated {
        /// Of the last page.
        offset: usize,
    },
    /// Pages never join.
    #[error("the list changes faster than it can be read: pages up to offset {offset} do not join")]
    Unsteady {
        /// Of the last page.
        offset: usize,
    },
}

/// A list as far as it has been read.
#[derive(Debug)]
pub(super) struct Reading {
    limit: usize,
    offset: usize,
    /// Everything seen.
    seen: HashSet<String>,
    pass: Pass,
    passes: u32,
    steps_back: u32,
    is_complete: bool,
}

/// One time through the list.
#[derive(Debug, Default)]
struct Pass {
    /// What was seen up to here without a gap.
    joined: HashSet<String>,
    /// The entry that the next page should begin with.
    anchor: Option<String>,
    /// Entries of the last page, and how often it came in a row.
    last: Vec<String>,
    repeats: u32,
    /// How far the last step back went.
    step_back: usize,
    /// Something moved.
    is_unsteady: bool,
    has_news: bool,
}

impl Reading {
    /// Nothing read yet; pages of `limit` entries will be requested.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            offset: 0,
            seen: HashSet::new(),
            pass: Pass::default(),
            passes: 1,
            steps_back: 0,
            is_complete: false,
        }
    }

    /// Where to read next; `None` when the list is complete.
    pub(super) fn next_offset(&self) -> Option<usize> {
        (!self.is_complete).then_some(self.offset)
    }

    /// Takes the page at [`Self::next_offset`] by the identifiers of its entries, and says which of them are new.
    pub(super) fn take(&mut self, page: &[String]) -> Result<Vec<bool>, EndlessList> {
        let news: Vec<bool> = page.iter().map(|id| self.seen.insert(id.clone())).collect();
        self.pass.has_news |= news.contains(&true);
        let is_joined = page.iter().any(|id| self.pass.joined.contains(id));
        if self.pass.anchor.is_some() && !is_joined {
            self.step_back()?;
            return Ok(news);
        }
        self.pass.step_back = 0;
        if self.count_repeats(page)? {
            self.is_complete = true;
            return Ok(news);
        }
        self.pass.is_unsteady |= self.pass.anchor.is_some() && self.pass.anchor.as_ref() != page.first();
        let has_more = page.iter().filter(|id| self.pass.joined.insert((*id).clone())).count() > 0;
        if !has_more && page.len() <= 1 {
            self.end_pass();
        } else {
            // A single entry leaves nothing to overlap with.
            self.offset += page.len().saturating_sub(1).max(1);
            self.pass.anchor = if page.len() > 1 { page.last().cloned() } else { None };
        }
        Ok(news)
    }

    /// The page begins behind a gap: what came before it is read first.
    fn step_back(&mut self) -> Result<(), EndlessList> {
        self.steps_back += 1;
        if self.steps_back > MAX_STEPS_BACK {
            return Err(EndlessList::Unsteady { offset: self.offset });
        }
        self.pass.is_unsteady = true;
        self.pass.last.clear();
        self.pass.step_back = (2 * self.pass.step_back).max(self.limit / 2).max(1);
        self.offset = self.offset.saturating_sub(self.pass.step_back);
        if self.offset == 0 {
            // Nothing can be before the first page.
            self.pass.anchor = None;
        }
        Ok(())
    }

    /// Whether the server has answered the same page often enough to conclude that it knows no offset.
    fn count_repeats(&mut self, page: &[String]) -> Result<bool, EndlessList> {
        if page.len() < 2 || page != self.pass.last {
            self.pass.last = page.to_vec();
            self.pass.repeats = 0;
            return Ok(false);
        }
        self.pass.repeats += 1;
        if self.pass.repeats < MAX_REPEATS {
            return Ok(false);
        }
        // A page of any other length is everything; behind a full one there may be more, which nobody can reach.
        if page.len() == self.limit { Err(EndlessList::Repeated { offset: self.offset }) } else { Ok(true) }
    }

    fn end_pass(&mut self) {
        let Pass { is_unsteady, has_news, .. } = std::mem::take(&mut self.pass);
        let is_settled = !is_unsteady || (self.passes > 1 && !has_news);
        self.is_complete = is_settled || self.passes == MAX_PASSES;
        self.passes += 1;
        self.offset = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A server's list, and what happens to it.
    struct Server {
        entries: Vec<u32>,
        /// Entries that no page shows.
        hidden: Vec<u32>,
        page_limit: usize,
        next_id: u32,
    }

    impl Server {
        fn page(&self, offset: usize, limit: usize) -> Vec<String> {
            let shown = self.entries.iter().skip(offset).take(limit.min(self.page_limit));
            shown.filter(|id| !self.hidden.contains(id)).map(ToString::to_string).collect()
        }

        fn change(&mut self, change: (bool, usize)) {
            let (is_removal, at) = change;
            if is_removal && !self.entries.is_empty() {
                let at = at % self.entries.len();
                self.entries.remove(at);
            } else {
                let at = at % (self.entries.len() + 1);
                self.entries.insert(at, self.next_id);
                self.next_id += 1;
            }
        }
    }

    /// Reads the list while it changes after each page, and returns what was found, and the calls it took.
    fn read(server: &mut Server, limit: usize, changes: &[Vec<(bool, usize)>]) -> (HashSet<String>, usize) {
        let mut reading = Reading::new(limit);
        let (mut found, mut calls) = (HashSet::new(), 0);
        while let Some(offset) = reading.next_offset() {
            let page = server.page(offset, limit);
            let news = reading.take(&page).unwrap();
            found.extend(page.into_iter().zip(news).filter(|(_, is_new)| *is_new).map(|(id, _)| id));
            for change in changes.get(calls).into_iter().flatten() {
                server.change(*change);
            }
            calls += 1;
            assert!(calls < 5_000, "it ends");
        }
        (found, calls)
    }

    fn server(count: u32, page_limit: usize) -> Server {
        Server { entries: (0..count).collect(), hidden: Vec::new(), page_limit, next_id: count }
    }

    proptest! {
        #[test]
        fn nothing_that_is_there_before_and_after_is_missed(
            count in 0_u32..200,
            limit in 3_usize..50,
            page_limit in 3_usize..60,
            hidden in prop::collection::vec(0_u32..200, 0..2),
            changes in prop::collection::vec(prop::collection::vec((any::<bool>(), any::<usize>()), 0..4), 0..12),
        ) {
            let mut server = Server { hidden, ..server(count, page_limit) };
            let before = server.entries.clone();
            let (found, _) = read(&mut server, limit, &changes);
            for id in before.iter().filter(|id| server.entries.contains(id) && !server.hidden.contains(id)) {
                prop_assert!(found.contains(&id.to_string()), "{id} is missing");
            }
        }

        #[test]
        fn an_unchanged_list_takes_one_call_more_than_its_overlapping_pages(count in 0_usize..500, limit in 2_usize..60) {
            let mut server = server(u32::try_from(count).unwrap(), usize::MAX);
            let (found, calls) = read(&mut server, limit, &[]);
            prop_assert_eq!(found.len(), count);
            let expected = if count == 0 { 1 } else { (count.saturating_sub(1)).div_ceil(limit - 1).max(1) + 1 };
            prop_assert_eq!(calls, expected);
        }
    }

    #[test]
    fn an_entry_that_one_page_leaves_out_is_found_by_reading_again() {
        let mut reading = Reading::new(50);
        let ids = |range: std::ops::Range<u32>| range.map(|id| id.to_string()).collect::<Vec<_>>();
        let list = ids(0..430);
        let (mut found, mut calls) = (HashSet::new(), 0);
        while let Some(offset) = reading.next_offset() {
            let mut page: Vec<String> = list.iter().skip(offset).take(50).cloned().collect();
            if calls == 0 {
                page.remove(20);
            }
            found.extend(page.clone());
            reading.take(&page).unwrap();
            calls += 1;
        }
        assert_eq!(found.len(), 430);
        assert!(calls <= 25, "{calls}");
    }

    #[test]
    fn a_server_that_ignores_the_offset_is_found_out() {
        let page = |count: u32| (0..count).map(|id| id.to_string()).collect::<Vec<_>>();
        for (count, expected) in [(1, Ok(2)), (20, Ok(3)), (80, Ok(3)), (50, Err(EndlessList::Repeated { offset: 98 }))]
        {
            let mut reading = Reading::new(50);
            let mut calls = 0;
            let outcome = loop {
                if reading.next_offset().is_none() {
                    break Ok(calls);
                }
                calls += 1;
                if let Err(error) = reading.take(&page(count)) {
                    break Err(error);
                }
            };
            assert_eq!(outcome, expected, "{count}");
        }
    }

    #[test]
    fn a_server_with_pages_of_one_entry_is_read_to_its_end() {
        assert_eq!(read(&mut server(7, 1), 50, &[]).0.len(), 7);
    }

    #[test]
    fn a_server_that_answers_something_else_each_time_is_given_up() {
        let mut reading = Reading::new(3);
        let error = (0..).find_map(|call: u32| {
            let page: Vec<String> = (0..3).map(|entry| format!("{call}-{entry}")).collect();
            reading.next_offset().and_then(|_| reading.take(&page).err())
        });
        assert!(matches!(error, Some(EndlessList::Unsteady { .. })));
    }
}

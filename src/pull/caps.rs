//! Row caps that nobody documents: where a server cuts answers below the documented cap, or where none is documented.
//!
//! There are two kinds of evidence. Criteo's totals prove that rows of an answer are missing; its size is then taken for a cap,
//! and proven to be one when a smaller request brings an answer of exactly that size, or when its parts together have more
//! rows than the whole. Where there are no totals (transactions), a round number of rows, or the largest number coming
//! again, is suspected, and the parts tell. An answer of more rows than a cap allows refutes it.

use std::collections::BTreeMap;

/// Fewer rows than this are never suspected: no server cuts that low.
const MIN_ROUND: u64 = 50;
const MIN_REPEATED: u64 = 20;
/// A multiple of this many rows is taken for a cap unless parts prove otherwise.
const CERTAIN_MULTIPLE: u64 = 1000;

/// How sure a cap is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Evidence {
    /// An answer of this size lacks rows.
    Assumed,
    /// Shown in this run.
    Proven,
    /// Shown in an earlier run.
    Remembered,
}

/// What the answers of one table have shown.
#[derive(Debug, Default)]
pub struct CapDetector {
    counts: BTreeMap<u64, u32>,
    cap: Option<(u64, Evidence)>,
    /// A remembered cap was refuted.
    was_lifted: bool,
}

impl CapDetector {
    /// With the cap that an earlier run has proven.
    pub fn remembering(cap: Option<u64>) -> Self {
        Self { cap: cap.map(|rows| (rows, Evidence::Remembered)), ..Self::default() }
    }

    /// Whether a server may cut answers at so many rows.
    pub fn may_be_a_cap(rows: u64) -> bool {
        rows >= MIN_REPEATED
    }

    /// Notes an answer; whether its parts should be requested to be sure, although nothing but its size speaks against it.
    pub fn is_suspect(&mut self, rows: u64) -> bool {
        let seen = self.counts.entry(rows).or_default();
        *seen += 1;
        let repeats = *seen > 1;
        let is_largest = self.counts.last_key_value().is_some_and(|(largest, _)| *largest == rows);
        (rows >= MIN_ROUND && rows.is_multiple_of(MIN_ROUND)) || (rows >= MIN_REPEATED && repeats && is_largest)
    }

    /// Whether an answer that has no parts must be taken as cut: it is at a proven cap, is a multiple of a thousand, or
    /// is the largest and came more than twice.
    pub fn is_certain(&self, rows: u64) -> bool {
        let seen = self.counts.get(&rows).copied().unwrap_or_default();
        let is_largest = self.counts.last_key_value().is_some_and(|(largest, _)| *largest == rows);
        self.proven() == Some(rows)
            || (rows >= CERTAIN_MULTIPLE && rows.is_multiple_of(CERTAIN_MULTIPLE))
            || (rows >= MIN_REPEATED && seen > 2 && is_largest)
    }

    /// Whether an answer is as large as the cap. A second one of the size of an assumed cap proves it; a larger one
    /// refutes it.
    pub fn is_cut(&mut self, rows: u64) -> bool {
        let Some((cap, evidence)) = self.cap else { return false };
        if rows > cap {
            self.was_lifted |= evidence == Evidence::Remembered;
            self.cap = None;
        } else if rows == cap && evidence == Evidence::Assumed {
            self.cap = Some((cap, Evidence::Proven));
        }
        rows == cap
    }

    /// An answer of so many rows lacks some: it may have been cut.
    pub fn assume(&mut self, rows: u64) {
        if rows > 0 && self.cap.is_none_or(|(cap, _)| rows < cap) {
            self.cap = Some((rows, Evidence::Assumed));
        }
    }

    /// The parts of an answer of so many rows had more.
    pub fn prove(&mut self, rows: u64) {
        match self.cap {
            Some((cap, Evidence::Remembered)) if cap <= rows => {}
            Some((cap, _)) => self.cap = Some((cap.min(rows), Evidence::Proven)),
            None => self.cap = Some((rows, Evidence::Proven)),
        }
    }

    /// Parts had no more rows than the whole: what this run took for a cap is none.
    pub fn withdraw(&mut self) {
        self.cap = self.cap.filter(|(_, evidence)| *evidence == Evidence::Remembered);
    }

    /// Rows at which answers are cut, as far as is known.
    pub fn cap(&self) -> Option<u64> {
        self.cap.map(|(cap, _)| cap)
    }

    /// The cap, once it is proven.
    pub fn proven(&self) -> Option<u64> {
        self.cap.filter(|(_, evidence)| *evidence != Evidence::Assumed).map(|(cap, _)| cap)
    }

    /// The cap that this run has proven.
    pub fn newly_proven(&self) -> Option<u64> {
        self.cap.filter(|(_, evidence)| *evidence == Evidence::Proven).map(|(cap, _)| cap)
    }

    /// Whether a cap is assumed, and not proven yet.
    pub fn is_assumed(&self) -> bool {
        self.cap.is_some_and(|(_, evidence)| evidence == Evidence::Assumed)
    }

    /// Whether an answer refuted the cap of earlier runs.
    pub fn was_lifted(&self) -> bool {
        self.was_lifted && self.cap.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_numbers_and_repeated_maxima_are_suspect() {
        let mut caps = CapDetector::default();
        let answers = [(49, false), (137, false), (120, false), (137, true), (120, false), (100, true), (5000, true)];
        for (rows, suspect) in answers {
            assert_eq!(caps.is_suspect(rows), suspect, "{rows}");
        }
    }

    #[test]
    fn an_answer_at_a_proven_cap_is_cut_and_a_larger_one_refutes_the_cap() {
        let mut caps = CapDetector::default();
        caps.is_suspect(137);
        assert!(!caps.is_certain(137) && !caps.is_cut(137));
        caps.prove(137);
        assert!(caps.is_certain(137) && caps.is_cut(137) && !caps.is_cut(136));
        assert!(!caps.is_cut(200));
        assert_eq!(caps.cap(), None);
        assert!(!caps.was_lifted(), "nobody remembered it");
    }

    #[test]
    fn the_size_of_a_short_answer_is_a_cap_once_a_smaller_request_brings_it_again() {
        let mut caps = CapDetector::default();
        caps.assume(40);
        assert!(caps.is_assumed() && caps.proven().is_none());
        assert!(!caps.is_cut(30));
        assert!(caps.is_cut(40));
        assert_eq!(caps.newly_proven(), Some(40));
        caps.withdraw();
        assert_eq!(caps.cap(), None, "its parts had no more rows");
    }

    #[test]
    fn a_remembered_cap_holds_until_an_answer_is_larger() {
        let mut caps = CapDetector::remembering(Some(40));
        assert!(caps.is_cut(40) && !caps.is_cut(39));
        caps.withdraw();
        assert_eq!((caps.proven(), caps.newly_proven()), (Some(40), None));
        assert!(!caps.is_cut(41));
        assert!(caps.was_lifted());
    }
}

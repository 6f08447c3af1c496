//! Telling a row cap that nobody documents from a number of rows that just happens.

use std::collections::BTreeMap;

/// Fewer rows than this are never suspected: no server cuts that low.
const MIN_ROUND: u64 = 50;
const MIN_REPEATED: u64 = 20;
/// A multiple of this many rows is taken for a cap unless parts prove otherwise.
const CERTAIN_MULTIPLE: u64 = 1000;

/// What the answers of one table have shown.
#[derive(Debug, Default)]
pub struct CapDetector {
    counts: BTreeMap<u64, u32>,
    proven: Option<u64>,
}

impl CapDetector {
    /// Notes an answer; whether its parts should be asked for to be sure.
    pub fn is_suspect(&mut self, rows: u64) -> bool {
        let seen = self.counts.entry(rows).or_default();
        *seen += 1;
        let repeats = *seen > 1;
        let is_largest = self.counts.last_key_value().is_some_and(|(largest, _)| *largest == rows);
        self.proven.is_some_and(|cap| rows >= cap)
            || (rows >= MIN_ROUND && rows.is_multiple_of(MIN_ROUND))
            || (rows >= MIN_REPEATED && repeats && is_largest)
    }

    /// Whether an answer that has no parts must be taken as cut: it is at a proven cap, is a multiple of a thousand, or
    /// is the largest and came more than twice.
    pub fn is_certain(&self, rows: u64) -> bool {
        let seen = self.counts.get(&rows).copied().unwrap_or_default();
        let is_largest = self.counts.last_key_value().is_some_and(|(largest, _)| *largest == rows);
        self.proven.is_some_and(|cap| rows >= cap)
            || (rows >= CERTAIN_MULTIPLE && rows.is_multiple_of(CERTAIN_MULTIPLE))
            || (rows >= MIN_REPEATED && seen > 2 && is_largest)
    }

    /// The parts of an answer of so many rows had more.
    pub fn prove(&mut self, rows: u64) {
        self.proven = Some(self.proven.map_or(rows, |cap| cap.min(rows)));
    }

    /// The cap, once proven.
    pub fn proven(&self) -> Option<u64> {
        self.proven
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
    fn a_proven_cap_makes_every_answer_that_reaches_it_certain() {
        let mut caps = CapDetector::default();
        caps.is_suspect(137);
        assert!(!caps.is_certain(137));
        caps.prove(137);
        assert!(caps.is_certain(137) && caps.is_suspect(200) && !caps.is_certain(136));
    }
}

//! Whether an answer may replace what is there: it must be at least as complete, by Criteo's totals and by the ledger.
//!
//! Pure judgements; nothing is requested or written here.

use crate::ledger::{Difference, PartitionRecord, PartitionStatus};
use crate::table::numeric::parse_numeric;

/// The differences that prove that rows are missing: a count of whole things that is lower than Criteo's own, which neither
/// rounding nor restatement explains.
pub fn missing_rows(differences: &[Difference], is_exact: impl Fn(&str) -> bool) -> impl Iterator<Item = &Difference> {
    let number = |text: &str| parse_numeric(text).unwrap_or_default();
    differences.iter().filter(move |difference| {
        is_exact(&difference.column) && number(&difference.pulled) < number(&difference.total)
    })
}

/// Whether an answer that lacks rows may replace a partition. It may not where the partition was complete, or has more rows,
/// or where rows are missing of an advertiser whose rows the partition has. Where the same was missing before, the
/// answer is as good as the file, and newer.
pub fn may_replace_although_short(
    before: &PartitionRecord,
    rows: u64,
    differences: &[Difference],
    is_exact: impl Fn(&str) -> bool,
) -> bool {
    let was_short = |difference: &Difference| {
        missing_rows(&before.differences, &is_exact)
            .any(|old| old.advertiser_id == difference.advertiser_id && old.column == difference.column)
    };
    before.status == PartitionStatus::Mismatch
        && rows >= before.rows
        && missing_rows(differences, &is_exact).all(was_short)
}

/// An inner day without rows is suspect only if it had at least so many.
const NOTICEABLE_ROWS: u64 = 20;

/// Whether a window shrinks by half or more against what is known of its days, or a day at one of its ends has no rows where
/// it had. For each day, oldest first: the rows known before, if any, and those of the answer.
pub fn shrinks(days: &[(Option<u64>, u64)]) -> bool {
    let known = || days.iter().filter_map(|(before, rows)| Some((before.filter(|before| *before > 0)?, *rows)));
    let (before, rows) = known().fold((0, 0), |(before, rows), day| (before + day.0, rows + day.1));
    if before == 0 {
        return false;
    }
    let is_emptied = |(before, rows): &(u64, u64)| *before > 0 && *rows == 0;
    let is_end_emptied = [known().next(), known().next_back()].iter().flatten().any(is_emptied);
    rows * 2 <= before || is_end_emptied || known().any(|day| is_emptied(&day) && day.0 >= NOTICEABLE_ROWS)
}

/// Whether a window that has not clearly shrunk may have been cut all the same: it lacks a tenth of the rows known before, has
/// half or less of what was expected, or has nothing at its newest end although rows were expected. A part of it tells.
pub fn may_be_cut(days: &[(Option<u64>, u64)], rows: u64, expected: Option<u64>) -> bool {
    if rows < NOTICEABLE_ROWS {
        return false;
    }
    let known = || days.iter().filter_map(|(before, rows)| Some((*before.as_ref()?, *rows)));
    let (before, still) = known().fold((0, 0), |(before, rows), day| (before + day.0, rows + day.1));
    let is_newest_empty = days.last().is_some_and(|(before, rows)| before.is_none() && *rows == 0);
    still * 10 < before * 9 || expected.is_some_and(|expected| rows * 2 <= expected) || is_newest_empty
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::example;

    fn difference(advertiser_id: &str, column: &str, pulled: &str, total: &str) -> Difference {
        let [advertiser_id, column, pulled, total] = [advertiser_id, column, pulled, total].map(str::to_owned);
        Difference { advertiser_id, column, pulled, total }
    }

    fn record(rows: u64, status: PartitionStatus, differences: &[Difference]) -> PartitionRecord {
        example(serde_json::json!({"rows": rows, "status": status, "differences": differences}))
    }

    fn is_exact(column: &str) -> bool {
        column == "clicks"
    }

    #[test]
    fn only_a_count_below_criteos_proves_that_rows_are_missing() {
        let differences = [
            difference("1", "clicks", "9", "10"),
            difference("1", "cost", "9", "10"),
            difference("2", "clicks", "11", "10"),
        ];
        let found: Vec<_> = missing_rows(&differences, is_exact).collect();
        assert_eq!(found, [&differences[0]]);
    }

    #[test]
    fn a_short_answer_replaces_only_a_file_that_lacked_the_same_and_had_no_more_rows() {
        let short = [difference("1", "clicks", "9", "10")];
        let other = [difference("2", "clicks", "9", "10")];
        let replaces = |before: &PartitionRecord, rows| may_replace_although_short(before, rows, &short, is_exact);
        assert!(!replaces(&record(5, PartitionStatus::Final, &[]), 9), "the file was complete");
        assert!(!replaces(&record(5, PartitionStatus::Provisional, &[]), 9), "the file was complete");
        assert!(replaces(&record(5, PartitionStatus::Mismatch, &short), 5));
        assert!(!replaces(&record(6, PartitionStatus::Mismatch, &short), 5), "it has more rows");
        assert!(!replaces(&record(5, PartitionStatus::Mismatch, &other), 5), "it has the rows of advertiser 1");
    }

    #[test]
    fn a_window_shrinks_when_half_its_rows_or_the_rows_of_its_newest_day_are_gone() {
        for (days, expected) in [
            (&[(Some(10), 10), (Some(10), 9)][..], false),
            (&[(Some(10), 5), (Some(10), 5)], true),
            (&[(Some(10), 6), (Some(10), 5)], false),
            (&[(Some(10), 10), (Some(1), 0)], true),
            (&[(Some(10), 10), (Some(1), 0), (None, 0)], true),
            (&[(Some(50), 50), (Some(1), 0), (Some(50), 50)], false),
            (&[(Some(50), 50), (Some(20), 0), (Some(50), 50)], true),
            (&[(None, 0), (None, 0)], false),
            (&[(Some(0), 0)], false),
        ] {
            assert_eq!(shrinks(days), expected, "{days:?}");
        }
    }

    #[test]
    fn an_answer_that_is_smaller_than_expected_may_be_cut() {
        for (days, rows, expected_rows, expected) in [
            (&[(Some(100), 100), (Some(100), 85)][..], 185, None, false),
            (&[(Some(100), 90), (Some(100), 85)], 175, None, true),
            (&[(None, 90), (None, 85)], 175, Some(350), true),
            (&[(None, 90), (None, 85)], 175, Some(340), false),
            (&[(None, 90), (None, 0)], 90, None, true),
            (&[(None, 19), (None, 0)], 19, Some(100), false),
        ] {
            assert_eq!(may_be_cut(days, rows, expected_rows), expected, "{days:?} {expected_rows:?}");
        }
    }
}

//! What a load has to do to one table: the output's records compared with what the target holds. Pure.

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDate;

use super::files::Partition;
use super::state::HeldPartition;

/// What was requested beyond the partitions that differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    /// Load what the target holds already, too.
    pub full: bool,
    /// Delete days that are no longer in the output.
    pub prune: bool,
}

/// What has to change in one table of the target.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TableChanges {
    /// Partitions whose days are replaced by their rows, oldest first; one without rows only empties its day.
    pub replace: Vec<Partition>,
    /// Days to delete because the output has them no longer.
    pub prune: Vec<NaiveDate>,
    /// Days that the output has no longer and that stay.
    pub kept: Vec<NaiveDate>,
}

impl TableChanges {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.replace.is_empty() && self.prune.is_empty()
    }

    /// How many partitions are replaced or removed.
    pub fn partitions(&self) -> u64 {
        u64::try_from(self.replace.len() + self.prune.len()).unwrap_or(u64::MAX)
    }

    /// Rows to insert.
    pub fn rows(&self) -> u64 {
        self.replace.iter().map(|partition| partition.rows).sum()
    }
}

/// Another output has loaded into the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claimed {
    /// Its id.
    pub by: String,
}

/// The changes of `table` (its name in the target), loaded from the output `output_id`.
///
/// # Errors
///
/// When the target holds partitions of the same table from another output: two outputs that replace each other's days would
/// never come to rest.
pub fn changes<'r>(
    output_id: &str,
    table: &str,
    records: impl IntoIterator<Item = &'r Partition>,
    held: &[HeldPartition],
    scope: Scope,
) -> Result<TableChanges, Claimed> {
    let mut ours: BTreeMap<NaiveDate, &str> = BTreeMap::new();
    for partition in held.iter().filter(|partition| partition.table == table) {
        if partition.output_id != output_id {
            return Err(Claimed { by: partition.output_id.clone() });
        }
        ours.insert(partition.date, &partition.sha256);
    }
    let mut changes = TableChanges::default();
    let mut in_output = BTreeSet::new();
    for record in records {
        in_output.insert(record.date);
        if scope.full || ours.get(&record.date) != Some(&record.sha256.as_str()) {
            changes.replace.push(record.clone());
        }
    }
    changes.replace.sort_by_key(|record| record.date);
    let gone = ours.into_keys().filter(|date| !in_output.contains(date));
    *(if scope.prune { &mut changes.prune } else { &mut changes.kept }) = gone.collect();
    Ok(changes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::load::files::tests::partition as record;

    fn held(date: &str, sha256: &str) -> HeldPartition {
        HeldPartition {
            output_id: "o".into(),
            table: "t".into(),
            date: date.parse().expect("a date"),
            sha256: sha256.into(),
            rows: 1,
        }
    }

    fn dates(records: &[Partition]) -> Vec<String> {
        records.iter().map(|record| record.date.to_string()).collect()
    }

    #[test]
    fn only_partitions_that_differ_are_replaced_and_days_that_are_gone_stay() {
        let records = [record("2026-11-02", "b", 3), record("2026-11-01", "a", 3), record("2026-11-03", "c", 0)];
        let target = [held("2026-11-01", "a"), held("2026-11-02", "old"), held("2026-10-01", "x")];
        let found = changes("o", "t", &records, &target, Scope::default()).expect("not claimed");
        assert_eq!(dates(&found.replace), ["2026-11-02", "2026-11-03"]);
        assert_eq!((found.prune.len(), found.kept.len()), (0, 1));
        let pruning = Scope { prune: true, ..Scope::default() };
        assert_eq!(changes("o", "t", &records, &target, pruning).expect("not claimed").prune.len(), 1);
        let full = Scope { full: true, ..Scope::default() };
        assert_eq!(changes("o", "t", &records, &target, full).expect("not claimed").replace.len(), 3);
    }

    #[test]
    fn a_table_of_another_output_is_refused_and_one_under_another_prefix_is_not() {
        let mut foreign = held("2026-11-01", "a");
        foreign.output_id = "other".into();
        let records = [record("2026-11-01", "a", 1)];
        let refused = changes("o", "t", &records, std::slice::from_ref(&foreign), Scope::default());
        assert_eq!(refused, Err(Claimed { by: "other".into() }));
        assert!(changes("o", "p_t", &records, &[foreign], Scope::default()).is_ok());
    }

    proptest! {
        /// After the changes are applied, the target holds the output's version of every day; applied again, nothing is left.
        #[test]
        fn applying_the_changes_once_leaves_nothing_to_do(
            output in proptest::collection::btree_map(0u64..40, 0u8..3, 0..20),
            target in proptest::collection::btree_map(0u64..40, 0u8..3, 0..20),
            prune: bool,
        ) {
            let start: NaiveDate = "2026-01-01".parse().expect("a date");
            let date = |day: &u64| (start + chrono::Days::new(*day)).to_string();
            let records: Vec<_> = output.iter().map(|(day, sha)| record(&date(day), &sha.to_string(), 1)).collect();
            let mut state: Vec<_> = target.iter().map(|(day, sha)| held(&date(day), &sha.to_string())).collect();
            let scope = Scope { prune, full: false };
            let found = changes("o", "t", &records, &state, scope).expect("not claimed");
            state.retain(|held| !found.prune.contains(&held.date));
            state.retain(|held| !found.replace.iter().any(|record| record.date == held.date));
            state.extend(found.replace.iter().map(|record| held(&record.date.to_string(), &record.sha256)));
            let again = changes("o", "t", &records, &state, scope).expect("not claimed");
            prop_assert!(again.is_empty());
            for record in &records {
                prop_assert!(state.contains(&held(&record.date.to_string(), &record.sha256)));
            }
            prop_assert_eq!(state.len(), if prune { records.len() } else { records.len() + found.kept.len() });
        }
    }
}

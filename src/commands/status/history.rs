//! What re-pulls changed, from one state of a partition to the next: "why did last Tuesday change?".

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, Utc};
use serde::Serialize;

use crate::ledger::{PartitionRecord, Restatement};
use crate::table::numeric::{format_numeric, parse_numeric};

/// A partition that was replaced by one with other sums.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Change {
    /// Table.
    pub(super) table: String,
    /// Day.
    pub(super) date: NaiveDate,
    /// The last pull that still saw the old numbers.
    pub(super) before_pulled_at: DateTime<Utc>,
    /// The last pull known to have seen the new ones.
    pub(super) pulled_at: DateTime<Utc>,
    /// Its run.
    pub(super) run_id: String,
    /// Rows.
    pub(super) rows: BeforeAfter<u64>,
    /// Sums by column, of the columns that changed.
    pub(super) columns: BTreeMap<String, BeforeAfter<Option<String>>>,
}

/// A value before and after.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct BeforeAfter<T> {
    /// Before.
    pub(super) before: T,
    /// After.
    pub(super) after: T,
}

impl BeforeAfter<Option<String>> {
    /// In words, with the difference where both are numbers.
    pub(super) fn describe(&self) -> String {
        let shown = |value: &Option<String>| value.clone().unwrap_or_else(|| "none".to_owned());
        let number = |value: &Option<String>| parse_numeric(value.as_deref()?).ok();
        let difference =
            number(&self.after).zip(number(&self.before)).and_then(|(after, before)| after.checked_sub(before));
        let difference = difference.map(|difference| {
            let sign = if difference > 0 { "+" } else { "" };
            format!(" ({sign}{})", format_numeric(difference))
        });
        format!("{} -> {}{}", shown(&self.before), shown(&self.after), difference.unwrap_or_default())
    }
}

/// The changes of one partition, oldest first.
pub(super) fn changes(record: &PartitionRecord) -> Vec<Change> {
    let now = Restatement {
        run_id: record.run_id.clone(),
        pulled_at: record.pulled_at,
        rows: record.rows,
        sums: record.sums.clone(),
    };
    let states: Vec<&Restatement> = record.history.iter().chain([&now]).collect();
    let pairs = states.windows(2).filter_map(|pair| Some((*pair.first()?, *pair.last()?)));
    pairs.map(|(before, after)| change(record, before, after)).collect()
}

fn change(record: &PartitionRecord, before: &Restatement, after: &Restatement) -> Change {
    let names = before.sums.keys().chain(after.sums.keys());
    let columns = names.filter(|name| before.sums.get(*name) != after.sums.get(*name)).map(|name| {
        let values = BeforeAfter { before: before.sums.get(name).cloned(), after: after.sums.get(name).cloned() };
        (name.clone(), values)
    });
    Change {
        table: record.table.clone(),
        date: record.date,
        before_pulled_at: before.pulled_at,
        pulled_at: after.pulled_at,
        run_id: after.run_id.clone(),
        rows: BeforeAfter { before: before.rows, after: after.rows },
        columns: columns.collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_names_only_the_columns_that_changed_with_exact_differences() {
        let value = |text: &str| Some(text.to_owned());
        let described = |before, after| BeforeAfter { before, after }.describe();
        assert_eq!(described(value("0.1"), value("0.3")), "0.1 -> 0.3 (+0.2)");
        assert_eq!(described(value("10"), value("7")), "10 -> 7 (-3)");
        assert_eq!(described(None, value("7")), "none -> 7");
        let state = |run: &str, clicks: &str| Restatement {
            run_id: run.to_owned(),
            pulled_at: DateTime::UNIX_EPOCH,
            rows: 2,
            sums: [("clicks", clicks), ("displays", "100")].map(|(name, sum)| (name.to_owned(), sum.to_owned())).into(),
        };
        let record = super::super::document::tests::record("t", "2026-11-03", |record| {
            record.sums = state("r3", "12").sums;
            record.history = vec![state("r1", "10"), state("r2", "11")];
        });
        let changes = changes(&record);
        let columns: Vec<_> = changes.iter().map(|change| change.columns.keys().collect::<Vec<_>>()).collect();
        assert_eq!(columns, [["clicks"], ["clicks"]]);
        assert_eq!(changes[1].columns["clicks"].describe(), "11 -> 12 (+1)");
    }
}

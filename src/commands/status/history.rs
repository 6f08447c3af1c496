//! What re-pulls changed: "why did last Tuesday change?". First a line a day, in percent; on request every step of it.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, Utc};
use serde::Serialize;

use crate::cli::HistoryArguments;
use crate::dates::DateRange;
use crate::ledger::PartitionRecord;
use crate::table::numeric::{format_numeric, parse_numeric};

/// Which changes are shown.
#[derive(Clone, Debug, Default)]
pub(super) struct Selection {
    table: Option<String>,
    days: Option<DateRange>,
}

impl Selection {
    /// What was typed; `None` when the history was not requested.
    pub(super) fn of(arguments: &HistoryArguments) -> Option<Self> {
        let table = arguments.history.clone()?;
        let ends = arguments.day.or(arguments.from).zip(arguments.day.or(arguments.to));
        Some(Self { table, days: ends.and_then(|(from, to)| DateRange::new(from, to)) })
    }

    /// Whether a partition is among what was requested.
    fn includes(&self, record: &PartitionRecord) -> bool {
        let is_table = self.table.as_ref().is_none_or(|table| *table == record.table);
        is_table && self.days.is_none_or(|days| days.contains(record.date))
    }

    /// The partitions that changed, by table, newest day first.
    pub(super) fn changed<'r>(
        &self,
        records: impl Iterator<Item = &'r PartitionRecord>,
    ) -> Vec<(&'r PartitionRecord, Vec<Change>)> {
        let changed = records.filter(|record| self.includes(record)).map(|record| (record, changes(record)));
        let mut changed: Vec<_> = changed.filter(|(_, changes)| !changes.is_empty()).collect();
        changed.sort_by(|(one, _), (other, _)| one.table.cmp(&other.table).then(other.date.cmp(&one.date)));
        changed
    }
}

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
        let difference = number(self.after.as_ref())
            .zip(number(self.before.as_ref()))
            .and_then(|(after, before)| after.checked_sub(before));
        let difference = difference.map(|difference| {
            let sign = if difference > 0 { "+" } else { "" };
            format!(" ({sign}{})", format_numeric(difference))
        });
        format!("{} -> {}{}", shown(&self.before), shown(&self.after), difference.unwrap_or_default())
    }

    /// The change in tenths of a percent of the value before; `None` where there was none, or zero.
    pub(super) fn per_mille(&self) -> Option<i128> {
        let (before, after) = (number(self.before.as_ref())?, number(self.after.as_ref())?);
        let change = after.checked_sub(before)?.checked_mul(2000)?;
        // Rounded half away from zero.
        let doubled = change.checked_div(before.abs())?;
        Some(doubled.checked_add(doubled.signum())? / 2)
    }
}

fn number(value: Option<&String>) -> Option<i128> {
    parse_numeric(value?).ok()
}

/// "+92.0 %"
pub(super) fn percent(per_mille: i128) -> String {
    let sign = if per_mille < 0 { "-" } else { "+" };
    format!("{sign}{}.{} %", per_mille.abs() / 10, per_mille.abs() % 10)
}

/// One state of a partition.
#[derive(Clone)]
struct State<'r> {
    run_id: &'r str,
    pulled_at: DateTime<Utc>,
    rows: u64,
    sums: BTreeMap<&'r str, &'r str>,
}

/// The states of a partition, oldest first: the ledger keeps of each earlier one only the sums that changed after it.
fn states(record: &PartitionRecord) -> Vec<State<'_>> {
    let sums = record.sums.iter().map(|(name, sum)| (name.as_str(), sum.as_str())).collect();
    let now = State { run_id: &record.run_id, pulled_at: record.pulled_at, rows: record.rows, sums };
    let mut states = vec![now];
    for earlier in record.history.iter().rev() {
        let mut sums = states.last().map(|later| later.sums.clone()).unwrap_or_default();
        for (name, sum) in &earlier.sums {
            if sum.is_empty() {
                sums.remove(name.as_str());
            } else {
                sums.insert(name, sum);
            }
        }
        states.push(State { run_id: &earlier.run_id, pulled_at: earlier.pulled_at, rows: earlier.rows, sums });
    }
    states.reverse();
    states
}

/// The changes of one partition, oldest first.
pub(super) fn changes(record: &PartitionRecord) -> Vec<Change> {
    let states = states(record);
    states.windows(2).filter_map(|pair| Some(change(record, pair.first()?, pair.last()?))).collect()
}

/// From the first state known to the newest; `None` where nothing changed.
pub(super) fn overall(record: &PartitionRecord) -> Option<Change> {
    let states = states(record);
    let (first, last) = (states.first()?, states.last()?);
    (states.len() > 1).then(|| change(record, first, last))
}

fn change(record: &PartitionRecord, before: &State<'_>, after: &State<'_>) -> Change {
    let names = before.sums.keys().chain(after.sums.keys());
    let columns = names.filter(|name| before.sums.get(*name) != after.sums.get(*name)).map(|name| {
        let value = |state: &State<'_>| state.sums.get(name).map(|sum| (*sum).to_owned());
        ((*name).to_owned(), BeforeAfter { before: value(before), after: value(after) })
    });
    Change {
        table: record.table.clone(),
        date: record.date,
        before_pulled_at: before.pulled_at,
        pulled_at: after.pulled_at,
        run_id: after.run_id.to_owned(),
        rows: BeforeAfter { before: before.rows, after: after.rows },
        columns: columns.collect(),
    }
}

/// "cost -3.0 %, sales +92.0 %": the largest changes first.
pub(super) fn in_percent(change: &Change) -> String {
    let mut parts: Vec<(i128, String)> = change
        .columns
        .iter()
        .map(|(name, values)| match values.per_mille() {
            Some(0) => (
                1,
                format!(
                    "{name} {}0.0 %",
                    if number(values.after.as_ref()) < number(values.before.as_ref()) { "-" } else { "+" }
                ),
            ),
            Some(per_mille) => (per_mille.abs(), format!("{name} {}", percent(per_mille))),
            None => (0, format!("{name} {}", values.describe())),
        })
        .collect();
    if parts.is_empty() && change.rows.before != change.rows.after {
        return format!("rows {} -> {}", change.rows.before, change.rows.after);
    }
    parts.sort_by(|one, other| other.0.cmp(&one.0).then_with(|| one.1.cmp(&other.1)));
    parts.into_iter().map(|(_, words)| words).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::status::document::tests::record;
    use crate::ledger::Restatement;

    fn state(run: &str, sums: &[(&str, &str)]) -> Restatement {
        Restatement {
            run_id: run.to_owned(),
            pulled_at: DateTime::UNIX_EPOCH,
            rows: 2,
            sums: sums.iter().map(|(name, sum)| ((*name).to_owned(), (*sum).to_owned())).collect(),
        }
    }

    /// Clicks 10, 11, 12; cost 100, 97, 97; and a column that only the newest pull has.
    fn restated() -> PartitionRecord {
        record("t", "2026-11-03", |record| {
            record.sums = state("", &[("clicks", "12"), ("cost", "97"), ("new", "5"), ("displays", "9")]).sums;
            record.run_id = "r3".to_owned();
            record.history =
                vec![state("r1", &[("clicks", "10"), ("cost", "100")]), state("r2", &[("clicks", "11"), ("new", "")])];
        })
    }

    #[test]
    fn a_change_names_only_the_columns_that_changed_with_exact_differences() {
        let value = |text: &str| Some(text.to_owned());
        let described = |before, after| BeforeAfter { before, after }.describe();
        assert_eq!(described(value("0.1"), value("0.3")), "0.1 -> 0.3 (+0.2)");
        assert_eq!(described(value("10"), value("7")), "10 -> 7 (-3)");
        assert_eq!(described(None, value("7")), "none -> 7");
        let changes = changes(&restated());
        let columns: Vec<_> = changes.iter().map(|change| change.columns.keys().collect::<Vec<_>>()).collect();
        assert_eq!(columns, [vec!["clicks", "cost"], vec!["clicks", "new"]]);
        assert_eq!(changes[1].columns["clicks"].describe(), "11 -> 12 (+1)");
        assert_eq!(changes[1].columns["new"].before, None);
        assert_eq!(changes.iter().map(|change| change.run_id.as_str()).collect::<Vec<_>>(), ["r2", "r3"]);
    }

    #[test]
    fn a_day_is_told_in_percent_from_first_to_last_largest_change_first() {
        let overall = overall(&restated()).expect("it changed");
        assert_eq!(in_percent(&overall), "clicks +20.0 %, cost -3.0 %, new none -> 5");
        let change =
            |before: &str, after: &str| BeforeAfter { before: Some(before.to_owned()), after: Some(after.to_owned()) };
        assert_eq!(change("3", "4").per_mille().map(percent).as_deref(), Some("+33.3 %"));
        assert_eq!(change("1000000", "1000001").per_mille(), Some(0));
        assert_eq!(change("0", "1").per_mille(), None);
        assert_eq!(change("-10", "-5").per_mille().map(percent).as_deref(), Some("+50.0 %"));
    }

    #[test]
    fn the_newest_day_comes_first_and_only_what_was_asked_for() {
        let day = |date: &str, table: &str| PartitionRecord {
            table: table.to_owned(),
            date: date.parse().unwrap(),
            ..restated()
        };
        let records =
            [day("2026-11-03", "a"), day("2026-11-05", "a"), day("2026-11-04", "b"), record("a", "2026-11-09", |_| {})];
        let shown = |selection: Selection| -> Vec<String> {
            let changed = selection.changed(records.iter());
            changed.iter().map(|(record, _)| format!("{} {}", record.table, record.date)).collect()
        };
        assert_eq!(shown(Selection::default()), ["a 2026-11-05", "a 2026-11-03", "b 2026-11-04"]);
        let only =
            Selection { table: Some("a".to_owned()), days: Some(DateRange::single("2026-11-03".parse().unwrap())) };
        assert_eq!(shown(only), ["a 2026-11-03"]);
    }
}

//! The rows of an answer, told apart by day.

use std::collections::BTreeMap;

use chrono::NaiveDate;

use super::columns::{Rows, Value};

/// Rows of any number of days, and which of them are of which day.
#[derive(Debug, Default)]
pub struct Partitions {
    rows: Rows,
    days: BTreeMap<NaiveDate, Vec<u32>>,
}

impl Partitions {
    /// By the values of the DATE column at `day`, which has no nulls.
    pub fn by_day(rows: Rows, day: usize) -> Self {
        let mut days: BTreeMap<i32, Vec<u32>> = BTreeMap::new();
        for (number, row) in (0_u32..).zip(0..rows.len()) {
            if let Value::Date(day) = rows.columns()[day].get(row) {
                days.entry(day).or_default().push(number);
            }
        }
        let days =
            days.into_iter().filter_map(|(day, members)| Some((NaiveDate::from_epoch_days(day)?, members))).collect();
        Self { rows, days }
    }

    /// All of one day, whatever date they carry.
    pub fn of_one_day(rows: Rows, day: NaiveDate) -> Self {
        let members = (0_u32..).zip(0..rows.len()).map(|(row, _)| row).collect();
        Self { rows, days: [(day, members)].into() }
    }

    /// Takes away a day and its rows; they stay among [`Self::rows`].
    pub fn remove(&mut self, day: NaiveDate) {
        self.days.remove(&day);
    }

    /// All rows, of all days.
    pub fn rows(&self) -> &Rows {
        &self.rows
    }

    /// The rows of each day that has any.
    pub fn iter(&self) -> impl Iterator<Item = (NaiveDate, Partition<'_>)> {
        self.days.iter().map(|(day, members)| (*day, Partition { rows: &self.rows, members }))
    }

    /// The rows of one day, perhaps none.
    pub fn day(&self, day: NaiveDate) -> Partition<'_> {
        let members = self.days.get(&day).map_or(&[][..], Vec::as_slice);
        Partition { rows: &self.rows, members }
    }

    /// Adds the rows of `other`, which has the same columns, to each of its days.
    pub fn append(&mut self, other: Self) -> Result<(), usize> {
        if self.days.is_empty() {
            *self = other;
            return Ok(());
        }
        for (day, members) in &other.days {
            let days = self.days.entry(*day).or_default();
            for &row in members {
                days.push(u32::try_from(self.rows.len()).unwrap_or(u32::MAX));
                self.rows.push(other.rows.row(row))?;
            }
        }
        Ok(())
    }
}

/// The rows of one partition: some of an answer's.
#[derive(Clone, Copy, Debug)]
pub struct Partition<'p> {
    rows: &'p Rows,
    members: &'p [u32],
}

impl<'p> Partition<'p> {
    /// How many.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// All rows, of which some are of this partition.
    pub fn rows(&self) -> &'p Rows {
        self.rows
    }

    /// The numbers of its rows.
    pub fn members(&self) -> &'p [u32] {
        self.members
    }

    /// The exact sum of an INTEGER or NUMERIC column, in billionths; `None` for other types or beyond 128 bits.
    pub fn sum_billionths(&self, column: usize) -> Option<i128> {
        let (unit, values) = self.rows.columns()[column].billionths()?;
        let mut sum = Some(0_i128);
        values.for_each(self.members, |value| sum = sum.and_then(|sum| sum.checked_add(value)));
        sum?.checked_mul(unit)
    }

    /// For each text of the column `group`: how many rows have it, and the sums over them, in billionths, of INTEGER and
    /// NUMERIC `columns` (0 for others, saturating at 128 bits). Rows without a text are left out.
    pub fn sums_by_text(&self, group: usize, columns: &[usize]) -> Vec<(&'p str, u64, Vec<i128>)> {
        let Some(column) = self.rows.columns().get(group) else { return Vec::new() };
        let Some(texts) = column.texts() else { return Vec::new() };
        // Rows without a text count as of one more group, which is dropped.
        let nothing = texts.distinct_count();
        let group = |row: u32| if column.is_null(row as usize) { nothing } else { texts.index(row as usize) as usize };
        let groups: Vec<usize> = self.members.iter().map(|&row| group(row)).collect();
        let mut counts = vec![0_u64; nothing + 1];
        for &group in &groups {
            counts[group] += 1;
        }
        let mut sums = vec![vec![0_i128; columns.len()]; nothing + 1];
        for (position, &column) in columns.iter().enumerate() {
            let Some((unit, values)) = self.rows.columns()[column].billionths() else { continue };
            let mut of_rows = groups.iter();
            values.for_each(self.members, |value| {
                if let Some(&group) = of_rows.next() {
                    let sum = &mut sums[group][position];
                    *sum = sum.saturating_add(value.saturating_mul(unit));
                }
            });
        }
        let groups = (0_u32..).zip(counts.into_iter().zip(sums)).take(nothing).filter(|(_, (count, _))| *count > 0);
        groups.map(|(index, (count, sums))| (texts.distinct(index), count, sums)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::ColumnType;
    use proptest::prelude::*;

    type Row = (i32, Option<String>, i32, Option<i64>);

    fn partitions(rows: &[Row]) -> Partitions {
        let types = [ColumnType::Date, ColumnType::String, ColumnType::Integer, ColumnType::Numeric];
        let mut columns = Rows::new(&types).expect("flat");
        for (day, text, integer, numeric) in rows {
            let text = text.as_deref().map_or(Value::Null, Value::Text);
            let numeric = numeric.map_or(Value::Null, |value| Value::Numeric(value.into()));
            columns.push([Value::Date(*day), text, Value::Integer((*integer).into()), numeric]).expect("fits");
        }
        Partitions::by_day(columns, 0)
    }

    fn shown(partitions: &Partitions) -> Vec<String> {
        let lines = |(day, partition): (NaiveDate, Partition<'_>)| {
            let line = move |row: &u32| format!("{day} {:?}", partition.rows().row(*row).collect::<Vec<_>>());
            partition.members().iter().map(line).collect::<Vec<_>>()
        };
        partitions.iter().flat_map(lines).collect()
    }

    fn any_rows() -> impl Strategy<Value = Vec<Row>> {
        let row = (0_i32..3, prop::option::of("[ab]{0,2}"), any::<i32>(), prop::option::of(any::<i64>()));
        prop::collection::vec(row, 0..40)
    }

    proptest! {
        #[test]
        fn sums_are_those_of_each_day_and_text_alone(rows in any_rows()) {
            let partitions = partitions(&rows);
            for day in 0..3 {
                let of_day: Vec<&Row> = rows.iter().filter(|row| row.0 == day).collect();
                let partition = partitions.day(NaiveDate::from_epoch_days(day).expect("a date"));
                let mut expected = BTreeMap::<&str, (u64, Vec<i128>)>::new();
                for (_, text, integer, numeric) in &of_day {
                    let Some(text) = text else { continue };
                    let (count, sums) = expected.entry(text).or_insert_with(|| (0, vec![0, 0]));
                    *count += 1;
                    sums[0] += i128::from(*integer) * 1_000_000_000;
                    sums[1] += i128::from(numeric.unwrap_or_default());
                }
                let mut found = partition.sums_by_text(1, &[2, 3]);
                found.sort_unstable();
                let expected: Vec<_> = expected.into_iter().map(|(text, (count, sums))| (text, count, sums)).collect();
                prop_assert_eq!(found, expected);
                let sum = of_day.iter().map(|row| i128::from(row.3.unwrap_or_default())).sum::<i128>();
                prop_assert_eq!(partition.sum_billionths(3), Some(sum));
                prop_assert_eq!(partition.sum_billionths(1), None);
            }
        }

        #[test]
        fn rows_are_by_day_in_the_order_they_came_also_when_more_are_appended(first in any_rows(), second in any_rows()) {
            let mut appended = partitions(&first);
            appended.append(partitions(&second)).expect("the same columns");
            let mut all = [first, second].concat();
            prop_assert_eq!(appended.rows().len(), all.len());
            prop_assert_eq!(shown(&appended), shown(&partitions(&all)));
            all.sort_by_key(|row| row.0);
            prop_assert_eq!(shown(&appended).len(), all.len());
        }
    }
}

//! The order of rows in a file: by primary key, and the same however they came.

use std::cmp::Ordering;

use super::columns::{Rows, Value};

/// How rows compare by some of their columns; made once for all partitions of an answer.
#[derive(Debug)]
pub struct KeyOrder<'r> {
    rows: &'r Rows,
    keys: &'r [usize],
    /// For each row one number that orders rows as the key columns do, where 128 bits hold them all.
    packed: Option<Vec<u128>>,
}

impl<'r> KeyOrder<'r> {
    /// The order of `rows` by the columns at `keys`, then by all others.
    pub fn new(rows: &'r Rows, keys: &'r [usize]) -> Self {
        Self { rows, keys, packed: packed(rows, keys) }
    }

    /// Sorts `members`, which are numbers of rows; how many of them share all their key values with the one before.
    pub fn sort(&self, members: &mut [u32]) -> usize {
        if let Some(packed) = &self.packed {
            members.sort_unstable_by_key(|&row| packed[row as usize]);
        } else {
            members.sort_unstable_by(|&a, &b| self.compare(self.keys, a, b));
        }
        let is_same_key = |&a: &u32, &b: &u32| match &self.packed {
            Some(packed) => packed[a as usize] == packed[b as usize],
            None => self.compare(self.keys, a, b).is_eq(),
        };
        let others: Vec<usize> = (0..self.rows.columns().len()).filter(|at| !self.keys.contains(at)).collect();
        let mut repeated = 0;
        for run in members.chunk_by_mut(is_same_key) {
            repeated += run.len() - 1;
            run.sort_unstable_by(|&a, &b| self.compare(&others, a, b).then(a.cmp(&b)));
        }
        repeated
    }

    fn compare(&self, columns: &[usize], a: u32, b: u32) -> Ordering {
        let columns = columns.iter().map(|&column| &self.rows.columns()[column]);
        let mut orders = columns.map(|column| compare(column.get(a as usize), column.get(b as usize)));
        orders.find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
    }
}

/// Nulls first; the values of one column are of one type.
fn compare(a: Value<'_>, b: Value<'_>) -> Ordering {
    match (a, b) {
        (Value::Text(a), Value::Text(b)) => a.cmp(b),
        (Value::Float(a), Value::Float(b)) => a.total_cmp(&b),
        (Value::Boolean(a), Value::Boolean(b)) => a.cmp(&b),
        (Value::Null, Value::Null) => Ordering::Equal,
        (Value::Null, _) => Ordering::Less,
        (_, Value::Null) => Ordering::Greater,
        (a, b) => a.whole().cmp(&b.whole()),
    }
}

/// The values of the key columns side by side, each in the bits that its range needs.
fn packed(rows: &Rows, keys: &[usize]) -> Option<Vec<u128>> {
    let mut packed = vec![0_u128; rows.len()];
    let mut free = u128::BITS;
    for &key in keys {
        let values = rows.columns()[key].sort_keys()?;
        let least = values.iter().copied().min().unwrap_or_default();
        let range = values.iter().map(|value| value.abs_diff(least)).max().unwrap_or_default();
        let bits = u128::BITS - range.leading_zeros();
        free = free.checked_sub(bits)?;
        for (packed, value) in packed.iter_mut().zip(values) {
            *packed = packed.checked_shl(bits).unwrap_or_default() | value.abs_diff(least);
        }
    }
    Some(packed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::ColumnType;
    use proptest::prelude::*;

    fn sorted(rows: &Rows, keys: &[usize]) -> (Vec<u32>, usize) {
        let mut members: Vec<u32> = (0..u32::try_from(rows.len()).expect("few")).collect();
        let repeated = KeyOrder::new(rows, keys).sort(&mut members);
        (members, repeated)
    }

    #[test]
    fn nulls_come_first_and_equal_rows_stay_as_they_came() {
        let mut rows = Rows::new([&ColumnType::String]).expect("flat");
        for value in [Value::Text("b"), Value::Null, Value::Text("a"), Value::Text("b")] {
            rows.push([value]).expect("text fits");
        }
        assert_eq!(sorted(&rows, &[0]), (vec![1, 2, 0, 3], 1));
    }

    type Row = (i64, Option<String>, i64, Option<i64>);

    fn rows_of(rows: &[Row]) -> Rows {
        let types = [ColumnType::Integer, ColumnType::String, ColumnType::Timestamp, ColumnType::Numeric];
        let mut columns = Rows::new(&types).expect("flat");
        for (integer, text, time, amount) in rows {
            let text = text.as_deref().map_or(Value::Null, Value::Text);
            let amount = amount.map_or(Value::Null, |amount| Value::Numeric(amount.into()));
            columns.push([Value::Integer(*integer), text, Value::Timestamp(*time), amount]).expect("fits");
        }
        columns
    }

    proptest! {
        #[test]
        fn rows_are_in_the_order_of_their_keys_then_of_all_columns_however_they_came(
            rows in prop::collection::vec(
                (-2_i64..3, prop::option::of("[ab]{0,2}"), any::<i64>(), prop::option::of(0_i64..3)), 0..40,
            ),
            (keys, seed) in (prop::sample::subsequence(vec![0_usize, 1, 2, 3], 0..4).prop_shuffle(), any::<usize>()),
        ) {
            let mut shuffled = rows.clone();
            if !rows.is_empty() {
                shuffled.rotate_left(seed % rows.len());
            }
            let by_key = |row: &Row| {
                let one = |column: usize| match column {
                    0 => (true, String::new(), row.0),
                    1 => (row.1.is_some(), row.1.clone().unwrap_or_default(), 0),
                    2 => (true, String::new(), row.2),
                    _ => (row.3.is_some(), String::new(), row.3.unwrap_or_default()),
                };
                let others = (0..4).filter(|column| !keys.contains(column));
                let key: Vec<_> = keys.iter().copied().map(one).collect();
                (key, others.map(one).collect::<Vec<_>>())
            };
            let mut expected = rows.clone();
            expected.sort_by_key(by_key);
            let repeated = expected.windows(2).filter(|pair| by_key(&pair[0]).0 == by_key(&pair[1]).0).count();
            for came in [&rows, &shuffled] {
                let (order, found) = sorted(&rows_of(came), &keys);
                let order: Vec<Row> = order.iter().map(|&row| came[row as usize].clone()).collect();
                prop_assert_eq!(&order, &expected);
                prop_assert_eq!(found, repeated);
            }
        }
    }
}

//! Rows of one partition in memory: typed, compact, sortable.
//!
//! A partition is judged before it is written, and written in a stable order, so its rows have to wait somewhere. They
//! wait here at a fraction of Arrow's size: text as indices into each column's distinct values, decimals as 64-bit
//! billionths until one does not fit. Arrow arrays are made a slice at a time, in the order asked for.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int64Array, StringBuilder,
    TimestampMicrosecondArray,
};
use arrow::buffer::NullBuffer;
use arrow::datatypes::DataType;
use hashbrown::{DefaultHashBuilder, HashTable};
use std::hash::BuildHasher;

use super::numeric::SCALE;
use crate::catalog::ColumnType;

/// Arrow's type of a NUMERIC column.
const NUMERIC: DataType = DataType::Decimal128(38, 9);

/// One value, already of its column's type.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// Absent.
    Null,
    /// STRING
    Text(&'a str),
    /// INTEGER
    Integer(i64),
    /// NUMERIC, in billionths.
    Numeric(i128),
    /// FLOAT
    Float(f64),
    /// BOOLEAN
    Boolean(bool),
    /// DATE, in days since 1970-01-01.
    Date(i32),
    /// TIMESTAMP, in microseconds since 1970-01-01T00:00:00Z.
    Timestamp(i64),
}

/// The values of one column, in arrival order.
#[derive(Debug)]
pub struct ColumnBuffer {
    values: Values,
    /// One flag a row, once the first null has been seen.
    valid: Option<Vec<bool>>,
    length: usize,
}

#[derive(Debug)]
enum Values {
    Text(Box<TextValues>),
    Integer(Vec<i64>),
    Numeric(NumericValues),
    Float(Vec<f64>),
    Boolean(Vec<bool>),
    Date(Vec<i32>),
    Timestamp(Vec<i64>),
}

impl ColumnBuffer {
    /// An empty column. Report tables have flat columns only: a RECORD has no buffer (`None`).
    pub fn new(column_type: &ColumnType) -> Option<Self> {
        let values = match column_type {
            ColumnType::String | ColumnType::Json => Values::Text(Box::default()),
            ColumnType::Integer => Values::Integer(Vec::new()),
            ColumnType::Numeric => Values::Numeric(NumericValues::Narrow(Vec::new())),
            ColumnType::Float => Values::Float(Vec::new()),
            ColumnType::Boolean => Values::Boolean(Vec::new()),
            ColumnType::Date => Values::Date(Vec::new()),
            ColumnType::Timestamp => Values::Timestamp(Vec::new()),
            ColumnType::Record(_) => return None,
        };
        Some(Self { values, valid: None, length: 0 })
    }

    /// Rows so far.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether no row came yet.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Adds one value, which must be null or of the column's type; `false` when it is not.
    #[must_use]
    pub fn push(&mut self, value: Value<'_>) -> bool {
        let fits = match (&mut self.values, value) {
            (Values::Text(values), Value::Text(text)) => values.push(text),
            (Values::Integer(values), Value::Integer(value)) | (Values::Timestamp(values), Value::Timestamp(value)) => {
                values.push(value);
                true
            }
            (Values::Numeric(values), Value::Numeric(value)) => {
                values.push(value);
                true
            }
            (Values::Float(values), Value::Float(value)) => {
                values.push(value);
                true
            }
            (Values::Boolean(values), Value::Boolean(value)) => {
                values.push(value);
                true
            }
            (Values::Date(values), Value::Date(value)) => {
                values.push(value);
                true
            }
            (_, Value::Null) => {
                self.push_null();
                return true;
            }
            _ => false,
        };
        if fits {
            self.length += 1;
            if let Some(valid) = &mut self.valid {
                valid.push(true);
            }
        }
        fits
    }

    fn push_null(&mut self) {
        match &mut self.values {
            Values::Text(values) => values.push_filler(),
            Values::Integer(values) | Values::Timestamp(values) => values.push(0),
            Values::Numeric(values) => values.push(0),
            Values::Float(values) => values.push(0.0),
            Values::Boolean(values) => values.push(false),
            Values::Date(values) => values.push(0),
        }
        let length = self.length;
        self.valid.get_or_insert_with(|| vec![true; length]).push(false);
        self.length += 1;
    }

    /// The value at `row`.
    pub fn get(&self, row: usize) -> Value<'_> {
        if self.valid.as_ref().is_some_and(|valid| !valid[row]) {
            return Value::Null;
        }
        match &self.values {
            Values::Text(values) => Value::Text(values.get(row)),
            Values::Integer(values) => Value::Integer(values[row]),
            Values::Numeric(values) => Value::Numeric(values.get(row)),
            Values::Float(values) => Value::Float(values[row]),
            Values::Boolean(values) => Value::Boolean(values[row]),
            Values::Date(values) => Value::Date(values[row]),
            Values::Timestamp(values) => Value::Timestamp(values[row]),
        }
    }

    /// Memory that the values take, within a small factor.
    fn held_bytes(&self) -> usize {
        let values = match &self.values {
            Values::Text(values) => 4 * values.rows.len() + values.distinct.len() + 16 * values.ends.len(),
            Values::Integer(values) | Values::Timestamp(values) => size_of_val(&values[..]),
            Values::Numeric(NumericValues::Narrow(values)) => size_of_val(&values[..]),
            Values::Numeric(NumericValues::Wide(values)) => size_of_val(&values[..]),
            Values::Float(values) => size_of_val(&values[..]),
            Values::Boolean(values) => size_of_val(&values[..]),
            Values::Date(values) => size_of_val(&values[..]),
        };
        values + self.valid.as_ref().map_or(0, Vec::len)
    }

    /// The exact sum of an INTEGER or NUMERIC column, in billionths; `None` for other types or beyond 128 bits.
    pub fn sum_billionths(&self) -> Option<i128> {
        match &self.values {
            Values::Integer(values) => {
                let sum: i128 = values.iter().map(|&value| i128::from(value)).sum();
                sum.checked_mul(10_i128.pow(SCALE))
            }
            Values::Numeric(NumericValues::Narrow(values)) => Some(values.iter().map(|&value| i128::from(value)).sum()),
            Values::Numeric(NumericValues::Wide(values)) => {
                values.iter().try_fold(0_i128, |sum, &value| sum.checked_add(value))
            }
            _ => None,
        }
    }

    /// How many rows each text of a STRING column has; nulls are not counted.
    pub fn text_counts(&self) -> BTreeMap<String, u64> {
        let Values::Text(values) = &self.values else { return BTreeMap::new() };
        let mut counts = vec![0_u64; values.ends.len()];
        for (row, &index) in values.rows.iter().enumerate() {
            if self.valid.as_ref().is_none_or(|valid| valid[row]) {
                counts[index as usize] += 1;
            }
        }
        let texts = (0..).zip(counts).filter(|(_, count)| *count > 0);
        texts.map(|(index, count)| (values.distinct_value(index).unwrap_or_default().to_owned(), count)).collect()
    }

    /// For each row a number that orders rows as their values do, nulls first.
    fn sort_keys(&self) -> Vec<i128> {
        let ranks = match &self.values {
            Values::Text(values) => values.ranks(),
            _ => Vec::new(),
        };
        let key = |row: usize| match (&self.values, self.get(row)) {
            (Values::Text(values), Value::Text(_)) => i128::from(ranks[values.index(row)]),
            (_, Value::Integer(value) | Value::Timestamp(value)) => i128::from(value),
            (_, Value::Numeric(value)) => value,
            (_, Value::Float(value)) => i128::from(float_order(value)),
            (_, Value::Boolean(value)) => i128::from(value),
            (_, Value::Date(value)) => i128::from(value),
            _ => i128::MIN,
        };
        (0..self.length).map(key).collect()
    }

    /// The rows of `order` as an Arrow array.
    pub fn gather(&self, order: &[u32]) -> ArrayRef {
        let rows = || order.iter().map(|&row| row as usize);
        let nulls = self.valid.as_ref().map(|valid| rows().map(|row| valid[row]).collect::<NullBuffer>());
        let integers = |values: &[i64]| rows().map(|row| values[row]).collect::<Vec<_>>();
        match &self.values {
            Values::Text(values) => values.gather(order, nulls.as_ref()),
            Values::Integer(values) => Arc::new(Int64Array::new(integers(values).into(), nulls)),
            Values::Timestamp(values) => {
                Arc::new(TimestampMicrosecondArray::new(integers(values).into(), nulls).with_timezone("UTC"))
            }
            Values::Numeric(values) => {
                let decimals: Vec<i128> = rows().map(|row| values.get(row)).collect();
                Arc::new(Decimal128Array::new(decimals.into(), nulls).with_data_type(NUMERIC))
            }
            Values::Float(values) => {
                Arc::new(Float64Array::new(rows().map(|row| values[row]).collect::<Vec<_>>().into(), nulls))
            }
            Values::Boolean(values) => {
                Arc::new(BooleanArray::new(rows().map(|row| values[row]).collect::<Vec<_>>().into(), nulls))
            }
            Values::Date(values) => {
                Arc::new(Date32Array::new(rows().map(|row| values[row]).collect::<Vec<_>>().into(), nulls))
            }
        }
    }
}

/// A total order on floats as an integer.
fn float_order(value: f64) -> i64 {
    let bits = value.to_bits().cast_signed();
    bits ^ (((bits >> 63).cast_unsigned()) >> 1).cast_signed()
}

/// Billionths, narrow while they fit.
#[derive(Debug)]
enum NumericValues {
    Narrow(Vec<i64>),
    Wide(Vec<i128>),
}

impl NumericValues {
    fn push(&mut self, value: i128) {
        match self {
            Self::Narrow(values) => {
                if let Ok(value) = i64::try_from(value) {
                    values.push(value);
                } else {
                    let mut wide: Vec<i128> = values.iter().map(|&value| i128::from(value)).collect();
                    wide.push(value);
                    *self = Self::Wide(wide);
                }
            }
            Self::Wide(values) => values.push(value),
        }
    }

    fn get(&self, row: usize) -> i128 {
        match self {
            Self::Narrow(values) => i128::from(values[row]),
            Self::Wide(values) => values[row],
        }
    }
}

/// Text as indices into the distinct values.
#[derive(Debug, Default)]
struct TextValues {
    rows: Vec<u32>,
    /// All distinct values, end to end; value `n` ends at `ends[n]`.
    distinct: String,
    ends: Vec<usize>,
    lookup: HashTable<u32>,
    hasher: DefaultHashBuilder,
}

impl TextValues {
    fn push(&mut self, text: &str) -> bool {
        if let Some(&last) = self.rows.last()
            && self.distinct_value(last) == Some(text)
        {
            self.rows.push(last);
            return true;
        }
        let hash = self.hasher.hash_one(text);
        let Self { distinct, ends, lookup, hasher, .. } = self;
        let value = |index: u32| value_at(distinct, ends, index);
        let index = if let Some(&index) = lookup.find(hash, |&index| value(index) == Some(text)) {
            index
        } else {
            let Ok(index) = u32::try_from(ends.len()) else { return false };
            distinct.push_str(text);
            ends.push(distinct.len());
            lookup.insert_unique(hash, index, |&index| {
                hasher.hash_one(value_at(distinct, ends, index).unwrap_or_default())
            });
            index
        };
        self.rows.push(index);
        true
    }

    /// Keeps the row count in step where a null stands; the index is never read.
    fn push_filler(&mut self) {
        self.rows.push(0);
    }

    fn distinct_value(&self, index: u32) -> Option<&str> {
        value_at(&self.distinct, &self.ends, index)
    }

    fn index(&self, row: usize) -> usize {
        self.rows[row] as usize
    }

    fn get(&self, row: usize) -> &str {
        self.distinct_value(self.rows[row]).unwrap_or_default()
    }

    /// The place of each distinct value in their sorted order.
    fn ranks(&self) -> Vec<u32> {
        let count = u32::try_from(self.ends.len()).unwrap_or(u32::MAX);
        let mut sorted: Vec<u32> = (0..count).collect();
        sorted.sort_unstable_by_key(|&index| self.distinct_value(index));
        let mut ranks = vec![0; self.ends.len()];
        for (rank, &index) in (0..count).zip(&sorted) {
            ranks[index as usize] = rank;
        }
        ranks
    }

    fn gather(&self, order: &[u32], nulls: Option<&NullBuffer>) -> ArrayRef {
        let mut builder = StringBuilder::with_capacity(order.len(), order.len() * 16);
        for (position, &row) in order.iter().enumerate() {
            if nulls.is_some_and(|nulls| nulls.is_null(position)) {
                builder.append_null();
            } else {
                builder.append_value(self.get(row as usize));
            }
        }
        Arc::new(builder.finish())
    }
}

fn value_at<'a>(distinct: &'a str, ends: &[usize], index: u32) -> Option<&'a str> {
    let index = index as usize;
    let end = *ends.get(index)?;
    let start = if index == 0 { 0 } else { ends[index - 1] };
    distinct.get(start..end)
}

/// Rows of one partition: one buffer a column, all of the same length.
#[derive(Debug)]
pub struct Rows {
    columns: Vec<ColumnBuffer>,
    length: usize,
}

impl Rows {
    /// No rows yet, for flat columns of these types; `None` when one of them is a RECORD.
    pub fn new<'t>(types: impl IntoIterator<Item = &'t ColumnType>) -> Option<Self> {
        let columns = types.into_iter().map(ColumnBuffer::new).collect::<Option<Vec<_>>>()?;
        Some(Self { columns, length: 0 })
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Memory that the rows take, within a small factor.
    pub fn held_bytes(&self) -> usize {
        self.columns.iter().map(ColumnBuffer::held_bytes).sum()
    }

    /// The columns.
    pub fn columns(&self) -> &[ColumnBuffer] {
        &self.columns
    }

    /// Adds a value to the row being built; `false` when it is not of the column's type.
    #[must_use]
    pub fn push_value(&mut self, column: usize, value: Value<'_>) -> bool {
        self.columns[column].push(value)
    }

    /// Ends the row being built: every column must have got its value.
    pub fn finish_row(&mut self) {
        self.length += 1;
        debug_assert!(self.columns.iter().all(|column| column.len() == self.length), "a row has one value a column");
    }

    /// Adds one row; `Err` names the first column whose value is not of its type, and nothing may be added after it.
    pub fn push<'v>(&mut self, values: impl IntoIterator<Item = Value<'v>>) -> Result<(), usize> {
        for (index, (column, value)) in self.columns.iter_mut().zip(values).enumerate() {
            if !column.push(value) {
                return Err(index);
            }
        }
        self.length += 1;
        Ok(())
    }

    /// Adds all rows of `other`, which has the same columns.
    pub fn append(&mut self, other: &Self) -> Result<(), usize> {
        for row in 0..other.length {
            self.push(other.columns.iter().map(|column| column.get(row)))?;
        }
        Ok(())
    }

    /// The order of rows by the columns `keys`, then by all others, so that the same rows always come out the same;
    /// and how many rows share all their key values with the row before.
    pub fn sorted(&self, keys: &[usize]) -> (Vec<u32>, usize) {
        let others = (0..self.columns.len()).filter(|column| !keys.contains(column));
        let mut order: Vec<u32> = (0..u32::try_from(self.length).unwrap_or(u32::MAX)).collect();
        let key_values: Vec<Vec<i128>> = keys.iter().map(|&key| self.columns[key].sort_keys()).collect();
        let by_keys = |a: u32, b: u32| compare_by(&key_values, a, b);
        order.sort_unstable_by(|&a, &b| by_keys(a, b).then(a.cmp(&b)));
        let repeated = order.windows(2).filter(|pair| by_keys(pair[0], pair[1]).is_eq()).count();
        if repeated > 0 {
            let other_values: Vec<Vec<i128>> = others.map(|column| self.columns[column].sort_keys()).collect();
            order.sort_by(|&a, &b| by_keys(a, b).then_with(|| compare_by(&other_values, a, b)));
        }
        (order, repeated)
    }
}

fn compare_by(columns: &[Vec<i128>], a: u32, b: u32) -> Ordering {
    columns
        .iter()
        .map(|column| column[a as usize].cmp(&column[b as usize]))
        .find(|ordering| ordering.is_ne())
        .unwrap_or(Ordering::Equal)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn nulls_and_distinct_texts_come_back_as_they_went_in() {
        let mut rows = Rows::new([&ColumnType::String]).expect("flat");
        for value in [Value::Text("b"), Value::Null, Value::Text("a"), Value::Text("b")] {
            rows.push([value]).expect("text fits");
        }
        let back: Vec<_> = (0..4).map(|row| rows.columns()[0].get(row)).collect();
        assert_eq!(back, [Value::Text("b"), Value::Null, Value::Text("a"), Value::Text("b")]);
        assert_eq!(rows.sorted(&[0]), (vec![1, 2, 0, 3], 1));
    }

    #[test]
    fn a_value_of_another_type_is_refused_by_name_of_its_column() {
        let mut rows = Rows::new([&ColumnType::String, &ColumnType::Integer]).expect("flat");
        assert_eq!(rows.push([Value::Text("a"), Value::Text("b")]), Err(1));
    }

    proptest! {
        #[test]
        fn numerics_of_any_size_keep_their_value_and_sum(values in prop::collection::vec(-10_i128.pow(30)..10_i128.pow(30), 0..50)) {
            let mut rows = Rows::new([&ColumnType::Numeric]).expect("flat");
            for &value in &values {
                rows.push([Value::Numeric(value)]).expect("numeric fits");
            }
            let back: Vec<_> = (0..values.len()).map(|row| rows.columns()[0].get(row)).collect();
            let expected: Vec<_> = values.iter().map(|&value| Value::Numeric(value)).collect();
            prop_assert_eq!(back, expected);
            prop_assert_eq!(rows.columns()[0].sum_billionths(), Some(values.iter().sum::<i128>()));
        }

        #[test]
        fn the_order_does_not_depend_on_arrival(mut values in prop::collection::vec((0_i64..5, "[ab]{0,2}", -1.0_f64..1.0), 0..40)) {
            let sorted = |values: &[(i64, String, f64)]| {
                let types = [ColumnType::Integer, ColumnType::String, ColumnType::Float];
                let mut rows = Rows::new(&types).expect("flat");
                for (number, text, float) in values {
                    rows.push([Value::Integer(*number), Value::Text(text), Value::Float(*float)]).expect("fits");
                }
                let (order, _) = rows.sorted(&[0, 1]);
                order.iter().map(|&row| {
                    let row = row as usize;
                    format!("{:?}", rows.columns().iter().map(|column| column.get(row)).collect::<Vec<_>>())
                }).collect::<Vec<_>>()
            };
            let first = sorted(&values);
            values.reverse();
            prop_assert_eq!(sorted(&values), first);
        }
    }
}

//! Rows of one partition in memory: typed, compact, sortable.
//!
//! A partition is judged before it is written, and written in a stable order, so its rows have to wait somewhere. They
//! wait here at a fraction of Arrow's size: text as indices into each column's distinct values, which the partitions of
//! one response share, and decimals as 64-bit billionths until one does not fit. Arrow arrays are made a slice at a time,
//! in the order asked for.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, DictionaryArray, Float64Array, Int64Array, StringArray,
    StringBuilder, TimestampMicrosecondArray, UInt32Array,
};
use arrow::buffer::NullBuffer;
use arrow::datatypes::DataType;
use arrow::error::ArrowError;
use hashbrown::{DefaultHashBuilder, HashTable};
use std::hash::BuildHasher;

use super::numeric::SCALE;
use crate::catalog::ColumnType;

/// Arrow's type of a NUMERIC column.
const NUMERIC: DataType = DataType::Decimal128(38, 9);
/// Distinct texts that are handed over whole, at most: an Arrow array of text ends at 2 GiB.
const MAX_DICTIONARY_BYTES: usize = 1 << 28;

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
    Text(TextValues),
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
            ColumnType::String | ColumnType::Json => Values::Text(TextValues::default()),
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
    #[inline]
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

    fn share(&mut self) -> Option<Arc<Dictionary>> {
        match &mut self.values {
            Values::Text(values) => Some(values.distinct.share()),
            _ => None,
        }
    }

    fn reserve(&mut self, rows: usize) {
        match &mut self.values {
            Values::Text(values) => values.rows.reserve_exact(rows),
            Values::Integer(values) | Values::Timestamp(values) => values.reserve_exact(rows),
            Values::Numeric(NumericValues::Narrow(values)) => values.reserve_exact(rows),
            Values::Numeric(NumericValues::Wide(values)) => values.reserve_exact(rows),
            Values::Float(values) => values.reserve_exact(rows),
            Values::Boolean(values) => values.reserve_exact(rows),
            Values::Date(values) => values.reserve_exact(rows),
        }
    }

    fn shrink(&mut self) {
        match &mut self.values {
            Values::Text(values) => values.rows.shrink_to_fit(),
            Values::Integer(values) | Values::Timestamp(values) => values.shrink_to_fit(),
            Values::Numeric(NumericValues::Narrow(values)) => values.shrink_to_fit(),
            Values::Numeric(NumericValues::Wide(values)) => values.shrink_to_fit(),
            Values::Float(values) => values.shrink_to_fit(),
            Values::Boolean(values) => values.shrink_to_fit(),
            Values::Date(values) => values.shrink_to_fit(),
        }
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
            Values::Text(values) => 4 * values.rows.len() + values.distinct.get().held_bytes(),
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

    /// For each row a number that orders rows as their values do, nulls first.
    fn sort_keys(&self) -> Vec<i128> {
        if let Values::Text(values) = &self.values {
            let ranks = values.distinct.get().ranks();
            let is_null = |row: usize| self.valid.as_ref().is_some_and(|valid| !valid[row]);
            let key = |row| if is_null(row) { -1 } else { i128::from(ranks[values.index(row)]) };
            return (0..self.length).map(key).collect();
        }
        let key = |row: usize| match self.get(row) {
            Value::Integer(value) | Value::Timestamp(value) => i128::from(value),
            Value::Numeric(value) => value,
            Value::Float(value) => i128::from(float_order(value)),
            Value::Boolean(value) => i128::from(value),
            Value::Date(value) => i128::from(value),
            Value::Null | Value::Text(_) => i128::MIN,
        };
        (0..self.length).map(key).collect()
    }

    /// The distinct texts of a text column as an Arrow array, for [`Self::gather_indices`]; `None` for other columns, and
    /// where rows are too few for that to be less work than copying each text.
    pub fn distinct_texts(&self) -> Option<ArrayRef> {
        let Values::Text(values) = &self.values else { return None };
        let distinct = values.distinct.get();
        let is_worth_it = distinct.ends.len() < self.length / 4 && distinct.texts.len() < MAX_DICTIONARY_BYTES;
        is_worth_it.then(|| {
            Arc::new(StringArray::from_iter_values((0_u32..).map_while(|index| distinct.value(index)))) as ArrayRef
        })
    }

    /// The rows of `order` of a text column as indices into its [`Self::distinct_texts`].
    pub fn gather_indices(&self, order: &[u32], distinct: &ArrayRef) -> Result<ArrayRef, ArrowError> {
        let Values::Text(values) = &self.values else { return Ok(self.gather(order)) };
        let indices: Vec<u32> = order.iter().map(|&row| values.rows[row as usize]).collect();
        let indices = UInt32Array::try_new(indices.into(), self.gather_nulls(order))?;
        Ok(Arc::new(DictionaryArray::try_new(indices, Arc::clone(distinct))?))
    }

    fn gather_nulls(&self, order: &[u32]) -> Option<NullBuffer> {
        let valid = self.valid.as_ref()?;
        Some(order.iter().map(|&row| valid[row as usize]).collect())
    }

    /// The rows of `order` as an Arrow array.
    pub fn gather(&self, order: &[u32]) -> ArrayRef {
        let rows = || order.iter().map(|&row| row as usize);
        let nulls = self.gather_nulls(order);
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
    distinct: Distinct,
}

/// Distinct values, of this column alone or also of the same column in other partitions.
#[derive(Debug)]
enum Distinct {
    Own(Box<Dictionary>),
    Shared(Arc<Dictionary>),
}

impl Default for Distinct {
    fn default() -> Self {
        Self::Own(Box::default())
    }
}

impl Distinct {
    fn get(&self) -> &Dictionary {
        match self {
            Self::Own(dictionary) => dictionary,
            Self::Shared(dictionary) => dictionary,
        }
    }

    /// For adding values: what is shared is copied first.
    fn own(&mut self) -> &mut Dictionary {
        if let Self::Shared(shared) = self {
            *self = Self::Own(Box::new(Dictionary::clone(shared)));
        }
        match self {
            Self::Own(dictionary) => dictionary,
            Self::Shared(_) => unreachable!("just copied"),
        }
    }

    fn share(&mut self) -> Arc<Dictionary> {
        let shared = match std::mem::take(self) {
            Self::Own(dictionary) => Arc::from(dictionary),
            Self::Shared(dictionary) => dictionary,
        };
        *self = Self::Shared(Arc::clone(&shared));
        shared
    }
}

impl TextValues {
    fn push(&mut self, text: &str) -> bool {
        if let Some(&last) = self.rows.last()
            && self.distinct.get().value(last) == Some(text)
        {
            self.rows.push(last);
            return true;
        }
        let Some(index) = self.distinct.own().index(text) else { return false };
        self.rows.push(index);
        true
    }

    /// Keeps the row count in step where a null stands; the index means nothing.
    fn push_filler(&mut self) {
        self.rows.push(0);
    }

    fn index(&self, row: usize) -> usize {
        self.rows[row] as usize
    }

    fn get(&self, row: usize) -> &str {
        self.distinct.get().value(self.rows[row]).unwrap_or_default()
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

/// Texts, each once, numbered as they came.
#[derive(Clone, Debug, Default)]
struct Dictionary {
    /// All texts, end to end; number `n` ends at `ends[n]`.
    texts: String,
    ends: Vec<usize>,
    lookup: HashTable<u32>,
    hasher: DefaultHashBuilder,
}

impl Dictionary {
    fn value(&self, index: u32) -> Option<&str> {
        value_at(&self.texts, &self.ends, index)
    }

    /// The number of `text`, which is added if it is new; `None` when there are too many.
    fn index(&mut self, text: &str) -> Option<u32> {
        let hash = self.hasher.hash_one(text);
        let Self { texts, ends, lookup, hasher } = self;
        if let Some(&index) = lookup.find(hash, |&index| value_at(texts, ends, index) == Some(text)) {
            return Some(index);
        }
        let index = u32::try_from(ends.len()).ok()?;
        texts.push_str(text);
        ends.push(texts.len());
        lookup.insert_unique(hash, index, |&index| hasher.hash_one(value_at(texts, ends, index).unwrap_or_default()));
        Some(index)
    }

    /// Memory taken, within a small factor.
    fn held_bytes(&self) -> usize {
        self.texts.len() + 16 * self.ends.len()
    }

    /// The place of each text in their sorted order.
    fn ranks(&self) -> Vec<u32> {
        let count = u32::try_from(self.ends.len()).unwrap_or(u32::MAX);
        let mut sorted: Vec<u32> = (0..count).collect();
        sorted.sort_unstable_by_key(|&index| self.value(index));
        let mut ranks = vec![0; self.ends.len()];
        for (rank, &index) in (0..count).zip(&sorted) {
            ranks[index as usize] = rank;
        }
        ranks
    }
}

fn value_at<'a>(distinct: &'a str, ends: &[usize], index: u32) -> Option<&'a str> {
    let index = index as usize;
    let end = *ends.get(index)?;
    let start = if index == 0 { 0 } else { ends[index - 1] };
    distinct.get(start..end)
}

/// Rows of one partition: one buffer a column, all of the same length.
#[derive(Debug, Default)]
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
    #[inline]
    pub fn push_value(&mut self, column: usize, value: Value<'_>) -> bool {
        self.columns[column].push(value)
    }

    /// Ends the row being built: every column must have got its value.
    pub fn finish_row(&mut self) {
        self.length += 1;
        debug_assert!(self.columns.iter().all(|column| column.len() == self.length), "a row has one value a column");
    }

    /// Takes over the distinct texts that `other`, which has the same columns, has collected so far. `other` must get
    /// them back, or those of [`Self::share_texts`], before it is used again.
    pub fn take_texts(&mut self, other: &mut Self) {
        for (column, other) in self.columns.iter_mut().zip(&mut other.columns) {
            if let (Values::Text(values), Values::Text(others)) = (&mut column.values, &mut other.values) {
                std::mem::swap(&mut values.distinct, &mut others.distinct);
            }
        }
    }

    /// Gives `others`, which have the same columns, a share in the distinct texts of these rows.
    pub fn share_texts<'o>(&mut self, others: impl IntoIterator<Item = &'o mut Self>) {
        let shared: Vec<Option<Arc<Dictionary>>> = self.columns.iter_mut().map(ColumnBuffer::share).collect();
        for other in others {
            for (column, shared) in other.columns.iter_mut().zip(&shared) {
                if let (Values::Text(values), Some(shared)) = (&mut column.values, shared) {
                    values.distinct = Distinct::Shared(Arc::clone(shared));
                }
            }
        }
    }

    /// Sets memory aside for more rows.
    pub fn reserve(&mut self, rows: usize) {
        for column in &mut self.columns {
            column.reserve(rows);
        }
    }

    /// Gives back memory that was set aside for more rows.
    pub fn shrink(&mut self) {
        for column in &mut self.columns {
            column.shrink();
        }
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

    /// For each text of the column `group`: how many rows have it, and the sums over them, in billionths, of INTEGER and
    /// NUMERIC `columns` (0 for others, saturating at 128 bits). Rows without a text are left out.
    pub fn sums_by_text(&self, group: usize, columns: &[usize]) -> Vec<(&str, u64, Vec<i128>)> {
        let Values::Text(texts) = &self.columns[group].values else { return Vec::new() };
        let distinct = texts.distinct.get();
        let is_null = |row: usize| self.columns[group].valid.as_ref().is_some_and(|valid| !valid[row]);
        let mut sums = vec![vec![0_i128; columns.len()]; distinct.ends.len()];
        let mut counts = vec![0_u64; distinct.ends.len()];
        for row in (0..self.length).filter(|&row| !is_null(row)) {
            counts[texts.index(row)] += 1;
        }
        for (position, &column) in columns.iter().enumerate() {
            let mut add = |row: usize, value: i128| {
                if !is_null(row) {
                    let sum = &mut sums[texts.index(row)][position];
                    *sum = sum.saturating_add(value);
                }
            };
            // A null's place holds a zero.
            match &self.columns[column].values {
                Values::Integer(values) => {
                    let billionths = |value: i64| i128::from(value) * 10_i128.pow(SCALE);
                    values.iter().enumerate().for_each(|(row, &value)| add(row, billionths(value)));
                }
                Values::Numeric(NumericValues::Narrow(values)) => {
                    values.iter().enumerate().for_each(|(row, &value)| add(row, i128::from(value)));
                }
                Values::Numeric(NumericValues::Wide(values)) => {
                    values.iter().enumerate().for_each(|(row, &value)| add(row, value));
                }
                _ => {}
            }
        }
        let groups = (0_u32..).zip(counts.into_iter().zip(sums)).filter(|(_, (count, _))| *count > 0);
        groups.map(|(index, (count, sums))| (distinct.value(index).unwrap_or_default(), count, sums)).collect()
    }

    /// The order of rows by the columns `keys`, then by all others, so that the same rows always come out the same;
    /// and how many rows share all their key values with the row before.
    pub fn sorted(&self, keys: &[usize]) -> (Vec<u32>, usize) {
        let rows = 0..u32::try_from(self.length).unwrap_or(u32::MAX);
        let (mut order, repeated): (Vec<u32>, usize);
        if let Some(packed) = self.packed(keys) {
            let mut packed: Vec<(u128, u32)> = packed.into_iter().zip(rows).collect();
            packed.sort_by_key(|&(key, _)| key);
            repeated = packed.windows(2).filter(|pair| pair[0].0 == pair[1].0).count();
            order = packed.into_iter().map(|(_, row)| row).collect();
        } else {
            order = rows.collect();
            repeated = self.sort(&mut order, keys);
        }
        if repeated > 0 {
            let others = (0..self.columns.len()).filter(|column| !keys.contains(column));
            let all: Vec<usize> = keys.iter().copied().chain(others).collect();
            self.sort(&mut order, &all);
        }
        (order, repeated)
    }

    /// For each row one number that orders rows as the columns `keys` do; `None` if 128 bits do not hold all of them.
    fn packed(&self, keys: &[usize]) -> Option<Vec<u128>> {
        let mut packed = vec![0_u128; self.length];
        let mut free = u128::BITS;
        for &key in keys {
            let values = self.columns[key].sort_keys();
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

    /// Sorts `order` by any columns; how many rows share all their values with the row before.
    fn sort(&self, order: &mut [u32], columns: &[usize]) -> usize {
        let values: Vec<Vec<i128>> = columns.iter().map(|&column| self.columns[column].sort_keys()).collect();
        order.sort_by(|&a, &b| compare_by(&values, a, b));
        order.windows(2).filter(|pair| compare_by(&values, pair[0], pair[1]).is_eq()).count()
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
    fn partitions_that_share_their_texts_keep_them_and_may_grow_apart() {
        let mut first = Rows::new([&ColumnType::String]).expect("flat");
        let mut second = Rows::new([&ColumnType::String]).expect("flat");
        let texts =
            |rows: &Rows| (0..rows.len()).map(|row| format!("{:?}", rows.columns()[0].get(row))).collect::<Vec<_>>();
        for (index, text) in ["a", "b", "a", "c"].into_iter().enumerate() {
            let (current, other) = if index % 2 == 0 { (&mut first, &mut second) } else { (&mut second, &mut first) };
            current.take_texts(other);
            current.push([Value::Text(text)]).expect("text fits");
        }
        second.share_texts([&mut first]);
        assert_eq!(
            (texts(&first), texts(&second)),
            (vec![r#"Text("a")"#.to_owned(); 2], vec![r#"Text("b")"#.to_owned(), r#"Text("c")"#.to_owned()])
        );
        first.push([Value::Text("d")]).expect("text fits");
        second.push([Value::Text("e")]).expect("text fits");
        assert_eq!((texts(&first)[2].as_str(), texts(&second)[2].as_str()), (r#"Text("d")"#, r#"Text("e")"#));
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
        fn sums_by_text_are_those_of_each_text_alone(
            rows in prop::collection::vec((prop::option::of("[ab]{0,2}"), any::<i32>(), prop::option::of(any::<i64>())), 0..40),
        ) {
            let types = [ColumnType::String, ColumnType::Integer, ColumnType::Numeric];
            let mut columns = Rows::new(&types).expect("flat");
            let mut expected = std::collections::BTreeMap::<&str, (u64, Vec<i128>)>::new();
            for (text, integer, numeric) in &rows {
                let text_value = text.as_deref().map_or(Value::Null, Value::Text);
                let numeric_value = numeric.map_or(Value::Null, |value| Value::Numeric(value.into()));
                columns.push([text_value, Value::Integer((*integer).into()), numeric_value]).expect("fits");
                let Some(text) = text else { continue };
                let (count, sums) = expected.entry(text).or_insert_with(|| (0, vec![0, 0]));
                *count += 1;
                sums[0] += i128::from(*integer) * 1_000_000_000;
                sums[1] += i128::from(numeric.unwrap_or_default());
            }
            let mut found = columns.sums_by_text(0, &[1, 2]);
            found.sort_unstable();
            let expected: Vec<_> = expected.into_iter().map(|(text, (count, sums))| (text, count, sums)).collect();
            prop_assert_eq!(found, expected);
        }

        #[test]
        fn the_order_by_packed_numbers_is_the_order_by_columns(
            rows in prop::collection::vec((-2_i64..3, prop::option::of("[ab]{0,2}"), any::<i64>()), 0..40),
        ) {
            let types = [ColumnType::Integer, ColumnType::String, ColumnType::Timestamp];
            let mut columns = Rows::new(&types).expect("flat");
            for (integer, text, time) in &rows {
                let text = text.as_deref().map_or(Value::Null, Value::Text);
                columns.push([Value::Integer(*integer), text, Value::Timestamp(*time)]).expect("fits");
            }
            let (order, _) = columns.sorted(&[0, 1, 2]);
            let mut expected = rows.clone();
            expected.sort();
            let sorted: Vec<_> = order.iter().map(|&row| rows[row as usize].clone()).collect();
            prop_assert_eq!(sorted, expected);
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

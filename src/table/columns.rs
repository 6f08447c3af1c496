//! Rows of one answer in memory: typed, compact, column by column.
//!
//! A partition is judged before it is written, and written in a stable order, so its rows have to wait somewhere. They
//! wait here at a fraction of Arrow's size: text as numbers of each column's distinct texts, whole numbers and decimals in
//! as few bytes as the largest of them needs. Arrow arrays are made a slice at a time, in the order requested.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, DictionaryArray, Float64Array, Int64Array,
    TimestampMicrosecondArray, UInt32Array,
};
use arrow::buffer::NullBuffer;
use arrow::datatypes::DataType;
use arrow::error::ArrowError;

use super::integers::Integers;
use super::numeric::SCALE;
use super::texts::Texts;
use crate::catalog::ColumnType;

/// Arrow's type of a NUMERIC column.
/// The Arrow type of NUMERIC.
pub(super) const NUMERIC: DataType = DataType::Decimal128(38, 9);

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

impl Value<'_> {
    /// The number by which this value is kept and ordered; `None` where it is not a whole one.
    pub(super) fn whole(self) -> Option<i128> {
        match self {
            Self::Integer(value) | Self::Timestamp(value) => Some(value.into()),
            Self::Numeric(value) => Some(value),
            Self::Date(value) => Some(value.into()),
            Self::Null | Self::Text(_) | Self::Float(_) | Self::Boolean(_) => None,
        }
    }
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
    Text(Texts),
    Whole(Whole, Integers),
    Float(Vec<f64>),
    Boolean(Vec<bool>),
}

/// What whole numbers of a column mean.
#[derive(Clone, Copy, Debug)]
enum Whole {
    Integer,
    Numeric,
    Date,
    Timestamp,
}

impl Whole {
    fn value<'v>(self, value: i128) -> Value<'v> {
        match self {
            Self::Integer => Value::Integer(narrow(value)),
            Self::Numeric => Value::Numeric(value),
            Self::Date => Value::Date(narrow(value)),
            Self::Timestamp => Value::Timestamp(narrow(value)),
        }
    }
}

/// Back to the type that it was pushed as.
fn narrow<T: TryFrom<i128> + Default>(value: i128) -> T {
    T::try_from(value).unwrap_or_default()
}

impl ColumnBuffer {
    /// An empty column. Report tables have flat columns only: a RECORD has no buffer (`None`).
    pub fn new(column_type: &ColumnType) -> Option<Self> {
        let whole = |whole| Values::Whole(whole, Integers::default());
        let values = match column_type {
            ColumnType::String | ColumnType::Json => Values::Text(Texts::default()),
            ColumnType::Integer => whole(Whole::Integer),
            ColumnType::Numeric => whole(Whole::Numeric),
            ColumnType::Date => whole(Whole::Date),
            ColumnType::Timestamp => whole(Whole::Timestamp),
            ColumnType::Float => Values::Float(Vec::new()),
            ColumnType::Boolean => Values::Boolean(Vec::new()),
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
        match (&mut self.values, value) {
            (_, Value::Null) => {
                self.push_null();
                return true;
            }
            (Values::Text(values), Value::Text(text)) => {
                if !values.push(text) {
                    return false;
                }
            }
            (Values::Whole(Whole::Integer, values), Value::Integer(value))
            | (Values::Whole(Whole::Timestamp, values), Value::Timestamp(value)) => values.push(value.into()),
            (Values::Whole(Whole::Numeric, values), Value::Numeric(value)) => values.push(value),
            (Values::Whole(Whole::Date, values), Value::Date(value)) => values.push(value.into()),
            (Values::Float(values), Value::Float(value)) => values.push(value),
            (Values::Boolean(values), Value::Boolean(value)) => values.push(value),
            _ => return false,
        }
        self.length += 1;
        if let Some(valid) = &mut self.valid {
            valid.push(true);
        }
        true
    }

    fn push_null(&mut self) {
        match &mut self.values {
            Values::Text(values) => values.push_filler(),
            Values::Whole(_, values) => values.push(0),
            Values::Float(values) => values.push(0.0),
            Values::Boolean(values) => values.push(false),
        }
        let length = self.length;
        self.valid.get_or_insert_with(|| vec![true; length]).push(false);
        self.length += 1;
    }

    pub(super) fn is_null(&self, row: usize) -> bool {
        self.valid.as_ref().is_some_and(|valid| !valid[row])
    }

    /// The value at `row`.
    pub fn get(&self, row: usize) -> Value<'_> {
        if self.is_null(row) {
            return Value::Null;
        }
        match &self.values {
            Values::Text(values) => Value::Text(values.get(row)),
            Values::Whole(whole, values) => whole.value(values.get(row)),
            Values::Float(values) => Value::Float(values[row]),
            Values::Boolean(values) => Value::Boolean(values[row]),
        }
    }

    /// Memory that the values take, within a small factor.
    fn held_bytes(&self) -> usize {
        let values = match &self.values {
            Values::Text(values) => values.held_bytes(),
            Values::Whole(_, values) => values.held_bytes(),
            Values::Float(values) => size_of_val(&values[..]),
            Values::Boolean(values) => size_of_val(&values[..]),
        };
        values + self.valid.as_ref().map_or(0, Vec::len)
    }

    /// The texts of a text column.
    pub(super) fn texts(&self) -> Option<&Texts> {
        match &self.values {
            Values::Text(values) => Some(values),
            _ => None,
        }
    }

    /// The numbers of an INTEGER or NUMERIC column, nulls as zero, and how many billionths one is; `None` for other columns.
    pub(super) fn billionths(&self) -> Option<(i128, &Integers)> {
        match &self.values {
            Values::Whole(Whole::Integer, values) => Some((10_i128.pow(SCALE), values)),
            Values::Whole(Whole::Numeric, values) => Some((1, values)),
            _ => None,
        }
    }

    /// For each row a number that orders rows as their values do, nulls first; `None` where there is none.
    pub(super) fn sort_keys(&self) -> Option<Vec<i128>> {
        let rows = 0..self.length;
        match &self.values {
            Values::Text(values) => {
                let ranks = values.ranks();
                let key = |row| if self.is_null(row) { -1 } else { i128::from(ranks[values.index(row) as usize]) };
                Some(rows.map(key).collect())
            }
            Values::Whole(_, values) if self.valid.is_none() => Some(rows.map(|row| values.get(row)).collect()),
            Values::Boolean(values) if self.valid.is_none() => Some(values.iter().copied().map(i128::from).collect()),
            _ => None,
        }
    }

    /// The distinct texts of a text column as an Arrow array, for [`Self::gather_indices`]; `None` for other columns, and
    /// where `rows`, which are to be gathered, are too few for that to be less work than copying each text.
    pub fn distinct_texts(&self, rows: usize) -> Option<ArrayRef> {
        self.texts()?.distinct_array(rows)
    }

    /// The rows of `order` of a text column as indices into its [`Self::distinct_texts`].
    pub fn gather_indices(&self, order: &[u32], distinct: &ArrayRef) -> Result<ArrayRef, ArrowError> {
        let Some(texts) = self.texts() else { return Ok(self.gather(order)) };
        let indices = UInt32Array::try_new(texts.gather_indices(order).into(), self.gather_nulls(order))?;
        Ok(Arc::new(DictionaryArray::try_new(indices, Arc::clone(distinct))?))
    }

    fn gather_nulls(&self, order: &[u32]) -> Option<NullBuffer> {
        let valid = self.valid.as_ref()?;
        Some(order.iter().map(|&row| valid[row as usize]).collect())
    }

    /// The rows of `order` as an Arrow array.
    pub fn gather(&self, order: &[u32]) -> ArrayRef {
        let nulls = self.gather_nulls(order);
        let rows = || order.iter().map(|&row| row as usize);
        match &self.values {
            Values::Text(values) => values.gather(order, nulls.as_ref()),
            Values::Whole(Whole::Integer, values) => {
                Arc::new(Int64Array::new(values.gather(order, narrow).into(), nulls))
            }
            Values::Whole(Whole::Timestamp, values) => {
                let instants = TimestampMicrosecondArray::new(values.gather(order, narrow).into(), nulls);
                Arc::new(instants.with_timezone("UTC"))
            }
            Values::Whole(Whole::Numeric, values) => {
                Arc::new(Decimal128Array::new(values.gather(order, narrow).into(), nulls).with_data_type(NUMERIC))
            }
            Values::Whole(Whole::Date, values) => {
                Arc::new(Date32Array::new(values.gather(order, narrow).into(), nulls))
            }
            Values::Float(values) => {
                Arc::new(Float64Array::new(rows().map(|row| values[row]).collect::<Vec<_>>().into(), nulls))
            }
            Values::Boolean(values) => {
                Arc::new(BooleanArray::new(rows().map(|row| values[row]).collect::<Vec<_>>().into(), nulls))
            }
        }
    }
}

/// Rows: one buffer a column, all of the same length.
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

    /// The values of one row, one a column.
    pub fn row(&self, row: u32) -> impl Iterator<Item = Value<'_>> {
        self.columns.iter().map(move |column| column.get(row as usize))
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn nulls_and_repeated_texts_come_back_as_they_went_in() {
        let values = [Value::Text("b"), Value::Null, Value::Text("a"), Value::Text("b")];
        let mut rows = Rows::new([&ColumnType::String]).expect("flat");
        for value in values {
            rows.push([value]).expect("text fits");
        }
        let back: Vec<_> = (0..4).flat_map(|row| rows.row(row)).collect();
        assert_eq!(back, values);
    }

    #[test]
    fn a_value_of_another_type_is_refused_by_name_of_its_column() {
        let mut rows = Rows::new([&ColumnType::String, &ColumnType::Integer]).expect("flat");
        assert_eq!(rows.push([Value::Text("a"), Value::Text("b")]), Err(1));
        let mut rows = Rows::new([&ColumnType::Date]).expect("flat");
        assert_eq!(rows.push([Value::Integer(1)]), Err(0));
    }

    proptest! {
        #[test]
        fn whole_numbers_of_every_type_keep_their_value(
            values in prop::collection::vec(
                (any::<i64>(), -10_i128.pow(37)..10_i128.pow(37), any::<i32>(), any::<i64>(), any::<bool>()), 0..50,
            ),
        ) {
            let types = [ColumnType::Integer, ColumnType::Numeric, ColumnType::Date, ColumnType::Timestamp];
            let mut rows = Rows::new(&types).expect("flat");
            let expected: Vec<[Value<'_>; 4]> = values
                .iter()
                .map(|&(integer, numeric, date, time, is_null)| {
                    let first = if is_null { Value::Null } else { Value::Integer(integer) };
                    [first, Value::Numeric(numeric), Value::Date(date), Value::Timestamp(time)]
                })
                .collect();
            for &row in &expected {
                rows.push(row).expect("fits");
            }
            for (number, expected) in (0_u32..).zip(&expected) {
                prop_assert_eq!(&rows.row(number).collect::<Vec<_>>(), expected);
            }
        }
    }
}

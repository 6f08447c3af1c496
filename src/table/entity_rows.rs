//! Rows of a snapshot: resources become columns as they arrive, and are sorted once all are there.
//!
//! It holds Arrow columns, never JSON. A key that comes twice (pages overlap) is kept once, as it came first. It knows
//! nothing of where resources come from, nor of files.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{Array, AsArray, BooleanArray, StringArray};
use arrow::compute::{concat_batches, filter_record_batch, interleave_record_batch};
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use chrono::{DateTime, NaiveDate, Utc};

use super::decode::ADVERTISER_ID;
use super::entity::{EntityError, Resource, entity_batch};
use super::schema::arrow_schema;
use crate::catalog::Table;

/// Rows that are put together in one batch: each batch has buffers of its own for every column.
const BATCH_ROWS: usize = 2048;
/// Most memory for the rows of one snapshot: two million ads take about half of it.
const MAX_HELD_BYTES: usize = 1 << 30;

/// The column by which rows of one ad set are told apart.
const AD_SET_ID: &str = "ad_set_id";

/// Why resources could not become rows.
#[derive(Debug, thiserror::Error)]
pub enum RowsError {
    /// A value does not fit its column.
    #[error(transparent)]
    Entity(#[from] EntityError),
    /// Columns that do not fit each other.
    #[error("rows do not match the table's schema")]
    Arrow(#[from] ArrowError),
    /// More than the bytes that are held at most.
    #[error("{rows} resources take more than {} MiB", MAX_HELD_BYTES >> 20)]
    TooMuch {
        /// Rows so far.
        rows: usize,
    },
}

/// Rows of one entity table.
#[derive(Clone, Debug)]
pub struct EntityRows {
    table: Arc<Table>,
    schema: SchemaRef,
    snapshot_date: NaiveDate,
    pulled_at: DateTime<Utc>,
    batches: Vec<RecordBatch>,
    /// Small batches that are not put together yet.
    loose: Vec<RecordBatch>,
    rows: usize,
    held_bytes: usize,
}

impl EntityRows {
    /// No rows yet of a snapshot of this day, read at this time.
    pub fn new(table: &Arc<Table>, snapshot_date: NaiveDate, pulled_at: DateTime<Utc>) -> Self {
        let schema = Arc::new(arrow_schema(table));
        let (batches, loose) = (Vec::new(), Vec::new());
        Self { table: Arc::clone(table), schema, snapshot_date, pulled_at, batches, loose, rows: 0, held_bytes: 0 }
    }

    /// When they were read.
    pub fn pulled_at(&self) -> DateTime<Utc> {
        self.pulled_at
    }

    /// Adds resources.
    pub fn push(&mut self, resources: &[Resource<'_>]) -> Result<(), RowsError> {
        let batch = entity_batch(&self.table, resources, self.snapshot_date, self.pulled_at)?;
        self.push_batch(batch)
    }

    /// Adds what another list of the same table and snapshot brought.
    pub fn append(&mut self, other: Self) -> Result<(), RowsError> {
        other.batches.into_iter().chain(other.loose).try_for_each(|batch| self.push_batch(batch))
    }

    /// Adds those rows of an earlier file that are to stay; `None`, and nothing is added, if its columns are others.
    pub fn retain(
        &mut self,
        batches: impl IntoIterator<Item = Result<RecordBatch, ArrowError>>,
        stays: impl Fn(&str, Option<&str>) -> bool,
    ) -> Result<Option<BTreeSet<String>>, RowsError> {
        let mut kept = BTreeSet::new();
        let mut staying = Vec::new();
        for batch in batches {
            let batch = batch?;
            let Some(advertisers) = texts(&batch, ADVERTISER_ID) else { return Ok(None) };
            let ad_sets = texts(&batch, AD_SET_ID);
            let stays_at = |row: usize| {
                let ad_set = ad_sets.filter(|ids| ids.is_valid(row)).map(|ids| ids.value(row));
                advertisers.is_valid(row) && stays(advertisers.value(row), ad_set)
            };
            let mask: Vec<bool> = (0..batch.num_rows()).map(stays_at).collect();
            let stay = (0..batch.num_rows()).filter(|row| mask[*row]);
            kept.extend(stay.map(|row| advertisers.value(row).to_owned()));
            staying.push(filter_record_batch(&batch, &BooleanArray::from(mask))?);
        }
        for batch in staying.into_iter().filter(|batch| batch.num_rows() > 0) {
            let Ok(batch) = RecordBatch::try_new(Arc::clone(&self.schema), batch.columns().to_vec()) else {
                return Ok(None);
            };
            self.push_batch(batch)?;
        }
        Ok(Some(kept))
    }

    fn push_batch(&mut self, batch: RecordBatch) -> Result<(), RowsError> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        self.rows += batch.num_rows();
        self.loose.push(batch);
        if self.loose.iter().map(RecordBatch::num_rows).sum::<usize>() >= BATCH_ROWS {
            self.put_together()?;
        }
        Ok(())
    }

    fn put_together(&mut self) -> Result<(), RowsError> {
        let batch = concat_batches(&self.schema, &std::mem::take(&mut self.loose))?;
        self.held_bytes += batch.get_array_memory_size();
        self.batches.push(batch);
        let is_too_much = self.held_bytes > MAX_HELD_BYTES;
        if is_too_much { Err(RowsError::TooMuch { rows: self.rows }) } else { Ok(()) }
    }

    /// The advertisers that have rows.
    pub fn advertisers(&self) -> BTreeSet<String> {
        let batches = self.batches.iter().chain(&self.loose);
        let ids = batches.filter_map(|batch| texts(batch, ADVERTISER_ID)).flat_map(|ids| ids.iter().flatten());
        ids.map(str::to_owned).collect()
    }

    /// The rows in the order of their keys, each key once; batches of moderate size, made one after the other.
    pub fn sorted(mut self) -> Result<SortedRows, RowsError> {
        if !self.loose.is_empty() {
            self.put_together()?;
        }
        let keys = self
            .table
            .columns
            .iter()
            .filter(|column| self.table.primary_key.contains(&column.name) && !column.is_partition_date());
        let keys: Vec<&str> = keys.map(|column| column.name.as_str()).collect();
        let columns: Vec<Vec<&StringArray>> =
            self.batches.iter().map(|batch| keys.iter().filter_map(|name| texts(batch, name)).collect()).collect();
        let mut order: Vec<(usize, usize)> = self
            .batches
            .iter()
            .enumerate()
            .flat_map(|(at, batch)| (0..batch.num_rows()).map(move |row| (at, row)))
            .collect();
        let compare = |(batch, row): &(usize, usize), (other, other_row): &(usize, usize)| {
            let values = columns[*batch].iter().zip(&columns[*other]);
            let orders = values.map(|(one, two)| one.value(*row).cmp(two.value(*other_row)));
            orders.fold(Ordering::Equal, Ordering::then)
        };
        order.sort_by(compare);
        order.dedup_by(|one, two| compare(one, two) == Ordering::Equal);
        Ok(SortedRows { schema: self.schema, batches: self.batches, order })
    }
}

/// Rows ready to be written.
#[derive(Debug)]
pub struct SortedRows {
    schema: SchemaRef,
    batches: Vec<RecordBatch>,
    order: Vec<(usize, usize)>,
}

impl SortedRows {
    /// How many.
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// Their columns.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The rows, in batches.
    pub fn batches(&self) -> impl Iterator<Item = Result<RecordBatch, ArrowError>> {
        let all: Vec<&RecordBatch> = self.batches.iter().collect();
        self.order.chunks(BATCH_ROWS).map(move |rows| interleave_record_batch(&all, rows))
    }
}

fn texts<'b>(batch: &'b RecordBatch, name: &str) -> Option<&'b StringArray> {
    batch.column_by_name(name)?.as_string_opt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{Catalog, TableOverrides};
    use crate::json::Json;

    fn rows(ids: &[(u32, &str)]) -> EntityRows {
        let table = Arc::new(Catalog::get().resolve("campaigns", &TableOverrides::default()).unwrap().0);
        let mut rows = EntityRows::new(&table, "2026-11-22".parse().unwrap(), DateTime::UNIX_EPOCH);
        add(&mut rows, ids);
        rows
    }

    fn add(rows: &mut EntityRows, ids: &[(u32, &str)]) {
        for (id, advertiser) in ids {
            let text = format!(r#"{{"id":"{id}","attributes":{{"name":"n","advertiserId":"{advertiser}"}}}}"#);
            let json = Json::parse(text.as_bytes()).unwrap();
            rows.push(&[Resource { json, context: Vec::new() }]).unwrap();
        }
    }

    fn ids(rows: EntityRows) -> Vec<String> {
        let sorted = rows.sorted().unwrap();
        let batches: Vec<RecordBatch> = sorted.batches().map(Result::unwrap).collect();
        let ids = batches.iter().flat_map(|batch| texts(batch, "campaign_id").unwrap().iter().flatten());
        ids.map(str::to_owned).collect()
    }

    #[test]
    fn rows_are_sorted_by_key_and_each_key_is_kept_once() {
        let many: Vec<(u32, &str)> = (0..5000).map(|id| (9999 - id % 3000, "1")).collect();
        let found = ids(rows(&many));
        assert_eq!(found.len(), 3000);
        assert!(found.windows(2).all(|pair| pair[0] < pair[1]));
    }

    #[test]
    fn only_rows_that_stay_are_taken_over_and_new_ones_win() {
        let old = rows(&[(1, "a"), (2, "b"), (3, "c")]).sorted().unwrap();
        let mut new = rows(&[(3, "a")]);
        let kept = new.retain(old.batches(), |advertiser, _| advertiser != "a").unwrap().unwrap();
        assert_eq!(kept, ["b".to_owned(), "c".to_owned()].into());
        assert_eq!(new.advertisers(), ["a".to_owned(), "b".to_owned(), "c".to_owned()].into());
        assert_eq!(ids(new), ["2", "3"]);
    }

    #[test]
    fn rows_with_other_columns_are_not_taken_over() {
        let old = rows(&[(1, "a")]).sorted().unwrap();
        let narrow = old.batches().map(|batch| batch.and_then(|batch| batch.project(&[0, 1, 2, 3])));
        let kept = rows(&[]).retain(narrow, |_, _| true).unwrap();
        assert_eq!(kept, None);
    }
}

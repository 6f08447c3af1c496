//! Texts of a column as numbers of its distinct texts.

use std::hash::BuildHasher;
use std::sync::Arc;

use arrow::array::{ArrayRef, StringArray, StringBuilder};
use arrow::buffer::NullBuffer;
use hashbrown::{DefaultHashBuilder, HashTable};

use super::integers::Integers;

/// Distinct texts that are handed over whole, at most: an Arrow array of text ends at 2 GiB.
const MAX_DICTIONARY_BYTES: usize = 1 << 28;

/// A growing list of texts.
#[derive(Debug, Default)]
pub(super) struct Texts {
    /// The number of each row's text.
    rows: Integers,
    last: Option<u32>,
    distinct: Dictionary,
}

impl Texts {
    /// Adds a text; `false`, and nothing is added, when there are more distinct ones than can be numbered.
    #[must_use]
    pub fn push(&mut self, text: &str) -> bool {
        let index = match self.last {
            Some(last) if self.distinct.value(last) == Some(text) => last,
            _ => {
                let Some(index) = self.distinct.index(text) else { return false };
                index
            }
        };
        self.last = Some(index);
        self.rows.push(index.into());
        true
    }

    /// Keeps the row count in step where a null stands; the number means nothing.
    pub fn push_filler(&mut self) {
        self.rows.push(0);
    }

    /// The text at `row`.
    pub fn get(&self, row: usize) -> &str {
        self.distinct(self.index(row))
    }

    /// The number of the text at `row`.
    pub fn index(&self, row: usize) -> u32 {
        u32::try_from(self.rows.get(row)).unwrap_or_default()
    }

    /// The text of a number.
    pub fn distinct(&self, index: u32) -> &str {
        self.distinct.value(index).unwrap_or_default()
    }

    /// How many distinct texts there are.
    pub fn distinct_count(&self) -> usize {
        self.distinct.ends.len()
    }

    /// The place of each distinct text in their sorted order.
    pub fn ranks(&self) -> Vec<u32> {
        let count = u32::try_from(self.distinct_count()).unwrap_or(u32::MAX);
        let mut sorted: Vec<u32> = (0..count).collect();
        sorted.sort_unstable_by_key(|&index| self.distinct.value(index));
        let mut ranks = vec![0; self.distinct_count()];
        for (rank, &index) in (0..count).zip(&sorted) {
            ranks[index as usize] = rank;
        }
        ranks
    }

    /// Memory that the texts take, within a small factor.
    pub fn held_bytes(&self) -> usize {
        self.rows.held_bytes() + self.distinct.texts.len() + 16 * self.distinct.ends.len()
    }

    /// The texts of these rows as an Arrow array.
    pub fn gather(&self, rows: &[u32], nulls: Option<&NullBuffer>) -> ArrayRef {
        let mut builder = StringBuilder::with_capacity(rows.len(), rows.len() * 16);
        for (position, &row) in rows.iter().enumerate() {
            if nulls.is_some_and(|nulls| nulls.is_null(position)) {
                builder.append_null();
            } else {
                builder.append_value(self.get(row as usize));
            }
        }
        Arc::new(builder.finish())
    }

    /// The numbers of these rows' texts.
    pub fn gather_indices(&self, rows: &[u32]) -> Vec<u32> {
        self.rows.gather(rows, |index| u32::try_from(index).unwrap_or_default())
    }

    /// The distinct texts as an Arrow array; `None` where they are too many for so few rows, so that copying each row's text
    /// is less work.
    pub fn distinct_array(&self, rows: usize) -> Option<ArrayRef> {
        let is_worth_it = self.distinct_count() < rows / 4 && self.distinct.texts.len() < MAX_DICTIONARY_BYTES;
        is_worth_it.then(|| {
            Arc::new(StringArray::from_iter_values((0_u32..).map_while(|index| self.distinct.value(index)))) as ArrayRef
        })
    }
}

/// Texts, each once, numbered as they came.
#[derive(Debug, Default)]
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
}

fn value_at<'a>(texts: &'a str, ends: &[usize], index: u32) -> Option<&'a str> {
    let index = index as usize;
    let end = *ends.get(index)?;
    let start = if index == 0 { 0 } else { ends[index - 1] };
    texts.get(start..end)
}

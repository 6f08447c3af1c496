//! Whole numbers, in as few bytes each as the largest of them needs.
//!
//! Most measures of most rows are small: counts of a few thousand, or zeros. A column begins with one byte a number and
//! becomes wider when one does not fit, four times at most. Its numbers are kept in chunks that are never moved, so that a
//! long column neither copies itself while it grows nor leaves holes behind.

/// Numbers in a chunk.
const CHUNK: usize = 4096;

/// A growing list of numbers.
#[derive(Debug)]
pub(super) enum Integers {
    Bits8(Chunks<i8>),
    Bits16(Chunks<i16>),
    Bits32(Chunks<i32>),
    Bits64(Chunks<i64>),
    Bits128(Chunks<i128>),
}

/// Evaluates one expression for whichever width there is.
macro_rules! at_any_width {
    ($integers:expr, $chunks:ident => $result:expr) => {
        match $integers {
            Self::Bits8($chunks) => $result,
            Self::Bits16($chunks) => $result,
            Self::Bits32($chunks) => $result,
            Self::Bits64($chunks) => $result,
            Self::Bits128($chunks) => $result,
        }
    };
}

impl Default for Integers {
    fn default() -> Self {
        Self::Bits8(Chunks::default())
    }
}

impl Integers {
    /// Adds a number.
    #[inline]
    pub fn push(&mut self, value: i128) {
        if !at_any_width!(self, chunks => chunks.push_if_it_fits(value)) {
            self.widen_for(value);
            self.push(value);
        }
    }

    #[cold]
    fn widen_for(&mut self, value: i128) {
        *self = if i16::try_from(value).is_ok() {
            Self::Bits16(self.widened())
        } else if i32::try_from(value).is_ok() {
            Self::Bits32(self.widened())
        } else if i64::try_from(value).is_ok() {
            Self::Bits64(self.widened())
        } else {
            Self::Bits128(self.widened())
        };
    }

    /// The same numbers in a wider type.
    fn widened<V: Number>(&mut self) -> Chunks<V> {
        let mut wide = Chunks::default();
        let narrow = std::mem::take(self);
        for row in 0..at_any_width!(&narrow, chunks => chunks.len()) {
            wide.push_if_it_fits(narrow.get(row));
        }
        wide
    }

    /// The number at `row`.
    #[inline]
    pub fn get(&self, row: usize) -> i128 {
        at_any_width!(self, chunks => chunks.get(row))
    }

    /// The numbers of these rows, in their order, each converted.
    pub fn gather<T>(&self, rows: &[u32], convert: impl Fn(i128) -> T) -> Vec<T> {
        at_any_width!(self, chunks => rows.iter().map(|&row| convert(chunks.get(row as usize))).collect())
    }

    /// Calls `each` with the numbers of these rows, in their order.
    pub fn for_each(&self, rows: &[u32], mut each: impl FnMut(i128)) {
        at_any_width!(self, chunks => rows.iter().for_each(|&row| each(chunks.get(row as usize))));
    }

    /// Memory that the numbers take.
    pub fn held_bytes(&self) -> usize {
        at_any_width!(self, chunks => chunks.held_bytes())
    }
}

pub(super) trait Number: Copy + TryFrom<i128> + Into<i128> {}

impl<V: Copy + TryFrom<i128> + Into<i128>> Number for V {}

#[derive(Debug)]
pub(super) struct Chunks<V> {
    full: Vec<Vec<V>>,
    last: Vec<V>,
}

impl<V> Default for Chunks<V> {
    fn default() -> Self {
        Self { full: Vec::new(), last: Vec::new() }
    }
}

impl<V: Number> Chunks<V> {
    #[inline]
    fn push_if_it_fits(&mut self, value: i128) -> bool {
        let Ok(value) = V::try_from(value) else { return false };
        if self.last.len() == CHUNK {
            self.full.push(std::mem::replace(&mut self.last, Vec::with_capacity(CHUNK)));
        }
        self.last.push(value);
        true
    }

    #[inline]
    fn get(&self, row: usize) -> i128 {
        self.full.get(row / CHUNK).unwrap_or(&self.last)[row % CHUNK].into()
    }

    fn len(&self) -> usize {
        self.full.len() * CHUNK + self.last.len()
    }

    fn held_bytes(&self) -> usize {
        self.len() * size_of::<V>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn numbers_of_any_width_come_back_as_they_went_in(
            values in prop::collection::vec((any::<i128>(), 0_u32..128).prop_map(|(value, bits)| value >> bits), 0..60),
            before in prop::sample::select(vec![0, CHUNK - 3, CHUNK, 2 * CHUNK - 1]),
        ) {
            let mut integers = Integers::default();
            let values: Vec<i128> = std::iter::repeat_n(7, before).chain(values).collect();
            for &value in &values {
                integers.push(value);
            }
            let back: Vec<i128> = (0..values.len()).map(|row| integers.get(row)).collect();
            prop_assert_eq!(&back, &values);
        }
    }

    #[test]
    fn small_numbers_take_a_byte_and_a_large_one_widens_all() {
        let mut integers = Integers::default();
        for _ in 0..CHUNK + 100 {
            integers.push(100);
        }
        assert_eq!(integers.held_bytes(), CHUNK + 100);
        integers.push(100_000);
        assert_eq!(integers.held_bytes(), 4 * (CHUNK + 101));
    }
}

//! Finding rows of a table by the values of one column, again and again, without hashing the table each time.

use std::mem;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, ArrayRef, Int64Array, LargeStringArray};
use arrow_schema::DataType;
use hashbrown::HashTable;
use xxhash_rust::xxh3::xxh3_64;

use crate::error::{Error, Result};

/// What `find` gives for a value that no row has.
pub const NOT_FOUND: i64 = -1;

/// How many values are hashed before the first of them is looked up.
///
/// The entries that they land on are then fetched from memory side by side instead of one after the other.
const AHEAD: usize = 16;

enum Keys {
    Whole(Int64Array),
    Text(LargeStringArray),
}

/// The rows of a column by their values; null is no value.
pub struct KeyIndex {
    keys: Keys,
    rows: HashTable<(u32, u32)>,
    is_unique: bool,
}

impl KeyIndex {
    /// Index a column of `Int64` or `LargeUtf8`.
    ///
    /// # Errors
    ///
    /// `Error::Invalid` for a column of another type, or of more than `u32::MAX` rows.
    pub fn new(column: &ArrayRef) -> Result<Self> {
        if u32::try_from(column.len()).is_err() {
            let message = format!("{} rows are more than an index holds", column.len());
            return Err(Error::Invalid(message));
        }
        let keys = keys_of(column)?;
        let mut index = Self {
            rows: HashTable::with_capacity(column.len() - column.null_count()),
            keys,
            is_unique: true,
        };
        match mem::replace(&mut index.keys, Keys::Whole(Int64Array::new_null(0))) {
            Keys::Whole(values) => {
                index.fill(
                    values.len(),
                    |row| values.is_valid(row).then(|| whole_hash(values.value(row))),
                    |a, b| values.value(a) == values.value(b),
                );
                index.keys = Keys::Whole(values);
            }
            Keys::Text(values) => {
                index.fill(
                    values.len(),
                    |row| values.is_valid(row).then(|| text_hash(values.value(row))),
                    |a, b| values.value(a) == values.value(b),
                );
                index.keys = Keys::Text(values);
            }
        }
        Ok(index)
    }

    fn fill(
        &mut self,
        count: usize,
        hash: impl Fn(usize) -> Option<u64>,
        is_equal: impl Fn(usize, usize) -> bool,
    ) {
        for row in 0..count {
            let Some(hash) = hash(row) else { continue };
            let tag = hash as u32;
            let known = self.rows.find(hash, |&(other, other_tag)| {
                other_tag == tag && is_equal(other as usize, row)
            });
            if known.is_some() {
                self.is_unique = false;
                continue;
            }
            // Never called: the table has room for all rows.
            self.rows
                .insert_unique(hash, (row as u32, tag), |&(_, tag)| u64::from(tag));
        }
    }

    /// Say whether no two rows have the same value.
    pub fn is_unique(&self) -> bool {
        self.is_unique
    }

    /// Give for each value of a column the first row that has it, or `NOT_FOUND`.
    ///
    /// # Errors
    ///
    /// `Error::Invalid` where the column is not of the type of the index.
    pub fn find(&self, column: &ArrayRef, found: &mut Vec<i64>) -> Result<()> {
        found.reserve(column.len());
        match (&self.keys, keys_of(column)?) {
            (Keys::Whole(own), Keys::Whole(values)) => self.look_up(
                values.len(),
                |at| values.is_valid(at).then(|| whole_hash(values.value(at))),
                |row, at| own.value(row) == values.value(at),
                found,
            ),
            (Keys::Text(own), Keys::Text(values)) => self.look_up(
                values.len(),
                |at| values.is_valid(at).then(|| text_hash(values.value(at))),
                |row, at| own.value(row) == values.value(at),
                found,
            ),
            _ => {
                return Err(Error::Invalid(
                    "the column is not of the type of the index".into(),
                ));
            }
        }
        Ok(())
    }

    fn look_up(
        &self,
        count: usize,
        hash: impl Fn(usize) -> Option<u64>,
        is_equal: impl Fn(usize, usize) -> bool,
        found: &mut Vec<i64>,
    ) {
        let mut hashes = [None; AHEAD];
        let mut at = 0;
        while at < count {
            let some = AHEAD.min(count - at);
            for (offset, slot) in hashes[..some].iter_mut().enumerate() {
                *slot = hash(at + offset);
            }
            for (offset, hash) in hashes[..some].iter().enumerate() {
                let row = hash.and_then(|hash| {
                    let tag = hash as u32;
                    self.rows.find(hash, |&(row, other_tag)| {
                        other_tag == tag && is_equal(row as usize, at + offset)
                    })
                });
                found.push(row.map_or(NOT_FOUND, |&(row, _)| i64::from(row)));
            }
            at += some;
        }
    }
}

fn keys_of(column: &ArrayRef) -> Result<Keys> {
    match column.data_type() {
        DataType::Int64 => Ok(Keys::Whole(column.as_primitive::<Int64Type>().clone())),
        DataType::LargeUtf8 => Ok(Keys::Text(column.as_string::<i64>().clone())),
        other => Err(Error::Invalid(format!("{other} is not indexed"))),
    }
}

fn whole_hash(value: i64) -> u64 {
    // The finaliser of SplitMix64: neighbours land far apart.
    let mut bits = value as u64;
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

fn text_hash(value: &str) -> u64 {
    xxh3_64(value.as_bytes())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn found(index: &KeyIndex, column: ArrayRef) -> Vec<i64> {
        let mut rows = Vec::new();
        index.find(&column, &mut rows).unwrap();
        rows
    }

    #[test]
    fn rows_are_found_by_whole_numbers_and_by_text() {
        let whole: ArrayRef = Arc::new(Int64Array::from(vec![Some(7), None, Some(-1)]));
        let index = KeyIndex::new(&whole).unwrap();
        let asked = Int64Array::from(vec![Some(-1), Some(8), None, Some(7)]);
        assert_eq!(found(&index, Arc::new(asked)), [2, -1, -1, 0]);
        let text: ArrayRef = Arc::new(LargeStringArray::from(vec!["a", "", "ß"]));
        let index = KeyIndex::new(&text).unwrap();
        let asked = LargeStringArray::from(vec!["ß", "b", ""]);
        assert_eq!(found(&index, Arc::new(asked)), [2, -1, 1]);
        assert!(index.is_unique());
    }

    #[test]
    fn the_first_of_equal_rows_is_found() {
        let text: ArrayRef = Arc::new(LargeStringArray::from(vec!["a", "b", "a"]));
        let index = KeyIndex::new(&text).unwrap();
        assert!(!index.is_unique());
        assert_eq!(found(&index, text), [0, 1, 0]);
    }

    #[test]
    fn many_rows_are_all_found() {
        let values: Vec<i64> = (0..100_000).map(|n| n * 1_000_003).collect();
        let column: ArrayRef = Arc::new(Int64Array::from(values));
        let index = KeyIndex::new(&column).unwrap();
        assert!(found(&index, column).into_iter().eq(0..100_000));
    }

    #[test]
    fn other_types_are_refused() {
        let whole: ArrayRef = Arc::new(Int64Array::from(vec![1]));
        let text: ArrayRef = Arc::new(LargeStringArray::from(vec!["1"]));
        assert!(
            KeyIndex::new(&whole)
                .unwrap()
                .find(&text, &mut Vec::new())
                .is_err()
        );
        let flags: ArrayRef = Arc::new(arrow_array::BooleanArray::from(vec![true]));
        assert!(KeyIndex::new(&flags).is_err());
    }
}

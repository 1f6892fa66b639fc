//! Lines of text as they are collected: the way Arrow keeps strings.

use arrow_array::StringArray;
use arrow_buffer::{Buffer, OffsetBuffer, ScalarBuffer};

/// Lines that are being collected: their bytes in one run, and where each one ends.
#[derive(Clone, Debug)]
pub struct Lines {
    /// Invariant: valid UTF-8, and each offset is on the boundary of a character.
    values: Vec<u8>,
    /// Invariant: begins with 0, ascends, and ends with the length of `values`.
    offsets: Vec<i32>,
    invalid: u64,
}

impl Default for Lines {
    fn default() -> Self {
        Self::new()
    }
}

impl Lines {
    /// Begin without any line.
    pub fn new() -> Self {
        Self {
            values: Vec::new(),
            offsets: vec![0],
            invalid: 0,
        }
    }

    /// Give the number of lines.
    pub fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Say whether there is no line.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Give the size as an Arrow column: text and offsets.
    pub fn bytes(&self) -> usize {
        self.values.len() + 4 * self.len()
    }

    /// Give the number of lines that were invalid, kept or not.
    pub fn invalid(&self) -> u64 {
        self.invalid
    }

    /// Iterate over the lines.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.offsets.windows(2).map(|ends| {
            let line = &self.values[ends[0] as usize..ends[1] as usize];
            std::str::from_utf8(line).expect("only valid UTF-8 is pushed")
        })
    }

    /// Add all lines of `other`, which is emptied and keeps its memory.
    pub fn append(&mut self, other: &mut Self) {
        if self.is_empty() && self.values.capacity() < other.values.len() {
            let invalid = self.invalid;
            std::mem::swap(self, other);
            self.invalid += invalid;
        } else {
            let base = self.values.len() as i32;
            self.values.extend_from_slice(&other.values);
            self.offsets
                .extend(other.offsets[1..].iter().map(|offset| base + offset));
            self.invalid += other.invalid;
        }
        other.clear();
    }

    /// Forget all lines and the count of invalid ones; the memory stays.
    pub fn clear(&mut self) {
        self.truncate(0);
        self.invalid = 0;
    }

    /// Give the lines as an Arrow column.
    pub fn into_array(mut self) -> StringArray {
        self.values.shrink_to_fit();
        self.offsets.shrink_to_fit();
        let offsets = ScalarBuffer::from(self.offsets);
        // SAFETY: the invariants of the fields.
        unsafe {
            let offsets = OffsetBuffer::new_unchecked(offsets);
            StringArray::new_unchecked(offsets, Buffer::from_vec(self.values), None)
        }
    }

    /// Count a line that was invalid, kept or not.
    pub(crate) fn count_invalid(&mut self) {
        self.invalid += 1;
    }

    /// Add a line whose bytes are, or are about to be, checked as UTF-8.
    #[inline]
    pub(crate) fn push_unchecked(&mut self, line: &[u8]) {
        self.values.extend_from_slice(line);
        self.offsets.push(self.values.len() as i32);
    }

    /// Keep the first `len` lines.
    pub(crate) fn truncate(&mut self, len: usize) {
        self.offsets.truncate(len + 1);
        self.values.truncate(self.offsets[len] as usize);
    }
}

//! Ranges that were read, kept for those who read them again.

use std::collections::VecDeque;

use arrow_array::RecordBatch;

/// Bytes of ranges that are kept for a second reading, besides the range that was read last.
const KEPT_BYTES: usize = 32 << 20;

/// The newest ranges of a Kafka partition, up to a number of bytes.
#[derive(Default)]
pub(super) struct KeptRanges(VecDeque<Kept>);

struct Kept {
    from: i64,
    until: i64,
    bytes: usize,
    batches: Vec<RecordBatch>,
}

impl KeptRanges {
    /// Give the columns of a range that is kept.
    pub(super) fn get(&self, from: i64, until: i64) -> Option<Vec<RecordBatch>> {
        let is_it = |kept: &&Kept| (kept.from, kept.until) == (from, until);
        Some(self.0.iter().find(is_it)?.batches.clone())
    }

    /// Keep a range, and let the oldest go that there is no room for.
    pub(super) fn keep(&mut self, from: i64, until: i64, bytes: usize, batches: &[RecordBatch]) {
        let mut held = bytes;
        let fits = self.0.iter().rev().take_while(|kept| {
            held += kept.bytes;
            held <= KEPT_BYTES
        });
        let fitting = fits.count();
        self.0.drain(..self.0.len() - fitting);
        self.0.push_back(Kept {
            from,
            until,
            bytes,
            batches: batches.to_vec(),
        });
    }

    /// Keep none any more.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

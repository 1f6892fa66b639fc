//! Blocks of received lines, cut on the grid of batch times and by size, and the bounded queue that holds them.

use std::collections::VecDeque;

use arrow_array::StringArray;

use crate::error::{Error, Result};
use crate::lines::Lines;

/// Records that arrived in one slot of the grid; never changes.
#[derive(Clone, Debug)]
pub struct Block {
    /// The batch time that the block belongs to: the first on the grid at or after its arrival, milliseconds.
    pub batch_ms: i64,
    /// The records.
    pub lines: StringArray,
    /// Size of the records as an Arrow column.
    pub bytes: usize,
    /// Lines that were invalid and are in the block as replaced, or left out of it.
    pub invalid: u64,
}

/// Where blocks are cut, and how much of them may wait.
#[derive(Clone, Copy, Debug)]
pub struct BlockLimits {
    /// Distance between batch times, milliseconds, > 0.
    pub grid_ms: i64,
    /// Any one batch time, milliseconds since the epoch.
    pub origin_ms: i64,
    /// Most records of a block, > 0.
    pub block_max_records: usize,
    /// Size from which a block is closed, bytes, > 0.
    pub block_max_bytes: usize,
    /// Size from which the queue is full, bytes, > 0.
    pub queue_max_bytes: usize,
}

impl BlockLimits {
    /// Check the ranges.
    pub fn check(&self) -> Result<()> {
        let limits = [
            ("grid_ms", self.grid_ms),
            ("block_max_records", self.block_max_records as i64),
            ("block_max_bytes", self.block_max_bytes as i64),
            ("queue_max_bytes", self.queue_max_bytes as i64),
        ];
        for (name, limit) in limits {
            if limit <= 0 {
                return Err(Error::Invalid(format!(
                    "{name} must be positive, not {limit}"
                )));
            }
        }
        if self.block_max_bytes > i32::MAX as usize / 8 {
            return Err(Error::Invalid(format!(
                "block_max_bytes must be at most {}, not {}",
                i32::MAX / 8,
                self.block_max_bytes
            )));
        }
        Ok(())
    }

    /// Give the first batch time at or after a moment, which is in nanoseconds.
    pub fn batch_ms_at(&self, now_ns: i64) -> i64 {
        // A moment between two milliseconds belongs to the batch time at or after the later one.
        let now_ms = now_ns.div_euclid(1_000_000) + i64::from(now_ns.rem_euclid(1_000_000) > 0);
        self.batch_ms_from(now_ms)
    }

    /// Give the first batch time at or after a millisecond.
    fn batch_ms_from(&self, now_ms: i64) -> i64 {
        let since = now_ms.saturating_sub(self.origin_ms);
        let slots = since.div_euclid(self.grid_ms) + i64::from(since.rem_euclid(self.grid_ms) > 0);
        slots
            .saturating_mul(self.grid_ms)
            .saturating_add(self.origin_ms)
    }
}

/// Closed blocks in order, and the open one.
///
/// Invariant: batch times ascend, and nothing enters at or before a batch time that was taken. So each record is in
/// exactly one batch, also when the wall clock goes back or a record arrives while its batch is being taken.
#[derive(Debug)]
pub struct BlockQueue {
    limits: BlockLimits,
    closed: VecDeque<(i64, Lines)>,
    open: Lines,
    open_batch_ms: i64,
    /// The first batch time that a record may still enter.
    entry_ms: i64,
    closed_records: usize,
    closed_bytes: usize,
    /// The number of records with which the queue is full.
    records_max: usize,
}

impl BlockQueue {
    /// Begin empty.
    pub fn new(limits: BlockLimits) -> Self {
        Self {
            limits,
            closed: VecDeque::new(),
            open: Lines::new(),
            open_batch_ms: i64::MIN,
            entry_ms: i64::MIN,
            closed_records: 0,
            closed_bytes: 0,
            records_max: usize::MAX,
        }
    }

    /// Change the number of records that may wait, > 0.
    pub fn set_records_max(&mut self, records_max: usize) {
        self.records_max = records_max.max(1);
    }

    /// Give how many more records may come in for now, by their number.
    pub fn records_left(&self) -> usize {
        self.records_max.saturating_sub(self.records())
    }

    /// Give the number of records that wait.
    pub fn records(&self) -> usize {
        self.closed_records + self.open.len()
    }

    /// Give the size of what waits, bytes.
    pub fn bytes(&self) -> usize {
        self.closed_bytes + self.open.bytes()
    }

    /// Say whether nothing more should come in for now.
    pub fn is_full(&self) -> bool {
        self.records_left() == 0 || self.has_all_bytes()
    }

    /// Say whether what waits is as large as it may be, however many records it is.
    pub fn has_all_bytes(&self) -> bool {
        self.bytes() >= self.limits.queue_max_bytes
    }

    /// Put lines that arrived now into the block of their slot; `lines` is emptied.
    pub fn push(&mut self, lines: &mut Lines, now_ns: i64) {
        if lines.is_empty() && lines.invalid() == 0 {
            return;
        }
        let batch_ms = self.limits.batch_ms_at(now_ns).max(self.entry_ms);
        self.entry_ms = batch_ms;
        let full = self.open.len() + lines.len() > self.limits.block_max_records
            || self.open.bytes() + lines.bytes() > self.limits.block_max_bytes;
        if batch_ms != self.open_batch_ms || full {
            self.close();
        }
        self.open_batch_ms = batch_ms;
        self.open.append(lines);
    }

    /// Take all blocks of batch times up to `until_ms`, the open one too.
    pub fn take(&mut self, until_ms: i64) -> Vec<Block> {
        if self.open_batch_ms <= until_ms {
            self.close();
        }
        let after = self.limits.batch_ms_from(until_ms.saturating_add(1));
        self.entry_ms = self.entry_ms.max(after);
        let count = self
            .closed
            .partition_point(|(batch_ms, _)| *batch_ms <= until_ms);
        let mut taken = Vec::with_capacity(count);
        for (batch_ms, lines) in self.closed.drain(..count) {
            self.closed_records -= lines.len();
            self.closed_bytes -= lines.bytes();
            taken.push(Block {
                batch_ms,
                bytes: lines.bytes(),
                invalid: lines.invalid(),
                lines: lines.into_array(),
            });
        }
        taken
    }

    fn close(&mut self) {
        if self.open.is_empty() && self.open.invalid() == 0 {
            return;
        }
        let lines = std::mem::take(&mut self.open);
        self.closed_records += lines.len();
        self.closed_bytes += lines.bytes();
        self.closed.push_back((self.open_batch_ms, lines));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cutter::OnInvalid;
    use crate::read::cut_lines;

    const MS: i64 = 1_000_000;

    fn limits() -> BlockLimits {
        BlockLimits {
            grid_ms: 100,
            origin_ms: 30,
            block_max_records: 4,
            block_max_bytes: 1 << 20,
            queue_max_bytes: 100,
        }
    }

    fn lines(text: &str) -> Lines {
        cut_lines(text.as_bytes(), OnInvalid::Skip)
            .unwrap()
            .remove(0)
    }

    fn shape(blocks: &[Block]) -> Vec<(i64, Vec<&str>)> {
        blocks
            .iter()
            .map(|block| (block.batch_ms, block.lines.iter().flatten().collect()))
            .collect()
    }

    #[test]
    fn the_grid_is_at_or_after() {
        let at = |now_ns| limits().batch_ms_at(now_ns);
        assert_eq!(at(30 * MS), 30);
        assert_eq!(at(30 * MS + 1), 130);
        assert_eq!(at(130 * MS), 130);
        assert_eq!(at(29 * MS + 999_999), 30);
        assert_eq!(at(-70 * MS), -70);
        assert_eq!(at(-70 * MS + 1), 30);
        assert_eq!(at(1_795_000_000_001 * MS), 1_795_000_000_030);
        let far = BlockLimits {
            grid_ms: 1,
            origin_ms: -1,
            ..limits()
        };
        assert_eq!(far.batch_ms_from(i64::MAX), i64::MAX - 1);
    }

    #[test]
    fn blocks_never_mix_slots_and_are_bounded() {
        let mut queue = BlockQueue::new(limits());
        queue.push(&mut lines("a\nb\n"), 120 * MS);
        queue.push(&mut lines("c\n"), 130 * MS);
        queue.push(&mut lines("d\n"), 131 * MS);
        queue.push(&mut lines("e\nf\n"), 140 * MS);
        queue.push(&mut lines("g\nh\n"), 140 * MS);
        queue.push(&mut lines("i\n"), 240 * MS);
        assert_eq!(queue.records(), 9);
        assert_eq!(
            shape(&queue.take(230)),
            [
                (130, vec!["a", "b", "c"]),
                (230, vec!["d", "e", "f"]),
                (230, vec!["g", "h"])
            ]
        );
        assert_eq!(queue.records(), 1);
        assert_eq!(shape(&queue.take(329)), []);
        assert_eq!(shape(&queue.take(330)), [(330, vec!["i"])]);
        assert_eq!((queue.records(), queue.bytes()), (0, 0));
    }

    #[test]
    fn what_comes_late_or_with_a_clock_that_went_back_enters_the_next_batch() {
        let mut queue = BlockQueue::new(limits());
        queue.push(&mut lines("a\n"), 100 * MS);
        assert_eq!(shape(&queue.take(130)), [(130, vec!["a"])]);
        queue.push(&mut lines("b\n"), 129 * MS);
        queue.push(&mut lines("c\n"), 250 * MS);
        queue.push(&mut lines("d\n"), 10 * MS);
        assert_eq!(
            shape(&queue.take(330)),
            [(230, vec!["b"]), (330, vec!["c", "d"])]
        );
        assert_eq!(shape(&queue.take(0)), []);
        queue.push(&mut lines("e\n"), 10 * MS);
        assert_eq!(shape(&queue.take(430)), [(430, vec!["e"])]);
    }

    #[test]
    fn full_counts_bytes() {
        let mut queue = BlockQueue::new(limits());
        queue.push(&mut lines(&"x".repeat(95)), 0);
        assert!(!queue.is_full());
        queue.push(&mut lines("y"), 0);
        assert!(queue.is_full());
        queue.take(30);
        assert!(!queue.is_full());
    }

    #[test]
    fn full_counts_records() {
        let mut queue = BlockQueue::new(limits());
        queue.set_records_max(3);
        queue.push(&mut lines("a\nb\n"), 0);
        assert_eq!((queue.records_left(), queue.is_full()), (1, false));
        queue.push(&mut lines("c\nd\n"), 0);
        assert_eq!((queue.records_left(), queue.is_full()), (0, true));
        assert!(!queue.has_all_bytes());
        queue.set_records_max(usize::MAX);
        assert!(!queue.is_full());
        queue.set_records_max(2);
        queue.take(30);
        assert_eq!((queue.records_left(), queue.is_full()), (2, false));
    }

    #[test]
    fn skipped_lines_are_counted_without_records() {
        let mut queue = BlockQueue::new(limits());
        queue.push(&mut cut_lines(b"\xff\n", OnInvalid::Skip).unwrap()[0], 0);
        let blocks = queue.take(30);
        assert_eq!((blocks[0].lines.iter().count(), blocks[0].invalid), (0, 1));
    }

    #[test]
    fn impossible_limits_are_refused() {
        for change in [
            |limits: &mut BlockLimits| limits.grid_ms = 0,
            |limits: &mut BlockLimits| limits.block_max_records = 0,
            |limits: &mut BlockLimits| limits.block_max_bytes = 1 << 40,
            |limits: &mut BlockLimits| limits.queue_max_bytes = 0,
        ] {
            let mut limits = limits();
            change(&mut limits);
            assert!(limits.check().is_err());
        }
        assert!(limits().check().is_ok());
    }
}

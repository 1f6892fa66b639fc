//! Chunks of one table merged into one, without a look into keys and values.
//!
//! The result is what a table would hold that was loaded with the first chunk and took in the others one after
//! another: a key that stays keeps its place and its first bytes, one that was removed and came again is the last.

use hashbrown::HashTable;

use crate::chunk::{Counts, Header, Key, Kind};
use crate::chunk_reader::{Block, BlockKeys, ChunkReader, for_each_entry, for_each_key};
use crate::chunk_writer::{Entries, KeyBlock};
use crate::error::{Error, Result};
use crate::hash::hash_text;
use crate::message::Reader;
use crate::pace::let_others_go_first;

/// Merge chunks, oldest first.
///
/// The result is a snapshot when the first chunk is one, or when it is to be final; what was removed is then left out.
/// Otherwise it is an increment, which can be merged with others, and with a snapshot before it, later on; that gives
/// the same bytes whatever was merged with what before.
pub fn merge(chunks: &[&[u8]], is_final: bool) -> Result<Vec<u8>> {
    let readers = chunks
        .iter()
        .map(|data| ChunkReader::new(data))
        .collect::<Result<Vec<_>>>()?;
    check_order(&readers)?;
    let (base, rest) = match readers.split_first() {
        Some((first, rest)) if first.header.kind == Kind::Snapshot => (Some(*first), rest),
        _ => (None, &readers[..]),
    };
    let mut changes = Changes::default();
    for reader in rest {
        changes.take_in(*reader)?;
    }
    let mut out = Vec::with_capacity(chunks.iter().map(|data| data.len()).sum());
    let newest = readers.last().map(|reader| reader.header);
    let header = Header {
        kind: if base.is_some() || is_final {
            Kind::Snapshot
        } else {
            Kind::Increment
        },
        batch_ms: newest.and_then(|header| header.batch_ms),
        hidden_count: newest.map_or(0, |header| header.hidden_count),
        expired_before_ms: if base.is_some() || is_final {
            None
        } else {
            changes.expired_before_ms
        },
        pickled: readers.iter().any(|reader| reader.header.pickled),
    };
    header.put(&mut out);
    if header.kind == Kind::Snapshot {
        changes.put_over(base, &mut out)?;
    } else {
        changes.put(&mut out);
    }
    Ok(out)
}

fn check_order(readers: &[ChunkReader<'_>]) -> Result<()> {
    for (place, pair) in readers.windows(2).enumerate() {
        let (one, other) = (pair[0].header, pair[1].header);
        if other.kind == Kind::Snapshot {
            return Err(Error::Invalid(format!(
                "only the first chunk can be a snapshot, not chunk {}",
                place + 1
            )));
        }
        if one.batch_ms >= other.batch_ms {
            return Err(Error::Invalid(format!(
                "chunks come in order of batch time, not {:?} after {:?}",
                other.batch_ms, one.batch_ms
            )));
        }
    }
    Ok(())
}

/// A touch of a key: when, and whether it counts only if the key is held below.
#[derive(Clone, Copy)]
struct Touch<'a> {
    touched_ms: i64,
    bytes: &'a [u8],
    conditional: bool,
}

/// What became of one key.
struct Change<'a> {
    identity: &'a [u8],
    /// The key's bytes and its value, where it has one.
    value: Option<(&'a [u8], &'a [u8])>,
    /// Which entry of the order of values is the key's.
    value_number: usize,
    /// The bytes it had when it was removed first, where it was.
    removed: Option<&'a [u8]>,
    touch: Option<Touch<'a>>,
    /// Which entry of the order of touches is the key's.
    touch_number: usize,
    /// Whether the snapshot below holds the key.
    below: bool,
}

impl Change<'_> {
    /// Say whether the key is held after the batches so far; none where it depends on what is below.
    const fn is_held(&self) -> Option<bool> {
        match (self.value.is_some(), self.removed.is_some()) {
            (true, _) => Some(true),
            (false, true) => Some(false),
            (false, false) => None,
        }
    }
}

/// What a run of batches changed.
#[derive(Default)]
struct Changes<'a> {
    keys: Vec<Change<'a>>,
    by_identity: HashTable<u32>,
    /// Keys in the order in which they got their places; outdated where the key has a later number.
    value_order: Vec<u32>,
    removed_order: Vec<u32>,
    /// Keys in the order of their touches; outdated where the key has a later number.
    touch_order: Vec<u32>,
    expired_before_ms: Option<i64>,
    /// How often a key was looked for.
    steps: usize,
}

impl<'a> Changes<'a> {
    /// Take in a chunk that is later than all before it.
    fn take_in(&mut self, mut chunk: ChunkReader<'a>) -> Result<()> {
        let header = chunk.header;
        let mut entries = Vec::new();
        let mut removed = Vec::new();
        let mut touched = Vec::new();
        while let Some(block) = chunk.block()? {
            match block {
                Block::Entries(keys, values) => entries.push((keys, values)),
                Block::Removed(keys) => removed.push(keys),
                Block::Touched(touched_ms, keys, conditional) => {
                    touched.push((touched_ms, keys, conditional));
                }
            }
        }
        // What an increment touched on a condition depends on what was held before it, so that comes first.
        let touches = self.touches(header.kind, &touched)?;
        for keys in removed {
            for_each_key(keys, |key| {
                self.remove(key);
                Ok(())
            })?;
        }
        for (keys, values) in entries {
            for_each_entry(keys, values, |key, value| {
                self.set(key, value);
                Ok(())
            })?;
        }
        // Without a time of expiry the table has no idle times.
        if header.expired_before_ms.is_some() {
            for touch in touches {
                self.touch(touch);
            }
            self.expired_before_ms = self.expired_before_ms.max(header.expired_before_ms);
        }
        Ok(())
    }

    fn touches(
        &mut self,
        kind: Kind,
        blocks: &[(i64, BlockKeys<'a>, Reader<'a>)],
    ) -> Result<Vec<PendingTouch<'a>>> {
        let mut touches =
            Vec::with_capacity(blocks.iter().map(|(_, keys, _)| keys.count.min(1024)).sum());
        for &(touched_ms, keys, mut conditional) in blocks {
            let mut next = next_place(&mut conditional)?;
            let mut place = 0;
            for_each_key(keys, |key| {
                let is_conditional = next == Some(place);
                if is_conditional {
                    next = next_place(&mut conditional)?;
                }
                place += 1;
                let index = self.index(key.identity);
                touches.push(PendingTouch {
                    index,
                    touch: Touch {
                        touched_ms,
                        bytes: key.bytes,
                        conditional: is_conditional,
                    },
                    held: match kind {
                        // A key of one batch was touched if it is held after the batch, which is not known yet.
                        Kind::Delta => Held::AfterChunk,
                        _ if is_conditional => Held::Known(self.keys[index].is_held()),
                        _ => Held::Known(Some(true)),
                    },
                });
                Ok(())
            })?;
            if next.is_some() {
                return Err(conditional.malformed("a condition is of no key"));
            }
        }
        Ok(touches)
    }

    fn touch(&mut self, pending: PendingTouch<'a>) {
        let PendingTouch { index, touch, held } = pending;
        let change = &mut self.keys[index];
        let held = match held {
            Held::AfterChunk => change.is_held(),
            Held::Known(held) => held,
        };
        // The same key a second time in one batch changes nothing.
        if held == Some(false)
            || change
                .touch
                .is_some_and(|last| last.touched_ms == touch.touched_ms)
        {
            return;
        }
        change.touch = Some(Touch {
            conditional: held.is_none(),
            ..touch
        });
        change.touch_number = self.touch_order.len();
        self.touch_order.push(index as u32);
    }

    fn remove(&mut self, key: Key<'a>) {
        let index = self.index(key.identity);
        let change = &mut self.keys[index];
        change.value = None;
        change.touch = None;
        if change.removed.is_none() {
            change.removed = Some(key.bytes);
            self.removed_order.push(index as u32);
        }
    }

    fn set(&mut self, key: Key<'a>, value: &'a [u8]) {
        let index = self.index(key.identity);
        let change = &mut self.keys[index];
        if let Some((_, held)) = &mut change.value {
            *held = value;
            return;
        }
        change.value = Some((key.bytes, value));
        change.value_number = self.value_order.len();
        self.value_order.push(index as u32);
    }

    /// Give the place of a key among `keys`, a new one if it has none.
    fn index(&mut self, identity: &'a [u8]) -> usize {
        self.step();
        let keys = &self.keys;
        let entry = self.by_identity.entry(
            hash_text(identity),
            |&index| keys[index as usize].identity == identity,
            |&index| hash_text(keys[index as usize].identity),
        );
        let next = u32::try_from(keys.len()).expect("fewer keys than bytes of a chunk's memory");
        let index = *entry.or_insert(next).get();
        if index == next {
            self.keys.push(Change {
                identity,
                value: None,
                value_number: 0,
                removed: None,
                touch: None,
                touch_number: 0,
                below: false,
            });
        }
        index as usize
    }

    #[inline]
    fn step(&mut self) {
        let_others_go_first(self.steps);
        self.steps += 1;
    }

    fn find(&self, identity: &[u8]) -> Option<usize> {
        self.by_identity
            .find(hash_text(identity), |&index| {
                self.keys[index as usize].identity == identity
            })
            .map(|&index| index as usize)
    }

    /// Write an increment.
    fn put(&self, out: &mut Vec<u8>) {
        let mut counts = Counts::default();
        let mut entries = Entries::default();
        for (key, value) in self.values() {
            entries.push(key, value, out);
            counts.entries += 1;
        }
        entries.flush(out);
        let mut removed = KeyBlock::new(None);
        for &index in &self.removed_order {
            let change = &self.keys[index as usize];
            if let Some(bytes) = change.removed {
                let identity = change.identity;
                removed.push(Key { bytes, identity }, false, out);
                counts.removed += 1;
            }
        }
        removed.flush(out);
        let mut touched = TouchedBlocks::default();
        for (key, touch) in self.touched() {
            touched.push(touch.touched_ms, key, touch.conditional, out);
        }
        counts.touched = touched.finish(out);
        counts.put_end(out);
    }

    /// Keys with values, in the order of their places.
    fn values(&self) -> impl Iterator<Item = (Key<'a>, &'a [u8])> {
        self.value_order
            .iter()
            .enumerate()
            .filter_map(|(number, &index)| {
                let_others_go_first(number);
                let change = &self.keys[index as usize];
                let (bytes, value) = change.value?;
                let key = Key {
                    bytes,
                    identity: change.identity,
                };
                (change.value_number == number).then_some((key, value))
            })
    }

    /// The last touches of keys, in order.
    fn touched(&self) -> impl Iterator<Item = (Key<'a>, Touch<'a>)> {
        self.touch_order
            .iter()
            .enumerate()
            .filter_map(|(number, &index)| {
                let_others_go_first(number);
                let change = &self.keys[index as usize];
                let touch = change.touch?;
                let key = Key {
                    bytes: touch.bytes,
                    identity: change.identity,
                };
                (change.touch_number == number).then_some((key, touch))
            })
    }

    /// Write a snapshot of what a snapshot and these changes give.
    fn put_over(&mut self, base: Option<ChunkReader<'a>>, out: &mut Vec<u8>) -> Result<()> {
        let mut counts = Counts::default();
        let mut entries = Entries::default();
        let mut idle = Vec::new();
        if let Some(mut base) = base {
            while let Some(block) = base.block()? {
                match block {
                    Block::Entries(keys, values) => for_each_entry(keys, values, |key, value| {
                        if let Some(value) = self.over(key, value) {
                            entries.push(key, value, out);
                            counts.entries += 1;
                        }
                        Ok(())
                    })?,
                    Block::Touched(touched_ms, keys, _) => idle.push((touched_ms, keys)),
                    Block::Removed(_) => {
                        return Err(Error::Malformed {
                            offset: 0,
                            reason: "a snapshot has removed keys".to_owned(),
                        });
                    }
                }
            }
        }
        for (key, value) in self.values() {
            entries.push(key, value, out);
            counts.entries += 1;
        }
        entries.flush(out);
        counts.touched = self.put_idle(&idle, out)?;
        counts.put_end(out);
        Ok(())
    }

    /// Give the value that a key of the snapshot below has now, if it keeps its place.
    #[inline]
    fn over(&mut self, key: Key<'a>, value: &'a [u8]) -> Option<&'a [u8]> {
        self.step();
        let Some(index) = self.find(key.identity) else {
            return Some(value);
        };
        let change = &mut self.keys[index];
        change.below = true;
        if change.removed.is_some() {
            return None;
        }
        // Taken, so that it is not written again behind the keys that stay.
        Some(change.value.take().map_or(value, |(_, changed)| changed))
    }

    fn put_idle(&self, below: &[(i64, BlockKeys<'a>)], out: &mut Vec<u8>) -> Result<u64> {
        let mut blocks = TouchedBlocks::default();
        let mut step = 0;
        for &(touched_ms, keys) in below {
            for_each_key(keys, |key| {
                let_others_go_first(step);
                step += 1;
                let outdated = self.find(key.identity).is_some_and(|index| {
                    let change = &self.keys[index];
                    change.touch.is_some() || change.removed.is_some()
                });
                if !outdated {
                    blocks.push(touched_ms, key, false, out);
                }
                Ok(())
            })?;
        }
        for (key, touch) in self.touched() {
            let is_below = || {
                self.find(key.identity)
                    .is_some_and(|index| self.keys[index].below)
            };
            if !touch.conditional || is_below() {
                blocks.push(touch.touched_ms, key, false, out);
            }
        }
        Ok(blocks.finish(out))
    }
}

/// A touch whose effect is not decided yet.
struct PendingTouch<'a> {
    index: usize,
    touch: Touch<'a>,
    held: Held,
}

/// Whether a touched key is held.
enum Held {
    /// It shows when all of the chunk is taken in.
    AfterChunk,
    /// It is; it is not; it depends on what is below.
    Known(Option<bool>),
}

fn next_place(places: &mut Reader<'_>) -> Result<Option<usize>> {
    if places.is_at_end() {
        Ok(None)
    } else {
        places.count().map(Some)
    }
}

/// Blocks of touched keys, a new one for each time.
#[derive(Default)]
struct TouchedBlocks {
    block: KeyBlock,
    count: u64,
}

impl TouchedBlocks {
    fn push(&mut self, touched_ms: i64, key: Key<'_>, conditional: bool, out: &mut Vec<u8>) {
        if self.block.touched_ms != Some(touched_ms) {
            self.block.flush(out);
            self.block.touched_ms = Some(touched_ms);
        }
        self.block.push(key, conditional, out);
        self.count += 1;
    }

    fn finish(mut self, out: &mut Vec<u8>) -> u64 {
        self.block.flush(out);
        self.count
    }
}

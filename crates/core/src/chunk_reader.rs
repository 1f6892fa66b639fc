//! Chunks as they are read: block by block, keys and values as bytes.

use crate::chunk::{Counts, END, ENTRIES, Header, Key, REMOVED, TOUCHED};
use crate::error::Result;
use crate::message::Reader;

/// Reads the values of a column.
#[derive(Clone, Copy, Debug)]
pub struct Values<'a> {
    lengths: Reader<'a>,
    data: &'a [u8],
}

impl<'a> Values<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self> {
        let lengths = reader.blob()?;
        let lengths = reader.within(lengths);
        Ok(Self {
            lengths,
            data: reader.blob()?,
        })
    }

    /// Give the next value.
    #[inline]
    pub fn value(&mut self) -> Result<&'a [u8]> {
        let len = self.lengths.count()?;
        if len > self.data.len() {
            return Err(self.lengths.malformed("the data end within a value"));
        }
        let (value, rest) = self.data.split_at(len);
        self.data = rest;
        Ok(value)
    }

    fn finish(&self) -> Result<()> {
        if self.lengths.is_at_end() && self.data.is_empty() {
            Ok(())
        } else {
            Err(self.lengths.malformed("a column is longer than its block"))
        }
    }
}

/// Reads the keys of a block.
#[derive(Clone, Copy, Debug)]
pub struct BlockKeys<'a> {
    /// How many there are.
    pub count: usize,
    column: Values<'a>,
    identities: Reader<'a>,
    place: usize,
    /// Place and identity of the next key that is not its own identity.
    next_identity: Option<(usize, &'a [u8])>,
}

impl<'a> BlockKeys<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self> {
        let count = reader.count()?;
        let column = Values::read(reader)?;
        let identities = reader.blob()?;
        let mut keys = Self {
            count,
            column,
            identities: reader.within(identities),
            place: 0,
            next_identity: None,
        };
        keys.read_identity()?;
        Ok(keys)
    }

    fn read_identity(&mut self) -> Result<()> {
        self.next_identity = if self.identities.is_at_end() {
            None
        } else {
            Some((self.identities.count()?, self.identities.blob()?))
        };
        Ok(())
    }

    /// Give the next key.
    #[inline]
    pub fn key(&mut self) -> Result<Key<'a>> {
        let bytes = self.column.value()?;
        let mut identity = bytes;
        if let Some((place, other)) = self.next_identity
            && place == self.place
        {
            identity = other;
            self.read_identity()?;
        }
        self.place += 1;
        Ok(Key { bytes, identity })
    }

    /// Check that nothing is left.
    pub fn finish(&self) -> Result<()> {
        if self.next_identity.is_some() {
            return Err(self.identities.malformed("an identity is of no key"));
        }
        self.column.finish()
    }
}

/// A block as it is read.
#[derive(Clone, Copy, Debug)]
pub enum Block<'a> {
    /// Keys with their values.
    Entries(BlockKeys<'a>, Values<'a>),
    /// Keys that lost their place.
    Removed(BlockKeys<'a>),
    /// Keys touched at a time; the places of those whose touch counts only if they are held below.
    Touched(i64, BlockKeys<'a>, Reader<'a>),
}

/// Reads a chunk block by block.
#[derive(Clone, Copy, Debug)]
pub struct ChunkReader<'a> {
    /// What stands before the blocks.
    pub header: Header,
    reader: Reader<'a>,
    counts: Counts,
}

impl<'a> ChunkReader<'a> {
    /// Read the header.
    pub fn new(data: &'a [u8]) -> Result<Self> {
        let mut reader = Reader::new(data);
        let header = Header::read(&mut reader)?;
        Ok(Self {
            header,
            reader,
            counts: Counts::default(),
        })
    }

    /// Give the next block, or none at the end.
    pub fn block(&mut self) -> Result<Option<Block<'a>>> {
        let reader = &mut self.reader;
        let len = reader.array()?;
        let kind = reader.optional_int()?;
        let block = match (kind, len) {
            (Some(END), 4) => {
                let counts = Counts {
                    entries: reader.count()? as u64,
                    removed: reader.count()? as u64,
                    touched: reader.count()? as u64,
                };
                if counts != self.counts || !reader.is_at_end() {
                    return Err(
                        reader.malformed("the end of a chunk does not fit what came before")
                    );
                }
                return Ok(None);
            }
            (Some(ENTRIES), 7) => {
                let keys = BlockKeys::read(reader)?;
                self.counts.entries = self.counts.entries.saturating_add(keys.count as u64);
                Block::Entries(keys, Values::read(reader)?)
            }
            (Some(REMOVED), 5) => {
                let keys = BlockKeys::read(reader)?;
                self.counts.removed = self.counts.removed.saturating_add(keys.count as u64);
                Block::Removed(keys)
            }
            (Some(TOUCHED), 7) => {
                let keys = BlockKeys::read(reader)?;
                self.counts.touched = self.counts.touched.saturating_add(keys.count as u64);
                let Some(touched_ms) = reader.optional_int()? else {
                    return Err(reader.malformed("a time is missing"));
                };
                let conditional = reader.blob()?;
                Block::Touched(touched_ms, keys, reader.within(conditional))
            }
            _ => return Err(reader.malformed("a block is of no known kind")),
        };
        Ok(Some(block))
    }

    /// Read to the end and count.
    pub fn count(mut self) -> Result<Counts> {
        while self.block()?.is_some() {}
        Ok(self.counts)
    }
}

/// Read the keys and the values of a block.
pub fn for_each_entry<'a>(
    mut keys: BlockKeys<'a>,
    mut values: Values<'a>,
    mut visit: impl FnMut(Key<'a>, &'a [u8]) -> Result<()>,
) -> Result<()> {
    for _ in 0..keys.count {
        visit(keys.key()?, values.value()?)?;
    }
    keys.finish()?;
    values.finish()
}

/// Read the keys of a block.
pub fn for_each_key<'a>(
    mut keys: BlockKeys<'a>,
    mut visit: impl FnMut(Key<'a>) -> Result<()>,
) -> Result<()> {
    for _ in 0..keys.count {
        visit(keys.key()?)?;
    }
    keys.finish()
}

//! Chunks: what a state table held, or what batches changed in it, as `docs/checkpoint-format.md` lays it out.
//!
//! A chunk is a run of `MessagePack` values: a map as header, blocks, and the end. Keys and values inside of blocks are
//! bytes here, which nobody decodes; keys are compared by their identities.

use crate::error::{Error, Result};
use crate::message::{
    Reader, Token, put_array, put_bytes, put_int, put_map, put_optional_int, put_text, put_uint,
};

/// The version of the layout.
pub const FORMAT: i64 = 1;

/// Keys of one block at most.
pub const BLOCK_KEYS_MAX: usize = 1024;

/// A block that has so many bytes of keys and values takes no more of them: dataclasses take about 0.5 ms then.
pub const BLOCK_BYTES_MAX: usize = 1 << 15;

const END: i64 = 0;
const ENTRIES: i64 = 1;
const REMOVED: i64 = 2;
const TOUCHED: i64 = 3;

/// What a chunk says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// What one batch changed.
    Delta,
    /// What several batches changed.
    Increment,
    /// All that a table held.
    Snapshot,
}

impl Kind {
    /// Give the name that the header has for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Delta => "delta",
            Self::Increment => "increment",
            Self::Snapshot => "snapshot",
        }
    }

    fn of(name: &[u8]) -> Option<Self> {
        [Self::Delta, Self::Increment, Self::Snapshot]
            .into_iter()
            .find(|kind| kind.name().as_bytes() == name)
    }
}

/// What stands before the blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// What the chunk says.
    pub kind: Kind,
    /// The newest batch in it, milliseconds; none for a table without batches.
    pub batch_ms: Option<i64>,
    /// Keys held that the step leaves out of its rows.
    pub hidden_count: i64,
    /// All keys last touched before this time have timed out, milliseconds.
    pub expired_before_ms: Option<i64>,
    /// Whether values may be pickles.
    pub pickled: bool,
}

impl Header {
    /// Write it.
    pub fn put(&self, out: &mut Vec<u8>) {
        put_map(out, 6);
        put_text(out, b"chunk");
        put_int(out, FORMAT);
        put_text(out, b"kind");
        put_text(out, self.kind.name().as_bytes());
        put_text(out, b"batch_ms");
        put_optional_int(out, self.batch_ms);
        put_text(out, b"hidden_count");
        put_int(out, self.hidden_count);
        put_text(out, b"expired_before_ms");
        put_optional_int(out, self.expired_before_ms);
        put_text(out, b"pickled");
        out.push(if self.pickled { 0xc3 } else { 0xc2 });
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self> {
        let Token::Map(len) = reader.token()? else {
            return Err(reader.malformed("the header of a chunk is missing"));
        };
        let (mut format, mut kind, mut batch_ms, mut hidden_count) = (None, None, None, 0);
        let (mut expired_before_ms, mut pickled) = (None, false);
        for _ in 0..len {
            let Token::Text(name) = reader.token()? else {
                return Err(reader.malformed("the header of a chunk has a field without name"));
            };
            match name {
                b"chunk" => format = reader.optional_int()?,
                b"kind" => {
                    if let Token::Text(name) = reader.token()? {
                        kind = Kind::of(name);
                    }
                }
                b"batch_ms" => batch_ms = reader.optional_int()?,
                b"hidden_count" => hidden_count = reader.count()? as i64,
                b"expired_before_ms" => expired_before_ms = reader.optional_int()?,
                b"pickled" => pickled = reader.token()? == Token::Bool(true),
                _ => reader.skip()?,
            }
        }
        match format {
            Some(FORMAT) => {}
            Some(newer) if newer > FORMAT => return Err(Error::NewerFormat(newer)),
            _ => return Err(reader.malformed("the header of a chunk is missing")),
        }
        let kind = kind.ok_or_else(|| reader.malformed("a chunk is of no known kind"))?;
        Ok(Self {
            kind,
            batch_ms,
            hidden_count,
            expired_before_ms,
            pickled,
        })
    }
}

/// Values one behind another, with their lengths.
#[derive(Debug, Default)]
pub struct Column {
    lengths: Vec<u8>,
    /// The values; whoever appends one here tells `end`.
    pub data: Vec<u8>,
    start: usize,
}

impl Column {
    /// Take the bytes since the last call as one value.
    #[inline]
    pub fn end(&mut self) {
        put_uint(&mut self.lengths, (self.data.len() - self.start) as u64);
        self.start = self.data.len();
    }

    fn push(&mut self, value: &[u8]) {
        self.data.extend_from_slice(value);
        self.end();
    }

    /// Give the bytes of the value that is being written.
    pub fn open(&self) -> &[u8] {
        &self.data[self.start..]
    }

    fn flush(&mut self, out: &mut Vec<u8>) {
        put_bytes(out, &self.lengths);
        self.flush_data(out);
    }

    fn flush_data(&mut self, out: &mut Vec<u8>) {
        put_bytes(out, &self.data);
        self.lengths.clear();
        self.data.clear();
        self.start = 0;
    }
}

/// Keys that are being written, with the identities of those that are not their own.
#[derive(Debug, Default)]
pub struct Keys {
    /// How many.
    pub count: usize,
    /// The keys.
    pub column: Column,
    identities: Vec<u8>,
}

impl Keys {
    /// Take the bytes in the column as the next key.
    #[inline]
    pub fn end(&mut self, identity: Option<&[u8]>) {
        if let Some(identity) = identity
            && identity != self.column.open()
        {
            put_uint(&mut self.identities, self.count as u64);
            put_bytes(&mut self.identities, identity);
        }
        self.column.end();
        self.count += 1;
    }

    fn push(&mut self, key: Key<'_>) {
        self.column.data.extend_from_slice(key.bytes);
        self.end((key.bytes != key.identity).then_some(key.identity));
    }

    fn flush(&mut self, out: &mut Vec<u8>) {
        put_uint(out, self.count as u64);
        self.column.flush(out);
        put_bytes(out, &self.identities);
        self.identities.clear();
        self.count = 0;
    }
}

/// A block of keys with their values that is being written.
#[derive(Debug, Default)]
pub struct Entries {
    /// The keys.
    pub keys: Keys,
    /// As many values.
    pub values: Column,
}

impl Entries {
    /// Say whether the block takes no more.
    #[inline]
    pub fn is_full(&self) -> bool {
        self.keys.count >= BLOCK_KEYS_MAX
            || self.keys.column.data.len() + self.values.data.len() >= BLOCK_BYTES_MAX
    }

    /// Add a key and its value, and write the block when it is full.
    pub fn push(&mut self, key: Key<'_>, value: &[u8], out: &mut Vec<u8>) {
        self.keys.push(key);
        self.values.push(value);
        if self.is_full() {
            self.flush(out);
        }
    }

    /// Write the block, unless it is empty.
    pub fn flush(&mut self, out: &mut Vec<u8>) {
        if self.keys.count > 0 {
            put_array(out, 7);
            put_int(out, ENTRIES);
            self.keys.flush(out);
            self.values.flush(out);
        }
    }
}

/// A block of keys alone that is being written: removed ones, or those touched at one time.
#[derive(Debug, Default)]
pub struct KeyBlock {
    /// When they were touched, milliseconds; none for removed ones.
    pub touched_ms: Option<i64>,
    /// The keys.
    pub keys: Keys,
    conditional: Vec<u8>,
}

impl KeyBlock {
    /// Begin a block of removed keys, or of those touched at a time.
    pub fn new(touched_ms: Option<i64>) -> Self {
        Self {
            touched_ms,
            ..Self::default()
        }
    }

    /// Say whether the block takes no more.
    pub fn is_full(&self) -> bool {
        self.keys.count >= BLOCK_KEYS_MAX || self.keys.column.data.len() >= BLOCK_BYTES_MAX
    }

    /// Add a key, and write the block when it is full.
    pub fn push(&mut self, key: Key<'_>, conditional: bool, out: &mut Vec<u8>) {
        if conditional {
            put_uint(&mut self.conditional, self.keys.count as u64);
        }
        self.keys.push(key);
        if self.is_full() {
            self.flush(out);
        }
    }

    /// Write the block, unless it is empty.
    pub fn flush(&mut self, out: &mut Vec<u8>) {
        if self.keys.count == 0 {
            return;
        }
        if let Some(touched_ms) = self.touched_ms {
            put_array(out, 7);
            put_int(out, TOUCHED);
            self.keys.flush(out);
            put_int(out, touched_ms);
            put_bytes(out, &self.conditional);
            self.conditional.clear();
        } else {
            put_array(out, 5);
            put_int(out, REMOVED);
            self.keys.flush(out);
        }
    }
}

/// How many keys of each sort a chunk has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Keys with values.
    pub entries: u64,
    /// Keys that lost their place.
    pub removed: u64,
    /// Touches.
    pub touched: u64,
}

impl Counts {
    /// Write the end of a chunk.
    pub fn put_end(&self, out: &mut Vec<u8>) {
        put_array(out, 4);
        put_int(out, END);
        put_uint(out, self.entries);
        put_uint(out, self.removed);
        put_uint(out, self.touched);
    }
}

/// A key and what it is equal to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key<'a> {
    /// The encoded key.
    pub bytes: &'a [u8],
    /// Equal for keys that are equal in Python.
    pub identity: &'a [u8],
}

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

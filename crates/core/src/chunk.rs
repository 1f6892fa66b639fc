//! Chunks: what a state table held, or what batches changed in it, as `docs/checkpoint-format.md` lays it out.
//!
//! A chunk is a run of `MessagePack` values: a map as header, blocks, and the end. Keys and values inside of blocks are
//! bytes here, which nobody decodes; keys are compared by their identities.

use crate::error::{Error, Result};
use crate::message::{
    Reader, Token, put_array, put_int, put_map, put_optional_int, put_text, put_uint,
};

/// The version of the layout.
pub const FORMAT: i64 = 1;

/// Keys of one block at most.
pub const BLOCK_KEYS_MAX: usize = 1024;

/// A block that has so many bytes of keys and values takes no more of them: dataclasses take about 0.5 ms then.
pub const BLOCK_BYTES_MAX: usize = 1 << 15;

pub(crate) const END: i64 = 0;
pub(crate) const ENTRIES: i64 = 1;
pub(crate) const REMOVED: i64 = 2;
pub(crate) const TOUCHED: i64 = 3;

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

    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self> {
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

//! Blocks of a chunk as they are written: keys, their identities, values.

use crate::chunk::{BLOCK_BYTES_MAX, BLOCK_KEYS_MAX, ENTRIES, Key, REMOVED, TOUCHED};
use crate::message::{put_array, put_bytes, put_int, put_uint};

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

//! One file of a log: what tells it from all others, and the header that it begins with.
//!
//! Behind the header come groups (`group.rs`); `segment_scan.rs` reads them all. docs/checkpoint-format.md, section "Segments", has the layout byte by byte. All numbers are little-endian. Every
//! checksum is seeded with the segment's identity and the offset of what it covers, so that bytes of another file,
//! or of another place of the same file, never pass.

use crate::little_endian::{put, u32_at, u64_at};

/// The first bytes of every segment.
pub const FILE_MAGIC: [u8; 8] = *b"MSTRMLOG";

/// The version of the layout, in each file and in each record.
pub const FORMAT_VERSION: u8 = 1;

/// Size of a segment's header without the list of the segments before it and without its checksum, bytes.
const HEADER_FIXED: usize = 48;

/// Size of an entry of that list, bytes.
const PREVIOUS_BYTES: usize = 32;

/// Size of the checksum at the end of each header, bytes.
pub(crate) const CHECKSUM_BYTES: usize = 4;

/// What is wrong with a segment that a newer release has written.
pub const NEWER_FORMAT: &str = "the format is newer than this release";

/// What tells one segment from all others that a log ever had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentId {
    /// The number of the segment's first record.
    pub first: u64,
    /// How many segments the log had made before, whether they came to something or not.
    pub counter: u64,
}

impl SegmentId {
    /// Start the checksum of what stands at an offset.
    pub(crate) fn seed(self, offset: usize) -> u32 {
        let mut bytes = [0; 24];
        bytes[..8].copy_from_slice(&self.first.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.counter.to_le_bytes());
        bytes[16..].copy_from_slice(&(offset as u64).to_le_bytes());
        crc32c::crc32c(&bytes)
    }
}

/// An earlier segment, as a later one vouches for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Previous {
    /// Which one.
    pub id: SegmentId,
    /// Its certain length, bytes; what is behind it does not count.
    pub end: u64,
    /// Its records up to there have numbers below this.
    pub next: u64,
}

/// What stands at the beginning of a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Which segment this is.
    pub id: SegmentId,
    /// Records with numbers below this were released.
    pub released: u64,
    /// The earlier segments that count, oldest first.
    pub previous: Vec<Previous>,
}

impl Header {
    /// Give the header's size, bytes.
    pub fn bytes(&self) -> usize {
        HEADER_FIXED + self.previous.len() * PREVIOUS_BYTES + CHECKSUM_BYTES
    }

    /// Write the header.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.bytes());
        out.extend(FILE_MAGIC);
        out.extend(u16::from(FORMAT_VERSION).to_le_bytes());
        out.extend([0; 2]);
        out.extend((self.bytes() as u32).to_le_bytes());
        put(&mut out, &[self.id.first, self.id.counter, self.released]);
        out.extend((self.previous.len() as u32).to_le_bytes());
        out.extend([0; 4]);
        for previous in &self.previous {
            let id = previous.id;
            put(
                &mut out,
                &[id.first, id.counter, previous.end, previous.next],
            );
        }
        let checksum = crc32c::crc32c_append(self.id.seed(0), &out);
        out.extend(checksum.to_le_bytes());
        out
    }

    /// Read the header of a segment; what is wrong with it otherwise.
    pub(crate) fn decode(data: &[u8], id: SegmentId) -> std::result::Result<Self, &'static str> {
        if data.len() < HEADER_FIXED {
            return Err("the file is shorter than a header");
        }
        if data[..8] != FILE_MAGIC {
            return Err("the file does not begin like a segment");
        }
        // These first, in every version: where the checksum is, and that it matches. Then the version can be believed.
        let bytes = u32_at(data, 12) as usize;
        if bytes < HEADER_FIXED + CHECKSUM_BYTES || bytes > data.len() {
            return Err("the length of the header is wrong");
        }
        let checked = bytes - CHECKSUM_BYTES;
        if crc32c::crc32c_append(id.seed(0), &data[..checked]) != u32_at(data, checked) {
            return Err("the checksum of the header does not match");
        }
        if data[8..10] != u16::from(FORMAT_VERSION).to_le_bytes() {
            return Err(NEWER_FORMAT);
        }
        let count = u32_at(data, 40) as usize;
        if bytes != HEADER_FIXED + count * PREVIOUS_BYTES + CHECKSUM_BYTES {
            return Err("the list of earlier segments has a wrong length");
        }
        let previous = (0..count).map(|index| HEADER_FIXED + index * PREVIOUS_BYTES);
        Ok(Self {
            id,
            released: u64_at(data, 32),
            previous: previous
                .map(|at| Previous {
                    id: SegmentId {
                        first: u64_at(data, at),
                        counter: u64_at(data, at + 8),
                    },
                    end: u64_at(data, at + 16),
                    next: u64_at(data, at + 24),
                })
                .collect(),
        })
    }
}

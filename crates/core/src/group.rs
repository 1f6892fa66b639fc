//! Groups: what of a log is made durable together, framed and checked.
//!
//! docs/checkpoint-format.md, section "Segments", has the layout byte by byte.

use crate::error::{Error, Result};
use crate::little_endian::{put, u32_at, u64_at};
use crate::segment::{CHECKSUM_BYTES, FORMAT_VERSION, SegmentId};

/// The first bytes of every group.
pub const GROUP_MAGIC: [u8; 4] = *b"\xa7GRP";

/// Size of a group's header, bytes.
pub const GROUP_HEADER_BYTES: usize = 44;

/// Size of a record's header, bytes.
pub const RECORD_HEADER_BYTES: usize = 16;

/// Payloads below this are copied next to their headers; longer ones are written from where they are.
const COPY_BYTES_MAX: usize = 4096;

/// A record to be framed.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// Its place in the log.
    pub number: u64,
    /// What it is, as the log's owner counts kinds.
    pub kind: u8,
    /// Its bytes.
    pub data: &'a [u8],
}

/// Where a group goes, and what it says besides its records.
#[derive(Clone, Copy, Debug)]
pub struct GroupPlace {
    /// The segment that it is written to.
    pub id: SegmentId,
    /// Offset of its header, bytes from the beginning of the file.
    pub offset: usize,
    /// How much of the segment is durable, bytes.
    pub durable: u64,
    /// Number of the group's first record, or of the next one where it has none.
    pub first: u64,
    /// Records with numbers below this were released.
    pub released: u64,
}

/// What of a framed group is not in its bytes: the long payloads.
#[derive(Debug)]
pub struct Framed {
    /// (position in the bytes, index of the record whose payload belongs there), ascending.
    pub gaps: Vec<(usize, usize)>,
    /// Size of the group with all payloads, bytes.
    pub length: usize,
}

/// Give the size that a group will have, bytes.
pub fn group_bytes(records: usize, payload_bytes: usize) -> usize {
    GROUP_HEADER_BYTES + records * RECORD_HEADER_BYTES + payload_bytes
}

/// Frame records into one group: headers and short payloads go into `bytes`, in place of what was there.
pub fn frame(place: GroupPlace, records: &[Record<'_>], bytes: &mut Vec<u8>) -> Result<Framed> {
    let payload: usize = records.iter().map(|record| record.data.len()).sum();
    let length = group_bytes(records.len(), payload);
    let copied: usize = records
        .iter()
        .map(|record| record.data.len())
        .filter(|&bytes| bytes < COPY_BYTES_MAX)
        .sum();
    bytes.clear();
    bytes.reserve(group_bytes(records.len(), copied));
    put_group_header(bytes, place, records.len(), length);
    let mut gaps = Vec::new();
    let mut offset = place.offset + GROUP_HEADER_BYTES;
    for (index, record) in records.iter().enumerate() {
        put_record_header(bytes, place, offset, record)?;
        if record.data.len() < COPY_BYTES_MAX {
            bytes.extend_from_slice(record.data);
        } else {
            gaps.push((bytes.len(), index));
        }
        offset += RECORD_HEADER_BYTES + record.data.len();
    }
    Ok(Framed { gaps, length })
}

pub(crate) fn put_group_header(
    out: &mut Vec<u8>,
    place: GroupPlace,
    records: usize,
    length: usize,
) {
    out.extend(GROUP_MAGIC);
    out.extend((records as u32).to_le_bytes());
    let body = (length - GROUP_HEADER_BYTES) as u64;
    put(out, &[body, place.first, place.durable, place.released]);
    let checksum = crc32c::crc32c_append(place.id.seed(place.offset), out);
    out.extend(checksum.to_le_bytes());
}

fn put_record_header(
    out: &mut Vec<u8>,
    place: GroupPlace,
    offset: usize,
    record: &Record<'_>,
) -> Result<()> {
    let length = u32::try_from(record.data.len());
    let index = u32::try_from(record.number - place.first);
    let (Ok(length), Ok(index)) = (length, index) else {
        return Err(Error::Invalid(format!(
            "a record of {} bytes does not fit: 4 GiB is the limit",
            record.data.len()
        )));
    };
    let start = out.len();
    out.extend(length.to_le_bytes());
    out.extend(index.to_le_bytes());
    out.extend([record.kind, FORMAT_VERSION, 0, 0]);
    let checksum = crc32c::crc32c_append(place.id.seed(offset), &out[start..]);
    let checksum = crc32c::crc32c_append(checksum, record.data);
    out.extend(checksum.to_le_bytes());
    Ok(())
}

/// What a group says of itself.
pub(crate) struct GroupHeader {
    pub(crate) count: u32,
    pub(crate) body: usize,
    pub(crate) first: u64,
    pub(crate) durable: u64,
    pub(crate) released: u64,
}

impl GroupHeader {
    /// Read the header at an offset; None where there is no whole one of this segment.
    pub(crate) fn decode(data: &[u8], id: SegmentId, at: usize) -> Option<Self> {
        let header = data.get(at..at + GROUP_HEADER_BYTES)?;
        let checked = GROUP_HEADER_BYTES - CHECKSUM_BYTES;
        let valid = header[..4] == GROUP_MAGIC
            && crc32c::crc32c_append(id.seed(at), &header[..checked]) == u32_at(header, checked);
        valid.then(|| Self {
            count: u32_at(header, 4),
            body: u64_at(header, 8) as usize,
            first: u64_at(header, 16),
            durable: u64_at(header, 24),
            released: u64_at(header, 32),
        })
    }
}

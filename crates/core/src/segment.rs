//! The bytes of one file of a log: framed into groups, and checked when they are read.
//!
//! docs/checkpoint-format.md, section "Segments", has the layout byte by byte. All numbers are little-endian. Every
//! checksum is seeded with the segment's identity and the offset of what it covers, so that bytes of another file,
//! or of another place of the same file, never pass.

use memchr::memmem;

use crate::error::{Error, Result};

/// The first bytes of every segment.
pub const FILE_MAGIC: [u8; 8] = *b"MSTRMLOG";

/// The first bytes of every group.
pub const GROUP_MAGIC: [u8; 4] = *b"\xa7GRP";

/// The version of the layout, in each file and in each record.
pub const FORMAT_VERSION: u8 = 1;

/// Size of a segment's header without the list of the segments before it and without its checksum, bytes.
const HEADER_FIXED: usize = 48;

/// Size of an entry of that list, bytes.
const PREVIOUS_BYTES: usize = 32;

const CHECKSUM_BYTES: usize = 4;

/// What is wrong with a segment that a newer release has written.
pub const NEWER_FORMAT: &str = "the format is newer than this release";

/// Size of a group's header, bytes.
pub const GROUP_HEADER_BYTES: usize = 44;

/// Size of a record's header, bytes.
pub const RECORD_HEADER_BYTES: usize = 16;

/// Payloads below this are copied next to their headers; longer ones are written from where they are.
const COPY_BYTES_MAX: usize = 4096;

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
    fn seed(self, offset: usize) -> u32 {
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
    fn decode(data: &[u8], id: SegmentId) -> std::result::Result<Self, &'static str> {
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

fn put_group_header(out: &mut Vec<u8>, place: GroupPlace, records: usize, length: usize) {
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

/// A record as it was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its place in the log.
    pub number: u64,
    /// What it is.
    pub kind: u8,
    /// Offset of its payload, bytes.
    pub start: usize,
    /// Offset behind its payload, bytes.
    pub end: usize,
}

/// What is in a segment.
#[derive(Debug, Default)]
pub struct Scan {
    /// The header, if it is whole.
    pub header: Option<Header>,
    /// The records of whole groups, in order.
    pub records: Vec<Found>,
    /// How many groups are whole.
    pub groups: usize,
    /// Offset behind the last whole group, or behind the header, or 0; bytes.
    pub end: usize,
    /// The greatest durable length that any valid header of a group claims, also behind a damage; bytes.
    pub durable: u64,
    /// Records in front of `durable` have numbers below this; 0 where nothing is in front of it.
    pub durable_next: u64,
    /// The number that follows the last record.
    pub next: u64,
    /// Records with numbers below this were released.
    pub released: u64,
    /// The first thing that is wrong: its offset and what it is. Zeros up to the end are not wrong.
    pub problem: Option<(usize, &'static str)>,
}

/// Read a segment up to its first damage, and look behind that for claims that it lies in what had been durable.
pub fn scan(data: &[u8], id: SegmentId) -> Scan {
    let mut found = Scan::default();
    if all_zero(data) {
        return found;
    }
    match Header::decode(data, id) {
        Ok(header) => {
            found.end = header.bytes();
            found.next = id.first;
            found.released = header.released;
            found.header = Some(header);
            scan_groups(data, id, &mut found);
        }
        Err(reason) => found.problem = Some((0, reason)),
    }
    if found.problem.is_some() {
        found.durable = found.durable.max(claimed_behind(data, id, found.end));
    }
    found
}

fn scan_groups(data: &[u8], id: SegmentId, found: &mut Scan) {
    while found.end < data.len() {
        let at = found.end;
        let Some(group) = GroupHeader::decode(data, id, at) else {
            if !all_zero(&data[at..]) {
                found.problem = Some((at, "the header of a group is damaged"));
            }
            return;
        };
        if group.durable > found.durable {
            found.durable = group.durable;
            found.durable_next = found.next;
        }
        let known = found.records.len();
        if let Err(problem) = scan_records(data, id, at, &group, &mut found.records) {
            found.records.truncate(known);
            found.problem = Some(problem);
            return;
        }
        found.groups += 1;
        found.released = found.released.max(group.released);
        found.next = match found.records[known..].last() {
            Some(record) => record.number + 1,
            None => group.first,
        };
        found.end = at + GROUP_HEADER_BYTES + group.body;
    }
}

fn scan_records(
    data: &[u8],
    id: SegmentId,
    at: usize,
    group: &GroupHeader,
    records: &mut Vec<Found>,
) -> std::result::Result<(), (usize, &'static str)> {
    let mut offset = at + GROUP_HEADER_BYTES;
    let Some(end) = offset
        .checked_add(group.body)
        .filter(|&end| end <= data.len())
    else {
        return Err((offset, "the file ends inside a group"));
    };
    for _ in 0..group.count {
        if end - offset < RECORD_HEADER_BYTES {
            return Err((offset, "a group ends inside the header of a record"));
        }
        let length = u32_at(data, offset) as usize;
        let start = offset + RECORD_HEADER_BYTES;
        if length > end - start {
            return Err((offset, "the length of a record is wrong"));
        }
        let checksum = crc32c::crc32c_append(id.seed(offset), &data[offset..offset + 12]);
        if crc32c::crc32c_append(checksum, &data[start..start + length])
            != u32_at(data, offset + 12)
        {
            return Err((offset, "the checksum of a record does not match"));
        }
        records.push(Found {
            number: group.first + u64::from(u32_at(data, offset + 4)),
            kind: data[offset + 8],
            start,
            end: start + length,
        });
        offset = start + length;
    }
    if offset == end {
        Ok(())
    } else {
        Err((offset, "a group is longer than its records"))
    }
}

struct GroupHeader {
    count: u32,
    body: usize,
    first: u64,
    durable: u64,
    released: u64,
}

impl GroupHeader {
    fn decode(data: &[u8], id: SegmentId, at: usize) -> Option<Self> {
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

/// Find the greatest durable length that a valid header behind an offset claims; 0 where there is none.
fn claimed_behind(data: &[u8], id: SegmentId, offset: usize) -> u64 {
    memmem::find_iter(&data[offset..], &GROUP_MAGIC)
        .filter_map(|at| GroupHeader::decode(data, id, offset + at))
        .map(|group| group.durable)
        .max()
        .unwrap_or(0)
}

fn all_zero(data: &[u8]) -> bool {
    // Why in pieces: the compiler makes wide instructions of each, and damage is seen early.
    data.chunks(4096)
        .all(|chunk| chunk.iter().fold(0, |seen, byte| seen | byte) == 0)
}

fn put(out: &mut Vec<u8>, values: &[u64]) {
    for value in values {
        out.extend(value.to_le_bytes());
    }
}

fn u32_at(data: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(data[at..at + 4].try_into().expect("four bytes"))
}

fn u64_at(data: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(data[at..at + 8].try_into().expect("eight bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: SegmentId = SegmentId {
        first: 7,
        counter: 3,
    };

    fn header() -> Header {
        Header {
            id: ID,
            released: 2,
            previous: vec![Previous {
                id: SegmentId {
                    first: 2,
                    counter: 1,
                },
                end: 900,
                next: 7,
            }],
        }
    }

    fn place(data: &[u8], first: u64) -> GroupPlace {
        GroupPlace {
            id: ID,
            offset: data.len(),
            durable: data.len() as u64,
            first,
            released: 2,
        }
    }

    fn add(data: &mut Vec<u8>, first: u64, payloads: &[&[u8]]) {
        let records: Vec<_> = payloads
            .iter()
            .zip(first..)
            .map(|(data, number)| Record {
                number,
                kind: 5,
                data,
            })
            .collect();
        let mut bytes = b"left from before".to_vec();
        let framed = frame(place(data, first), &records, &mut bytes).unwrap();
        let start = data.len();
        let mut done = 0;
        for &(at, index) in &framed.gaps {
            data.extend(&bytes[done..at]);
            data.extend(records[index].data);
            done = at;
        }
        data.extend(&bytes[done..]);
        assert_eq!(data.len() - start, framed.length);
    }

    fn segment() -> Vec<u8> {
        let mut data = header().encode();
        add(&mut data, 7, &[b"one", b"", &[9; 5000]]);
        add(&mut data, 10, &[b"four"]);
        add(&mut data, 11, &[b"five"]);
        data
    }

    #[test]
    fn what_was_framed_is_found() {
        let data = segment();
        let found = scan(&data, ID);
        assert_eq!(found.header, Some(header()));
        assert_eq!(found.problem, None);
        assert_eq!((found.end, found.next, found.groups), (data.len(), 12, 3));
        let numbers: Vec<_> = found.records.iter().map(|r| (r.number, r.kind)).collect();
        assert_eq!(numbers, [(7, 5), (8, 5), (9, 5), (10, 5), (11, 5)]);
        let third = found.records[2];
        assert_eq!(&data[third.start..third.end], &[9; 5000]);
        assert_eq!(found.durable_next, 11);
    }

    #[test]
    fn zeros_behind_the_records_are_no_damage() {
        let mut data = segment();
        let end = data.len();
        data.resize(end + 10_000, 0);
        let found = scan(&data, ID);
        assert_eq!((found.end, found.problem), (end, None));
        assert_eq!(scan(&[0; 500], ID).problem, None);
    }

    #[test]
    fn every_damage_below_the_durable_length_is_claimed_to_be_durable() {
        let data = segment();
        let durable = scan(&data, ID).durable;
        for at in 0..durable as usize {
            let mut damaged = data.clone();
            damaged[at] ^= 1 << (at % 8);
            let found = scan(&damaged, ID);
            let (offset, _) = found.problem.expect("the damage is seen");
            assert!(offset <= at && found.durable == durable, "byte {at}");
        }
    }

    #[test]
    fn damage_in_the_last_group_is_not() {
        let data = segment();
        let durable = scan(&data, ID).durable as usize;
        for at in durable..data.len() {
            let mut damaged = data.clone();
            damaged[at] ^= 0x40;
            let found = scan(&damaged, ID);
            assert!(found.problem.is_some() && found.durable as usize <= found.end);
            assert_eq!(found.end, durable);
        }
    }

    #[test]
    fn a_segment_does_not_pass_as_another() {
        let data = segment();
        let other = SegmentId { counter: 4, ..ID };
        let found = scan(&data, other);
        assert!(found.header.is_none() && found.problem.is_some() && found.durable == 0);
    }

    #[test]
    fn a_length_beyond_any_file_does_not_overflow() {
        let mut data = header().encode();
        let mut bytes = Vec::new();
        put_group_header(&mut bytes, place(&data, 7), 1, usize::MAX);
        data.extend(bytes);
        assert!(scan(&data, ID).problem.is_some());
    }
}

//! What is in a segment, up to its first damage, and whether that lies in what had been durable.

use memchr::memmem;

use crate::group::{GROUP_HEADER_BYTES, GROUP_MAGIC, GroupHeader, RECORD_HEADER_BYTES};
use crate::little_endian::u32_at;
use crate::segment::{Header, SegmentId};

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::group::{GroupPlace, Record, frame, put_group_header};
    use crate::segment::Previous;

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

//! The stable hash of keys, and the key groups and partitions that follow from it.
//!
//! A key goes to the same group in every process, on every machine and in every release that has the same
//! [`HASH_VERSION`]: shuffles, state and checkpoints rely on it. The functions here hash plain values; the
//! bindings say which Python value is hashed as which kind.

use xxhash_rust::xxh3::xxh3_64;

use crate::error::{Error, Result};

/// The version of everything in this file, kept in each checkpoint.
///
/// A change of any result below is a new version, and checkpoints of another version are refused. The test
/// vectors at the end of the file hold version 1.
pub const HASH_VERSION: u32 = 1;

/// Key groups of a checkpoint where nothing else is said.
pub const KEY_GROUPS: u32 = 1024;

/// What a hashed value is, so that values of different kinds land in different places.
///
/// The numbers are part of the hash and never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Kind {
    /// The absence of a value.
    Nothing = 1,
    /// Any number; equal numbers of different types share their numeric hash.
    Number = 2,
    /// A byte string.
    Bytes = 3,
    /// A sequence of values, order counts.
    Tuple = 4,
    /// A set of values, order does not count.
    Set = 5,
    /// A day without a time.
    Date = 6,
    /// A day and a time without a zone.
    LocalDateTime = 7,
    /// A moment on the UTC line.
    Instant = 8,
    /// A time of day without a zone.
    LocalTime = 9,
    /// A time of day with an offset.
    OffsetTime = 10,
    /// A span of time.
    Duration = 11,
    /// A universally unique identifier.
    Uuid = 12,
    /// A member of an enumeration: name of the class, name of the member.
    Member = 13,
    /// A frozen record: name of the class, fields in order.
    Record = 14,
}

impl Kind {
    const fn tag(self) -> u64 {
        // The golden ratio's odd multiplier spreads the small numbers over all bits.
        (self as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }
}

/// Spread every bit of `value` over all bits; a bijection.
///
/// Source: the finalizer of `SplitMix64` (Steele, Lea, Flood, "Fast Splittable Pseudorandom Number
/// Generators", OOPSLA 2014; constants by Stafford, variant 13).
#[inline]
pub const fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// Hash text by its UTF-8 bytes.
#[inline]
pub fn hash_text(utf8: &[u8]) -> u64 {
    xxh3_64(utf8)
}

/// Hash bytes, or whatever is given by bytes, as `kind`.
#[inline]
pub fn hash_bytes(kind: Kind, bytes: &[u8]) -> u64 {
    mix(xxh3_64(bytes) ^ kind.tag())
}

/// Hash a number by its numeric hash, which equal numbers of different types share.
#[inline]
pub const fn hash_number(numeric_hash: i64) -> u64 {
    mix(numeric_hash as u64 ^ Kind::Number.tag())
}

/// Hash the absence of a value.
#[inline]
pub const fn hash_nothing() -> u64 {
    mix(Kind::Nothing.tag())
}

/// The hash of values in order, built one by one.
#[derive(Clone, Copy, Debug)]
pub struct Sequence(u64);

impl Sequence {
    /// Begin a sequence of `len` values.
    #[inline]
    pub const fn new(kind: Kind, len: usize) -> Self {
        Self(mix(kind.tag() ^ len as u64))
    }

    /// Add the hash of the next value.
    #[inline]
    #[must_use]
    pub const fn then(self, hash: u64) -> Self {
        Self(mix(self.0 ^ hash))
    }

    /// Add an integer, such as a field of a date.
    #[inline]
    #[must_use]
    pub const fn then_int(self, value: i64) -> Self {
        self.then(mix(value as u64))
    }

    /// Give the hash of all that was added.
    #[inline]
    pub const fn finish(self) -> u64 {
        self.0
    }
}

/// The hash of values without order, built one by one.
#[derive(Clone, Copy, Debug)]
pub struct Unordered {
    sum: u64,
    len: u64,
}

impl Unordered {
    /// Begin an empty set.
    pub const fn new() -> Self {
        Self { sum: 0, len: 0 }
    }

    /// Add the hash of one value.
    #[must_use]
    pub const fn and(self, hash: u64) -> Self {
        // Mixed again before the sum: without it, sets of one and of nested values would cancel out.
        Self {
            sum: self.sum.wrapping_add(mix(hash ^ Kind::Set.tag())),
            len: self.len + 1,
        }
    }

    /// Give the hash of all that was added.
    pub const fn finish(self) -> u64 {
        mix(self.sum ^ self.len ^ Kind::Set.tag())
    }
}

impl Default for Unordered {
    fn default() -> Self {
        Self::new()
    }
}

/// The way from a hash to a key group and from there to a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyGroups {
    groups: u32,
    partitions: u32,
}

impl KeyGroups {
    /// Check the numbers: at least one partition, and no more partitions than groups.
    pub fn new(groups: u32, partitions: u32) -> Result<Self> {
        if groups == 0 || partitions == 0 || partitions > groups {
            return Err(Error::Invalid(format!(
                "partitions must be between 1 and the number of key groups ({groups}), not {partitions}"
            )));
        }
        Ok(Self { groups, partitions })
    }

    /// Give the number of partitions.
    #[inline]
    pub const fn partitions(self) -> u32 {
        self.partitions
    }

    /// Give the key group of a hash: hash mod groups.
    #[inline]
    pub const fn group(self, hash: u64) -> u32 {
        (hash % self.groups as u64) as u32
    }

    /// Give the partition that holds a key group: group * partitions // groups.
    #[inline]
    pub const fn partition_of_group(self, group: u32) -> u32 {
        ((group as u64 * self.partitions as u64) / self.groups as u64) as u32
    }

    /// Give the partition of a hash.
    #[inline]
    pub const fn partition(self, hash: u64) -> u32 {
        self.partition_of_group(self.group(hash))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_of_version_1() {
        assert_eq!(HASH_VERSION, 1);
        let vectors: &[(&str, u64, u64)] = &[
            ("text ''", hash_text(b""), 0x2d06_8005_38d3_94c2),
            ("text 'a'", hash_text(b"a"), 0xe6c6_32b6_1e96_4e1f),
            (
                "text 'millstream'",
                hash_text(b"millstream"),
                0xbd33_9227_5844_0f84,
            ),
            ("text é", hash_text("é".as_bytes()), 0xf794_0a00_6cf1_0cb3),
            (
                "text of 300 bytes",
                hash_text(&[b'x'; 300]),
                0xa5d1_b460_7dc8_3554,
            ),
            (
                "bytes b''",
                hash_bytes(Kind::Bytes, b""),
                0xcd0f_6ae4_f10c_0f7b,
            ),
            (
                "bytes b'a'",
                hash_bytes(Kind::Bytes, b"a"),
                0x9de9_bb5a_81dd_7a7c,
            ),
            ("number 0", hash_number(0), 0x6e78_9e6a_a1b9_65f4),
            ("number 1", hash_number(1), 0xbeeb_8da1_658e_ec67),
            ("number -2", hash_number(-2), 0x50e4_f655_b573_460d),
            ("nothing", hash_nothing(), 0xe220_a839_7b1d_cdaf),
            (
                "()",
                Sequence::new(Kind::Tuple, 0).finish(),
                0xf88b_b8a8_724c_81ec,
            ),
            (
                "(1, 'a')",
                Sequence::new(Kind::Tuple, 2)
                    .then(hash_number(1))
                    .then(hash_text(b"a"))
                    .finish(),
                0x9369_1798_6d42_cf0d,
            ),
            ("{}", Unordered::new().finish(), 0x1b39_896a_51a8_749b),
            (
                "{1, 2}",
                Unordered::new()
                    .and(hash_number(1))
                    .and(hash_number(2))
                    .finish(),
                0x3b76_d5f3_1694_1fd0,
            ),
            (
                "date 2026-11-22",
                Sequence::new(Kind::Date, 3)
                    .then_int(2026)
                    .then_int(11)
                    .then_int(22)
                    .finish(),
                0x7dea_a3bb_d783_a4c5,
            ),
        ];
        let wrong: Vec<String> = vectors
            .iter()
            .filter(|(_, got, expected)| got != expected)
            .map(|(name, got, _)| format!("{name}: {got:#018x}"))
            .collect();
        assert!(wrong.is_empty(), "the hash changed:\n{}", wrong.join("\n"));
    }

    #[test]
    fn order_counts_in_sequences_and_not_in_sets() {
        let (one, two) = (hash_number(1), hash_number(2));
        let sequence = |a, b| Sequence::new(Kind::Tuple, 2).then(a).then(b).finish();
        assert_ne!(sequence(one, two), sequence(two, one));
        let set = |a, b| Unordered::new().and(a).and(b).finish();
        assert_eq!(set(one, two), set(two, one));
        assert_ne!(set(one, one), set(two, two));
    }

    #[test]
    fn small_numbers_and_short_texts_fill_all_groups_evenly() {
        let groups = KeyGroups::new(KEY_GROUPS, 1).unwrap();
        let mut numbers = vec![0_u32; KEY_GROUPS as usize];
        let mut texts = vec![0_u32; KEY_GROUPS as usize];
        for value in 0..102_400_i64 {
            numbers[groups.group(hash_number(value)) as usize] += 1;
            texts[groups.group(hash_text(value.to_string().as_bytes())) as usize] += 1;
        }
        // 100 expected in each; 50 and 160 are five to six standard deviations away.
        for counts in [numbers, texts] {
            assert!(counts.iter().all(|count| (50..160).contains(count)));
        }
    }

    #[test]
    fn partitions_are_runs_of_groups_of_nearly_equal_length() {
        for partitions in [1, 2, 3, 7, 64, 1000, 1024] {
            let groups = KeyGroups::new(KEY_GROUPS, partitions).unwrap();
            let mut sizes = vec![0_u32; partitions as usize];
            let mut last = 0;
            for group in 0..KEY_GROUPS {
                let partition = groups.partition_of_group(group);
                assert!(partition >= last);
                last = partition;
                sizes[partition as usize] += 1;
            }
            let (least, most) = (sizes.iter().min().unwrap(), sizes.iter().max().unwrap());
            assert!(most - least <= 1 && *least >= 1);
        }
    }

    #[test]
    fn impossible_numbers_are_refused() {
        for (groups, partitions) in [(0, 1), (1024, 0), (1024, 1025)] {
            assert!(KeyGroups::new(groups, partitions).is_err());
        }
    }
}

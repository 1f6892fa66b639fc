//! Pairs of plain keys and values as bytes, for another process on this machine.
//!
//! Each side of the pairs is a column of one kind: texts, whole numbers or floats. The layout is the kind of the keys
//! and that of the values (one byte each), the number of pairs (eight bytes), then the columns one behind the other:
//! eight bytes a number, or for texts the end of each (four bytes) and all of them without gaps. Little endian.

use crate::error::{Error, Result};

const HEADER_BYTES: usize = 10;
const NUMBER_BYTES: usize = 8;
const END_BYTES: usize = 4;

/// What one side of the pairs consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Texts of any length, four GiB together.
    Texts,
    /// Whole numbers of 64 bits with a sign.
    Ints,
    /// Floats of 64 bits.
    Floats,
}

impl Kind {
    fn code(self) -> u8 {
        match self {
            Self::Texts => 0,
            Self::Ints => 1,
            Self::Floats => 2,
        }
    }

    fn of_code(code: u8) -> Result<Self> {
        match code {
            0 => Ok(Self::Texts),
            1 => Ok(Self::Ints),
            2 => Ok(Self::Floats),
            _ => Err(broken("there is no such kind")),
        }
    }
}

/// One side of pairs while it is written.
#[derive(Debug)]
pub struct Writer {
    kind: Kind,
    ends: Vec<u8>,
    data: Vec<u8>,
}

impl Writer {
    /// Begin a column.
    pub fn new(kind: Kind) -> Self {
        Self {
            kind,
            ends: Vec::new(),
            data: Vec::new(),
        }
    }

    /// Append a text to a column of texts; false, and nothing appended, when the column is full.
    #[inline]
    pub fn text(&mut self, text: &[u8]) -> bool {
        let Ok(end) = u32::try_from(self.data.len() + text.len()) else {
            return false;
        };
        self.data.extend_from_slice(text);
        self.ends.extend_from_slice(&end.to_le_bytes());
        true
    }

    /// Append a number to a column of whole numbers.
    #[inline]
    pub fn int(&mut self, number: i64) {
        self.data.extend_from_slice(&number.to_le_bytes());
    }

    /// Append a number to a column of floats.
    #[inline]
    pub fn float(&mut self, number: f64) {
        self.data.extend_from_slice(&number.to_le_bytes());
    }

    fn size(&self) -> usize {
        self.ends.len() + self.data.len()
    }

    fn append_to(&self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&self.ends);
        bytes.extend_from_slice(&self.data);
    }
}

/// Put the two sides of `count` pairs together.
pub fn pack(keys: &Writer, values: &Writer, count: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER_BYTES + keys.size() + values.size());
    bytes.extend_from_slice(&[keys.kind.code(), values.kind.code()]);
    bytes.extend_from_slice(&(count as u64).to_le_bytes());
    keys.append_to(&mut bytes);
    values.append_to(&mut bytes);
    bytes
}

/// One side of pairs while it is read.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Column<'a> {
    /// The end of each text, and all of them.
    Texts(&'a [[u8; END_BYTES]], &'a str),
    /// The bytes of each number.
    Ints(&'a [[u8; NUMBER_BYTES]]),
    /// The bytes of each number.
    Floats(&'a [[u8; NUMBER_BYTES]]),
}

impl<'a> Column<'a> {
    fn take(kind: Kind, count: usize, bytes: &'a [u8]) -> Result<(Self, &'a [u8])> {
        if kind == Kind::Texts {
            let (ends, rest) = cut(bytes, count)?;
            let length = ends.last().map_or(0, |end| u32::from_le_bytes(*end)) as usize;
            let (data, rest) = rest
                .split_at_checked(length)
                .ok_or_else(|| broken("texts are cut off"))?;
            let texts = std::str::from_utf8(data).map_err(|_| broken("a text is not UTF-8"))?;
            return Ok((Self::Texts(ends, texts), rest));
        }
        let (numbers, rest) = cut(bytes, count)?;
        let column = if kind == Kind::Ints {
            Self::Ints(numbers)
        } else {
            Self::Floats(numbers)
        };
        Ok((column, rest))
    }

    /// Give the texts of a column of texts, given what it holds.
    pub fn texts(
        ends: &[[u8; END_BYTES]],
        texts: &'a str,
    ) -> impl Iterator<Item = Result<&'a str>> {
        let mut start = 0;
        ends.iter().map(move |end| {
            let end = u32::from_le_bytes(*end) as usize;
            let text = texts
                .get(start..end)
                .ok_or_else(|| broken("a text ends before it begins"))?;
            start = end;
            Ok(text)
        })
    }
}

fn cut<const N: usize>(bytes: &[u8], count: usize) -> Result<(&[[u8; N]], &[u8])> {
    let (head, rest) = count
        .checked_mul(N)
        .and_then(|size| bytes.split_at_checked(size))
        .ok_or_else(|| broken("a column is cut off"))?;
    Ok((head.as_chunks::<N>().0, rest))
}

/// Take apart what `pack` made: the keys, the values, and how many there are of each.
pub fn unpack(bytes: &[u8]) -> Result<(Column<'_>, Column<'_>, usize)> {
    let (header, rest) = bytes
        .split_at_checked(HEADER_BYTES)
        .ok_or_else(|| broken("the header is cut off"))?;
    let mut count = [0; 8];
    count.copy_from_slice(&header[2..]);
    let count = usize::try_from(u64::from_le_bytes(count)).map_err(|_| broken("too many pairs"))?;
    let (keys, rest) = Column::take(Kind::of_code(header[0])?, count, rest)?;
    let (values, rest) = Column::take(Kind::of_code(header[1])?, count, rest)?;
    if rest.is_empty() {
        Ok((keys, values, count))
    } else {
        Err(broken("bytes are left over"))
    }
}

fn broken(reason: &str) -> Error {
    Error::Invalid(format!("these bytes are not packed pairs: {reason}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(column: Column<'_>) -> Vec<String> {
        let Column::Texts(ends, all) = column else {
            panic!("texts expected");
        };
        Column::texts(ends, all)
            .map(|text| text.unwrap().to_owned())
            .collect()
    }

    fn packed() -> Vec<u8> {
        let (mut keys, mut values) = (Writer::new(Kind::Texts), Writer::new(Kind::Ints));
        for (key, value) in [("a", 1), ("", -2), ("größe", i64::MAX)] {
            assert!(keys.text(key.as_bytes()));
            values.int(value);
        }
        pack(&keys, &values, 3)
    }

    #[test]
    fn pairs_come_back() {
        let bytes = packed();
        let (keys, values, count) = unpack(&bytes).unwrap();
        assert_eq!(count, 3);
        assert_eq!(texts(keys), ["a", "", "größe"]);
        let Column::Ints(numbers) = values else {
            panic!("numbers expected");
        };
        let numbers: Vec<_> = numbers
            .iter()
            .map(|bytes| i64::from_le_bytes(*bytes))
            .collect();
        assert_eq!(numbers, [1, -2, i64::MAX]);
    }

    #[test]
    fn no_pairs_come_back() {
        let bytes = pack(&Writer::new(Kind::Ints), &Writer::new(Kind::Texts), 0);
        let (keys, values, count) = unpack(&bytes).unwrap();
        assert_eq!((keys, count), (Column::Ints(&[]), 0));
        assert!(texts(values).is_empty());
    }

    #[test]
    fn floats_keep_their_bits() {
        let (mut keys, mut values) = (Writer::new(Kind::Ints), Writer::new(Kind::Floats));
        for (key, value) in [(0, -0.0), (1, f64::NAN), (2, f64::MIN_POSITIVE)] {
            keys.int(key);
            values.float(value);
        }
        let bytes = pack(&keys, &values, 3);
        let Column::Floats(numbers) = unpack(&bytes).unwrap().1 else {
            panic!("floats expected");
        };
        let bits: Vec<_> = numbers
            .iter()
            .map(|b| f64::from_le_bytes(*b).to_bits())
            .collect();
        assert_eq!(bits, [-0.0, f64::NAN, f64::MIN_POSITIVE].map(f64::to_bits));
    }

    #[test]
    fn every_cut_is_noticed() {
        let bytes = packed();
        for length in 0..bytes.len() {
            assert!(unpack(&bytes[..length]).is_err(), "cut at {length}");
        }
        let mut longer = bytes;
        longer.push(0);
        assert!(unpack(&longer).is_err());
    }

    #[test]
    fn every_broken_byte_is_harmless() {
        let bytes = packed();
        for place in 0..bytes.len() {
            for change in [1, 0x80, 0xff] {
                let mut broken = bytes.clone();
                broken[place] ^= change;
                if let Ok((Column::Texts(ends, all), _, _)) = unpack(&broken) {
                    let _ = Column::texts(ends, all).collect::<Result<Vec<_>>>();
                }
            }
        }
    }
}

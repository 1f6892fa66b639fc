//! `MessagePack`: values written, and read token by token with every length checked before anything relies on it.

use rmp::{Marker, encode};

use crate::error::{Error, Result};

/// Bytes of one text, of one run of bytes and of one extension at most.
pub const LEN_MAX: usize = u32::MAX as usize;

/// Write a whole number in as few bytes as it needs.
#[inline]
pub fn put_int(out: &mut Vec<u8>, number: i64) {
    let _ = encode::write_sint(out, number).expect("memory takes all");
}

/// Write a whole number that is not negative in as few bytes as it needs.
#[inline]
pub fn put_uint(out: &mut Vec<u8>, number: u64) {
    let _ = encode::write_uint(out, number).expect("memory takes all");
}

/// Write a whole number, or nil for none.
pub fn put_optional_int(out: &mut Vec<u8>, number: Option<i64>) {
    match number {
        Some(number) => put_int(out, number),
        None => out.push(NIL),
    }
}

/// Write a number in floating point, bit by bit.
#[inline]
pub fn put_float(out: &mut Vec<u8>, number: f64) {
    encode::write_f64(out, number).expect("memory takes all");
}

/// Write text; at most [`LEN_MAX`] bytes.
#[inline]
pub fn put_text(out: &mut Vec<u8>, utf8: &[u8]) {
    let _ = encode::write_str_len(out, utf8.len() as u32).expect("memory takes all");
    out.extend_from_slice(utf8);
}

/// Write bytes; at most [`LEN_MAX`].
#[inline]
pub fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    let _ = encode::write_bin_len(out, bytes.len() as u32).expect("memory takes all");
    out.extend_from_slice(bytes);
}

/// Write the head of so many values; at most [`LEN_MAX`].
#[inline]
pub fn put_array(out: &mut Vec<u8>, len: usize) {
    let _ = encode::write_array_len(out, len as u32).expect("memory takes all");
}

/// Write the head of so many pairs; at most [`LEN_MAX`].
#[inline]
pub fn put_map(out: &mut Vec<u8>, len: usize) {
    let _ = encode::write_map_len(out, len as u32).expect("memory takes all");
}

/// Nothing.
pub const NIL: u8 = 0xc0;

/// Begin an extension whose length is not known yet; the result is for [`end_extension`].
#[inline]
pub fn begin_extension(out: &mut Vec<u8>, code: i8) -> usize {
    out.extend_from_slice(&[EXT_8, 0, code as u8]);
    out.len()
}

/// Write the length of an extension into its head; false when it is longer than [`LEN_MAX`].
#[inline]
pub fn end_extension(out: &mut Vec<u8>, start: usize) -> bool {
    let len = out.len() - start;
    if let Ok(short) = u8::try_from(len) {
        out[start - 2] = short;
        return true;
    }
    lengthen(out, start, len)
}

const EXT_8: u8 = 0xc7;
const EXT_16: u8 = 0xc8;
const EXT_32: u8 = 0xc9;

fn lengthen(out: &mut Vec<u8>, start: usize, len: usize) -> bool {
    let head = start - 3;
    let code = out[start - 1];
    if let Ok(len) = u16::try_from(len) {
        let len = len.to_be_bytes();
        out.splice(head..start, [EXT_16, len[0], len[1], code]);
    } else if let Ok(len) = u32::try_from(len) {
        let len = len.to_be_bytes();
        out.splice(head..start, [EXT_32, len[0], len[1], len[2], len[3], code]);
    } else {
        return false;
    }
    true
}

/// One value of `MessagePack`, or the head of one that holds others.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Token<'a> {
    /// The absence of a value.
    Nil,
    /// True or false.
    Bool(bool),
    /// A whole number that fits into 64 bits with a sign.
    Int(i64),
    /// A whole number above that.
    Uint(u64),
    /// A number in floating point.
    Float(f64),
    /// Text, not checked to be UTF-8.
    Text(&'a [u8]),
    /// Bytes.
    Bytes(&'a [u8]),
    /// The head of so many values.
    Array(usize),
    /// The head of so many pairs of values.
    Map(usize),
    /// A value of an extension: its code and its bytes.
    Extension(i8, &'a [u8]),
}

/// Reads tokens from bytes that may be wrong.
///
/// A head never promises more values than bytes are left for, all heads that are open taken together: whoever makes
/// room for what is promised makes room for at most as many values as there are bytes.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    data: &'a [u8],
    /// Where the data begin in what errors speak of.
    base: usize,
    position: usize,
    owed: usize,
}

impl<'a> Reader<'a> {
    /// Begin at the first byte.
    #[inline]
    pub const fn new(data: &'a [u8]) -> Self {
        Self {
            data,
            base: 0,
            position: 0,
            owed: 0,
        }
    }

    /// Begin at the first byte of what this reader has just read over: the content of a value.
    #[inline]
    #[must_use]
    pub const fn within(&self, content: &'a [u8]) -> Self {
        Self {
            data: content,
            base: self.position() - content.len(),
            position: 0,
            owed: 0,
        }
    }

    /// Give the offset of the next byte.
    #[inline]
    pub const fn position(&self) -> usize {
        self.base + self.position
    }

    /// Say whether all bytes are read.
    #[inline]
    pub const fn is_at_end(&self) -> bool {
        self.position == self.data.len()
    }

    /// Read the next token.
    #[inline]
    pub fn token(&mut self) -> Result<Token<'a>> {
        self.owed = self.owed.saturating_sub(1);
        let marker = Marker::from_u8(self.bytes::<1>()?[0]);
        Ok(match marker {
            Marker::FixPos(number) => Token::Int(i64::from(number)),
            Marker::FixNeg(number) => Token::Int(i64::from(number)),
            Marker::FixStr(len) => Token::Text(self.slice(usize::from(len))?),
            Marker::FixArray(len) => Token::Array(self.promise(usize::from(len), 1)?),
            Marker::FixMap(len) => Token::Map(self.promise(usize::from(len), 2)?),
            Marker::F64 => Token::Float(f64::from_be_bytes(self.bytes()?)),
            Marker::U8 => Token::Int(i64::from(self.bytes::<1>()?[0])),
            Marker::U16 => Token::Int(i64::from(u16::from_be_bytes(self.bytes()?))),
            Marker::U32 => Token::Int(i64::from(u32::from_be_bytes(self.bytes()?))),
            Marker::I64 => Token::Int(i64::from_be_bytes(self.bytes()?)),
            Marker::Null => Token::Nil,
            Marker::True => Token::Bool(true),
            Marker::False => Token::Bool(false),
            other => self.rare(other)?,
        })
    }

    fn rare(&mut self, marker: Marker) -> Result<Token<'a>> {
        Ok(match marker {
            Marker::U64 => {
                let number = u64::from_be_bytes(self.bytes()?);
                i64::try_from(number).map_or(Token::Uint(number), Token::Int)
            }
            Marker::I8 => Token::Int(i64::from(i8::from_be_bytes(self.bytes()?))),
            Marker::I16 => Token::Int(i64::from(i16::from_be_bytes(self.bytes()?))),
            Marker::I32 => Token::Int(i64::from(i32::from_be_bytes(self.bytes()?))),
            Marker::F32 => Token::Float(f64::from(f32::from_be_bytes(self.bytes()?))),
            Marker::Str8 | Marker::Bin8 | Marker::Ext8 => {
                let len = usize::from(self.bytes::<1>()?[0]);
                self.long(marker, len)?
            }
            Marker::Str16 | Marker::Bin16 | Marker::Ext16 | Marker::Array16 | Marker::Map16 => {
                let len = usize::from(u16::from_be_bytes(self.bytes()?));
                self.long(marker, len)?
            }
            Marker::Str32 | Marker::Bin32 | Marker::Ext32 | Marker::Array32 | Marker::Map32 => {
                let len = u32::from_be_bytes(self.bytes()?) as usize;
                self.long(marker, len)?
            }
            Marker::FixExt1 => self.extension(1)?,
            Marker::FixExt2 => self.extension(2)?,
            Marker::FixExt4 => self.extension(4)?,
            Marker::FixExt8 => self.extension(8)?,
            Marker::FixExt16 => self.extension(16)?,
            _ => return Err(self.malformed("a byte that begins no value")),
        })
    }

    fn long(&mut self, marker: Marker, len: usize) -> Result<Token<'a>> {
        Ok(match marker {
            Marker::Str8 | Marker::Str16 | Marker::Str32 => Token::Text(self.slice(len)?),
            Marker::Bin8 | Marker::Bin16 | Marker::Bin32 => Token::Bytes(self.slice(len)?),
            Marker::Array16 | Marker::Array32 => Token::Array(self.promise(len, 1)?),
            Marker::Map16 | Marker::Map32 => Token::Map(self.promise(len, 2)?),
            _ => self.extension(len)?,
        })
    }

    fn extension(&mut self, len: usize) -> Result<Token<'a>> {
        let code = i8::from_be_bytes(self.bytes()?);
        Ok(Token::Extension(code, self.slice(len)?))
    }

    /// Take note that `count` values of `each` tokens follow; refuse more than there are bytes for.
    #[inline]
    fn promise(&mut self, count: usize, each: usize) -> Result<usize> {
        // At most 2 * u32::MAX, and what is owed is bounded by the length of the data.
        let owed = self.owed + count * each;
        if owed > self.data.len() - self.position {
            return Err(self.malformed("more values are promised than bytes are left"));
        }
        self.owed = owed;
        Ok(count)
    }

    #[inline]
    fn slice(&mut self, len: usize) -> Result<&'a [u8]> {
        if len > self.data.len() - self.position {
            return Err(self.malformed("the data end within a value"));
        }
        let slice = &self.data[self.position..self.position + len];
        self.position += len;
        if self.owed > self.data.len() - self.position {
            return Err(self.malformed("more values are promised than bytes are left"));
        }
        Ok(slice)
    }

    #[inline]
    fn bytes<const N: usize>(&mut self) -> Result<[u8; N]> {
        let Some(bytes) = self.data[self.position..].first_chunk::<N>() else {
            return Err(self.malformed("the data end within a value"));
        };
        self.position += N;
        Ok(*bytes)
    }

    /// Make the error that says what is wrong here.
    #[cold]
    pub fn malformed(&self, reason: &str) -> Error {
        Error::Malformed {
            offset: self.position(),
            reason: reason.to_owned(),
        }
    }

    /// Read a whole number that is not negative.
    #[inline]
    pub fn count(&mut self) -> Result<usize> {
        match self.token()? {
            Token::Int(number) if number >= 0 => Ok(number as usize),
            _ => Err(self.malformed("a count is missing")),
        }
    }

    /// Read the head of an array.
    #[inline]
    pub fn array(&mut self) -> Result<usize> {
        match self.token()? {
            Token::Array(len) => Ok(len),
            _ => Err(self.malformed("an array is missing")),
        }
    }

    /// Read bytes.
    #[inline]
    pub fn blob(&mut self) -> Result<&'a [u8]> {
        match self.token()? {
            Token::Bytes(bytes) => Ok(bytes),
            _ => Err(self.malformed("bytes are missing")),
        }
    }

    /// Read a whole number or nothing.
    pub fn optional_int(&mut self) -> Result<Option<i64>> {
        match self.token()? {
            Token::Int(number) => Ok(Some(number)),
            Token::Nil => Ok(None),
            _ => Err(self.malformed("a number or nil is missing")),
        }
    }

    /// Read over one value, whatever it holds.
    pub fn skip(&mut self) -> Result<()> {
        let mut left = 1_usize;
        while left > 0 {
            left -= 1;
            match self.token()? {
                Token::Array(len) => left += len,
                Token::Map(len) => left += 2 * len,
                _ => {}
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_of_every_form() {
        let data = [
            0xc0, 0xc3, 0x05, 0xff, 0xcc, 200, 0xd1, 0xff, 0x00, 0xa2, b'h', b'i', 0xc4, 1, 7,
            0x92, 1, 2, 0x81, 1, 2, 0xd4, 9, 3,
        ];
        let mut reader = Reader::new(&data);
        let mut tokens = Vec::new();
        while !reader.is_at_end() {
            tokens.push(reader.token().unwrap());
        }
        let (one, two) = (Token::Int(1), Token::Int(2));
        let expected = [
            Token::Nil,
            Token::Bool(true),
            Token::Int(5),
            Token::Int(-1),
            Token::Int(200),
            Token::Int(-256),
            Token::Text(b"hi"),
            Token::Bytes(&[7]),
            Token::Array(2),
            one,
            two,
            Token::Map(1),
            one,
            two,
            Token::Extension(9, &[3]),
        ];
        assert_eq!(tokens, expected);
    }

    #[test]
    fn promises_are_held_against_the_bytes_that_are_left() {
        // An array of 2^32 - 1 values in five bytes.
        assert!(
            Reader::new(&[0xdd, 0xff, 0xff, 0xff, 0xff])
                .token()
                .is_err()
        );
        // Two nested arrays of four, with room for one of them only.
        let mut nested = Reader::new(&[0x94, 0x94, 1, 1, 1, 1, 1]);
        assert_eq!(nested.token().unwrap(), Token::Array(4));
        assert!(nested.token().is_err());
        // Text that would use up the bytes of what is still owed.
        let mut text = Reader::new(&[0x93, 0xa3, 1, 1, 1, 1]);
        assert_eq!(text.token().unwrap(), Token::Array(3));
        assert!(text.token().is_err());
    }
}

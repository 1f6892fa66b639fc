//! Bytes cut into lines and checked as UTF-8.
//!
//! A line ends at `\n`, `\r\n` or `\r`, as in a Python file opened with universal newlines. The end is no part of
//! the line. A last line without an end counts.

use std::str::FromStr;

use memchr::{memchr2, memchr2_iter};

use crate::error::{Error, Result};
use crate::lines::Lines;

/// The longest line that is ever kept, bytes: with replacement characters (three times as long) beside what
/// else fits into one column of 32-bit offsets.
pub const LINE_BYTES_MAX: usize = 512 << 20;

/// What happens to a line that is not UTF-8 or is too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnInvalid {
    /// Keep it: U+FFFD for what is not UTF-8, the beginning of what is too long.
    Replace,
    /// Leave it out.
    Skip,
    /// Stop with an error that names its place.
    Fail,
}

impl FromStr for OnInvalid {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "replace" => Ok(Self::Replace),
            "skip" => Ok(Self::Skip),
            "fail" => Ok(Self::Fail),
            _ => Err(Error::Invalid(format!(
                "on_invalid must be 'replace', 'skip' or 'fail', not '{text}'"
            ))),
        }
    }
}

/// Cuts a stream of bytes, given piece by piece, into lines.
///
/// A line is out as soon as its end was seen, also when that is the `\r` of a `\r\n` whose `\n` is not here yet.
#[derive(Debug)]
pub struct LineCutter {
    on_invalid: OnInvalid,
    line_bytes_max: usize,
    /// The beginning of a line whose end was not seen; at most `line_bytes_max` of it.
    unfinished: Vec<u8>,
    /// Whether `unfinished` is all that is kept of a line that is too long.
    too_long: bool,
    after_carriage_return: bool,
    /// Bytes before the next one to come.
    offset: u64,
    /// Where the line of `unfinished` starts.
    line_start: u64,
}

impl LineCutter {
    /// Begin at the offset `start` of a stream, at the beginning of a line.
    pub fn new(on_invalid: OnInvalid, line_bytes_max: usize, start: u64) -> Self {
        Self {
            on_invalid,
            line_bytes_max: line_bytes_max.min(LINE_BYTES_MAX),
            unfinished: Vec::new(),
            too_long: false,
            after_carriage_return: false,
            offset: start,
            line_start: start,
        }
    }

    /// Say that the byte before the next one was a `\r`: a `\n` now is the rest of that line's end.
    pub fn expect_line_feed(&mut self) {
        self.after_carriage_return = true;
    }

    /// Give the number of bytes held of a line without an end.
    pub fn unfinished_bytes(&self) -> usize {
        self.unfinished.len()
    }

    /// Cut at most `lines_max` lines out of `bytes` into `out`.
    ///
    /// Returns how many bytes were used: all of them, unless `lines_max` was reached.
    pub fn cut(&mut self, bytes: &[u8], lines_max: usize, out: &mut Lines) -> Result<usize> {
        let lines_end = out.len().saturating_add(lines_max);
        let mut used = 0;
        if self.after_carriage_return && !bytes.is_empty() {
            self.after_carriage_return = false;
            used = usize::from(bytes[0] == b'\n');
        }
        if used < bytes.len() && out.len() < lines_end && !self.unfinished.is_empty() {
            used += self.complete_unfinished(&bytes[used..], out)?;
        }
        if used < bytes.len() && out.len() < lines_end && self.unfinished.is_empty() {
            let skipped_at_most = lines_end - out.len();
            used += self.cut_complete_lines(&bytes[used..], used as u64, skipped_at_most, out)?;
            let at_limit = out.len() >= lines_end;
            if used < bytes.len() && !at_limit {
                self.line_start = self.offset + used as u64;
                self.keep(&bytes[used..])?;
                used = bytes.len();
            }
        }
        self.offset += used as u64;
        Ok(used)
    }

    /// Give the unfinished line, now that nothing more comes.
    pub fn finish(&mut self, out: &mut Lines) -> Result<()> {
        if self.unfinished.is_empty() {
            return Ok(());
        }
        self.push_unfinished(out)
    }

    /// Use `bytes` up to the end of the unfinished line, or all of them.
    fn complete_unfinished(&mut self, bytes: &[u8], out: &mut Lines) -> Result<usize> {
        let Some(end) = memchr2(b'\n', b'\r', bytes) else {
            self.keep(bytes)?;
            return Ok(bytes.len());
        };
        self.keep(&bytes[..end])?;
        self.push_unfinished(out)?;
        Ok(self.note_end(bytes, after_end(bytes, end)))
    }

    /// Note whether the `\n` of a line's end at the end of `bytes` may still come; give the position after the end.
    fn note_end(&mut self, bytes: &[u8], after: usize) -> usize {
        self.after_carriage_return = after > 0 && after == bytes.len() && bytes[after - 1] == b'\r';
        after
    }

    fn keep(&mut self, bytes: &[u8]) -> Result<()> {
        let room = self.line_bytes_max - self.unfinished.len();
        if bytes.len() > room {
            self.too_long = true;
            if self.on_invalid == OnInvalid::Fail {
                return Err(self.too_long_error(self.line_start));
            }
        }
        self.unfinished
            .extend_from_slice(&bytes[..bytes.len().min(room)]);
        Ok(())
    }

    fn push_unfinished(&mut self, out: &mut Lines) -> Result<()> {
        let line = std::mem::take(&mut self.unfinished);
        let too_long = std::mem::take(&mut self.too_long);
        self.push_checked(&line, too_long, self.line_start, out)?;
        self.unfinished = line;
        self.unfinished.clear();
        Ok(())
    }

    /// Cut whole lines; the check of UTF-8 is one for all of them, which is ten times as fast as one for each.
    fn cut_complete_lines(
        &mut self,
        bytes: &[u8],
        before: u64,
        lines_max: usize,
        out: &mut Lines,
    ) -> Result<usize> {
        let len_before = out.len();
        let mut start = 0;
        let mut longest = 0;
        for end in memchr2_iter(b'\n', b'\r', bytes) {
            if end < start {
                continue; // the \n of a \r\n
            }
            out.push_unchecked(&bytes[start..end]);
            longest = longest.max(end - start);
            start = after_end(bytes, end);
            if out.len() - len_before == lines_max {
                break;
            }
        }
        if longest <= self.line_bytes_max && simdutf8::basic::from_utf8(&bytes[..start]).is_ok() {
            return Ok(self.note_end(bytes, start));
        }
        out.truncate(len_before);
        self.cut_lines_one_by_one(&bytes[..start], before, out)?;
        Ok(self.note_end(bytes, start))
    }

    fn cut_lines_one_by_one(&self, bytes: &[u8], before: u64, out: &mut Lines) -> Result<()> {
        let mut start = 0;
        while let Some(len) = memchr2(b'\n', b'\r', &bytes[start..]) {
            let end = start + len;
            let kept = len.min(self.line_bytes_max);
            let line_start = self.offset + before + start as u64;
            self.push_checked(&bytes[start..start + kept], kept < len, line_start, out)?;
            start = after_end(bytes, end);
        }
        Ok(())
    }

    /// Add a line by the policy for invalid ones.
    fn push_checked(
        &self,
        line: &[u8],
        too_long: bool,
        line_start: u64,
        out: &mut Lines,
    ) -> Result<()> {
        let checked = simdutf8::compat::from_utf8(line);
        if checked.is_ok() && !too_long {
            out.push_unchecked(line);
            return Ok(());
        }
        match self.on_invalid {
            OnInvalid::Replace => out.push_unchecked(String::from_utf8_lossy(line).as_bytes()),
            OnInvalid::Skip => {}
            OnInvalid::Fail => {
                return Err(match checked {
                    Err(error) if !too_long => Error::InvalidLine {
                        line_start,
                        byte: line_start + error.valid_up_to() as u64,
                        reason: format!("byte {} of it is not UTF-8", error.valid_up_to()),
                    },
                    _ => self.too_long_error(line_start),
                });
            }
        }
        out.count_invalid();
        Ok(())
    }

    fn too_long_error(&self, line_start: u64) -> Error {
        Error::InvalidLine {
            line_start,
            byte: line_start + self.line_bytes_max as u64,
            reason: format!("it is longer than {} bytes", self.line_bytes_max),
        }
    }
}

/// Give the position after a line's end that begins at `end`.
#[inline]
fn after_end(bytes: &[u8], end: usize) -> usize {
    if bytes[end] == b'\r' && bytes.get(end + 1) == Some(&b'\n') {
        end + 2
    } else {
        end + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut_in_pieces(pieces: &[&[u8]], on_invalid: OnInvalid) -> Result<(Vec<String>, u64)> {
        let mut cutter = LineCutter::new(on_invalid, 16, 0);
        let mut lines = Lines::new();
        for piece in pieces {
            let used = cutter.cut(piece, usize::MAX, &mut lines)?;
            assert_eq!(used, piece.len());
        }
        cutter.finish(&mut lines)?;
        Ok((lines.iter().map(str::to_owned).collect(), lines.invalid()))
    }

    fn cut(bytes: &[u8]) -> Vec<String> {
        cut_in_pieces(&[bytes], OnInvalid::Fail).unwrap().0
    }

    #[test]
    fn the_three_ends_and_none() {
        assert_eq!(cut(b"a\nb\r\nc\rd"), ["a", "b", "c", "d"]);
        assert_eq!(cut(b"\n\r\r\n\n"), ["", "", "", ""]);
        assert_eq!(cut(b""), Vec::<String>::new());
        assert_eq!(
            cut("é\u{85}\u{2028}\x0b\n".as_bytes()),
            ["é\u{85}\u{2028}\x0b"]
        );
    }

    #[test]
    fn pieces_make_no_difference() {
        let mut bytes = "ab\r\n\r\r\nc\n\né—\r\nlast\r".as_bytes().to_vec();
        bytes.extend(b"\xff\xe2\x82\n\n12345678901234567890\r\nend");
        for policy in [OnInvalid::Replace, OnInvalid::Skip] {
            let whole = cut_in_pieces(&[&bytes], policy).unwrap();
            for first in 0..bytes.len() {
                for second in first..bytes.len() {
                    let pieces = [&bytes[..first], &bytes[first..second], &bytes[second..]];
                    assert_eq!(cut_in_pieces(&pieces, policy).unwrap(), whole);
                }
            }
        }
    }

    #[test]
    fn a_limit_of_lines_makes_no_difference() {
        let bytes = b"a\r\nb\r\rc\n\nd";
        for limit in 1..6 {
            let mut cutter = LineCutter::new(OnInvalid::Fail, 16, 0);
            let mut lines = Lines::new();
            let mut rest: &[u8] = bytes;
            while !rest.is_empty() {
                let before = lines.len();
                let used = cutter.cut(rest, limit, &mut lines).unwrap();
                assert!(lines.len() - before <= limit);
                rest = &rest[used..];
            }
            cutter.finish(&mut lines).unwrap();
            assert_eq!(
                lines.iter().collect::<Vec<_>>(),
                ["a", "b", "", "c", "", "d"]
            );
        }
    }

    #[test]
    fn invalid_lines_by_policy() {
        let bytes: &[u8] = b"good\nb\xffd\n12345678901234567\nend\xe2\x82";
        let (lines, invalid) = cut_in_pieces(&[bytes], OnInvalid::Replace).unwrap();
        assert_eq!(
            lines,
            ["good", "b\u{fffd}d", "1234567890123456", "end\u{fffd}"]
        );
        assert_eq!(invalid, 3);
        let (lines, invalid) = cut_in_pieces(&[bytes], OnInvalid::Skip).unwrap();
        assert_eq!((lines, invalid), (vec!["good".to_owned()], 3));
    }

    #[test]
    fn a_failure_names_its_place() {
        let place = |pieces: &[&[u8]]| match cut_in_pieces(pieces, OnInvalid::Fail) {
            Err(Error::InvalidLine {
                line_start, byte, ..
            }) => (line_start, byte),
            other => panic!("no failure: {other:?}"),
        };
        assert_eq!(place(&[b"good\nb\xffd\n"]), (5, 6));
        assert_eq!(place(&[b"good\r", b"\nb", b"\xffd\n"]), (6, 7));
        assert_eq!(place(&[b"good\nok\nx", b"12345678901234567"]), (8, 24));
        assert_eq!(place(&[b"a\n12345678901234567\n"]), (2, 18));
    }
}

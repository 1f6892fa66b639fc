//! Whole inputs cut into lines: bytes in memory, a range of a file.

use std::fs::File;
use std::io::{BufRead, BufReader, Seek, SeekFrom};
use std::path::Path;

use memchr::memchr2;

use crate::cutter::{LINE_BYTES_MAX, LineCutter, OnInvalid};
use crate::error::{Error, Result};
use crate::lines::Lines;

/// How much is read or cut at a time: small enough for the second-level cache.
const PIECE_BYTES: usize = 1 << 20;

/// A column is closed when it has this much text; 32-bit offsets hold eight times as much.
const COLUMN_BYTES: usize = 256 << 20;

/// Lines in as many columns as their size asks for.
#[derive(Debug, Default)]
struct Columns {
    closed: Vec<Lines>,
    open: Lines,
}

impl Columns {
    fn cut(&mut self, cutter: &mut LineCutter, bytes: &[u8]) -> Result<()> {
        cutter.cut(bytes, usize::MAX, &mut self.open)?;
        if self.open.bytes() >= COLUMN_BYTES {
            self.closed.push(std::mem::take(&mut self.open));
        }
        Ok(())
    }

    fn finish(mut self, cutter: &mut LineCutter) -> Result<Vec<Lines>> {
        cutter.finish(&mut self.open)?;
        if self.closed.is_empty() || !self.open.is_empty() || self.open.invalid() > 0 {
            self.closed.push(self.open);
        }
        Ok(self.closed)
    }
}

/// Cut bytes into lines; one column, or more where there is much text.
pub fn cut_lines(bytes: &[u8], on_invalid: OnInvalid) -> Result<Vec<Lines>> {
    let mut cutter = LineCutter::new(on_invalid, LINE_BYTES_MAX, 0);
    let mut columns = Columns::default();
    for piece in bytes.chunks(PIECE_BYTES) {
        columns.cut(&mut cutter, piece)?;
    }
    columns.finish(&mut cutter)
}

/// Read the lines of a file whose first byte is in `[start, end)`; none for `end` means all the rest.
///
/// Ranges that follow each other without gap give each line of the file once. A line that starts before `end` is
/// read to its own end, which may lie behind.
pub fn read_lines(
    path: &Path,
    start: u64,
    end: Option<u64>,
    on_invalid: OnInvalid,
) -> Result<Vec<Lines>> {
    let refused = |source| Error::File {
        path: path.to_owned(),
        source,
    };
    let end = end.unwrap_or(u64::MAX);
    if end < start {
        return Err(Error::Invalid(format!(
            "the range ends at byte {end}, before its start at {start}"
        )));
    }
    let mut file = File::open(path).map_err(refused)?;
    let before = start.saturating_sub(1);
    file.seek(SeekFrom::Start(before)).map_err(refused)?;
    let mut reader = BufReader::with_capacity(PIECE_BYTES, file);
    let first = if start == 0 {
        Some((0, false))
    } else {
        first_line_start(&mut reader, before).map_err(refused)?
    };
    let Some((first, after_carriage_return)) = first.filter(|(first, _)| *first < end) else {
        return Ok(vec![Lines::new()]);
    };
    let mut cutter = LineCutter::new(on_invalid, LINE_BYTES_MAX, first);
    if after_carriage_return {
        cutter.expect_line_feed();
    }
    let mut columns = Columns::default();
    let mut left = end - first;
    while left > 0 {
        let piece = reader.fill_buf().map_err(refused)?;
        if piece.is_empty() {
            break;
        }
        let used = left.min(piece.len() as u64) as usize;
        columns.cut(&mut cutter, &piece[..used])?;
        reader.consume(used);
        left -= used as u64;
    }
    while cutter.unfinished_bytes() > 0 {
        let piece = reader.fill_buf().map_err(refused)?;
        if piece.is_empty() {
            break;
        }
        let line_end = memchr2(b'\n', b'\r', piece).map_or(piece.len(), |end| end + 1);
        columns.cut(&mut cutter, &piece[..line_end])?;
        reader.consume(line_end);
    }
    columns.finish(&mut cutter)
}

/// Go to the first start of a line after the byte at `position`, which is the next to be read.
///
/// Returns its offset, and whether a `\n` that may stand there belongs to the line before; none at the end of file.
fn first_line_start(
    reader: &mut impl BufRead,
    mut position: u64,
) -> std::io::Result<Option<(u64, bool)>> {
    loop {
        let piece = reader.fill_buf()?;
        if piece.is_empty() {
            return Ok(None);
        }
        let line_end = memchr2(b'\n', b'\r', piece);
        let used = line_end.map_or(piece.len(), |end| end + 1);
        let after_carriage_return = piece[used - 1] == b'\r';
        reader.consume(used);
        position += used as u64;
        if line_end.is_some() {
            return Ok(Some((position, after_carriage_return)));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn texts(columns: &[Lines]) -> Vec<&str> {
        columns.iter().flat_map(Lines::iter).collect()
    }

    #[test]
    fn bytes_in_memory() {
        let lines = cut_lines(b"a\nb\r\nc", OnInvalid::Fail).unwrap();
        assert_eq!(texts(&lines), ["a", "b", "c"]);
        assert_eq!(texts(&cut_lines(b"", OnInvalid::Fail).unwrap()), [""; 0]);
    }

    #[test]
    fn every_way_to_cut_a_file_in_three_gives_each_line_once() {
        let text = b"one\ntwo\r\nthree\r\r\n\nfive\xffsix\n\rlast";
        let path = std::env::temp_dir().join(format!("millstream-read-{}", std::process::id()));
        File::create(&path).unwrap().write_all(text).unwrap();
        let read = |start, end| read_lines(&path, start, end, OnInvalid::Replace).unwrap();
        let whole = read(0, None);
        assert_eq!(
            texts(&whole),
            ["one", "two", "three", "", "", "five\u{fffd}six", "", "last"]
        );
        let size = text.len() as u64;
        for first in 0..=size {
            for second in first..=size {
                let ranges = [(0, Some(first)), (first, Some(second)), (second, None)];
                let parts = ranges.map(|(start, end)| read(start, end));
                let joined: Vec<&str> = parts.iter().flat_map(|part| texts(part)).collect();
                assert_eq!(joined, texts(&whole), "cut at {first} and {second}");
            }
        }
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = read_lines(Path::new("/nowhere/at-all"), 0, None, OnInvalid::Fail).unwrap_err();
        assert!(error.to_string().starts_with("/nowhere/at-all: "));
    }
}

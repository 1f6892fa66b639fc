//! Words of text columns, split exactly as Python's `str.split` does, without a copy.

use arrow_array::cast::AsArray;
use arrow_array::{Array, OffsetSizeTrait};
use arrow_schema::DataType;
use memchr::memmem::Finder;

use crate::error::{Error, Result};

/// Bytes that are classified at once: one bit each of a machine word.
const BLOCK: usize = 64;

/// One array of text that is known to be UTF-8, in every line of it, and to have no nulls.
#[derive(Clone, Copy, Debug)]
pub struct Text<'a> {
    /// The lines one behind the other, with nothing between them.
    bytes: &'a [u8],
    /// Where lines begin and the last one ends; counted from something before `bytes`.
    offsets: Offsets<'a>,
    ascii: bool,
}

#[derive(Clone, Copy, Debug)]
enum Offsets<'a> {
    Narrow(&'a [i32]),
    Wide(&'a [i64]),
}

impl<'a> Text<'a> {
    /// Look at an Arrow array as text.
    ///
    /// Gives None where it has nulls, is of another type than `Utf8` and `LargeUtf8`, or holds what is not UTF-8
    /// (which Arrow forbids, but nobody checks).
    pub fn of(array: &'a dyn Array) -> Option<Self> {
        if array.null_count() > 0 {
            return None;
        }
        match array.data_type() {
            DataType::Utf8 => {
                let lines = array.as_string::<i32>();
                let offsets = lines.value_offsets();
                Self::checked(lines.value_data(), offsets, Offsets::Narrow(offsets))
            }
            DataType::LargeUtf8 => {
                let lines = array.as_string::<i64>();
                let offsets = lines.value_offsets();
                Self::checked(lines.value_data(), offsets, Offsets::Wide(offsets))
            }
            _ => None,
        }
    }

    fn checked<O: OffsetSizeTrait>(
        values: &'a [u8],
        offsets: &'a [O],
        kept: Offsets<'a>,
    ) -> Option<Self> {
        let first = offsets.first()?.as_usize();
        let bytes = values.get(first..offsets.last()?.as_usize())?;
        let ascii = bytes.is_ascii();
        if !ascii {
            simdutf8::basic::from_utf8(bytes).ok()?;
            // What is UTF-8 as a whole is so line by line where no line begins inside a character.
            let whole = |at: &O| {
                bytes
                    .get(at.as_usize().wrapping_sub(first))
                    .is_none_or(|byte| !is_inner(*byte))
            };
            if !offsets.iter().all(whole) {
                return None;
            }
        }
        Some(Self {
            bytes,
            offsets: kept,
            ascii,
        })
    }

    /// Give the size of the text, bytes.
    pub fn bytes_count(&self) -> usize {
        self.bytes.len()
    }
}

/// A word: a piece of a text.
#[derive(Clone, Copy, Debug)]
pub struct Word<'a> {
    /// The text from the beginning of the word on.
    rest: &'a [u8],
    len: usize,
}

impl<'a> Word<'a> {
    /// Give its bytes, valid UTF-8.
    #[inline]
    pub fn bytes(&self) -> &'a [u8] {
        &self.rest[..self.len]
    }

    /// Give the text from the beginning of the word on, so that several bytes can be read at once.
    #[inline]
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Give its length, bytes.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.len
    }
}

/// A way to split lines into words.
#[derive(Debug)]
pub enum Splitter {
    /// `line.split()`: at runs of white space; no word is empty.
    Whitespace,
    /// `line.split(separator)` with a separator of one byte: at each occurrence; words may be empty.
    Byte(u8),
    /// `line.split(separator)` with a longer one: at each occurrence from left to right; words may be empty.
    Text(Box<Finder<'static>>),
}

impl Splitter {
    /// Make the splitter of `line.split(separator)`, which must not be empty.
    pub fn new(separator: Option<&str>) -> Result<Self> {
        Ok(match separator.map(str::as_bytes) {
            None => Self::Whitespace,
            Some([]) => return Err(Error::Invalid("empty separator".into())),
            Some([byte]) => Self::Byte(*byte),
            Some(bytes) => Self::Text(Box::new(Finder::new(bytes).into_owned())),
        })
    }

    /// Count the words of a text.
    pub fn count(&self, text: &Text<'_>) -> u64 {
        let mut words = 0;
        self.each(text, |_| words += 1);
        words
    }

    /// Hand over the words of a text in order.
    #[inline]
    pub fn each<'a>(&self, text: &Text<'a>, take: impl FnMut(Word<'a>)) {
        let bytes = text.bytes;
        match (self, text.offsets) {
            (Self::Whitespace, Offsets::Narrow(lines)) => {
                at_whitespace(bytes, lines, text.ascii, take);
            }
            (Self::Whitespace, Offsets::Wide(lines)) => {
                at_whitespace(bytes, lines, text.ascii, take);
            }
            (Self::Byte(byte), Offsets::Narrow(lines)) => at_byte(bytes, lines, *byte, take),
            (Self::Byte(byte), Offsets::Wide(lines)) => at_byte(bytes, lines, *byte, take),
            (Self::Text(finder), Offsets::Narrow(lines)) => at_text(bytes, lines, finder, take),
            (Self::Text(finder), Offsets::Wide(lines)) => at_text(bytes, lines, finder, take),
        }
    }
}

/// Split at one byte, a block of bytes of a line at a time: bits say where the byte is.
fn at_byte<'a, O: OffsetSizeTrait>(
    bytes: &'a [u8],
    offsets: &[O],
    byte: u8,
    mut take: impl FnMut(Word<'a>),
) {
    for (mut start, end) in lines(offsets) {
        for at in (start..end).step_by(BLOCK) {
            let mut found = match bytes[at..].first_chunk() {
                Some(more) => bits(more, |other| other == byte),
                None => bits(&padded(&bytes[at..]), |other| other == byte),
            };
            if end - at < BLOCK {
                found &= (1 << (end - at)) - 1;
            }
            while found != 0 {
                let place = at + pop(&mut found);
                take(word(bytes, start, place));
                start = place + 1;
            }
        }
        take(word(bytes, start, end));
    }
}

fn at_text<'a, O: OffsetSizeTrait>(
    bytes: &'a [u8],
    offsets: &[O],
    finder: &Finder<'_>,
    mut take: impl FnMut(Word<'a>),
) {
    for (line, end) in lines(offsets) {
        let mut start = line;
        for found in finder.find_iter(&bytes[line..end]) {
            take(word(bytes, start, line + found));
            start = line + found + finder.needle().len();
        }
        take(word(bytes, start, end));
    }
}

/// Where lines begin and end.
fn lines<O: OffsetSizeTrait>(offsets: &[O]) -> impl Iterator<Item = (usize, usize)> {
    let base = offsets[0].as_usize();
    offsets
        .windows(2)
        .map(move |ends| (ends[0].as_usize() - base, ends[1].as_usize() - base))
}

/// Split at white space, a block of bytes at a time: bits say where words begin and end.
///
/// Lines follow each other without anything between them, so the beginning of a line parts words too.
fn at_whitespace<'a, O: OffsetSizeTrait>(
    bytes: &'a [u8],
    offsets: &[O],
    ascii: bool,
    mut take: impl FnMut(Word<'a>),
) {
    let base = offsets[0].as_usize();
    let mut lines = offsets
        .iter()
        .map(|offset| offset.as_usize() - base)
        .peekable();
    let mut block = Block::default();
    let mut open = None;
    for at in (0..bytes.len()).step_by(BLOCK) {
        let within = match bytes[at..].first_chunk() {
            Some(whole) => block.next(whole, &bytes[at..], ascii),
            None => block.next(&padded(&bytes[at..]), &bytes[at..], ascii),
        };
        let mut first = 0_u64;
        while let Some(line) = lines.next_if(|line| *line < at + BLOCK) {
            first |= 1 << (line - at);
        }
        let mut starts = within.inside & (first | !within.before);
        // The byte after a word's last one, which may be the first of the next line and of its first word.
        let mut ends = within.before & (first | !within.inside);
        if let Some(start) = open
            && ends != 0
        {
            take(word(bytes, start, at + pop(&mut ends)));
            open = None;
        }
        while ends != 0 {
            let start = pop(&mut starts);
            take(word(bytes, at + start, at + pop(&mut ends)));
        }
        if starts != 0 {
            open = Some(at + pop(&mut starts));
        }
    }
    if let Some(start) = open {
        take(word(bytes, start, bytes.len()));
    }
}

/// What a block of bytes has to tell the next one.
#[derive(Default)]
struct Block {
    /// 1 where the last byte was inside a word.
    carried: u64,
    /// Bytes at the beginning of the next block that end a white space character of this one.
    spilled: u64,
}

/// One bit a byte.
struct Within {
    /// The byte is no white space.
    inside: u64,
    /// The byte before it is no white space.
    before: u64,
}

impl Block {
    /// Classify the next bytes; `rest` begins with them, but is not padded, and goes on to the end of the text.
    #[inline]
    fn next(&mut self, bytes: &[u8; BLOCK], rest: &[u8], ascii: bool) -> Within {
        let mut spaces = bits(bytes, is_ascii_space);
        if !ascii {
            spaces |= std::mem::take(&mut self.spilled);
            let mut candidates = bits(bytes, may_begin_space);
            while candidates != 0 {
                let place = pop(&mut candidates);
                let character = u128::from(wide_space(&rest[place..])) << place;
                spaces |= character as u64;
                self.spilled |= (character >> BLOCK) as u64;
            }
        }
        let inside = !spaces;
        let before = inside << 1 | self.carried;
        self.carried = inside >> (BLOCK - 1);
        Within { inside, before }
    }
}

#[inline]
fn word(bytes: &[u8], start: usize, end: usize) -> Word<'_> {
    Word {
        rest: &bytes[start..],
        len: end - start,
    }
}

fn padded(bytes: &[u8]) -> [u8; BLOCK] {
    let mut block = [b' '; BLOCK];
    block[..bytes.len()].copy_from_slice(bytes);
    block
}

/// Take the lowest bit that is set; gives its place.
#[inline]
fn pop(bits: &mut u64) -> usize {
    let place = bits.trailing_zeros() as usize;
    *bits &= *bits - 1;
    place
}

/// Give one bit a byte; written so that compilers use vector instructions.
#[inline]
fn bits(bytes: &[u8; BLOCK], is: impl Fn(u8) -> bool) -> u64 {
    let flags = bytes.map(|byte| u8::from(is(byte)));
    let (eights, _) = flags.as_chunks::<8>();
    let mut bits = 0;
    for (place, eight) in eights.iter().enumerate() {
        // The product gathers the lowest bit of each of the eight bytes in the uppermost byte.
        let gathered = u64::from_le_bytes(*eight).wrapping_mul(0x0102_0408_1020_4080) >> 56;
        bits |= gathered << (8 * place);
    }
    bits
}

/// Say whether Python's `str.split` splits at an ASCII character: also at the separators U+001C to U+001F.
#[inline]
fn is_ascii_space(byte: u8) -> bool {
    (byte == b' ') | (byte.wrapping_sub(0x09) < 5) | (byte.wrapping_sub(0x1C) < 4)
}

/// Say whether a byte may be the first of a white space character beyond ASCII.
#[inline]
fn may_begin_space(byte: u8) -> bool {
    (byte == 0xC2) | (byte.wrapping_sub(0xE1) < 3)
}

/// Give a bit for each byte of the white space character that valid UTF-8 begins with; 0 for any other character.
///
/// They are U+0085, U+00A0, U+1680, U+2000 to U+200A, U+2028, U+2029, U+202F, U+205F and U+3000: what has the
/// bidirectional type B, S or WS or the category Zs in Unicode, as `str.isspace` says.
fn wide_space(bytes: &[u8]) -> u8 {
    match bytes {
        [0xC2, 0x85 | 0xA0, ..] => 0b11,
        [0xE1, 0x9A, 0x80, ..]
        | [0xE2, 0x80, 0x80..=0x8A | 0xA8 | 0xA9 | 0xAF, ..]
        | [0xE2, 0x81, 0x9F, ..]
        | [0xE3, 0x80, 0x80, ..] => 0b111,
        _ => 0,
    }
}

/// Say whether a byte is one of a character of UTF-8, but not its first.
#[inline]
fn is_inner(byte: u8) -> bool {
    byte & 0xC0 == 0x80
}

#[cfg(test)]
mod tests {
    use arrow_array::{Array, BinaryArray, LargeStringArray, StringArray};
    use arrow_buffer::{Buffer, OffsetBuffer, ScalarBuffer};

    use super::{BLOCK, Splitter, Text};

    fn words_of(array: &dyn Array, separator: Option<&str>) -> Vec<String> {
        let text = Text::of(array).expect("it is text");
        let splitter = Splitter::new(separator).expect("it is a separator");
        let mut words = Vec::new();
        splitter.each(&text, |word| {
            words.push(String::from_utf8(word.bytes().to_vec()).expect("words are UTF-8"));
        });
        assert_eq!(splitter.count(&text), words.len() as u64);
        words
    }

    fn words(lines: &[&str], separator: Option<&str>) -> Vec<String> {
        words_of(&StringArray::from(lines.to_vec()), separator)
    }

    #[test]
    fn lines_are_split_at_runs_of_white_space() {
        let lines = ["to be\tor  not", "", " \n ", " to be", "be"];
        let expected = ["to", "be", "or", "not", "to", "be", "be"];
        assert_eq!(words(&lines, None), expected);
        assert_eq!(words(&[], None), [""; 0]);
    }

    #[test]
    fn white_space_is_that_of_python() {
        let spaces = "\t\n\u{b}\u{c}\r\u{1c}\u{1d}\u{1e}\u{1f} \u{85}\u{a0}\u{1680}\u{2000}\u{2001}\u{2002}\u{2003}\
            \u{2004}\u{2005}\u{2006}\u{2007}\u{2008}\u{2009}\u{200a}\u{2028}\u{2029}\u{202f}\u{205f}\u{3000}";
        let (mut lines, mut expected) = (Vec::new(), Vec::new());
        for character in (0..=0x0010_FFFF).filter_map(char::from_u32) {
            lines.push(format!("a{character}b"));
            if spaces.contains(character) {
                expected.extend(["a".to_owned(), "b".to_owned()]);
            } else {
                expected.push(format!("a{character}b"));
            }
        }
        assert_eq!(words_of(&StringArray::from(lines), None), expected);
    }

    #[test]
    fn it_does_not_matter_where_in_a_block_white_space_is() {
        for space in [" ", "\u{a0}", "\u{2003}", "\u{3000} ", "\u{2028}\u{85}"] {
            for length in 0..2 * BLOCK {
                let word = "é".repeat(length / 2) + &"x".repeat(length % 2);
                let line = format!("{word}{space}b{space}");
                let expected = if length == 0 {
                    vec!["b", "b"]
                } else {
                    vec![&*word, "b", &*word, "b"]
                };
                assert_eq!(
                    words(&[&line, &line], None),
                    expected,
                    "{space:?} after {length} bytes"
                );
            }
        }
    }

    #[test]
    fn a_line_that_ends_with_a_block_ends_its_word() {
        let long = "x".repeat(BLOCK);
        assert_eq!(
            words(&[&long, "y", "", &long, &long], None),
            [&long, "y", &long, &long]
        );
    }

    #[test]
    fn separators_part_empty_words_too() {
        assert_eq!(
            words(&["a,,b", "", ",", "c"], Some(",")),
            ["a", "", "b", "", "", "", "c"]
        );
        assert_eq!(
            words(&["a--b---c", "-", "--"], Some("--")),
            ["a", "b", "-c", "-", "", ""]
        );
        assert_eq!(words(&["ünü", "ü"], Some("ü")), ["", "n", "", "", ""]);
        assert_eq!(
            words(&["x", "xx"], Some("xx")),
            ["x", "", ""],
            "not across lines"
        );
        let long = format!("{},{}", "a".repeat(BLOCK), "b".repeat(2 * BLOCK - 1));
        assert_eq!(words(&[&long, &long], Some(",")).len(), 4);
    }

    #[test]
    fn an_empty_separator_is_refused() {
        assert!(Splitter::new(Some("")).is_err());
    }

    #[test]
    fn slices_and_wide_offsets_are_text_too() {
        let lines = StringArray::from(vec!["a b", "c ü", "d e"]);
        assert_eq!(words_of(&lines.slice(1, 1), None), ["c", "ü"]);
        assert_eq!(words_of(&lines.slice(1, 0), None), [""; 0]);
        let wide = LargeStringArray::from(vec!["a b", "c", "d,e"]);
        assert_eq!(words_of(&wide.slice(1, 2), None), ["c", "d,e"]);
        assert_eq!(words_of(&wide.slice(2, 1), Some(",")), ["d", "e"]);
        assert_eq!(words_of(&wide.slice(2, 1), Some(",e")), ["d", ""]);
    }

    #[test]
    fn what_is_not_text_is_refused() {
        assert!(Text::of(&StringArray::from(vec![Some("a"), None])).is_none());
        assert!(Text::of(&StringArray::from(vec![Some("a"), None]).slice(0, 1)).is_some());
        assert!(Text::of(&BinaryArray::from(vec![&b"a"[..]])).is_none());
        assert!(Text::of(&unchecked(b"\xff", &[0, 1])).is_none());
        assert!(Text::of(&unchecked("é".as_bytes(), &[0, 2])).is_some());
        assert!(
            Text::of(&unchecked("é".as_bytes(), &[0, 1, 2])).is_none(),
            "each line for itself"
        );
        assert!(
            Text::of(&unchecked(b"\xffok\xff", &[1, 2, 3])).is_some(),
            "what is no part of it does not matter"
        );
    }

    fn unchecked(bytes: &[u8], offsets: &[i32]) -> StringArray {
        let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets.to_vec()));
        // SAFETY: the array is only looked at by what is tested, which takes nothing for granted.
        unsafe { StringArray::new_unchecked(offsets, Buffer::from(bytes), None) }
    }
}

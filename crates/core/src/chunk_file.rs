//! Files of state chunks: where in them the chunks lie.

use crate::error::Result;
use crate::message::{Reader, Token};

/// The code of a list; docs/checkpoint-format.md, section "Values".
const LIST: i8 = 1;

/// A chunk in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row<'a> {
    /// The id of the table.
    pub table: &'a str,
    /// The partition of the table.
    pub partition: i64,
    /// Offset of the chunk, bytes.
    pub start: usize,
    /// Offset behind it, bytes.
    pub end: usize,
}

/// Find the chunks in what a file holds behind its header: a list of lists of table, partition and chunk.
pub fn rows(body: &[u8]) -> Result<Vec<Row<'_>>> {
    let mut outside = Reader::new(body);
    let mut list = list(&mut outside)?;
    let count = list.array()?;
    let rows = (0..count).map(|_| row(&mut list)).collect::<Result<_>>()?;
    if list.is_at_end() && outside.is_at_end() {
        Ok(rows)
    } else {
        Err(outside.malformed("the list of chunks has a wrong length"))
    }
}

fn row<'a>(list_of_rows: &mut Reader<'a>) -> Result<Row<'a>> {
    let mut row = list(list_of_rows)?;
    if row.array()? != 3 {
        return Err(row.malformed("a chunk has a table, a partition and bytes"));
    }
    let Token::Text(table) = row.token()? else {
        return Err(row.malformed("the table of a chunk is missing"));
    };
    let table = std::str::from_utf8(table).map_err(|_| row.malformed("a name is not UTF-8"))?;
    let Token::Int(partition) = row.token()? else {
        return Err(row.malformed("the partition of a chunk is missing"));
    };
    let chunk = row.blob()?;
    if !row.is_at_end() {
        return Err(row.malformed("a chunk has a wrong length"));
    }
    Ok(Row {
        table,
        partition,
        start: row.position() - chunk.len(),
        end: row.position(),
    })
}

fn list<'a>(reader: &mut Reader<'a>) -> Result<Reader<'a>> {
    match reader.token()? {
        Token::Extension(LIST, content) => Ok(reader.within(content)),
        _ => Err(reader.malformed("a list is missing")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `[["ab", 3, b"xyz"]]`.
    const BODY: [u8; 16] = [
        0xc7, 13, 1, 0x91, 0xc7, 9, 1, 0x93, 0xa2, b'a', b'b', 3, 0xc4, 3, b'x', b'y',
    ];

    fn body() -> Vec<u8> {
        let mut body = BODY.to_vec();
        body.push(b'z');
        body[1] = 14;
        body[5] = 10;
        body
    }

    #[test]
    fn chunks_are_found_where_they_lie() {
        let body = body();
        let expected = Row {
            table: "ab",
            partition: 3,
            start: 14,
            end: 17,
        };
        assert_eq!(rows(&body).unwrap(), [expected]);
        assert_eq!(rows(&[0xc7, 1, 1, 0x90]).unwrap(), []);
    }

    #[test]
    fn a_change_of_a_length_or_of_a_head_is_seen() {
        let body = body();
        for length in 0..body.len() {
            assert!(rows(&body[..length]).is_err());
        }
        for at in [0, 1, 2, 3, 4, 5, 6, 7, 12, 13] {
            let mut damaged = body.clone();
            damaged[at] ^= 1;
            assert!(rows(&damaged).is_err(), "byte {at}");
        }
    }
}

//! How often each word occurs, in order of first appearance.

use hashbrown::HashTable;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::words::Word;

/// Words of up to so many bytes are their own key.
const SHORT_BYTES_MAX: usize = 15;

/// The uppermost byte of a key: the length of a short word, or this.
const LONG: u128 = 0xFF << 120;

/// The bits of a long word's length that are in its key: all that a length can have.
const LONG_LEN: usize = (1 << 56) - 1;

/// Counts of words, in order of first appearance.
///
/// Entries are dense and in order, so that frequent words, which appear early, share few cache lines; the hash table
/// holds nothing but their numbers.
#[derive(Debug)]
pub struct WordCounts {
    numbers: HashTable<u32>,
    counted: Vec<Counted>,
    /// The words that are not their own key, one behind the other.
    long: Vec<u8>,
    seeds: [u64; 2],
}

#[derive(Debug)]
struct Counted {
    /// A short word with its length in the uppermost byte; of a long one its hash and length.
    key: u128,
    count: u64,
    /// Where a long word begins.
    long: usize,
}

impl WordCounts {
    /// Begin without words.
    ///
    /// The seed decides what collides, never what comes out. Words come from strangers: with a seed that they do not
    /// know they cannot make all their words collide.
    pub fn new(seed: u64) -> Self {
        Self {
            numbers: HashTable::new(),
            counted: Vec::new(),
            long: Vec::new(),
            seeds: [seed, xxh3_64_with_seed(&[], seed)],
        }
    }

    /// Give the number of different words.
    pub fn len(&self) -> usize {
        self.counted.len()
    }

    /// Say whether there is no word.
    pub fn is_empty(&self) -> bool {
        self.counted.is_empty()
    }

    /// Count a word.
    #[inline]
    pub fn add(&mut self, word: Word<'_>) {
        if word.len() > SHORT_BYTES_MAX {
            return self.add_long(word.bytes());
        }
        let key = short_key(word);
        let counted = &mut self.counted;
        let hash = hash(key, self.seeds);
        let found = self
            .numbers
            .find(hash, |number| counted[*number as usize].key == key);
        if let Some(number) = found {
            counted[*number as usize].count += 1;
            return;
        }
        let (count, long) = (1, 0);
        self.insert(hash, Counted { key, count, long });
    }

    // Why apart: short words are the rule, and few registers are needed for them.
    #[inline(never)]
    fn add_long(&mut self, word: &[u8]) {
        let seed = self.seeds[0];
        let key = LONG
            | ((word.len() & LONG_LEN) as u128) << 64
            | u128::from(xxh3_64_with_seed(word, seed));
        let hash = hash(key, self.seeds);
        let (counted, long) = (&mut self.counted, &mut self.long);
        let found = self.numbers.find(hash, |number| {
            let one = &counted[*number as usize];
            one.key == key && long[one.long..].starts_with(word)
        });
        if let Some(number) = found {
            counted[*number as usize].count += 1;
            return;
        }
        let (count, at) = (1, long.len());
        long.extend_from_slice(word);
        self.insert(
            hash,
            Counted {
                key,
                count,
                long: at,
            },
        );
    }

    #[inline(never)]
    fn insert(&mut self, hash: u64, one: Counted) {
        let number = u32::try_from(self.counted.len())
            .expect("fewer than 2^32 different words fit in memory");
        self.counted.push(one);
        if self.numbers.len() == self.numbers.capacity() {
            self.grow();
        } else {
            self.numbers
                .insert_unique(hash, number, |_| unreachable!("there is room"));
        }
    }

    /// Make a larger table of all that was counted.
    ///
    /// Why not let the table grow by itself: it asks for the hashes in its own order, which is all over the entries.
    #[cold]
    #[inline(never)]
    fn grow(&mut self) {
        self.numbers = HashTable::with_capacity(2 * self.counted.len().max(16));
        for (number, one) in self.counted.iter().enumerate() {
            self.numbers
                .insert_unique(hash(one.key, self.seeds), number as u32, |_| {
                    unreachable!("there is room")
                });
        }
    }

    /// Hand over each word and its count, in order of first appearance.
    pub fn each<E>(&self, mut take: impl FnMut(&[u8], u64) -> Result<(), E>) -> Result<(), E> {
        for one in &self.counted {
            let bytes = one.key.to_le_bytes();
            let text = match bytes[SHORT_BYTES_MAX] as usize {
                len @ ..=SHORT_BYTES_MAX => &bytes[..len],
                _ => &self.long[one.long..][..(one.key >> 64) as usize & LONG_LEN],
            };
            take(text, one.count)?;
        }
        Ok(())
    }
}

#[inline]
fn short_key(word: Word<'_>) -> u128 {
    let len = word.len();
    let text = if let Some(more) = word.rest().first_chunk::<16>() {
        // Why read more than the word: one load without a loop or a branch on the length.
        u128::from_le_bytes(*more) & ((1 << (8 * len)) - 1)
    } else {
        let mut bytes = [0; 16];
        bytes[..len].copy_from_slice(word.bytes());
        u128::from_le_bytes(bytes)
    };
    text | (len as u128) << 120
}

/// Hash a key by one multiplication whose halves are folded together.
#[inline]
fn hash(key: u128, seeds: [u64; 2]) -> u64 {
    let product = u128::from(key as u64 ^ seeds[0]) * u128::from((key >> 64) as u64 ^ seeds[1]);
    product as u64 ^ (product >> 64) as u64
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::convert::Infallible;

    use arrow_array::StringArray;

    use super::WordCounts;
    use crate::words::{Splitter, Text};

    fn counted(lines: &[String], seed: u64) -> Vec<(String, u64)> {
        let array = StringArray::from(lines.to_vec());
        let mut counts = WordCounts::new(seed);
        let text = Text::of(&array).expect("it is text");
        Splitter::Byte(b',').each(&text, |word| counts.add(word));
        let mut pairs = Vec::new();
        let Ok(()) = counts.each(|word, count| {
            pairs.push((
                String::from_utf8(word.to_vec()).expect("words are UTF-8"),
                count,
            ));
            Ok::<_, Infallible>(())
        });
        pairs
    }

    #[test]
    fn words_are_counted_in_order_of_first_appearance() {
        let lines = ["b,a,,b".to_owned(), "a,b".to_owned()];
        assert_eq!(
            counted(&lines, 7),
            [("b".into(), 3), ("a".into(), 2), (String::new(), 1)]
        );
        assert_eq!(counted(&[], 7), []);
    }

    #[test]
    fn words_of_any_length_and_with_any_bytes_are_told_apart() {
        let mut lines: Vec<_> = (0..40).map(|length| "x".repeat(length)).collect();
        lines.extend((0..40).map(|length| "x".repeat(length) + "\0"));
        lines.extend((1..40).map(|length| "\0".repeat(length) + "x"));
        lines.extend((20..40).map(|length| "x".repeat(length) + "y"));
        let once: Vec<_> = lines.iter().map(|line| (line.clone(), 1)).collect();
        assert_eq!(counted(&lines, 0), once);
        let twice: Vec<_> = lines.iter().map(|line| (line.clone(), 2)).collect();
        assert_eq!(counted(&[lines.clone(), lines].concat(), 0), twice);
    }

    #[test]
    fn many_words_are_counted_whatever_the_seed() {
        let lines: Vec<_> = (0..200_000_u32)
            .map(|n| format!("word {}", n.wrapping_mul(2_654_435_769) >> 18))
            .collect();
        let mut order = Vec::new();
        let mut expected = HashMap::new();
        for line in &lines {
            *expected.entry(line).or_insert_with(|| {
                order.push(line);
                0
            }) += 1;
        }
        let expected: Vec<_> = order
            .into_iter()
            .map(|word| (word.clone(), expected[word]))
            .collect();
        for seed in [0, 1, u64::MAX] {
            assert_eq!(counted(&lines, seed), expected);
        }
    }
}

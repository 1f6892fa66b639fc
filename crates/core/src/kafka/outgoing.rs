//! Arrow columns of records that are to be written.

use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;
use arrow_array::{
    Array, ArrayRef, BinaryArray, Int32Array, LargeBinaryArray, ListArray, StringArray, StructArray,
};
use arrow_schema::DataType;

use super::error::{KafkaError, Kind, Result};

/// Let the library choose the partition of a record.
pub const ANY_PARTITION: i32 = -1;

/// Records that are to be written: columns of one length.
///
/// `key` and `value` are binary or large binary, null where a record has none. Each may be missing: `topic`, a
/// dictionary of text; `partition`, int32, -1 where the library is to choose; `headers`, lists of structs of `key`
/// (text) and `value` (large binary).
pub struct Outgoing {
    keys: Bytes,
    values: Bytes,
    topics: Option<(Int32Array, StringArray)>,
    partitions: Option<Int32Array>,
    headers: Option<ListArray>,
}

impl Outgoing {
    /// Take the columns of a struct array.
    pub fn of(columns: &StructArray) -> Result<Self> {
        let needed = |name: &str| {
            columns
                .column_by_name(name)
                .and_then(Bytes::of)
                .ok_or_else(|| wrong(name, "binary or large binary"))
        };
        Ok(Self {
            keys: needed("key")?,
            values: needed("value")?,
            topics: columns.column_by_name("topic").map(topics).transpose()?,
            partitions: columns
                .column_by_name("partition")
                .map(|column| {
                    let numbers = column.as_primitive_opt::<Int32Type>().cloned();
                    numbers.ok_or_else(|| wrong("partition", "int32"))
                })
                .transpose()?,
            headers: columns.column_by_name("headers").map(headers).transpose()?,
        })
    }

    /// How many records there are.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Say whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The key of a record.
    pub fn key(&self, row: usize) -> Option<&[u8]> {
        self.keys.at(row)
    }

    /// The value of a record.
    pub fn value(&self, row: usize) -> Option<&[u8]> {
        self.values.at(row)
    }

    /// The Kafka partition of a record, -1 where the library is to choose.
    pub fn partition(&self, row: usize) -> i32 {
        self.partitions
            .as_ref()
            .map_or(ANY_PARTITION, |numbers| numbers.value(row))
    }

    /// The names of topics, where records say theirs.
    pub fn topic_names(&self) -> Option<&StringArray> {
        self.topics.as_ref().map(|(_, names)| names)
    }

    /// The number of a record's topic among the names.
    pub fn topic(&self, row: usize) -> usize {
        self.topics
            .as_ref()
            .map_or(0, |(numbers, _)| numbers.value(row) as usize)
    }

    /// Say whether records may have headers.
    pub fn has_headers(&self) -> bool {
        self.headers.is_some()
    }

    /// The headers of a record.
    pub fn headers(&self, row: usize) -> Vec<(String, Option<Vec<u8>>)> {
        let Some(list) = &self.headers else {
            return Vec::new();
        };
        let items = list.value(row);
        let items = items.as_struct();
        let (names, values) = (items.column(0).as_string::<i32>(), items.column(1));
        let values = values.as_binary::<i64>();
        (0..items.len())
            .map(|index| {
                let value = values.is_valid(index).then(|| values.value(index).to_vec());
                (names.value(index).to_owned(), value)
            })
            .collect()
    }
}

/// A column of bytes, as what was read and what Python makes have it.
enum Bytes {
    Small(BinaryArray),
    Large(LargeBinaryArray),
}

impl Bytes {
    fn of(column: &ArrayRef) -> Option<Self> {
        let small = column.as_binary_opt::<i32>().cloned().map(Self::Small);
        small.or_else(|| column.as_binary_opt::<i64>().cloned().map(Self::Large))
    }

    fn len(&self) -> usize {
        match self {
            Self::Small(cells) => cells.len(),
            Self::Large(cells) => cells.len(),
        }
    }

    fn at(&self, row: usize) -> Option<&[u8]> {
        match self {
            Self::Small(cells) => cells.is_valid(row).then(|| cells.value(row)),
            Self::Large(cells) => cells.is_valid(row).then(|| cells.value(row)),
        }
    }
}

fn topics(column: &ArrayRef) -> Result<(Int32Array, StringArray)> {
    let dictionary = column
        .as_dictionary_opt::<Int32Type>()
        .filter(|dictionary| dictionary.null_count() == 0);
    let names = dictionary.and_then(|dictionary| dictionary.values().as_string_opt::<i32>());
    match (dictionary, names) {
        (Some(dictionary), Some(names)) => Ok((dictionary.keys().clone(), names.clone())),
        _ => Err(wrong("topic", "a dictionary of text")),
    }
}

fn headers(column: &ArrayRef) -> Result<ListArray> {
    let list = column.as_list_opt::<i32>().cloned();
    let fits = |list: &ListArray| match list.value_type() {
        DataType::Struct(fields) => {
            let kinds: Vec<_> = fields.iter().map(|field| field.data_type()).collect();
            kinds == [&DataType::Utf8, &DataType::LargeBinary]
        }
        _ => false,
    };
    list.filter(fits)
        .ok_or_else(|| wrong("headers", "lists of text and large binary"))
}

fn wrong(name: &str, wanted: &str) -> KafkaError {
    KafkaError::new(
        Kind::Invalid,
        format!("the column {name:?} of outgoing records is missing or is not {wanted}"),
    )
}

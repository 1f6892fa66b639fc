//! Kafka records as Arrow columns.

use std::ffi::CStr;
use std::slice;
use std::sync::{Arc, LazyLock};

use arrow_array::builder::BooleanBufferBuilder;
use arrow_array::{
    ArrayRef, BinaryArray, DictionaryArray, Int8Array, Int32Array, Int64Array, ListArray,
    RecordBatch, StringArray, StructArray,
};
use arrow_buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow_schema::{DataType, Field, Fields, Schema, SchemaRef};
use rdkafka::bindings as ffi;

/// Records of one batch of columns, at most; their offsets into the bytes of keys and values must fit 31 bits.
pub const RECORDS_MAX: usize = 65_536;

/// Bytes of keys or of values after which a batch of columns is full.
pub const BYTES_MAX: usize = 64 << 20;

static HEADER_FIELDS: LazyLock<Fields> = LazyLock::new(|| {
    Fields::from(vec![
        Field::new("key", DataType::Utf8, false),
        Field::new("value", DataType::Binary, true),
    ])
});

/// The columns of Kafka records.
pub static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
    let topic = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    Arc::new(Schema::new(vec![
        Field::new("key", DataType::Binary, true),
        Field::new("value", DataType::Binary, true),
        Field::new("topic", topic, false),
        Field::new("partition", DataType::Int32, false),
        Field::new("offset", DataType::Int64, false),
        Field::new("timestamp_ms", DataType::Int64, true),
        Field::new("timestamp_type", DataType::Int8, false),
        Field::new("headers", header_list(), false),
    ]))
});

fn header_list() -> DataType {
    DataType::List(Arc::new(header_item()))
}

fn header_item() -> Field {
    Field::new("item", DataType::Struct(HEADER_FIELDS.clone()), false)
}

/// Bytes that may be null, the way Arrow keeps them.
struct Bytes {
    values: Vec<u8>,
    offsets: Vec<i32>,
    valid: Option<BooleanBufferBuilder>,
}

impl Bytes {
    fn new() -> Self {
        Self {
            values: Vec::new(),
            offsets: vec![0],
            valid: None,
        }
    }

    fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Add bytes, or null where the pointer is.
    ///
    /// # Safety
    /// A pointer that is not null has `len` bytes.
    unsafe fn push(&mut self, bytes: *const u8, len: usize) {
        if bytes.is_null() {
            let before = self.len();
            self.valid
                .get_or_insert_with(|| {
                    let mut valid = BooleanBufferBuilder::new(RECORDS_MAX);
                    valid.append_n(before, true);
                    valid
                })
                .append(false);
        } else {
            // SAFETY: the caller's promise.
            self.values
                .extend_from_slice(unsafe { slice::from_raw_parts(bytes, len) });
            if let Some(valid) = &mut self.valid {
                valid.append(true);
            }
        }
        self.offsets.push(self.values.len() as i32);
    }

    fn finish(self) -> BinaryArray {
        let nulls = self.valid.map(|mut valid| NullBuffer::new(valid.finish()));
        let offsets = OffsetBuffer::new(ScalarBuffer::from(self.offsets));
        BinaryArray::new(offsets, Buffer::from_vec(self.values), nulls)
    }
}

/// Names and values of headers, those of one record behind those of the other.
struct Headers {
    names: Vec<u8>,
    name_ends: Vec<i32>,
    values: Bytes,
    ends: Vec<i32>,
}

impl Headers {
    fn new() -> Self {
        Self {
            names: Vec::new(),
            name_ends: vec![0],
            values: Bytes::new(),
            ends: vec![0],
        }
    }

    /// Add the headers of a record.
    ///
    /// # Safety
    /// The message is alive.
    unsafe fn push(&mut self, message: *const ffi::rd_kafka_message_t) {
        // SAFETY: the caller's promise.
        if unsafe { has_none(message) } {
            self.ends.push(self.values.len() as i32);
            return;
        }
        let mut headers = std::ptr::null_mut();
        // SAFETY: the message is alive and owns the headers; names end with a zero, values have their size.
        unsafe {
            let code = ffi::rd_kafka_message_headers(message, &raw mut headers);
            if code == ffi::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR && !headers.is_null() {
                for index in 0..ffi::rd_kafka_header_cnt(headers) {
                    let (mut name, mut value, mut size) =
                        (std::ptr::null(), std::ptr::null(), 0_usize);
                    ffi::rd_kafka_header_get_all(
                        headers,
                        index,
                        &raw mut name,
                        &raw mut value,
                        &raw mut size,
                    );
                    let name = CStr::from_ptr(name).to_string_lossy();
                    self.names.extend_from_slice(name.as_bytes());
                    self.name_ends.push(self.names.len() as i32);
                    self.values.push(value.cast(), size);
                }
            }
        }
        self.ends.push(self.values.len() as i32);
    }

    fn finish(self) -> ListArray {
        // SAFETY: the names were made of text, and each end is that of a name.
        let names = unsafe {
            let offsets = OffsetBuffer::new_unchecked(ScalarBuffer::from(self.name_ends));
            StringArray::new_unchecked(offsets, Buffer::from_vec(self.names), None)
        };
        let columns: Vec<ArrayRef> = vec![Arc::new(names), Arc::new(self.values.finish())];
        let items = StructArray::new(HEADER_FIELDS.clone(), columns, None);
        let offsets = OffsetBuffer::new(ScalarBuffer::from(self.ends));
        ListArray::new(Arc::new(header_item()), offsets, Arc::new(items), None)
    }
}

/// Say whether a record surely has no headers, without having the library parse them: that takes it an allocation, and a
/// third of all the time that a record takes.
///
/// # Safety
/// The message is alive.
unsafe fn has_none(message: *const ffi::rd_kafka_message_t) -> bool {
    // SAFETY: the caller's promise. Only records of format 2 have the epoch of a leader, and the library leaves them in
    // the buffer in which they came, where behind the value comes the number of headers, always, and 0 as one byte of 0.
    unsafe {
        let record = &*message;
        !record.payload.is_null()
            && ffi::rd_kafka_message_leader_epoch(message) >= 0
            && *record.payload.cast::<u8>().add(record.len) == 0
    }
}

/// Records of one Kafka partition that are being collected.
pub struct Records {
    keys: Bytes,
    values: Bytes,
    offsets: Vec<i64>,
    times: Vec<i64>,
    time_types: Vec<i8>,
    headers: Headers,
}

impl Default for Records {
    fn default() -> Self {
        Self::new()
    }
}

impl Records {
    /// Begin without any record.
    pub fn new() -> Self {
        Self {
            keys: Bytes::new(),
            values: Bytes::new(),
            offsets: Vec::new(),
            times: Vec::new(),
            time_types: Vec::new(),
            headers: Headers::new(),
        }
    }

    /// Begin anew with room for as much as there is now.
    #[must_use]
    pub fn renewed(&self) -> Self {
        let mut new = Self::new();
        let records = self.offsets.len();
        for (new, old) in [(&mut new.keys, &self.keys), (&mut new.values, &self.values)] {
            new.values.reserve_exact(old.values.len());
            new.offsets.reserve_exact(records);
        }
        new.offsets.reserve_exact(records);
        new.times.reserve_exact(records);
        new.time_types.reserve_exact(records);
        new.headers.ends.reserve_exact(records);
        new
    }

    /// Say whether there is no record.
    pub fn is_empty(&self) -> bool {
        self.offsets.is_empty()
    }

    /// Say whether no further record fits.
    pub fn is_full(&self) -> bool {
        self.offsets.len() >= RECORDS_MAX
            || self.values.values.len() >= BYTES_MAX
            || self.keys.values.len() >= BYTES_MAX
            || self.headers.values.values.len() >= BYTES_MAX
    }

    /// Give the bytes of keys, values and headers.
    pub fn bytes(&self) -> usize {
        self.keys.values.len() + self.values.values.len() + self.headers.values.values.len()
    }

    /// Add a record.
    ///
    /// # Safety
    /// The message is alive and a record, not an error.
    pub unsafe fn push(&mut self, message: *const ffi::rd_kafka_message_t) {
        // SAFETY: the caller's promise; a message's pointers are null or have their length.
        unsafe {
            let record = &*message;
            self.keys.push(record.key.cast(), record.key_len);
            self.values.push(record.payload.cast(), record.len);
            self.offsets.push(record.offset);
            let mut kind = ffi::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
            self.times
                .push(ffi::rd_kafka_message_timestamp(message, &raw mut kind));
            self.time_types.push(kind as i8);
            self.headers.push(message);
        }
    }

    /// Give the records as Arrow columns.
    pub fn finish(self, topic: &str, partition: i32) -> RecordBatch {
        let len = self.offsets.len();
        let topics = DictionaryArray::new(
            Int32Array::from(vec![0; len]),
            Arc::new(StringArray::from(vec![topic])) as ArrayRef,
        );
        let has_times = self.time_types.iter().all(|kind| *kind != 0);
        let times = if has_times {
            Int64Array::from(self.times)
        } else {
            let known = self.times.iter().zip(&self.time_types);
            known
                .map(|(time, kind)| (*kind != 0).then_some(*time))
                .collect()
        };
        let columns: Vec<ArrayRef> = vec![
            Arc::new(self.keys.finish()),
            Arc::new(self.values.finish()),
            Arc::new(topics),
            Arc::new(Int32Array::from(vec![partition; len])),
            Arc::new(Int64Array::from(self.offsets)),
            Arc::new(times),
            Arc::new(Int8Array::from(self.time_types)),
            Arc::new(self.headers.finish()),
        ];
        RecordBatch::try_new(Arc::clone(&SCHEMA), columns).expect("the columns are of one length")
    }
}

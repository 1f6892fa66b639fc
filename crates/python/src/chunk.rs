//! Keys and values of state tables as blocks of a chunk, and what a chunk says of itself.

use millstream_core::chunk::Counts;
use millstream_core::chunk_reader::ChunkReader;
use millstream_core::chunk_writer::{Entries, KeyBlock, Keys};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};

use crate::bytes::Bytes;
use crate::encoder::{Encoder, Refusal};
use crate::error::raise;
use crate::identity::{Identities, is_its_own};
use crate::writer::Writer;

/// Add what this file offers to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(describe_chunk, module)?)?;
    module.add_function(wrap_pyfunction!(write_entries, module)?)?;
    module.add_function(wrap_pyfunction!(write_keys, module)?)
}

/// A block and the place in the lists behind what it holds.
type Taken<'py> = (Bound<'py, PyBytes>, usize);

/// Write a block of keys and values.
#[pyfunction]
fn write_entries<'py>(
    encoder: &Encoder,
    keys: &Bound<'py, PyList>,
    values: &Bound<'py, PyList>,
    start: usize,
) -> PyResult<Taken<'py>> {
    let py = keys.py();
    let mut block = Entries::default();
    let mut blocks = KeyWriter::new(py, encoder);
    let mut index = start;
    let len = keys.len().min(values.len());
    while index < len && !block.is_full() {
        let (key, value) = (keys.get_item(index)?, values.get_item(index)?);
        blocks
            .key(&key, &mut block.keys)
            .map_err(|refusal| refusal.into_error(py, Some(index), true))?;
        blocks
            .write(&value, &mut block.values.data)
            .map_err(|refusal| refusal.into_error(py, Some(index), false))?;
        block.values.end();
        index += 1;
    }
    let mut out = Vec::new();
    block.flush(&mut out);
    Ok((PyBytes::new(py, &out), index))
}

/// Write a block of keys that were removed, or that were touched at a time.
#[pyfunction]
fn write_keys<'py>(
    encoder: &Encoder,
    keys: &Bound<'py, PyList>,
    start: usize,
    touched_ms: Option<i64>,
) -> PyResult<Taken<'py>> {
    let py = keys.py();
    let mut block = KeyBlock::new(touched_ms);
    let mut blocks = KeyWriter::new(py, encoder);
    let mut index = start;
    while index < keys.len() && !block.is_full() {
        blocks
            .key(&keys.get_item(index)?, &mut block.keys)
            .map_err(|refusal| refusal.into_error(py, Some(index), true))?;
        index += 1;
    }
    let mut out = Vec::new();
    block.flush(&mut out);
    Ok((PyBytes::new(py, &out), index))
}

struct KeyWriter<'a, 'py> {
    writer: Writer<'a, 'py>,
    identities: Identities<'a, 'py>,
}

impl<'a, 'py> KeyWriter<'a, 'py> {
    fn new(py: Python<'py>, encoder: &'a Encoder) -> Self {
        Self {
            writer: Writer::new(py, encoder),
            identities: Identities::new(py, encoder),
        }
    }

    fn key(&mut self, key: &Bound<'py, PyAny>, keys: &mut Keys) -> Result<(), Refusal> {
        self.write(key, &mut keys.column.data)?;
        // SAFETY: a live object.
        if unsafe { is_its_own(key.as_ptr()) } {
            keys.end(None);
        } else {
            keys.end(Some(self.identities.of(key)?));
        }
        Ok(())
    }

    /// Write a value behind what is there.
    fn write(&mut self, value: &Bound<'py, PyAny>, out: &mut Vec<u8>) -> Result<(), Refusal> {
        std::mem::swap(&mut self.writer.out, out);
        let value: *mut ffi::PyObject = value.as_ptr();
        // SAFETY: the caller holds the value.
        let done = unsafe { self.writer.value(value, 0) };
        std::mem::swap(&mut self.writer.out, out);
        done
    }
}

/// What `describe_chunk` gives: kind, batch, hidden keys, expired before, pickled, entries, removed, touched.
type Description = (
    &'static str,
    Option<i64>,
    i64,
    Option<i64>,
    bool,
    u64,
    u64,
    u64,
);

/// Say what a chunk is and how many keys it has, without a look at them.
#[pyfunction]
fn describe_chunk(py: Python<'_>, data: Bytes<'_>) -> PyResult<Description> {
    let describe = || {
        let chunk = ChunkReader::new(data.as_slice())?;
        let Counts {
            entries,
            removed,
            touched,
        } = chunk.count()?;
        let header = chunk.header;
        Ok((
            header.kind.name(),
            header.batch_ms,
            header.hidden_count,
            header.expired_before_ms,
            header.pickled,
            entries,
            removed,
            touched,
        ))
    };
    describe().map_err(|error| raise(py, error))
}

//! Files of state chunks.

use millstream_core::chunk_file::rows;
use pyo3::prelude::*;

use crate::bytes::Bytes;
use crate::error::raise;

/// Table, partition, offset of the chunk and offset behind it.
type Row = (String, i64, usize, usize);

/// Add what this file offers to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(chunk_rows, module)?)
}

/// Find the chunks in what a file holds behind its header.
#[pyfunction]
fn chunk_rows(py: Python<'_>, body: Bytes<'_>) -> PyResult<Vec<Row>> {
    let found = rows(body.as_slice()).map_err(|error| raise(py, error))?;
    Ok(found
        .iter()
        .map(|row| (row.table.to_owned(), row.partition, row.start, row.end))
        .collect())
}

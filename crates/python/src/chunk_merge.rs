//! Chunks of state merged, without the GIL.

use millstream_core::chunk_merge::merge;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::bytes::Bytes;
use crate::error::raise;
use crate::owned_bytes::OwnedBytes;

/// Data below this size are merged in less time than it takes to get the GIL back from a busy thread.
const RELEASED_BYTES_MIN: usize = 1 << 14;

/// Add what this file offers to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(merge_chunks, module)?)
}

/// Merge chunks of one table, oldest first.
#[pyfunction]
fn merge_chunks<'py>(
    py: Python<'py>,
    chunks: Vec<Bytes<'py>>,
    r#final: bool,
) -> PyResult<Bound<'py, PyAny>> {
    let slices: Vec<&[u8]> = chunks.iter().map(Bytes::as_slice).collect();
    let bytes: usize = slices.iter().map(|slice| slice.len()).sum();
    if bytes < RELEASED_BYTES_MIN {
        let merged = merge(&slices, r#final).map_err(|error| raise(py, error))?;
        return Ok(PyBytes::new(py, &merged).into_any());
    }
    let merged = py
        .detach(|| merge(&slices, r#final))
        .map_err(|error| raise(py, error))?;
    Ok(OwnedBytes::lend(py, merged)?.into_any())
}

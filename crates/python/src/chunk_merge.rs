//! Chunks of state merged, without the GIL.

use millstream_core::chunk_merge::merge;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::bytes::Bytes;
use crate::error::raise;

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
) -> PyResult<Bound<'py, PyBytes>> {
    let slices: Vec<&[u8]> = chunks.iter().map(Bytes::as_slice).collect();
    let bytes: usize = slices.iter().map(|slice| slice.len()).sum();
    if bytes < RELEASED_BYTES_MIN {
        let merged = merge(&slices, r#final).map_err(|error| raise(py, error))?;
        return Ok(PyBytes::new(py, &merged));
    }
    let merged = py
        .detach(|| merge(&slices, r#final))
        .map_err(|error| raise(py, error))?;
    copied(py, merged)
}

/// Copy what may be large into a byte string, without the GIL.
fn copied(py: Python<'_>, data: Vec<u8>) -> PyResult<Bound<'_, PyBytes>> {
    // SAFETY: without data the call gives a new object whose bytes may be written until someone else has it.
    let bytes = unsafe {
        let object =
            ffi::PyBytes_FromStringAndSize(std::ptr::null(), data.len() as ffi::Py_ssize_t);
        Bound::from_owned_ptr_or_err(py, object)?.cast_into::<PyBytes>()?
    };
    // SAFETY: a live byte string, which gives its memory; the address travels as a number because it is not Send.
    let address = unsafe { ffi::PyBytes_AsString(bytes.as_ptr()) } as usize;
    py.detach(move || {
        // SAFETY: as long as `data`, and nobody else reads or writes it yet. The reference held here keeps it alive.
        unsafe { std::ptr::copy_nonoverlapping(data.as_ptr(), address as *mut u8, data.len()) };
    });
    Ok(bytes)
}

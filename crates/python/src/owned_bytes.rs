//! Bytes of the core that Python reads where they are, however large, and that go away without the GIL.

use std::ffi::{c_int, c_void};
use std::mem;

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyMemoryView;

use crate::bytes::Bytes;

/// Giving back less memory takes no longer than getting the GIL back from a busy thread; 1 MiB takes 0.1 ms.
const DETACHED_BYTES_MIN: usize = 1 << 20;

/// Add what this file offers to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(join_pieces, module)?)
}

/// Bytes that nobody changes.
#[pyclass(frozen, module = "millstream._core")]
pub struct OwnedBytes {
    data: Vec<u8>,
}

impl OwnedBytes {
    /// Lend bytes to Python for as long as it looks at them.
    pub fn lend(py: Python<'_>, data: Vec<u8>) -> PyResult<Bound<'_, PyMemoryView>> {
        let owned = Bound::new(py, Self { data })?;
        PyMemoryView::from(owned.as_any())
    }
}

#[pymethods]
impl OwnedBytes {
    /// # Safety
    /// As for every buffer: Python gives a view that it releases again.
    unsafe fn __getbuffer__(
        slf: Bound<'_, Self>,
        view: *mut ffi::Py_buffer,
        flags: c_int,
    ) -> PyResult<()> {
        let data = &slf.get().data;
        // SAFETY: the view holds a reference, and the bytes neither move nor change while the object lives.
        let done = unsafe {
            ffi::PyBuffer_FillInfo(
                view,
                slf.as_ptr(),
                data.as_ptr().cast_mut().cast::<c_void>(),
                data.len() as ffi::Py_ssize_t,
                1,
                flags,
            )
        };
        if done == 0 {
            Ok(())
        } else {
            Err(PyErr::fetch(slf.py()))
        }
    }
}

impl Drop for OwnedBytes {
    fn drop(&mut self) {
        if self.data.capacity() >= DETACHED_BYTES_MIN {
            let data = mem::take(&mut self.data);
            Python::attach(|py| py.detach(|| drop(data)));
        }
    }
}

/// Put pieces one behind another, without the GIL.
#[pyfunction]
fn join_pieces<'py>(
    py: Python<'py>,
    pieces: Vec<Bytes<'py>>,
) -> PyResult<Bound<'py, PyMemoryView>> {
    let slices: Vec<&[u8]> = pieces.iter().map(Bytes::as_slice).collect();
    let joined = py.detach(|| slices.concat());
    OwnedBytes::lend(py, joined)
}

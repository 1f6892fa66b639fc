//! Bytes that Python lends: `bytes`, or any readable buffer that lies in one piece.

use pyo3::buffer::PyUntypedBuffer;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

/// Bytes that stay where they are for as long as this lives.
pub enum Bytes<'py> {
    /// An immutable byte string.
    Owned(Bound<'py, PyBytes>),
    /// What another object exports.
    Lent(PyUntypedBuffer),
}

impl<'py> FromPyObject<'_, 'py> for Bytes<'py> {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        if let Ok(bytes) = object.cast::<PyBytes>() {
            return Ok(Self::Owned(bytes.to_owned()));
        }
        let buffer = PyUntypedBuffer::get(&object)?;
        if buffer.is_c_contiguous() {
            Ok(Self::Lent(buffer))
        } else {
            Err(PyTypeError::new_err(
                "bytes are needed in one piece, not a memoryview with gaps",
            ))
        }
    }
}

impl Bytes<'_> {
    /// Give the bytes; who lent them must not change them meanwhile.
    pub fn as_slice(&self) -> &[u8] {
        match self {
            Self::Owned(bytes) => bytes.as_bytes(),
            Self::Lent(buffer) if buffer.len_bytes() == 0 => &[],
            // SAFETY: the export keeps the memory where it is until the buffer is dropped, it is contiguous, and
            // `len_bytes` long. The methods that take such bytes say that they must not change during the call.
            Self::Lent(buffer) => unsafe {
                std::slice::from_raw_parts(buffer.buf_ptr().cast(), buffer.len_bytes())
            },
        }
    }
}

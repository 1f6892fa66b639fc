//! Finding rows of a table by the values of one column.

use arrow_array::Array;
use millstream_core::key_index;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::arrow;
use crate::error::raise;

/// Add what this file offers to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<KeyIndex>()
}

/// The rows of a column by their values.
#[pyclass(frozen, module = "millstream._core")]
struct KeyIndex {
    inner: key_index::KeyIndex,
}

#[pymethods]
impl KeyIndex {
    #[new]
    fn new(column: &Bound<'_, PyAny>) -> PyResult<Self> {
        let py = column.py();
        let chunks = arrow::import(column)?;
        let [column] = chunks.as_slice() else {
            return Err(PyValueError::new_err("the column to index is in chunks"));
        };
        let inner = py.detach(|| key_index::KeyIndex::new(column));
        Ok(Self {
            inner: inner.map_err(|error| raise(py, error))?,
        })
    }

    /// Whether no two rows have the same value.
    #[getter]
    fn is_unique(&self) -> bool {
        self.inner.is_unique()
    }

    /// Give the row of each value, or -1, as 64-bit numbers in the order of the machine.
    fn find<'py>(&self, column: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyBytes>> {
        let py = column.py();
        let chunks = arrow::import(column)?;
        let mut rows = Vec::with_capacity(chunks.iter().map(Array::len).sum());
        py.detach(|| {
            chunks
                .iter()
                .try_for_each(|chunk| self.inner.find(chunk, &mut rows))
        })
        .map_err(|error| raise(py, error))?;
        PyBytes::new_with(py, rows.len() * size_of::<i64>(), |bytes| {
            for (slot, row) in bytes.chunks_exact_mut(size_of::<i64>()).zip(&rows) {
                slot.copy_from_slice(&row.to_ne_bytes());
            }
            Ok(())
        })
    }
}

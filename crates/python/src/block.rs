//! Blocks of received lines.

use arrow_array::Array;
use millstream_core::block;
use pyo3::prelude::*;
use pyo3::types::PyCapsule;

use crate::arrow;

/// Add what this file offers to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Block>()
}

/// Lines that were received in one slot of the grid, as an Arrow record batch of one column, `value`.
#[pyclass(frozen, module = "millstream._core")]
pub struct Block {
    block: block::Block,
}

impl From<block::Block> for Block {
    fn from(block: block::Block) -> Self {
        Self { block }
    }
}

#[pymethods]
impl Block {
    /// The batch time that the block belongs to, milliseconds since the epoch.
    #[getter]
    fn batch_ms(&self) -> i64 {
        self.block.batch_ms
    }

    /// Number of records.
    #[getter]
    fn records(&self) -> usize {
        self.block.lines.len()
    }

    /// Size as an Arrow column, bytes.
    #[getter]
    fn bytes(&self) -> usize {
        self.block.bytes
    }

    /// Lines that were invalid: replaced in the block, or left out of it.
    #[getter]
    fn invalid(&self) -> u64 {
        self.block.invalid
    }

    fn __len__(&self) -> usize {
        self.block.lines.len()
    }

    fn __repr__(&self) -> String {
        format!(
            "<Block batch_ms={} records={} bytes={} invalid={}>",
            self.block.batch_ms,
            self.block.lines.len(),
            self.block.bytes,
            self.block.invalid
        )
    }

    #[pyo3(signature = (requested_schema = None))]
    fn __arrow_c_array__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<(Bound<'py, PyCapsule>, Bound<'py, PyCapsule>)> {
        // The protocol lets a producer answer a request with what it has.
        let _ = requested_schema;
        arrow::export_batch(py, &self.block.lines)
    }

    #[pyo3(signature = (requested_schema = None))]
    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyCapsule>> {
        let _ = requested_schema;
        arrow::export_stream(py, std::slice::from_ref(&self.block.lines))
    }
}

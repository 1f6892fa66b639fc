//! Lines cut out of bytes and files.

use std::path::PathBuf;

use arrow_array::{Array, StringArray};
use millstream_core::lines;
use millstream_core::read;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyCapsule};

use crate::arrow;
use crate::error::raise;

/// Bytes that are cut in about 50 us; above, the GIL is released.
const SHORT_BYTES: usize = 64 << 10;

/// Add what this file offers to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Lines>()?;
    module.add_function(wrap_pyfunction!(cut_lines, module)?)?;
    module.add_function(wrap_pyfunction!(read_lines, module)?)
}

/// Lines of text as an Arrow table of one column, `value`.
#[pyclass(frozen, module = "millstream._core")]
struct Lines {
    columns: Vec<StringArray>,
    bytes: usize,
}

#[pymethods]
impl Lines {
    /// Size as an Arrow column, bytes.
    #[getter]
    fn bytes(&self) -> usize {
        self.bytes
    }

    fn __len__(&self) -> usize {
        self.columns.iter().map(Array::len).sum()
    }

    fn __repr__(&self) -> String {
        format!("<Lines records={} bytes={}>", self.__len__(), self.bytes)
    }

    #[pyo3(signature = (requested_schema = None))]
    fn __arrow_c_array__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<(Bound<'py, PyCapsule>, Bound<'py, PyCapsule>)> {
        // The protocol lets a producer answer a request with what it has.
        let _ = requested_schema;
        match self.columns.as_slice() {
            [column] => arrow::export_batch(py, column),
            columns => Err(PyValueError::new_err(format!(
                "{} bytes of lines are {} record batches: take them as a stream or a table",
                self.bytes,
                columns.len()
            ))),
        }
    }

    #[pyo3(signature = (requested_schema = None))]
    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyCapsule>> {
        let _ = requested_schema;
        arrow::export_stream(py, &self.columns)
    }
}

/// Turn what was cut into columns, and count the invalid lines.
fn columns(cut: Vec<lines::Lines>) -> (Lines, u64) {
    let invalid = cut.iter().map(lines::Lines::invalid).sum();
    let bytes = cut.iter().map(lines::Lines::bytes).sum();
    let columns = cut.into_iter().map(lines::Lines::into_array).collect();
    (Lines { columns, bytes }, invalid)
}

/// Cut bytes into lines; give them and the number of invalid ones.
#[pyfunction]
fn cut_lines(data: &Bound<'_, PyBytes>, on_invalid: &str) -> PyResult<(Lines, u64)> {
    let py = data.py();
    let on_invalid = on_invalid.parse().map_err(|error| raise(py, error))?;
    let bytes = data.as_bytes();
    let cut = || read::cut_lines(bytes, on_invalid).map(columns);
    if bytes.len() <= SHORT_BYTES {
        cut()
    } else {
        py.detach(cut)
    }
    .map_err(|error| raise(py, error))
}

/// Read the lines of a file that start in a range of its bytes; give them and the number of invalid ones.
#[pyfunction]
#[pyo3(signature = (path, start = 0, end = None, on_invalid = "replace"))]
fn read_lines(
    py: Python<'_>,
    path: PathBuf,
    start: u64,
    end: Option<u64>,
    on_invalid: &str,
) -> PyResult<(Lines, u64)> {
    let on_invalid = on_invalid.parse().map_err(|error| raise(py, error))?;
    py.detach(|| read::read_lines(&path, start, end, on_invalid).map(columns))
        .map_err(|error| raise(py, error))
}

//! Arrow columns of text as Python lists.

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayAccessor};
use arrow_schema::DataType;
use pyo3::exceptions::PyTypeError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyList;

use crate::arrow;

/// Add what this file offers to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(rows_from_utf8, module)?)
}

/// Make a list of Python strings from an Arrow column of text; nulls become None.
#[pyfunction]
fn rows_from_utf8<'py>(array: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyList>> {
    let py = array.py();
    let chunks = arrow::import(array)?
        .into_iter()
        .map(arrow::only_column)
        .collect::<PyResult<Vec<_>>>()?;
    let len: usize = chunks.iter().map(Array::len).sum();
    // SAFETY: a new list of empty places; a list that is dropped with empty places is fine.
    let rows = unsafe {
        Bound::from_owned_ptr_or_err(py, ffi::PyList_New(len as ffi::Py_ssize_t))?
            .cast_into::<PyList>()?
    };
    let mut place = 0;
    for chunk in &chunks {
        match chunk.data_type() {
            DataType::Utf8 => fill(&rows, &mut place, chunk.as_string::<i32>())?,
            DataType::LargeUtf8 => fill(&rows, &mut place, chunk.as_string::<i64>())?,
            DataType::Utf8View => fill(&rows, &mut place, chunk.as_string_view())?,
            DataType::Null if chunk.is_empty() => {}
            other => {
                return Err(PyTypeError::new_err(format!(
                    "one column of text is needed, not {other}"
                )));
            }
        }
    }
    Ok(rows)
}

fn fill<'a>(
    rows: &Bound<'_, PyList>,
    place: &mut ffi::Py_ssize_t,
    texts: impl ArrayAccessor<Item = &'a str>,
) -> PyResult<()> {
    let all_valid = texts.null_count() == 0;
    for index in 0..texts.len() {
        // SAFETY: the index is in range and the place exists and is empty; the list takes over the reference, and
        // the text is valid UTF-8, so that only a lack of memory makes the pointer null.
        unsafe {
            let row = if all_valid || texts.is_valid(index) {
                let text = texts.value_unchecked(index);
                ffi::PyUnicode_FromStringAndSize(
                    text.as_ptr().cast(),
                    text.len() as ffi::Py_ssize_t,
                )
            } else {
                ffi::Py_NewRef(ffi::Py_None())
            };
            if row.is_null() {
                return Err(PyErr::fetch(rows.py()));
            }
            ffi::PyList_SetItem(rows.as_ptr(), *place, row);
        }
        *place += 1;
    }
    Ok(())
}

//! Arrow columns of text that cross to and from Python in `PyCapsule` objects, without a copy.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::ffi::{FFI_ArrowArray, FFI_ArrowSchema, from_ffi, to_ffi};
use arrow_array::ffi_stream::{ArrayStreamReader, FFI_ArrowArrayStream};
use arrow_array::{
    Array, ArrayRef, RecordBatch, RecordBatchIterator, StringArray, StructArray, make_array,
};
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyCapsule, PyTuple};

/// The only column of text records.
const VALUE_COLUMN: &str = "value";

static SCHEMA: PyOnceLock<SchemaRef> = PyOnceLock::new();

fn text_schema(py: Python<'_>) -> SchemaRef {
    let schema = SCHEMA.get_or_init(py, || {
        let value = Field::new(VALUE_COLUMN, DataType::Utf8, true);
        Arc::new(Schema::new(vec![value]))
    });
    Arc::clone(schema)
}

/// Export one column of text as a record batch: the result of `__arrow_c_array__`.
pub fn export_batch<'py>(
    py: Python<'py>,
    column: &StringArray,
) -> PyResult<(Bound<'py, PyCapsule>, Bound<'py, PyCapsule>)> {
    let fields = text_schema(py).fields().clone();
    let batch = StructArray::new(fields, vec![Arc::new(column.clone())], None);
    let (array, schema) = to_ffi(&batch.to_data()).map_err(arrow_error)?;
    Ok((
        PyCapsule::new_with_value(py, schema, c"arrow_schema")?,
        PyCapsule::new_with_value(py, array, c"arrow_array")?,
    ))
}

/// Export columns of text as a stream of record batches: the result of `__arrow_c_stream__`.
pub fn export_stream<'py>(
    py: Python<'py>,
    columns: &[StringArray],
) -> PyResult<Bound<'py, PyCapsule>> {
    let schema = text_schema(py);
    let batches: Vec<_> = columns
        .iter()
        .map(|column| RecordBatch::try_new(Arc::clone(&schema), vec![Arc::new(column.clone())]))
        .collect();
    let reader = RecordBatchIterator::new(batches, schema);
    let stream = FFI_ArrowArrayStream::new(Box::new(reader));
    PyCapsule::new_with_value(py, stream, c"arrow_array_stream")
}

/// Export record batches as a stream: the result of `__arrow_c_stream__`.
pub fn export_batches(
    py: Python<'_>,
    batches: Vec<RecordBatch>,
    schema: SchemaRef,
) -> PyResult<Bound<'_, PyCapsule>> {
    let reader = RecordBatchIterator::new(batches.into_iter().map(Ok), schema);
    let stream = FFI_ArrowArrayStream::new(Box::new(reader));
    PyCapsule::new_with_value(py, stream, c"arrow_array_stream")
}

/// Import whatever has `__arrow_c_array__` or `__arrow_c_stream__`, as one array a chunk.
pub fn import(value: &Bound<'_, PyAny>) -> PyResult<Vec<ArrayRef>> {
    let py = value.py();
    if let Some(export) = value.getattr_opt(intern!(py, "__arrow_c_array__"))? {
        let capsules = export.call0()?.cast_into::<PyTuple>()?;
        let schema = capsules.get_item(0)?.cast_into::<PyCapsule>()?;
        let array = capsules.get_item(1)?.cast_into::<PyCapsule>()?;
        let schema = schema.pointer_checked(Some(c"arrow_schema"))?;
        let array = array.pointer_checked(Some(c"arrow_array"))?;
        // SAFETY: capsules of these names hold these structures. The array is moved out, which leaves the capsule
        // an empty one to release; the schema is only looked at while its capsule lives.
        let data = unsafe {
            let array = FFI_ArrowArray::from_raw(array.cast().as_ptr());
            from_ffi(array, schema.cast::<FFI_ArrowSchema>().as_ref())
        };
        return Ok(vec![make_array(data.map_err(arrow_error)?)]);
    }
    if let Some(export) = value.getattr_opt(intern!(py, "__arrow_c_stream__"))? {
        let capsule = export.call0()?.cast_into::<PyCapsule>()?;
        let stream = capsule.pointer_checked(Some(c"arrow_array_stream"))?;
        // SAFETY: a capsule of this name holds a stream, which is moved out of it.
        let reader = unsafe { ArrayStreamReader::from_raw(stream.cast().as_ptr()) };
        let chunks: Result<Vec<_>, _> = reader.map_err(arrow_error)?.collect();
        return chunks.map_err(arrow_error);
    }
    Err(PyTypeError::new_err(format!(
        "an Arrow array or a column of one is needed, not {}",
        value.get_type().fully_qualified_name()?
    )))
}

/// Give the only column of a record batch; anything else as it is.
pub fn only_column(array: ArrayRef) -> PyResult<ArrayRef> {
    match array.as_struct_opt() {
        None => Ok(array),
        Some(batch) if batch.num_columns() == 1 && batch.null_count() == 0 => {
            Ok(Arc::clone(batch.column(0)))
        }
        Some(batch) => Err(PyTypeError::new_err(format!(
            "one column of text is needed, not {}",
            batch.data_type()
        ))),
    }
}

fn arrow_error(error: ArrowError) -> PyErr {
    PyValueError::new_err(error.to_string())
}

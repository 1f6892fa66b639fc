//! Kafka records as Python sees them: made of columns, and light.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int8Type, Int32Type, Int64Type};
use arrow_array::{Array, ArrayRef, Int8Array, Int32Array, Int64Array, ListArray, StringArray};
use arrow_schema::DataType;
use pyo3::IntoPyObjectExt;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyString, PyTuple};

use crate::arrow;
use crate::error::short_repr;

/// Add what this file offers to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<KafkaRecord>()?;
    module.add_function(wrap_pyfunction!(kafka_records, module)?)
}

/// The columns of records that were read together.
struct Block {
    key: ArrayRef,
    value: ArrayRef,
    topics: Vec<Py<PyString>>,
    topic: Int32Array,
    partition: Int32Array,
    offset: Int64Array,
    time: Int64Array,
    time_type: Int8Array,
    headers: ListArray,
    header_names: StringArray,
    header_values: ArrayRef,
}

/// A record of its own, such as one that was sent to another process.
struct Alone {
    key: Py<PyAny>,
    value: Py<PyAny>,
    topic: Py<PyString>,
    partition: i32,
    offset: i64,
    timestamp_ms: Option<i64>,
    timestamp_type: Option<String>,
    headers: Py<PyAny>,
}

enum Form {
    InBlock {
        block: Arc<Block>,
        index: u32,
    },
    Decoded {
        block: Arc<Block>,
        index: u32,
        key: Py<PyAny>,
        value: Py<PyAny>,
    },
    Alone(Box<Alone>),
}

/// One Kafka record.
#[pyclass(frozen, module = "millstream._core")]
struct KafkaRecord {
    form: Form,
}

type Reduced<'py> = (Bound<'py, PyAny>, Bound<'py, PyTuple>);

#[pymethods]
impl KafkaRecord {
    #[new]
    #[pyo3(signature = (
        key, value, topic, partition = 0, offset = 0, timestamp_ms = None, headers = None, timestamp_type = None
    ))]
    // The arguments are those of the Python class, which are given by name.
    #[allow(clippy::too_many_arguments)]
    fn new(
        py: Python<'_>,
        key: Py<PyAny>,
        value: Py<PyAny>,
        topic: Py<PyString>,
        partition: i32,
        offset: i64,
        timestamp_ms: Option<i64>,
        headers: Option<Py<PyAny>>,
        timestamp_type: Option<String>,
    ) -> Self {
        let headers = headers.unwrap_or_else(|| PyList::empty(py).into_any().unbind());
        let alone = Alone {
            key,
            value,
            topic,
            partition,
            offset,
            timestamp_ms,
            timestamp_type,
            headers,
        };
        Self {
            form: Form::Alone(Box::new(alone)),
        }
    }

    /// The key, or None.
    #[getter]
    fn key<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        match &self.form {
            Form::InBlock { block, index } => cell(py, &block.key, *index as usize),
            Form::Decoded { key, .. } => Ok(key.bind(py).clone()),
            Form::Alone(alone) => Ok(alone.key.bind(py).clone()),
        }
    }

    /// The value, or None.
    #[getter]
    fn value<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        match &self.form {
            Form::InBlock { block, index } => cell(py, &block.value, *index as usize),
            Form::Decoded { value, .. } => Ok(value.bind(py).clone()),
            Form::Alone(alone) => Ok(alone.value.bind(py).clone()),
        }
    }

    /// The name of the topic.
    #[getter]
    fn topic(&self, py: Python<'_>) -> Py<PyString> {
        match self.place() {
            Ok((block, index)) => block.topics[block.topic.value(index) as usize].clone_ref(py),
            Err(alone) => alone.topic.clone_ref(py),
        }
    }

    /// The number of the Kafka partition.
    #[getter]
    fn partition(&self) -> i32 {
        match self.place() {
            Ok((block, index)) => block.partition.value(index),
            Err(alone) => alone.partition,
        }
    }

    /// The offset in its partition.
    #[getter]
    fn offset(&self) -> i64 {
        match self.place() {
            Ok((block, index)) => block.offset.value(index),
            Err(alone) => alone.offset,
        }
    }

    /// Milliseconds since the epoch, or None.
    #[getter]
    fn timestamp_ms(&self) -> Option<i64> {
        match self.place() {
            Ok((block, index)) => block.time.is_valid(index).then(|| block.time.value(index)),
            Err(alone) => alone.timestamp_ms,
        }
    }

    /// `create`, `append` or None.
    #[getter]
    fn timestamp_type(&self) -> Option<&str> {
        match self.place() {
            Ok((block, index)) => match block.time_type.value(index) {
                1 => Some("create"),
                2 => Some("append"),
                _ => None,
            },
            Err(alone) => alone.timestamp_type.as_deref(),
        }
    }

    /// Names and values, in order.
    #[getter]
    fn headers<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let (block, index) = match self.place() {
            Ok(place) => place,
            Err(alone) => return Ok(alone.headers.bind(py).clone()),
        };
        let ends = block.headers.value_offsets();
        let headers = PyList::empty(py);
        for place in ends[index] as usize..ends[index + 1] as usize {
            let name = block.header_names.value(place);
            headers.append((name, cell(py, &block.header_values, place)?))?;
        }
        Ok(headers.into_any())
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<Reduced<'py>> {
        let fields = slf.get().fields(slf.py())?;
        Ok((slf.get_type().into_any(), fields))
    }

    fn __eq__(slf: &Bound<'_, Self>, other: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        let py = slf.py();
        let Ok(other) = other.cast::<Self>() else {
            return Ok(py.NotImplemented());
        };
        let equal = slf.get().fields(py)?.eq(other.get().fields(py)?)?;
        equal.into_py_any(py)
    }

    fn __hash__(&self, py: Python<'_>) -> PyResult<isize> {
        (self.topic(py), self.partition(), self.offset())
            .into_pyobject(py)?
            .hash()
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        Ok(format!(
            "KafkaRecord(key={}, value={}, topic={}, partition={}, offset={})",
            short_repr(&self.key(py)?),
            short_repr(&self.value(py)?),
            short_repr(self.topic(py).bind(py).as_any()),
            self.partition(),
            self.offset()
        ))
    }
}

impl KafkaRecord {
    fn place(&self) -> Result<(&Block, usize), &Alone> {
        match &self.form {
            Form::InBlock { block, index } | Form::Decoded { block, index, .. } => {
                Ok((block, *index as usize))
            }
            Form::Alone(alone) => Err(alone),
        }
    }

    /// The arguments that make it anew.
    fn fields<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        (
            self.key(py)?,
            self.value(py)?,
            self.topic(py),
            self.partition(),
            self.offset(),
            self.timestamp_ms(),
            self.headers(py)?,
            self.timestamp_type(),
        )
            .into_pyobject(py)
    }
}

/// Make a list of records from a table of Kafka's columns.
///
/// `keys` and `values` are what they were decoded to, one a record; None leaves them as they are in the table.
#[pyfunction]
#[pyo3(signature = (table, keys = None, values = None))]
fn kafka_records<'py>(
    table: &Bound<'py, PyAny>,
    keys: Option<&Bound<'py, PyList>>,
    values: Option<&Bound<'py, PyList>>,
) -> PyResult<Bound<'py, PyList>> {
    let py = table.py();
    let chunks = arrow::import(table)?;
    let len: usize = chunks.iter().map(Array::len).sum();
    for decoded in [keys, values].into_iter().flatten() {
        if decoded.len() != len {
            return Err(PyValueError::new_err(format!(
                "{len} records need as many keys and values, not {}",
                decoded.len()
            )));
        }
    }
    // SAFETY: a new list of empty places; a list that is dropped with empty places is fine.
    let rows = unsafe {
        Bound::from_owned_ptr_or_err(py, ffi::PyList_New(len as ffi::Py_ssize_t))?
            .cast_into::<PyList>()?
    };
    let mut place = 0;
    for chunk in &chunks {
        let block = Arc::new(block(py, chunk)?);
        for index in 0..chunk.len() {
            let shared = Arc::clone(&block);
            let index_here = index as u32;
            let form = if keys.is_none() && values.is_none() {
                Form::InBlock {
                    block: shared,
                    index: index_here,
                }
            } else {
                let key = match keys {
                    Some(keys) => keys.get_item(place)?,
                    None => cell(py, &block.key, index)?,
                };
                let value = match values {
                    Some(values) => values.get_item(place)?,
                    None => cell(py, &block.value, index)?,
                };
                Form::Decoded {
                    block: shared,
                    index: index_here,
                    key: key.unbind(),
                    value: value.unbind(),
                }
            };
            let record = Py::new(py, KafkaRecord { form })?;
            // SAFETY: the place exists and is empty; the list takes over the reference.
            unsafe {
                ffi::PyList_SetItem(rows.as_ptr(), place as ffi::Py_ssize_t, record.into_ptr());
            }
            place += 1;
        }
    }
    Ok(rows)
}

fn block(py: Python<'_>, chunk: &ArrayRef) -> PyResult<Block> {
    let wrong = || {
        PyTypeError::new_err(format!(
            "these are no columns of Kafka records: {}",
            chunk.data_type()
        ))
    };
    let columns = chunk.as_struct_opt().ok_or_else(wrong)?;
    let column = |name: &str| columns.column_by_name(name).cloned().ok_or_else(wrong);
    let (key, value) = (column("key")?, column("value")?);
    let topic = column("topic")?;
    let topic = topic.as_dictionary_opt::<Int32Type>().ok_or_else(wrong)?;
    let names = topic.values().as_string_opt::<i32>().ok_or_else(wrong)?;
    let headers = column("headers")?;
    let headers = headers.as_list_opt::<i32>().ok_or_else(wrong)?.clone();
    let items = headers.values().as_struct_opt().ok_or_else(wrong)?;
    let [header_names, header_values] = items.columns() else {
        return Err(wrong());
    };
    for bytes in [&key, &value, header_values] {
        if !matches!(bytes.data_type(), DataType::Binary | DataType::Utf8) {
            return Err(wrong());
        }
    }
    Ok(Block {
        topics: names
            .iter()
            .map(|name| PyString::new(py, name.unwrap_or_default()).unbind())
            .collect(),
        topic: topic.keys().clone(),
        partition: column("partition")?
            .as_primitive_opt::<Int32Type>()
            .ok_or_else(wrong)?
            .clone(),
        offset: column("offset")?
            .as_primitive_opt::<Int64Type>()
            .ok_or_else(wrong)?
            .clone(),
        time: column("timestamp_ms")?
            .as_primitive_opt::<Int64Type>()
            .ok_or_else(wrong)?
            .clone(),
        time_type: column("timestamp_type")?
            .as_primitive_opt::<Int8Type>()
            .ok_or_else(wrong)?
            .clone(),
        header_names: header_names
            .as_string_opt::<i32>()
            .ok_or_else(wrong)?
            .clone(),
        header_values: Arc::clone(header_values),
        headers,
        key,
        value,
    })
}

/// Give one cell of a column of bytes or text.
fn cell<'py>(py: Python<'py>, column: &ArrayRef, index: usize) -> PyResult<Bound<'py, PyAny>> {
    if column.is_null(index) {
        return Ok(py.None().into_bound(py));
    }
    match column.data_type() {
        DataType::Binary => Ok(PyBytes::new(py, column.as_binary::<i32>().value(index)).into_any()),
        DataType::Utf8 => Ok(PyString::new(py, column.as_string::<i32>().value(index)).into_any()),
        other => Err(PyTypeError::new_err(format!(
            "a column of bytes or text is needed, not {other}"
        ))),
    }
}

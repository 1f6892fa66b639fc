//! Bytes as Python values: what the encoder wrote, or an error, whatever the bytes are.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString, PyTuple, PyType};

use crate::bytes::Bytes;
use crate::codec::malformed;
use crate::parser::Parser;

/// Data below this size are read without touching the collector.
const COLLECTOR_BYTES_MIN: usize = 1 << 14;

/// Reads values; remembers the classes that it met.
#[pyclass(frozen, weakref, module = "millstream._core")]
pub struct Decoder {
    pub makers: Py<PyDict>,
    pub unknown: Py<PyAny>,
    record_of: Py<PyAny>,
    pub rebuild: Py<PyAny>,
    records: Mutex<HashMap<Vec<u8>, Arc<RecordForm>>>,
    /// Keys of small dicts that were met; whoever reads has them, and a reader inside of a reader its own.
    shared: Mutex<SharedKeys>,
}

pub type SharedKeys = Vec<Option<Py<PyString>>>;

/// How values of one class with named fields are made.
pub struct RecordForm {
    pub code: i8,
    pub class: Py<PyType>,
    pub names: Vec<(Py<PyString>, Vec<u8>)>,
    /// Makes an instance of the class, without a call of its own `__init__` or `__new__`.
    pub new: Py<PyAny>,
}

#[pymethods]
impl Decoder {
    #[new]
    fn new(
        makers: Py<PyDict>,
        unknown: Py<PyAny>,
        record_of: Py<PyAny>,
        rebuild: Py<PyAny>,
    ) -> Self {
        Self {
            makers,
            unknown,
            record_of,
            rebuild,
            records: Mutex::default(),
            shared: Mutex::default(),
        }
    }

    /// Read one value that fills the data.
    fn decode<'py>(&self, py: Python<'py>, data: Bytes<'py>) -> PyResult<Bound<'py, PyAny>> {
        let data = data.as_slice();
        let _paused = PausedCollector::while_reading(data.len());
        let mut parser = Parser::new(py, self, data);
        let value = parser.value(0)?;
        parser.finish()?;
        Ok(value)
    }

    /// Read values that stand one behind another.
    fn decode_all<'py>(&self, py: Python<'py>, data: Bytes<'py>) -> PyResult<Bound<'py, PyList>> {
        let data = data.as_slice();
        let _paused = PausedCollector::while_reading(data.len());
        let mut parser = Parser::new(py, self, data);
        let values = PyList::empty(py);
        while !parser.is_at_end() {
            values.append(parser.value(0)?)?;
        }
        Ok(values)
    }

    /// Forget the classes.
    fn forget(&self) {
        self.records
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }
}

impl Decoder {
    pub fn shared(&self) -> MutexGuard<'_, SharedKeys> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn record(&self, py: Python<'_>, code: i8, name: &[u8]) -> PyResult<Arc<RecordForm>> {
        if let Some(form) = self
            .records
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(name)
        {
            return Ok(Arc::clone(form));
        }
        let text = std::str::from_utf8(name)
            .map_err(|_| malformed("the name of a class is not UTF-8".to_owned()))?;
        let (class, fields, new): (Bound<'_, PyType>, Bound<'_, PyTuple>, Bound<'_, PyAny>) =
            self.record_of.bind(py).call1((code, text))?.extract()?;
        let mut names = Vec::with_capacity(fields.len());
        for field in fields {
            let field = field.cast_into::<PyString>()?;
            let bytes = field.to_str()?.as_bytes().to_vec();
            names.push((field.unbind(), bytes));
        }
        let form = Arc::new(RecordForm {
            code,
            class: class.unbind(),
            names,
            new: new.unbind(),
        });
        self.records
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(name.to_vec(), Arc::clone(&form));
        Ok(form)
    }
}

/// Keeps the collector off while many objects are made that are all in use: its passes over them find nothing.
struct PausedCollector {
    was_on: bool,
}

impl PausedCollector {
    fn while_reading(bytes: usize) -> Option<Self> {
        if bytes < COLLECTOR_BYTES_MIN {
            return None;
        }
        // SAFETY: the GIL is held.
        let was_on = unsafe { ffi::PyGC_Disable() } != 0;
        Some(Self { was_on })
    }
}

impl Drop for PausedCollector {
    fn drop(&mut self) {
        if self.was_on {
            // SAFETY: the GIL is held, as it was when this was made.
            unsafe { ffi::PyGC_Enable() };
        }
    }
}

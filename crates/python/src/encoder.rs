//! Python values as bytes: `MessagePack` with the extensions of docs/checkpoint-format.md.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use millstream_core::message::put_text;
use pyo3::exceptions::PyException;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyFrozenSet, PyString, PyTuple, PyType};

use crate::codec::UnencodableError;
use crate::writer::Writer;

/// Steps of a path that an error shows; deeper ones are left out.
const STEPS_MAX: usize = 12;

/// How the values of one class are written.
pub enum Form {
    /// An extension whose content is what a function gives, which hides `hidden_steps` levels of its own.
    Call {
        code: i8,
        function: Py<PyAny>,
        hidden_steps: usize,
    },
    /// Fields by name.
    Record {
        code: i8,
        head: Vec<u8>,
        fields: Vec<(Py<PyString>, Vec<u8>)>,
        /// Other attributes that an instance may have; None where instances have no dict.
        ignored: Option<Py<PyFrozenSet>>,
    },
}

pub struct Known {
    /// Held, so that its address stays its own.
    pub class: Py<PyType>,
    pub form: Form,
}

/// Writes values; remembers how the classes that it saw are written.
#[pyclass(frozen, weakref, module = "millstream._core")]
pub struct Encoder {
    form_of: Py<PyAny>,
    pub identity_of: Py<PyAny>,
    known: Mutex<HashMap<usize, Arc<Known>>>,
}

#[pymethods]
impl Encoder {
    #[new]
    fn new(form_of: Py<PyAny>, identity_of: Py<PyAny>) -> Self {
        Self {
            form_of,
            identity_of,
            known: Mutex::default(),
        }
    }

    /// Write a value.
    fn encode<'py>(&self, value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyBytes>> {
        let py = value.py();
        let mut writer = Writer::new(py, self);
        // SAFETY: the argument lives as long as the call.
        match unsafe { writer.value(value.as_ptr(), 0) } {
            Ok(()) => Ok(PyBytes::new(py, &writer.out)),
            Err(refusal) => Err(refusal.into_error(py, None, false)),
        }
    }

    /// Forget how classes are written.
    fn forget(&self) {
        self.known
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }
}

impl Encoder {
    pub fn known(&self, class: &Bound<'_, PyType>) -> Result<Arc<Known>, Refusal> {
        let py = class.py();
        let id = class.as_ptr() as usize;
        if let Some(known) = self
            .known
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&id)
        {
            return Ok(Arc::clone(known));
        }
        let form = self
            .ask(py, class)
            .map_err(|error| Refusal::of(py, error))?;
        let known = Arc::new(Known {
            class: class.clone().unbind(),
            form,
        });
        self.known
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(id, Arc::clone(&known));
        Ok(known)
    }

    fn ask(&self, py: Python<'_>, class: &Bound<'_, PyType>) -> PyResult<Form> {
        let answer = self.form_of.bind(py).call1((class,))?;
        let answer = answer.cast::<PyTuple>()?;
        let code: i8 = answer.get_item(0)?.extract()?;
        if answer.len() == 3 {
            return Ok(Form::Call {
                code,
                function: answer.get_item(1)?.unbind(),
                hidden_steps: answer.get_item(2)?.extract()?,
            });
        }
        let mut head = Vec::new();
        put_text(&mut head, answer.get_item(1)?.extract::<&str>()?.as_bytes());
        let mut fields = Vec::new();
        for name in answer.get_item(2)?.try_iter()? {
            let name = name?.cast_into::<PyString>()?;
            let mut encoded = Vec::new();
            put_text(&mut encoded, name.to_str()?.as_bytes());
            fields.push((name.unbind(), encoded));
        }
        Ok(Form::Record {
            code,
            head,
            fields,
            ignored: answer.get_item(3)?.extract()?,
        })
    }
}

/// Why a value is not written, and where it is.
pub struct Refusal {
    reason: String,
    /// From the inside out.
    pub steps: Vec<String>,
    cause: Option<PyErr>,
}

impl Refusal {
    pub fn new(reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            steps: Vec::new(),
            cause: None,
        }
    }

    pub fn of(py: Python<'_>, error: PyErr) -> Self {
        let reason = if error.is_instance_of::<UnencodableError>(py) {
            error.value(py).to_string()
        } else {
            format!("raised {error}")
        };
        Self {
            reason,
            steps: Vec::new(),
            cause: Some(error),
        }
    }

    pub fn at(mut self, step: impl FnOnce() -> String) -> Self {
        self.steps.push(step());
        self
    }

    /// Make the exception: its arguments are the reason, the path, of pairs the index, and whether it is of the key.
    pub fn into_error(self, py: Python<'_>, index: Option<usize>, is_key: bool) -> PyErr {
        if let Some(cause) = &self.cause
            && !cause.is_instance_of::<PyException>(py)
        {
            return cause.clone_ref(py);
        }
        let mut path: String = self
            .steps
            .iter()
            .rev()
            .take(STEPS_MAX)
            .map(String::as_str)
            .collect();
        if self.steps.len() > STEPS_MAX {
            path.push('…');
        }
        let error = UnencodableError::new_err((self.reason, path, index, is_key));
        if let Some(cause) = self.cause
            && !cause.is_instance_of::<UnencodableError>(py)
        {
            error.set_cause(py, Some(cause));
        }
        error
    }
}

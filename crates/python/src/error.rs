//! The one map from errors of the core to exceptions of Python.

use millstream_core::error::Error;
use pyo3::exceptions::{PyOSError, PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyType;

/// How much of a value an error shows, characters.
const REPR_CHARS_MAX: usize = 200;

mod exception {
    pyo3::create_exception!(
        millstream._core,
        InvalidLineError,
        pyo3::exceptions::PyValueError,
        "A line cannot become a record, and the policy is to fail."
    );
}

/// Turn an error of the core into the exception that stands for it.
pub fn raise(py: Python<'_>, error: Error) -> PyErr {
    match error {
        Error::NewerFormat(version) => crate::codec::NewerFormatError::new_err(version),
        Error::Malformed { .. } => crate::codec::malformed(error.to_string()),
        Error::Invalid(_) => PyValueError::new_err(error.to_string()),
        Error::Lifecycle(_) => PyRuntimeError::new_err(error.to_string()),
        Error::InvalidLine {
            line_start, byte, ..
        } => {
            let exception = exception::InvalidLineError::new_err(error.to_string());
            let value = exception.value(py);
            let set = value
                .setattr("line_start", line_start)
                .and_then(|()| value.setattr("byte", byte));
            set.err().unwrap_or(exception)
        }
        // With errno, text and file name Python picks the subclass, such as FileNotFoundError.
        Error::File { path, source } => match source.raw_os_error() {
            Some(errno) => PyOSError::new_err((errno, strerror(&source), path.into_os_string())),
            None => PyOSError::new_err(format!("{}: {source}", path.display())),
        },
    }
}

/// The text of an operating system's error without the number that Rust adds.
fn strerror(error: &std::io::Error) -> String {
    let text = error.to_string();
    match text.rfind(" (os error ") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}

/// Show a value, cut to a length that fits into a message.
pub fn short_repr(value: &Bound<'_, PyAny>) -> String {
    let Ok(text) = value.repr() else {
        return format!("<{} that cannot be shown>", value.get_type());
    };
    let text = text.to_string_lossy();
    match text.char_indices().nth(REPR_CHARS_MAX) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.into_owned(),
    }
}

/// Give the class of the exception for an invalid line.
pub fn invalid_line_error(py: Python<'_>) -> Bound<'_, PyType> {
    py.get_type::<exception::InvalidLineError>()
}

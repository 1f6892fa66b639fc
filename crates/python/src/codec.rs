//! What the encoder and the decoder of Python values share: codes of extensions, limits, exceptions.

use pyo3::prelude::*;

/// Levels of values inside values, in both directions.
pub const DEPTH_MAX: usize = 200;

/// Codes of the extensions that are read and written here; the others are those of `millstream.encoding`.
pub mod code {
    pub const LIST: i8 = 1;
    pub const SET: i8 = 2;
    pub const FROZENSET: i8 = 3;
    pub const BYTEARRAY: i8 = 4;
    pub const INT: i8 = 5;
    pub const SURROGATES: i8 = 6;
    pub const RECORD: i8 = 10;
    pub const NAMED_TUPLE: i8 = 11;
    pub const UUID: i8 = 33;
    /// Only in the identities of keys: a member of an enumeration.
    pub const MEMBER: i8 = 120;
    /// Only in the identities of keys: the fields that the equality of a dataclass compares.
    pub const COMPARED: i8 = 121;
}

mod exception {
    pyo3::create_exception!(
        millstream._core,
        UnencodableError,
        pyo3::exceptions::PyTypeError,
        "A value has no encoding."
    );
    pyo3::create_exception!(
        millstream._core,
        MalformedError,
        pyo3::exceptions::PyValueError,
        "Bytes are not what they should be."
    );
    pyo3::create_exception!(
        millstream._core,
        NewerFormatError,
        pyo3::exceptions::PyValueError,
        "Bytes have a layout that a newer version made."
    );
}
pub use exception::{MalformedError, NewerFormatError, UnencodableError};

/// Add what this file offers to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    module.add("UnencodableError", py.get_type::<UnencodableError>())?;
    module.add("MalformedError", py.get_type::<MalformedError>())?;
    module.add("NewerFormatError", py.get_type::<NewerFormatError>())?;
    module.add_class::<crate::encoder::Encoder>()?;
    module.add_class::<crate::decoder::Decoder>()
}

/// Make the exception for bytes that are wrong.
pub fn malformed(text: String) -> PyErr {
    MalformedError::new_err(text)
}

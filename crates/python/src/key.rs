//! Which Python value is hashed as which kind: the stable hash of keys of `millstream_core::hash`.
//!
//! Values that are equal in Python get one hash. Everything whose equality is not known here is refused, because
//! a wrong guess would send equal keys to different partitions without a sign.

use std::ffi::c_char;
use std::rc::Rc;

use millstream_core::hash::{
    Kind, Sequence, Unordered, hash_bytes, hash_nothing, hash_number, hash_text,
};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::ffi;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyFrozenSet, PyString, PyTuple, PyType};

use crate::error::short_repr;
use crate::moment::{date, date_time, duration, time};
use crate::rule::{Refusal, Rule, rule_of};

/// Types are remembered for one call; more than this many in one call are looked up again.
const REMEMBERED_TYPES_MAX: usize = 16;

/// Hashes keys; remembers how the types that it saw are hashed.
pub struct KeyHasher<'py> {
    py: Python<'py>,
    known: Vec<(Bound<'py, PyType>, Rc<Rule>)>,
}

impl<'py> KeyHasher<'py> {
    pub fn new(py: Python<'py>) -> Self {
        Self {
            py,
            known: Vec::new(),
        }
    }

    /// Give the stable hash of a key.
    ///
    /// # Safety
    /// `key` is a live object, and the caller holds a reference to it.
    #[inline]
    pub unsafe fn hash(&mut self, key: *mut ffi::PyObject) -> PyResult<u64> {
        // SAFETY: the caller keeps the key alive.
        if let Some(hash) = unsafe { hash_common(key) } {
            return Ok(hash);
        }
        // SAFETY: as above.
        let key = unsafe { Bound::from_borrowed_ptr(self.py, key) };
        self.hash_any(&key)
    }

    #[cold]
    fn hash_any(&mut self, key: &Bound<'py, PyAny>) -> PyResult<u64> {
        self.value(key).map_err(|refusal| match refusal {
            Refusal::NotANumber => PyValueError::new_err(format!(
                "a key contains NaN, which equals nothing, not even itself: {}",
                short_repr(key)
            )),
            Refusal::Type(reason) => PyTypeError::new_err(format!(
                "the key {} has no stable hash: {reason}; map the key to a str or a tuple of plain values",
                short_repr(key)
            )),
            Refusal::Raised(error) => error,
        })
    }

    fn value(&mut self, value: &Bound<'py, PyAny>) -> Result<u64, Refusal> {
        // SAFETY: `value` is a live object for the whole call.
        if let Some(hash) = unsafe { hash_common(value.as_ptr()) } {
            return Ok(hash);
        }
        let rule = self.rule(value)?;
        match &*rule {
            Rule::Text => text(value),
            Rule::Bytes => Ok(hash_bytes(
                Kind::Bytes,
                value.cast::<PyBytes>().map_err(PyErr::from)?.as_bytes(),
            )),
            Rule::Tuple => self.nested(|this| {
                let tuple = value.cast::<PyTuple>().map_err(PyErr::from)?;
                let mut sequence = Sequence::new(Kind::Tuple, tuple.len());
                for element in tuple.iter() {
                    sequence = sequence.then(this.value(&element)?);
                }
                Ok(sequence.finish())
            }),
            Rule::Set => self.nested(|this| {
                let set = value.cast::<PyFrozenSet>().map_err(PyErr::from)?;
                let mut unordered = Unordered::new();
                for element in set.iter() {
                    unordered = unordered.and(this.value(&element)?);
                }
                Ok(unordered.finish())
            }),
            Rule::Number => Ok(hash_number(value.hash()? as i64)),
            Rule::Real => {
                if value.ne(value)? {
                    return Err(Refusal::NotANumber);
                }
                Ok(hash_number(value.hash()? as i64))
            }
            Rule::Decimal => {
                if value
                    .call_method0(intern!(self.py, "is_nan"))?
                    .is_truthy()?
                {
                    return Err(Refusal::NotANumber);
                }
                Ok(hash_number(value.hash()? as i64))
            }
            Rule::Date => date(value),
            Rule::DateTime => date_time(value),
            Rule::Time => time(value),
            Rule::Duration => duration(value),
            Rule::Uuid => {
                let bytes = value.getattr(intern!(self.py, "bytes"))?;
                Ok(hash_bytes(
                    Kind::Uuid,
                    bytes.cast::<PyBytes>().map_err(PyErr::from)?.as_bytes(),
                ))
            }
            Rule::Member(class) => {
                let name = self.value(&value.getattr(intern!(self.py, "_name_"))?)?;
                Ok(Sequence::new(Kind::Member, 2)
                    .then(*class)
                    .then(name)
                    .finish())
            }
            Rule::Flag(class) => {
                let bits = self.value(&value.getattr(intern!(self.py, "_value_"))?)?;
                Ok(Sequence::new(Kind::Member, 2)
                    .then(*class)
                    .then(bits)
                    .finish())
            }
            Rule::Record(class, fields) => self.nested(|this| {
                let mut sequence = Sequence::new(Kind::Record, fields.len()).then(*class);
                for field in fields {
                    sequence = sequence.then(this.value(&value.getattr(field)?)?);
                }
                Ok(sequence.finish())
            }),
            Rule::NumpyScalar => {
                let plain = value.call_method0(intern!(self.py, "item"))?;
                if plain.get_type().is(value.get_type()) {
                    // Extended precision has no plain form; its hash is the numeric one all the same.
                    if plain.ne(&plain)? {
                        return Err(Refusal::NotANumber);
                    }
                    return Ok(hash_number(plain.hash()? as i64));
                }
                self.value(&plain)
            }
            Rule::ArrowScalar => {
                let plain = value.call_method0(intern!(self.py, "as_py"))?;
                self.value(&plain)
            }
        }
    }

    /// Go one level down, within Python's limit of recursion.
    fn nested(
        &mut self,
        hash: impl FnOnce(&mut Self) -> Result<u64, Refusal>,
    ) -> Result<u64, Refusal> {
        // SAFETY: the text ends in a zero byte; each successful entry is left below.
        if unsafe { ffi::Py_EnterRecursiveCall(c" while hashing a key".as_ptr()) } != 0 {
            return Err(PyErr::fetch(self.py).into());
        }
        let result = hash(self);
        // SAFETY: entered above.
        unsafe { ffi::Py_LeaveRecursiveCall() };
        result
    }

    fn rule(&mut self, value: &Bound<'py, PyAny>) -> Result<Rc<Rule>, Refusal> {
        let class = value.get_type();
        if let Some((_, rule)) = self.known.iter().find(|(known, _)| known.is(&class)) {
            return Ok(Rc::clone(rule));
        }
        let rule = Rc::new(rule_of(&class)?);
        if self.known.len() == REMEMBERED_TYPES_MAX {
            self.known.clear();
        }
        self.known.push((class, Rc::clone(&rule)));
        Ok(rule)
    }
}

/// Hash what most keys are: exactly str, int, bool, float but not NaN, bytes, None.
///
/// # Safety
/// `key` is a live object and the GIL is held.
#[inline]
unsafe fn hash_common(key: *mut ffi::PyObject) -> Option<u64> {
    // SAFETY: the key is alive, its type is checked before each call that depends on it, and the memory that is
    // borrowed from it is read before anything else runs.
    unsafe {
        let class = ffi::Py_TYPE(key);
        if class == &raw mut ffi::PyUnicode_Type {
            let mut len: ffi::Py_ssize_t = 0;
            let utf8 = ffi::PyUnicode_AsUTF8AndSize(key, &raw mut len);
            if utf8.is_null() {
                ffi::PyErr_Clear();
                return None;
            }
            return Some(hash_text(std::slice::from_raw_parts(
                utf8.cast(),
                len as usize,
            )));
        }
        if class == &raw mut ffi::PyLong_Type || class == &raw mut ffi::PyBool_Type {
            return Some(hash_number(ffi::PyObject_Hash(key) as i64));
        }
        if class == &raw mut ffi::PyFloat_Type {
            if ffi::PyFloat_AsDouble(key).is_nan() {
                return None;
            }
            return Some(hash_number(ffi::PyObject_Hash(key) as i64));
        }
        if class == &raw mut ffi::PyBytes_Type {
            let mut bytes: *mut c_char = std::ptr::null_mut();
            let mut len: ffi::Py_ssize_t = 0;
            ffi::PyBytes_AsStringAndSize(key, &raw mut bytes, &raw mut len);
            return Some(hash_bytes(
                Kind::Bytes,
                std::slice::from_raw_parts(bytes.cast(), len as usize),
            ));
        }
        (key == ffi::Py_None()).then(hash_nothing)
    }
}

/// Text that is a subclass of str or holds lone surrogates.
fn text(value: &Bound<'_, PyAny>) -> Result<u64, Refusal> {
    let text = value.cast::<PyString>().map_err(PyErr::from)?;
    if let Ok(utf8) = text.to_str() {
        return Ok(hash_text(utf8.as_bytes()));
    }
    // SAFETY: a live str; encoding and error handler are constants that end in a zero byte.
    let encoded = unsafe {
        Bound::from_owned_ptr_or_err(
            value.py(),
            ffi::PyUnicode_AsEncodedString(
                text.as_ptr(),
                c"utf-8".as_ptr(),
                c"surrogatepass".as_ptr(),
            ),
        )
    }?;
    Ok(hash_text(
        encoded.cast::<PyBytes>().map_err(PyErr::from)?.as_bytes(),
    ))
}

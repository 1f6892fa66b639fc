//! One value after another out of bytes that may be wrong.

use std::sync::Arc;

use millstream_core::hash::hash_text;
use millstream_core::message::{Reader, Token};
use pyo3::ffi;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes, PyDict, PyFrozenSet, PyInt, PySet, PyString, PyTuple};

use crate::codec::{DEPTH_MAX, code};
use crate::decoder::{Decoder, RecordForm, SharedKeys};
use crate::error::raise;

/// Places for the keys of small dicts, so that the same key is one object in a million of them.
const SHARED_KEYS: usize = 512;

/// Bytes of a key that is shared at most.
const SHARED_KEY_BYTES_MAX: usize = 32;

/// Pairs of a dict whose keys are shared at most; larger dicts have keys of their own.
const SHARED_DICT_MAX: usize = 64;

/// Reads values.
pub struct Parser<'a, 'py> {
    py: Python<'py>,
    decoder: &'a Decoder,
    reader: Reader<'a>,
    shared: SharedKeys,
    last: Option<(&'a [u8], Arc<RecordForm>)>,
}

impl Drop for Parser<'_, '_> {
    fn drop(&mut self) {
        *self.decoder.shared() = std::mem::take(&mut self.shared);
    }
}

/// A value, or what is wrong.
pub type Value<'py> = PyResult<Bound<'py, PyAny>>;

impl<'a, 'py> Parser<'a, 'py> {
    /// Begin at the first byte.
    pub fn new(py: Python<'py>, decoder: &'a Decoder, data: &'a [u8]) -> Self {
        Self {
            py,
            decoder,
            reader: Reader::new(data),
            shared: std::mem::take(&mut *decoder.shared()),
            last: None,
        }
    }

    /// Say whether all bytes are read.
    pub fn is_at_end(&self) -> bool {
        self.reader.is_at_end()
    }

    /// Refuse bytes that are left.
    pub fn finish(&self) -> PyResult<()> {
        if self.reader.is_at_end() {
            Ok(())
        } else {
            Err(self.malformed("bytes follow the value"))
        }
    }

    #[cold]
    fn malformed(&self, reason: &str) -> PyErr {
        raise(self.py, self.reader.malformed(reason))
    }

    fn token(&mut self) -> PyResult<Token<'a>> {
        self.reader.token().map_err(|error| raise(self.py, error))
    }

    /// Read a value at a depth of nesting.
    pub fn value(&mut self, depth: usize) -> Value<'py> {
        let token = self.token()?;
        self.value_of(token, depth)
    }

    fn value_of(&mut self, token: Token<'a>, depth: usize) -> Value<'py> {
        let py = self.py;
        // SAFETY: the GIL is held; each call makes an object or raises, and slices are given with their lengths.
        unsafe {
            let object = match token {
                Token::Text(text) => return self.text(text),
                Token::Int(number) => ffi::PyLong_FromLongLong(number),
                Token::Float(number) => ffi::PyFloat_FromDouble(number),
                Token::Array(len) => return self.tuple(len, depth),
                Token::Map(len) => return Ok(self.dict(len, depth)?.into_any()),
                Token::Nil => ffi::Py_NewRef(ffi::Py_None()),
                Token::Bool(true) => ffi::Py_NewRef(ffi::Py_True()),
                Token::Bool(false) => ffi::Py_NewRef(ffi::Py_False()),
                Token::Bytes(bytes) => ffi::PyBytes_FromStringAndSize(
                    bytes.as_ptr().cast(),
                    bytes.len() as ffi::Py_ssize_t,
                ),
                Token::Uint(number) => ffi::PyLong_FromUnsignedLongLong(number),
                Token::Extension(code, content) => return self.extension(code, content, depth),
            };
            Bound::from_owned_ptr_or_err(py, object)
        }
    }

    fn text(&self, text: &[u8]) -> Value<'py> {
        // SAFETY: the pointer and the length are those of a slice.
        unsafe {
            Bound::from_owned_ptr_or_err(
                self.py,
                ffi::PyUnicode_FromStringAndSize(
                    text.as_ptr().cast(),
                    text.len() as ffi::Py_ssize_t,
                ),
            )
        }
    }

    fn check_depth(&self, depth: usize) -> PyResult<()> {
        if depth >= DEPTH_MAX {
            return Err(self.malformed("values lie too deep inside each other"));
        }
        Ok(())
    }

    fn tuple(&mut self, len: usize, depth: usize) -> Value<'py> {
        self.check_depth(depth)?;
        // SAFETY: a new tuple that nobody else has; every place is filled once, and one with empty places may go.
        unsafe {
            let tuple: Bound<'py, PyAny> =
                Bound::from_owned_ptr_or_err(self.py, ffi::PyTuple_New(len as ffi::Py_ssize_t))?;
            for index in 0..len {
                let element = self.value(depth + 1)?;
                ffi::PyTuple_SetItem(tuple.as_ptr(), index as ffi::Py_ssize_t, element.into_ptr());
            }
            Ok(tuple)
        }
    }

    fn list(&mut self, depth: usize) -> Value<'py> {
        self.check_depth(depth)?;
        let len = self.array()?;
        // SAFETY: as in `tuple`.
        unsafe {
            let list: Bound<'py, PyAny> =
                Bound::from_owned_ptr_or_err(self.py, ffi::PyList_New(len as ffi::Py_ssize_t))?;
            for index in 0..len {
                let element = self.value(depth + 1)?;
                ffi::PyList_SetItem(list.as_ptr(), index as ffi::Py_ssize_t, element.into_ptr());
            }
            Ok(list)
        }
    }

    fn dict(&mut self, len: usize, depth: usize) -> PyResult<Bound<'py, PyDict>> {
        self.check_depth(depth)?;
        let dict = PyDict::new(self.py);
        let shares = len <= SHARED_DICT_MAX;
        for _ in 0..len {
            let key = match self.token()? {
                Token::Text(text) if shares => self.shared(text)?,
                token => self.value_of(token, depth + 1)?,
            };
            let value = self.value(depth + 1)?;
            // SAFETY: live objects; the dict takes references of its own.
            if unsafe { ffi::PyDict_SetItem(dict.as_ptr(), key.as_ptr(), value.as_ptr()) } != 0 {
                return Err(PyErr::fetch(self.py));
            }
        }
        if dict.len() == len {
            Ok(dict)
        } else {
            Err(self.malformed("a key is there twice"))
        }
    }

    /// Give a short text, the same object for the same text where it is remembered.
    fn shared(&mut self, text: &[u8]) -> Value<'py> {
        if text.len() > SHARED_KEY_BYTES_MAX {
            return self.text(text);
        }
        if self.shared.is_empty() {
            self.shared.resize_with(SHARED_KEYS, || None);
        }
        let hash = hash_text(text);
        let place = hash as usize % SHARED_KEYS;
        if let Some(held) = &self.shared[place]
            && held
                .bind(self.py)
                .to_str()
                .is_ok_and(|held| held.as_bytes() == text)
        {
            return Ok(held.bind(self.py).clone().into_any());
        }
        let made = self.text(text)?;
        self.shared[place] = Some(made.clone().cast_into::<PyString>()?.unbind());
        Ok(made)
    }

    fn extension(&mut self, code: i8, content: &'a [u8], depth: usize) -> Value<'py> {
        let within = self.reader.within(content);
        let outside = std::mem::replace(&mut self.reader, within);
        let value = self.content(code, depth)?;
        self.finish()?;
        self.reader = outside;
        Ok(value)
    }

    fn content(&mut self, code: i8, depth: usize) -> Value<'py> {
        let py = self.py;
        match code {
            code::LIST => self.list(depth),
            code::SET => {
                let elements = self.elements(depth)?;
                let set = PySet::new(py, elements.iter())?;
                self.all_apart(set.len(), elements.len())?;
                Ok(set.into_any())
            }
            code::FROZENSET => {
                let elements = self.elements(depth)?;
                let set = PyFrozenSet::new(py, elements.iter())?;
                self.all_apart(set.len(), elements.len())?;
                Ok(set.into_any())
            }
            code::BYTEARRAY => Ok(PyByteArray::new(py, self.blob()?).into_any()),
            code::INT => {
                let bytes = PyBytes::new(py, self.blob()?);
                let arguments = PyDict::new(py);
                arguments.set_item(intern!(py, "signed"), true)?;
                py.get_type::<PyInt>().call_method(
                    intern!(py, "from_bytes"),
                    (bytes, "big"),
                    Some(&arguments),
                )
            }
            code::SURROGATES => PyBytes::new(py, self.blob()?)
                .call_method1(intern!(py, "decode"), ("utf-8", "surrogatepass")),
            code::RECORD | code::NAMED_TUPLE => self.record(code, depth),
            _ => {
                self.check_depth(depth)?;
                let Some(maker) = self.decoder.makers.bind(py).get_item(code)? else {
                    return self.decoder.unknown.bind(py).call1((code,));
                };
                let content = self.value(depth + 1)?;
                maker.call1((content,))
            }
        }
    }

    fn elements(&mut self, depth: usize) -> PyResult<Bound<'py, PyTuple>> {
        let len = self.array()?;
        Ok(self.tuple(len, depth)?.cast_into::<PyTuple>()?)
    }

    fn all_apart(&self, held: usize, read: usize) -> PyResult<()> {
        if held == read {
            Ok(())
        } else {
            Err(self.malformed("an element is there twice"))
        }
    }

    fn array(&mut self) -> PyResult<usize> {
        self.reader.array().map_err(|error| raise(self.py, error))
    }

    fn blob(&mut self) -> PyResult<&'a [u8]> {
        self.reader.blob().map_err(|error| raise(self.py, error))
    }

    /// Read a value with named fields: the name of its class, and a map.
    fn record(&mut self, code: i8, depth: usize) -> Value<'py> {
        self.check_depth(depth)?;
        let (2, Token::Text(name)) = (self.array()?, self.token()?) else {
            return Err(self.malformed("a class and its fields are missing"));
        };
        let form = self.record_form(code, name)?;
        let Token::Map(len) = self.token()? else {
            return Err(self.malformed("the fields of a class are missing"));
        };
        let fields_start = self.reader;
        if len == form.names.len() {
            let value = if code == code::RECORD {
                self.fields_in_order(&form, depth)?
            } else {
                self.places_in_order(&form, depth)?
            };
            if let Some(value) = value {
                return Ok(value);
            }
        }
        self.reader = fields_start;
        let fields = self.dict(len, depth)?;
        self.decoder
            .rebuild
            .bind(self.py)
            .call1((code, form.class.bind(self.py), fields))
    }

    fn record_form(&mut self, code: i8, name: &'a [u8]) -> PyResult<Arc<RecordForm>> {
        let form = match &self.last {
            Some((last, form)) if *last == name => Arc::clone(form),
            _ => {
                let form = self.decoder.record(self.py, code, name)?;
                self.last = Some((name, Arc::clone(&form)));
                form
            }
        };
        if form.code == code {
            Ok(form)
        } else {
            Err(self.malformed("a class is there in two forms"))
        }
    }

    /// Read the fields of a dataclass; None where they are not those that the class has, in its order.
    fn fields_in_order(
        &mut self,
        form: &RecordForm,
        depth: usize,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let py = self.py;
        let value = form.new.bind(py).call1((form.class.bind(py),))?;
        for (name, expected) in &form.names {
            if self.token()? != Token::Text(expected) {
                return Ok(None);
            }
            let part = self.value(depth + 1)?;
            // SAFETY: live objects. Set past the class's own __setattr__, which refuses it where the class is frozen.
            if unsafe { ffi::PyObject_GenericSetAttr(value.as_ptr(), name.as_ptr(), part.as_ptr()) }
                != 0
            {
                return Err(PyErr::fetch(py));
            }
        }
        Ok(Some(value))
    }

    /// Read the fields of a named tuple; None where they are not those that the class has, in its order.
    fn places_in_order(
        &mut self,
        form: &RecordForm,
        depth: usize,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let mut parts = Vec::with_capacity(form.names.len());
        for (_, expected) in &form.names {
            if self.token()? != Token::Text(expected) {
                return Ok(None);
            }
            parts.push(self.value(depth + 1)?);
        }
        let parts = PyTuple::new(self.py, parts)?;
        form.new
            .bind(self.py)
            .call1((form.class.bind(self.py), parts))
            .map(Some)
    }
}

//! One value after another into bytes, by what it is exactly.

use std::ffi::c_char;
use std::sync::Arc;

use millstream_core::message::{
    self, LEN_MAX, NIL, put_array, put_bytes, put_float, put_int, put_map, put_text, put_uint,
};
use pyo3::ffi;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyString};

use crate::codec::{DEPTH_MAX, code};
use crate::encoder::{Encoder, Form, Known, Refusal};
use crate::error::short_repr;

/// Characters of a key or of an element in the path to a value.
const STEP_CHARS_MAX: usize = 40;

pub type Done = Result<(), Refusal>;

/// Writes one value, or several one behind another.
pub struct Writer<'a, 'py> {
    py: Python<'py>,
    encoder: &'a Encoder,
    pub out: Vec<u8>,
    last: Option<Arc<Known>>,
}

impl<'a, 'py> Writer<'a, 'py> {
    pub fn new(py: Python<'py>, encoder: &'a Encoder) -> Self {
        Self {
            py,
            encoder,
            out: Vec::with_capacity(64),
            last: None,
        }
    }

    /// Write a value at a depth of nesting.
    ///
    /// # Safety
    /// `value` is a live object that the caller holds.
    pub unsafe fn value(&mut self, value: *mut ffi::PyObject, depth: usize) -> Done {
        // SAFETY: the caller holds the value; the exact type is checked before the object is read as one, and what is
        // borrowed from it is copied before other code runs.
        unsafe {
            let class = ffi::Py_TYPE(value);
            if class == &raw mut ffi::PyUnicode_Type {
                self.text(value)
            } else if class == &raw mut ffi::PyLong_Type {
                self.int(value)
            } else if class == &raw mut ffi::PyFloat_Type {
                put_float(&mut self.out, ffi::PyFloat_AsDouble(value));
                Ok(())
            } else if class == &raw mut ffi::PyTuple_Type {
                self.tuple(value, depth)
            } else if value == ffi::Py_None() {
                self.out.push(NIL);
                Ok(())
            } else if class == &raw mut ffi::PyBool_Type {
                self.out
                    .push(if value == ffi::Py_True() { 0xc3 } else { 0xc2 });
                Ok(())
            } else if class == &raw mut ffi::PyDict_Type {
                self.dict(value, depth)
            } else if class == &raw mut ffi::PyList_Type {
                self.extension(code::LIST, |this| this.list(value, depth))
            } else if class == &raw mut ffi::PyBytes_Type {
                let mut bytes: *mut c_char = std::ptr::null_mut();
                let mut len: ffi::Py_ssize_t = 0;
                ffi::PyBytes_AsStringAndSize(value, &raw mut bytes, &raw mut len);
                self.blob(std::slice::from_raw_parts(bytes.cast(), len as usize))
            } else if class == &raw mut ffi::PySet_Type {
                self.set(code::SET, value, depth)
            } else if class == &raw mut ffi::PyFrozenSet_Type {
                self.set(code::FROZENSET, value, depth)
            } else if class == &raw mut ffi::PyByteArray_Type {
                // Nothing runs between here and the copy, so the buffer stays where it is.
                let bytes = ffi::PyByteArray_AsString(value).cast();
                let len = ffi::PyByteArray_Size(value) as usize;
                self.extension(code::BYTEARRAY, |this| {
                    this.blob(std::slice::from_raw_parts(bytes, len))
                })
            } else {
                self.other(value, depth)
            }
        }
    }

    /// Write text.
    ///
    /// # Safety
    /// `value` is a live str, or of a class derived from it.
    pub unsafe fn text(&mut self, value: *mut ffi::PyObject) -> Done {
        let mut len: ffi::Py_ssize_t = 0;
        // SAFETY: a live str; it lends its UTF-8 for as long as it lives.
        unsafe {
            let utf8 = ffi::PyUnicode_AsUTF8AndSize(value, &raw mut len);
            if !utf8.is_null() {
                check_len(len as usize)?;
                put_text(
                    &mut self.out,
                    std::slice::from_raw_parts(utf8.cast(), len as usize),
                );
                return Ok(());
            }
            ffi::PyErr_Clear();
            // Half of a surrogate pair has no UTF-8.
            let bytes = Bound::from_owned_ptr_or_err(
                self.py,
                ffi::PyUnicode_AsEncodedString(value, c"utf-8".as_ptr(), c"surrogatepass".as_ptr()),
            )
            .and_then(|bytes| Ok(bytes.cast_into::<PyBytes>()?))
            .map_err(|error| Refusal::of(self.py, error))?;
            self.extension(code::SURROGATES, |this| this.blob(bytes.as_bytes()))
        }
    }

    /// # Safety
    /// `value` is a live int.
    unsafe fn int(&mut self, value: *mut ffi::PyObject) -> Done {
        let mut overflow = 0;
        // SAFETY: a live int.
        let number = unsafe { ffi::PyLong_AsLongLongAndOverflow(value, &raw mut overflow) };
        if overflow == 0 {
            put_int(&mut self.out, number);
            return Ok(());
        }
        // SAFETY: as above.
        let value = unsafe { Bound::<PyAny>::from_borrowed_ptr(self.py, value) };
        self.big_int(&value)
    }

    #[cold]
    fn big_int(&mut self, value: &Bound<'py, PyAny>) -> Done {
        if let Ok(number) = value.extract::<u64>() {
            put_uint(&mut self.out, number);
            return Ok(());
        }
        let bytes = twos_complement(value).map_err(|error| Refusal::of(self.py, error))?;
        self.extension(code::INT, |this| this.blob(bytes.as_bytes()))
    }

    /// # Safety
    /// `value` is a live tuple.
    unsafe fn tuple(&mut self, value: *mut ffi::PyObject, depth: usize) -> Done {
        check_depth(depth)?;
        // SAFETY: a tuple does not change and holds its elements.
        unsafe {
            let len = ffi::PyTuple_Size(value);
            self.array_head(len as usize)?;
            for index in 0..len {
                self.value(ffi::PyTuple_GetItem(value, index), depth + 1)
                    .map_err(|refusal| refusal.at(|| format!("[{index}]")))?;
            }
        }
        Ok(())
    }

    /// # Safety
    /// `value` is a live list.
    unsafe fn list(&mut self, value: *mut ffi::PyObject, depth: usize) -> Done {
        check_depth(depth)?;
        // SAFETY: the index is below the size of the moment, and the element is held while it is written.
        unsafe {
            let len = ffi::PyList_Size(value);
            self.array_head(len as usize)?;
            for index in 0..len {
                if index >= ffi::PyList_Size(value) {
                    break;
                }
                let element = ffi::PyList_GetItem(value, index);
                ffi::Py_INCREF(element);
                let done = self.value(element, depth + 1);
                ffi::Py_DECREF(element);
                done.map_err(|refusal| refusal.at(|| format!("[{index}]")))?;
            }
            unchanged(ffi::PyList_Size(value) == len)
        }
    }

    /// # Safety
    /// `value` is a live dict.
    unsafe fn dict(&mut self, value: *mut ffi::PyObject, depth: usize) -> Done {
        check_depth(depth)?;
        // SAFETY: a live dict; PyDict_Next checks the position against the dict of the moment, and what it lends is
        // held while it is written.
        unsafe {
            let len = ffi::PyDict_Size(value);
            check_len(len as usize)?;
            put_map(&mut self.out, len as usize);
            let mut count = 0;
            let mut position: ffi::Py_ssize_t = 0;
            let (mut key, mut part) = (std::ptr::null_mut(), std::ptr::null_mut());
            while ffi::PyDict_Next(value, &raw mut position, &raw mut key, &raw mut part) != 0 {
                ffi::Py_INCREF(key);
                ffi::Py_INCREF(part);
                let done = self.pair(key, part, depth + 1);
                ffi::Py_DECREF(key);
                ffi::Py_DECREF(part);
                done?;
                count += 1;
            }
            unchanged(count == len && ffi::PyDict_Size(value) == len)
        }
    }

    /// # Safety
    /// Both are live objects that the caller holds.
    unsafe fn pair(
        &mut self,
        key: *mut ffi::PyObject,
        part: *mut ffi::PyObject,
        depth: usize,
    ) -> Done {
        let py = self.py;
        // SAFETY: as the caller promises.
        unsafe {
            let shown = || short(&Bound::from_borrowed_ptr(py, key));
            self.value(key, depth)
                .map_err(|refusal| refusal.at(|| format!(".keys()[{}]", shown())))?;
            self.value(part, depth)
                .map_err(|refusal| refusal.at(|| format!("[{}]", shown())))
        }
    }

    /// # Safety
    /// `value` is a live set or frozenset.
    unsafe fn set(&mut self, code: i8, value: *mut ffi::PyObject, depth: usize) -> Done {
        check_depth(depth)?;
        // SAFETY: as the caller promises.
        let value = unsafe { Bound::<PyAny>::from_borrowed_ptr(self.py, value) };
        self.extension(code, |this| {
            let start = this.out.len();
            let mut ends = Vec::new();
            for element in value
                .try_iter()
                .map_err(|error| Refusal::of(this.py, error))?
            {
                let element = element.map_err(|error| Refusal::of(this.py, error))?;
                // SAFETY: held by `element`.
                unsafe { this.value(element.as_ptr(), depth + 1) }
                    .map_err(|refusal| refusal.at(|| format!("[{}]", short(&element))))?;
                ends.push(this.out.len());
            }
            // In an order that does not depend on the process: equal sets of equal elements have equal bytes.
            let elements = this.out.split_off(start);
            this.array_head(ends.len())?;
            this.out.extend(sorted(&elements, start, &ends));
            Ok(())
        })
    }

    /// Write a value whose class has a form.
    ///
    /// # Safety
    /// `value` is a live object.
    unsafe fn other(&mut self, value: *mut ffi::PyObject, depth: usize) -> Done {
        check_depth(depth)?;
        // SAFETY: as the caller promises.
        let value = unsafe { Bound::<PyAny>::from_borrowed_ptr(self.py, value) };
        let known = self.known(&value)?;
        match &known.form {
            Form::Call {
                code,
                function,
                hidden_steps,
            } => {
                let content = function
                    .bind(self.py)
                    .call1((&value,))
                    .map_err(|error| Refusal::of(self.py, error))?;
                // SAFETY: held by `content`.
                self.extension(*code, |this| unsafe {
                    this.value(content.as_ptr(), depth + 1)
                })
                .map_err(|mut refusal| {
                    let kept = refusal.steps.len().saturating_sub(*hidden_steps);
                    refusal.steps.truncate(kept);
                    refusal
                })
            }
            Form::Record {
                code,
                head,
                fields,
                ignored,
            } => self.extension(*code, |this| {
                put_array(&mut this.out, 2);
                this.out.extend_from_slice(head);
                put_map(&mut this.out, fields.len());
                if let Some(ignored) = ignored {
                    let unknown = this.unknown_attributes(&value, fields, ignored.bind(this.py))?;
                    if let Some(name) = unknown {
                        return Err(Refusal::new(format!(
                            "has the attribute `{name}`, which is no field of its class"
                        )));
                    }
                }
                for (name, encoded) in fields {
                    this.out.extend_from_slice(encoded);
                    let name = name.bind(this.py);
                    let part = value
                        .getattr(name)
                        .map_err(|error| Refusal::of(this.py, error))?;
                    // SAFETY: held by `part`.
                    unsafe { this.value(part.as_ptr(), depth + 1) }
                        .map_err(|refusal| refusal.at(|| format!(".{name}")))?;
                }
                Ok(())
            }),
        }
    }

    fn known(&mut self, value: &Bound<'py, PyAny>) -> Result<Arc<Known>, Refusal> {
        let class = value.get_type();
        if let Some(last) = &self.last
            && class.is(&last.class)
        {
            return Ok(Arc::clone(last));
        }
        let known = self.encoder.known(&class)?;
        self.last = Some(Arc::clone(&known));
        Ok(known)
    }

    /// Find an attribute of an instance that is neither a field nor may be left out.
    fn unknown_attributes(
        &self,
        value: &Bound<'py, PyAny>,
        fields: &[(Py<PyString>, Vec<u8>)],
        ignored: &Bound<'py, PyAny>,
    ) -> Result<Option<String>, Refusal> {
        let find = || -> PyResult<Option<String>> {
            let own = value.getattr(intern!(self.py, "__dict__"))?;
            let own = own.cast::<PyDict>()?;
            let mut held = 0;
            for (name, _) in fields {
                held += usize::from(own.contains(name)?);
            }
            if own.len() == held {
                return Ok(None);
            }
            for name in own.keys() {
                let is_field = fields
                    .iter()
                    .any(|(field, _)| name.eq(field).unwrap_or(false));
                if !is_field && !ignored.contains(&name)? {
                    return Ok(Some(name.to_string()));
                }
            }
            Ok(None)
        };
        find().map_err(|error| Refusal::of(self.py, error))
    }

    pub fn extension(&mut self, code: i8, content: impl FnOnce(&mut Self) -> Done) -> Done {
        let start = message::begin_extension(&mut self.out, code);
        content(self)?;
        if message::end_extension(&mut self.out, start) {
            Ok(())
        } else {
            Err(too_long())
        }
    }

    fn array_head(&mut self, len: usize) -> Done {
        check_len(len)?;
        put_array(&mut self.out, len);
        Ok(())
    }

    fn blob(&mut self, bytes: &[u8]) -> Done {
        check_len(bytes.len())?;
        put_bytes(&mut self.out, bytes);
        Ok(())
    }
}

/// Give the encoded elements of a set in the order of their bytes.
fn sorted(elements: &[u8], start: usize, ends: &[usize]) -> Vec<u8> {
    let mut begin = 0;
    let mut parts: Vec<&[u8]> = ends
        .iter()
        .map(|end| {
            let part = &elements[begin..end - start];
            begin = end - start;
            part
        })
        .collect();
    parts.sort_unstable();
    parts.concat()
}

fn twos_complement<'py>(value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyBytes>> {
    let py = value.py();
    let bits: usize = value.call_method0(intern!(py, "bit_length"))?.extract()?;
    let arguments = PyDict::new(py);
    arguments.set_item(intern!(py, "signed"), true)?;
    let bytes = value.call_method(
        intern!(py, "to_bytes"),
        (bits / 8 + 1, "big"),
        Some(&arguments),
    )?;
    Ok(bytes.cast_into::<PyBytes>()?)
}

#[inline]
fn check_len(len: usize) -> Done {
    if len > LEN_MAX {
        Err(too_long())
    } else {
        Ok(())
    }
}

#[cold]
fn too_long() -> Refusal {
    Refusal::new("is longer than 4 GiB")
}

#[inline]
fn check_depth(depth: usize) -> Done {
    if depth >= DEPTH_MAX {
        return Err(Refusal::new(format!(
            "lies more than {DEPTH_MAX} levels deep; perhaps the value contains itself"
        )));
    }
    Ok(())
}

fn unchanged(is_so: bool) -> Done {
    if is_so {
        Ok(())
    } else {
        Err(Refusal::new("changed while it was encoded"))
    }
}

/// Show a key or an element within a path.
fn short(value: &Bound<'_, PyAny>) -> String {
    let text = short_repr(value);
    match text.char_indices().nth(STEP_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

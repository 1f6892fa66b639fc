//! The identities of keys: bytes that are equal for keys that are equal in Python.
//!
//! Which values are equal is what `rule` knows for the stable hash: keys with one hash by their nature have one
//! identity, and the other way round.

use std::rc::Rc;

use millstream_core::message::{put_array, put_bytes, put_uint};
use pyo3::ffi;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyFrozenSet, PyInt, PyTuple, PyType};

use crate::codec::code;
use crate::encoder::{Encoder, Refusal};
use crate::rule::{Refusal as RuleRefusal, Rule, rule_of};
use crate::writer::{Done, Writer};

/// Classes are remembered for one call; more than this many in one call are looked up again.
const REMEMBERED_TYPES_MAX: usize = 16;

/// Say whether the bytes of a key are its identity, without a look at its class's equality.
///
/// # Safety
/// `key` is a live object that the caller holds.
#[inline]
pub unsafe fn is_its_own(key: *mut ffi::PyObject) -> bool {
    // SAFETY: the caller holds the key; types are checked before it is read, and a tuple holds its elements.
    unsafe {
        let class = ffi::Py_TYPE(key);
        if class == &raw mut ffi::PyUnicode_Type
            || class == &raw mut ffi::PyLong_Type
            || class == &raw mut ffi::PyBytes_Type
            || key == ffi::Py_None()
        {
            return true;
        }
        if class == &raw mut ffi::PyFloat_Type {
            // NaN and whole numbers are looked at more closely; what is infinite has no fraction to it.
            let number = ffi::PyFloat_AsDouble(key);
            return number.is_infinite() || number != number.trunc() && !number.is_nan();
        }
        class == &raw mut ffi::PyTuple_Type
            && (0..ffi::PyTuple_Size(key)).all(|index| is_its_own(ffi::PyTuple_GetItem(key, index)))
    }
}

/// Writes identities; remembers the rules of the classes that it saw.
pub struct Identities<'a, 'py> {
    py: Python<'py>,
    encoder: &'a Encoder,
    writer: Writer<'a, 'py>,
    known: Vec<(Bound<'py, PyType>, Rc<Rule>)>,
}

impl<'a, 'py> Identities<'a, 'py> {
    pub fn new(py: Python<'py>, encoder: &'a Encoder) -> Self {
        Self {
            py,
            encoder,
            writer: Writer::new(py, encoder),
            known: Vec::new(),
        }
    }

    /// Give the identity of a key that can be encoded.
    pub fn of(&mut self, key: &Bound<'py, PyAny>) -> Result<&[u8], Refusal> {
        self.writer.out.clear();
        self.put(key)?;
        Ok(&self.writer.out)
    }

    fn put(&mut self, key: &Bound<'py, PyAny>) -> Done {
        let py = self.py;
        // SAFETY: a live object for the whole call.
        if unsafe { is_its_own(key.as_ptr()) } {
            return self.plain(key);
        }
        let rule = self.rule(key)?;
        let failed = |error: PyErr| Refusal::of(py, error);
        match &*rule {
            Rule::Text => {
                // SAFETY: the rule is that of classes derived from str.
                unsafe { self.writer.text(key.as_ptr()) }
            }
            Rule::Bytes => {
                let bytes = key
                    .cast::<PyBytes>()
                    .map_err(|error| failed(error.into()))?;
                put_bytes(&mut self.writer.out, bytes.as_bytes());
                Ok(())
            }
            Rule::Tuple => {
                let tuple = key
                    .cast::<PyTuple>()
                    .map_err(|error| failed(error.into()))?;
                put_array(&mut self.writer.out, tuple.len());
                tuple.iter().try_for_each(|element| self.put(&element))
            }
            Rule::Set => self.set(
                key.cast::<PyFrozenSet>()
                    .map_err(|error| failed(error.into()))?,
            ),
            Rule::Number if key.is_instance_of::<PyInt>() => {
                let exact = py
                    .get_type::<PyInt>()
                    .call_method1(intern!(py, "__int__"), (key,));
                self.plain(&exact.map_err(failed)?)
            }
            Rule::Real => match key.extract::<f64>() {
                Ok(number)
                    if !number.is_nan() && !key.is_instance_of::<pyo3::types::PyComplex>() =>
                {
                    self.real(number)
                }
                _ => self.asked(key),
            },
            Rule::Uuid => {
                let bytes = key.getattr(intern!(py, "bytes")).map_err(failed)?;
                self.writer.extension(code::UUID, |writer| {
                    // SAFETY: held by `bytes`.
                    unsafe { writer.value(bytes.as_ptr(), 0) }
                })
            }
            Rule::Member(class) => {
                self.member(*class, &key.getattr(intern!(py, "_name_")).map_err(failed)?)
            }
            Rule::Flag(class) => self.member(
                *class,
                &key.getattr(intern!(py, "_value_")).map_err(failed)?,
            ),
            Rule::Record(class, fields) => {
                let start =
                    millstream_core::message::begin_extension(&mut self.writer.out, code::COMPARED);
                put_array(&mut self.writer.out, fields.len() + 1);
                put_uint(&mut self.writer.out, *class);
                for field in fields {
                    let part = key.getattr(field).map_err(failed)?;
                    self.put(&part)
                        .map_err(|refusal| refusal.at(|| format!(".{field}")))?;
                }
                millstream_core::message::end_extension(&mut self.writer.out, start);
                Ok(())
            }
            Rule::NumpyScalar => {
                let plain = key.call_method0(intern!(py, "item")).map_err(failed)?;
                if plain.get_type().is(key.get_type()) {
                    return self.asked(key);
                }
                self.put(&plain)
            }
            Rule::Number
            | Rule::Decimal
            | Rule::Date
            | Rule::DateTime
            | Rule::Time
            | Rule::Duration
            | Rule::ArrowScalar => self.asked(key),
        }
    }

    /// Write a float that is no NaN: a whole number as such, because it equals one.
    fn real(&mut self, number: f64) -> Done {
        if number.is_infinite() || number != number.trunc() {
            millstream_core::message::put_float(&mut self.writer.out, number);
            return Ok(());
        }
        // SAFETY: the number is finite; the call gives a new int or raises.
        let whole = unsafe {
            Bound::<PyAny>::from_owned_ptr_or_err(self.py, ffi::PyLong_FromDouble(number))
        };
        self.plain(&whole.map_err(|error| Refusal::of(self.py, error))?)
    }

    fn set(&mut self, set: &Bound<'py, PyFrozenSet>) -> Done {
        let before = std::mem::take(&mut self.writer.out);
        let mut parts = Vec::with_capacity(set.len());
        for element in set.iter() {
            let done = self.put(&element);
            parts.push(std::mem::take(&mut self.writer.out));
            done?;
        }
        parts.sort_unstable();
        self.writer.out = before;
        self.writer.extension(code::FROZENSET, |writer| {
            put_array(&mut writer.out, parts.len());
            writer.out.extend(parts.concat());
            Ok(())
        })
    }

    fn member(&mut self, class: u64, part: &Bound<'py, PyAny>) -> Done {
        self.writer.extension(code::MEMBER, |writer| {
            put_array(&mut writer.out, 2);
            put_uint(&mut writer.out, class);
            // SAFETY: held by `part`.
            unsafe { writer.value(part.as_ptr(), 0) }
        })
    }

    /// Ask Python: a code, or none, and what stands for the key.
    fn asked(&mut self, key: &Bound<'py, PyAny>) -> Done {
        let py = self.py;
        let answer = self
            .encoder
            .identity_of
            .bind(py)
            .call1((key,))
            .map_err(|error| Refusal::of(py, error))?;
        let (code, content): (Option<i8>, Bound<'py, PyAny>) =
            answer.extract().map_err(|error| Refusal::of(py, error))?;
        match code {
            None => self.plain(&content),
            // SAFETY: held by `content`.
            Some(code) => self
                .writer
                .extension(code, |writer| unsafe { writer.value(content.as_ptr(), 0) }),
        }
    }

    fn plain(&mut self, key: &Bound<'py, PyAny>) -> Done {
        // SAFETY: a live object that the caller holds.
        unsafe { self.writer.value(key.as_ptr(), 0) }
    }

    fn rule(&mut self, key: &Bound<'py, PyAny>) -> Result<Rc<Rule>, Refusal> {
        let class = key.get_type();
        if let Some((_, rule)) = self.known.iter().find(|(known, _)| known.is(&class)) {
            return Ok(Rc::clone(rule));
        }
        let rule = rule_of(&class)
            .map(Rc::new)
            .map_err(|refusal| match refusal {
                RuleRefusal::NotANumber => Refusal::new("is NaN, which equals nothing"),
                RuleRefusal::Type(reason) => Refusal::new(format!("cannot be a key: {reason}")),
                RuleRefusal::Raised(error) => Refusal::of(self.py, error),
            })?;
        if self.known.len() == REMEMBERED_TYPES_MAX {
            self.known.clear();
        }
        self.known.push((class, Rc::clone(&rule)));
        Ok(rule)
    }
}

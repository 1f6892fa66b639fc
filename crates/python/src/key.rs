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
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyFrozenSet, PyString, PyTuple, PyType};

use crate::error::short_repr;

/// Types are remembered for one call; more than this many in one call are looked up again.
const REMEMBERED_TYPES_MAX: usize = 16;

/// How the values of one type are hashed.
enum Rule {
    Text,
    Bytes,
    Tuple,
    Set,
    /// Numbers without NaN: the numeric hash as it is.
    Number,
    /// Numbers that may be NaN: compared with themselves first.
    Real,
    Decimal,
    Date,
    DateTime,
    Time,
    Duration,
    Uuid,
    /// The class's name.
    Member(u64),
    Flag(u64),
    /// The class's name, and the fields that its equality compares.
    Record(u64, Vec<Py<PyString>>),
    NumpyScalar,
    ArrowScalar,
}

/// Why a key has no hash.
enum Refusal {
    NotANumber,
    /// The reason, after "the key ...".
    Type(String),
    Raised(PyErr),
}

impl From<PyErr> for Refusal {
    fn from(error: PyErr) -> Self {
        Self::Raised(error)
    }
}

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

fn int(value: &Bound<'_, PyAny>, name: &Bound<'_, PyString>) -> PyResult<i64> {
    value.getattr(name)?.extract()
}

fn date(value: &Bound<'_, PyAny>) -> Result<u64, Refusal> {
    let py = value.py();
    Ok(Sequence::new(Kind::Date, 3)
        .then_int(int(value, intern!(py, "year"))?)
        .then_int(int(value, intern!(py, "month"))?)
        .then_int(int(value, intern!(py, "day"))?)
        .finish())
}

fn date_time(value: &Bound<'_, PyAny>) -> Result<u64, Refusal> {
    let py = value.py();
    let days: i64 = value
        .call_method0(intern!(py, "toordinal"))?
        .extract()
        .map_err(Refusal::Raised)?;
    let local_us = days * 86_400_000_000 + time_of_day_us(value)?;
    Ok(match offset_us(value)? {
        None => Sequence::new(Kind::LocalDateTime, 1).then_int(local_us),
        Some(offset_us) => Sequence::new(Kind::Instant, 1).then_int(local_us - offset_us),
    }
    .finish())
}

fn time(value: &Bound<'_, PyAny>) -> Result<u64, Refusal> {
    let local_us = time_of_day_us(value)?;
    Ok(match offset_us(value)? {
        None => Sequence::new(Kind::LocalTime, 1).then_int(local_us),
        Some(offset_us) => Sequence::new(Kind::OffsetTime, 1).then_int(local_us - offset_us),
    }
    .finish())
}

fn time_of_day_us(value: &Bound<'_, PyAny>) -> PyResult<i64> {
    let py = value.py();
    let minutes = int(value, intern!(py, "hour"))? * 60 + int(value, intern!(py, "minute"))?;
    let seconds = minutes * 60 + int(value, intern!(py, "second"))?;
    Ok(seconds * 1_000_000 + int(value, intern!(py, "microsecond"))?)
}

/// The offset from UTC as datetime's own hash takes it: of the first of two moments that a clock shows twice.
fn offset_us(value: &Bound<'_, PyAny>) -> PyResult<Option<i64>> {
    let py = value.py();
    if value.getattr(intern!(py, "tzinfo"))?.is_none() {
        return Ok(None);
    }
    let first = if int(value, intern!(py, "fold"))? == 0 {
        value.clone()
    } else {
        let arguments = pyo3::types::PyDict::new(py);
        arguments.set_item(intern!(py, "fold"), 0)?;
        value.call_method(intern!(py, "replace"), (), Some(&arguments))?
    };
    let offset = first.call_method0(intern!(py, "utcoffset"))?;
    if offset.is_none() {
        return Ok(None);
    }
    let seconds =
        int(&offset, intern!(py, "days"))? * 86_400 + int(&offset, intern!(py, "seconds"))?;
    Ok(Some(
        seconds * 1_000_000 + int(&offset, intern!(py, "microseconds"))?,
    ))
}

fn duration(value: &Bound<'_, PyAny>) -> Result<u64, Refusal> {
    let py = value.py();
    Ok(Sequence::new(Kind::Duration, 3)
        .then_int(int(value, intern!(py, "days"))?)
        .then_int(int(value, intern!(py, "seconds"))?)
        .then_int(int(value, intern!(py, "microseconds"))?)
        .finish())
}

type MakeRule = fn() -> Rule;

/// The classes of the standard library that keys may have.
struct Classes {
    /// Class and rule, a subclass before its base.
    plain: Vec<(Py<PyType>, MakeRule)>,
    enumeration: Py<PyType>,
    flag: Py<PyType>,
    object: Py<PyType>,
}

static CLASSES: PyOnceLock<Classes> = PyOnceLock::new();

fn classes(py: Python<'_>) -> PyResult<&'static Classes> {
    CLASSES.get_or_try_init(py, || {
        let class = |module: &str, name: &str| -> PyResult<Py<PyType>> {
            Ok(py
                .import(module)?
                .getattr(name)?
                .cast_into::<PyType>()?
                .unbind())
        };
        let plain: [(&str, &str, MakeRule); 13] = [
            ("builtins", "str", || Rule::Text),
            ("builtins", "bytes", || Rule::Bytes),
            ("builtins", "tuple", || Rule::Tuple),
            ("builtins", "frozenset", || Rule::Set),
            ("builtins", "int", || Rule::Number),
            ("builtins", "float", || Rule::Real),
            ("builtins", "complex", || Rule::Real),
            ("decimal", "Decimal", || Rule::Decimal),
            ("fractions", "Fraction", || Rule::Number),
            ("datetime", "datetime", || Rule::DateTime),
            ("datetime", "date", || Rule::Date),
            ("datetime", "time", || Rule::Time),
            ("datetime", "timedelta", || Rule::Duration),
        ];
        let mut plain = plain
            .into_iter()
            .map(|(module, name, rule)| Ok((class(module, name)?, rule)))
            .collect::<PyResult<Vec<_>>>()?;
        plain.push((class("uuid", "UUID")?, || Rule::Uuid));
        Ok(Classes {
            plain,
            enumeration: class("enum", "Enum")?,
            flag: class("enum", "Flag")?,
            object: class("builtins", "object")?,
        })
    })
}

/// Find the rule of a class, or say why there is none.
fn rule_of(class: &Bound<'_, PyType>) -> Result<Rule, Refusal> {
    let py = class.py();
    if let Some(rule) = foreign_scalar(class)? {
        return Ok(rule);
    }
    let classes = classes(py)?;
    for (base, rule) in &classes.plain {
        let base = base.bind(py);
        if class.is_subclass(base)? {
            return if same_equality(class, base)? {
                Ok(rule())
            } else {
                Err(own_equality(class)?)
            };
        }
    }
    if class.is_subclass(classes.enumeration.bind(py))? {
        if !same_equality_method(class, classes.object.bind(py), "__eq__")? {
            return Err(own_equality(class)?);
        }
        let name = hash_text(class.qualname()?.to_str()?.as_bytes());
        return Ok(if class.is_subclass(classes.flag.bind(py))? {
            Rule::Flag(name)
        } else {
            Rule::Member(name)
        });
    }
    match frozen_fields(class)? {
        Some(fields) => Ok(Rule::Record(
            hash_text(class.qualname()?.to_str()?.as_bytes()),
            fields,
        )),
        None => Err(Refusal::Type(format!(
            "nothing is known about the equality of type {}",
            class.fully_qualified_name()?
        ))),
    }
}

/// Scalars of `NumPy` and Arrow that have a plain Python form; neither library is imported for it.
fn foreign_scalar(class: &Bound<'_, PyType>) -> Result<Option<Rule>, Refusal> {
    let module = class.module()?;
    let module = module.to_str()?;
    if module == "numpy" && class.hasattr(intern!(class.py(), "item"))? {
        // Their units are wider than those of datetime, and records and the rest have no plain form.
        return if matches!(
            class.name()?.to_str()?,
            "datetime64" | "timedelta64" | "void" | "object_" | "ndarray"
        ) {
            Err(Refusal::Type(format!(
                "values of type {} have no plain Python form",
                class.fully_qualified_name()?
            )))
        } else {
            Ok(Some(Rule::NumpyScalar))
        };
    }
    if module.starts_with("pyarrow") && class.hasattr(intern!(class.py(), "as_py"))? {
        return Ok(Some(Rule::ArrowScalar));
    }
    Ok(None)
}

fn own_equality(class: &Bound<'_, PyType>) -> PyResult<Refusal> {
    Ok(Refusal::Type(format!(
        "type {} has an equality or a hash of its own",
        class.fully_qualified_name()?
    )))
}

fn same_equality(class: &Bound<'_, PyType>, base: &Bound<'_, PyType>) -> PyResult<bool> {
    Ok(same_equality_method(class, base, "__eq__")?
        && same_equality_method(class, base, "__hash__")?)
}

fn same_equality_method(
    class: &Bound<'_, PyType>,
    base: &Bound<'_, PyType>,
    method: &str,
) -> PyResult<bool> {
    Ok(class.is(base) || class.getattr(method)?.is(base.getattr(method)?))
}

/// The names of the fields that a frozen dataclass compares; none where it is not one.
fn frozen_fields(class: &Bound<'_, PyType>) -> Result<Option<Vec<Py<PyString>>>, Refusal> {
    let py = class.py();
    // Of the class itself: a subclass that is no dataclass may have fields that nobody compares.
    let own = class.getattr(intern!(py, "__dict__"))?;
    if !own.contains(intern!(py, "__dataclass_params__"))? {
        return Ok(None);
    }
    let parameters = class.getattr(intern!(py, "__dataclass_params__"))?;
    let name = class.fully_qualified_name()?;
    let generated = parameters.getattr(intern!(py, "eq"))?.is_truthy()?
        && class
            .getattr(intern!(py, "__eq__"))?
            .getattr(intern!(py, "__code__"))
            .and_then(|code| code.getattr(intern!(py, "co_filename")))
            .is_ok_and(|file| file.eq("<string>").unwrap_or(false));
    if !generated {
        return Err(own_equality(class)?);
    }
    if !parameters.getattr(intern!(py, "frozen"))?.is_truthy()? {
        return Err(Refusal::Type(format!("the dataclass {name} is not frozen")));
    }
    let mut fields = Vec::new();
    for field in py
        .import(intern!(py, "dataclasses"))?
        .call_method1(intern!(py, "fields"), (class,))?
        .try_iter()?
    {
        let field = field?;
        if field.getattr(intern!(py, "compare"))?.is_truthy()? {
            let name = field.getattr(intern!(py, "name"))?;
            fields.push(name.cast_into::<PyString>().map_err(PyErr::from)?.unbind());
        }
    }
    Ok(Some(fields))
}

//! Dicts split by key and packed in one pass, and the way back.

use millstream_core::hash::KeyGroups;
use millstream_core::pairs::{Column, Kind, Writer, pack, unpack};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList};

use crate::error::raise;
use crate::hash::for_each_item;
use crate::key::KeyHasher;

/// Add what this file offers to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(pack_split, module)?)?;
    module.add_function(wrap_pyfunction!(unpack_pairs, module)?)
}

/// What is kept of one partition: the keys and the values.
type Lists<'py> = (Bound<'py, PyList>, Bound<'py, PyList>);

/// The pairs of one partition while a dict is split.
struct Part<'py> {
    keys: Writer,
    values: Writer,
    count: usize,
    kept: Option<Lists<'py>>,
}

/// Split a dict by key, and pack the pairs of each partition.
#[pyfunction]
#[pyo3(signature = (d, partitions, kept, groups = 1024))]
#[allow(clippy::type_complexity)]
fn pack_split<'py>(
    d: &Bound<'py, PyDict>,
    partitions: u32,
    kept: Vec<u32>,
    groups: u32,
) -> PyResult<Option<(Vec<(usize, Bound<'py, PyBytes>)>, Vec<Lists<'py>>)>> {
    let py = d.py();
    let key_groups = KeyGroups::new(groups, partitions).map_err(|error| raise(py, error))?;
    let Some((key_kind, value_kind)) = kinds(d) else {
        return Ok(None);
    };
    let mut parts: Vec<_> = (0..partitions)
        .map(|_| Part {
            keys: Writer::new(key_kind),
            values: Writer::new(value_kind),
            count: 0,
            kept: None,
        })
        .collect();
    for &partition in &kept {
        if let Some(part) = parts.get_mut(partition as usize) {
            part.kept = Some((PyList::empty(py), PyList::empty(py)));
        }
    }
    let mut hasher = KeyHasher::new(py);
    let mut plain = true;
    for_each_item(d, |key, value| {
        if !plain {
            return Ok(());
        }
        // SAFETY: the caller holds key and value; the lists take references of their own.
        unsafe {
            let part = &mut parts[key_groups.partition(hasher.hash(key)?) as usize];
            if !(write(&mut part.keys, key_kind, key) && write(&mut part.values, value_kind, value))
            {
                plain = false;
                return Ok(());
            }
            part.count += 1;
            if let Some((keys, values)) = &part.kept
                && (ffi::PyList_Append(keys.as_ptr(), key) != 0
                    || ffi::PyList_Append(values.as_ptr(), value) != 0)
            {
                return Err(PyErr::fetch(py));
            }
        }
        Ok(())
    })?;
    if !plain {
        return Ok(None);
    }
    let packed = parts
        .iter()
        .map(|part| {
            let bytes = pack(&part.keys, &part.values, part.count);
            (part.count, PyBytes::new(py, &bytes))
        })
        .collect();
    let lists = parts.into_iter().filter_map(|part| part.kept).collect();
    Ok(Some((packed, lists)))
}

/// Tell what the keys and the values of a dict are, by its first item; None where they cannot be packed.
fn kinds(d: &Bound<'_, PyDict>) -> Option<(Kind, Kind)> {
    let (key, value) = d.iter().next()?;
    let key_kind = kind_of(&key)?;
    // A key that is a float may be NaN, or equal to a whole number.
    (key_kind != Kind::Floats).then_some((key_kind, kind_of(&value)?))
}

fn kind_of(value: &Bound<'_, PyAny>) -> Option<Kind> {
    // SAFETY: the type of a live object is read.
    unsafe {
        let value = value.as_ptr();
        if ffi::PyUnicode_CheckExact(value) != 0 {
            Some(Kind::Texts)
        } else if ffi::PyLong_CheckExact(value) != 0 {
            Some(Kind::Ints)
        } else if ffi::PyFloat_CheckExact(value) != 0 {
            Some(Kind::Floats)
        } else {
            None
        }
    }
}

/// Append a value to a column; false when it is of another kind, or does not fit.
///
/// # Safety
/// `value` is a live object, and the GIL is held.
#[inline]
unsafe fn write(column: &mut Writer, kind: Kind, value: *mut ffi::PyObject) -> bool {
    // SAFETY: the exact type is checked before the object is read as one; a text lends its UTF-8 as long as it lives.
    unsafe {
        match kind {
            Kind::Texts => {
                if ffi::PyUnicode_CheckExact(value) == 0 {
                    return false;
                }
                let mut len: ffi::Py_ssize_t = 0;
                let utf8 = ffi::PyUnicode_AsUTF8AndSize(value, &raw mut len);
                if utf8.is_null() {
                    // Half of a surrogate pair has no UTF-8.
                    ffi::PyErr_Clear();
                    return false;
                }
                column.text(std::slice::from_raw_parts(utf8.cast(), len as usize))
            }
            Kind::Ints => {
                if ffi::PyLong_CheckExact(value) == 0 {
                    return false;
                }
                let mut overflow = 0;
                let number = ffi::PyLong_AsLongLongAndOverflow(value, &raw mut overflow);
                column.int(number);
                overflow == 0
            }
            Kind::Floats => {
                if ffi::PyFloat_CheckExact(value) == 0 {
                    return false;
                }
                column.float(ffi::PyFloat_AsDouble(value));
                true
            }
        }
    }
}

/// Make the keys and the values of what `pack_split` gave for one partition.
#[pyfunction]
fn unpack_pairs<'py>(py: Python<'py>, data: &[u8]) -> PyResult<Lists<'py>> {
    let (keys, values, count) = unpack(data).map_err(|error| raise(py, error))?;
    Ok((list(py, keys, count)?, list(py, values, count)?))
}

fn list<'py>(py: Python<'py>, column: Column<'_>, count: usize) -> PyResult<Bound<'py, PyList>> {
    // SAFETY: a new list of empty places; a list that is dropped with empty places is fine.
    let list = unsafe {
        Bound::from_owned_ptr_or_err(py, ffi::PyList_New(count as ffi::Py_ssize_t))?
            .cast_into::<PyList>()?
    };
    let mut place = 0;
    // SAFETY: each column has `count` entries, one an empty place; the list takes over the reference.
    let mut put = |value: *mut ffi::PyObject| unsafe {
        if value.is_null() {
            return Err(PyErr::fetch(py));
        }
        ffi::PyList_SetItem(list.as_ptr(), place, value);
        place += 1;
        Ok(())
    };
    match column {
        Column::Texts(ends, texts) => {
            for text in Column::texts(ends, texts) {
                let text = text.map_err(|error| raise(py, error))?;
                // SAFETY: valid UTF-8 of the given length.
                put(unsafe {
                    ffi::PyUnicode_FromStringAndSize(
                        text.as_ptr().cast(),
                        text.len() as ffi::Py_ssize_t,
                    )
                })?;
            }
        }
        Column::Ints(numbers) => {
            for number in numbers {
                // SAFETY: the GIL is held.
                put(unsafe { ffi::PyLong_FromLongLong(i64::from_le_bytes(*number)) })?;
            }
        }
        Column::Floats(numbers) => {
            for number in numbers {
                // SAFETY: the GIL is held.
                put(unsafe { ffi::PyFloat_FromDouble(f64::from_le_bytes(*number)) })?;
            }
        }
    }
    Ok(list)
}

//! Key groups of single keys, and records split by key into partitions.

use millstream_core::hash::{HASH_VERSION, KEY_GROUPS, KeyGroups};
use pyo3::exceptions::{PyRuntimeError, PyTypeError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

use crate::error::{raise, short_repr};
use crate::key::KeyHasher;

// The signatures below say 1024 as a number, because the runtime shows it to `help` and to stubtest.
const _: () = assert!(KEY_GROUPS == 1024);

/// Add what this file offers to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("HASH_VERSION", HASH_VERSION)?;
    module.add("KEY_GROUPS", KEY_GROUPS)?;
    module.add_function(wrap_pyfunction!(key_group, module)?)?;
    module.add_function(wrap_pyfunction!(split_dict, module)?)?;
    module.add_function(wrap_pyfunction!(split_pairs, module)?)?;
    module.add_function(wrap_pyfunction!(split_values, module)?)
}

/// Give the key group of a key: its stable hash modulo `groups`.
#[pyfunction]
#[pyo3(signature = (key, groups = 1024))]
fn key_group(key: &Bound<'_, PyAny>, groups: u32) -> PyResult<u32> {
    let key_groups = KeyGroups::new(groups, 1).map_err(|error| raise(key.py(), error))?;
    // SAFETY: the argument lives as long as the call.
    let hash = unsafe { KeyHasher::new(key.py()).hash(key.as_ptr()) }?;
    Ok(key_groups.group(hash))
}

/// Split a dict by key into one dict a partition.
#[pyfunction]
#[pyo3(signature = (d, partitions, groups = 1024))]
fn split_dict<'py>(
    d: &Bound<'py, PyDict>,
    partitions: u32,
    groups: u32,
) -> PyResult<Vec<Bound<'py, PyDict>>> {
    let py = d.py();
    let key_groups = KeyGroups::new(groups, partitions).map_err(|error| raise(py, error))?;
    let mut hasher = KeyHasher::new(py);
    if partitions == 1 {
        // Every key goes to the same place; what has no place is refused as it is with many partitions.
        for_each_item(d, |key, _| {
            // SAFETY: the caller holds the key.
            if unsafe { needs_check(key) } {
                // SAFETY: as above.
                unsafe { hasher.hash(key) }?;
            }
            Ok(())
        })?;
        return Ok(vec![d.clone()]);
    }
    let parts: Vec<_> = (0..partitions).map(|_| PyDict::new(py)).collect();
    for_each_item(d, |key, value| {
        // SAFETY: the caller holds key and value; the dict takes references of its own.
        unsafe {
            let partition = key_groups.partition(hasher.hash(key)?);
            if ffi::PyDict_SetItem(parts[partition as usize].as_ptr(), key, value) != 0 {
                return Err(PyErr::fetch(py));
            }
        }
        Ok(())
    })?;
    Ok(parts)
}

/// Say whether a key could be refused, without hashing it.
///
/// # Safety
/// `key` is a live object and the GIL is held.
unsafe fn needs_check(key: *mut ffi::PyObject) -> bool {
    // SAFETY: the type of a live object; a float is checked to be one before it is read.
    unsafe {
        let class = ffi::Py_TYPE(key);
        if class == &raw mut ffi::PyFloat_Type {
            return ffi::PyFloat_AsDouble(key).is_nan();
        }
        class != &raw mut ffi::PyUnicode_Type
            && class != &raw mut ffi::PyLong_Type
            && class != &raw mut ffi::PyBytes_Type
            && class != &raw mut ffi::PyBool_Type
            && key != ffi::Py_None()
    }
}

/// Call `visit` with each key and value, both held while it runs.
pub fn for_each_item(
    dict: &Bound<'_, PyDict>,
    mut visit: impl FnMut(*mut ffi::PyObject, *mut ffi::PyObject) -> PyResult<()>,
) -> PyResult<()> {
    let len = dict.len();
    let mut position: ffi::Py_ssize_t = 0;
    let (mut key, mut value) = (std::ptr::null_mut(), std::ptr::null_mut());
    // SAFETY: a live dict; PyDict_Next checks the position against the dict of the moment, and what it lends is
    // held from before `visit`, which may run code of the user, until after it.
    unsafe {
        while ffi::PyDict_Next(
            dict.as_ptr(),
            &raw mut position,
            &raw mut key,
            &raw mut value,
        ) != 0
        {
            ffi::Py_INCREF(key);
            ffi::Py_INCREF(value);
            let result = visit(key, value);
            ffi::Py_DECREF(key);
            ffi::Py_DECREF(value);
            result?;
        }
    }
    if dict.len() == len {
        Ok(())
    } else {
        Err(PyRuntimeError::new_err(
            "the dict changed while it was split",
        ))
    }
}

/// Split (key, value) records by key into one list a partition, order kept.
#[pyfunction]
#[pyo3(signature = (pairs, partitions, groups = 1024))]
fn split_pairs<'py>(
    pairs: &Bound<'py, PyList>,
    partitions: u32,
    groups: u32,
) -> PyResult<Vec<Bound<'py, PyList>>> {
    split_list(pairs, partitions, groups, |pair| {
        // SAFETY: `split_list` holds the pair; a tuple of two has an element 0, which lives as long as it.
        unsafe {
            if ffi::PyTuple_Check(pair) != 0 && ffi::PyTuple_Size(pair) == 2 {
                Ok(ffi::PyTuple_GetItem(pair, 0))
            } else {
                Err(not_a_pair(&Bound::from_borrowed_ptr(pairs.py(), pair)))
            }
        }
    })
}

#[cold]
fn not_a_pair(record: &Bound<'_, PyAny>) -> PyErr {
    PyTypeError::new_err(format!(
        "a record is not a pair, that is a tuple of key and value: {}",
        short_repr(record)
    ))
}

/// Split records by themselves into one list a partition, order kept.
#[pyfunction]
#[pyo3(signature = (values, partitions, groups = 1024))]
fn split_values<'py>(
    values: &Bound<'py, PyList>,
    partitions: u32,
    groups: u32,
) -> PyResult<Vec<Bound<'py, PyList>>> {
    split_list(values, partitions, groups, Ok)
}

/// Split a list by the key that `key_of` finds in each element.
fn split_list<'py>(
    list: &Bound<'py, PyList>,
    partitions: u32,
    groups: u32,
    key_of: impl Fn(*mut ffi::PyObject) -> PyResult<*mut ffi::PyObject>,
) -> PyResult<Vec<Bound<'py, PyList>>> {
    let py = list.py();
    let key_groups = KeyGroups::new(groups, partitions).map_err(|error| raise(py, error))?;
    let mut hasher = KeyHasher::new(py);
    let len = list.len();
    let mut counts = vec![0_usize; partitions as usize];
    let mut partition_of = Vec::with_capacity(len);
    for index in 0..len {
        let element = item(list, index)?;
        // SAFETY: the element is held, and the key lives as long as it.
        let hash = unsafe { hasher.hash(key_of(element.as_ptr())?) }?;
        let partition = key_groups.partition(hash);
        counts[partition as usize] += 1;
        partition_of.push(partition);
    }
    let mut parts = Vec::with_capacity(partitions as usize);
    for count in &counts {
        // SAFETY: a new list of empty places; all of them are filled below before anyone else sees it.
        parts.push(unsafe {
            Bound::from_owned_ptr_or_err(py, ffi::PyList_New(*count as ffi::Py_ssize_t))
        }?);
    }
    let mut filled = vec![0_usize; partitions as usize];
    for (index, partition) in partition_of.into_iter().enumerate() {
        let element = item(list, index)?;
        let place = &mut filled[partition as usize];
        // SAFETY: the place exists and is empty; the list takes over the reference.
        unsafe {
            ffi::PyList_SetItem(
                parts[partition as usize].as_ptr(),
                *place as ffi::Py_ssize_t,
                element.into_ptr(),
            );
        }
        *place += 1;
    }
    parts
        .into_iter()
        .map(|part| part.cast_into::<PyList>().map_err(PyErr::from))
        .collect()
}

/// Take a reference to an element; an `IndexError` where code of the user shortened the list meanwhile.
#[inline]
fn item<'py>(list: &Bound<'py, PyList>, index: usize) -> PyResult<Bound<'py, PyAny>> {
    // SAFETY: a live list; the index is checked, and a null pointer is the error.
    unsafe {
        Bound::from_borrowed_ptr_or_err(
            list.py(),
            ffi::PyList_GetItem(list.as_ptr(), index as ffi::Py_ssize_t),
        )
    }
}

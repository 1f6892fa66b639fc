//! Words of text columns, counted or listed without a Python string for each line.

use std::hash::{BuildHasher, RandomState};

use arrow_array::ArrayRef;
use millstream_core::word_counts::WordCounts;
use millstream_core::words::{Splitter, Text};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString};

use crate::arrow;
use crate::error::raise;

/// Text whose words are counted in about 50 us; above, the GIL is released.
const SHORT_BYTES: usize = 16 << 10;

/// Strings that are made in about 100 us; then other threads may have the GIL.
const STRINGS_AT_ONCE: usize = 1024;

/// Add what this file offers to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(count_words, module)?)?;
    module.add_function(wrap_pyfunction!(split_words, module)?)?;
    module.add_function(wrap_pyfunction!(word_counts, module)?)
}

/// Give the number of words of a column, or None where that is not plain text.
#[pyfunction]
fn count_words(column: &Bound<'_, PyAny>, separator: Option<&str>) -> PyResult<Option<u64>> {
    let py = column.py();
    let splitter = Splitter::new(separator).map_err(|error| raise(py, error))?;
    let chunks = arrow::import(column)?;
    let Some(texts) = texts(&chunks) else {
        return Ok(None);
    };
    Ok(Some(unlocked(py, &texts, || {
        texts.iter().map(|text| splitter.count(text)).sum()
    })))
}

/// Give the words of a column in order, or None where that is not plain text.
#[pyfunction]
fn split_words<'py>(
    column: &Bound<'py, PyAny>,
    separator: Option<&str>,
) -> PyResult<Option<Bound<'py, PyList>>> {
    let py = column.py();
    let splitter = Splitter::new(separator).map_err(|error| raise(py, error))?;
    let chunks = arrow::import(column)?;
    let Some(texts) = texts(&chunks) else {
        return Ok(None);
    };
    let words = PyList::empty(py);
    let mut made = 0;
    let mut result = Ok(());
    for text in &texts {
        splitter.each(text, |word| {
            if result.is_ok() {
                result = string(py, word.bytes()).and_then(|word| words.append(word));
                let_others_run(py, &mut made);
            }
        });
    }
    result.map(|()| Some(words))
}

/// Give how often each word of a column occurs times `unit`, or None where the column is not plain text.
#[pyfunction]
fn word_counts<'py>(
    column: &Bound<'py, PyAny>,
    separator: Option<&str>,
    unit: &Bound<'py, PyAny>,
) -> PyResult<Option<Bound<'py, PyDict>>> {
    let py = column.py();
    let splitter = Splitter::new(separator).map_err(|error| raise(py, error))?;
    let chunks = arrow::import(column)?;
    let Some(texts) = texts(&chunks) else {
        return Ok(None);
    };
    let counted = unlocked(py, &texts, || {
        let mut counts = WordCounts::new(RandomState::new().hash_one(()));
        for text in &texts {
            splitter.each(text, |word| counts.add(word));
        }
        counts
    });
    let ones = unit.extract::<u64>().is_ok_and(|unit| unit == 1);
    let dict = PyDict::new(py);
    let mut made = 0;
    counted.each(|word, count| {
        let_others_run(py, &mut made);
        if ones {
            dict.set_item(string(py, word)?, count)
        } else {
            // Python's own product: it is as long as it has to be.
            dict.set_item(string(py, word)?, unit.mul(count)?)
        }
    })?;
    Ok(Some(dict))
}

fn texts(chunks: &[ArrayRef]) -> Option<Vec<Text<'_>>> {
    chunks.iter().map(|chunk| Text::of(chunk)).collect()
}

/// Do something that takes time in proportion to the size of texts.
fn unlocked<T: Send>(py: Python<'_>, texts: &[Text<'_>], work: impl FnOnce() -> T + Send) -> T {
    let bytes: usize = texts.iter().map(Text::bytes_count).sum();
    if bytes <= SHORT_BYTES {
        work()
    } else {
        py.detach(work)
    }
}

/// Make a string of valid UTF-8.
fn string<'py>(py: Python<'py>, utf8: &[u8]) -> PyResult<Bound<'py, PyString>> {
    // SAFETY: a new string, or null with an exception set where memory is out.
    unsafe {
        let len = utf8.len() as ffi::Py_ssize_t;
        let text = ffi::PyUnicode_FromStringAndSize(utf8.as_ptr().cast(), len);
        Ok(Bound::from_owned_ptr_or_err(py, text)?.cast_into_unchecked())
    }
}

/// Count one more string; every so often let other threads have the GIL, as a loop in Python would.
fn let_others_run(py: Python<'_>, made: &mut usize) {
    *made += 1;
    if *made == STRINGS_AT_ONCE {
        *made = 0;
        py.detach(|| ());
    }
}

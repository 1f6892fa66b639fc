//! Groups of records of a log.

use std::cell::Cell;

use millstream_core::group::{GroupPlace, Record, frame};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};

use crate::bytes::Bytes;
use crate::error::raise;
use crate::segment::{Id, SHORT_BYTES, id};

/// How much of the buffer stays for the next group.
const KEPT_BYTES_MAX: usize = 4 << 20;

thread_local! {
    /// Where groups are framed. Memory that is taken anew and given back for each of them costs a page fault for every
    /// 4 KiB, which is more than the framing.
    static BUFFER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// The number of the first of some records, and kind and bytes of each.
type Run<'py> = (u64, Vec<(u8, Bound<'py, PyAny>)>);

/// Add what this file offers to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(frame_group, module)?)
}

/// Frame runs of records into one group: its pieces, and its size in bytes.
#[pyfunction]
fn frame_group<'py>(
    py: Python<'py>,
    segment: Id,
    offset: usize,
    durable: u64,
    released: u64,
    next: u64,
    runs: Vec<Run<'py>>,
) -> PyResult<(Bound<'py, PyList>, usize)> {
    let mut given = Vec::new();
    for (first, run) in runs {
        for ((kind, data), number) in run.into_iter().zip(first..) {
            let bytes: Bytes<'py> = data.extract()?;
            given.push((number, kind, data, bytes));
        }
    }
    let records: Vec<_> = given
        .iter()
        .map(|(number, kind, _, bytes)| Record {
            number: *number,
            kind: *kind,
            data: bytes.as_slice(),
        })
        .collect();
    let place = GroupPlace {
        id: id(segment),
        offset,
        durable,
        first: records.first().map_or(next, |record| record.number),
        released,
    };
    let payload: usize = records.iter().map(|record| record.data.len()).sum();
    let mut bytes = BUFFER.take();
    let framed = if payload <= SHORT_BYTES {
        frame(place, &records, &mut bytes)
    } else {
        py.detach(|| frame(place, &records, &mut bytes))
    }
    .map_err(|error| raise(py, error))?;
    let pieces = PyList::empty(py);
    let mut done = 0;
    for &(at, index) in &framed.gaps {
        pieces.append(PyBytes::new(py, &bytes[done..at]))?;
        pieces.append(&given[index].2)?;
        done = at;
    }
    if done < bytes.len() {
        pieces.append(PyBytes::new(py, &bytes[done..]))?;
    }
    if bytes.capacity() <= KEPT_BYTES_MAX {
        BUFFER.set(bytes);
    }
    Ok((pieces, framed.length))
}

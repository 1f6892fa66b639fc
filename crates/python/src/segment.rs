//! The bytes of one file of a log.

use std::cell::Cell;

use millstream_core::segment;
use millstream_core::segment::{GroupPlace, Header, Previous, Record, SegmentId};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};

use crate::bytes::Bytes;
use crate::error::raise;

/// Payloads that are checked in about 50 us; above, the GIL is released.
const SHORT_BYTES: usize = 256 << 10;

/// How much of the buffer stays for the next group.
const KEPT_BYTES_MAX: usize = 4 << 20;

thread_local! {
    /// Where groups are framed. Memory that is taken anew and given back for each of them costs a page fault for every
    /// 4 KiB, which is more than the framing.
    static BUFFER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

type Id = (u64, u64);
type PreviousTuple = (u64, u64, u64, u64);

/// The number of the first of some records, and kind and bytes of each.
type Run<'py> = (u64, Vec<(u8, Bound<'py, PyAny>)>);

/// Add what this file offers to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<SegmentScan>()?;
    module.add_function(wrap_pyfunction!(segment_header, module)?)?;
    module.add_function(wrap_pyfunction!(frame_group, module)?)?;
    module.add_function(wrap_pyfunction!(scan_segment, module)?)
}

fn id((first, counter): Id) -> SegmentId {
    SegmentId { first, counter }
}

/// Give the header of a segment.
#[pyfunction]
#[pyo3(signature = (segment, released, previous))]
fn segment_header(
    py: Python<'_>,
    segment: Id,
    released: u64,
    previous: Vec<PreviousTuple>,
) -> Bound<'_, PyBytes> {
    let previous = previous
        .into_iter()
        .map(|(first, counter, end, next)| Previous {
            id: SegmentId { first, counter },
            end,
            next,
        })
        .collect();
    let header = Header {
        id: id(segment),
        released,
        previous,
    };
    PyBytes::new(py, &header.encode())
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
        segment::frame(place, &records, &mut bytes)
    } else {
        py.detach(|| segment::frame(place, &records, &mut bytes))
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

/// Read a segment up to its first damage.
#[pyfunction]
fn scan_segment(py: Python<'_>, data: &Bound<'_, PyAny>, segment: Id) -> PyResult<SegmentScan> {
    let bytes: Bytes<'_> = data.extract()?;
    let bytes = bytes.as_slice();
    let scan = || segment::scan(bytes, id(segment));
    let scan = if bytes.len() <= SHORT_BYTES {
        scan()
    } else {
        py.detach(scan)
    };
    Ok(SegmentScan { scan })
}

/// What is in a segment.
#[pyclass(frozen, module = "millstream._core")]
struct SegmentScan {
    scan: segment::Scan,
}

#[pymethods]
impl SegmentScan {
    #[getter]
    fn whole_header(&self) -> bool {
        self.scan.header.is_some()
    }

    #[getter]
    fn previous(&self) -> Vec<PreviousTuple> {
        let header = self.scan.header.as_ref();
        header.map_or_else(Vec::new, |header| {
            let entries = header.previous.iter();
            entries
                .map(|p| (p.id.first, p.id.counter, p.end, p.next))
                .collect()
        })
    }

    #[getter]
    fn released(&self) -> u64 {
        self.scan.released
    }

    #[getter]
    fn groups(&self) -> usize {
        self.scan.groups
    }

    #[getter]
    fn end(&self) -> usize {
        self.scan.end
    }

    #[getter]
    fn next(&self) -> u64 {
        self.scan.next
    }

    #[getter]
    fn durable(&self) -> u64 {
        self.scan.durable
    }

    #[getter]
    fn durable_next(&self) -> u64 {
        self.scan.durable_next
    }

    #[getter]
    fn problem(&self) -> Option<(usize, &'static str)> {
        self.scan.problem
    }

    #[getter]
    fn newer_format(&self) -> bool {
        matches!(self.scan.problem, Some((_, segment::NEWER_FORMAT)))
    }

    #[pyo3(signature = (from_number = 0, from_offset = 0))]
    fn records(&self, from_number: u64, from_offset: usize) -> Vec<(u64, u8, usize, usize)> {
        let found = self.scan.records.iter();
        found
            .filter(|record| record.number >= from_number && record.start > from_offset)
            .map(|record| (record.number, record.kind, record.start, record.end))
            .collect()
    }

    fn __len__(&self) -> usize {
        self.scan.records.len()
    }

    fn __repr__(&self) -> String {
        format!(
            "<SegmentScan records={} groups={} end={} problem={:?}>",
            self.scan.records.len(),
            self.scan.groups,
            self.scan.end,
            self.scan.problem
        )
    }
}

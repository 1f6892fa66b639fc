//! What is in a segment.

use millstream_core::segment::NEWER_FORMAT;
use millstream_core::segment_scan::{Scan, scan};
use pyo3::prelude::*;

use crate::bytes::Bytes;
use crate::segment::{Id, PreviousTuple, SHORT_BYTES, id};

/// Add what this file offers to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<SegmentScan>()?;
    module.add_function(wrap_pyfunction!(scan_segment, module)?)
}

/// Read a segment up to its first damage.
#[pyfunction]
fn scan_segment(py: Python<'_>, data: &Bound<'_, PyAny>, segment: Id) -> PyResult<SegmentScan> {
    let bytes: Bytes<'_> = data.extract()?;
    let bytes = bytes.as_slice();
    let look = || scan(bytes, id(segment));
    let scan = if bytes.len() <= SHORT_BYTES {
        look()
    } else {
        py.detach(look)
    };
    Ok(SegmentScan { scan })
}

/// What is in a segment.
#[pyclass(frozen, module = "millstream._core")]
struct SegmentScan {
    scan: Scan,
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
        matches!(self.scan.problem, Some((_, NEWER_FORMAT)))
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

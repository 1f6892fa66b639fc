//! One file of a log.

use millstream_core::segment::{Header, Previous, SegmentId};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

/// Payloads that are checked in about 50 us; above, the GIL is released.
pub const SHORT_BYTES: usize = 256 << 10;

/// Number of the first record, and how many segments there were before.
pub type Id = (u64, u64);

/// A segment as a later one vouches for it: its id, its certain length and the number of its next record.
pub type PreviousTuple = (u64, u64, u64, u64);

/// Add what this file offers to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(segment_header, module)?)
}

/// Make the core's id of what Python gave.
pub fn id((first, counter): Id) -> SegmentId {
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

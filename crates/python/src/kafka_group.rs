//! A member of a Kafka consumer group.

use std::collections::HashMap;
use std::time::Duration;

use millstream_core::kafka::group;
use millstream_core::kafka::group::Met;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use crate::kafka::KafkaColumns;
use crate::kafka_client;
use crate::kafka_client::{Event, events, raise, seconds, with_offset, without_offset};

/// Add what this file offers to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<KafkaGroup>()
}

/// A member of a consumer group; used by one thread.
#[pyclass(frozen, module = "millstream._core")]
struct KafkaGroup {
    group: group::Group,
}

#[pymethods]
impl KafkaGroup {
    #[new]
    fn new(
        py: Python<'_>,
        options: HashMap<String, String>,
        topics: Vec<String>,
    ) -> PyResult<Self> {
        let group = group::Group::join(&kafka_client::options(&options), &topics);
        Ok(Self {
            group: group.map_err(|error| raise(py, error))?,
        })
    }

    /// Give what comes next: what it is, and what it brings.
    fn poll<'py>(
        &self,
        py: Python<'py>,
        wait_s: f64,
        most: usize,
    ) -> PyResult<Option<Bound<'py, PyTuple>>> {
        let met = py
            .detach(|| self.group.poll(seconds(wait_s), most))
            .map_err(|error| raise(py, error))?;
        let Some(met) = met else { return Ok(None) };
        let told = match met {
            Met::Records(batches, ends) => {
                ("records", KafkaColumns { batches }, ends).into_pyobject(py)?
            }
            Met::Given(partitions) => ("given", partitions, false).into_pyobject(py)?,
            Met::Taken(partitions, lost) => ("taken", partitions, lost).into_pyobject(py)?,
            Met::OutOfRange(topic, number) => {
                ("out_of_range", vec![(topic, number)], false).into_pyobject(py)?
            }
        };
        Ok(Some(told))
    }

    /// Read partitions that were given, from these offsets on.
    fn assign(&self, py: Python<'_>, partitions: Vec<(String, i32, i64)>) -> PyResult<()> {
        let entries = with_offset(&partitions);
        py.detach(|| self.group.assign(&entries))
            .map_err(|error| raise(py, error))
    }

    /// Give back partitions that were taken.
    fn unassign(&self, py: Python<'_>, partitions: Vec<(String, i32)>) -> PyResult<()> {
        let entries = without_offset(&partitions);
        py.detach(|| self.group.unassign(&entries))
            .map_err(|error| raise(py, error))
    }

    /// Go on at other offsets of partitions.
    fn go_on(
        &self,
        py: Python<'_>,
        moved: Vec<(String, i32, i64)>,
        all: Vec<(String, i32, i64)>,
    ) -> PyResult<()> {
        let (moved, all) = (with_offset(&moved), with_offset(&all));
        py.detach(|| self.group.go_on(&moved, &all))
            .map_err(|error| raise(py, error))
    }

    /// Fetch nothing of partitions for now, or go on.
    fn pause(&self, py: Python<'_>, partitions: Vec<(String, i32)>, paused: bool) -> PyResult<()> {
        let entries = without_offset(&partitions);
        py.detach(|| self.group.pause(&entries, paused))
            .map_err(|error| raise(py, error))
    }

    /// Commit offsets, in the background after the wait.
    fn commit(
        &self,
        py: Python<'_>,
        offsets: Vec<(String, i32, i64)>,
        wait_s: f64,
    ) -> PyResult<()> {
        let entries = with_offset(&offsets);
        py.detach(|| self.group.commit(&entries, seconds(wait_s)))
            .map_err(|error| raise(py, error))
    }

    /// Leave the group.
    fn leave(&self, py: Python<'_>, wait_s: f64) {
        py.detach(|| self.group.leave(Duration::from_secs_f64(wait_s.max(0.0))));
    }

    /// Take what happened to the connections since the last call.
    fn events(&self) -> Vec<Event> {
        events(self.group.client())
    }
}

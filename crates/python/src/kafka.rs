//! Reading Kafka: ranges of partitions as Arrow columns, and the watch over topics and offsets.

use std::collections::HashMap;
use std::time::Duration;

use arrow_array::RecordBatch;
use millstream_core::kafka::error::{KafkaError, Kind};
use millstream_core::kafka::records::SCHEMA;
use millstream_core::kafka::topics::Deadline;
use millstream_core::kafka::{offsets, reader, topics, watch};
use pyo3::prelude::*;
use pyo3::types::PyCapsule;

use crate::kafka_client::{
    Event, TopicTuple, ask, events, raise, seconds, topic, trouble, with_offset, without_offset,
};
use crate::{arrow, kafka_client};

/// Reading and waiting let Ctrl-C through after so long.
const SLICE: Duration = Duration::from_millis(100);

/// A range of so many records, if it was fetched already, is read in less time than the release of the GIL may cost.
const SMALL: i64 = 500;

/// Add what this file offers to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<KafkaColumns>()?;
    module.add_class::<KafkaReader>()?;
    module.add_class::<KafkaWatch>()
}

/// Topic, partition, first offset, offset after the last one, leader epoch.
type EndsTuple = (String, i32, i64, i64, i32);

/// Records of a range as Arrow columns, to be taken over by `pyarrow.table`.
#[pyclass(frozen, module = "millstream._core")]
pub struct KafkaColumns {
    pub batches: Vec<RecordBatch>,
}

#[pymethods]
impl KafkaColumns {
    fn __len__(&self) -> usize {
        self.batches.iter().map(RecordBatch::num_rows).sum()
    }

    #[pyo3(signature = (requested_schema = None))]
    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyCapsule>> {
        let _ = requested_schema;
        arrow::export_batches(py, self.batches.clone(), SCHEMA.clone())
    }
}

/// What reads ranges of Kafka partitions with one client.
#[pyclass(frozen, module = "millstream._core")]
struct KafkaReader {
    reader: reader::Reader,
}

#[pymethods]
impl KafkaReader {
    #[new]
    fn new(py: Python<'_>, options: HashMap<String, String>) -> PyResult<Self> {
        let reader = reader::Reader::new(&kafka_client::options(&options));
        Ok(Self {
            reader: reader.map_err(|error| raise(py, error))?,
        })
    }

    /// Read the records with offsets from `start` to before `until`.
    fn read(
        &self,
        py: Python<'_>,
        topic: &str,
        partition: i32,
        start: i64,
        until: i64,
        timeout_s: f64,
    ) -> PyResult<KafkaColumns> {
        let range = self
            .reader
            .range(topic, partition, start, until)
            .map_err(|error| raise(py, error))?;
        let deadline = Deadline::after(seconds(timeout_s));
        let mut first = until - start <= SMALL;
        loop {
            let read = if first {
                self.reader.advance(&range, Duration::ZERO)
            } else {
                py.detach(|| self.reader.advance(&range, SLICE.min(deadline.left())))
            };
            first = false;
            if let Some(batches) = read.map_err(|error| raise(py, error))? {
                return Ok(KafkaColumns { batches });
            }
            py.check_signals()?;
            if deadline.left().is_zero() {
                let trouble = self.reader.client().health().trouble();
                let (kind, why) = trouble.unwrap_or((Kind::Unavailable, "no answer".to_owned()));
                let text = format!(
                    "{topic} partition {partition}, offsets {start} to {until}, was not read within {timeout_s} s: {why}"
                );
                return Err(raise(py, KafkaError::new(kind, text)));
            }
        }
    }

    /// Give the first offset of a partition.
    fn first_offset(
        &self,
        py: Python<'_>,
        topic: &str,
        partition: i32,
        timeout_s: f64,
    ) -> PyResult<i64> {
        let wanted = [(topic, partition, offsets::EARLIEST)];
        let found = ask(py, self.reader.client(), |client| {
            offsets::at(client, &wanted, seconds(timeout_s))
        })?;
        Ok(found[0].offset)
    }

    /// Fetch partitions that will be read; give up to which offset each is fetched.
    fn follow(&self, positions: Vec<(String, i32, i64)>) -> Vec<Option<i64>> {
        self.reader.follow(&positions)
    }

    /// Fetch a topic no more.
    fn forget(&self, py: Python<'_>, topic: &str) {
        py.detach(|| self.reader.forget(topic));
    }

    /// Take what happened to the connections since the last call.
    fn events(&self) -> Vec<Event> {
        events(self.reader.client())
    }
}

/// A watch over topics and their offsets.
#[pyclass(frozen, module = "millstream._core")]
struct KafkaWatch {
    watch: watch::Watch,
}

#[pymethods]
impl KafkaWatch {
    #[new]
    fn new(
        py: Python<'_>,
        options: HashMap<String, String>,
        refresh_ms: u64,
        lists_names: bool,
    ) -> PyResult<Self> {
        let refresh = Duration::from_millis(refresh_ms);
        let watch = watch::Watch::new(&kafka_client::options(&options), refresh, lists_names);
        Ok(Self {
            watch: watch.map_err(|error| raise(py, error))?,
        })
    }

    /// Start the thread, once.
    fn start(&self) {
        self.watch.start();
    }

    /// Name the topics to watch.
    fn watch(&self, topics: Vec<String>) {
        self.watch.watch(topics);
    }

    /// Have topics and first offsets asked for soon.
    fn ask_for_topics(&self) {
        self.watch.ask_for_topics();
    }

    /// Have last offsets asked for so long from now, besides.
    fn ask_in(&self, after_s: f64) {
        self.watch.ask_in(seconds(after_s));
    }

    /// Have last offsets asked for, and wait for the answer; False where it did not come in time.
    #[pyo3(signature = (timeout_s, fresh_s=0.0))]
    fn ask_for_ends(&self, py: Python<'_>, timeout_s: f64, fresh_s: f64) -> bool {
        let (timeout, fresh) = (seconds(timeout_s), seconds(fresh_s));
        py.detach(|| self.watch.ask_for_ends(timeout, fresh))
    }

    /// Ask for topics and all offsets, and wait for the answer.
    fn ask_now(&self, py: Python<'_>, timeout_s: f64) -> PyResult<()> {
        py.detach(|| self.watch.ask_now(seconds(timeout_s)))
            .map_err(|error| raise(py, error))
    }

    /// Give the versions of topics and ends, and how often topics were asked for.
    fn versions(&self) -> (u64, u64, u64) {
        let look =
            |known: &watch::Known| (known.topics_version, known.ends_version, known.topics_asked);
        self.watch.with(look)
    }

    /// Give the topics that are watched.
    fn topics(&self) -> Vec<TopicTuple> {
        self.watch
            .with(|known| known.topics.iter().cloned().map(topic).collect())
    }

    /// Give the names of all topics, where they are asked for.
    fn names(&self) -> Vec<String> {
        self.watch.with(|known| known.names.clone())
    }

    /// Give first and last offsets.
    fn ends(&self) -> Vec<EndsTuple> {
        self.watch.with(|known| {
            let ends = known.ends.iter();
            ends.map(|((topic, partition), ends)| {
                (topic.clone(), *partition, ends.low, ends.high, ends.epoch)
            })
            .collect()
        })
    }

    /// List the names of all topics.
    fn list_names(&self, py: Python<'_>, timeout_s: f64) -> PyResult<Vec<String>> {
        kafka_client::names(py, self.watch.client(), timeout_s)
    }

    /// Describe topics.
    fn describe(
        &self,
        py: Python<'_>,
        names: Vec<String>,
        timeout_s: f64,
    ) -> PyResult<Vec<TopicTuple>> {
        kafka_client::describe(py, self.watch.client(), topics::describe, &names, timeout_s)
    }

    /// Describe topics that should be there; those that are not known are asked for again for a second.
    fn find(
        &self,
        py: Python<'_>,
        names: Vec<String>,
        timeout_s: f64,
    ) -> PyResult<Vec<TopicTuple>> {
        kafka_client::describe(py, self.watch.client(), topics::find, &names, timeout_s)
    }

    /// Give the offsets of partitions at times: milliseconds since the epoch, -2 for the first, -1 for the last.
    fn offsets(
        &self,
        py: Python<'_>,
        wanted: Vec<(String, i32, i64)>,
        timeout_s: f64,
    ) -> PyResult<Vec<i64>> {
        kafka_client::offsets_at(py, self.watch.client(), &wanted, timeout_s)
    }

    /// Give what the group has committed.
    fn committed(
        &self,
        py: Python<'_>,
        wanted: Vec<(String, i32)>,
        timeout_s: f64,
    ) -> PyResult<Vec<Option<i64>>> {
        let wanted = without_offset(&wanted);
        ask(py, self.watch.client(), |client| {
            offsets::committed(client, &wanted, seconds(timeout_s))
        })
    }

    /// Commit offsets for the group, in the background after the wait.
    fn commit(
        &self,
        py: Python<'_>,
        offsets: Vec<(String, i32, i64)>,
        wait_s: f64,
    ) -> PyResult<()> {
        let offsets = with_offset(&offsets);
        ask(py, self.watch.client(), |client| {
            offsets::commit(client, &offsets, seconds(wait_s))
        })
    }

    /// Take what happened to the connections since the last call.
    fn events(&self) -> Vec<Event> {
        events(self.watch.client())
    }

    /// Take the newest error of the group that nobody was told.
    fn group_error(&self) -> Option<String> {
        let error = self.watch.client().group_error();
        error.map(|error| error.text)
    }

    /// What is wrong with the connections, or None.
    #[getter]
    fn trouble(&self) -> Option<String> {
        trouble(self.watch.client())
    }
}

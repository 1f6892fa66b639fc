//! Writing Kafka: Arrow columns in, what became of them out; transactions; the topic of commits.

use std::collections::HashMap;
use std::time::Duration;

use arrow_array::StructArray;
use arrow_array::cast::AsArray;
use millstream_core::kafka::deliveries::Failure;
use millstream_core::kafka::error::KafkaError;
use millstream_core::kafka::outgoing::Outgoing;
use millstream_core::kafka::producer::Producer;
use millstream_core::kafka::transaction::Failed;
use millstream_core::kafka::{client, topic_making, topics, transaction};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;

use crate::kafka_client::{Event, TopicTuple, events, options, raise, seconds, trouble};
use crate::{arrow, kafka_client};

/// Kind, text, topic, Kafka partition and row of a record that was not taken.
type FailureTuple = (&'static str, String, String, i32, u64);

/// Add what this file offers to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<KafkaProducer>()
}

/// What writes records to Kafka.
#[pyclass(frozen, module = "millstream._core")]
struct KafkaProducer {
    producer: Producer,
}

impl KafkaProducer {
    fn ask<T: Send>(
        &self,
        py: Python<'_>,
        question: impl FnOnce(&client::Client) -> Result<T, KafkaError> + Send,
    ) -> PyResult<T> {
        kafka_client::ask(py, self.producer.client(), question)
    }

    fn step(
        &self,
        py: Python<'_>,
        timeout_s: f64,
        step: impl FnOnce(&client::Client, Duration) -> Result<(), Failed> + Send,
    ) -> PyResult<()> {
        py.detach(|| step(self.producer.client(), seconds(timeout_s)))
            .map_err(|(error, next)| {
                let exception = raise(py, error);
                let set = exception.value(py).setattr("next", next.name());
                set.err().unwrap_or(exception)
            })
    }
}

#[pymethods]
impl KafkaProducer {
    #[new]
    fn new(py: Python<'_>, options: HashMap<String, String>) -> PyResult<Self> {
        let producer = Producer::new(&kafka_client::options(&options));
        Ok(Self {
            producer: producer.map_err(|error| raise(py, error))?,
        })
    }

    /// Begin to count anew what becomes of records.
    fn begin(&self) {
        self.producer.begin();
    }

    /// Hand records to the client; waits while it has no room.
    fn send(
        &self,
        py: Python<'_>,
        topic: &str,
        columns: &Bound<'_, PyAny>,
        timeout_s: f64,
    ) -> PyResult<()> {
        let mut chunks = Vec::new();
        for array in arrow::import(columns)? {
            let columns: Option<&StructArray> = array.as_struct_opt();
            let columns = columns.ok_or_else(|| PyTypeError::new_err("a table is needed"))?;
            chunks.push(Outgoing::of(columns).map_err(|error| raise(py, error))?);
        }
        py.detach(|| {
            let timeout = seconds(timeout_s);
            let mut sent = chunks
                .iter()
                .map(|chunk| self.producer.send(topic, chunk, timeout));
            sent.try_for_each(|sent| sent)
        })
        .map_err(|error| raise(py, error))
    }

    /// Wait until the brokers answered for all records: how many they have, how many are open, the first failure.
    fn flush(&self, py: Python<'_>, timeout_s: f64) -> (u64, u64, Option<FailureTuple>) {
        let (outcome, open) = py.detach(|| self.producer.flush(seconds(timeout_s)));
        (outcome.delivered, open, outcome.first_failure.map(failure))
    }

    /// The first record that was not taken so far, or None.
    #[getter]
    fn failure(&self) -> Option<FailureTuple> {
        let outcome = self.producer.client().deliveries().outcome();
        outcome.first_failure.map(failure)
    }

    /// End what earlier producers of the transactional id left open, and fence them.
    fn init_transactions(&self, py: Python<'_>, timeout_s: f64) -> PyResult<()> {
        self.step(py, timeout_s, transaction::init)
    }

    /// Begin a transaction.
    fn begin_transaction(&self, py: Python<'_>) -> PyResult<()> {
        self.step(py, 0.0, |client, _| transaction::begin(client))
    }

    /// Have everything delivered, and commit it.
    fn commit_transaction(&self, py: Python<'_>, timeout_s: f64) -> PyResult<()> {
        self.step(py, timeout_s, transaction::commit)
    }

    /// Abort the transaction.
    fn abort_transaction(&self, py: Python<'_>, timeout_s: f64) -> PyResult<()> {
        self.step(py, timeout_s, transaction::abort)
    }

    /// Describe topics.
    fn describe(
        &self,
        py: Python<'_>,
        names: Vec<String>,
        timeout_s: f64,
    ) -> PyResult<Vec<TopicTuple>> {
        kafka_client::describe(
            py,
            self.producer.client(),
            topics::describe,
            &names,
            timeout_s,
        )
    }

    /// Describe topics that should be there; those that are not known are asked for again for a second.
    fn find(
        &self,
        py: Python<'_>,
        names: Vec<String>,
        timeout_s: f64,
    ) -> PyResult<Vec<TopicTuple>> {
        kafka_client::describe(py, self.producer.client(), topics::find, &names, timeout_s)
    }

    /// List the names of all topics.
    fn list_names(&self, py: Python<'_>, timeout_s: f64) -> PyResult<Vec<String>> {
        kafka_client::names(py, self.producer.client(), timeout_s)
    }

    /// Make a topic of one partition, unless it is there.
    fn make_topic(
        &self,
        py: Python<'_>,
        name: &str,
        replicas: i32,
        config: HashMap<String, String>,
        timeout_s: f64,
    ) -> PyResult<()> {
        let config = options(&config);
        self.ask(py, |client| {
            topic_making::make(client, name, replicas, &config, seconds(timeout_s))
        })
    }

    /// Give the configuration of a topic.
    fn topic_config(
        &self,
        py: Python<'_>,
        name: &str,
        timeout_s: f64,
    ) -> PyResult<HashMap<String, String>> {
        let found = self.ask(py, |client| {
            topic_making::config(client, name, seconds(timeout_s))
        })?;
        Ok(found.into_iter().collect())
    }

    /// Give the number of brokers.
    fn brokers(&self, py: Python<'_>, timeout_s: f64) -> PyResult<usize> {
        self.ask(py, |client| {
            topic_making::brokers(client, seconds(timeout_s))
        })
    }

    /// Give the number of brokers, and of the replicas of a topic.
    fn replicas(&self, py: Python<'_>, name: &str, timeout_s: f64) -> PyResult<(usize, usize)> {
        self.ask(py, |client| {
            topic_making::replicas(client, name, seconds(timeout_s))
        })
    }

    /// Give the name that the cluster has for itself.
    fn cluster_id(&self, py: Python<'_>, timeout_s: f64) -> PyResult<String> {
        self.ask(py, |client| {
            topic_making::cluster_id(client, seconds(timeout_s))
        })
    }

    /// Give the offsets of partitions at times, as `KafkaWatch.offsets` does.
    fn offsets(
        &self,
        py: Python<'_>,
        wanted: Vec<(String, i32, i64)>,
        timeout_s: f64,
    ) -> PyResult<Vec<i64>> {
        kafka_client::offsets_at(py, self.producer.client(), &wanted, timeout_s)
    }

    /// Take what happened to the connections since the last call.
    fn events(&self) -> Vec<Event> {
        events(self.producer.client())
    }

    /// What is wrong with the connections, or None.
    #[getter]
    fn trouble(&self) -> Option<String> {
        trouble(self.producer.client())
    }
}

fn failure(failure: Failure) -> FailureTuple {
    (
        failure.kind.name(),
        failure.text,
        failure.topic,
        failure.partition,
        failure.row,
    )
}

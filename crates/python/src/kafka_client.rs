//! What every client of Kafka offers: its questions to the brokers, its health, its errors as exceptions.

use std::collections::HashMap;
use std::time::Duration;

use millstream_core::kafka::client::Client;
use millstream_core::kafka::error::{KafkaError, Kind};
use millstream_core::kafka::{offsets, topics};
use pyo3::prelude::*;

mod exception {
    pyo3::create_exception!(
        millstream._core,
        KafkaClientError,
        pyo3::exceptions::PyException,
        "Kafka or its client refused; `kind` says what to do."
    );
}

/// Kind and detail of something that happened to the connections.
pub type Event = (&'static str, String);

/// Name, id, number of partitions, kind and text of the error.
pub type TopicTuple = (String, String, i32, Option<&'static str>, Option<String>);

/// Add what this file offers to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let error = module.py().get_type::<exception::KafkaClientError>();
    module.add("KafkaClientError", error)
}

pub fn raise(py: Python<'_>, error: KafkaError) -> PyErr {
    let exception = exception::KafkaClientError::new_err(error.text);
    let set = exception.value(py).setattr("kind", error.kind.name());
    set.err().unwrap_or(exception)
}

/// Put a question to the brokers, without the GIL.
pub fn ask<T: Send>(
    py: Python<'_>,
    client: &Client,
    question: impl FnOnce(&Client) -> Result<T, KafkaError> + Send,
) -> PyResult<T> {
    py.detach(|| question(client))
        .map_err(|error| raise(py, error))
}

/// List the names of all topics.
pub fn names(py: Python<'_>, client: &Client, timeout_s: f64) -> PyResult<Vec<String>> {
    ask(py, client, |client| {
        topics::names(client, seconds(timeout_s))
    })
}

/// How topics are asked for: `topics::describe` or `topics::find`.
type Question = fn(&Client, &[String], Duration) -> Result<Vec<topics::Topic>, KafkaError>;

/// Describe topics.
pub fn describe(
    py: Python<'_>,
    client: &Client,
    question: Question,
    names: &[String],
    timeout_s: f64,
) -> PyResult<Vec<TopicTuple>> {
    let found = ask(py, client, |client| {
        question(client, names, seconds(timeout_s))
    })?;
    Ok(found.into_iter().map(topic).collect())
}

/// Give the offsets of partitions at times: milliseconds since the epoch, -2 for the first, -1 for the last.
pub fn offsets_at(
    py: Python<'_>,
    client: &Client,
    wanted: &[(String, i32, i64)],
    timeout_s: f64,
) -> PyResult<Vec<i64>> {
    let wanted = with_offset(wanted);
    let found = ask(py, client, |client| {
        offsets::at(client, &wanted, seconds(timeout_s))
    })?;
    Ok(found.into_iter().map(|offset| offset.offset).collect())
}

/// Take what happened to the connections since the last call.
pub fn events(client: &Client) -> Vec<Event> {
    let taken = client.health().take_events().into_iter();
    taken.map(|event| (event.kind, event.detail)).collect()
}

/// What is wrong with the connections, or None.
pub fn trouble(client: &Client) -> Option<String> {
    client.health().trouble().map(|(_, text)| text)
}

pub fn options(given: &HashMap<String, String>) -> Vec<(&str, &str)> {
    given
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect()
}

pub fn seconds(timeout_s: f64) -> Duration {
    Duration::try_from_secs_f64(timeout_s).unwrap_or(Duration::ZERO)
}

pub fn topic(topic: topics::Topic) -> TopicTuple {
    let (kind, text) = topic.error.unzip();
    (
        topic.name,
        topic.id,
        topic.partitions,
        kind.map(Kind::name),
        text,
    )
}

pub fn with_offset(entries: &[(String, i32, i64)]) -> Vec<(&str, i32, i64)> {
    entries
        .iter()
        .map(|(topic, number, offset)| (topic.as_str(), *number, *offset))
        .collect()
}

pub fn without_offset(entries: &[(String, i32)]) -> Vec<(&str, i32)> {
    entries
        .iter()
        .map(|(topic, number)| (topic.as_str(), *number))
        .collect()
}

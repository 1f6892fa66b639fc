//! Which topics there are, with their identities.

use std::ffi::CString;
use std::time::{Duration, Instant};

use rdkafka::bindings as ffi;
use rdkafka::bindings::rd_kafka_admin_op_t as AdminOp;
use rdkafka::bindings::rd_kafka_resp_err_t as Code;

use super::admin;
use super::client::Client;
use super::error::{KafkaError, Kind, Result, text};
use super::list::c_string;

/// A topic as the brokers describe it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic {
    /// Its name.
    pub name: String,
    /// Its identity, which a topic that is deleted and made anew does not keep.
    pub id: String,
    /// How many partitions it has.
    pub partitions: i32,
    /// Why it cannot be read: `unknown_topic`, `authorization` and so on, with a sentence.
    pub error: Option<(Kind, String)>,
}

/// Give the names of all topics.
pub fn names(client: &Client, timeout: Duration) -> Result<Vec<String>> {
    // SAFETY: the metadata has as many topics as its count says.
    admin::metadata(client, timeout, "listing topics", |all| unsafe {
        (0..all.topic_cnt as usize)
            .map(|index| text((*all.topics.add(index)).topic))
            .collect()
    })
}

/// Describe topics, in the order of the names.
pub fn describe(client: &Client, names: &[String], timeout: Duration) -> Result<Vec<Topic>> {
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let names: Vec<CString> = names
        .iter()
        .map(|name| c_string(name))
        .collect::<Result<_>>()?;
    let mut pointers: Vec<*const std::ffi::c_char> =
        names.iter().map(|name| name.as_ptr()).collect();
    // SAFETY: the names are alive; the collection is destroyed once, after its use.
    unsafe {
        let collection =
            ffi::rd_kafka_TopicCollection_of_topic_names(pointers.as_mut_ptr(), pointers.len());
        let found = admin::asked(
            client,
            AdminOp::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS,
            timeout,
            "describing topics",
            |options, queue| {
                ffi::rd_kafka_DescribeTopics(client.as_ptr(), collection, options, queue);
            },
            |event| {
                let result = ffi::rd_kafka_event_DescribeTopics_result(event);
                let mut count = 0;
                let topics = ffi::rd_kafka_DescribeTopics_result_topics(result, &raw mut count);
                Ok((0..count).map(|index| topic(*topics.add(index))).collect())
            },
        );
        ffi::rd_kafka_TopicCollection_destroy(collection);
        found
    }
}

/// Describe topics that should be there, in the order of the names; those that are not known are asked for again.
pub fn find(client: &Client, names: &[String], timeout: Duration) -> Result<Vec<Topic>> {
    let unknown = |topic: &Topic| matches!(topic.error, Some((Kind::UnknownTopic, _)));
    patiently(
        timeout,
        |found: &Result<Vec<Topic>>| found.as_ref().is_ok_and(|found| found.iter().any(unknown)),
        || describe(client, names, timeout),
    )
}

/// Take one topic.
///
/// # Safety
/// The description is alive.
unsafe fn topic(description: *const ffi::rd_kafka_TopicDescription_t) -> Topic {
    // SAFETY: the description and all that is in it are alive.
    unsafe {
        let error = ffi::rd_kafka_TopicDescription_error(description);
        let code = if error.is_null() {
            Code::RD_KAFKA_RESP_ERR_NO_ERROR
        } else {
            ffi::rd_kafka_error_code(error)
        };
        let mut partitions = 0;
        ffi::rd_kafka_TopicDescription_partitions(description, &raw mut partitions);
        let id = ffi::rd_kafka_TopicDescription_topic_id(description);
        let name = text(ffi::rd_kafka_TopicDescription_name(description));
        let failed = code != Code::RD_KAFKA_RESP_ERR_NO_ERROR;
        Topic {
            id: if id.is_null() {
                String::new()
            } else {
                text(ffi::rd_kafka_Uuid_base64str(id))
            },
            partitions: partitions as i32,
            error: failed.then(|| {
                let error = KafkaError::of(code, &format!("the topic {name:?}"));
                (error.kind, error.text)
            }),
            name,
        }
    }
}

/// How long a topic or partition is asked for again that who is asked does not know.
const UNKNOWN: Duration = Duration::from_secs(1);

/// Between two questions for what is not known yet.
const PAUSE: Duration = Duration::from_millis(20);

/// Ask again for a while as long as the answer is that a topic is not known: each broker, and the library, hears of one
/// that was just made in its own time.
pub(super) fn patiently<T>(
    timeout: Duration,
    is_unknown: impl Fn(&Result<T>) -> bool,
    mut ask: impl FnMut() -> Result<T>,
) -> Result<T> {
    let patience = Deadline::after(timeout.min(UNKNOWN));
    loop {
        let answer = ask();
        if !is_unknown(&answer) || patience.left().is_zero() {
            return answer;
        }
        std::thread::sleep(PAUSE);
    }
}

/// A moment by which something must have happened.
#[derive(Clone, Copy, Debug)]
pub struct Deadline(Instant);

impl Deadline {
    /// A deadline so far from now.
    pub fn after(timeout: Duration) -> Self {
        Self(Instant::now() + timeout)
    }

    /// What is left of it; zero when it is over.
    pub fn left(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }
}

pub(super) fn millis(timeout: Duration) -> i32 {
    i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX)
}

//! Which topics there are, with their identities.

use std::ffi::CString;
use std::ptr;
use std::time::{Duration, Instant};

use rdkafka::bindings as ffi;
use rdkafka::bindings::rd_kafka_resp_err_t as Code;

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
    let mut metadata = ptr::null();
    // SAFETY: the client is alive; metadata that was given has its counts and is destroyed once.
    unsafe {
        let code = ffi::rd_kafka_metadata(
            client.as_ptr(),
            1,
            ptr::null_mut(),
            &raw mut metadata,
            millis(timeout),
        );
        if code != Code::RD_KAFKA_RESP_ERR_NO_ERROR {
            return Err(client.error(code, "listing topics"));
        }
        let count = (*metadata).topic_cnt as usize;
        let found = (0..count)
            .map(|index| text((*(*metadata).topics.add(index)).topic))
            .collect();
        ffi::rd_kafka_metadata_destroy(metadata);
        client.health().answered();
        Ok(found)
    }
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
    // SAFETY: the client is alive; collection, options, queue and event are destroyed once, after their use.
    unsafe {
        let collection =
            ffi::rd_kafka_TopicCollection_of_topic_names(pointers.as_mut_ptr(), pointers.len());
        let options = ffi::rd_kafka_AdminOptions_new(
            client.as_ptr(),
            ffi::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS,
        );
        ffi::rd_kafka_AdminOptions_set_request_timeout(
            options,
            millis(timeout).max(1),
            ptr::null_mut(),
            0,
        );
        let queue = ffi::rd_kafka_queue_new(client.as_ptr());
        ffi::rd_kafka_DescribeTopics(client.as_ptr(), collection, options, queue);
        let event = ffi::rd_kafka_queue_poll(queue, millis(timeout).saturating_add(1000));
        let found = if event.is_null() {
            Err(client.error(Code::RD_KAFKA_RESP_ERR__TIMED_OUT, "describing topics"))
        } else {
            described(client, event)
        };
        if !event.is_null() {
            ffi::rd_kafka_event_destroy(event);
        }
        ffi::rd_kafka_queue_destroy(queue);
        ffi::rd_kafka_AdminOptions_destroy(options);
        ffi::rd_kafka_TopicCollection_destroy(collection);
        found
    }
}

/// Take the topics out of an event.
///
/// # Safety
/// The event is alive.
unsafe fn described(client: &Client, event: *mut ffi::rd_kafka_event_t) -> Result<Vec<Topic>> {
    // SAFETY: the event and all that is in it are alive.
    unsafe {
        let code = ffi::rd_kafka_event_error(event);
        if code != Code::RD_KAFKA_RESP_ERR_NO_ERROR {
            return Err(client.error(code, "describing topics"));
        }
        client.health().answered();
        let result = ffi::rd_kafka_event_DescribeTopics_result(event);
        let mut count = 0;
        let topics = ffi::rd_kafka_DescribeTopics_result_topics(result, &raw mut count);
        Ok((0..count).map(|index| topic(*topics.add(index))).collect())
    }
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

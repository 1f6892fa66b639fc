//! Offsets of Kafka partitions: first, last, by time, committed by a group.

use std::time::Duration;

use rdkafka::bindings as ffi;
use rdkafka::bindings::rd_kafka_resp_err_t as Code;

use super::client::Client;
use super::error::{KafkaError, Kind, Result};
use super::list::PartitionList;
use super::topics::{Deadline, millis, patiently};

/// Instead of a time: the first offset of the partition.
pub const EARLIEST: i64 = -2;

/// Instead of a time: the offset after the last record that can be read. With `isolation.level=read_committed` no
/// transaction that is open has a record before it.
pub const LATEST: i64 = -1;

/// How long a group's coordinator is waited for before it is looked why there is none.
const ATTEMPT: Duration = Duration::from_secs(1);

/// An offset, with the epoch of the leader that gave it (-1: not known).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offset {
    /// The offset; -1 where there is none, such as for a time after the last record.
    pub offset: i64,
    /// The leader's epoch.
    pub epoch: i32,
}

/// Give the offset of each partition at a time: milliseconds since the epoch, `EARLIEST` or `LATEST`.
pub fn at(client: &Client, wanted: &[(&str, i32, i64)], timeout: Duration) -> Result<Vec<Offset>> {
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let deadline = Deadline::after(timeout);
    let unknown = Code::RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION;
    let list = patiently(
        timeout,
        |answer| matches!(answer, Ok(Err(code)) if *code == unknown),
        || {
            let list = PartitionList::of(wanted.iter().copied())?;
            let wait = millis(deadline.left());
            // SAFETY: client and list are alive.
            let code =
                unsafe { ffi::rd_kafka_offsets_for_times(client.as_ptr(), list.as_ptr(), wait) };
            let found = code == Code::RD_KAFKA_RESP_ERR_NO_ERROR;
            Ok(if found { Ok(list) } else { Err(code) })
        },
    )?
    .map_err(|code| client.error(code, "asking for offsets"))?;
    client.health().answered();
    let results = list.results();
    wanted
        .iter()
        .zip(results)
        .map(|((topic, partition, _), (offset, epoch, code))| {
            if code == Code::RD_KAFKA_RESP_ERR_NO_ERROR {
                Ok(Offset { offset, epoch })
            } else {
                let during = format!("asking for offsets of {topic} partition {partition}");
                Err(KafkaError::of(code, &during))
            }
        })
        .collect()
}

/// Give what the client's group has committed; None where it has not.
pub fn committed(
    client: &Client,
    wanted: &[(&str, i32)],
    timeout: Duration,
) -> Result<Vec<Option<i64>>> {
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let entries = wanted
        .iter()
        .map(|(topic, partition)| (*topic, *partition, 0));
    let list = PartitionList::of(entries)?;
    let deadline = Deadline::after(timeout);
    loop {
        let wait = deadline.left().min(ATTEMPT);
        // SAFETY: client and list are alive.
        let code = unsafe { ffi::rd_kafka_committed(client.as_ptr(), list.as_ptr(), millis(wait)) };
        if code == Code::RD_KAFKA_RESP_ERR_NO_ERROR {
            break;
        }
        // The library goes on looking for the group's coordinator, also where it is told that the user may not.
        if let Some(error) = client
            .group_error()
            .filter(|error| error.kind != Kind::Unavailable)
        {
            return Err(error);
        }
        let error = client.error(code, "asking for the offsets of the group");
        if error.kind != Kind::Unavailable || deadline.left().is_zero() {
            return Err(error);
        }
    }
    list.results()
        .into_iter()
        .map(|(offset, _, code)| match code {
            Code::RD_KAFKA_RESP_ERR_NO_ERROR => Ok((offset >= 0).then_some(offset)),
            code => Err(KafkaError::of(code, "asking for the offsets of the group")),
        })
        .collect()
}

/// Commit offsets for the client's group, and wait for the answer for at most `wait`; it comes in the background too.
pub fn commit(client: &Client, offsets: &[(&str, i32, i64)], wait: Duration) -> Result<()> {
    let during = "committing the offsets of the group";
    let list = PartitionList::of(offsets.iter().copied())?;
    // SAFETY: client and list are alive; the list is copied. Queue and event are destroyed once, after their use.
    let code = unsafe {
        let queue = ffi::rd_kafka_queue_new(client.as_ptr());
        let code = ffi::rd_kafka_commit_queue(
            client.as_ptr(),
            list.as_ptr(),
            queue,
            None,
            std::ptr::null_mut(),
        );
        let event = if wait.is_zero() || code != Code::RD_KAFKA_RESP_ERR_NO_ERROR {
            std::ptr::null_mut()
        } else {
            ffi::rd_kafka_queue_poll(queue, millis(wait))
        };
        let answer = if event.is_null() {
            code
        } else {
            ffi::rd_kafka_event_error(event)
        };
        if !event.is_null() {
            ffi::rd_kafka_event_destroy(event);
        }
        ffi::rd_kafka_queue_destroy(queue);
        answer
    };
    match code {
        Code::RD_KAFKA_RESP_ERR_NO_ERROR => Ok(()),
        code => Err(KafkaError::of(code, during)),
    }
}

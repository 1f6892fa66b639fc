//! A member of a consumer group: records of whichever partitions the group gives it.

use std::collections::{BTreeMap, VecDeque};
use std::ptr::{self, NonNull};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use arrow_array::RecordBatch;
use rdkafka::bindings as ffi;
use rdkafka::bindings::rd_kafka_resp_err_t as Code;

use super::client::Client;
use super::error::{KafkaError, Kind, Result, text};
use super::list::{PartitionList, TopicPartition};
use super::offsets;
use super::records::Records;
use super::topics::{Deadline, millis};

/// Bytes of keys and values after which no more records are taken at once.
const BYTES_MAX: usize = 16 << 20;

/// What a member meets next.
pub enum Met {
    /// Records, in the order of each partition, and the offset behind the last one of each.
    Records(Vec<RecordBatch>, Vec<(String, i32, i64)>),
    /// The group gives partitions; nothing of them is read before `assign`.
    Given(Vec<TopicPartition>),
    /// The group takes partitions back, and waits for `unassign`; true: others may read them already.
    Taken(Vec<TopicPartition>, bool),
    /// The offset that comes next in a partition is not there; nothing of it is read before `seek`.
    OutOfRange(String, i32),
}

/// A member of a consumer group. One thread at a time.
pub struct Group {
    queue: NonNull<ffi::rd_kafka_queue_t>,
    /// What comes behind records that were taken with it.
    waiting: Mutex<VecDeque<Result<Met>>>,
    client: Client,
}

// SAFETY: the library's calls are safe from any thread.
unsafe impl Send for Group {}
// SAFETY: as above.
unsafe impl Sync for Group {}

/// An event of the library.
struct Event(NonNull<ffi::rd_kafka_event_t>);

impl Drop for Event {
    fn drop(&mut self) {
        // SAFETY: the library gave the event to us.
        unsafe { ffi::rd_kafka_event_destroy(self.0.as_ptr()) }
    }
}

impl Group {
    /// Join the group that the options name. A topic whose name begins with `^` is a pattern.
    pub fn join(options: &[(&str, &str)], topics: &[String]) -> Result<Self> {
        let client = Client::member(options)?;
        // SAFETY: the client is alive; the queue is its own, and destroyed once.
        let queue = unsafe { ffi::rd_kafka_queue_get_consumer(client.as_ptr()) };
        let Some(queue) = NonNull::new(queue) else {
            return Err(KafkaError::new(Kind::Invalid, "group.id is missing"));
        };
        let group = Self {
            queue,
            waiting: Mutex::default(),
            client,
        };
        let list = PartitionList::of(topics.iter().map(|topic| (topic.as_str(), -1, 0)))?;
        // SAFETY: client and list are alive; the list is copied.
        let code = unsafe { ffi::rd_kafka_subscribe(group.client.as_ptr(), list.as_ptr()) };
        group.checked(code, "joining the group")?;
        Ok(group)
    }

    /// The client, for its health.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Wait for what comes next; None when nothing came in time. Of records, all that is there is taken, up to `most`.
    pub fn poll(&self, wait: Duration, most: usize) -> Result<Option<Met>> {
        if let Some(met) = self.lock().pop_front() {
            return met.map(Some);
        }
        let deadline = Deadline::after(wait);
        let mut taken: BTreeMap<TopicPartition, (Records, i64)> = BTreeMap::new();
        let (mut count, mut bytes) = (0, 0);
        while count < most {
            let left = if count == 0 {
                deadline.left()
            } else {
                Duration::ZERO
            };
            let Some(event) = self.event(left) else { break };
            // SAFETY: the event is alive.
            match unsafe { ffi::rd_kafka_event_type(event.0.as_ptr()) } {
                ffi::RD_KAFKA_EVENT_FETCH => {
                    count += 1;
                    bytes += self.record(&event, &mut taken);
                }
                ffi::RD_KAFKA_EVENT_REBALANCE => {
                    let met = self.rebalance(&event);
                    self.lock().push_back(met);
                }
                ffi::RD_KAFKA_EVENT_ERROR => self.error(&event),
                _ => {}
            }
            if bytes >= BYTES_MAX || !self.lock().is_empty() {
                break;
            }
        }
        let mut batches = Vec::new();
        let mut ends = Vec::new();
        for ((topic, partition), (records, end)) in taken {
            if !records.is_empty() {
                batches.push(records.finish(&topic, partition));
                ends.push((topic, partition, end));
            }
        }
        if batches.is_empty() {
            return self.lock().pop_front().transpose();
        }
        Ok(Some(Met::Records(batches, ends)))
    }

    /// Read partitions that were given, from these offsets on; also -2 for the first one, -1 for the end.
    pub fn assign(&self, partitions: &[(&str, i32, i64)]) -> Result<()> {
        let list = PartitionList::of(partitions.iter().copied())?;
        // SAFETY: client and list are alive; the list is copied.
        unsafe {
            if self.is_cooperative() {
                let error = ffi::rd_kafka_incremental_assign(self.client.as_ptr(), list.as_ptr());
                self.checked(taken_code(error), "taking partitions")
            } else {
                let code = ffi::rd_kafka_assign(self.client.as_ptr(), list.as_ptr());
                self.checked(code, "taking partitions")
            }
        }
    }

    /// Give back partitions that were taken.
    pub fn unassign(&self, partitions: &[(&str, i32)]) -> Result<()> {
        let entries = partitions
            .iter()
            .map(|(topic, number)| (*topic, *number, 0));
        let list = PartitionList::of(entries)?;
        // SAFETY: client and list are alive; the list is copied.
        unsafe {
            if self.is_cooperative() {
                let error = ffi::rd_kafka_incremental_unassign(self.client.as_ptr(), list.as_ptr());
                self.checked(taken_code(error), "giving partitions back")
            } else {
                let code = ffi::rd_kafka_assign(self.client.as_ptr(), ptr::null());
                self.checked(code, "giving partitions back")
            }
        }
    }

    /// Go on at other offsets of partitions that are assigned; `all` are those, with where each goes on.
    pub fn go_on(&self, moved: &[(&str, i32, i64)], all: &[(&str, i32, i64)]) -> Result<()> {
        // Why no seek: the library refuses it for a partition whose offset is out of range.
        if self.is_cooperative() {
            let named: Vec<_> = moved
                .iter()
                .map(|(topic, number, _)| (*topic, *number))
                .collect();
            self.unassign(&named)?;
            self.assign(moved)
        } else {
            self.assign(all)
        }
    }

    /// Fetch nothing for now, or go on fetching, of partitions that are assigned; what was fetched is dropped.
    pub fn pause(&self, partitions: &[(&str, i32)], paused: bool) -> Result<()> {
        let entries = partitions
            .iter()
            .map(|(topic, number)| (*topic, *number, 0));
        let list = PartitionList::of(entries)?;
        // SAFETY: client and list are alive.
        let code = unsafe {
            if paused {
                ffi::rd_kafka_pause_partitions(self.client.as_ptr(), list.as_ptr())
            } else {
                ffi::rd_kafka_resume_partitions(self.client.as_ptr(), list.as_ptr())
            }
        };
        self.checked(code, "pausing")
    }

    /// Commit offsets, and wait for the answer for at most `wait`; it comes in the background too.
    pub fn commit(&self, offsets: &[(&str, i32, i64)], wait: Duration) -> Result<()> {
        offsets::commit(&self.client, offsets, wait)
    }

    /// Leave the group: what is assigned is given back without more ado.
    pub fn leave(&self, wait: Duration) {
        let deadline = Deadline::after(wait);
        // SAFETY: client and queue are alive; the error is ours.
        unsafe {
            let error =
                ffi::rd_kafka_consumer_close_queue(self.client.as_ptr(), self.queue.as_ptr());
            taken_code(error);
            while ffi::rd_kafka_consumer_closed(self.client.as_ptr()) == 0
                && !deadline.left().is_zero()
            {
                let Some(event) = self.event(deadline.left().min(Duration::from_millis(100)))
                else {
                    continue;
                };
                if ffi::rd_kafka_event_type(event.0.as_ptr()) == ffi::RD_KAFKA_EVENT_REBALANCE {
                    ffi::rd_kafka_assign(self.client.as_ptr(), ptr::null());
                }
            }
        }
    }

    fn event(&self, wait: Duration) -> Option<Event> {
        // SAFETY: the queue is alive.
        let event = unsafe { ffi::rd_kafka_queue_poll(self.queue.as_ptr(), millis(wait)) };
        NonNull::new(event).map(Event)
    }

    /// Take the record of an event, or note the error that is in its place; give its size in bytes.
    fn record(&self, event: &Event, taken: &mut BTreeMap<TopicPartition, (Records, i64)>) -> usize {
        // SAFETY: the event is alive, and so is its message until it is destroyed; what is text ends with a zero.
        unsafe {
            let message = ffi::rd_kafka_event_message_next(event.0.as_ptr());
            if message.is_null() {
                return 0;
            }
            let topic = (*message).rkt;
            let name = if topic.is_null() {
                String::new()
            } else {
                text(ffi::rd_kafka_topic_name(topic))
            };
            if (*message).err != Code::RD_KAFKA_RESP_ERR_NO_ERROR {
                let said = text(ffi::rd_kafka_message_errstr(message));
                self.failed((*message).err, &said, name, (*message).partition);
                return 0;
            }
            let key = (name, (*message).partition);
            let (records, end) = taken.entry(key).or_insert_with(|| (Records::new(), 0));
            records.push(message);
            *end = (*message).offset + 1;
            (*message).len + (*message).key_len
        }
    }

    fn error(&self, event: &Event) {
        // SAFETY: the event is alive; its text ends with a zero; the partition is ours to destroy.
        unsafe {
            let code = ffi::rd_kafka_event_error(event.0.as_ptr());
            let said = text(ffi::rd_kafka_event_error_string(event.0.as_ptr()));
            let entry = ffi::rd_kafka_event_topic_partition(event.0.as_ptr());
            let (name, partition) = if entry.is_null() {
                (String::new(), -1)
            } else {
                let named = (text((*entry).topic), (*entry).partition);
                ffi::rd_kafka_topic_partition_destroy(entry);
                named
            };
            self.failed(code, &said, name, partition);
        }
    }

    fn failed(&self, code: Code, said: &str, topic: String, partition: i32) {
        match Kind::of(code) {
            Kind::OutOfRange => {
                let met = Met::OutOfRange(topic, partition);
                self.lock().push_back(Ok(met));
            }
            // Topics that are subscribed to may come and go; brokers come back.
            kind @ (Kind::Unavailable | Kind::UnknownTopic) => {
                self.client.health().failed(kind, false, said);
            }
            // The member was thought dead, and joins again by itself.
            _ if code == Code::RD_KAFKA_RESP_ERR__MAX_POLL_EXCEEDED => {}
            kind => {
                let error = KafkaError::new(kind, said);
                self.lock().push_back(Err(error));
            }
        }
    }

    fn rebalance(&self, event: &Event) -> Result<Met> {
        // SAFETY: the event is alive, and has a list of partitions.
        let (code, partitions) = unsafe {
            let list = ffi::rd_kafka_event_topic_partition_list(event.0.as_ptr());
            (
                ffi::rd_kafka_event_error(event.0.as_ptr()),
                PartitionList::named(list),
            )
        };
        match code {
            Code::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => Ok(Met::Given(partitions)),
            Code::RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS => {
                // SAFETY: the client is alive.
                let lost = unsafe { ffi::rd_kafka_assignment_lost(self.client.as_ptr()) } != 0;
                Ok(Met::Taken(partitions, lost))
            }
            code => {
                // SAFETY: the client is alive. Whatever it was, nothing is assigned after it.
                unsafe { ffi::rd_kafka_assign(self.client.as_ptr(), ptr::null()) };
                Err(self.client.error(code, "sharing partitions in the group"))
            }
        }
    }

    fn is_cooperative(&self) -> bool {
        // SAFETY: the client is alive; static text.
        unsafe { text(ffi::rd_kafka_rebalance_protocol(self.client.as_ptr())) == "COOPERATIVE" }
    }

    fn checked(&self, code: Code, during: &str) -> Result<()> {
        if code == Code::RD_KAFKA_RESP_ERR_NO_ERROR {
            return Ok(());
        }
        Err(self.client.error(code, during))
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Result<Met>>> {
        self.waiting
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // SAFETY: given by `join`, destroyed once, before the client.
        unsafe { ffi::rd_kafka_queue_destroy(self.queue.as_ptr()) }
    }
}

/// Give the code of an error, which may be null, and destroy it.
///
/// # Safety
/// The error is null or ours.
unsafe fn taken_code(error: *mut ffi::rd_kafka_error_t) -> Code {
    if error.is_null() {
        return Code::RD_KAFKA_RESP_ERR_NO_ERROR;
    }
    // SAFETY: the caller's promise.
    unsafe {
        let code = ffi::rd_kafka_error_code(error);
        ffi::rd_kafka_error_destroy(error);
        code
    }
}

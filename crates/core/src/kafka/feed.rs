//! The fetching of one Kafka partition.

use std::collections::VecDeque;
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow_array::RecordBatch;
use rdkafka::bindings as ffi;
use rdkafka::bindings::rd_kafka_resp_err_t as Code;

use super::client::Client;
use super::error::{KafkaError, Kind, Result};
use super::kept::KeptRanges;
use super::list::{PartitionList, c_string};
use super::message::Message;
use super::records::{RECORDS_MAX, Records};

/// Messages that one call takes from the library.
const BULK: usize = 10_000;

/// While a range waits for records, how often it is asked whether what was skipped (markers of transactions) has
/// brought the position to its end.
pub(super) const LOOK: Duration = Duration::from_millis(5);

/// A range that begins at most so far behind what was read is reached by dropping what lies between, most of which was
/// fetched already: to begin anew would take longer. Workers that take turns with a partition meet this all the time.
const SKIPPED_MAX: i64 = 20_000;

/// A partition that nobody has read for so long, though records wait, is not fetched any more.
const IDLE: Duration = Duration::from_secs(30);

/// The fetching of one Kafka partition.
pub(super) struct Feed {
    topic: String,
    partition: i32,
    raw_topic: NonNull<ffi::rd_kafka_topic_t>,
    /// Where the library puts what it fetched; None while it does not fetch.
    queue: Option<NonNull<ffi::rd_kafka_queue_t>>,
    /// Taken from the queue and not read yet.
    waiting: VecDeque<Message>,
    /// Everything before is read.
    position: i64,
    /// Where the library has last seen the end of the partition; -1: nowhere.
    end_seen: i64,
    /// Whose turn it is: the range that is being read.
    pub(super) turn: Option<usize>,
    /// What is being read: where it began (-1: nothing is), what is full of it, what is being collected.
    begun: i64,
    full: Vec<RecordBatch>,
    records: Records,
    bytes: usize,
    kept: KeptRanges,
    /// Whether ranges are read again, so that keeping them is worth the memory.
    keeps: bool,
    /// Where the range began that was read last.
    last_from: i64,
    last_read: Instant,
    buffer: Vec<*mut ffi::rd_kafka_message_t>,
    client: Arc<Client>,
}

// SAFETY: the library's objects may be used by any thread, one at a time.
unsafe impl Send for Feed {}

impl Feed {
    pub(super) fn new(client: Arc<Client>, topic: &str, partition: i32) -> Result<Self> {
        let name = c_string(topic)?;
        // SAFETY: the client is alive and outlives the topic; the name is copied.
        let raw =
            unsafe { ffi::rd_kafka_topic_new(client.as_ptr(), name.as_ptr(), ptr::null_mut()) };
        let Some(raw_topic) = NonNull::new(raw) else {
            // SAFETY: gives the error of this thread's last call.
            let code = unsafe { ffi::rd_kafka_last_error() };
            return Err(KafkaError::of(code, &format!("the topic {topic:?}")));
        };
        Ok(Self {
            topic: topic.to_owned(),
            partition,
            raw_topic,
            queue: None,
            waiting: VecDeque::new(),
            position: -1,
            end_seen: -1,
            turn: None,
            begun: -1,
            full: Vec::new(),
            records: Records::new(),
            bytes: 0,
            kept: KeptRanges::default(),
            keeps: false,
            last_from: -1,
            last_read: Instant::now(),
            buffer: vec![ptr::null_mut(); BULK],
            client,
        })
    }

    /// Read a range for at most `slice`; called again with the same range, it goes on.
    pub(super) fn read(
        &mut self,
        from: i64,
        until: i64,
        slice: Duration,
    ) -> Result<Option<Vec<RecordBatch>>> {
        self.last_read = Instant::now();
        if let Some(kept) = self.kept.get(from, until) {
            return Ok(Some(kept));
        }
        if self.last_from == from && self.begun < 0 {
            // Several outputs read it: each of them will want the next ones too.
            self.keeps = true;
        }
        let goes_on = self.queue.is_some()
            && ((self.begun == from && self.position >= from)
                || (self.begun < 0 && (0..=SKIPPED_MAX).contains(&(from - self.position))));
        if !goes_on {
            self.start(from)?;
        }
        if self.begun < 0 {
            // What lies between was read elsewhere; it is dropped as it comes.
            self.position = from;
        }
        self.begun = from;
        let deadline = Instant::now() + slice;
        loop {
            self.take_waiting(until)?;
            if self.position >= until {
                return Ok(Some(self.finish(from, until)));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            let wanted = usize::try_from(until - self.position).unwrap_or(usize::MAX);
            if self.fetch(Duration::ZERO, wanted.clamp(1, BULK)) > 0 {
                if left.is_zero() {
                    return Ok(None);
                }
                continue;
            }
            // What was skipped gives no message, only a position.
            self.position = self.position.max(self.library_position()?);
            if self.position >= until {
                continue;
            }
            if left.is_zero() {
                return Ok(None);
            }
            self.fetch(left.min(LOOK), 1);
        }
    }

    /// Move what waits into the range, up to its end.
    fn take_waiting(&mut self, until: i64) -> Result<()> {
        while let Some(message) = self.waiting.front() {
            let (code, offset) = (message.code(), message.offset());
            if code == Code::RD_KAFKA_RESP_ERR__PARTITION_EOF {
                self.position = self.position.max(offset);
                self.waiting.pop_front();
            } else if code != Code::RD_KAFKA_RESP_ERR_NO_ERROR {
                return self.failed();
            } else if offset >= until {
                self.position = until.max(self.position);
                return Ok(());
            } else {
                if offset >= self.position {
                    // SAFETY: the message is alive and, as it has no error, a record.
                    unsafe { self.records.push(message.0.as_ptr()) };
                    self.position = offset + 1;
                    if self.records.is_full() {
                        self.cut();
                    }
                }
                self.waiting.pop_front();
            }
        }
        Ok(())
    }

    /// Answer an error that came in the place of a record. One that may pass is passed over.
    fn failed(&mut self) -> Result<()> {
        let Some(message) = self.waiting.pop_front() else {
            return Ok(());
        };
        let code = message.code();
        let kind = Kind::of(code);
        let said = format!(
            "{} partition {} at offset {}: {}",
            self.topic,
            self.partition,
            self.position,
            message.error_text()
        );
        if kind == Kind::Unavailable {
            self.client.health().failed(kind, false, &said);
            return Ok(());
        }
        self.stop();
        Err(KafkaError::new(kind, said))
    }

    /// Begin to fetch at an offset.
    fn start(&mut self, from: i64) -> Result<()> {
        self.stop();
        // SAFETY: client and topic are alive. A queue of its own for each start cannot hold what is left of an
        // earlier one.
        unsafe {
            let queue = ffi::rd_kafka_queue_new(self.client.as_ptr());
            self.queue = NonNull::new(queue);
            let topic = self.raw_topic.as_ptr();
            if ffi::rd_kafka_consume_start_queue(topic, self.partition, from, queue) != 0 {
                let code = ffi::rd_kafka_last_error();
                self.drop_queue();
                return Err(KafkaError::of(
                    code,
                    &format!("reading {} partition {}", self.topic, self.partition),
                ));
            }
        }
        self.position = from;
        Ok(())
    }

    /// Fetch no more, and forget what was fetched; kept ranges stay.
    pub(super) fn stop(&mut self) {
        if self.queue.is_some() {
            // SAFETY: the partition was started; the topic is alive.
            unsafe { ffi::rd_kafka_consume_stop(self.raw_topic.as_ptr(), self.partition) };
            self.drop_queue();
        }
        self.waiting.clear();
        self.full.clear();
        self.records = Records::new();
        self.bytes = 0;
        self.begun = -1;
        self.position = -1;
        self.end_seen = -1;
    }

    fn drop_queue(&mut self) {
        if let Some(queue) = self.queue.take() {
            // SAFETY: made by `start`, destroyed once.
            unsafe { ffi::rd_kafka_queue_destroy(queue.as_ptr()) }
        }
    }

    /// Take at most `most` messages from the library; wait for the first one.
    fn fetch(&mut self, wait: Duration, most: usize) -> usize {
        let Some(queue) = self.queue else { return 0 };
        let wait_ms = i32::try_from(wait.as_millis()).unwrap_or(i32::MAX);
        // SAFETY: the queue is alive; the buffer has room for so many.
        let count = unsafe {
            ffi::rd_kafka_consume_batch_queue(
                queue.as_ptr(),
                wait_ms,
                self.buffer.as_mut_ptr(),
                most.min(self.buffer.len()),
            )
        };
        let count = usize::try_from(count).unwrap_or(0);
        self.waiting.reserve(count);
        for raw in &self.buffer[..count] {
            let Some(message) = NonNull::new(*raw).map(Message) else {
                continue;
            };
            if message.code() == Code::RD_KAFKA_RESP_ERR__PARTITION_EOF {
                self.end_seen = message.offset();
            }
            self.waiting.push_back(message);
        }
        if count > 0 {
            self.client.health().answered();
        }
        count
    }

    /// Give the position after what the library has handed over or skipped; -1 where it knows none.
    fn library_position(&self) -> Result<i64> {
        if !self.waiting.is_empty() {
            return Ok(-1);
        }
        let entry = (self.topic.as_str(), self.partition, 0);
        let list = PartitionList::of(std::iter::once(entry))?;
        // SAFETY: client and list are alive.
        unsafe { ffi::rd_kafka_position(self.client.as_ptr(), list.as_ptr()) };
        let position = list.results()[0].0;
        // The library takes the message that says where the end is for a record there.
        let is_end = self.end_seen >= 0 && position == self.end_seen + 1;
        Ok(if is_end { self.end_seen } else { position })
    }

    /// Give up to which offset the partition is fetched, while everything before `position` is read.
    pub(super) fn fetched(&mut self, position: i64) -> Option<i64> {
        if self.begun >= 0 || self.turn.is_some() {
            return None;
        }
        if self.queue.is_none() {
            self.start(position).ok()?;
        }
        if self.position > position {
            return None;
        }
        if self.waiting.len() < BULK {
            self.fetch(Duration::ZERO, BULK);
        }
        let last = self.waiting.iter().rev().find_map(|message| {
            let records = message.code() == Code::RD_KAFKA_RESP_ERR_NO_ERROR;
            records.then(|| message.offset() + 1)
        });
        Some(last.map_or(position, |last| last.max(position)))
    }

    pub(super) fn stop_when_idle(&mut self) {
        if self.queue.is_some() && self.begun < 0 && self.last_read.elapsed() > IDLE {
            self.fetch(Duration::ZERO, 1);
            let waits = |message: &Message| message.code() == Code::RD_KAFKA_RESP_ERR_NO_ERROR;
            if self.waiting.iter().any(waits) {
                self.stop();
                self.kept.clear();
            }
        }
    }

    /// Make columns of what was collected.
    fn cut(&mut self) {
        // The next ones are about as many and as long.
        let renewed = self.records.renewed();
        let records = std::mem::replace(&mut self.records, renewed);
        self.bytes += records.bytes();
        self.full.push(records.finish(&self.topic, self.partition));
    }

    /// End the range, and keep it for a second reading.
    fn finish(&mut self, from: i64, until: i64) -> Vec<RecordBatch> {
        if !self.records.is_empty() {
            self.cut();
        }
        self.begun = -1;
        // Behind the range nothing was read: what was passed over there is no record.
        self.position = until;
        self.last_from = from;
        let batches = std::mem::take(&mut self.full);
        let bytes = std::mem::take(&mut self.bytes);
        if self.keeps {
            self.kept.keep(from, until, bytes, &batches);
        }
        batches
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.stop();
        // SAFETY: made by `new`, destroyed once, before the client.
        unsafe { ffi::rd_kafka_topic_destroy(self.raw_topic.as_ptr()) }
    }
}

const _: () = assert!(BULK < RECORDS_MAX);

//! Writing records in bulk: columns go to the client library, reports of what became of them are counted here.

use std::collections::HashMap;
use std::ffi::c_void;
use std::ptr::{self, NonNull};
use std::sync::Mutex;
use std::time::Duration;

use rdkafka::bindings as ffi;
use rdkafka::bindings::rd_kafka_resp_err_t as Code;
use rdkafka::bindings::rd_kafka_vtype_t as Vtype;

use super::client::Client;
use super::deliveries::{Failure, Outcome, Round};
use super::error::{KafkaError, Kind, Result, describe};
use super::list::c_string;
use super::outgoing::{ANY_PARTITION, Outgoing};
use super::topics::{Deadline, millis};

/// Records that go to the library in one call.
const CHUNK: usize = 10_000;

/// While the library has no room, it is asked again after so long at the latest.
const PAUSE: Duration = Duration::from_millis(20);

/// A topic of the library, as a client writes to it.
struct Topic(NonNull<ffi::rd_kafka_topic_t>);

// SAFETY: the library's topics are safe from any thread.
unsafe impl Send for Topic {}

impl Drop for Topic {
    fn drop(&mut self) {
        // SAFETY: made by `Producer::topic`, destroyed once, before its client.
        unsafe { ffi::rd_kafka_topic_destroy(self.0.as_ptr()) }
    }
}

/// Records that are on their way to one topic.
struct Sending<'a> {
    topic: *mut ffi::rd_kafka_topic_t,
    name: &'a str,
    records: &'a Outgoing,
    round: Round,
    /// The number of the first record in the round.
    first: u64,
    deadline: Deadline,
}

impl Sending<'_> {
    /// What the report of a record is told apart by.
    fn opaque(&self, row: usize) -> *mut c_void {
        self.round.opaque(self.first + row as u64)
    }
}

/// Writes records. One thread at a time writes; what became of the records is asked for afterwards.
pub struct Producer {
    topics: Mutex<HashMap<String, Topic>>,
    round: Mutex<Option<(Round, u64)>>,
    client: Client,
}

impl Producer {
    /// Make a client that writes; connections are made in the background.
    pub fn new(options: &[(&str, &str)]) -> Result<Self> {
        Ok(Self {
            topics: Mutex::default(),
            round: Mutex::default(),
            client: Client::producer(options)?,
        })
    }

    /// The client of the library.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Begin to count anew.
    pub fn begin(&self) {
        *self.lock_round() = Some((self.client.deliveries().begin(), 0));
    }

    /// Hand records to the library, in their order; waits while it has no room.
    ///
    /// # Errors
    /// There was no room within the timeout, or the client can write no more.
    pub fn send(&self, topic: &str, records: &Outgoing, timeout: Duration) -> Result<()> {
        let mut round = self.lock_round();
        let (counted, first) = *round.get_or_insert_with(|| (self.client.deliveries().begin(), 0));
        let deadline = Deadline::after(timeout);
        let names: Vec<String> = match records.topic_names() {
            Some(names) => names.iter().flatten().map(str::to_owned).collect(),
            None => vec![topic.to_owned()],
        };
        let mut rows: Vec<Vec<usize>> = vec![Vec::new(); names.len()];
        for row in 0..records.len() {
            rows[records.topic(row)].push(row);
        }
        for (name, rows) in names.iter().zip(&rows) {
            if rows.is_empty() {
                continue;
            }
            let sending = Sending {
                topic: self.topic(name)?,
                name,
                records,
                round: counted,
                first,
                deadline,
            };
            for chunk in rows.chunks(CHUNK) {
                if records.has_headers() {
                    self.send_singly(&sending, chunk)?;
                } else {
                    self.send_chunk(&sending, chunk)?;
                }
            }
        }
        *round = Some((counted, first + records.len() as u64));
        Ok(())
    }

    /// Wait until the brokers have answered for all records, at most so long; give what became of them.
    pub fn flush(&self, timeout: Duration) -> (Outcome, u64) {
        // SAFETY: the client is alive. What the call says is in the counts.
        unsafe { ffi::rd_kafka_flush(self.client.as_ptr(), millis(timeout)) };
        let sent = self.lock_round().map_or(0, |(_, sent)| sent);
        let outcome = self.client.deliveries().outcome();
        if outcome.delivered > 0 {
            self.client.health().answered();
        }
        let answered = outcome.delivered + outcome.failed;
        (outcome, sent.saturating_sub(answered))
    }

    fn send_chunk(&self, sending: &Sending<'_>, rows: &[usize]) -> Result<()> {
        let mut messages: Vec<ffi::rd_kafka_message_t> = rows
            .iter()
            .map(|row| message(sending.records, *row, sending.opaque(*row)))
            .collect();
        let mut sent = 0;
        while sent < messages.len() {
            let left = &mut messages[sent..];
            // SAFETY: topic and messages are alive; keys and values are copied.
            unsafe {
                ffi::rd_kafka_produce_batch(
                    sending.topic,
                    ANY_PARTITION,
                    ffi::RD_KAFKA_MSG_F_COPY | ffi::RD_KAFKA_MSG_F_PARTITION,
                    left.as_mut_ptr(),
                    left.len() as i32,
                );
            }
            // Where the library has no room for one it takes none behind it, so that their order stays.
            let full = left
                .iter()
                .position(|message| message.err == Code::RD_KAFKA_RESP_ERR__QUEUE_FULL);
            let taken = full.unwrap_or(left.len());
            for (message, row) in left[..taken].iter().zip(&rows[sent..]) {
                if message.err != Code::RD_KAFKA_RESP_ERR_NO_ERROR {
                    self.refuse(message.err, sending, *row)?;
                }
            }
            sent += taken;
            if full.is_some() {
                self.wait_for_room(sending.deadline)?;
            }
        }
        Ok(())
    }

    fn send_singly(&self, sending: &Sending<'_>, rows: &[usize]) -> Result<()> {
        for &row in rows {
            loop {
                let code = self.produce(sending, row)?;
                match code {
                    Code::RD_KAFKA_RESP_ERR_NO_ERROR => break,
                    Code::RD_KAFKA_RESP_ERR__QUEUE_FULL => self.wait_for_room(sending.deadline)?,
                    code => {
                        self.refuse(code, sending, row)?;
                        break;
                    }
                }
            }
        }
        Ok(())
    }

    /// Hand one record with its headers to the library.
    fn produce(&self, sending: &Sending<'_>, row: usize) -> Result<Code> {
        let records = sending.records;
        let headers = records.headers(row);
        let names: Vec<_> = headers
            .iter()
            .map(|(name, _)| c_string(name))
            .collect::<Result<_>>()?;
        let mut arguments = vec![
            vu(Vtype::RD_KAFKA_VTYPE_RKT, |u| u.rkt = sending.topic),
            vu(Vtype::RD_KAFKA_VTYPE_PARTITION, |u| {
                u.i32_ = records.partition(row);
            }),
            vu(Vtype::RD_KAFKA_VTYPE_MSGFLAGS, |u| {
                u.i = ffi::RD_KAFKA_MSG_F_COPY;
            }),
            vu(Vtype::RD_KAFKA_VTYPE_OPAQUE, |u| {
                u.ptr = sending.opaque(row);
            }),
            vu(Vtype::RD_KAFKA_VTYPE_KEY, |u| {
                u.mem = memory(records.key(row));
            }),
            vu(Vtype::RD_KAFKA_VTYPE_VALUE, |u| {
                u.mem = memory(records.value(row));
            }),
        ];
        for (name, (_, value)) in names.iter().zip(&headers) {
            let (val, size) = parts(value.as_deref());
            arguments.push(vu(Vtype::RD_KAFKA_VTYPE_HEADER, |u| {
                u.header = ffi::rd_kafka_vu_s__bindgen_ty_1__bindgen_ty_2 {
                    name: name.as_ptr(),
                    val,
                    size: size as isize,
                };
            }));
        }
        // SAFETY: all that the arguments point to is alive, and copied; an error is destroyed once.
        unsafe {
            let error =
                ffi::rd_kafka_produceva(self.client.as_ptr(), arguments.as_ptr(), arguments.len());
            if error.is_null() {
                return Ok(Code::RD_KAFKA_RESP_ERR_NO_ERROR);
            }
            let code = ffi::rd_kafka_error_code(error);
            ffi::rd_kafka_error_destroy(error);
            Ok(code)
        }
    }

    /// Note a record that the library refused; an error where it will refuse every other one too.
    fn refuse(&self, code: Code, sending: &Sending<'_>, row: usize) -> Result<()> {
        let records = sending.records;
        if matches!(
            code,
            Code::RD_KAFKA_RESP_ERR__FATAL | Code::RD_KAFKA_RESP_ERR__STATE
        ) {
            return Err(self
                .client
                .error(code, &format!("writing to {}", sending.name)));
        }
        self.client.deliveries().refuse(Failure {
            kind: Kind::of(code),
            text: describe(code),
            topic: sending.name.to_owned(),
            partition: records.partition(row),
            row: sending.first + row as u64,
            bytes: parts(records.key(row)).1 + parts(records.value(row)).1,
        });
        Ok(())
    }

    fn wait_for_room(&self, deadline: Deadline) -> Result<()> {
        if deadline.left().is_zero() {
            let code = Code::RD_KAFKA_RESP_ERR__TIMED_OUT_QUEUE;
            return Err(self.client.error(code, "writing"));
        }
        self.client.deliveries().wait(PAUSE.min(deadline.left()));
        Ok(())
    }

    fn topic(&self, name: &str) -> Result<*mut ffi::rd_kafka_topic_t> {
        let mut topics = self.topics.lock().expect("nothing panics in the lock");
        if let Some(topic) = topics.get(name) {
            return Ok(topic.0.as_ptr());
        }
        let c_name = c_string(name)?;
        // SAFETY: client and name are alive; the topic is destroyed with its entry.
        let raw = unsafe {
            ffi::rd_kafka_topic_new(self.client.as_ptr(), c_name.as_ptr(), ptr::null_mut())
        };
        let topic = NonNull::new(raw).ok_or_else(|| {
            KafkaError::new(
                Kind::Invalid,
                format!("{name:?} cannot be the name of a topic"),
            )
        })?;
        topics.insert(name.to_owned(), Topic(topic));
        Ok(raw)
    }

    fn lock_round(&self) -> std::sync::MutexGuard<'_, Option<(Round, u64)>> {
        self.round.lock().expect("nothing panics in the lock")
    }
}

fn message(records: &Outgoing, row: usize, opaque: *mut c_void) -> ffi::rd_kafka_message_t {
    let (payload, len) = parts(records.value(row));
    let (key, key_len) = parts(records.key(row));
    ffi::rd_kafka_message_t {
        err: Code::RD_KAFKA_RESP_ERR_NO_ERROR,
        rkt: ptr::null_mut(),
        partition: records.partition(row),
        payload: payload.cast_mut(),
        len,
        key: key.cast_mut(),
        key_len,
        offset: 0,
        _private: opaque,
    }
}

/// Pointer and length of bytes; null where there are none.
fn parts(bytes: Option<&[u8]>) -> (*const c_void, usize) {
    bytes.map_or((ptr::null(), 0), |bytes| {
        (bytes.as_ptr().cast(), bytes.len())
    })
}

fn memory(bytes: Option<&[u8]>) -> ffi::rd_kafka_vu_s__bindgen_ty_1__bindgen_ty_1 {
    let (start, size) = parts(bytes);
    ffi::rd_kafka_vu_s__bindgen_ty_1__bindgen_ty_1 {
        ptr: start.cast_mut(),
        size,
    }
}

fn vu(vtype: Vtype, set: impl FnOnce(&mut ffi::rd_kafka_vu_s__bindgen_ty_1)) -> ffi::rd_kafka_vu_t {
    let mut u = ffi::rd_kafka_vu_s__bindgen_ty_1 { _pad: [0; 64] };
    set(&mut u);
    ffi::rd_kafka_vu_t { vtype, u }
}

//! A client of the library, with its configuration and its health.

use std::ptr::{self, NonNull};
use std::sync::Arc;

use rdkafka::bindings as ffi;
use rdkafka::bindings::rd_kafka_conf_res_t as ConfResult;
use rdkafka::bindings::rd_kafka_resp_err_t as Code;

use super::deliveries::Deliveries;
use super::error::{KafkaError, Kind, Result, text};
use super::health::Health;
use super::list::c_string;

/// Options of the client library: names and values.
pub type Options = Vec<(String, String)>;

const ERROR_TEXT_BYTES: usize = 512;

/// What the library's own thread tells of a client.
#[derive(Default)]
struct Heard {
    health: Health,
    deliveries: Deliveries,
}

/// A client of the library. Its errors, of which a broker that is down brings a flood, go to its health.
pub struct Client {
    rk: NonNull<ffi::rd_kafka_t>,
    heard: Arc<Heard>,
}

// SAFETY: the library's calls are safe from any thread.
unsafe impl Send for Client {}
// SAFETY: as above.
unsafe impl Sync for Client {}

impl Client {
    /// Make a client that reads; connections are made in the background.
    ///
    /// Later options win over earlier ones.
    pub fn consumer(options: &[(&str, &str)]) -> Result<Self> {
        Self::new(ffi::rd_kafka_type_t::RD_KAFKA_CONSUMER, options, 0)
    }

    /// Make a client that reads as a member of a group; what the group does comes as events of the consumer's queue.
    pub fn member(options: &[(&str, &str)]) -> Result<Self> {
        let events = ffi::RD_KAFKA_EVENT_REBALANCE;
        Self::new(ffi::rd_kafka_type_t::RD_KAFKA_CONSUMER, options, events)
    }

    /// Make a client that writes.
    pub fn producer(options: &[(&str, &str)]) -> Result<Self> {
        let events = ffi::RD_KAFKA_EVENT_DR;
        Self::new(ffi::rd_kafka_type_t::RD_KAFKA_PRODUCER, options, events)
    }

    fn new(kind: ffi::rd_kafka_type_t, options: &[(&str, &str)], events: i32) -> Result<Self> {
        let heard = Arc::new(Heard::default());
        let conf = Conf::of(options)?;
        let mut message = [0; ERROR_TEXT_BYTES];
        // SAFETY: the configuration is alive; what is heard outlives the client, which `drop` destroys first. A client
        // that was made owns the configuration.
        let rk = unsafe {
            ffi::rd_kafka_conf_set_opaque(conf.0, Arc::as_ptr(&heard).cast_mut().cast());
            ffi::rd_kafka_conf_set_events(conf.0, ffi::RD_KAFKA_EVENT_ERROR | events);
            ffi::rd_kafka_conf_set_background_event_cb(conf.0, Some(on_event));
            ffi::rd_kafka_conf_set_log_cb(conf.0, Some(on_log));
            ffi::rd_kafka_new(kind, conf.0, message.as_mut_ptr(), message.len())
        };
        let Some(rk) = NonNull::new(rk) else {
            // SAFETY: the library ends its message with a zero.
            let reason = unsafe { text(message.as_ptr()) };
            return Err(KafkaError::new(Kind::Invalid, reason));
        };
        std::mem::forget(conf);
        let client = Self { rk, heard };
        // SAFETY: the client is alive; both queues are destroyed after use, which leaves the forwarding as it is.
        unsafe {
            let main = ffi::rd_kafka_queue_get_main(client.as_ptr());
            let background = ffi::rd_kafka_queue_get_background(client.as_ptr());
            ffi::rd_kafka_queue_forward(main, background);
            ffi::rd_kafka_queue_destroy(background);
            ffi::rd_kafka_queue_destroy(main);
        }
        Ok(client)
    }

    /// The client as the library wants it; valid while this lives.
    pub fn as_ptr(&self) -> *mut ffi::rd_kafka_t {
        self.rk.as_ptr()
    }

    /// Whether brokers are reached.
    pub fn health(&self) -> &Health {
        &self.heard.health
    }

    /// What became of the records that were written.
    pub fn deliveries(&self) -> &Deliveries {
        &self.heard.deliveries
    }

    /// Make an error of a code, with the trouble of the connections where that is the reason.
    pub fn error(&self, code: Code, during: &str) -> KafkaError {
        let error = KafkaError::of(code, during);
        match self.health().trouble() {
            Some((kind, trouble)) if error.kind == Kind::Unavailable => {
                KafkaError::new(kind, format!("{}; {trouble}", error.text))
            }
            _ => error,
        }
    }

    /// Take the newest error of the client's group that nobody was told: why it has no coordinator, for instance.
    pub fn group_error(&self) -> Option<KafkaError> {
        let mut newest = None;
        // SAFETY: the client is alive; queue and events are destroyed once, after their use; text ends with a zero.
        unsafe {
            let queue = ffi::rd_kafka_queue_get_consumer(self.as_ptr());
            if queue.is_null() {
                return None;
            }
            loop {
                let event = ffi::rd_kafka_queue_poll(queue, 0);
                if event.is_null() {
                    break;
                }
                let code = ffi::rd_kafka_event_error(event);
                if code != Code::RD_KAFKA_RESP_ERR_NO_ERROR {
                    let said = text(ffi::rd_kafka_event_error_string(event));
                    newest = Some(KafkaError::new(Kind::of(code), said));
                }
                ffi::rd_kafka_event_destroy(event);
            }
            ffi::rd_kafka_queue_destroy(queue);
        }
        newest
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let (rk, heard) = (self.rk.as_ptr().addr(), Arc::clone(&self.heard));
        // Why not here: it waits for the library's threads, which may wait for a broker that does not answer.
        let destroy = move || {
            let rk = ptr::with_exposed_provenance_mut(rk);
            // SAFETY: made by `new`, destroyed once; until then what it tells is heard.
            unsafe { ffi::rd_kafka_destroy(rk) };
            drop(heard);
        };
        self.rk.as_ptr().expose_provenance();
        let named = std::thread::Builder::new().name("millstream-kafka-end".to_owned());
        // Where no thread can be made, the process is about to end, and the client with it.
        drop(named.spawn(destroy));
    }
}

struct Conf(*mut ffi::rd_kafka_conf_t);

impl Conf {
    fn of(options: &[(&str, &str)]) -> Result<Self> {
        // SAFETY: makes a configuration, which is destroyed on drop unless a client took it over.
        let conf = Self(unsafe { ffi::rd_kafka_conf_new() });
        for (name, value) in options {
            conf.set(name, value)?;
        }
        Ok(conf)
    }

    fn set(&self, name: &str, value: &str) -> Result<()> {
        let (c_name, c_value) = (c_string(name)?, c_string(value).map_err(|_| refused(name))?);
        let mut message = [0; ERROR_TEXT_BYTES];
        // SAFETY: the configuration is alive and copies the text.
        let result = unsafe {
            ffi::rd_kafka_conf_set(
                self.0,
                c_name.as_ptr(),
                c_value.as_ptr(),
                message.as_mut_ptr(),
                message.len(),
            )
        };
        match result {
            ConfResult::RD_KAFKA_CONF_OK => Ok(()),
            // The library's own text may repeat the value, which may be a secret.
            ConfResult::RD_KAFKA_CONF_INVALID => Err(refused(name)),
            ConfResult::RD_KAFKA_CONF_UNKNOWN => Err(KafkaError::new(
                Kind::Invalid,
                format!("the client library has no option {name:?}"),
            )),
        }
    }
}

impl Drop for Conf {
    fn drop(&mut self) {
        // SAFETY: made by `of`, and no client has taken it over.
        unsafe { ffi::rd_kafka_conf_destroy(self.0) }
    }
}

fn refused(name: &str) -> KafkaError {
    KafkaError::new(
        Kind::Invalid,
        format!("the option {name:?} has a value that the client library refuses"),
    )
}

/// Take an event of the client, in the library's own thread for them.
unsafe extern "C" fn on_event(
    _rk: *mut ffi::rd_kafka_t,
    event: *mut ffi::rd_kafka_event_t,
    opaque: *mut std::ffi::c_void,
) {
    // SAFETY: the opaque is what is heard, which outlives the client; the event is ours to destroy.
    unsafe {
        let heard = &*opaque.cast::<Heard>();
        match ffi::rd_kafka_event_type(event) {
            ffi::RD_KAFKA_EVENT_ERROR => {
                let code = ffi::rd_kafka_event_error(event);
                let all_down = code == Code::RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN;
                let said = text(ffi::rd_kafka_event_error_string(event));
                heard.health.failed(Kind::of(code), all_down, &said);
            }
            ffi::RD_KAFKA_EVENT_DR => heard.deliveries.take(event),
            _ => {}
        }
        ffi::rd_kafka_event_destroy(event);
    }
}

/// Drop a log line: what matters comes as an event too, and the library would write to stderr.
unsafe extern "C" fn on_log(
    _rk: *const ffi::rd_kafka_t,
    _level: std::ffi::c_int,
    _facility: *const std::ffi::c_char,
    _text: *const std::ffi::c_char,
) {
}

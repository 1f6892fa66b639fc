//! Questions that the library puts to the brokers and waits with: requests of administration, and the metadata.

use std::ptr;
use std::time::Duration;

use rdkafka::bindings as ffi;
use rdkafka::bindings::rd_kafka_admin_op_t as AdminOp;
use rdkafka::bindings::rd_kafka_event_t as Event;
use rdkafka::bindings::rd_kafka_resp_err_t as Code;

use super::client::Client;
use super::error::Result;
use super::topics::millis;

/// Ask the brokers something, and wait for the answer.
///
/// # Safety
/// `ask` and `answer` use the library as it wants to be used.
pub(super) unsafe fn asked<T>(
    client: &Client,
    what: AdminOp,
    timeout: Duration,
    during: &str,
    ask: impl FnOnce(*mut ffi::rd_kafka_AdminOptions_t, *mut ffi::rd_kafka_queue_t),
    answer: impl FnOnce(*mut Event) -> Result<T>,
) -> Result<T> {
    // SAFETY: the client is alive; options, queue and event are destroyed once, after their use.
    unsafe {
        let options = ffi::rd_kafka_AdminOptions_new(client.as_ptr(), what);
        let wait = millis(timeout).max(1);
        ffi::rd_kafka_AdminOptions_set_request_timeout(options, wait, ptr::null_mut(), 0);
        let queue = ffi::rd_kafka_queue_new(client.as_ptr());
        ask(options, queue);
        let event = ffi::rd_kafka_queue_poll(queue, wait.saturating_add(1000));
        let answered = if event.is_null() {
            Err(client.error(Code::RD_KAFKA_RESP_ERR__TIMED_OUT, during))
        } else {
            let code = ffi::rd_kafka_event_error(event);
            let answered = if code == Code::RD_KAFKA_RESP_ERR_NO_ERROR {
                client.health().answered();
                answer(event)
            } else {
                Err(client.error(code, during))
            };
            ffi::rd_kafka_event_destroy(event);
            answered
        };
        ffi::rd_kafka_queue_destroy(queue);
        ffi::rd_kafka_AdminOptions_destroy(options);
        answered
    }
}

/// Take something out of the metadata of the whole cluster.
pub(super) fn metadata<T>(
    client: &Client,
    timeout: Duration,
    during: &str,
    take: impl FnOnce(&ffi::rd_kafka_metadata) -> T,
) -> Result<T> {
    let mut found = ptr::null();
    // SAFETY: the client is alive; metadata that was given is destroyed once, after its use.
    unsafe {
        let wait = millis(timeout);
        let code =
            ffi::rd_kafka_metadata(client.as_ptr(), 1, ptr::null_mut(), &raw mut found, wait);
        if code != Code::RD_KAFKA_RESP_ERR_NO_ERROR {
            return Err(client.error(code, during));
        }
        let taken = take(&*found);
        ffi::rd_kafka_metadata_destroy(found);
        client.health().answered();
        Ok(taken)
    }
}

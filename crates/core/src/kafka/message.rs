//! A message of the client library.

use std::ptr::NonNull;

use rdkafka::bindings as ffi;
use rdkafka::bindings::rd_kafka_resp_err_t as Code;

use super::error::text;

/// A message of the library.
pub(super) struct Message(pub(super) NonNull<ffi::rd_kafka_message_t>);

// SAFETY: a message may be used and destroyed by any thread.
unsafe impl Send for Message {}

impl Message {
    pub(super) fn offset(&self) -> i64 {
        // SAFETY: the message is alive.
        unsafe { self.0.as_ref().offset }
    }

    pub(super) fn code(&self) -> Code {
        // SAFETY: the message is alive.
        unsafe { self.0.as_ref().err }
    }

    pub(super) fn error_text(&self) -> String {
        // SAFETY: the message is alive; its text ends with a zero.
        unsafe { text(ffi::rd_kafka_message_errstr(self.0.as_ptr())) }
    }
}

impl Drop for Message {
    fn drop(&mut self) {
        // SAFETY: the library gave the message to us.
        unsafe { ffi::rd_kafka_message_destroy(self.0.as_ptr()) }
    }
}

//! Transactions of a producer.

use std::time::Duration;

use rdkafka::bindings as ffi;
use rdkafka::bindings::rd_kafka_resp_err_t as Code;

use super::client::Client;
use super::error::{KafkaError, text};
use super::topics::millis;

/// What has to be done before anything else when a call of a transaction failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// The same call again, on the same producer.
    Retry,
    /// The transaction has to be aborted; nothing of it will ever be seen.
    Abort,
    /// This producer can do nothing more: a new one.
    Renew,
}

impl Next {
    /// The word as Python knows it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::Abort => "abort",
            Self::Renew => "renew",
        }
    }
}

/// Why a call of a transaction failed, and what comes next.
pub type Failed = (KafkaError, Next);

/// Have the coordinator end what earlier producers of the id left open, and fence them. Call it once, and first.
pub fn init(client: &Client, timeout: Duration) -> Result<(), Failed> {
    // SAFETY: the client is alive.
    let error = unsafe { ffi::rd_kafka_init_transactions(client.as_ptr(), millis(timeout)) };
    settled(client, error, "getting ready for transactions")
}

/// Begin a transaction. Asks nobody.
pub fn begin(client: &Client) -> Result<(), Failed> {
    // SAFETY: the client is alive.
    let error = unsafe { ffi::rd_kafka_begin_transaction(client.as_ptr()) };
    done(client, error, "beginning a transaction")
}

/// Have all that was sent delivered, and commit it.
pub fn commit(client: &Client, timeout: Duration) -> Result<(), Failed> {
    // SAFETY: the client is alive.
    let error = unsafe { ffi::rd_kafka_commit_transaction(client.as_ptr(), millis(timeout)) };
    settled(client, error, "committing a transaction")
}

/// Abort the transaction.
pub fn abort(client: &Client, timeout: Duration) -> Result<(), Failed> {
    // SAFETY: the client is alive.
    let error = unsafe { ffi::rd_kafka_abort_transaction(client.as_ptr(), millis(timeout)) };
    settled(client, error, "aborting a transaction")
}

/// Take the outcome of a call that asks the brokers.
fn settled(client: &Client, error: *mut ffi::rd_kafka_error_t, during: &str) -> Result<(), Failed> {
    done(client, error, during)?;
    client.health().answered();
    Ok(())
}

fn done(client: &Client, error: *mut ffi::rd_kafka_error_t, during: &str) -> Result<(), Failed> {
    if error.is_null() {
        return Ok(());
    }
    // SAFETY: the error is alive, and destroyed once, after its use.
    unsafe {
        let code = ffi::rd_kafka_error_code(error);
        let next = if ffi::rd_kafka_error_is_fatal(error) != 0 {
            Next::Renew
        } else if ffi::rd_kafka_error_txn_requires_abort(error) != 0 {
            Next::Abort
        } else if ffi::rd_kafka_error_is_retriable(error) != 0
            || code == Code::RD_KAFKA_RESP_ERR__TIMED_OUT
        {
            Next::Retry
        } else {
            Next::Renew
        };
        let said = text(ffi::rd_kafka_error_string(error));
        ffi::rd_kafka_error_destroy(error);
        let mut failed = client.error(code, during);
        failed.text = format!("{} ({said})", failed.text);
        Err((failed, next))
    }
}

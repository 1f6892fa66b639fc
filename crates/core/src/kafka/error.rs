//! What Kafka or its client refused.

use std::ffi::CStr;

use rdkafka::bindings as ffi;
use rdkafka::bindings::rd_kafka_resp_err_t as Code;

/// What the reader of an error does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An option has a value that cannot work.
    Invalid,
    /// No broker answered in time; it may pass.
    Unavailable,
    /// User or password are wrong.
    Authentication,
    /// The user may not do this.
    Authorization,
    /// There is no such topic or partition.
    UnknownTopic,
    /// The offset is not, or no longer, in the partition.
    OutOfRange,
    /// A record that was written cannot be taken.
    Record,
    /// Anything else.
    Other,
}

impl Kind {
    /// The kind as Python knows it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::Unavailable => "unavailable",
            Self::Authentication => "authentication",
            Self::Authorization => "authorization",
            Self::UnknownTopic => "unknown_topic",
            Self::OutOfRange => "out_of_range",
            Self::Record => "record",
            Self::Other => "other",
        }
    }

    /// Sort an error code of the client library.
    pub fn of(code: Code) -> Self {
        match code {
            Code::RD_KAFKA_RESP_ERR__AUTHENTICATION
            | Code::RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED => Self::Authentication,
            Code::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED
            | Code::RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED
            | Code::RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED
            | Code::RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED => Self::Authorization,
            Code::RD_KAFKA_RESP_ERR_INVALID_TRANSACTION_TIMEOUT => Self::Invalid,
            Code::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE
            | Code::RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE
            | Code::RD_KAFKA_RESP_ERR_INVALID_RECORD
            | Code::RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP => Self::Record,
            Code::RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC
            | Code::RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION
            | Code::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART
            | Code::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_ID
            | Code::RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION => Self::UnknownTopic,
            Code::RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE
            | Code::RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET
            | Code::RD_KAFKA_RESP_ERR__LOG_TRUNCATION => Self::OutOfRange,
            Code::RD_KAFKA_RESP_ERR__TRANSPORT
            | Code::RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN
            | Code::RD_KAFKA_RESP_ERR__RESOLVE
            | Code::RD_KAFKA_RESP_ERR__SSL
            | Code::RD_KAFKA_RESP_ERR__TIMED_OUT
            | Code::RD_KAFKA_RESP_ERR__MSG_TIMED_OUT
            | Code::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS
            | Code::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND
            | Code::RD_KAFKA_RESP_ERR__TIMED_OUT_QUEUE
            | Code::RD_KAFKA_RESP_ERR__WAIT_COORD
            | Code::RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT
            | Code::RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE
            | Code::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION
            | Code::RD_KAFKA_RESP_ERR_BROKER_NOT_AVAILABLE
            | Code::RD_KAFKA_RESP_ERR_REPLICA_NOT_AVAILABLE
            | Code::RD_KAFKA_RESP_ERR_OFFSET_NOT_AVAILABLE
            | Code::RD_KAFKA_RESP_ERR_FENCED_LEADER_EPOCH
            | Code::RD_KAFKA_RESP_ERR_UNKNOWN_LEADER_EPOCH
            | Code::RD_KAFKA_RESP_ERR_NETWORK_EXCEPTION
            | Code::RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR
            | Code::RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS
            | Code::RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE
            | Code::RD_KAFKA_RESP_ERR_NOT_COORDINATOR => Self::Unavailable,
            _ => Self::Other,
        }
    }
}

/// What Kafka or its client refused.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{text}")]
pub struct KafkaError {
    /// What to do about it.
    pub kind: Kind,
    /// One sentence, with the name that the client library gives the error.
    pub text: String,
}

impl KafkaError {
    /// Make an error of a kind.
    pub fn new(kind: Kind, text: impl Into<String>) -> Self {
        Self {
            kind,
            text: text.into(),
        }
    }

    /// Make an error of a code of the client library.
    pub fn of(code: Code, during: &str) -> Self {
        Self::new(Kind::of(code), format!("{during}: {}", describe(code)))
    }
}

/// A result that Kafka may refuse.
pub type Result<T> = std::result::Result<T, KafkaError>;

/// Say what a code means, with its name.
pub fn describe(code: Code) -> String {
    // SAFETY: both give static text for every code.
    unsafe {
        format!(
            "{} ({})",
            text(ffi::rd_kafka_err2str(code)),
            text(ffi::rd_kafka_err2name(code))
        )
    }
}

/// Copy text of the client library.
///
/// # Safety
/// `text` is null or ends with a zero.
pub unsafe fn text(text: *const std::ffi::c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: the caller's promise.
    unsafe { CStr::from_ptr(text) }
        .to_string_lossy()
        .into_owned()
}

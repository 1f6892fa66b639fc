//! What became of records that were written.

use std::ffi::c_void;
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::Duration;

use rdkafka::bindings as ffi;
use rdkafka::bindings::rd_kafka_resp_err_t as Code;

use super::error::{Kind, describe, text};

/// Rows of one round, at most; what is above in the number that a record carries is its round.
const ROW_BITS: u32 = 40;

/// A record that was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What to do about it.
    pub kind: Kind,
    /// One sentence.
    pub text: String,
    /// The topic it was for.
    pub topic: String,
    /// The Kafka partition it was for; -1 where it got none.
    pub partition: i32,
    /// Its number in the round, from 0.
    pub row: u64,
    /// Bytes of its key and value.
    pub bytes: usize,
}

/// What became of the records of one round.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Records that the brokers have.
    pub delivered: u64,
    /// Records that they have not.
    pub failed: u64,
    /// The first among these; before it the largest of those whose records are at fault.
    pub first_failure: Option<Failure>,
}

#[derive(Debug, Default)]
struct State {
    round: u64,
    outcome: Outcome,
}

/// Counts the records that brokers took and refused, round by round.
#[derive(Debug, Default)]
pub struct Deliveries {
    state: Mutex<State>,
    changed: Condvar,
}

/// Makes what a record carries, so that its report finds its row.
#[derive(Clone, Copy, Debug)]
pub struct Round(u64);

impl Round {
    /// What the record of a row carries.
    pub fn opaque(self, row: u64) -> *mut c_void {
        std::ptr::without_provenance_mut((self.0 << ROW_BITS | row) as usize)
    }
}

impl Deliveries {
    /// Begin a round: reports of earlier ones count no more.
    pub fn begin(&self) -> Round {
        let mut state = self.lock();
        state.round = (state.round + 1) % (1 << (u64::BITS - ROW_BITS));
        state.outcome = Outcome::default();
        Round(state.round)
    }

    /// Give what became of the records of this round.
    pub fn outcome(&self) -> Outcome {
        self.lock().outcome.clone()
    }

    /// Wait until another report comes, at most so long.
    pub fn wait(&self, timeout: Duration) {
        let state = self.lock();
        drop(self.changed.wait_timeout(state, timeout));
    }

    /// Note a record that was refused before it was sent.
    pub fn refuse(&self, failure: Failure) {
        self.lock().outcome.add(failure);
    }

    /// Take an event with reports.
    ///
    /// # Safety
    /// The event is alive, and has reports.
    pub(super) unsafe fn take(&self, event: *mut ffi::rd_kafka_event_t) {
        let mut state = self.lock();
        loop {
            // SAFETY: the caller's promise; a message lives as long as its event.
            let message = unsafe { ffi::rd_kafka_event_message_next(event).as_ref() };
            let Some(message) = message else { break };
            let carried = message._private.addr() as u64;
            if carried >> ROW_BITS != state.round {
                continue;
            }
            if message.err == Code::RD_KAFKA_RESP_ERR_NO_ERROR {
                state.outcome.delivered += 1;
            } else {
                // SAFETY: a report has its topic.
                let topic = unsafe { text(ffi::rd_kafka_topic_name(message.rkt)) };
                state.outcome.add(Failure {
                    kind: Kind::of(message.err),
                    text: describe(message.err),
                    topic,
                    partition: message.partition,
                    row: carried & ((1 << ROW_BITS) - 1),
                    bytes: message.len + message.key_len,
                });
            }
        }
        drop(state);
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics in the lock")
    }
}

impl Outcome {
    fn add(&mut self, failure: Failure) {
        self.failed += 1;
        // Of a transaction that cannot be committed all records fail that wait; the reason is the one to name. And brokers
        // refuse records that travel together for one of them that is too large.
        let rank = |failure: &Failure| {
            let is_at_fault = failure.kind == Kind::Record;
            let first = if is_at_fault {
                u64::MAX - failure.bytes as u64
            } else {
                failure.row
            };
            (failure.kind == Kind::Other, !is_at_fault, first)
        };
        if self
            .first_failure
            .as_ref()
            .is_none_or(|known| rank(&failure) < rank(known))
        {
            self.first_failure = Some(failure);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(kind: Kind, row: u64) -> Failure {
        Failure {
            kind,
            text: String::new(),
            topic: "t".to_owned(),
            partition: 0,
            row,
            bytes: row as usize,
        }
    }

    #[test]
    fn the_record_at_fault_is_named_before_those_that_failed_with_it() {
        let deliveries = Deliveries::default();
        deliveries.begin();
        deliveries.refuse(failure(Kind::Other, 0));
        deliveries.refuse(failure(Kind::Unavailable, 3));
        deliveries.refuse(failure(Kind::Unavailable, 2));
        assert_eq!(deliveries.outcome().first_failure.unwrap().row, 2);
        deliveries.refuse(failure(Kind::Record, 9));
        assert_eq!(deliveries.outcome().first_failure.unwrap().row, 9);
        assert_eq!(deliveries.outcome().failed, 4);
    }

    #[test]
    fn a_round_begins_with_nothing() {
        let deliveries = Deliveries::default();
        deliveries.begin();
        deliveries.refuse(failure(Kind::Record, 0));
        deliveries.begin();
        assert_eq!(deliveries.outcome(), Outcome::default());
    }
}

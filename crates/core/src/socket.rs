//! A receiver of text lines from a TCP socket, on a thread of its own that never waits for anyone but the peer,
//! a full queue or the limit on its rate.

use std::sync::{Arc, Mutex, PoisonError, TryLockError};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use crate::block::{Block, BlockLimits};
use crate::cutter::{LINE_BYTES_MAX, OnInvalid};
use crate::error::{Error, Result};
use crate::receiver::{Receiver, State};

/// Where from and how lines are received.
#[derive(Clone, Debug)]
pub struct SocketConfig {
    /// Name or address of the peer.
    pub host: String,
    /// Port of the peer, 1 to 65,535.
    pub port: u16,
    /// Where blocks are cut and how much may wait.
    pub limits: BlockLimits,
    /// What happens to lines that are not UTF-8 or too long.
    pub on_invalid: OnInvalid,
    /// The longest line that is kept whole, bytes.
    pub max_line_bytes: usize,
    /// Records a second; none means no limit.
    pub rate_per_s: Option<f64>,
    /// The first wait before the next connection.
    pub reconnect_initial: Duration,
    /// The longest wait before the next connection.
    pub reconnect_max: Duration,
    /// How long one attempt to connect may take.
    pub connect_timeout: Duration,
    /// Where the spread of the waits begins.
    pub jitter_seed: u64,
}

/// What the receiver does at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Not started.
    Idle,
    /// Asking for a connection.
    Connecting,
    /// Reading.
    Connected,
    /// Between two connections.
    Waiting,
    /// Ended by a line that is invalid under the policy to fail.
    Failed,
    /// Ended by `stop`.
    Stopped,
}

impl Phase {
    /// Give the name that users see.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Connecting => "connecting",
            Self::Connected => "connected",
            Self::Waiting => "waiting",
            Self::Failed => "failed",
            Self::Stopped => "stopped",
        }
    }

    /// Say whether nothing more will come.
    pub const fn has_ended(self) -> bool {
        matches!(self, Self::Failed | Self::Stopped)
    }
}

/// Something that happened to the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// What: `connected`, `disconnected`, `connect_failed`, `queue_full`, `queue_drained`, `failed`, `stopped`.
    pub kind: &'static str,
    /// The peer, the reason, what follows.
    pub detail: String,
    /// When, milliseconds since the epoch.
    pub wall_ms: i64,
}

/// Counts since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SocketStats {
    /// Records put into blocks.
    pub records: u64,
    /// Bytes read from the peer.
    pub read_bytes: u64,
    /// Lines that were not UTF-8 or too long.
    pub invalid: u64,
    /// Connections that were made.
    pub connections: u64,
    /// Attempts to connect that failed.
    pub failed_connections: u64,
    /// Times that reading paused because the queue was full.
    pub pauses: u64,
    /// Events that nobody took in time.
    pub lost_events: u64,
}

/// Receives lines from a TCP socket into blocks.
#[derive(Debug)]
pub struct SocketLines {
    receiver: Arc<Receiver>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl SocketLines {
    /// Check the settings; nothing is connected before `start`.
    pub fn new(config: SocketConfig) -> Result<Self> {
        config.limits.check()?;
        if config.host.is_empty() || config.port == 0 {
            return Err(Error::Invalid(
                "a host name and a port from 1 to 65535 are needed".to_owned(),
            ));
        }
        if config.max_line_bytes == 0 || config.max_line_bytes > LINE_BYTES_MAX {
            return Err(Error::Invalid(format!(
                "max_line_bytes must be between 1 and {LINE_BYTES_MAX}, not {}",
                config.max_line_bytes
            )));
        }
        if config.reconnect_initial.is_zero()
            || config.reconnect_max < config.reconnect_initial
            || config.connect_timeout.is_zero()
        {
            return Err(Error::Invalid(
                "the waits before a connection must be positive, and the longest no shorter than the first"
                    .to_owned(),
            ));
        }
        let receiver = Arc::new(Receiver::new(config)?);
        Ok(Self {
            receiver,
            thread: Mutex::new(None),
        })
    }

    /// Start the thread, which connects and receives until `stop`.
    pub fn start(&self) -> Result<()> {
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        let mut state = self.receiver.lock();
        if state.stopping || state.phase != Phase::Idle {
            return Err(Error::Lifecycle(format!(
                "a receiver starts once; this one is {}",
                state.phase.name()
            )));
        }
        let receiver = Arc::clone(&self.receiver);
        let spawned = Builder::new()
            .name("millstream-socket".to_owned())
            .spawn(move || receiver.run())
            .map_err(|error| Error::Lifecycle(format!("no thread can be started: {error}")))?;
        state.phase = Phase::Connecting;
        *thread = Some(spawned);
        Ok(())
    }

    /// Take all blocks of batch times up to `until_ms`, the open one too; none where the receiver holds the lock.
    pub fn try_take(&self, until_ms: i64) -> Option<Vec<Block>> {
        let state = match self.receiver.state.try_lock() {
            Ok(state) => state,
            Err(TryLockError::Poisoned(state)) => state.into_inner(),
            Err(TryLockError::WouldBlock) => return None,
        };
        Some(self.receiver.take(state, until_ms))
    }

    /// Take all blocks of batch times up to `until_ms`, the open one too.
    pub fn take(&self, until_ms: i64) -> Vec<Block> {
        self.receiver.take(self.receiver.lock(), until_ms)
    }

    /// Give the records and bytes that wait to be taken.
    pub fn pending(&self) -> (usize, usize) {
        let state = self.receiver.lock();
        (state.queue.records(), state.queue.bytes())
    }

    /// Wait until at least `records` wait to be taken; false after the timeout or once the receiver has ended.
    pub fn wait(&self, records: usize, timeout: Duration) -> bool {
        let enough = |state: &mut State| state.queue.records() >= records;
        self.receiver.wait_for(
            timeout,
            |state| enough(state) || state.phase.has_ended(),
            enough,
        )
    }

    /// Wait for an event and take all there are, in order; empty after the timeout.
    pub fn events(&self, timeout: Duration) -> Vec<Event> {
        self.receiver.wait_for(
            timeout,
            |state| !state.events.is_empty() || state.phase.has_ended(),
            |state| state.events.drain(..).collect(),
        )
    }

    /// Give the counts since the start.
    pub fn stats(&self) -> SocketStats {
        self.receiver.lock().stats
    }

    /// Say what the receiver does at the moment.
    pub fn phase(&self) -> Phase {
        self.receiver.lock().phase
    }

    /// Change the limit on records a second; none means no limit.
    pub fn set_rate(&self, rate_per_s: Option<f64>) -> Result<()> {
        self.receiver
            .bucket
            .set_rate(rate_per_s, self.receiver.bucket.now_s())
    }

    /// Change the number of records that may wait to be taken; none means that only their size counts.
    pub fn set_room(&self, records: Option<usize>) {
        self.receiver
            .lock()
            .queue
            .set_records_max(records.unwrap_or(usize::MAX));
        self.receiver.to_thread.notify_all();
    }

    /// Ask the receiver to end, without waiting for it.
    pub fn request_stop(&self) {
        self.receiver.request_stop();
    }

    /// Stop receiving: what is in blocks can still be taken. False when the thread did not end in time.
    pub fn stop(&self, timeout: Duration) -> bool {
        self.receiver.request_stop();
        let ended = self.receiver.wait_for(
            timeout,
            |state| state.phase.has_ended(),
            |state| state.phase.has_ended(),
        );
        if ended {
            let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(thread) = thread.take() {
                // A panic of the thread was printed by it; there is nothing to add.
                let _ = thread.join();
            }
        }
        ended
    }
}

impl Drop for SocketLines {
    fn drop(&mut self) {
        self.receiver.request_stop();
    }
}

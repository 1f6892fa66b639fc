//! A receiver of text lines from a TCP socket, on a thread of its own that never waits for anyone but the peer,
//! a full queue or the limit on its rate.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read};
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::backoff::Backoff;
use crate::block::{Block, BlockLimits, BlockQueue};
use crate::bucket::TokenBucket;
use crate::connect::connect;
use crate::cutter::{LINE_BYTES_MAX, LineCutter, OnInvalid};
use crate::error::{Error, Result};
use crate::lines::Lines;

/// One read of the socket: about 2,600 lines of 100 bytes, 30 us of work.
const READ_BYTES: usize = 256 << 10;

/// Events that wait to be taken; the oldest go first when there are more.
const EVENTS_MAX: usize = 1_000;

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
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug)]
struct Shared {
    config: SocketConfig,
    bucket: TokenBucket,
    state: Mutex<State>,
    /// Wakes the receiver: a stop, room in the queue, an attempt to connect that ended.
    to_receiver: Condvar,
    /// Wakes those who wait for records, events or the end.
    to_others: Condvar,
}

#[derive(Debug)]
struct State {
    queue: BlockQueue,
    events: VecDeque<Event>,
    stats: SocketStats,
    phase: Phase,
    stopping: bool,
    waiting_others: usize,
    /// The open connection, so that `stop` can end a read.
    stream: Option<TcpStream>,
    /// The outcome of the attempt to connect that is being waited for.
    attempt: Option<std::io::Result<TcpStream>>,
    attempt_number: u64,
    /// Bytes of the last connection's last line, which never got an end.
    unfinished_bytes: usize,
}

/// Why a connection ended.
enum End {
    Stopping,
    Closed,
    Broken(std::io::Error),
    Invalid(Error),
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
        let bucket = TokenBucket::new(config.rate_per_s, 0.1)?;
        let state = State {
            queue: BlockQueue::new(config.limits),
            events: VecDeque::new(),
            stats: SocketStats::default(),
            phase: Phase::Idle,
            stopping: false,
            waiting_others: 0,
            stream: None,
            attempt: None,
            attempt_number: 0,
            unfinished_bytes: 0,
        };
        let shared = Shared {
            config,
            bucket,
            state: Mutex::new(state),
            to_receiver: Condvar::new(),
            to_others: Condvar::new(),
        };
        Ok(Self {
            shared: Arc::new(shared),
            thread: Mutex::new(None),
        })
    }

    /// Start the thread, which connects and receives until `stop`.
    pub fn start(&self) -> Result<()> {
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        let mut state = self.shared.lock();
        if state.stopping || state.phase != Phase::Idle {
            return Err(Error::Lifecycle(format!(
                "a receiver starts once; this one is {}",
                state.phase.name()
            )));
        }
        let shared = Arc::clone(&self.shared);
        let spawned = Builder::new()
            .name("millstream-socket".to_owned())
            .spawn(move || shared.run())
            .map_err(|error| Error::Lifecycle(format!("no thread can be started: {error}")))?;
        state.phase = Phase::Connecting;
        *thread = Some(spawned);
        Ok(())
    }

    /// Take all blocks of batch times up to `until_ms`, the open one too; none where the receiver holds the lock.
    pub fn try_take(&self, until_ms: i64) -> Option<Vec<Block>> {
        let state = match self.shared.state.try_lock() {
            Ok(state) => state,
            Err(std::sync::TryLockError::Poisoned(state)) => state.into_inner(),
            Err(std::sync::TryLockError::WouldBlock) => return None,
        };
        Some(self.shared.take(state, until_ms))
    }

    /// Take all blocks of batch times up to `until_ms`, the open one too.
    pub fn take(&self, until_ms: i64) -> Vec<Block> {
        self.shared.take(self.shared.lock(), until_ms)
    }

    /// Give the records and bytes that wait to be taken.
    pub fn pending(&self) -> (usize, usize) {
        let state = self.shared.lock();
        (state.queue.records(), state.queue.bytes())
    }

    /// Wait until at least `records` wait to be taken; false after the timeout or once the receiver has ended.
    pub fn wait(&self, records: usize, timeout: Duration) -> bool {
        let enough = |state: &mut State| state.queue.records() >= records;
        self.shared.wait_for(
            timeout,
            |state| enough(state) || state.phase.has_ended(),
            enough,
        )
    }

    /// Wait for an event and take all there are, in order; empty after the timeout.
    pub fn events(&self, timeout: Duration) -> Vec<Event> {
        self.shared.wait_for(
            timeout,
            |state| !state.events.is_empty() || state.phase.has_ended(),
            |state| state.events.drain(..).collect(),
        )
    }

    /// Give the counts since the start.
    pub fn stats(&self) -> SocketStats {
        self.shared.lock().stats
    }

    /// Say what the receiver does at the moment.
    pub fn phase(&self) -> Phase {
        self.shared.lock().phase
    }

    /// Change the limit on records a second; none means no limit.
    pub fn set_rate(&self, rate_per_s: Option<f64>) -> Result<()> {
        self.shared
            .bucket
            .set_rate(rate_per_s, self.shared.bucket.now_s())
    }

    /// Ask the receiver to end, without waiting for it.
    pub fn request_stop(&self) {
        self.shared.request_stop();
    }

    /// Stop receiving: what is in blocks can still be taken. False when the thread did not end in time.
    pub fn stop(&self, timeout: Duration) -> bool {
        self.shared.request_stop();
        let ended = self.shared.wait_for(
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
        self.shared.request_stop();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, mut state: MutexGuard<'_, State>, until_ms: i64) -> Vec<Block> {
        let was_full = state.queue.is_full();
        let blocks = state.queue.take(until_ms);
        if was_full && !state.queue.is_full() {
            self.to_receiver.notify_all();
        }
        blocks
    }

    /// Wait until `ready` or the timeout, and give what `result` finds then.
    fn wait_for<T>(
        &self,
        timeout: Duration,
        ready: impl Fn(&mut State) -> bool,
        result: impl FnOnce(&mut State) -> T,
    ) -> T {
        let deadline = Instant::now().checked_add(timeout);
        let mut state = self.lock();
        state.waiting_others += 1;
        while !ready(&mut state) {
            let left = deadline.map_or(timeout, |deadline| {
                deadline.saturating_duration_since(Instant::now())
            });
            if left.is_zero() {
                break;
            }
            state = self
                .to_others
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        state.waiting_others -= 1;
        result(&mut state)
    }

    /// Wake who waits for records, events or the end. The call is skipped where nobody does: it is a system call,
    /// and there is one of them for each read.
    fn notify_others(&self, state: &State) {
        if state.waiting_others > 0 {
            self.to_others.notify_all();
        }
    }

    fn request_stop(&self) {
        let mut state = self.lock();
        state.stopping = true;
        if state.phase == Phase::Idle {
            state.phase = Phase::Stopped;
        }
        if let Some(stream) = &state.stream {
            // It may be closed already, which is what is wanted.
            let _ = stream.shutdown(Shutdown::Both);
        }
        drop(state);
        self.bucket.close();
        self.to_receiver.notify_all();
    }

    fn report(&self, state: &mut State, kind: &'static str, detail: String) {
        if state.events.len() == EVENTS_MAX {
            state.events.pop_front();
            state.stats.lost_events += 1;
        }
        let wall_ms = wall_ns() / 1_000_000;
        state.events.push_back(Event {
            kind,
            detail,
            wall_ms,
        });
        self.notify_others(state);
    }

    /// The life of the receiver's thread.
    fn run(self: Arc<Self>) {
        // However the thread ends, those who wait learn of it.
        let _end = EndGuard(&self);
        let config = &self.config;
        let peer = format!("{}:{}", config.host, config.port);
        let mut backoff = Backoff::new(
            config.reconnect_initial,
            config.reconnect_max,
            config.jitter_seed,
        );
        while let Some(outcome) = self.connect() {
            let wait = match outcome {
                Err(error) => {
                    let wait = backoff.next_wait();
                    let mut state = self.lock();
                    state.stats.failed_connections += 1;
                    let detail = format!("{peer}: {error}; next try in {} ms", wait.as_millis());
                    self.report(&mut state, "connect_failed", detail);
                    wait
                }
                Ok(stream) => {
                    let read_before = self.lock().stats.read_bytes;
                    let mut cutter = LineCutter::new(config.on_invalid, config.max_line_bytes, 0);
                    let end = self.receive(stream, &peer, &mut cutter);
                    let mut state = self.lock();
                    state.stream = None;
                    state.unfinished_bytes = cutter.unfinished_bytes();
                    if state.stats.read_bytes > read_before {
                        backoff.reset();
                    }
                    let reason = match end {
                        End::Stopping => break,
                        End::Invalid(error) => {
                            state.phase = Phase::Failed;
                            self.report(&mut state, "failed", format!("{peer}: {error}"));
                            return;
                        }
                        End::Closed => "the peer closed the connection".to_owned(),
                        End::Broken(error) => error.to_string(),
                    };
                    let wait = backoff.next_wait();
                    let detail = format!(
                        "{peer}: {reason}{}; next try in {} ms",
                        dropped(state.unfinished_bytes),
                        wait.as_millis()
                    );
                    self.report(&mut state, "disconnected", detail);
                    wait
                }
            };
            self.pause(wait);
        }
    }

    /// Connect, on a thread that can be left alone: neither name resolution nor connecting can be interrupted.
    ///
    /// None: a stop was asked for.
    fn connect(self: &Arc<Self>) -> Option<std::io::Result<TcpStream>> {
        let mut state = self.lock();
        if state.stopping {
            return None;
        }
        state.phase = Phase::Connecting;
        state.attempt = None;
        state.attempt_number += 1;
        let number = state.attempt_number;
        drop(state);
        let shared = Arc::clone(self);
        let spawned = Builder::new()
            .name("millstream-connect".to_owned())
            .spawn(move || {
                let config = &shared.config;
                let outcome = connect(&config.host, config.port, config.connect_timeout);
                let mut state = shared.lock();
                if state.attempt_number == number {
                    state.attempt = Some(outcome);
                    shared.to_receiver.notify_all();
                }
            });
        if let Err(error) = spawned {
            return Some(Err(error));
        }
        let mut state = self.lock();
        loop {
            if state.stopping {
                state.attempt_number += 1;
                return None;
            }
            if let Some(outcome) = state.attempt.take() {
                return Some(outcome);
            }
            state = self
                .to_receiver
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Wait between two connections, unless a stop is asked for.
    fn pause(&self, wait: Duration) {
        let mut state = self.lock();
        state.phase = Phase::Waiting;
        let _ = self
            .to_receiver
            .wait_timeout_while(state, wait, |state| !state.stopping);
    }

    /// Read until the connection ends.
    fn receive(&self, mut stream: TcpStream, peer: &str, cutter: &mut LineCutter) -> End {
        {
            let mut state = self.lock();
            state.stats.connections += 1;
            match stream.try_clone() {
                Ok(twin) => state.stream = Some(twin),
                Err(error) => return End::Broken(error),
            }
            if state.stopping {
                return End::Stopping;
            }
            state.phase = Phase::Connected;
            self.report(&mut state, "connected", peer.to_owned());
        }
        let mut lines = Lines::new();
        let mut piece = vec![0; READ_BYTES.min(self.config.limits.block_max_bytes)];
        loop {
            if !self.wait_for_room() {
                return End::Stopping;
            }
            let read = match stream.read(&mut piece) {
                Ok(0) if self.lock().stopping => return End::Stopping,
                Ok(0) => {
                    let finished = cutter.finish(&mut lines);
                    self.store(&mut lines, 0);
                    return finished.map_or_else(End::Invalid, |()| End::Closed);
                }
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(_) if self.lock().stopping => return End::Stopping,
                Err(error) => return End::Broken(error),
            };
            if let Err(end) = self.cut(&piece[..read], cutter, &mut lines) {
                return end;
            }
        }
    }

    /// Cut what was read, as fast as the limit on the rate allows, and store it.
    fn cut(
        &self,
        mut bytes: &[u8],
        cutter: &mut LineCutter,
        lines: &mut Lines,
    ) -> std::result::Result<(), End> {
        let lines_max = self.config.limits.block_max_records;
        while !bytes.is_empty() {
            let granted = self.bucket.acquire_some(lines_max).ok_or(End::Stopping)?;
            let cut = cutter.cut(bytes, granted, lines);
            self.bucket.give_back(granted - lines.len().min(granted));
            // What precedes an invalid line is stored before the receiver fails.
            self.store(lines, *cut.as_ref().unwrap_or(&0));
            bytes = &bytes[cut.map_err(End::Invalid)?..];
        }
        Ok(())
    }

    fn store(&self, lines: &mut Lines, read_bytes: usize) {
        let mut state = self.lock();
        state.stats.read_bytes += read_bytes as u64;
        state.stats.records += lines.len() as u64;
        state.stats.invalid += lines.invalid();
        // Stamped under the lock: nothing can be taken between the stamp and the entry.
        state.queue.push(lines, wall_ns());
        self.notify_others(&state);
    }

    /// Hold the socket unread, so that TCP slows the peer, until the queue has room; false for a stop.
    fn wait_for_room(&self) -> bool {
        let mut state = self.lock();
        if !state.queue.is_full() || state.stopping {
            return !state.stopping;
        }
        state.stats.pauses += 1;
        let detail = format!("{} bytes wait", state.queue.bytes());
        self.report(&mut state, "queue_full", detail);
        while state.queue.is_full() && !state.stopping {
            state = self
                .to_receiver
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        if !state.stopping {
            let detail = format!("{} bytes wait", state.queue.bytes());
            self.report(&mut state, "queue_drained", detail);
        }
        !state.stopping
    }
}

/// Says that the thread has ended, whichever way it did.
struct EndGuard<'a>(&'a Shared);

impl Drop for EndGuard<'_> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.stream = None;
        if std::thread::panicking() {
            state.phase = Phase::Failed;
            self.0.report(
                &mut state,
                "failed",
                "the receiver's thread broke an invariant: report this with what it printed"
                    .to_owned(),
            );
        } else if state.phase != Phase::Failed {
            state.phase = Phase::Stopped;
            let detail = dropped(state.unfinished_bytes).trim().to_owned();
            self.0.report(&mut state, "stopped", detail);
        }
        self.0.to_others.notify_all();
    }
}

fn dropped(unfinished_bytes: usize) -> String {
    match unfinished_bytes {
        0 => String::new(),
        bytes => format!(" ({bytes} bytes of a line without an end were dropped)"),
    }
}

fn wall_ns() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

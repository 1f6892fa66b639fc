//! The thread that receives lines from a socket, and what it shares with those who take them.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read};
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::Builder;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::backoff::Backoff;
use crate::block::{Block, BlockQueue};
use crate::bucket::TokenBucket;
use crate::connect::connect;
use crate::cutter::LineCutter;
use crate::error::{Error, Result};
use crate::lines::Lines;
use crate::socket::{Event, Phase, SocketConfig, SocketStats};

/// One read of the socket: about 2,600 lines of 100 bytes, 30 us of work.
const READ_BYTES: usize = 256 << 10;

/// Events that wait to be taken; the oldest go first when there are more.
const EVENTS_MAX: usize = 1_000;

/// The receiving side, which its own thread and those who take from it share.
#[derive(Debug)]
pub(crate) struct Receiver {
    config: SocketConfig,
    pub(crate) bucket: TokenBucket,
    pub(crate) state: Mutex<State>,
    /// Wakes the receiver: a stop, room in the queue, an attempt to connect that ended.
    pub(crate) to_thread: Condvar,
    /// Wakes those who wait for records, events or the end.
    to_others: Condvar,
}

/// What the lock guards.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) queue: BlockQueue,
    pub(crate) events: VecDeque<Event>,
    pub(crate) stats: SocketStats,
    pub(crate) phase: Phase,
    pub(crate) stopping: bool,
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

impl Receiver {
    /// Make what the thread will need; nothing runs yet.
    pub(crate) fn new(config: SocketConfig) -> Result<Self> {
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
        Ok(Self {
            config,
            bucket,
            state: Mutex::new(state),
            to_thread: Condvar::new(),
            to_others: Condvar::new(),
        })
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn take(&self, mut state: MutexGuard<'_, State>, until_ms: i64) -> Vec<Block> {
        let was_full = state.queue.is_full();
        let blocks = state.queue.take(until_ms);
        if was_full && !state.queue.is_full() {
            self.to_thread.notify_all();
        }
        blocks
    }

    /// Wait until `ready` or the timeout, and give what `result` finds then.
    pub(crate) fn wait_for<T>(
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

    pub(crate) fn request_stop(&self) {
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
        self.to_thread.notify_all();
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
    pub(crate) fn run(self: Arc<Self>) {
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
        let receiver = Arc::clone(self);
        let spawned = Builder::new()
            .name("millstream-connect".to_owned())
            .spawn(move || {
                let config = &receiver.config;
                let outcome = connect(&config.host, config.port, config.connect_timeout);
                let mut state = receiver.lock();
                if state.attempt_number == number {
                    state.attempt = Some(outcome);
                    receiver.to_thread.notify_all();
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
                .to_thread
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Wait between two connections, unless a stop is asked for.
    fn pause(&self, wait: Duration) {
        let mut state = self.lock();
        state.phase = Phase::Waiting;
        let _ = self
            .to_thread
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
            if self.wait_for_room().is_none() {
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
            let room = self.wait_for_room().ok_or(End::Stopping)?;
            let granted = self
                .bucket
                .acquire_some(lines_max.min(room))
                .ok_or(End::Stopping)?;
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

    /// Hold the socket unread, so that TCP slows the peer, until the queue has room; none for a stop.
    ///
    /// Gives how many records have room. Only a queue that is full of bytes is worth an event: that of records is full
    /// with every batch that takes longer than it should.
    fn wait_for_room(&self) -> Option<usize> {
        let mut state = self.lock();
        if state.queue.is_full() && !state.stopping {
            let tells = state.queue.has_all_bytes();
            if tells {
                state.stats.pauses += 1;
                let detail = format!("{} bytes wait", state.queue.bytes());
                self.report(&mut state, "queue_full", detail);
            }
            while state.queue.is_full() && !state.stopping {
                state = self
                    .to_thread
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner);
            }
            if tells && !state.stopping {
                let detail = format!("{} bytes wait", state.queue.bytes());
                self.report(&mut state, "queue_drained", detail);
            }
        }
        (!state.stopping).then(|| state.queue.records_left())
    }
}

/// Says that the thread has ended, whichever way it did.
struct EndGuard<'a>(&'a Receiver);

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

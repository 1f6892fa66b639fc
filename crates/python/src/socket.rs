//! The receiver of text lines from a TCP socket.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use millstream_core::block::BlockLimits;
use millstream_core::socket;
use pyo3::prelude::*;

use crate::block::Block;
use crate::bucket::{deadline, next_slice};
use crate::error::raise;

/// Add what this file offers to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<SocketLines>()?;
    module.add_class::<SocketStats>()
}

/// A receiver of text lines from a TCP socket, whose thread never needs the GIL.
#[pyclass(frozen, module = "millstream._core")]
struct SocketLines {
    socket: socket::SocketLines,
    peer: String,
}

/// Kind, detail and moment (milliseconds since the epoch) of something that happened to a connection.
type Event = (&'static str, String, i64);

#[pymethods]
impl SocketLines {
    #[new]
    #[pyo3(signature = (
        host, port, *, grid_ms, origin_ms, on_invalid = "replace", block_max_records = 65536,
        block_max_bytes = 8_388_608, queue_max_bytes = 67_108_864, max_line_bytes = 1_048_576, rate_per_s = None,
        reconnect_initial_ms = 100, reconnect_max_ms = 5000, connect_timeout_ms = 5000, jitter_seed = None
    ))]
    // The arguments are those of the Python class, which are given by name.
    #[allow(clippy::too_many_arguments)]
    fn new(
        py: Python<'_>,
        host: String,
        port: u16,
        grid_ms: i64,
        origin_ms: i64,
        on_invalid: &str,
        block_max_records: usize,
        block_max_bytes: usize,
        queue_max_bytes: usize,
        max_line_bytes: usize,
        rate_per_s: Option<f64>,
        reconnect_initial_ms: u64,
        reconnect_max_ms: u64,
        connect_timeout_ms: u64,
        jitter_seed: Option<u64>,
    ) -> PyResult<Self> {
        let peer = format!("{host}:{port}");
        let socket = on_invalid.parse().and_then(|on_invalid| {
            socket::SocketLines::new(socket::SocketConfig {
                host,
                port,
                limits: BlockLimits {
                    grid_ms,
                    origin_ms,
                    block_max_records,
                    block_max_bytes,
                    queue_max_bytes,
                },
                on_invalid,
                max_line_bytes,
                rate_per_s,
                reconnect_initial: Duration::from_millis(reconnect_initial_ms),
                reconnect_max: Duration::from_millis(reconnect_max_ms),
                connect_timeout: Duration::from_millis(connect_timeout_ms),
                jitter_seed: jitter_seed.unwrap_or_else(seed),
            })
        });
        Ok(Self {
            socket: socket.map_err(|error| raise(py, error))?,
            peer,
        })
    }

    /// Start the thread, which connects and receives until `stop`.
    fn start(&self, py: Python<'_>) -> PyResult<()> {
        self.socket.start().map_err(|error| raise(py, error))
    }

    /// Take all blocks of batch times up to `until_ms`, the open one too.
    fn take(&self, py: Python<'_>, until_ms: i64) -> Vec<Block> {
        // The receiver holds its lock for microseconds; only where it does is the GIL worth its release.
        let blocks = self
            .socket
            .try_take(until_ms)
            .unwrap_or_else(|| py.detach(|| self.socket.take(until_ms)));
        blocks.into_iter().map(Block::from).collect()
    }

    /// Give the records and bytes that wait to be taken.
    fn pending(&self) -> (usize, usize) {
        self.socket.pending()
    }

    /// Wait until at least `records` wait to be taken; False after the timeout or once the receiver has ended.
    #[pyo3(signature = (timeout_s = None, records = 1))]
    fn wait(&self, py: Python<'_>, timeout_s: Option<f64>, records: usize) -> PyResult<bool> {
        let deadline = deadline(timeout_s)?;
        self.in_slices(
            py,
            deadline,
            |slice| self.socket.wait(records, slice),
            |enough| *enough,
        )
    }

    /// Give the events since the last call, in order; wait for one where there is none.
    #[pyo3(signature = (timeout_s = 0.0))]
    fn events(&self, py: Python<'_>, timeout_s: Option<f64>) -> PyResult<Vec<Event>> {
        let deadline = deadline(timeout_s)?;
        let events = self.in_slices(
            py,
            deadline,
            |slice| self.socket.events(slice),
            |events| !events.is_empty(),
        )?;
        Ok(events
            .into_iter()
            .map(|event| (event.kind, event.detail, event.wall_ms))
            .collect())
    }

    /// Give the counts since the start.
    fn stats(&self) -> SocketStats {
        SocketStats {
            stats: self.socket.stats(),
        }
    }

    /// What the receiver does: idle, connecting, connected, waiting, failed or stopped.
    #[getter]
    fn state(&self) -> &'static str {
        self.socket.phase().name()
    }

    /// Change the number of records that may wait to be taken; None means that only their size counts.
    fn set_room(&self, records: Option<usize>) {
        self.socket.set_room(records);
    }

    /// Change the limit on records a second; None means no limit.
    fn set_rate(&self, py: Python<'_>, rate_per_s: Option<f64>) -> PyResult<()> {
        self.socket
            .set_rate(rate_per_s)
            .map_err(|error| raise(py, error))
    }

    /// Stop receiving; what is in blocks can still be taken. False when the thread did not end in time.
    #[pyo3(signature = (timeout_s = None))]
    fn stop(&self, py: Python<'_>, timeout_s: Option<f64>) -> PyResult<bool> {
        let deadline = deadline(timeout_s)?;
        py.detach(|| self.socket.request_stop());
        self.in_slices(
            py,
            deadline,
            |slice| self.socket.stop(slice),
            |ended| *ended,
        )
    }

    fn __repr__(&self) -> String {
        format!("<SocketLines {} {}>", self.peer, self.state())
    }
}

impl SocketLines {
    /// Wait without the GIL until `done`, the deadline or the end; Ctrl-C interrupts.
    fn in_slices<T: Send>(
        &self,
        py: Python<'_>,
        deadline: Option<Instant>,
        wait: impl Fn(Duration) -> T + Sync,
        done: impl Fn(&T) -> bool,
    ) -> PyResult<T> {
        let mut result = wait(Duration::ZERO);
        loop {
            let slice = next_slice(deadline);
            if done(&result) || slice.is_zero() {
                return Ok(result);
            }
            if self.socket.phase().has_ended() {
                // What came between the last look and the end is the last there will be.
                return Ok(wait(Duration::ZERO));
            }
            result = py.detach(|| wait(slice));
            py.check_signals()?;
        }
    }
}

/// Counts of a socket receiver since its start.
#[pyclass(frozen, module = "millstream._core")]
struct SocketStats {
    stats: socket::SocketStats,
}

#[pymethods]
impl SocketStats {
    /// Records put into blocks.
    #[getter]
    fn records(&self) -> u64 {
        self.stats.records
    }

    /// Bytes read from the peer.
    #[getter]
    fn read_bytes(&self) -> u64 {
        self.stats.read_bytes
    }

    /// Lines that were not UTF-8 or too long.
    #[getter]
    fn invalid(&self) -> u64 {
        self.stats.invalid
    }

    /// Connections that were made.
    #[getter]
    fn connections(&self) -> u64 {
        self.stats.connections
    }

    /// Attempts to connect that failed.
    #[getter]
    fn failed_connections(&self) -> u64 {
        self.stats.failed_connections
    }

    /// Times that reading paused because the queue was full.
    #[getter]
    fn pauses(&self) -> u64 {
        self.stats.pauses
    }

    /// Events that nobody took in time.
    #[getter]
    fn lost_events(&self) -> u64 {
        self.stats.lost_events
    }

    fn __repr__(&self) -> String {
        let stats = &self.stats;
        format!(
            "<SocketStats records={} read_bytes={} invalid={} connections={} failed_connections={} pauses={} \
             lost_events={}>",
            stats.records,
            stats.read_bytes,
            stats.invalid,
            stats.connections,
            stats.failed_connections,
            stats.pauses,
            stats.lost_events
        )
    }
}

/// A seed that differs between receivers, so that they do not come back at the same moment.
fn seed() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    since.as_nanos() as u64 ^ u64::from(std::process::id())
}

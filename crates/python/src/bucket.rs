//! The token bucket.

use std::time::{Duration, Instant};

use millstream_core::bucket;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::error::raise;

/// How often a thread that waits looks whether Ctrl-C was pressed.
const SIGNAL_CHECK: Duration = Duration::from_millis(50);

/// Add what this file offers to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<TokenBucket>()
}

/// A limit on the rate of records that threads share.
#[pyclass(frozen, module = "millstream._core")]
struct TokenBucket {
    bucket: bucket::TokenBucket,
}

#[pymethods]
impl TokenBucket {
    #[new]
    #[pyo3(signature = (rate_per_s, burst_s = 0.1))]
    fn new(py: Python<'_>, rate_per_s: Option<f64>, burst_s: f64) -> PyResult<Self> {
        let bucket = bucket::TokenBucket::new(rate_per_s, burst_s);
        Ok(Self {
            bucket: bucket.map_err(|error| raise(py, error))?,
        })
    }

    /// Records a second; None means no limit.
    #[getter]
    fn rate_per_s(&self) -> Option<f64> {
        self.bucket.rate_per_s()
    }

    /// Take `n` tokens and return 0.0, or take none and return the seconds until they can be had.
    #[pyo3(signature = (n = 1, now_s = None))]
    fn try_acquire(&self, n: usize, now_s: Option<f64>) -> f64 {
        self.bucket.try_acquire(n, self.now_s(now_s))
    }

    /// Wait for `n` tokens and take them; False after the timeout or when the bucket is closed.
    #[pyo3(signature = (n = 1, timeout_s = None))]
    fn acquire(&self, py: Python<'_>, n: usize, timeout_s: Option<f64>) -> PyResult<bool> {
        let deadline = deadline(timeout_s)?;
        if !self.bucket.is_closed() && self.bucket.try_acquire(n, self.bucket.now_s()) == 0.0 {
            return Ok(true);
        }
        loop {
            let slice = next_slice(deadline);
            if py.detach(|| self.bucket.acquire(n, Some(slice))) {
                return Ok(true);
            }
            if self.bucket.is_closed() || slice.is_zero() {
                return Ok(false);
            }
            py.check_signals()?;
        }
    }

    /// Change the rate from now on; None means no limit.
    #[pyo3(signature = (rate_per_s, now_s = None))]
    fn set_rate(
        &self,
        py: Python<'_>,
        rate_per_s: Option<f64>,
        now_s: Option<f64>,
    ) -> PyResult<()> {
        self.bucket
            .set_rate(rate_per_s, self.now_s(now_s))
            .map_err(|error| raise(py, error))
    }

    /// Wake all who wait: `acquire` returns False from now on.
    fn close(&self) {
        self.bucket.close();
    }
}

impl TokenBucket {
    fn now_s(&self, given: Option<f64>) -> f64 {
        given.unwrap_or_else(|| self.bucket.now_s())
    }
}

/// Give the moment at which a wait ends; none where it has no limit.
pub fn deadline(timeout_s: Option<f64>) -> PyResult<Option<Instant>> {
    let Some(timeout_s) = timeout_s else {
        return Ok(None);
    };
    if timeout_s.is_nan() {
        return Err(PyValueError::new_err("timeout_s must not be NaN"));
    }
    let timeout = Duration::try_from_secs_f64(timeout_s.max(0.0));
    Ok(timeout
        .ok()
        .and_then(|timeout| Instant::now().checked_add(timeout)))
}

/// Give how long to wait before signals are looked at; zero when the time is over.
pub fn next_slice(deadline: Option<Instant>) -> Duration {
    deadline.map_or(SIGNAL_CHECK, |deadline| {
        deadline
            .saturating_duration_since(Instant::now())
            .min(SIGNAL_CHECK)
    })
}

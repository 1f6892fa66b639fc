//! A limit on the rate of records: a token bucket.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::error::{Error, Result};

/// The shortest wait that is asked for, seconds: a shorter one may be lost in the rounding of a late `now_s`.
const WAIT_MIN_S: f64 = 1e-6;

/// How much time's worth of tokens is waited for where any number will do, seconds: a wake-up for each single token
/// would cost more than the records.
const SLICE_S: f64 = 1e-3;

/// The account itself; time comes in as seconds on any line that never goes back.
///
/// Tokens grow with time up to a burst. A request is granted once the balance covers it, or covers a full burst
/// where it asks for more; the balance may then be negative, and later requests wait for it. So the long-run rate
/// is exact whatever the size of requests.
#[derive(Clone, Debug)]
struct Account {
    /// None: no limit.
    rate_per_s: Option<f64>,
    burst_s: f64,
    tokens: f64,
    filled_at_s: f64,
}

impl Account {
    fn burst(&self) -> f64 {
        // At least one, or a slow rate would never let a record through.
        (self.rate_per_s.unwrap_or(0.0) * self.burst_s).max(1.0)
    }

    fn fill(&mut self, now_s: f64) {
        if let Some(rate) = self.rate_per_s {
            let passed_s = (now_s - self.filled_at_s).max(0.0);
            self.tokens = (self.tokens + passed_s * rate).min(self.burst());
        }
        self.filled_at_s = self.filled_at_s.max(now_s);
    }

    fn set_rate(&mut self, rate_per_s: Option<f64>, now_s: f64) {
        self.fill(now_s);
        if self.rate_per_s.is_none() {
            self.tokens = 0.0;
        }
        self.rate_per_s = rate_per_s;
        self.tokens = self.tokens.min(self.burst());
    }

    /// Take `n` tokens, or give the seconds until they can be had.
    fn try_acquire(&mut self, n: f64, now_s: f64) -> std::result::Result<(), f64> {
        let Some(rate) = self.rate_per_s else {
            return Ok(());
        };
        self.fill(now_s);
        let needed = n.min(self.burst());
        // Sums of many small fills miss a whole token by rounding; a billionth of one is nobody's.
        if self.tokens + 1e-9 >= needed {
            self.tokens -= n;
            return Ok(());
        }
        Err(((needed - self.tokens) / rate).max(WAIT_MIN_S))
    }

    /// Take what is there, whole tokens and at most `n`, or give the seconds until there are some.
    fn try_acquire_some(&mut self, n: usize, now_s: f64) -> std::result::Result<usize, f64> {
        if self.rate_per_s.is_none() {
            return Ok(n);
        }
        self.fill(now_s);
        let worth_waking = (self.rate_per_s.unwrap_or(0.0) * SLICE_S).clamp(1.0, self.burst());
        let granted = n.min(self.tokens.max(worth_waking) as usize);
        self.try_acquire(granted as f64, now_s).map(|()| granted)
    }
}

/// A token bucket that threads share.
#[derive(Debug)]
pub struct TokenBucket {
    state: Mutex<State>,
    changed: Condvar,
    origin: Instant,
}

#[derive(Debug)]
struct State {
    account: Account,
    closed: bool,
}

impl TokenBucket {
    /// Begin with a full burst.
    ///
    /// `rate_per_s`: records a second, > 0; none means no limit. `burst_s`: how many seconds' worth may be taken
    /// at once after a pause, > 0.
    pub fn new(rate_per_s: Option<f64>, burst_s: f64) -> Result<Self> {
        check_rate(rate_per_s)?;
        if !(burst_s > 0.0 && burst_s.is_finite()) {
            return Err(Error::Invalid(format!(
                "burst_s must be positive and finite, not {burst_s}"
            )));
        }
        let mut account = Account {
            rate_per_s,
            burst_s,
            tokens: 0.0,
            filled_at_s: 0.0,
        };
        account.tokens = account.burst();
        Ok(Self {
            state: Mutex::new(State {
                account,
                closed: false,
            }),
            changed: Condvar::new(),
            origin: Instant::now(),
        })
    }

    /// Give the seconds since the bucket was made.
    pub fn now_s(&self) -> f64 {
        self.origin.elapsed().as_secs_f64()
    }

    /// Give the rate, records a second; none means no limit.
    pub fn rate_per_s(&self) -> Option<f64> {
        self.lock().account.rate_per_s
    }

    /// Change the rate from now on; who waits is served at the new one.
    pub fn set_rate(&self, rate_per_s: Option<f64>, now_s: f64) -> Result<()> {
        check_rate(rate_per_s)?;
        self.lock().account.set_rate(rate_per_s, now_s);
        self.changed.notify_all();
        Ok(())
    }

    /// Take `n` tokens and return 0, or take none and return the seconds until they can be had.
    pub fn try_acquire(&self, n: usize, now_s: f64) -> f64 {
        match self.lock().account.try_acquire(n as f64, now_s) {
            Ok(()) => 0.0,
            Err(wait_s) => wait_s,
        }
    }

    /// Wait for `n` tokens and take them; false after `timeout` (none: no limit) or when the bucket is closed.
    pub fn acquire(&self, n: usize, timeout: Option<Duration>) -> bool {
        self.wait(timeout, |account, now_s| {
            account.try_acquire(n as f64, now_s)
        })
        .is_some()
    }

    /// Wait for some tokens and take all that are there, at most `n`; none when the bucket is closed.
    pub fn acquire_some(&self, n: usize) -> Option<usize> {
        self.wait(None, |account, now_s| account.try_acquire_some(n, now_s))
    }

    /// Give back tokens that were taken and not used.
    pub fn give_back(&self, n: usize) {
        if n > 0 {
            self.lock().account.tokens += n as f64;
        }
    }

    /// Wake all who wait, now and later: nothing more is granted to them.
    pub fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    /// Say whether the bucket was closed.
    pub fn is_closed(&self) -> bool {
        self.lock().closed
    }

    fn wait<T>(
        &self,
        timeout: Option<Duration>,
        mut attempt: impl FnMut(&mut Account, f64) -> std::result::Result<T, f64>,
    ) -> Option<T> {
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let mut state = self.lock();
        loop {
            if state.closed {
                return None;
            }
            let wait_s = match attempt(&mut state.account, self.now_s()) {
                Ok(granted) => return Some(granted),
                Err(wait_s) => wait_s,
            };
            // A day at most: a slower rate than that overflows no clock and is looked at again.
            let mut wait = Duration::from_secs_f64(wait_s.min(86_400.0));
            if let Some(deadline) = deadline {
                let left = deadline.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return None;
                }
                wait = wait.min(left);
            }
            state = self
                .changed
                .wait_timeout(state, wait)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn check_rate(rate_per_s: Option<f64>) -> Result<()> {
    match rate_per_s {
        Some(rate) if !(rate > 0.0 && rate.is_finite()) => Err(Error::Invalid(format!(
            "a rate must be positive and finite, or none for no limit, not {rate}"
        ))),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::thread;

    use super::*;

    fn bucket(rate_per_s: f64) -> TokenBucket {
        TokenBucket::new(Some(rate_per_s), 0.1).unwrap()
    }

    #[test]
    fn a_burst_and_then_the_rate() {
        let bucket = bucket(100.0);
        assert_eq!(bucket.try_acquire(10, 0.0), 0.0);
        assert!((bucket.try_acquire(1, 0.0) - 0.01).abs() < 1e-9);
        assert_eq!(bucket.try_acquire(1, 0.01), 0.0);
        assert!(bucket.try_acquire(1, 0.01) > 0.0);
        // A long pause fills no more than a burst.
        assert_eq!(bucket.try_acquire(10, 100.0), 0.0);
        assert!(bucket.try_acquire(1, 100.0) > 0.0);
    }

    #[test]
    fn a_request_above_the_burst_is_paid_afterwards() {
        let bucket = bucket(100.0);
        assert_eq!(bucket.try_acquire(110, 0.0), 0.0);
        assert!((bucket.try_acquire(1, 0.0) - 1.01).abs() < 1e-9);
    }

    #[test]
    fn the_long_run_rate_is_exact() {
        for rate in [0.5, 7.0, 333.3, 1e4] {
            let bucket = bucket(rate);
            let (mut granted, mut now_s) = (0_usize, 0.0);
            while now_s < 50.0 {
                match bucket.try_acquire(3, now_s) {
                    0.0 => granted += 3,
                    wait_s => now_s += wait_s,
                }
            }
            let expected = rate * now_s + (rate * 0.1).max(1.0);
            assert!(
                (granted as f64 - expected).abs() <= 3.1,
                "{granted} {expected}"
            );
        }
    }

    #[test]
    fn time_that_goes_back_fills_nothing() {
        let bucket = bucket(10.0);
        assert_eq!(bucket.try_acquire(1, 5.0), 0.0);
        assert!(bucket.try_acquire(1, 4.0) > 0.0);
        assert!(bucket.try_acquire(1, 5.0) > 0.0);
    }

    #[test]
    fn a_changed_rate_counts_from_then_on() {
        let bucket = bucket(10.0);
        assert_eq!(bucket.try_acquire(1, 0.0), 0.0);
        bucket.set_rate(Some(1000.0), 0.0).unwrap();
        assert!((bucket.try_acquire(1, 0.0) - 0.001).abs() < 1e-9);
        bucket.set_rate(None, 0.0).unwrap();
        assert_eq!(bucket.try_acquire(1_000_000, 0.0), 0.0);
        bucket.set_rate(Some(10.0), 0.0).unwrap();
        assert!(bucket.try_acquire(1, 0.0) > 0.0);
    }

    #[test]
    fn impossible_rates_are_refused() {
        for rate in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(TokenBucket::new(Some(rate), 0.1).is_err());
            assert!(bucket(1.0).set_rate(Some(rate), 0.0).is_err());
            assert!(rate == f64::INFINITY || TokenBucket::new(None, rate).is_err());
        }
        assert!(TokenBucket::new(None, 0.1).is_ok());
    }

    #[test]
    fn some_is_what_is_there() {
        let bucket = bucket(1000.0);
        assert_eq!(bucket.acquire_some(1_000_000), Some(100));
        bucket.give_back(40);
        assert!(bucket.acquire_some(1_000_000).unwrap() >= 40);
        assert_eq!(
            TokenBucket::new(None, 0.1).unwrap().acquire_some(77),
            Some(77)
        );
    }

    #[test]
    fn a_waiting_thread_is_woken_by_close_and_by_a_new_rate() {
        let slow = Arc::new(TokenBucket::new(Some(1e-6), 0.1).unwrap());
        assert!(slow.acquire(1, None));
        assert!(!slow.acquire(1, Some(Duration::from_millis(1))));
        let waiting = {
            let slow = Arc::clone(&slow);
            thread::spawn(move || (slow.acquire(1, None), slow.acquire(1, None)))
        };
        slow.set_rate(Some(1e6), slow.now_s()).unwrap();
        slow.set_rate(Some(1e-6), slow.now_s()).unwrap();
        slow.set_rate(None, slow.now_s()).unwrap();
        assert_eq!(waiting.join().unwrap(), (true, true));
        slow.set_rate(Some(1e-6), slow.now_s()).unwrap();
        let waiting = {
            let slow = Arc::clone(&slow);
            thread::spawn(move || slow.acquire(5, None))
        };
        slow.close();
        assert!(!waiting.join().unwrap());
        assert!(slow.acquire_some(1).is_none());
    }
}

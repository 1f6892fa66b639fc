//! Waits between attempts: twice as long each time, up to a limit, and spread so that many clients do not
//! come back to one server at the same moment.

use std::time::Duration;

use crate::hash::mix;

/// The waits of one series of attempts.
#[derive(Clone, Debug)]
pub struct Backoff {
    initial: Duration,
    max: Duration,
    next: Duration,
    random: u64,
}

impl Backoff {
    /// Begin with waits of about `initial`.
    pub fn new(initial: Duration, max: Duration, seed: u64) -> Self {
        Self {
            initial,
            max,
            next: initial,
            random: seed,
        }
    }

    /// Begin anew after a success.
    pub fn reset(&mut self) {
        self.next = self.initial;
    }

    /// Give the next wait: between half of it and all of it, by chance.
    pub fn next_wait(&mut self) -> Duration {
        let whole = self.next;
        self.next = (whole * 2).min(self.max);
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let share = mix(self.random) as f64 / u64::MAX as f64;
        whole.mul_f64(0.5 + share / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_limit_and_are_spread() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_millis(500), 7);
        for whole_ms in [100, 200, 400, 500, 500] {
            let wait = backoff.next_wait();
            assert!(wait >= Duration::from_millis(whole_ms / 2));
            assert!(wait <= Duration::from_millis(whole_ms));
        }
        backoff.reset();
        assert!(backoff.next_wait() <= Duration::from_millis(100));
        let first =
            |seed| Backoff::new(Duration::from_secs(1), Duration::from_secs(1), seed).next_wait();
        assert_ne!(first(1), first(2));
    }
}

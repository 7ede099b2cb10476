//! How long to wait before the next attempt.

use std::time::Duration;

use crate::io::Reactor;

/// Exponential backoff with 20 % jitter (KIP-144, KIP-580).
#[derive(Clone, Debug)]
pub struct Backoff {
    first: Duration,
    max: Duration,
    attempts: u32,
}

/// Beyond this many doublings every sensible `max` is reached.
const DOUBLINGS_MAX: u32 = 16;

impl Backoff {
    /// `first` before the second attempt, twice as long each time, at most `max`.
    pub fn new(first: Duration, max: Duration) -> Backoff {
        Backoff {
            first,
            max,
            attempts: 0,
        }
    }

    /// After a success.
    pub fn reset(&mut self) {
        self.attempts = 0;
    }

    /// Failures since the last success.
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// How long to wait after one more failure: within 20 % of first x 2^failures or of max.
    pub fn next(&mut self, reactor: &Reactor) -> Duration {
        let doublings = self.attempts.min(DOUBLINGS_MAX);
        self.attempts = self.attempts.saturating_add(1);
        let plain = self.first.saturating_mul(1 << doublings).min(self.max);
        // 80 to 120 %, in thousandths.
        let thousandths = 800 + (reactor.random() % 401) as u32;
        plain.saturating_mul(thousandths) / 1000
    }
}

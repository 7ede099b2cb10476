//! The two kinds of time: what a clock on the wall says, and what only goes forward.

use std::ops::{Add, Sub};
use std::time::Duration;

/// Milliseconds since the Unix epoch, as in a record batch. -1 is "none". May jump.
pub type Timestamp = i64;

/// Nanoseconds since the reactor started. Never goes back; the only time that timers use.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Monotonic(pub u64);

impl Monotonic {
    /// Never.
    pub const MAX: Monotonic = Monotonic(u64::MAX);

    /// Time from `earlier` to `self`; zero when `earlier` is later.
    pub fn since(self, earlier: Monotonic) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Monotonic {
    type Output = Monotonic;
    fn add(self, rhs: Duration) -> Monotonic {
        Monotonic(
            self.0
                .saturating_add(u64::try_from(rhs.as_nanos()).unwrap_or(u64::MAX)),
        )
    }
}

impl Sub<Monotonic> for Monotonic {
    type Output = Duration;
    fn sub(self, rhs: Monotonic) -> Duration {
        self.since(rhs)
    }
}

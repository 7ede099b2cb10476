//! How reactors are started and told to stop.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// What a set of reactors is started with.
#[derive(Clone, Debug)]
pub struct ReactorOptions {
    /// Name of the threads, followed by the shard's number.
    pub name: String,
    /// How many shards (threads).
    pub shard_count: usize,
    /// The cores to pin the shards to, in order; empty means not pinned.
    pub cpus: Vec<usize>,
    /// How long an idle reactor polls before it sleeps. Zero on an over-committed machine.
    pub spin_before_park: Duration,
    /// Bytes of background disk traffic that one shard may have in flight
    /// (see [`IoClass::Background`](super::IoClass)).
    pub background_bytes_in_flight_max: usize,
}

impl Default for ReactorOptions {
    fn default() -> ReactorOptions {
        ReactorOptions {
            name: "shard".to_owned(),
            shard_count: 1,
            cpus: Vec::new(),
            spin_before_park: Duration::from_micros(50),
            background_bytes_in_flight_max: 4 << 20,
        }
    }
}

/// Tells reactors from any thread (a signal handler's, for example) that they should stop.
/// Set once, never cleared. See [`Reactor::stopped`](super::Reactor::stopped).
#[derive(Clone, Debug, Default)]
pub struct StopSignal {
    flag: Arc<AtomicBool>,
}

impl StopSignal {
    pub fn new() -> StopSignal {
        StopSignal::default()
    }

    /// The flag itself, for `signal_hook::flag::register`.
    pub fn flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.flag)
    }

    pub fn set(&self) {
        self.flag.store(true, Ordering::Release);
    }

    pub fn is_set(&self) -> bool {
        self.flag.load(Ordering::Acquire)
    }
}

//! How reactors are started and told to stop.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
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

/// Open descriptors of this process, and how many it may have (RLIMIT_NOFILE).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Descriptors {
    pub open: u64,
    pub limit: u64,
}

/// Hands values from any thread to a task of a reactor. Looked at every few milliseconds: for
/// questions of people and programs about a running broker, not for its work. See
/// [`Reactor::next_mail`](super::Reactor::next_mail).
#[derive(Debug)]
pub struct Mailbox<T> {
    letters: Arc<Mutex<VecDeque<T>>>,
}

impl<T> Clone for Mailbox<T> {
    fn clone(&self) -> Self {
        Mailbox {
            letters: Arc::clone(&self.letters),
        }
    }
}

impl<T> Default for Mailbox<T> {
    fn default() -> Self {
        Mailbox {
            letters: Arc::default(),
        }
    }
}

impl<T: Send> Mailbox<T> {
    pub fn put(&self, letter: T) {
        self.locked().push_back(letter);
    }

    pub(super) fn take(&self) -> Option<T> {
        self.locked().pop_front()
    }

    fn locked(&self) -> MutexGuard<'_, VecDeque<T>> {
        self.letters.lock().unwrap_or_else(PoisonError::into_inner)
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

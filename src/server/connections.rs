//! The connections of one shard: counted, reaped, drained.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::connection::ConnectionState;
use crate::io::{Notify, Reactor};

/// How often the reaper looks.
const REAP_INTERVAL: Duration = Duration::from_secs(1);

/// How many connections each shard has: the acceptor sends a new one to the least loaded.
#[derive(Clone)]
pub(super) struct ConnectionCounts {
    counts: Arc<[AtomicUsize]>,
}

impl ConnectionCounts {
    pub(super) fn new(shard_count: usize) -> ConnectionCounts {
        ConnectionCounts {
            counts: (0..shard_count).map(|_| AtomicUsize::new(0)).collect(),
        }
    }

    /// The shard with the fewest connections; the first of several.
    pub(super) fn least_loaded(&self) -> usize {
        let counts = self
            .counts
            .iter()
            .map(|count| count.load(Ordering::Relaxed));
        counts
            .enumerate()
            .min_by_key(|&(_, count)| count)
            .map_or(0, |(shard, _)| shard)
    }

    pub(super) fn total(&self) -> usize {
        self.counts
            .iter()
            .map(|count| count.load(Ordering::Relaxed))
            .sum()
    }

    /// Counted from when the acceptor hands it over.
    pub(super) fn add(&self, shard: usize) {
        self.counts[shard].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn remove(&self, shard: usize) {
        self.counts[shard].fetch_sub(1, Ordering::Relaxed);
    }
}

/// The connections that one shard serves.
#[derive(Clone)]
pub(super) struct Connections {
    inner: Rc<Inner>,
}

struct Inner {
    next: Cell<u64>,
    open: RefCell<BTreeMap<u64, Rc<ConnectionState>>>,
    draining: Cell<bool>,
    drain_begun: Notify,
    changed: Notify,
}

/// Membership in [`Connections`], given up when dropped.
pub(super) struct Registration {
    inner: Rc<Inner>,
    number: u64,
}

impl Connections {
    pub(super) fn new() -> Connections {
        Connections {
            inner: Rc::new(Inner {
                next: Cell::new(0),
                open: RefCell::new(BTreeMap::new()),
                draining: Cell::new(false),
                drain_begun: Notify::new(),
                changed: Notify::new(),
            }),
        }
    }

    pub(super) fn register(&self, state: Rc<ConnectionState>) -> Registration {
        let number = self.inner.next.get();
        self.inner.next.set(number + 1);
        if self.inner.draining.get() {
            state.stop_reading();
        }
        self.inner.open.borrow_mut().insert(number, state);
        Registration {
            inner: Rc::clone(&self.inner),
            number,
        }
    }

    /// Lets every connection answer what it has read, waits until all have ended, and closes those
    /// that have not after `deadline`.
    pub(super) async fn drain(&self, reactor: &Reactor, deadline: Duration) {
        self.inner.draining.set(true);
        self.inner.drain_begun.notify_all();
        for state in self.inner.open.borrow().values() {
            state.stop_reading();
        }
        if reactor.timeout(deadline, self.all_ended()).await.is_none() {
            for state in self.inner.open.borrow().values() {
                tracing::warn!(peer = %state.peer, "closed at stop: its answers could not be sent");
                state.close();
            }
        }
    }

    /// Completes when the broker stops: who waits for more answers with what there is.
    pub(super) async fn stopping(&self) {
        loop {
            let begun = self.inner.drain_begun.notified();
            if self.inner.draining.get() {
                return;
            }
            begun.await;
        }
    }

    async fn all_ended(&self) {
        loop {
            let changed = self.inner.changed.notified();
            if self.inner.open.borrow().is_empty() {
                return;
            }
            changed.await;
        }
    }

    /// Closes connections that have been idle for too long or stopped in the middle of a request.
    pub(super) async fn reap(&self, reactor: &Reactor, idle_max: Option<Duration>) {
        while !self.inner.draining.get() {
            reactor.sleep(REAP_INTERVAL).await;
            let now = reactor.now();
            for state in self.inner.open.borrow().values() {
                if let Some(why) = state.overdue(now, idle_max) {
                    tracing::info!(peer = %state.peer, "connection closed: {why}");
                    state.close();
                }
            }
        }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.inner.open.borrow_mut().remove(&self.number);
        self.inner.changed.notify_all();
    }
}

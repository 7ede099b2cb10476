//! The connections of one shard: counted, reaped, drained.

use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::connection::{ConnectionState, Overdue};
use super::request_memory::RequestMemory;
use crate::io::{Notify, Reactor};
use crate::metrics::{Counter, ShardMetrics};

/// How often the reaper looks.
const REAP_INTERVAL: Duration = Duration::from_secs(1);

/// How many connections each shard has, and each address: the acceptors send a new one to the least
/// loaded shard, and refuse one too many of an address.
#[derive(Clone)]
pub(super) struct ConnectionCounts {
    counts: Arc<[AtomicUsize]>,
    by_ip: Arc<Mutex<BTreeMap<IpAddr, usize>>>,
}

impl ConnectionCounts {
    pub(super) fn new(shard_count: usize) -> ConnectionCounts {
        ConnectionCounts {
            counts: (0..shard_count).map(|_| AtomicUsize::new(0)).collect(),
            by_ip: Arc::default(),
        }
    }

    pub(super) fn total(&self) -> usize {
        self.counts
            .iter()
            .map(|count| count.load(Ordering::Relaxed))
            .sum()
    }

    /// Counts a connection from an address on the shard with the fewest (the first of several),
    /// from when it is handed over; `None` if the address has as many as it may.
    pub(super) fn add(&self, ip: IpAddr, of_ip_max: usize) -> Option<usize> {
        let mut by_ip = self.by_ip.lock().expect("no panic under this lock");
        let of_ip = by_ip.get(&ip).copied().unwrap_or(0);
        if of_ip >= of_ip_max {
            return None;
        }
        by_ip.insert(ip, of_ip + 1);
        let counts = self.counts.iter();
        let loads = counts.map(|count| count.load(Ordering::Relaxed));
        let least = loads.enumerate().min_by_key(|&(_, count)| count);
        let shard = least.map_or(0, |(shard, _)| shard);
        self.counts[shard].fetch_add(1, Ordering::Relaxed);
        Some(shard)
    }

    pub(super) fn remove(&self, ip: IpAddr, shard: usize) {
        self.counts[shard].fetch_sub(1, Ordering::Relaxed);
        let mut by_ip = self.by_ip.lock().expect("no panic under this lock");
        match by_ip.get(&ip) {
            Some(1) | None => by_ip.remove(&ip),
            Some(&count) => by_ip.insert(ip, count - 1),
        };
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

    /// Closes connections that have been idle for too long, stopped in the middle of a request or
    /// do not read their answers; the longest quiet first. Who stopped in the middle is given less
    /// time while others wait for `request_memory`.
    pub(super) async fn reap(
        &self,
        reactor: &Reactor,
        metrics: &ShardMetrics,
        request_memory: &RequestMemory,
        idle_max: Option<Duration>,
    ) {
        while !self.inner.draining.get() {
            reactor.sleep(REAP_INTERVAL).await;
            let now = reactor.now();
            let others_wait = request_memory.waiter_count() > 0;
            let mut overdue: Vec<_> = {
                let open = self.inner.open.borrow();
                let overdue = open.values().filter_map(|state| {
                    let why = state.overdue(now, idle_max, others_wait)?;
                    Some((state.quiet_time(now), why, Rc::clone(state)))
                });
                overdue.collect()
            };
            overdue.sort_by_key(|(quiet, ..)| Reverse(*quiet));
            for (_, why, state) in overdue {
                let peer = state.peer;
                match why {
                    Overdue::Idle => {
                        metrics.increment(Counter::ConnectionsIdleClosed);
                        tracing::debug!(%peer, "connection closed: idle");
                    }
                    Overdue::HalfRequest => tracing::warn!(
                        %peer,
                        "connection closed: a request began to arrive and did not go on"
                    ),
                    Overdue::Stalled => tracing::warn!(
                        %peer,
                        "connection closed: a request did not go on, and others wait for its memory"
                    ),
                    Overdue::Unread => {
                        tracing::warn!(%peer, "connection closed: its answers are not read");
                    }
                }
                state.close();
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

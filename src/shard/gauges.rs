//! Gauges that are looked up when somebody asks, rather than kept up at each change.

use std::rc::Rc;

use super::core::{Core, Shard};
use crate::metrics::{Counter, Gauge, ShardMetrics};

/// Sets gauges of what the shard's server part owns.
pub(super) type Probe = Rc<dyn Fn(&ShardMetrics)>;

impl Shard {
    /// Registers who sets the gauges of the server part before each snapshot.
    pub fn on_snapshot(&self, probe: Probe) {
        *self.core.probe.borrow_mut() = Some(probe);
    }
}

impl Core {
    /// Makes the gauges those of now.
    pub(super) fn set_gauges(&self) {
        let mut log_size = 0;
        let mut offsets = 0;
        let mut unwritten = 0;
        let mut unflushed = 0;
        let mut parked_produces = 0;
        let replicas = self.replicas.borrow();
        for replica in replicas.values() {
            let log = replica.log();
            log_size += log.size_in_bytes();
            unwritten += log.unwritten_bytes();
            unflushed += log.unflushed_bytes();
            parked_produces += replica.waiting_count();
            let state = log.state();
            offsets += state.log_end_offset - state.log_start_offset;
        }
        let tail_bytes = self.tail_budget.used();
        let metrics = &self.metrics;
        metrics.set(Gauge::Partitions, gauge(replicas.len()));
        metrics.set(Gauge::OfflinePartitions, gauge(self.offline.borrow().len()));
        metrics.set(Gauge::LogSizeBytes, gauge(log_size));
        metrics.set(Gauge::LogOffsets, offsets);
        metrics.set(Gauge::UnwrittenBytes, gauge(unwritten));
        metrics.set(Gauge::UnflushedBytes, gauge(unflushed));
        metrics.set(Gauge::TailCacheBytes, gauge(tail_bytes));
        metrics.set(Gauge::ParkedProduces, gauge(parked_produces));
        metrics.set(Gauge::ParkedFetches, gauge(self.fetch_waits.borrow().len()));
        let mut sessions = self.fetch_sessions.borrow_mut();
        metrics.add(Counter::FetchSessionEvictions, sessions.take_evictions());
        for (gauge_of, value) in [
            (Gauge::FetchSessions, gauge(sessions.session_count())),
            (
                Gauge::FetchSessionPartitions,
                gauge(sessions.partition_count()),
            ),
        ] {
            metrics.set(gauge_of, value);
        }
        if let Some(load) = self.reactor.load() {
            metrics.set(Gauge::ReactorTasks, gauge(load.tasks));
            metrics.set(Gauge::ReactorOperations, gauge(load.operations));
            metrics.set(Gauge::ReactorTimers, gauge(load.timers));
        }
        if let Some(probe) = &*self.probe.borrow() {
            probe(metrics);
        }
    }
}

fn gauge<T: TryInto<i64>>(value: T) -> i64 {
    value.try_into().unwrap_or(i64::MAX)
}

//! The handle that a shard's components record with.

use std::array;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use crate::types::ErrorCode;

use super::histogram::ShardHistogram;
use super::names::{Counter, Distribution, Gauge};
use super::snapshot::{ApiSnapshot, HistogramSnapshot, Snapshot};
use super::stage::Stage;

const COUNTERS: usize = Counter::ALL.len();
const GAUGES: usize = Gauge::ALL.len();
const DISTRIBUTIONS: usize = Distribution::ALL.len();
const STAGES: usize = Stage::ALL.len();

/// Slots for API keys 0 to 127; Kafka 4.1's end at 92. Others share the last slot: their requests
/// are refused, and only counted.
const APIS: usize = 128;

/// The metrics of one shard; clones share them. Lives on the shard (`!Send`).
#[derive(Clone)]
pub struct ShardMetrics(Rc<Inner>);

struct Inner {
    counters: [Cell<u64>; COUNTERS],
    gauges: [Cell<i64>; GAUGES],
    distributions: [Slot; DISTRIBUTIONS],
    apis: [RefCell<Option<Box<Api>>>; APIS],
}

/// A histogram that is made when it is first used.
type Slot = RefCell<Option<Box<ShardHistogram>>>;

#[derive(Default)]
struct Api {
    /// Few different ones occur, and the commonest came first.
    errors: Vec<(ErrorCode, u64)>,
    request_time: Slot,
    stages: [Slot; STAGES],
}

impl Default for ShardMetrics {
    fn default() -> ShardMetrics {
        ShardMetrics::new()
    }
}

impl fmt::Debug for ShardMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ShardMetrics({:?})", self.snapshot())
    }
}

impl ShardMetrics {
    pub fn new() -> ShardMetrics {
        ShardMetrics(Rc::new(Inner {
            counters: array::from_fn(|_| Cell::new(0)),
            gauges: array::from_fn(|_| Cell::new(0)),
            distributions: array::from_fn(|_| RefCell::new(None)),
            apis: array::from_fn(|_| RefCell::new(None)),
        }))
    }

    pub fn increment(&self, counter: Counter) {
        self.add(counter, 1);
    }

    pub fn add(&self, counter: Counter, count: u64) {
        let cell = &self.0.counters[counter as usize];
        cell.set(cell.get() + count);
    }

    pub fn set(&self, gauge: Gauge, value: i64) {
        self.0.gauges[gauge as usize].set(value);
    }

    /// Moves a gauge by `change`.
    pub fn adjust(&self, gauge: Gauge, change: i64) {
        let cell = &self.0.gauges[gauge as usize];
        cell.set(cell.get() + change);
    }

    /// Records one value in the distribution's unit.
    pub fn record(&self, distribution: Distribution, value: u64) {
        record(&self.0.distributions[distribution as usize], value);
    }

    /// [`ShardMetrics::record`] for a time.
    pub fn record_time(&self, distribution: Distribution, time: Duration) {
        self.record(distribution, nanoseconds(time));
    }

    /// One stage of a request took this long; [`super::StageClock`] calls it.
    pub fn record_stage(&self, api_key: i16, stage: Stage, time: Duration) {
        self.with_api(api_key, |api| {
            record(&api.stages[stage as usize], nanoseconds(time))
        });
    }

    /// A whole request took this long.
    pub fn record_request(&self, api_key: i16, time: Duration) {
        self.with_api(api_key, |api| record(&api.request_time, nanoseconds(time)));
    }

    /// An answer carried this code: once for a request, or for each of its partitions where the
    /// response has a code for each.
    pub fn count_error(&self, api_key: i16, error: ErrorCode) {
        self.with_api(api_key, |api| {
            match api.errors.iter_mut().find(|(known, _)| *known == error) {
                Some((_, count)) => *count += 1,
                None => api.errors.push((error, 1)),
            }
        });
    }

    /// Everything so far, as plain data.
    pub fn snapshot(&self) -> Snapshot {
        let inner = &*self.0;
        let counters = Counter::ALL.iter().zip(&inner.counters);
        let gauges = Gauge::ALL.iter().zip(&inner.gauges);
        let apis = (0i16..).zip(&inner.apis);
        Snapshot {
            counters: counters
                .map(|(&counter, cell)| (counter, cell.get()))
                .collect(),
            gauges: gauges.map(|(&gauge, cell)| (gauge, cell.get())).collect(),
            distributions: used(Distribution::ALL, &inner.distributions),
            apis: apis
                .filter_map(|(api_key, api)| Some((api_key, api.borrow().as_ref()?.snapshot())))
                .collect(),
        }
    }

    fn with_api(&self, api_key: i16, act: impl FnOnce(&mut Api)) {
        let slot = usize::try_from(api_key).unwrap_or(APIS).min(APIS - 1);
        act(self.0.apis[slot].borrow_mut().get_or_insert_default());
    }
}

impl Api {
    fn snapshot(&self) -> ApiSnapshot {
        let request_time = self.request_time.borrow();
        ApiSnapshot {
            errors: self
                .errors
                .iter()
                .map(|(error, count)| (error.code(), *count))
                .collect(),
            request_time: request_time
                .as_ref()
                .map(|h| h.snapshot())
                .unwrap_or_default(),
            stages: used(Stage::ALL, &self.stages),
        }
    }
}

fn used<K: Ord + Copy>(keys: &[K], slots: &[Slot]) -> BTreeMap<K, HistogramSnapshot> {
    keys.iter()
        .zip(slots)
        .filter_map(|(&key, slot)| Some((key, slot.borrow().as_ref()?.snapshot())))
        .collect()
}

fn record(slot: &Slot, value: u64) {
    slot.borrow_mut()
        .get_or_insert_with(|| Box::new(ShardHistogram::new()))
        .record(value);
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

//! What leaves a shard: plain data.

use std::collections::BTreeMap;
use std::fmt;

use hdrhistogram::Histogram;

use super::histogram::{Summary, empty};
use super::names::{Counter, Distribution, Gauge};
use super::stage::Stage;

/// The metrics of a shard, or the sum over several, at one moment.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Snapshot {
    pub(super) counters: BTreeMap<Counter, u64>,
    pub(super) gauges: BTreeMap<Gauge, i64>,
    pub(super) distributions: BTreeMap<Distribution, HistogramSnapshot>,
    /// By API key; only those that were used.
    pub apis: BTreeMap<i16, ApiSnapshot>,
}

/// One API's part.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct ApiSnapshot {
    /// Answers by error code on the wire (0 is no error).
    pub errors: BTreeMap<i16, u64>,
    /// Whole requests, in nanoseconds.
    pub request_time: HistogramSnapshot,
    /// By stage, in nanoseconds; only those that the API has.
    pub stages: BTreeMap<Stage, HistogramSnapshot>,
}

/// A histogram with 64-bit counts.
#[derive(Clone, PartialEq)]
pub struct HistogramSnapshot {
    counts: Histogram<u64>,
    sum: u64,
}

impl Default for HistogramSnapshot {
    fn default() -> HistogramSnapshot {
        HistogramSnapshot {
            counts: empty(),
            sum: 0,
        }
    }
}

impl fmt::Debug for HistogramSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.summary())
    }
}

impl HistogramSnapshot {
    /// Values recorded.
    pub fn count(&self) -> u64 {
        self.counts.len()
    }

    /// The sum of all values, exact as long as they are below the largest that is told apart.
    pub fn sum(&self) -> u64 {
        self.sum
    }

    /// The value that this share of all values (0.0 to 1.0) does not exceed; 0 without values.
    pub fn quantile(&self, share: f64) -> u64 {
        self.counts.value_at_quantile(share)
    }

    pub fn summary(&self) -> Summary {
        if self.counts.is_empty() {
            return Summary::default();
        }
        Summary {
            count: self.counts.len(),
            mean: self.sum as f64 / self.counts.len() as f64,
            p50: self.quantile(0.5),
            p90: self.quantile(0.9),
            p99: self.quantile(0.99),
            p999: self.quantile(0.999),
            max: self.counts.max(),
        }
    }

    /// Every bucket that holds values: its lowest value and how many; ascending. Its highest is
    /// less than 1 % above.
    pub fn buckets(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.counts.iter_recorded().map(|bucket| {
            (
                self.counts.lowest_equivalent(bucket.value_iterated_to()),
                bucket.count_since_last_iteration(),
            )
        })
    }

    pub fn merge(&mut self, other: &HistogramSnapshot) {
        if let Err(error) = self.counts.add(&other.counts) {
            panic!("histograms of one shape can be added: {error}");
        }
        self.sum += other.sum;
    }

    /// Adds a shard's narrow counts, bucket by bucket, and the sum of their values.
    pub(super) fn add(&mut self, narrow: &Histogram<u32>, sum: u64) {
        for bucket in narrow.iter_recorded() {
            let count = u64::from(bucket.count_at_value());
            self.counts
                .saturating_record_n(bucket.value_iterated_to(), count);
        }
        self.sum += sum;
    }

    /// What was recorded after `earlier`, an earlier snapshot of the same histogram.
    fn since(&self, earlier: &HistogramSnapshot) -> HistogramSnapshot {
        let mut difference = self.clone();
        if let Err(error) = difference.counts.subtract(&earlier.counts) {
            panic!("an earlier snapshot has no more in any bucket: {error}");
        }
        difference.sum -= earlier.sum;
        difference
    }
}

impl Snapshot {
    pub fn counter(&self, counter: Counter) -> u64 {
        self.counters.get(&counter).copied().unwrap_or(0)
    }

    pub fn gauge(&self, gauge: Gauge) -> i64 {
        self.gauges.get(&gauge).copied().unwrap_or(0)
    }

    pub fn distribution(&self, distribution: Distribution) -> Option<&HistogramSnapshot> {
        self.distributions.get(&distribution)
    }

    /// The histogram of one stage of one API, if any such request came.
    pub fn stage(&self, api_key: i16, stage: Stage) -> Option<&HistogramSnapshot> {
        self.apis.get(&api_key)?.stages.get(&stage)
    }

    /// All shards together.
    pub fn sum_of(shards: &[Snapshot]) -> Snapshot {
        let mut sum = Snapshot::default();
        for shard in shards {
            sum.merge(shard);
        }
        sum
    }

    /// Adds another shard's.
    pub fn merge(&mut self, other: &Snapshot) {
        for (&counter, count) in &other.counters {
            *self.counters.entry(counter).or_default() += count;
        }
        for (&gauge, value) in &other.gauges {
            *self.gauges.entry(gauge).or_default() += value;
        }
        merge_all(&mut self.distributions, &other.distributions);
        for (&api_key, api) in &other.apis {
            let sum = self.apis.entry(api_key).or_default();
            for (&code, count) in &api.errors {
                *sum.errors.entry(code).or_default() += count;
            }
            sum.request_time.merge(&api.request_time);
            merge_all(&mut sum.stages, &api.stages);
        }
    }

    /// What was recorded after `earlier`, an earlier snapshot of the same shards. Gauges are those
    /// of now.
    ///
    /// # Panics
    /// `earlier` is not earlier.
    pub fn since(&self, earlier: &Snapshot) -> Snapshot {
        let none = ApiSnapshot::default();
        let api = |(&api_key, now): (&i16, &ApiSnapshot)| {
            let before = earlier.apis.get(&api_key).unwrap_or(&none);
            let difference = ApiSnapshot {
                errors: counts_since(&now.errors, &before.errors),
                request_time: now.request_time.since(&before.request_time),
                stages: histograms_since(&now.stages, &before.stages),
            };
            (api_key, difference)
        };
        Snapshot {
            counters: counts_since(&self.counters, &earlier.counters),
            gauges: self.gauges.clone(),
            distributions: histograms_since(&self.distributions, &earlier.distributions),
            apis: self.apis.iter().map(api).collect(),
        }
    }
}

type Histograms<K> = BTreeMap<K, HistogramSnapshot>;

fn merge_all<K: Ord + Copy>(sum: &mut Histograms<K>, other: &Histograms<K>) {
    for (&key, histogram) in other {
        sum.entry(key).or_default().merge(histogram);
    }
}

fn counts_since<K: Ord + Copy>(
    now: &BTreeMap<K, u64>,
    earlier: &BTreeMap<K, u64>,
) -> BTreeMap<K, u64> {
    now.iter()
        .map(|(&key, count)| (key, count - earlier.get(&key).copied().unwrap_or(0)))
        .collect()
}

fn histograms_since<K: Ord + Copy>(now: &Histograms<K>, earlier: &Histograms<K>) -> Histograms<K> {
    now.iter()
        .map(|(&key, histogram)| match earlier.get(&key) {
            Some(earlier) => (key, histogram.since(earlier)),
            None => (key, histogram.clone()),
        })
        .collect()
}

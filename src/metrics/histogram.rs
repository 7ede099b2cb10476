//! One histogram: HDR, two significant digits, made small.

use hdrhistogram::Histogram;

use super::snapshot::HistogramSnapshot;

/// Two digits: a value is known to better than 1 %.
pub(super) const SIGNIFICANT_DIGITS: u8 = 2;

/// The largest value that is told from larger ones: 2^36, some 68 s in ns, or 64 GiB.
pub(super) const VALUE_MAX: u64 = 1 << 36;

/// What a report shows of a histogram, in the unit of its values; all 0 without values.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Summary {
    pub count: u64,
    pub mean: f64,
    pub p50: u64,
    pub p90: u64,
    pub p99: u64,
    pub p999: u64,
    pub max: u64,
}

/// A shard's own histogram: some 15 KiB of 32-bit counts, and 64-bit ones once those run full.
#[derive(Debug)]
pub(super) struct ShardHistogram {
    recent: Histogram<u32>,
    older: Option<HistogramSnapshot>,
    /// Values in `recent`; no bucket can hold more, so none saturates below `recent_max`.
    recent_count: u32,
    recent_max: u32,
    /// Of the values in `recent` as they came, not of their buckets.
    recent_sum: u64,
}

impl ShardHistogram {
    pub(super) fn new() -> ShardHistogram {
        ShardHistogram::folding_at(u32::MAX)
    }

    /// Folds into 64 bits after `recent_max` values.
    pub(super) fn folding_at(recent_max: u32) -> ShardHistogram {
        ShardHistogram {
            recent: empty(),
            older: None,
            recent_count: 0,
            recent_max,
            recent_sum: 0,
        }
    }

    pub(super) fn record(&mut self, value: u64) {
        let value = value.min(VALUE_MAX);
        self.recent.saturating_record(value);
        self.recent_sum += value;
        self.recent_count += 1;
        if self.recent_count == self.recent_max {
            self.older = Some(self.snapshot());
            self.recent.reset();
            self.recent_count = 0;
            self.recent_sum = 0;
        }
    }

    pub(super) fn snapshot(&self) -> HistogramSnapshot {
        let mut snapshot = self.older.clone().unwrap_or_default();
        snapshot.add(&self.recent, self.recent_sum);
        snapshot
    }
}

/// A histogram of the one shape that all have, so that any two can be merged.
pub(super) fn empty<C: hdrhistogram::Counter>() -> Histogram<C> {
    match Histogram::new_with_bounds(1, VALUE_MAX, SIGNIFICANT_DIGITS) {
        Ok(histogram) => histogram,
        Err(error) => panic!("the constant bounds of histograms are valid: {error}"),
    }
}

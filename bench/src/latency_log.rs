//! Durations in an HDR histogram, and what a report says of them.

use std::time::Duration;

use hdrhistogram::Histogram;

/// Longer ones are counted as this.
const LONGEST_NS: u64 = 3_600_000_000_000;
const SIGNIFICANT_DIGITS: u8 = 3;

/// Durations, kept in nanoseconds.
pub(crate) struct LatencyLog {
    histogram: Histogram<u64>,
}

/// Microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize)]
pub(crate) struct LatencySummary {
    pub(crate) count: u64,
    pub(crate) mean: f64,
    pub(crate) p50: f64,
    pub(crate) p90: f64,
    pub(crate) p99: f64,
    pub(crate) p999: f64,
    pub(crate) max: f64,
}

impl LatencyLog {
    pub(crate) fn new() -> LatencyLog {
        let histogram = Histogram::new_with_bounds(1, LONGEST_NS, SIGNIFICANT_DIGITS);
        LatencyLog {
            histogram: histogram.expect("bounds and digits are valid"),
        }
    }

    pub(crate) fn record(&mut self, duration: Duration) {
        self.record_many(duration, 1);
    }

    pub(crate) fn record_many(&mut self, duration: Duration, count: u64) {
        let ns = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.histogram.saturating_record_n(ns.max(1), count);
    }

    pub(crate) fn merge(&mut self, other: &LatencyLog) {
        let added = self.histogram.add(&other.histogram);
        added.expect("all logs have the same bounds");
    }

    pub(crate) fn summary(&self) -> LatencySummary {
        let us = |ns: u64| ns as f64 / 1e3;
        let at = |quantile| us(self.histogram.value_at_quantile(quantile));
        LatencySummary {
            count: self.histogram.len(),
            mean: self.histogram.mean() / 1e3,
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p999: at(0.999),
            max: us(self.histogram.max()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_in_microseconds() {
        let mut log = LatencyLog::new();
        for us in 1..=1000 {
            log.record(Duration::from_micros(us));
        }
        let mut other = LatencyLog::new();
        other.record_many(Duration::MAX, 1);
        log.merge(&other);
        let summary = log.summary();
        let near = |value: f64, expected: f64| (value / expected - 1.0).abs() < 0.01;
        assert_eq!(summary.count, 1001);
        assert!(near(summary.p50, 501.0), "{summary:?}");
        assert!(near(summary.p99, 991.0), "{summary:?}");
        assert!(near(summary.max, LONGEST_NS as f64 / 1e3), "{summary:?}");
    }
}

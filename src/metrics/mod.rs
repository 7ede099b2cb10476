//! Counters, gauges and histograms of one shard, and the named stages of a request.
//!
//! - [`names`]: ONE table of metrics: name, unit, doc. The enums [`Counter`], [`Gauge`] and
//!   [`Distribution`] are made from it.
//! - [`Stage`]: where a request's time goes; the same names appear in histograms, the web page
//!   and bench's reports. [`StageClock`] measures them.
//! - [`ShardMetrics`]: the handle that components of a shard record with. A counter costs some
//!   1 ns, a histogram 10 to 25: record by request, write or flush, never by record.
//! - [`Snapshot`]: plain data that crosses shards, is merged, and subtracted for an interval.
//! - [`prometheus_text`]: snapshots as Prometheus reads them.
//!
//! A shard owns its [`ShardMetrics`] and never shares it; only snapshots leave the shard.
//!
//! # Non-obvious
//! - Histograms are made on first use: a full set for every API and stage would take megabytes.
//! - Counts are 32 bits wide in a shard and fold into 64 before they could saturate, so a broker
//!   that runs for months still reports true totals.
//! - Recording never allocates after the first use, reads no clock, and cannot fail: values
//!   beyond the largest are counted as the largest.

mod histogram;
pub mod names;
mod prometheus;
mod shard_metrics;
mod snapshot;
mod stage;
#[cfg(test)]
mod tests;

pub use histogram::Summary;
pub use names::{Counter, Distribution, Gauge, Metric, Unit};
pub use prometheus::{Broker, CONTENT_TYPE, prometheus_text};
pub use shard_metrics::ShardMetrics;
pub use snapshot::{ApiSnapshot, HistogramSnapshot, Snapshot};
pub use stage::{Stage, StageClock};

//! Snapshots in Prometheus's text format, version 0.0.4
//! (<https://prometheus.io/docs/instrumenting/exposition_formats/>).
//!
//! Counters and gauges are labelled by shard, histograms are summed over the shards: a full set for
//! each of many cores would be more than anyone scrapes.

use std::fmt::{Display, Write};
use std::time::Duration;

use crate::types::ErrorCode;

use super::names::{
    BUILD_INFO, Counter, Distribution, Gauge, LOG_DIRECTORY_FREE, LOG_DIRECTORY_ONLINE, Metric,
    REQUEST_ERRORS, REQUEST_TIME, STAGE_TIME, UPTIME, Unit,
};
use super::snapshot::{HistogramSnapshot, Snapshot};

/// Of the answer that carries the text.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Before every name.
const PREFIX: &str = "ringlog_";

/// Upper bounds of buckets: 1-2-5 from a microsecond to half a minute, in ns.
const TIME_BOUNDS: &[u64] = &[
    1_000,
    2_000,
    5_000,
    10_000,
    20_000,
    50_000,
    100_000,
    200_000,
    500_000,
    1_000_000,
    2_000_000,
    5_000_000,
    10_000_000,
    20_000_000,
    50_000_000,
    100_000_000,
    200_000_000,
    500_000_000,
    1_000_000_000,
    2_000_000_000,
    5_000_000_000,
    10_000_000_000,
    30_000_000_000,
];

/// Powers of four from 256 B to 64 MiB.
const SIZE_BOUNDS: &[u64] = &[
    1 << 8,
    1 << 10,
    1 << 12,
    1 << 14,
    1 << 16,
    1 << 18,
    1 << 20,
    1 << 22,
    1 << 24,
    1 << 26,
];

const COUNT_BOUNDS: &[u64] = &[1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096];

/// What is said of the broker as a whole.
#[derive(Clone, Debug)]
pub struct Broker<'a> {
    pub cluster_id: &'a str,
    pub node_id: i32,
    pub uptime: Duration,
    /// Each log directory by its path, and the free bytes of its file system; `None`: it is
    /// offline.
    pub log_dirs: &'a [(String, Option<u64>)],
    /// The name of an API by its key; `None` for keys that are not served.
    pub api_name: fn(i16) -> Option<&'static str>,
}

/// The text for one scrape, from a snapshot of each shard, in their order.
pub fn prometheus_text(broker: &Broker<'_>, shards: &[Snapshot]) -> String {
    let all = Snapshot::sum_of(shards);
    let mut text = Text::default();
    text.broker(broker);
    text.by_shard(shards);
    for &distribution in Distribution::ALL {
        // One that is still empty is shown too: a dashboard finds it from the start.
        let none = HistogramSnapshot::default();
        let histogram = all.distribution(distribution).unwrap_or(&none);
        let metric = distribution.metric();
        text.head(&metric, "histogram");
        text.histogram(&metric, &[], histogram);
    }
    text.apis(broker, &all);
    text.out
}

/// A name as Prometheus wants it: base units, the unit in the name, `_total` for counters.
fn full_name(metric: &Metric, is_counter: bool) -> String {
    let unit = match metric.unit {
        Unit::Bytes if !metric.name.ends_with("bytes") => "_bytes",
        Unit::Nanoseconds => "_seconds",
        Unit::Bytes | Unit::Count => "",
    };
    let total = if is_counter { "_total" } else { "" };
    format!("{PREFIX}{}{unit}{total}", metric.name)
}

/// A value in the metric's base unit.
fn in_base_unit(unit: Unit, value: u64) -> f64 {
    match unit {
        Unit::Nanoseconds => value as f64 / 1e9,
        Unit::Bytes | Unit::Count => value as f64,
    }
}

type Labels<'a> = &'a [(&'a str, &'a str)];

#[derive(Default)]
struct Text {
    out: String,
}

impl Text {
    fn head(&mut self, metric: &Metric, kind: &str) {
        let name = full_name(metric, kind == "counter");
        let doc = metric.doc.trim_end_matches('.');
        self.line(format_args!("# HELP {name} {doc}"));
        self.line(format_args!("# TYPE {name} {kind}"));
    }

    fn line(&mut self, line: impl Display) {
        writeln!(self.out, "{line}").expect("a string takes everything");
    }

    fn sample(&mut self, name: &str, labels: Labels<'_>, value: impl Display) {
        self.out.push_str(name);
        for (index, (label, text)) in labels.iter().enumerate() {
            let before = if index == 0 { '{' } else { ',' };
            let text = escaped(text);
            write!(self.out, "{before}{label}=\"{text}\"").expect("a string takes everything");
        }
        if !labels.is_empty() {
            self.out.push('}');
        }
        self.line(format_args!(" {value}"));
    }

    fn broker(&mut self, broker: &Broker<'_>) {
        self.head(&BUILD_INFO, "gauge");
        let labels = [
            ("version", env!("CARGO_PKG_VERSION")),
            ("cluster_id", broker.cluster_id),
            ("node_id", &broker.node_id.to_string()),
        ];
        self.sample(&full_name(&BUILD_INFO, false), &labels, 1);
        self.head(&UPTIME, "gauge");
        self.sample(&full_name(&UPTIME, false), &[], broker.uptime.as_secs_f64());
        self.head(&LOG_DIRECTORY_ONLINE, "gauge");
        let name = full_name(&LOG_DIRECTORY_ONLINE, false);
        for (path, free_bytes) in broker.log_dirs {
            let is_online = u8::from(free_bytes.is_some());
            self.sample(&name, &[("directory", path)], is_online);
        }
        self.head(&LOG_DIRECTORY_FREE, "gauge");
        let name = full_name(&LOG_DIRECTORY_FREE, false);
        for (path, free_bytes) in broker.log_dirs {
            if let Some(free_bytes) = free_bytes {
                self.sample(&name, &[("directory", path)], free_bytes);
            }
        }
    }

    fn by_shard(&mut self, shards: &[Snapshot]) {
        for &counter in Counter::ALL {
            let metric = counter.metric();
            self.head(&metric, "counter");
            let name = full_name(&metric, true);
            for (shard, snapshot) in shards.iter().enumerate() {
                let label = [("shard", &*shard.to_string())];
                self.sample(&name, &label, snapshot.counter(counter));
            }
        }
        for &gauge in Gauge::ALL {
            let metric = gauge.metric();
            self.head(&metric, "gauge");
            let name = full_name(&metric, false);
            for (shard, snapshot) in shards.iter().enumerate() {
                let label = [("shard", &*shard.to_string())];
                self.sample(&name, &label, snapshot.gauge(gauge));
            }
        }
    }

    fn histogram(&mut self, metric: &Metric, labels: Labels<'_>, histogram: &HistogramSnapshot) {
        let name = full_name(metric, false);
        let bounds = match metric.unit {
            Unit::Nanoseconds => TIME_BOUNDS,
            Unit::Bytes => SIZE_BOUNDS,
            Unit::Count => COUNT_BOUNDS,
        };
        let bucket_name = format!("{name}_bucket");
        let mut buckets = histogram.buckets().peekable();
        let mut count = 0;
        for &bound in bounds {
            while let Some((_, more)) = buckets.next_if(|(lowest, _)| *lowest <= bound) {
                count += more;
            }
            let le = in_base_unit(metric.unit, bound).to_string();
            self.sample(&bucket_name, &[labels, &[("le", &le)]].concat(), count);
        }
        let infinite = [labels, &[("le", "+Inf")]].concat();
        self.sample(&bucket_name, &infinite, histogram.count());
        let sum = in_base_unit(metric.unit, histogram.sum());
        self.sample(&format!("{name}_sum"), labels, sum);
        self.sample(&format!("{name}_count"), labels, histogram.count());
    }

    fn apis(&mut self, broker: &Broker<'_>, all: &Snapshot) {
        let named = || {
            all.apis
                .iter()
                .filter_map(|(key, api)| Some(((broker.api_name)(*key)?, api)))
        };
        self.head(&REQUEST_TIME, "histogram");
        for (name, api) in named() {
            self.histogram(&REQUEST_TIME, &[("api", name)], &api.request_time);
        }
        self.head(&STAGE_TIME, "histogram");
        for (name, api) in named() {
            for (stage, histogram) in &api.stages {
                let labels = [("api", name), ("stage", stage.name())];
                self.histogram(&STAGE_TIME, &labels, histogram);
            }
        }
        self.head(&REQUEST_ERRORS, "counter");
        let errors_name = full_name(&REQUEST_ERRORS, true);
        for (name, api) in named() {
            for (code, count) in &api.errors {
                let error = ErrorCode::from_code(*code).name();
                let labels = [("api", name), ("error", &error)];
                self.sample(&errors_name, &labels, count);
            }
        }
    }
}

/// A label's value may be any text; these three characters are escaped.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

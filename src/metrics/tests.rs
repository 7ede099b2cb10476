use std::collections::BTreeSet;
use std::time::Duration;

use crate::types::{ErrorCode, Monotonic};

use super::histogram::{ShardHistogram, VALUE_MAX};
use super::names::FAMILIES;
use super::{
    Broker, Counter, Distribution, Gauge, Metric, ShardMetrics, Snapshot, Stage, StageClock,
    prometheus_text,
};

const PRODUCE: i16 = 0;
const FETCH: i16 = 1;

#[test]
fn names_are_unique_and_in_snake_case() {
    let mut rows: Vec<Metric> = Vec::new();
    rows.extend(Counter::ALL.iter().map(|m| m.metric()));
    rows.extend(Gauge::ALL.iter().map(|m| m.metric()));
    rows.extend(Distribution::ALL.iter().map(|m| m.metric()));
    rows.extend(FAMILIES);
    let mut seen = BTreeSet::new();
    for row in rows {
        assert!(seen.insert(row.name), "{} twice", row.name);
        assert!(
            row.name
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b == b'_'),
            "{}",
            row.name
        );
        assert!(row.doc.ends_with('.'), "{}", row.name);
    }
    for (index, stage) in Stage::ALL.iter().enumerate() {
        assert_eq!(*stage as usize, index);
        assert!(
            seen.insert(stage.name()),
            "{} is also a metric",
            stage.name()
        );
        assert!(stage.doc().ends_with('.'));
    }
}

#[test]
fn what_is_recorded_shows_in_the_snapshot_and_nothing_else_does() {
    let metrics = ShardMetrics::new();
    let component = metrics.clone();
    component.increment(Counter::DiskFlushes);
    component.add(Counter::ReceivedBytes, 100);
    component.adjust(Gauge::Connections, 3);
    component.adjust(Gauge::Connections, -1);
    component.set(Gauge::Partitions, 7);
    component.record(Distribution::FlushLogs, 4);
    component.count_error(FETCH, ErrorCode::None);
    component.count_error(FETCH, ErrorCode::OffsetOutOfRange);
    component.count_error(FETCH, ErrorCode::None);

    let snapshot = metrics.snapshot();
    assert_eq!(snapshot.counter(Counter::DiskFlushes), 1);
    assert_eq!(snapshot.counter(Counter::ReceivedBytes), 100);
    assert_eq!(snapshot.counter(Counter::SentBytes), 0);
    assert_eq!(snapshot.gauge(Gauge::Connections), 2);
    assert_eq!(snapshot.gauge(Gauge::Partitions), 7);
    assert_eq!(
        snapshot
            .distribution(Distribution::FlushLogs)
            .unwrap()
            .summary()
            .max,
        4
    );
    assert!(snapshot.distribution(Distribution::SendSize).is_none());
    assert_eq!(snapshot.apis.keys().copied().collect::<Vec<_>>(), [FETCH]);
    let errors: Vec<_> = snapshot.apis[&FETCH]
        .errors
        .iter()
        .map(|(c, n)| (*c, *n))
        .collect();
    assert_eq!(errors, [(0, 2), (1, 1)]);
}

#[test]
fn the_stages_of_a_request_add_up_to_its_time() {
    let metrics = ShardMetrics::new();
    let at = |us: u64| Monotonic(us * 1000);
    let mut clock = StageClock::start(PRODUCE, at(10));
    clock.lap(&metrics, Stage::ReadFrame, at(11));
    clock.lap(&metrics, Stage::Append, at(13));
    clock.lap(&metrics, Stage::Flush, at(113));
    clock.finish(&metrics, at(113));

    let snapshot = metrics.snapshot();
    let mean = |stage| snapshot.stage(PRODUCE, stage).unwrap().summary().mean;
    let near = |value: f64, expected: f64| (value - expected).abs() <= expected / 100.0;
    assert!(near(mean(Stage::ReadFrame), 1_000.0));
    assert!(near(mean(Stage::Append), 2_000.0));
    assert!(near(mean(Stage::Flush), 100_000.0));
    assert!(near(
        snapshot.apis[&PRODUCE].request_time.summary().mean,
        103_000.0
    ));
    assert!(snapshot.stage(PRODUCE, Stage::Send).is_none());
    assert!(snapshot.stage(FETCH, Stage::Append).is_none());
}

fn sample(values: &[u64]) -> Snapshot {
    let metrics = ShardMetrics::new();
    for &value in values {
        metrics.increment(Counter::DiskWrites);
        metrics.adjust(Gauge::Partitions, 1);
        metrics.record(Distribution::DiskWriteSize, value);
        metrics.record_stage(PRODUCE, Stage::Write, Duration::from_nanos(value));
        metrics.record_request(PRODUCE, Duration::from_nanos(value));
        metrics.count_error(PRODUCE, ErrorCode::None);
    }
    metrics.snapshot()
}

#[test]
fn merging_shards_is_recording_on_one() {
    let mut merged = sample(&[1, 5, 1000]);
    merged.merge(&sample(&[7, 1_000_000]));
    assert_eq!(merged, sample(&[1, 5, 1000, 7, 1_000_000]));
    let mut from_nothing = Snapshot::default();
    from_nothing.merge(&merged);
    assert_eq!(from_nothing, merged);
}

#[test]
fn the_difference_of_two_snapshots_is_what_came_between() {
    let metrics = ShardMetrics::new();
    metrics.record(Distribution::SendSize, 10);
    metrics.increment(Counter::DiskReads);
    metrics.count_error(FETCH, ErrorCode::None);
    let earlier = metrics.snapshot();
    metrics.record(Distribution::SendSize, 20);
    metrics.record_request(PRODUCE, Duration::from_nanos(30));
    metrics.increment(Counter::DiskReads);
    metrics.adjust(Gauge::Connections, 1);

    let between = metrics.snapshot().since(&earlier);
    let send_size = between
        .distribution(Distribution::SendSize)
        .unwrap()
        .summary();
    assert_eq!((send_size.count, send_size.max), (1, 20));
    assert_eq!(between.counter(Counter::DiskReads), 1);
    assert_eq!(between.gauge(Gauge::Connections), 1);
    assert_eq!(between.apis[&FETCH].errors[&0], 0);
    assert_eq!(between.apis[&PRODUCE].request_time.count(), 1);
}

#[test]
fn quantiles_are_within_one_percent() {
    let metrics = ShardMetrics::new();
    for value in 1..=100_000 {
        metrics.record(Distribution::DiskWriteTime, value);
    }
    let snapshot = metrics.snapshot();
    let histogram = snapshot.distribution(Distribution::DiskWriteTime).unwrap();
    for (share, expected) in [(0.5, 50_000.0), (0.9, 90_000.0), (0.99, 99_000.0)] {
        let value = histogram.quantile(share) as f64;
        assert!(
            (value - expected).abs() <= expected / 100.0,
            "{share}: {value}"
        );
    }
    assert_eq!(
        histogram.buckets().map(|(_, count)| count).sum::<u64>(),
        100_000
    );
}

#[test]
fn values_beyond_the_range_are_counted_at_its_ends() {
    let mut histogram = ShardHistogram::new();
    histogram.record(0);
    histogram.record(u64::MAX);
    let snapshot = histogram.snapshot();
    assert_eq!(snapshot.count(), 2);
    assert_eq!(snapshot.quantile(0.1), 0);
    assert!(snapshot.summary().max >= VALUE_MAX);
}

#[test]
fn full_counts_fold_without_losing_a_value() {
    let mut folding = ShardHistogram::folding_at(3);
    let mut plain = ShardHistogram::new();
    for value in [5, 5, 5, 5, 900, 900, 5, 1] {
        folding.record(value);
        plain.record(value);
        assert_eq!(folding.snapshot(), plain.snapshot());
    }
}

#[test]
fn an_api_key_out_of_range_is_counted_apart() {
    let metrics = ShardMetrics::new();
    for api_key in [-1, 128, i16::MAX] {
        metrics.count_error(api_key, ErrorCode::UnsupportedVersion);
    }
    assert_eq!(metrics.snapshot().apis[&127].errors[&35], 3);
}

#[test]
fn snapshots_may_leave_the_shard() {
    fn sendable<T: Send + 'static>(_: &T) {}
    sendable(&ShardMetrics::new().snapshot());
}

#[test]
fn the_text_for_prometheus() {
    let broker = Broker {
        cluster_id: "a \"b\" \\ c",
        node_id: 3,
        uptime: Duration::from_millis(1500),
        log_dirs: &[("/a".to_owned(), Some(7)), ("/b".to_owned(), None)],
        api_name: |key| (key == PRODUCE).then_some("Produce"),
    };
    let second = ShardMetrics::new();
    second.count_error(PRODUCE, ErrorCode::NotEnoughReplicas);
    second.count_error(FETCH, ErrorCode::OffsetOutOfRange);
    let text = prometheus_text(
        &broker,
        &[sample(&[1_000, 1_024, 3_000_000]), second.snapshot()],
    );
    let lines: BTreeSet<&str> = text.lines().collect();
    let expected = [
        "# HELP ringlog_uptime_seconds Time since the broker started",
        "# TYPE ringlog_disk_writes_total counter",
        "# TYPE ringlog_stage_time_seconds histogram",
        "ringlog_uptime_seconds 1.5",
        "ringlog_log_directory_online{directory=\"/a\"} 1",
        "ringlog_log_directory_online{directory=\"/b\"} 0",
        "ringlog_log_directory_free_bytes{directory=\"/a\"} 7",
        "ringlog_disk_writes_total{shard=\"0\"} 3",
        "ringlog_disk_writes_total{shard=\"1\"} 0",
        "ringlog_partitions{shard=\"0\"} 3",
        // Bytes: bounds are powers of two, and what equals one is below it.
        "ringlog_disk_write_size_bytes_bucket{le=\"256\"} 0",
        "ringlog_disk_write_size_bytes_bucket{le=\"1024\"} 2",
        "ringlog_disk_write_size_bytes_bucket{le=\"+Inf\"} 3",
        "ringlog_disk_write_size_bytes_sum 3002024",
        "ringlog_disk_write_size_bytes_count 3",
        // Times in seconds.
        "ringlog_stage_time_seconds_bucket{api=\"Produce\",stage=\"write\",le=\"0.000001\"} 1",
        "ringlog_stage_time_seconds_bucket{api=\"Produce\",stage=\"write\",le=\"0.002\"} 2",
        "ringlog_stage_time_seconds_bucket{api=\"Produce\",stage=\"write\",le=\"0.005\"} 3",
        "ringlog_stage_time_seconds_sum{api=\"Produce\",stage=\"write\"} 0.003002024",
        "ringlog_request_time_seconds_count{api=\"Produce\"} 3",
        "ringlog_request_errors_total{api=\"Produce\",error=\"NOT_ENOUGH_REPLICAS\"} 1",
        // Shown before it is used.
        "ringlog_disk_flush_time_seconds_count 0",
    ];
    for line in expected {
        assert!(lines.contains(line), "no line {line}\n{text}");
    }
    let escaped = "cluster_id=\"a \\\"b\\\" \\\\ c\"";
    assert!(text.contains(escaped), "{text}");
    // An API without a name is not shown.
    assert!(!text.contains("OFFSET_OUT_OF_RANGE"), "{text}");
}

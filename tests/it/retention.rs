//! Retention as users see it: old records go, what is kept is there, readers below are told.

use ringlog::types::ErrorCode;

use crate::broker::TestBroker;
use crate::eventually;
use crate::process::BrokerProcess;
use crate::records::{batch, now, timed};
use crate::topics::{
    EARLIEST, FETCH_VERSION, FetchOptions, LIST_OFFSETS_VERSION, Topic, code, create, end_offset,
    fetch_in, list_offset_in, produce, read_from,
};
use crate::wire::Wire;

/// Looks for segments all the time.
const EAGER: &str = "log.retention.check.interval.ms=20";

/// A batch that fills more than half of a segment: each gets one of its own.
fn large(index: usize) -> bytes::Bytes {
    batch(&[format!("{index} {}", "x".repeat(600_000))])
}

fn start_offset(wire: &mut Wire, topic: &Topic) -> i64 {
    list_offset_in(wire, LIST_OFFSETS_VERSION, topic, 0, EARLIEST).offset
}

/// Names in a partition's directory.
fn files(directory: &std::path::Path, partition: &str) -> Vec<String> {
    let entries = std::fs::read_dir(directory.join(partition)).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.collect()
}

#[test]
fn the_oldest_records_go_when_a_partition_is_too_large() {
    // A log that is flushed before it acknowledges keeps one file for its next segment.
    for (class_p, kept_max) in [("false", 0), ("true", 1)] {
        let broker = TestBroker::start(&[EAGER]);
        let mut wire = broker.connect();
        let configs = [
            ("retention.bytes", "1500000"),
            ("file.delete.delay.ms", "0"),
            ("flush.before.ack", class_p),
        ];
        let topic = create(&mut wire, "t", 1, &configs);
        for index in 0..6 {
            assert_eq!(produce(&mut wire, &topic, 0, &large(index)), index as i64);
        }
        eventually("three segments go", || {
            (start_offset(&mut wire, &topic) == 3).then_some(())
        });
        let options = FetchOptions::default();
        let below = fetch_in(&mut wire, FETCH_VERSION, &topic, (0, 2), options);
        assert_eq!(below.error_code, code(ErrorCode::OffsetOutOfRange));
        let kept = read_from(&mut wire, &topic, 0, 3);
        assert_eq!(kept.len(), 3);
        assert!(kept[0].value.starts_with("3 "));
        eventually("their files go", || {
            let names = files(broker.directory(), "t-0");
            let count = |ending: &str| names.iter().filter(|name| name.ends_with(ending)).count();
            let spares = count(".log.deleted");
            let others = count(".deleted") - spares;
            (count(".log") == 3 && spares <= kept_max && others == 0).then_some(())
        });
    }
}

#[test]
fn a_partition_that_is_too_old_is_emptied_and_goes_on() {
    let mut broker = TestBroker::start(&[EAGER]);
    let mut wire = broker.connect();
    let topic = create(&mut wire, "t", 1, &[("retention.ms", "3600000")]);
    let old = now() - 3_700_000;
    produce(
        &mut wire,
        &topic,
        0,
        &timed(&[old, old + 1], Default::default()),
    );
    eventually("the old ones go", || {
        (start_offset(&mut wire, &topic) == 2).then_some(())
    });
    let fresh = now();
    assert_eq!(
        produce(&mut wire, &topic, 0, &timed(&[fresh], Default::default())),
        2
    );
    assert_eq!(read_from(&mut wire, &topic, 0, 2).len(), 1);
    // Out of use, not gone: a minute by default. The start was on disk before.
    let aside = "00000000000000000000.log.deleted";
    eventually("the segment is put aside", || {
        let names = files(broker.directory(), "t-0");
        names.iter().any(|name| name == aside).then_some(())
    });
    let checkpoint = broker.directory().join("log-start-offset-checkpoint");
    assert_eq!(
        std::fs::read_to_string(checkpoint).unwrap(),
        "0\n1\nt 0 2\n"
    );
    drop(wire);
    broker.restart(&[]);
    let mut wire = broker.connect();
    assert_eq!(start_offset(&mut wire, &topic), 2);
    assert_eq!(end_offset(&mut wire, &topic, 0), 3);
    eventually("a new start removes it", || {
        let names = files(broker.directory(), "t-0");
        (!names.iter().any(|name| name == aside)).then_some(())
    });
}

#[test]
fn a_killed_broker_starts_where_retention_had_come() {
    let directory = crate::broker::directory();
    let mut broker = BrokerProcess::start(directory.path(), &[EAGER]);
    let mut wire = broker.connect();
    let topic = create(&mut wire, "t", 1, &[("retention.bytes", "1200000")]);
    for index in 0..8 {
        produce(&mut wire, &topic, 0, &large(index));
    }
    let seen = eventually("segments go", || {
        let start = start_offset(&mut wire, &topic);
        let gone = files(directory.path(), "t-0");
        let is_gone = gone.iter().any(|name| name.ends_with(".deleted"));
        (start > 0 && is_gone).then_some(start)
    });
    broker.kill();
    let broker = BrokerProcess::start(directory.path(), &[]);
    let mut wire = broker.connect();
    let start = start_offset(&mut wire, &topic);
    assert!(start > 0 && start <= 6 && seen <= 6, "{start} after {seen}");
    assert_eq!(
        read_from(&mut wire, &topic, 0, start).len() as i64,
        8 - start
    );
}

#[test]
fn a_compacted_topic_keeps_everything() {
    let broker = TestBroker::start(&[EAGER, "log.retention.bytes=1"]);
    let mut wire = broker.connect();
    let compacted = create(&mut wire, "compacted", 1, &[("cleanup.policy", "compact")]);
    let deleted = create(&mut wire, "deleted", 1, &[]);
    let record = timed_with_key();
    for topic in [&compacted, &deleted] {
        produce(&mut wire, topic, 0, &record);
    }
    // One byte is less than the segment: only what is above the limit without it would go.
    produce(&mut wire, &deleted, 0, &large(0));
    produce(&mut wire, &deleted, 0, &large(1));
    eventually("the other topic loses its first segment", || {
        (start_offset(&mut wire, &deleted) > 0).then_some(())
    });
    assert_eq!(start_offset(&mut wire, &compacted), 0);
}

/// Compacted topics take records with keys only.
fn timed_with_key() -> bytes::Bytes {
    use ringlog::batch::{BatchBuilder, BatchOptions};
    let mut builder = BatchBuilder::new(BatchOptions::default(), 0);
    builder.append(now(), Some(b"key"), Some(b"value"), &[]);
    builder.close()
}

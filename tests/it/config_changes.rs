//! What a changed setting does: at once, on every shard, and after a restart.

use std::net::IpAddr;

use bytes::Bytes;
use ringlog::batch::{BatchBuilder, BatchOptions, NO_TIMESTAMP};
use ringlog::metrics::Counter;
use ringlog::types::ErrorCode::{InvalidRecord, InvalidTimestamp, MessageTooLarge};

use crate::broker::{TestBroker, directory};
use crate::configs::{BROKER, DELETE, NODE, TOPIC, alter, set, value};
use crate::create_topics::delete;
use crate::eventually;
use crate::process::BrokerProcess;
use crate::records::{batch, now, timed};
use crate::topics::{
    ACKS_ALL, EARLIEST, LIST_OFFSETS_VERSION, PRODUCE_VERSION, Topic, code, create, list_offset_in,
    produce, produce_in, read_from, values,
};
use crate::wire::Wire;

/// More than one shard has one of these.
const PARTITIONS: i32 = 4;

fn outcome(wire: &mut Wire, topic: &Topic, partition: i32, records: &Bytes) -> i16 {
    produce_in(wire, PRODUCE_VERSION, ACKS_ALL, topic, partition, records).error_code
}

/// The codes of a produce to each partition.
fn outcomes(wire: &mut Wire, topic: &Topic, records: &Bytes) -> Vec<i16> {
    let all = (0..PARTITIONS).map(|partition| outcome(wire, topic, partition, records));
    all.collect()
}

fn everywhere(code: i16) -> Vec<i16> {
    vec![code; PARTITIONS as usize]
}

#[test]
fn a_smaller_limit_refuses_larger_batches_on_every_shard() {
    let broker = TestBroker::start(&[]);
    let mut wire = broker.connect();
    let topic = create(&mut wire, "t", PARTITIONS, &[]);
    let large = batch(&["x".repeat(2000)]);
    assert_eq!(outcomes(&mut wire, &topic, &large), everywhere(0));
    set(&mut wire, (TOPIC, "t"), "max.message.bytes", "1000");
    // Whichever shard a connection is served by.
    let mut other = broker.connect();
    let refused = everywhere(code(MessageTooLarge));
    assert_eq!(outcomes(&mut wire, &topic, &large), refused);
    assert_eq!(outcomes(&mut other, &topic, &large), refused);
    alter(&mut wire, (TOPIC, "t"), ("max.message.bytes", DELETE, None));
    assert_eq!(outcomes(&mut other, &topic, &large), everywhere(0));
}

#[test]
fn a_brokers_limit_is_that_of_topics_without_their_own() {
    let broker = TestBroker::start(&[]);
    let mut wire = broker.connect();
    let plain = create(&mut wire, "plain", PARTITIONS, &[]);
    let own = create(
        &mut wire,
        "own",
        PARTITIONS,
        &[("max.message.bytes", "5000")],
    );
    let large = batch(&["x".repeat(2000)]);
    for resource in ["", NODE] {
        set(&mut wire, (BROKER, resource), "message.max.bytes", "1000");
        let refused = everywhere(code(MessageTooLarge));
        assert_eq!(outcomes(&mut wire, &plain, &large), refused, "{resource:?}");
        assert_eq!(outcomes(&mut wire, &own, &large), everywhere(0));
        let later = create(&mut wire, &format!("later{resource}"), PARTITIONS, &[]);
        assert_eq!(outcomes(&mut wire, &later, &large), refused);
        alter(
            &mut wire,
            (BROKER, resource),
            ("message.max.bytes", DELETE, None),
        );
        assert_eq!(outcomes(&mut wire, &plain, &large), everywhere(0));
    }
}

/// Flushes that each of ten produces causes, in hundredths.
fn flushes(broker: &TestBroker, wire: &mut Wire, topic: &Topic) -> u64 {
    let count = || broker.snapshot().counter(Counter::DiskFlushes);
    let before = count();
    for _ in 0..10 {
        produce(wire, topic, 0, &batch(&["x"]));
    }
    (count() - before) * 10
}

#[test]
fn the_class_of_acknowledgement_changes_with_its_key() {
    let broker = TestBroker::start(&[]);
    let mut wire = broker.connect();
    let topic = create(&mut wire, "t", 1, &[("flush.before.ack", "false")]);
    // The first records may need a flush for the file that they begin.
    produce(&mut wire, &topic, 0, &batch(&["x"]));
    let resource = (TOPIC, "t");
    assert!(flushes(&broker, &mut wire, &topic) < 100, "class K flushes");
    set(&mut wire, resource, "flush.before.ack", "true");
    assert!(
        flushes(&broker, &mut wire, &topic) >= 100,
        "class P does not"
    );
    set(&mut wire, resource, "flush.before.ack", "false");
    assert!(flushes(&broker, &mut wire, &topic) < 100, "class K flushes");
    set(&mut wire, resource, "flush.messages", "1");
    assert!(
        flushes(&broker, &mut wire, &topic) >= 100,
        "class P does not"
    );
    alter(&mut wire, resource, ("flush.messages", DELETE, None));
    alter(&mut wire, resource, ("flush.before.ack", DELETE, None));
    set(&mut wire, (BROKER, ""), "log.flush.before.ack", "false");
    assert!(
        flushes(&broker, &mut wire, &topic) < 100,
        "the broker's default"
    );
    assert_eq!(values(&mut wire, &topic, 0).len(), 51);
}

fn start_offset(wire: &mut Wire, topic: &Topic) -> i64 {
    list_offset_in(wire, LIST_OFFSETS_VERSION, topic, 0, EARLIEST).offset
}

#[test]
fn a_brokers_retention_drops_old_segments_of_topics_without_their_own() {
    let broker = TestBroker::start(&["log.retention.check.interval.ms=20"]);
    let mut wire = broker.connect();
    let plain = create(&mut wire, "plain", 1, &[]);
    let own = create(&mut wire, "own", 1, &[("retention.bytes", "-1")]);
    // More than half of a segment: each gets one of its own.
    let large = batch(&["x".repeat(600_000)]);
    for topic in [&plain, &own] {
        for _ in 0..4 {
            produce(&mut wire, topic, 0, &large);
        }
    }
    set(&mut wire, (BROKER, ""), "log.retention.bytes", "1500000");
    eventually("old segments go", || {
        (start_offset(&mut wire, &plain) == 1).then_some(())
    });
    let week_ago = now() - 7 * 24 * 3_600_000;
    let old = timed(&[week_ago + 3_600_000], Default::default());
    let by_time = create(&mut wire, "by-time", 1, &[]);
    produce(&mut wire, &by_time, 0, &old);
    set(&mut wire, (BROKER, ""), "log.retention.ms", "60000");
    eventually("old records go", || {
        (start_offset(&mut wire, &by_time) == 1).then_some(())
    });
    assert_eq!(start_offset(&mut wire, &own), 0);
    assert_eq!(read_from(&mut wire, &own, 0, 0).len(), 4);
}

#[test]
fn a_smaller_segment_size_rolls_sooner() {
    let broker = TestBroker::start(&[]);
    let mut wire = broker.connect();
    let topic = create(&mut wire, "t", 1, &[("segment.bytes", "8388608")]);
    let rolled = || broker.snapshot().counter(Counter::SegmentsRolled);
    let large = batch(&["x".repeat(600_000)]);
    let three = |wire: &mut Wire| {
        for _ in 0..3 {
            produce(wire, &topic, 0, &large);
        }
    };
    let before = rolled();
    three(&mut wire);
    assert_eq!(rolled(), before);
    set(&mut wire, (TOPIC, "t"), "segment.bytes", "1048576");
    three(&mut wire);
    assert_eq!(rolled(), before + 3);
    assert_eq!(values(&mut wire, &topic, 0).len(), 6);
}

#[test]
fn rules_for_timestamps_change() {
    let broker = TestBroker::start(&[]);
    let mut wire = broker.connect();
    let topic = create(&mut wire, "t", PARTITIONS, &[]);
    let old = now() - 100_000_000;
    let records = timed(&[old], Default::default());
    assert_eq!(outcomes(&mut wire, &topic, &records), everywhere(0));
    let resource = (TOPIC, "t");
    set(
        &mut wire,
        resource,
        "message.timestamp.before.max.ms",
        "1000",
    );
    let refused = everywhere(code(InvalidTimestamp));
    assert_eq!(outcomes(&mut wire, &topic, &records), refused);
    set(
        &mut wire,
        resource,
        "message.timestamp.type",
        "LogAppendTime",
    );
    assert_eq!(outcomes(&mut wire, &topic, &records), everywhere(0));
    for partition in 0..PARTITIONS {
        let read = read_from(&mut wire, &topic, partition, 0);
        assert_eq!(read[0].timestamp, old);
        assert!(read[1].timestamp > old + 99_000_000);
    }
}

/// A record with a key.
fn keyed(key: &str, value: &str) -> Bytes {
    let mut builder = BatchBuilder::new(BatchOptions::default(), 0);
    let (key, value) = (key.as_bytes(), value.as_bytes());
    builder.append(NO_TIMESTAMP, Some(key), Some(value), &[]);
    builder.close()
}

#[test]
fn a_topic_that_becomes_compacted_wants_keys_and_keeps_everything() {
    let broker = TestBroker::start(&[]);
    let mut wire = broker.connect();
    let topic = create(&mut wire, "t", 1, &[]);
    assert_eq!(outcome(&mut wire, &topic, 0, &batch(&["without"])), 0);
    set(&mut wire, (TOPIC, "t"), "cleanup.policy", "compact");
    let refused = outcome(&mut wire, &topic, 0, &batch(&["without"]));
    assert_eq!(refused, code(InvalidRecord));
    for value in ["1", "2"] {
        assert_eq!(outcome(&mut wire, &topic, 0, &keyed("k", value)), 0);
    }
    assert_eq!(values(&mut wire, &topic, 0), ["without", "1", "2"]);
}

#[test]
fn settings_are_there_after_a_restart_and_go_with_their_topic() {
    let mut broker = TestBroker::start(&[]);
    let mut wire = broker.connect();
    let topic = create(&mut wire, "t", 1, &[]);
    set(&mut wire, (TOPIC, "t"), "max.message.bytes", "1000");
    set(&mut wire, (BROKER, ""), "log.retention.ms", "22000");
    set(&mut wire, (BROKER, NODE), "log.roll.ms", "11000");
    broker.restart(&[]);
    let mut wire = broker.connect();
    let large = batch(&["x".repeat(2000)]);
    assert_eq!(outcome(&mut wire, &topic, 0, &large), code(MessageTooLarge));
    let shown = |wire: &mut Wire, key| value(wire, (TOPIC, "t"), key).0.unwrap();
    assert_eq!(shown(&mut wire, "retention.ms"), "22000");
    assert_eq!(shown(&mut wire, "segment.ms"), "11000");
    assert_eq!(delete(&mut wire, 6, &topic), 0);
    let again = create(&mut wire, "t", 1, &[]);
    assert_eq!(outcome(&mut wire, &again, 0, &large), 0);
    assert_eq!(shown(&mut wire, "max.message.bytes"), "1048588");
}

#[test]
fn what_was_answered_survives_kill_9() {
    let directory = directory();
    let mut broker = BrokerProcess::start(directory.path(), &[]);
    let mut wire = broker.connect();
    create(&mut wire, "t", 1, &[]);
    set(&mut wire, (TOPIC, "t"), "retention.ms", "5000");
    set(&mut wire, (BROKER, ""), "log.roll.ms", "11000");
    broker.kill();
    let broker = BrokerProcess::start(directory.path(), &[]);
    let mut wire = broker.connect();
    let shown = |wire: &mut Wire, key| value(wire, (TOPIC, "t"), key).0.unwrap();
    assert_eq!(shown(&mut wire, "retention.ms"), "5000");
    assert_eq!(shown(&mut wire, "segment.ms"), "11000");
}

#[test]
fn a_setting_that_the_file_no_longer_allows_does_not_count_and_the_others_do() {
    let mut broker = TestBroker::start(&[]);
    let mut wire = broker.connect();
    create(&mut wire, "t", 1, &[]);
    set(&mut wire, (TOPIC, "t"), "max.message.bytes", "4000000");
    set(&mut wire, (TOPIC, "t"), "retention.ms", "-1");
    set(&mut wire, (BROKER, ""), "message.max.bytes", "3000000");
    set(&mut wire, (BROKER, ""), "log.roll.ms", "11000");
    broker.restart(&["log.unflushed.bytes.max=2097152"]);
    let mut wire = broker.connect();
    let shown = |wire: &mut Wire, key| value(wire, (TOPIC, "t"), key).0.unwrap();
    // Dropping the topic's retention with its size would delete its records.
    assert_eq!(shown(&mut wire, "retention.ms"), "-1");
    assert_eq!(shown(&mut wire, "segment.ms"), "11000");
    assert_eq!(shown(&mut wire, "max.message.bytes"), "1048588");
    let limit = value(&mut wire, (BROKER, NODE), "message.max.bytes").0;
    assert_eq!(limit.as_deref(), Some("1048588"));
    let topic = create(&mut wire, "u", 1, &[]);
    let large = batch(&["x".repeat(1_500_000)]);
    assert_eq!(outcome(&mut wire, &topic, 0, &large), code(MessageTooLarge));
}

#[test]
fn limits_of_connections_change_while_the_broker_runs() {
    let broker = TestBroker::start(&[]);
    let mut wire = broker.connect();
    set(&mut wire, (BROKER, ""), "max.connections.per.ip", "1");
    let from: IpAddr = "127.0.0.2".parse().unwrap();
    let mut first = Wire::connect_from(from, broker.address());
    crate::topics::works(&mut first, "first");
    let mut second = Wire::connect_from(from, broker.address());
    second.end_of_requests();
    assert_eq!(second.read(), crate::wire::Outcome::Closed);
    alter(
        &mut wire,
        (BROKER, ""),
        ("max.connections.per.ip", DELETE, None),
    );
    let mut third = Wire::connect_from(from, broker.address());
    crate::topics::works(&mut third, "third");
}

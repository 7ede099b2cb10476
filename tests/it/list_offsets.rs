//! ListOffsets: where logs begin, end, and pass a time.

use kafka_protocol::messages::ListOffsetsRequest;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use ringlog::batch::Codec;
use ringlog::protocol::ApiKey;
use ringlog::types::ErrorCode;

use crate::broker::TestBroker;
use crate::records::{batch, now, timed};
use crate::topics::{
    CONSUMER, EARLIEST, LATEST, LIST_OFFSETS_VERSION, Topic, code, create, list_offset_in, produce,
    topic_name, versions,
};
use crate::wire::Wire;

const MAX_TIMESTAMP: i64 = -3;
const EARLIEST_LOCAL: i64 = -4;
const LATEST_TIERED: i64 = -5;

/// The offset and timestamp that are answered; both -1 for none.
fn ask(wire: &mut Wire, topic: &Topic, timestamp: i64) -> (i64, i64) {
    let listed = list_offset_in(wire, LIST_OFFSETS_VERSION, topic, 0, timestamp);
    assert_eq!(listed.error_code, 0, "timestamp {timestamp}");
    (listed.offset, listed.timestamp)
}

#[test]
fn special_values_in_every_version() {
    let broker = TestBroker::start(&[]);
    let mut wire = broker.connect();
    let topic = create(&mut wire, "t", 1, &[]);
    let start = now() - 100_000;
    produce(
        &mut wire,
        &topic,
        0,
        &timed(&[start, start + 9, start + 5], Codec::None),
    );
    // Since which version, and the offset and timestamp.
    let known = [
        (LATEST, 1, (3, -1)),
        (EARLIEST, 1, (0, -1)),
        (MAX_TIMESTAMP, 7, (1, start + 9)),
        (EARLIEST_LOCAL, 8, (0, -1)),
        (LATEST_TIERED, 9, (-1, -1)),
        (-6, 11, (-1, -1)),
        (-7, 100, (-1, -1)),
        (i64::MIN, 100, (-1, -1)),
    ];
    for version in versions(ApiKey::ListOffsets) {
        for (timestamp, since, expected) in known {
            let listed = list_offset_in(&mut wire, version, &topic, 0, timestamp);
            let what = format!("{timestamp} in version {version}");
            if version < since {
                assert_eq!(
                    listed.error_code,
                    code(ErrorCode::UnsupportedVersion),
                    "{what}"
                );
                assert_eq!(listed.offset, -1, "{what}");
                continue;
            }
            assert_eq!(listed.error_code, 0, "{what}");
            assert_eq!((listed.offset, listed.timestamp), expected, "{what}");
            let has_epoch = version >= 4 && timestamp != LATEST_TIERED;
            assert_eq!(listed.leader_epoch >= 0, has_epoch, "{what}");
        }
    }
}

#[test]
fn an_empty_log_has_offsets_too() {
    let broker = TestBroker::start(&[]);
    let mut wire = broker.connect();
    let topic = create(&mut wire, "t", 1, &[]);
    for (timestamp, offset) in [
        (LATEST, 0),
        (EARLIEST, 0),
        (MAX_TIMESTAMP, -1),
        (EARLIEST_LOCAL, 0),
        (LATEST_TIERED, -1),
        (0, -1),
        (now(), -1),
    ] {
        assert_eq!(ask(&mut wire, &topic, timestamp), (offset, -1));
    }
}

#[test]
fn a_time_finds_the_first_record_that_is_not_earlier() {
    let mut broker = TestBroker::start(&[]);
    let mut wire = broker.connect();
    let topic = create(&mut wire, "t", 1, &[]);
    let start = now() - 1_000_000;
    // Times within batches and over them go up and down; a batch for each codec.
    let batches: [&[i64]; 6] = [
        &[0, 10, 20],
        &[30, 25, 50],
        &[40],
        &[60, 60],
        &[55, 70],
        &[70],
    ];
    let mut stored = Vec::new();
    for (times, codec) in batches.into_iter().zip(Codec::ALL.into_iter().cycle()) {
        let times: Vec<_> = times.iter().map(|time| start + time).collect();
        produce(&mut wire, &topic, 0, &timed(&times, codec));
        stored.extend(times);
    }
    let check = |wire: &mut Wire| {
        for time in start - 1..=start + 71 {
            let first = stored.iter().position(|&stored| stored >= time);
            let expected = first.map_or((-1, -1), |at| (at as i64, stored[at]));
            let found = ask(wire, &topic, time);
            assert_eq!(found, expected, "{} ms after the start", time - start);
        }
        // The first of the latest ones.
        assert_eq!(ask(wire, &topic, MAX_TIMESTAMP), (10, start + 70));
        assert_eq!(ask(wire, &topic, i64::MAX), (-1, -1));
        assert_eq!(ask(wire, &topic, 0), (0, start));
    };
    check(&mut wire);
    drop(wire);
    broker.restart(&[]);
    check(&mut broker.connect());
}

#[test]
fn times_are_found_in_every_segment() {
    let broker = TestBroker::start(&["shard.tail.cache.bytes=65536"]);
    let mut wire = broker.connect();
    let topic = create(&mut wire, "t", 1, &[("segment.bytes", "1048576")]);
    let start = now() - 1_000_000;
    let count = 40;
    for index in 0..count {
        // Large by their number: 64 KiB a batch, so that there are several segments.
        let times = vec![start + index * 10; 2500];
        produce(&mut wire, &topic, 0, &timed(&times, Codec::None));
    }
    for index in 0..count {
        let expected = (index * 2500, start + index * 10);
        assert_eq!(ask(&mut wire, &topic, start + index * 10), expected);
        assert_eq!(ask(&mut wire, &topic, start + index * 10 - 3), expected);
    }
    let last = ((count - 1) * 2500, start + (count - 1) * 10);
    assert_eq!(ask(&mut wire, &topic, MAX_TIMESTAMP), last);
}

#[test]
fn a_partition_that_is_named_twice_is_refused_once() {
    let broker = TestBroker::start(&[]);
    let mut wire = broker.connect();
    create(&mut wire, "t", 2, &[]);
    let ask = |partition: i32, timestamp: i64| {
        ListOffsetsPartition::default()
            .with_partition_index(partition)
            .with_timestamp(timestamp)
    };
    // What is wrong with them otherwise does not matter.
    let partitions = vec![
        ask(0, LATEST),
        ask(1, LATEST),
        ask(0, -99),
        ask(7, 0),
        ask(7, 0),
    ];
    let topic = ListOffsetsTopic::default()
        .with_name(topic_name("t"))
        .with_partitions(partitions);
    let request = ListOffsetsRequest::default()
        .with_replica_id(CONSUMER)
        .with_topics(vec![topic]);
    let refused = code(ErrorCode::InvalidRequest);
    for version in versions(ApiKey::ListOffsets) {
        let response = wire.call(version, &request);
        let answers = response.topics[0].partitions.iter();
        let answers: Vec<_> = answers.map(|a| (a.error_code, a.offset)).collect();
        let expected = [(refused, -1), (0, 0), (refused, -1)];
        assert_eq!(answers, expected, "version {version}");
    }
}

#[test]
fn readers_of_every_isolation_find_the_same_end() {
    let broker = TestBroker::start(&[]);
    let mut wire = broker.connect();
    let topic = create(&mut wire, "t", 1, &[]);
    let time = now() - 1000;
    produce(&mut wire, &topic, 0, &timed(&[time, time + 1], Codec::None));
    // Uncommitted, committed; and whoever comes with a replica id sees all of the log.
    for (replica_id, isolation_level) in [(-1, 0), (-1, 1), (-2, 0), (7, 0)] {
        for (timestamp, offset) in [
            (LATEST, 2),
            (EARLIEST, 0),
            (MAX_TIMESTAMP, 1),
            (time + 1, 1),
        ] {
            let partition = ListOffsetsPartition::default().with_timestamp(timestamp);
            let topic = ListOffsetsTopic::default()
                .with_name(topic_name("t"))
                .with_partitions(vec![partition]);
            let request = ListOffsetsRequest::default()
                .with_replica_id(replica_id.into())
                .with_isolation_level(isolation_level)
                .with_topics(vec![topic]);
            let response = wire.call(LIST_OFFSETS_VERSION, &request);
            let answer = &response.topics[0].partitions[0];
            assert_eq!((answer.error_code, answer.offset), (0, offset));
        }
    }
}

#[test]
fn each_partition_has_its_own_answer_or_error() {
    let broker = TestBroker::start(&[]);
    let mut wire = broker.connect();
    let topic = create(&mut wire, "t", 4, &[]);
    for partition in 0..4 {
        for _ in 0..partition {
            produce(&mut wire, &topic, partition, &batch(&["x"]));
        }
    }
    for version in versions(ApiKey::ListOffsets) {
        let asked = [
            (0, LATEST),
            (1, -99),
            (2, EARLIEST),
            (3, LATEST),
            (4, LATEST),
        ];
        let partitions = asked.map(|(partition, timestamp)| {
            let mut asked = ListOffsetsPartition::default();
            asked.partition_index = partition;
            asked.timestamp = timestamp;
            if version >= 4 && partition == 2 {
                asked.current_leader_epoch = 1000;
            }
            asked
        });
        let of = |name: &str, partitions: Vec<ListOffsetsPartition>| {
            ListOffsetsTopic::default()
                .with_name(topic_name(name))
                .with_partitions(partitions)
        };
        let one = vec![partitions[0].clone()];
        let topics = vec![of("t", partitions.to_vec()), of("no-such-topic", one)];
        let response = wire.call(version, &ListOffsetsRequest::default().with_topics(topics));
        let answers = response.topics.iter().flat_map(|topic| &topic.partitions);
        let answers: Vec<_> = answers.map(|a| (a.error_code, a.offset)).collect();
        let fenced = code(ErrorCode::UnknownLeaderEpoch);
        let third = if version >= 4 { (fenced, -1) } else { (0, 0) };
        let expected = [(0, 0), (35, -1), third, (0, 3), (3, -1), (3, -1)];
        assert_eq!(answers, expected, "version {version}");
    }
}

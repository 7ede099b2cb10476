//! DeleteRecords: what is deleted is gone for readers, and stays gone.

use kafka_protocol::messages::DeleteRecordsRequest;
use kafka_protocol::messages::delete_records_request::{
    DeleteRecordsPartition, DeleteRecordsTopic,
};
use ringlog::batch::Codec;
use ringlog::protocol::ApiKey;
use ringlog::types::ErrorCode;

use crate::broker::{TestBroker, directory};
use crate::eventually;
use crate::process::BrokerProcess;
use crate::records::{batch, now, timed};
use crate::topics::{
    FETCH_VERSION, FetchOptions, Topic, code, create, delete_records_in, end_offset, fetch_in,
    list_offset_in, produce, read_from, records_of, start_offset, topic_name, versions,
};
use crate::wire::Wire;

const VERSION: i16 = 2;

/// Of a request: all that may be read.
const HIGH_WATERMARK: i64 = -1;

fn delete(wire: &mut Wire, topic: &Topic, before: i64) -> (i16, i64) {
    delete_records_in(wire, VERSION, &topic.name, 0, before)
}

fn produce_each(wire: &mut Wire, topic: &Topic, values: std::ops::Range<i32>) {
    for value in values {
        produce(wire, topic, 0, &batch(&[value.to_string()]));
    }
}

fn values_from(wire: &mut Wire, topic: &Topic, offset: i64) -> Vec<String> {
    let records = read_from(wire, topic, 0, offset);
    records.into_iter().map(|record| record.value).collect()
}

#[test]
fn readers_find_a_later_start() {
    let broker = TestBroker::start(&[]);
    let mut wire = broker.connect();
    for version in versions(ApiKey::DeleteRecords) {
        let topic = create(&mut wire, &format!("t{version}"), 1, &[]);
        produce_each(&mut wire, &topic, 0..10);
        let delete =
            |wire: &mut Wire, before| delete_records_in(wire, version, &topic.name, 0, before);
        assert_eq!(delete(&mut wire, 4), (0, 4));
        assert_eq!(start_offset(&mut wire, &topic, 0), 4);
        assert_eq!(
            values_from(&mut wire, &topic, 4),
            ["4", "5", "6", "7", "8", "9"]
        );
        for offset in 0..4 {
            let options = FetchOptions::default();
            let below = fetch_in(&mut wire, FETCH_VERSION, &topic, (0, offset), options);
            assert_eq!(below.error_code, code(ErrorCode::OffsetOutOfRange));
            assert!(records_of(&below).is_empty());
        }
        let there = fetch_in(
            &mut wire,
            FETCH_VERSION,
            &topic,
            (0, 4),
            FetchOptions::default(),
        );
        assert_eq!((there.log_start_offset, there.high_watermark), (4, 10));
        // What is deleted already, what is not there, what is negative.
        assert_eq!(delete(&mut wire, 2), (0, 4));
        let out_of_range = (code(ErrorCode::OffsetOutOfRange), -1);
        for before in [11, i64::MAX, -2, i64::MIN] {
            assert_eq!(delete(&mut wire, before), out_of_range, "{before}");
        }
        assert_eq!(start_offset(&mut wire, &topic, 0), 4);
        // Everything, and the log goes on.
        assert_eq!(delete(&mut wire, HIGH_WATERMARK), (0, 10));
        assert_eq!(end_offset(&mut wire, &topic, 0), 10);
        assert!(values_from(&mut wire, &topic, 10).is_empty());
        produce_each(&mut wire, &topic, 10..12);
        assert_eq!(values_from(&mut wire, &topic, 10), ["10", "11"]);
    }
}

#[test]
fn each_partition_has_its_own_answer() {
    let broker = TestBroker::start(&[]);
    let mut wire = broker.connect();
    let topic = create(&mut wire, "t", 3, &[]);
    let kept = create(&mut wire, "kept", 1, &[("cleanup.policy", "compact")]);
    let both = create(
        &mut wire,
        "both",
        1,
        &[("cleanup.policy", "compact,delete")],
    );
    create(&mut wire, "__consumer_offsets", 1, &[]);
    for partition in 0..3 {
        produce(&mut wire, &topic, partition, &batch(&["a", "b"]));
    }
    let of = |name: &str, partitions: &[(i32, i64)]| {
        let partitions = partitions.iter().map(|&(index, offset)| {
            DeleteRecordsPartition::default()
                .with_partition_index(index)
                .with_offset(offset)
        });
        DeleteRecordsTopic::default()
            .with_name(topic_name(name))
            .with_partitions(partitions.collect())
    };
    let request = DeleteRecordsRequest::default().with_topics(vec![
        // Of one that is named twice the last counts.
        of("t", &[(0, 1), (1, 9), (2, 1), (7, 0), (-1, 0), (2, 2)]),
        of("no-such-topic", &[(0, 0)]),
        of(&kept.name, &[(0, 0)]),
        of(&both.name, &[(0, 0)]),
        of("__consumer_offsets", &[(0, 0)]),
    ]);
    for version in versions(ApiKey::DeleteRecords) {
        let response = wire.call(version, &request);
        let answers = response.topics.iter().flat_map(|topic| {
            let name = topic.name.0.to_string();
            let of_topic = topic.partitions.iter().map(move |one| {
                let text = format!("{name} {}", one.partition_index);
                (text, one.error_code, one.low_watermark)
            });
            of_topic.collect::<Vec<_>>()
        });
        let mut answers: Vec<_> = answers.collect();
        answers.sort();
        let unknown = code(ErrorCode::UnknownTopicOrPartition);
        let expected = [
            (
                "__consumer_offsets 0",
                code(ErrorCode::InvalidTopicException),
                -1,
            ),
            ("both 0", 0, 0),
            ("kept 0", code(ErrorCode::PolicyViolation), -1),
            ("no-such-topic 0", unknown, -1),
            ("t -1", unknown, -1),
            ("t 0", 0, 1),
            ("t 1", code(ErrorCode::OffsetOutOfRange), -1),
            ("t 2", 0, 2),
            ("t 7", unknown, -1),
        ];
        let expected = expected.map(|(text, error, low)| (text.to_owned(), error, low));
        assert_eq!(answers, expected, "version {version}");
    }
}

#[test]
fn a_start_within_a_batch_hides_its_first_records() {
    let broker = TestBroker::start(&[]);
    let mut wire = broker.connect();
    let topic = create(&mut wire, "t", 1, &[]);
    let time = now() - 10_000;
    produce(
        &mut wire,
        &topic,
        0,
        &timed(&[time, time + 1, time + 2], Codec::Lz4),
    );
    assert_eq!(delete(&mut wire, &topic, 2), (0, 2));
    assert_eq!(start_offset(&mut wire, &topic, 0), 2);
    // The batch is whole: clients leave out what they did not ask for.
    let data = fetch_in(
        &mut wire,
        FETCH_VERSION,
        &topic,
        (0, 2),
        FetchOptions::default(),
    );
    let offsets: Vec<_> = records_of(&data)
        .iter()
        .map(|record| record.offset)
        .collect();
    assert_eq!(offsets, [0, 1, 2]);
    let below = fetch_in(
        &mut wire,
        FETCH_VERSION,
        &topic,
        (0, 1),
        FetchOptions::default(),
    );
    assert_eq!(below.error_code, code(ErrorCode::OffsetOutOfRange));
    let found = list_offset_in(&mut wire, 10, &topic, 0, time);
    assert_eq!((found.offset, found.timestamp), (2, time + 2));
}

#[test]
fn the_latest_record_is_one_that_is_there() {
    let broker = TestBroker::start(&[]);
    let mut wire = broker.connect();
    let topic = create(&mut wire, "t", 1, &[]);
    let time = now() - 10_000;
    for times in [[90, 10], [50, 70], [70, 60]] {
        let times = times.map(|ms| time + ms);
        produce(&mut wire, &topic, 0, &timed(&times, Codec::Snappy));
    }
    let latest = [90, 70, 70, 70, 70, 60];
    for (before, latest) in latest.into_iter().enumerate() {
        assert_eq!(delete(&mut wire, &topic, before as i64), (0, before as i64));
        let found = list_offset_in(&mut wire, 10, &topic, 0, -3);
        assert_eq!(found.timestamp, time + latest, "from {before} on");
        let offset = [0, 3, 3, 3, 4, 5][before];
        assert_eq!(found.offset, offset, "from {before} on");
    }
    assert_eq!(delete(&mut wire, &topic, HIGH_WATERMARK), (0, 6));
    let found = list_offset_in(&mut wire, 10, &topic, 0, -3);
    assert_eq!(
        (found.error_code, found.offset, found.timestamp),
        (0, -1, -1)
    );
}

#[test]
fn files_below_the_start_go() {
    let eager = "log.retention.check.interval.ms=20";
    let broker = TestBroker::start(&[eager]);
    let mut wire = broker.connect();
    let configs = [("file.delete.delay.ms", "0"), ("flush.before.ack", "false")];
    let topic = create(&mut wire, "t", 1, &configs);
    // A segment each.
    for index in 0..6 {
        let value = format!("{index} {}", "x".repeat(600_000));
        produce(&mut wire, &topic, 0, &batch(&[value]));
    }
    assert_eq!(delete(&mut wire, &topic, 4), (0, 4));
    eventually("four segments go", || {
        let entries = std::fs::read_dir(broker.directory().join("t-0")).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let logs: Vec<_> = names.filter(|name| name.ends_with(".log")).collect();
        (logs.len() == 2).then_some(())
    });
    let file = broker.directory().join("log-start-offset-checkpoint");
    let starts = std::fs::read_to_string(file).unwrap();
    assert!(starts.contains("t 0 4"), "{starts}");
    assert_eq!(read_from(&mut wire, &topic, 0, 4).len(), 2);
}

#[test]
fn what_was_deleted_does_not_come_back() {
    let directory = directory();
    let mut broker = BrokerProcess::start(directory.path(), &[]);
    let mut wire = broker.connect();
    let safe = create(&mut wire, "safe", 1, &[]);
    let fast = create(&mut wire, "fast", 1, &[("flush.before.ack", "false")]);
    for topic in [&safe, &fast] {
        produce_each(&mut wire, topic, 0..20);
        assert_eq!(delete(&mut wire, topic, 7), (0, 7));
    }
    let mut start = 7;
    for round in 0..3 {
        // The answer is all that the client has waited for.
        broker.kill();
        broker = BrokerProcess::start(directory.path(), &[]);
        wire = broker.connect();
        for topic in [&safe, &fast] {
            assert_eq!(start_offset(&mut wire, topic, 0), start, "{}", topic.name);
            let options = FetchOptions::default();
            let below = fetch_in(&mut wire, FETCH_VERSION, topic, (0, start - 1), options);
            assert_eq!(below.error_code, code(ErrorCode::OffsetOutOfRange));
            let kept = values_from(&mut wire, topic, start);
            let expected: Vec<_> = (start..20 + round).map(|value| value.to_string()).collect();
            assert_eq!(kept, expected);
            let next = 20 + round as i32;
            produce_each(&mut wire, topic, next..next + 1);
            assert_eq!(delete(&mut wire, topic, start + 3), (0, start + 3));
        }
        start += 3;
    }
}

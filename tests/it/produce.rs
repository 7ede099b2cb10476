//! Produce, where it succeeds: every version, codec, acks, and who sets the time.

use ringlog::batch::{BatchOptions, Codec};
use ringlog::protocol::ApiKey;
use ringlog::types::ErrorCode;

use crate::broker::TestBroker;
use crate::eventually;
use crate::records::{batch, changed, compressed, now, of_values, timed};
use crate::topics::{
    ACKS_ALL, PRODUCE_VERSION, Topic, code, create, end_offset, produce, produce_in,
    produce_request, read_from, values, versions,
};
use crate::wire::{Outcome, Wire};

#[test]
fn every_version_and_acks_stores_what_was_sent() {
    let broker = TestBroker::start(&[]);
    let mut wire = broker.connect();
    let topic = create(&mut wire, "t", 1, &[]);
    let mut sent = Vec::new();
    for version in versions(ApiKey::Produce) {
        for acks in [1, ACKS_ALL] {
            let both = [format!("{version} {acks} a"), format!("{version} {acks} b")];
            let answer = produce_in(&mut wire, version, acks, &topic, 0, &batch(&both));
            assert_eq!((answer.index, answer.error_code), (0, 0));
            assert_eq!(answer.base_offset, sent.len() as i64);
            assert_eq!(answer.log_append_time_ms, -1);
            assert!(version < 5 || answer.log_start_offset == 0);
            sent.extend(both);
        }
    }
    assert_eq!(values(&mut wire, &topic, 0), sent);
}

#[test]
fn every_codec_comes_back_as_it_was_sent() {
    let broker = TestBroker::start(&[]);
    let mut wire = broker.connect();
    let topic = create(&mut wire, "t", 1, &[]);
    let mut sent = Vec::new();
    for codec in Codec::ALL {
        let some: Vec<String> = (0..200).map(|n| format!("{codec:?} {n}")).collect();
        produce(&mut wire, &topic, 0, &compressed(&some, codec));
        sent.extend(some);
    }
    assert_eq!(values(&mut wire, &topic, 0), sent);
}

/// Sends with acks=0.
fn throw(wire: &mut Wire, version: i16, topic: &Topic, records: &bytes::Bytes) {
    let request = produce_request(version, 0, topic, 0, Some(records.clone()));
    let (frame, _unanswered) = wire.frame(version, &request);
    wire.write(&frame);
}

#[test]
fn acks_0_stores_and_answers_nothing() {
    let broker = TestBroker::start(&[]);
    let mut wire = broker.connect();
    let topic = create(&mut wire, "t", 1, &[]);
    for version in versions(ApiKey::Produce) {
        throw(&mut wire, version, &topic, &batch(&["thrown"]));
        // The next answer in this connection is the next request's.
        let asked = produce_in(&mut wire, version, ACKS_ALL, &topic, 0, &batch(&["asked"]));
        assert_eq!(asked.error_code, 0);
    }
    let stored = values(&mut wire, &topic, 0);
    let versions = versions(ApiKey::Produce).count();
    assert_eq!(stored, ["thrown", "asked"].repeat(versions));
}

#[test]
fn an_error_with_acks_0_closes_the_connection() {
    let broker = TestBroker::start(&[]);
    let mut other = broker.connect();
    let topic = create(&mut other, "t", 1, &[]);
    let broken = changed(&batch(&["x"]), |batch| batch[16] = 1);
    for version in versions(ApiKey::Produce) {
        let cases = [
            (Topic::unknown(), batch(&["x"])),
            (topic.clone(), broken.clone()),
        ];
        for (topic, records) in cases {
            let mut wire = broker.connect();
            throw(&mut wire, version, &topic, &records);
            assert_eq!(wire.read(), Outcome::Closed, "version {version}");
        }
    }
    assert_eq!(end_offset(&mut other, &topic, 0), 0);
}

#[test]
fn acks_0_before_an_error_is_stored() {
    let broker = TestBroker::start(&[]);
    let mut wire = broker.connect();
    let topic = create(&mut wire, "t", 1, &[]);
    throw(&mut wire, PRODUCE_VERSION, &topic, &batch(&["good"]));
    throw(
        &mut wire,
        PRODUCE_VERSION,
        &Topic::unknown(),
        &batch(&["bad"]),
    );
    assert_eq!(wire.read(), Outcome::Closed);
    let mut wire = broker.connect();
    eventually("the record is there", || {
        (end_offset(&mut wire, &topic, 0) == 1).then_some(())
    });
    assert_eq!(values(&mut wire, &topic, 0), ["good"]);
}

#[test]
fn the_broker_stamps_the_time_where_the_topic_says_so() {
    let broker = TestBroker::start(&[]);
    let mut wire = broker.connect();
    let configs = [("message.timestamp.type", "LogAppendTime")];
    let topic = create(&mut wire, "t", 1, &configs);
    let before = now();
    for codec in Codec::ALL {
        // What the producer says does not matter, not even the far future.
        let records = timed(&[1, before + 7 * 86_400_000], codec);
        let answer = produce_in(&mut wire, PRODUCE_VERSION, ACKS_ALL, &topic, 0, &records);
        assert_eq!(answer.error_code, 0);
        let stamped = answer.log_append_time_ms;
        assert!((before..=now()).contains(&stamped), "{stamped} is not now");
        let stored = read_from(&mut wire, &topic, 0, answer.base_offset);
        let timestamps = stored.iter().map(|record| record.timestamp);
        assert!(timestamps.eq([stamped; 2]), "{codec:?}");
    }
    // A producer may not claim the type itself.
    let options = BatchOptions {
        log_append_time: Some(before),
        ..BatchOptions::default()
    };
    let claimed = of_values(options, &["x"]);
    let answer = produce_in(&mut wire, PRODUCE_VERSION, ACKS_ALL, &topic, 0, &claimed);
    assert!(answer.error_code != 0);
}

#[test]
fn times_are_held_against_the_topics_limits() {
    let broker = TestBroker::start(&[]);
    let mut wire = broker.connect();
    let configs = [
        ("message.timestamp.before.max.ms", "3600000"),
        ("message.timestamp.after.max.ms", "3600000"),
    ];
    let topic = create(&mut wire, "t", 1, &configs);
    let hour = 3_600_000;
    let invalid = code(ErrorCode::InvalidTimestamp);
    let times = [
        (now(), 0),
        (now() - hour / 2, 0),
        (now() + hour / 2, 0),
        (now() - 2 * hour, invalid),
        (now() + 2 * hour, invalid),
    ];
    for (time, expected) in times {
        for codec in Codec::ALL {
            // One record is enough to refuse the batch.
            let records = timed(&[now(), time], codec);
            let answer = produce_in(&mut wire, PRODUCE_VERSION, ACKS_ALL, &topic, 0, &records);
            assert_eq!(answer.error_code, expected, "{} ms from now", time - now());
        }
    }
    assert_eq!(end_offset(&mut wire, &topic, 0), 3 * 5 * 2);
}

#[test]
fn a_request_for_several_partitions_is_answered_for_each() {
    let broker = TestBroker::start(&[]);
    let mut wire = broker.connect();
    let topic = create(&mut wire, "t", 6, &[]);
    for version in versions(ApiKey::Produce) {
        let mut request = produce_request(version, ACKS_ALL, &topic, 0, None);
        request.topic_data[0].partition_data = (0..8)
            .map(|partition| {
                let mut one = produce_request(version, ACKS_ALL, &topic, partition, None);
                let records = match partition {
                    4 => changed(&batch(&["x"]), |batch| batch[16] = 0),
                    _ => batch(&[format!("{version} {partition}")]),
                };
                let mut data = one.topic_data.remove(0).partition_data.remove(0);
                data.records = Some(records);
                data
            })
            .collect();
        let response = wire.call(version, &request);
        let answers = &response.responses[0].partition_responses;
        let answers: Vec<_> = answers.iter().map(|a| (a.index, a.error_code)).collect();
        let expected = [
            (0, 0),
            (1, 0),
            (2, 0),
            (3, 0),
            (4, 87),
            (5, 0),
            (6, 3),
            (7, 3),
        ];
        assert_eq!(answers, expected, "version {version}");
    }
    let all = |partition| {
        let all = versions(ApiKey::Produce).map(move |version| format!("{version} {partition}"));
        all.collect::<Vec<_>>()
    };
    for partition in [0, 1, 2, 3, 5] {
        assert_eq!(values(&mut wire, &topic, partition), all(partition));
    }
    assert_eq!(end_offset(&mut wire, &topic, 4), 0);
}

//! Fetch, where it waits: for bytes, from whatever connection and shard, or for its time.

use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::{DeleteTopicsRequest, FetchRequest};

use crate::broker::TestBroker;
use crate::records::batch;
use crate::topics::{
    FETCH_VERSION, FetchOptions, LONG_WAIT_MS, Topic, create, end_offset, fetch_request,
    partitions_of, produce, records_of, topic_name,
};
use crate::wire::{Sent, Wire};

/// Round trips in another connection that give a fetch the time to begin its wait. No test's
/// outcome depends on whether it did.
const ROUND_TRIPS: usize = 5;

fn send_waiting(
    wire: &mut Wire,
    version: i16,
    topic: &Topic,
    partitions: &[(i32, i64)],
    min_bytes: i32,
) -> Sent<FetchRequest> {
    let options = FetchOptions {
        max_wait_ms: LONG_WAIT_MS,
        min_bytes,
        ..FetchOptions::default()
    };
    wire.send(version, &fetch_request(version, topic, partitions, options))
}

fn let_it_wait(other: &mut Wire, topic: &Topic) {
    for _ in 0..ROUND_TRIPS {
        end_offset(other, topic, 0);
    }
}

fn all_values(wire: &mut Wire, sent: Sent<FetchRequest>) -> Vec<String> {
    let partitions = partitions_of(wire.receive(sent));
    let records = partitions.iter().flat_map(records_of);
    records.map(|record| record.value).collect()
}

#[test]
fn an_append_through_another_connection_wakes_a_fetch() {
    let broker = TestBroker::start(&[]);
    // One on each shard, at least.
    let mut readers = [broker.connect(), broker.connect(), broker.connect()];
    let mut writer = broker.connect();
    let topic = create(&mut writer, "t", 4, &[]);
    for (round, version) in (0..2i64).flat_map(|round| [(round, 12), (round, FETCH_VERSION)]) {
        let before = 2 * round + i64::from(version == FETCH_VERSION);
        for partition in 0..4 {
            let sent = readers
                .each_mut()
                .map(|reader| send_waiting(reader, version, &topic, &[(partition, before)], 1));
            let_it_wait(&mut writer, &topic);
            for reader in &mut readers {
                assert!(!reader.has_answer(), "there was nothing to answer");
            }
            let value = format!("{partition} {before}");
            let offset = produce(&mut writer, &topic, partition, &batch(&[&value]));
            assert_eq!(offset, before);
            for (reader, sent) in readers.iter_mut().zip(sent) {
                assert_eq!(all_values(reader, sent), [value.as_str()]);
            }
        }
    }
}

#[test]
fn a_fetch_of_all_partitions_is_woken_by_any() {
    let broker = TestBroker::start(&[]);
    let mut reader = broker.connect();
    let mut writer = broker.connect();
    let topic = create(&mut writer, "t", 8, &[]);
    let mut offsets: Vec<(i32, i64)> = (0..8).map(|partition| (partition, 0)).collect();
    for round in 0..3 {
        for partition in 0..8 {
            let sent = send_waiting(&mut reader, FETCH_VERSION, &topic, &offsets, 1);
            let_it_wait(&mut writer, &topic);
            let value = format!("{round} {partition}");
            produce(&mut writer, &topic, partition, &batch(&[&value]));
            assert_eq!(all_values(&mut reader, sent), [value]);
            offsets[partition as usize].1 += 1;
        }
    }
}

#[test]
fn an_append_that_meets_the_fetch_on_its_way_is_not_missed() {
    let broker = TestBroker::start(&[]);
    let mut reader = broker.connect();
    let mut writer = broker.connect();
    let topic = create(&mut writer, "t", 2, &[]);
    for index in 0..100 {
        let partition = index % 2;
        let offset = i64::from(index / 2);
        let sent = send_waiting(
            &mut reader,
            FETCH_VERSION,
            &topic,
            &[(partition, offset)],
            1,
        );
        let value = index.to_string();
        produce(&mut writer, &topic, partition, &batch(&[&value]));
        assert_eq!(all_values(&mut reader, sent), [value]);
    }
}

#[test]
fn min_bytes_are_added_up_over_partitions_and_appends() {
    let broker = TestBroker::start(&[]);
    let mut reader = broker.connect();
    let mut writer = broker.connect();
    let topic = create(&mut writer, "t", 4, &[]);
    let one = batch(&["x".repeat(100)]);
    let count = 6;
    let offsets: Vec<(i32, i64)> = (0..4).map(|partition| (partition, 0)).collect();
    let min_bytes = one.len() as i32 * count;
    let sent = send_waiting(&mut reader, FETCH_VERSION, &topic, &offsets, min_bytes);
    for index in 0..count {
        let_it_wait(&mut writer, &topic);
        assert!(
            !reader.has_answer(),
            "answered with {index} of {count} batches"
        );
        produce(&mut writer, &topic, index % 4, &one);
    }
    assert_eq!(all_values(&mut reader, sent).len(), count as usize);
}

#[test]
fn a_fetch_that_waits_in_vain_is_answered_with_what_there_is() {
    let broker = TestBroker::start(&[]);
    let mut wire = broker.connect();
    let topic = create(&mut wire, "t", 2, &[]);
    produce(&mut wire, &topic, 0, &batch(&["too little"]));
    for version in [4, 12, FETCH_VERSION] {
        for max_wait_ms in [0, 1, 50] {
            let options = FetchOptions {
                max_wait_ms,
                min_bytes: 1 << 20,
                ..FetchOptions::default()
            };
            let request = fetch_request(version, &topic, &[(0, 0), (1, 0)], options);
            let sent = wire.send(version, &request);
            assert_eq!(all_values(&mut wire, sent), ["too little"]);
        }
    }
    // Nothing to wait for: no bytes wanted, or no partitions asked for.
    let options = FetchOptions {
        max_wait_ms: LONG_WAIT_MS,
        min_bytes: 0,
        ..FetchOptions::default()
    };
    let request = fetch_request(FETCH_VERSION, &topic, &[(1, 0)], options);
    let sent = wire.send(FETCH_VERSION, &request);
    assert!(all_values(&mut wire, sent).is_empty());
}

#[test]
fn deleting_its_topic_ends_the_wait_of_a_fetch() {
    let broker = TestBroker::start(&[]);
    let mut readers = [broker.connect(), broker.connect()];
    let mut other = broker.connect();
    for version in [4, 12, FETCH_VERSION] {
        let name = format!("doomed-{version}");
        let topic = create(&mut other, &name, 2, &[]);
        let partitions = [(0, 0), (1, 0)];
        let sent = readers
            .each_mut()
            .map(|reader| send_waiting(reader, version, &topic, &partitions, 1));
        let_it_wait(&mut other, &topic);
        let state = DeleteTopicState::default().with_name(Some(topic_name(&name)));
        let request = DeleteTopicsRequest::default()
            .with_timeout_ms(30_000)
            .with_topics(vec![state]);
        assert_eq!(other.call(6, &request).responses[0].error_code, 0);
        for (reader, sent) in readers.iter_mut().zip(sent) {
            let answers = partitions_of(reader.receive(sent));
            let errors: Vec<i16> = answers.iter().map(|answer| answer.error_code).collect();
            // Each of them makes a client ask for the metadata.
            let told = errors.iter().any(|error| [3, 6, 100].contains(error));
            assert!(told, "version {version}: {errors:?}");
        }
    }
}

#[test]
fn a_waiting_reader_that_goes_away_harms_nobody() {
    let broker = TestBroker::start(&[]);
    let mut writer = broker.connect();
    let topic = create(&mut writer, "t", 4, &[]);
    for index in 0..20 {
        let mut reader = broker.connect();
        let partitions = [(0, index), (1, index), (2, index), (3, index)];
        let _unread = send_waiting(&mut reader, FETCH_VERSION, &topic, &partitions, 1);
        drop(reader);
        for partition in 0..4 {
            let offset = produce(&mut writer, &topic, partition, &batch(&["x"]));
            assert_eq!(offset, index);
        }
    }
}

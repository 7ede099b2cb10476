//! Incremental fetch sessions (KIP-227), as a client sees them.

use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::fetch_request::ForgottenTopic;
use kafka_protocol::messages::{DeleteTopicsRequest, FetchRequest, FetchResponse};
use ringlog::types::ErrorCode;

use crate::broker::TestBroker;
use crate::records::batch;
use crate::topics::{
    FETCH_VERSION, FetchOptions, Topic, code, create, fetch_request, partitions_of, produce,
    records_of, topic_name,
};
use crate::wire::Wire;

/// The last version that names topics by name, and the first with sessions.
const BY_NAME: i16 = 12;
const FIRST: i16 = 7;

fn opening(version: i16, topic: &Topic, partitions: &[(i32, i64)]) -> FetchRequest {
    fetch_request(version, topic, partitions, FetchOptions::default()).with_session_epoch(0)
}

/// A request within a session that changes these partitions.
fn within(
    version: i16,
    (id, epoch): (i32, i32),
    topic: &Topic,
    partitions: &[(i32, i64)],
) -> FetchRequest {
    let mut request = fetch_request(version, topic, partitions, FetchOptions::default())
        .with_session_id(id)
        .with_session_epoch(epoch);
    if partitions.is_empty() {
        request.topics.clear();
    }
    request
}

/// Opens a session; its id.
fn open(wire: &mut Wire, version: i16, topic: &Topic, partitions: &[(i32, i64)]) -> i32 {
    let response = wire.call(version, &opening(version, topic, partitions));
    assert_eq!(response.error_code, 0);
    assert!(response.session_id > 0, "no session");
    let id = response.session_id;
    assert_eq!(partitions_of(response).len(), partitions.len());
    id
}

/// (partition, error, values) of each partition in an answer.
fn seen(response: FetchResponse) -> Vec<(i32, i16, Vec<String>)> {
    let partitions = partitions_of(response);
    let seen = partitions.iter().map(|data| {
        let values = records_of(data).into_iter().map(|record| record.value);
        (data.partition_index, data.error_code, values.collect())
    });
    seen.collect()
}

fn value(partition: i32, value: &str) -> (i32, i16, Vec<String>) {
    (partition, 0, vec![value.to_owned()])
}

#[test]
fn a_session_answers_only_for_what_has_changed() {
    let broker = TestBroker::start(&[]);
    for version in [FIRST, BY_NAME, FETCH_VERSION] {
        let mut wire = broker.connect();
        let topic = create(&mut wire, &format!("t{version}"), 4, &[]);
        let all = [(0, 0), (1, 0), (2, 0), (3, 0)];
        let id = open(&mut wire, version, &topic, &all);
        let quiet = wire.call(version, &within(version, (id, 1), &topic, &[]));
        assert_eq!(quiet.session_id, id);
        assert!(seen(quiet).is_empty(), "nothing has changed");

        produce(&mut wire, &topic, 2, &batch(&["a"]));
        let one = wire.call(version, &within(version, (id, 2), &topic, &[]));
        assert_eq!(seen(one), [value(2, "a")]);
        // It was not consumed: it comes again, until the client moves on.
        let again = wire.call(version, &within(version, (id, 3), &topic, &[]));
        assert_eq!(seen(again), [value(2, "a")]);
        let moved = wire.call(version, &within(version, (id, 4), &topic, &[(2, 1)]));
        assert!(seen(moved).is_empty());

        // Partitions are forgotten and added; an unknown one is an error each time.
        produce(&mut wire, &topic, 0, &batch(&["b"]));
        produce(&mut wire, &topic, 1, &batch(&["c"]));
        let mut forgets = within(version, (id, 5), &topic, &[(9, 0)]);
        let mut forgotten = ForgottenTopic::default().with_partitions(vec![0]);
        match version {
            FETCH_VERSION => forgotten.topic_id = topic.id,
            _ => forgotten.topic = topic_name(&topic.name),
        }
        forgets.forgotten_topics_data = vec![forgotten];
        let unknown = code(ErrorCode::UnknownTopicOrPartition);
        let left = seen(wire.call(version, &forgets));
        assert_eq!(left, [value(1, "c"), (9, unknown, Vec::new())]);
        let left = seen(wire.call(version, &within(version, (id, 6), &topic, &[(1, 1)])));
        assert_eq!(left, [(9, unknown, Vec::new())]);
    }
}

#[test]
fn every_wrong_session_is_told_what_is_wrong() {
    let broker = TestBroker::start(&[]);
    let mut wire = broker.connect();
    let topic = create(&mut wire, "t", 1, &[]);
    let by_name = open(&mut wire, BY_NAME, &topic, &[(0, 0)]);
    let by_id = open(&mut wire, FETCH_VERSION, &topic, &[(0, 0)]);
    assert_ne!(by_name, by_id);
    for (version, id, epoch, expected) in [
        (FETCH_VERSION, 0, 5, ErrorCode::FetchSessionIdNotFound),
        (FETCH_VERSION, 4711, 1, ErrorCode::FetchSessionIdNotFound),
        (
            FETCH_VERSION,
            i32::MIN,
            1,
            ErrorCode::FetchSessionIdNotFound,
        ),
        (FETCH_VERSION, by_id, 2, ErrorCode::InvalidFetchSessionEpoch),
        (
            FETCH_VERSION,
            by_id,
            -5,
            ErrorCode::InvalidFetchSessionEpoch,
        ),
        (BY_NAME, by_id, 1, ErrorCode::FetchSessionTopicIdError),
        (
            FETCH_VERSION,
            by_name,
            1,
            ErrorCode::FetchSessionTopicIdError,
        ),
    ] {
        let response = wire.call(version, &within(version, (id, epoch), &topic, &[]));
        assert_eq!(response.error_code, code(expected), "{id} {epoch}");
        assert_eq!(response.session_id, 0);
        assert!(response.responses.is_empty());
    }
    // An unknown id in a full request is no error: it would have been closed.
    let mut full = opening(FETCH_VERSION, &topic, &[(0, 0)]);
    full.session_id = 4711;
    let response = wire.call(FETCH_VERSION, &full);
    assert_eq!(response.error_code, 0);
    assert!(response.session_id > 0 && response.session_id != 4711);
    // A closed one is gone.
    let closing = within(FETCH_VERSION, (by_id, -1), &topic, &[(0, 0)]);
    let response = wire.call(FETCH_VERSION, &closing);
    assert_eq!((response.error_code, response.session_id), (0, 0));
    let gone = wire.call(
        FETCH_VERSION,
        &within(FETCH_VERSION, (by_id, 1), &topic, &[]),
    );
    let expected = code(ErrorCode::FetchSessionIdNotFound);
    assert_eq!(gone.error_code, expected);
}

#[test]
fn a_client_that_connects_again_goes_on_with_its_session() {
    let broker = TestBroker::start(&[]);
    let mut wire = broker.connect();
    let topic = create(&mut wire, "t", 2, &[]);
    let id = open(&mut wire, FETCH_VERSION, &topic, &[(0, 0), (1, 0)]);
    drop(wire);
    // With two shards, at least one of these comes to the other one.
    let mut wires: Vec<Wire> = (0..4).map(|_| broker.connect()).collect();
    let mut epoch = 1;
    for round in 0..3 {
        for wire in &mut wires {
            let text = format!("{round} {epoch}");
            let offset = produce(wire, &topic, epoch % 2, &batch(&[&text]));
            let change = [(epoch % 2, offset)];
            let request = within(FETCH_VERSION, (id, epoch), &topic, &change);
            let response = wire.call(FETCH_VERSION, &request);
            assert_eq!((response.error_code, response.session_id), (0, id));
            assert!(seen(response).contains(&value(epoch % 2, &text)));
            epoch += 1;
        }
    }
}

#[test]
fn a_full_cache_makes_no_session_and_serves_all_the_same() {
    for (slots, expected) in [(0, 0), (2, 2)] {
        let setting = format!("max.incremental.fetch.session.cache.slots={slots}");
        let broker = TestBroker::start(&[&setting, "shards=1"]);
        let mut wire = broker.connect();
        let topic = create(&mut wire, "t", 1, &[]);
        produce(&mut wire, &topic, 0, &batch(&["a"]));
        let mut ids = Vec::new();
        for _ in 0..5 {
            let response = wire.call(FETCH_VERSION, &opening(FETCH_VERSION, &topic, &[(0, 0)]));
            ids.push(response.session_id);
            assert_eq!(seen(response), [value(0, "a")]);
        }
        let given = ids.iter().filter(|&&id| id != 0).count();
        assert_eq!(given, expected);
    }
}

#[test]
fn a_waiting_session_is_woken_and_answers_for_that_partition_alone() {
    let broker = TestBroker::start(&[]);
    let mut reader = broker.connect();
    let mut writer = broker.connect();
    let topic = create(&mut writer, "t", 8, &[]);
    let all: Vec<(i32, i64)> = (0..8).map(|partition| (partition, 0)).collect();
    let id = open(&mut reader, FETCH_VERSION, &topic, &all);
    let mut change = Vec::new();
    for partition in 0..8 {
        let epoch = partition + 1;
        let mut request = within(FETCH_VERSION, (id, epoch), &topic, &change);
        request.max_wait_ms = crate::topics::LONG_WAIT_MS;
        let sent = reader.send(FETCH_VERSION, &request);
        produce(&mut writer, &topic, partition, &batch(&["x"]));
        let response = reader.receive(sent);
        assert_eq!(seen(response), [value(partition, "x")]);
        change = vec![(partition, 1)];
    }
}

#[test]
fn a_recreated_topic_is_not_read_through_an_old_session() {
    let broker = TestBroker::start(&[]);
    let mut wire = broker.connect();
    for version in [BY_NAME, FETCH_VERSION] {
        let name = format!("t{version}");
        let old = create(&mut wire, &name, 1, &[]);
        produce(&mut wire, &old, 0, &batch(&["old", "old", "old"]));
        let id = open(&mut wire, version, &old, &[(0, 3)]);
        let states = vec![DeleteTopicState::default().with_name(Some(topic_name(&name)))];
        let request = DeleteTopicsRequest::default().with_timeout_ms(30_000);
        let deleted = wire.call(6, &request.with_topics(states));
        assert_eq!(deleted.responses[0].error_code, 0);
        let new = create(&mut wire, &name, 1, &[]);
        produce(&mut wire, &new, 0, &batch(&["new"]));
        let expected = match version {
            FETCH_VERSION => ErrorCode::UnknownTopicId,
            // The name is the new topic's, and it ends before offset 3.
            _ => ErrorCode::OffsetOutOfRange,
        };
        for epoch in [1, 2] {
            let response = wire.call(version, &within(version, (id, epoch), &old, &[]));
            assert_eq!(seen(response), [(0, code(expected), Vec::new())]);
        }
    }
}

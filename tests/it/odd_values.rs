//! Values of the right type that make no sense, and limits that leave no time: what is answered,
//! and that nothing is done.

use bytes::Bytes;
use kafka_protocol::messages::create_topics_request::CreateTopicsRequest;
use kafka_protocol::messages::delete_topics_request::{DeleteTopicState, DeleteTopicsRequest};
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::{
    CreatePartitionsRequest, ListOffsetsRequest, MetadataRequest, ProducerId,
    create_partitions_request::CreatePartitionsTopic,
};
use ringlog::types::ErrorCode;
use ringlog::types::ErrorCode::{
    CorruptMessage, InvalidRecord, InvalidRequest, OutOfOrderSequenceNumber, RequestTimedOut,
};

use crate::broker::TestBroker;
use crate::records::{batch, changed, sequenced};
use crate::topics::{
    ACKS_ALL, FETCH_VERSION, FetchOptions, PRODUCE_VERSION, Topic, code, create, delete_records_in,
    fetch_request, init_producer_id, new_producer, new_topic, partitions_of, produce, produce_in,
    produce_request, records_of, topic_name,
};
use crate::wire::Wire;

fn partition_count(wire: &mut Wire, name: &str) -> usize {
    let request = MetadataRequest::default()
        .with_topics(None)
        .with_allow_auto_topic_creation(false);
    let topics = wire.call(12, &request).topics;
    let mut named = topics
        .iter()
        .filter(|topic| topic.name.as_ref().is_some_and(|n| n.as_str() == name));
    named.next().map_or(0, |topic| topic.partitions.len())
}

#[test]
fn an_administrator_without_time_gets_nothing_done() {
    let broker = TestBroker::start(&[]);
    let mut wire = broker.connect();
    create(&mut wire, "there", 1, &[]);
    for timeout_ms in [0, -1, i32::MIN] {
        let topics = vec![new_topic("new", 1, &[])];
        let request = CreateTopicsRequest::default()
            .with_topics(topics)
            .with_timeout_ms(timeout_ms);
        let created = wire.call(7, &request).topics.remove(0);
        assert_eq!(created.error_code, code(RequestTimedOut));
        assert_eq!(created.num_partitions, -1);
        let grown = CreatePartitionsTopic::default()
            .with_name(topic_name("there"))
            .with_count(2)
            .with_assignments(None);
        let request = CreatePartitionsRequest::default()
            .with_topics(vec![grown])
            .with_timeout_ms(timeout_ms);
        let grown = wire.call(3, &request).results.remove(0);
        assert_eq!(grown.error_code, code(RequestTimedOut));
        let state = DeleteTopicState::default().with_name(Some(topic_name("there")));
        let request = DeleteTopicsRequest::default()
            .with_topics(vec![state])
            .with_timeout_ms(timeout_ms);
        let deleted = wire.call(6, &request).responses.remove(0);
        assert_eq!(deleted.error_code, code(RequestTimedOut));
    }
    assert_eq!(partition_count(&mut wire, "new"), 0);
    assert_eq!(partition_count(&mut wire, "there"), 1);
}

#[test]
fn a_producer_without_time_is_acknowledged_when_its_record_is_durable() {
    let broker = TestBroker::start(&[]);
    let mut wire = broker.connect();
    let topic = create(&mut wire, "t", 1, &[]);
    let records = Some(batch(&["value"]));
    for (offset, timeout_ms) in (0..).zip([0, -1, 1, 0, 0, 0, 0, 0]) {
        let request = produce_request(PRODUCE_VERSION, ACKS_ALL, &topic, 0, records.clone())
            .with_timeout_ms(timeout_ms);
        let response = wire.call(PRODUCE_VERSION, &request);
        let answer = &response.responses[0].partition_responses[0];
        assert_eq!((answer.error_code, answer.base_offset), (0, offset));
    }
}

fn fetch(
    wire: &mut Wire,
    topic: &Topic,
    change: impl Fn(&mut kafka_protocol::messages::FetchRequest),
) -> kafka_protocol::messages::fetch_response::PartitionData {
    let mut request = fetch_request(FETCH_VERSION, topic, &[(0, 0)], FetchOptions::default());
    // Nobody waits for records of whoever is refused.
    request.max_wait_ms = 60_000;
    request.min_bytes = 1 << 20;
    change(&mut request);
    partitions_of(wire.call(FETCH_VERSION, &request)).remove(0)
}

#[test]
fn a_reader_is_refused_at_once() {
    let broker = TestBroker::start(&[]);
    let mut wire = broker.connect();
    let topic = create(&mut wire, "t", 1, &[]);
    produce(&mut wire, &topic, 0, &batch(&["value"]));
    let refused = code(InvalidRequest);
    let size_below_0 = fetch(&mut wire, &topic, |request| request.max_bytes = -1);
    assert_eq!(size_below_0.error_code, refused);
    let isolation = fetch(&mut wire, &topic, |request| request.isolation_level = 2);
    assert_eq!(isolation.error_code, refused);
    let partition_size = fetch(&mut wire, &topic, |request| {
        request.topics[0].partitions[0].partition_max_bytes = -1;
    });
    assert_eq!(partition_size.error_code, refused);
    assert!(
        partition_size
            .records
            .is_none_or(|records| records.is_empty())
    );
    // Any leader epoch.
    let read = fetch(&mut wire, &topic, |request| {
        request.topics[0].partitions[0].current_leader_epoch = -2;
        request.min_bytes = 1;
    });
    assert_eq!(read.error_code, 0);
    assert_eq!(records_of(&read)[0].value, "value");
}

#[test]
fn offsets_are_listed_for_known_isolation_levels_and_named_partitions() {
    let broker = TestBroker::start(&[]);
    let mut wire = broker.connect();
    create(&mut wire, "t", 1, &[]);
    let partition = ListOffsetsPartition::default().with_timestamp(-1);
    let topic = |partitions| {
        ListOffsetsTopic::default()
            .with_name(topic_name("t"))
            .with_partitions(partitions)
    };
    for (isolation_level, error) in [
        (0, ErrorCode::None),
        (1, ErrorCode::None),
        (2, InvalidRequest),
    ] {
        let request = ListOffsetsRequest::default()
            .with_replica_id((-1).into())
            .with_isolation_level(isolation_level)
            .with_topics(vec![topic(vec![partition.clone()])]);
        let listed = wire.call(6, &request).topics.remove(0).partitions.remove(0);
        assert_eq!(listed.error_code, code(error), "{isolation_level}");
    }
    let request = ListOffsetsRequest::default()
        .with_replica_id((-1).into())
        .with_topics(vec![topic(Vec::new())]);
    assert!(wire.call(6, &request).topics.is_empty());
}

#[test]
fn a_producer_has_an_id_and_an_epoch_or_neither() {
    let broker = TestBroker::start(&[]);
    let mut wire = broker.connect();
    for (id, epoch) in [(5, -1), (-1, 1)] {
        let request = init_producer_id(60_000)
            .with_producer_id(ProducerId(id))
            .with_producer_epoch(epoch);
        let answer = wire.call(4, &request);
        assert_eq!(answer.error_code, code(InvalidRequest));
        assert_eq!((answer.producer_id.0, answer.producer_epoch), (-1, -1));
    }
}

#[test]
fn a_batch_that_its_leader_refuses_is_told_where_the_log_starts() {
    let broker = TestBroker::start(&[]);
    let mut wire = broker.connect();
    let topic = create(&mut wire, "t", 1, &[]);
    let producer = new_producer(&mut wire);
    produce(
        &mut wire,
        &topic,
        0,
        &sequenced(producer, 0, &["a", "b", "c"]),
    );
    assert_eq!(delete_records_in(&mut wire, 2, "t", 0, 2), (0, 2));
    let mut outcome = |records: &Bytes| {
        let answer = produce_in(&mut wire, PRODUCE_VERSION, ACKS_ALL, &topic, 0, records);
        (answer.error_code, answer.log_start_offset)
    };
    let gap = sequenced(producer, 9, &["d"]);
    assert_eq!(outcome(&gap), (code(OutOfOrderSequenceNumber), 2));
    // One record, and a count of two: bytes 57 to 60.
    let miscounted = changed(&batch(&["d"]), |bytes| bytes[60] = 2);
    assert_eq!(outcome(&miscounted), (code(InvalidRecord), 2));
    // Found before anybody asks the leader.
    let mut spoilt = batch(&["d"]).to_vec();
    *spoilt.last_mut().unwrap() ^= 1;
    assert_eq!(outcome(&spoilt.into()), (code(CorruptMessage), -1));
    assert_eq!(outcome(&Bytes::new()), (code(InvalidRecord), -1));
}

//! DescribeProducers: the producers that a partition remembers.

use kafka_protocol::messages::DescribeProducersRequest;
use kafka_protocol::messages::describe_producers_request::TopicRequest;
use kafka_protocol::messages::describe_producers_response::{PartitionResponse, ProducerState};
use ringlog::types::ErrorCode;

use crate::broker::TestBroker;
use crate::records::{batch, now, sequenced};
use crate::topics::{code, create, new_producer, produce, topic_name};
use crate::wire::Wire;

fn describe(wire: &mut Wire, topics: &[(&str, &[i32])]) -> Vec<PartitionResponse> {
    let asked = topics.iter().map(|(name, partitions)| {
        TopicRequest::default()
            .with_name(topic_name(name))
            .with_partition_indexes(partitions.to_vec())
    });
    let request = DescribeProducersRequest::default().with_topics(asked.collect());
    let response = wire.call(0, &request);
    let names = response.topics.iter().map(|topic| topic.name.as_str());
    assert!(names.eq(topics.iter().map(|(name, _)| *name)));
    let partitions = response
        .topics
        .into_iter()
        .flat_map(|topic| topic.partitions);
    partitions.collect()
}

fn producers_of(wire: &mut Wire, topic: &str, partition: i32) -> Vec<ProducerState> {
    let mut described = describe(wire, &[(topic, &[partition])]);
    assert_eq!(described.len(), 1);
    let described = described.remove(0);
    assert_eq!((described.error_code, described.error_message), (0, None));
    assert_eq!(described.partition_index, partition);
    described.active_producers
}

#[test]
fn producers_are_described_with_their_last_sequence_and_outlive_a_restart() {
    let mut broker = TestBroker::start(&[]);
    let mut wire = broker.connect();
    let topic = create(
        &mut wire,
        "t",
        2,
        &[("message.timestamp.type", "LogAppendTime")],
    );
    produce(&mut wire, &topic, 0, &batch(&["of nobody"]));
    assert_eq!(producers_of(&mut wire, "t", 0), []);
    let before = now();
    let producers = [new_producer(&mut wire), new_producer(&mut wire)];
    produce(
        &mut wire,
        &topic,
        0,
        &sequenced(producers[0], 0, &["a", "b"]),
    );
    produce(&mut wire, &topic, 0, &sequenced(producers[0], 2, &["c"]));
    produce(&mut wire, &topic, 0, &sequenced(producers[1], 0, &["d"]));
    let check = |wire: &mut Wire| {
        let described = producers_of(wire, "t", 0);
        assert_eq!(described.len(), 2);
        for ((id, epoch), last_sequence) in producers.into_iter().zip([2, 0]) {
            let mut found = described.iter();
            let found = found
                .find(|state| state.producer_id.0 == id)
                .expect("it is there");
            assert_eq!(found.producer_epoch, i32::from(epoch));
            assert_eq!(found.last_sequence, last_sequence);
            assert!((before..=now()).contains(&found.last_timestamp));
            let (coordinator, transaction) =
                (found.coordinator_epoch, found.current_txn_start_offset);
            assert_eq!((coordinator, transaction), (-1, -1));
        }
        assert_eq!(producers_of(wire, "t", 1), []);
    };
    check(&mut wire);
    drop(wire);
    broker.restart(&[]);
    check(&mut broker.connect());
}

#[test]
fn what_has_no_producers_to_describe() {
    let broker = TestBroker::start(&[]);
    let mut wire = broker.connect();
    create(&mut wire, "t", 1, &[]);
    let asked: &[(&str, &[i32])] = &[("t", &[0, 1, -1, 0]), ("x", &[0, 1]), ("bad name", &[0])];
    let described = describe(&mut wire, asked);
    let told: Vec<_> = described
        .iter()
        .map(|of| {
            (
                of.partition_index,
                of.error_code,
                of.error_message.is_some(),
            )
        })
        .collect();
    let unknown = code(ErrorCode::UnknownTopicOrPartition);
    let expected = [
        (0, 0, false),
        (1, unknown, false),
        (-1, unknown, false),
        (0, code(ErrorCode::InvalidRequest), true),
        (0, unknown, true),
        (1, unknown, true),
        (0, code(ErrorCode::InvalidTopicException), true),
    ];
    assert_eq!(told, expected);
    assert_eq!(describe(&mut wire, &[]), []);
}

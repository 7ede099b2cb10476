//! DescribeTopicPartitions: pages of topics in the order of their names.

use kafka_protocol::messages::describe_topic_partitions_request::{Cursor, TopicRequest};
use kafka_protocol::messages::describe_topic_partitions_response as described;
use kafka_protocol::messages::{
    BrokerId, DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse,
};
use ringlog::types::ErrorCode;
use uuid::Uuid;

use crate::broker::TestBroker;
use crate::topics::{code, create, topic_name};
use crate::wire::Wire;

/// Everything that there is to be done to a topic: bits 3 to 8, 10 and 11.
const ALL_OPERATIONS: i32 = 0b1101_1111_1000;

fn asked(
    names: &[&str],
    limit: i32,
    cursor: Option<(&str, i32)>,
) -> DescribeTopicPartitionsRequest {
    let topics = names
        .iter()
        .map(|name| TopicRequest::default().with_name(topic_name(name)));
    let cursor = cursor.map(|(name, partition)| {
        Cursor::default()
            .with_topic_name(topic_name(name))
            .with_partition_index(partition)
    });
    DescribeTopicPartitionsRequest::default()
        .with_topics(topics.collect())
        .with_response_partition_limit(limit)
        .with_cursor(cursor)
}

fn describe(
    wire: &mut Wire,
    names: &[&str],
    limit: i32,
    cursor: Option<(&str, i32)>,
) -> DescribeTopicPartitionsResponse {
    wire.call(0, &asked(names, limit, cursor))
}

/// Name, error and numbers of partitions of each topic, and where the next page begins.
type Told = (Vec<(String, i16, Vec<i32>)>, Option<(String, i32)>);

fn told(response: &DescribeTopicPartitionsResponse) -> Told {
    let topics = response.topics.iter().map(|topic| {
        let name = topic.name.as_ref().expect("topics have names").to_string();
        let numbers = topic.partitions.iter().map(|p| p.partition_index);
        (name, topic.error_code, numbers.collect())
    });
    let next = response.next_cursor.as_ref();
    let next = next.map(|cursor| (cursor.topic_name.to_string(), cursor.partition_index));
    (topics.collect(), next)
}

fn expected(topics: &[(&str, i16, &[i32])], next: Option<(&str, i32)>) -> Told {
    let topics = topics.iter();
    let topics =
        topics.map(|(name, error, numbers)| ((*name).to_owned(), *error, numbers.to_vec()));
    (
        topics.collect(),
        next.map(|(name, partition)| (name.to_owned(), partition)),
    )
}

#[test]
fn topics_are_described_as_they_are() {
    let broker = TestBroker::start(&["node.id=3"]);
    let mut wire = broker.connect();
    let topic = create(&mut wire, "t", 2, &[]);
    let response = describe(&mut wire, &["t"], 2000, None);
    let [described] = &response.topics[..] else {
        panic!("{response:?}");
    };
    assert_eq!((described.error_code, described.topic_id), (0, topic.id));
    assert!(!described.is_internal);
    assert_eq!(described.topic_authorized_operations, ALL_OPERATIONS);
    for (number, partition) in (0..).zip(&described.partitions) {
        assert_eq!(
            (partition.error_code, partition.partition_index),
            (0, number)
        );
        assert_eq!((partition.leader_id.0, partition.leader_epoch), (3, 0));
        assert_eq!(partition.replica_nodes, [BrokerId(3)]);
        assert_eq!(partition.isr_nodes, [BrokerId(3)]);
        assert_eq!(partition.eligible_leader_replicas, Some(vec![]));
        assert_eq!(partition.last_known_elr, Some(vec![]));
        assert!(partition.offline_replicas.is_empty());
    }
    assert_eq!(described.partitions.len(), 2);
}

#[test]
fn pages_have_a_limit_and_say_where_the_next_begins() {
    let broker = TestBroker::start(&["max.request.partition.size.limit=4"]);
    let mut wire = broker.connect();
    for (name, partitions) in [("b", 3), ("a", 2), ("d", 1)] {
        create(&mut wire, name, partitions, &[]);
    }
    let all: &[(&str, i16, &[i32])] = &[("a", 0, &[0, 1]), ("b", 0, &[0, 1])];
    // The broker's limit counts, and one partition always fits.
    for limit in [4, 5, i32::MAX] {
        let page = describe(&mut wire, &[], limit, None);
        assert_eq!(told(&page), expected(all, Some(("b", 2))), "limit {limit}");
    }
    for limit in [1, 0, -1, i32::MIN] {
        let page = describe(&mut wire, &[], limit, None);
        let one: &[(&str, i16, &[i32])] = &[("a", 0, &[0])];
        assert_eq!(told(&page), expected(one, Some(("a", 1))), "limit {limit}");
    }
    let page = describe(&mut wire, &[], 4, Some(("b", 2)));
    let rest: &[(&str, i16, &[i32])] = &[("b", 0, &[2]), ("d", 0, &[0])];
    assert_eq!(told(&page), expected(rest, None));
    // A topic that is full goes without the next one.
    let page = describe(&mut wire, &["d", "a"], 2, None);
    let first: &[(&str, i16, &[i32])] = &[("a", 0, &[0, 1])];
    assert_eq!(told(&page), expected(first, Some(("d", 0))));
}

#[test]
fn what_cannot_be_described() {
    let broker = TestBroker::start(&[]);
    let mut wire = broker.connect();
    create(&mut wire, "b", 2, &[]);
    let unknown = code(ErrorCode::UnknownTopicOrPartition);
    let invalid = code(ErrorCode::InvalidTopicException);
    let page = describe(&mut wire, &["x", "b", "bad name", ""], 2000, None);
    let topics: &[(&str, i16, &[i32])] = &[
        ("", invalid, &[]),
        ("b", 0, &[0, 1]),
        ("bad name", invalid, &[]),
        ("x", unknown, &[]),
    ];
    assert_eq!(told(&page), expected(topics, None));
    let is_without_id =
        |topic: &described::DescribeTopicPartitionsResponseTopic| topic.topic_id == Uuid::nil();
    assert!(is_without_id(&page.topics[0]) && is_without_id(&page.topics[3]));
    let refused = code(ErrorCode::InvalidRequest);
    for (names, cursor) in [(["a", "c"], ("b", 0)), (["a", "b"], ("b", -1))] {
        let page = describe(&mut wire, &names, 2000, Some(cursor));
        let errors: Vec<_> = page.topics.iter().map(|topic| topic.error_code).collect();
        assert_eq!(errors, [refused; 2], "{cursor:?}");
    }
    assert_eq!(describe(&mut wire, &[], 9, Some(("b", -1))).topics, []);
    // All topics, from one on that is gone.
    let page = describe(&mut wire, &[], 9, Some(("a", 5)));
    assert_eq!(told(&page), expected(&[("b", 0, &[0, 1])], None));
    let page = describe(&mut wire, &[], 9, Some(("b", i32::MAX)));
    assert_eq!(told(&page), expected(&[("b", 0, &[])], None));
}

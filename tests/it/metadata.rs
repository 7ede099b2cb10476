//! Metadata: what exists, where it is, and topics that come into being by being asked for.

use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::metadata_response::MetadataResponseTopic;
use kafka_protocol::messages::{MetadataRequest, MetadataResponse};
use ringlog::protocol::ApiKey;
use ringlog::types::ErrorCode;
use uuid::Uuid;

use crate::broker::TestBroker;
use crate::topics::{Topic, code, create, produce, topic_name, versions};
use crate::wire::Wire;

/// From this version on a client says whether topics may be created.
const AUTO_CREATION_VERSION_MIN: i16 = 4;
/// From this version on topics may be asked for by id.
const TOPIC_ID_VERSION_MIN: i16 = 12;
/// From this version on answers have topic ids.
const ANSWERED_ID_VERSION_MIN: i16 = 10;

fn by_names(names: &[&str], version: i16, may_create: bool) -> MetadataRequest {
    let topics = names
        .iter()
        .map(|name| MetadataRequestTopic::default().with_name(Some(topic_name(name))));
    let request = MetadataRequest::default().with_topics(Some(topics.collect()));
    if version < AUTO_CREATION_VERSION_MIN {
        return request;
    }
    request.with_allow_auto_topic_creation(may_create)
}

fn by_id(id: Uuid) -> MetadataRequest {
    let topic = MetadataRequestTopic::default()
        .with_name(None)
        .with_topic_id(id);
    MetadataRequest::default()
        .with_topics(Some(vec![topic]))
        .with_allow_auto_topic_creation(false)
}

fn all() -> MetadataRequest {
    MetadataRequest::default().with_topics(None)
}

fn names(response: &MetadataResponse) -> Vec<String> {
    let names = response.topics.iter().map(name);
    names.collect()
}

fn name(topic: &MetadataResponseTopic) -> String {
    topic.name.as_ref().map_or(String::new(), |n| n.to_string())
}

/// Asks for one name and must get one topic.
fn ask(wire: &mut Wire, version: i16, topic: &str, may_create: bool) -> MetadataResponseTopic {
    let mut response = wire.call(version, &by_names(&[topic], version, may_create));
    assert_eq!(names(&response), [topic], "version {version}");
    response.topics.remove(0)
}

#[test]
fn every_version_describes_the_cluster_and_a_topic() {
    let broker = TestBroker::start(&["node.id=7"]);
    let mut wire = broker.connect();
    let topic = create(&mut wire, "described", 3, &[]);
    for version in versions(ApiKey::Metadata) {
        let response = wire.call(version, &by_names(&["described"], version, false));
        let node = &response.brokers[0];
        let port = i32::from(broker.address().port());
        assert_eq!(response.brokers.len(), 1);
        assert_eq!((node.node_id.0, node.port), (7, port));
        assert_eq!(node.host.as_str(), "127.0.0.1");
        if version >= 1 {
            assert_eq!(response.controller_id.0, 7);
        }
        if version >= 2 {
            let cluster_id = response.cluster_id.as_ref().map(|id| id.as_str());
            assert_eq!(cluster_id, Some(broker.cluster_id()));
        }
        let described = &response.topics[0];
        assert_eq!(
            (described.error_code, name(described).as_str()),
            (0, "described")
        );
        if version >= ANSWERED_ID_VERSION_MIN {
            assert_eq!(described.topic_id, topic.id);
        }
        let partitions = &described.partitions;
        let indexes = partitions.iter().map(|partition| partition.partition_index);
        assert!(indexes.eq(0..3));
        for partition in partitions {
            assert_eq!((partition.error_code, partition.leader_id.0), (0, 7));
            assert_eq!(partition.replica_nodes, partition.isr_nodes);
            assert_eq!(partition.isr_nodes.len(), 1);
        }
    }
}

#[test]
fn an_empty_list_means_all_in_version_0_and_none_later() {
    let broker = TestBroker::start(&[]);
    let mut wire = broker.connect();
    create(&mut wire, "one", 1, &[]);
    create(&mut wire, "two", 1, &[]);
    for version in versions(ApiKey::Metadata) {
        let none = wire.call(version, &by_names(&[], version, true));
        let expected: &[&str] = if version == 0 { &["one", "two"] } else { &[] };
        assert_eq!(names(&none), expected, "an empty list in version {version}");
        if version > 0 {
            let everything = wire.call(version, &all());
            assert_eq!(
                names(&everything),
                ["one", "two"],
                "null in version {version}"
            );
        }
    }
}

#[test]
fn a_topic_that_is_asked_for_is_created_if_client_and_broker_want_it() {
    let broker = TestBroker::start(&["num.partitions=3"]);
    let mut wire = broker.connect();
    for version in versions(ApiKey::Metadata) {
        let wanted = format!("created-{version}");
        if version >= AUTO_CREATION_VERSION_MIN {
            let refused = ask(&mut wire, version, &wanted, false);
            assert_eq!(refused.error_code, code(ErrorCode::UnknownTopicOrPartition));
        }
        let created = ask(&mut wire, version, &wanted, true);
        assert_eq!((created.error_code, created.partitions.len()), (0, 3));
        // It is served at once.
        let found = ask(&mut wire, 12, &wanted, false);
        let topic = Topic {
            name: wanted,
            id: found.topic_id,
        };
        assert_eq!(
            produce(&mut wire, &topic, 2, &crate::records::batch(&["x"])),
            0
        );
    }
}

#[test]
fn nothing_is_created_where_auto_creation_is_off() {
    let broker = TestBroker::start(&["auto.create.topics.enable=false"]);
    let mut wire = broker.connect();
    for version in versions(ApiKey::Metadata) {
        let refused = ask(&mut wire, version, "wanted", true);
        assert_eq!(refused.error_code, code(ErrorCode::UnknownTopicOrPartition));
        assert!(refused.partitions.is_empty());
    }
    assert!(wire.call(12, &all()).topics.is_empty());
}

#[test]
fn topics_are_found_by_id() {
    let broker = TestBroker::start(&[]);
    let mut wire = broker.connect();
    let topic = create(&mut wire, "by-id", 2, &[]);
    for version in TOPIC_ID_VERSION_MIN..=13 {
        let response = wire.call(version, &by_id(topic.id));
        let found = &response.topics[0];
        assert_eq!((found.error_code, name(found).as_str()), (0, "by-id"));
        assert_eq!((found.topic_id, found.partitions.len()), (topic.id, 2));
        let unknown = Topic::unknown().id;
        let response = wire.call(version, &by_id(unknown));
        let missing = &response.topics[0];
        assert_eq!(missing.error_code, code(ErrorCode::UnknownTopicId));
        assert_eq!(missing.topic_id, unknown);
    }
}

#[test]
fn names_that_no_topic_can_have_are_invalid() {
    let broker = TestBroker::start(&[]);
    let mut wire = broker.connect();
    let too_long = "x".repeat(250);
    for version in versions(ApiKey::Metadata) {
        for wanted in ["a/b", "..", ".", "gr\u{fc}n", "a b", "", too_long.as_str()] {
            let refused = ask(&mut wire, version, wanted, true);
            let invalid = code(ErrorCode::InvalidTopicException);
            assert_eq!(
                refused.error_code, invalid,
                "{wanted:?} in version {version}"
            );
        }
    }
    // One bad name does not harm its neighbours.
    let response = wire.call(12, &by_names(&["a/b", "good"], 12, true));
    let errors = response.topics.iter().map(|topic| topic.error_code);
    assert_eq!(errors.collect::<Vec<_>>(), [17, 0]);
}

/// Versions with bits for what may be done to the topics; to the cluster only up to the last one.
const OPERATIONS_VERSION_MIN: i16 = 8;
const CLUSTER_OPERATIONS_VERSION_MAX: i16 = 10;

/// Kafka's without an authorizer: everything that there is.
const TOPIC_OPERATIONS: i32 = 3576;
const CLUSTER_OPERATIONS: i32 = 8096;
const NOT_ASKED: i32 = i32::MIN;

#[test]
fn whoever_asks_may_do_everything() {
    let broker = TestBroker::start(&[]);
    let mut wire = broker.connect();
    create(&mut wire, "t", 1, &[]);
    for version in OPERATIONS_VERSION_MIN..=13 {
        let has_cluster = version <= CLUSTER_OPERATIONS_VERSION_MAX;
        let plain = by_names(&["t"], version, false);
        let response = wire.call(version, &plain);
        assert_eq!(response.topics[0].topic_authorized_operations, NOT_ASKED);
        assert_eq!(response.cluster_authorized_operations, NOT_ASKED);
        let asked = by_names(&["t", "x"], version, false)
            .with_include_topic_authorized_operations(true)
            .with_include_cluster_authorized_operations(has_cluster);
        let response = wire.call(version, &asked);
        for topic in &response.topics {
            assert_eq!(topic.topic_authorized_operations, TOPIC_OPERATIONS);
        }
        let of_cluster = if has_cluster {
            CLUSTER_OPERATIONS
        } else {
            NOT_ASKED
        };
        assert_eq!(response.cluster_authorized_operations, of_cluster);
    }
}

fn asked(topics: &[(Option<&str>, Uuid)]) -> MetadataRequest {
    let topics = topics.iter().map(|(name, id)| {
        MetadataRequestTopic::default()
            .with_name(name.map(topic_name))
            .with_topic_id(*id)
    });
    MetadataRequest::default()
        .with_topics(Some(topics.collect()))
        .with_allow_auto_topic_creation(false)
}

#[test]
fn what_is_asked_twice_is_answered_once_and_ids_count_before_names() {
    let broker = TestBroker::start(&[]);
    let mut wire = broker.connect();
    let [a, b] = ["a", "b"].map(|name| create(&mut wire, name, 1, &[]));
    let (nil, unknown) = (Uuid::nil(), Topic::unknown().id);
    let mut told = |topics: &[(Option<&str>, Uuid)]| {
        let response = wire.call(12, &asked(topics));
        let topics = response.topics.iter();
        let told = topics.map(|topic| (name(topic), topic.error_code));
        told.collect::<Vec<_>>()
    };
    let found = |name: &str| (name.to_owned(), 0);
    let not_there = code(ErrorCode::UnknownTopicOrPartition);
    let twice = [
        (Some("b"), nil),
        (Some("x"), nil),
        (Some("b"), nil),
        (Some("x"), nil),
    ];
    assert_eq!(told(&twice), [found("b"), ("x".to_owned(), not_there)]);
    assert_eq!(told(&[(None, a.id), (None, a.id)]), [found("a")]);
    assert_eq!(told(&[(Some("b"), nil), (None, a.id)]), [found("a")]);
    assert_eq!(told(&[(Some("a"), b.id)]), [found("b")]);
    let no_id = code(ErrorCode::UnknownTopicId);
    assert_eq!(told(&[(Some("a"), unknown)]), [(String::new(), no_id)]);
    let refused = code(ErrorCode::InvalidRequest);
    let nameless = [(None, nil), (Some("a"), nil)];
    let expected = [(String::new(), refused), ("a".to_owned(), refused)];
    assert_eq!(told(&nameless), expected);
    // Those have the field and must not use it.
    for version in ANSWERED_ID_VERSION_MIN..TOPIC_ID_VERSION_MIN {
        for topic in [(Some("a"), a.id), (None, a.id), (None, nil)] {
            let response = wire.call(version, &asked(&[topic]));
            assert_eq!(response.topics[0].error_code, refused, "version {version}");
            assert!(response.brokers.is_empty());
        }
    }
}

//! CreateTopics and DeleteTopics: topics come, go, and come back empty.

use kafka_protocol::messages::create_topics_request::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig,
};
use kafka_protocol::messages::create_topics_response::CreatableTopicResult;
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::{
    BrokerId, CreateTopicsRequest, DeleteTopicsRequest, MetadataRequest,
};
use ringlog::protocol::ApiKey;
use ringlog::types::ErrorCode::{
    self, InvalidConfig, InvalidPartitions, InvalidReplicaAssignment, InvalidReplicationFactor,
    InvalidRequest, InvalidTopicException, PolicyViolation, TopicAlreadyExists,
};

use crate::broker::TestBroker;
use crate::eventually;
use crate::records::batch;
use crate::topics::{
    Topic, code, create, end_offset, new_topic, produce, text, topic_name, values, versions,
};
use crate::wire::Wire;

/// From this version on topics are deleted by name or id.
const DELETE_BY_ID_VERSION_MIN: i16 = 6;

fn ask(wire: &mut Wire, version: i16, topic: CreatableTopic) -> CreatableTopicResult {
    let request = CreateTopicsRequest::default().with_topics(vec![topic]);
    let mut response = wire.call(version, &request);
    assert_eq!(response.topics.len(), 1);
    response.topics.remove(0)
}

fn topic_names(wire: &mut Wire) -> Vec<String> {
    let response = wire.call(12, &MetadataRequest::default().with_topics(None));
    let names = response.topics.iter();
    names
        .map(|topic| topic.name.as_ref().unwrap().to_string())
        .collect()
}

pub(crate) fn delete(wire: &mut Wire, version: i16, topic: &Topic) -> i16 {
    let name = topic_name(&topic.name);
    let request = if version < DELETE_BY_ID_VERSION_MIN {
        DeleteTopicsRequest::default().with_topic_names(vec![name])
    } else {
        let state = DeleteTopicState::default().with_name(Some(name));
        DeleteTopicsRequest::default().with_topics(vec![state])
    };
    let response = wire.call(version, &request.with_timeout_ms(30_000));
    assert_eq!(response.responses.len(), 1);
    response.responses[0].error_code
}

fn delete_by_id(wire: &mut Wire, topic: &Topic) -> i16 {
    let state = DeleteTopicState::default()
        .with_name(None)
        .with_topic_id(topic.id);
    let request = DeleteTopicsRequest::default()
        .with_timeout_ms(30_000)
        .with_topics(vec![state]);
    wire.call(6, &request).responses[0].error_code
}

#[test]
fn every_version_creates() {
    let broker = TestBroker::start(&["num.partitions=2"]);
    let mut wire = broker.connect();
    for version in versions(ApiKey::CreateTopics) {
        let name = format!("created-{version}");
        let configs = [("retention.ms", "1234567"), ("segment.bytes", "2097152")];
        let created = ask(&mut wire, version, new_topic(&name, 5, &configs));
        assert_eq!(created.error_code, 0, "{:?}", created.error_message);
        assert_eq!(created.name.as_str(), name);
        if version >= 5 {
            assert_eq!((created.num_partitions, created.replication_factor), (5, 1));
            let configs = created.configs.unwrap();
            let value = |name: &str| {
                let config = configs.iter().find(|config| config.name.as_str() == name);
                config
                    .and_then(|config| config.value.clone())
                    .unwrap()
                    .to_string()
            };
            assert_eq!(value("retention.ms"), "1234567");
            assert_eq!(value("max.message.bytes"), "1048588");
        }
        assert_eq!(created.topic_id.is_nil(), version < 7);
        // From version 4 on the broker's defaults can be asked for.
        if version >= 4 {
            let default = new_topic(&format!("default-{version}"), -1, &[]);
            let created = ask(&mut wire, version, default.with_replication_factor(-1));
            assert_eq!(created.error_code, 0);
            assert!(version < 5 || created.num_partitions == 2);
        }
    }
    assert_eq!(topic_names(&mut wire).len(), 6 + 4);
}

#[test]
fn what_cannot_be_created_is_refused_with_kafkas_codes() {
    let broker = TestBroker::start(&[]);
    let mut wire = broker.connect();
    create(&mut wire, "there", 1, &[]);
    create(&mut wire, "with.dot", 1, &[]);
    let assigned = |partitions: &[(i32, &[i32])]| {
        let assignments = partitions.iter().map(|(partition, brokers)| {
            CreatableReplicaAssignment::default()
                .with_partition_index(*partition)
                .with_broker_ids(brokers.iter().map(|&id| BrokerId(id)).collect())
        });
        new_topic("assigned", -1, &[])
            .with_replication_factor(-1)
            .with_assignments(assignments.collect())
    };
    let no_value = CreatableTopicConfig::default()
        .with_name(text("retention.ms"))
        .with_value(None);
    let no_value = new_topic("new", 1, &[]).with_configs(vec![no_value]);
    let cases = [
        (new_topic("there", 1, &[]), TopicAlreadyExists),
        (new_topic("with_dot", 1, &[]), InvalidTopicException),
        (new_topic("a/b", 1, &[]), InvalidTopicException),
        (new_topic("..", 1, &[]), InvalidTopicException),
        (new_topic("", 1, &[]), InvalidTopicException),
        (new_topic(&"x".repeat(250), 1, &[]), InvalidTopicException),
        (new_topic("new", 0, &[]), InvalidPartitions),
        (new_topic("new", -2, &[]), InvalidPartitions),
        (new_topic("new", i32::MAX, &[]), PolicyViolation),
        (
            new_topic("new", 1, &[]).with_replication_factor(2),
            InvalidReplicationFactor,
        ),
        (
            new_topic("new", 1, &[]).with_replication_factor(0),
            InvalidReplicationFactor,
        ),
        (new_topic("new", 1, &[("no.such.key", "1")]), InvalidConfig),
        (
            new_topic("new", 1, &[("retention.ms", "soon")]),
            InvalidConfig,
        ),
        (
            new_topic("new", 1, &[("cleanup.policy", "burn")]),
            InvalidConfig,
        ),
        (no_value, InvalidConfig),
        (assigned(&[(0, &[99])]), InvalidReplicaAssignment),
        (assigned(&[(0, &[1, 1])]), InvalidReplicaAssignment),
        (assigned(&[(1, &[1])]), InvalidReplicaAssignment),
        (assigned(&[(0, &[])]), InvalidReplicaAssignment),
        (
            assigned(&[(0, &[1])]).with_num_partitions(1),
            InvalidRequest,
        ),
    ];
    for version in versions(ApiKey::CreateTopics) {
        for (topic, expected) in &cases {
            let refused = ask(&mut wire, version, topic.clone());
            let message = refused.error_message.unwrap_or_default();
            assert_eq!(refused.error_code, code(*expected), "{topic:?}: {message}");
            assert!(!message.is_empty(), "no reason for {expected}");
        }
    }
    assert_eq!(topic_names(&mut wire), ["there", "with.dot"]);
    let created = ask(&mut wire, 7, assigned(&[(0, &[1]), (1, &[1])]));
    assert_eq!((created.error_code, created.num_partitions), (0, 2));
}

#[test]
fn a_topic_that_stands_twice_in_a_request_is_refused_and_others_are_not() {
    let broker = TestBroker::start(&[]);
    let mut wire = broker.connect();
    let topics = ["twice", "once", "twice"].map(|name| new_topic(name, 1, &[]));
    let request = CreateTopicsRequest::default().with_topics(topics.to_vec());
    let mut results: Vec<_> = wire.call(7, &request).topics.into_iter().collect();
    results.sort_by_key(|result| result.name.to_string());
    let results = results.iter().map(|r| (r.name.to_string(), r.error_code));
    let expected = [("once", 0), ("twice", code(ErrorCode::InvalidRequest))];
    assert!(results.eq(expected.map(|(name, error)| (name.to_owned(), error))));
    assert_eq!(topic_names(&mut wire), ["once"]);
}

#[test]
fn validate_only_checks_and_creates_nothing() {
    let broker = TestBroker::start(&[]);
    let mut wire = broker.connect();
    create(&mut wire, "there", 1, &[]);
    for version in versions(ApiKey::CreateTopics) {
        for (name, expected) in [("new", 0), ("there", code(ErrorCode::TopicAlreadyExists))] {
            let request = CreateTopicsRequest::default()
                .with_topics(vec![new_topic(name, 1, &[])])
                .with_validate_only(true);
            assert_eq!(wire.call(version, &request).topics[0].error_code, expected);
        }
        assert_eq!(topic_names(&mut wire), ["there"]);
    }
}

#[test]
fn a_topic_made_again_is_another_one_and_empty() {
    let mut broker = TestBroker::start(&["log.segment.delete.delay.ms=0"]);
    let mut wire = broker.connect();
    let mut before: Option<Topic> = None;
    for version in versions(ApiKey::DeleteTopics) {
        let topic = create(&mut wire, "again", 2, &[]);
        for partition in 0..2 {
            assert_eq!(end_offset(&mut wire, &topic, partition), 0, "old records");
            let value = format!("{version}-{partition}");
            produce(&mut wire, &topic, partition, &batch(&[&value]));
            assert_eq!(values(&mut wire, &topic, partition), [value]);
        }
        let old = before.replace(topic.clone());
        assert!(old.is_none_or(|old| old.id != topic.id));
        assert_eq!(delete(&mut wire, version, &topic), 0, "version {version}");
        let missing = code(ErrorCode::UnknownTopicOrPartition);
        assert_eq!(delete(&mut wire, version, &topic), missing);
        assert!(topic_names(&mut wire).is_empty());
    }
    let last = create(&mut wire, "again", 1, &[]);
    produce(&mut wire, &last, 0, &batch(&["last"]));
    drop(wire);
    broker.restart(&[]);
    let mut wire = broker.connect();
    assert_eq!(values(&mut wire, &last, 0), ["last"]);
}

#[test]
fn topics_are_deleted_by_id_and_their_files_go() {
    let broker = TestBroker::start(&["log.segment.delete.delay.ms=0"]);
    let mut wire = broker.connect();
    let topic = create(&mut wire, "doomed", 2, &[]);
    produce(&mut wire, &topic, 0, &batch(&["x"]));
    let directories = || {
        let entries = std::fs::read_dir(broker.directory()).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name());
        let names = names.map(|name| name.to_string_lossy().into_owned());
        names.filter(|name| name.starts_with("doomed-")).count()
    };
    assert_eq!(directories(), 2);
    assert_eq!(delete_by_id(&mut wire, &topic), 0);
    assert_eq!(
        delete_by_id(&mut wire, &topic),
        code(ErrorCode::UnknownTopicId)
    );
    eventually("the files are gone", || (directories() == 0).then_some(()));
    // Neither a name nor an id, or both.
    let nothing = DeleteTopicState::default().with_name(None);
    let both = DeleteTopicState::default()
        .with_name(Some(topic_name("doomed")))
        .with_topic_id(topic.id);
    for state in [nothing, both] {
        let request = DeleteTopicsRequest::default()
            .with_timeout_ms(30_000)
            .with_topics(vec![state]);
        let error = wire.call(6, &request).responses[0].error_code;
        assert_eq!(error, code(ErrorCode::InvalidRequest));
    }
}

#[test]
fn deletion_can_be_forbidden() {
    let broker = TestBroker::start(&["delete.topic.enable=false"]);
    let mut wire = broker.connect();
    let topic = create(&mut wire, "kept", 1, &[]);
    for version in versions(ApiKey::DeleteTopics) {
        let expected = match version {
            ..3 => ErrorCode::InvalidRequest,
            _ => ErrorCode::TopicDeletionDisabled,
        };
        assert_eq!(delete(&mut wire, version, &topic), code(expected));
    }
    assert_eq!(topic_names(&mut wire), ["kept"]);
}

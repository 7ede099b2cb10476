//! Tests of the controller.

mod alter_configs;
mod create_partitions;

use std::sync::Arc;

use super::*;
use crate::config::BrokerConfig;
use crate::metadata::{ConfigResource, MetadataDelta, MetadataRecord, RegisterBroker};
use crate::types::{DirectoryId, ErrorCode, Monotonic, TopicId, TopicIdPartition};

/// A controller whose records are replayed at once, with broker 7 registered.
struct Driven {
    controller: Controller,
    directories: Vec<DirectorySpace>,
    topic_ids: u8,
}

impl Driven {
    fn new() -> Driven {
        Driven::with(BrokerConfig::default())
    }

    fn with(config: BrokerConfig) -> Driven {
        let mut driven = Driven {
            controller: Controller::new(Arc::new(config)),
            directories: Vec::new(),
            topic_ids: 0,
        };
        driven.register(7, 1);
        driven
    }

    fn register(&mut self, node_id: i32, broker_epoch: i64) -> ControllerReply {
        self.handle(ControllerRequest::RegisterBroker(RegisterBroker {
            node_id,
            incarnation_id: [1; 16],
            broker_epoch,
            endpoints: Vec::new(),
            rack: None,
        }))
    }

    fn handle(&mut self, request: ControllerRequest) -> ControllerReply {
        let outcome = self
            .controller
            .handle(Monotonic(0), &self.directories, request);
        let mut delta = MetadataDelta::default();
        for record in &outcome.records {
            let decoded = MetadataRecord::decode(&record.encode()).expect("decodes");
            self.controller.replay(&decoded, &mut delta).expect("fits");
        }
        outcome.reply
    }

    fn topic(&mut self, name: &str) -> NewTopic {
        self.topic_ids += 1;
        NewTopic::with_defaults(name, TopicId([self.topic_ids; 16]))
    }

    fn create(&mut self, topics: Vec<NewTopic>) -> Vec<CreateTopicResult> {
        let request = CreateTopics {
            topics,
            validate_only: false,
        };
        match self.handle(ControllerRequest::CreateTopics(request)) {
            ControllerReply::CreateTopics(results) => results,
            reply => panic!("{reply:?}"),
        }
    }

    fn create_one(&mut self, topic: NewTopic) -> (ErrorCode, Option<String>) {
        let results = self.create(vec![topic]);
        assert_eq!(results.len(), 1);
        (results[0].error, results[0].message.clone())
    }

    fn created(&mut self, name: &str) -> TopicId {
        let topic = self.topic(name);
        let topic_id = topic.topic_id;
        assert_eq!(self.create_one(topic), (ErrorCode::None, None));
        topic_id
    }

    fn delete(&mut self, topics: Vec<TopicReference>) -> Vec<DeleteTopicResult> {
        match self.handle(ControllerRequest::DeleteTopics(DeleteTopics { topics })) {
            ControllerReply::DeleteTopics(results) => results,
            reply => panic!("{reply:?}"),
        }
    }

    fn exists(&self, name: &str) -> bool {
        self.controller.image().topic_by_name(name).is_some()
    }
}

fn by_name(name: &str) -> TopicReference {
    TopicReference {
        name: Some(name.to_owned()),
        topic_id: TopicId::ZERO,
    }
}

fn by_id(topic_id: TopicId) -> TopicReference {
    TopicReference {
        name: None,
        topic_id,
    }
}

fn assigned(mut topic: NewTopic, assignments: &[(i32, &[i32])]) -> NewTopic {
    topic.assignments = assignments
        .iter()
        .map(|(partition, broker_ids)| ManualAssignment {
            partition: *partition,
            broker_ids: broker_ids.to_vec(),
        })
        .collect();
    topic
}

#[test]
fn a_topic_is_created_as_asked() {
    let mut driven = Driven::new();
    let mut topic = driven.topic("a");
    topic.partition_count = 3;
    topic.replication_factor = 1;
    topic.configs = vec![("retention.ms".to_owned(), Some("5000".to_owned()))];
    let results = driven.create(vec![topic.clone()]);
    assert_eq!(results[0].error, ErrorCode::None);
    assert_eq!(results[0].topic_id, topic.topic_id);
    assert_eq!(
        (results[0].partition_count, results[0].replication_factor),
        (3, 1)
    );
    assert_eq!(results[0].configs["retention.ms"], "5000");

    let image = driven.controller.image();
    let created = image.topic_by_name("a").expect("created");
    assert_eq!(created.partitions.len(), 3);
    for partition in &created.partitions {
        assert_eq!(partition.leader, 7);
        assert_eq!((&partition.replicas, &partition.isr), (&vec![7], &vec![7]));
        assert_eq!(partition.leader_epoch, 0);
    }
    let configs = image.config(&ConfigResource::topic("a")).expect("configs");
    assert_eq!(configs["retention.ms"], "5000");
}

#[test]
fn defaults_come_from_the_broker() {
    let config = BrokerConfig::load(None, &["num.partitions=4".to_owned()]).expect("config");
    let mut driven = Driven::with(config);
    driven.created("a");
    let image = driven.controller.image();
    assert_eq!(image.topic_by_name("a").expect("a").partitions.len(), 4);
    assert!(image.config(&ConfigResource::topic("a")).is_none());
}

type Change = fn(NewTopic) -> NewTopic;

/// Each topic, changed so, is refused with this code and message, and leaves no trace.
fn check_refusals(cases: &[(&str, Change, ErrorCode, &str)]) {
    let mut driven = Driven::new();
    driven.created("there_is");
    let before = driven.controller.image().clone();
    for (name, change, error, message) in cases {
        let topic = change(driven.topic(name));
        let answer = driven.create_one(topic);
        assert_eq!(answer, (*error, Some((*message).to_owned())), "{name}");
    }
    assert_eq!(*driven.controller.image(), before);
}

#[test]
fn a_bad_name_is_refused_with_kafkas_message() {
    check_refusals(&[
        (
            "a/b",
            |t| t,
            ErrorCode::InvalidTopicException,
            "Topic name is invalid: 'a/b' contains one or more characters other than ASCII \
             alphanumerics, '.', '_' and '-'",
        ),
        (
            "there_is",
            |t| t,
            ErrorCode::TopicAlreadyExists,
            "Topic 'there_is' already exists.",
        ),
        (
            "there.is",
            |t| t,
            ErrorCode::InvalidTopicException,
            "Topic 'there.is' collides with existing topic: there_is",
        ),
        (
            "__cluster_metadata",
            |t| t,
            ErrorCode::InvalidRequest,
            "Creation of internal topic __cluster_metadata is prohibited.",
        ),
    ]);
}

#[test]
fn bad_numbers_are_refused_with_kafkas_message() {
    check_refusals(&[
        (
            "a",
            |mut t| {
                t.partition_count = 0;
                t
            },
            ErrorCode::InvalidPartitions,
            "Number of partitions was set to an invalid non-positive value.",
        ),
        (
            "a",
            |mut t| {
                t.partition_count = -2;
                t
            },
            ErrorCode::InvalidPartitions,
            "Number of partitions was set to an invalid non-positive value.",
        ),
        (
            "a",
            |mut t| {
                t.replication_factor = 0;
                t
            },
            ErrorCode::InvalidReplicationFactor,
            "Replication factor must be larger than 0, or -1 to use the default value.",
        ),
        (
            "a",
            |mut t| {
                t.replication_factor = 3;
                t
            },
            ErrorCode::InvalidReplicationFactor,
            "Unable to replicate the partition 3 time(s): The target replication factor of 3 \
             cannot be reached because only 1 broker(s) are registered.",
        ),
        (
            "a",
            |mut t| {
                t.partition_count = i32::MAX;
                t
            },
            ErrorCode::PolicyViolation,
            "Excessively large number of partitions per request.",
        ),
    ]);
}

#[test]
fn bad_configs_are_refused_with_kafkas_message() {
    check_refusals(&[
        (
            "a",
            |mut t| {
                t.configs = vec![("x".to_owned(), None), ("y".to_owned(), None)];
                t
            },
            ErrorCode::InvalidConfig,
            "Null value not supported for topic configs: x,y",
        ),
        (
            "a",
            |mut t| {
                t.configs = vec![("no.such.key".to_owned(), Some("1".to_owned()))];
                t
            },
            ErrorCode::InvalidConfig,
            "Unknown topic config name: no.such.key",
        ),
    ]);
}

#[test]
fn a_bad_assignment_is_refused_with_kafkas_message() {
    check_refusals(&[
        (
            "a",
            |mut t| {
                t.partition_count = 1;
                assigned(t, &[(0, &[7])])
            },
            ErrorCode::InvalidRequest,
            "A manual partition assignment was specified, but numPartitions was not set to -1.",
        ),
        (
            "a",
            |mut t| {
                t.replication_factor = 1;
                assigned(t, &[(0, &[7])])
            },
            ErrorCode::InvalidRequest,
            "A manual partition assignment was specified, but replication factor was not set to \
             -1.",
        ),
        (
            "a",
            |t| assigned(t, &[(0, &[7]), (0, &[7])]),
            ErrorCode::InvalidReplicaAssignment,
            "Found multiple manual partition assignments for partition 0",
        ),
        (
            "a",
            |t| assigned(t, &[(0, &[7]), (2, &[7])]),
            ErrorCode::InvalidReplicaAssignment,
            "partitions should be a consecutive 0-based integer sequence",
        ),
        (
            "a",
            |t| assigned(t, &[(0, &[])]),
            ErrorCode::InvalidReplicaAssignment,
            "The manual partition assignment includes an empty replica list.",
        ),
        (
            "a",
            |t| assigned(t, &[(0, &[8])]),
            ErrorCode::InvalidReplicaAssignment,
            "The manual partition assignment includes broker 8, but no such broker is registered.",
        ),
        (
            "a",
            |t| assigned(t, &[(0, &[9, 8, 9])]),
            ErrorCode::InvalidReplicaAssignment,
            "The manual partition assignment includes broker 8, but no such broker is registered.",
        ),
        (
            "a",
            |t| assigned(t, &[(0, &[7, 7])]),
            ErrorCode::InvalidReplicaAssignment,
            "The manual partition assignment includes the broker 7 more than once.",
        ),
    ]);
}

#[test]
fn manual_assignments_are_kept_in_the_order_of_the_partitions() {
    let mut driven = Driven::new();
    driven.register(8, 2);
    let topic = driven.topic("a");
    let topic = assigned(topic, &[(1, &[8, 7]), (0, &[7, 8])]);
    assert_eq!(driven.create_one(topic), (ErrorCode::None, None));
    let created = driven.controller.image().topic_by_name("a").expect("a");
    let replicas: Vec<_> = created.partitions.iter().map(|p| &p.replicas[..]).collect();
    assert_eq!(replicas, [&[7, 8][..], &[8, 7][..]]);
    assert_eq!(created.partitions[1].leader, 8);

    let topic = driven.topic("b");
    let (error, message) = driven.create_one(assigned(topic, &[(0, &[7]), (1, &[7, 8])]));
    assert_eq!(error, ErrorCode::InvalidReplicaAssignment);
    assert_eq!(
        message.as_deref(),
        Some(
            "The manual partition assignment includes a partition with 2 replica(s), but this is \
             not consistent with previous partitions, which have 1 replica(s)."
        )
    );
}

#[test]
fn placement_spreads_leaders_over_the_brokers() {
    let mut driven = Driven::new();
    driven.register(8, 2);
    driven.register(9, 3);
    let mut topic = driven.topic("a");
    topic.partition_count = 6;
    topic.replication_factor = 2;
    assert_eq!(driven.create_one(topic), (ErrorCode::None, None));
    let created = driven.controller.image().topic_by_name("a").expect("a");
    for broker in 7..=9 {
        let led = created.partitions.iter().filter(|p| p.leader == broker);
        assert_eq!(led.count(), 2, "broker {broker}");
    }
    for partition in &created.partitions {
        assert_ne!(partition.replicas[0], partition.replicas[1]);
    }
}

#[test]
fn one_bad_topic_does_not_hinder_the_others_and_a_doubled_name_is_not_created() {
    let mut driven = Driven::new();
    let topics = ["a", "b", "bad name", "b", "c", "b"];
    let topics = topics.iter().map(|name| driven.topic(name)).collect();
    let results = driven.create(topics);
    let results: Vec<_> = results.iter().map(|r| (r.name.as_str(), r.error)).collect();
    let expected = [
        ("a", ErrorCode::None),
        ("bad name", ErrorCode::InvalidTopicException),
        ("c", ErrorCode::None),
        ("b", ErrorCode::InvalidRequest),
    ];
    assert_eq!(results, expected);
    assert!(driven.exists("a") && driven.exists("c") && !driven.exists("b"));
}

#[test]
fn the_limit_of_a_request_counts_all_its_topics() {
    let mut driven = Driven::new();
    let mut topics = vec![driven.topic("a"), driven.topic("b")];
    topics[0].partition_count = RECORDS_PER_REQUEST_MAX as i32 - 1;
    topics[1].partition_count = 2;
    let results = driven.create(topics.clone());
    assert!(
        results
            .iter()
            .all(|r| r.error == ErrorCode::PolicyViolation)
    );
    topics[1].partition_count = 1;
    let results = driven.create(topics);
    assert!(results.iter().all(|r| r.error == ErrorCode::None));
}

#[test]
fn validate_only_answers_and_changes_nothing() {
    let mut driven = Driven::new();
    let request = ControllerRequest::CreateTopics(CreateTopics {
        topics: vec![driven.topic("a")],
        validate_only: true,
    });
    let outcome = driven.controller.handle(Monotonic(0), &[], request);
    assert!(outcome.records.is_empty());
    let ControllerReply::CreateTopics(results) = outcome.reply else {
        panic!("{:?}", outcome.reply);
    };
    assert_eq!(
        (results[0].error, results[0].partition_count),
        (ErrorCode::None, 1)
    );
}

#[test]
fn auto_creation_is_idempotent_and_knows_the_internal_topics() {
    let mut driven = Driven::new();
    let known = driven.created("known");
    let names = [
        "new",
        "known",
        "__consumer_offsets",
        "new",
        "bad/name",
        "__cluster_metadata",
    ];
    let names = names.iter().zip(100u8..);
    let names = names.map(|(name, n)| ((*name).to_owned(), TopicId([n; 16])));
    let request = ControllerRequest::AutoCreateTopics(names.collect());
    let ControllerReply::CreateTopics(results) = driven.handle(request) else {
        panic!("another reply");
    };
    let results: Vec<_> = results
        .iter()
        .map(|r| (r.name.as_str(), r.error, r.topic_id, r.partition_count))
        .collect();
    let expected = [
        ("new", ErrorCode::None, TopicId([100; 16]), 1),
        ("known", ErrorCode::None, known, 1),
        (
            "__consumer_offsets",
            ErrorCode::None,
            TopicId([102; 16]),
            50,
        ),
        (
            "bad/name",
            ErrorCode::InvalidTopicException,
            TopicId::ZERO,
            -1,
        ),
        (
            "__cluster_metadata",
            ErrorCode::UnknownTopicOrPartition,
            TopicId::ZERO,
            -1,
        ),
    ];
    assert_eq!(results, expected);
    let resource = ConfigResource::topic("__consumer_offsets");
    let configs = driven
        .controller
        .image()
        .config(&resource)
        .expect("configs");
    assert_eq!(configs["cleanup.policy"], "compact");
}

#[test]
fn topics_are_deleted_by_name_and_by_id() {
    let mut driven = Driven::new();
    let (_, b) = (driven.created("a"), driven.created("b"));
    let results = driven.delete(vec![by_name("a"), by_id(b)]);
    for (result, name) in results.iter().zip(["a", "b"]) {
        assert_eq!((result.error, &result.message), (ErrorCode::None, &None));
        assert_eq!(result.name.as_deref(), Some(name));
        assert_ne!(result.topic_id, TopicId::ZERO);
        assert!(!driven.exists(name));
    }
    // The name, and what it collided with, are free again.
    driven.created("c.d");
    driven.delete(vec![by_name("c.d")]);
    driven.created("c_d");
}

#[test]
fn a_bad_deletion_is_refused_with_kafkas_code() {
    let mut driven = Driven::new();
    let a = driven.created("a");
    let nowhere = TopicId([200; 16]);
    let both = TopicReference {
        name: Some("a".to_owned()),
        topic_id: a,
    };
    let cases = [
        (vec![by_name("x")], ErrorCode::UnknownTopicOrPartition),
        (vec![by_id(nowhere)], ErrorCode::UnknownTopicId),
        (vec![by_id(TopicId::ZERO)], ErrorCode::InvalidRequest),
        (vec![both], ErrorCode::InvalidRequest),
        (vec![by_name("a"), by_name("a")], ErrorCode::InvalidRequest),
        (
            vec![by_id(a), by_id(a), by_id(a)],
            ErrorCode::InvalidRequest,
        ),
    ];
    for (references, error) in cases {
        let results = driven.delete(references.clone());
        assert_eq!(results.len(), 1, "{references:?}");
        assert_eq!(results[0].error, error, "{references:?}");
        assert!(results[0].message.is_some());
    }
    assert!(driven.exists("a"));
    // The same topic by name and by id: it stays, and one answer says so.
    for references in [vec![by_id(a), by_name("a")], vec![by_name("a"), by_id(a)]] {
        let results = driven.delete(references);
        assert_eq!(results.len(), 1);
        let told = (
            results[0].name.as_deref(),
            results[0].topic_id,
            results[0].error,
        );
        assert_eq!(told, (Some("a"), a, ErrorCode::InvalidRequest));
        assert!(driven.exists("a"));
    }
    // Named twice by id, the name has an answer of its own.
    let results = driven.delete(vec![by_id(a), by_id(a), by_name("a")]);
    let errors: Vec<_> = results.iter().map(|r| r.error).collect();
    assert_eq!(errors, [ErrorCode::InvalidRequest; 2]);
    // Named twice by name, the id counts.
    let results = driven.delete(vec![by_name("a"), by_name("a"), by_id(a)]);
    let errors: Vec<_> = results.iter().map(|r| r.error).collect();
    assert_eq!(errors, [ErrorCode::InvalidRequest, ErrorCode::None]);
    assert!(!driven.exists("a"));
}

#[test]
fn deletion_can_be_switched_off() {
    let config = BrokerConfig::load(None, &["delete.topic.enable=false".to_owned()]);
    let mut driven = Driven::with(config.expect("config"));
    driven.created("a");
    let results = driven.delete(vec![by_name("a"), by_name("x")]);
    assert_eq!(results.len(), 2);
    assert!(
        results
            .iter()
            .all(|r| r.error == ErrorCode::TopicDeletionDisabled)
    );
    assert!(driven.exists("a"));
}

#[test]
fn no_producer_id_is_handed_out_twice() {
    let mut driven = Driven::new();
    let mut next = 0;
    for _ in 0..3 {
        let reply = driven.handle(ControllerRequest::AllocateProducerIds);
        let ControllerReply::AllocateProducerIds(Ok(block)) = reply else {
            panic!("{reply:?}");
        };
        assert_eq!((block.first, block.count), (next, PRODUCER_ID_BLOCK_SIZE));
        next += block.count;
    }
    // A controller that replays the log goes on where the last one stopped.
    let mut successor = Controller::new(Arc::new(BrokerConfig::default()));
    for record in driven.controller.image().snapshot() {
        let mut delta = MetadataDelta::default();
        successor.replay(&record, &mut delta).expect("fits");
    }
    let outcome = successor.handle(Monotonic(0), &[], ControllerRequest::AllocateProducerIds);
    let ControllerReply::AllocateProducerIds(Ok(block)) = outcome.reply else {
        panic!("{:?}", outcome.reply);
    };
    assert_eq!(block.first, next);
}

#[test]
fn a_restart_starts_a_new_leader_epoch() {
    let mut driven = Driven::new();
    driven.created("a");
    let epoch = |driven: &Driven| {
        let topic = driven.controller.image().topic_by_name("a").expect("a");
        topic.partitions[0].leader_epoch
    };
    assert_eq!(epoch(&driven), 0);
    assert_eq!(
        driven.register(7, 20),
        ControllerReply::RegisterBroker(Ok(()))
    );
    assert_eq!(epoch(&driven), 1);
    let stale = ControllerReply::RegisterBroker(Err(ErrorCode::InvalidRequest));
    assert_eq!(driven.register(7, 20), stale);
    assert_eq!(epoch(&driven), 1);
}

#[test]
fn a_new_cluster_has_kafkas_features() {
    let mut driven = Driven::new();
    for record in bootstrap_records() {
        let mut delta = MetadataDelta::default();
        driven.controller.replay(&record, &mut delta).expect("fits");
    }
    let features = driven.controller.image().features();
    assert_eq!(
        (features["metadata.version"], features["kraft.version"]),
        (27, 1)
    );
}

/// Three log directories: two with as much free space, one with a third of it.
const SPACES: [(u8, u64); 3] = [(1, 300 << 30), (2, 300 << 30), (3, 100 << 30)];

fn with_directories(spaces: &[(u8, u64)]) -> Driven {
    let mut driven = Driven::with(BrokerConfig {
        node_id: 7,
        ..BrokerConfig::default()
    });
    let space = |&(id, free_bytes)| DirectorySpace {
        directory_id: DirectoryId([id; 16]),
        free_bytes,
    };
    driven.directories = spaces.iter().map(space).collect();
    driven
}

impl Driven {
    fn create_with(&mut self, name: &str, partition_count: i32) {
        let mut topic = self.topic(name);
        topic.partition_count = partition_count;
        assert_eq!(self.create_one(topic), (ErrorCode::None, None));
    }

    /// In which directories a topic's partitions are, by their first byte.
    fn places(&self, name: &str) -> Vec<u8> {
        let topic = self.controller.image().topic_by_name(name).expect("it is");
        let partitions = topic.partitions.iter();
        partitions.map(|p| p.directory_of(7).0[0]).collect()
    }
}

#[test]
fn new_partitions_go_where_each_has_most_space_to_itself() {
    let mut driven = with_directories(&SPACES);
    driven.create_with("wide", 7);
    assert_eq!(driven.places("wide"), [1, 2, 1, 2, 3, 1, 2]);
    // One after the other it is the same.
    let mut driven = with_directories(&SPACES);
    let mut places = Vec::new();
    for index in 0..7 {
        driven.created(&format!("t{index}"));
        places.extend(driven.places(&format!("t{index}")));
    }
    assert_eq!(places, [1, 2, 1, 2, 3, 1, 2]);
    // What is deleted makes room; a directory that fills up takes no more.
    for index in [0, 2, 5] {
        driven.delete(vec![TopicReference {
            name: Some(format!("t{index}")),
            topic_id: TopicId::ZERO,
        }]);
    }
    driven.create_with("later", 2);
    assert_eq!(driven.places("later"), [1, 1]);
    driven.directories[0].free_bytes = 0;
    driven.create_with("last", 3);
    assert!(!driven.places("last").contains(&1));
}

#[test]
fn without_any_space_they_still_spread_and_without_a_directory_nobody_says() {
    let mut driven = with_directories(&[(1, 0), (2, 0)]);
    driven.create_with("full", 4);
    assert_eq!(driven.places("full"), [1, 2, 1, 2]);
    let mut driven = with_directories(&[]);
    driven.create_with("nowhere", 1);
    assert_eq!(driven.places("nowhere"), [0]);
}

#[test]
fn a_partition_that_was_found_elsewhere_is_recorded_there_once() {
    let mut driven = with_directories(&SPACES);
    let topic_id = driven.created("moved");
    let of = |partition| TopicIdPartition {
        topic_id,
        partition,
    };
    let found = |directory, partition| {
        let directory = DirectoryId([directory; 16]);
        ControllerRequest::AssignDirectories(vec![(of(partition), directory)])
    };
    assert_eq!(driven.places("moved"), [1]);
    let epoch = |driven: &Driven| {
        let partition = driven.controller.image().partition(of(0)).expect("it is");
        (partition.leader_epoch, partition.partition_epoch)
    };
    driven.handle(found(3, 0));
    assert_eq!((driven.places("moved"), epoch(&driven)), (vec![3], (0, 1)));
    let unchanged = |request| {
        let outcome = driven.controller.handle(Monotonic(0), &[], request);
        outcome.records.is_empty()
    };
    assert!(unchanged(found(3, 0)));
    assert!(unchanged(found(3, 1)), "there is no such partition");
}

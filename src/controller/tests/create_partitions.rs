//! Partitions added to topics.

use super::*;

/// What one topic is to become.
fn grown(name: &str, count: i32) -> GrownTopic {
    GrownTopic {
        name: name.to_owned(),
        count,
        assignments: None,
    }
}

fn placed(name: &str, count: i32, assignments: &[&[i32]]) -> GrownTopic {
    let assignments = assignments.iter().map(|brokers| brokers.to_vec());
    GrownTopic {
        assignments: Some(assignments.collect()),
        ..grown(name, count)
    }
}

impl Driven {
    fn grow(&mut self, topics: Vec<GrownTopic>) -> Vec<(String, ErrorCode, Option<String>)> {
        let request = CreatePartitions {
            topics,
            validate_only: false,
        };
        match self.handle(ControllerRequest::CreatePartitions(request)) {
            ControllerReply::CreatePartitions(results) => results
                .into_iter()
                .map(|result| (result.name, result.error, result.message))
                .collect(),
            reply => panic!("{reply:?}"),
        }
    }

    fn grow_one(&mut self, topic: GrownTopic) -> (ErrorCode, Option<String>) {
        let mut results = self.grow(vec![topic]);
        assert_eq!(results.len(), 1);
        let (_, error, message) = results.remove(0);
        (error, message)
    }

    fn partition_count(&self, name: &str) -> usize {
        let topic = self.controller.image().topic_by_name(name).expect("it is");
        topic.partitions.len()
    }
}

#[test]
fn new_partitions_continue_the_numbers_and_leave_the_others_alone() {
    let mut driven = Driven::new();
    driven.created("a");
    driven.register(7, 2);
    let before = driven.controller.image().topic_by_name("a").expect("a");
    let before = before.partitions.clone();
    assert_eq!(before[0].leader_epoch, 1);
    assert_eq!(driven.grow_one(grown("a", 4)), (ErrorCode::None, None));
    let topic = driven.controller.image().topic_by_name("a").expect("a");
    assert_eq!(topic.partitions.len(), 4);
    assert_eq!(topic.partitions[..1], before);
    for new in &topic.partitions[1..] {
        assert_eq!(
            (new.leader, new.leader_epoch, new.partition_epoch),
            (7, 0, 0)
        );
        assert_eq!((&new.replicas[..], &new.isr[..]), (&[7][..], &[7][..]));
    }
}

#[test]
fn a_request_that_is_no_increase_is_refused_with_kafkas_message() {
    let mut driven = Driven::new();
    let mut topic = driven.topic("a");
    topic.partition_count = 3;
    assert_eq!(driven.create_one(topic), (ErrorCode::None, None));
    let no_increase = |count| {
        format!("The topic a currently has 3 partition(s); {count} would not be an increase.")
    };
    let cases = [
        (
            grown("a", 3),
            "Topic already has 3 partition(s).".to_owned(),
        ),
        (grown("a", 2), no_increase(2)),
        (grown("a", 0), no_increase(0)),
        (grown("a", -1), no_increase(-1)),
        (grown("a", i32::MIN), no_increase(i32::MIN)),
        // The count is looked at first.
        (placed("a", 2, &[&[9]]), no_increase(2)),
    ];
    for (topic, message) in cases {
        let refused = driven.grow_one(topic.clone());
        assert_eq!(
            refused,
            (ErrorCode::InvalidPartitions, Some(message)),
            "{topic:?}"
        );
    }
    let unknown = driven.grow_one(grown("nowhere", 5));
    assert_eq!(unknown, (ErrorCode::UnknownTopicOrPartition, None));
    assert_eq!(driven.partition_count("a"), 3);
}

#[test]
fn a_bad_assignment_of_new_partitions_is_refused_with_kafkas_message() {
    let mut driven = Driven::new();
    driven.register(8, 2);
    driven.created("a");
    let cases: [(&[&[i32]], &str); 6] = [
        (
            &[],
            "Attempted to add 2 additional partition(s), but only 0 assignment(s) were specified.",
        ),
        (
            &[&[7], &[7], &[7]],
            "Attempted to add 2 additional partition(s), but only 3 assignment(s) were specified.",
        ),
        (
            &[&[7], &[]],
            "The manual partition assignment includes an empty replica list.",
        ),
        (
            &[&[7], &[9]],
            "The manual partition assignment includes broker 9, but no such broker is registered.",
        ),
        (
            &[&[7], &[8, 8]],
            "The manual partition assignment includes the broker 8 more than once.",
        ),
        (
            &[&[7], &[7, 8]],
            "The manual partition assignment includes a partition with 2 replica(s), but this is \
             not consistent with previous partitions, which have 1 replica(s).",
        ),
    ];
    for (assignments, message) in cases {
        let (error, told) = driven.grow_one(placed("a", 3, assignments));
        assert_eq!(
            error,
            ErrorCode::InvalidReplicaAssignment,
            "{assignments:?}"
        );
        assert_eq!(told.as_deref(), Some(message));
    }
    assert_eq!(driven.partition_count("a"), 1);
    assert_eq!(
        driven.grow_one(placed("a", 3, &[&[8], &[7]])),
        (ErrorCode::None, None)
    );
    let topic = driven.controller.image().topic_by_name("a").expect("a");
    let leaders: Vec<_> = topic.partitions[1..].iter().map(|p| p.leader).collect();
    assert_eq!(leaders, [8, 7]);
}

#[test]
fn new_partitions_have_as_many_replicas_as_the_others() {
    let mut driven = Driven::new();
    driven.register(8, 2);
    let mut topic = driven.topic("a");
    topic.replication_factor = 2;
    assert_eq!(driven.create_one(topic), (ErrorCode::None, None));
    assert_eq!(driven.grow_one(grown("a", 5)), (ErrorCode::None, None));
    let topic = driven.controller.image().topic_by_name("a").expect("a");
    for pair in topic.partitions.windows(2) {
        assert_eq!(pair[0].replicas.len(), 2);
        // Round robin goes on where it stopped.
        assert_ne!(pair[0].leader, pair[1].leader);
    }
}

#[test]
fn one_bad_topic_does_not_hinder_the_growth_of_others_and_doubled_names_do_not_grow() {
    let mut driven = Driven::new();
    for name in ["a", "b", "c"] {
        driven.created(name);
    }
    let asked = [("a", 2), ("b", 2), ("x", 2), ("b", 3), ("c", 2)];
    let results = driven.grow(asked.map(|(name, count)| grown(name, count)).to_vec());
    let results: Vec<_> = results.iter().map(|r| (r.0.as_str(), r.1)).collect();
    let expected = [
        ("b", ErrorCode::InvalidRequest),
        ("a", ErrorCode::None),
        ("x", ErrorCode::UnknownTopicOrPartition),
        ("c", ErrorCode::None),
    ];
    assert_eq!(results, expected);
    let counts = ["a", "b", "c"].map(|name| driven.partition_count(name));
    assert_eq!(counts, [2, 1, 2]);
}

#[test]
fn a_request_for_too_many_partitions_reserves_nothing() {
    let mut driven = Driven::new();
    for name in ["a", "b", "c"] {
        driven.created(name);
    }
    let fits = RECORDS_PER_REQUEST_MAX as i32;
    let results = driven.grow(vec![grown("a", i32::MAX), grown("b", fits), grown("c", 3)]);
    let errors: Vec<_> = results.iter().map(|result| result.1).collect();
    let expected = [
        ErrorCode::PolicyViolation,
        ErrorCode::None,
        ErrorCode::PolicyViolation,
    ];
    assert_eq!(errors, expected);
    assert_eq!(driven.partition_count("b"), RECORDS_PER_REQUEST_MAX);
}

#[test]
fn a_growth_that_is_only_validated_changes_nothing() {
    let mut driven = Driven::new();
    driven.created("a");
    let request = ControllerRequest::CreatePartitions(CreatePartitions {
        topics: vec![grown("a", 3), grown("x", 3)],
        validate_only: true,
    });
    let outcome = driven.controller.handle(Monotonic(0), &[], request);
    assert!(outcome.records.is_empty());
    let ControllerReply::CreatePartitions(results) = outcome.reply else {
        panic!("{:?}", outcome.reply);
    };
    let errors: Vec<_> = results.iter().map(|result| result.error).collect();
    assert_eq!(
        errors,
        [ErrorCode::None, ErrorCode::UnknownTopicOrPartition]
    );
}

#[test]
fn new_partitions_of_a_topic_go_where_the_space_is() {
    let mut driven = with_directories(&SPACES);
    driven.create_with("wide", 3);
    assert_eq!(driven.places("wide"), [1, 2, 1]);
    assert_eq!(driven.grow_one(grown("wide", 7)), (ErrorCode::None, None));
    assert_eq!(driven.places("wide"), [1, 2, 1, 2, 3, 1, 2]);
}

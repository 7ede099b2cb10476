//! Creating and deleting topics, and replication.

use super::super::key::{Key, Kind, Support, Valid, same};

const MIN_INSYNC_DOC: &str = "Replicas that must have a record before acks=all is answered; with \
    fewer in sync the answer is NOT_ENOUGH_REPLICAS.";

const UNCLEAN_DOC: &str = "Whether a replica outside the ISR may become leader.";
const NEVER_UNCLEAN: Support = Support::Only(
    &["false"],
    "a replica outside the ISR never leads, or acknowledged records would be lost",
);

pub(super) const KEYS: &[Key] = &[
    Key::broker("num.partitions", Kind::Int)
        .default("1")
        .valid(Valid::AtLeast(1))
        .doc("Partitions of a topic that is created without a number."),
    Key::broker("default.replication.factor", Kind::Int)
        .default("1")
        .valid(Valid::Between(1, i16::MAX as i64))
        .doc("Replicas of a topic that is created without a number."),
    Key::broker("auto.create.topics.enable", Kind::Boolean)
        .default("true")
        .doc("Whether asking for the metadata of an unknown topic may create it."),
    Key::broker("delete.topic.enable", Kind::Boolean)
        .default("true")
        .doc("Whether DeleteTopics is allowed."),
    Key::broker("max.request.partition.size.limit", Kind::Int)
        .default("2000")
        .valid(Valid::AtLeast(1))
        .doc("Partitions that one answer to DescribeTopicPartitions has at most."),
    Key::broker("min.insync.replicas", Kind::Int)
        .dynamic()
        .default("1")
        .valid(Valid::AtLeast(1))
        .doc(MIN_INSYNC_DOC),
    Key::topic(
        "min.insync.replicas",
        Kind::Int,
        &[same("min.insync.replicas")],
    )
    .default("1")
    .valid(Valid::AtLeast(1))
    .doc(MIN_INSYNC_DOC),
    Key::broker("unclean.leader.election.enable", Kind::Boolean)
        .default("false")
        .support(NEVER_UNCLEAN)
        .doc(UNCLEAN_DOC),
    Key::topic(
        "unclean.leader.election.enable",
        Kind::Boolean,
        &[same("unclean.leader.election.enable")],
    )
    .default("false")
    .support(NEVER_UNCLEAN)
    .doc(UNCLEAN_DOC),
    Key::topic("leader.replication.throttled.replicas", Kind::List, &[])
        .default("")
        .valid(Valid::ReplicaList)
        .support(Support::Stored("replication quotas"))
        .doc("Replicas whose replication is throttled at the leader."),
    Key::topic("follower.replication.throttled.replicas", Kind::List, &[])
        .default("")
        .valid(Valid::ReplicaList)
        .support(Support::Stored("replication quotas"))
        .doc("Replicas whose replication is throttled at the follower."),
];

//! What the controller is asked, and what it answers.

use std::collections::BTreeMap;

use crate::metadata::{MetadataRecord, RegisterBroker};
use crate::types::{
    DirectoryId, ErrorCode, NodeId, PartitionIndex, ProducerId, TopicId, TopicIdPartition,
};

/// A request to the controller.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ControllerRequest {
    CreateTopics(CreateTopics),
    /// Topics that a Metadata request named and that do not exist, each with a random id. One that
    /// exists by now is no error: its id comes back.
    AutoCreateTopics(Vec<(String, TopicId)>),
    DeleteTopics(DeleteTopics),
    CreatePartitions(CreatePartitions),
    AlterConfigs(AlterConfigs),
    /// The next block of [`PRODUCER_ID_BLOCK_SIZE`](super::PRODUCER_ID_BLOCK_SIZE) ids: a shard
    /// asks for one when it has used up its last.
    AllocateProducerIds,
    /// This process has started; `broker_epoch` is the metadata log's end offset.
    RegisterBroker(RegisterBroker),
    /// At a start of this node: where it keeps partitions. At most
    /// [`RECORDS_PER_REQUEST_MAX`](super::RECORDS_PER_REQUEST_MAX).
    AssignDirectories(Vec<(TopicIdPartition, DirectoryId)>),
}

/// The answer to the [`ControllerRequest`] of the same name; AutoCreateTopics is answered as
/// CreateTopics.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ControllerReply {
    CreateTopics(Vec<CreateTopicResult>),
    DeleteTopics(Vec<DeleteTopicResult>),
    CreatePartitions(Vec<CreatePartitionsResult>),
    /// One for each resource, in their order.
    AlterConfigs(Vec<AlterResult>),
    /// `UNKNOWN_SERVER_ERROR` when there are no ids left.
    AllocateProducerIds(Result<ProducerIdBlock, ErrorCode>),
    /// `INVALID_REQUEST` when the broker epoch does not exceed that of the last registration.
    RegisterBroker(Result<(), ErrorCode>),
    AssignDirectories,
}

/// Records to append as one atomic batch (perhaps none), and the reply to send once they are
/// durable and replayed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Outcome {
    pub records: Vec<MetadataRecord>,
    pub reply: ControllerReply,
}

/// A CreateTopics request.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct CreateTopics {
    pub topics: Vec<NewTopic>,
    /// Check everything and answer as if it were done, but do nothing.
    pub validate_only: bool,
}

/// A topic to create.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewTopic {
    pub name: String,
    /// Random; becomes the topic's id.
    pub topic_id: TopicId,
    /// -1 for `num.partitions`.
    pub partition_count: i32,
    /// -1 for `default.replication.factor`.
    pub replication_factor: i16,
    /// If there are any, the two above must be -1.
    pub assignments: Vec<ManualAssignment>,
    /// A value of `None` is refused, as Kafka does.
    pub configs: Vec<(String, Option<String>)>,
}

impl NewTopic {
    /// A topic with the broker's defaults.
    pub fn with_defaults(name: impl Into<String>, topic_id: TopicId) -> NewTopic {
        NewTopic {
            name: name.into(),
            topic_id,
            partition_count: -1,
            replication_factor: -1,
            assignments: Vec::new(),
            configs: Vec::new(),
        }
    }
}

/// Who shall hold a partition's replicas; the first leads.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ManualAssignment {
    pub partition: PartitionIndex,
    pub broker_ids: Vec<NodeId>,
}

/// What became of one topic of a CreateTopics request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CreateTopicResult {
    pub name: String,
    /// Zero on an error.
    pub topic_id: TopicId,
    pub error: ErrorCode,
    pub message: Option<String>,
    /// -1 on an error.
    pub partition_count: i32,
    /// -1 on an error.
    pub replication_factor: i16,
    /// What the request set; the defaults are added by whoever answers.
    pub configs: BTreeMap<String, String>,
}

impl CreateTopicResult {
    pub(super) fn error(name: &str, error: ErrorCode, message: String) -> CreateTopicResult {
        CreateTopicResult {
            name: name.to_owned(),
            topic_id: TopicId::ZERO,
            error,
            message: Some(message),
            partition_count: -1,
            replication_factor: -1,
            configs: BTreeMap::new(),
        }
    }
}

/// A DeleteTopics request.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct DeleteTopics {
    pub topics: Vec<TopicReference>,
}

/// A topic by its name or by its id: as in DeleteTopics v6 exactly one of them must be given.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct TopicReference {
    pub name: Option<String>,
    /// Zero when the name is given.
    pub topic_id: TopicId,
}

/// What became of one topic of a DeleteTopics request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeleteTopicResult {
    pub name: Option<String>,
    pub topic_id: TopicId,
    /// `TOPIC_DELETION_DISABLED` is known from v3 on; below, answer `INVALID_REQUEST`.
    pub error: ErrorCode,
    pub message: Option<String>,
}

/// A CreatePartitions request.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct CreatePartitions {
    pub topics: Vec<GrownTopic>,
    /// Check everything and answer as if it were done, but do nothing.
    pub validate_only: bool,
}

/// A topic that is to have more partitions.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GrownTopic {
    pub name: String,
    /// With those that are there.
    pub count: i32,
    /// Who shall hold the replicas of each new partition, in their order; `None` for the
    /// controller's choice.
    pub assignments: Option<Vec<Vec<NodeId>>>,
}

/// What became of one topic of a CreatePartitions request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CreatePartitionsResult {
    pub name: String,
    pub error: ErrorCode,
    pub message: Option<String>,
}

/// An AlterConfigs or IncrementalAlterConfigs request.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct AlterConfigs {
    pub resources: Vec<AlterResource>,
    /// Check everything and answer as if it were done, but do nothing.
    pub validate_only: bool,
}

/// A resource whose settings change; type and name as they came.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AlterResource {
    /// Kafka's `ConfigResource.Type`: 2 a topic, 4 a broker (by its id; "" is all brokers).
    pub resource_type: i8,
    pub name: String,
    pub change: ConfigChange,
}

/// How settings change.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ConfigChange {
    /// Key by key (KIP-339).
    Each(Vec<ConfigOperation>),
    /// These, and all others get their defaults again. A value of `None` is refused.
    Replace(Vec<(String, Option<String>)>),
}

/// What happens with one key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConfigOperation {
    pub name: String,
    /// 0 sets, 1 takes away, 2 appends to a list, 3 takes out of a list; others are refused.
    pub operation: i8,
    /// May be `None` only when the key is taken away.
    pub value: Option<String>,
}

/// What became of one resource.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AlterResult {
    pub resource_type: i8,
    pub name: String,
    pub error: ErrorCode,
    pub message: Option<String>,
}

/// Producer ids for one shard to hand out: `first`, and `count - 1` after it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ProducerIdBlock {
    pub first: ProducerId,
    pub count: i64,
}

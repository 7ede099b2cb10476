//! Produce, Fetch, ListOffsets.

use kafka_protocol::messages::{
    fetch_request as fetch, fetch_response as fetched, list_offsets_request as list,
    list_offsets_response as listed, produce_request as produce, produce_response as produced,
};

use super::dsl::Kind::{Array, Int8, Int16, Int32, Int64, Records, Str, Structs, Uuid};
use super::dsl::{Kind, Struct, field};

pub const PRODUCE_REQUEST: Struct = Struct {
    name: "ProduceRequest",
    memory_size: size_of::<produce::ProduceRequest>(),
    fields: &[
        field("transactional_id", Str).nullable(),
        field("acks", Int16),
        field("timeout_ms", Int32),
        field("topic_data", Structs(&TOPIC_PRODUCE_DATA)),
    ],
};

const TOPIC_PRODUCE_DATA: Struct = Struct {
    name: "TopicProduceData",
    memory_size: size_of::<produce::TopicProduceData>(),
    fields: &[
        field("name", Str).until(12),
        field("topic_id", Uuid).since(13),
        field("partition_data", Structs(&PARTITION_PRODUCE_DATA)),
    ],
};

const PARTITION_PRODUCE_DATA: Struct = Struct {
    name: "PartitionProduceData",
    memory_size: size_of::<produce::PartitionProduceData>(),
    fields: &[field("index", Int32), field("records", Records).nullable()],
};

pub const PRODUCE_RESPONSE: Struct = Struct {
    name: "ProduceResponse",
    memory_size: size_of::<produced::ProduceResponse>(),
    fields: &[
        field("responses", Structs(&TOPIC_PRODUCE_RESPONSE)),
        field("throttle_time_ms", Int32).since(1),
        field("node_endpoints", Structs(&PRODUCE_NODE_ENDPOINT))
            .since(10)
            .tagged(0),
    ],
};

const TOPIC_PRODUCE_RESPONSE: Struct = Struct {
    name: "TopicProduceResponse",
    memory_size: size_of::<produced::TopicProduceResponse>(),
    fields: &[
        field("name", Str).until(12),
        field("topic_id", Uuid).since(13),
        field("partition_responses", Structs(&PARTITION_PRODUCE_RESPONSE)),
    ],
};

const PARTITION_PRODUCE_RESPONSE: Struct = Struct {
    name: "PartitionProduceResponse",
    memory_size: size_of::<produced::PartitionProduceResponse>(),
    fields: &[
        field("index", Int32),
        field("error_code", Int16),
        field("base_offset", Int64),
        field("log_append_time_ms", Int64).since(2),
        field("log_start_offset", Int64).since(5),
        field("record_errors", Structs(&BATCH_INDEX_AND_ERROR_MESSAGE)).since(8),
        field("error_message", Str).since(8).nullable(),
        field("current_leader", Kind::Struct(&LEADER_ID_AND_EPOCH))
            .since(10)
            .tagged(0),
    ],
};

const BATCH_INDEX_AND_ERROR_MESSAGE: Struct = Struct {
    name: "BatchIndexAndErrorMessage",
    memory_size: size_of::<produced::BatchIndexAndErrorMessage>(),
    fields: &[
        field("batch_index", Int32),
        field("batch_index_error_message", Str).nullable(),
    ],
};

/// Of ProduceResponse and FetchResponse alike, never in an array.
const LEADER_ID_AND_EPOCH: Struct = Struct {
    name: "LeaderIdAndEpoch",
    memory_size: size_of::<produced::LeaderIdAndEpoch>(),
    fields: &[field("leader_id", Int32), field("leader_epoch", Int32)],
};

const PRODUCE_NODE_ENDPOINT: Struct = Struct {
    name: "NodeEndpoint",
    memory_size: size_of::<produced::NodeEndpoint>(),
    fields: &[
        field("node_id", Int32),
        field("host", Str),
        field("port", Int32),
        field("rack", Str).nullable(),
    ],
};

pub const FETCH_REQUEST: Struct = Struct {
    name: "FetchRequest",
    memory_size: size_of::<fetch::FetchRequest>(),
    fields: &[
        field("cluster_id", Str).since(12).nullable().tagged(0),
        field("replica_id", Int32).until(14),
        field("replica_state", Kind::Struct(&REPLICA_STATE))
            .since(15)
            .tagged(1),
        field("max_wait_ms", Int32),
        field("min_bytes", Int32),
        field("max_bytes", Int32).since(3),
        field("isolation_level", Int8).since(4),
        field("session_id", Int32).since(7),
        field("session_epoch", Int32).since(7),
        field("topics", Structs(&FETCH_TOPIC)),
        field("forgotten_topics_data", Structs(&FORGOTTEN_TOPIC)).since(7),
        field("rack_id", Str).since(11),
    ],
};

const REPLICA_STATE: Struct = Struct {
    name: "ReplicaState",
    memory_size: size_of::<fetch::ReplicaState>(),
    fields: &[field("replica_id", Int32), field("replica_epoch", Int64)],
};

const FETCH_TOPIC: Struct = Struct {
    name: "FetchTopic",
    memory_size: size_of::<fetch::FetchTopic>(),
    fields: &[
        field("topic", Str).until(12),
        field("topic_id", Uuid).since(13),
        field("partitions", Structs(&FETCH_PARTITION)),
    ],
};

const FETCH_PARTITION: Struct = Struct {
    name: "FetchPartition",
    memory_size: size_of::<fetch::FetchPartition>(),
    fields: &[
        field("partition", Int32),
        field("current_leader_epoch", Int32).since(9),
        field("fetch_offset", Int64),
        field("last_fetched_epoch", Int32).since(12),
        field("log_start_offset", Int64).since(5),
        field("partition_max_bytes", Int32),
        field("replica_directory_id", Uuid).since(17).tagged(0),
        field("high_watermark", Int64).since(18).tagged(1),
    ],
};

const FORGOTTEN_TOPIC: Struct = Struct {
    name: "ForgottenTopic",
    memory_size: size_of::<fetch::ForgottenTopic>(),
    fields: &[
        field("topic", Str).until(12),
        field("topic_id", Uuid).since(13),
        field("partitions", Array(&Int32)),
    ],
};

pub const FETCH_RESPONSE: Struct = Struct {
    name: "FetchResponse",
    memory_size: size_of::<fetched::FetchResponse>(),
    fields: &[
        field("throttle_time_ms", Int32).since(1),
        field("error_code", Int16).since(7),
        field("session_id", Int32).since(7),
        field("responses", Structs(&FETCHABLE_TOPIC_RESPONSE)),
        field("node_endpoints", Structs(&FETCH_NODE_ENDPOINT))
            .since(16)
            .tagged(0),
    ],
};

const FETCHABLE_TOPIC_RESPONSE: Struct = Struct {
    name: "FetchableTopicResponse",
    memory_size: size_of::<fetched::FetchableTopicResponse>(),
    fields: &[
        field("topic", Str).until(12),
        field("topic_id", Uuid).since(13),
        field("partitions", Structs(&PARTITION_DATA)),
    ],
};

const PARTITION_DATA: Struct = Struct {
    name: "PartitionData",
    memory_size: size_of::<fetched::PartitionData>(),
    fields: &[
        field("partition_index", Int32),
        field("error_code", Int16),
        field("high_watermark", Int64),
        field("last_stable_offset", Int64).since(4),
        field("log_start_offset", Int64).since(5),
        field("diverging_epoch", Kind::Struct(&EPOCH_END_OFFSET))
            .since(12)
            .tagged(0),
        field("current_leader", Kind::Struct(&LEADER_ID_AND_EPOCH))
            .since(12)
            .tagged(1),
        field("snapshot_id", Kind::Struct(&SNAPSHOT_ID))
            .since(12)
            .tagged(2),
        field("aborted_transactions", Structs(&ABORTED_TRANSACTION))
            .since(4)
            .nullable(),
        field("preferred_read_replica", Int32).since(11),
        field("records", Records).nullable(),
    ],
};

const EPOCH_END_OFFSET: Struct = Struct {
    name: "EpochEndOffset",
    memory_size: size_of::<fetched::EpochEndOffset>(),
    fields: &[field("epoch", Int32), field("end_offset", Int64)],
};

const SNAPSHOT_ID: Struct = Struct {
    name: "SnapshotId",
    memory_size: size_of::<fetched::SnapshotId>(),
    fields: &[field("end_offset", Int64), field("epoch", Int32)],
};

const ABORTED_TRANSACTION: Struct = Struct {
    name: "AbortedTransaction",
    memory_size: size_of::<fetched::AbortedTransaction>(),
    fields: &[field("producer_id", Int64), field("first_offset", Int64)],
};

const FETCH_NODE_ENDPOINT: Struct = Struct {
    name: "NodeEndpoint",
    memory_size: size_of::<fetched::NodeEndpoint>(),
    fields: PRODUCE_NODE_ENDPOINT.fields,
};

pub const LIST_OFFSETS_REQUEST: Struct = Struct {
    name: "ListOffsetsRequest",
    memory_size: size_of::<list::ListOffsetsRequest>(),
    fields: &[
        field("replica_id", Int32),
        field("isolation_level", Int8).since(2),
        field("topics", Structs(&LIST_OFFSETS_TOPIC)),
        field("timeout_ms", Int32).since(10),
    ],
};

const LIST_OFFSETS_TOPIC: Struct = Struct {
    name: "ListOffsetsTopic",
    memory_size: size_of::<list::ListOffsetsTopic>(),
    fields: &[
        field("name", Str),
        field("partitions", Structs(&LIST_OFFSETS_PARTITION)),
    ],
};

const LIST_OFFSETS_PARTITION: Struct = Struct {
    name: "ListOffsetsPartition",
    memory_size: size_of::<list::ListOffsetsPartition>(),
    fields: &[
        field("partition_index", Int32),
        field("current_leader_epoch", Int32).since(4),
        field("timestamp", Int64),
    ],
};

pub const LIST_OFFSETS_RESPONSE: Struct = Struct {
    name: "ListOffsetsResponse",
    memory_size: size_of::<listed::ListOffsetsResponse>(),
    fields: &[
        field("throttle_time_ms", Int32).since(2),
        field("topics", Structs(&LIST_OFFSETS_TOPIC_RESPONSE)),
    ],
};

const LIST_OFFSETS_TOPIC_RESPONSE: Struct = Struct {
    name: "ListOffsetsTopicResponse",
    memory_size: size_of::<listed::ListOffsetsTopicResponse>(),
    fields: &[
        field("name", Str),
        field("partitions", Structs(&LIST_OFFSETS_PARTITION_RESPONSE)),
    ],
};

const LIST_OFFSETS_PARTITION_RESPONSE: Struct = Struct {
    name: "ListOffsetsPartitionResponse",
    memory_size: size_of::<listed::ListOffsetsPartitionResponse>(),
    fields: &[
        field("partition_index", Int32),
        field("error_code", Int16),
        field("timestamp", Int64),
        field("offset", Int64),
        field("leader_epoch", Int32).since(4),
    ],
};

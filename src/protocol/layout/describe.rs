//! DescribeTopicPartitions, DescribeLogDirs, DescribeProducers.

use kafka_protocol::messages::{
    describe_log_dirs_request as dirs_asked, describe_log_dirs_response as dirs,
    describe_producers_request as producers_asked, describe_producers_response as producers,
    describe_topic_partitions_request as asked, describe_topic_partitions_response as described,
};

use super::dsl::Kind::{Array, Bool, Int16, Int32, Int64, Str, Struct as Nested, Structs, Uuid};
use super::dsl::{Struct, field};

pub const DESCRIBE_TOPIC_PARTITIONS_REQUEST: Struct = Struct {
    name: "DescribeTopicPartitionsRequest",
    memory_size: size_of::<asked::DescribeTopicPartitionsRequest>(),
    fields: &[
        field("topics", Structs(&TOPIC_REQUEST)),
        field("response_partition_limit", Int32),
        field("cursor", Nested(&REQUEST_CURSOR)).nullable(),
    ],
};

const TOPIC_REQUEST: Struct = Struct {
    name: "TopicRequest",
    memory_size: size_of::<asked::TopicRequest>(),
    fields: &[field("name", Str)],
};

const REQUEST_CURSOR: Struct = Struct {
    name: "Cursor",
    memory_size: size_of::<asked::Cursor>(),
    fields: &[field("topic_name", Str), field("partition_index", Int32)],
};

pub const DESCRIBE_TOPIC_PARTITIONS_RESPONSE: Struct = Struct {
    name: "DescribeTopicPartitionsResponse",
    memory_size: size_of::<described::DescribeTopicPartitionsResponse>(),
    fields: &[
        field("throttle_time_ms", Int32),
        field("topics", Structs(&DESCRIBED_TOPIC)),
        field("next_cursor", Nested(&RESPONSE_CURSOR)).nullable(),
    ],
};

const DESCRIBED_TOPIC: Struct = Struct {
    name: "DescribeTopicPartitionsResponseTopic",
    memory_size: size_of::<described::DescribeTopicPartitionsResponseTopic>(),
    fields: &[
        field("error_code", Int16),
        field("name", Str).nullable(),
        field("topic_id", Uuid),
        field("is_internal", Bool),
        field("partitions", Structs(&DESCRIBED_PARTITION)),
        field("topic_authorized_operations", Int32),
    ],
};

const DESCRIBED_PARTITION: Struct = Struct {
    name: "DescribeTopicPartitionsResponsePartition",
    memory_size: size_of::<described::DescribeTopicPartitionsResponsePartition>(),
    fields: &[
        field("error_code", Int16),
        field("partition_index", Int32),
        field("leader_id", Int32),
        field("leader_epoch", Int32),
        field("replica_nodes", Array(&Int32)),
        field("isr_nodes", Array(&Int32)),
        field("eligible_leader_replicas", Array(&Int32)).nullable(),
        field("last_known_elr", Array(&Int32)).nullable(),
        field("offline_replicas", Array(&Int32)),
    ],
};

const RESPONSE_CURSOR: Struct = Struct {
    name: "Cursor",
    memory_size: size_of::<described::Cursor>(),
    fields: &[field("topic_name", Str), field("partition_index", Int32)],
};

pub const DESCRIBE_LOG_DIRS_REQUEST: Struct = Struct {
    name: "DescribeLogDirsRequest",
    memory_size: size_of::<dirs_asked::DescribeLogDirsRequest>(),
    fields: &[field("topics", Structs(&DESCRIBABLE_LOG_DIR_TOPIC)).nullable()],
};

const DESCRIBABLE_LOG_DIR_TOPIC: Struct = Struct {
    name: "DescribableLogDirTopic",
    memory_size: size_of::<dirs_asked::DescribableLogDirTopic>(),
    fields: &[field("topic", Str), field("partitions", Array(&Int32))],
};

pub const DESCRIBE_LOG_DIRS_RESPONSE: Struct = Struct {
    name: "DescribeLogDirsResponse",
    memory_size: size_of::<dirs::DescribeLogDirsResponse>(),
    fields: &[
        field("throttle_time_ms", Int32),
        field("error_code", Int16).since(3),
        field("results", Structs(&DESCRIBE_LOG_DIRS_RESULT)),
    ],
};

const DESCRIBE_LOG_DIRS_RESULT: Struct = Struct {
    name: "DescribeLogDirsResult",
    memory_size: size_of::<dirs::DescribeLogDirsResult>(),
    fields: &[
        field("error_code", Int16),
        field("log_dir", Str),
        field("topics", Structs(&DESCRIBE_LOG_DIRS_TOPIC)),
        field("total_bytes", Int64).since(4),
        field("usable_bytes", Int64).since(4),
    ],
};

const DESCRIBE_LOG_DIRS_TOPIC: Struct = Struct {
    name: "DescribeLogDirsTopic",
    memory_size: size_of::<dirs::DescribeLogDirsTopic>(),
    fields: &[
        field("name", Str),
        field("partitions", Structs(&DESCRIBE_LOG_DIRS_PARTITION)),
    ],
};

const DESCRIBE_LOG_DIRS_PARTITION: Struct = Struct {
    name: "DescribeLogDirsPartition",
    memory_size: size_of::<dirs::DescribeLogDirsPartition>(),
    fields: &[
        field("partition_index", Int32),
        field("partition_size", Int64),
        field("offset_lag", Int64),
        field("is_future_key", Bool),
    ],
};

pub const DESCRIBE_PRODUCERS_REQUEST: Struct = Struct {
    name: "DescribeProducersRequest",
    memory_size: size_of::<producers_asked::DescribeProducersRequest>(),
    fields: &[field("topics", Structs(&PRODUCERS_TOPIC_REQUEST))],
};

const PRODUCERS_TOPIC_REQUEST: Struct = Struct {
    name: "TopicRequest",
    memory_size: size_of::<producers_asked::TopicRequest>(),
    fields: &[
        field("name", Str),
        field("partition_indexes", Array(&Int32)),
    ],
};

pub const DESCRIBE_PRODUCERS_RESPONSE: Struct = Struct {
    name: "DescribeProducersResponse",
    memory_size: size_of::<producers::DescribeProducersResponse>(),
    fields: &[
        field("throttle_time_ms", Int32),
        field("topics", Structs(&PRODUCERS_TOPIC_RESPONSE)),
    ],
};

const PRODUCERS_TOPIC_RESPONSE: Struct = Struct {
    name: "TopicResponse",
    memory_size: size_of::<producers::TopicResponse>(),
    fields: &[
        field("name", Str),
        field("partitions", Structs(&PRODUCERS_PARTITION_RESPONSE)),
    ],
};

const PRODUCERS_PARTITION_RESPONSE: Struct = Struct {
    name: "PartitionResponse",
    memory_size: size_of::<producers::PartitionResponse>(),
    fields: &[
        field("partition_index", Int32),
        field("error_code", Int16),
        field("error_message", Str).nullable(),
        field("active_producers", Structs(&PRODUCER_STATE)),
    ],
};

const PRODUCER_STATE: Struct = Struct {
    name: "ProducerState",
    memory_size: size_of::<producers::ProducerState>(),
    fields: &[
        field("producer_id", Int64),
        field("producer_epoch", Int32),
        field("last_sequence", Int32),
        field("last_timestamp", Int64),
        field("coordinator_epoch", Int32),
        field("current_txn_start_offset", Int64),
    ],
};

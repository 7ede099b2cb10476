//! CreateTopics, DeleteTopics, CreatePartitions, InitProducerId.

use kafka_protocol::messages::{
    create_partitions_request as grow, create_partitions_response as grown,
    create_topics_request as create, create_topics_response as created,
    delete_topics_request as delete, delete_topics_response as deleted,
    init_producer_id_request as init, init_producer_id_response as inited,
};

use super::dsl::Kind::{Array, Bool, Int8, Int16, Int32, Int64, Str, Structs, Uuid};
use super::dsl::{Struct, field};

pub const CREATE_TOPICS_REQUEST: Struct = Struct {
    name: "CreateTopicsRequest",
    memory_size: size_of::<create::CreateTopicsRequest>(),
    fields: &[
        field("topics", Structs(&CREATABLE_TOPIC)),
        field("timeout_ms", Int32),
        field("validate_only", Bool).since(1),
    ],
};

const CREATABLE_TOPIC: Struct = Struct {
    name: "CreatableTopic",
    memory_size: size_of::<create::CreatableTopic>(),
    fields: &[
        field("name", Str),
        field("num_partitions", Int32),
        field("replication_factor", Int16),
        field("assignments", Structs(&CREATABLE_REPLICA_ASSIGNMENT)),
        field("configs", Structs(&CREATABLE_TOPIC_CONFIG)),
    ],
};

const CREATABLE_REPLICA_ASSIGNMENT: Struct = Struct {
    name: "CreatableReplicaAssignment",
    memory_size: size_of::<create::CreatableReplicaAssignment>(),
    fields: &[
        field("partition_index", Int32),
        field("broker_ids", Array(&Int32)),
    ],
};

const CREATABLE_TOPIC_CONFIG: Struct = Struct {
    name: "CreatableTopicConfig",
    memory_size: size_of::<create::CreatableTopicConfig>(),
    fields: &[field("name", Str), field("value", Str).nullable()],
};

pub const CREATE_TOPICS_RESPONSE: Struct = Struct {
    name: "CreateTopicsResponse",
    memory_size: size_of::<created::CreateTopicsResponse>(),
    fields: &[
        field("throttle_time_ms", Int32).since(2),
        field("topics", Structs(&CREATABLE_TOPIC_RESULT)),
    ],
};

const CREATABLE_TOPIC_RESULT: Struct = Struct {
    name: "CreatableTopicResult",
    memory_size: size_of::<created::CreatableTopicResult>(),
    fields: &[
        field("name", Str),
        field("topic_id", Uuid).since(7),
        field("error_code", Int16),
        field("error_message", Str).since(1).nullable(),
        field("topic_config_error_code", Int16).since(5).tagged(0),
        field("num_partitions", Int32).since(5),
        field("replication_factor", Int16).since(5),
        field("configs", Structs(&CREATABLE_TOPIC_CONFIGS))
            .since(5)
            .nullable(),
    ],
};

const CREATABLE_TOPIC_CONFIGS: Struct = Struct {
    name: "CreatableTopicConfigs",
    memory_size: size_of::<created::CreatableTopicConfigs>(),
    fields: &[
        field("name", Str),
        field("value", Str).nullable(),
        field("read_only", Bool),
        field("config_source", Int8),
        field("is_sensitive", Bool),
    ],
};

pub const DELETE_TOPICS_REQUEST: Struct = Struct {
    name: "DeleteTopicsRequest",
    memory_size: size_of::<delete::DeleteTopicsRequest>(),
    fields: &[
        field("topics", Structs(&DELETE_TOPIC_STATE)).since(6),
        field("topic_names", Array(&Str)).until(5),
        field("timeout_ms", Int32),
    ],
};

const DELETE_TOPIC_STATE: Struct = Struct {
    name: "DeleteTopicState",
    memory_size: size_of::<delete::DeleteTopicState>(),
    fields: &[field("name", Str).nullable(), field("topic_id", Uuid)],
};

pub const DELETE_TOPICS_RESPONSE: Struct = Struct {
    name: "DeleteTopicsResponse",
    memory_size: size_of::<deleted::DeleteTopicsResponse>(),
    fields: &[
        field("throttle_time_ms", Int32).since(1),
        field("responses", Structs(&DELETABLE_TOPIC_RESULT)),
    ],
};

const DELETABLE_TOPIC_RESULT: Struct = Struct {
    name: "DeletableTopicResult",
    memory_size: size_of::<deleted::DeletableTopicResult>(),
    fields: &[
        field("name", Str).nullable_since(6),
        field("topic_id", Uuid).since(6),
        field("error_code", Int16),
        field("error_message", Str).since(5).nullable(),
    ],
};

pub const CREATE_PARTITIONS_REQUEST: Struct = Struct {
    name: "CreatePartitionsRequest",
    memory_size: size_of::<grow::CreatePartitionsRequest>(),
    fields: &[
        field("topics", Structs(&CREATE_PARTITIONS_TOPIC)),
        field("timeout_ms", Int32),
        field("validate_only", Bool),
    ],
};

const CREATE_PARTITIONS_TOPIC: Struct = Struct {
    name: "CreatePartitionsTopic",
    memory_size: size_of::<grow::CreatePartitionsTopic>(),
    fields: &[
        field("name", Str),
        field("count", Int32),
        field("assignments", Structs(&CREATE_PARTITIONS_ASSIGNMENT)).nullable(),
    ],
};

const CREATE_PARTITIONS_ASSIGNMENT: Struct = Struct {
    name: "CreatePartitionsAssignment",
    memory_size: size_of::<grow::CreatePartitionsAssignment>(),
    fields: &[field("broker_ids", Array(&Int32))],
};

pub const CREATE_PARTITIONS_RESPONSE: Struct = Struct {
    name: "CreatePartitionsResponse",
    memory_size: size_of::<grown::CreatePartitionsResponse>(),
    fields: &[
        field("throttle_time_ms", Int32),
        field("results", Structs(&CREATE_PARTITIONS_TOPIC_RESULT)),
    ],
};

const CREATE_PARTITIONS_TOPIC_RESULT: Struct = Struct {
    name: "CreatePartitionsTopicResult",
    memory_size: size_of::<grown::CreatePartitionsTopicResult>(),
    fields: &[
        field("name", Str),
        field("error_code", Int16),
        field("error_message", Str).nullable(),
    ],
};

pub const INIT_PRODUCER_ID_REQUEST: Struct = Struct {
    name: "InitProducerIdRequest",
    memory_size: size_of::<init::InitProducerIdRequest>(),
    fields: &[
        field("transactional_id", Str).nullable(),
        field("transaction_timeout_ms", Int32),
        field("producer_id", Int64).since(3),
        field("producer_epoch", Int16).since(3),
    ],
};

pub const INIT_PRODUCER_ID_RESPONSE: Struct = Struct {
    name: "InitProducerIdResponse",
    memory_size: size_of::<inited::InitProducerIdResponse>(),
    fields: &[
        field("throttle_time_ms", Int32),
        field("error_code", Int16),
        field("producer_id", Int64),
        field("producer_epoch", Int16),
    ],
};

//! DeleteRecords, OffsetForLeaderEpoch.

use kafka_protocol::messages::{
    delete_records_request as delete, delete_records_response as deleted,
    offset_for_leader_epoch_request as epoch, offset_for_leader_epoch_response as ended,
};

use super::dsl::Kind::{Int16, Int32, Int64, Str, Structs};
use super::dsl::{Struct, field};

pub const DELETE_RECORDS_REQUEST: Struct = Struct {
    name: "DeleteRecordsRequest",
    memory_size: size_of::<delete::DeleteRecordsRequest>(),
    fields: &[
        field("topics", Structs(&DELETE_RECORDS_TOPIC)),
        field("timeout_ms", Int32),
    ],
};

const DELETE_RECORDS_TOPIC: Struct = Struct {
    name: "DeleteRecordsTopic",
    memory_size: size_of::<delete::DeleteRecordsTopic>(),
    fields: &[
        field("name", Str),
        field("partitions", Structs(&DELETE_RECORDS_PARTITION)),
    ],
};

const DELETE_RECORDS_PARTITION: Struct = Struct {
    name: "DeleteRecordsPartition",
    memory_size: size_of::<delete::DeleteRecordsPartition>(),
    fields: &[field("partition_index", Int32), field("offset", Int64)],
};

pub const DELETE_RECORDS_RESPONSE: Struct = Struct {
    name: "DeleteRecordsResponse",
    memory_size: size_of::<deleted::DeleteRecordsResponse>(),
    fields: &[
        field("throttle_time_ms", Int32),
        field("topics", Structs(&DELETE_RECORDS_TOPIC_RESULT)),
    ],
};

const DELETE_RECORDS_TOPIC_RESULT: Struct = Struct {
    name: "DeleteRecordsTopicResult",
    memory_size: size_of::<deleted::DeleteRecordsTopicResult>(),
    fields: &[
        field("name", Str),
        field("partitions", Structs(&DELETE_RECORDS_PARTITION_RESULT)),
    ],
};

const DELETE_RECORDS_PARTITION_RESULT: Struct = Struct {
    name: "DeleteRecordsPartitionResult",
    memory_size: size_of::<deleted::DeleteRecordsPartitionResult>(),
    fields: &[
        field("partition_index", Int32),
        field("low_watermark", Int64),
        field("error_code", Int16),
    ],
};

pub const OFFSET_FOR_LEADER_EPOCH_REQUEST: Struct = Struct {
    name: "OffsetForLeaderEpochRequest",
    memory_size: size_of::<epoch::OffsetForLeaderEpochRequest>(),
    fields: &[
        field("replica_id", Int32).since(3),
        field("topics", Structs(&OFFSET_FOR_LEADER_TOPIC)),
    ],
};

const OFFSET_FOR_LEADER_TOPIC: Struct = Struct {
    name: "OffsetForLeaderTopic",
    memory_size: size_of::<epoch::OffsetForLeaderTopic>(),
    fields: &[
        field("topic", Str),
        field("partitions", Structs(&OFFSET_FOR_LEADER_PARTITION)),
    ],
};

const OFFSET_FOR_LEADER_PARTITION: Struct = Struct {
    name: "OffsetForLeaderPartition",
    memory_size: size_of::<epoch::OffsetForLeaderPartition>(),
    fields: &[
        field("partition", Int32),
        field("current_leader_epoch", Int32).since(2),
        field("leader_epoch", Int32),
    ],
};

pub const OFFSET_FOR_LEADER_EPOCH_RESPONSE: Struct = Struct {
    name: "OffsetForLeaderEpochResponse",
    memory_size: size_of::<ended::OffsetForLeaderEpochResponse>(),
    fields: &[
        field("throttle_time_ms", Int32).since(2),
        field("topics", Structs(&OFFSET_FOR_LEADER_TOPIC_RESULT)),
    ],
};

const OFFSET_FOR_LEADER_TOPIC_RESULT: Struct = Struct {
    name: "OffsetForLeaderTopicResult",
    memory_size: size_of::<ended::OffsetForLeaderTopicResult>(),
    fields: &[
        field("topic", Str),
        field("partitions", Structs(&EPOCH_END_OFFSET)),
    ],
};

const EPOCH_END_OFFSET: Struct = Struct {
    name: "EpochEndOffset",
    memory_size: size_of::<ended::EpochEndOffset>(),
    fields: &[
        field("error_code", Int16),
        field("partition", Int32),
        field("leader_epoch", Int32).since(1),
        field("end_offset", Int64),
    ],
};

//! ApiVersions, Metadata, FindCoordinator, DescribeCluster.

use kafka_protocol::messages::{
    api_versions_request as versions_asked, api_versions_response as versions,
    describe_cluster_request as cluster_asked, describe_cluster_response as cluster,
    find_coordinator_request as coordinator_asked, find_coordinator_response as coordinator,
    metadata_request as metadata_asked, metadata_response as metadata,
};

use super::dsl::Kind::{Array, Bool, Int8, Int16, Int32, Int64, Str, Structs, Uuid};
use super::dsl::{Struct, field};

pub const API_VERSIONS_REQUEST: Struct = Struct {
    name: "ApiVersionsRequest",
    memory_size: size_of::<versions_asked::ApiVersionsRequest>(),
    fields: &[
        field("client_software_name", Str).since(3),
        field("client_software_version", Str).since(3),
    ],
};

pub const API_VERSIONS_RESPONSE: Struct = Struct {
    name: "ApiVersionsResponse",
    memory_size: size_of::<versions::ApiVersionsResponse>(),
    fields: &[
        field("error_code", Int16),
        field("api_keys", Structs(&API_VERSION)),
        field("throttle_time_ms", Int32).since(1),
        field("supported_features", Structs(&SUPPORTED_FEATURE_KEY))
            .since(3)
            .tagged(0),
        field("finalized_features_epoch", Int64).since(3).tagged(1),
        field("finalized_features", Structs(&FINALIZED_FEATURE_KEY))
            .since(3)
            .tagged(2),
        field("zk_migration_ready", Bool).since(3).tagged(3),
    ],
};

const API_VERSION: Struct = Struct {
    name: "ApiVersion",
    memory_size: size_of::<versions::ApiVersion>(),
    fields: &[
        field("api_key", Int16),
        field("min_version", Int16),
        field("max_version", Int16),
    ],
};

const SUPPORTED_FEATURE_KEY: Struct = Struct {
    name: "SupportedFeatureKey",
    memory_size: size_of::<versions::SupportedFeatureKey>(),
    fields: &[
        field("name", Str),
        field("min_version", Int16),
        field("max_version", Int16),
    ],
};

const FINALIZED_FEATURE_KEY: Struct = Struct {
    name: "FinalizedFeatureKey",
    memory_size: size_of::<versions::FinalizedFeatureKey>(),
    fields: &[
        field("name", Str),
        field("max_version_level", Int16),
        field("min_version_level", Int16),
    ],
};

pub const METADATA_REQUEST: Struct = Struct {
    name: "MetadataRequest",
    memory_size: size_of::<metadata_asked::MetadataRequest>(),
    fields: &[
        field("topics", Structs(&METADATA_REQUEST_TOPIC)).nullable_since(1),
        field("allow_auto_topic_creation", Bool).since(4),
        field("include_cluster_authorized_operations", Bool)
            .since(8)
            .until(10),
        field("include_topic_authorized_operations", Bool).since(8),
    ],
};

const METADATA_REQUEST_TOPIC: Struct = Struct {
    name: "MetadataRequestTopic",
    memory_size: size_of::<metadata_asked::MetadataRequestTopic>(),
    fields: &[
        field("topic_id", Uuid).since(10),
        field("name", Str).nullable_since(10),
    ],
};

pub const METADATA_RESPONSE: Struct = Struct {
    name: "MetadataResponse",
    memory_size: size_of::<metadata::MetadataResponse>(),
    fields: &[
        field("throttle_time_ms", Int32).since(3),
        field("brokers", Structs(&METADATA_RESPONSE_BROKER)),
        field("cluster_id", Str).since(2).nullable(),
        field("controller_id", Int32).since(1),
        field("topics", Structs(&METADATA_RESPONSE_TOPIC)),
        field("cluster_authorized_operations", Int32)
            .since(8)
            .until(10),
        field("error_code", Int16).since(13),
    ],
};

const METADATA_RESPONSE_BROKER: Struct = Struct {
    name: "MetadataResponseBroker",
    memory_size: size_of::<metadata::MetadataResponseBroker>(),
    fields: &[
        field("node_id", Int32),
        field("host", Str),
        field("port", Int32),
        field("rack", Str).since(1).nullable(),
    ],
};

const METADATA_RESPONSE_TOPIC: Struct = Struct {
    name: "MetadataResponseTopic",
    memory_size: size_of::<metadata::MetadataResponseTopic>(),
    fields: &[
        field("error_code", Int16),
        field("name", Str).nullable_since(12),
        field("topic_id", Uuid).since(10),
        field("is_internal", Bool).since(1),
        field("partitions", Structs(&METADATA_RESPONSE_PARTITION)),
        field("topic_authorized_operations", Int32).since(8),
    ],
};

const METADATA_RESPONSE_PARTITION: Struct = Struct {
    name: "MetadataResponsePartition",
    memory_size: size_of::<metadata::MetadataResponsePartition>(),
    fields: &[
        field("error_code", Int16),
        field("partition_index", Int32),
        field("leader_id", Int32),
        field("leader_epoch", Int32).since(7),
        field("replica_nodes", Array(&Int32)),
        field("isr_nodes", Array(&Int32)),
        field("offline_replicas", Array(&Int32)).since(5),
    ],
};

pub const FIND_COORDINATOR_REQUEST: Struct = Struct {
    name: "FindCoordinatorRequest",
    memory_size: size_of::<coordinator_asked::FindCoordinatorRequest>(),
    fields: &[
        field("key", Str).until(3),
        field("key_type", Int8).since(1),
        field("coordinator_keys", Array(&Str)).since(4),
    ],
};

pub const FIND_COORDINATOR_RESPONSE: Struct = Struct {
    name: "FindCoordinatorResponse",
    memory_size: size_of::<coordinator::FindCoordinatorResponse>(),
    fields: &[
        field("throttle_time_ms", Int32).since(1),
        field("error_code", Int16).until(3),
        field("error_message", Str).since(1).until(3).nullable(),
        field("node_id", Int32).until(3),
        field("host", Str).until(3),
        field("port", Int32).until(3),
        field("coordinators", Structs(&COORDINATOR)).since(4),
    ],
};

const COORDINATOR: Struct = Struct {
    name: "Coordinator",
    memory_size: size_of::<coordinator::Coordinator>(),
    fields: &[
        field("key", Str),
        field("node_id", Int32),
        field("host", Str),
        field("port", Int32),
        field("error_code", Int16),
        field("error_message", Str).nullable(),
    ],
};

pub const DESCRIBE_CLUSTER_REQUEST: Struct = Struct {
    name: "DescribeClusterRequest",
    memory_size: size_of::<cluster_asked::DescribeClusterRequest>(),
    fields: &[
        field("include_cluster_authorized_operations", Bool),
        field("endpoint_type", Int8).since(1),
        field("include_fenced_brokers", Bool).since(2),
    ],
};

pub const DESCRIBE_CLUSTER_RESPONSE: Struct = Struct {
    name: "DescribeClusterResponse",
    memory_size: size_of::<cluster::DescribeClusterResponse>(),
    fields: &[
        field("throttle_time_ms", Int32),
        field("error_code", Int16),
        field("error_message", Str).nullable(),
        field("endpoint_type", Int8).since(1),
        field("cluster_id", Str),
        field("controller_id", Int32),
        field("brokers", Structs(&DESCRIBE_CLUSTER_BROKER)),
        field("cluster_authorized_operations", Int32),
    ],
};

const DESCRIBE_CLUSTER_BROKER: Struct = Struct {
    name: "DescribeClusterBroker",
    memory_size: size_of::<cluster::DescribeClusterBroker>(),
    fields: &[
        field("broker_id", Int32),
        field("host", Str),
        field("port", Int32),
        field("rack", Str).nullable(),
        field("is_fenced", Bool).since(2),
    ],
};

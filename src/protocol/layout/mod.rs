//! The field types of every request that we accept and every response that our client reads, by
//! version, as constant tables. They drive the length check and the hostile generator of the
//! tests; values are decoded by the `kafka-protocol` crate.
//!
//! Facts are those of Kafka 4.1's message definitions. Each table has the name of the message;
//! which versions are in use and from which one a message is flexible stands in
//! [`API_TABLE`](crate::protocol::API_TABLE). To add an API: its tables here, its row there.

mod cluster;
mod configs;
mod data;
mod describe;
mod dsl;
mod records;
mod topics;

pub use cluster::{
    API_VERSIONS_REQUEST, API_VERSIONS_RESPONSE, DESCRIBE_CLUSTER_REQUEST,
    DESCRIBE_CLUSTER_RESPONSE, FIND_COORDINATOR_REQUEST, FIND_COORDINATOR_RESPONSE,
    METADATA_REQUEST, METADATA_RESPONSE,
};
pub use configs::{
    ALTER_CONFIGS_REQUEST, ALTER_CONFIGS_RESPONSE, DESCRIBE_CONFIGS_REQUEST,
    DESCRIBE_CONFIGS_RESPONSE, INCREMENTAL_ALTER_CONFIGS_REQUEST,
    INCREMENTAL_ALTER_CONFIGS_RESPONSE, LIST_CONFIG_RESOURCES_REQUEST,
    LIST_CONFIG_RESOURCES_RESPONSE,
};
pub use data::{
    FETCH_REQUEST, FETCH_RESPONSE, LIST_OFFSETS_REQUEST, LIST_OFFSETS_RESPONSE, PRODUCE_REQUEST,
    PRODUCE_RESPONSE,
};
pub use describe::{
    DESCRIBE_LOG_DIRS_REQUEST, DESCRIBE_LOG_DIRS_RESPONSE, DESCRIBE_PRODUCERS_REQUEST,
    DESCRIBE_PRODUCERS_RESPONSE, DESCRIBE_TOPIC_PARTITIONS_REQUEST,
    DESCRIBE_TOPIC_PARTITIONS_RESPONSE,
};
pub use dsl::{Field, Kind, Struct, Versions};
pub use records::{
    DELETE_RECORDS_REQUEST, DELETE_RECORDS_RESPONSE, OFFSET_FOR_LEADER_EPOCH_REQUEST,
    OFFSET_FOR_LEADER_EPOCH_RESPONSE,
};
pub use topics::{
    CREATE_PARTITIONS_REQUEST, CREATE_PARTITIONS_RESPONSE, CREATE_TOPICS_REQUEST,
    CREATE_TOPICS_RESPONSE, DELETE_TOPICS_REQUEST, DELETE_TOPICS_RESPONSE,
    INIT_PRODUCER_ID_REQUEST, INIT_PRODUCER_ID_RESPONSE,
};

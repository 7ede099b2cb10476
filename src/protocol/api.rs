//! The one table of APIs: which we serve, in which versions, in what order. No handlers here:
//! `server/handlers` matches [`ApiKey`] exhaustively. What is not built is not in the table.

use super::layout::{self, Struct, Versions};

/// An API that we serve, by Kafka's key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(i16)]
pub enum ApiKey {
    Produce = 0,
    Fetch = 1,
    ListOffsets = 2,
    Metadata = 3,
    FindCoordinator = 10,
    ApiVersions = 18,
    CreateTopics = 19,
    DeleteTopics = 20,
    DeleteRecords = 21,
    InitProducerId = 22,
    OffsetForLeaderEpoch = 23,
    DescribeConfigs = 32,
    AlterConfigs = 33,
    DescribeLogDirs = 35,
    CreatePartitions = 37,
    IncrementalAlterConfigs = 44,
    DescribeCluster = 60,
    DescribeProducers = 61,
    ListConfigResources = 74,
    DescribeTopicPartitions = 75,
}

impl ApiKey {
    /// The API of a key on the wire; `None` for one that we do not serve.
    pub fn from_code(code: i16) -> Option<ApiKey> {
        API_TABLE
            .iter()
            .map(|row| row.key)
            .find(|key| key.code() == code)
    }

    /// The key on the wire.
    pub const fn code(self) -> i16 {
        self as i16
    }

    /// What the table says of it.
    pub fn row(self) -> &'static ApiRow {
        API_TABLE
            .iter()
            .find(|row| row.key == self)
            .expect("every ApiKey has a row")
    }

    /// Kafka's name.
    pub fn name(self) -> &'static str {
        self.row().name
    }
}

impl std::fmt::Display for ApiKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// When the next request of the same connection may start. Replies leave in the order of the
/// requests in any case.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OrderingClass {
    /// Once this one's messages are enqueued to the owner cores: five requests in flight stay five
    /// in flight.
    OnDispatch,
    /// Once this one is answered: it changes what the next one sees.
    OnReply,
}

/// One API.
#[derive(Debug)]
pub struct ApiRow {
    pub key: ApiKey,
    pub name: &'static str,
    /// What ApiVersions lists: the request's versions in Kafka 4.1.
    pub advertised: Versions,
    /// What is really decoded; an advertised version outside closes the connection.
    pub decoded: Versions,
    /// The first version with compact lengths and tagged fields (KIP-482), of request and response.
    pub flexible_from: i16,
    pub ordering: OrderingClass,
    pub request: &'static Struct,
    pub response: &'static Struct,
}

impl ApiRow {
    /// Whether bodies of this version have compact lengths and tagged fields.
    pub fn is_flexible(&self, version: i16) -> bool {
        version >= self.flexible_from
    }

    /// Version of the request header: 2 has tagged fields.
    pub fn request_header_version(&self, version: i16) -> i16 {
        if self.is_flexible(version) { 2 } else { 1 }
    }

    /// Version of the response header: 1 has tagged fields. ApiVersions stays at 0, for the client
    /// cannot know yet what the broker speaks (KIP-511).
    pub fn response_header_version(&self, version: i16) -> i16 {
        i16::from(self.is_flexible(version) && self.key != ApiKey::ApiVersions)
    }
}

use OrderingClass::{OnDispatch, OnReply};

/// In ascending order of keys, as ApiVersions lists them.
pub static API_TABLE: [ApiRow; 20] = [
    ApiRow {
        key: ApiKey::Produce,
        name: "Produce",
        // librdkafka wants to see 0 (KAFKA-18659); a request of 0-2 closes the connection.
        advertised: Versions::new(0, 13),
        decoded: Versions::new(3, 13),
        flexible_from: 9,
        ordering: OnDispatch,
        request: &layout::PRODUCE_REQUEST,
        response: &layout::PRODUCE_RESPONSE,
    },
    ApiRow {
        key: ApiKey::Fetch,
        name: "Fetch",
        advertised: Versions::new(4, 18),
        decoded: Versions::new(4, 18),
        flexible_from: 12,
        ordering: OnDispatch,
        request: &layout::FETCH_REQUEST,
        response: &layout::FETCH_RESPONSE,
    },
    ApiRow {
        key: ApiKey::ListOffsets,
        name: "ListOffsets",
        advertised: Versions::new(1, 10),
        decoded: Versions::new(1, 10),
        flexible_from: 6,
        ordering: OnDispatch,
        request: &layout::LIST_OFFSETS_REQUEST,
        response: &layout::LIST_OFFSETS_RESPONSE,
    },
    ApiRow {
        key: ApiKey::Metadata,
        name: "Metadata",
        advertised: Versions::new(0, 13),
        decoded: Versions::new(0, 13),
        flexible_from: 9,
        // It may create topics.
        ordering: OnReply,
        request: &layout::METADATA_REQUEST,
        response: &layout::METADATA_RESPONSE,
    },
    ApiRow {
        key: ApiKey::FindCoordinator,
        name: "FindCoordinator",
        advertised: Versions::new(0, 6),
        decoded: Versions::new(0, 6),
        flexible_from: 3,
        ordering: OnDispatch,
        request: &layout::FIND_COORDINATOR_REQUEST,
        response: &layout::FIND_COORDINATOR_RESPONSE,
    },
    ApiRow {
        key: ApiKey::ApiVersions,
        name: "ApiVersions",
        advertised: Versions::new(0, 4),
        decoded: Versions::new(0, 4),
        flexible_from: 3,
        ordering: OnDispatch,
        request: &layout::API_VERSIONS_REQUEST,
        response: &layout::API_VERSIONS_RESPONSE,
    },
    ApiRow {
        key: ApiKey::CreateTopics,
        name: "CreateTopics",
        advertised: Versions::new(2, 7),
        decoded: Versions::new(2, 7),
        flexible_from: 5,
        ordering: OnReply,
        request: &layout::CREATE_TOPICS_REQUEST,
        response: &layout::CREATE_TOPICS_RESPONSE,
    },
    ApiRow {
        key: ApiKey::DeleteTopics,
        name: "DeleteTopics",
        advertised: Versions::new(1, 6),
        decoded: Versions::new(1, 6),
        flexible_from: 4,
        ordering: OnReply,
        request: &layout::DELETE_TOPICS_REQUEST,
        response: &layout::DELETE_TOPICS_RESPONSE,
    },
    ApiRow {
        key: ApiKey::DeleteRecords,
        name: "DeleteRecords",
        advertised: Versions::new(0, 2),
        decoded: Versions::new(0, 2),
        flexible_from: 2,
        // A read behind it must find the new start.
        ordering: OnReply,
        request: &layout::DELETE_RECORDS_REQUEST,
        response: &layout::DELETE_RECORDS_RESPONSE,
    },
    ApiRow {
        key: ApiKey::InitProducerId,
        name: "InitProducerId",
        advertised: Versions::new(0, 5),
        decoded: Versions::new(0, 5),
        flexible_from: 2,
        ordering: OnReply,
        request: &layout::INIT_PRODUCER_ID_REQUEST,
        response: &layout::INIT_PRODUCER_ID_RESPONSE,
    },
    ApiRow {
        key: ApiKey::OffsetForLeaderEpoch,
        name: "OffsetForLeaderEpoch",
        advertised: Versions::new(2, 4),
        decoded: Versions::new(2, 4),
        flexible_from: 4,
        ordering: OnDispatch,
        request: &layout::OFFSET_FOR_LEADER_EPOCH_REQUEST,
        response: &layout::OFFSET_FOR_LEADER_EPOCH_RESPONSE,
    },
    ApiRow {
        key: ApiKey::DescribeConfigs,
        name: "DescribeConfigs",
        advertised: Versions::new(1, 4),
        decoded: Versions::new(1, 4),
        flexible_from: 4,
        ordering: OnDispatch,
        request: &layout::DESCRIBE_CONFIGS_REQUEST,
        response: &layout::DESCRIBE_CONFIGS_RESPONSE,
    },
    ApiRow {
        key: ApiKey::AlterConfigs,
        name: "AlterConfigs",
        advertised: Versions::new(0, 2),
        decoded: Versions::new(0, 2),
        flexible_from: 2,
        ordering: OnReply,
        request: &layout::ALTER_CONFIGS_REQUEST,
        response: &layout::ALTER_CONFIGS_RESPONSE,
    },
    ApiRow {
        key: ApiKey::DescribeLogDirs,
        name: "DescribeLogDirs",
        advertised: Versions::new(1, 4),
        decoded: Versions::new(1, 4),
        flexible_from: 2,
        ordering: OnDispatch,
        request: &layout::DESCRIBE_LOG_DIRS_REQUEST,
        response: &layout::DESCRIBE_LOG_DIRS_RESPONSE,
    },
    ApiRow {
        key: ApiKey::CreatePartitions,
        name: "CreatePartitions",
        advertised: Versions::new(0, 3),
        decoded: Versions::new(0, 3),
        flexible_from: 2,
        ordering: OnReply,
        request: &layout::CREATE_PARTITIONS_REQUEST,
        response: &layout::CREATE_PARTITIONS_RESPONSE,
    },
    ApiRow {
        key: ApiKey::IncrementalAlterConfigs,
        name: "IncrementalAlterConfigs",
        advertised: Versions::new(0, 1),
        decoded: Versions::new(0, 1),
        flexible_from: 1,
        ordering: OnReply,
        request: &layout::INCREMENTAL_ALTER_CONFIGS_REQUEST,
        response: &layout::INCREMENTAL_ALTER_CONFIGS_RESPONSE,
    },
    ApiRow {
        key: ApiKey::DescribeCluster,
        name: "DescribeCluster",
        advertised: Versions::new(0, 2),
        decoded: Versions::new(0, 2),
        flexible_from: 0,
        ordering: OnDispatch,
        request: &layout::DESCRIBE_CLUSTER_REQUEST,
        response: &layout::DESCRIBE_CLUSTER_RESPONSE,
    },
    ApiRow {
        key: ApiKey::DescribeProducers,
        name: "DescribeProducers",
        advertised: Versions::new(0, 0),
        decoded: Versions::new(0, 0),
        flexible_from: 0,
        ordering: OnDispatch,
        request: &layout::DESCRIBE_PRODUCERS_REQUEST,
        response: &layout::DESCRIBE_PRODUCERS_RESPONSE,
    },
    ApiRow {
        key: ApiKey::ListConfigResources,
        name: "ListConfigResources",
        advertised: Versions::new(0, 1),
        decoded: Versions::new(0, 1),
        flexible_from: 0,
        ordering: OnDispatch,
        request: &layout::LIST_CONFIG_RESOURCES_REQUEST,
        response: &layout::LIST_CONFIG_RESOURCES_RESPONSE,
    },
    ApiRow {
        key: ApiKey::DescribeTopicPartitions,
        name: "DescribeTopicPartitions",
        advertised: Versions::new(0, 0),
        decoded: Versions::new(0, 0),
        flexible_from: 0,
        ordering: OnDispatch,
        request: &layout::DESCRIBE_TOPIC_PARTITIONS_REQUEST,
        response: &layout::DESCRIBE_TOPIC_PARTITIONS_RESPONSE,
    },
];

//! From an API to its handler, exhaustively.

use bytes::Bytes;
use kafka_protocol::protocol::{Encodable, HeaderVersion, Request};

use super::{
    alter_configs, api_versions, create_partitions, create_topics, delete_records, delete_topics,
    describe_cluster, describe_configs, describe_log_dirs, describe_producers,
    describe_topic_partitions, fetch, find_coordinator, incremental_alter_configs,
    init_producer_id, list_config_resources, list_offsets, metadata, offset_for_leader_epoch,
    produce,
};
use crate::metrics::Stage;
use crate::protocol::{ApiKey, decode_request, encode_response};
use crate::server::answer::Answer;
use crate::server::dispatch::{Call, CloseReason, ReplyFuture, ready};
use crate::types::ErrorCode;

/// Starts the handler of a request. Ends when its messages to other shards are enqueued.
pub(in crate::server) async fn handle(call: Call, body: Bytes) -> Result<ReplyFuture, CloseReason> {
    match call.header.api_key {
        ApiKey::Produce => produce::handle(call, body).await,
        ApiKey::Fetch => fetch::handle(call, body),
        ApiKey::ListOffsets => list_offsets::handle(call, body),
        ApiKey::Metadata => metadata::handle(call, body),
        ApiKey::FindCoordinator => find_coordinator::handle(&call, body),
        ApiKey::ApiVersions => api_versions::handle(&call, body),
        ApiKey::CreateTopics => create_topics::handle(call, body),
        ApiKey::DeleteTopics => delete_topics::handle(call, body),
        ApiKey::DeleteRecords => delete_records::handle(call, body),
        ApiKey::InitProducerId => init_producer_id::handle(call, body),
        ApiKey::OffsetForLeaderEpoch => offset_for_leader_epoch::handle(call, body),
        ApiKey::DescribeConfigs => describe_configs::handle(&call, body),
        ApiKey::AlterConfigs => alter_configs::handle(call, body),
        ApiKey::IncrementalAlterConfigs => incremental_alter_configs::handle(call, body),
        ApiKey::ListConfigResources => list_config_resources::handle(&call, body),
        ApiKey::DescribeLogDirs => describe_log_dirs::handle(call, body),
        ApiKey::CreatePartitions => create_partitions::handle(call, body),
        ApiKey::DescribeCluster => describe_cluster::handle(&call, body),
        ApiKey::DescribeProducers => describe_producers::handle(call, body),
        ApiKey::DescribeTopicPartitions => describe_topic_partitions::handle(&call, body),
    }
}

impl Call {
    /// The checked and decoded body.
    pub(super) fn decode<R: Request>(&self, body: Bytes) -> Result<R, CloseReason> {
        let decoded = decode_request(&self.header, body).map_err(|error| CloseReason::Malformed {
            api: self.header.api_key,
            error,
        });
        self.lap(Stage::Decode);
        decoded
    }

    /// An error code of the answer, if it is one: for the request, or for each of its parts.
    pub(super) fn count_error(&self, error: ErrorCode) {
        if error.is_error() {
            let metrics = self.node.shard.metrics();
            metrics.count_error(self.header.api_key.code(), error);
        }
    }

    /// The answer's frame, when all of the work is done.
    pub(super) fn finish<T: Encodable + HeaderVersion>(
        &self,
        response: &T,
    ) -> Result<Answer, CloseReason> {
        self.lap(Stage::Handle);
        self.encode(response)
    }

    /// The answer's frame.
    pub(super) fn encode<T: Encodable + HeaderVersion>(
        &self,
        response: &T,
    ) -> Result<Answer, CloseReason> {
        Ok(encode_response(&self.header, response)?.into())
    }

    /// An answer that is known already.
    pub(super) fn reply_now<T: Encodable + HeaderVersion>(
        &self,
        response: &T,
    ) -> Result<ReplyFuture, CloseReason> {
        Ok(ready(self.finish(response)?))
    }
}

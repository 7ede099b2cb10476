//! DescribeCluster (60), versions 0-2: the brokers of the cluster (KIP-700, KIP-919).
//!
//! Left out: endpoint type 2 (controllers), which only controllers answer, and authorized
//! operations, which are unknown as long as there is no authorizer.

use bytes::Bytes;

use crate::protocol::StrBytes;
use crate::protocol::messages::describe_cluster_response::DescribeClusterBroker;
use crate::protocol::messages::{BrokerId, DescribeClusterRequest, DescribeClusterResponse};
use crate::server::dispatch::{Call, CloseReason, ReplyFuture};
use crate::types::ErrorCode;

/// The request's endpoint type for brokers.
const BROKERS: i8 = 1;

/// The request's endpoint type for controllers.
const CONTROLLERS: i8 = 2;

pub(super) fn handle(call: &Call, body: Bytes) -> Result<ReplyFuture, CloseReason> {
    let request: DescribeClusterRequest = call.decode(body)?;
    let error = match request.endpoint_type {
        BROKERS => ErrorCode::None,
        CONTROLLERS => ErrorCode::MismatchedEndpointType,
        _ => ErrorCode::UnsupportedEndpointType,
    };
    call.count_error(error);
    if error.is_error() {
        let message = format!(
            "this is a broker; endpoint type {} is not",
            request.endpoint_type
        );
        let response = DescribeClusterResponse::default()
            .with_error_code(error.code())
            .with_error_message(Some(StrBytes::from_string(message)));
        return call.reply_now(&response);
    }
    let node = &call.node;
    let brokers = call.endpoint().map(|endpoint| {
        DescribeClusterBroker::default()
            .with_broker_id(BrokerId(node.config.node_id))
            .with_host(StrBytes::from_string(endpoint.host.to_string()))
            .with_port(i32::from(endpoint.port))
    });
    let response = DescribeClusterResponse::default()
        .with_endpoint_type(BROKERS)
        .with_cluster_id(StrBytes::from_string(node.cluster_id.to_string()))
        .with_controller_id(BrokerId(node.config.node_id))
        .with_brokers(brokers.into_iter().collect());
    call.reply_now(&response)
}

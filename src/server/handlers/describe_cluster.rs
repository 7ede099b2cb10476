//! DescribeCluster (60), versions 0-2: the brokers of the cluster (KIP-700, KIP-919).
//!
//! The controller that is named is a broker, to which requests for the controller are sent. A
//! single broker is never fenced, so that it makes no difference whether fenced ones are asked for
//! (KIP-1073). Authorized operations are all there are, for there is no authorizer that refuses
//! any.
//!
//! Left out: endpoint type 2 (controllers), which only controllers answer; others than 1 and 2 are
//! refused with UNSUPPORTED_ENDPOINT_TYPE.

use bytes::Bytes;

use crate::protocol::messages::describe_cluster_response::DescribeClusterBroker;
use crate::protocol::messages::{BrokerId, DescribeClusterRequest, DescribeClusterResponse};
use crate::protocol::{CLUSTER_OPERATIONS, OPERATIONS_NOT_ASKED, StrBytes};
use crate::server::dispatch::{Call, CloseReason, ReplyFuture};
use crate::types::ErrorCode;

/// The request's endpoint type for brokers.
const BROKERS: i8 = 1;

/// The request's endpoint type for controllers.
const CONTROLLERS: i8 = 2;

/// No broker that this client can reach.
const NO_BROKER: BrokerId = BrokerId(-1);

pub(super) fn handle(call: &Call, body: Bytes) -> Result<ReplyFuture, CloseReason> {
    let request: DescribeClusterRequest = call.decode(body)?;
    let refused = match request.endpoint_type {
        BROKERS => None,
        CONTROLLERS => Some((
            ErrorCode::MismatchedEndpointType,
            "The request was sent to an endpoint of type BROKER, but we wanted an endpoint of \
             type CONTROLLER"
                .to_owned(),
        )),
        other => Some((
            ErrorCode::UnsupportedEndpointType,
            format!("Unsupported endpoint type {other}"),
        )),
    };
    if let Some((error, message)) = refused {
        call.count_error(error);
        let response = DescribeClusterResponse::default()
            .with_error_code(error.code())
            .with_error_message(Some(StrBytes::from_string(message)));
        return call.reply_now(&response);
    }
    let node = &call.node;
    let node_id = BrokerId(node.config.node_id);
    let broker = call.endpoint().map(|endpoint| {
        DescribeClusterBroker::default()
            .with_broker_id(node_id)
            .with_host(StrBytes::from_string(endpoint.host.to_string()))
            .with_port(i32::from(endpoint.port))
    });
    let operations = match request.include_cluster_authorized_operations {
        true => CLUSTER_OPERATIONS,
        false => OPERATIONS_NOT_ASKED,
    };
    let controller = broker.as_ref().map_or(NO_BROKER, |_| node_id);
    let response = DescribeClusterResponse::default()
        .with_endpoint_type(BROKERS)
        .with_cluster_id(StrBytes::from_string(node.cluster_id.to_string()))
        .with_controller_id(controller)
        .with_brokers(broker.into_iter().collect())
        .with_cluster_authorized_operations(operations);
    call.reply_now(&response)
}

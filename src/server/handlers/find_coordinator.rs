//! FindCoordinator (10), versions 0-6: which broker coordinates a group or transaction.
//!
//! A single node coordinates everything, so the answer is always this node, for groups and
//! transactions alike: librdkafka sends lz4 topics uncompressed and closes its consumers slowly
//! without this API, even when no group API is built. Versions 4 and later carry several keys
//! (KIP-699). Left out: share groups (type 2), answered with INVALID_REQUEST.

use bytes::Bytes;

use crate::protocol::StrBytes;
use crate::protocol::messages::find_coordinator_response::Coordinator;
use crate::protocol::messages::{BrokerId, FindCoordinatorRequest, FindCoordinatorResponse};
use crate::server::dispatch::{Call, CloseReason, ReplyFuture};
use crate::types::ErrorCode;

/// From this version on a request carries a list of keys.
const KEY_LIST_VERSION_MIN: i16 = 4;

const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;

pub(super) fn handle(call: &Call, body: Bytes) -> Result<ReplyFuture, CloseReason> {
    let request: FindCoordinatorRequest = call.decode(body)?;
    let is_known_type = matches!(request.key_type, GROUP | TRANSACTION);
    let (error, endpoint) = match call.endpoint() {
        _ if !is_known_type => (ErrorCode::InvalidRequest, None),
        Some(endpoint) => (ErrorCode::None, Some(endpoint)),
        None => (ErrorCode::CoordinatorNotAvailable, None),
    };
    call.count_error(error);
    let (node_id, host, port) = match endpoint {
        Some(endpoint) => (
            BrokerId(call.node.config.node_id),
            StrBytes::from_string(endpoint.host.to_string()),
            i32::from(endpoint.port),
        ),
        None => (BrokerId(-1), StrBytes::default(), -1),
    };
    let message = (!is_known_type)
        .then(|| StrBytes::from_string(format!("unknown coordinator type {}", request.key_type)));
    if call.header.api_version < KEY_LIST_VERSION_MIN {
        let response = FindCoordinatorResponse::default()
            .with_error_code(error.code())
            .with_error_message(message)
            .with_node_id(node_id)
            .with_host(host)
            .with_port(port);
        return call.reply_now(&response);
    }
    let coordinators = request.coordinator_keys.into_iter().map(|key| {
        Coordinator::default()
            .with_key(key)
            .with_node_id(node_id)
            .with_host(host.clone())
            .with_port(port)
            .with_error_code(error.code())
            .with_error_message(message.clone())
    });
    call.reply_now(&FindCoordinatorResponse::default().with_coordinators(coordinators.collect()))
}

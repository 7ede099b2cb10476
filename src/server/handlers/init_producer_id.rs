//! InitProducerId (22), versions 0-5: a producer's id and epoch (KIP-98, KIP-360).
//!
//! An idempotent producer gets a new id with epoch 0, each time: what it was before does not matter
//! without transactions. Ids come in blocks from the controller and are never given out twice. An
//! id without an epoch, or an epoch without an id (v3), is INVALID_REQUEST.
//!
//! Left out: transactional ids, which are refused with UNSUPPORTED_VERSION until transactions
//! exist.

use bytes::Bytes;

use crate::protocol::messages::{InitProducerIdRequest, InitProducerIdResponse, ProducerId};
use crate::server::dispatch::{Call, CloseReason, ReplyFuture};
use crate::types::ErrorCode;

/// A producer that has no id yet.
const NO_PRODUCER_ID: i64 = -1;
const NO_PRODUCER_EPOCH: i16 = -1;

pub(super) fn handle(call: Call, body: Bytes) -> Result<ReplyFuture, CloseReason> {
    let request: InitProducerIdRequest = call.decode(body)?;
    let failed = |error: ErrorCode| {
        InitProducerIdResponse::default()
            .with_error_code(error.code())
            .with_producer_id(ProducerId(NO_PRODUCER_ID))
            .with_producer_epoch(NO_PRODUCER_EPOCH)
    };
    let (id, epoch) = (request.producer_id.0, request.producer_epoch);
    if (id == NO_PRODUCER_ID) != (epoch == NO_PRODUCER_EPOCH) {
        let error = ErrorCode::InvalidRequest;
        call.count_error(error);
        return call.reply_now(&failed(error));
    }
    if let Some(id) = &request.transactional_id {
        // Kafka's answer to an empty id.
        let error = if id.is_empty() {
            ErrorCode::InvalidRequest
        } else {
            ErrorCode::UnsupportedVersion
        };
        call.count_error(error);
        return call.reply_now(&failed(error));
    }
    Ok(Box::pin(async move {
        match call.node.shard.next_producer_id().await {
            Ok(id) => call.finish(
                &InitProducerIdResponse::default()
                    .with_producer_id(ProducerId(id))
                    .with_producer_epoch(0),
            ),
            Err(error) => {
                call.count_error(error);
                call.finish(&failed(error))
            }
        }
    }))
}

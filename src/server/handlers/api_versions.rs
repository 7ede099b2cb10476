//! ApiVersions (18), versions 0-4: what this broker serves (KIP-35, KIP-511, KIP-584).
//!
//! A version that is too new never gets here: the dispatcher answers it from the header alone.

use bytes::Bytes;

use crate::protocol::messages::{ApiVersionsRequest, ApiVersionsResponse};
use crate::protocol::{api_versions_response, is_client_software_valid};
use crate::server::dispatch::{Call, CloseReason, ReplyFuture};
use crate::types::ErrorCode;

/// From this version on the client says what it is.
const CLIENT_SOFTWARE_VERSION_MIN: i16 = 3;

pub(super) fn handle(call: &Call, body: Bytes) -> Result<ReplyFuture, CloseReason> {
    let request: ApiVersionsRequest = call.decode(body)?;
    let version = call.header.api_version;
    let is_valid = version < CLIENT_SOFTWARE_VERSION_MIN
        || is_client_software_valid(&request.client_software_name)
            && is_client_software_valid(&request.client_software_version);
    if !is_valid {
        let error = ErrorCode::InvalidRequest.code();
        return call.reply_now(&ApiVersionsResponse::default().with_error_code(error));
    }
    let epoch = call.node.shard.finalized_features_epoch();
    call.reply_now(&api_versions_response(version, epoch))
}

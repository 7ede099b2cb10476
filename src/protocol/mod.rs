//! The Kafka wire protocol: API table, field layouts, length check, framing, and a thin wrap of
//! the `kafka-protocol` crate. Pure functions over bytes; nothing here knows a shard or a socket.
//!
//! A request on its way in: [`request_frame_size`] bounds the frame, [`parse_request`] takes the
//! header off, [`check_request`] holds every length against the bytes that are there and says how
//! much memory decoding takes, [`CheckedBody::decode`] decodes. On its way out:
//! [`encode_response`], or [`FetchResponseParts::encode`] where records must not be copied.
//!
//! # Non-obvious
//! - **Invariant: no byte of a peer reaches the crate's decoder before the length check has walked
//!   it.** The decoder reserves what a length says; an allocation that fails aborts the process.
//! - The crate ignores the size of a tagged field that it knows and reads on behind the field.
//!   The check therefore insists that size and content agree: both must see the same bytes.
//! - The crate takes a tag above 2^31 for a negative one. It keeps such a tag, counts it, and does
//!   not write it: a message with one encodes to what nobody can read, and is an error here. No
//!   message that was decoded is ever encoded, except by tests.
//! - The header of an ApiVersions response is always version 0, also in flexible versions.
//! - Left-over bytes behind a body are ignored: there are clients that send them.

mod api;
mod api_versions;
mod authorized_operations;
mod codec;
mod coordinator_key;
mod fetch_response;
mod frame;
mod gather;
pub mod hostile;

pub mod layout;
mod length_check;
mod produce_request;
#[cfg(test)]
mod tests;
mod topic_id;

pub use api::{API_TABLE, ApiKey, ApiRow, OrderingClass};
pub use api_versions::{
    FEATURES, Feature, api_versions_response, is_client_software_valid, unknown_version_reply,
};
pub use authorized_operations::{CLUSTER_OPERATIONS, OPERATIONS_NOT_ASKED, TOPIC_OPERATIONS};
pub use codec::{EncodeError, decode_request, decode_response, encode_request, encode_response};
pub use coordinator_key::{coordinator_partition, java_hash};
pub use fetch_response::{FetchResponseParts, FetchTopicParts, FetchedPartition};
pub use frame::{
    FRAME_PREFIX_SIZE, FrameError, Incoming, REQUEST_HEADER_SIZE_MIN, RequestHeader, parse_request,
    request_frame_size, response_correlation_id, response_frame_size,
};
pub use gather::FramePiece;
pub use kafka_protocol::messages;
pub use kafka_protocol::protocol::StrBytes;
pub use length_check::{
    CheckedBody, DECODED_SIZE_FLOOR, DECODED_SIZE_RATIO_MAX, Fault, MalformedFrame, check_request,
    check_response, decoded_size_limit,
};
pub use produce_request::{ProduceRequestParts, ProduceTopicParts, ProducedPartition};
pub use topic_id::{from_uuid, to_uuid};

//! Frames: the size prefix, the headers, and what an unknown API or version means.

use bytes::Bytes;

use super::StrBytes;
use super::api::ApiKey;
use super::length_check::{Fault, MalformedFrame, Walk};

/// Size of the size prefix, bytes.
pub const FRAME_PREFIX_SIZE: usize = 4;

/// Smallest request frame, bytes without the prefix: key, version, correlation id.
pub const REQUEST_HEADER_SIZE_MIN: usize = 8;

/// Smallest response frame, bytes without the prefix: the correlation id.
const RESPONSE_HEADER_SIZE_MIN: usize = 4;

/// Why a connection must be closed before a request of it was understood.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FrameError {
    #[error("frame size {size} is not between {min} and {max} bytes")]
    Size { size: i32, min: usize, max: usize },
    #[error("malformed header: {0}")]
    Header(#[from] MalformedFrame),
    #[error("unknown API key {key} (version {version})")]
    UnknownApi { key: i16, version: i16 },
    #[error("unsupported version {version} of {key}")]
    UnsupportedVersion { key: ApiKey, version: i16 },
}

/// The header of a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RequestHeader {
    pub api_key: ApiKey,
    /// One of the table's `decoded` versions.
    pub api_version: i16,
    pub correlation_id: i32,
    /// A slice of the frame.
    pub client_id: Option<StrBytes>,
}

/// What a frame turned out to be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Incoming {
    /// A request of a version that we decode; the body is unchecked.
    Request { header: RequestHeader, body: Bytes },
    /// ApiVersions in a version that we do not know, also -1. The answer is
    /// [`unknown_version_reply`](super::unknown_version_reply); the rest is not looked at.
    UnknownApiVersions { correlation_id: i32 },
}

/// The size of the request frame behind `prefix`, held against `socket.request.max.bytes`.
pub fn request_frame_size(prefix: [u8; 4], max: usize) -> Result<usize, FrameError> {
    frame_size(prefix, REQUEST_HEADER_SIZE_MIN, max)
}

/// The size of the response frame behind `prefix`.
pub fn response_frame_size(prefix: [u8; 4], max: usize) -> Result<usize, FrameError> {
    frame_size(prefix, RESPONSE_HEADER_SIZE_MIN, max)
}

fn frame_size(prefix: [u8; 4], min: usize, max: usize) -> Result<usize, FrameError> {
    let size = i32::from_be_bytes(prefix);
    match usize::try_from(size) {
        Ok(bytes) if (min..=max).contains(&bytes) => Ok(bytes),
        _ => Err(FrameError::Size { size, min, max }),
    }
}

/// Takes the header off a request frame (without its size prefix). On an error the connection is
/// closed: in a version that is not known nothing behind the correlation id can be read.
pub fn parse_request(frame: Bytes) -> Result<Incoming, FrameError> {
    let mut walk = Walk::over_header(&frame);
    let code = walk.int16("request_api_key")?;
    let version = walk.int16("request_api_version")?;
    let correlation_id = walk.int32("correlation_id")?;
    let Some(api_key) = ApiKey::from_code(code) else {
        return Err(FrameError::UnknownApi { key: code, version });
    };
    let row = api_key.row();
    if !row.decoded.contains(version) {
        return match api_key {
            ApiKey::ApiVersions => Ok(Incoming::UnknownApiVersions { correlation_id }),
            key => Err(FrameError::UnsupportedVersion { key, version }),
        };
    }
    let client_id_position = walk.position();
    let client_id = walk.nullable_string("client_id")?;
    if row.request_header_version(version) >= 2 {
        walk.skip_tagged_section("request header")?;
    }
    let body_position = walk.position();
    let client_id = match client_id {
        None => None,
        Some(range) => Some(utf8(&frame, range, "client_id", client_id_position)?),
    };
    let header = RequestHeader {
        api_key,
        api_version: version,
        correlation_id,
        client_id,
    };
    Ok(Incoming::Request {
        header,
        body: frame.slice(body_position..),
    })
}

fn utf8(
    frame: &Bytes,
    range: std::ops::Range<usize>,
    field: &'static str,
    position: usize,
) -> Result<StrBytes, MalformedFrame> {
    StrBytes::from_utf8(frame.slice(range)).map_err(|error| MalformedFrame {
        field,
        position,
        fault: Fault::Undecodable(error.to_string()),
    })
}

/// The correlation id of a response frame (without its size prefix): by it a client finds the
/// request, and with that the version to decode in.
pub fn response_correlation_id(frame: &[u8]) -> Result<i32, MalformedFrame> {
    Walk::over_header(frame).int32("correlation_id")
}

/// Where the body of a response frame starts, bytes.
pub(super) fn response_body_position(
    key: ApiKey,
    version: i16,
    frame: &[u8],
) -> Result<usize, MalformedFrame> {
    let mut walk = Walk::over_header(frame);
    walk.int32("correlation_id")?;
    if key.row().response_header_version(version) >= 1 {
        walk.skip_tagged_section("response header")?;
    }
    Ok(walk.position())
}

//! The thin wrap of kafka-protocol: bytes go in only through the length check, and whole frames
//! come out, size prefix, header and body in one buffer.

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::protocol::{Encodable, HeaderVersion, Request};

use super::api::ApiKey;
use super::frame::{FRAME_PREFIX_SIZE, RequestHeader, response_body_position};
use super::layout::Struct;
use super::length_check::{
    MalformedFrame, STRING_SIZE_MAX, check_own, check_request, check_response,
};

/// A message that cannot be said in this version: a field is set that the version does not have,
/// or is null where it may not be, or a string or frame is too long. A mistake of ours; the
/// connection is closed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("cannot encode {key} version {version}: {reason}")]
pub struct EncodeError {
    pub key: ApiKey,
    pub version: i16,
    pub reason: String,
}

impl EncodeError {
    pub(super) fn new(key: ApiKey, version: i16, reason: impl ToString) -> EncodeError {
        EncodeError {
            key,
            version,
            reason: reason.to_string(),
        }
    }
}

/// Checks and decodes a request body. Strings and records are slices of `body`.
/// `R` must be the API of the header (assertion).
pub fn decode_request<R: Request>(
    header: &RequestHeader,
    body: Bytes,
) -> Result<R, MalformedFrame> {
    check_request(header.api_key, header.api_version, body)?.decode_request()
}

/// A whole response frame to the request with this header.
/// `response` must be of the header's API (assertion, as far as header versions tell).
pub fn encode_response<T: Encodable + HeaderVersion>(
    header: &RequestHeader,
    response: &T,
) -> Result<Bytes, EncodeError> {
    let (key, version) = (header.api_key, header.api_version);
    debug_assert_eq!(
        T::header_version(version),
        key.row().response_header_version(version),
        "response of another API than {key}"
    );
    encode_frame(key, version, key.row().response, response, |size| {
        let mut frame = BytesMut::with_capacity(FRAME_PREFIX_SIZE + 5 + size);
        put_response_header(&mut frame, key, version, header.correlation_id);
        frame
    })
}

/// A whole request frame. `R` must be an API of the table, `version` one that it decodes
/// (assertions).
pub fn encode_request<R: Request>(
    version: i16,
    correlation_id: i32,
    client_id: Option<&str>,
    request: &R,
) -> Result<Bytes, EncodeError> {
    let key = api_of::<R>();
    encode_frame(key, version, key.row().request, request, |size| {
        let client_id_size = client_id.map_or(0, str::len);
        let mut frame = BytesMut::with_capacity(FRAME_PREFIX_SIZE + 11 + client_id_size + size);
        put_request_header(&mut frame, key, version, correlation_id, client_id);
        frame
    })
}

/// Checks and decodes a response frame (without its size prefix) to a request of this version.
pub fn decode_response<R: Request>(
    version: i16,
    frame: Bytes,
) -> Result<R::Response, MalformedFrame> {
    let key = api_of::<R>();
    let position = response_body_position(key, version, &frame)?;
    check_response(key, version, frame.slice(position..))?.decode_response::<R>()
}

fn api_of<R: Request>() -> ApiKey {
    ApiKey::from_code(R::KEY).unwrap_or_else(|| panic!("API key {} is not in the table", R::KEY))
}

fn encode_frame<T: Encodable>(
    key: ApiKey,
    version: i16,
    layout: &Struct,
    message: &T,
    start: impl FnOnce(usize) -> BytesMut,
) -> Result<Bytes, EncodeError> {
    assert!(
        key.row().decoded.contains(version),
        "{key} has no version {version}"
    );
    let fail = |reason: &dyn ToString| EncodeError::new(key, version, reason.to_string());
    let size = message
        .compute_size(version)
        .map_err(|error| fail(&error))?;
    let mut frame = start(size);
    let header_end = frame.len();
    message
        .encode(&mut frame, version)
        .map_err(|error| fail(&error))?;
    let written = frame.len() - header_end;
    if written != size {
        let reason = format!("{written} bytes were written where there should be {size}");
        return Err(EncodeError::new(key, version, reason));
    }
    check_own(key.row(), layout, version, &frame[header_end..]).map_err(|error| fail(&error))?;
    let frame_size = frame.len() - FRAME_PREFIX_SIZE;
    let prefix = i32::try_from(frame_size).map_err(|error| fail(&error))?;
    frame[..FRAME_PREFIX_SIZE].copy_from_slice(&prefix.to_be_bytes());
    Ok(frame.freeze())
}

/// Room for the size prefix, then the response header.
pub(super) fn put_response_header(
    frame: &mut BytesMut,
    key: ApiKey,
    version: i16,
    correlation_id: i32,
) {
    frame.put_bytes(0, FRAME_PREFIX_SIZE);
    frame.put_i32(correlation_id);
    if key.row().response_header_version(version) >= 1 {
        frame.put_u8(0);
    }
}

/// Room for the size prefix, then the request header. A client id that is too long is cut.
pub(super) fn put_request_header(
    frame: &mut BytesMut,
    key: ApiKey,
    version: i16,
    correlation_id: i32,
    client_id: Option<&str>,
) {
    frame.put_bytes(0, FRAME_PREFIX_SIZE);
    frame.put_i16(key.code());
    frame.put_i16(version);
    frame.put_i32(correlation_id);
    match client_id {
        None => frame.put_i16(-1),
        Some(id) => {
            let id = &id[..id.floor_char_boundary(STRING_SIZE_MAX)];
            frame.put_i16(id.len() as i16);
            frame.put_slice(id.as_bytes());
        }
    }
    if key.row().request_header_version(version) >= 2 {
        frame.put_u8(0);
    }
}

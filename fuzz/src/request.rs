//! A request, from its frame to what a handler is given.
//!
//! Input: a byte, even for `key index, version index, body`, odd for a whole frame without its
//! size.

use std::fmt::Debug;

use bytes::Bytes;
use kafka_protocol::protocol::Request;
use ringlog::protocol::hostile::request_frame;
use ringlog::protocol::{
    API_TABLE, EncodeError, FRAME_PREFIX_SIZE, Incoming, RequestHeader, check_request,
    decode_request, encode_request, parse_request, request_frame_size,
};

use crate::for_request_type;
use crate::input::Input;
use crate::memory::measured;

/// Room for error texts, bytes.
const SLACK_SIZE: usize = 16 << 10;

/// `socket.request.max.bytes` by default.
const FRAME_SIZE_MAX: usize = 100 << 20;

pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let frame = match input.u8() % 2 {
        0 => {
            let row = &API_TABLE[usize::from(input.u8()) % API_TABLE.len()];
            let versions: Vec<i16> = row.decoded.iter().collect();
            let version = versions[usize::from(input.u8()) % versions.len()];
            Bytes::from(request_frame(row.key, version, 1, input.rest())).slice(FRAME_PREFIX_SIZE..)
        }
        _ => Bytes::copy_from_slice(input.rest()),
    };
    let size = (frame.len() as i32).to_be_bytes();
    if request_frame_size(size, FRAME_SIZE_MAX).is_err() {
        return;
    }
    if let Ok(Incoming::Request { header, body }) = parse_request(frame) {
        for_request_type!(header.api_key, check(&header, body));
    }
}

/// What is decoded takes the memory that was promised, can be said again, and says the same then.
fn check<R: Request + PartialEq + Debug>(header: &RequestHeader, body: Bytes) {
    let (key, version) = (header.api_key, header.api_version);
    let (peak, checked) = measured(|| check_request(key, version, body));
    assert!(
        peak <= SLACK_SIZE,
        "checking {key} v{version} took {peak} bytes"
    );
    let Ok(checked) = checked else { return };
    let promised = checked.decoded_size();
    let (peak, request) = measured(|| checked.decode_request::<R>());
    assert!(
        peak <= promised + SLACK_SIZE,
        "{key} v{version} took {peak} bytes, not {promised}"
    );
    let Ok(request) = request else { return };
    let encode = |request: &R| encode_request(version, 1, None, request);
    let Some(again) = encoded(encode(&request), &request) else {
        return;
    };
    let Ok(Incoming::Request { body, .. }) = parse_request(again.slice(FRAME_PREFIX_SIZE..)) else {
        panic!("{request:?} comes back as no request");
    };
    let decoded: R = decode_request(header, body).expect("a body of ours");
    assert_eq!(decoded, request);
    assert_eq!(encode(&decoded), Ok(again));
}

/// The frame of a message that was decoded; `None` for one that the crate reads and cannot write: a
/// tag above 2^31 is negative to it, and its encoder begins at tag 0
/// (`write_unknown_tagged_fields`, kafka-protocol 0.18).
pub(crate) fn encoded(encoded: Result<Bytes, EncodeError>, message: &impl Debug) -> Option<Bytes> {
    let error = match encoded {
        Ok(frame) => return Some(frame),
        Err(error) => error,
    };
    let text = format!("{message:?}");
    let has_negative_tag = text.contains("unknown_tagged_fields: {-");
    assert!(has_negative_tag, "{text} does not come back: {error}");
    None
}

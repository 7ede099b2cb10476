//! A response, as our client reads it.
//!
//! Input: a byte, even for `key index, version index, frame` without its size, odd for a client
//! that asks and is answered ([`crate::client`]).

use std::fmt::Debug;

use bytes::Bytes;
use kafka_protocol::protocol::{Encodable, HeaderVersion, Request};
use ringlog::protocol::{
    API_TABLE, ApiKey, FRAME_PREFIX_SIZE, RequestHeader, check_response, decode_response,
    encode_response,
};

use crate::for_request_type;
use crate::input::Input;
use crate::memory::measured;
use crate::request::encoded;

/// Room for error texts, bytes.
const SLACK_SIZE: usize = 16 << 10;

pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    if input.u8() % 2 == 1 {
        return crate::client::run(input.rest());
    }
    let row = &API_TABLE[usize::from(input.u8()) % API_TABLE.len()];
    let versions: Vec<i16> = row.decoded.iter().collect();
    let version = versions[usize::from(input.u8()) % versions.len()];
    let frame = Bytes::copy_from_slice(input.rest());
    for_request_type!(row.key, check(row.key, version, frame));
}

/// What is decoded takes the memory that was promised, can be said again, and says the same then.
fn check<R: Request>(key: ApiKey, version: i16, frame: Bytes)
where
    R::Response: Encodable + HeaderVersion + PartialEq + Debug,
{
    if let Ok(checked) = check_response(key, version, frame.clone()) {
        let promised = checked.decoded_size();
        let (peak, _) = measured(|| checked.decode_response::<R>().map(drop));
        assert!(
            peak <= promised + SLACK_SIZE,
            "{key} v{version} took {peak} bytes, not {promised}"
        );
    }
    let Ok(response) = decode_response::<R>(version, frame) else {
        return;
    };
    let header = RequestHeader {
        api_key: key,
        api_version: version,
        correlation_id: 1,
        client_id: None,
    };
    let Some(again) = encoded(encode_response(&header, &response), &response) else {
        return;
    };
    let decoded = decode_response::<R>(version, again.slice(FRAME_PREFIX_SIZE..));
    let decoded = decoded.expect("a frame of ours");
    assert_eq!(decoded, response);
    assert_eq!(encode_response(&header, &decoded), Ok(again));
}

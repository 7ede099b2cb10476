//! A response, as our client reads it.
//!
//! Input: a byte, even for `key index, version index, frame` without its size, odd for a client
//! that asks and is answered ([`crate::client`]).

use std::fmt::Debug;

use bytes::Bytes;
use kafka_protocol::protocol::{Encodable, Request};
use ringlog::protocol::{API_TABLE, ApiKey, check_response, decode_response};

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
    R::Response: Encodable + PartialEq + Debug,
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
    let again = encoded(&response, version);
    let checked = check_response(key, version, again.clone()).expect("a body of ours");
    let decoded = checked.decode_response::<R>().expect("a body of ours");
    assert_eq!(decoded, response);
    assert_eq!(encoded(&decoded, version), again);
}

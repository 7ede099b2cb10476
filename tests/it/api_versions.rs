//! ApiVersions: what the broker says it can do, also to clients from the future.

use kafka_protocol::messages::{ApiVersionsRequest, ApiVersionsResponse};
use ringlog::protocol::{API_TABLE, ApiKey};
use ringlog::types::ErrorCode;

use crate::broker::TestBroker;
use crate::topics::{code, text, versions};
use crate::wire::{Outcome, Wire};

fn request(version: i16, name: &str, software_version: &str) -> ApiVersionsRequest {
    let request = ApiVersionsRequest::default();
    if version < 3 {
        return request;
    }
    request
        .with_client_software_name(text(name))
        .with_client_software_version(text(software_version))
}

fn ask(wire: &mut Wire, version: i16) -> ApiVersionsResponse {
    wire.call(version, &request(version, "it", "1.0"))
}

#[test]
fn every_version_lists_what_is_served_and_nothing_else() {
    let broker = TestBroker::start(&[]);
    let mut wire = broker.connect();
    let served = API_TABLE.iter().map(|row| {
        let versions = row.advertised;
        (row.key.code(), versions.min, versions.max)
    });
    let served: Vec<_> = served.collect();
    for version in versions(ApiKey::ApiVersions) {
        let response = ask(&mut wire, version);
        assert_eq!(response.error_code, 0);
        let listed = response
            .api_keys
            .iter()
            .map(|api| (api.api_key, api.min_version, api.max_version));
        assert!(listed.eq(served.iter().copied()), "version {version}");
        // Java 3.7's admin client dies of a feature with minimum 0 in version 3.
        let smallest = response.supported_features.iter().map(|f| f.min_version);
        assert_eq!(
            smallest.min(),
            [None, None, None, Some(7), Some(0)][version as usize]
        );
        assert_eq!(response.finalized_features.is_empty(), version < 3);
        assert!(version < 3 || response.finalized_features_epoch >= 0);
    }
    // librdkafka wants to see Produce from 0 on.
    let produce = served.iter().find(|(key, ..)| *key == 0);
    assert_eq!(produce, Some(&(0, 0, 13)));
}

#[test]
fn a_version_from_the_future_is_answered_in_version_0_with_one_entry() {
    let broker = TestBroker::start(&[]);
    for version in [5i16, 99, i16::MAX, -1] {
        let mut wire = broker.connect();
        // The body of such a version is not looked at.
        let mut frame = vec![0, 0, 0, 13, 0, 18];
        frame.extend_from_slice(&version.to_be_bytes());
        frame.extend_from_slice(&77i32.to_be_bytes());
        frame.extend_from_slice(&[0xff; 5]);
        wire.write(&frame);
        let mut expected = 77i32.to_be_bytes().to_vec();
        for field in [code(ErrorCode::UnsupportedVersion), 0, 1, 18, 0, 4] {
            expected.extend_from_slice(&field.to_be_bytes());
        }
        let Outcome::Frame(answer) = wire.read() else {
            panic!("version {version}: the connection was closed");
        };
        assert_eq!(answer[..], expected[..], "version {version}");
        // The client goes on in the same connection with what it was told.
        assert_eq!(ask(&mut wire, 4).error_code, 0);
    }
}

#[test]
fn client_software_must_have_a_proper_name() {
    let broker = TestBroker::start(&[]);
    let mut wire = broker.connect();
    let names = [
        ("librdkafka", "2.15.0", ErrorCode::None),
        ("a", "1", ErrorCode::None),
        ("", "1.0", ErrorCode::InvalidRequest),
        ("it", "", ErrorCode::InvalidRequest),
        ("-it", "1.0", ErrorCode::InvalidRequest),
        ("it", "1.0-", ErrorCode::InvalidRequest),
        ("it ring", "1.0", ErrorCode::InvalidRequest),
        ("it", "1.0\u{e9}", ErrorCode::InvalidRequest),
    ];
    for version in [3, 4] {
        for (name, software_version, expected) in names {
            let response = wire.call(version, &request(version, name, software_version));
            assert_eq!(
                response.error_code,
                code(expected),
                "{name:?} {software_version:?}"
            );
        }
    }
}

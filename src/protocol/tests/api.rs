//! The table against itself, against the crate, and what ApiVersions makes of it.

use kafka_protocol::messages::{ApiKey as CrateApiKey, ApiVersionsRequest};

use crate::protocol::hostile::Direction;
use crate::protocol::layout::{Kind, Struct};
use crate::protocol::{
    API_TABLE, ApiKey, StrBytes, api_versions_response, decode_response, is_client_software_valid,
    unknown_version_reply,
};

#[test]
fn the_table_is_in_order_and_agrees_with_the_crate() {
    assert!(API_TABLE.is_sorted_by_key(|row| row.key.code()));
    for row in &API_TABLE {
        assert_eq!(ApiKey::from_code(row.key.code()), Some(row.key));
        let theirs = CrateApiKey::try_from(row.key.code()).expect("a key of the crate");
        assert_eq!(format!("{theirs:?}").trim_end_matches("Key"), row.name);
        for version in row.decoded.iter() {
            let (name, at) = (row.name, version);
            let header = theirs.request_header_version(version);
            assert_eq!(
                row.request_header_version(version),
                header,
                "{name} v{at} request"
            );
            let header = theirs.response_header_version(version);
            assert_eq!(
                row.response_header_version(version),
                header,
                "{name} v{at} response"
            );
        }
    }
    assert_eq!(ApiKey::from_code(4), None);
}

#[test]
fn every_element_takes_a_byte_and_none_nests_deep() {
    fn visit(layout: &Struct, version: i16, flexible: bool, depth: usize) {
        assert!(depth <= 5, "{} nests {depth} deep", layout.name);
        let fields = layout
            .fields
            .iter()
            .filter(|field| field.versions.contains(version));
        for field in fields {
            if let Kind::Structs(element) = field.kind {
                let size = element.wire_size_min(version, flexible);
                assert!(size >= 1, "{} v{version} may be empty", element.name);
                assert!(element.memory_size >= 8, "{} has no memory", element.name);
                visit(element, version, flexible, depth + 1);
            }
            if let Kind::Struct(inner) = field.kind {
                visit(inner, version, flexible, depth + 1);
            }
        }
    }
    for row in &API_TABLE {
        for version in row.decoded.iter() {
            for direction in [Direction::Request, Direction::Response] {
                visit(row.layout(direction), version, row.is_flexible(version), 1);
            }
        }
    }
}

#[test]
fn features_with_minimum_zero_are_kept_from_v3() {
    let names = |version| {
        let response = api_versions_response(version, 5);
        let supported = response
            .supported_features
            .iter()
            .map(|f| f.name.to_string());
        let finalized = response
            .finalized_features
            .iter()
            .map(|f| f.name.to_string());
        (supported.collect::<Vec<_>>(), finalized.collect::<Vec<_>>())
    };
    let both = vec!["kraft.version".to_string(), "metadata.version".to_string()];
    assert_eq!(names(2), (vec![], vec![]));
    assert_eq!(
        names(3),
        (vec!["metadata.version".to_string()], both.clone())
    );
    assert_eq!(names(4), (both.clone(), both));
    assert_eq!(api_versions_response(3, 5).finalized_features_epoch, 5);
}

#[test]
fn produce_is_advertised_from_zero() {
    let response = api_versions_response(0, 0);
    let keys: Vec<_> = response
        .api_keys
        .iter()
        .map(|row| (row.api_key, row.min_version, row.max_version))
        .collect();
    assert_eq!(keys.len(), API_TABLE.len());
    assert_eq!(keys[0], (0, 0, 13));
    assert!(keys.contains(&(18, 0, 4)));
}

#[test]
fn the_answer_to_an_unknown_version_lists_one_api() {
    let frame = unknown_version_reply(77);
    let size = i32::from_be_bytes(frame[..4].try_into().expect("four bytes"));
    assert_eq!(size as usize, frame.len() - 4);
    let response = decode_response::<ApiVersionsRequest>(0, frame.slice(4..)).expect("decodes");
    assert_eq!(&frame[4..8], &77i32.to_be_bytes());
    assert_eq!(response.error_code, 35);
    let [only] = &response.api_keys[..] else {
        panic!("{:?}", response.api_keys)
    };
    assert_eq!(
        (only.api_key, only.min_version, only.max_version),
        (18, 0, 4)
    );
}

#[test]
fn client_software_names() {
    for good in [
        "a",
        "Z9",
        "apache-kafka-java",
        "librdkafka",
        "2.16.1",
        "a..b",
        "0",
    ] {
        assert!(is_client_software_valid(good), "{good:?}");
    }
    for bad in ["", "-", "a-", ".a", "a b", "a_b", "ü", "a\n", "-a-"] {
        assert!(!is_client_software_valid(bad), "{bad:?}");
    }
    let name = StrBytes::from_static_str("kafka-python");
    assert!(is_client_software_valid(&name));
}

//! Headers and size prefixes, and whole frames through the wrap.

use bytes::Bytes;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{
    ApiVersionsRequest, ApiVersionsResponse, DescribeClusterRequest, MetadataRequest,
    MetadataResponse, ProduceRequest,
};

use super::unhex;
use crate::protocol::{
    ApiKey, Fault, FrameError, Incoming, RequestHeader, StrBytes, decode_request, decode_response,
    encode_request, encode_response, parse_request, request_frame_size, response_correlation_id,
    response_frame_size,
};

fn parsed(frame: &Bytes) -> (RequestHeader, Bytes) {
    match parse_request(frame.clone()) {
        Ok(Incoming::Request { header, body }) => (header, body),
        other => panic!("{other:?}"),
    }
}

#[test]
fn frame_sizes_have_bounds() {
    let size = |size: i32, max| request_frame_size(size.to_be_bytes(), max);
    assert_eq!(size(8, 100), Ok(8));
    assert_eq!(size(100, 100), Ok(100));
    for bad in [-1, 0, 7, 101, i32::MAX, i32::MIN] {
        let error = size(bad, 100).expect_err("out of bounds");
        assert_eq!(
            error,
            FrameError::Size {
                size: bad,
                min: 8,
                max: 100
            }
        );
    }
    assert_eq!(response_frame_size(4i32.to_be_bytes(), 100), Ok(4));
    assert!(response_frame_size(3i32.to_be_bytes(), 100).is_err());
}

#[test]
fn left_over_bytes_of_confluent_kafka() {
    // What list_topics() of 2.16 sends, from KAFKA.md: three bytes too many.
    let frame = unhex("0003000d00000003000772646b61666b610000000000010000");
    let (header, body) = parsed(&frame);
    assert_eq!(header.api_key, ApiKey::Metadata);
    assert_eq!((header.api_version, header.correlation_id), (13, 3));
    assert_eq!(header.client_id.as_deref(), Some("rdkafka"));
    let request: MetadataRequest = decode_request(&header, body).expect("left-overs are ignored");
    assert_eq!(request.topics, None);
}

#[test]
fn what_closes_a_connection() {
    let header = |key: i16, version: i16| {
        let bytes = [
            &key.to_be_bytes()[..],
            &version.to_be_bytes(),
            &[0, 0, 0, 9],
            &[0xff; 2],
        ];
        Bytes::from(bytes.concat())
    };
    for (key, version) in [(99, 0), (-1, 0), (4, 0)] {
        let error = parse_request(header(key, version)).expect_err("unknown key");
        assert_eq!(error, FrameError::UnknownApi { key, version });
    }
    for (key, version) in [(0, 2), (0, 14), (0, -1), (3, 14), (1, 3)] {
        let error = parse_request(header(key, version)).expect_err("unknown version");
        let key = ApiKey::from_code(key).expect("known");
        assert_eq!(error, FrameError::UnsupportedVersion { key, version });
    }
    for version in [5, -1, i16::MAX] {
        let incoming = parse_request(header(18, version)).expect("answered");
        assert_eq!(incoming, Incoming::UnknownApiVersions { correlation_id: 9 });
    }
}

#[test]
fn header_cut_anywhere_is_an_error() {
    let header = [&[0, 3, 0, 9, 0, 0, 0, 1, 0, 2][..], b"ab", &[1, 5, 1, 0]].concat();
    let frame = Bytes::from(header);
    let (parsed_header, body) = parsed(&frame);
    assert_eq!(parsed_header.client_id.as_deref(), Some("ab"));
    assert!(
        body.is_empty(),
        "the tagged field of the header belongs to the header"
    );
    for end in 0..frame.len() {
        let error = parse_request(frame.slice(..end)).expect_err("cut");
        assert!(matches!(error, FrameError::Header(_)), "{error}");
    }
    let bad_length = unhex("0003000900000001fffe00");
    assert!(matches!(
        parse_request(bad_length),
        Err(FrameError::Header(error)) if error.fault == Fault::NegativeLength(-2)
    ));
    let bad_text = unhex("00030009000000010001ff00");
    assert!(
        parse_request(bad_text).is_err(),
        "client id that is not UTF-8"
    );
}

#[test]
fn requests_and_responses_pass_from_client_to_broker_and_back() {
    for version in 0..=13 {
        let request = MetadataRequest::default().with_topics(match version {
            0 => Some(vec![]),
            _ => None,
        });
        let frame = encode_request(version, 42, Some("me"), &request).expect("encodes");
        let size = request_frame_size(frame[..4].try_into().expect("prefix"), 1 << 20);
        assert_eq!(size, Ok(frame.len() - 4));
        let (header, body) = parsed(&frame.slice(4..));
        assert_eq!((header.api_version, header.correlation_id), (version, 42));
        assert_eq!(header.client_id.as_deref(), Some("me"));
        assert_eq!(
            decode_request::<MetadataRequest>(&header, body),
            Ok(request)
        );

        let response = MetadataResponse::default();
        let frame = encode_response(&header, &response).expect("encodes");
        let size = response_frame_size(frame[..4].try_into().expect("prefix"), 1 << 20);
        assert_eq!(size, Ok(frame.len() - 4));
        let frame = frame.slice(4..);
        assert_eq!(response_correlation_id(&frame), Ok(42));
        assert!(
            decode_response::<MetadataRequest>(version, frame).is_ok(),
            "v{version}"
        );
    }
}

#[test]
fn the_header_of_an_api_versions_response_has_no_tags() {
    for version in 0..=4 {
        let header = RequestHeader {
            api_key: ApiKey::ApiVersions,
            api_version: version,
            correlation_id: 1,
            client_id: None,
        };
        let response = ApiVersionsResponse::default().with_error_code(0x0102);
        let frame = encode_response(&header, &response).expect("encodes");
        assert_eq!(&frame[4..10], &[0, 0, 0, 1, 1, 2], "v{version}");
        let back = decode_response::<ApiVersionsRequest>(version, frame.slice(4..));
        assert_eq!(back, Ok(response));
    }
}

#[test]
fn records_of_a_produce_request_are_slices_of_the_frame() {
    let records = Bytes::from(vec![7u8; 4096]);
    for version in 3..=13 {
        let partition = kafka_protocol::messages::produce_request::PartitionProduceData::default()
            .with_records(Some(records.clone()));
        let topic = kafka_protocol::messages::produce_request::TopicProduceData::default()
            .with_partition_data(vec![partition]);
        let request = ProduceRequest::default().with_topic_data(vec![topic]);
        let frame = encode_request(version, 1, None, &request)
            .expect("encodes")
            .slice(4..);
        let (header, body) = parsed(&frame);
        let decoded: ProduceRequest = decode_request(&header, body).expect("decodes");
        let found = decoded.topic_data[0].partition_data[0]
            .records
            .as_ref()
            .expect("records");
        assert_eq!(*found, records);
        assert!(
            frame.as_ptr_range().contains(&found.as_ptr()),
            "v{version}: the records were copied"
        );
    }
}

#[test]
fn a_message_that_a_version_cannot_say_is_an_error() {
    let long = MetadataRequestTopic::default().with_name(Some(StrBytes::from(long_text()).into()));
    let long = MetadataRequest::default().with_topics(Some(vec![long]));
    let null = MetadataRequest::default().with_topics(None);
    // A length of 16 bits; the same in compact form, where the crate does not mind; no null in v0.
    for (version, request) in [(8, &long), (9, &long), (0, &null)] {
        let error = encode_request(version, 1, None, request).expect_err("cannot be said");
        assert_eq!((error.key, error.version), (ApiKey::Metadata, version));
        let start = format!("cannot encode Metadata version {version}: ");
        assert!(error.to_string().starts_with(&start), "{error}");
    }
}

#[test]
fn a_tag_that_the_crate_reads_and_does_not_write() {
    // Above 2^31 a tag is a negative number to the crate: it is counted, and left out.
    let body = unhex("00010001feffffff0f03aabbcc");
    let header = RequestHeader {
        api_key: ApiKey::DescribeCluster,
        api_version: 2,
        correlation_id: 1,
        client_id: None,
    };
    let request: DescribeClusterRequest = decode_request(&header, body).expect("as Kafka takes it");
    assert_eq!(request.unknown_tagged_fields[&-2][..], [0xaa, 0xbb, 0xcc]);
    let error = encode_request(2, 1, None, &request).expect_err("a frame that nobody could read");
    assert_eq!((error.key, error.version), (ApiKey::DescribeCluster, 2));
}

fn long_text() -> String {
    "x".repeat(0x8000)
}

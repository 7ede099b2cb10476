//! Tests of the protocol floor: golden bytes of real Kafka, lies about lengths, and the crate's
//! encoder as the oracle of our own.

/// Runs `$function::<R>` for the request type of `$key`.
macro_rules! for_request_type {
    ($key:expr, $function:ident $arguments:tt) => {
        match $key {
            ApiKey::Produce => $function::<messages::ProduceRequest>$arguments,
            ApiKey::Fetch => $function::<messages::FetchRequest>$arguments,
            ApiKey::ListOffsets => $function::<messages::ListOffsetsRequest>$arguments,
            ApiKey::Metadata => $function::<messages::MetadataRequest>$arguments,
            ApiKey::FindCoordinator => $function::<messages::FindCoordinatorRequest>$arguments,
            ApiKey::ApiVersions => $function::<messages::ApiVersionsRequest>$arguments,
            ApiKey::CreateTopics => $function::<messages::CreateTopicsRequest>$arguments,
            ApiKey::DeleteTopics => $function::<messages::DeleteTopicsRequest>$arguments,
            ApiKey::DeleteRecords => $function::<messages::DeleteRecordsRequest>$arguments,
            ApiKey::InitProducerId => $function::<messages::InitProducerIdRequest>$arguments,
            ApiKey::OffsetForLeaderEpoch => {
                $function::<messages::OffsetForLeaderEpochRequest>$arguments
            }
            ApiKey::DescribeConfigs => $function::<messages::DescribeConfigsRequest>$arguments,
            ApiKey::AlterConfigs => $function::<messages::AlterConfigsRequest>$arguments,
            ApiKey::IncrementalAlterConfigs => {
                $function::<messages::IncrementalAlterConfigsRequest>$arguments
            }
            ApiKey::DescribeLogDirs => $function::<messages::DescribeLogDirsRequest>$arguments,
            ApiKey::CreatePartitions => $function::<messages::CreatePartitionsRequest>$arguments,
            ApiKey::DescribeCluster => $function::<messages::DescribeClusterRequest>$arguments,
            ApiKey::DescribeProducers => $function::<messages::DescribeProducersRequest>$arguments,
            ApiKey::ListConfigResources => {
                $function::<messages::ListConfigResourcesRequest>$arguments
            }
            ApiKey::DescribeTopicPartitions => {
                $function::<messages::DescribeTopicPartitionsRequest>$arguments
            }
        }
    };
}

mod api;
mod frame;
mod gather;
mod golden;
mod hostile;

use bytes::{Bytes, BytesMut};
use kafka_protocol::protocol::{Encodable, Request};

use super::hostile::Direction;
use super::{ApiKey, MalformedFrame, check_request, check_response, messages};

/// Checks, decodes and encodes a body of an API in the table.
fn round_trip(
    key: ApiKey,
    direction: Direction,
    version: i16,
    body: Bytes,
) -> Result<Bytes, MalformedFrame> {
    fn typed<R: Request>(
        key: ApiKey,
        direction: Direction,
        version: i16,
        body: Bytes,
    ) -> Result<Bytes, MalformedFrame> {
        match direction {
            Direction::Request => {
                let request: R = check_request(key, version, body)?.decode_request()?;
                Ok(encoded(&request, version))
            }
            Direction::Response => {
                let checked = check_response(key, version, body)?;
                Ok(encoded(&checked.decode_response::<R>()?, version))
            }
        }
    }
    for_request_type!(key, typed(key, direction, version, body))
}

fn encoded<T: Encodable>(message: &T, version: i16) -> Bytes {
    let mut buffer = BytesMut::new();
    message
        .encode(&mut buffer, version)
        .expect("what was decoded encodes");
    buffer.freeze()
}

/// Bytes of hexadecimal text.
fn unhex(text: &str) -> Bytes {
    let digits = (0..text.len()).step_by(2);
    digits
        .map(|start| u8::from_str_radix(&text[start..start + 2], 16).expect("hexadecimal"))
        .collect()
}

//! Memory, seen by a counting allocator. A hostile body that lies reserves nothing, and a true one
//! takes no more than the length check says; a broker that was killed in a simulation leaves
//! nothing, so that a million seeds are one process.

#[path = "../fuzz/src/memory.rs"]
mod counting;

use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use counting::{measured, reserved};
use ringlog::protocol::hostile::{Direction, Fill, sample};
use ringlog::protocol::messages::{
    AlterConfigsRequest, ApiVersionsRequest, CreatePartitionsRequest, CreateTopicsRequest,
    DeleteRecordsRequest, DeleteTopicsRequest, DescribeClusterRequest, DescribeConfigsRequest,
    DescribeLogDirsRequest, DescribeProducersRequest, DescribeTopicPartitionsRequest, FetchRequest,
    FindCoordinatorRequest, IncrementalAlterConfigsRequest, InitProducerIdRequest,
    ListConfigResourcesRequest, ListOffsetsRequest, MetadataRequest, OffsetForLeaderEpochRequest,
    ProduceRequest,
};
use ringlog::protocol::{
    API_TABLE, ApiKey, ApiRow, CheckedBody, DECODED_SIZE_FLOOR, MalformedFrame, check_request,
    check_response, decoded_size_limit,
};
use ringlog::sim::{SeedOptions, run_seed};

/// The counters belong to one test at a time.
static MEASURING: Mutex<()> = Mutex::new(());

/// Room for error texts and the test harness, bytes.
const SLACK_SIZE: usize = 16 << 10;

fn check(
    row: &ApiRow,
    direction: Direction,
    version: i16,
    body: Bytes,
) -> Result<CheckedBody, MalformedFrame> {
    match direction {
        Direction::Request => check_request(row.key, version, body),
        Direction::Response => check_response(row.key, version, body),
    }
}

/// Decodes and drops.
fn decode(key: ApiKey, direction: Direction, body: CheckedBody) -> Result<(), MalformedFrame> {
    macro_rules! decode_as {
        ($request:ty) => {
            match direction {
                Direction::Request => body.decode_request::<$request>().map(drop),
                Direction::Response => body.decode_response::<$request>().map(drop),
            }
        };
    }
    match key {
        ApiKey::Produce => decode_as!(ProduceRequest),
        ApiKey::Fetch => decode_as!(FetchRequest),
        ApiKey::ListOffsets => decode_as!(ListOffsetsRequest),
        ApiKey::Metadata => decode_as!(MetadataRequest),
        ApiKey::FindCoordinator => decode_as!(FindCoordinatorRequest),
        ApiKey::ApiVersions => decode_as!(ApiVersionsRequest),
        ApiKey::CreateTopics => decode_as!(CreateTopicsRequest),
        ApiKey::DeleteTopics => decode_as!(DeleteTopicsRequest),
        ApiKey::DeleteRecords => decode_as!(DeleteRecordsRequest),
        ApiKey::InitProducerId => decode_as!(InitProducerIdRequest),
        ApiKey::OffsetForLeaderEpoch => decode_as!(OffsetForLeaderEpochRequest),
        ApiKey::DescribeConfigs => decode_as!(DescribeConfigsRequest),
        ApiKey::AlterConfigs => decode_as!(AlterConfigsRequest),
        ApiKey::IncrementalAlterConfigs => decode_as!(IncrementalAlterConfigsRequest),
        ApiKey::ListConfigResources => decode_as!(ListConfigResourcesRequest),
        ApiKey::DescribeLogDirs => decode_as!(DescribeLogDirsRequest),
        ApiKey::CreatePartitions => decode_as!(CreatePartitionsRequest),
        ApiKey::DescribeCluster => decode_as!(DescribeClusterRequest),
        ApiKey::DescribeProducers => decode_as!(DescribeProducersRequest),
        ApiKey::DescribeTopicPartitions => decode_as!(DescribeTopicPartitionsRequest),
    }
}

fn for_every_message(mut visit: impl FnMut(&'static ApiRow, Direction, i16)) {
    for row in &API_TABLE {
        for version in row.decoded.iter() {
            visit(row, Direction::Request, version);
            visit(row, Direction::Response, version);
        }
    }
}

#[test]
fn a_lie_about_a_length_reserves_nothing() {
    let _alone = MEASURING.lock().unwrap_or_else(PoisonError::into_inner);
    let fill = Fill {
        element_count: 2,
        text_size: 9,
        unknown_tag_count: 1,
        null: false,
    };
    for_every_message(|row, direction, version| {
        let sample = sample(row, direction, version, fill);
        for (field, body) in sample.lying_bodies() {
            let body = Bytes::from(body);
            let (peak, outcome) = measured(|| {
                check(row, direction, version, body)
                    .and_then(|checked| decode(row.key, direction, checked))
            });
            let name = row.name;
            assert!(
                outcome.is_err(),
                "{name} v{version} {direction:?}: {field} lied"
            );
            assert!(
                peak < SLACK_SIZE,
                "{name} v{version}: {field} reserved {peak} bytes"
            );
        }
    });
}

#[test]
fn decoding_takes_no_more_than_the_check_says() {
    let _alone = MEASURING.lock().unwrap_or_else(PoisonError::into_inner);
    // The smallest elements make the most memory of the fewest bytes.
    for unknown_tag_count in [0, 1, 2, 7, 12, 40] {
        for (element_count, text_size) in [(1, 0), (6, 0), (12, 3)] {
            let fill = Fill {
                element_count,
                text_size,
                unknown_tag_count,
                null: false,
            };
            for_every_message(|row, direction, version| {
                let body = Bytes::from(sample(row, direction, version, fill).body);
                let size = body.len();
                let checked = check(row, direction, version, body).expect("a sound body");
                let promised = checked.decoded_size();
                let (peak, outcome) = measured(|| decode(row.key, direction, checked));
                outcome.expect("a sound body decodes");
                assert!(
                    peak <= promised + SLACK_SIZE,
                    "{} v{version} {direction:?} {fill:?}: {size} B took {peak}, not {promised}",
                    row.name
                );
            });
        }
    }
}

#[test]
fn a_greedy_body_is_refused_before_anything_is_reserved() {
    let _alone = MEASURING.lock().unwrap_or_else(PoisonError::into_inner);
    // 20 Mi empty topic names in 40 MiB: 1.5 GB decoded.
    let count = 20u32 << 20;
    let mut body = vec![0; 4 + 2 * count as usize];
    body[..4].copy_from_slice(&count.to_be_bytes());
    let body = Bytes::from(body);
    let size = body.len();
    let (peak, outcome) = measured(|| check_request(ApiKey::Metadata, 1, body));
    let error = outcome.expect_err("far above the limit");
    assert_eq!(error.field, "topics");
    assert!(peak < SLACK_SIZE, "{peak} bytes reserved");
    assert!(decoded_size_limit(size) < DECODED_SIZE_FLOOR + 5 * size);
}

#[test]
fn what_a_seed_has_simulated_is_gone_with_it() {
    let _alone = MEASURING.lock().unwrap_or_else(PoisonError::into_inner);
    let play = |seed| {
        let outcome = run_seed(&SeedOptions {
            steps: 100,
            ..SeedOptions::new(seed)
        });
        assert_eq!(outcome.violation, None, "seed {seed}");
    };
    // What is made once in a process is there after it.
    play(1);
    let before = reserved();
    (2..5).for_each(play);
    let left = reserved().saturating_sub(before);
    assert!(left < SLACK_SIZE, "{left} bytes are left of three seeds");
}

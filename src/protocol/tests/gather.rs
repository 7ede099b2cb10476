//! The gathering encoders against the crate's, over all versions and arbitrary contents.

use bytes::Bytes;
use kafka_protocol::messages::fetch_response::{
    AbortedTransaction, EpochEndOffset, FetchableTopicResponse, LeaderIdAndEpoch, NodeEndpoint,
    PartitionData, SnapshotId,
};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{FetchResponse, ProduceRequest};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use crate::protocol::{
    ApiKey, FetchResponseParts, FetchTopicParts, FetchedPartition, FramePiece, ProduceRequestParts,
    ProduceTopicParts, ProducedPartition, RequestHeader, StrBytes, encode_request, encode_response,
    to_uuid,
};
use crate::types::{ErrorCode, TopicId};

fn name() -> impl Strategy<Value = StrBytes> {
    prop_oneof!["[a-z.]{0,12}", "[a-z]{120,140}"].prop_map(StrBytes::from_string)
}

fn topic_id() -> impl Strategy<Value = TopicId> {
    any::<[u8; 16]>().prop_map(TopicId)
}

fn pieces() -> impl Strategy<Value = Vec<Bytes>> {
    let piece = prop_oneof![vec(any::<u8>(), 0..8), vec(any::<u8>(), 100..200)];
    vec(piece.prop_map(Bytes::from), 0..4)
}

fn aborted() -> impl Strategy<Value = Option<Vec<AbortedTransaction>>> {
    let one = any::<(i64, i64)>().prop_map(|(producer_id, first_offset)| {
        AbortedTransaction::default()
            .with_producer_id(producer_id.into())
            .with_first_offset(first_offset)
    });
    option::of(vec(one, 0..3))
}

fn fetched_partition() -> impl Strategy<Value = FetchedPartition> {
    let numbers = any::<(i32, i16, i64, i64, i64, i32)>();
    let tags = any::<(Option<(i32, i64)>, Option<(i32, i32)>, Option<(i64, i32)>)>();
    (numbers, aborted(), tags, pieces()).prop_map(|(numbers, aborted, tags, records)| {
        let (index, error, high_watermark, stable, start, replica) = numbers;
        let mut data = PartitionData::default()
            .with_partition_index(index)
            .with_error_code(error)
            .with_high_watermark(high_watermark)
            .with_last_stable_offset(stable)
            .with_log_start_offset(start)
            .with_aborted_transactions(aborted)
            .with_preferred_read_replica(replica.into());
        if let Some((epoch, end_offset)) = tags.0 {
            let diverging = EpochEndOffset::default().with_epoch(epoch);
            data = data.with_diverging_epoch(diverging.with_end_offset(end_offset));
        }
        if let Some((id, epoch)) = tags.1 {
            let leader = LeaderIdAndEpoch::default().with_leader_id(id.into());
            data = data.with_current_leader(leader.with_leader_epoch(epoch));
        }
        if let Some((end_offset, epoch)) = tags.2 {
            let snapshot = SnapshotId::default().with_end_offset(end_offset);
            data = data.with_snapshot_id(snapshot.with_epoch(epoch));
        }
        FetchedPartition {
            data,
            records,
            gap_size: 0,
        }
    })
}

fn node_endpoint() -> impl Strategy<Value = NodeEndpoint> {
    (any::<(i32, i32)>(), name(), option::of(name())).prop_map(|((id, port), host, rack)| {
        NodeEndpoint::default()
            .with_node_id(id.into())
            .with_host(host)
            .with_port(port)
            .with_rack(rack)
    })
}

fn fetch_response() -> impl Strategy<Value = FetchResponseParts> {
    let topic = (name(), topic_id(), vec(fetched_partition(), 0..4));
    let topic = topic.prop_map(|(topic, topic_id, partitions)| FetchTopicParts {
        topic,
        topic_id,
        partitions,
    });
    (
        any::<(i32, i32)>(),
        vec(topic, 0..3),
        vec(node_endpoint(), 0..3),
    )
        .prop_map(|((throttle_time_ms, session_id), topics, node_endpoints)| {
            FetchResponseParts {
                throttle_time_ms,
                error: ErrorCode::FetchSessionIdNotFound,
                session_id,
                topics,
                node_endpoints,
            }
        })
}

/// What the crate would be given. Its encoder refuses what a version does not have, ours leaves
/// it out, so it is left out here.
fn crates_fetch_response(parts: &FetchResponseParts, version: i16) -> FetchResponse {
    let partition = |partition: &FetchedPartition| {
        let data = partition
            .data
            .clone()
            .with_records(Some(partition.records.concat().into()));
        match version {
            11.. => data,
            _ => data.with_preferred_read_replica((-1).into()),
        }
    };
    let topics = parts.topics.iter().map(|topic| {
        FetchableTopicResponse::default()
            .with_topic(topic.topic.clone().into())
            .with_topic_id(to_uuid(topic.topic_id))
            .with_partitions(topic.partitions.iter().map(partition).collect())
    });
    FetchResponse::default()
        .with_throttle_time_ms(parts.throttle_time_ms)
        .with_error_code(parts.error.code())
        .with_session_id(if version >= 7 { parts.session_id } else { 0 })
        .with_responses(topics.collect())
        .with_node_endpoints(parts.node_endpoints.clone())
}

fn produce_request() -> impl Strategy<Value = ProduceRequestParts> {
    let partition = (any::<i32>(), pieces());
    let partition =
        partition.prop_map(|(partition, records)| ProducedPartition { partition, records });
    let topic = (name(), topic_id(), vec(partition, 0..4));
    let topic = topic.prop_map(|(topic, topic_id, partitions)| ProduceTopicParts {
        topic,
        topic_id,
        partitions,
    });
    (any::<(i16, i32)>(), option::of(name()), vec(topic, 0..3)).prop_map(
        |((acks, timeout_ms), transactional_id, topics)| ProduceRequestParts {
            transactional_id,
            acks,
            timeout_ms,
            topics,
        },
    )
}

fn crates_produce_request(parts: &ProduceRequestParts) -> ProduceRequest {
    let partition = |partition: &ProducedPartition| {
        PartitionProduceData::default()
            .with_index(partition.partition)
            .with_records(Some(partition.records.concat().into()))
    };
    let topics = parts.topics.iter().map(|topic| {
        TopicProduceData::default()
            .with_name(topic.topic.clone().into())
            .with_topic_id(to_uuid(topic.topic_id))
            .with_partition_data(topic.partitions.iter().map(partition).collect())
    });
    ProduceRequest::default()
        .with_transactional_id(parts.transactional_id.clone().map(Into::into))
        .with_acks(parts.acks)
        .with_timeout_ms(parts.timeout_ms)
        .with_topic_data(topics.collect())
}

/// The non-empty pieces of records, by address: each must be in the frame as it was given.
fn addresses<'a>(pieces: impl Iterator<Item = &'a Bytes>) -> Vec<*const u8> {
    pieces
        .filter(|piece| !piece.is_empty())
        .map(|piece| piece.as_ptr())
        .collect()
}

fn holds_all(frame: &[Bytes], records: &[*const u8]) -> bool {
    let mut records = records.iter().peekable();
    for piece in frame {
        records.next_if(|&&record| record == piece.as_ptr());
    }
    records.peek().is_none() && frame.iter().all(|piece| !piece.is_empty())
}

/// The same response with a gap in place of all but the first `kept` pieces of each partition, and
/// what belongs into the gaps.
fn with_gaps(parts: &FetchResponseParts, kept: usize) -> (FetchResponseParts, Vec<Bytes>) {
    let mut parts = parts.clone();
    let mut left_out = Vec::new();
    for partition in parts.topics.iter_mut().flat_map(|t| &mut t.partitions) {
        let kept = kept.min(partition.records.len());
        let gap = partition.records.split_off(kept).concat();
        partition.gap_size = gap.len();
        if !gap.is_empty() {
            left_out.push(gap.into());
        }
    }
    (parts, left_out)
}

/// A frame with its gaps filled.
fn whole(frame: Vec<FramePiece>, gaps: &mut dyn Iterator<Item = Bytes>) -> Vec<Bytes> {
    let filled = frame.into_iter().map(|piece| match piece {
        FramePiece::Bytes(bytes) => bytes,
        FramePiece::Gap { size } => {
            let gap = gaps.next().expect("something for each gap");
            assert_eq!(gap.len(), size);
            gap
        }
    });
    filled.collect()
}

proptest! {
    #[test]
    fn fetch_responses_are_the_crates_bytes(
        parts in fetch_response(),
        id in any::<i32>(),
        kept in 0..3usize,
    ) {
        for version in ApiKey::Fetch.row().decoded.iter() {
            let header = RequestHeader {
                api_key: ApiKey::Fetch,
                api_version: version,
                correlation_id: id,
                client_id: None,
            };
            let frame = whole(parts.encode(&header).expect("encodes"), &mut std::iter::empty());
            let oracle = encode_response(&header, &crates_fetch_response(&parts, version));
            let oracle = oracle.expect("encodes");
            prop_assert_eq!(frame.concat(), oracle.clone(), "version {}", version);
            let (with_gaps, left_out) = with_gaps(&parts, kept);
            let gappy = with_gaps.encode(&header).expect("encodes");
            let filled = whole(gappy, &mut left_out.into_iter());
            prop_assert_eq!(filled.concat(), oracle, "version {} with gaps", version);
            let partitions = parts.topics.iter().flat_map(|topic| &topic.partitions);
            let records = addresses(partitions.flat_map(|partition| &partition.records));
            prop_assert!(holds_all(&frame, &records), "version {} copied records", version);
        }
    }

    #[test]
    fn produce_requests_are_the_crates_bytes(
        parts in produce_request(),
        id in any::<i32>(),
        client_id in option::of("[a-z]{0,9}"),
    ) {
        for version in ApiKey::Produce.row().decoded.iter() {
            let client_id = client_id.as_deref();
            let frame = parts.encode(version, id, client_id).expect("encodes");
            let oracle = encode_request(version, id, client_id, &crates_produce_request(&parts));
            prop_assert_eq!(frame.concat(), oracle.expect("encodes"), "version {}", version);
            let partitions = parts.topics.iter().flat_map(|topic| &topic.partitions);
            let records = addresses(partitions.flat_map(|partition| &partition.records));
            prop_assert!(holds_all(&frame, &records), "version {} copied records", version);
        }
    }
}

//! Real Kafka's bytes: bodies that Kafka 4.3.1's own classes wrote, and frames that ten clients
//! and the broker exchanged. What of it falls into 4.1's versions must come back byte for byte.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use kafka_protocol::messages::{self, *};
use kafka_protocol::protocol::{Decodable, Encodable, Message, Request};
use serde::Deserialize;

use super::{encoded, round_trip, unhex};
use crate::protocol::hostile::Direction;
use crate::protocol::{
    ApiKey, Incoming, decode_request, decode_response, parse_request, unknown_version_reply,
};

const MESSAGES: &str = include_str!("../../../tests/golden/corpus/messages.jsonl");
const FRAMES: &str = include_str!("../../../tests/golden/corpus/frames.jsonl");

/// Kinds (direction, key, version) of the corpus that 4.1 has, by its README.
const KIND_COUNT: usize = 577;

#[derive(Deserialize)]
struct Row {
    kind: String,
    key: i16,
    version: i16,
    #[serde(default)]
    body: String,
    #[serde(default)]
    frame: String,
}

impl Row {
    fn direction(&self) -> Direction {
        match self.kind.as_str() {
            "request" => Direction::Request,
            "response" => Direction::Response,
            other => panic!("a {other} in the corpus"),
        }
    }
}

fn rows(text: &str) -> impl Iterator<Item = Row> {
    text.lines()
        .map(|line| serde_json::from_str(line).expect("a row of the corpus"))
}

/// Decodes and encodes with the crate alone; `None` when 4.1 does not have the version. No length
/// check: these bytes are in our own repository.
type Recode = fn(Direction, i16, Bytes) -> Option<Result<Bytes, String>>;

fn recode<R: Request>(
    direction: Direction,
    version: i16,
    body: Bytes,
) -> Option<Result<Bytes, String>> {
    fn typed<T: Decodable + Encodable>(version: i16, mut body: Bytes) -> Result<Bytes, String> {
        let message = T::decode(&mut body, version).map_err(|error| error.to_string())?;
        match body.is_empty() {
            true => Ok(encoded(&message, version)),
            false => Err(format!("{} bytes left", body.len())),
        }
    }
    // The crate's responses reach further than its requests for three APIs: no harm in checking.
    let versions = match direction {
        Direction::Request => R::VERSIONS,
        Direction::Response => R::Response::VERSIONS,
    };
    (versions.min..=versions.max)
        .contains(&version)
        .then(|| match direction {
            Direction::Request => typed::<R>(version, body),
            Direction::Response => typed::<R::Response>(version, body),
        })
}

macro_rules! recoders {
    ($($request:ty),* $(,)?) => {
        BTreeMap::from([$((<$request as Request>::KEY, recode::<$request> as Recode)),*])
    };
}

/// Every request of the crate.
fn crates_recoders() -> BTreeMap<i16, Recode> {
    recoders! {
        ProduceRequest, FetchRequest, ListOffsetsRequest, MetadataRequest, OffsetCommitRequest,
        OffsetFetchRequest, FindCoordinatorRequest, JoinGroupRequest, HeartbeatRequest,
        LeaveGroupRequest, SyncGroupRequest, DescribeGroupsRequest, ListGroupsRequest,
        SaslHandshakeRequest, ApiVersionsRequest, CreateTopicsRequest, DeleteTopicsRequest,
        DeleteRecordsRequest, InitProducerIdRequest, OffsetForLeaderEpochRequest,
        AddPartitionsToTxnRequest, AddOffsetsToTxnRequest, EndTxnRequest, WriteTxnMarkersRequest,
        TxnOffsetCommitRequest, DescribeAclsRequest, CreateAclsRequest, DeleteAclsRequest,
        DescribeConfigsRequest, AlterConfigsRequest, AlterReplicaLogDirsRequest,
        DescribeLogDirsRequest, SaslAuthenticateRequest, CreatePartitionsRequest,
        CreateDelegationTokenRequest, RenewDelegationTokenRequest, ExpireDelegationTokenRequest,
        DescribeDelegationTokenRequest, DeleteGroupsRequest, ElectLeadersRequest,
        IncrementalAlterConfigsRequest, AlterPartitionReassignmentsRequest,
        ListPartitionReassignmentsRequest, OffsetDeleteRequest, DescribeClientQuotasRequest,
        AlterClientQuotasRequest, DescribeUserScramCredentialsRequest,
        AlterUserScramCredentialsRequest, VoteRequest, BeginQuorumEpochRequest,
        EndQuorumEpochRequest, DescribeQuorumRequest, AlterPartitionRequest, UpdateFeaturesRequest,
        EnvelopeRequest, FetchSnapshotRequest, DescribeClusterRequest, DescribeProducersRequest,
        BrokerRegistrationRequest, BrokerHeartbeatRequest, UnregisterBrokerRequest,
        DescribeTransactionsRequest, ListTransactionsRequest, AllocateProducerIdsRequest,
        ConsumerGroupHeartbeatRequest, ConsumerGroupDescribeRequest, ControllerRegistrationRequest,
        GetTelemetrySubscriptionsRequest, PushTelemetryRequest, AssignReplicasToDirsRequest,
        ListConfigResourcesRequest, DescribeTopicPartitionsRequest, ShareGroupHeartbeatRequest,
        ShareGroupDescribeRequest, ShareFetchRequest, ShareAcknowledgeRequest, AddRaftVoterRequest,
        RemoveRaftVoterRequest, UpdateRaftVoterRequest, InitializeShareGroupStateRequest,
        ReadShareGroupStateRequest, WriteShareGroupStateRequest, DeleteShareGroupStateRequest,
        ReadShareGroupStateSummaryRequest, DescribeShareGroupOffsetsRequest,
        AlterShareGroupOffsetsRequest, DeleteShareGroupOffsetsRequest,
    }
}

/// The crate gives back all of them: a difference would have to be listed here with its reason.
#[test]
fn kafkas_messages_come_back_byte_for_byte() {
    let recoders = crates_recoders();
    let mut kinds = BTreeSet::new();
    let mut wrong = Vec::new();
    for row in rows(MESSAGES) {
        let body = unhex(&row.body);
        let recoder = recoders.get(&row.key);
        let recoded = recoder.and_then(|f| f(row.direction(), row.version, body.clone()));
        let Some(recoded) = recoded else { continue };
        kinds.insert((row.kind.clone(), row.key, row.version));
        if recoded.as_ref() != Ok(&body) {
            wrong.push((row.kind, row.key, row.version, recoded.err()));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of the corpus differ: {wrong:#?}",
        wrong.len()
    );
    assert_eq!(kinds.len(), KIND_COUNT);
}

#[test]
fn kafkas_messages_of_our_apis_pass_the_length_check() {
    let mut kinds = BTreeSet::new();
    for row in rows(MESSAGES) {
        let Some(key) = ApiKey::from_code(row.key) else {
            continue;
        };
        if !key.row().decoded.contains(row.version) {
            continue;
        }
        let body = unhex(&row.body);
        let again = round_trip(key, row.direction(), row.version, body.clone());
        assert_eq!(again, Ok(body), "{} {key} v{}", row.kind, row.version);
        kinds.insert((row.kind, row.key, row.version));
    }
    let version_count = crate::protocol::API_TABLE
        .iter()
        .map(|row| row.decoded.iter().count());
    assert_eq!(
        kinds.len(),
        2 * version_count.sum::<usize>(),
        "a version without golden bytes"
    );
}

#[test]
fn real_frames_decode() {
    let mut frame_count = 0;
    for row in rows(FRAMES) {
        let Some(key) = ApiKey::from_code(row.key) else {
            continue;
        };
        if !key.row().decoded.contains(row.version) {
            continue;
        }
        let outcome = match row.direction() {
            Direction::Request => request_frame_decodes(&row),
            Direction::Response => response_frame_decodes(key, &row),
        };
        outcome.unwrap_or_else(|error| panic!("{} {key} v{}: {error}", row.kind, row.version));
        frame_count += 1;
    }
    assert!(
        frame_count > 50,
        "only {frame_count} frames are of our APIs"
    );
}

fn request_frame_decodes(row: &Row) -> Result<(), String> {
    let incoming = parse_request(unhex(&row.frame)).map_err(|error| error.to_string())?;
    let Incoming::Request { header, body } = incoming else {
        return Err("taken for an unknown version".to_string());
    };
    if (header.api_key.code(), header.api_version) != (row.key, row.version) {
        return Err(format!("parsed as {header:?}"));
    }
    let decoded = for_request_type!(header.api_key, request_decodes(&header, body));
    decoded.map_err(|error| error.to_string())
}

fn request_decodes<R: Request>(
    header: &crate::protocol::RequestHeader,
    body: Bytes,
) -> Result<(), crate::protocol::MalformedFrame> {
    decode_request::<R>(header, body).map(|_| ())
}

fn response_frame_decodes(key: ApiKey, row: &Row) -> Result<(), String> {
    fn decodes<R: Request>(
        version: i16,
        frame: Bytes,
    ) -> Result<(), crate::protocol::MalformedFrame> {
        decode_response::<R>(version, frame).map(|_| ())
    }
    let decoded = for_request_type!(key, decodes(row.version, unhex(&row.frame)));
    decoded.map_err(|error| error.to_string())
}

#[test]
fn the_answer_to_an_unknown_version_is_kafkas() {
    let is_answer = |row: &Row| (row.key, row.version, row.kind.as_str()) == (18, 5, "response");
    let row = rows(FRAMES)
        .find(is_answer)
        .expect("the answer to version 5 is in the corpus");
    let ours = unknown_version_reply(0);
    assert_eq!(ours.slice(4..), unhex(&row.frame));
}

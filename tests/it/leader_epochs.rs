//! OffsetForLeaderEpoch: where epochs ended, by which a consumer finds out about truncation.

use kafka_protocol::messages::OffsetForLeaderEpochRequest;
use kafka_protocol::messages::offset_for_leader_epoch_request::{
    OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use ringlog::protocol::ApiKey;
use ringlog::types::ErrorCode;

use crate::broker::TestBroker;
use crate::records::batch;
use crate::topics::{
    LATEST, LIST_OFFSETS_VERSION, Topic, code, create, delete_records_in, list_offset_in, produce,
    topic_name, versions,
};
use crate::wire::Wire;

/// (error, epoch, end offset) of partition 0.
fn ask(wire: &mut Wire, version: i16, topic: &str, current: i32, epoch: i32) -> (i16, i32, i64) {
    ask_of(wire, version, topic, 0, current, epoch)
}

fn ask_of(
    wire: &mut Wire,
    version: i16,
    topic: &str,
    partition: i32,
    current_leader_epoch: i32,
    leader_epoch: i32,
) -> (i16, i32, i64) {
    let partition = OffsetForLeaderPartition::default()
        .with_partition(partition)
        .with_current_leader_epoch(current_leader_epoch)
        .with_leader_epoch(leader_epoch);
    let of_topic = OffsetForLeaderTopic::default()
        .with_topic(topic_name(topic))
        .with_partitions(vec![partition]);
    let request = OffsetForLeaderEpochRequest::default().with_topics(vec![of_topic]);
    let response = wire.call(version, &request);
    let end = &response.topics[0].partitions[0];
    (end.error_code, end.leader_epoch, end.end_offset)
}

fn current_epoch(wire: &mut Wire, topic: &Topic) -> i32 {
    list_offset_in(wire, LIST_OFFSETS_VERSION, topic, 0, LATEST).leader_epoch
}

#[test]
fn every_epoch_says_where_it_ended() {
    let mut broker = TestBroker::start(&[]);
    let mut wire = broker.connect();
    let topic = create(&mut wire, "t", 1, &[]);
    // Each start is an epoch; two of them have records.
    let first = current_epoch(&mut wire, &topic);
    produce(&mut wire, &topic, 0, &batch(&["a", "b", "c"]));
    broker.restart(&[]);
    broker.restart(&[]);
    wire = broker.connect();
    let last = current_epoch(&mut wire, &topic);
    produce(&mut wire, &topic, 0, &batch(&["d", "e"]));
    assert!(last > first + 1, "{first} to {last}");
    for version in versions(ApiKey::OffsetForLeaderEpoch) {
        for current in [-1, last] {
            let mut ask = |epoch| ask(&mut wire, version, "t", current, epoch);
            assert_eq!(ask(first), (0, first, 3));
            assert_eq!(ask(last), (0, last, 5));
            // One that is not known, and one that had nothing.
            assert_eq!(ask(last + 1), (0, -1, -1));
            assert_eq!(ask(-1), (0, -1, -1));
            let (error, epoch, end) = ask(last - 1);
            assert_eq!((error, end), (0, 3));
            assert!((first..last).contains(&epoch));
        }
        let fenced = code(ErrorCode::FencedLeaderEpoch);
        let ahead = code(ErrorCode::UnknownLeaderEpoch);
        assert_eq!(ask(&mut wire, version, "t", first, first), (fenced, -1, -1));
        assert_eq!(
            ask(&mut wire, version, "t", last + 1, first),
            (ahead, -1, -1)
        );
        let unknown = (code(ErrorCode::UnknownTopicOrPartition), -1, -1);
        assert_eq!(ask(&mut wire, version, "none", -1, first), unknown);
        assert_eq!(ask_of(&mut wire, version, "t", 7, -1, first), unknown);
    }
    // What was deleted takes its epochs with it.
    assert_eq!(delete_records_in(&mut wire, 2, "t", 0, 4), (0, 4));
    assert_eq!(ask(&mut wire, 4, "t", -1, first), (0, first, 4));
    assert_eq!(ask(&mut wire, 4, "t", -1, last), (0, last, 5));
}

//! Many requests in flight in one connection: answered in order, and carried out in order.

use kafka_protocol::messages::{
    ApiVersionsRequest, DescribeClusterRequest, FindCoordinatorRequest, MetadataRequest,
};

use crate::broker::TestBroker;
use crate::records::{batch, sequenced};
use crate::topics::{
    ACKS_ALL, FETCH_VERSION, FetchOptions, LONG_WAIT_MS, create, fetch_request, init_producer_id,
    new_producer, partitions_of, produce, produce_request, records_of, text, values,
};

/// Requests in flight.
const IN_FLIGHT: usize = 50;

#[test]
fn fifty_requests_of_all_kinds_are_answered_in_their_order() {
    let broker = TestBroker::start(&[]);
    let mut wire = broker.connect();
    let topic = create(&mut wire, "t", 4, &[]);
    // One write for all; the answers are asked for behind it.
    let mut frames = Vec::new();
    let mut sent = Vec::new();
    for round in 0..IN_FLIGHT / 5 {
        let partition = (round % 4) as i32;
        let records = Some(batch(&[format!("{round}")]));
        let produce = produce_request(13, ACKS_ALL, &topic, partition, records);
        let (frame, produced) = wire.frame(13, &produce);
        frames.extend_from_slice(&frame);
        let find = FindCoordinatorRequest::default().with_coordinator_keys(vec![text("g")]);
        let (frame, found) = wire.frame(6, &find);
        frames.extend_from_slice(&frame);
        let metadata = MetadataRequest::default().with_topics(None);
        let (frame, listed) = wire.frame(12, &metadata);
        frames.extend_from_slice(&frame);
        let fetch = fetch_request(12, &topic, &[(partition, 0)], FetchOptions::default());
        let (frame, fetched) = wire.frame(12, &fetch);
        frames.extend_from_slice(&frame);
        if round % 2 == 0 {
            let (frame, described) = wire.frame(1, &DescribeClusterRequest::default());
            frames.extend_from_slice(&frame);
            sent.push((produced, found, listed, fetched, Some(described), None));
        } else {
            let (frame, versions) = wire.frame(0, &ApiVersionsRequest::default());
            frames.extend_from_slice(&frame);
            sent.push((produced, found, listed, fetched, None, Some(versions)));
        }
    }
    wire.write(&frames);
    // A wrong order is a wrong correlation id, which `receive` finds.
    for (round, (produced, found, listed, fetched, described, versions)) in
        sent.into_iter().enumerate()
    {
        let answer = wire.receive(produced);
        let answer = &answer.responses[0].partition_responses[0];
        assert_eq!(
            (answer.error_code, answer.base_offset),
            (0, (round / 4) as i64)
        );
        assert_eq!(wire.receive(found).coordinators[0].error_code, 0);
        assert_eq!(wire.receive(listed).topics[0].partitions.len(), 4);
        assert_eq!(partitions_of(wire.receive(fetched))[0].error_code, 0);
        if let Some(described) = described {
            assert_eq!(wire.receive(described).error_code, 0);
        }
        if let Some(versions) = versions {
            assert_eq!(wire.receive(versions).error_code, 0);
        }
    }
}

#[test]
fn pipelined_batches_of_one_producer_arrive_in_order() {
    let broker = TestBroker::start(&[]);
    let mut wire = broker.connect();
    // On the connection's own shard and on another one.
    let topic = create(&mut wire, "t", 4, &[]);
    let producer = new_producer(&mut wire);
    let mut sent = Vec::new();
    for sequence in 0..IN_FLIGHT as i32 {
        for partition in 0..4 {
            let records = sequenced(producer, sequence, &[format!("{sequence}")]);
            let request = produce_request(13, ACKS_ALL, &topic, partition, Some(records));
            sent.push((sequence, wire.send(13, &request)));
        }
    }
    for (sequence, sent) in sent {
        let answer = wire.receive(sent);
        let answer = &answer.responses[0].partition_responses[0];
        assert_eq!(
            (answer.error_code, answer.base_offset),
            (0, i64::from(sequence))
        );
    }
    let expected: Vec<_> = (0..IN_FLIGHT)
        .map(|sequence| sequence.to_string())
        .collect();
    for partition in 0..4 {
        assert_eq!(values(&mut wire, &topic, partition), expected);
    }
}

#[test]
fn what_comes_behind_a_waiting_fetch_is_done_and_answered_behind_it() {
    let broker = TestBroker::start(&[]);
    let mut wire = broker.connect();
    let mut other = broker.connect();
    let topic = create(&mut wire, "t", 2, &[]);
    let options = FetchOptions {
        max_wait_ms: LONG_WAIT_MS,
        ..FetchOptions::default()
    };
    let fetch = fetch_request(FETCH_VERSION, &topic, &[(0, 0)], options);
    let fetched = wire.send(FETCH_VERSION, &fetch);
    let behind = produce_request(13, ACKS_ALL, &topic, 1, Some(batch(&["behind"])));
    let produced = wire.send(13, &behind);
    let id = init_producer_id(1);
    let id = wire.send(5, &id);
    // The second one takes effect while the first one waits.
    crate::eventually("the record behind the fetch", || {
        let stored = values(&mut other, &topic, 1);
        (stored == ["behind"]).then_some(())
    });
    assert!(!wire.has_answer(), "an answer overtook the fetch's");
    produce(&mut other, &topic, 0, &batch(&["awaited"]));
    let data = partitions_of(wire.receive(fetched)).remove(0);
    assert_eq!(records_of(&data)[0].value, "awaited");
    let answer = wire.receive(produced);
    assert_eq!(answer.responses[0].partition_responses[0].error_code, 0);
    assert_eq!(wire.receive(id).error_code, 0);
}

#[test]
fn more_requests_than_the_broker_takes_at_once_are_all_answered() {
    let broker = TestBroker::start(&[]);
    let mut wire = broker.connect();
    let mut sent = Vec::new();
    let mut frames = Vec::new();
    for _ in 0..2000 {
        let (frame, one) = wire.frame(1, &DescribeClusterRequest::default());
        frames.extend_from_slice(&frame);
        sent.push(one);
    }
    wire.write(&frames);
    for one in sent {
        assert_eq!(wire.receive(one).error_code, 0);
    }
}

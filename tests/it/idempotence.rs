//! Idempotent producers: a retry is answered with the original offset, a gap is an error.

use nix::sys::signal::Signal;
use ringlog::types::ErrorCode::{self, InvalidProducerEpoch, OutOfOrderSequenceNumber};

use crate::broker::{TestBroker, directory};
use crate::process::BrokerProcess;
use crate::records::{batch, sequenced};
use crate::topics::{
    ACKS_ALL, PRODUCE_VERSION, Topic, code, create, end_offset, new_producer, produce, produce_in,
    values,
};
use crate::wire::Wire;

/// What an idempotent producer can send again.
const BATCHES_REMEMBERED: i32 = 5;

/// Sends two records with the sequences from `base_sequence` on; the base offset.
fn send(
    wire: &mut Wire,
    topic: &Topic,
    producer: (i64, i16),
    base_sequence: i32,
) -> Result<i64, ErrorCode> {
    let pair = [
        format!("{base_sequence}"),
        format!("{base_sequence} and one"),
    ];
    let records = sequenced(producer, base_sequence, &pair);
    let answer = produce_in(wire, PRODUCE_VERSION, ACKS_ALL, topic, 0, &records);
    match answer.error_code {
        0 => Ok(answer.base_offset),
        error => Err(ErrorCode::from_code(error)),
    }
}

#[test]
fn retries_gaps_and_epochs() {
    let broker = TestBroker::start(&[]);
    let mut wire = broker.connect();
    let topic = create(&mut wire, "t", 1, &[]);
    let (id, _) = new_producer(&mut wire);
    produce(&mut wire, &topic, 0, &batch(&["someone else's"]));
    let gap = Err(OutOfOrderSequenceNumber);
    // Epoch, sequence, and the base offset or error.
    let steps = [
        (0, 0, Ok(1)),
        (0, 0, Ok(1)),
        (0, 4, gap),
        (0, 2, Ok(3)),
        (0, 4, Ok(5)),
        (0, 6, Ok(7)),
        (0, 8, Ok(9)),
        (0, 0, Ok(1)),
        (0, 8, Ok(9)),
        (0, 10, Ok(11)),
        // The sixth last is forgotten.
        (0, 0, gap),
        (0, 2, Ok(3)),
        // Overlaps, but is no batch that was sent.
        (0, 9, gap),
        (0, 14, gap),
        (1, 12, gap),
        (1, 1, gap),
        (0, 12, Ok(13)),
        (1, 0, Ok(15)),
        (1, 0, Ok(15)),
        (0, 14, Err(InvalidProducerEpoch)),
        (0, 12, Err(InvalidProducerEpoch)),
        (1, 2, Ok(17)),
    ];
    for (step, (epoch, sequence, expected)) in steps.into_iter().enumerate() {
        let sent = send(&mut wire, &topic, (id, epoch), sequence);
        assert_eq!(
            sent, expected,
            "step {step}: epoch {epoch}, sequence {sequence}"
        );
    }
    assert_eq!(values(&mut wire, &topic, 0).len(), 19);
}

#[test]
fn a_duplicate_is_one_in_every_version_and_through_any_connection() {
    let broker = TestBroker::start(&[]);
    let mut wires = [broker.connect(), broker.connect(), broker.connect()];
    let topic = create(&mut wires[0], "t", 1, &[]);
    let producer = new_producer(&mut wires[0]);
    let records = sequenced(producer, 0, &["once"]);
    for (version, wire) in (3..=13).zip((0..3).cycle()) {
        for acks in [1, ACKS_ALL] {
            let answer = produce_in(&mut wires[wire], version, acks, &topic, 0, &records);
            assert_eq!((answer.error_code, answer.base_offset), (0, 0));
        }
    }
    assert_eq!(values(&mut wires[1], &topic, 0), ["once"]);
}

#[test]
fn an_unknown_producer_may_start_anywhere_and_sequences_wrap() {
    let broker = TestBroker::start(&[]);
    let mut wire = broker.connect();
    let topic = create(&mut wire, "t", 1, &[]);
    assert_eq!(send(&mut wire, &topic, (77, 3), 1000), Ok(0));
    assert_eq!(send(&mut wire, &topic, (77, 3), 1002), Ok(2));
    // The last sequence is followed by 0, also within a batch.
    assert_eq!(send(&mut wire, &topic, (78, 0), i32::MAX - 1), Ok(4));
    assert_eq!(send(&mut wire, &topic, (78, 0), 0), Ok(6));
    assert_eq!(send(&mut wire, &topic, (78, 0), i32::MAX - 1), Ok(4));
    assert_eq!(send(&mut wire, &topic, (79, 0), i32::MAX), Ok(8));
    assert_eq!(send(&mut wire, &topic, (79, 0), 1), Ok(10));
    assert_eq!(send(&mut wire, &topic, (79, 0), i32::MAX), Ok(8));
}

#[test]
fn producers_and_partitions_do_not_meet() {
    let broker = TestBroker::start(&[]);
    let mut wire = broker.connect();
    let topic = create(&mut wire, "t", 4, &[]);
    let producers = [new_producer(&mut wire), new_producer(&mut wire)];
    for sequence in 0..3 {
        for partition in 0..4 {
            for (index, producer) in (0..).zip(producers) {
                let records = sequenced(producer, sequence, &["x"]);
                for _ in 0..2 {
                    let offset = produce(&mut wire, &topic, partition, &records);
                    assert_eq!(offset, i64::from(sequence) * 2 + index);
                }
            }
        }
    }
}

/// Sends the first batches of a new producer; the producer.
fn fill(wire: &mut Wire, topic: &Topic) -> (i64, i16) {
    let producer = new_producer(wire);
    for index in 0..BATCHES_REMEMBERED {
        let sent = send(wire, topic, producer, 2 * index);
        assert_eq!(sent, Ok(i64::from(2 * index)));
    }
    producer
}

/// After a restart: the last batches sent again, the next one, and what is stored.
fn go_on(wire: &mut Wire, topic: &Topic, producer: (i64, i16)) {
    for index in 0..BATCHES_REMEMBERED {
        let again = send(wire, topic, producer, 2 * index);
        assert_eq!(again, Ok(i64::from(2 * index)), "batch {index} sent again");
    }
    let next = 2 * BATCHES_REMEMBERED;
    let gap = send(wire, topic, producer, next + 2);
    assert_eq!(gap, Err(OutOfOrderSequenceNumber));
    assert_eq!(send(wire, topic, producer, next), Ok(i64::from(next)));
    assert_eq!(values(wire, topic, 0).len() as i32, next + 2);
}

#[test]
fn retries_are_known_after_a_clean_restart() {
    let mut broker = TestBroker::start(&[]);
    let mut wire = broker.connect();
    let topic = create(&mut wire, "t", 1, &[]);
    let producer = fill(&mut wire, &topic);
    drop(wire);
    broker.restart(&[]);
    go_on(&mut broker.connect(), &topic, producer);
}

#[test]
fn retries_are_known_after_kill_9() {
    let directory = directory();
    let mut broker = BrokerProcess::start(directory.path(), &[]);
    let mut wire = broker.connect();
    let topic = create(&mut wire, "t", 1, &[]);
    let producer = fill(&mut wire, &topic);
    broker.kill();
    let broker = BrokerProcess::start(directory.path(), &[]);
    go_on(&mut broker.connect(), &topic, producer);
}

#[test]
fn retries_are_known_across_segments() {
    let directory = directory();
    let mut broker = BrokerProcess::start(directory.path(), &[]);
    let mut wire = broker.connect();
    let topic = create(&mut wire, "t", 1, &[("segment.bytes", "1048576")]);
    let producer = new_producer(&mut wire);
    // Two fit a segment.
    let records = |sequence| sequenced(producer, sequence, &["x".repeat(400_000)]);
    for sequence in 0..8 {
        produce(&mut wire, &topic, 0, &records(sequence));
    }
    for signal in [Signal::SIGKILL, Signal::SIGTERM, Signal::SIGKILL] {
        broker.signal(signal);
        broker.wait();
        broker = BrokerProcess::start(directory.path(), &[]);
        let mut wire = broker.connect();
        for sequence in 8 - BATCHES_REMEMBERED..8 {
            let offset = produce(&mut wire, &topic, 0, &records(sequence));
            assert_eq!(offset, i64::from(sequence), "after {signal}");
        }
        assert_eq!(end_offset(&mut wire, &topic, 0), 8);
    }
}

#[test]
fn a_refused_batch_leaves_no_mark() {
    let broker = TestBroker::start(&[]);
    let mut wire = broker.connect();
    let topic = create(&mut wire, "t", 1, &[("max.message.bytes", "1000")]);
    let producer = new_producer(&mut wire);
    let large = sequenced(producer, 0, &["x".repeat(2000)]);
    let refused = produce_in(&mut wire, PRODUCE_VERSION, ACKS_ALL, &topic, 0, &large);
    assert_eq!(refused.error_code, code(ErrorCode::MessageTooLarge));
    let small = sequenced(producer, 0, &["x"]);
    assert_eq!(produce(&mut wire, &topic, 0, &small), 0);
}

use std::time::Duration;

use proptest::prelude::*;

use super::*;

fn batch(producer_epoch: ProducerEpoch, base_sequence: i32, count: i32) -> ProducerBatch {
    ProducerBatch {
        producer_id: 7,
        producer_epoch,
        base_sequence,
        last_offset_delta: count - 1,
        is_transactional: false,
    }
}

/// Seven batches of ten records in epoch 3, sequences 0 to 69, offsets from 100.
fn seven_batches() -> ProducerState {
    let mut state = ProducerState::default();
    for index in 0..7 {
        let next = batch(3, index * 10, 10);
        assert_eq!(state.check(&next), SequenceCheck::New);
        state.apply(&next, 100 + i64::from(index) * 10, 1000 + i64::from(index));
    }
    state
}

#[test]
fn sequences_are_judged_as_kafka_judges_them() {
    use ErrorCode::{InvalidProducerEpoch, OutOfOrderSequenceNumber};
    let state = seven_batches();
    let refused = SequenceCheck::Refused;
    let cases = [
        ("next in sequence", batch(3, 70, 5), SequenceCheck::New),
        ("gap", batch(3, 71, 5), refused(OutOfOrderSequenceNumber)),
        (
            "older than five",
            batch(3, 10, 10),
            refused(OutOfOrderSequenceNumber),
        ),
        (
            "retry cut otherwise",
            batch(3, 60, 9),
            refused(OutOfOrderSequenceNumber),
        ),
        ("old epoch", batch(2, 70, 1), refused(InvalidProducerEpoch)),
        ("new epoch from 0", batch(4, 0, 1), SequenceCheck::New),
        (
            "new epoch not from 0",
            batch(4, 70, 1),
            refused(OutOfOrderSequenceNumber),
        ),
        (
            "unknown producer with any sequence",
            ProducerBatch {
                producer_id: 8,
                ..batch(0, 55, 1)
            },
            SequenceCheck::New,
        ),
    ];
    for (what, batch, expected) in cases {
        assert_eq!(state.check(&batch), expected, "{what}");
    }
}

#[test]
fn each_of_the_last_five_batches_is_recognised_with_its_offsets() {
    let state = seven_batches();
    for index in 2..7 {
        let SequenceCheck::Duplicate(found) = state.check(&batch(3, index * 10, 10)) else {
            panic!("batch {index} was not recognised");
        };
        assert_eq!(found.base_offset(), 100 + i64::from(index) * 10);
        assert_eq!(found.last_offset, 109 + i64::from(index) * 10);
        assert_eq!(found.timestamp, 1000 + i64::from(index));
    }
}

#[test]
fn a_sequence_wraps_after_its_largest_value() {
    let mut state = ProducerState::default();
    let first = batch(0, i32::MAX - 4, 5);
    state.apply(&first, 0, 0);
    assert_eq!(state.get(7).unwrap().last_sequence(), i32::MAX);
    assert_eq!(state.check(&batch(0, 0, 3)), SequenceCheck::New);

    let across = batch(1, i32::MAX - 1, 5);
    assert_eq!(across.last_sequence(), 2);
    state.apply(&across, 5, 0);
    assert_eq!(state.check(&batch(1, 3, 1)), SequenceCheck::New);
    assert!(matches!(state.check(&across), SequenceCheck::Duplicate(_)));
}

#[test]
fn a_marker_ends_the_transaction_and_keeps_the_sequence_of_its_epoch() {
    let mut state = ProducerState::default();
    let transactional = ProducerBatch {
        is_transactional: true,
        ..batch(0, 0, 10)
    };
    state.apply(&transactional, 40, 1);
    assert_eq!(state.get(7).unwrap().current_txn_first_offset, Some(40));
    state.apply_marker(7, 0, 2, 3);
    assert_eq!(state.get(7).unwrap().current_txn_first_offset, None);
    assert_eq!(state.check(&batch(0, 10, 1)), SequenceCheck::New);
    state.apply_marker(7, 1, 2, 3);
    assert_eq!(state.check(&batch(1, 0, 1)), SequenceCheck::New);
}

#[test]
fn silent_producers_expire_but_not_with_an_open_transaction() {
    let mut state = seven_batches();
    let transactional = ProducerBatch {
        producer_id: 9,
        is_transactional: true,
        ..batch(0, 0, 1)
    };
    state.apply(&transactional, 170, 1000);
    let expiration = Duration::from_millis(500);
    assert_eq!(state.expire(at(0), 1000, expiration), 0);
    assert_eq!(state.expire(at(500), 1006 + 499, expiration), 0);
    assert_eq!(state.expire(at(501), 1006 + 500, expiration), 1);
    assert_eq!(state.iter().map(|e| e.producer_id).collect::<Vec<_>>(), [9]);
}

/// A time of the process' own clock, milliseconds.
fn at(ms: u64) -> Monotonic {
    Monotonic(ms * 1_000_000)
}

#[test]
fn a_producer_that_was_heard_stays_whatever_its_timestamps_say() {
    let expiration = Duration::from_millis(500);
    let mut state = seven_batches();
    // Its records are of last year, or the clock on the wall has jumped.
    let year_later = 1006 + 365 * 24 * 3_600_000;
    assert_eq!(state.expire(at(0), year_later, expiration), 0);
    assert_eq!(state.expire(at(499), year_later, expiration), 0);
    state.apply(&batch(0, 70, 10), 200, 1007);
    assert_eq!(state.expire(at(600), year_later, expiration), 0);
    assert_eq!(state.expire(at(1099), year_later, expiration), 0);
    // What is read at a start has been heard of then.
    let mut read = ProducerState::decode_snapshot(&state.encode_snapshot()).unwrap();
    assert_eq!(read.expire(at(9000), year_later, expiration), 0);
    assert_eq!(read.expire(at(9499), year_later, expiration), 0);
    assert_eq!(read.expire(at(9500), year_later, expiration), 1);
    assert_eq!(state.expire(at(1100), year_later, expiration), 1);
    assert!(state.is_empty() && read.is_empty());
}

/// `00000000000000000060.snapshot` of Kafka 4.1.1: one producer, epoch 0, 60 records.
const KAFKAS_SNAPSHOT: [u8; 56] = [
    0x00, 0x01, 0x2f, 0xbc, 0x5f, 0x2e, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x05, 0x00, 0x00, 0x00, 0x00, 0x00, 0x3b, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x3b,
    0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x01, 0xa2, 0x05, 0x53, 0x82, 0xe4, 0xff, 0xff, 0xff, 0xff,
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
];

#[test]
fn kafkas_snapshot_is_read_and_written_to_the_byte() {
    let state = ProducerState::decode_snapshot(&KAFKAS_SNAPSHOT).unwrap();
    let entry = state.get(5).unwrap();
    assert_eq!(entry.last_sequence(), 59);
    assert_eq!(entry.batches()[0].base_offset(), 58);
    assert_eq!(state.encode_snapshot(), KAFKAS_SNAPSHOT);
}

#[test]
fn every_damaged_byte_of_a_snapshot_is_noticed() {
    for index in 0..KAFKAS_SNAPSHOT.len() {
        let mut bytes = KAFKAS_SNAPSHOT;
        bytes[index] ^= 0x40;
        assert!(ProducerState::decode_snapshot(&bytes).is_err(), "{index}");
        let cut = &KAFKAS_SNAPSHOT[..index];
        assert!(ProducerState::decode_snapshot(cut).is_err(), "{index}");
    }
}

proptest! {
    /// A snapshot gives back what it keeps: the last batch of each producer.
    #[test]
    fn a_snapshot_keeps_the_last_batch_of_each_producer(
        appends in prop::collection::vec((0i64..6, 0i16..3, 1i32..20), 0..60)
    ) {
        let mut state = ProducerState::default();
        let mut offset = 0;
        for (producer_id, producer_epoch, count) in appends {
            let base_sequence = state
                .get(producer_id)
                .filter(|entry| entry.producer_epoch == producer_epoch)
                .map_or(0, |entry| next_sequence(entry.last_sequence()));
            let next = ProducerBatch { producer_id, ..batch(producer_epoch, base_sequence, count) };
            if state.check(&next) == SequenceCheck::New {
                state.apply(&next, offset, offset);
                offset += i64::from(count);
            }
        }
        let read = ProducerState::decode_snapshot(&state.encode_snapshot()).unwrap();
        prop_assert_eq!(read.len(), state.len());
        for (before, after) in state.iter().zip(read.iter()) {
            prop_assert_eq!(after.batches(), &before.batches()[before.batches().len() - 1..]);
            prop_assert_eq!(after.producer_epoch, before.producer_epoch);
        }
    }
}

use super::*;
use crate::batch::golden;

#[test]
fn fields_are_those_that_kafka_wrote() {
    // The first two batches of the transactional segment, as Kafka's DumpLogSegments prints them.
    let first = BatchView::parse(golden::TRANSACTIONS).unwrap();
    assert_eq!(first.size_in_bytes(), 333);
    assert_eq!(
        (first.base_offset, first.last_offset(), first.record_count),
        (0, 3, 4)
    );
    assert_eq!((first.base_sequence, first.last_sequence()), (0, 3));
    assert_eq!((first.producer_id, first.producer_epoch), (7, 0));
    assert_eq!(first.partition_leader_epoch, 0);
    assert!(first.is_transactional() && !first.is_control());
    assert_eq!(first.timestamp_type(), TimestampType::CreateTime);
    assert_eq!(
        (first.base_timestamp, first.max_timestamp),
        (1795385696944, 1795385696961)
    );
    assert_eq!(first.crc, 3527342003);
    assert_eq!(first.delete_horizon_ms(), None);
    let second = BatchView::parse(&golden::TRANSACTIONS[333..]).unwrap();
    assert_eq!(
        (second.base_offset, second.last_offset(), second.crc),
        (4, 6, 2305063635)
    );
}

#[test]
fn a_patched_head_keeps_the_crc_valid() {
    let batch = BatchView::parse(golden::TRANSACTIONS).unwrap();
    let mut moved = batch.header().head(1 << 40, 17).to_vec();
    moved.extend_from_slice(&batch.bytes()[HEAD_SIZE..]);
    let moved = BatchView::parse(&moved).unwrap();
    assert_eq!(moved.check_crc(), Ok(()));
    assert_eq!(
        (moved.base_offset, moved.partition_leader_epoch),
        (1 << 40, 17)
    );
    assert_eq!(moved.next_offset(), (1 << 40) + 4);
}

#[test]
fn every_bit_behind_the_crc_is_covered() {
    let original = BatchView::parse(golden::TRANSACTIONS)
        .unwrap()
        .bytes()
        .to_vec();
    for position in CRC_START..original.len() {
        let mut bytes = original.clone();
        bytes[position] ^= 0x10;
        let error = BatchView::parse(&bytes).unwrap().check_crc().unwrap_err();
        assert!(matches!(error, BatchError::Crc { .. }), "byte {position}");
    }
}

#[test]
fn every_truncation_is_an_error() {
    let batch = BatchView::parse(golden::TRANSACTIONS).unwrap().bytes();
    for size in 0..batch.len() {
        assert!(BatchView::parse(&batch[..size]).is_err(), "{size} bytes");
    }
    let needed = batch.len();
    let available = needed - 1;
    let error = BatchView::parse(&batch[..available]).unwrap_err();
    assert_eq!(error, BatchError::Truncated { needed, available });
}

#[test]
fn sequences_wrap_to_zero() {
    let mut header = *BatchView::parse(golden::TRANSACTIONS).unwrap().header();
    for (base_sequence, expected) in [(0, 3), (i32::MAX - 3, i32::MAX), (i32::MAX, 2), (-1, -1)] {
        header.base_sequence = base_sequence;
        assert_eq!(header.last_sequence(), expected);
    }
}

#[test]
fn lengths_and_magics_that_are_none() {
    let batch = BatchView::parse(golden::TRANSACTIONS).unwrap().bytes();
    for length in [i32::MIN, -1, 0, 48] {
        let mut bytes = batch.to_vec();
        bytes[8..12].copy_from_slice(&length.to_be_bytes());
        assert_eq!(
            BatchView::parse(&bytes).unwrap_err(),
            BatchError::Length(length)
        );
        assert_eq!(
            BatchView::parse(&bytes[..40]).unwrap_err(),
            BatchError::Length(length)
        );
    }
    for (magic, error) in [
        (0, BatchError::OldMagic(0)),
        (1, BatchError::OldMagic(1)),
        (3, BatchError::UnknownMagic(3)),
        (-1, BatchError::UnknownMagic(-1)),
    ] {
        let mut bytes = batch.to_vec();
        bytes[MAGIC_POSITION] = magic as u8;
        assert_eq!(BatchView::parse(&bytes).unwrap_err(), error);
    }
}

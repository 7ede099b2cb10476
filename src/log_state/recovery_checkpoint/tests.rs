use super::*;
use crate::log_state::ProducerBatch;

fn checkpoint(number: u64, producer_count: i64) -> RecoveryCheckpoint {
    let mut checkpoint = RecoveryCheckpoint {
        number,
        segment_base_offset: 100,
        segment_position: 65_000,
        offset_index_entry_count: 12,
        time_index_entry_count: 11,
        bytes_since_index_entry: 700,
        max_timestamp: 5,
        max_timestamp_offset: 120,
        first_timestamp: 3,
        unflushed_bytes_max: 1 << 20,
        ..RecoveryCheckpoint::default()
    };
    checkpoint.state.log_start_offset = 90;
    checkpoint.state.log_end_offset = 150;
    checkpoint.state.epochs.assign(4, 90);
    for producer_id in 0..producer_count {
        for index in 0..7 {
            let batch = ProducerBatch {
                producer_id,
                producer_epoch: 2,
                base_sequence: index * 3,
                last_offset_delta: 2,
                is_transactional: producer_id == 1,
            };
            let base_offset = 90 + i64::from(index) * 3;
            checkpoint.state.producers.apply(&batch, base_offset, 77);
        }
    }
    checkpoint
}

#[test]
fn all_that_it_holds_comes_back() {
    for (producer_count, gaps_end) in [(0, 0), (1, 150), (3, 0), (500, 7)] {
        let before = RecoveryCheckpoint {
            gaps_end,
            ..checkpoint(9, producer_count)
        };
        let mut slot = before.encode();
        slot.resize(slot.len() + 4000, 0);
        assert_eq!(RecoveryCheckpoint::decode(&slot).unwrap(), before);
    }
}

#[test]
fn the_ends_of_the_indexes_come_back_and_may_be_absent() {
    let mut before = checkpoint(9, 2);
    let without = before.encode();
    let entry = |at| OffsetIndexEntry {
        relative_offset: at,
        position: at * 100,
    };
    before.offset_index_tail = (1..=300).map(entry).collect();
    let entry = |at| TimeIndexEntry {
        timestamp: i64::from(at) + 1_000_000,
        relative_offset: at,
    };
    before.time_index_tail = (1..=7).map(entry).collect();
    let slot = before.encode();
    assert_eq!(RecoveryCheckpoint::decode(&slot).unwrap(), before);
    // As releases wrote it that knew of no ends: the two counts are missing.
    let mut old = without.clone();
    old.truncate(without.len() - 8);
    let size = (old.len() - HEADER_SIZE) as u32;
    old[12..16].copy_from_slice(&size.to_be_bytes());
    let crc = crc32c::crc32c(&old[HEADER_SIZE..]);
    old[16..20].copy_from_slice(&crc.to_be_bytes());
    assert_eq!(RecoveryCheckpoint::decode(&old).unwrap(), checkpoint(9, 2));
}

#[test]
fn a_slot_of_a_newer_release_is_told() {
    let slot = |number| {
        let mut bytes = checkpoint(number, 1).encode();
        bytes.resize(4096, 0);
        bytes
    };
    let mut file = [slot(1), slot(2)].concat();
    assert_eq!(RecoveryCheckpoint::newer_version(&file), None);
    file[4096 + 9] = 3;
    assert_eq!(RecoveryCheckpoint::newer_version(&file), Some(3));
}

#[test]
fn the_newest_good_slot_counts() {
    let slot = |number| {
        let mut bytes = checkpoint(number, 2).encode();
        bytes.resize(4096, 0);
        bytes
    };
    let newest = |first: Vec<u8>, second: Vec<u8>| {
        RecoveryCheckpoint::newest(&[first, second].concat())
            .map(|(checkpoint, slot)| (checkpoint.number, slot))
    };
    let torn = |number| {
        let mut bytes = slot(number);
        bytes[300] ^= 1;
        bytes
    };
    assert_eq!(newest(slot(4), slot(5)), Some((5, 1)));
    assert_eq!(newest(slot(6), slot(5)), Some((6, 0)));
    assert_eq!(newest(slot(4), torn(5)), Some((4, 0)));
    assert_eq!(newest(torn(6), slot(5)), Some((5, 1)));
    assert_eq!(newest(vec![0; 4096], slot(1)), Some((1, 1)));
    assert_eq!(newest(torn(6), torn(5)), None);
    assert!(RecoveryCheckpoint::newest(&[]).is_none());
}

#[test]
fn every_damaged_byte_is_noticed() {
    let good = checkpoint(1, 1).encode();
    for index in (0..good.len()).filter(|&index| !(10..12).contains(&index)) {
        let mut bytes = good.clone();
        bytes[index] ^= 0x20;
        assert!(RecoveryCheckpoint::decode(&bytes).is_err(), "byte {index}");
        assert!(RecoveryCheckpoint::decode(&good[..index]).is_err());
    }
}

type Spoil = fn(&mut RecoveryCheckpoint);

#[test]
fn offsets_that_cannot_be_are_no_checkpoint() {
    let cases: [(&str, Spoil); 4] = [
        ("start", |it| it.state.log_start_offset = -1),
        ("end", |it| it.state.log_end_offset = -1),
        ("segment below 0", |it| it.segment_base_offset = -1),
        ("segment behind the end", |it| it.segment_base_offset = 151),
    ];
    for (name, spoil) in cases {
        let mut spoilt = checkpoint(2, 0);
        spoil(&mut spoilt);
        let decoded = RecoveryCheckpoint::decode(&spoilt.encode());
        assert!(matches!(decoded, Err(FormatError::Content(_))), "{name}");
    }
    // A truncation writes one whose end is before the log's start.
    let mut lowered = checkpoint(2, 0);
    lowered.state.log_start_offset = 200;
    assert!(RecoveryCheckpoint::decode(&lowered.encode()).is_ok());
}

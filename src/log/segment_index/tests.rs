use super::*;
use crate::batch::{BatchIter, CrcCheck};

/// A segment of Kafka 4.1.1 (`log.index.interval.bytes=500`) with its indexes as sealed on roll.
macro_rules! kafkas {
    ($base:literal) => {
        [
            include_bytes!(concat!(
                "../../../tests/golden/segments/indexed-0/",
                $base,
                ".log"
            )) as &[u8],
            include_bytes!(concat!(
                "../../../tests/golden/segments/indexed-0/",
                $base,
                ".index"
            )) as &[u8],
            include_bytes!(concat!(
                "../../../tests/golden/segments/indexed-0/",
                $base,
                ".timeindex"
            )) as &[u8],
        ]
    };
}

const SEGMENTS: [(Offset, [&[u8]; 3]); 3] = [
    (0, kafkas!("00000000000000000000")),
    (60, kafkas!("00000000000000000060")),
    (110, kafkas!("00000000000000000110")),
];

const INTERVAL: u64 = 500;

fn index_of(base_offset: Offset, log: &[u8]) -> SegmentIndex {
    let mut index = SegmentIndex::new(base_offset);
    let mut position = 0;
    for batch in BatchIter::new(log, CrcCheck::Verify) {
        let size = batch.size_in_bytes() as u64;
        let (last_offset, time) = (batch.last_offset(), batch.max_timestamp);
        index.add_batch(last_offset, time, position, size, INTERVAL);
        position += size;
    }
    index.seal();
    index
}

#[test]
fn the_indexes_of_kafkas_batches_are_kafkas_to_the_byte() {
    for (base_offset, [log, offsets, times]) in SEGMENTS {
        let index = index_of(base_offset, log);
        assert_eq!(index.encode_offsets(), offsets, "segment {base_offset}");
        assert_eq!(index.encode_times(), times, "segment {base_offset}");
    }
}

#[test]
fn a_lookup_never_passes_what_it_looks_for() {
    let (base_offset, [log, offsets, times]) = SEGMENTS[0];
    let index = SegmentIndex::decode(base_offset, offsets, times);
    let mut position = 0;
    let mut latest = NO_TIMESTAMP;
    for batch in BatchIter::new(log, CrcCheck::Skip) {
        for offset in batch.base_offset..=batch.last_offset() {
            let found = index.start_of(offset).position;
            assert!(found <= position, "offset {offset}");
            assert!(
                position - found <= 2 * INTERVAL,
                "offset {offset} is far behind {found}"
            );
        }
        if batch.max_timestamp > latest {
            latest = batch.max_timestamp;
            assert!(index.offset_before(latest) <= batch.last_offset());
        }
        position += batch.size_in_bytes() as u64;
    }
    assert_eq!(index.max_timestamp, latest);
}

#[test]
fn the_zero_tail_of_a_preallocated_index_is_not_read() {
    let (base_offset, [_, offsets, times]) = SEGMENTS[1];
    let zeros = [0; 4096];
    let padded = SegmentIndex::decode(
        base_offset,
        &[offsets, &zeros].concat(),
        &[times, &zeros].concat(),
    );
    assert_eq!(padded, SegmentIndex::decode(base_offset, offsets, times));
    assert_eq!(padded.encode_offsets(), offsets);
}

#[test]
fn what_is_missing_before_a_segment_is_looked_for_from_its_start() {
    for (base_offset, [_, offsets, times]) in &SEGMENTS[1..] {
        let index = SegmentIndex::decode(*base_offset, offsets, times);
        assert!(!index.offsets.is_empty());
        for offset in [0, base_offset - 1, *base_offset] {
            assert_eq!(
                index.start_of(offset).position,
                0,
                "{offset} from {base_offset}"
            );
        }
    }
}

#[test]
fn a_batch_that_no_entry_can_hold_is_a_misfit() {
    let (base, log) = (SEGMENTS[0].0, SEGMENTS[0].1[0]);
    let index = SegmentIndex::new(base);
    let batch = BatchIter::new(log, CrcCheck::Verify).next().unwrap();
    let at = |base_offset: Offset| BatchHeader {
        base_offset,
        last_offset_delta: i32::MAX,
        ..*batch.header()
    };
    let far = i64::from(i32::MAX);
    assert_eq!(index.misfit(&at(base), 0), None);
    assert_eq!(index.misfit(&at(base + far), u64::from(u32::MAX)), None);
    assert!(index.misfit(&at(base + far + 2), 0).is_some());
    assert!(index.misfit(&at(Offset::MAX - far), 0).is_some());
    assert!(index.misfit(&at(base), u64::from(u32::MAX) + 1).is_some());
}

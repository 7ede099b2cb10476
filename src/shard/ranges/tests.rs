use super::*;
use crate::types::{TopicId, TopicIdPartition};

fn range(size: usize) -> RecordsRange {
    RecordsRange {
        partition: TopicIdPartition {
            topic_id: TopicId([1; 16]),
            partition: 0,
        },
        offset: 10,
        skipped_size: 0,
        end_offset: 30,
        size,
        preferred_size: 0,
    }
}

fn batches(pieces: &[Bytes], source: ReadSource) -> ReadBatches {
    ReadBatches {
        size: pieces.iter().map(Bytes::len).sum(),
        pieces: pieces.to_vec(),
        rest: None,
        source,
        next_offset: 20,
    }
}

/// A batch of 1,000 bytes, in pieces that no part ends with, sent in parts of every size.
#[test]
fn the_parts_of_a_batch_are_the_batch() {
    let whole: Vec<u8> = (0..1000_u32).map(|index| index as u8).collect();
    let whole = Bytes::from(whole);
    let pieces = [whole.slice(..7), whole.slice(7..400), whole.slice(400..)];
    for size_max in [1, 6, 7, 8, 399, 400, 999, 1000, 1001] {
        let mut left = Some(range(1000));
        let mut sent = Vec::new();
        while let Some(range) = left {
            assert_eq!(range.size, 1000 - sent.len());
            let read = cut(batches(&pieces, ReadSource::Disk), &range, size_max);
            let part: Vec<u8> = read.pieces.concat();
            assert!((1..=size_max).contains(&part.len()));
            sent.extend(part);
            left = read.rest;
            // All parts but the last come from the same batch.
            if let Some(range) = left {
                assert_eq!((range.offset, range.skipped_size), (10, sent.len()));
                assert_eq!(range.preferred_size, 1000 - sent.len());
            }
        }
        assert_eq!(sent, whole, "in parts of {size_max}");
    }
}

#[test]
fn what_is_behind_the_batches_is_left() {
    let large = Bytes::from(vec![7; COPIED_SIZE_MAX + 1]);
    let pieces = std::slice::from_ref(&large);
    let read = cut(
        batches(pieces, ReadSource::Memory),
        &range(large.len() + 500),
        1 << 20,
    );
    // A large one is not copied.
    assert_eq!(read.pieces[0].as_ptr(), large.as_ptr());
    let rest = read.rest.expect("500 bytes are left");
    assert_eq!((rest.offset, rest.skipped_size, rest.size), (20, 0, 500));
    assert_eq!(rest.end_offset, 30);
}

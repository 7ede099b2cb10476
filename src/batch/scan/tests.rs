use super::*;
use crate::batch::golden;

fn scan(bytes: &[u8]) -> (usize, usize, ScanEnd) {
    let mut batches = BatchIter::new(bytes, CrcCheck::Verify);
    let count = batches.by_ref().count();
    assert!(batches.next().is_none());
    (
        count,
        batches.position(),
        batches.end().expect("the scan ended"),
    )
}

fn sizes() -> Vec<usize> {
    let batches = BatchIter::new(golden::TRANSACTIONS, CrcCheck::Skip);
    batches.map(|batch| batch.size_in_bytes()).collect()
}

#[test]
fn every_cut_ends_at_the_last_whole_batch() {
    let sizes = sizes();
    let mut whole = 0;
    let mut position = 0;
    for cut in 0..golden::TRANSACTIONS.len() {
        if cut == position + sizes[whole] {
            position = cut;
            whole += 1;
        }
        let (count, end_position, end) = scan(&golden::TRANSACTIONS[..cut]);
        assert_eq!((count, end_position), (whole, position));
        if cut == position {
            assert_eq!(end, ScanEnd::Complete);
        } else {
            let has_header = cut - position >= HEADER_SIZE;
            let needed = if has_header {
                sizes[whole]
            } else {
                HEADER_SIZE
            };
            assert_eq!(end, ScanEnd::Truncated { needed }, "cut at {cut}");
        }
    }
}

#[test]
fn zeros_are_told_from_damage() {
    let sizes = sizes();
    let mut bytes = golden::TRANSACTIONS.to_vec();
    let size = bytes.len();
    for tail in [12, 60, 61, 4096] {
        bytes.resize(size + tail, 0);
        assert_eq!(scan(&bytes), (sizes.len(), size, ScanEnd::Zeros));
    }
    // A hole in front of a batch.
    bytes.truncate(size);
    bytes[sizes[0]..sizes[0] + sizes[1]].fill(0);
    assert_eq!(scan(&bytes), (1, sizes[0], ScanEnd::Zeros));
    // One byte of it that is not zero.
    bytes[sizes[0] + 20] = 1;
    let (count, position, end) = scan(&bytes);
    assert_eq!((count, position), (1, sizes[0]));
    assert!(matches!(end, ScanEnd::Corrupt(_)));
}

#[test]
fn a_bad_crc_stops_only_whoever_checks() {
    let sizes = sizes();
    let mut bytes = golden::TRANSACTIONS.to_vec();
    bytes[sizes[0] + 70] ^= 1;
    let (count, position, end) = scan(&bytes);
    assert_eq!((count, position), (1, sizes[0]));
    assert!(matches!(end, ScanEnd::Corrupt(BatchError::Crc { .. })));
    assert_eq!(BatchIter::new(&bytes, CrcCheck::Skip).count(), sizes.len());
}

//! Segments that Kafka 4.1.1 wrote (`tests/golden/segments/README.md` says how), and the records
//! that its console producer was given.

use super::*;

macro_rules! segment {
    ($path:literal) => {
        include_bytes!(concat!("../../tests/golden/segments/", $path)).as_slice()
    };
}

/// The same records in one batch each, by codec.
pub(super) const BY_CODEC: [(Codec, &[u8]); 5] = [
    (
        Codec::None,
        segment!("codec-none-0/00000000000000000000.log"),
    ),
    (
        Codec::Gzip,
        segment!("codec-gzip-0/00000000000000000000.log"),
    ),
    (
        Codec::Snappy,
        segment!("codec-snappy-0/00000000000000000000.log"),
    ),
    (Codec::Lz4, segment!("codec-lz4-0/00000000000000000000.log")),
    (
        Codec::Zstd,
        segment!("codec-zstd-0/00000000000000000000.log"),
    ),
];

/// Small batches of a transactional producer, with the markers of commits between them.
pub(super) const TRANSACTIONS: &[u8] = segment!("txn-0/00000000000000000000.log");

/// Two runs of an idempotent producer, in two segments.
const INDEXED: [(i64, &[u8]); 2] = [
    (0, segment!("indexed-0/00000000000000000000.log")),
    (60, segment!("indexed-0/00000000000000000060.log")),
];

/// Headers, key, value.
type Expected = (
    Vec<(&'static str, &'static str)>,
    Option<String>,
    Option<String>,
);

fn expected_records() -> Vec<Expected> {
    let some = |text: &str| Some(text.to_owned());
    let traced = vec![("trace", "abc"), ("empty", "")];
    let mut records = vec![
        (traced, some("key-0"), some("value-0")),
        (vec![("h", "1")], None, some("no key")),
        (vec![], some("key-2"), None),
        (vec![], some(""), some("")),
    ];
    for index in 4..40 {
        let value = format!("value {index} ").repeat(index % 7 + 1);
        records.push((vec![], Some(format!("key-{index}")), Some(value)));
    }
    let long = "abcdefghij".repeat(300);
    records.push((vec![("n", "1"), ("n", "2")], some("long"), Some(long)));
    records
}

/// Decompressed records of a batch.
pub(super) fn payload(batch: &BatchView<'_>) -> Vec<u8> {
    let records = Decompressor::new().records(batch, DECOMPRESSED_SIZE_MAX);
    records.expect("the records decompress").into_owned()
}

/// Builds `batch` again out of what can be read from it.
fn rebuild(batch: &BatchView<'_>) -> Vec<u8> {
    let payload = payload(batch);
    let options = BatchOptions {
        base_offset: batch.base_offset,
        partition_leader_epoch: batch.partition_leader_epoch,
        compression: batch.codec().unwrap().into(),
        producer: batch.producer(),
        is_transactional: batch.is_transactional(),
        is_control: batch.is_control(),
        ..BatchOptions::default()
    };
    let mut builder = BatchBuilder::new(options, 0);
    for record in RecordIter::new(batch.header(), &payload) {
        let record = record.expect("a record of the golden segment");
        let headers: Vec<_> = record.headers.collect();
        let (timestamp, key, value) = (record.timestamp, record.key, record.value);
        let size = builder.size_with(timestamp, key, value, &headers);
        builder.append(timestamp, key, value, &headers);
        assert_eq!(builder.size_in_bytes(), size);
    }
    builder.close().to_vec()
}

#[test]
fn every_codec_decodes_to_the_records_that_were_sent() {
    for (codec, segment) in BY_CODEC {
        let mut batches = BatchIter::new(segment, CrcCheck::Verify);
        let batch = batches.next().expect("one batch");
        assert_eq!(
            (batches.next().is_none(), batches.end()),
            (true, Some(ScanEnd::Complete))
        );
        assert_eq!(batch.codec(), Ok(codec));
        assert_eq!(
            (batch.base_offset, batch.last_offset(), batch.next_offset()),
            (0, 40, 41)
        );
        assert_eq!(
            batch.producer().map(|p| (p.epoch, p.base_sequence)),
            Some((0, 0))
        );
        let payload = payload(&batch);
        let records = RecordIter::new(batch.header(), &payload);
        let records: Vec<_> = records.map(|record| record.expect("a record")).collect();
        let expected = expected_records();
        assert_eq!(records.len(), expected.len());
        for (index, (record, (headers, key, value))) in records.iter().zip(expected).enumerate() {
            assert_eq!(record.offset, index as i64);
            assert!((batch.base_timestamp..=batch.max_timestamp).contains(&record.timestamp));
            assert_eq!(record.key, key.as_deref().map(str::as_bytes));
            assert_eq!(record.value, value.as_deref().map(str::as_bytes));
            let pairs = record.headers.map(|h| (h.key, h.value.expect("not null")));
            let expected = headers.iter().map(|(k, v)| (k.as_bytes(), v.as_bytes()));
            assert_eq!(pairs.collect::<Vec<_>>(), expected.collect::<Vec<_>>());
        }
    }
}

#[test]
fn what_is_not_compressed_is_rebuilt_to_the_same_bytes() {
    let mut count = 0;
    let indexed = INDEXED.map(|(_, segment)| segment);
    for segment in [BY_CODEC[0].1, TRANSACTIONS, indexed[0], indexed[1]] {
        let mut batches = BatchIter::new(segment, CrcCheck::Verify);
        for batch in &mut batches {
            assert_eq!(rebuild(&batch), batch.bytes());
            count += 1;
        }
        assert_eq!(batches.end(), Some(ScanEnd::Complete));
    }
    assert!(count > 50, "{count} batches are too few to mean something");
}

#[test]
fn what_is_compressed_again_decodes_to_the_same_records() {
    for (_, segment) in &BY_CODEC[1..] {
        let batch = BatchView::parse(segment).unwrap();
        let rebuilt = rebuild(&batch);
        let again = BatchView::parse(&rebuilt).unwrap();
        assert_eq!(again.check_crc(), Ok(()));
        assert_eq!(payload(&again), payload(&batch));
        let same = BatchHeader {
            batch_length: batch.batch_length,
            crc: batch.crc,
            ..*again.header()
        };
        assert_eq!(same, *batch.header());
    }
}

#[test]
fn framings_start_like_javas() {
    // Java's compressors make other bytes, but the frames around them must agree.
    for (codec, frame_size) in [(Codec::Snappy, 16), (Codec::Lz4, 7)] {
        let segment = BY_CODEC[usize::from(codec.id())].1;
        let batch = BatchView::parse(segment).unwrap();
        let rebuilt = rebuild(&batch);
        let again = BatchView::parse(&rebuilt).unwrap();
        assert_eq!(again.payload()[..frame_size], batch.payload()[..frame_size]);
    }
}

#[test]
fn a_log_is_contiguous() {
    for (base_offset, segment) in INDEXED {
        let mut next_offset = base_offset;
        let mut next_sequence = 0;
        for batch in BatchIter::new(segment, CrcCheck::Verify) {
            assert_eq!(batch.base_offset, next_offset);
            assert_eq!(batch.base_sequence, next_sequence);
            next_offset = batch.next_offset();
            next_sequence = batch.last_sequence() + 1;
        }
    }
}

//! The records of a partition in a Produce request: validation, decompression, recompression.
//!
//! Input: settings (4 bytes), then the batch. A bit of the settings sets its length and CRC right.

use bytes::Bytes;
use ringlog::batch::{
    BatchIter, BatchView, Codec, Compression, CrcCheck, Decompressor, ProduceLimits, RecordIter,
    TimestampType, ValidatedBatch, faulty_records, validate_produce,
};

use crate::input::Input;
use crate::memory::measured;
use crate::seal::seal_batches;

/// `decompressed_size_max` here: the rules are the same as with more, and bombs go off faster.
const DECOMPRESSED_SIZE_MAX: usize = 1 << 20;

/// What a decompressor may have beside what it gives: a block of LZ4, gzip's state, its window.
const STATE_SIZE_MAX: usize = 6 << 20;

/// Records that a refusal names.
const FAULTS_MAX: usize = 100;

pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let (flags, target, version, size) = (input.u8(), input.u8(), input.u8(), input.u8());
    let mut bytes = input.rest().to_vec();
    if flags & 1 != 0 {
        set_length(&mut bytes);
        seal_batches(&mut bytes);
    }
    let limits = ProduceLimits {
        produce_version: i16::from(version % 14),
        max_message_bytes: 64 << (size % 16),
        decompressed_size_max: DECOMPRESSED_SIZE_MAX,
        compression: compression(target),
        timestamp_type: match flags & 2 {
            0 => TimestampType::CreateTime,
            _ => TimestampType::LogAppendTime,
        },
        timestamp_before_max_ms: if flags & 4 == 0 { i64::MAX } else { 3_600_000 },
        timestamp_after_max_ms: if flags & 8 == 0 { i64::MAX } else { 3_600_000 },
        is_compacted: flags & 16 != 0,
        now: 1_796_000_000_000,
    };
    let records = Bytes::from(bytes);
    let mut decompressor = Decompressor::new();
    let (peak, result) = measured(|| validate_produce(&records, &limits, &mut decompressor));
    let allowed = STATE_SIZE_MAX + 3 * DECOMPRESSED_SIZE_MAX + 3 * records.len();
    assert!(peak <= allowed, "validation took {peak} bytes of {allowed}");
    match result {
        Ok(stored) => check_stored(&records, &stored, &limits, &mut decompressor),
        Err(error) => {
            let faults = faulty_records(&error, &records, &limits, &mut decompressor, FAULTS_MAX);
            assert!(faults.len() <= FAULTS_MAX);
        }
    }
    read_as_client(&records, &mut decompressor);
}

fn compression(choice: u8) -> Option<Compression> {
    let codec = *Codec::ALL.get(usize::from(choice % 8))?;
    Some(Compression { codec, level: None })
}

/// The batch takes all of the input.
fn set_length(bytes: &mut [u8]) {
    if let Some(length) = bytes.len().checked_sub(12)
        && bytes.len() >= 17
    {
        bytes[8..12].copy_from_slice(&(length as i32).to_be_bytes());
        bytes[16] = 2;
    }
}

/// What may be stored is what readers understand: the same records, by the topic's rules.
fn check_stored(
    sent: &Bytes,
    stored: &ValidatedBatch,
    limits: &ProduceLimits,
    decompressor: &mut Decompressor,
) {
    let before = BatchView::parse(sent).expect("a valid batch");
    let after = BatchView::parse(stored.bytes()).expect("a stored batch");
    after.check_crc().expect("a stored batch");
    assert_eq!(after.header(), stored.header());
    assert_eq!(after.size_in_bytes(), stored.size_in_bytes());
    assert!(stored.size_in_bytes() <= limits.max_message_bytes);
    assert_eq!(after.timestamp_type(), limits.timestamp_type);
    if let Some(target) = limits.compression {
        assert_eq!(stored.codec(), target.codec);
    }
    assert_eq!(stored.offset_count(), i64::from(after.record_count));
    let was = decompressor.records(&before, limits.decompressed_size_max);
    let was = was.expect("it was read before").into_owned();
    let is = decompressor.records(&after, limits.decompressed_size_max);
    let is = is.expect("a stored batch is readable");
    assert_eq!(was, *is);
    let mut latest = -1;
    let mut count = 0;
    for record in RecordIter::new(after.header(), &is) {
        let record = record.expect("a record of a stored batch");
        assert_eq!(record.offset, i64::from(count));
        assert_eq!(record.headers.len(), record.headers.count());
        assert!(!limits.is_compacted || record.key.is_some());
        latest = latest.max(record.timestamp);
        count += 1;
    }
    assert_eq!(count, after.record_count);
    assert_eq!(latest, stored.max_timestamp());
    assert!((0..count).contains(&stored.max_timestamp_delta()));
    assert_eq!(
        &stored.head(0, after.partition_leader_epoch)[..],
        &stored.bytes()[..16]
    );
}

/// Reads all there is as a reader does who believes nothing.
fn read_as_client(bytes: &Bytes, decompressor: &mut Decompressor) {
    for check in [CrcCheck::Verify, CrcCheck::Skip] {
        let mut batches = BatchIter::new(bytes, check);
        for batch in &mut batches {
            let (peak, records) = measured(|| {
                decompressor
                    .records(&batch, DECOMPRESSED_SIZE_MAX)
                    .map(drop)
            });
            assert!(
                peak <= STATE_SIZE_MAX + 3 * DECOMPRESSED_SIZE_MAX,
                "{peak} bytes for records"
            );
            if records.is_err() {
                continue;
            }
            let records = decompressor.records(&batch, DECOMPRESSED_SIZE_MAX);
            let records = records.expect("as before");
            for record in RecordIter::new(batch.header(), &records).flatten() {
                record.headers.for_each(drop);
            }
        }
        assert!(batches.position() <= bytes.len());
        assert!(batches.end().is_some());
    }
}

use super::*;
use crate::batch::golden;
use crate::batch::header::{CRC_START, HEADER_SIZE, MAGIC_POSITION, NO_TIMESTAMP};
use crate::batch::{
    BatchBuilder, BatchOptions, DECOMPRESSED_SIZE_MAX, RecordIter, with_log_append_time,
};
use crate::types::ErrorCode;
use proptest::prelude::*;

const NOW: Timestamp = 1_700_000_000_000;
const HOUR_MS: i64 = 3_600_000;

fn limits() -> ProduceLimits {
    ProduceLimits {
        produce_version: 13,
        max_message_bytes: 1_048_588,
        decompressed_size_max: DECOMPRESSED_SIZE_MAX,
        compression: None,
        timestamp_type: TimestampType::CreateTime,
        timestamp_before_max_ms: i64::MAX,
        timestamp_after_max_ms: HOUR_MS,
        is_compacted: false,
        now: NOW,
    }
}

fn validate(records: &[u8], limits: &ProduceLimits) -> Result<ValidatedBatch, BatchError> {
    let records = Bytes::copy_from_slice(records);
    validate_produce(&records, limits, &mut Decompressor::new())
}

/// What a client is answered: 0 if the batch is taken.
fn code(records: &[u8], limits: &ProduceLimits) -> i16 {
    match validate(records, limits) {
        Ok(_) => 0,
        Err(error) => error.error_code().code(),
    }
}

fn builder(options: BatchOptions, timestamps: &[Timestamp]) -> BatchBuilder {
    let mut builder = BatchBuilder::new(options, 0);
    for (index, timestamp) in timestamps.iter().enumerate() {
        let key = format!("key-{index}");
        builder.append(*timestamp, Some(key.as_bytes()), Some(b"some value"), &[]);
    }
    builder
}

fn batch_of(codec: Codec, timestamps: &[Timestamp]) -> Vec<u8> {
    let options = BatchOptions {
        compression: codec.into(),
        ..BatchOptions::default()
    };
    builder(options, timestamps).close().to_vec()
}

fn batch() -> Vec<u8> {
    batch_of(Codec::None, &[NOW, NOW + 1, NOW])
}

/// Puts `value` at `position` and makes the CRC fit.
fn patched<const N: usize>(mut batch: Vec<u8>, position: usize, value: [u8; N]) -> Vec<u8> {
    batch[position..position + N].copy_from_slice(&value);
    resealed(batch)
}

fn resealed(mut batch: Vec<u8>) -> Vec<u8> {
    let crc = crc32c::crc32c(&batch[CRC_START..]);
    batch[17..CRC_START].copy_from_slice(&crc.to_be_bytes());
    batch
}

/// A batch whose records are these bytes.
fn batch_with_records(records: &[u8], count: i32) -> Vec<u8> {
    let mut bytes = batch_of(Codec::None, &[NOW])[..HEADER_SIZE].to_vec();
    bytes.extend_from_slice(records);
    let length = bytes.len() as i32 - 12;
    bytes[8..12].copy_from_slice(&length.to_be_bytes());
    bytes[23..27].copy_from_slice(&(count - 1).to_be_bytes());
    patched(bytes, 57, count.to_be_bytes())
}

#[test]
fn a_good_batch_is_taken_as_it_is() {
    for codec in Codec::ALL {
        let sent = Bytes::from(batch_of(codec, &[NOW, NOW + 7, NOW + 7, NOW + 2]));
        let batch = validate_produce(&sent, &limits(), &mut Decompressor::new()).unwrap();
        assert_eq!(batch.bytes().as_ptr(), sent.as_ptr(), "not copied");
        assert_eq!(batch.codec(), codec);
        assert_eq!(
            (batch.max_timestamp(), batch.max_timestamp_delta()),
            (NOW + 7, 1)
        );
        assert_eq!((batch.offset_count(), batch.producer()), (4, None));
        assert_eq!(batch.size_in_bytes(), sent.len());
        let stored = [&batch.head(99, 5)[..], &batch.body()].concat();
        let stored = BatchView::parse(&stored).unwrap();
        assert_eq!((stored.base_offset, stored.partition_leader_epoch), (99, 5));
        assert_eq!(stored.check_crc(), Ok(()));
    }
}

#[test]
fn what_kafkas_own_clients_send_is_taken() {
    let limits = ProduceLimits {
        now: 1_795_385_700_000,
        ..limits()
    };
    for (codec, segment) in golden::BY_CODEC {
        let batch = validate(segment, &limits).unwrap();
        assert_eq!(batch.bytes(), segment);
        assert_eq!((batch.codec(), batch.offset_count()), (codec, 41));
        let payload = golden::payload(&BatchView::parse(segment).unwrap());
        let records = RecordIter::new(batch.header(), &payload).map(Result::unwrap);
        let first_latest = records.min_by_key(|record| (-record.timestamp, record.offset));
        let offset = first_latest.expect("a record").offset;
        assert_eq!(i64::from(batch.max_timestamp_delta()), offset);
    }
}

/// What, a batch, and the code that Kafka answers to it.
type Case = (&'static str, Vec<u8>, i16);

fn framing_cases() -> Vec<Case> {
    let good = batch();
    let mut bad_crc = batch();
    *bad_crc.last_mut().unwrap() ^= 1;
    vec![
        ("good", good.clone(), 0),
        ("magic 0", patched(batch(), MAGIC_POSITION, [0]), 87),
        ("magic 1", patched(batch(), MAGIC_POSITION, [1]), 87),
        ("magic 3", patched(batch(), MAGIC_POSITION, [3]), 2),
        ("bad CRC", bad_crc, 2),
        ("two batches", [good.clone(), good.clone()].concat(), 87),
        ("trailing byte", [&good[..], &[0]].concat(), 87),
        ("empty", vec![], 87),
        ("truncated", good[..good.len() - 1].to_vec(), 87),
        ("header alone", good[..HEADER_SIZE].to_vec(), 87),
        ("length 48", patched(batch(), 8, 48i32.to_be_bytes()), 2),
        ("length -1", patched(batch(), 8, (-1i32).to_be_bytes()), 2),
        (
            "length 2^31-1",
            patched(batch(), 8, i32::MAX.to_be_bytes()),
            87,
        ),
        ("base offset 1", patched(batch(), 0, 1i64.to_be_bytes()), 87),
    ]
}

fn header_cases() -> Vec<Case> {
    let counts = |count: i32, last_offset_delta: i32| {
        let bytes = patched(batch(), 23, last_offset_delta.to_be_bytes());
        patched(bytes, 57, count.to_be_bytes())
    };
    let attributes = |attributes: i16| patched(batch(), CRC_START, attributes.to_be_bytes());
    let no_sequence = patched(batch(), 43, 9i64.to_be_bytes());
    vec![
        ("count too large", counts(4, 2), 87),
        ("count too small", counts(2, 2), 87),
        ("both too large", counts(4, 3), 87),
        ("both too small", counts(2, 1), 87),
        ("count 0", counts(0, -1), 87),
        ("count -1", counts(-1, -2), 87),
        ("count 2^31-1", counts(i32::MAX, i32::MAX - 1), 87),
        ("count -2^31", counts(i32::MIN, i32::MAX), 87),
        ("control batch", attributes(0x20), 87),
        ("transactional", attributes(0x10), 0),
        ("log append time", attributes(0x08), 32),
        ("codec 5", attributes(5), 87),
        ("codec 7", attributes(7), 87),
        ("gzip that is none", attributes(1), 87),
        ("snappy that is none", attributes(2), 87),
        ("lz4 that is none", attributes(3), 87),
        ("zstd that is none", attributes(4), 87),
        ("producer without sequence", no_sequence, 87),
    ]
}

#[test]
fn the_error_table_of_produce() {
    for (what, bytes, expected) in framing_cases().into_iter().chain(header_cases()) {
        assert_eq!(code(&bytes, &limits()), expected, "{what}");
    }
}

#[test]
fn timestamps_by_default_may_be_old_but_not_two_hours_ahead() {
    for (timestamp, expected) in [
        (NOW + 2 * HOUR_MS, 32),
        (NOW + HOUR_MS, 0),
        (NO_TIMESTAMP, 0),
        (0, 0),
    ] {
        let bytes = batch_of(Codec::None, &[NOW, timestamp]);
        assert_eq!(code(&bytes, &limits()), expected, "{timestamp}");
    }
}

#[test]
fn zstd_came_with_version_7() {
    for (produce_version, expected) in [(3, 76), (6, 76), (7, 0)] {
        let limits = ProduceLimits {
            produce_version,
            ..limits()
        };
        assert_eq!(code(&batch_of(Codec::Zstd, &[NOW]), &limits), expected);
    }
}

#[test]
fn max_message_bytes_is_of_the_whole_batch() {
    let bytes = batch();
    for (max_message_bytes, expected) in [(bytes.len(), 0), (bytes.len() - 1, 10)] {
        let limits = ProduceLimits {
            max_message_bytes,
            ..limits()
        };
        assert_eq!(code(&bytes, &limits), expected);
    }
}

#[test]
fn another_codec_changes_nothing_but_the_codec() {
    for from in Codec::ALL {
        for to in Codec::ALL {
            let limits = ProduceLimits {
                compression: Some(to.into()),
                ..limits()
            };
            let sent = batch_of(from, &[NOW, NOW + 2, NOW + 1]);
            let stored = validate(&sent, &limits).unwrap();
            assert_eq!(stored.codec(), to);
            assert_eq!(stored.max_timestamp(), NOW + 2);
            assert_eq!(stored.max_timestamp_delta(), 1);
            if from == to {
                assert_eq!(stored.bytes(), &sent);
            }
            let batch = BatchView::parse(stored.bytes()).unwrap();
            batch.check_crc().unwrap();
            assert_eq!(batch.header(), stored.header());
            let mut decompressor = Decompressor::new();
            let before = BatchView::parse(&sent).unwrap();
            let before = decompressor
                .records(&before, DECOMPRESSED_SIZE_MAX)
                .unwrap();
            let before = before.into_owned();
            let after = decompressor.records(&batch, DECOMPRESSED_SIZE_MAX).unwrap();
            assert_eq!(before, after.into_owned(), "{from:?} to {to:?}");
        }
    }
}

#[test]
fn rules_hold_where_a_batch_is_compressed_anew() {
    let anew = ProduceLimits {
        compression: Some(Codec::Zstd.into()),
        ..limits()
    };
    let stamped = ProduceLimits {
        timestamp_type: TimestampType::LogAppendTime,
        ..anew
    };
    for from in [Codec::None, Codec::Gzip] {
        let late = batch_of(from, &[NOW, NOW + HOUR_MS + 1]);
        assert_eq!(code(&late, &anew), 32);
        let stored = validate(&late, &stamped).unwrap();
        assert_eq!(stored.max_timestamp(), NOW);
        assert_eq!(
            stored.header().timestamp_type(),
            TimestampType::LogAppendTime
        );
        let sound = batch_of(from, &[NOW]);
        let mut cut = sound.to_vec();
        cut.truncate(sound.len() - 1);
        assert_ne!(code(&cut, &anew), 0);
    }
    // 1,000 equal bytes are few with gzip and many without.
    let options = BatchOptions {
        compression: Codec::Gzip.into(),
        ..BatchOptions::default()
    };
    let mut large = BatchBuilder::new(options, 0);
    large.append(NOW, None, Some(&[7; 1000]), &[]);
    let tight = ProduceLimits {
        max_message_bytes: 900,
        compression: Some(Codec::None.into()),
        ..limits()
    };
    assert_eq!(code(&large.close(), &tight), 10);
}

#[test]
fn all_records_that_break_a_rule_are_found() {
    let limits = ProduceLimits {
        is_compacted: true,
        ..limits()
    };
    for codec in [Codec::None, Codec::Snappy] {
        let options = BatchOptions {
            compression: codec.into(),
            ..BatchOptions::default()
        };
        let mut builder = BatchBuilder::new(options, 0);
        builder.append(NOW, Some(b"k"), None, &[]);
        builder.append(NOW, None, None, &[]);
        builder.append(NOW + 2 * HOUR_MS, Some(b"k"), None, &[]);
        builder.append(NOW, None, None, &[]);
        let bytes = builder.close();
        let mut decompressor = Decompressor::new();
        let refused = validate_produce(&bytes, &limits, &mut decompressor).unwrap_err();
        let find = |decompressor: &mut Decompressor, max| {
            let faults = faulty_records(&refused, &bytes, &limits, decompressor, max);
            let found = faults
                .iter()
                .map(|fault| (fault.record_index(), fault.error_code().code()));
            found.collect::<Vec<_>>()
        };
        let all = [(Some(1), 87), (Some(2), 32), (Some(3), 87)];
        assert_eq!(find(&mut decompressor, 10), all);
        assert_eq!(find(&mut decompressor, 2), all[..2]);
        let other = BatchError::Control;
        let none = faulty_records(&other, &bytes, &limits, &mut decompressor, 10);
        assert!(none.is_empty());
    }
}

#[test]
fn timestamps_keep_between_before_and_after() {
    let limits = ProduceLimits {
        timestamp_before_max_ms: 1000,
        timestamp_after_max_ms: 10,
        ..limits()
    };
    for codec in [Codec::None, Codec::Lz4] {
        for (timestamp, expected) in [
            (NOW - 1001, 32),
            (NOW - 1000, 0),
            (NOW + 10, 0),
            (NOW + 11, 32),
            (NO_TIMESTAMP, 0),
        ] {
            let bytes = batch_of(codec, &[NOW, timestamp]);
            assert_eq!(code(&bytes, &limits), expected, "{timestamp}");
        }
    }
    let error = validate(&batch_of(Codec::None, &[NOW, NOW, 5]), &limits).unwrap_err();
    assert_eq!(error.record_index(), Some(2));
    let append_time = ProduceLimits {
        timestamp_type: TimestampType::LogAppendTime,
        ..limits
    };
    assert_eq!(code(&batch_of(Codec::None, &[5]), &append_time), 0);
}

#[test]
fn a_compacted_topic_needs_keys() {
    let limits = ProduceLimits {
        is_compacted: true,
        ..limits()
    };
    for codec in [Codec::None, Codec::Gzip] {
        let options = BatchOptions {
            compression: codec.into(),
            ..BatchOptions::default()
        };
        let mut with_null = builder(options, &[NOW]);
        assert_eq!(code(&builder(options, &[NOW]).close(), &limits), 0);
        with_null.append(NOW, None, Some(b"v"), &[]);
        let error = validate(&with_null.close(), &limits).unwrap_err();
        assert_eq!(error, BatchError::MissingKey(1));
        assert_eq!(error.error_code(), ErrorCode::InvalidRecord);
    }
}

#[test]
fn a_false_max_timestamp_is_corrected() {
    for codec in Codec::ALL {
        let right = batch_of(codec, &[NOW, NOW + 5]);
        let wrong = patched(right.clone(), 35, (NOW + 500).to_be_bytes());
        let batch = validate(&wrong, &limits()).unwrap();
        assert_eq!(batch.bytes(), &right);
        assert_eq!(batch.header().crc, BatchHeader::parse(&right).unwrap().crc);
        assert_eq!(batch.max_timestamp(), NOW + 5);
    }
}

#[test]
fn log_append_time_stamps_the_batch() {
    let limits = ProduceLimits {
        timestamp_type: TimestampType::LogAppendTime,
        ..limits()
    };
    for codec in Codec::ALL {
        let sent = batch_of(codec, &[5, 70]);
        let batch = validate(&sent, &limits).unwrap();
        let expected = with_log_append_time(&BatchView::parse(&sent).unwrap(), NOW);
        assert_eq!(batch.bytes(), &expected);
        assert_eq!(
            (batch.max_timestamp(), batch.max_timestamp_delta()),
            (NOW, 0)
        );
        let payload = golden::payload(&BatchView::parse(batch.bytes()).unwrap());
        for record in RecordIter::new(batch.header(), &payload) {
            assert_eq!(record.unwrap().timestamp, NOW);
        }
    }
}

#[test]
fn records_that_do_not_add_up_are_refused() {
    // length, attributes, timestamp delta, offset delta, key, value, headers
    let first = [12, 0, 0, 0, 1, 1, 0];
    let second = [12, 0, 0, 2, 1, 1, 0];
    assert_eq!(
        code(&batch_with_records(&[first, second].concat(), 2), &limits()),
        0
    );
    let bad: Vec<(&str, Vec<u8>, i32)> = vec![
        ("swapped offset deltas", [second, first].concat(), 2),
        ("repeated offset delta", [first, first].concat(), 2),
        ("a record less", first.to_vec(), 2),
        ("a record more", [first, second].concat(), 1),
        ("trailing byte", [&first[..], &[0]].concat(), 1),
        ("length too long", vec![14, 0, 0, 0, 1, 1, 0], 1),
        (
            "length too long, bytes there",
            vec![14, 0, 0, 0, 1, 1, 0, 0],
            1,
        ),
        ("length too short", vec![10, 0, 0, 0, 1, 1, 0], 1),
        ("negative length", vec![11, 0, 0, 0, 1, 1, 0], 1),
        (
            "length of 2^31-1",
            vec![0xfe, 0xff, 0xff, 0xff, 0x0f, 0, 0, 0, 1, 1, 0],
            1,
        ),
        (
            "over-long length",
            vec![0x8c, 0x80, 0x80, 0x80, 0x80, 0, 0, 0, 0, 1, 1, 0],
            1,
        ),
        ("key beyond the record", vec![12, 0, 0, 0, 2, 1, 0], 1),
        ("value beyond the batch", vec![12, 0, 0, 0, 1, 40, 0], 1),
        ("negative header count", vec![12, 0, 0, 0, 1, 1, 1], 1),
        ("headers that are not there", vec![12, 0, 0, 0, 1, 1, 2], 1),
        ("header without key", vec![16, 0, 0, 0, 1, 1, 2, 1, 0], 1),
        ("nothing", vec![], 1),
    ];
    for (what, records, count) in bad {
        let bytes = batch_with_records(&records, count);
        assert_eq!(code(&bytes, &limits()), 87, "{what}");
        // The same records behind each codec.
        for codec in &Codec::ALL[1..] {
            let mut bytes = bytes[..HEADER_SIZE].to_vec();
            crate::batch::Compression::from(*codec).compress(&records, &mut bytes);
            let length = bytes.len() as i32 - 12;
            bytes[8..12].copy_from_slice(&length.to_be_bytes());
            let bytes = patched(bytes, CRC_START, i16::from(codec.id()).to_be_bytes());
            assert_eq!(code(&bytes, &limits()), 87, "{what} in {codec:?}");
        }
    }
}

#[test]
fn a_bomb_is_refused_and_the_next_batch_is_not() {
    let mut decompressor = Decompressor::new();
    let zeros = vec![0; 8 * 1024 * 1024];
    let limits = ProduceLimits {
        decompressed_size_max: 1024 * 1024,
        ..limits()
    };
    for codec in &Codec::ALL[1..] {
        let options = BatchOptions {
            compression: (*codec).into(),
            ..BatchOptions::default()
        };
        let mut bomb = BatchBuilder::new(options, 0);
        bomb.append(NOW, None, Some(&zeros), &[]);
        let bomb = bomb.close();
        assert!(bomb.len() < limits.max_message_bytes);
        let error = validate_produce(&bomb, &limits, &mut decompressor).unwrap_err();
        assert_eq!(
            error,
            BatchError::DecompressedTooLarge(1024 * 1024),
            "{codec:?}"
        );
        assert_eq!(error.error_code(), ErrorCode::InvalidRecord);
        let good = Bytes::from(batch_of(*codec, &[NOW]));
        assert!(validate_produce(&good, &limits, &mut decompressor).is_ok());
    }
}

#[test]
fn every_truncation_is_refused() {
    for codec in Codec::ALL {
        let bytes = batch_of(codec, &[NOW; 20]);
        for size in 0..bytes.len() {
            assert!(
                validate(&bytes[..size], &limits()).is_err(),
                "{codec:?} {size}"
            );
            // Also when length and CRC tell the same lie.
            if size >= HEADER_SIZE {
                let length = size as i32 - 12;
                let cut = patched(bytes[..size].to_vec(), 8, length.to_be_bytes());
                assert!(
                    validate(&cut, &limits()).is_err(),
                    "{codec:?} resealed {size}"
                );
            }
        }
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
        prop_assert!(validate(&bytes, &limits()).is_err());
    }

    /// Whatever is let in can be read by a consumer: as many records as promised, at their
    /// offsets, none later than the batch says.
    #[test]
    fn what_survives_a_mutation_can_be_read(
        codec in 0u8..5,
        count in 1usize..40,
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        from_payload: bool,
    ) {
        let mut bytes = batch_of(Codec::from_id(codec).unwrap(), &vec![NOW; count]);
        let start = if from_payload { HEADER_SIZE } else { CRC_START };
        for (index, value) in changes {
            let position = start + index.index(bytes.len() - start);
            bytes[position] = value;
        }
        let size_max = 1 << 16;
        let limits = ProduceLimits { decompressed_size_max: size_max, ..limits() };
        let Ok(batch) = validate(&resealed(bytes), &limits) else { return Ok(()) };
        let view = BatchView::parse(batch.bytes()).unwrap();
        prop_assert_eq!(view.check_crc(), Ok(()));
        let records = Decompressor::new().records(&view, size_max).unwrap();
        prop_assert!(records.len() <= size_max);
        let mut latest = NO_TIMESTAMP;
        let mut next_offset = 0;
        for record in RecordIter::new(&view, &records) {
            let record = record.unwrap();
            prop_assert_eq!(record.offset, next_offset);
            next_offset += 1;
            latest = latest.max(record.timestamp);
        }
        prop_assert_eq!(next_offset, batch.offset_count());
        prop_assert_eq!(latest, batch.max_timestamp());
    }
}

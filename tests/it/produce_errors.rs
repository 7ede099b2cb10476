//! What Produce refuses, with the codes that were measured on Kafka; nothing of it is stored.

use bytes::Bytes;
use ringlog::batch::{BatchBuilder, BatchOptions, Codec, NO_TIMESTAMP, Producer};
use ringlog::protocol::ApiKey;
use ringlog::types::ErrorCode::{
    self, CorruptMessage, InvalidRecord, InvalidRequiredAcks, InvalidTimestamp, MessageTooLarge,
    TransactionalIdAuthorizationFailed, UnknownTopicId, UnknownTopicOrPartition,
    UnsupportedCompressionType,
};

use crate::broker::TestBroker;
use crate::records::{batch, changed, compressed, now, of_values, sequenced, timed};
use crate::topics::{
    ACKS_ALL, Topic, code, create, end_offset, produce_in, produce_request, topic_name, versions,
};

/// Bytes of a batch's header.
const MAGIC: usize = 16;
const ATTRIBUTES_LOW: usize = 22;
const LAST_OFFSET_DELTA: usize = 23;
const RECORD_COUNT: usize = 57;
const RECORDS: usize = 61;

/// From this version on zstd may be used.
const ZSTD_VERSION_MIN: i16 = 7;

fn put(position: usize, value: i32) -> impl FnOnce(&mut Vec<u8>) {
    move |batch| batch[position..position + 4].copy_from_slice(&value.to_be_bytes())
}

fn set(position: usize, value: u8) -> impl FnOnce(&mut Vec<u8>) {
    move |batch| batch[position] = value
}

/// A batch whose records are not what the codec says.
fn undecodable(codec: Codec) -> Bytes {
    let sound = compressed(&["a", "b", "c"], codec);
    changed(&sound, |batch| {
        batch[RECORDS..].iter_mut().for_each(|byte| *byte ^= 0x5a);
    })
}

/// Three records whose offset deltas are 0, 2, 1: of a record without a timestamp delta the delta
/// is the fourth byte.
fn swapped_offset_deltas() -> Bytes {
    let sound = batch(&["a", "b", "c"]);
    let size = (sound.len() - RECORDS) / 3;
    changed(&sound, |batch| {
        batch.swap(RECORDS + size + 3, RECORDS + 2 * size + 3);
    })
}

/// What is in the batch, and what the answer may be.
fn bad_batches() -> Vec<(&'static str, Bytes, Vec<ErrorCode>)> {
    let sound = batch(&["a", "b", "c"]);
    let only = |error: ErrorCode| vec![error];
    let corrupt = || vec![CorruptMessage, InvalidRecord];
    let transactional = BatchOptions {
        producer: Some(Producer {
            id: 1,
            epoch: 0,
            base_sequence: 0,
        }),
        is_transactional: true,
        ..BatchOptions::default()
    };
    let mut bad_crc = sound.to_vec();
    bad_crc[17] ^= 1;
    let mut flipped = sound.to_vec();
    *flipped.last_mut().unwrap() ^= 1;
    vec![
        (
            "magic 0",
            changed(&sound, set(MAGIC, 0)),
            only(InvalidRecord),
        ),
        (
            "magic 1",
            changed(&sound, set(MAGIC, 1)),
            only(InvalidRecord),
        ),
        (
            "magic 3",
            changed(&sound, set(MAGIC, 3)),
            only(CorruptMessage),
        ),
        (
            "count too large",
            changed(&sound, put(RECORD_COUNT, 4)),
            only(InvalidRecord),
        ),
        (
            "count too small",
            changed(&sound, put(RECORD_COUNT, 2)),
            only(InvalidRecord),
        ),
        (
            "count 0",
            changed(&sound, put(RECORD_COUNT, 0)),
            only(InvalidRecord),
        ),
        (
            "count -1",
            changed(&sound, put(RECORD_COUNT, -1)),
            only(InvalidRecord),
        ),
        (
            "count 2^31-1",
            changed(&sound, put(RECORD_COUNT, i32::MAX)),
            only(InvalidRecord),
        ),
        (
            "last delta 3",
            changed(&sound, put(LAST_OFFSET_DELTA, 3)),
            only(InvalidRecord),
        ),
        (
            "last delta 1",
            changed(&sound, put(LAST_OFFSET_DELTA, 1)),
            only(InvalidRecord),
        ),
        (
            "last delta -1",
            changed(&sound, put(LAST_OFFSET_DELTA, -1)),
            only(InvalidRecord),
        ),
        (
            "count and delta 2^31-1 and -2",
            changed(&sound, |batch| {
                put(RECORD_COUNT, i32::MAX)(batch);
                put(LAST_OFFSET_DELTA, i32::MAX - 1)(batch);
            }),
            only(InvalidRecord),
        ),
        (
            "two batches",
            [&sound[..], &sound[..]].concat().into(),
            only(InvalidRecord),
        ),
        ("no records", Bytes::new(), only(InvalidRecord)),
        (
            "half a batch",
            sound.slice(..sound.len() / 2 + 20),
            only(InvalidRecord),
        ),
        ("half a header", sound.slice(..20), only(InvalidRecord)),
        (
            "base offset 7",
            changed(&sound, set(7, 7)),
            only(InvalidRecord),
        ),
        (
            "control batch",
            changed(&sound, set(ATTRIBUTES_LOW, 0x20)),
            only(InvalidRecord),
        ),
        (
            "producer without sequence",
            sequenced((4242, 0), -1, &["a"]),
            only(InvalidRecord),
        ),
        ("bad CRC", bad_crc.into(), only(CorruptMessage)),
        ("a flipped bit", flipped.into(), only(CorruptMessage)),
        (
            "too large",
            batch(&["x".repeat(3000)]),
            only(MessageTooLarge),
        ),
        (
            "two hours ahead",
            timed(&[now() + 7_200_000], Codec::None),
            only(InvalidTimestamp),
        ),
        (
            "transactional",
            of_values(transactional, &["x"]),
            only(TransactionalIdAuthorizationFailed),
        ),
        ("broken gzip", undecodable(Codec::Gzip), corrupt()),
        ("broken snappy", undecodable(Codec::Snappy), corrupt()),
        ("broken lz4", undecodable(Codec::Lz4), corrupt()),
        (
            "codec 5",
            changed(&sound, set(ATTRIBUTES_LOW, 5)),
            corrupt(),
        ),
        (
            "swapped offset deltas",
            swapped_offset_deltas(),
            only(InvalidRecord),
        ),
    ]
}

#[test]
fn a_bad_batch_is_refused_in_every_version_and_not_stored() {
    let broker = TestBroker::start(&[]);
    let mut wire = broker.connect();
    let topic = create(&mut wire, "t", 1, &[("max.message.bytes", "2000")]);
    for version in versions(ApiKey::Produce) {
        let mut bad = bad_batches();
        if version >= ZSTD_VERSION_MIN {
            let corrupt = vec![CorruptMessage, InvalidRecord];
            bad.push(("broken zstd", undecodable(Codec::Zstd), corrupt));
        } else {
            let zstd = compressed(&["a"], Codec::Zstd);
            bad.push(("zstd too early", zstd, vec![UnsupportedCompressionType]));
        }
        for (what, records, expected) in bad {
            for acks in [1, ACKS_ALL] {
                let answer = produce_in(&mut wire, version, acks, &topic, 0, &records);
                let error = ErrorCode::from_code(answer.error_code);
                assert!(
                    expected.contains(&error),
                    "{what} in version {version}: {error}"
                );
                assert_eq!(answer.base_offset, -1, "{what} in version {version}");
                let message = answer.error_message.as_deref().unwrap_or_default();
                assert_eq!(message.is_empty(), version < 8, "{what}: {message:?}");
            }
        }
        assert_eq!(end_offset(&mut wire, &topic, 0), 0, "something was stored");
    }
    // The limits are no narrower than they say.
    crate::topics::produce(&mut wire, &topic, 0, &batch(&["x".repeat(1900)]));
}

#[test]
fn null_records_are_answered() {
    let broker = TestBroker::start(&[]);
    let mut wire = broker.connect();
    let topic = create(&mut wire, "t", 1, &[]);
    for version in versions(ApiKey::Produce) {
        let request = produce_request(version, ACKS_ALL, &topic, 0, None);
        let response = wire.call(version, &request);
        let answer = &response.responses[0].partition_responses[0];
        assert_eq!(answer.error_code, code(InvalidRecord), "version {version}");
    }
}

#[test]
fn a_compacted_topic_needs_keys() {
    let broker = TestBroker::start(&[]);
    let mut wire = broker.connect();
    let topic = create(&mut wire, "t", 1, &[("cleanup.policy", "compact")]);
    for (version, codec) in versions(ApiKey::Produce).zip(Codec::ALL.into_iter().cycle()) {
        let codec = match codec {
            Codec::Zstd if version < ZSTD_VERSION_MIN => Codec::None,
            codec => codec,
        };
        let without = compressed(&["a"], codec);
        let refused = produce_in(&mut wire, version, ACKS_ALL, &topic, 0, &without);
        assert_eq!(refused.error_code, code(InvalidRecord), "{codec:?}");
        let options = BatchOptions {
            compression: codec.into(),
            ..BatchOptions::default()
        };
        let mut with = BatchBuilder::new(options, 0);
        with.append(NO_TIMESTAMP, Some(b"k"), None, &[]);
        let accepted = produce_in(&mut wire, version, ACKS_ALL, &topic, 0, &with.close());
        assert_eq!(accepted.error_code, 0, "{codec:?}");
    }
}

#[test]
fn unknown_topics_partitions_and_acks_are_refused() {
    let broker = TestBroker::start(&[]);
    let mut wire = broker.connect();
    let topic = create(&mut wire, "t", 2, &[]);
    let records = batch(&["x"]);
    for version in versions(ApiKey::Produce) {
        let by_id = version >= 13;
        let missing = if by_id {
            UnknownTopicId
        } else {
            UnknownTopicOrPartition
        };
        let answer = produce_in(&mut wire, version, ACKS_ALL, &Topic::unknown(), 0, &records);
        assert_eq!(answer.error_code, code(missing), "version {version}");
        for partition in [2, -1, i32::MAX] {
            let answer = produce_in(&mut wire, version, ACKS_ALL, &topic, partition, &records);
            assert_eq!(answer.error_code, code(UnknownTopicOrPartition));
            assert_eq!(answer.index, partition);
        }
        for acks in [2, -2, i16::MAX, i16::MIN] {
            let answer = produce_in(&mut wire, version, acks, &topic, 0, &records);
            assert_eq!(answer.error_code, code(InvalidRequiredAcks), "acks={acks}");
        }
        if by_id {
            continue;
        }
        for name in ["a/b", "..", ""] {
            let mut request = produce_request(version, ACKS_ALL, &topic, 0, None);
            request.topic_data[0].name = topic_name(name);
            let response = wire.call(version, &request);
            let answer = &response.responses[0].partition_responses[0];
            assert_eq!(answer.error_code, code(UnknownTopicOrPartition), "{name:?}");
        }
    }
    for partition in 0..2 {
        assert_eq!(end_offset(&mut wire, &topic, partition), 0);
    }
}

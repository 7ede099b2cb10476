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

/// What a batch is like, and the batch.
type Bad = (&'static str, Bytes);

/// Answered with INVALID_RECORD for what the header says.
fn bad_headers() -> Vec<Bad> {
    let sound = batch(&["a", "b", "c"]);
    let byte = |position, value| changed(&sound, set(position, value));
    let number = |position, value| changed(&sound, put(position, value));
    let both_large = changed(&sound, |batch| {
        put(RECORD_COUNT, i32::MAX)(batch);
        put(LAST_OFFSET_DELTA, i32::MAX - 1)(batch);
    });
    vec![
        ("magic 0", byte(MAGIC, 0)),
        ("magic 1", byte(MAGIC, 1)),
        ("count too large", number(RECORD_COUNT, 4)),
        ("count too small", number(RECORD_COUNT, 2)),
        ("count 0", number(RECORD_COUNT, 0)),
        ("count -1", number(RECORD_COUNT, -1)),
        ("count 2^31-1", number(RECORD_COUNT, i32::MAX)),
        ("last delta 3", number(LAST_OFFSET_DELTA, 3)),
        ("last delta 1", number(LAST_OFFSET_DELTA, 1)),
        ("last delta -1", number(LAST_OFFSET_DELTA, -1)),
        ("count 2^31-1 and delta to match", both_large),
        ("base offset 7", byte(7, 7)),
        ("control batch", byte(ATTRIBUTES_LOW, 0x20)),
        ("id, no sequence", sequenced((4242, 0), -1, &["a"])),
    ]
}

/// Answered with INVALID_RECORD for what is there, or is not.
fn bad_contents() -> Vec<Bad> {
    let sound = batch(&["a", "b", "c"]);
    vec![
        ("two batches", [&sound[..], &sound[..]].concat().into()),
        ("no records", Bytes::new()),
        ("half a batch", sound.slice(..sound.len() / 2 + 20)),
        ("half a header", sound.slice(..20)),
        ("swapped offset deltas", swapped_offset_deltas()),
    ]
}

/// Answered with CORRUPT_MESSAGE.
fn corrupt_batches() -> Vec<Bad> {
    let sound = batch(&["a", "b", "c"]);
    let flipped = |position: usize| {
        let mut bytes = sound.to_vec();
        bytes[position] ^= 1;
        Bytes::from(bytes)
    };
    vec![
        ("magic 3", changed(&sound, set(MAGIC, 3))),
        ("bad CRC", flipped(17)),
        ("a flipped bit", flipped(sound.len() - 1)),
    ]
}

/// Answered with INVALID_RECORD or CORRUPT_MESSAGE; Kafka's -1 is not copied.
fn undecodable_batches(version: i16) -> Vec<Bad> {
    let mut bad = vec![
        ("broken gzip", undecodable(Codec::Gzip)),
        ("broken snappy", undecodable(Codec::Snappy)),
        ("broken lz4", undecodable(Codec::Lz4)),
        ("codec 5", changed(&batch(&["a"]), set(ATTRIBUTES_LOW, 5))),
    ];
    if version >= ZSTD_VERSION_MIN {
        bad.push(("broken zstd", undecodable(Codec::Zstd)));
    }
    bad
}

/// What a Produce of `version` refuses, and with what.
fn bad_batches(version: i16) -> Vec<(Bad, Vec<ErrorCode>)> {
    let transactional = BatchOptions {
        producer: Some(Producer {
            id: 1,
            epoch: 0,
            base_sequence: 0,
        }),
        is_transactional: true,
        ..BatchOptions::default()
    };
    let transactional = of_values(transactional, &["x"]);
    let large = batch(&["x".repeat(3000)]);
    let ahead = timed(&[now() + 7_200_000], Codec::None);
    let error = TransactionalIdAuthorizationFailed;
    let mut all = vec![
        (("too large", large), vec![MessageTooLarge]),
        (("two hours ahead", ahead), vec![InvalidTimestamp]),
        (("transactional", transactional), vec![error]),
    ];
    if version < ZSTD_VERSION_MIN {
        let zstd = ("zstd too early", compressed(&["a"], Codec::Zstd));
        all.push((zstd, vec![UnsupportedCompressionType]));
    }
    for (group, errors) in [
        (bad_headers(), vec![InvalidRecord]),
        (bad_contents(), vec![InvalidRecord]),
        (corrupt_batches(), vec![CorruptMessage]),
        (
            undecodable_batches(version),
            vec![InvalidRecord, CorruptMessage],
        ),
    ] {
        all.extend(group.into_iter().map(|bad| (bad, errors.clone())));
    }
    all
}

#[test]
fn a_bad_batch_is_refused_in_every_version_and_not_stored() {
    let broker = TestBroker::start(&[]);
    let mut wire = broker.connect();
    let topic = create(&mut wire, "t", 1, &[("max.message.bytes", "2000")]);
    for version in versions(ApiKey::Produce) {
        for ((what, records), expected) in bad_batches(version) {
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

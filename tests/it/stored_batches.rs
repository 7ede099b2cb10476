//! What a topic's settings do to a batch before it is stored: codec, size, timestamps, keys.

use bytes::Bytes;
use ringlog::batch::{BatchBuilder, BatchIter, BatchOptions, Codec, CrcCheck, NO_TIMESTAMP};
use ringlog::types::ErrorCode::{InvalidRecord, InvalidTimestamp, MessageTooLarge};

use crate::broker::TestBroker;
use crate::records::{compressed, fetched, now, of_values, sequenced, timed};
use crate::topics::{
    ACKS_ALL, FETCH_VERSION, FetchOptions, PRODUCE_VERSION, Topic, code, create, end_offset,
    fetch_in, produce, produce_in, values,
};
use crate::wire::Wire;

/// The first version of Produce that names records at fault.
const RECORD_ERRORS_VERSION: i16 = 8;

/// The whole partition in one fetch.
fn stored(wire: &mut Wire, topic: &Topic) -> Bytes {
    let data = fetch_in(wire, FETCH_VERSION, topic, (0, 0), FetchOptions::default());
    assert_eq!(data.error_code, 0);
    data.records.unwrap_or_default()
}

fn codecs(records: &Bytes) -> Vec<Codec> {
    let batches = BatchIter::new(records, CrcCheck::Verify);
    batches.map(|batch| batch.codec().unwrap()).collect()
}

/// Records that every codec makes smaller.
fn text(index: usize) -> Vec<String> {
    (0..20)
        .map(|record| format!("{index} {record} {}", "abc".repeat(30)))
        .collect()
}

#[test]
fn batches_are_stored_with_the_topics_codec() {
    let broker = TestBroker::start(&[]);
    let mut wire = broker.connect();
    for (name, codec) in [
        ("uncompressed", Codec::None),
        ("gzip", Codec::Gzip),
        ("snappy", Codec::Snappy),
        ("lz4", Codec::Lz4),
        ("zstd", Codec::Zstd),
    ] {
        let topic = create(&mut wire, name, 1, &[("compression.type", name)]);
        let mut sent = Vec::new();
        for (index, from) in Codec::ALL.into_iter().enumerate() {
            produce(&mut wire, &topic, 0, &compressed(&text(index), from));
            sent.extend(text(index));
        }
        assert_eq!(codecs(&stored(&mut wire, &topic)), [codec; 5], "{name}");
        assert_eq!(values(&mut wire, &topic, 0), sent, "{name}");
    }
    let topic = create(
        &mut wire,
        "producer",
        1,
        &[("compression.type", "producer")],
    );
    for from in Codec::ALL {
        produce(&mut wire, &topic, 0, &compressed(&text(0), from));
    }
    assert_eq!(codecs(&stored(&mut wire, &topic)), Codec::ALL);
}

#[test]
fn the_brokers_codec_is_for_topics_without_their_own() {
    let broker = TestBroker::start(&["compression.type=gzip"]);
    let mut wire = broker.connect();
    let own = create(&mut wire, "own", 1, &[("compression.type", "snappy")]);
    let other = create(&mut wire, "other", 1, &[]);
    for topic in [&own, &other] {
        produce(&mut wire, topic, 0, &compressed(&text(0), Codec::None));
    }
    assert_eq!(codecs(&stored(&mut wire, &own)), [Codec::Snappy]);
    assert_eq!(codecs(&stored(&mut wire, &other)), [Codec::Gzip]);
}

#[test]
fn a_level_makes_batches_smaller() {
    let broker = TestBroker::start(&[]);
    let mut wire = broker.connect();
    let mut random = 1u32;
    let mut word = || {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        format!("{:x}", random >> 20)
    };
    let records: Vec<String> = (0..5000).map(|_| word()).collect();
    let plain = compressed(&records, Codec::None);
    for (codec, key, low, high) in [
        ("gzip", "compression.gzip.level", "1", "9"),
        ("zstd", "compression.zstd.level", "-50", "19"),
    ] {
        let mut size = |level: &str| {
            let configs = [("compression.type", codec), (key, level)];
            let topic = create(&mut wire, &format!("{codec}{level}"), 1, &configs);
            produce(&mut wire, &topic, 0, &plain);
            assert_eq!(values(&mut wire, &topic, 0), records);
            stored(&mut wire, &topic).len()
        };
        let (fast, small) = (size(low), size(high));
        assert!(small < fast, "{codec}: {small} and {fast} bytes");
    }
}

#[test]
fn what_a_batch_is_besides_its_codec_stays() {
    let broker = TestBroker::start(&[]);
    let mut wire = broker.connect();
    let topic = create(&mut wire, "t", 1, &[("compression.type", "zstd")]);
    let time = now() - 1000;
    produce(
        &mut wire,
        &topic,
        0,
        &timed(&[time + 5, time, time + 9], Codec::Gzip),
    );
    let producer = crate::topics::new_producer(&mut wire);
    let first = sequenced(producer, 0, &["a", "b"]);
    assert_eq!(produce(&mut wire, &topic, 0, &first), 3);
    assert_eq!(
        produce(&mut wire, &topic, 0, &sequenced(producer, 2, &["c"])),
        5
    );
    // A repeated one is told from a new one.
    assert_eq!(produce(&mut wire, &topic, 0, &first), 3);
    let all = stored(&mut wire, &topic);
    let batches: Vec<_> = BatchIter::new(&all, CrcCheck::Verify).collect();
    assert_eq!(batches.len(), 3);
    assert_eq!(batches[0].header().max_timestamp, time + 9);
    let sequences = batches.iter().map(|batch| batch.header().base_sequence);
    assert!(sequences.eq([-1, 0, 2]));
    let records = fetched(&all);
    let times: Vec<_> = records
        .iter()
        .take(3)
        .map(|record| record.timestamp)
        .collect();
    assert_eq!(times, [time + 5, time, time + 9]);
    let found = crate::topics::list_offset_in(&mut wire, 10, &topic, 0, time + 6);
    assert_eq!((found.offset, found.timestamp), (2, time + 9));
}

#[test]
fn the_size_limit_is_of_what_comes_and_of_what_is_stored() {
    let broker = TestBroker::start(&[]);
    let mut wire = broker.connect();
    let small = "x".repeat(50_000);
    let tight = ("max.message.bytes", "10000");
    let plain = create(
        &mut wire,
        "plain",
        1,
        &[tight, ("compression.type", "uncompressed")],
    );
    let packed = create(
        &mut wire,
        "packed",
        1,
        &[tight, ("compression.type", "gzip")],
    );
    let too_large = |wire: &mut Wire, topic: &Topic, codec| {
        let records = compressed(&[&small], codec);
        let answer = produce_in(wire, PRODUCE_VERSION, ACKS_ALL, topic, 0, &records);
        assert_eq!(
            answer.base_offset,
            if answer.error_code == 0 { 0 } else { -1 }
        );
        answer.error_code == code(MessageTooLarge)
    };
    assert!(
        too_large(&mut wire, &plain, Codec::Gzip),
        "stored, it is larger than the limit"
    );
    assert!(
        too_large(&mut wire, &packed, Codec::None),
        "sent, it is larger than the limit"
    );
    assert!(!too_large(&mut wire, &packed, Codec::Zstd));
    assert_eq!(end_offset(&mut wire, &plain, 0), 0);
    assert_eq!(codecs(&stored(&mut wire, &packed)), [Codec::Gzip]);
}

/// Bytes that batches of this size unpack to.
const MUCH_SIZE: usize = 24 << 20;

/// More than a batch may unpack to.
const TOO_MUCH_SIZE: usize = 130 << 20;

#[test]
fn little_that_unpacks_to_much_is_stored_and_to_too_much_is_refused() {
    let broker = TestBroker::start(&["shards=1", "log.unflushed.bytes.max=16777216"]);
    let mut wire = broker.connect();
    let mut bystander = broker.connect();
    let much = ["a".repeat(MUCH_SIZE)];
    let too_much = ["b".repeat(TOO_MUCH_SIZE)];
    for (name, from, to) in [
        ("gzip", Codec::Gzip, Codec::Lz4),
        ("snappy", Codec::Snappy, Codec::Zstd),
        ("lz4", Codec::Lz4, Codec::Zstd),
        ("zstd", Codec::Zstd, Codec::Lz4),
    ] {
        let target = if to == Codec::Lz4 { "lz4" } else { "zstd" };
        let configs = [
            ("compression.type", target),
            ("max.message.bytes", "10000000"),
        ];
        let topic = create(&mut wire, name, 1, &configs);
        produce(&mut wire, &topic, 0, &compressed(&["before"], from));
        produce(&mut wire, &topic, 0, &compressed(&much, from));
        let bomb = compressed(&too_much, from);
        let refused = produce_in(&mut wire, PRODUCE_VERSION, ACKS_ALL, &topic, 0, &bomb);
        assert_eq!(refused.error_code, code(InvalidRecord), "{name}");
        produce(&mut bystander, &topic, 0, &compressed(&["after"], from));
        let batches = stored(&mut wire, &topic);
        assert_eq!(codecs(&batches), [to; 3], "{name}");
        let found: Vec<usize> = fetched(&batches).iter().map(|it| it.value.len()).collect();
        assert_eq!(found, [6, MUCH_SIZE, 5], "{name}");
    }
}

#[test]
fn every_version_reads_what_was_compressed_anew() {
    let broker = TestBroker::start(&[]);
    let mut wire = broker.connect();
    let topic = create(&mut wire, "t", 1, &[("compression.type", "zstd")]);
    produce(&mut wire, &topic, 0, &compressed(&["a"], Codec::None));
    // Kafka 4.1 does not look at the version either (KIP-110 did).
    for version in 4..=FETCH_VERSION {
        let data = fetch_in(&mut wire, version, &topic, (0, 0), FetchOptions::default());
        assert_eq!(data.error_code, 0, "version {version}");
        assert_eq!(codecs(&data.records.unwrap()), [Codec::Zstd]);
    }
}

#[test]
fn append_times_are_the_brokers_whatever_the_codec() {
    let broker = TestBroker::start(&[]);
    let mut wire = broker.connect();
    for compression in ["producer", "gzip"] {
        let configs = [
            ("message.timestamp.type", "LogAppendTime"),
            ("compression.type", compression),
            // For other topics.
            ("message.timestamp.before.max.ms", "10"),
        ];
        let topic = create(&mut wire, compression, 1, &configs);
        let before = now();
        let mut last = 0;
        for codec in Codec::ALL {
            let records = timed(&[5, 1_000_000, NO_TIMESTAMP], codec);
            let answer = produce_in(&mut wire, PRODUCE_VERSION, ACKS_ALL, &topic, 0, &records);
            assert_eq!(answer.error_code, 0);
            let time = answer.log_append_time_ms;
            assert!((before..=now()).contains(&time), "{time}");
            let data = fetch_in(
                &mut wire,
                FETCH_VERSION,
                &topic,
                (0, answer.base_offset),
                FetchOptions::default(),
            );
            let records = fetched(&data.records.unwrap());
            assert!(records.iter().all(|record| record.timestamp == time));
            assert_eq!(records.len(), 3);
            last = time;
        }
        let listed = crate::topics::list_offset_in(&mut wire, 10, &topic, 0, -3);
        assert_eq!(listed.timestamp, last);
    }
}

#[test]
fn create_times_keep_within_the_topics_limits() {
    let broker = TestBroker::start(&[]);
    let mut wire = broker.connect();
    let configs = [
        ("message.timestamp.before.max.ms", "600000"),
        ("message.timestamp.after.max.ms", "300000"),
    ];
    let topic = create(&mut wire, "t", 1, &configs);
    for codec in [Codec::None, Codec::Snappy] {
        for (ahead, is_taken) in [
            (-700_000, false),
            (-500_000, true),
            (200_000, true),
            (400_000, false),
        ] {
            let records = timed(&[now(), now() + ahead], codec);
            let answer = produce_in(&mut wire, PRODUCE_VERSION, ACKS_ALL, &topic, 0, &records);
            let expected = if is_taken { 0 } else { code(InvalidTimestamp) };
            assert_eq!(answer.error_code, expected, "{ahead} ms");
            // The record at fault is named.
            let named = answer.record_errors.iter().map(|error| error.batch_index);
            assert!(named.eq((!is_taken).then_some(1)));
        }
    }
}

#[test]
fn every_record_at_fault_is_named() {
    let broker = TestBroker::start(&[]);
    let mut wire = broker.connect();
    for compression in ["producer", "zstd"] {
        let configs = [
            ("cleanup.policy", "compact"),
            ("compression.type", compression),
        ];
        let topic = create(&mut wire, compression, 1, &configs);
        for codec in [Codec::None, Codec::Lz4] {
            let options = BatchOptions {
                compression: codec.into(),
                ..BatchOptions::default()
            };
            let mut builder = BatchBuilder::new(options, 0);
            for key in [Some(b"k"), None, Some(b"k"), None] {
                let key = key.map(|key| &key[..]);
                builder.append(NO_TIMESTAMP, key, Some(b"v"), &[]);
            }
            let records = builder.close();
            for version in [7, RECORD_ERRORS_VERSION, PRODUCE_VERSION] {
                let answer = produce_in(&mut wire, version, ACKS_ALL, &topic, 0, &records);
                assert_eq!(answer.error_code, code(InvalidRecord));
                let named: Vec<_> = answer
                    .record_errors
                    .iter()
                    .map(|error| (error.batch_index, error.batch_index_error_message.is_some()))
                    .collect();
                match version {
                    RECORD_ERRORS_VERSION.. => assert_eq!(named, [(1, true), (3, true)]),
                    _ => assert!(named.is_empty()),
                }
            }
        }
        // What is wrong with a batch as a whole names no record.
        let two = of_values(BatchOptions::default(), &["a"]);
        let two = Bytes::from([&two[..], &two[..]].concat());
        let answer = produce_in(&mut wire, PRODUCE_VERSION, ACKS_ALL, &topic, 0, &two);
        assert_eq!(answer.error_code, code(InvalidRecord));
        assert!(answer.record_errors.is_empty());
        assert_eq!(end_offset(&mut wire, &topic, 0), 0);
    }
}

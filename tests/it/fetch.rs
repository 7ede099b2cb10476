//! Fetch, where it is answered at once: versions, offsets, limits, errors.

use ringlog::batch::Codec;
use ringlog::protocol::ApiKey;
use ringlog::types::ErrorCode;

use crate::broker::TestBroker;
use crate::records::{batch, compressed};
use crate::topics::{
    FETCH_VERSION, FetchOptions, Topic, code, create, fetch_in, fetch_request, partitions_of,
    produce, read_from, records_of, versions,
};
use crate::wire::Wire;

fn values_of(wire: &mut Wire, topic: &Topic, offset: i64, options: FetchOptions) -> Vec<String> {
    let data = fetch_in(wire, FETCH_VERSION, topic, (0, offset), options);
    assert_eq!(data.error_code, 0);
    let records = records_of(&data);
    records.into_iter().map(|record| record.value).collect()
}

#[test]
fn every_version_reads_from_every_offset_and_keeps_batches_whole() {
    let broker = TestBroker::start(&[]);
    let mut wire = broker.connect();
    let topic = create(&mut wire, "t", 1, &[]);
    // Batches at 0, 3, 6, 9, 12.
    for codec in Codec::ALL {
        let name = format!("{codec:?}");
        let records = compressed(&[&name, &name, &name], codec);
        produce(&mut wire, &topic, 0, &records);
    }
    for version in versions(ApiKey::Fetch) {
        for offset in 0..15 {
            let options = FetchOptions::default();
            let data = fetch_in(&mut wire, version, &topic, (0, offset), options);
            assert_eq!((data.partition_index, data.error_code), (0, 0));
            assert_eq!((data.high_watermark, data.last_stable_offset), (15, 15));
            assert!(version < 5 || data.log_start_offset == 0);
            // An offset in the middle of a batch gets that batch, from its start.
            let offsets = records_of(&data).into_iter().map(|record| record.offset);
            assert!(offsets.eq(offset / 3 * 3..15), "v{version} from {offset}");
        }
        let end = fetch_in(&mut wire, version, &topic, (0, 15), FetchOptions::default());
        assert_eq!((end.error_code, end.high_watermark), (0, 15));
        assert!(records_of(&end).is_empty());
    }
}

#[test]
fn offsets_outside_the_log_are_out_of_range() {
    let broker = TestBroker::start(&[]);
    let mut wire = broker.connect();
    let topic = create(&mut wire, "t", 1, &[]);
    produce(&mut wire, &topic, 0, &batch(&["a", "b"]));
    for version in versions(ApiKey::Fetch) {
        for offset in [3, i64::MAX, -1, i64::MIN] {
            // Answered at once, however long the client would wait.
            let options = FetchOptions {
                max_wait_ms: crate::topics::LONG_WAIT_MS,
                min_bytes: 1000,
                ..FetchOptions::default()
            };
            let data = fetch_in(&mut wire, version, &topic, (0, offset), options);
            assert_eq!(
                data.error_code,
                code(ErrorCode::OffsetOutOfRange),
                "{offset}"
            );
            assert!(records_of(&data).is_empty());
        }
    }
}

#[test]
fn unknown_topics_and_partitions_are_said_to_be_unknown() {
    let broker = TestBroker::start(&[]);
    let mut wire = broker.connect();
    let topic = create(&mut wire, "t", 2, &[]);
    produce(&mut wire, &topic, 1, &batch(&["a"]));
    for version in versions(ApiKey::Fetch) {
        let unknown = Topic::unknown();
        let options = FetchOptions::default();
        let data = fetch_in(&mut wire, version, &unknown, (0, 0), options);
        let missing = match version {
            ..13 => ErrorCode::UnknownTopicOrPartition,
            _ => ErrorCode::UnknownTopicId,
        };
        assert_eq!(data.error_code, code(missing), "version {version}");
        // A good partition beside bad ones is read all the same.
        let partitions = [(5, 0), (1, 0), (-1, 0)];
        let request = fetch_request(version, &topic, &partitions, options);
        let answers = partitions_of(wire.call(version, &request));
        let errors = answers.iter().map(|a| (a.partition_index, a.error_code));
        assert_eq!(errors.collect::<Vec<_>>(), [(5, 3), (1, 0), (-1, 3)]);
        assert_eq!(records_of(&answers[1])[0].value, "a");
    }
}

#[test]
fn leaders_of_other_epochs_are_told_apart() {
    let mut broker = TestBroker::start(&[]);
    let topic = create(&mut broker.connect(), "t", 1, &[]);
    // A restart is a new epoch, so that there is an old one.
    broker.restart(&[]);
    let mut wire = broker.connect();
    produce(&mut wire, &topic, 0, &batch(&["a"]));
    let listed = crate::topics::list_offset_in(&mut wire, 4, &topic, 0, -1);
    let epoch = listed.leader_epoch;
    assert!(epoch > 0, "the epoch is {epoch}");
    let cases = [
        (epoch, ErrorCode::None),
        (-1, ErrorCode::None),
        (epoch - 1, ErrorCode::FencedLeaderEpoch),
        (epoch + 1, ErrorCode::UnknownLeaderEpoch),
    ];
    for version in 9..=FETCH_VERSION {
        for (current_leader_epoch, expected) in cases {
            let options = FetchOptions {
                current_leader_epoch,
                ..FetchOptions::default()
            };
            let data = fetch_in(&mut wire, version, &topic, (0, 0), options);
            assert_eq!(
                data.error_code,
                code(expected),
                "epoch {current_leader_epoch}"
            );
            assert_eq!(records_of(&data).is_empty(), expected.is_error());
        }
    }
}

#[test]
fn a_first_batch_larger_than_every_limit_is_returned_whole() {
    let broker = TestBroker::start(&[]);
    let mut wire = broker.connect();
    let topic = create(&mut wire, "t", 1, &[]);
    for size in [100_000, 200, 100_000] {
        produce(&mut wire, &topic, 0, &batch(&["x".repeat(size)]));
    }
    let tight = [(1, 1 << 20), (1 << 20, 1), (1, 1), (0, 0)];
    for (max_bytes, partition_max_bytes) in tight {
        let options = FetchOptions {
            max_bytes,
            partition_max_bytes,
            ..FetchOptions::default()
        };
        for (offset, size) in [(0, 100_000), (1, 200), (2, 100_000)] {
            let values = values_of(&mut wire, &topic, offset, options);
            let sizes: Vec<_> = values.iter().map(String::len).collect();
            assert_eq!(
                sizes,
                [size],
                "limits {max_bytes} and {partition_max_bytes}"
            );
        }
    }
    // What fits is returned, and not a part of the next.
    let options = FetchOptions {
        partition_max_bytes: 100_600,
        ..FetchOptions::default()
    };
    assert_eq!(values_of(&mut wire, &topic, 0, options).len(), 2);
}

#[test]
fn several_partitions_share_the_limit_of_the_answer() {
    let broker = TestBroker::start(&[]);
    let mut wire = broker.connect();
    let topic = create(&mut wire, "t", 8, &[]);
    for partition in 0..8 {
        for index in 0..4 {
            let value = format!("{partition} {index} {}", "x".repeat(10_000));
            produce(&mut wire, &topic, partition, &batch(&[value]));
        }
    }
    let max_bytes = 100_000;
    let options = FetchOptions {
        max_bytes,
        ..FetchOptions::default()
    };
    // Partitions that get nothing first come first next time, as a consumer does it.
    let mut offsets: Vec<(i32, i64)> = (0..8).map(|partition| (partition, 0)).collect();
    let mut fetches = 0;
    while offsets.iter().any(|&(_, offset)| offset < 4) {
        let request = fetch_request(FETCH_VERSION, &topic, &offsets, options);
        let answers = partitions_of(wire.call(FETCH_VERSION, &request));
        let size = |data: &kafka_protocol::messages::fetch_response::PartitionData| {
            data.records.as_ref().map_or(0, bytes::Bytes::len)
        };
        let total: usize = answers.iter().map(size).sum();
        // A first batch of each shard may go beyond.
        assert!(total <= max_bytes as usize + 2 * 11_000, "{total} bytes");
        assert!(total > 0, "nothing, though there is more");
        for ((partition, offset), data) in offsets.iter_mut().zip(&answers) {
            assert_eq!((data.partition_index, data.error_code), (*partition, 0));
            for record in records_of(data) {
                let start = format!("{partition} {offset} ");
                assert!(record.value.starts_with(&start), "not {start}");
                *offset += 1;
            }
        }
        offsets.sort_by_key(|&(_, offset)| offset);
        fetches += 1;
        assert!(fetches < 40, "no progress: {offsets:?}");
    }
    assert!(
        fetches > 2,
        "320 KB in {fetches} fetches of {max_bytes} bytes"
    );
}

#[test]
fn what_left_the_cache_is_read_from_disk() {
    let broker = TestBroker::start(&["shard.tail.cache.bytes=65536"]);
    let mut wire = broker.connect();
    let topic = create(&mut wire, "t", 1, &[("segment.bytes", "1048576")]);
    // Several segments.
    let count = 60;
    for index in 0..count {
        let value = format!("{index} {}", "x".repeat(50_000));
        produce(&mut wire, &topic, 0, &batch(&[value]));
    }
    let all = read_from(&mut wire, &topic, 0, 0);
    assert_eq!(all.len(), count);
    for (index, record) in all.iter().enumerate() {
        assert_eq!(record.offset, index as i64);
        assert!(record.value.starts_with(&format!("{index} x")), "{index}");
    }
}

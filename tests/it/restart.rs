//! Restarts: everything is still there, with whatever number of shards.

use std::path::Path;

use crate::broker::{TestBroker, directory};
use crate::formats::{FORMAT_1, SETTINGS, copy_of};
use crate::process::{BrokerProcess, start_in_vain};
use crate::records::batch;
use crate::topics::{FetchOptions, Topic, code, create, end_offset, fetch_in, produce, values};
use crate::wire::Wire;
use ringlog::types::ErrorCode;

fn fill(wire: &mut Wire, topic: &Topic, round: usize) {
    for partition in 0..7 {
        produce(
            wire,
            topic,
            partition,
            &batch(&[format!("{partition} {round}")]),
        );
    }
}

fn check(wire: &mut Wire, topic: &Topic, rounds: usize) {
    for partition in 0..7 {
        let expected: Vec<_> = (0..rounds)
            .map(|round| format!("{partition} {round}"))
            .collect();
        assert_eq!(values(wire, topic, partition), expected);
    }
}

#[test]
fn the_number_of_shards_may_change() {
    let mut broker = TestBroker::start(&["shards=1"]);
    let topics = ["a", "b"].map(|name| create(&mut broker.connect(), name, 7, &[]));
    for (round, shards) in ["shards=3", "shards=2", "shards=1"].into_iter().enumerate() {
        for topic in &topics {
            fill(&mut broker.connect(), topic, round);
        }
        broker.restart(&[shards]);
        for topic in &topics {
            check(&mut broker.connect(), topic, round + 1);
        }
    }
}

#[test]
fn the_number_of_shards_may_change_after_kill_9() {
    let directory = directory();
    let mut broker = BrokerProcess::start(directory.path(), &["shards=1"]);
    let topic = create(&mut broker.connect(), "t", 7, &[]);
    for (round, shards) in ["shards=3", "shards=2"].into_iter().enumerate() {
        fill(&mut broker.connect(), &topic, round);
        broker.kill();
        broker = BrokerProcess::start(directory.path(), &[shards]);
        check(&mut broker.connect(), &topic, round + 1);
    }
}

#[test]
fn acknowledged_in_class_k_survives_kill_9_too() {
    let directory = directory();
    let mut broker = BrokerProcess::start(directory.path(), &["log.flush.before.ack=false"]);
    let topic = create(&mut broker.connect(), "t", 7, &[]);
    for round in 0..5 {
        fill(&mut broker.connect(), &topic, round);
    }
    broker.kill();
    let broker = BrokerProcess::start(directory.path(), &[]);
    check(&mut broker.connect(), &topic, 5);
}

/// The files of a partition, by their names' endings.
fn files(directory: &Path, partition: &str, ending: &str) -> usize {
    let entries = std::fs::read_dir(directory.join(partition)).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name());
    let of_ending = names.filter(|name| name.to_string_lossy().ends_with(ending));
    of_ending.count()
}

#[test]
fn many_segments_come_back_and_go_on() {
    let mut broker = TestBroker::start(&[]);
    let topic = create(
        &mut broker.connect(),
        "t",
        1,
        &[("segment.bytes", "1048576")],
    );
    let value = |index: i64| format!("{index} {}", "x".repeat(100_000));
    for round in 0..3 {
        let mut wire = broker.connect();
        for index in round * 20..(round + 1) * 20 {
            let offset = produce(&mut wire, &topic, 0, &batch(&[value(index)]));
            assert_eq!(offset, index);
        }
        drop(wire);
        broker.restart(&[]);
        let stored = values(&mut broker.connect(), &topic, 0);
        let expected: Vec<_> = (0..(round + 1) * 20).map(value).collect();
        assert!(stored == expected, "round {round}: {} values", stored.len());
    }
    assert!(files(broker.directory(), "t-0", ".log") > 3);
    let indexes = files(broker.directory(), "t-0", ".index");
    assert!(indexes >= files(broker.directory(), "t-0", ".log"));
}

#[test]
fn an_unused_topic_is_there_after_kill_9() {
    let directory = directory();
    let mut broker = BrokerProcess::start(directory.path(), &[]);
    let topic = create(&mut broker.connect(), "t", 3, &[]);
    broker.kill();
    let broker = BrokerProcess::start(directory.path(), &[]);
    let mut wire = broker.connect();
    for partition in 0..3 {
        assert_eq!(end_offset(&mut wire, &topic, partition), 0);
        produce(&mut wire, &topic, partition, &batch(&["x"]));
    }
}

/// A crash between the record that deletes a topic and the renaming of its directory leaves one.
#[test]
fn a_directory_that_the_metadata_does_not_know_is_put_aside() {
    let mut broker = TestBroker::start(&[]);
    let topic = create(&mut broker.connect(), "kept", 1, &[]);
    produce(&mut broker.connect(), &topic, 0, &batch(&["a"]));
    broker.stop();
    let stray = broker.directory().join("again-0");
    std::fs::create_dir(&stray).unwrap();
    let metadata = "version: 0\ntopic_id: AAAAAAAAAAEAAAAAAAAAAg";
    std::fs::write(stray.join("partition.metadata"), metadata).unwrap();
    std::fs::create_dir(broker.directory().join("gone-0.0123-delete")).unwrap();
    broker.start_again(&[]);
    let again = create(&mut broker.connect(), "again", 1, &[]);
    produce(&mut broker.connect(), &again, 0, &batch(&["b"]));
    assert_eq!(values(&mut broker.connect(), &again, 0), ["b"]);
    assert_eq!(values(&mut broker.connect(), &topic, 0), ["a"]);
    let names: Vec<String> = std::fs::read_dir(broker.directory())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert!(
        names
            .iter()
            .any(|name| name.starts_with("again-0.") && name.ends_with("-stray"))
    );
    assert!(
        !names.iter().any(|name| name.ends_with("-delete")),
        "{names:?}"
    );
}

/// Nothing is cut below the recovery point, and the other partitions are served.
#[test]
fn damage_takes_one_partition_offline() {
    let mut broker = TestBroker::start(&[]);
    let topic = create(&mut broker.connect(), "t", 2, &[]);
    for partition in 0..2 {
        produce(
            &mut broker.connect(),
            &topic,
            partition,
            &batch(&["a", "b"]),
        );
    }
    broker.stop();
    let segment = broker.directory().join("t-0/00000000000000000000.log");
    let whole = std::fs::read(&segment).unwrap();
    std::fs::write(&segment, &whole[..whole.len() - 10]).unwrap();
    broker.start_again(&[]);
    let mut wire = broker.connect();
    assert_eq!(values(&mut wire, &topic, 1), ["a", "b"]);
    let refused = fetch_in(&mut wire, 13, &topic, (0, 0), FetchOptions::default());
    assert_eq!(refused.error_code, code(ErrorCode::KafkaStorageError));
    assert_eq!(std::fs::read(&segment).unwrap().len(), whole.len() - 10);
}

/// A broker that began in the middle of its metadata would not know its topics, and serve.
#[test]
fn metadata_that_begins_in_the_middle_is_refused() {
    let directory = copy_of(Path::new(FORMAT_1));
    let metadata = directory.path().join("__cluster_metadata-0");
    std::fs::remove_file(metadata.join("ringlog-checkpoint")).unwrap();
    let first = metadata.join("00000000000000000000.log");
    std::fs::rename(first, metadata.join("00000000000000000020.log")).unwrap();
    let failed = start_in_vain(directory.path(), &SETTINGS, || Ok(()));
    failed.check(&["metadata", "before offset 20", "restore"]);
}

//! Log directories of other releases: what an earlier one wrote opens for ever, what a newer one
//! wrote is refused, and so is what Kafka wrote, with nothing changed.
//!
//! `tests/data/format-1` was written by [`fill`]. A release that raises the format adds a directory
//! of its own; what stands there already is never made anew.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use kafka_protocol::messages::MetadataRequest;
use nix::sys::signal::Signal;
use ringlog::batch::{BatchBuilder, BatchOptions, Codec, Producer};
use tempfile::TempDir;

use crate::broker::directory;
use crate::log_files::log;
use crate::process::{BrokerProcess, start_in_vain};
use crate::topics::{Topic, create, end_offset, new_producer, produce, values, works};
use crate::wire::Wire;

pub(crate) const FORMAT_1: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/format-1");

/// Written by the maker into the directory beside the log directory.
const SAMPLE_VARIABLE: &str = "RINGLOG_SAMPLE";

/// 2100-01-01, in ms: later than any clock that this is read by, so that neither retention nor the
/// expiry of producers ever takes anything away.
pub(crate) const TIME: i64 = 4_102_444_800_000;

/// Producers of every partition; ids that no InitProducerId has given.
pub(crate) const PRODUCER_IDS: [i64; 2] = [1_000_001, 1_000_002];

/// Batches of each producer in each of the two lives of the broker.
const ROUNDS: i64 = 8;
pub(crate) const BATCH_RECORDS: i64 = 3;

/// Topics, their partitions, their settings.
type TopicSpec = (&'static str, i32, &'static [(&'static str, &'static str)]);
const TOPICS: [TopicSpec; 2] = [
    (
        "power-safe",
        1,
        &[
            ("flush.before.ack", "true"),
            ("segment.ms", "4000"),
            ("index.interval.bytes", "300"),
            ("retention.ms", "-1"),
            ("message.timestamp.after.max.ms", "9223372036854775807"),
        ],
    ),
    (
        "kill-safe",
        2,
        &[
            ("flush.before.ack", "false"),
            ("index.interval.bytes", "300"),
            ("retention.ms", "-1"),
            ("message.timestamp.after.max.ms", "9223372036854775807"),
        ],
    ),
];

/// One shard: the sample is the same on any machine.
pub(crate) const SETTINGS: [&str; 1] = ["shards=1"];

/// The batch that a producer writes in a round, 0 to 15 over both lives.
pub(crate) fn batch(
    topic: &str,
    partition: i32,
    producer: usize,
    round: i64,
) -> (Vec<String>, bytes::Bytes) {
    let codec = Codec::ALL[round as usize % Codec::ALL.len()];
    let options = BatchOptions {
        compression: codec.into(),
        producer: Some(Producer {
            id: PRODUCER_IDS[producer],
            epoch: 2,
            base_sequence: i32::try_from(round * BATCH_RECORDS).unwrap(),
        }),
        ..BatchOptions::default()
    };
    let mut builder = BatchBuilder::new(options, 0);
    let mut values = Vec::new();
    for index in 0..BATCH_RECORDS {
        let value = format!("{topic} {partition} of {producer}: {round}.{index} ").repeat(4);
        builder.append(
            TIME + round * 1000 + index,
            None,
            Some(value.as_bytes()),
            &[],
        );
        values.push(value);
    }
    (values, builder.close())
}

/// Every partition of the sample.
fn partitions() -> impl Iterator<Item = (&'static str, i32)> {
    let of_topic = |(name, count, _): TopicSpec| (0..count).map(move |index| (name, index));
    TOPICS.into_iter().flat_map(of_topic)
}

fn produce_rounds(wire: &mut Wire, topics: &BTreeMap<&str, Topic>, rounds: std::ops::Range<i64>) {
    for round in rounds {
        for (name, partition) in partitions() {
            for producer in 0..PRODUCER_IDS.len() {
                let (_, bytes) = batch(name, partition, producer, round);
                produce(wire, &topics[name], partition, &bytes);
            }
        }
    }
}

/// Two lives of a broker: one that was stopped, one that was killed.
fn fill(directory: &Path) {
    let mut broker = BrokerProcess::start(directory, &SETTINGS);
    let mut wire = broker.connect();
    let topics: BTreeMap<&str, Topic> = TOPICS
        .iter()
        .map(|&(name, count, settings)| (name, create(&mut wire, name, count, settings)))
        .collect();
    assert_eq!(new_producer(&mut wire), (0, 0));
    works(&mut wire, "works-1");
    produce_rounds(&mut wire, &topics, 0..ROUNDS);
    broker.signal(Signal::SIGTERM);
    broker.wait();
    let mut broker = BrokerProcess::start(directory, &SETTINGS);
    produce_rounds(&mut broker.connect(), &topics, ROUNDS..2 * ROUNDS);
    broker.kill();
}

pub(crate) fn topic(wire: &mut Wire, name: &'static str, partition_count: i32) -> Topic {
    let response = wire.call(12, &MetadataRequest::default().with_topics(None));
    let found = response.topics.into_iter().find(|topic| {
        let is_named = |found: &kafka_protocol::messages::TopicName| **found == *name;
        topic.name.as_ref().is_some_and(is_named)
    });
    let found = found.unwrap_or_else(|| panic!("{name} is gone"));
    assert_eq!(found.partitions.len(), partition_count as usize, "{name}");
    Topic {
        name: name.to_owned(),
        id: found.topic_id,
    }
}

/// Topics, records, offsets and producers are those that [`fill`] left.
fn check(directory: &Path) {
    let broker = BrokerProcess::start(directory, &SETTINGS);
    let mut wire = broker.connect();
    for (name, count, _) in TOPICS {
        let topic = topic(&mut wire, name, count);
        for partition in 0..count {
            check_partition(&mut wire, &topic, partition);
        }
    }
    let old = topic(&mut wire, "works-1", 1);
    assert_eq!(values(&mut wire, &old, 0), ["it works"]);
    let (id, _) = new_producer(&mut wire);
    assert!(id > 0, "producer id {id} was given before");
    works(&mut wire, "works-2");
}

fn check_partition(wire: &mut Wire, topic: &Topic, partition: i32) {
    let mut expected = Vec::new();
    let mut base_offsets = BTreeMap::new();
    for round in 0..2 * ROUNDS {
        for producer in 0..PRODUCER_IDS.len() {
            let (values, _) = batch(&topic.name, partition, producer, round);
            base_offsets.insert((producer, round), expected.len() as i64);
            expected.extend(values);
        }
    }
    assert_eq!(values(wire, topic, partition), expected);
    // A retry of each batch that is kept of a producer gets the original's offset.
    for producer in 0..PRODUCER_IDS.len() {
        for round in 2 * ROUNDS - 5..2 * ROUNDS {
            let (_, bytes) = batch(&topic.name, partition, producer, round);
            let offset = produce(wire, topic, partition, &bytes);
            assert_eq!(offset, base_offsets[&(producer, round)], "round {round}");
        }
        let next = batch(&topic.name, partition, producer, 2 * ROUNDS).1;
        let end = end_offset(wire, topic, partition);
        assert_eq!(produce(wire, topic, partition, &next), end);
    }
}

/// A copy of a sample, to be opened.
pub(crate) fn copy_of(sample: &Path) -> TempDir {
    let directory = directory();
    copy(sample, directory.path());
    directory
}

pub(crate) fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let (path, name) = entry
            .map(|entry| (entry.path(), entry.file_name()))
            .unwrap();
        if path.is_dir() {
            copy(&path, &to.join(name));
        } else {
            std::fs::copy(&path, to.join(name)).unwrap();
        }
    }
}

/// Every file below a directory and what is in it; the lock file is made by looking.
pub(crate) fn contents(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(contents(&path));
        } else if path.file_name().unwrap() != ".lock" {
            let bytes = std::fs::read(&path).unwrap();
            found.insert(path, bytes);
        }
    }
    found
}

#[test]
fn format_1_opens() {
    let ran = log("verify", &["--deep"], Path::new(FORMAT_1));
    assert_eq!(ran.code, Some(0), "{}", ran.stdout);
    check(copy_of(Path::new(FORMAT_1)).path());
}

/// The sample as this release makes it; with `RINGLOG_SAMPLE` a copy is left there.
#[test]
fn the_sample_of_this_release_opens() {
    let directory = directory();
    fill(directory.path());
    if let Some(to) = std::env::var_os(SAMPLE_VARIABLE) {
        copy(directory.path(), Path::new(&to));
    }
    check(directory.path());
}

#[test]
fn what_a_newer_release_wrote_is_refused() {
    let directory = copy_of(Path::new(FORMAT_1));
    let properties = directory.path().join("meta.properties");
    let text = std::fs::read_to_string(&properties).unwrap();
    assert!(text.contains("ringlog.format=1\n"), "{text}");
    std::fs::write(
        &properties,
        text.replace("ringlog.format=1", "ringlog.format=2"),
    )
    .unwrap();
    let before = contents(directory.path());
    let failed = start_in_vain(directory.path(), &SETTINGS, || Ok(()));
    let path = directory.path().to_str().unwrap();
    failed.check(&[path, "format 2", "newer release", "log.dirs"]);
    assert!(
        contents(directory.path()) == before,
        "something was changed"
    );
    let ran = log("verify", &[], directory.path());
    assert_eq!(ran.code, Some(1));
    assert!(
        ran.stdout.contains("format 2 is a newer release's"),
        "{}",
        ran.stdout
    );
}

#[test]
fn a_checkpoint_of_a_newer_release_keeps_its_partition_offline() {
    let directory = copy_of(Path::new(FORMAT_1));
    let partition = directory.path().join("power-safe-0");
    let checkpoint = partition.join("ringlog-checkpoint");
    let mut bytes = std::fs::read(&checkpoint).unwrap();
    let second = bytes.len() / 2;
    for slot in [0, second] {
        bytes[slot + 9] = 3;
    }
    std::fs::write(&checkpoint, bytes).unwrap();
    let before = contents(&partition);
    let broker = BrokerProcess::start(directory.path(), &SETTINGS);
    let mut wire = broker.connect();
    let other = topic(&mut wire, "kill-safe", 2);
    assert_eq!(
        values(&mut wire, &other, 1).len(),
        16 * 2 * BATCH_RECORDS as usize
    );
    assert!(contents(&partition) == before, "something was changed");
}

#[test]
fn what_kafka_wrote_is_refused() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/segments");
    let directory = copy_of(&golden);
    let before = contents(directory.path());
    let failed = start_in_vain(directory.path(), &SETTINGS, || Ok(()));
    let path = directory.path().to_str().unwrap();
    failed.check(&[path, "Apache Kafka", "nothing was changed", "log.dirs"]);
    assert!(
        contents(directory.path()) == before,
        "something was changed"
    );
}

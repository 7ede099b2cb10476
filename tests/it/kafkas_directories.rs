//! Log directories that Kafka wrote: one of a single node that was stopped cleanly is taken over,
//! with all that is in it; what cannot be carried over is refused with nothing changed.
//!
//! `tests/data/kafka-4.1.1` was written by a real Kafka as [`fill`] asked it to.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;

use bytes::Bytes;
use kafka_protocol::messages::DeleteTopicsRequest;
use kafka_protocol::messages::create_topics_request::CreateTopicsRequest;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use nix::sys::signal::Signal;
use ringlog::batch::{BatchBuilder, BatchIter, BatchOptions, CrcCheck};
use ringlog::types::TopicId;

use crate::eventually;
use crate::formats::{PRODUCER_IDS, SETTINGS, TIME, batch, contents, copy_of, topic};
use crate::log_files::log;
use crate::process::{BrokerProcess, start_in_vain};
use crate::topics::{
    Topic, end_offset, init_producer_id, list_offset_in, new_producer, new_topic, produce,
    produce_in, read_from, topic_name, values, works,
};
use crate::wire::Wire;

const SAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/kafka-4.1.1");

/// Where the Kafka listens that the maker asks to write a sample.
const KAFKA_VARIABLE: &str = "RINGLOG_SAMPLE_KAFKA";

const ANY_TIME: (&str, &str) = ("message.timestamp.after.max.ms", "9223372036854775807");

/// Batches of each producer.
const ROUNDS: i64 = 8;

/// A topic with two partitions and every codec.
const PLAIN: &str = "plain";
const PLAIN_SETTINGS: [(&str, &str); 4] = [
    ANY_TIME,
    ("retention.ms", "-1"),
    ("max.message.bytes", "5000"),
    ("index.interval.bytes", "300"),
];

/// A topic in which older records of a key are missing, in several segments.
const COMPACTED: &str = "compacted";
const COMPACTED_SETTINGS: [(&str, &str); 7] = [
    ANY_TIME,
    ("cleanup.policy", "compact"),
    ("segment.ms", "600"),
    // Compaction joins segments as far as their indexes fit.
    ("segment.index.bytes", "64"),
    ("file.delete.delay.ms", "100"),
    ("min.cleanable.dirty.ratio", "0.01"),
    ("index.interval.bytes", "200"),
];
const COMPACTED_RECORDS: i64 = 60;
const KEYS: i64 = 7;

/// A topic whose first records were deleted.
const CUT: &str = "cut";
const CUT_AT: i64 = 6;

/// Kafka's ids are handed out in blocks; the sample has begun one.
const PRODUCER_IDS_GIVEN: i64 = 1000;

fn keyed(index: i64) -> Bytes {
    let mut builder = BatchBuilder::new(BatchOptions::default(), 0);
    let key = format!("key {}", index % KEYS);
    let value = format!("value {index}");
    let time = TIME + index * 60;
    builder.append(time, Some(key.as_bytes()), Some(value.as_bytes()), &[]);
    builder.close()
}

/// Creates a topic on a Kafka and waits until its partitions take records.
fn create(wire: &mut Wire, name: &str, partitions: i32, configs: &[(&str, &str)]) -> Topic {
    let topics = vec![new_topic(name, partitions, configs)];
    let created = wire.call(7, &CreateTopicsRequest::default().with_topics(topics));
    assert_eq!(created.topics[0].error_code, 0, "{name}");
    Topic {
        name: name.to_owned(),
        id: created.topics[0].topic_id,
    }
}

/// Produces as soon as the partition is there.
fn produce_at_last(wire: &mut Wire, topic: &Topic, partition: i32, records: &Bytes) {
    eventually("the partition takes records", || {
        let answer = produce_in(wire, 12, -1, topic, partition, records);
        (answer.error_code == 0).then_some(())
    });
}

/// What the sample holds, written by whatever broker is at the other end.
fn fill(wire: &mut Wire) {
    let plain = create(wire, PLAIN, 2, &PLAIN_SETTINGS);
    for round in 0..ROUNDS {
        for partition in 0..2 {
            for producer in 0..PRODUCER_IDS.len() {
                let (_, records) = batch(PLAIN, partition, producer, round);
                produce_at_last(wire, &plain, partition, &records);
            }
        }
    }
    let cut = create(wire, CUT, 1, &[ANY_TIME, ("retention.ms", "-1")]);
    for round in 0..4 {
        let (_, records) = batch(CUT, 0, 0, round);
        produce_at_last(wire, &cut, 0, &records);
    }
    let gone = create(wire, "gone", 1, &[]);
    let request = DeleteTopicsRequest::default()
        .with_timeout_ms(10_000)
        .with_topic_names(vec![topic_name(&gone.name)]);
    assert_eq!(wire.call(5, &request).responses[0].error_code, 0);
    eventually("a block of producer ids is begun", || {
        let answer = wire.call(5, &init_producer_id(60_000));
        (answer.error_code == 0).then_some(())
    });
    let compacted = create(wire, COMPACTED, 1, &COMPACTED_SETTINGS);
    for index in 0..COMPACTED_RECORDS {
        produce_at_last(wire, &compacted, 0, &keyed(index));
    }
    eventually("the cleaner comes by", || {
        let left = read_from(wire, &compacted, 0, 0).len() as i64;
        (left < COMPACTED_RECORDS / 2).then_some(())
    });
}

/// Makes the sample: `RINGLOG_SAMPLE_KAFKA=host:port`. `tests/data/README.md` has what comes then.
#[test]
#[ignore = "asks a Kafka to write what tests/data/kafka-4.1.1 has"]
fn fill_a_kafka() {
    let address = std::env::var(KAFKA_VARIABLE).expect("the address of a Kafka");
    let address: SocketAddr = address.parse().unwrap();
    fill(&mut Wire::connect(address));
}

/// Everything that [`fill`] has left, and that it goes on from there. `lives` counts the starts
/// since the directory was taken over.
fn check(wire: &mut Wire, lives: i64) {
    let plain = topic(wire, PLAIN, 2);
    for partition in 0..2 {
        check_plain(wire, &plain, partition, lives);
    }
    let cut = topic(wire, CUT, 1);
    let earliest = list_offset_in(wire, 7, &cut, 0, -2);
    assert_eq!((earliest.error_code, earliest.offset), (0, CUT_AT));
    let expected: Vec<String> = (0..4).flat_map(|round| batch(CUT, 0, 0, round).0).collect();
    let kept = read_from(wire, &cut, 0, CUT_AT);
    assert!(
        kept.iter()
            .map(|r| &r.value)
            .eq(&expected[CUT_AT as usize..])
    );
    check_compacted(wire, lives);
    let (id, _) = new_producer(wire);
    assert!(id >= PRODUCER_IDS_GIVEN, "Kafka may have given {id}");
    works(wire, &format!("works-{lives}"));
}

fn check_plain(wire: &mut Wire, plain: &Topic, partition: i32, lives: i64) {
    let mut expected = Vec::new();
    let mut last_offsets = [0; 2];
    for round in 0..ROUNDS + lives {
        for (producer, last) in last_offsets.iter_mut().enumerate() {
            *last = expected.len() as i64;
            expected.extend(batch(PLAIN, partition, producer, round).0);
        }
    }
    assert_eq!(values(wire, plain, partition), expected);
    for (producer, offset) in last_offsets.into_iter().enumerate() {
        // Kafka's snapshot has the last batch of each producer: a retry of it is known as one.
        let last = batch(PLAIN, partition, producer, ROUNDS + lives - 1).1;
        assert_eq!(produce(wire, plain, partition, &last), offset);
        let end = end_offset(wire, plain, partition);
        let next = batch(PLAIN, partition, producer, ROUNDS + lives).1;
        assert_eq!(produce(wire, plain, partition, &next), end);
    }
    // A setting of the topic: what is larger is refused.
    let mut builder = BatchBuilder::new(BatchOptions::default(), 0);
    builder.append(TIME, None, Some(&[b'x'; 6000]), &[]);
    let refused = produce_in(wire, 12, -1, plain, partition, &builder.close());
    assert_eq!(refused.error_code, 10, "MESSAGE_TOO_LARGE");
}

/// Every offset that is left can be read, from every offset on, and found by its time.
fn check_compacted(wire: &mut Wire, lives: i64) {
    let compacted = topic(wire, COMPACTED, 1);
    let end = COMPACTED_RECORDS + lives;
    let left = read_from(wire, &compacted, 0, 0);
    let offsets: BTreeSet<i64> = left.iter().map(|record| record.offset).collect();
    assert!((offsets.len() as i64) < end, "nothing was compacted");
    for record in &left {
        assert_eq!(record.value, format!("value {}", record.offset));
    }
    let newest = end - KEYS..end;
    assert!(
        newest.clone().all(|offset| offsets.contains(&offset)),
        "{offsets:?}"
    );
    for offset in 0..end {
        let from = read_from(wire, &compacted, 0, offset);
        let first = offsets.range(offset..).next();
        assert_eq!(
            from.first().map(|record| &record.offset),
            first,
            "from {offset}"
        );
        let listed = list_offset_in(wire, 7, &compacted, 0, TIME + offset * 60);
        assert_eq!(Some(&listed.offset), first, "by the time of {offset}");
    }
    produce(wire, &compacted, 0, &keyed(end));
}

#[test]
fn kafkas_directory_is_taken_over_with_all_that_is_in_it() {
    let directory = copy_of(Path::new(SAMPLE));
    let path = directory.path();
    let mut broker = BrokerProcess::start(path, &SETTINGS);
    check(&mut broker.connect(), 0);
    broker.kill();
    let mut broker = BrokerProcess::start(path, &SETTINGS);
    check(&mut broker.connect(), 1);
    broker.signal(Signal::SIGTERM);
    broker.wait();
    let ran = log("verify", &["--deep"], path);
    assert_eq!(ran.code, Some(0), "{}", ran.stdout);
    let mut broker = BrokerProcess::start(path, &SETTINGS);
    check(&mut broker.connect(), 2);
    broker.kill();
    let ran = log("verify", &["--deep"], path);
    assert_eq!(ran.code, Some(0), "{}", ran.stdout);
    // What was Kafka's own is kept.
    for name in [
        "meta.properties",
        "__cluster_metadata-0/00000000000000000000.log",
    ] {
        let kept = name.replacen("meta.properties", "meta.properties.kafka", 1);
        let kept = kept.replacen("metadata-0/", "metadata-0.kafka/", 1);
        let before = std::fs::read(Path::new(SAMPLE).join(name)).unwrap();
        assert!(std::fs::read(path.join(&kept)).unwrap() == before, "{kept}");
    }
}

/// Appends a batch of records to Kafka's metadata.
fn append_metadata(directory: &Path, record: &[u8]) {
    let path = directory.join("__cluster_metadata-0/00000000000000000000.log");
    let mut bytes = std::fs::read(&path).unwrap();
    let last = BatchIter::new(&bytes, CrcCheck::Verify).last().unwrap();
    let options = BatchOptions {
        base_offset: last.last_offset() + 1,
        ..BatchOptions::default()
    };
    let mut builder = BatchBuilder::new(options, 0);
    builder.append(TIME, None, Some(record), &[]);
    bytes.extend_from_slice(&builder.close());
    std::fs::write(&path, bytes).unwrap();
}

fn topic_id(directory: &Path, partition: &str) -> TopicId {
    let text = std::fs::read_to_string(directory.join(partition).join("partition.metadata"));
    let text = text.unwrap();
    TopicId::parse(text.trim().rsplit(' ').next().unwrap()).unwrap()
}

/// Kafka's ConfigRecord.
fn config_record(resource_type: u8, resource: &str, key: &str, value: &str) -> Vec<u8> {
    let mut record = vec![1, 4, 0, resource_type];
    for text in [resource, key, value] {
        record.push(text.len() as u8 + 1);
        record.extend_from_slice(text.as_bytes());
    }
    record.push(0);
    record
}

/// Changes a copy of the sample, and what the refusal then says.
type Refusal = (fn(&Path), &'static [&'static str]);

const REFUSALS: [Refusal; 11] = [
    (
        |path| std::fs::remove_file(path.join(".kafka_cleanshutdown")).unwrap(),
        &["not stopped cleanly", "start Kafka on it again"],
    ),
    (
        |path| std::fs::write(path.join("plain-1/00000000000000000000.txnindex"), [0; 34]).unwrap(),
        &["partition plain-1", "aborted transactions"],
    ),
    (
        // PartitionChangeRecord of plain-0: replicas 1 and 2.
        |path| {
            let mut record = vec![1, 5, 2, 0, 0, 0, 0];
            record.extend_from_slice(&topic_id(path, "plain-0").0);
            record.extend_from_slice(&[1, 2, 9, 3, 0, 0, 0, 1, 0, 0, 0, 2]);
            append_metadata(path, &record);
        },
        &[
            "partition plain-0",
            "replicas [1, 2]",
            "kafka-reassign-partitions",
        ],
    ),
    (
        // RegisterBrokerRecord of node 2.
        |path| append_metadata(path, &[1, 0, 3, 0, 0, 0, 2]),
        &["brokers {1, 2}", "unregister"],
    ),
    (
        // AccessControlEntryRecord.
        |path| {
            let mut record = vec![1, 18, 0];
            record.extend_from_slice(&[3; 16]);
            record.extend_from_slice(b"\x02\x06plain\x03\x07User:a\x02*\x03\x03\x00");
            append_metadata(path, &record);
        },
        &["ACLs", "kafka-acls"],
    ),
    (
        |path| append_metadata(path, &config_record(4, "1", "log.cleaner.threads", "2")),
        &["log.cleaner.threads", "broker 1", "kafka-configs"],
    ),
    (
        |path| {
            let key = "unclean.leader.election.enable";
            append_metadata(path, &config_record(2, PLAIN, key, "true"));
        },
        &[
            "topic plain",
            "unclean.leader.election.enable",
            "kafka-configs",
        ],
    ),
    (
        |path| append_metadata(path, &[1, 99, 0, 0]),
        &["type 99", "not known"],
    ),
    (
        |path| std::fs::create_dir(path.join("plain-0.0123-future")).unwrap(),
        &["plain-0.0123-future"],
    ),
    (
        |path| std::fs::remove_dir_all(path.join("cut-0")).unwrap(),
        &["partition cut-0", "not in this directory"],
    ),
    (
        |path| {
            let log = path.join("cut-0/00000000000000000000.log");
            let mut bytes = std::fs::read(&log).unwrap();
            *bytes.last_mut().unwrap() ^= 1;
            std::fs::write(log, bytes).unwrap();
        },
        &["partition cut-0", "start Kafka on it again"],
    ),
];

fn check_refusal(directory: &Path, settings: &[&str], told: &[&str]) {
    let before = contents(directory);
    let failed = start_in_vain(directory, settings, || Ok(()));
    failed.check(&[
        directory.to_str().unwrap(),
        "Apache Kafka",
        "nothing was changed",
    ]);
    failed.check(told);
    assert!(
        contents(directory) == before,
        "{told:?}: something was changed"
    );
}

#[test]
fn what_cannot_be_carried_over_is_refused_with_nothing_changed() {
    for (spoil, told) in REFUSALS {
        let directory = copy_of(Path::new(SAMPLE));
        spoil(directory.path());
        check_refusal(directory.path(), &SETTINGS, told);
    }
}

#[test]
fn a_configuration_that_does_not_fit_is_refused_with_nothing_changed() {
    let directory = copy_of(Path::new(SAMPLE));
    let second = crate::broker::directory();
    let both = format!(
        "log.dirs={},{}",
        directory.path().display(),
        second.path().display()
    );
    for (setting, told) in [
        ("node.id=2", "belongs to node 1"),
        ("cluster.id=AAAAAAAAAAAAAAAAAAAAAA", "belongs to cluster"),
        (&both, "log.dirs names several"),
    ] {
        check_refusal(directory.path(), &[SETTINGS[0], setting], &[told]);
    }
    let mut broker = BrokerProcess::start(directory.path(), &SETTINGS);
    check(&mut broker.connect(), 0);
    broker.kill();
}

/// Kafka's lock is by fcntl, ours by flock; each sees the other.
#[test]
fn a_running_kafka_keeps_its_directory() {
    let directory = copy_of(Path::new(SAMPLE));
    let lock = std::fs::File::create(directory.path().join(".lock")).unwrap();
    let whole = libc::flock {
        l_type: libc::F_WRLCK as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    };
    fcntl(&lock, FcntlArg::F_SETLK(&whole)).expect("nobody has it");
    let before = contents(directory.path());
    let failed = start_in_vain(directory.path(), &SETTINGS, || Ok(()));
    failed.check(&["is in use by another process"]);
    assert!(
        contents(directory.path()) == before,
        "something was changed"
    );
    drop(lock);
    let broker = BrokerProcess::start(directory.path(), &SETTINGS);
    let lock = std::fs::File::open(directory.path().join(".lock")).unwrap();
    let mut asked = whole;
    fcntl(&lock, FcntlArg::F_GETLK(&mut asked)).unwrap();
    assert_eq!(
        asked.l_type,
        libc::F_WRLCK as libc::c_short,
        "Kafka would start"
    );
    drop(broker);
}

#[test]
fn format_leaves_kafkas_directory_to_start() {
    let directory = copy_of(Path::new(SAMPLE));
    let before = contents(directory.path());
    let log_dirs = format!("log.dirs={}", directory.path().display());
    let ran = std::process::Command::new(env!("CARGO_BIN_EXE_ringlog"))
        .args(["format", "-o", &log_dirs])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ran.stderr);
    assert_eq!(ran.status.code(), Some(1), "{said}");
    assert!(said.contains("ringlog start takes it over"), "{said}");
    assert!(
        contents(directory.path()) == before,
        "something was changed"
    );
}

//! Partitions added to topics: they serve before the answer, are there after a kill, and nothing
//! that was written before or meanwhile is lost.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use kafka_protocol::messages::create_partitions_request::{
    CreatePartitionsAssignment, CreatePartitionsTopic,
};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{BrokerId, CreatePartitionsRequest, MetadataRequest};
use ringlog::protocol::ApiKey;
use ringlog::types::ErrorCode;

use crate::broker::{TestBroker, directory};
use crate::process::BrokerProcess;
use crate::records::{batch, sequenced};
use crate::topics::{
    ACKS_ALL, PRODUCE_VERSION, Topic, code, create, new_producer, produce, produce_in, text,
    topic_name, values, versions,
};
use crate::wire::Wire;

const VERSION: i16 = 3;

const NODE: &str = "node.id=3";
const NODE_ID: i32 = 3;

fn grown(name: &str, count: i32) -> CreatePartitionsTopic {
    CreatePartitionsTopic::default()
        .with_name(topic_name(name))
        .with_count(count)
        .with_assignments(None)
}

fn placed(name: &str, count: i32, assignments: &[&[i32]]) -> CreatePartitionsTopic {
    let assignments = assignments.iter().map(|ids| {
        let ids = ids.iter().map(|&id| BrokerId(id)).collect();
        CreatePartitionsAssignment::default().with_broker_ids(ids)
    });
    grown(name, count).with_assignments(Some(assignments.collect()))
}

/// Name, error and message of each answer.
fn grow_in(
    wire: &mut Wire,
    version: i16,
    topics: Vec<CreatePartitionsTopic>,
) -> Vec<(String, i16, Option<String>)> {
    let request = CreatePartitionsRequest::default()
        .with_topics(topics)
        .with_timeout_ms(30_000);
    let results = wire.call(version, &request).results.into_iter();
    let results = results.map(|result| {
        let message = result.error_message.map(|message| message.to_string());
        (result.name.to_string(), result.error_code, message)
    });
    results.collect()
}

fn grow(wire: &mut Wire, topic: &Topic, count: i32) {
    let results = grow_in(wire, VERSION, vec![grown(&topic.name, count)]);
    assert_eq!(results, [(topic.name.clone(), 0, None)]);
}

/// How many partitions the metadata has, all with this leader.
fn partition_count(wire: &mut Wire, topic: &Topic) -> i32 {
    let asked = MetadataRequestTopic::default().with_name(Some(topic_name(&topic.name)));
    let request = MetadataRequest::default().with_topics(Some(vec![asked]));
    let answer = wire.call(12, &request);
    let partitions = &answer.topics[0].partitions;
    for partition in partitions {
        assert_eq!((partition.error_code, partition.leader_id.0), (0, NODE_ID));
    }
    partitions.len() as i32
}

#[test]
fn partitions_are_added_in_every_version_and_serve_at_once() {
    let broker = TestBroker::start(&[NODE]);
    let mut wire = broker.connect();
    let topic = create(&mut wire, "t", 1, &[]);
    produce(&mut wire, &topic, 0, &batch(&["before"]));
    let mut count = 1;
    for version in versions(ApiKey::CreatePartitions) {
        let results = grow_in(&mut wire, version, vec![grown("t", count + 2)]);
        assert_eq!(results, [("t".to_owned(), 0, None)], "version {version}");
        for partition in count..count + 2 {
            let records = batch(&[format!("of {partition}")]);
            assert_eq!(produce(&mut wire, &topic, partition, &records), 0);
        }
        count += 2;
        assert_eq!(partition_count(&mut wire, &topic), count);
    }
    assert_eq!(values(&mut wire, &topic, 0), ["before"]);
    for partition in 1..count {
        assert_eq!(
            values(&mut wire, &topic, partition),
            [format!("of {partition}")]
        );
    }
}

#[test]
fn what_is_refused_is_refused_with_kafkas_code_and_sentence() {
    let broker = TestBroker::start(&[NODE]);
    let mut wire = broker.connect();
    let topic = create(&mut wire, "t", 2, &[]);
    let replicas = ErrorCode::InvalidReplicaAssignment;
    let cases = [
        (
            grown("t", 2),
            ErrorCode::InvalidPartitions,
            "Topic already has 2 partition(s).",
        ),
        (
            grown("t", 1),
            ErrorCode::InvalidPartitions,
            "The topic t currently has 2 partition(s); 1 would not be an increase.",
        ),
        (
            placed("t", 3, &[]),
            replicas,
            "Attempted to add 1 additional partition(s), but only 0 assignment(s) were specified.",
        ),
        (
            placed("t", 3, &[&[]]),
            replicas,
            "The manual partition assignment includes an empty replica list.",
        ),
        (
            placed("t", 3, &[&[4]]),
            replicas,
            "The manual partition assignment includes broker 4, but no such broker is registered.",
        ),
        (
            placed("t", 3, &[&[3, 3]]),
            replicas,
            "The manual partition assignment includes the broker 3 more than once.",
        ),
    ];
    for version in versions(ApiKey::CreatePartitions) {
        for (asked, error, message) in &cases {
            let expected = (
                asked.name.to_string(),
                code(*error),
                Some((*message).to_owned()),
            );
            let results = grow_in(&mut wire, version, vec![asked.clone()]);
            assert_eq!(results, [expected], "version {version}");
        }
    }
    let unknown = code(ErrorCode::UnknownTopicOrPartition);
    let results = grow_in(&mut wire, VERSION, vec![grown("x", 3)]);
    assert_eq!(results, [("x".to_owned(), unknown, None)]);
    let twice = grow_in(&mut wire, VERSION, vec![grown("t", 3), grown("t", 4)]);
    let duplicate = Some("Duplicate topic name.".to_owned());
    let refused = ("t".to_owned(), code(ErrorCode::InvalidRequest), duplicate);
    assert_eq!(twice, [refused]);
    let validate = CreatePartitionsRequest::default()
        .with_topics(vec![grown("t", 5)])
        .with_timeout_ms(30_000)
        .with_validate_only(true);
    assert_eq!(wire.call(VERSION, &validate).results[0].error_code, 0);
    assert_eq!(partition_count(&mut wire, &topic), 2);
    let results = grow_in(&mut wire, VERSION, vec![placed("t", 4, &[&[3], &[3]])]);
    assert_eq!(results, [("t".to_owned(), 0, None)]);
    assert_eq!(partition_count(&mut wire, &topic), 4);
}

#[test]
fn what_was_answered_is_there_after_kill_9_and_after_a_stop() {
    let directory = directory();
    let mut broker = BrokerProcess::start(directory.path(), &[NODE]);
    let mut wire = broker.connect();
    let topic = create(&mut wire, "t", 1, &[("segment.bytes", "1048576")]);
    for (round, partition) in (1..5).enumerate() {
        grow(&mut wire, &topic, partition + 1);
        let records = batch(&[format!("of {partition}")]);
        produce(&mut wire, &topic, partition, &records);
        match round % 2 {
            0 => broker.kill(),
            _ => {
                broker.signal(nix::sys::signal::Signal::SIGTERM);
                assert!(broker.wait().success());
            }
        }
        broker = BrokerProcess::start(directory.path(), &[NODE]);
        wire = broker.connect();
        assert_eq!(partition_count(&mut wire, &topic), partition + 1);
        for written in 1..=partition {
            assert_eq!(
                values(&mut wire, &topic, written),
                [format!("of {written}")]
            );
        }
    }
}

/// What the threads of the test share.
struct Load {
    topic: Topic,
    is_over: AtomicBool,
    /// Partition and offset of what was acknowledged, with its value.
    acknowledged: Mutex<BTreeMap<(i32, i64), String>>,
}

impl Load {
    fn goes_on(&self) -> bool {
        !self.is_over.load(Ordering::Relaxed)
    }

    fn acknowledged_in(&self, partition: i32) -> usize {
        let acknowledged = self.acknowledged.lock().unwrap();
        let range = (partition, 0)..(partition + 1, 0);
        acknowledged.range(range).count()
    }

    /// An idempotent producer that writes to every partition that it knows of, in turn, and looks
    /// at the metadata each time round.
    fn write(&self, mut wire: Wire, writer: usize) {
        let producer = new_producer(&mut wire);
        let mut sequences = BTreeMap::new();
        while self.goes_on() {
            let count = partition_count(&mut wire, &self.topic);
            for partition in 0..count {
                let sequence = sequences.entry(partition).or_insert(0);
                let value = format!("{writer} {partition} {sequence}");
                let records = sequenced(producer, *sequence, &[&value]);
                self.write_until_acknowledged(&mut wire, partition, &records, value);
                *sequence += 1;
            }
        }
    }

    fn write_until_acknowledged(
        &self,
        wire: &mut Wire,
        partition: i32,
        records: &bytes::Bytes,
        value: String,
    ) {
        let offset = crate::eventually("the partition takes the record", || {
            let topic = &self.topic;
            let answer = produce_in(wire, PRODUCE_VERSION, ACKS_ALL, topic, partition, records);
            // The shard that answers the metadata may be a step ahead of the partition's.
            let error = ErrorCode::from_code(answer.error_code);
            let may_pass = [ErrorCode::None, ErrorCode::UnknownTopicOrPartition];
            assert!(may_pass.contains(&error), "{partition}: {error}");
            (!error.is_error()).then_some(answer.base_offset)
        });
        let mut acknowledged = self.acknowledged.lock().unwrap();
        let before = acknowledged.insert((partition, offset), value);
        assert_eq!(
            before, None,
            "{partition} at {offset} was acknowledged twice"
        );
    }
}

#[test]
fn partitions_added_under_load_lose_nothing() {
    const LAST: i32 = 12;
    let mut broker = TestBroker::start(&[NODE]);
    let mut wire = broker.connect();
    let load = Load {
        topic: create(&mut wire, "t", 1, &[]),
        is_over: AtomicBool::new(false),
        acknowledged: Mutex::default(),
    };
    std::thread::scope(|scope| {
        for writer in 0..3 {
            let (wire, load) = (broker.connect(), &load);
            scope.spawn(move || load.write(wire, writer));
        }
        let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for count in 2..=LAST {
                grow(&mut wire, &load.topic, count);
                crate::eventually("the new partition is written to", || {
                    (load.acknowledged_in(count - 1) >= 3).then_some(())
                });
            }
        }));
        load.is_over.store(true, Ordering::Relaxed);
        ended.unwrap();
    });
    let check = |wire: &mut Wire| {
        let acknowledged = load.acknowledged.lock().unwrap();
        for partition in 0..LAST {
            let stored = values(wire, &load.topic, partition);
            let range = (partition, 0)..(partition + 1, 0);
            let told = acknowledged.range(range);
            let told: Vec<_> = told.map(|((_, offset), value)| (*offset, value)).collect();
            let stored: Vec<_> = (0..).zip(&stored).collect();
            assert_eq!(told, stored, "partition {partition}");
        }
    };
    check(&mut wire);
    drop(wire);
    broker.restart(&[NODE]);
    check(&mut broker.connect());
}

#[test]
fn a_topic_that_is_unnamed_or_misnamed_does_not_grow() {
    let broker = TestBroker::start(&[NODE]);
    let mut wire = broker.connect();
    assert_eq!(grow_in(&mut wire, VERSION, vec![]), []);
    for name in ["", "bad name", "__cluster_metadata"] {
        let results = grow_in(&mut wire, VERSION, vec![grown(name, 2)]);
        let error = code(ErrorCode::UnknownTopicOrPartition);
        assert_eq!(
            (results[0].0.as_str(), results[0].1),
            (text(name).as_str(), error)
        );
    }
}

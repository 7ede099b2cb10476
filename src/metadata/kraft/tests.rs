use super::record::{Partition, PartitionChange, Record, Secured};
use super::*;
use crate::batch::{BatchBuilder, BatchOptions, ControlRecord, LeaderChange, control_batch};
use crate::metadata::{ConfigResource, MetadataImage};
use crate::types::{DirectoryId, TopicId};

/// Of Kafka 4.1.1: see tests/data/README.md.
const LOG: &[u8] =
    include_bytes!("../../../tests/data/kafka-4.1.1/__cluster_metadata-0/00000000000000000000.log");
const SNAPSHOT: &[u8] = include_bytes!(concat!(
    "../../../tests/data/kafka-4.1.1/__cluster_metadata-0/",
    "00000000000000000000-0000000000.checkpoint"
));

const NODE: i32 = 1;
const DIRECTORY: DirectoryId = DirectoryId([9; 16]);
const TOPIC: TopicId = TopicId([7; 16]);

/// A message in the making: the frame, then fields as Kafka writes them.
struct Message(Vec<u8>);

impl Message {
    fn new(kind: u8, version: u8) -> Message {
        Message(vec![1, kind, version])
    }

    fn raw(mut self, bytes: &[u8]) -> Message {
        self.0.extend_from_slice(bytes);
        self
    }

    fn i32(self, value: i32) -> Message {
        self.raw(&value.to_be_bytes())
    }

    fn i64(self, value: i64) -> Message {
        self.raw(&value.to_be_bytes())
    }

    fn string(self, text: &str) -> Message {
        self.raw(&[text.len() as u8 + 1]).raw(text.as_bytes())
    }

    fn list(self, values: &[i32]) -> Message {
        let counted = self.raw(&[values.len() as u8 + 1]);
        values
            .iter()
            .fold(counted, |message, &value| message.i32(value))
    }

    /// No tagged fields.
    fn end(self) -> Vec<u8> {
        self.raw(&[0]).0
    }
}

fn topic(name: &str) -> Vec<u8> {
    Message::new(2, 0).string(name).raw(&TOPIC.0).end()
}

fn partition(index: i32, replicas: &[i32], adding: &[i32]) -> Vec<u8> {
    let message = Message::new(3, 1).i32(index).raw(&TOPIC.0);
    let message = message.list(replicas).list(replicas).list(&[]).list(adding);
    let message = message.i32(NODE).i32(4).i32(6);
    message.raw(&[2]).raw(&DIRECTORY.0).end()
}

fn config(resource_type: i8, resource: &str, key: &str, value: &str) -> Vec<u8> {
    let message = Message::new(4, 0).raw(&[resource_type as u8]);
    message.string(resource).string(key).string(value).end()
}

fn register(node_id: i32) -> Vec<u8> {
    Message::new(0, 3).i32(node_id).end()
}

fn acl(is_removed: bool) -> Vec<u8> {
    if is_removed {
        return Message::new(19, 0).raw(&[3; 16]).end();
    }
    let message = Message::new(18, 0)
        .raw(&[3; 16])
        .raw(&[2])
        .string("orders")
        .raw(&[3]);
    message.string("User:a").string("*").raw(&[3, 3]).end()
}

fn quota(is_removed: u8) -> Vec<u8> {
    let message = Message::new(14, 0)
        .raw(&[2])
        .string("user")
        .string("a")
        .raw(&[0]);
    message
        .string("producer_byte_rate")
        .raw(&[0; 8])
        .raw(&[is_removed])
        .end()
}

fn scram(kind: u8) -> Vec<u8> {
    let message = Message::new(kind, 0).string("a").raw(&[1]);
    match kind {
        11 => message
            .string("salt")
            .string("stored")
            .string("server")
            .i32(4096)
            .end(),
        _ => message.end(),
    }
}

fn token(is_removed: bool) -> Vec<u8> {
    if is_removed {
        return Message::new(26, 0).string("id").end();
    }
    let message = Message::new(10, 0)
        .string("User:a")
        .string("User:a")
        .raw(&[2])
        .string("b");
    message.i64(1).i64(2).i64(3).string("id").end()
}

/// A change of partition 0, with tagged fields.
fn change(fields: &[(u8, Vec<u8>)]) -> Vec<u8> {
    let message = Message::new(5, 2)
        .i32(0)
        .raw(&TOPIC.0)
        .raw(&[fields.len() as u8]);
    let add = |message: Message, (tag, bytes): &(u8, Vec<u8>)| {
        message.raw(&[*tag, bytes.len() as u8]).raw(bytes)
    };
    fields.iter().fold(message, add).0
}

fn new_leader(leader: i32) -> Vec<u8> {
    change(&[(1, leader.to_be_bytes().to_vec())])
}

/// A batch of these records of Kafka's.
fn batch(base_offset: i64, records: &[Vec<u8>]) -> Vec<u8> {
    let options = BatchOptions {
        base_offset,
        ..BatchOptions::default()
    };
    let mut builder = BatchBuilder::new(options, 0);
    for record in records {
        builder.append(1, None, Some(record), &[]);
    }
    builder.close().to_vec()
}

fn leader_change(voters: &[i32]) -> Vec<u8> {
    let change = ControlRecord::LeaderChange(LeaderChange {
        leader_id: NODE,
        voters: voters.to_vec(),
        granting_voters: voters.to_vec(),
    });
    control_batch(&change, 1, BatchOptions::default()).to_vec()
}

fn image_of(voters: &[i32], records: &[Vec<u8>]) -> KraftImage {
    let mut image = KraftImage::default();
    let log = [leader_change(voters), batch(1, records)].concat();
    assert_eq!(image.replay_log(&log), Ok(log.len()));
    image
}

fn translated(records: &[Vec<u8>]) -> Result<MetadataImage, String> {
    let mut all = vec![register(NODE), topic("orders"), partition(0, &[NODE], &[])];
    all.extend_from_slice(records);
    translate(&image_of(&[NODE], &all), NODE, DIRECTORY).map_err(|error| error.0)
}

fn refused(records: &[Vec<u8>]) -> String {
    translated(records).expect_err("it is refused")
}

#[test]
fn kafkas_own_metadata_is_read() {
    let mut kraft = KraftImage::default();
    assert_eq!(kraft.replay_snapshot(SNAPSHOT), Ok(SNAPSHOT.len()));
    kraft.end_snapshot(0);
    assert_eq!(kraft.replay_log(LOG), Ok(LOG.len()));
    let image = translate(&kraft, NODE, DIRECTORY).unwrap();
    let topics: Vec<_> = image
        .topics()
        .map(|t| (&*t.name, t.partitions.len()))
        .collect();
    let expected = [
        ("__consumer_offsets", 1),
        ("compacted", 1),
        ("cut", 1),
        ("plain", 2),
    ];
    assert_eq!(topics, expected, "gone is gone");
    let plain = image.config(&ConfigResource::topic("plain")).unwrap();
    assert_eq!(plain["max.message.bytes"], "5000");
    assert_eq!(plain.len(), 4);
    assert_eq!(image.next_producer_id(), 1000);
    let partition = &image.topic_by_name("plain").unwrap().partitions[1];
    assert_eq!((partition.leader, &partition.replicas), (NODE, &vec![NODE]));
    assert_eq!(partition.directories, [DIRECTORY]);
    // Kafka took the leader away when it stopped: a new epoch.
    assert_eq!((partition.leader_epoch, partition.partition_epoch), (1, 1));
}

#[test]
fn what_a_snapshot_has_is_not_replayed_again() {
    let mut kraft = KraftImage::default();
    let records = [topic("orders"), partition(0, &[NODE], &[]), new_leader(-1)];
    kraft.replay_snapshot(&batch(0, &records)).unwrap();
    kraft.end_snapshot(10);
    // The snapshot ends inside the first batch.
    let log = [
        batch(8, &[topic("x"), topic("x"), new_leader(NODE)]),
        batch(11, &[new_leader(-1)]),
    ];
    kraft.replay_log(&log.concat()).unwrap();
    let state = &kraft.topics[&TOPIC].partitions[&0];
    assert_eq!(kraft.topics[&TOPIC].name, "orders");
    assert_eq!(
        (state.leader, state.leader_epoch, state.partition_epoch),
        (-1, 7, 9)
    );
    assert_eq!(
        kraft.replay_log(&batch(14, &[topic("x")])),
        Err(KraftError::Missing(12))
    );
}

#[test]
fn partitions_change() {
    let fields = [
        (0, vec![2, 0, 0, 0, 5]),
        (2, vec![3, 0, 0, 0, 5, 0, 0, 0, 6]),
        (3, vec![1]),
        (4, vec![2, 0, 0, 0, 6]),
        (8, vec![1]),
    ];
    let record = Record::decode(&change(&fields)).unwrap();
    let expected = PartitionChange {
        leader: None,
        replicas: Some(vec![5, 6]),
        removing_replicas: Some(vec![]),
        adding_replicas: Some(vec![6]),
    };
    let Record::PartitionChange { change, .. } = &record else {
        panic!("{record:?}")
    };
    assert_eq!(*change, expected);
    let mut kraft = image_of(&[NODE], &[topic("orders"), partition(0, &[NODE], &[])]);
    kraft.apply(record).unwrap();
    let changed = Partition {
        replicas: vec![5, 6],
        removing_replicas: vec![],
        adding_replicas: vec![6],
        leader: NODE,
        leader_epoch: 4,
        partition_epoch: 7,
    };
    assert_eq!(kraft.topics[&TOPIC].partitions[&0], changed);
}

#[test]
fn a_transaction_counts_when_it_has_ended() {
    let (begin, end, abort) = (
        change_of_transaction(23),
        change_of_transaction(24),
        change_of_transaction(25),
    );
    let retention = |ms: &str| config(2, "orders", "retention.ms", ms);
    let set = |records: &[Vec<u8>]| {
        let image = translated(records).unwrap();
        let values = image.config(&ConfigResource::topic("orders")).cloned();
        values.map(|values| values["retention.ms"].clone())
    };
    assert_eq!(
        set(&[begin.clone(), retention("5"), end]).as_deref(),
        Some("5")
    );
    let aborted = [retention("4"), begin.clone(), retention("5"), abort.clone()];
    assert_eq!(set(&aborted).as_deref(), Some("4"));
    assert!(refused(&[begin.clone(), retention("5")]).contains("has not ended"));
    let mut kraft = KraftImage::default();
    assert_eq!(
        kraft.replay_log(&batch(0, &[abort])),
        Err(KraftError::Transaction)
    );
    let twice = batch(0, &[begin.clone(), begin]);
    assert_eq!(
        KraftImage::default().replay_log(&twice),
        Err(KraftError::Transaction)
    );
}

fn change_of_transaction(kind: u8) -> Vec<u8> {
    Message::new(kind, 0).end()
}

#[test]
fn what_is_protected_or_limited_is_refused_until_it_is_removed() {
    for (what, there, gone) in [
        ("ACLs", acl(false), acl(true)),
        ("client quotas", quota(0), quota(1)),
        ("SCRAM credentials", scram(11), scram(22)),
        ("delegation tokens", token(false), token(true)),
    ] {
        let said = refused(std::slice::from_ref(&there));
        assert!(said.contains(what) && said.contains("kafka-"), "{said}");
        translated(&[there, gone]).unwrap();
    }
    let key = |record: &[u8]| match Record::decode(record).unwrap() {
        Record::Secured { what, key, .. } => (what, key),
        other => panic!("{other:?}"),
    };
    assert_eq!(key(&acl(false)), (Secured::Acl, vec![3; 16]));
}

#[test]
fn only_a_single_node_is_translated() {
    let records = [register(NODE), topic("orders"), partition(0, &[NODE], &[])];
    for voters in [&[][..], &[2], &[NODE, 2]] {
        let error = translate(&image_of(voters, &records), NODE, DIRECTORY).unwrap_err();
        assert!(error.0.contains("voters"), "{error}");
    }
    let said = refused(&[register(2)]);
    assert!(said.contains("brokers {1, 2}"), "{said}");
    translated(&[register(2), Message::new(1, 0).i32(2).i64(5).end()]).unwrap();
    for (replicas, adding) in [(&[NODE, 2][..], &[][..]), (&[2], &[]), (&[NODE], &[2])] {
        let said = refused(&[partition(0, replicas, adding)]);
        assert!(
            said.contains("partition orders-0") && said.contains("replicas"),
            "{said}"
        );
    }
    assert!(refused(&[partition(2, &[NODE], &[])]).contains("no partition 1"));
}

#[test]
fn settings_of_topics_are_carried_over_and_no_others() {
    let image = translated(&[
        config(2, "orders", "retention.ms", "-1"),
        config(4, "", "min.insync.replicas", "1"),
    ])
    .unwrap();
    let values = image.config(&ConfigResource::topic("orders")).unwrap();
    assert_eq!(values["retention.ms"], "-1");
    for (record, told) in [
        (config(4, "", "log.retention.ms", "5"), "all brokers"),
        (config(4, "", "min.insync.replicas", "2"), "all brokers"),
        (config(4, "1", "log.cleaner.threads", "2"), "broker 1"),
        (config(16, "all", "metrics", "x"), "client metrics all"),
        (
            config(32, "g", "consumer.session.timeout.ms", "5"),
            "group g",
        ),
    ] {
        let said = refused(&[record]);
        assert!(said.contains(told), "{said}");
    }
}

#[test]
fn what_is_not_known_is_an_error() {
    for (bytes, error) in [
        (vec![2, 2, 0], KraftError::UnknownFrame(2)),
        (vec![1, 28, 0], KraftError::UnknownType(28)),
        (vec![1, 6, 0], KraftError::UnknownType(6)),
        (
            vec![1, 3, 3],
            KraftError::UnknownVersion {
                kind: 3,
                version: 3,
            },
        ),
        ([topic("x"), vec![0]].concat(), KraftError::TrailingBytes(1)),
        (vec![1, 9, 0], KraftError::Truncated),
        (vec![1, 2, 0, 0], KraftError::Invalid("a text that is null")),
        (vec![1, 2, 0, 2, 0xff], KraftError::Invalid("a text")),
        (
            vec![1, 0xff, 0xff, 0xff, 0xff, 0x7f],
            KraftError::Invalid("a number"),
        ),
    ] {
        assert_eq!(Record::decode(&bytes), Err(error), "{bytes:?}");
    }
    let damaged = {
        let mut bytes = batch(0, &[topic("x")]);
        *bytes.last_mut().unwrap() ^= 1;
        bytes
    };
    let read = KraftImage::default().replay_log(&damaged);
    assert!(matches!(read, Err(KraftError::Batch(_))), "{read:?}");
}

/// Cut off anywhere, or with any byte replaced by one of a huge number: an error or a record, in
/// no more memory than there are bytes.
#[test]
fn no_length_is_believed() {
    let records = [
        topic("orders"),
        partition(0, &[NODE], &[]),
        new_leader(NODE),
        change(&[(2, vec![2, 0, 0, 0, 5])]),
        config(2, "orders", "retention.ms", "-1"),
        acl(false),
        quota(0),
        scram(11),
        token(false),
        register(NODE),
    ];
    for record in records {
        for size in 0..record.len() {
            let cut = Record::decode(&record[..size]);
            let is_register = record[1] == 0;
            assert!(cut.is_err() || is_register, "{size} bytes of {record:?}");
        }
        for at in 0..record.len() {
            let huge = [
                &record[..at],
                &[0xff, 0xff, 0xff, 0xff, 0x0f],
                &record[at + 1..],
            ];
            let _ = Record::decode(&huge.concat());
        }
    }
}

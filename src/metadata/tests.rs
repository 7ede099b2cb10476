//! Tests of the metadata image and its records.

mod topic_page;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::types::{DirectoryId, PartitionIndex, TopicId, TopicIdPartition};

fn id(number: u8) -> TopicId {
    TopicId([number; 16])
}

fn topic(number: u8, name: &str) -> MetadataRecord {
    MetadataRecord::Topic(TopicRecord {
        topic_id: id(number),
        name: name.into(),
    })
}

fn partition_record(number: u8, partition: PartitionIndex) -> PartitionRecord {
    PartitionRecord {
        topic_id: id(number),
        partition,
        replicas: vec![7],
        isr: vec![7],
        leader: 7,
        leader_epoch: 0,
        partition_epoch: 0,
        directories: vec![DirectoryId([9; 16])],
    }
}

fn partition(number: u8, partition: PartitionIndex) -> MetadataRecord {
    MetadataRecord::Partition(partition_record(number, partition))
}

fn remove(number: u8) -> MetadataRecord {
    MetadataRecord::RemoveTopic(RemoveTopicRecord {
        topic_id: id(number),
    })
}

fn config(topic: &str, key: &str, value: Option<&str>) -> MetadataRecord {
    MetadataRecord::Config(ConfigRecord {
        resource: ConfigResource::topic(topic),
        key: key.to_owned(),
        value: value.map(str::to_owned),
    })
}

fn broker(node_id: i32, broker_epoch: i64) -> MetadataRecord {
    MetadataRecord::RegisterBroker(RegisterBroker {
        node_id,
        incarnation_id: [3; 16],
        broker_epoch,
        endpoints: vec![Endpoint {
            listener: "PLAINTEXT".into(),
            host: "127.0.0.1".into(),
            port: 9092,
            security_protocol: 0,
        }],
        rack: Some("r1".into()),
    })
}

fn producer_ids(next_producer_id: i64) -> MetadataRecord {
    MetadataRecord::ProducerIds(ProducerIdsRecord { next_producer_id })
}

fn feature(name: &str, level: i16) -> MetadataRecord {
    MetadataRecord::Feature(FeatureRecord {
        name: name.into(),
        level,
    })
}

fn replay(records: &[MetadataRecord]) -> (MetadataImage, MetadataDelta) {
    let mut image = MetadataImage::default();
    let mut delta = MetadataDelta::default();
    for record in records {
        image.apply(record, &mut delta).expect("a record that fits");
    }
    (image, delta)
}

fn of(number: u8, partition: PartitionIndex) -> TopicIdPartition {
    TopicIdPartition {
        topic_id: id(number),
        partition,
    }
}

mod codec {
    use super::*;

    fn text() -> impl Strategy<Value = String> {
        proptest::collection::vec(any::<char>(), 0..12).prop_map(String::from_iter)
    }

    fn nodes() -> impl Strategy<Value = Vec<i32>> {
        proptest::collection::vec(any::<i32>(), 0..5)
    }

    fn endpoint() -> impl Strategy<Value = Endpoint> {
        (text(), text(), any::<u16>(), any::<i16>()).prop_map(|(a, b, port, security_protocol)| {
            Endpoint {
                listener: a.into(),
                host: b.into(),
                port,
                security_protocol,
            }
        })
    }

    fn record() -> impl Strategy<Value = MetadataRecord> {
        let topic_id = any::<[u8; 16]>().prop_map(TopicId);
        prop_oneof![
            (topic_id.clone(), text()).prop_map(|(topic_id, name)| {
                MetadataRecord::Topic(TopicRecord {
                    topic_id,
                    name: name.into(),
                })
            }),
            (topic_id.clone(), any::<[i32; 4]>(), nodes(), nodes()).prop_map(
                |(topic_id, [partition, leader, leader_epoch, partition_epoch], replicas, isr)| {
                    let ids = replicas.iter().map(|id| DirectoryId([*id as u8 & 1; 16]));
                    let directories = ids.collect();
                    MetadataRecord::Partition(PartitionRecord {
                        topic_id,
                        partition,
                        directories,
                        replicas,
                        isr,
                        leader,
                        leader_epoch,
                        partition_epoch,
                    })
                }
            ),
            topic_id
                .prop_map(|topic_id| MetadataRecord::RemoveTopic(RemoveTopicRecord { topic_id })),
            (any::<bool>(), text(), text(), proptest::option::of(text())).prop_map(
                |(topic, name, key, value)| {
                    MetadataRecord::Config(ConfigRecord {
                        resource: ConfigResource {
                            resource_type: match topic {
                                true => ConfigResourceType::Topic,
                                false => ConfigResourceType::Broker,
                            },
                            name: name.into(),
                        },
                        key,
                        value,
                    })
                }
            ),
            any::<i64>().prop_map(producer_ids),
            (
                any::<(i32, i64, [u8; 16])>(),
                proptest::collection::vec(endpoint(), 0..3),
                proptest::option::of(text())
            )
                .prop_map(
                    |((node_id, broker_epoch, incarnation_id), endpoints, rack)| {
                        MetadataRecord::RegisterBroker(RegisterBroker {
                            node_id,
                            incarnation_id,
                            broker_epoch,
                            endpoints,
                            rack: rack.map(Arc::from),
                        })
                    }
                ),
            (text(), any::<i16>()).prop_map(|(name, level)| feature(&name, level)),
        ]
    }

    proptest! {
        #[test]
        fn every_record_survives_its_bytes(record in record()) {
            let bytes = record.encode();
            prop_assert_eq!(MetadataRecord::decode(&bytes), Ok(record));
            for size in 0..bytes.len() {
                prop_assert!(MetadataRecord::decode(&bytes[..size]).is_err());
            }
            let longer = [&bytes[..], &[0]].concat();
            prop_assert_eq!(
                MetadataRecord::decode(&longer),
                Err(RecordError::TrailingBytes(1))
            );
        }

        #[test]
        fn arbitrary_bytes_are_an_error_or_a_record(
            kind in 0u8..9,
            version in 0u8..3,
            rest in proptest::collection::vec(any::<u8>(), 0..80),
        ) {
            // With a plausible head, so that the fields are reached.
            let bytes = [&[1, kind, version], &rest[..]].concat();
            if let Ok(record) = MetadataRecord::decode(&bytes) {
                prop_assert_eq!(MetadataRecord::decode(&record.encode()), Ok(record));
            }
            let _ = MetadataRecord::decode(&rest);
        }
    }

    #[test]
    fn a_partition_with_directories_has_these_bytes() {
        let zeros = [0u8; 16];
        let record = MetadataRecord::Partition(PartitionRecord {
            topic_id: TopicId::ZERO,
            partition: 0,
            replicas: vec![1, 2],
            isr: vec![1],
            leader: 1,
            leader_epoch: 0,
            partition_epoch: 0,
            directories: vec![DirectoryId([0xa; 16]), DirectoryId::UNASSIGNED],
        });
        let fields = [0, 2, 2, 4, 1, 2, 2, 0, 0];
        let bytes = [&[1, 2, 1], &zeros[..], &fields, &[0xa; 16], &zeros].concat();
        assert_eq!(record.encode(), bytes);
        assert_eq!(MetadataRecord::decode(&bytes), Ok(record));
    }

    /// What is on a user's disk must be read by every later release.
    #[test]
    fn the_bytes_are_these() {
        let zeros = [0u8; 16];
        let cases: Vec<(MetadataRecord, Vec<u8>)> = vec![
            (
                MetadataRecord::Topic(TopicRecord {
                    topic_id: TopicId::ZERO,
                    name: "ab".into(),
                }),
                [&[1, 1, 0], &zeros[..], &[2, b'a', b'b']].concat(),
            ),
            (
                MetadataRecord::Partition(PartitionRecord {
                    topic_id: TopicId::ZERO,
                    partition: 3,
                    replicas: vec![1, 2],
                    isr: vec![2],
                    leader: -1,
                    leader_epoch: 64,
                    partition_epoch: 5,
                    directories: vec![DirectoryId::UNASSIGNED; 2],
                }),
                [&[1, 2, 0], &zeros[..], &[6, 2, 2, 4, 1, 4, 1, 0x80, 1, 10]].concat(),
            ),
            (
                MetadataRecord::RemoveTopic(RemoveTopicRecord {
                    topic_id: TopicId::ZERO,
                }),
                [&[1, 3, 0], &zeros[..]].concat(),
            ),
            (
                config("t", "k", Some("v")),
                vec![1, 4, 0, 2, 1, b't', 1, b'k', 2, b'v'],
            ),
            (
                config("t", "k", None),
                vec![1, 4, 0, 2, 1, b't', 1, b'k', 0],
            ),
            (producer_ids(1000), vec![1, 5, 0, 0xd0, 0x0f]),
            (feature("f", 27), vec![1, 7, 0, 1, b'f', 54]),
            (
                MetadataRecord::RegisterBroker(RegisterBroker {
                    node_id: 1,
                    incarnation_id: zeros,
                    broker_epoch: 9,
                    endpoints: vec![Endpoint {
                        listener: "P".into(),
                        host: "h".into(),
                        port: 9092,
                        security_protocol: 0,
                    }],
                    rack: None,
                }),
                [
                    &[1, 6, 0, 2],
                    &zeros[..],
                    &[18, 1, 1, b'P', 1, b'h', 0x84, 0x47, 0, 0],
                ]
                .concat(),
            ),
        ];
        for (record, bytes) in cases {
            assert_eq!(record.encode(), bytes, "{record:?}");
            assert_eq!(MetadataRecord::decode(&bytes), Ok(record));
        }
    }

    #[test]
    fn what_a_newer_release_wrote_is_named() {
        let cases: &[(&[u8], RecordError)] = &[
            (&[], RecordError::Truncated),
            (&[2, 1, 0], RecordError::UnknownFrame(2)),
            (&[1, 0, 0], RecordError::UnknownType(0)),
            (&[1, 8, 0], RecordError::UnknownType(8)),
            (
                &[1, 5, 1, 0],
                RecordError::UnknownVersion {
                    kind: 5,
                    version: 1,
                },
            ),
            (
                &[1, 4, 0, 3, 0, 0, 0],
                RecordError::Invalid("resource_type"),
            ),
            (&[1, 7, 0, 1, 0xff, 2], RecordError::Invalid("utf-8")),
            (&[1, 7, 0, 0, 0x80, 0x80, 4], RecordError::Invalid("level")),
        ];
        for (bytes, error) in cases {
            assert_eq!(MetadataRecord::decode(bytes), Err(*error), "{bytes:?}");
        }
    }

    #[test]
    fn a_count_that_the_bytes_cannot_hold_reserves_nothing() {
        let huge = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1];
        for kind in [2u8, 6] {
            let bytes = [&[1, kind, 0], &[0; 18][..], &huge].concat();
            assert!(MetadataRecord::decode(&bytes).is_err(), "type {kind}");
        }
        let bytes = [&[1, 7, 0], &huge[..]].concat();
        assert_eq!(MetadataRecord::decode(&bytes), Err(RecordError::Truncated));
    }
}

mod image {
    use super::*;

    #[test]
    fn a_topic_is_found_by_name_and_by_id_until_it_is_removed() {
        let mut records = vec![topic(1, "a"), partition(1, 0), partition(1, 1)];
        records.push(config("a", "retention.ms", Some("5")));
        let (image, delta) = replay(&records);
        let found = image.topic_by_name("a").expect("topic a");
        assert_eq!(found.partitions.len(), 2);
        assert!(Arc::ptr_eq(found, image.topic(id(1)).expect("by id")));
        assert!(image.partition(of(1, 1)).is_some());
        assert!(image.partition(of(1, 2)).is_none());
        assert!(image.partition(of(1, -1)).is_none());
        let resource = ConfigResource::topic("a");
        assert_eq!(
            image.config(&resource).expect("config")["retention.ms"],
            "5"
        );
        assert_eq!(delta.topics_created, [id(1)].into());
        assert_eq!(delta.partitions_changed, [of(1, 0), of(1, 1)].into());

        let mut after = image.clone();
        let mut delta = MetadataDelta::default();
        after.apply(&remove(1), &mut delta).expect("removes");
        assert_eq!(after, MetadataImage::default());
        assert_eq!(delta.topics_deleted[&id(1)], *found);
        // The name is free for another topic, which inherits nothing.
        after.apply(&topic(2, "a"), &mut delta).expect("creates");
        assert!(after.config(&resource).is_none());
        // Who holds the old image sees no change.
        assert_eq!(image.topic_by_name("a").expect("still").topic_id, id(1));
    }

    #[test]
    fn a_topic_that_came_and_went_is_no_change() {
        let (_, delta) = replay(&[
            topic(1, "a"),
            partition(1, 0),
            config("a", "k", Some("v")),
            remove(1),
        ]);
        assert!(delta.is_empty(), "{delta:?}");
    }

    #[test]
    fn a_broker_start_bumps_the_epochs_of_what_it_leads_and_of_nothing_else() {
        let other = MetadataRecord::Partition(PartitionRecord {
            leader: 8,
            replicas: vec![8, 7],
            directories: vec![DirectoryId::UNASSIGNED; 2],
            ..partition_record(1, 1)
        });
        let records = [broker(7, 1), topic(1, "a"), partition(1, 0), other];
        let (mut image, _) = replay(&records);
        let mut delta = MetadataDelta::default();
        image.apply(&broker(7, 2), &mut delta).expect("restarts");
        image.apply(&broker(7, 3), &mut delta).expect("restarts");
        let led = image.partition(of(1, 0)).expect("led");
        assert_eq!((led.leader_epoch, led.partition_epoch), (2, 2));
        let not_led = image.partition(of(1, 1)).expect("not led");
        assert_eq!((not_led.leader_epoch, not_led.partition_epoch), (0, 0));
        assert_eq!(delta.partitions_changed, [of(1, 0)].into());
        assert_eq!(delta.brokers_changed, [7].into());
    }

    #[test]
    fn a_record_that_contradicts_the_image_is_an_error() {
        let exhausted = PartitionRecord {
            leader_epoch: i32::MAX,
            ..partition_record(1, 1)
        };
        let base = vec![
            topic(1, "a"),
            partition(1, 0),
            MetadataRecord::Partition(exhausted),
            producer_ids(1000),
            broker(9, 5),
        ];
        let stale = |leader_epoch, partition_epoch| {
            MetadataRecord::Partition(PartitionRecord {
                leader_epoch,
                partition_epoch,
                ..partition_record(1, 1)
            })
        };
        let cases = [
            topic(1, "b"),
            topic(2, "a"),
            partition(2, 0),
            partition(1, 3),
            partition(1, -1),
            partition(1, 0),
            stale(0, 1),
            remove(2),
            producer_ids(1000),
            broker(9, 5),
            broker(7, 1),
        ];
        for record in cases {
            let (mut image, mut delta) = replay(&base);
            let result = image.apply(&record, &mut delta);
            assert!(result.is_err(), "{record:?}");
        }
    }

    #[test]
    fn a_change_of_one_topic_shares_the_others() {
        let (before, _) = replay(&[topic(1, "a"), partition(1, 0), topic(2, "b")]);
        let mut after = before.clone();
        after
            .apply(&partition(2, 0), &mut MetadataDelta::default())
            .expect("fits");
        let same = |name| {
            let of = |image: &MetadataImage| image.topic_by_name(name).expect("there").clone();
            Arc::ptr_eq(&of(&before), &of(&after))
        };
        assert!(same("a") && !same("b"));
        assert!(before.topic_by_name("b").expect("b").partitions.is_empty());
    }

    /// Something that a controller may write next; numbers are taken modulo what there is.
    #[derive(Clone, Debug)]
    enum Change {
        Create(u8, u8),
        Remove(u8),
        Lead(u8, u8, i32),
        Config(u8, u8, bool),
        ProducerIds,
        Broker(i32),
        Feature(u8, i16),
    }

    fn change() -> impl Strategy<Value = Change> {
        prop_oneof![
            3 => (any::<u8>(), 1u8..4).prop_map(|(a, b)| Change::Create(a, b)),
            1 => any::<u8>().prop_map(Change::Remove),
            2 => (any::<u8>(), any::<u8>(), 7..9i32).prop_map(|(a, b, c)| Change::Lead(a, b, c)),
            2 => (any::<u8>(), 0u8..2, any::<bool>()).prop_map(|(a, b, c)| Change::Config(a, b, c)),
            1 => Just(Change::ProducerIds),
            1 => (7..9i32).prop_map(Change::Broker),
            1 => (0u8..2, 0..3i16).prop_map(|(a, b)| Change::Feature(a, b)),
        ]
    }

    fn records_of(change: &Change, image: &MetadataImage, step: usize) -> Vec<MetadataRecord> {
        let pick = |number: u8| {
            let count = image.topic_count();
            (count > 0).then(|| {
                image
                    .topics()
                    .nth(usize::from(number) % count)
                    .expect("one")
            })
        };
        match change {
            Change::Create(number, count) => {
                let name = format!("t{}", number % 8);
                if image.topic_by_name(&name).is_some() {
                    return Vec::new();
                }
                let number = step as u8;
                let mut records = vec![topic(number, &name)];
                records.extend((0..*count).map(|index| partition(number, index.into())));
                records
            }
            Change::Remove(number) => pick(*number).map_or(Vec::new(), |topic| {
                vec![MetadataRecord::RemoveTopic(RemoveTopicRecord {
                    topic_id: topic.topic_id,
                })]
            }),
            Change::Lead(number, index, leader) => pick(*number).map_or(Vec::new(), |topic| {
                let index = usize::from(*index) % topic.partitions.len();
                let known = &topic.partitions[index];
                vec![MetadataRecord::Partition(PartitionRecord {
                    topic_id: topic.topic_id,
                    partition: index as i32,
                    leader: *leader,
                    leader_epoch: known.leader_epoch + 1,
                    partition_epoch: known.partition_epoch + 1,
                    ..partition_record(0, 0)
                })]
            }),
            Change::Config(number, key, set) => pick(*number).map_or(Vec::new(), |topic| {
                let value = format!("v{step}");
                let value = set.then_some(value.as_str());
                vec![config(&topic.name, &format!("k{key}"), value)]
            }),
            Change::ProducerIds => vec![producer_ids(image.next_producer_id() + 1000)],
            Change::Broker(node) => vec![broker(*node, step as i64)],
            Change::Feature(name, level) => vec![feature(&format!("f{name}"), *level)],
        }
    }

    /// What differs between two images, found by comparing them.
    fn check_delta(before: &MetadataImage, after: &MetadataImage, delta: &MetadataDelta) {
        let ids = |image: &MetadataImage| -> BTreeMap<TopicId, Arc<TopicImage>> {
            image.topics().map(|t| (t.topic_id, t.clone())).collect()
        };
        let (old, new) = (ids(before), ids(after));
        let created = new.keys().filter(|id| !old.contains_key(id));
        assert!(created.eq(delta.topics_created.iter()));
        let deleted = old.keys().filter(|id| !new.contains_key(id));
        assert!(deleted.eq(delta.topics_deleted.keys()));
        for (id, topic) in &new {
            for (index, partition) in topic.partitions.iter().enumerate() {
                let of = TopicIdPartition {
                    topic_id: *id,
                    partition: index as i32,
                };
                let changed = before.partition(of) != Some(partition);
                assert_eq!(changed, delta.partitions_changed.contains(&of), "{of:?}");
            }
        }
        assert!(
            delta
                .partitions_changed
                .iter()
                .all(|&of| after.partition(of).is_some())
        );
    }

    proptest! {
        #[test]
        fn a_snapshot_replays_into_the_same_image_and_a_delta_tells_all(
            changes in proptest::collection::vec(change(), 1..80),
            delta_from in 0usize..80,
        ) {
            let mut image = MetadataImage::default();
            let mut before = image.clone();
            let mut delta = MetadataDelta::default();
            for (step, change) in changes.iter().enumerate() {
                if step == delta_from {
                    before = image.clone();
                    delta = MetadataDelta::default();
                }
                for record in records_of(change, &image, step + 1) {
                    let decoded = MetadataRecord::decode(&record.encode()).expect("decodes");
                    image.apply(&decoded, &mut delta).expect("fits");
                }
            }
            check_delta(&before, &image, &delta);
            let (replayed, _) = replay(&image.snapshot());
            prop_assert_eq!(replayed, image);
        }
    }
}

#[test]
fn partitions_spread_evenly_over_the_shards() {
    for shard_count in [1u16, 2, 3, 8] {
        let mut load = vec![0; usize::from(shard_count)];
        for partition in 0..24 {
            load[owner_shard(id(9), partition, shard_count).index()] += 1;
        }
        assert!(
            load.iter().all(|&count| count == 24 / shard_count),
            "{load:?}"
        );
    }
    let first: Vec<u16> = (1..=8).map(|n| owner_shard(id(n), 0, 4).0).collect();
    let shards: std::collections::BTreeSet<_> = first.iter().collect();
    assert!(
        shards.len() >= 3,
        "topics begin on different shards: {first:?}"
    );
}

#[test]
fn topic_names_are_judged_as_kafka_judges_them() {
    let long = "x".repeat(249);
    for good in ["a", "a.b_c-D9", "...", long.as_str(), "__consumer_offsets"] {
        assert_eq!(validate_topic_name(good), Ok(()), "{good}");
    }
    let too_long = "x".repeat(250);
    let bad = [
        ("", "Topic name is invalid: the empty string is not allowed"),
        (".", "Topic name is invalid: '.' is not allowed"),
        ("..", "Topic name is invalid: '..' is not allowed"),
        (
            "a/b",
            "Topic name is invalid: 'a/b' contains one or more characters other than ASCII \
             alphanumerics, '.', '_' and '-'",
        ),
    ];
    for (name, message) in bad {
        assert_eq!(validate_topic_name(name), Err(message.to_owned()));
    }
    for name in [too_long.as_str(), "é", "a b", "a\0", "a\n"] {
        assert!(validate_topic_name(name).is_err(), "{name:?}");
    }
    assert_eq!(collision_key("a.b"), collision_key("a_b"));
    assert_eq!(collision_key("ab"), None);
}

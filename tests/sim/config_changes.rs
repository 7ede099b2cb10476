//! A topic that enters class P: what readers are shown from the answer on survives a loss of power,
//! also what was written before.

use std::time::Duration;

use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{FetchRequest, ProduceRequest};
use ringlog::batch::{BatchBuilder, BatchIter, BatchOptions, CrcCheck};
use ringlog::client::{Admin, Client, ClientOptions, ConfigEdit, ConfigTarget, NewTopic};
use ringlog::io::Reactor;
use ringlog::io::sim::{MachineId, SimOptions, Simulation};
use ringlog::protocol::to_uuid;
use ringlog::types::TopicId;

use crate::frames::{Frames, start_broker};

const TOPIC: &str = "classes";
const SEEDS: u64 = 24;

/// Before the class changes; the writer goes on meanwhile.
const RECORD_COUNT: i64 = 20;

/// Of the writer, which is never done.
const WRITES_MAX: u32 = 100_000;

/// How much slower the disk is while the class changes: what is not waited for is not durable.
const DISK_SLOWNESS: u64 = 64;

fn edits(is_power_safe: bool) -> Vec<(String, ConfigEdit)> {
    let value = ConfigEdit::Set(is_power_safe.to_string());
    vec![("flush.before.ack".to_owned(), value)]
}

async fn admin(reactor: &Reactor) -> Admin {
    let options = ClientOptions::new("127.0.0.1:9092");
    Admin::new(&Client::connect(reactor, options).await.unwrap())
}

async fn create(admin: &Admin) -> TopicId {
    let topic = NewTopic {
        name: TOPIC.to_owned(),
        partition_count: Some(1),
        configs: [("flush.before.ack".to_owned(), "false".to_owned())].into(),
        ..NewTopic::default()
    };
    let created = admin.create_topics(&[topic], false).await;
    created.unwrap().remove(0).result.unwrap()
}

async fn write(frames: &mut Frames, topic_id: TopicId) {
    let mut builder = BatchBuilder::new(BatchOptions::default(), 100);
    builder.append(0, None, Some(b"value"), &[]);
    let data = PartitionProduceData::default().with_records(Some(builder.close()));
    let topic = TopicProduceData::default()
        .with_topic_id(to_uuid(topic_id))
        .with_partition_data(vec![data]);
    let request = ProduceRequest::default()
        .with_acks(-1)
        .with_timeout_ms(30_000)
        .with_topic_data(vec![topic]);
    let response = frames.call(13, &request).await;
    assert_eq!(response.responses[0].partition_responses[0].error_code, 0);
}

/// The end of what a reader is shown.
async fn shown_end(frames: &mut Frames, topic_id: TopicId) -> i64 {
    let partition = FetchPartition::default().with_partition_max_bytes(1 << 20);
    let topic = FetchTopic::default()
        .with_topic_id(to_uuid(topic_id))
        .with_partitions(vec![partition]);
    let request = FetchRequest::default()
        .with_max_bytes(1 << 20)
        .with_topics(vec![topic]);
    let response = frames.call(17, &request).await;
    let read = &response.responses[0].partitions[0];
    assert_eq!(read.error_code, 0);
    let records = read.records.clone().unwrap_or_default();
    let batches = BatchIter::new(&records, CrcCheck::Verify);
    batches.last().map_or(0, |batch| batch.last_offset() + 1)
}

#[test]
fn what_is_shown_in_class_p_is_durable_whatever_it_was_written_in() {
    for seed in 0..SEEDS {
        let sim = Simulation::new(SimOptions::with_seed(seed));
        let stop = start_broker(&sim, 2, &[]);
        let topic_id = sim.run(MachineId::FIRST, |reactor| async move {
            let admin = admin(&reactor).await;
            let topic_id = create(&admin).await;
            let mut frames = Frames::connect(&reactor).await;
            write(&mut frames, topic_id).await;
            topic_id
        });
        sim.set_disk_slowness(MachineId::FIRST, DISK_SLOWNESS);
        let shown = sim.run(MachineId::FIRST, |reactor| async move {
            let admin = admin(&reactor).await;
            let mut frames = Frames::connect(&reactor).await;
            let mut writing = Frames::connect(&reactor).await;
            let writer = async move {
                for _ in 0..WRITES_MAX {
                    write(&mut writing, topic_id).await;
                }
            };
            reactor.spawn(writer).detach();
            while shown_end(&mut frames, topic_id).await < RECORD_COUNT {
                reactor.sleep(Duration::from_micros(100)).await;
            }
            let target = ConfigTarget::Topic(TOPIC.to_owned());
            let altered = admin.alter_configs(&target, &edits(true), false).await;
            altered.unwrap();
            shown_end(&mut frames, topic_id).await
        });
        assert!(shown >= RECORD_COUNT, "seed {seed}");
        drop(stop);
        sim.power_cut(MachineId::FIRST);
        sim.set_disk_slowness(MachineId::FIRST, 1);
        let stop = start_broker(&sim, 2, &[]);
        let found = sim.run(MachineId::FIRST, |reactor| async move {
            let mut frames = Frames::connect(&reactor).await;
            shown_end(&mut frames, topic_id).await
        });
        assert!(found >= shown, "seed {seed}: {found} of {shown}");
        stop.set();
    }
}

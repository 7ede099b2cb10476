//! Where a request's time goes: 5 ms put into one stage show in that stage alone, as `/metrics`
//! tells it. The stages that only compute are missing: a poll of a task takes no virtual time.

use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreateTopicsRequest};
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{
    ApiVersionsRequest, FetchRequest, MetadataRequest, ProduceRequest, TopicName,
};
use kafka_protocol::protocol::StrBytes;
use ringlog::batch::{BatchBuilder, BatchOptions, NO_TIMESTAMP};
use ringlog::io::Reactor;
use ringlog::io::sim::{DiskFault, MachineId, SimOptions, Simulation};
use ringlog::metadata::owner_shard;
use ringlog::protocol::{from_uuid, to_uuid};
use ringlog::types::{ErrorCode, ShardId, TopicId};

use crate::frames::{Frames, scrape, start_broker};

/// What is put into one stage.
const INJECTED: Duration = Duration::from_millis(5);

/// Mean times of the stage that was hit, seconds, and of all others.
const HIT: std::ops::Range<f64> = 0.004_9..0.006_5;
const UNHIT_MAX: f64 = 0.001;

/// Requests whose times are averaged.
const REQUEST_COUNT: usize = 10;

pub(crate) const PRODUCE_VERSION: i16 = 13;
pub(crate) const FETCH_VERSION: i16 = 17;
const CREATE_VERSION: i16 = 7;
const METADATA_VERSION: i16 = 12;

const TOPIC: &str = "stages";

/// A client with a topic of which one partition is on its connection's shard, one on the other.
pub(crate) struct Client {
    pub(crate) frames: Frames,
    topic_id: TopicId,
    /// On shard 0, where the first connection is.
    pub(crate) near: i32,
    /// On the other shard, if there is one.
    far: i32,
}

impl Client {
    pub(crate) async fn connect(reactor: &Reactor, shard_count: u16) -> Client {
        let mut frames = Frames::connect(reactor).await;
        let topic_id = create(&mut frames, TOPIC, 8).await;
        Client::over(frames, topic_id, shard_count)
    }

    /// Another connection to the same topic.
    pub(crate) async fn connect_again(reactor: &Reactor, shard_count: u16) -> Client {
        let mut frames = Frames::connect(reactor).await;
        let request = MetadataRequest::default().with_topics(None);
        let response = frames.call(METADATA_VERSION, &request).await;
        let mut topics = response.topics.into_iter();
        let topic = topics.find(|topic| topic.name.as_ref().is_some_and(|n| n.as_str() == TOPIC));
        let topic_id = from_uuid(topic.expect("it was created").topic_id);
        Client::over(frames, topic_id, shard_count)
    }

    fn over(frames: Frames, topic_id: TopicId, shard_count: u16) -> Client {
        let on = |shard| (0..8).find(|&p| owner_shard(topic_id, p, shard_count) == ShardId(shard));
        Client {
            frames,
            topic_id,
            near: on(0).expect("one of eight is there"),
            far: on(shard_count - 1).expect("one of eight is there"),
        }
    }

    pub(crate) fn produce_request(&self, partition: i32, size: usize) -> ProduceRequest {
        let mut builder = BatchBuilder::new(BatchOptions::default(), size);
        builder.append(NO_TIMESTAMP, None, Some(&vec![7; size]), &[]);
        let data = PartitionProduceData::default()
            .with_index(partition)
            .with_records(Some(builder.close()));
        let topic = TopicProduceData::default()
            .with_topic_id(to_uuid(self.topic_id))
            .with_partition_data(vec![data]);
        ProduceRequest::default()
            .with_acks(-1)
            .with_timeout_ms(30_000)
            .with_topic_data(vec![topic])
    }

    pub(crate) async fn produce(&mut self, partition: i32, size: usize) {
        let request = self.produce_request(partition, size);
        let response = self.frames.call(PRODUCE_VERSION, &request).await;
        assert_eq!(response.responses[0].partition_responses[0].error_code, 0);
    }

    /// [`Client::produce`] that may be refused.
    pub(crate) async fn try_produce(&mut self, partition: i32, size: usize) -> ErrorCode {
        let request = self.produce_request(partition, size);
        let response = self.frames.call(PRODUCE_VERSION, &request).await;
        ErrorCode::from_code(response.responses[0].partition_responses[0].error_code)
    }

    /// What a read of the partition's beginning gives: the error, and whether there are records.
    pub(crate) async fn try_fetch(&mut self, partition: i32) -> (ErrorCode, bool) {
        let request = self.fetch_request_of(partition, 0, Duration::ZERO);
        let response = self.frames.call(FETCH_VERSION, &request).await;
        let read = &response.responses[0].partitions[0];
        let has_records = read.records.as_ref().is_some_and(|bytes| !bytes.is_empty());
        (ErrorCode::from_code(read.error_code), has_records)
    }

    /// The partitions of the topic that have no leader, as clients are told.
    pub(crate) async fn leaderless(&mut self) -> Vec<i32> {
        let request = MetadataRequest::default().with_topics(None);
        let response = self.frames.call(METADATA_VERSION, &request).await;
        let id = to_uuid(self.topic_id);
        let topic = response
            .topics
            .into_iter()
            .find(|topic| topic.topic_id == id);
        let partitions = topic.expect("it is there").partitions.into_iter();
        let leaderless = partitions.filter(|partition| partition.leader_id.0 == -1);
        let mut indexes: Vec<i32> = leaderless
            .map(|partition| partition.partition_index)
            .collect();
        indexes.sort_unstable();
        indexes
    }

    /// Sends a record without waiting for the answer.
    pub(crate) async fn send_produce(&mut self, partition: i32, size: usize) {
        let request = self.produce_request(partition, size);
        self.frames.send(PRODUCE_VERSION, &request).await;
    }

    /// The answer to a record that was sent.
    pub(crate) async fn produced(&mut self) -> ErrorCode {
        let answer = self.frames.receive::<ProduceRequest>(PRODUCE_VERSION).await;
        let answer = answer.expect("an answer");
        ErrorCode::from_code(answer.responses[0].partition_responses[0].error_code)
    }

    /// The shard that owns a partition of the topic.
    pub(crate) fn owner(&self, partition: i32, shard_count: u16) -> ShardId {
        owner_shard(self.topic_id, partition, shard_count)
    }

    pub(crate) fn fetch_request(&self, offset: i64, wait: Duration) -> FetchRequest {
        self.fetch_request_of(self.near, offset, wait)
    }

    fn fetch_request_of(&self, partition: i32, offset: i64, wait: Duration) -> FetchRequest {
        let partition = FetchPartition::default()
            .with_partition(partition)
            .with_fetch_offset(offset)
            .with_partition_max_bytes(1 << 20);
        let topic = FetchTopic::default()
            .with_topic_id(to_uuid(self.topic_id))
            .with_partitions(vec![partition]);
        FetchRequest::default()
            .with_max_wait_ms(wait.as_millis() as i32)
            .with_min_bytes(1)
            .with_max_bytes(1 << 20)
            .with_topics(vec![topic])
    }
}

async fn create(frames: &mut Frames, name: &str, partitions: i32) -> TopicId {
    let topic = CreatableTopic::default()
        .with_name(TopicName(StrBytes::from_string(name.to_owned())))
        .with_num_partitions(partitions)
        .with_replication_factor(1);
    let request = CreateTopicsRequest::default().with_topics(vec![topic]);
    let response = frames.call(CREATE_VERSION, &request).await;
    assert_eq!(response.topics[0].error_code, 0);
    from_uuid(response.topics[0].topic_id)
}

/// Lets a client warm a broker up, injects, lets it go on; in the second part exactly these
/// stages have the time.
fn check_all<F: Future<Output = ()> + 'static>(
    (shard_count, settings): (u16, &[&str]),
    inject: impl FnOnce(&Simulation),
    hits: &[(&str, &str)],
    act: impl FnOnce(Reactor, Client) -> F + 'static,
) {
    let sim = Simulation::new(SimOptions::with_seed(5));
    start_broker(&sim, shard_count.into(), settings);
    let client = sim.run(MachineId::FIRST, move |reactor| async move {
        let mut client = Client::connect(&reactor, shard_count).await;
        // Files are there and have their zeros ahead.
        for _ in 0..20 {
            client.produce(client.near, 4000).await;
            client.produce(client.far, 4000).await;
        }
        let ids = (client.topic_id, client.near, client.far);
        (ids, scrape(&reactor).await)
    });
    let ((topic_id, near, far), before) = client;
    // The first connection has gone before the second comes.
    sim.run_for(Duration::from_millis(100));
    inject(&sim);
    let after = sim.run(MachineId::FIRST, move |reactor| async move {
        let frames = Frames::connect(&reactor).await;
        let client = Client {
            frames,
            topic_id,
            near,
            far,
        };
        act(reactor.clone(), client).await;
        scrape(&reactor).await
    });
    let mut found = Vec::new();
    let name = |suffix| format!("ringlog_stage_time_seconds_{suffix}");
    for api in after.values_of(&name("count"), "api") {
        for stage in after.values_of(&name("count"), "stage") {
            let labels = [("api", api), ("stage", stage)];
            let of =
                |suffix| after.sum(&name(suffix), &labels) - before.sum(&name(suffix), &labels);
            let mean = of("sum") / of("count").max(1.0);
            if mean > UNHIT_MAX {
                assert!(HIT.contains(&mean), "{api} {stage}: {mean} s");
                found.push((api, stage));
            }
        }
    }
    assert_eq!(found, hits);
}

fn check<F: Future<Output = ()> + 'static>(
    broker: (u16, &[&str]),
    inject: impl FnOnce(&Simulation),
    hit: Option<(&str, &str)>,
    act: impl FnOnce(Reactor, Client) -> F + 'static,
) {
    check_all(broker, inject, hit.as_slice(), act);
}

const TWO_SHARDS: (u16, &[&str]) = (2, &[]);

async fn produce_near(_reactor: Reactor, mut client: Client) {
    for _ in 0..REQUEST_COUNT {
        client.produce(client.near, 4000).await;
    }
}

#[test]
fn nothing_injected_shows_nowhere() {
    check(TWO_SHARDS, |_| (), None, produce_near);
}

#[test]
fn a_slow_write() {
    let inject = |sim: &Simulation| sim.delay_disk(MachineId::FIRST, DiskFault::Write, INJECTED);
    check(TWO_SHARDS, inject, Some(("Produce", "write")), produce_near);
}

#[test]
fn a_slow_flush() {
    let inject = |sim: &Simulation| sim.delay_disk(MachineId::FIRST, DiskFault::Flush, INJECTED);
    check(TWO_SHARDS, inject, Some(("Produce", "flush")), produce_near);
}

#[test]
fn a_slow_way_to_the_owner() {
    let inject = |sim: &Simulation| sim.delay_mesh(ShardId(0), ShardId(1), INJECTED);
    let hit = Some(("Produce", "enqueue"));
    check(TWO_SHARDS, inject, hit, |_, mut client| async move {
        for _ in 0..REQUEST_COUNT {
            client.produce(client.far, 4000).await;
        }
    });
}

#[test]
fn a_slow_read_of_the_disk() {
    let inject = |sim: &Simulation| sim.delay_disk(MachineId::FIRST, DiskFault::Read, INJECTED);
    let hit = Some(("Fetch", "read_disk"));
    let settings: (u16, &[&str]) = (2, &["shard.tail.cache.bytes=0"]);
    check(settings, inject, hit, |_, mut client| async move {
        for offset in 0..REQUEST_COUNT {
            let request = client.fetch_request(offset as i64, Duration::ZERO);
            let response = client.frames.call(FETCH_VERSION, &request).await;
            let records = &response.responses[0].partitions[0].records;
            assert!(records.as_ref().is_some_and(|records| !records.is_empty()));
        }
    });
}

#[test]
fn a_wait_for_records() {
    let hit = Some(("Fetch", "wait_records"));
    check(
        TWO_SHARDS,
        |_| (),
        hit,
        |_, mut client| async move {
            for _ in 0..REQUEST_COUNT {
                let request = client.fetch_request(20, INJECTED);
                client.frames.call(FETCH_VERSION, &request).await;
            }
        },
    );
}

#[test]
fn a_slow_flush_of_the_metadata() {
    let inject = |sim: &Simulation| sim.delay_disk(MachineId::FIRST, DiskFault::Flush, INJECTED);
    let hit = Some(("InitProducerId", "handle"));
    check(TWO_SHARDS, inject, hit, |_, mut client| async move {
        let request =
            kafka_protocol::messages::InitProducerIdRequest::default().with_transactional_id(None);
        let response = client.frames.call(5, &request).await;
        assert_eq!(response.error_code, 0);
    });
}

#[test]
fn a_request_that_arrives_in_two_halves() {
    let hit = Some(("Produce", "read_frame"));
    check(
        TWO_SHARDS,
        |_| (),
        hit,
        |reactor, mut client| async move {
            for _ in 0..REQUEST_COUNT {
                let request = client.produce_request(client.near, 4000);
                let frame = client.frames.frame(PRODUCE_VERSION, &request);
                let (first, rest) = (frame.slice(..100), frame.slice(100..));
                client.frames.writer.send(&[first]).await.unwrap();
                reactor.sleep(INJECTED).await;
                client.frames.writer.send(&[rest]).await.unwrap();
                let response = client
                    .frames
                    .receive::<ProduceRequest>(PRODUCE_VERSION)
                    .await;
                assert!(response.is_some());
            }
        },
    );
}

#[test]
fn memory_that_another_connection_has() {
    let settings: (u16, &[&str]) = (
        1,
        &[
            "shard.request.memory.bytes=1048576",
            "socket.request.max.bytes=1048576",
        ],
    );
    let hit = Some(("ApiVersions", "admit"));
    check(
        settings,
        |_| (),
        hit,
        |reactor, mut client| async move {
            for _ in 0..REQUEST_COUNT {
                let mut greedy = Frames::connect(&reactor).await;
                let promise = Bytes::copy_from_slice(&1_048_576i32.to_be_bytes());
                greedy.writer.send(&[promise]).await.unwrap();
                reactor.sleep(Duration::from_millis(1)).await;
                client.frames.send(0, &ApiVersionsRequest::default()).await;
                reactor.sleep(INJECTED).await;
                drop(greedy);
                let answer = client.frames.receive::<ApiVersionsRequest>(0).await;
                assert!(answer.is_some());
            }
        },
    );
}

#[test]
fn an_answer_behind_a_slower_one() {
    // The slower one is a produce, whose own time is that of its flush.
    let hits = [("ApiVersions", "reply_queue"), ("Produce", "flush")];
    let inject = |sim: &Simulation| sim.delay_disk(MachineId::FIRST, DiskFault::Flush, INJECTED);
    check_all(TWO_SHARDS, inject, &hits, |_, mut client| async move {
        for _ in 0..REQUEST_COUNT {
            let request = client.produce_request(client.near, 4000);
            client.frames.send(PRODUCE_VERSION, &request).await;
            client.frames.send(0, &ApiVersionsRequest::default()).await;
            assert!(client.frames.receive_frame().await.is_some());
            assert!(client.frames.receive_frame().await.is_some());
        }
    });
}

#[test]
fn a_client_that_reads_late() {
    let hit = Some(("Fetch", "send"));
    check(
        TWO_SHARDS,
        |_| (),
        hit,
        |reactor, mut client| async move {
            client.produce(client.near, 900_000).await;
            for _ in 0..REQUEST_COUNT {
                let request = client.fetch_request(20, Duration::ZERO);
                client.frames.send(FETCH_VERSION, &request).await;
                reactor.sleep(INJECTED).await;
                let answer = client.frames.receive_frame().await;
                assert!(answer.is_some_and(|answer| answer.len() > 900_000));
            }
        },
    );
}

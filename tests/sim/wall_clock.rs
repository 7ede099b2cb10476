//! The clock on the broker's wall jumps, forwards and back: what waits does not notice, append
//! times are what it says and lookups by them exact, and retention counts by it and by nothing
//! else.

use std::ops::ControlFlow;
use std::rc::Rc;
use std::time::Duration;

use kafka_protocol::messages::FetchRequest;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use ringlog::batch::Decompressor;
use ringlog::client::{
    Admin, Client, ClientOptions, FetchOptions, Fetcher, NewTopic, OffsetSpec, Producer,
    ProducerOptions, ProducerRecord, StartOffset, TopicProducer,
};
use ringlog::io::Reactor;
use ringlog::io::sim::{MachineId, SimOptions, Simulation};
use ringlog::protocol::to_uuid;
use ringlog::types::{Offset, Timestamp, TopicId};

use crate::frames::{Frames, start_broker};

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;

const TOPIC: &str = "clock";
const FETCH_VERSION: i16 = 17;

/// How often retention looks; virtual time.
const RETENTION_CHECK: Duration = Duration::from_secs(1);

/// Runs `body` beside a broker whose wall clock it moves.
fn with_broker<F: Future<Output = ()> + 'static>(
    seed: u64,
    body: impl FnOnce(Reactor, Rc<Simulation>) -> F + 'static,
) {
    let sim = Rc::new(Simulation::new(SimOptions::with_seed(seed)));
    let stop = start_broker(&sim, 2, &["log.retention.check.interval.ms=1000"]);
    let world = Rc::clone(&sim);
    sim.run(MachineId::FIRST, |reactor| body(reactor, world));
    stop.set();
}

async fn connect(reactor: &Reactor) -> Client {
    let options = ClientOptions::new("127.0.0.1:9092");
    Client::connect(reactor, options).await.expect("it serves")
}

async fn create(client: &Client, configs: &[(&str, &str)]) -> TopicId {
    let configs = configs
        .iter()
        .map(|&(key, value)| (key.to_owned(), value.to_owned()));
    let topic = NewTopic {
        name: TOPIC.to_owned(),
        partition_count: Some(1),
        replication_factor: Some(1),
        configs: configs.collect(),
    };
    let mut created = Admin::new(client)
        .create_topics(&[topic], false)
        .await
        .unwrap();
    created.remove(0).result.unwrap()
}

async fn open(client: &Client) -> TopicProducer {
    let producer = Producer::new(client, ProducerOptions::default()).unwrap();
    producer.topic(TOPIC).await.unwrap()
}

/// Appends a record with this timestamp.
async fn send(producer: &TopicProducer, timestamp: Timestamp) {
    let record = ProducerRecord {
        value: Some(b"x"),
        timestamp: Some(timestamp),
        ..ProducerRecord::default()
    };
    let delivery = producer.send(&record).await.unwrap();
    delivery.wait().await.unwrap();
}

async fn offset(client: &Client, spec: OffsetSpec) -> Option<Offset> {
    let listed = Admin::new(client).list_offsets(TOPIC, &[(0, spec)]).await;
    listed.unwrap().remove(0)
}

/// The timestamps of all records.
async fn timestamps(client: &Client) -> Vec<Timestamp> {
    let end = offset(client, OffsetSpec::Latest).await.unwrap();
    let fetcher = Fetcher::new(client, FetchOptions::default());
    let start = StartOffset::Earliest;
    let mut position = fetcher.assign(TOPIC, 0, start).await.unwrap();
    let mut all = Vec::new();
    while position < end {
        let fetched = fetcher.next().await.unwrap();
        let read = fetched.for_each_record(&mut Decompressor::new(), |record| {
            all.push(record.timestamp);
            ControlFlow::Continue(())
        });
        read.unwrap();
        position = fetched.next_offset;
    }
    all
}

#[test]
fn append_times_are_what_the_wall_says_and_lookups_exact() {
    for seed in 0..4 {
        with_broker(seed, |reactor, world| async move {
            let client = connect(&reactor).await;
            let configs = [("message.timestamp.type", "LogAppendTime")];
            create(&client, &configs).await;
            let producer = open(&client).await;
            let mut expected = Vec::new();
            for jump in [
                0,
                DAY_MS,
                -3 * DAY_MS,
                0,
                HOUR_MS,
                2 * DAY_MS,
                -1,
                1,
                -DAY_MS,
            ] {
                world.jump_wall_clock(MachineId::FIRST, jump);
                let before = reactor.wall_clock();
                send(&producer, 5).await;
                expected.push(before..=reactor.wall_clock());
            }
            let stored = timestamps(&client).await;
            assert_eq!(stored.len(), expected.len());
            for (stored, expected) in stored.iter().zip(&expected) {
                assert!(expected.contains(stored), "{stored} is not in {expected:?}");
            }
            // The first record that is not earlier, however the times go up and down.
            for time in stored.iter().flat_map(|&time| [time - 1, time, time + 1]) {
                let first = stored.iter().position(|&stored| stored >= time);
                let found = offset(&client, OffsetSpec::Timestamp(time)).await;
                assert_eq!(found, first.map(|index| index as Offset), "{time}");
            }
            let latest = *stored.iter().max().unwrap();
            let first = stored.iter().position(|&stored| stored == latest);
            let found = offset(&client, OffsetSpec::MaxTimestamp).await;
            assert_eq!(found, first.map(|index| index as Offset));
        });
    }
}

#[test]
fn a_fetch_waits_for_its_time_whatever_the_wall_says() {
    for (seed, jump) in [(0, DAY_MS), (1, -DAY_MS), (2, 1000), (3, -1000)] {
        with_broker(seed, move |reactor, world| async move {
            let client = connect(&reactor).await;
            let topic_id = create(&client, &[]).await;
            let mut frames = Frames::connect(&reactor).await;
            let wait = Duration::from_secs(2);
            let topic = FetchTopic::default()
                .with_topic_id(to_uuid(topic_id))
                .with_partitions(vec![
                    FetchPartition::default().with_partition_max_bytes(1 << 20),
                ]);
            let request = FetchRequest::default()
                .with_max_wait_ms(wait.as_millis() as i32)
                .with_min_bytes(1)
                .with_max_bytes(1 << 20)
                .with_topics(vec![topic]);
            let began = reactor.now();
            frames.send(FETCH_VERSION, &request).await;
            reactor.sleep(wait / 4).await;
            world.jump_wall_clock(MachineId::FIRST, jump);
            let answer = frames.receive::<FetchRequest>(FETCH_VERSION).await;
            assert_eq!(answer.expect("it is answered").error_code, 0);
            let waited = reactor.now().since(began);
            // Virtual time: nothing but the wait takes any to speak of.
            assert!(waited >= wait && waited < wait + wait / 4, "{waited:?}");
        });
    }
}

#[test]
fn retention_counts_by_the_wall_and_a_jump_back_deletes_nothing() {
    for seed in 0..4 {
        with_broker(seed, |reactor, world| async move {
            let client = connect(&reactor).await;
            let retention = HOUR_MS.to_string();
            let configs = [
                ("retention.ms", retention.as_str()),
                ("message.timestamp.after.max.ms", "9223372036854775807"),
            ];
            create(&client, &configs).await;
            let producer = open(&client).await;
            for _ in 0..5 {
                send(&producer, reactor.wall_clock()).await;
            }
            let start = || offset(&client, OffsetSpec::Earliest);
            let some_rounds = || reactor.sleep(RETENTION_CHECK * 40);
            some_rounds().await;
            assert_eq!(start().await, Some(0));
            // A year back, where its records are of the future, and home again.
            for jump in [-365 * DAY_MS, 365 * DAY_MS] {
                world.jump_wall_clock(MachineId::FIRST, jump);
                some_rounds().await;
                assert_eq!(start().await, Some(0), "after {jump} ms");
            }
            // To the end of what a clock can say, and back before anybody looks.
            let far = i64::MAX / 4;
            world.jump_wall_clock(MachineId::FIRST, far);
            world.jump_wall_clock(MachineId::FIRST, -far);
            some_rounds().await;
            assert_eq!(start().await, Some(0));
            // Who sets the clock two hours ahead has records that are two hours old.
            world.jump_wall_clock(MachineId::FIRST, 2 * HOUR_MS);
            some_rounds().await;
            assert_eq!(start().await, Some(5));
            send(&producer, reactor.wall_clock()).await;
            assert_eq!(offset(&client, OffsetSpec::Latest).await, Some(6));
            some_rounds().await;
            assert_eq!(start().await, Some(5));
        });
    }
}

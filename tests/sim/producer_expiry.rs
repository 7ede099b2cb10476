//! `producer.id.expiration.ms`: a silent producer is forgotten, one that lives is not, whatever its
//! timestamps and the clock on the wall say, and a start forgets nobody.

use std::rc::Rc;
use std::time::Duration;

use kafka_protocol::messages::describe_producers_request::TopicRequest;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{
    DescribeProducersRequest, InitProducerIdRequest, ProduceRequest, TopicName,
};
use kafka_protocol::protocol::StrBytes;
use ringlog::batch::{BatchBuilder, BatchOptions, Producer};
use ringlog::client::{Admin, Client, ClientOptions, ConfigEdit, ConfigTarget, NewTopic};
use ringlog::io::Reactor;
use ringlog::io::sim::{MachineId, SimOptions, Simulation};
use ringlog::types::{ErrorCode, Timestamp};

use crate::frames::{Frames, scrape, start_broker};

const TOPIC: &str = "producers";

const EXPIRATION: Duration = Duration::from_secs(120);
const HOUR_MS: i64 = 3_600_000;
const YEAR_MS: i64 = 365 * 24 * HOUR_MS;
/// Between two looks of the broker, twice: by then it has seen what is to be seen.
const LOOKS: Duration = Duration::from_secs(20);

const SETTINGS: &[&str] = &[
    "producer.id.expiration.ms=120000",
    "producer.id.expiration.check.interval.ms=10000",
    "log.retention.ms=-1",
    // Connections are silent for as long.
    "connections.max.idle.ms=-1",
];

/// A producer of one partition, frame by frame.
struct Writer {
    frames: Frames,
    producer_id: i64,
}

impl Writer {
    async fn new(reactor: &Reactor) -> Writer {
        let mut frames = Frames::connect(reactor).await;
        let request = InitProducerIdRequest::default().with_transactional_id(None);
        let response = frames.call(4, &request).await;
        assert_eq!(response.error_code, 0);
        Writer {
            frames,
            producer_id: response.producer_id.0,
        }
    }

    /// Appends a record, or tries to again; its offset.
    async fn write(&mut self, sequence: i32, timestamp: Timestamp) -> i64 {
        let options = BatchOptions {
            producer: Some(Producer {
                id: self.producer_id,
                epoch: 0,
                base_sequence: sequence,
            }),
            ..BatchOptions::default()
        };
        let mut builder = BatchBuilder::new(options, 100);
        builder.append(timestamp, None, Some(b"value"), &[]);
        let data = PartitionProduceData::default().with_records(Some(builder.close()));
        let topic = TopicProduceData::default()
            .with_name(topic_name())
            .with_partition_data(vec![data]);
        let request = ProduceRequest::default()
            .with_acks(-1)
            .with_timeout_ms(30_000)
            .with_topic_data(vec![topic]);
        let response = self.frames.call(9, &request).await;
        let answer = &response.responses[0].partition_responses[0];
        assert_eq!(ErrorCode::from_code(answer.error_code), ErrorCode::None);
        answer.base_offset
    }

    async fn known_producers(&mut self) -> Vec<i64> {
        let topic = TopicRequest::default()
            .with_name(topic_name())
            .with_partition_indexes(vec![0]);
        let request = DescribeProducersRequest::default().with_topics(vec![topic]);
        let response = self.frames.call(0, &request).await;
        let partition = &response.topics[0].partitions[0];
        assert_eq!(partition.error_code, 0);
        let producers = partition.active_producers.iter();
        producers.map(|producer| producer.producer_id.0).collect()
    }
}

fn topic_name() -> TopicName {
    TopicName(StrBytes::from_static_str(TOPIC))
}

async fn connect(reactor: &Reactor) -> Client {
    let options = ClientOptions::new("127.0.0.1:9092");
    Client::connect(reactor, options).await.expect("it serves")
}

async fn create(reactor: &Reactor) -> Writer {
    let client = connect(reactor).await;
    let topic = NewTopic {
        name: TOPIC.to_owned(),
        partition_count: Some(1),
        replication_factor: Some(1),
        ..NewTopic::default()
    };
    let created = Admin::new(&client).create_topics(&[topic], false).await;
    created.unwrap().remove(0).result.unwrap();
    Writer::new(reactor).await
}

fn with_broker<F: Future<Output = ()> + 'static>(
    seed: u64,
    body: impl FnOnce(Reactor, Rc<Simulation>) -> F + 'static,
) {
    let sim = Rc::new(Simulation::new(SimOptions::with_seed(seed)));
    let stop = start_broker(&sim, 2, SETTINGS);
    let world = Rc::clone(&sim);
    sim.run(MachineId::FIRST, |reactor| body(reactor, world));
    stop.set();
}

#[test]
fn the_silent_are_forgotten_in_time_and_not_before() {
    for seed in 0..4 {
        with_broker(seed, |reactor, _| async move {
            let mut writer = create(&reactor).await;
            assert_eq!(writer.write(0, reactor.wall_clock()).await, 0);
            reactor.sleep(EXPIRATION - LOOKS).await;
            assert_eq!(writer.known_producers().await, [writer.producer_id]);
            assert_eq!(writer.write(0, reactor.wall_clock()).await, 0);
            // A retry is no sign of life: nothing was appended.
            reactor.sleep(LOOKS * 3).await;
            assert!(writer.known_producers().await.is_empty());
            let page = scrape(&reactor).await;
            assert_eq!(page.sum("ringlog_producers_forgotten_total", &[]), 1.0);
            // Whoever is not known may begin anywhere.
            assert_eq!(writer.write(9, reactor.wall_clock()).await, 1);
            assert_eq!(writer.write(9, reactor.wall_clock()).await, 1);
        });
    }
}

#[test]
fn who_writes_records_of_last_year_is_not_silent() {
    for seed in 0..4 {
        with_broker(seed, |reactor, _| async move {
            let mut writer = create(&reactor).await;
            let last_year = reactor.wall_clock() - YEAR_MS;
            for sequence in 0..5 {
                let offset = i64::from(sequence);
                assert_eq!(writer.write(sequence, last_year).await, offset);
                reactor.sleep(EXPIRATION / 2).await;
                assert_eq!(writer.write(sequence, last_year).await, offset);
            }
            reactor.sleep(EXPIRATION).await;
            assert!(writer.known_producers().await.is_empty());
        });
    }
}

#[test]
fn a_clock_that_jumps_forgets_nobody() {
    for seed in 0..4 {
        with_broker(seed, |reactor, world| async move {
            let mut writer = create(&reactor).await;
            assert_eq!(writer.write(0, reactor.wall_clock()).await, 0);
            world.jump_wall_clock(MachineId::FIRST, YEAR_MS);
            reactor.sleep(LOOKS * 2).await;
            assert_eq!(writer.write(0, reactor.wall_clock()).await, 0);
            // Two years back its records are of the future: until then it is known.
            world.jump_wall_clock(MachineId::FIRST, -2 * YEAR_MS);
            reactor.sleep(EXPIRATION * 2).await;
            assert_eq!(writer.write(0, reactor.wall_clock()).await, 0);
            world.jump_wall_clock(MachineId::FIRST, YEAR_MS);
            reactor.sleep(LOOKS).await;
            assert!(writer.known_producers().await.is_empty());
        });
    }
}

#[test]
fn a_retry_after_a_crash_finds_its_first_try_whatever_its_timestamp() {
    for seed in 0..8 {
        let sim = Simulation::new(SimOptions::with_seed(seed));
        let stop = start_broker(&sim, 2, SETTINGS);
        let producer_id = sim.run(MachineId::FIRST, |reactor| async move {
            let mut writer = create(&reactor).await;
            let last_year = reactor.wall_clock() - YEAR_MS;
            for sequence in 0..3 {
                assert_eq!(writer.write(sequence, last_year).await, i64::from(sequence));
            }
            writer.producer_id
        });
        drop(stop);
        sim.power_cut(MachineId::FIRST);
        let stop = start_broker(&sim, 2, SETTINGS);
        sim.run(MachineId::FIRST, |reactor| async move {
            let mut writer = Writer {
                frames: Frames::connect(&reactor).await,
                producer_id,
            };
            let last_year = reactor.wall_clock() - YEAR_MS;
            reactor.sleep(LOOKS * 2).await;
            assert_eq!(writer.write(2, last_year).await, 2, "seed {seed}");
            assert_eq!(writer.write(3, last_year).await, 3, "seed {seed}");
            reactor.sleep(EXPIRATION + LOOKS * 2).await;
            assert!(writer.known_producers().await.is_empty());
        });
        stop.set();
    }
}

#[test]
fn the_time_can_be_changed_while_the_broker_runs() {
    with_broker(0, |reactor, _| async move {
        let mut writer = create(&reactor).await;
        assert_eq!(writer.write(0, reactor.wall_clock()).await, 0);
        reactor.sleep(EXPIRATION / 2).await;
        set_expiration(&reactor, "30000").await;
        reactor.sleep(LOOKS).await;
        assert!(writer.known_producers().await.is_empty());
    });
}

async fn set_expiration(reactor: &Reactor, value: &str) {
    let client = connect(reactor).await;
    let edits = [(
        "producer.id.expiration.ms".to_owned(),
        ConfigEdit::Set(value.to_owned()),
    )];
    let altered = Admin::new(&client)
        .alter_configs(&ConfigTarget::AllBrokers, &edits, false)
        .await;
    altered.unwrap();
}

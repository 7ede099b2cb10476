//! What a broker keeps of readers that have gone: nothing.

use std::time::Duration;

use ringlog::client::{
    Admin, Client, ClientOptions, FetchOptions, Fetcher, NewTopic, Producer, ProducerOptions,
    ProducerRecord, StartOffset,
};
use ringlog::io::Reactor;
use ringlog::io::sim::{MachineId, SimOptions, Simulation};

use crate::frames::{scrape, start_broker};

const TOPIC: &str = "sessions";
const PARTITION_COUNT: i32 = 4;

/// Longer than a poll that finds nothing, and the end of a session behind it.
const A_WHILE: Duration = Duration::from_secs(5);

async fn kept(reactor: &Reactor) -> f64 {
    scrape(reactor).await.sum("ringlog_fetch_sessions", &[])
}

/// Reads until a session is there: the first poll opens one, those behind it are of it.
async fn read(reactor: &Reactor, client: &Client) -> Fetcher {
    let fetcher = Fetcher::new(client, FetchOptions::default());
    for partition in 0..PARTITION_COUNT {
        let start = StartOffset::Earliest;
        fetcher.assign(TOPIC, partition, start).await.unwrap();
    }
    let fetched = fetcher.next().await.unwrap();
    assert_eq!(fetched.fetch_offset, 0);
    reactor.sleep(A_WHILE).await;
    assert_eq!(kept(reactor).await, 1.0);
    fetcher
}

#[test]
fn a_reader_that_stops_takes_its_session_with_it() {
    for seed in 0..8 {
        let sim = Simulation::new(SimOptions::with_seed(seed));
        let stop = start_broker(&sim, 2, &[]);
        sim.run(MachineId::FIRST, |reactor| async move {
            let options = ClientOptions::new("127.0.0.1:9092");
            let client = Client::connect(&reactor, options).await.unwrap();
            let topic = NewTopic {
                name: TOPIC.to_owned(),
                partition_count: Some(PARTITION_COUNT),
                ..NewTopic::default()
            };
            let created = Admin::new(&client).create_topics(&[topic], false).await;
            created.unwrap().remove(0).result.unwrap();
            let producer = Producer::new(&client, ProducerOptions::default()).unwrap();
            let topic = producer.topic(TOPIC).await.unwrap();
            let record = ProducerRecord {
                value: Some(b"value"),
                ..ProducerRecord::default()
            };
            topic.send(&record).await.unwrap().wait().await.unwrap();
            // At any moment of a poll.
            let fetcher = read(&reactor, &client).await;
            reactor.sleep(Duration::from_millis(seed * 77)).await;
            fetcher.close().await;
            assert_eq!(kept(&reactor).await, 0.0, "seed {seed}, closed");
            let fetcher = read(&reactor, &client).await;
            reactor.sleep(Duration::from_millis(seed * 77)).await;
            drop(fetcher);
            reactor.sleep(A_WHILE).await;
            assert_eq!(kept(&reactor).await, 0.0, "seed {seed}, dropped");
        });
        stop.set();
    }
}

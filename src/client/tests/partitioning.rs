//! Where records without a key go when some partitions take less than others (KIP-794).

use std::time::Duration;

use super::scripted_broker::{Broker, TOPIC, client, with_two_nodes};
use crate::client::{Producer, ProducerOptions, ProducerRecord};
use crate::io::Reactor;

/// Partitions: the even ones are led by a node that answers, the odd ones by one that does not.
const PARTITION_COUNT: i32 = 4;

/// Records of a run.
const RECORD_COUNT: usize = 400;

/// The node that holds back takes so many requests before it takes none: the client's limit.
const IN_FLIGHT_MAX: usize = 5;

/// How many records are put into partitions of the node that answers and of the one that does not.
/// Each record is a batch, and has a moment to be sent.
fn spread(seed: u64, options: ProducerOptions) -> [usize; 2] {
    with_two_nodes(seed, PARTITION_COUNT, |reactor, broker| async move {
        broker.state.borrow_mut().is_other_holding = true;
        produce(&reactor, options).await;
        broker.release();
        counts(&broker)
    })
}

async fn produce(reactor: &Reactor, options: ProducerOptions) {
    let producer = Producer::new(&client(reactor).await, options).unwrap();
    let topic = producer.topic(TOPIC).await.unwrap();
    for _ in 0..RECORD_COUNT {
        let record = ProducerRecord {
            value: Some(b"value"),
            ..ProducerRecord::default()
        };
        topic.send(&record).await.unwrap();
        reactor.sleep(Duration::from_millis(1)).await;
    }
}

/// By node, of the batches that have come in. What the other node holds has not.
fn counts(broker: &Broker) -> [usize; 2] {
    let state = broker.state.borrow();
    let even = state.seen.iter().filter(|seen| seen.partition % 2 == 0);
    let taken = even.count();
    [taken, RECORD_COUNT - taken]
}

fn options() -> ProducerOptions {
    ProducerOptions {
        // Less than a record takes.
        batch_size: 1,
        linger: Duration::ZERO,
        ..ProducerOptions::default()
    }
}

#[test]
fn the_longer_a_queue_is_the_less_is_put_into_it() {
    for seed in 0..8 {
        let [quick, slow] = spread(seed, options());
        // The queues of the slow node would be a hundred long if nobody looked.
        assert!(slow < RECORD_COUNT / 5, "{quick} and {slow}");
        let alike = ProducerOptions {
            is_adaptive: false,
            ..options()
        };
        let [quick, slow] = spread(seed, alike);
        assert!(slow > RECORD_COUNT / 3, "{quick} and {slow}");
    }
}

#[test]
fn a_node_that_takes_nothing_for_too_long_gets_nothing() {
    for seed in 0..8 {
        let limited = ProducerOptions {
            availability_timeout: Duration::from_millis(20),
            ..options()
        };
        let [quick, slow] = spread(seed, limited);
        // What went out until the limit of requests was reached, and for 20 ms behind that.
        let most = IN_FLIGHT_MAX * PARTITION_COUNT as usize + 20;
        assert!(slow <= most, "{quick} and {slow}");
    }
}

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::scripted_broker::{Broker, Fault, REQUEST_TIMEOUT, TOPIC, client, with_broker};
use crate::client::{
    Acks, ClientError, Delivery, Producer, ProducerOptions, ProducerRecord, TopicProducer,
};
use crate::io::{Reactor, Task};
use crate::types::ErrorCode;

/// Each record is a batch of its own: `batch_size` is less than a record takes.
fn one_record_a_batch() -> ProducerOptions {
    ProducerOptions {
        batch_size: 1,
        linger: Duration::ZERO,
        ..ProducerOptions::default()
    }
}

async fn topic(reactor: &Reactor, options: ProducerOptions) -> (Producer, TopicProducer) {
    let producer = Producer::new(&client(reactor).await, options).unwrap();
    let topic = producer.topic(TOPIC).await.unwrap();
    (producer, topic)
}

async fn send(topic: &TopicProducer, partition: Option<i32>, value: &str) -> Delivery {
    let record = ProducerRecord {
        partition,
        value: Some(value.as_bytes()),
        ..ProducerRecord::default()
    };
    topic.send(&record).await.unwrap()
}

fn numbered(count: usize) -> Vec<String> {
    (0..count)
        .map(|number| format!("record-{number}"))
        .collect()
}

/// Every attempt at a record carries the same epoch and sequence.
fn assert_sequences_stay(broker: &Broker) {
    let mut first: BTreeMap<String, (i16, i32)> = BTreeMap::new();
    for seen in &broker.state.borrow().seen {
        let now = (seen.header.producer_epoch, seen.header.base_sequence);
        let before = *first.entry(seen.values[0].clone()).or_insert(now);
        assert_eq!(before, now, "{:?}", seen.values);
    }
}

#[test]
fn whatever_fails_on_the_way_records_arrive_once_and_in_order() {
    for seed in 0..60 {
        with_broker(seed, 1, move |reactor, broker| async move {
            let faults = (0..40).map(|_| match reactor.random() % 6 {
                0 => Fault::Refuse(0, ErrorCode::NotLeaderOrFollower),
                1 => Fault::CloseBefore,
                2 => Fault::CloseAfter,
                _ => Fault::None,
            });
            broker.state.borrow_mut().faults = faults.collect();
            let (producer, topic) = topic(&reactor, one_record_a_batch()).await;
            let mut deliveries = Vec::new();
            for value in numbered(60) {
                deliveries.push(send(&topic, None, &value).await);
                if reactor.random().is_multiple_of(4) {
                    reactor
                        .sleep(Duration::from_micros(reactor.random() % 2000))
                        .await;
                }
            }
            producer.flush().await;
            assert_eq!(broker.log(0), numbered(60), "seed {seed}");
            for (offset, delivery) in (0..).zip(&deliveries) {
                assert_eq!(delivery.wait().await.unwrap().offset, offset, "seed {seed}");
            }
            assert_sequences_stay(&broker);
            let state = broker.state.borrow();
            assert!(state.seen.len() > 60, "seed {seed}: nothing was repeated");
        });
    }
}

#[test]
fn a_topic_that_was_made_anew_gets_first_what_was_on_its_way_to_the_old_one() {
    for seed in 0..20 {
        with_broker(seed, 1, move |reactor, broker| async move {
            let client = client(&reactor).await;
            let producer = Producer::new(&client, one_record_a_batch()).unwrap();
            let topic = producer.topic(TOPIC).await.unwrap();
            send(&topic, None, "old").await.wait().await.unwrap();
            broker.state.borrow_mut().is_holding = true;
            let mut deliveries = vec![send(&topic, None, "record-0").await];
            // It is on its way.
            reactor.sleep(Duration::from_millis(10)).await;
            broker.replace_topic();
            client.refresh().await.unwrap();
            deliveries.push(send(&topic, None, "record-1").await);
            reactor.sleep(Duration::from_millis(10)).await;
            broker.release();
            for delivery in &deliveries {
                delivery.wait().await.unwrap();
            }
            assert_eq!(broker.log(0), numbered(2), "seed {seed}");
        });
    }
}

#[test]
fn a_batch_whose_answer_was_lost_is_acknowledged_where_it_is() {
    with_broker(1, 1, |reactor, broker| async move {
        broker.state.borrow_mut().faults = [Fault::None, Fault::CloseAfter].into();
        let (producer, topic) = topic(&reactor, one_record_a_batch()).await;
        for (offset, value) in (0..).zip(["a", "b", "c"]) {
            let delivery = send(&topic, None, value).await;
            assert_eq!(delivery.wait().await.unwrap().offset, offset);
        }
        producer.flush().await;
        assert_eq!(broker.log(0), ["a", "b", "c"]);
        assert_eq!(broker.state.borrow().seen.len(), 4, "b came twice");
    });
}

#[test]
fn one_partition_fails_and_goes_on_under_a_new_epoch_the_others_do_not_notice() {
    with_broker(2, 2, |reactor, broker| async move {
        broker.state.borrow_mut().faults = [Fault::Refuse(1, ErrorCode::MessageTooLarge)].into();
        let options = ProducerOptions {
            linger: Duration::from_millis(50),
            ..ProducerOptions::default()
        };
        let (producer, topic) = topic(&reactor, options).await;
        let good = send(&topic, Some(0), "good").await;
        let bad = send(&topic, Some(1), "bad").await;
        assert_eq!(good.wait().await.unwrap().offset, 0);
        let error = bad.wait().await.unwrap_err();
        assert_eq!(error.code(), Some(ErrorCode::MessageTooLarge));
        assert_eq!(error.to_string(), "logs-1: MESSAGE_TOO_LARGE (10)");
        let next = send(&topic, Some(1), "next").await;
        let other = send(&topic, Some(0), "other").await;
        producer.flush().await;
        assert_eq!(next.wait().await.unwrap().offset, 0);
        assert_eq!(other.wait().await.unwrap().offset, 1);
        let state = broker.state.borrow();
        assert_eq!(
            state.seen[0].header.batch_length,
            state.seen[0].header.batch_length
        );
        let last = |partition| {
            state
                .seen
                .iter()
                .rev()
                .find(move |s| s.partition == partition)
        };
        let restarted = last(1).unwrap().header;
        assert_eq!((restarted.producer_epoch, restarted.base_sequence), (1, 0));
        let steady = last(0).unwrap().header;
        assert_eq!((steady.producer_epoch, steady.base_sequence), (0, 1));
    });
}

#[test]
fn what_cannot_be_delivered_is_given_up_in_time_with_the_reason() {
    with_broker(3, 1, |reactor, broker| async move {
        broker.state.borrow_mut().always = Fault::Refuse(0, ErrorCode::NotEnoughReplicas);
        let delivery_timeout = Duration::from_secs(5);
        let options = ProducerOptions {
            delivery_timeout,
            ..one_record_a_batch()
        };
        let (_producer, topic) = topic(&reactor, options).await;
        let start = reactor.now();
        let delivery = send(&topic, None, "never").await;
        let error = delivery.wait().await.unwrap_err();
        let ClientError::DeliveryTimeout { reason, .. } = &error else {
            panic!("{error}");
        };
        assert_eq!(&**reason, "logs-0: NOT_ENOUGH_REPLICAS (19)");
        assert!(reactor.now() - start >= delivery_timeout);
        assert!(reactor.now() - start < delivery_timeout + Duration::from_secs(1));
        // Its sequence may or may not have been used: the next batch needs a new epoch.
        broker.state.borrow_mut().always = Fault::None;
        send(&topic, None, "later").await.wait().await.unwrap();
        let state = broker.state.borrow();
        assert!(state.seen.len() > 5, "it was tried again and again");
        assert_eq!(state.seen.last().unwrap().header.producer_epoch, 1);
    });
}

#[test]
fn what_was_sent_behind_a_batch_that_is_given_up_is_not_stored_twice() {
    with_broker(10, 1, |reactor, broker| async move {
        {
            let mut state = broker.state.borrow_mut();
            state.faults = [Fault::Mute, Fault::Mute].into();
            state.always = Fault::CloseBefore;
        }
        // Longer than a request may take, so that both have failed when the first is too old.
        let options = ProducerOptions {
            delivery_timeout: REQUEST_TIMEOUT + Duration::from_millis(200),
            ..one_record_a_batch()
        };
        let (_producer, topic) = topic(&reactor, options).await;
        let first = send(&topic, None, "first").await;
        reactor.sleep(REQUEST_TIMEOUT / 2).await;
        let second = send(&topic, None, "second").await;
        let error = first.wait().await.unwrap_err();
        assert!(
            matches!(error, ClientError::DeliveryTimeout { .. }),
            "{error}"
        );
        assert_eq!(second.result(), None, "it has more time");
        broker.state.borrow_mut().always = Fault::None;
        assert_eq!(second.wait().await.unwrap().offset, 1);
        let third = send(&topic, None, "third").await;
        assert_eq!(third.wait().await.unwrap().offset, 2);
        assert_eq!(broker.log(0), ["first", "second", "third"]);
    });
}

#[test]
fn what_waits_before_a_batch_that_is_given_up_keeps_its_sequence() {
    with_broker(11, 1, |reactor, broker| async move {
        {
            let mut state = broker.state.borrow_mut();
            state.is_holding = true;
            // The first is stored, and its failure is told all the same: a disk that fails after
            // the write. What follows is told what a broker says that has not stored it.
            state.faults = [
                Fault::StoreAndRefuse(ErrorCode::KafkaStorageError),
                Fault::Refuse(0, ErrorCode::MessageTooLarge),
                Fault::Refuse(0, ErrorCode::OutOfOrderSequenceNumber),
            ]
            .into();
        }
        let (_producer, topic) = topic(&reactor, one_record_a_batch()).await;
        let first = send(&topic, None, "first").await;
        let second = send(&topic, None, "second").await;
        let third = send(&topic, None, "third").await;
        reactor.sleep(Duration::from_millis(1)).await;
        broker.release();
        assert_eq!(first.wait().await.unwrap().offset, 0);
        let error = second.wait().await.unwrap_err();
        assert_eq!(error.code(), Some(ErrorCode::MessageTooLarge));
        assert_eq!(third.wait().await.unwrap().offset, 1);
        assert_eq!(broker.log(0), ["first", "third"]);
    });
}

#[test]
fn whatever_is_given_up_the_rest_is_there_once_and_in_order() {
    let given_up: usize = (0..60).map(some_are_given_up).sum();
    assert!(given_up > 60, "{given_up} records were given up");
}

/// Returns how many were.
fn some_are_given_up(seed: u64) -> usize {
    with_broker(seed, 1, move |reactor, broker| async move {
        let faults = (0..60).map(|_| match reactor.random() % 9 {
            8 => Fault::StoreAndRefuse(ErrorCode::KafkaStorageError),
            0 => Fault::Refuse(0, ErrorCode::NotLeaderOrFollower),
            1 => Fault::Refuse(0, ErrorCode::MessageTooLarge),
            2 => Fault::CloseBefore,
            3 => Fault::CloseAfter,
            4 => Fault::Mute,
            _ => Fault::None,
        });
        broker.state.borrow_mut().faults = faults.collect();
        let options = ProducerOptions {
            delivery_timeout: REQUEST_TIMEOUT + Duration::from_millis(reactor.random() % 500),
            ..one_record_a_batch()
        };
        let (producer, topic) = topic(&reactor, options).await;
        let mut deliveries = Vec::new();
        for value in numbered(60) {
            deliveries.push((send(&topic, None, &value).await, value));
            let pause = reactor.random() % 200_000;
            reactor.sleep(Duration::from_micros(pause)).await;
        }
        producer.flush().await;
        let log = broker.log(0);
        let order = numbered(60);
        let places: Vec<_> = log
            .iter()
            .map(|value| order.iter().position(|sent| sent == value))
            .collect();
        assert!(places.is_sorted_by(|a, b| a < b), "seed {seed}: {log:?}");
        let mut given_up = 0;
        for (delivery, value) in deliveries {
            match delivery.wait().await {
                // -1: it is there, the broker no longer remembers where.
                Ok(metadata) if metadata.offset == -1 => assert!(log.contains(&value)),
                Ok(metadata) => assert_eq!(log[metadata.offset as usize], value, "seed {seed}"),
                Err(_) => given_up += 1,
            }
        }
        given_up
    })
}

#[test]
fn sending_waits_while_buffer_memory_is_full() {
    with_broker(4, 1, |reactor, broker| async move {
        broker.state.borrow_mut().is_holding = true;
        let options = ProducerOptions {
            batch_size: 1000,
            buffer_memory: 4000,
            linger: Duration::ZERO,
            ..ProducerOptions::default()
        };
        let (producer, topic) = topic(&reactor, options).await;
        let value = "x".repeat(700);
        let sending: Task<TopicProducer> = {
            let (topic, value) = (topic.clone(), value.clone());
            reactor.spawn(async move {
                for _ in 0..10 {
                    send(&topic, None, &value).await;
                }
                topic
            })
        };
        reactor.sleep(Duration::from_millis(500)).await;
        assert!(!sending.is_finished());
        assert_eq!(
            producer.outstanding_count(),
            4,
            "as many batches as have room"
        );
        broker.release();
        sending.await;
        producer.flush().await;
        assert_eq!(broker.log(0), vec![value; 10]);
    });
}

#[test]
fn a_full_buffer_is_an_error_in_the_end() {
    with_broker(5, 1, |reactor, broker| async move {
        broker.state.borrow_mut().is_holding = true;
        let options = ProducerOptions {
            batch_size: 1000,
            buffer_memory: 1000,
            ..ProducerOptions::default()
        };
        let (_producer, topic) = topic(&reactor, options).await;
        let big = vec![0; 800];
        let record = ProducerRecord {
            value: Some(&big),
            ..ProducerRecord::default()
        };
        topic.send(&record).await.unwrap();
        // Answers are held for longer than the call may wait, requests are given up and repeated.
        let error = topic.send(&record).await.map(|_| ()).unwrap_err();
        assert!(matches!(error, ClientError::BufferFull(_)), "{error}");
    });
}

#[test]
fn records_without_a_key_fill_batches_and_reach_every_partition() {
    with_broker(6, 4, |reactor, broker| async move {
        let options = ProducerOptions {
            batch_size: 2000,
            linger: Duration::from_secs(1),
            ..ProducerOptions::default()
        };
        let (producer, topic) = topic(&reactor, options).await;
        for _ in 0..600 {
            send(&topic, None, &"v".repeat(100)).await;
        }
        producer.flush().await;
        let state = broker.state.borrow();
        let partitions: BTreeSet<i32> = state.seen.iter().map(|seen| seen.partition).collect();
        assert_eq!(partitions.len(), 4);
        let full = state
            .seen
            .iter()
            .filter(|seen| seen.header.size_in_bytes() > 1800)
            .count();
        // Only the last batch of a partition may be smaller.
        assert!(
            full + 4 >= state.seen.len(),
            "{full} of {} are full",
            state.seen.len()
        );
    });
}

#[test]
fn a_key_decides_the_partition() {
    with_broker(7, 3, |reactor, broker| async move {
        let (producer, topic) = topic(&reactor, ProducerOptions::default()).await;
        let record = ProducerRecord {
            key: Some(b"foobar"),
            value: Some(b"v"),
            ..ProducerRecord::default()
        };
        for _ in 0..5 {
            topic.send(&record).await.unwrap();
        }
        producer.flush().await;
        // toPositive(-790332482) % 3
        assert_eq!(broker.log(1357151166 % 3).len(), 5);
    });
}

#[test]
fn without_acks_there_is_no_offset_and_no_wait() {
    with_broker(8, 1, |reactor, broker| async move {
        let options = ProducerOptions {
            acks: Acks::None,
            is_idempotent: false,
            ..one_record_a_batch()
        };
        let (producer, topic) = topic(&reactor, options).await;
        let mut deliveries = Vec::new();
        for value in numbered(20) {
            deliveries.push(send(&topic, None, &value).await);
        }
        producer.flush().await;
        for delivery in deliveries {
            assert_eq!(delivery.wait().await.unwrap().offset, -1);
        }
        reactor.sleep(Duration::from_secs(1)).await;
        assert_eq!(broker.log(0), numbered(20));
    });
}

/// As on a connection of which nobody tells that its other end is gone.
#[test]
fn without_acks_a_connection_that_takes_nothing_is_given_up() {
    with_broker(10, 1, |reactor, broker| async move {
        broker.state.borrow_mut().is_holding = true;
        let options = ProducerOptions {
            acks: Acks::None,
            is_idempotent: false,
            ..one_record_a_batch()
        };
        let (producer, topic) = topic(&reactor, options).await;
        let value = "v".repeat(1 << 10);
        for _ in 0..300 {
            send(&topic, None, &value).await;
        }
        let flushed = reactor.timeout(10 * REQUEST_TIMEOUT, producer.flush());
        assert_eq!(flushed.await, Some(()));
        assert!(broker.state.borrow().connection_count > 2);
    });
}

#[test]
fn a_closed_producer_gives_up_what_it_has() {
    with_broker(9, 1, |reactor, broker| async move {
        broker.state.borrow_mut().is_holding = true;
        let (producer, topic) = topic(&reactor, one_record_a_batch()).await;
        let delivery = send(&topic, None, "a").await;
        reactor.sleep(Duration::from_millis(100)).await;
        drop((producer, topic));
        assert_eq!(delivery.wait().await, Err(ClientError::Closed));
    });
}

//! SIGTERM under load: what was acknowledged is there, the stop is clean, the process ends with 0.

use std::sync::atomic::{AtomicUsize, Ordering};

use nix::sys::signal::Signal;

use crate::broker::{TestBroker, directory};
use crate::eventually;
use crate::process::BrokerProcess;
use crate::records::batch;
use crate::topics::{
    ACKS_ALL, FETCH_VERSION, FetchOptions, LONG_WAIT_MS, Topic, create, fetch_request,
    partitions_of, produce, produce_request, values,
};
use crate::wire::{Outcome, Wire};

const MARKER: &str = ".kafka_cleanshutdown";

/// Requests that one client has in flight.
const IN_FLIGHT: usize = 10;

/// Produces until the connection closes; partition, offset and value of what was acknowledged,
/// counted in `count`.
fn load(
    mut wire: Wire,
    client: i32,
    topic: &Topic,
    acks: i16,
    count: &AtomicUsize,
) -> Vec<(i32, i64, String)> {
    let mut sent = std::collections::VecDeque::new();
    let mut acknowledged = Vec::new();
    for index in 0.. {
        let partition = index % 4;
        let value = format!("{client} {index}");
        let records = Some(batch(&[&value]));
        let request = produce_request(13, acks, topic, partition, records);
        sent.push_back((partition, value, wire.send(13, &request)));
        if sent.len() < IN_FLIGHT {
            continue;
        }
        let (partition, value, oldest) = sent.pop_front().expect("some are in flight");
        let Some(answer) = wire.try_receive(oldest) else {
            return acknowledged;
        };
        let answer = &answer.responses[0].partition_responses[0];
        if answer.error_code == 0 {
            acknowledged.push((partition, answer.base_offset, value));
            count.fetch_add(1, Ordering::Relaxed);
        }
    }
    unreachable!("the broker was to stop")
}

#[test]
fn sigterm_and_sigint_under_load() {
    for (signal, acks) in [(Signal::SIGTERM, ACKS_ALL), (Signal::SIGINT, 1)] {
        let directory = directory();
        let mut broker = BrokerProcess::start(directory.path(), &[]);
        let topic = create(&mut broker.connect(), "t", 4, &[]);
        assert!(!directory.path().join(MARKER).exists());
        let count = AtomicUsize::new(0);
        let acknowledged: Vec<_> = std::thread::scope(|scope| {
            let clients = (0..3).map(|client| {
                let (wire, topic, count) = (broker.connect(), &topic, &count);
                scope.spawn(move || load(wire, client, topic, acks, count))
            });
            let clients: Vec<_> = clients.collect();
            eventually("load", || {
                (count.load(Ordering::Relaxed) > 200).then_some(())
            });
            broker.signal(signal);
            let ended = clients.into_iter().map(|client| client.join().unwrap());
            ended.flatten().collect()
        });
        assert_eq!(broker.wait().code(), Some(0), "{signal}");
        assert!(directory.path().join(MARKER).exists(), "no marker");

        let broker = BrokerProcess::start(directory.path(), &[]);
        assert!(
            !directory.path().join(MARKER).exists(),
            "a marker while it runs"
        );
        let mut wire = broker.connect();
        let stored: Vec<_> = (0..4).map(|p| values(&mut wire, &topic, p)).collect();
        for (partition, offset, value) in acknowledged {
            let found = stored[partition as usize].get(offset as usize);
            assert_eq!(found, Some(&value), "partition {partition} offset {offset}");
        }
    }
}

#[test]
fn a_stop_answers_waiting_clients_and_closes_idle_ones() {
    let mut broker = TestBroker::start(&[]);
    let mut idle = broker.connect();
    let mut waiting = broker.connect();
    let topic = create(&mut idle, "t", 1, &[]);
    let options = FetchOptions {
        max_wait_ms: LONG_WAIT_MS,
        ..FetchOptions::default()
    };
    let request = fetch_request(FETCH_VERSION, &topic, &[(0, 0)], options);
    let sent = waiting.send(FETCH_VERSION, &request);
    produce(&mut broker.connect(), &topic, 0, &batch(&["x"]));
    assert_eq!(partitions_of(waiting.receive(sent)).len(), 1);
    let request = fetch_request(FETCH_VERSION, &topic, &[(0, 1)], options);
    let sent = waiting.send(FETCH_VERSION, &request);
    broker.stop();
    assert_eq!(idle.read(), Outcome::Closed);
    // Answered with what there is.
    let answers = partitions_of(waiting.receive(sent));
    assert_eq!((answers.len(), answers[0].error_code), (1, 0));
    assert_eq!(waiting.read(), Outcome::Closed);
}

#[test]
fn a_second_signal_ends_the_process_at_once_and_loses_nothing() {
    let directory = directory();
    let mut broker = BrokerProcess::start(directory.path(), &[]);
    let mut wire = broker.connect();
    let topic = create(&mut wire, "t", 1, &[]);
    produce(&mut wire, &topic, 0, &batch(&["kept"]));
    broker.signal(Signal::SIGTERM);
    broker.signal(Signal::SIGTERM);
    let code = broker.wait().code();
    assert!(matches!(code, Some(0 | 1)), "{code:?}");
    let broker = BrokerProcess::start(directory.path(), &[]);
    assert_eq!(values(&mut broker.connect(), &topic, 0), ["kept"]);
}

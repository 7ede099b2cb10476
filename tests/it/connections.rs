//! Connections: how many, for how long, and where clients are told to go.

use kafka_protocol::messages::{ApiVersionsRequest, MetadataRequest};

use crate::broker::TestBroker;
use crate::eventually;
use crate::records::batch;
use crate::topics::{
    FETCH_VERSION, FetchOptions, LONG_WAIT_MS, create, fetch_request, partitions_of, produce,
    records_of,
};
use crate::wire::{Outcome, Wire};

fn answers(wire: &mut Wire) -> bool {
    let sent = wire.send(0, &ApiVersionsRequest::default());
    wire.try_receive(sent).is_some()
}

#[test]
fn one_more_than_max_connections_is_closed_at_once() {
    let broker = TestBroker::start(&["max.connections=3"]);
    let mut wires = [broker.connect(), broker.connect(), broker.connect()];
    assert!(wires.iter_mut().all(answers));
    assert_eq!(broker.connect().read(), Outcome::Closed);
    assert!(wires.iter_mut().all(answers), "others were harmed");
    // Room again when one has gone.
    let [_gone, ..] = wires;
    drop(_gone);
    eventually("a place", || answers(&mut broker.connect()).then_some(()));
}

#[test]
fn idle_connections_are_closed_and_waiting_ones_are_not() {
    // More than any test pauses between two requests, less than anyone wants to wait.
    let broker = TestBroker::start(&["connections.max.idle.ms=1500"]);
    let (mut waiting, mut idle) = (broker.connect(), broker.connect());
    let topic = create(&mut waiting, "t", 1, &[]);
    let options = FetchOptions {
        max_wait_ms: LONG_WAIT_MS,
        ..FetchOptions::default()
    };
    let request = fetch_request(FETCH_VERSION, &topic, &[(0, 0)], options);
    let sent = waiting.send(FETCH_VERSION, &request);
    assert_eq!(idle.read(), Outcome::Closed);
    produce(&mut broker.connect(), &topic, 0, &batch(&["x"]));
    let answers = partitions_of(waiting.receive(sent));
    assert_eq!(records_of(&answers[0])[0].value, "x");
}

#[test]
fn clients_are_told_the_advertised_address() {
    let broker = TestBroker::start(&["advertised.listeners=PLAINTEXT://ring.example:1234"]);
    let response = broker.connect().call(12, &MetadataRequest::default());
    let node = &response.brokers[0];
    assert_eq!((node.host.as_str(), node.port), ("ring.example", 1234));
}

#[test]
fn thousands_come_and_go() {
    let broker = TestBroker::start(&[]);
    for _ in 0..20 {
        let mut wires: Vec<_> = (0..100).map(|_| broker.connect()).collect();
        // Half of them say nothing at all.
        assert!(wires.iter_mut().step_by(2).all(answers));
    }
    assert!(answers(&mut broker.connect()));
}

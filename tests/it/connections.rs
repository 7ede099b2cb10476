//! Connections: how many, for how long, and where clients are told to go.

use kafka_protocol::messages::{ApiVersionsRequest, MetadataRequest};

use crate::broker::{TestBroker, directory};
use crate::eventually;
use crate::process::{BrokerProcess, start_in_vain};
use crate::records::batch;
use crate::topics::{
    FETCH_VERSION, FetchOptions, LONG_WAIT_MS, create, fetch_request, partitions_of, produce,
    records_of, works,
};
use crate::wire::{Outcome, Wire};

fn answers(wire: &mut Wire) -> bool {
    let sent = wire.send(0, &ApiVersionsRequest::default());
    wire.try_receive(sent).is_some()
}

#[test]
fn one_more_than_max_connections_waits_until_one_has_gone() {
    let broker = TestBroker::start(&["max.connections=3"]);
    let mut wires = [broker.connect(), broker.connect(), broker.connect()];
    assert!(wires.iter_mut().all(answers));
    let mut waiting = broker.connect();
    let sent = waiting.send(0, &ApiVersionsRequest::default());
    assert!(wires.iter_mut().all(answers), "others were harmed");
    assert!(!waiting.has_answer(), "a fourth was served");
    let [gone, ..] = wires;
    drop(gone);
    assert!(waiting.try_receive(sent).is_some());
}

#[test]
fn one_more_than_an_address_may_have_is_closed_at_once() {
    let limits = [
        "max.connections.per.ip=2",
        "max.connections.per.ip.overrides=127.0.0.7:1, localhost:3",
    ];
    let broker = TestBroker::start(&limits);
    let from = |host: [u8; 4]| Wire::connect_from(host.into(), broker.address());
    let refused = || broker.info().metrics_address.map(crate::metrics::refused);
    // Each address has its own.
    for (host, count) in [
        ([127, 0, 0, 9], 2),
        ([127, 0, 0, 7], 1),
        ([127, 0, 0, 1], 3),
    ] {
        let refused_before = refused();
        let mut wires: Vec<Wire> = (0..count).map(|_| from(host)).collect();
        assert!(wires.iter_mut().all(answers));
        assert_eq!(from(host).read(), Outcome::Closed, "{host:?}");
        assert_eq!(refused(), refused_before.map(|count| count + 1.0));
        assert!(wires.iter_mut().all(answers), "others were harmed");
        drop(wires);
        eventually("a place", || answers(&mut from(host)).then_some(()));
    }
}

#[test]
fn limits_that_let_nobody_in_and_names_without_an_address() {
    let directory = directory();
    let in_vain = |settings: &[&str]| start_in_vain(directory.path(), settings, || Ok(()));
    in_vain(&["max.connections.per.ip=0"]).check(&["max.connections.per.ip", "overrides"]);
    let overrides = "max.connections.per.ip.overrides=no.such.host.invalid:3";
    in_vain(&[overrides]).check(&["no.such.host.invalid", "overrides"]);
    let overrides = "max.connections.per.ip.overrides=localhost";
    in_vain(&[overrides]).check(&["`localhost`", "name:count"]);
}

/// Descriptors that a broker gets beyond those that it has.
const SPARE_DESCRIPTORS: u64 = 300;

/// Segments that are rolled while connections have all that they may have.
const ROLL_COUNT: usize = 8;

#[test]
fn descriptors_that_run_out_are_survived() {
    let directory = directory();
    let broker = BrokerProcess::start(directory.path(), &[]);
    let mut bystander = broker.connect();
    works(&mut bystander, "before");
    let limit = broker.descriptor_count() + SPARE_DESCRIPTORS;
    broker.limit_descriptors(limit);
    let mut crowd: Vec<Wire> = (0..2 * SPARE_DESCRIPTORS)
        .map(|_| broker.connect())
        .collect();
    // The kernel has connected the last one; the broker does not accept it.
    let waiting = crowd.last_mut().expect("there is a crowd");
    let sent = waiting.send(0, &ApiVersionsRequest::default());
    let segment = [("segment.bytes", "1048576")];
    let topic = create(&mut bystander, "rolling", 4, &segment);
    let records = batch(&[&"x".repeat(600_000)]);
    for roll in 0..2 * ROLL_COUNT {
        let partition = i32::try_from(roll % 4).unwrap();
        // Fails the test if a file could not be opened.
        produce(&mut bystander, &topic, partition, &records);
    }
    works(&mut bystander, "meanwhile");
    let waiting = crowd.last_mut().expect("there is a crowd");
    assert!(!waiting.has_answer(), "connections have all descriptors");
    drop(crowd);
    drop(sent);
    eventually("newcomers are served", || {
        answers(&mut broker.connect()).then_some(())
    });
    broker.limit_descriptors(4096);
    works(&mut broker.connect(), "after");
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

/// Memory that an idle connection may cost, bytes.
const IDLE_SIZE_MAX: usize = 16 << 10;

#[test]
fn an_idle_connection_costs_little() {
    const COUNT: usize = 2000;
    let directory = directory();
    let broker = BrokerProcess::start(directory.path(), &[]);
    let fill = || {
        let mut wires: Vec<Wire> = (0..COUNT).map(|_| broker.connect()).collect();
        // Each has been used.
        assert!(wires.iter_mut().all(answers));
        wires
    };
    // What the first ones grow is there for the next.
    let few: Vec<Wire> = (0..50).map(|_| broker.connect()).collect();
    drop(few);
    let before = broker.resident_size();
    let wires = fill();
    let each = broker.resident_size().saturating_sub(before) / COUNT;
    assert!(each <= IDLE_SIZE_MAX, "{each} bytes each");
    drop(wires);
}

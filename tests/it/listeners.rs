//! `listeners` and `advertised.listeners`: where a broker can be reached, what clients are told.

use std::net::SocketAddr;

use kafka_protocol::messages::{DescribeClusterRequest, FindCoordinatorRequest, MetadataRequest};

use crate::broker::{TestBroker, directory};
use crate::process::start_in_vain;
use crate::topics::{create, text, works};
use crate::wire::Wire;

const TWO_NAMES: &str = "listener.security.protocol.map=INSIDE:PLAINTEXT,OUTSIDE:PLAINTEXT";

fn address_of(broker: &TestBroker, name: &str) -> SocketAddr {
    let listeners = &broker.info().listeners;
    let found = listeners.iter().find(|(listener, _)| listener == name);
    found
        .unwrap_or_else(|| panic!("no {name} in {listeners:?}"))
        .1
}

/// Host and port of the brokers that a client is told, by all APIs that tell.
fn told(wire: &mut Wire) -> Vec<(String, i32)> {
    let brokers = wire.call(12, &MetadataRequest::default()).brokers;
    let told: Vec<_> = brokers
        .iter()
        .map(|b| (b.host.to_string(), b.port))
        .collect();
    let cluster = wire
        .call(1, &DescribeClusterRequest::default().with_endpoint_type(1))
        .brokers;
    let cluster: Vec<_> = cluster
        .iter()
        .map(|b| (b.host.to_string(), b.port))
        .collect();
    assert_eq!(told, cluster);
    let request = FindCoordinatorRequest::default().with_coordinator_keys(vec![text("g")]);
    let coordinator = wire.call(4, &request).coordinators.remove(0);
    let is_there = coordinator.error_code == 0;
    let coordinator = is_there.then(|| (coordinator.host.to_string(), coordinator.port));
    assert_eq!(told.first(), coordinator.as_ref());
    told
}

#[test]
fn each_client_is_told_the_address_of_the_listener_that_it_came_by() {
    let broker = TestBroker::start(&[
        "listeners=INSIDE://127.0.0.1:0,OUTSIDE://[::1]:0",
        "advertised.listeners=OUTSIDE://ring.example:1234,INSIDE://127.0.0.1:0",
        TWO_NAMES,
    ]);
    let inside = address_of(&broker, "INSIDE");
    let outside = address_of(&broker, "OUTSIDE");
    assert!(inside.is_ipv4() && outside.is_ipv6());
    let mut wires = [Wire::connect(inside), Wire::connect(outside)];
    let expected = [
        ("127.0.0.1".to_owned(), i32::from(inside.port())),
        ("ring.example".to_owned(), 1234),
    ];
    for (wire, expected) in wires.iter_mut().zip(expected) {
        assert_eq!(told(wire), [expected]);
    }
    // They are of one broker.
    create(&mut wires[0], "t", 1, &[]);
    let [_, other] = &mut wires;
    let topics = other
        .call(12, &MetadataRequest::default().with_topics(None))
        .topics;
    assert_eq!(topics[0].name.as_ref().unwrap().as_str(), "t");
    works(other, "u");
}

#[test]
fn a_listener_that_is_not_advertised_leads_nowhere() {
    let broker = TestBroker::start(&[
        "listeners=INSIDE://127.0.0.1:0,OUTSIDE://127.0.0.1:0",
        "advertised.listeners=OUTSIDE://ring.example:1234",
        TWO_NAMES,
    ]);
    let mut inside = Wire::connect(address_of(&broker, "INSIDE"));
    create(&mut inside, "t", 1, &[]);
    assert_eq!(told(&mut inside), []);
    let request = MetadataRequest::default().with_topics(None);
    for (version, code) in [(5, 5), (6, 72), (13, 72)] {
        let partition = &inside.call(version, &request).topics[0].partitions[0];
        assert_eq!((partition.error_code, partition.leader_id.0), (code, -1));
    }
    let mut outside = Wire::connect(address_of(&broker, "OUTSIDE"));
    let partition = &outside.call(13, &request).topics[0].partitions[0];
    assert_eq!(partition.error_code, 0);
}

#[test]
fn without_a_host_every_interface_is_heard_and_the_machines_name_is_told() {
    let broker = TestBroker::start(&["listeners=PLAINTEXT://:0"]);
    let port = broker.address().port();
    let name = nix::sys::utsname::uname().unwrap();
    let name = name.nodename().to_string_lossy().into_owned();
    let mut hosts: Vec<std::net::IpAddr> = vec![[127, 0, 0, 1].into(), [127, 0, 0, 5].into()];
    if std::net::TcpListener::bind("[::1]:0").is_ok() {
        hosts.push("::1".parse().unwrap());
    }
    for (index, host) in hosts.into_iter().enumerate() {
        let mut wire = Wire::connect(SocketAddr::from((host, port)));
        assert_eq!(told(&mut wire), [(name.clone(), i32::from(port))]);
        works(&mut wire, &format!("t{index}"));
    }
}

#[test]
fn localhost_is_the_ipv4_one_and_is_told_as_it_was_written() {
    let broker = TestBroker::start(&["listeners=PLAINTEXT://localhost:0"]);
    assert!(broker.address().is_ipv4(), "{}", broker.address());
    let port = i32::from(broker.address().port());
    assert_eq!(
        told(&mut broker.connect()),
        [("localhost".to_owned(), port)]
    );
}

#[test]
fn an_ipv4_and_an_ipv6_listener_may_share_a_port() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let listeners = format!("listeners=INSIDE://127.0.0.1:{port},OUTSIDE://[::1]:{port}");
    let broker = TestBroker::start(&[&listeners, TWO_NAMES]);
    works(&mut Wire::connect(address_of(&broker, "INSIDE")), "t");
    works(&mut Wire::connect(address_of(&broker, "OUTSIDE")), "u");
}

#[test]
fn what_cannot_be_is_said_in_one_sentence() {
    let directory = directory();
    let wildcard = "listeners=PLAINTEXT://0.0.0.0:9";
    let cases: [(&[&str], &[&str]); 9] = [
        (&[wildcard], &["0.0.0.0", "advertised.listeners"]),
        (
            &["listeners=PLAINTEXT://[::]:9"],
            &["[::]", "advertised.listeners"],
        ),
        (
            &[wildcard, "advertised.listeners=PLAINTEXT://0.0.0.0:9"],
            &["advertised.listeners", "clients cannot connect"],
        ),
        (
            &["advertised.listeners=OTHER://a:1"],
            &["advertised.listeners", "OTHER"],
        ),
        (
            &["listeners=INSIDE://:1,INSIDE://:2", TWO_NAMES],
            &["two listeners", "INSIDE"],
        ),
        (
            &["listeners=INSIDE://:7,OUTSIDE://:7", TWO_NAMES],
            &["two listeners", "port 7"],
        ),
        (
            &["listeners=INSIDE://127.0.0.1:0"],
            &["INSIDE", "listener.security.protocol.map"],
        ),
        (
            &[
                "listeners=INSIDE://:1",
                "listener.security.protocol.map=INSIDE:SSL",
            ],
            &["INSIDE", "SSL", "only PLAINTEXT"],
        ),
        (&["listeners=127.0.0.1:9092"], &["NAME://host:port"]),
    ];
    for (settings, told) in cases {
        start_in_vain(directory.path(), settings, || Ok(())).check(told);
    }
}

#[test]
fn a_second_listener_that_cannot_be_had_keeps_the_broker_from_starting() {
    let held = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = format!("OUTSIDE://{}", held.local_addr().unwrap());
    let directory = directory();
    let listeners = format!("listeners=INSIDE://127.0.0.1:0,{taken}");
    let failed = start_in_vain(directory.path(), &[&listeners, TWO_NAMES], || Ok(()));
    failed.check(&[&taken, "in use"]);
    drop(held);
}

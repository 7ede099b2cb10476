//! `metrics.listener`: the pages `/metrics` and `/status`, and what keeps strangers from hurting
//! the broker through them.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

use crate::{DEADLINE, eventually};
use ringlog::config::BrokerConfig;
use ringlog::io::StopSignal;
use ringlog::server::Broker;

use crate::broker::{TestBroker, directory, settings};
use crate::exposition::Exposition;
use crate::process::{BrokerProcess, start_in_vain};
use crate::records::batch;
use crate::topics::{FETCH_VERSION, FetchOptions, create, fetch_request, produce, values, works};
use crate::wire::Wire;

/// Sends bytes and reads until the end; what came, head and body.
fn talk(address: SocketAddr, request: &[u8]) -> (String, String) {
    let mut stream = TcpStream::connect(address).expect("the page is served");
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.write_all(request).unwrap();
    let mut answer = Vec::new();
    // A refusal may be followed by a reset, as the rest of the request is not read.
    let _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    (head.to_owned(), body.to_owned())
}

pub(crate) fn get(address: SocketAddr, path: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nHost: broker\r\n\r\n");
    let (head, body) = talk(address, request.as_bytes());
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    let size = format!("Content-Length: {}\r\n", body.len());
    assert!(head.contains(&size), "{head}");
    body
}

/// What is scraped.
pub(crate) fn page(pages: SocketAddr) -> Exposition {
    Exposition::parse(&get(pages, "/metrics"))
}

/// An address for the pages of a broker that is a process: free a moment ago.
pub(crate) fn free_address() -> SocketAddr {
    let probe = TcpListener::bind("127.0.0.1:0").unwrap();
    probe.local_addr().unwrap()
}

/// Connections that were refused.
pub(crate) fn refused(pages: SocketAddr) -> f64 {
    page(pages).sum("ringlog_connections_refused_total", &[])
}

fn pages_of(broker: &TestBroker) -> SocketAddr {
    broker.info().metrics_address.expect("it has pages")
}

#[test]
fn a_scrape_shows_what_was_done_in_the_format_of_prometheus() {
    let broker = TestBroker::start(&["shards=2"]);
    let mut wire = broker.connect();
    let topic = create(&mut wire, "t", 4, &[]);
    for partition in 0..4 {
        produce(&mut wire, &topic, partition, &batch(&["a", "b", "c"]));
        assert_eq!(values(&mut wire, &topic, partition), ["a", "b", "c"]);
    }
    let request = fetch_request(FETCH_VERSION, &topic, &[(99, 0)], FetchOptions::default());
    wire.call(FETCH_VERSION, &request);
    let pages = pages_of(&broker);
    let before = Exposition::parse(&get(pages, "/metrics"));
    let total = |name: &str| before.sum(&format!("ringlog_{name}"), &[]);
    assert_eq!(total("produced_records_total"), 12.0);
    assert_eq!(total("produced_batches_total"), 4.0);
    assert_eq!(total("connections"), 1.0);
    assert_eq!(total("partitions"), 4.0);
    assert_eq!(total("log_offsets"), 12.0);
    assert!(total("log_size_bytes") > 0.0);
    assert!(total("request_memory_limit_bytes") > 0.0);
    assert!(total("disk_flushes_total") >= 1.0, "nothing was flushed");
    assert!(total("disk_flush_time_seconds_count") >= 1.0);
    let shards = before.values_of("ringlog_connections", "shard");
    assert_eq!(Vec::from_iter(shards), ["0", "1"]);
    let requests = |api| before.sum("ringlog_request_time_seconds_count", &[("api", api)]);
    assert_eq!(requests("Produce"), 4.0);
    assert_eq!(requests("CreateTopics"), 1.0);
    let stages = before.values_of("ringlog_stage_time_seconds_count", "stage");
    for stage in [
        "read_frame",
        "append",
        "write",
        "flush",
        "read_memory",
        "send",
    ] {
        assert!(stages.contains(stage), "no stage {stage}");
    }
    let error = [("api", "Fetch"), ("error", "UNKNOWN_TOPIC_OR_PARTITION")];
    assert_eq!(before.sum("ringlog_request_errors_total", &error), 1.0);
    // A second scrape goes on from the first.
    produce(&mut wire, &topic, 0, &batch(&["d"]));
    let after = Exposition::parse(&get(pages, "/metrics"));
    assert_eq!(after.sum("ringlog_produced_records_total", &[]), 13.0);
}

#[test]
fn an_embedded_broker_gives_the_same_as_a_snapshot() {
    let broker = TestBroker::start(&[]);
    works(&mut broker.connect(), "t");
    let snapshot = broker.snapshot();
    let scraped = Exposition::parse(&get(pages_of(&broker), "/metrics"));
    let produced = snapshot.counter(ringlog::metrics::Counter::ProducedRecords);
    assert!(produced > 0);
    assert_eq!(
        scraped.sum("ringlog_produced_records_total", &[]),
        produced as f64
    );
}

#[test]
fn the_state_is_json() {
    let broker = TestBroker::start(&["shards=2", "node.id=7"]);
    let mut wire = broker.connect();
    create(&mut wire, "t", 3, &[]);
    let state: serde_json::Value =
        serde_json::from_str(&get(pages_of(&broker), "/status")).unwrap();
    assert_eq!(state["cluster_id"], broker.cluster_id());
    assert_eq!(state["node_id"], 7);
    assert_eq!(state["topics"], 1);
    let address = broker.address().to_string();
    assert_eq!(state["listeners"][0]["name"], "PLAINTEXT");
    assert_eq!(state["listeners"][0]["bound"], address.as_str());
    let shards = state["shards"].as_array().unwrap();
    let sum = |field: &str| -> i64 { shards.iter().map(|s| s[field].as_i64().unwrap()).sum() };
    assert_eq!(
        (shards.len(), sum("partitions"), sum("connections")),
        (2, 3, 1)
    );
}

#[test]
fn what_is_no_request_for_a_page_is_refused() {
    let broker = TestBroker::start(&[]);
    let pages = pages_of(&broker);
    let long = format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(9000));
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(100));
    let cases: [(&[u8], &str); 7] = [
        (b"GET / HTTP/1.1\r\n\r\n", "404"),
        (b"GET /metricsx HTTP/1.1\r\n\r\n", "404"),
        (
            b"POST /metrics HTTP/1.1\r\nContent-Length: 2\r\n\r\nhi",
            "405",
        ),
        (b"\0\0\0\x17\0\x12\0\x04\0\0\0\x01", "400"),
        (b"get\x01 / HTTP/1.1\r\n\r\n", "400"),
        (long.as_bytes(), "431"),
        (many.as_bytes(), "431"),
    ];
    for (request, code) in cases {
        let (head, _) = talk(pages, request);
        let expected = format!("HTTP/1.1 {code} ");
        let shown = String::from_utf8_lossy(&request[..request.len().min(40)]);
        assert!(head.starts_with(&expected), "{shown}: {head}");
    }
    let (head, body) = talk(pages, b"HEAD /metrics HTTP/1.1\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 200 OK"), "{head}");
    assert_eq!(body, "");
    works(&mut broker.connect(), "t");
}

#[test]
fn who_says_nothing_keeps_nobody_from_clients_and_few_from_pages() {
    let broker = TestBroker::start(&[]);
    let pages = pages_of(&broker);
    let half = |_| {
        let mut stream = TcpStream::connect(pages).unwrap();
        stream.write_all(b"GET /metrics HT").unwrap();
        stream
    };
    // One place is left.
    let mut silent: Vec<TcpStream> = (0..ringlog::http::CONNECTIONS_MAX - 1).map(half).collect();
    Exposition::parse(&get(pages, "/metrics"));
    // None is: the next waits until their time is over.
    silent.extend((0..4).map(half));
    works(&mut broker.connect(), "t");
    Exposition::parse(&get(pages, "/metrics"));
    drop(silent);
}

#[test]
fn a_port_in_use_is_said_when_it_was_asked_for() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let listener = format!("metrics.listener={}", taken.local_addr().unwrap());
    let directory = directory();
    let failed = start_in_vain(directory.path(), &[&listener], || Ok(()));
    failed.check(&[&listener, "in use", "choose another"]);
    let failed = start_in_vain(directory.path(), &["metrics.listener=9640"], || Ok(()));
    failed.check(&["metrics.listener", "host:port"]);
    // Nothing was asked for, nothing is there.
    let broker = BrokerProcess::start(directory.path(), &["metrics.listener="]);
    works(&mut broker.connect(), "t");
}

#[test]
fn the_default_port_in_use_leaves_the_broker_without_pages() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let directory = directory();
    let overrides = settings(directory.path(), &[]);
    let mut config = BrokerConfig::load(None, &overrides).unwrap();
    let listener = config.metrics_listener.as_mut().unwrap();
    listener.address.port = taken.local_addr().unwrap().port();
    listener.is_required = false;
    let broker = Broker::start(config, StopSignal::new()).expect("it starts without");
    assert_eq!(broker.info().metrics_address, None);
    works(&mut Wire::connect(broker.info().address), "t");
    broker.stop().unwrap();
}

#[test]
fn what_a_connection_has_under_way_ends_with_it() {
    let broker = TestBroker::start(&["shards=1"]);
    let pages = pages_of(&broker);
    let tasks = || page(pages).sum("ringlog_reactor_tasks", &[]);
    let idle = tasks();
    assert!(page(pages).sum("ringlog_reactor_timers", &[]) >= 1.0);
    let mut wires: Vec<_> = (0..20).map(|_| broker.connect()).collect();
    works(&mut wires[0], "t");
    eventually("each has a task", || (tasks() >= idle + 20.0).then_some(()));
    drop(wires);
    let of_the_topic = 10.0;
    eventually("their tasks have ended", || {
        (tasks() <= idle + of_the_topic).then_some(())
    });
}

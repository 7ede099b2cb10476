//! Clients that ask for much and read late, or never: what they pin is little, what they read is
//! right, and who reads at once does not notice.

use kafka_protocol::messages::FetchRequest;

use crate::broker::{TestBroker, directory};
use crate::create_topics::delete;
use crate::eventually;
use crate::process::BrokerProcess;
use crate::records::batch;
use crate::topics::{
    FETCH_VERSION, FetchOptions, Topic, create, fetch_request, partitions_of, produce, records_of,
    values, works,
};
use crate::wire::{Outcome, Sent, Wire};

/// Memory that a broker may gain by any of these tests, bytes: that of its budgets, and some.
const GROWTH_MAX: usize = 64 << 20;

/// Little for answers, so that it runs short.
const SHORT_OF_MEMORY: &str = "shard.response.memory.bytes=1048576";

const PARTITION_COUNT: i32 = 16;

const DELETE_VERSION: i16 = 6;

/// Records of one batch, and bytes of each.
const BATCH_COUNT: usize = 4;
const VALUE_SIZE: usize = 100_000;

fn value(partition: i32, index: usize) -> String {
    let text = format!("{partition} {index} ");
    text.repeat(VALUE_SIZE / text.len())
}

/// Fills each partition with this many batches; a value tells where it belongs.
fn fill(wire: &mut Wire, topic: &Topic, batches: usize) {
    for partition in 0..PARTITION_COUNT {
        for first in (0..batches).map(|index| index * BATCH_COUNT) {
            let values: Vec<String> = (first..first + BATCH_COUNT)
                .map(|index| value(partition, index))
                .collect();
            produce(wire, topic, partition, &batch(&values));
        }
    }
}

/// Asks for everything in all partitions.
fn ask_for_all(wire: &mut Wire, topic: &Topic) -> Sent<FetchRequest> {
    let options = FetchOptions {
        max_bytes: i32::MAX,
        partition_max_bytes: i32::MAX,
        ..FetchOptions::default()
    };
    let partitions: Vec<(i32, i64)> = (0..PARTITION_COUNT).map(|p| (p, 0)).collect();
    let request = fetch_request(FETCH_VERSION, topic, &partitions, options);
    wire.send(FETCH_VERSION, &request)
}

/// Reads the answer: everything up to some offset of each partition, as it was written.
fn check(wire: &mut Wire, sent: Sent<FetchRequest>) -> usize {
    let mut size = 0;
    for data in partitions_of(wire.receive(sent)) {
        assert_eq!(data.error_code, 0);
        size += data.records.as_ref().map_or(0, bytes::Bytes::len);
        for (index, record) in records_of(&data).iter().enumerate() {
            assert_eq!(record.offset, index as i64);
            assert_eq!(record.value, value(data.partition_index, index));
        }
    }
    size
}

/// Many never read, one reads late, another at once.
fn what_is_not_read(settings: &[&str], batches: usize) {
    let directory = directory();
    let broker = BrokerProcess::start(directory.path(), settings);
    let mut wire = broker.connect();
    let topic = create(&mut wire, "t", PARTITION_COUNT, &[]);
    fill(&mut wire, &topic, batches);
    let sent = ask_for_all(&mut wire, &topic);
    assert!(check(&mut wire, sent) > 0);
    let before = broker.resident_size();
    let mut slow: Vec<Wire> = (0..60).map(|_| broker.connect()).collect();
    let mut sent: Vec<_> = slow
        .iter_mut()
        .map(|wire| ask_for_all(wire, &topic))
        .collect();
    // All of them have their first bytes.
    for wire in &mut slow {
        eventually("an answer begins", || wire.has_answer().then_some(()));
    }
    assert_eq!(values(&mut wire, &topic, 3).len(), batches * BATCH_COUNT);
    works(&mut broker.connect(), "other");
    let grown = broker.resident_size().saturating_sub(before);
    assert!(grown < GROWTH_MAX, "{grown} bytes more than before");
    let late = (slow.pop().unwrap(), sent.pop().unwrap());
    let (mut late, asked) = late;
    assert!(check(&mut late, asked) > 0);
    drop(slow);
    works(&mut broker.connect(), "last");
}

/// Each reader asks for what is in the cache now, and has not read it when other records are there.
#[test]
fn answers_from_memory_pin_little() {
    const PER_ROUND: i64 = 8;
    let directory = directory();
    let cache = "shard.tail.cache.bytes=8388608";
    let broker = BrokerProcess::start(directory.path(), &[SHORT_OF_MEMORY, cache]);
    let mut wire = broker.connect();
    let topic = create(&mut wire, "t", 1, &[]);
    let large = batch(&["x".repeat(800_000)]);
    let options = FetchOptions {
        max_bytes: i32::MAX,
        partition_max_bytes: i32::MAX,
        ..FetchOptions::default()
    };
    let mut before = 0;
    let mut sent = Vec::new();
    let mut readers = Vec::new();
    for round in 0..40 {
        for _ in 0..PER_ROUND {
            produce(&mut wire, &topic, 0, &large);
        }
        let from = [(0, round * PER_ROUND)];
        let request = fetch_request(FETCH_VERSION, &topic, &from, options);
        let mut reader = broker.connect();
        sent.push(reader.send(FETCH_VERSION, &request));
        eventually("it begins", || reader.has_answer().then_some(()));
        readers.push(reader);
        if round == 4 {
            before = broker.resident_size();
        }
    }
    let grown = broker.resident_size().saturating_sub(before);
    assert!(grown < GROWTH_MAX, "{grown} bytes more than before");
    let (mut last, sent) = readers.pop().zip(sent.pop()).unwrap();
    let records = records_of(&partitions_of(last.receive(sent))[0]);
    assert_eq!(records.len() as i64, PER_ROUND);
}

#[test]
fn answers_from_disk_pin_little() {
    what_is_not_read(&[SHORT_OF_MEMORY, "shard.tail.cache.bytes=0"], 4);
}

/// The least that an answer may have is a batch, which is more than a connection may hold.
#[test]
fn large_batches_on_disk_pin_little() {
    const READER_COUNT: usize = 400;
    // 64 KiB for each, as much again that was read and freed in between, and some.
    const GROWTH_MAX: usize = 128 << 20;
    let directory = directory();
    let settings = [SHORT_OF_MEMORY, "shard.tail.cache.bytes=0"];
    let broker = BrokerProcess::start(directory.path(), &settings);
    let mut wire = broker.connect();
    let topic = create(&mut wire, "t", 4, &[]);
    let value = |partition: i32| format!("{partition} ").repeat(400_000);
    for partition in 0..4 {
        for _ in 0..2 {
            produce(&mut wire, &topic, partition, &batch(&[value(partition)]));
        }
    }
    let options = FetchOptions {
        max_bytes: i32::MAX,
        partition_max_bytes: i32::MAX,
        ..FetchOptions::default()
    };
    let partitions: Vec<(i32, i64)> = (0..4).map(|partition| (partition, 0)).collect();
    let request = fetch_request(FETCH_VERSION, &topic, &partitions, options);
    let check_answer = |wire: &mut Wire, sent| {
        let answered = partitions_of(wire.receive(sent)).into_iter().map(|data| {
            assert_eq!(data.error_code, 0);
            let records = records_of(&data);
            let wanted = value(data.partition_index);
            assert!(records.iter().all(|record| record.value == wanted));
            records.len()
        });
        answered.sum::<usize>()
    };
    let before = broker.resident_size();
    let mut slow: Vec<(Wire, Sent<FetchRequest>)> = Vec::new();
    for _ in 0..READER_COUNT {
        let mut reader = broker.connect();
        let sent = reader.send(FETCH_VERSION, &request);
        slow.push((reader, sent));
    }
    for (reader, _) in &mut slow {
        eventually("an answer begins", || reader.has_answer().then_some(()));
    }
    // Who reads is served.
    let sent = wire.send(FETCH_VERSION, &request);
    assert!(check_answer(&mut wire, sent) > 0);
    let grown = broker.resident_size().saturating_sub(before);
    assert!(grown < GROWTH_MAX, "{grown} bytes more than before");
    for (mut late, sent) in slow {
        assert!(check_answer(&mut late, sent) > 0);
    }
}

#[test]
fn a_large_answer_is_whole_whatever_the_budget() {
    for budget in [SHORT_OF_MEMORY, "shard.response.memory.bytes=67108864"] {
        let broker = TestBroker::start(&[budget, "shard.tail.cache.bytes=268435456"]);
        let mut wire = broker.connect();
        let topic = create(&mut wire, "t", PARTITION_COUNT, &[]);
        fill(&mut wire, &topic, 3);
        let all = PARTITION_COUNT as usize * 3 * BATCH_COUNT * VALUE_SIZE;
        let sent = ask_for_all(&mut wire, &topic);
        // From memory everything comes at once, far more than a connection may hold.
        assert!(check(&mut wire, sent) > all * 9 / 10);
        // And several answers in one connection.
        let sent: Vec<_> = (0..3).map(|_| ask_for_all(&mut wire, &topic)).collect();
        for sent in sent {
            assert!(check(&mut wire, sent) > all * 9 / 10);
        }
    }
}

#[test]
fn records_that_are_deleted_before_they_are_sent_end_the_connection() {
    let broker = TestBroker::start(&["shard.tail.cache.bytes=268435456"]);
    let mut wire = broker.connect();
    let topic = create(&mut wire, "t", PARTITION_COUNT, &[]);
    fill(&mut wire, &topic, 5);
    let mut slow = broker.connect();
    let sent = ask_for_all(&mut slow, &topic);
    eventually("it begins", || slow.has_answer().then_some(()));
    assert_eq!(delete(&mut wire, DELETE_VERSION, &topic), 0);
    // What follows was promised and cannot be had.
    assert_eq!(slow.read(), Outcome::Closed);
    drop(sent);
    works(&mut wire, "u");
}

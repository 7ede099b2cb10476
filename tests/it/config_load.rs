//! Settings changed while several producers write and several readers read: nothing that was
//! acknowledged is lost, doubled or moved, a retry finds its first try, and from its answer on a
//! change holds for everybody.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use ringlog::types::ErrorCode;

use crate::broker::TestBroker;
use crate::configs::{BROKER, TOPIC, set, value};
use crate::records::sequenced;
use crate::topics::{
    ACKS_ALL, FETCH_VERSION, FetchOptions, PRODUCE_VERSION, Topic, code, create, fetch_in,
    new_producer, produce_in, read_from, records_of,
};
use crate::wire::Wire;

/// More than one shard has one of these. Each has a writer and a reader.
const PARTITIONS: i32 = 4;

/// Rounds through all changes.
const ROUNDS: usize = 2;

/// Records that are acknowledged under each change, at least.
const RECORDS_PER_CHANGE: usize = 40;

/// One in so many records is large.
const LARGE_EVERY: usize = 5;
/// More than the smaller of the limits in [`CHANGES`].
const LARGE_SIZE: usize = 3_000;

/// One in so many batches is sent a second time.
const AGAIN_EVERY: usize = 7;

/// What is changed, one after the other: of the topic, or of all brokers.
const CHANGES: &[(&str, &str)] = &[
    ("flush.before.ack", "false"),
    ("compression.type", "lz4"),
    ("max.message.bytes", "2000"),
    ("segment.bytes", "1048576"),
    ("message.timestamp.type", "LogAppendTime"),
    ("flush.before.ack", "true"),
    ("compression.type", "zstd"),
    ("max.message.bytes", "1000000"),
    ("log.index.interval.bytes", "100"),
    ("segment.ms", "50"),
    ("flush.messages", "10"),
    ("log.flush.interval.messages", "5"),
    ("compression.type", "uncompressed"),
    ("message.timestamp.type", "CreateTime"),
    ("retention.ms", "86400000"),
    ("segment.ms", "604800000"),
    ("compression.type", "producer"),
    ("log.message.timestamp.type", "CreateTime"),
];

/// What the settings are for certain; `None` while one is being changed.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Settled {
    change: usize,
    limit: usize,
    has_append_time: bool,
}

/// What the threads share.
struct Load {
    topic: Topic,
    settled: Mutex<Option<Settled>>,
    is_over: AtomicBool,
    acknowledged_count: AtomicUsize,
}

impl Load {
    fn goes_on(&self) -> bool {
        !self.is_over.load(Ordering::Relaxed)
    }

    fn settled(&self) -> Option<Settled> {
        *self.settled.lock().unwrap()
    }

    /// Writes to a partition, which is its own; what was acknowledged, by offset.
    fn write(&self, mut wire: Wire, partition: i32) -> Vec<String> {
        let producer = new_producer(&mut wire);
        let mut acknowledged = Vec::new();
        let mut number = 0;
        while self.goes_on() {
            number += 1;
            let value = match number % LARGE_EVERY {
                0 => format!("{number} {}", "x".repeat(LARGE_SIZE)),
                _ => format!("{number}"),
            };
            let sequence = acknowledged.len() as i32;
            let records = sequenced(producer, sequence, &[&value]);
            let before = self.settled();
            let mut send = || {
                let (version, acks) = (PRODUCE_VERSION, ACKS_ALL);
                produce_in(&mut wire, version, acks, &self.topic, partition, &records)
            };
            let answer = send();
            let settled = before.filter(|_| before == self.settled());
            if let Some(settled) = settled {
                let is_refused = value.len() > settled.limit;
                assert_eq!(answer.error_code != 0, is_refused, "{}", settled.change);
                let has_time = answer.log_append_time_ms >= 0;
                assert!(is_refused || has_time == settled.has_append_time);
            }
            if answer.error_code != 0 {
                assert_eq!(answer.error_code, code(ErrorCode::MessageTooLarge));
                continue;
            }
            assert_eq!(answer.base_offset, acknowledged.len() as i64);
            acknowledged.push(value);
            if number % AGAIN_EVERY == 0 {
                let again = send();
                let is_found = again.error_code == 0 && again.base_offset == answer.base_offset;
                // Whether it is too large is looked at before.
                let is_refused = again.error_code == code(ErrorCode::MessageTooLarge);
                assert!(is_found || is_refused, "{again:?}");
            }
            self.acknowledged_count.fetch_add(1, Ordering::Relaxed);
        }
        acknowledged
    }

    /// Reads a partition, waiting for more at its end: every offset once, in order, and what is
    /// there never changes.
    fn read(&self, mut wire: Wire, partition: i32) -> Vec<String> {
        let mut read = Vec::new();
        while self.goes_on() {
            let options = FetchOptions {
                max_wait_ms: 100,
                ..FetchOptions::default()
            };
            let at = (partition, read.len() as i64);
            let data = fetch_in(&mut wire, FETCH_VERSION, &self.topic, at, options);
            assert_eq!(data.error_code, 0);
            for record in records_of(&data) {
                if record.offset >= read.len() as i64 {
                    assert_eq!(record.offset, read.len() as i64, "offsets have gaps");
                    read.push(record.value);
                }
            }
        }
        read
    }

    /// Makes all changes, each under load.
    fn change(&self, wire: &mut Wire) {
        let mut now = self.settled().expect("nothing is being changed yet");
        for (key, wanted) in CHANGES.iter().copied().cycle().take(ROUNDS * CHANGES.len()) {
            *self.settled.lock().unwrap() = None;
            let resource = match key.starts_with("log.") {
                true => (BROKER, ""),
                false => (TOPIC, "t"),
            };
            set(wire, resource, key, wanted);
            now.change += 1;
            match key {
                "max.message.bytes" => now.limit = wanted.parse().unwrap(),
                "message.timestamp.type" => now.has_append_time = wanted == "LogAppendTime",
                _ => {}
            }
            *self.settled.lock().unwrap() = Some(now);
            assert_eq!(value(wire, resource, key).0.as_deref(), Some(wanted));
            let before = self.acknowledged_count.load(Ordering::Relaxed);
            crate::eventually("records are acknowledged", || {
                let count = self.acknowledged_count.load(Ordering::Relaxed);
                (count >= before + RECORDS_PER_CHANGE).then_some(())
            });
        }
    }
}

#[test]
fn settings_change_under_load() {
    let broker = TestBroker::start(&[]);
    let mut wire = broker.connect();
    let load = Load {
        topic: create(&mut wire, "t", PARTITIONS, &[]),
        settled: Mutex::new(Some(Settled {
            change: 0,
            limit: 1_000_000,
            has_append_time: false,
        })),
        is_over: AtomicBool::new(false),
        acknowledged_count: AtomicUsize::new(0),
    };
    let (acknowledged, read) = std::thread::scope(|scope| {
        let load = &load;
        let writers: Vec<_> = (0..PARTITIONS)
            .map(|partition| (broker.connect(), partition))
            .map(|(wire, partition)| scope.spawn(move || load.write(wire, partition)))
            .collect();
        let readers: Vec<_> = (0..PARTITIONS)
            .map(|partition| (broker.connect(), partition))
            .map(|(wire, partition)| scope.spawn(move || load.read(wire, partition)))
            .collect();
        let changed =
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| load.change(&mut wire)));
        load.is_over.store(true, Ordering::Relaxed);
        let join = |threads: Vec<std::thread::ScopedJoinHandle<'_, Vec<String>>>| {
            let results = threads.into_iter().map(|thread| thread.join().unwrap());
            results.collect::<Vec<_>>()
        };
        let results = (join(writers), join(readers));
        changed.unwrap();
        results
    });
    for (partition, (acknowledged, read)) in (0..).zip(acknowledged.iter().zip(&read)) {
        let stored = read_from(&mut wire, &load.topic, partition, 0);
        let stored: Vec<_> = stored.into_iter().map(|record| record.value).collect();
        assert!(stored == *acknowledged, "partition {partition}");
        assert!(stored.starts_with(read), "partition {partition}");
    }
}

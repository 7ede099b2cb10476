//! A topic that is deleted and created again is another one: whoever still means the old one, with
//! reads or writes under way, never touches the new one.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use kafka_protocol::messages::DeleteTopicsRequest;
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use ringlog::types::ErrorCode;

use crate::broker::TestBroker;
use crate::records::batch;
use crate::topics::{
    ACKS_ALL, FETCH_VERSION, FetchOptions, PRODUCE_VERSION, Topic, code, create, fetch_in, produce,
    produce_in, read_from, records_of, topic_name, values,
};
use crate::wire::Wire;

/// How often the topic goes and comes back under load.
const ROUNDS: usize = 12;

/// The last version of Produce in which topics have names.
const PRODUCE_BY_NAME_VERSION: i16 = 12;

const FETCH_BY_NAME_VERSION: i16 = 12;

fn delete(wire: &mut Wire, topic: &Topic) {
    let state = DeleteTopicState::default().with_name(Some(topic_name(&topic.name)));
    let request = DeleteTopicsRequest::default()
        .with_timeout_ms(30_000)
        .with_topics(vec![state]);
    assert_eq!(wire.call(6, &request).responses[0].error_code, 0);
}

/// What a client waits before it tries again (`retry.backoff.ms`, there 100 ms). Without a pause
/// the clients of this test keep all cores busy, and a write of the broker that the kernel gives to
/// a worker can take seconds.
const RETRY_BACKOFF: Duration = Duration::from_millis(2);

/// What may be said of a topic that is gone: clients ask for the metadata and go on.
fn is_gone(error: i16) -> bool {
    let gone = [
        ErrorCode::UnknownTopicOrPartition,
        ErrorCode::UnknownTopicId,
    ];
    gone.into_iter().any(|known| code(known) == error)
}

#[test]
fn the_old_id_is_unknown_and_the_name_is_that_of_the_new_topic() {
    let broker = TestBroker::start(&[]);
    let mut wire = broker.connect();
    let old = create(&mut wire, "t", 1, &[]);
    produce(&mut wire, &old, 0, &batch(&["old", "older"]));
    delete(&mut wire, &old);
    let new = create(&mut wire, "t", 1, &[]);
    assert_ne!(new.id, old.id);
    assert_eq!(produce(&mut wire, &new, 0, &batch(&["new"])), 0);
    let options = FetchOptions::default();
    let by_old_id = fetch_in(&mut wire, FETCH_VERSION, &old, (0, 0), options);
    assert_eq!(by_old_id.error_code, code(ErrorCode::UnknownTopicId));
    let records = &batch(&["late"]);
    let late = produce_in(&mut wire, PRODUCE_VERSION, ACKS_ALL, &old, 0, records);
    assert_eq!(late.error_code, code(ErrorCode::UnknownTopicId));
    let by_name = fetch_in(&mut wire, FETCH_BY_NAME_VERSION, &old, (0, 0), options);
    assert_eq!(records_of(&by_name)[0].value, "new");
    assert_eq!(values(&mut wire, &new, 0), ["new"]);
}

#[test]
fn the_directories_of_deleted_topics_stay_as_long_as_configured() {
    let mut broker = TestBroker::start(&[]);
    let mut wire = broker.connect();
    let aside = |broker: &TestBroker| {
        let entries = std::fs::read_dir(broker.directory()).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.ends_with("-delete")).count()
    };
    let topic = create(&mut wire, "t", 2, &[("file.delete.delay.ms", "0")]);
    produce(&mut wire, &topic, 0, &batch(&["a"]));
    delete(&mut wire, &topic);
    // The topic's own setting is about its segments; it is gone with the topic.
    assert_eq!(aside(&broker), 2);
    drop(wire);
    let at_once = "log.segment.delete.delay.ms=0";
    broker.restart(&[at_once]);
    let mut wire = broker.connect();
    let topic = create(&mut wire, "t", 2, &[]);
    produce(&mut wire, &topic, 1, &batch(&["b"]));
    delete(&mut wire, &topic);
    crate::eventually("the directories go", || (aside(&broker) == 0).then_some(()));
}

/// What threads of the test share.
struct Load {
    current: Mutex<Topic>,
    is_over: AtomicBool,
    /// Topic, offset and value of what was acknowledged.
    acknowledged: Mutex<Vec<(Topic, i64, String)>>,
}

impl Load {
    fn current(&self) -> Topic {
        self.current.lock().unwrap().clone()
    }

    fn goes_on(&self) -> bool {
        !self.is_over.load(Ordering::Relaxed)
    }

    /// Writes under the id that it believes in, and says so in each record.
    fn write(&self, mut wire: Wire, writer: usize) {
        let mut number = 0;
        while self.goes_on() {
            let topic = self.current();
            number += 1;
            let value = format!("{} {writer} {number}", topic.id);
            let records = &batch(&[&value]);
            let answer = produce_in(&mut wire, PRODUCE_VERSION, ACKS_ALL, &topic, 0, records);
            match answer.error_code {
                0 => {
                    let acknowledged = (topic, answer.base_offset, value);
                    self.acknowledged.lock().unwrap().push(acknowledged);
                }
                error => {
                    assert!(is_gone(error), "{error}");
                    std::thread::sleep(RETRY_BACKOFF);
                }
            }
        }
    }

    /// Writes to whatever has the name.
    fn write_by_name(&self, mut wire: Wire) {
        let topic = self.current();
        let records = &batch(&["by name"]);
        while self.goes_on() {
            let version = PRODUCE_BY_NAME_VERSION;
            let answer = produce_in(&mut wire, version, ACKS_ALL, &topic, 0, records);
            assert!(answer.error_code == 0 || is_gone(answer.error_code));
            if answer.error_code != 0 {
                std::thread::sleep(RETRY_BACKOFF);
            }
        }
    }

    /// Reads a topic, waiting for more at its end, until it is gone: its own records and no others.
    fn read(&self, mut wire: Wire) {
        while self.goes_on() {
            let topic = self.current();
            let mut offset = 0;
            while self.goes_on() {
                let options = FetchOptions {
                    max_wait_ms: 500,
                    ..FetchOptions::default()
                };
                let data = fetch_in(&mut wire, FETCH_VERSION, &topic, (0, offset), options);
                if is_gone(data.error_code) {
                    std::thread::sleep(RETRY_BACKOFF);
                    break;
                }
                assert_eq!(data.error_code, 0);
                for record in records_of(&data) {
                    assert_eq!(record.offset, offset);
                    check(&topic, &record.value);
                    offset += 1;
                }
            }
        }
    }
}

fn check(topic: &Topic, value: &str) {
    let id = topic.id.to_string();
    assert!(
        value.starts_with(&id) || value == "by name",
        "{value} in {id}"
    );
}

#[test]
fn deleted_and_created_again_under_load() {
    let broker = TestBroker::start(&["log.segment.delete.delay.ms=0"]);
    let mut wire = broker.connect();
    let load = Load {
        current: Mutex::new(create(&mut wire, "t", 1, &[])),
        is_over: AtomicBool::new(false),
        acknowledged: Mutex::default(),
    };
    std::thread::scope(|scope| {
        for writer in 0..3 {
            let (wire, load) = (broker.connect(), &load);
            scope.spawn(move || load.write(wire, writer));
        }
        let (by_name, reader, load) = (broker.connect(), broker.connect(), &load);
        scope.spawn(move || load.write_by_name(by_name));
        scope.spawn(move || load.read(reader));
        let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for _ in 0..ROUNDS {
                let topic = load.current();
                crate::eventually("records are acknowledged", || {
                    let acknowledged = load.acknowledged.lock().unwrap();
                    let of_topic = acknowledged.iter().filter(|(of, ..)| *of == topic);
                    (of_topic.count() >= 20).then_some(())
                });
                delete(&mut wire, &topic);
                *load.current.lock().unwrap() = create(&mut wire, "t", 1, &[]);
            }
        }));
        load.is_over.store(true, Ordering::Relaxed);
        ended.unwrap();
    });
    let last = load.current();
    let stored = read_from(&mut wire, &last, 0, 0);
    for (offset, record) in (0..).zip(&stored) {
        assert_eq!(record.offset, offset, "offsets have gaps");
        check(&last, &record.value);
    }
    for (topic, offset, value) in load.acknowledged.into_inner().unwrap() {
        if topic == last {
            assert_eq!(stored[offset as usize].value, value);
        }
    }
}

//! A disk without room: a broker does not start on it, and one that runs into its end loses nothing
//! that it has acknowledged. Needs a loop device; skipped, with the reason, where there is none.

use kafka_protocol::messages::CreateTopicsRequest;
use nix::sys::signal::Signal;
use ringlog::types::ErrorCode;

use crate::process::{BrokerProcess, start_in_vain};
use crate::records::batch;
use crate::small_disk::SmallDisk;
use crate::topics::{
    ACKS_ALL, EARLIEST, LATEST, Topic, code, create, list_offset_in, new_topic, produce_request,
    values, works,
};
use crate::wire::Wire;

/// While its disk is full the broker serves those who read, and says why it does nothing else.
fn is_read_on(wire: &mut Wire, topic: &Topic, acknowledged: &[Vec<String>; 2]) {
    let storage_error = code(ErrorCode::KafkaStorageError);
    for (partition, expected) in (0..).zip(acknowledged) {
        assert!(values(wire, topic, partition) == *expected, "{partition}");
        let ends =
            [EARLIEST, LATEST].map(|at| list_offset_in(wire, 10, topic, partition, at).offset);
        assert_eq!(ends, [0, expected.len() as i64]);
        let request = produce_request(13, ACKS_ALL, topic, partition, Some(batch(&["refused"])));
        let answer = wire.call(13, &request);
        let error = answer.responses[0].partition_responses[0].error_code;
        assert_eq!(error, storage_error, "{partition}");
    }
    // What changes the metadata, and needs its log: more often than its prepared end has room for.
    for _ in 0..3 {
        let request = CreateTopicsRequest::default()
            .with_topics(vec![new_topic("new", 1, &[])])
            .with_timeout_ms(30_000);
        assert_eq!(wire.call(7, &request).topics[0].error_code, storage_error);
    }
}

#[test]
fn no_start_without_room() {
    let Some(disk) = SmallDisk::mount(14 << 20) else {
        return;
    };
    let failed = start_in_vain(&disk.path(), &[], || Ok(()));
    let path = disk.path();
    failed.check(&[path.to_str().unwrap(), "full", "free some space"]);
}

#[test]
fn what_was_acknowledged_before_the_disk_was_full_is_there_when_it_has_room_again() {
    let Some(disk) = SmallDisk::mount(96 << 20) else {
        return;
    };
    // Room that is given back later.
    let ballast = disk.path().join("ballast");
    let mut broker = BrokerProcess::start(&disk.path().join("data"), &[]);
    std::fs::write(&ballast, vec![0; 40 << 20]).unwrap();
    let mut wire = broker.connect();
    let topic = create(&mut wire, "t", 2, &[]);
    let mut acknowledged = [Vec::new(), Vec::new()];
    for index in 0..400 {
        let partition = index % 2;
        let value = format!("{index} {}", "x".repeat(500_000));
        let records = Some(batch(&[&value]));
        let request = produce_request(13, ACKS_ALL, &topic, partition as i32, records);
        let sent = wire.send(13, &request);
        let answer = wire.receive(sent);
        let answer = &answer.responses[0].partition_responses[0];
        if answer.error_code != 0 {
            assert_eq!(answer.error_code, code(ErrorCode::KafkaStorageError));
            break;
        }
        assert_eq!(answer.base_offset, acknowledged[partition].len() as i64);
        acknowledged[partition].push(value);
    }
    let count = acknowledged.iter().map(Vec::len).sum::<usize>();
    assert!((10..200).contains(&count), "{count} times 500 KB on 96 MiB");
    is_read_on(&mut wire, &topic, &acknowledged);
    assert!(broker.is_running());
    // No clean stop any more, and no marker of one.
    broker.signal(Signal::SIGTERM);
    assert_eq!(broker.wait().code(), Some(1));
    assert!(!disk.path().join("data/.kafka_cleanshutdown").exists());
    std::fs::remove_file(&ballast).unwrap();
    let broker = BrokerProcess::start(&disk.path().join("data"), &[]);
    let mut wire = broker.connect();
    for (partition, expected) in (0..).zip(&acknowledged) {
        let stored = values(&mut wire, &topic, partition);
        // What failed may be there too, once.
        assert!(stored.len() <= expected.len() + 1);
        assert!(stored.starts_with(expected), "{} of {count}", stored.len());
    }
    works(&mut wire, "new");
}

//! Damaged segments: who reads the damage is told, everybody else goes on, and it is found without
//! a reader.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use nix::sys::signal::Signal;
use ringlog::metrics::Counter;
use ringlog::types::ErrorCode;

use crate::broker::{TestBroker, directory};
use crate::eventually;
use crate::process::BrokerProcess;
use crate::records::batch;
use crate::topics::{
    FETCH_VERSION, FetchOptions, Topic, code, create, fetch_in, produce, read_from, records_of,
    values,
};
use crate::wire::Wire;

/// Nothing is read that no client asks for.
const QUIET: &str = "log.verify.bytes.per.second=0";

/// Passes one after the other, as fast as the disk.
const VERIFYING: &[&str] = &[
    "log.verify.bytes.per.second=1073741824",
    "log.verify.interval.ms=10",
];

const BATCH_COUNT: usize = 30;

/// Ten batches to a segment of 1 MiB.
const VALUE_SIZE: usize = 100_000;

/// Batches of one record, and how large they are on disk.
fn fill(wire: &mut Wire, topic: &Topic) -> u64 {
    let mut size = 0;
    for index in 0..BATCH_COUNT {
        let value = format!("{index:02} {}", "x".repeat(VALUE_SIZE));
        let batch = batch(&[value]);
        size = batch.len() as u64;
        assert_eq!(produce(wire, topic, 0, &batch), index as i64);
    }
    size
}

fn first_segment(directory: &Path, partition: &str) -> PathBuf {
    let path = directory.join(partition).join("00000000000000000000.log");
    let next = directory.join(partition).join("00000000000000000010.log");
    assert!(next.exists(), "ten batches make a segment");
    path
}

/// Flips a bit of the byte at `position`; twice is not at all.
fn flip(path: &Path, position: u64) {
    let file = OpenOptions::new().read(true).write(true).open(path);
    let file = file.expect("the segment is there");
    let mut byte = [0];
    file.read_exact_at(&mut byte, position).unwrap();
    file.write_all_at(&[byte[0] ^ 4], position).unwrap();
    file.sync_all().unwrap();
}

fn fetch(wire: &mut Wire, topic: &Topic, offset: i64) -> (i16, Vec<i64>) {
    let options = FetchOptions::default();
    let data = fetch_in(wire, FETCH_VERSION, topic, (0, offset), options);
    let offsets = records_of(&data)
        .iter()
        .map(|record| record.offset)
        .collect();
    (data.error_code, offsets)
}

#[test]
fn who_reads_damage_is_told_and_the_others_go_on() {
    let mut broker = TestBroker::start(&[QUIET]);
    let mut wire = broker.connect();
    let sound = create(&mut wire, "sound", 1, &[]);
    let topic = create(&mut wire, "t", 1, &[]);
    fill(&mut wire, &sound);
    let size = fill(&mut wire, &topic);
    drop(wire);
    // What is in memory is not read from disk.
    broker.restart(&[QUIET]);
    let mut wire = broker.connect();
    let segment = first_segment(broker.directory(), "t-0");
    // A record, the offset, the length, the last offset: the CRC covers the first and the last.
    for inside in [size / 2, 6, 10, 26] {
        flip(&segment, 5 * size + inside);
        for _ in 0..3 {
            assert_eq!(
                fetch(&mut wire, &topic, 0),
                (0, vec![0, 1, 2, 3, 4]),
                "{inside}"
            );
            let told = (code(ErrorCode::CorruptMessage), vec![]);
            assert_eq!(fetch(&mut wire, &topic, 5), told, "byte {inside}");
        }
        assert_eq!(
            read_from(&mut wire, &topic, 0, 6).len(),
            BATCH_COUNT - 6,
            "{inside}"
        );
        assert_eq!(values(&mut wire, &sound, 0).len(), BATCH_COUNT);
        // One place in the file, whatever was wrong with it and however often it was read.
        assert_eq!(broker.snapshot().counter(Counter::CorruptBatches), 1);
        flip(&segment, 5 * size + inside);
        assert_eq!(
            values(&mut wire, &topic, 0).len(),
            BATCH_COUNT,
            "byte {inside} is back"
        );
    }
    // The file of a running broker loses its end.
    let file = OpenOptions::new().write(true).open(&segment).unwrap();
    file.set_len(7 * size + 100).unwrap();
    assert_eq!(fetch(&mut wire, &topic, 5), (0, vec![5, 6]));
    let told = (code(ErrorCode::CorruptMessage), vec![]);
    assert_eq!(fetch(&mut wire, &topic, 7), told);
    assert_eq!(fetch(&mut wire, &topic, 9), told);
    assert_eq!(read_from(&mut wire, &topic, 0, 10).len(), BATCH_COUNT - 10);
}

#[test]
fn a_damaged_index_entry_costs_nobody_a_record() {
    let mut broker = TestBroker::start(&[QUIET]);
    let mut wire = broker.connect();
    let topic = create(&mut wire, "t", 1, &[]);
    fill(&mut wire, &topic);
    drop(wire);
    broker.stop();
    let log = first_segment(broker.directory(), "t-0");
    let index = log.with_extension("index");
    // The fifth entry: its offset, and its position.
    for byte in [4 * 8 + 3, 4 * 8 + 7] {
        flip(&index, byte);
        broker.start_again(&[QUIET]);
        let mut wire = broker.connect();
        for offset in 0..10 {
            let (error, offsets) = fetch(&mut wire, &topic, offset);
            assert_eq!((error, offsets.first()), (0, Some(&offset)), "byte {byte}");
        }
        assert_eq!(values(&mut wire, &topic, 0).len(), BATCH_COUNT);
        drop(wire);
        broker.stop();
        flip(&index, byte);
    }
    broker.start_again(&[QUIET]);
}

#[test]
fn damage_is_found_without_a_reader() {
    let mut broker = TestBroker::start(&[QUIET]);
    let mut wire = broker.connect();
    let topic = create(&mut wire, "t", 1, &[]);
    let size = fill(&mut wire, &topic);
    drop(wire);
    broker.restart(VERIFYING);
    let verified = || broker.snapshot().counter(Counter::VerifiedBatches);
    eventually("two passes over the sealed segments", || {
        (verified() >= 40).then_some(())
    });
    assert_eq!(broker.snapshot().counter(Counter::CorruptBatches), 0);
    let segment = first_segment(broker.directory(), "t-0");
    flip(&segment, 2 * size + size / 2);
    flip(&segment, 6 * size + 10);
    let corrupt = || broker.snapshot().counter(Counter::CorruptBatches);
    eventually("both are found", || (corrupt() == 2).then_some(()));
    // Behind them, too: a pass goes on.
    let (before, bytes) = (
        verified(),
        broker.snapshot().counter(Counter::VerifiedBytes),
    );
    eventually("another pass", || (verified() >= before + 18).then_some(()));
    assert!(broker.snapshot().counter(Counter::VerifiedBytes) > bytes);
    assert_eq!(corrupt(), 2, "each is counted once");
}

#[test]
fn file_and_byte_of_damage_are_logged_once() {
    let directory = directory();
    let mut broker = BrokerProcess::start(directory.path(), &[QUIET]);
    let mut wire = broker.connect();
    let topic = create(&mut wire, "t", 1, &[]);
    let size = fill(&mut wire, &topic);
    drop(wire);
    broker.signal(Signal::SIGTERM);
    assert!(broker.wait().success());
    let segment = first_segment(directory.path(), "t-0");
    flip(&segment, 3 * size + size / 2);
    let output = directory.path().join("stderr");
    let mut broker = BrokerProcess::start_logged(directory.path(), VERIFYING, &output);
    let mut wire = broker.connect();
    for _ in 0..3 {
        assert_eq!(
            fetch(&mut wire, &topic, 3).0,
            code(ErrorCode::CorruptMessage)
        );
    }
    broker.kill();
    let log = std::fs::read_to_string(&output).unwrap();
    let place = format!("position={}", 3 * size);
    let lines: Vec<&str> = log.lines().filter(|line| line.contains(&place)).collect();
    assert_eq!(lines.len(), 1, "{log}");
    assert!(lines[0].contains("t-0/00000000000000000000.log"), "{log}");
}

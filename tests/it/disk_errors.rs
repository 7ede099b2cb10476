//! A disk that breaks under a broker: a failed write or flush ends the log directory, and the
//! broker with its only one. The errors are the kernel's own.

use std::path::{Path, PathBuf};

use nix::sys::signal::Signal;
use ringlog::types::ErrorCode;

use crate::broker::directory;
use crate::directories::{Two, is_offline, stop};
use crate::process::{BrokerProcess, start_in_vain};
use crate::records::batch;
use crate::small_disk::{SmallDisk, WornDisk};
use crate::topics::{ACKS_ALL, Topic, code, create, produce, produce_request, values, works};
use crate::wire::Wire;

/// Bytes of each of two disks.
const SIZE: u64 = 64 << 20;

/// Records that a broken disk may still take: what the system had prepared.
const RECORDS_MAX: usize = 100;

const RECORD_SIZE: usize = 500_000;

/// A broker on a file system that is about to break, with a record in it.
struct Doomed {
    broker: BrokerProcess,
    data: PathBuf,
    log: PathBuf,
    /// Has the log, which outlives the disk.
    _directory: tempfile::TempDir,
    wire: Wire,
    topic: Topic,
}

impl Doomed {
    fn start(disk: &Path) -> Doomed {
        let (directory, data) = (directory(), disk.join("data"));
        let log = directory.path().join("log");
        let broker = BrokerProcess::start_logged(&data, &[], &log);
        let mut wire = broker.connect();
        let topic = create(&mut wire, "t", 1, &[]);
        assert_eq!(produce(&mut wire, &topic, 0, &batch(&["kept"])), 0);
        Doomed {
            broker,
            data,
            log,
            _directory: directory,
            wire,
            topic,
        }
    }

    /// Sends a record, one that is larger than what is prepared for the next ones.
    fn is_acknowledged(&mut self) -> bool {
        let records = Some(batch(&["x".repeat(RECORD_SIZE)]));
        let request = produce_request(13, ACKS_ALL, &self.topic, 0, records);
        let sent = self.wire.send(13, &request);
        let Some(answer) = self.wire.try_receive(sent) else {
            return false;
        };
        let error = answer.responses[0].partition_responses[0].error_code;
        assert!(
            [0, code(ErrorCode::KafkaStorageError)].contains(&error),
            "{error}"
        );
        error == 0
    }

    /// Some record is not acknowledged, and the broker ends with one line of what happened and one
    /// of its end.
    fn must_end(&mut self) {
        let is_lost = (0..RECORDS_MAX).any(|_| !self.is_acknowledged());
        assert!(is_lost, "everything was acknowledged");
        assert_eq!(self.broker.wait().code(), Some(1));
        let said = std::fs::read_to_string(&self.log).unwrap();
        let lines = |what: &str| said.lines().filter(|line| line.contains(what)).count();
        assert_eq!(lines("a write or flush failed"), 1, "{said}");
        assert_eq!(lines("ringlog: the broker ended"), 1, "{said}");
        assert_eq!(lines("keeps the metadata there"), 1, "{said}");
        assert!(said.contains(self.data.to_str().unwrap()), "{said}");
    }
}

#[test]
fn the_broker_ends_when_its_disk_takes_no_writes_any_more() {
    let Some(disk) = SmallDisk::mount(96 << 20) else {
        return;
    };
    let mut doomed = Doomed::start(&disk.path());
    disk.break_down();
    doomed.must_end();
}

#[test]
fn the_broker_ends_when_a_flush_fails_and_does_not_start_again_on_what_the_system_shows() {
    let Some(disk) = WornDisk::mount() else {
        return;
    };
    let mut doomed = Doomed::start(&disk.path());
    disk.wear_out();
    doomed.must_end();
    let failed = start_in_vain(&doomed.data, &[], || Ok(()));
    failed.check(&["a flush failed here before", "restart the machine"]);
}

#[test]
fn a_second_disk_that_breaks_takes_only_its_partitions_away() {
    let (Some(first), Some(disk)) = (SmallDisk::mount(SIZE), SmallDisk::mount(SIZE)) else {
        return;
    };
    let two = Two::on([&first, &disk]);
    let (pages, setting) = (crate::metrics::free_address(), two.setting());
    let log = two.above().join("log");
    let metrics = format!("metrics.listener={pages}");
    let broker = BrokerProcess::start_logged(two.above(), &[&setting, &metrics], &log);
    let mut wire = broker.connect();
    let topic = create(&mut wire, "t", 4, &[]);
    for partition in 0..4 {
        produce(
            &mut wire,
            &topic,
            partition,
            &batch(&[format!("{partition}")]),
        );
    }
    let [kept, lost] = [two.first(), two.second()].map(|path| Two::partitions_in(&path));
    disk.break_down();
    for &partition in &lost {
        is_offline(&mut wire, &topic, partition);
    }
    for &partition in &kept {
        assert_eq!(
            values(&mut wire, &topic, partition),
            [format!("{partition}")]
        );
        assert_eq!(produce(&mut wire, &topic, partition, &batch(&["more"])), 1);
    }
    works(&mut wire, "new");
    let page = crate::metrics::page(pages);
    let second = two.second();
    let labels = [("directory", second.to_str().unwrap())];
    assert_eq!(page.sum("ringlog_log_directory_online", &labels), 0.0);
    assert_eq!(page.sum("ringlog_log_directory_online", &[]), 1.0);
    assert!(page.sum("ringlog_disk_errors_total", &[]) >= 1.0);
    // The others stop cleanly.
    stop(broker);
    let said = std::fs::read_to_string(&log).unwrap();
    let failures = said
        .lines()
        .filter(|line| line.contains("a write or flush failed"));
    assert_eq!(failures.count(), 1, "{said}");
}

#[test]
fn a_second_disk_that_is_full_is_read_on() {
    let (Some(first), Some(disk)) = (SmallDisk::mount(SIZE), SmallDisk::mount(SIZE)) else {
        return;
    };
    let two = Two::on([&first, &disk]);
    let mut broker = two.start();
    let mut wire = broker.connect();
    let topic = create(&mut wire, "t", 4, &[]);
    let mut full = Two::partitions_in(&two.second()).into_iter();
    let partition = full.next().expect("they spread");
    let mut acknowledged = Vec::new();
    let error = loop {
        let value = format!("{} {}", acknowledged.len(), "x".repeat(500_000));
        let records = Some(batch(&[&value]));
        let request = produce_request(13, ACKS_ALL, &topic, partition, records);
        let answer = wire.call(13, &request);
        match answer.responses[0].partition_responses[0].error_code {
            0 => acknowledged.push(value),
            error => break error,
        }
        assert!(acknowledged.len() < 200, "so much on 64 MiB");
    };
    assert_eq!(error, code(ErrorCode::KafkaStorageError));
    assert!(values(&mut wire, &topic, partition) == acknowledged);
    // Topics are made, where there is room.
    works(&mut wire, "new");
    broker.signal(Signal::SIGTERM);
    assert_eq!(broker.wait().code(), Some(0));
}

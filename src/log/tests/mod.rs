//! Logs on the simulated disk: batches in and out, files looked at.

mod adoption;
mod checkpoints;
mod failure;
mod reading;
mod recycling;
mod retention;
mod sealing;
mod strays;
mod truncation;
mod write_budget;

use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;

use super::*;
use crate::batch::{BatchBuilder, BatchHeader, BatchOptions, HEAD_SIZE, Producer};
use crate::io::Reactor;
use crate::io::sim::{MachineId, SimOptions, Simulation};
use crate::log_state::ProducerBatch;
use crate::types::{LeaderEpoch, Offset, Timestamp, TopicId, TopicPartition};

const DIRECTORY: &str = "/data";

/// Value bytes of [`append`]: with segments of one unit, three batches make one.
const VALUE: &[u8] = &[7; 1_200];

fn simulation(seed: u64) -> Simulation {
    Simulation::new(SimOptions::with_seed(seed))
}

/// Runs one process to its end.
fn run<F: Future<Output = ()> + 'static>(sim: &Simulation, process: impl FnOnce(Reactor) -> F) {
    sim.run(MachineId::FIRST, process);
}

fn small_segments() -> LogConfig {
    LogConfig {
        segment_size_max: 4096,
        roll_ms: i64::MAX,
        ..LogConfig::default()
    }
}

async fn open_directory(reactor: &Reactor) -> LogDirectory {
    open_broken_directory(reactor, None).await
}

async fn open_broken_directory(reactor: &Reactor, broken_rule: Option<BrokenRule>) -> LogDirectory {
    let disk = reactor.disk();
    disk.create_dir_all(Path::new(DIRECTORY)).await.unwrap();
    disk.sync_dir(Path::new("/")).await.unwrap();
    let options = DirectoryOptions {
        broken_rule,
        ..DirectoryOptions::new(PathBuf::from(DIRECTORY), TailBudget::new(0))
    };
    LogDirectory::open(reactor, options).await.unwrap()
}

async fn try_open(directory: &LogDirectory, config: LogConfig) -> Result<Log, LogError> {
    let options = OpenLog {
        partition: TopicPartition::new("t", 0),
        topic_id: TopicId([7; 16]),
        config,
        on_progress: Rc::new(|_| {}),
    };
    Log::open(directory, options).await.map(|(log, _)| log)
}

/// A log beside others.
async fn open_log(directory: &LogDirectory, topic: &str, config: LogConfig) -> Log {
    let options = OpenLog {
        partition: TopicPartition::new(topic, 0),
        topic_id: TopicId([topic.as_bytes()[0]; 16]),
        config,
        on_progress: Rc::new(|_| {}),
    };
    Log::open(directory, options).await.unwrap().0
}

async fn open(reactor: &Reactor, config: LogConfig) -> (LogDirectory, Log) {
    let directory = open_directory(reactor).await;
    let log = try_open(&directory, config).await.unwrap();
    (directory, log)
}

/// Appends a batch of one record; `now` is when it happens, the record's time is given.
fn append_at(log: &Log, epoch: LeaderEpoch, timestamp: Timestamp, now: Timestamp) -> Offset {
    append_batch(log, BatchOptions::default(), epoch, (timestamp, now))
}

/// Appends a batch of one record of a producer.
fn append_of(reactor: &Reactor, log: &Log, producer: ProducerBatch) {
    let options = BatchOptions {
        producer: Some(Producer {
            id: producer.producer_id,
            epoch: producer.producer_epoch,
            base_sequence: producer.base_sequence,
        }),
        ..BatchOptions::default()
    };
    let now = reactor.wall_clock();
    let offset = append_batch(log, options, 0, (now, now));
    log.state().producers.apply(&producer, offset, now);
}

fn append_batch(
    log: &Log,
    options: BatchOptions,
    epoch: LeaderEpoch,
    (timestamp, now): (Timestamp, Timestamp),
) -> Offset {
    let mut builder = BatchBuilder::new(options, 0);
    builder.append(timestamp, None, Some(VALUE), &[]);
    append_bytes(log, builder.close(), epoch, now)
}

/// Appends a batch of one record with a value of `size` bytes.
fn append_sized(reactor: &Reactor, log: &Log, size: usize) -> Offset {
    let now = reactor.wall_clock();
    let mut builder = BatchBuilder::new(BatchOptions::default(), 0);
    builder.append(now, None, Some(&vec![7; size]), &[]);
    append_bytes(log, builder.close(), 0, now)
}

/// Appends a batch of one record.
fn append_bytes(log: &Log, bytes: Bytes, epoch: LeaderEpoch, now: Timestamp) -> Offset {
    let header = BatchHeader::parse(&bytes).unwrap();
    let plan = AppendPlan {
        size: bytes.len(),
        last_offset_delta: 0,
        max_timestamp: header.max_timestamp,
    };
    log.prepare_append(&plan, now);
    let offset = {
        let mut state = log.state();
        let offset = state.log_end_offset;
        state.epochs.assign(epoch, offset);
        state.log_end_offset += 1;
        offset
    };
    log.append(BatchToAppend {
        head: header.head(offset, epoch),
        body: bytes.slice(HEAD_SIZE..),
        base_offset: offset,
        last_offset: offset,
        max_timestamp: header.max_timestamp,
    });
    offset
}

/// Appends batches whose times are those of the clock.
async fn append(reactor: &Reactor, log: &Log, count: usize) {
    for _ in 0..count {
        let now = reactor.wall_clock();
        append_at(log, 0, now, now);
    }
    log.flush_all().await.unwrap();
}

/// Names of the log's files with this ending, sorted.
async fn files(reactor: &Reactor, ending: &str) -> Vec<String> {
    let path = Path::new(DIRECTORY).join("t-0");
    let entries = reactor.disk().list_dir(&path).await.unwrap();
    let names = entries.into_iter().map(|entry| entry.name);
    names.filter(|name| name.ends_with(ending)).collect()
}

async fn read(log: &Log, offset: Offset) -> Result<ReadBatches, LogError> {
    let request = ReadRequest {
        offset,
        size_max: 1,
        end_bound: log.state().log_end_offset,
    };
    log.read_cold(request).await
}

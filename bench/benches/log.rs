//! The log on this machine's disk: appends until they are written or durable, reads from memory,
//! and reads from disk through the offset index.
//!
//! The directory is made under the current one (a tmpfs will not do) and removed at the end.

use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use ringlog::batch::{BatchBuilder, BatchHeader, BatchOptions, HEAD_SIZE};
use ringlog::io::{Reactor, ReactorOptions, uring};
use ringlog::log::{
    AppendPlan, BatchToAppend, DirectoryOptions, Log, LogConfig, LogDirectory, OpenLog,
    ReadRequest, TailBudget,
};
use ringlog::types::{Offset, TopicId, TopicPartition};

const BATCH_SIZE: usize = 16 << 10;

/// Bytes that are appended before what was appended first is waited for.
const IN_FLIGHT_SIZE: u64 = 8 << 20;

/// Bytes in the log that is read.
const READ_LOG_SIZE: u64 = 64 << 20;

/// What is measured.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Work {
    AppendWritten,
    AppendDurable,
    ReadMemory,
    ReadDisk,
}

/// Time for `count` batches or reads on a shard of its own.
fn measure(directory: &Path, work: Work, count: u64) -> Duration {
    let options = ReactorOptions {
        name: "bench".to_owned(),
        ..ReactorOptions::default()
    };
    let path = directory.to_owned();
    let shards = uring::start(options, move |reactor: Reactor| {
        let path = path.clone();
        async move { run(&reactor, path, work, count).await }
    });
    let mut results = shards.expect("start a shard").join().into_iter();
    let result = results.next().expect("one shard");
    result.expect("the shard ends")
}

async fn run(reactor: &Reactor, path: PathBuf, work: Work, count: u64) -> Duration {
    let tail_size_max = match work {
        Work::ReadDisk => 0,
        _ => 2 * READ_LOG_SIZE as usize,
    };
    let options = DirectoryOptions::new(path, TailBudget::new(tail_size_max));
    let directory = LogDirectory::open(reactor, options).await.expect("open");
    let config = LogConfig {
        flush_before_ack: work == Work::AppendDurable,
        ..LogConfig::default()
    };
    let open = OpenLog {
        partition: TopicPartition::new("bench", 0),
        topic_id: TopicId([1; 16]),
        config,
        on_progress: Rc::new(|_| {}),
    };
    let (log, _) = Log::open(&directory, open).await.expect("open the log");
    let elapsed = match work {
        Work::AppendWritten | Work::AppendDurable => {
            append(reactor, &log, count, work == Work::AppendDurable).await
        }
        Work::ReadMemory | Work::ReadDisk => {
            append(reactor, &log, READ_LOG_SIZE / BATCH_SIZE as u64, true).await;
            read(reactor, &log, count).await
        }
    };
    log.delete().await.expect("delete the log");
    directory.stop().await.expect("stop the directory");
    elapsed
}

/// Appends batches, each its own, with a bounded number of them on their way.
async fn append(reactor: &Reactor, log: &Log, count: u64, durable: bool) -> Duration {
    let mut builder = BatchBuilder::new(BatchOptions::default(), BATCH_SIZE);
    builder.append(1, None, Some(&[7; BATCH_SIZE - 80]), &[]);
    let batch = builder.close();
    let started = reactor.now();
    for _ in 0..count {
        while log.unwritten_bytes() > IN_FLIGHT_SIZE {
            reactor.yield_now().await;
        }
        append_one(log, &batch);
    }
    if durable {
        log.flush_all().await.expect("flush");
    } else {
        while log.unwritten_bytes() > 0 {
            reactor.yield_now().await;
        }
    }
    reactor.now() - started
}

fn append_one(log: &Log, batch: &Bytes) {
    let header = BatchHeader::parse(batch).expect("a batch");
    let plan = AppendPlan {
        size: batch.len(),
        last_offset_delta: header.last_offset_delta,
        max_timestamp: header.max_timestamp,
    };
    log.prepare_append(&plan, 1);
    let base_offset: Offset = {
        let mut state = log.state();
        let base_offset = state.log_end_offset;
        state.log_end_offset += i64::from(header.last_offset_delta) + 1;
        base_offset
    };
    log.append(BatchToAppend {
        head: header.head(base_offset, 0),
        body: batch.slice(HEAD_SIZE..),
        base_offset,
        last_offset: base_offset + i64::from(header.last_offset_delta),
        max_timestamp: header.max_timestamp,
    });
}

/// Reads one batch at scattered offsets.
async fn read(reactor: &Reactor, log: &Log, count: u64) -> Duration {
    let end = log.state().log_end_offset;
    let started = reactor.now();
    for index in 0..count {
        let request = ReadRequest {
            offset: (index as i64).wrapping_mul(7_919).rem_euclid(end),
            size_max: 1,
            end_bound: end,
        };
        let batches = log.read_cold(request).await.expect("read");
        assert!(batches.size > 0, "a batch is returned whatever its size");
    }
    reactor.now() - started
}

fn log_benches(criterion: &mut Criterion) {
    let here = std::env::current_dir().expect("a current directory");
    let directory = tempfile::Builder::new()
        .prefix("ringlog-bench-log-")
        .tempdir_in(here)
        .expect("make a directory");
    let mut group = criterion.benchmark_group("log");
    group.sample_size(10);
    for (name, work, size) in [
        ("append 16 KiB, written", Work::AppendWritten, BATCH_SIZE),
        (
            "append 16 KiB, durable in groups",
            Work::AppendDurable,
            BATCH_SIZE,
        ),
        ("read a batch from memory", Work::ReadMemory, BATCH_SIZE),
        (
            "index lookup and read from disk",
            Work::ReadDisk,
            BATCH_SIZE,
        ),
    ] {
        group.throughput(Throughput::Bytes(size as u64));
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|count| measure(directory.path(), work, count));
        });
    }
    group.finish();
}

criterion_group!(benches, log_benches);
criterion_main!(benches);

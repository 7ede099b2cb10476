//! A log in a directory, for tests that need one and no model.

use std::rc::Rc;

use bytes::Bytes;
use ringlog::batch::{BatchBuilder, BatchHeader, BatchOptions, HEAD_SIZE};
use ringlog::io::Reactor;
use ringlog::log::{
    BatchToAppend, DirectoryOptions, Log, LogConfig, LogDirectory, LogError, OpenLog, TailBudget,
};
use ringlog::types::{TopicId, TopicPartition};

const DIRECTORY: &str = "/data";
const VALUE_SIZE: usize = 1_000;

/// What the log never has more of behind the last flush.
const UNFLUSHED_BYTES_MAX: u64 = 16 << 10;

pub(crate) fn directory_options() -> DirectoryOptions {
    DirectoryOptions::new(DIRECTORY.into(), TailBudget::new(1 << 20))
}

/// Opens the log, in class P.
pub(crate) async fn open(
    reactor: &Reactor,
    options: DirectoryOptions,
) -> Result<(LogDirectory, Log), LogError> {
    reactor
        .disk()
        .create_dir_all(DIRECTORY.as_ref())
        .await
        .unwrap();
    let config = LogConfig {
        flush_before_ack: true,
        unflushed_bytes_max: UNFLUSHED_BYTES_MAX,
        ..LogConfig::default()
    };
    open_with(reactor, options, config).await
}

/// The same with other settings, in a directory that is there.
pub(crate) async fn open_with(
    reactor: &Reactor,
    options: DirectoryOptions,
    config: LogConfig,
) -> Result<(LogDirectory, Log), LogError> {
    let directory = LogDirectory::open(reactor, options).await?;
    let (log, _) = Log::open(
        &directory,
        OpenLog {
            partition: TopicPartition::new("events", 0),
            topic_id: TopicId([7; 16]),
            config,
            on_progress: Rc::new(|_| {}),
        },
    )
    .await?;
    Ok((directory, log))
}

/// Appends a batch of one record; its size.
pub(crate) fn append(log: &Log, now: i64) -> u64 {
    let mut builder = BatchBuilder::new(BatchOptions::default(), 0);
    builder.append(now, None, Some(&[b'v'; VALUE_SIZE]), &[]);
    let bytes = builder.close();
    append_bytes(log, &bytes, now);
    bytes.len() as u64
}

/// Appends a batch of one record, made already; `now` is its time.
pub(crate) fn append_bytes(log: &Log, bytes: &Bytes, now: i64) {
    let header = BatchHeader::parse(bytes).unwrap();
    let base_offset = log.state().log_end_offset;
    log.state().log_end_offset += 1;
    log.append(BatchToAppend {
        head: header.head(base_offset, 0),
        body: bytes.slice(HEAD_SIZE..),
        base_offset,
        last_offset: base_offset,
        max_timestamp: now,
    });
}

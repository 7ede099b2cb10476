//! The log of the metadata, `__cluster_metadata-0`: a log like any other, in class P, whose batches
//! are groups of metadata records.

use bytes::Bytes;

use super::error::ShardError;
use crate::batch::{
    BatchBuilder, BatchIter, BatchOptions, BatchView, CrcCheck, Decompressor, RecordIter,
};
use crate::controller::Controller;
use crate::io::{Notify, Reactor};
use crate::log::{AppendPlan, BatchToAppend, Log, LogConfig, LogDirectory, OpenLog, ReadRequest};
use crate::metadata::{CLUSTER_METADATA_TOPIC, MetadataDelta, MetadataRecord};
use crate::types::{LeaderEpoch, Offset, TopicId, TopicPartition};

/// Kafka's id of the metadata topic (`Uuid.METADATA_TOPIC_ID`).
const METADATA_TOPIC_ID: TopicId = TopicId([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);

/// One node has no quorum and no elections.
const EPOCH: LeaderEpoch = 0;

/// How much of the log is read at once at start.
const READ_SIZE: usize = 1 << 20;

/// Largest payload of a batch of the metadata log when decompressed (they are not compressed).
const RECORDS_SIZE_MAX: usize = 64 << 20;

/// The metadata log; lives on shard 0.
pub(super) struct MetadataLog {
    log: Log,
    progress: Notify,
}

impl MetadataLog {
    pub(super) async fn open(directory: &LogDirectory) -> Result<MetadataLog, ShardError> {
        let progress = Notify::new();
        let told = progress.clone();
        let open = OpenLog {
            partition: TopicPartition::new(CLUSTER_METADATA_TOPIC, 0),
            topic_id: METADATA_TOPIC_ID,
            config: LogConfig {
                flush_before_ack: true,
                ..LogConfig::default()
            },
            on_progress: std::rc::Rc::new(move |_| told.notify_all()),
        };
        let (log, _) = Log::open(directory, open).await.map_err(metadata_error)?;
        let start = log.state().log_start_offset;
        if start != 0 {
            // Nothing moves it: what was there said which topics there are.
            return Err(ShardError::Metadata(format!(
                "the records before offset {start} are gone; restore {CLUSTER_METADATA_TOPIC}-0 \
                 from a copy"
            )));
        }
        Ok(MetadataLog { log, progress })
    }

    pub(super) fn end_offset(&self) -> Offset {
        self.log.state().log_end_offset
    }

    /// Replays the whole log into a controller.
    pub(super) async fn replay_into(&self, controller: &mut Controller) -> Result<(), ShardError> {
        let (mut offset, end) = {
            let state = self.log.state();
            (state.log_start_offset, state.log_end_offset)
        };
        while offset < end {
            let request = ReadRequest {
                offset,
                size_max: READ_SIZE,
                end_bound: end,
            };
            let read = self.log.read_cold(request).await.map_err(metadata_error)?;
            if read.pieces.is_empty() {
                return Err(ShardError::Metadata(format!(
                    "offset {offset} cannot be read"
                )));
            }
            replay_batches(&read.pieces, controller)?;
            offset = read.next_offset;
        }
        Ok(())
    }

    /// Appends records as one batch and returns when it is durable.
    pub(super) async fn append(
        &self,
        reactor: &Reactor,
        records: &[MetadataRecord],
    ) -> Result<(), ShardError> {
        // A request may be left from a connection that the stop has cut off: the state does not run
        // ahead of the log for it.
        if self.log.is_closed() {
            return Err(ShardError::Stopped);
        }
        // Nothing is queued for a log that writes no more.
        if let Some(error) = self.log.progress().failed {
            return Err(ShardError::Storage(error.to_string()));
        }
        let now = reactor.wall_clock();
        let mut builder = BatchBuilder::new(BatchOptions::default(), READ_SIZE / 64);
        for record in records {
            builder.append(now, None, Some(&record.encode()), &[]);
        }
        let bytes = builder.close();
        let end = self.append_batch(&bytes, now)?;
        loop {
            let changed = self.progress.notified();
            let progress = self.log.progress();
            if let Some(error) = progress.failed {
                return Err(ShardError::Storage(error.to_string()));
            }
            if progress.durable_end >= end {
                return Ok(());
            }
            changed.await;
        }
    }

    fn append_batch(&self, bytes: &Bytes, now: i64) -> Result<Offset, ShardError> {
        let batch =
            BatchView::parse(bytes).map_err(|error| ShardError::Metadata(error.to_string()))?;
        let header = *batch.header();
        let plan = AppendPlan {
            size: bytes.len(),
            last_offset_delta: header.last_offset_delta,
            max_timestamp: header.max_timestamp,
        };
        self.log.prepare_append(&plan, now);
        let base_offset = {
            let mut state = self.log.state();
            let base_offset = state.log_end_offset;
            state.epochs.assign(EPOCH, base_offset);
            state.log_end_offset = base_offset + i64::from(header.last_offset_delta) + 1;
            base_offset
        };
        let last_offset = base_offset + i64::from(header.last_offset_delta);
        self.log.append(BatchToAppend {
            head: header.head(base_offset, EPOCH),
            body: bytes.slice(crate::batch::HEAD_SIZE..),
            base_offset,
            last_offset,
            max_timestamp: header.max_timestamp,
        });
        Ok(last_offset + 1)
    }
}

fn metadata_error(error: crate::log::LogError) -> ShardError {
    ShardError::Metadata(error.to_string())
}

fn replay_batches(pieces: &[Bytes], controller: &mut Controller) -> Result<(), ShardError> {
    let corrupt = |error: &dyn std::fmt::Display| ShardError::Metadata(error.to_string());
    let joined;
    let bytes = match pieces {
        [one] => one,
        many => {
            joined = Bytes::from(many.concat());
            &joined
        }
    };
    let mut decompressor = Decompressor::new();
    let mut delta = MetadataDelta::default();
    for batch in BatchIter::new(bytes, CrcCheck::Verify) {
        let records = decompressor
            .records(&batch, RECORDS_SIZE_MAX)
            .map_err(|e| corrupt(&e))?;
        for record in RecordIter::new(batch.header(), &records) {
            let record = record.map_err(|e| corrupt(&e))?;
            let value = record
                .value
                .ok_or_else(|| corrupt(&"a record without a value"))?;
            let record = MetadataRecord::decode(value).map_err(|e| corrupt(&e))?;
            controller
                .replay(&record, &mut delta)
                .map_err(|e| corrupt(&e))?;
        }
    }
    Ok(())
}

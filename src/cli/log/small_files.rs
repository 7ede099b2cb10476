//! What is in the files beside the segments, a line for each entry.

use super::line::Line;
use crate::inspect::FileKind;
use crate::log_state::{
    AbortedTransaction, EpochEntry, FormatError, LeaderEpochCache, MetaProperties,
    OffsetIndexEntry, ProducerEntry, ProducerState, RecoveryCheckpoint, TimeIndexEntry,
    decode_offsets, decode_partition_metadata,
};
use crate::types::{Offset, TopicPartition};

/// The lines of a file of any kind but segments and our checkpoint.
pub(super) fn lines(kind: FileKind, bytes: &[u8]) -> Result<Vec<Line>, FormatError> {
    let text = String::from_utf8_lossy(bytes);
    Ok(match kind {
        FileKind::OffsetIndex { base_offset } => offset_index(bytes, base_offset),
        FileKind::TimeIndex { base_offset } => time_index(bytes, base_offset),
        FileKind::TransactionIndex => transaction_index(bytes)?,
        FileKind::ProducerSnapshot => {
            let state = ProducerState::decode_snapshot(bytes)?;
            state.iter().map(producer_line).collect()
        }
        FileKind::LeaderEpochs => epoch_lines(&LeaderEpochCache::decode(&text)?),
        FileKind::OffsetCheckpoint => decode_offsets(&text)?.iter().map(offset_line).collect(),
        FileKind::PartitionMetadata => {
            let topic_id = decode_partition_metadata(&text)?;
            vec![Line::new("partition").with("topicId", topic_id.to_string())]
        }
        FileKind::MetaProperties => vec![properties_line(&MetaProperties::decode(&text)?)],
        FileKind::Segment { .. } | FileKind::RecoveryCheckpoint => {
            unreachable!("these have more than lines")
        }
    })
}

fn offset_line((partition, offset): (&TopicPartition, &Offset)) -> Line {
    Line::new("offset")
        .with("topic", &*partition.topic)
        .with("partition", partition.partition)
        .with("offset", *offset)
}

fn offset_index(bytes: &[u8], base_offset: Offset) -> Vec<Line> {
    let entries = bytes.as_chunks::<{ OffsetIndexEntry::SIZE }>().0;
    let size = last_nonzero(bytes).div_ceil(OffsetIndexEntry::SIZE);
    let entries = entries.iter().take(size).map(OffsetIndexEntry::decode);
    entries
        .map(|entry| {
            Line::new("indexEntry")
                .with("offset", base_offset + i64::from(entry.relative_offset))
                .with("position", entry.position)
        })
        .collect()
}

fn time_index(bytes: &[u8], base_offset: Offset) -> Vec<Line> {
    let entries = bytes.as_chunks::<{ TimeIndexEntry::SIZE }>().0;
    let size = last_nonzero(bytes).div_ceil(TimeIndexEntry::SIZE);
    let entries = entries.iter().take(size).map(TimeIndexEntry::decode);
    entries
        .map(|entry| {
            Line::new("timeIndexEntry")
                .with("timestamp", entry.timestamp)
                .with("offset", base_offset + i64::from(entry.relative_offset))
        })
        .collect()
}

/// Bytes before the zeros that an index file may end in.
fn last_nonzero(bytes: &[u8]) -> usize {
    bytes
        .iter()
        .rposition(|&byte| byte != 0)
        .map_or(0, |last| last + 1)
}

fn transaction_index(bytes: &[u8]) -> Result<Vec<Line>, FormatError> {
    let entries = bytes.as_chunks::<{ AbortedTransaction::SIZE }>().0;
    let line = |entry: &[u8; AbortedTransaction::SIZE]| {
        let entry = AbortedTransaction::decode(entry)?;
        Ok(Line::new("abortedTransaction")
            .with("producerId", entry.producer_id)
            .with("firstOffset", entry.first_offset)
            .with("lastOffset", entry.last_offset)
            .with("lastStableOffset", entry.last_stable_offset))
    };
    entries.iter().map(line).collect()
}

pub(super) fn producer_line(entry: &ProducerEntry) -> Line {
    let last = entry.batches().last();
    Line::new("producer")
        .with("producerId", entry.producer_id)
        .with("producerEpoch", entry.producer_epoch)
        .with("coordinatorEpoch", entry.coordinator_epoch)
        .with_option("currentTxnFirstOffset", entry.current_txn_first_offset)
        .with("lastTimestamp", entry.last_timestamp)
        .with_option("firstSequence", last.map(|last| last.base_sequence()))
        .with_option("lastSequence", last.map(|last| last.last_sequence))
        .with_option("firstOffset", last.map(|last| last.base_offset()))
        .with_option("lastOffset", last.map(|last| last.last_offset))
        .with("batchesKept", entry.batches().len())
}

pub(super) fn epoch_lines(epochs: &LeaderEpochCache) -> Vec<Line> {
    let line = |entry: &EpochEntry| {
        Line::new("leaderEpoch")
            .with("leaderEpoch", entry.epoch)
            .with("startOffset", entry.start_offset)
    };
    epochs.entries().iter().map(line).collect()
}

fn properties_line(properties: &MetaProperties) -> Line {
    Line::new("metaProperties")
        .with("clusterId", properties.cluster_id.as_str())
        .with("nodeId", properties.node_id)
        .with("directoryId", properties.directory_id.to_string())
}

pub(super) fn checkpoint_line(slot: usize, checkpoint: &RecoveryCheckpoint) -> Line {
    Line::new("checkpoint")
        .with("slot", slot)
        .with("number", checkpoint.number)
        .with("logStartOffset", checkpoint.state.log_start_offset)
        .with("recoveryPoint", checkpoint.state.log_end_offset)
        .with("segmentBaseOffset", checkpoint.segment_base_offset)
        .with("segmentPosition", checkpoint.segment_position)
        .with("indexEntries", checkpoint.offset_index_entry_count)
        .with("timeIndexEntries", checkpoint.time_index_entry_count)
        .with("heldIndexEntries", checkpoint.offset_index_tail.len())
        .with("heldTimeIndexEntries", checkpoint.time_index_tail.len())
        .with("maxTimestamp", checkpoint.max_timestamp)
        .with("maxTimestampOffset", checkpoint.max_timestamp_offset)
        .with("unflushedBytesMax", checkpoint.unflushed_bytes_max)
        .with("producers", checkpoint.state.producers.len())
}

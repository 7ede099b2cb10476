//! `ringlog-checkpoint`: what recovery may believe without reading the log.

use super::producer_entry::{BatchMetadata, ProducerEntry};
use super::{
    FormatError, LeaderEpochCache, LogState, OffsetIndexEntry, ProducerState, TimeIndexEntry,
};
use crate::types::{Offset, Timestamp};

const MAGIC: &[u8; 8] = b"RINGLOGC";
const VERSION: u16 = 1;
/// Of a checkpoint with [`RecoveryCheckpoint::gaps_end`], which follows at the end of the payload.
const VERSION_GAPS: u16 = 2;
/// Magic, version, two spare bytes, size of the payload, CRC32C of the payload.
const HEADER_SIZE: usize = 20;

/// Largest checkpoint that is read: about 200,000 producers.
pub const CHECKPOINT_SIZE_MAX: usize = 64 << 20;

/// A point in the log below which everything is known to be durable, and all that a restart needs
/// to go on from there. Holds what Kafka's checkpoints and snapshots do not: all retained batches
/// of each producer, the state of the indexes, the limit of what may be lost.
///
/// On disk it has two slots of equal size, written in turn; the newest one with a good CRC counts.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RecoveryCheckpoint {
    /// Counts the checkpoints of this log.
    pub number: u64,
    /// State at the recovery point; `log_end_offset` IS the recovery point.
    pub state: LogState,
    /// The segment that ends with the recovery point, and the position of that point in it.
    pub segment_base_offset: Offset,
    pub segment_position: u64,
    /// Entries of that segment's index files which were durable before this checkpoint.
    pub offset_index_entry_count: u32,
    pub time_index_entry_count: u32,
    /// The entries behind those, which the files need not have yet.
    pub offset_index_tail: Vec<OffsetIndexEntry>,
    pub time_index_tail: Vec<TimeIndexEntry>,
    /// Bytes since the last entry of the offset index.
    pub bytes_since_index_entry: u64,
    /// Largest timestamp of that segment, and the last offset of the batch that has it.
    pub max_timestamp: Timestamp,
    pub max_timestamp_offset: Offset,
    /// Timestamp of that segment's first batch, from which time-based rolling counts.
    pub first_timestamp: Timestamp,
    /// In class P no more than these bytes were ever written behind the last completed flush;
    /// 0 in class K, where no such promise is made.
    pub unflushed_bytes_max: u64,
    /// Below this offset others may be missing: Kafka's compaction took them before the log was
    /// taken over. 0 where none may.
    pub gaps_end: Offset,
}

impl RecoveryCheckpoint {
    /// The bytes of a slot, not padded.
    pub fn encode(&self) -> Vec<u8> {
        let mut payload = Vec::new();
        for value in [
            self.number as i64,
            self.state.log_start_offset,
            self.state.log_end_offset,
            self.segment_base_offset,
            self.segment_position as i64,
            i64::from(self.offset_index_entry_count),
            i64::from(self.time_index_entry_count),
            self.bytes_since_index_entry as i64,
            self.max_timestamp,
            self.max_timestamp_offset,
            self.first_timestamp,
            self.unflushed_bytes_max as i64,
        ] {
            payload.extend_from_slice(&value.to_be_bytes());
        }
        let epochs = self.state.epochs.entries();
        payload.extend_from_slice(&(epochs.len() as u32).to_be_bytes());
        for entry in epochs {
            payload.extend_from_slice(&entry.epoch.to_be_bytes());
            payload.extend_from_slice(&entry.start_offset.to_be_bytes());
        }
        payload.extend_from_slice(&(self.state.producers.len() as u32).to_be_bytes());
        for entry in self.state.producers.iter() {
            encode_producer(entry, &mut payload);
        }
        let version = match self.gaps_end {
            0 => VERSION,
            gaps_end => {
                payload.extend_from_slice(&gaps_end.to_be_bytes());
                VERSION_GAPS
            }
        };
        payload.extend_from_slice(&(self.offset_index_tail.len() as u32).to_be_bytes());
        for entry in &self.offset_index_tail {
            payload.extend_from_slice(&entry.encode());
        }
        payload.extend_from_slice(&(self.time_index_tail.len() as u32).to_be_bytes());
        for entry in &self.time_index_tail {
            payload.extend_from_slice(&entry.encode());
        }
        let mut bytes = Vec::with_capacity(HEADER_SIZE + payload.len());
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&version.to_be_bytes());
        bytes.extend_from_slice(&[0; 2]);
        bytes.extend_from_slice(&(payload.len() as u32).to_be_bytes());
        bytes.extend_from_slice(&crc32c::crc32c(&payload).to_be_bytes());
        bytes.extend_from_slice(&payload);
        bytes
    }

    /// Reads one slot; what follows the checkpoint in it is ignored.
    pub fn decode(slot: &[u8]) -> Result<RecoveryCheckpoint, FormatError> {
        let mut header = Cursor(slot);
        if header.take(MAGIC.len(), "the header")? != MAGIC {
            return Err(FormatError::Content("not a checkpoint".to_owned()));
        }
        let version = u16::from_be_bytes(header.array("the header")?);
        header.take(2, "the header")?;
        let size = header.u32("the header")? as usize;
        let stored = header.u32("the header")?;
        if !(VERSION..=VERSION_GAPS).contains(&version) {
            return Err(FormatError::Version(i64::from(version)));
        }
        let payload = header.take(size, "the payload")?;
        let computed = crc32c::crc32c(payload);
        if stored != computed {
            return Err(FormatError::Crc { stored, computed });
        }
        decode_payload(Cursor(payload), version)
    }

    /// The version of a slot that a newer release wrote, if there is one: then what
    /// [`RecoveryCheckpoint::newest`] finds is out of date.
    pub fn newer_version(file: &[u8]) -> Option<i64> {
        let (first, second) = file.split_at(file.len() / 2);
        let versions =
            [first, second]
                .into_iter()
                .filter_map(|slot| match RecoveryCheckpoint::decode(slot) {
                    Err(FormatError::Version(version)) if version > i64::from(VERSION_GAPS) => {
                        Some(version)
                    }
                    _ => None,
                });
        versions.max()
    }

    /// The newest checkpoint of a whole file (two slots of equal size) and the slot it is in;
    /// `None` when neither is good.
    pub fn newest(file: &[u8]) -> Option<(RecoveryCheckpoint, usize)> {
        let (first, second) = file.split_at(file.len() / 2);
        let first = RecoveryCheckpoint::decode(first).ok();
        let second = RecoveryCheckpoint::decode(second).ok();
        match (first, second) {
            (Some(first), Some(second)) if second.number > first.number => Some((second, 1)),
            (Some(first), _) => Some((first, 0)),
            (None, Some(second)) => Some((second, 1)),
            (None, None) => None,
        }
    }
}

fn encode_producer(entry: &ProducerEntry, payload: &mut Vec<u8>) {
    payload.extend_from_slice(&entry.producer_id.to_be_bytes());
    payload.extend_from_slice(&entry.producer_epoch.to_be_bytes());
    payload.extend_from_slice(&entry.coordinator_epoch.to_be_bytes());
    payload.extend_from_slice(&entry.last_timestamp.to_be_bytes());
    let txn_first_offset = entry.current_txn_first_offset.unwrap_or(-1);
    payload.extend_from_slice(&txn_first_offset.to_be_bytes());
    payload.extend_from_slice(&(entry.batches().len() as u16).to_be_bytes());
    for batch in entry.batches() {
        payload.extend_from_slice(&batch.last_sequence.to_be_bytes());
        payload.extend_from_slice(&batch.last_offset.to_be_bytes());
        payload.extend_from_slice(&batch.offset_delta.to_be_bytes());
        payload.extend_from_slice(&batch.timestamp.to_be_bytes());
    }
}

fn decode_payload(
    mut payload: Cursor<'_>,
    version: u16,
) -> Result<RecoveryCheckpoint, FormatError> {
    const WHERE: &str = "the fields";
    const TAILS: &str = "the ends of the indexes";
    let number = payload.i64(WHERE)? as u64;
    let log_start_offset = payload.i64(WHERE)?;
    let log_end_offset = payload.i64(WHERE)?;
    let mut checkpoint = RecoveryCheckpoint {
        number,
        state: LogState {
            producers: ProducerState::default(),
            epochs: LeaderEpochCache::default(),
            log_start_offset,
            log_end_offset,
        },
        segment_base_offset: payload.i64(WHERE)?,
        segment_position: payload.i64(WHERE)? as u64,
        offset_index_entry_count: payload.i64(WHERE)? as u32,
        time_index_entry_count: payload.i64(WHERE)? as u32,
        offset_index_tail: Vec::new(),
        time_index_tail: Vec::new(),
        bytes_since_index_entry: payload.i64(WHERE)? as u64,
        max_timestamp: payload.i64(WHERE)?,
        max_timestamp_offset: payload.i64(WHERE)?,
        first_timestamp: payload.i64(WHERE)?,
        unflushed_bytes_max: payload.i64(WHERE)? as u64,
        gaps_end: 0,
    };
    check_offsets(&checkpoint)?;
    for _ in 0..payload.u32("the epochs")? {
        let epoch = payload.u32("the epochs")? as i32;
        let start_offset = payload.i64("the epochs")?;
        checkpoint.state.epochs.assign(epoch, start_offset);
    }
    for _ in 0..payload.u32("the producers")? {
        let entry = decode_producer(&mut payload)?;
        checkpoint.state.producers.insert(entry);
    }
    if version == VERSION_GAPS {
        checkpoint.gaps_end = payload.i64("the end of the gaps")?;
    }
    if payload.0.is_empty() {
        // From before the tails; who knows of none takes the next lookups' longer way.
        return Ok(checkpoint);
    }
    for _ in 0..payload.u32(TAILS)? {
        let entry = OffsetIndexEntry::decode(&payload.array(TAILS)?);
        checkpoint.offset_index_tail.push(entry);
    }
    for _ in 0..payload.u32(TAILS)? {
        let entry = TimeIndexEntry::decode(&payload.array(TAILS)?);
        checkpoint.time_index_tail.push(entry);
    }
    Ok(checkpoint)
}

/// What no writer says. The log's start may be behind the end here, which a truncation takes back.
fn check_offsets(checkpoint: &RecoveryCheckpoint) -> Result<(), FormatError> {
    let (base_offset, state) = (checkpoint.segment_base_offset, &checkpoint.state);
    let (start, end) = (state.log_start_offset, state.log_end_offset);
    if start >= 0 && (0..=end).contains(&base_offset) {
        return Ok(());
    }
    Err(FormatError::Content(format!(
        "a log from {start} to {end} whose last segment starts at {base_offset}"
    )))
}

fn decode_producer(payload: &mut Cursor<'_>) -> Result<ProducerEntry, FormatError> {
    const WHERE: &str = "a producer";
    let producer_id = payload.i64(WHERE)?;
    let producer_epoch = i16::from_be_bytes(payload.array(WHERE)?);
    let mut entry = ProducerEntry::new(producer_id, producer_epoch);
    entry.coordinator_epoch = payload.u32(WHERE)? as i32;
    entry.last_timestamp = payload.i64(WHERE)?;
    entry.current_txn_first_offset = Some(payload.i64(WHERE)?).filter(|&offset| offset >= 0);
    for _ in 0..u16::from_be_bytes(payload.array(WHERE)?) {
        entry.push(BatchMetadata {
            last_sequence: payload.u32(WHERE)? as i32,
            last_offset: payload.i64(WHERE)?,
            offset_delta: payload.u32(WHERE)? as i32,
            timestamp: payload.i64(WHERE)?,
        });
    }
    Ok(entry)
}

/// The rest of the bytes to read.
struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn take(&mut self, size: usize, place: &'static str) -> Result<&'a [u8], FormatError> {
        let (taken, rest) = self
            .0
            .split_at_checked(size)
            .ok_or(FormatError::Truncated(place))?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self, place: &'static str) -> Result<[u8; N], FormatError> {
        let taken = self.take(N, place)?;
        Ok(taken.try_into().expect("as many as were asked for"))
    }

    fn u32(&mut self, place: &'static str) -> Result<u32, FormatError> {
        Ok(u32::from_be_bytes(self.array(place)?))
    }

    fn i64(&mut self, place: &'static str) -> Result<i64, FormatError> {
        Ok(i64::from_be_bytes(self.array(place)?))
    }
}

#[cfg(test)]
mod tests;

//! The idempotent producers of a partition (KIP-98): which retry is a duplicate, which sequence a
//! gap. Semantics of Kafka's `ProducerStateManager` and `ProducerAppendInfo`.

use std::collections::BTreeMap;
use std::time::Duration;

use super::FormatError;
use super::producer_entry::{BatchMetadata, NO_SEQUENCE, ProducerEntry};
use crate::types::{ErrorCode, Monotonic, Offset, ProducerEpoch, ProducerId, Timestamp};

const SNAPSHOT_VERSION: i16 = 1;
const SNAPSHOT_HEADER_SIZE: usize = 10;
const SNAPSHOT_ENTRY_SIZE: usize = 46;
/// The CRC covers what follows it.
const SNAPSHOT_CRC_END: usize = 6;

/// What a batch says of its producer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ProducerBatch {
    pub producer_id: ProducerId,
    pub producer_epoch: ProducerEpoch,
    pub base_sequence: i32,
    pub last_offset_delta: i32,
    pub is_transactional: bool,
}

impl ProducerBatch {
    /// Sequence of the last record; after `i32::MAX` comes 0.
    pub fn last_sequence(&self) -> i32 {
        self.base_sequence.wrapping_add(self.last_offset_delta) & i32::MAX
    }
}

/// What [`ProducerState::check`] says of a batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SequenceCheck {
    /// Next in its producer's sequence: append it.
    New,
    /// A retry of a batch that is in the log: answer with that one's offsets.
    Duplicate(BatchMetadata),
    /// Refuse it: [`ErrorCode::InvalidProducerEpoch`] or [`ErrorCode::OutOfOrderSequenceNumber`].
    Refused(ErrorCode),
}

/// The producers that have written to a partition, by id.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ProducerState {
    entries: BTreeMap<ProducerId, ProducerEntry>,
}

impl ProducerState {
    /// Whether a client's batch comes next, is a retry, or must be refused. Changes nothing.
    ///
    /// An unknown producer may start with any sequence: its earlier batches may have been deleted
    /// by retention.
    pub fn check(&self, batch: &ProducerBatch) -> SequenceCheck {
        let Some(entry) = self.entries.get(&batch.producer_id) else {
            return SequenceCheck::New;
        };
        if batch.producer_epoch < entry.producer_epoch {
            return SequenceCheck::Refused(ErrorCode::InvalidProducerEpoch);
        }
        let expected = if batch.producer_epoch > entry.producer_epoch {
            0
        } else {
            let last_sequence = batch.last_sequence();
            if let Some(found) = entry.find_duplicate(batch.base_sequence, last_sequence) {
                return SequenceCheck::Duplicate(found);
            }
            next_sequence(entry.last_sequence())
        };
        if batch.base_sequence == expected {
            SequenceCheck::New
        } else {
            SequenceCheck::Refused(ErrorCode::OutOfOrderSequenceNumber)
        }
    }

    /// Takes in a batch that was appended at `base_offset`. Also for batches found in the log at
    /// recovery: those are never refused.
    pub fn apply(&mut self, batch: &ProducerBatch, base_offset: Offset, timestamp: Timestamp) {
        let entry = self.entry(batch.producer_id, batch.producer_epoch);
        entry.enter_epoch(batch.producer_epoch);
        entry.last_timestamp = timestamp;
        entry.silent_since = None;
        entry.push(BatchMetadata {
            last_sequence: batch.last_sequence(),
            last_offset: base_offset + i64::from(batch.last_offset_delta),
            offset_delta: batch.last_offset_delta,
            timestamp,
        });
        if batch.is_transactional && entry.current_txn_first_offset.is_none() {
            entry.current_txn_first_offset = Some(base_offset);
        }
    }

    /// Takes in the marker that ends a producer's transaction.
    pub fn apply_marker(
        &mut self,
        producer_id: ProducerId,
        producer_epoch: ProducerEpoch,
        coordinator_epoch: i32,
        timestamp: Timestamp,
    ) {
        let entry = self.entry(producer_id, producer_epoch);
        entry.enter_epoch(producer_epoch);
        entry.coordinator_epoch = coordinator_epoch;
        entry.last_timestamp = timestamp;
        entry.silent_since = None;
        entry.current_txn_first_offset = None;
    }

    /// Forgets producers without an open transaction that have been silent for `expiration`
    /// (`producer.id.expiration.ms`): by the wall clock since the largest timestamp of their last
    /// batch, as Kafka's `ProducerStateManager.isProducerExpired`, and by this process' own clock
    /// since a look at them that found nothing new. To be called now and then, with a `now` that
    /// does not decrease; how many were forgotten.
    pub fn expire(&mut self, now: Monotonic, wall_clock: Timestamp, expiration: Duration) -> usize {
        let expiration_ms = i64::try_from(expiration.as_millis()).unwrap_or(i64::MAX);
        let count = self.entries.len();
        self.entries.retain(|_, entry| {
            let silent_since = *entry.silent_since.get_or_insert(now);
            let is_young = wall_clock.saturating_sub(entry.last_timestamp) < expiration_ms;
            let was_heard = now.since(silent_since) < expiration;
            entry.current_txn_first_offset.is_some() || is_young || was_heard
        });
        count - self.entries.len()
    }

    pub fn get(&self, producer_id: ProducerId) -> Option<&ProducerEntry> {
        self.entries.get(&producer_id)
    }

    /// The producers, by id.
    pub fn iter(&self) -> impl Iterator<Item = &ProducerEntry> {
        self.entries.values()
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn insert(&mut self, entry: ProducerEntry) {
        self.entries.insert(entry.producer_id, entry);
    }

    fn entry(&mut self, id: ProducerId, epoch: ProducerEpoch) -> &mut ProducerEntry {
        self.entries
            .entry(id)
            .or_insert_with(|| ProducerEntry::new(id, epoch))
    }

    /// The bytes of Kafka's `.snapshot` file. It keeps only the last batch of each producer.
    pub fn encode_snapshot(&self) -> Vec<u8> {
        let size = SNAPSHOT_HEADER_SIZE + self.entries.len() * SNAPSHOT_ENTRY_SIZE;
        let mut bytes = Vec::with_capacity(size);
        bytes.extend_from_slice(&SNAPSHOT_VERSION.to_be_bytes());
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&(self.entries.len() as i32).to_be_bytes());
        for entry in self.entries.values() {
            let last = entry.batches().last().copied().unwrap_or(BatchMetadata {
                last_sequence: NO_SEQUENCE,
                last_offset: -1,
                offset_delta: 0,
                timestamp: -1,
            });
            bytes.extend_from_slice(&entry.producer_id.to_be_bytes());
            bytes.extend_from_slice(&entry.producer_epoch.to_be_bytes());
            bytes.extend_from_slice(&last.last_sequence.to_be_bytes());
            bytes.extend_from_slice(&last.last_offset.to_be_bytes());
            bytes.extend_from_slice(&last.offset_delta.to_be_bytes());
            bytes.extend_from_slice(&entry.last_timestamp.to_be_bytes());
            bytes.extend_from_slice(&entry.coordinator_epoch.to_be_bytes());
            let txn_first_offset = entry.current_txn_first_offset.unwrap_or(-1);
            bytes.extend_from_slice(&txn_first_offset.to_be_bytes());
        }
        let crc = crc32c::crc32c(&bytes[SNAPSHOT_CRC_END..]);
        bytes[2..SNAPSHOT_CRC_END].copy_from_slice(&crc.to_be_bytes());
        bytes
    }

    /// Reads the bytes of a `.snapshot` file.
    pub fn decode_snapshot(bytes: &[u8]) -> Result<ProducerState, FormatError> {
        let header = bytes
            .first_chunk::<SNAPSHOT_HEADER_SIZE>()
            .ok_or(FormatError::Truncated("the header"))?;
        let version = i16::from_be_bytes([header[0], header[1]]);
        if version != SNAPSHOT_VERSION {
            return Err(FormatError::Version(i64::from(version)));
        }
        let stored = u32::from_be_bytes([header[2], header[3], header[4], header[5]]);
        let computed = crc32c::crc32c(&bytes[SNAPSHOT_CRC_END..]);
        if stored != computed {
            return Err(FormatError::Crc { stored, computed });
        }
        let count = i32::from_be_bytes([header[6], header[7], header[8], header[9]]);
        let entries = &bytes[SNAPSHOT_HEADER_SIZE..];
        if usize::try_from(count).ok() != Some(entries.len() / SNAPSHOT_ENTRY_SIZE)
            || !entries.len().is_multiple_of(SNAPSHOT_ENTRY_SIZE)
        {
            return Err(FormatError::Truncated("the producers"));
        }
        let mut state = ProducerState::default();
        for entry in entries.chunks_exact(SNAPSHOT_ENTRY_SIZE) {
            state.insert(decode_entry(entry));
        }
        Ok(state)
    }
}

fn decode_entry(bytes: &[u8]) -> ProducerEntry {
    let field_i64 = |at: usize| {
        i64::from_be_bytes(bytes[at..at + 8].try_into().expect("an entry has 46 bytes"))
    };
    let field_i32 = |at: usize| {
        i32::from_be_bytes(bytes[at..at + 4].try_into().expect("an entry has 46 bytes"))
    };
    let mut entry = ProducerEntry::new(field_i64(0), i16::from_be_bytes([bytes[8], bytes[9]]));
    let last_offset = field_i64(14);
    entry.last_timestamp = field_i64(26);
    entry.coordinator_epoch = field_i32(34);
    entry.current_txn_first_offset = Some(field_i64(38)).filter(|&offset| offset >= 0);
    if last_offset >= 0 {
        entry.push(BatchMetadata {
            last_sequence: field_i32(10),
            last_offset,
            offset_delta: field_i32(22),
            timestamp: entry.last_timestamp,
        });
    }
    entry
}

/// The sequence after `last`; `i32::MAX` is followed by 0.
fn next_sequence(last: i32) -> i32 {
    if last == i32::MAX { 0 } else { last + 1 }
}

#[cfg(test)]
mod tests;

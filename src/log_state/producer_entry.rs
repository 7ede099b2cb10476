//! One idempotent producer, as one partition knows it.

use crate::types::{Monotonic, Offset, ProducerEpoch, ProducerId, Timestamp};

/// How many batches of a producer are kept to recognise a retry. A producer has at most as many
/// requests in flight (Kafka's `ProducerStateEntry.NUM_BATCHES_TO_RETAIN`).
pub(super) const BATCHES_RETAINED: usize = 5;

/// `sequence` of a producer that has none yet.
pub(super) const NO_SEQUENCE: i32 = -1;

/// Where one batch of a producer stands, in its sequence and in the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct BatchMetadata {
    pub last_sequence: i32,
    pub last_offset: Offset,
    /// Last offset less base offset.
    pub offset_delta: i32,
    /// The batch's largest timestamp.
    pub timestamp: Timestamp,
}

impl BatchMetadata {
    pub fn base_offset(&self) -> Offset {
        self.last_offset - i64::from(self.offset_delta)
    }

    /// Sequence of the first record; before 0 comes `i32::MAX`.
    pub fn base_sequence(&self) -> i32 {
        self.last_sequence.wrapping_sub(self.offset_delta) & i32::MAX
    }
}

/// One producer: its epoch, its last batches, its open transaction.
#[derive(Clone, Debug)]
pub struct ProducerEntry {
    pub producer_id: ProducerId,
    pub producer_epoch: ProducerEpoch,
    /// Of the last transaction marker; -1 before the first.
    pub coordinator_epoch: i32,
    /// Timestamp of the last batch or marker; expiry counts from it.
    pub last_timestamp: Timestamp,
    /// First offset of the open transaction.
    pub current_txn_first_offset: Option<Offset>,
    /// The first look at it by `ProducerState::expire` since its last batch or marker, or since the
    /// log was opened. In memory only.
    pub(super) silent_since: Option<Monotonic>,
    batches: [BatchMetadata; BATCHES_RETAINED],
    batch_count: u8,
}

impl ProducerEntry {
    pub fn new(producer_id: ProducerId, producer_epoch: ProducerEpoch) -> ProducerEntry {
        ProducerEntry {
            producer_id,
            producer_epoch,
            coordinator_epoch: -1,
            last_timestamp: -1,
            current_txn_first_offset: None,
            silent_since: None,
            batches: [BatchMetadata::default(); BATCHES_RETAINED],
            batch_count: 0,
        }
    }

    /// The batches kept, oldest first.
    pub fn batches(&self) -> &[BatchMetadata] {
        &self.batches[..usize::from(self.batch_count)]
    }

    /// Sequence of the last record in this epoch, -1 if there is none.
    pub fn last_sequence(&self) -> i32 {
        self.batches()
            .last()
            .map_or(NO_SEQUENCE, |batch| batch.last_sequence)
    }

    /// The batch kept that has exactly these sequences: what a retry repeats.
    pub(super) fn find_duplicate(
        &self,
        base_sequence: i32,
        last_sequence: i32,
    ) -> Option<BatchMetadata> {
        self.batches().iter().copied().find(|batch| {
            batch.base_sequence() == base_sequence && batch.last_sequence == last_sequence
        })
    }

    /// A newer epoch starts its sequences anew.
    pub(super) fn enter_epoch(&mut self, producer_epoch: ProducerEpoch) {
        if self.producer_epoch != producer_epoch {
            self.producer_epoch = producer_epoch;
            self.batch_count = 0;
        }
    }

    pub(super) fn push(&mut self, batch: BatchMetadata) {
        if usize::from(self.batch_count) == BATCHES_RETAINED {
            self.batches.rotate_left(1);
            self.batch_count -= 1;
        }
        self.batches[usize::from(self.batch_count)] = batch;
        self.batch_count += 1;
    }
}

impl PartialEq for ProducerEntry {
    /// What is left in slots that are not in use does not count, nor does what this process alone
    /// knows.
    fn eq(&self, other: &ProducerEntry) -> bool {
        let own = |entry: &ProducerEntry| {
            (
                entry.producer_id,
                entry.producer_epoch,
                entry.coordinator_epoch,
                entry.last_timestamp,
                entry.current_txn_first_offset,
            )
        };
        own(self) == own(other) && self.batches() == other.batches()
    }
}

impl Eq for ProducerEntry {}

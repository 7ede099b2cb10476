//! What a poll brought for one partition.

use std::ops::ControlFlow;
use std::sync::Arc;

use bytes::Bytes;

use crate::batch::{
    BatchIter, CrcCheck, DECOMPRESSED_SIZE_MAX, Decompressor, Record, RecordIter, ScanEnd,
};
use crate::client::error::ClientError;
use crate::types::{Offset, PartitionIndex};

/// Whole batches of one partition. Without batches it says that the end was reached: once for each
/// time that the position catches up with the high watermark.
#[derive(Clone, Debug)]
pub struct FetchedPartition {
    pub topic: Arc<str>,
    pub partition: PartitionIndex,
    /// The offset that was asked for; the first batch may begin before it.
    pub fetch_offset: Offset,
    /// The offset after the last batch.
    pub next_offset: Offset,
    /// As of the answer; at or below `next_offset` when the end was reached.
    pub high_watermark: Offset,
    pub log_start_offset: Offset,
    /// The batches as they lie in the log.
    pub records: Bytes,
}

impl FetchedPartition {
    /// Whether nothing more was in the log when the broker answered.
    pub fn is_end(&self) -> bool {
        self.next_offset >= self.high_watermark
    }

    /// The batches, control batches included.
    pub fn batches(&self) -> BatchIter<'_> {
        BatchIter::new(&self.records, CrcCheck::Skip)
    }

    /// Calls `each` for the records from `fetch_offset` on, until it breaks. Control records are
    /// left out. [`ClientError::Corrupt`] when records cannot be read.
    pub fn for_each_record(
        &self,
        decompressor: &mut Decompressor,
        mut each: impl FnMut(&Record<'_>) -> ControlFlow<()>,
    ) -> Result<(), ClientError> {
        for batch in self.batches() {
            if batch.is_control() {
                continue;
            }
            let records = decompressor.records(&batch, DECOMPRESSED_SIZE_MAX);
            let records = records.map_err(|fault| self.corrupt(fault))?;
            for record in RecordIter::new(batch.header(), &records) {
                let record = record.map_err(|fault| self.corrupt(fault))?;
                if record.offset >= self.fetch_offset && each(&record).is_break() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Cuts `records` behind the last whole batch and takes `next_offset` from it.
    pub(super) fn cut(&mut self, crc_check: CrcCheck) -> Result<(), ClientError> {
        let mut batches = BatchIter::new(&self.records, crc_check);
        let mut next_offset = self.fetch_offset;
        for batch in &mut batches {
            next_offset = batch.next_offset();
        }
        let (size, end) = (batches.position(), batches.end());
        match end {
            Some(ScanEnd::Truncated { needed }) if size == 0 => {
                let given = self.records.len();
                return Err(self.corrupt(format_args!("{given} of {needed} bytes")));
            }
            Some(ScanEnd::Zeros) => return Err(self.corrupt("zeros")),
            Some(ScanEnd::Corrupt(fault)) => return Err(self.corrupt(fault)),
            Some(ScanEnd::Complete | ScanEnd::Truncated { .. }) | None => {}
        }
        // A log that does not lead on would be asked for the same for ever.
        if size > 0 && next_offset <= self.fetch_offset {
            return Err(self.corrupt(format_args!("batches end at {next_offset}")));
        }
        self.records.truncate(size);
        self.next_offset = next_offset;
        Ok(())
    }

    fn corrupt(&self, reason: impl ToString) -> ClientError {
        let (topic, partition, offset) = (&self.topic, self.partition, self.fetch_offset);
        ClientError::Corrupt {
            subject: format!("{topic}-{partition} at offset {offset}").into(),
            reason: reason.to_string().into(),
        }
    }
}

//! A torn end or corruption?

use std::path::Path;

use super::remainder::Remainder;
use super::replay::ScanStop;
use super::{DamageReport, Landmarks, LogError};
use crate::types::{Offset, TopicPartition};

/// A torn end or corruption (rule 8)? In class P nothing was written further behind the last
/// flush than a limit. The flush may have ended inside the first batch that is not valid, so at the
/// latest where that one ends: as its length says, and before the first valid one behind it. A
/// valid batch further than the limit behind that was once durable, with all before it.
///
/// If the flush reached beyond the batch's length, that is what was written. If it did not, it
/// reached no further than the length's own bytes, whatever they hold.
pub struct Judgement<'a> {
    path: &'a Path,
    stop: &'a ScanStop,
    /// 0 in class K.
    pub(super) unflushed_bytes_max: u64,
    /// Bytes behind the end, as far as they are known to have been written.
    pub byte_count: u64,
    pub batch_count: u64,
    /// How far behind the end the last flush may have come.
    flushed_max: u64,
}

impl<'a> Judgement<'a> {
    /// Of the file at `path`, whose valid batches end at `stop`; the first that is not valid would
    /// end at `claimed_end`.
    pub fn new(
        unflushed_bytes_max: u64,
        path: &'a Path,
        stop: &'a ScanStop,
        claimed_end: u64,
    ) -> Judgement<'a> {
        Judgement {
            path,
            stop,
            unflushed_bytes_max,
            byte_count: 0,
            batch_count: 0,
            flushed_max: claimed_end - stop.position,
        }
    }

    /// Takes in what lies behind byte `from` of the next file; [`LogError::Corrupt`].
    pub fn add_rest(&mut self, rest: &Remainder, from: u64) -> Result<(), LogError> {
        let behind = |position: u64| self.byte_count + position - from;
        let (first, last) = (rest.first_batch.map(behind), rest.last_batch.map(behind));
        self.byte_count += rest.live_end - from;
        self.batch_count += rest.batch_count;
        let (Some(first), Some(last)) = (first, last) else {
            return Ok(());
        };
        self.flushed_max = self.flushed_max.min(first);
        if self.unflushed_bytes_max == 0 || last - self.flushed_max < self.unflushed_bytes_max {
            return Ok(());
        }
        let what = match self.stop.fault.as_str() {
            "" => "zeros",
            fault => fault,
        };
        let fault = format!("{what}, but a valid batch {last} bytes behind: not a torn end");
        Err(LogError::corrupt(self.path, self.stop.position, fault))
    }

    /// Tells of what recovery will now drop, of a log that ends at `end` then.
    ///
    /// **Invariant:** before the cut. Whoever dies between the two would have cut silently, and the
    /// next recovery sees nothing of it.
    pub(super) fn tell(&self, partition: &TopicPartition, end: Offset, landmarks: &Landmarks) {
        if self.byte_count == 0 {
            return;
        }
        let log = self.path.parent().unwrap_or(self.path);
        landmarks.report(|| DamageReport::Cut {
            log: log.to_owned(),
            end,
        });
        tracing::warn!(
            %partition,
            end,
            batches = self.batch_count,
            bytes = self.byte_count,
            "recovery drops what was written behind the end of the log and never acknowledged, \
             unless the disk has damaged it"
        );
    }
}

//! Which leader epoch began at which offset (KIP-101, KIP-279).

use std::fmt::Write;

use super::FormatError;
use super::checkpoint_text::parse_checkpoint;
use crate::types::{LeaderEpoch, Offset};

/// An epoch and the offset of its first record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EpochEntry {
    pub epoch: LeaderEpoch,
    pub start_offset: Offset,
}

/// The history of a partition's leader epochs: both epochs and start offsets increase.
///
/// The file is only a copy: recovery rebuilds the newest entries from the batches' headers.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct LeaderEpochCache {
    entries: Vec<EpochEntry>,
}

impl LeaderEpochCache {
    /// Notes that `epoch` starts at `start_offset`; `true` if that changed anything. Entries that
    /// it contradicts (a later epoch, or a start at or behind it) go.
    pub fn assign(&mut self, epoch: LeaderEpoch, start_offset: Offset) -> bool {
        if epoch < 0 || self.latest_epoch() == Some(epoch) {
            return false;
        }
        while let Some(last) = self.entries.last()
            && (last.epoch >= epoch || last.start_offset >= start_offset)
        {
            self.entries.pop();
        }
        self.entries.push(EpochEntry {
            epoch,
            start_offset,
        });
        true
    }

    pub fn latest_epoch(&self) -> Option<LeaderEpoch> {
        self.entries.last().map(|entry| entry.epoch)
    }

    pub fn entries(&self) -> &[EpochEntry] {
        &self.entries
    }

    /// The epoch in which the record at `offset` was written.
    pub fn epoch_for_offset(&self, offset: Offset) -> Option<LeaderEpoch> {
        let after = self
            .entries
            .partition_point(|entry| entry.start_offset <= offset);
        after.checked_sub(1).map(|index| self.entries[index].epoch)
    }

    /// The largest known epoch not above `epoch`, and the offset at which it ended: what
    /// OffsetForLeaderEpoch answers. `None` when `epoch` is above all known ones or -1, which is
    /// none; an epoch below all known ones ended where the first known one starts.
    pub fn end_offset_for(
        &self,
        epoch: LeaderEpoch,
        log_end_offset: Offset,
    ) -> Option<(LeaderEpoch, Offset)> {
        if epoch == -1 {
            return None;
        }
        if self.latest_epoch() == Some(epoch) {
            return Some((epoch, log_end_offset));
        }
        let higher = self.entries.partition_point(|entry| entry.epoch <= epoch);
        let end_offset = self.entries.get(higher)?.start_offset;
        match higher.checked_sub(1) {
            Some(floor) => Some((self.entries[floor].epoch, end_offset)),
            None => Some((epoch, end_offset)),
        }
    }

    /// Forgets epochs that start at or behind `end_offset`, the log's new end.
    pub fn truncate_from_end(&mut self, end_offset: Offset) {
        self.entries.retain(|entry| entry.start_offset < end_offset);
    }

    /// Forgets epochs that ended before `start_offset`, the log's new start; the one that contains
    /// it starts there.
    pub fn truncate_from_start(&mut self, start_offset: Offset) {
        let after = self
            .entries
            .partition_point(|entry| entry.start_offset <= start_offset);
        if let Some(first) = after.checked_sub(1) {
            self.entries.drain(..first);
            self.entries[0].start_offset = start_offset;
        }
    }

    /// The text of `leader-epoch-checkpoint`.
    pub fn encode(&self) -> String {
        let mut text = format!("0\n{}\n", self.entries.len());
        for entry in &self.entries {
            let _ = writeln!(text, "{} {}", entry.epoch, entry.start_offset);
        }
        text
    }

    /// Reads the text of `leader-epoch-checkpoint`.
    pub fn decode(text: &str) -> Result<LeaderEpochCache, FormatError> {
        let mut cache = LeaderEpochCache::default();
        parse_checkpoint(text, |fields| {
            let [epoch, start_offset] = fields[..] else {
                return Err("an epoch and its start offset were expected".to_owned());
            };
            let epoch = epoch
                .parse()
                .map_err(|_| format!("{epoch:?} is no epoch"))?;
            let start_offset = start_offset
                .parse()
                .map_err(|_| format!("{start_offset:?} is no offset"))?;
            cache.assign(epoch, start_offset);
            Ok(())
        })?;
        Ok(cache)
    }
}

#[cfg(test)]
mod tests;

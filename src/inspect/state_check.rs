//! What a log's files say of its producers and leader epochs, against its batches.

use std::path::Path;

use super::report::Report;
use crate::batch::BatchHeader;
use crate::log_state::{LeaderEpochCache, ProducerState};
use crate::types::Offset;

/// Producers of one snapshot that are complained about, before the rest is only counted.
const FINDINGS_MAX: usize = 10;

/// A snapshot of the producers against those that the batches make, from `scanned_from` on to the
/// snapshot's offset. One whose last batch is below `scanned_from` cannot be judged; one that the
/// snapshot does not have may have expired.
pub(super) fn check_producers(
    path: &Path,
    stored: &ProducerState,
    replayed: &ProducerState,
    scanned_from: Offset,
    report: &mut Report<'_>,
) {
    let mut faults = Vec::new();
    for entry in stored.iter() {
        let Some(last) = entry.batches().last() else {
            continue;
        };
        if last.base_offset() < scanned_from {
            continue;
        }
        let id = entry.producer_id;
        let Some(found) = replayed.get(id) else {
            faults.push(format!("producer {id} has no batch in the log"));
            continue;
        };
        let place = found.batches().last();
        if found.producer_epoch != entry.producer_epoch
            || place.map(|b| (b.last_sequence, b.last_offset))
                != Some((last.last_sequence, last.last_offset))
        {
            let place = place.map_or("none".to_owned(), |place| {
                format!(
                    "sequence {} at offset {}",
                    place.last_sequence, place.last_offset
                )
            });
            faults.push(format!(
                "producer {id}: last is epoch {} sequence {} at offset {}, in the log epoch {} \
                 {place}",
                entry.producer_epoch, last.last_sequence, last.last_offset, found.producer_epoch
            ));
        } else if found.current_txn_first_offset != entry.current_txn_first_offset
            && found
                .current_txn_first_offset
                .is_none_or(|first| first >= scanned_from)
        {
            faults.push(format!(
                "producer {id}: open transaction from {:?}, in the log from {:?}",
                entry.current_txn_first_offset, found.current_txn_first_offset
            ));
        }
    }
    let unsaid = faults.len().saturating_sub(FINDINGS_MAX);
    for fault in faults.into_iter().take(FINDINGS_MAX) {
        report.problem(path, fault);
    }
    if unsaid > 0 {
        report.problem(path, format!("{unsaid} more producers are wrong"));
    }
}

/// Why a batch was not written in the epoch that `epochs` has for it. Unless the file `is_current`,
/// what is newer than its last epoch is not in it yet.
pub(super) fn wrong_epoch(
    epochs: &LeaderEpochCache,
    batch: &BatchHeader,
    is_current: bool,
) -> Option<String> {
    let (offset, epoch) = (batch.base_offset, batch.partition_leader_epoch);
    let said = epochs.epoch_for_offset(offset)?;
    let is_newer = !is_current && epochs.latest_epoch() == Some(said) && epoch > said;
    (epoch >= 0 && epoch != said && !is_newer)
        .then(|| format!("offset {offset} is of leader epoch {said}, its batch of {epoch}"))
}

//! Promises of the broker broken on purpose, so that the checkers of its simulation can be seen to
//! find them.

use bytes::Bytes;

use super::core::Core;
use crate::batch::BatchHeader;
use crate::log::{BrokenRule, Log};
use crate::log_state::SequenceCheck;
use crate::partition::{BatchSummary, ProduceOutcome};
use crate::types::ErrorCode;

/// What a shard does wrong. Handed in by [`ShardPlan::instrumented`](super::ShardPlan) by tests
/// and the simulator alone: no configuration and no command leads here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BrokenPromise {
    /// A batch that is sent again is appended again.
    RepeatsDuplicates,
    /// A batch that is sent again is told another offset than it has.
    MovesDuplicates,
    /// A batch is taken although one before it is missing.
    AcceptsGaps,
    /// Acknowledgements name the offset behind the right one, now and then.
    MiscountsOffsets,
    /// Acknowledgements name no offset, now and then.
    NamesNoOffset,
    /// Batches are refused for nothing, now and then.
    RefusesAtRandom,
    /// Latest offsets are told that are behind.
    TellsOldEnds,
    /// Records whose deletion was acknowledged stay.
    KeepsDeletedRecords,
    /// A deletion of a topic is acknowledged and forgotten.
    KeepsDeletedTopics,
    /// A change of settings is acknowledged and forgotten.
    ForgetsSettings,
    /// An id that no topic has is taken for another topic's.
    ServesUnknownIds,
    /// A fetch of several batches leaves out the first.
    SkipsBatches,
    /// Bits of a record change on the way.
    FlipsBits,
    /// What has to be read from disk is never answered.
    NeverReadsCold,
    /// The broker takes a deletion of records for a failure of its own.
    EndsByItself,
    /// What recovery has cut is told to nobody.
    HidesCuts,
    /// What is damaged is told to nobody.
    HidesDamage,
}

impl BrokenPromise {
    /// All of them.
    pub const ALL: [BrokenPromise; 17] = [
        BrokenPromise::RepeatsDuplicates,
        BrokenPromise::MovesDuplicates,
        BrokenPromise::AcceptsGaps,
        BrokenPromise::MiscountsOffsets,
        BrokenPromise::NamesNoOffset,
        BrokenPromise::RefusesAtRandom,
        BrokenPromise::TellsOldEnds,
        BrokenPromise::KeepsDeletedRecords,
        BrokenPromise::KeepsDeletedTopics,
        BrokenPromise::ForgetsSettings,
        BrokenPromise::ServesUnknownIds,
        BrokenPromise::SkipsBatches,
        BrokenPromise::FlipsBits,
        BrokenPromise::NeverReadsCold,
        BrokenPromise::EndsByItself,
        BrokenPromise::HidesCuts,
        BrokenPromise::HidesDamage,
    ];
}

/// What a simulated broker does wrong, if anything.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Broken {
    pub rule: Option<BrokenRule>,
    pub promise: Option<BrokenPromise>,
}

/// What a broken shard answers to a batch at once; otherwise the batch is stepped with what is left
/// in its summary.
pub(super) fn at_produce(
    core: &Core,
    log: &Log,
    summary: &mut BatchSummary,
) -> Option<ProduceOutcome> {
    if core.breaks_one_in(BrokenPromise::RefusesAtRandom, 64) {
        return Some(ProduceOutcome::failed(ErrorCode::InvalidRecord, None));
    }
    let state = log.state();
    match state.producers.check(summary.producer.as_ref()?) {
        SequenceCheck::New => {}
        SequenceCheck::Duplicate(_) => {
            if core.breaks(BrokenPromise::MovesDuplicates) {
                return Some(ProduceOutcome {
                    base_offset: state.log_end_offset,
                    ..ProduceOutcome::failed(ErrorCode::None, None)
                });
            }
            if core.breaks(BrokenPromise::RepeatsDuplicates) {
                summary.producer = None;
            }
        }
        SequenceCheck::Refused(_) => {
            if core.breaks(BrokenPromise::AcceptsGaps) {
                summary.producer = None;
            }
        }
    }
    None
}

/// What a broken shard makes of an acknowledgement.
pub(super) fn at_acknowledgement(core: &Core, outcome: &mut ProduceOutcome) {
    if outcome.error.is_error() {
        return;
    }
    if core.breaks_one_in(BrokenPromise::MiscountsOffsets, 64) {
        outcome.base_offset += 1;
    }
    if core.breaks_one_in(BrokenPromise::NamesNoOffset, 64) {
        outcome.base_offset = -1;
    }
}

/// What a broken shard makes of batches that a fetch has read.
pub(super) fn at_fetch(core: &Core, pieces: &mut [Bytes]) {
    let Some(first) = pieces.first_mut() else {
        return;
    };
    if core.breaks(BrokenPromise::SkipsBatches) {
        let header = BatchHeader::parse(first).ok();
        let size = header.map_or(first.len(), |header| header.size_in_bytes());
        if size < first.len() {
            *first = first.slice(size..);
        }
    }
    if core.breaks_one_in(BrokenPromise::FlipsBits, 16) {
        let mut flipped = first.to_vec();
        if let Some(last) = flipped.last_mut() {
            *last ^= 1;
        }
        *first = flipped.into();
    }
}

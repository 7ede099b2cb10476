//! Reading what an answer has promised, when it comes to it: an answer that a client reads slowly
//! pins only what is being sent.
//!
//! # Non-obvious
//! - A batch that is larger than what may be sent at once goes in parts. Each time all of it is
//!   read and checked, and the part copied: between two parts nothing is held, not even a place in
//!   a file, which may become another segment's meanwhile.

use std::collections::BTreeMap;
use std::future::Future;
use std::rc::Rc;

use bytes::{Bytes, BytesMut};

use super::core::{Core, ReplyTo, Shard};
use super::fetch::{count_bytes, read_in_turn};
use super::message::{RangeItem, RangeRead, RecordsRange, Reply, Request};
use crate::log::{Log, ReadBatches, ReadOutcome, ReadRequest, ReadSource};
use crate::types::{ErrorCode, ShardId};

/// Up to this size, bytes, what is returned is a copy: a slice keeps all that was read with it.
pub(super) const COPIED_SIZE_MAX: usize = 64 << 10;

impl Shard {
    /// Reads the beginnings of ranges, wherever their partitions are: at least one byte of each,
    /// in their order. The error of one says that it cannot be read any more: the partition was
    /// deleted, or its records were. `None` when the broker stops.
    pub fn read_ranges(
        &self,
        items: Vec<RangeItem>,
    ) -> impl Future<Output = Option<Vec<Result<RangeRead, ErrorCode>>>> + use<> {
        let count = items.len();
        let mut by_owner: BTreeMap<ShardId, (Vec<usize>, Vec<RangeItem>)> = BTreeMap::new();
        for (index, item) in items.into_iter().enumerate() {
            let owner = self.core.owner(item.range.partition);
            let (indexes, items) = by_owner.entry(owner).or_default();
            indexes.push(index);
            items.push(item);
        }
        let asked: Vec<_> = by_owner
            .into_iter()
            .map(|(owner, (indexes, items))| {
                (indexes, self.core.ask(owner, Request::ReadRanges { items }))
            })
            .collect();
        async move {
            let mut reads: Vec<Option<_>> = (0..count).map(|_| None).collect();
            for (indexes, reply) in asked {
                let Some(Reply::Ranges(of_owner)) = reply.await else {
                    return None;
                };
                for (index, read) in indexes.into_iter().zip(of_owner) {
                    reads[index] = Some(read);
                }
            }
            reads.into_iter().collect()
        }
    }
}

/// Reads ranges of partitions that this shard owns.
pub(super) fn start(core: &Rc<Core>, to: ReplyTo, items: Vec<RangeItem>) {
    let waiting = Rc::clone(core);
    let reads: Vec<_> = items
        .into_iter()
        .map(|item| {
            let log = core.serving(&item.range.partition);
            let log = log.map(|replica| replica.log().clone());
            core.reactor.spawn(read(Rc::clone(core), log, item))
        })
        .collect();
    let finish = async move {
        let mut outcomes = Vec::with_capacity(reads.len());
        for read in reads {
            outcomes.push(read.await);
        }
        waiting.answer(to, Reply::Ranges(outcomes));
    };
    core.reactor.spawn(finish).detach();
}

async fn read(
    core: Rc<Core>,
    log: Result<Log, ErrorCode>,
    item: RangeItem,
) -> Result<RangeRead, ErrorCode> {
    let log = log?;
    let RangeItem { range, size_max } = item;
    let request = ReadRequest {
        offset: range.offset,
        size_max: range.skipped_size + size_max.min(range.size),
        end_bound: range.end_offset,
    };
    let failed = |error: crate::log::LogError| error.error_code();
    let take = |batches| taken(&core, batches, &range, size_max);
    match log.read(request).map_err(failed)? {
        ReadOutcome::Batches(batches) => take(batches),
        ReadOutcome::Cold => {
            let read = read_in_turn(&core, &log, request, take).await;
            read.map_err(failed)?
        }
    }
}

/// What is given of batches that were read from the beginning of a range on.
fn taken(
    core: &Core,
    batches: ReadBatches,
    range: &RecordsRange,
    size_max: usize,
) -> Result<RangeRead, ErrorCode> {
    // Batches do not change: what was measured is there, or it is gone.
    let size = batches.size.saturating_sub(range.skipped_size);
    if size == 0 || size > range.size {
        return Err(ErrorCode::OffsetOutOfRange);
    }
    let source = batches.source;
    let read = cut(batches, range, size_max);
    count_bytes(core, source, &read.pieces);
    Ok(read)
}

/// What is taken of batches that were read from the beginning of a range on: at most `size_max`
/// bytes behind those that it skips.
fn cut(batches: ReadBatches, range: &RecordsRange, size_max: usize) -> RangeRead {
    let available = batches.size - range.skipped_size;
    let taken = available.min(size_max);
    let is_cut = taken < available;
    let pieces = match is_cut || range.skipped_size > 0 || taken <= COPIED_SIZE_MAX {
        true => vec![copied(&batches.pieces, range.skipped_size, taken)],
        false => batches.pieces,
    };
    let size = range.size - taken;
    let rest = match is_cut {
        true => RecordsRange {
            skipped_size: range.skipped_size + taken,
            size,
            // From disk the whole batch is read for every part of it: the fewer the better.
            preferred_size: match batches.source {
                ReadSource::Disk => available - taken,
                ReadSource::Memory => 0,
            },
            ..*range
        },
        false => RecordsRange {
            offset: batches.next_offset,
            skipped_size: 0,
            size,
            preferred_size: 0,
            ..*range
        },
    };
    RangeRead {
        pieces,
        rest: (size > 0).then_some(rest),
    }
}

/// `size` bytes of the pieces behind those that are skipped.
pub(super) fn copied(pieces: &[Bytes], mut skipped_size: usize, size: usize) -> Bytes {
    let mut copy = BytesMut::with_capacity(size);
    for piece in pieces {
        let skipped = skipped_size.min(piece.len());
        skipped_size -= skipped;
        let left = size - copy.len();
        let part = &piece[skipped..];
        copy.extend_from_slice(&part[..part.len().min(left)]);
    }
    assert_eq!(copy.len(), size, "there are as many bytes as were measured");
    copy.freeze()
}

#[cfg(test)]
mod tests;

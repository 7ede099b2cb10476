//! Reading what an answer has promised, when it comes to it: an answer that a client reads slowly
//! pins only what is being sent.

use std::collections::BTreeMap;
use std::future::Future;
use std::rc::Rc;

use super::core::{Core, ReplyTo, Shard};
use super::fetch::count_bytes;
use super::message::{RangeItem, RangeRead, Reply, Request};
use crate::log::{Log, ReadBatches, ReadOutcome, ReadRequest};
use crate::types::{ErrorCode, ShardId};

impl Shard {
    /// Reads the beginnings of ranges, wherever their partitions are: at least one batch of each,
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
    let request = ReadRequest {
        offset: item.range.offset,
        size_max: item.size_max.min(item.range.size),
        end_bound: item.range.end_offset,
    };
    let failed = |error: crate::log::LogError| error.error_code();
    let batches = match log.read(request).map_err(failed)? {
        ReadOutcome::Batches(batches) => batches,
        ReadOutcome::Cold => log.read_cold(request).await.map_err(failed)?,
    };
    count_bytes(&core, &batches);
    let ReadBatches {
        pieces,
        size,
        next_offset,
        ..
    } = batches;
    // Batches do not change: what was measured is there, or it is gone.
    if size == 0 || size > item.range.size {
        return Err(ErrorCode::OffsetOutOfRange);
    }
    Ok(RangeRead {
        pieces,
        size,
        next_offset,
    })
}

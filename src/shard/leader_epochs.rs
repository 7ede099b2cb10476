//! Where leader epochs ended, on the shard that owns the partitions.

use std::future::Future;
use std::rc::Rc;

use super::core::{Core, ReplyTo, Shard};
use super::message::{EpochEndItem, Reply, Request};
use crate::types::{ErrorCode, LeaderEpoch, Offset};

/// The largest epoch of a log that is not above the one that was asked for, and where it ended;
/// `None` when the log knows of no such.
pub type EpochEnd = Option<(LeaderEpoch, Offset)>;

impl Shard {
    /// One answer an item, in their order. `None` when the broker stops.
    pub fn epoch_ends(
        &self,
        items: Vec<EpochEndItem>,
    ) -> impl Future<Output = Option<Vec<Result<EpochEnd, ErrorCode>>>> + use<> {
        self.core.ask_owners(
            items,
            |item| item.partition,
            |items| Request::EpochEnds { items },
            |reply| match reply {
                Reply::EpochEnds(ends) => Some(ends),
                _ => None,
            },
        )
    }
}

pub(super) fn start(core: &Rc<Core>, to: ReplyTo, items: Vec<EpochEndItem>) {
    let ends = items.iter().map(|item| {
        let replica = core.serving(&item.partition)?;
        replica.leader().check_serving(item.current_leader_epoch)?;
        let state = replica.log().state();
        Ok(state
            .epochs
            .end_offset_for(item.leader_epoch, state.log_end_offset))
    });
    core.answer(to, Reply::EpochEnds(ends.collect()));
}

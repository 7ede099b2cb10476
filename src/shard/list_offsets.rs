//! Offsets by time, on the shard that owns the partitions.

use std::future::Future;
use std::rc::Rc;

use super::broken_promise::BrokenPromise;
use super::core::{Core, ReplyTo, Shard};
use super::message::{ListOffsetsItem, ListedOffset, Reply, Request};
use crate::log::LogError;
use crate::partition::OffsetAnswer;
use crate::types::ErrorCode;

impl Shard {
    /// One answer an item, in their order. `None` when the broker stops.
    pub fn list_offsets(
        &self,
        items: Vec<ListOffsetsItem>,
    ) -> impl Future<Output = Option<Vec<ListedOffset>>> + use<> {
        self.core.ask_owners(
            items,
            |item| item.partition,
            |items| Request::ListOffsets { items },
            |reply| match reply {
                Reply::ListOffsets(listed) => Some(listed),
                _ => None,
            },
        )
    }
}

pub(super) fn start(core: &Rc<Core>, to: ReplyTo, items: Vec<ListOffsetsItem>) {
    let listing = Rc::clone(core);
    let list = async move {
        let mut listed = Vec::with_capacity(items.len());
        for item in &items {
            listed.push(
                list_one(&listing, item)
                    .await
                    .unwrap_or_else(ListedOffset::failed),
            );
        }
        listing.answer(to, Reply::ListOffsets(listed));
    };
    core.reactor.spawn(list).detach();
}

async fn list_one(core: &Core, item: &ListOffsetsItem) -> Result<ListedOffset, ErrorCode> {
    let replica = core.serving(&item.partition)?;
    let log = replica.log();
    let answer = {
        let leader = replica.leader();
        leader.check_serving(item.current_leader_epoch)?;
        leader.list_offset(item.spec, item.isolation, &log.state())?
    };
    let fail = |error: LogError| {
        tracing::warn!(partition = %log.partition(), %error, "an offset could not be looked up");
        core.report_unreadable(&error);
        error.error_code()
    };
    let (found, end, not_found) = match answer {
        OffsetAnswer::Known {
            offset,
            leader_epoch,
        } => {
            let is_old = core.breaks_one_in(BrokenPromise::TellsOldEnds, 2);
            return Ok(ListedOffset {
                offset: offset - i64::from(is_old && offset > 0),
                leader_epoch,
                ..ListedOffset::NONE
            });
        }
        OffsetAnswer::SearchTimestamp {
            timestamp,
            end,
            not_found,
        } => (
            log.offset_for_timestamp(timestamp, end)
                .await
                .map_err(fail)?,
            end,
            not_found,
        ),
        OffsetAnswer::SearchMaxTimestamp { end, not_found } => {
            (log.max_timestamp().await.map_err(fail)?, end, not_found)
        }
    };
    match found.filter(|found| found.offset < end) {
        Some(found) => Ok(ListedOffset {
            timestamp: found.timestamp,
            offset: found.offset,
            leader_epoch: found.leader_epoch,
            ..ListedOffset::NONE
        }),
        None if not_found.is_error() => Err(not_found),
        None => Ok(ListedOffset::NONE),
    }
}

//! Records that a client deletes: the start of the log moves, durably. What lies below it goes with
//! the next round of retention.

use std::future::Future;
use std::rc::Rc;

use super::ShardError;
use super::broken_promise::BrokenPromise;
use super::core::{Core, ReplyTo, Shard};
use super::message::{DeleteRecordsItem, Reply, Request};
use crate::types::{ErrorCode, Offset};

impl Shard {
    /// Deletes what lies before an offset of each of these partitions: where each starts now, which
    /// is durable, in their order. `None` when the broker stops.
    pub fn delete_records(
        &self,
        items: Vec<DeleteRecordsItem>,
    ) -> impl Future<Output = Option<Vec<Result<Offset, ErrorCode>>>> + use<> {
        self.core.ask_owners(
            items,
            |item| item.partition,
            |items| Request::DeleteRecords { items },
            |reply| match reply {
                Reply::RecordsDeleted(starts) => Some(starts),
                _ => None,
            },
        )
    }
}

pub(super) fn start(core: &Rc<Core>, to: ReplyTo, items: Vec<DeleteRecordsItem>) {
    let deleting: Vec<_> = items
        .into_iter()
        .map(|item| {
            let core = Rc::clone(core);
            let deleting = Rc::clone(&core);
            core.reactor
                .spawn(async move { delete(&deleting, &item).await })
        })
        .collect();
    let answering = Rc::clone(core);
    let finish = async move {
        let mut starts = Vec::with_capacity(deleting.len());
        for one in deleting {
            starts.push(one.await);
        }
        answering.answer(to, Reply::RecordsDeleted(starts));
    };
    core.reactor.spawn(finish).detach();
}

async fn delete(core: &Core, item: &DeleteRecordsItem) -> Result<Offset, ErrorCode> {
    let replica = core.serving(&item.partition)?;
    let log = replica.log();
    let before = {
        let configs = core.topic_configs.borrow();
        let config = configs.get(&item.partition.topic_id);
        let policy = config.map(|config| config.cleanup_policy);
        let is_deletable = policy.is_some_and(|policy| policy.delete);
        replica
            .leader()
            .delete_records(item.before_offset, is_deletable)?
    };
    if core.breaks(BrokenPromise::KeepsDeletedRecords) {
        return Ok(before);
    }
    if core.breaks(BrokenPromise::EndsByItself) {
        core.fail(ShardError::Metadata("for no reason".to_owned()));
    }
    log.raise_log_start(before).await.map_err(|error| {
        tracing::warn!(partition = %log.partition(), %error, "records could not be deleted");
        error.error_code()
    })?;
    Ok(log.state().log_start_offset)
}

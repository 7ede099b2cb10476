//! The steps in their order.

use std::path::Path;

use super::plan::Plan;
use super::{TakeOverError, plan, steps, trust};
use crate::config::BrokerConfig;
use crate::io::Reactor;

/// Takes over the directory, which the caller has locked.
pub(in crate::shard) async fn take_over(
    reactor: &Reactor,
    config: &BrokerConfig,
    path: &Path,
) -> Result<(), TakeOverError> {
    trust::check(reactor, path).await?;
    steps::check_place(reactor, path).await?;
    let plan = plan::make(reactor, config, path).await?;
    tracing::warn!(
        directory = %path.display(),
        topics = plan.topic_count,
        partitions = plan.logs.len(),
        "taking over the log directory of a Kafka; there is no way back but a copy"
    );
    if plan.has_groups {
        tracing::warn!(
            "the offsets of consumer groups are kept on disk as they are (__consumer_offsets), but \
             not served: Ringlog has no consumer groups yet"
        );
    }
    let outcome = carry_out(reactor, path, &plan).await;
    trust::note(reactor, path, &outcome).await;
    outcome
}

async fn carry_out(reactor: &Reactor, path: &Path, plan: &Plan) -> Result<(), TakeOverError> {
    steps::prepare(reactor, path, plan).await?;
    steps::commit(reactor, path).await?;
    steps::finish(reactor, path).await
}

/// Ends what an earlier start has begun.
pub(in crate::shard) async fn finish(reactor: &Reactor, path: &Path) -> Result<(), TakeOverError> {
    trust::check(reactor, path).await?;
    let directory = path.display();
    tracing::warn!(%directory, "going on to take over the log directory of a Kafka");
    let outcome = steps::finish(reactor, path).await;
    trust::note(reactor, path, &outcome).await;
    outcome
}

//! Retention in the background: shard 0 keeps the time, every shard looks after its own logs.

use std::rc::Rc;
use std::time::Duration;

use super::core::Core;
use super::message::{Reply, Request};
use super::replica::Replica;
use crate::io::Semaphore;
use crate::log::LogError;
use crate::types::Timestamp;

/// The first round comes no later than this after the start (Kafka's `log.initial.task.delay.ms`).
const FIRST_ROUND: Duration = Duration::from_secs(30);

/// Logs of a shard whose starts move at the same time.
const LOGS_AT_ONCE_MAX: usize = 32;

/// On shard 0: a round every `log.retention.check.interval.ms`, until the broker stops.
pub(super) async fn run(core: Rc<Core>) {
    let interval = core.config.log_retention_check_interval;
    core.reactor.sleep(interval.min(FIRST_ROUND)).await;
    while round(&core).await {
        core.reactor.sleep(interval).await;
    }
}

/// First the starts of the logs move, in their own checkpoints and in the directory's file, and
/// only then does anything go. `false` when the broker stops.
async fn round(core: &Rc<Core>) -> bool {
    let mut moved_count = 0;
    for reply in core.ask_all(|| Request::ApplyRetention) {
        match reply.await {
            Some(Reply::RetentionApplied(moved)) => moved_count += moved,
            _ => return false,
        }
    }
    if moved_count > 0 && !core.write_checkpoint_files().await {
        return false;
    }
    for reply in core.ask_all(|| Request::DropOldSegments) {
        if reply.await.is_none() {
            return false;
        }
    }
    true
}

/// Moves the starts of this shard's logs; how many have moved since the last round, those that a
/// client has moved among them. One that is written fast takes its time: its checkpoint waits for
/// what is being sealed. The others do not wait for it.
pub(super) async fn apply(core: &Core) -> usize {
    let turns = Semaphore::new(LOGS_AT_ONCE_MAX);
    let mut applying = Vec::new();
    for replica in replicas(core) {
        let turn = turns.acquire(1).await;
        let now = core.reactor.wall_clock();
        applying.push(core.reactor.spawn(async move {
            let moved = apply_to(&replica, now).await;
            drop(turn);
            moved
        }));
    }
    let mut moved_count = 0;
    for moved in applying {
        moved_count += usize::from(moved.await);
    }
    moved_count
}

async fn apply_to(replica: &Replica, now: Timestamp) -> bool {
    let high_watermark = replica.leader().high_watermark();
    let applied = replica.log().apply_retention(high_watermark, now).await;
    if let Err(error) = applied {
        report(replica, &error);
    }
    let start = replica.log().state().log_start_offset;
    replica.noted_start.replace(start) < start
}

pub(super) async fn drop_old_segments(core: &Core) {
    for replica in replicas(core) {
        // The start may have moved since: the directory's file does not say so yet.
        let noted_start = replica.noted_start.get();
        if let Err(error) = replica.log().drop_old_segments(noted_start).await {
            report(&replica, &error);
        }
    }
}

fn replicas(core: &Core) -> Vec<Rc<Replica>> {
    core.replicas.borrow().values().cloned().collect()
}

/// A log that is deleted or stopped meanwhile, or whose directory has failed, needs no words.
fn report(replica: &Replica, error: &LogError) {
    if !matches!(
        error,
        LogError::Closed | LogError::Failed { .. } | LogError::Full { .. }
    ) {
        let partition = replica.log().partition();
        tracing::warn!(%partition, %error, "retention could not be applied");
    }
}

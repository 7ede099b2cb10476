//! Verification in the background: every shard reads its own sealed segments again, slowly.

use std::rc::Rc;
use std::time::Duration;

use super::core::Core;
use crate::log::{LogError, VerifyPace};

/// The first pass begins no later than this after the start: a broker that has just come up has
/// more urgent things to read.
const FIRST_PASS: Duration = Duration::from_secs(600);

/// On each shard: a pass over its logs, at most one in `log.verify.interval.ms`, until the broker
/// stops. The shards share `log.verify.bytes.per.second`.
pub(super) async fn run(core: Rc<Core>) {
    let interval = core.config.log_verify_interval;
    let shard_count = core.shard_ids().count() as u64;
    let Some(bytes_per_second) = core.config.log_verify_bytes_per_second else {
        return;
    };
    let pace = VerifyPace {
        bytes_per_second: (bytes_per_second / shard_count).max(1),
    };
    core.reactor.sleep(interval.min(FIRST_PASS)).await;
    while !core.has_ended.get() {
        let began = core.reactor.now();
        pass(&core, pace).await;
        let taken = core.reactor.now() - began;
        core.reactor.sleep(interval.saturating_sub(taken)).await;
    }
}

/// Verifies the logs that this shard has now, one after the other.
async fn pass(core: &Core, pace: VerifyPace) {
    let directories = core.opened_directories().into_iter();
    let logs: Vec<_> = directories
        .flat_map(|(_, directory)| directory.logs())
        .collect();
    for log in logs {
        match log.verify(pace).await {
            // It is deleted or stopped, or its directory has failed: that was told.
            Ok(()) | Err(LogError::Closed | LogError::Failed { .. }) => {}
            Err(error) => {
                let partition = log.partition();
                tracing::warn!(%partition, %error, "a log could not be verified");
            }
        }
    }
}

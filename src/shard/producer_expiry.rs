//! Idempotent producers that have been silent for too long are forgotten
//! (`producer.id.expiration.ms`), on the shard that owns the partitions.

use std::rc::Rc;
use std::time::Duration;

use super::core::Core;
use super::replica::Replica;
use crate::metrics::Counter;

/// Looks at this shard's partitions every `producer.id.expiration.check.interval.ms`, until the
/// broker stops.
pub(super) async fn run(core: Rc<Core>) {
    let interval = core.config.producer_id_expiration_check_interval;
    while !core.has_ended.get() {
        core.reactor.sleep(interval).await;
        look(&core).await;
    }
}

async fn look(core: &Core) {
    let replicas: Vec<Rc<Replica>> = core.replicas.borrow().values().cloned().collect();
    for replica in replicas {
        let expiration = expiration(core);
        let (now, wall_clock) = (core.reactor.now(), core.reactor.wall_clock());
        // The state is given back before anybody else has a turn.
        let forgotten_count = {
            let mut state = replica.log().state();
            state.producers.expire(now, wall_clock, expiration)
        };
        core.metrics
            .add(Counter::ProducersForgotten, forgotten_count as u64);
        core.reactor.yield_now().await;
    }
}

/// As it is now: it may change while the broker runs.
fn expiration(core: &Core) -> Duration {
    let dynamic = core.dynamic.borrow();
    let expiration_ms = dynamic.settings().number("producer.id.expiration.ms");
    Duration::from_millis(expiration_ms.unsigned_abs())
}

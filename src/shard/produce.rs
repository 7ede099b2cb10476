//! Appending, on the shard that owns the partitions and on the one that waits for the answers.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use super::core::{Core, ReplyTo, Shard};
use super::message::{Message, ProduceItem, Reply, Request};
use super::replica::{ProduceOutcome, Replica};
use crate::partition::{Acks, Event};
use crate::types::{ErrorCode, ShardId, TopicIdPartition};

/// How late the timeout of a produce request may be answered.
const EXPIRY_INTERVAL: Duration = Duration::from_millis(50);

/// The part of a Produce request that one shard owns, until all of it is answered.
pub(super) struct ProduceCall {
    to: RefCell<Option<ReplyTo>>,
    unanswered: Cell<usize>,
    outcomes: RefCell<Vec<Option<ProduceOutcome>>>,
}

impl ProduceCall {
    fn new(to: ReplyTo, count: usize) -> ProduceCall {
        ProduceCall {
            to: RefCell::new(Some(to)),
            unanswered: Cell::new(count),
            outcomes: RefCell::new(vec![None; count]),
        }
    }

    pub(super) fn complete(&self, core: &Core, slot: usize, outcome: ProduceOutcome) {
        let before = self.outcomes.borrow_mut()[slot].replace(outcome);
        assert!(before.is_none(), "a partition is answered once");
        self.unanswered.set(self.unanswered.get() - 1);
        if self.unanswered.get() > 0 {
            return;
        }
        let outcomes = std::mem::take(&mut *self.outcomes.borrow_mut());
        let outcomes = outcomes
            .into_iter()
            .map(|outcome| outcome.expect("all are answered"));
        let to = self.to.borrow_mut().take().expect("answered once");
        core.answer(to, Reply::Produce(outcomes.collect()));
    }
}

impl Shard {
    /// Appends batches to many partitions, wherever they are. They are on their way, in order, when
    /// this returns; the future gives one outcome an item, in their order. `None` when the broker
    /// stops.
    pub fn produce(
        &self,
        items: Vec<ProduceItem>,
        acks: i16,
        timeout: Duration,
    ) -> impl Future<Output = Option<Vec<ProduceOutcome>>> + use<> {
        let count = items.len();
        let mut by_owner: BTreeMap<ShardId, (Vec<usize>, Vec<ProduceItem>)> = BTreeMap::new();
        for (index, item) in items.into_iter().enumerate() {
            let (indexes, items) = by_owner.entry(self.core.owner(item.partition)).or_default();
            indexes.push(index);
            items.push(item);
        }
        let mut asked = Vec::with_capacity(by_owner.len());
        for (owner, (indexes, items)) in by_owner {
            let request = Request::Produce {
                items,
                acks,
                timeout,
            };
            asked.push((indexes, self.core.ask(owner, request)));
        }
        async move {
            let mut outcomes: Vec<Option<ProduceOutcome>> = vec![None; count];
            for (indexes, reply) in asked {
                let Some(Reply::Produce(produced)) = reply.await else {
                    return None;
                };
                for (index, outcome) in indexes.into_iter().zip(produced) {
                    outcomes[index] = Some(outcome);
                }
            }
            outcomes.into_iter().collect()
        }
    }
}

/// Appends the items that this shard owns.
pub(super) fn start(
    core: &Rc<Core>,
    to: ReplyTo,
    items: Vec<ProduceItem>,
    acks: i16,
    timeout: Duration,
) {
    let call = Rc::new(ProduceCall::new(to, items.len()));
    let deadline = core.reactor.now() + timeout;
    for (slot, item) in items.into_iter().enumerate() {
        let outcome = match (core.replica(&item.partition), Acks::from_wire(acks)) {
            (Some(replica), Ok(acks)) => {
                replica.produce(core, item, acks, deadline, (Rc::clone(&call), slot));
                continue;
            }
            (None, Ok(_)) => ProduceOutcome::failed(ErrorCode::NotLeaderOrFollower, None),
            (_, Err(error)) => ProduceOutcome::failed(error, None),
        };
        call.complete(core, slot, outcome);
    }
}

impl Core {
    /// Tells every fetch that watches a partition, once.
    pub(super) fn wake_watchers(&self, partition: &TopicIdPartition) {
        if self.watchers.borrow().is_empty() {
            return;
        }
        let woken = self.watchers.borrow_mut().wake(partition);
        for watcher in woken {
            self.peers.tell(
                watcher.shard,
                Message::Wake {
                    fetch: watcher.fetch,
                },
            );
        }
    }
}

/// Steps the machines of the partitions whose logs have come further.
pub(super) async fn step_progressed(core: Rc<Core>) {
    loop {
        let changed = core.progress.notified();
        let progressed = std::mem::take(&mut *core.progressed.borrow_mut());
        if progressed.is_empty() {
            changed.await;
            continue;
        }
        for partition in progressed {
            if let Some(replica) = core.replica(&partition) {
                replica.is_noted.set(false);
                replica.log_progressed(&core);
            }
        }
    }
}

/// Gives the machines their timers: requests whose timeout has passed are answered.
pub(super) async fn expire_waiters(core: Rc<Core>) {
    while !core.has_ended.get() {
        core.reactor.sleep(EXPIRY_INTERVAL).await;
        let now = core.reactor.now();
        let due: Vec<Rc<Replica>> = {
            let replicas = core.replicas.borrow();
            let due = replicas
                .values()
                .filter(|replica| replica.timer().is_some_and(|at| at <= now));
            due.cloned().collect()
        };
        for replica in due {
            replica.fire_timer(&core, now);
        }
    }
}

/// The partition is deleted: whoever waits for it is told.
pub(super) fn retire(core: &Core, replica: &Replica) {
    replica.step(core, Event::Deleted);
    core.wake_watchers(&replica.partition());
}

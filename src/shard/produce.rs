//! Appending, on the shard that owns the partitions and on the one that waits for the answers.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use super::core::{Core, ReplyTo, Shard};
use super::message::{Message, ProduceItem, Reply, Request};
use super::replica::{ProduceOutcome, Replica};
use crate::metrics::{Counter, Distribution, Stage, StageClock};
use crate::partition::{Acks, Event};
use crate::types::{ErrorCode, ShardId, TopicIdPartition};

/// How late the timeout of a produce request may be answered.
const EXPIRY_INTERVAL: Duration = Duration::from_millis(50);

/// A request waits at least so long for its leader's own disk, whatever its timeout: Kafka's
/// timeout is for the other replicas, and what the leader's flush takes is not counted there.
const OWN_DISK_TIME_MIN: Duration = Duration::from_secs(1);

/// The part of a Produce request that one shard owns, until all of it is answered.
pub(super) struct ProduceCall {
    to: RefCell<Option<ReplyTo>>,
    unanswered: Cell<usize>,
    unwritten: Cell<usize>,
    outcomes: RefCell<Vec<Option<ProduceOutcome>>>,
    clock: Cell<StageClock>,
}

impl ProduceCall {
    fn new(to: ReplyTo, count: usize, clock: StageClock) -> ProduceCall {
        ProduceCall {
            to: RefCell::new(Some(to)),
            unanswered: Cell::new(count),
            unwritten: Cell::new(0),
            outcomes: RefCell::new(vec![None; count]),
            clock: Cell::new(clock),
        }
    }

    fn lap(&self, core: &Core, stage: Stage) {
        let mut clock = self.clock.get();
        clock.lap(&core.metrics, stage, core.reactor.now());
        self.clock.set(clock);
    }

    /// One of its batches is on its way to the disk.
    pub(super) fn appended(&self) {
        self.unwritten.set(self.unwritten.get() + 1);
    }

    /// One of its batches is written.
    pub(super) fn written(&self, core: &Core) {
        self.unwritten.set(self.unwritten.get() - 1);
        if self.unwritten.get() == 0 && self.unanswered.get() > 0 {
            self.lap(core, Stage::Write);
        }
    }

    pub(super) fn complete(&self, core: &Core, slot: usize, outcome: ProduceOutcome) {
        let before = self.outcomes.borrow_mut()[slot].replace(outcome);
        assert!(before.is_none(), "a partition is answered once");
        self.unanswered.set(self.unanswered.get() - 1);
        if self.unanswered.get() > 0 {
            return;
        }
        // With one replica the flush is all that the high watermark waits for.
        self.lap(core, Stage::Flush);
        let outcomes = std::mem::take(&mut *self.outcomes.borrow_mut());
        let outcomes = outcomes
            .into_iter()
            .map(|outcome| outcome.expect("all are answered"));
        let to = self.to.borrow_mut().take().expect("answered once");
        core.answer(to, Reply::Produce(outcomes.collect(), self.clock.get()));
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
        clock: StageClock,
    ) -> impl Future<Output = Option<(Vec<ProduceOutcome>, StageClock)>> + use<> {
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
                clock,
            };
            asked.push((indexes, self.core.ask(owner, request)));
        }
        async move {
            let mut outcomes: Vec<Option<ProduceOutcome>> = vec![None; count];
            let mut last = clock;
            for (indexes, reply) in asked {
                let Some(Reply::Produce(produced, clock)) = reply.await else {
                    return None;
                };
                // The stages of the owner that answered last are the request's.
                last = clock;
                for (index, outcome) in indexes.into_iter().zip(produced) {
                    outcomes[index] = Some(outcome);
                }
            }
            Some((outcomes.into_iter().collect::<Option<_>>()?, last))
        }
    }
}

/// Appends the items that this shard owns.
pub(super) fn start(
    core: &Rc<Core>,
    to: ReplyTo,
    items: Vec<ProduceItem>,
    (acks, timeout): (i16, Duration),
    clock: StageClock,
) {
    assert!(!items.is_empty(), "an owner is asked only for what it owns");
    let call = Rc::new(ProduceCall::new(to, items.len(), clock));
    call.lap(core, Stage::Enqueue);
    let deadline = core.reactor.now() + timeout.max(OWN_DISK_TIME_MIN);
    for (slot, item) in items.into_iter().enumerate() {
        let outcome = match (core.serving(&item.partition), Acks::from_wire(acks)) {
            (Ok(replica), Ok(_)) if core.has_too_much_unwritten(&replica) => {
                core.metrics.increment(Counter::ProducesExpired);
                ProduceOutcome::failed(ErrorCode::RequestTimedOut, None)
            }
            (Ok(replica), Ok(acks)) => {
                replica.produce(core, item, acks, deadline, (Rc::clone(&call), slot));
                continue;
            }
            (Err(error), Ok(_)) | (_, Err(error)) => ProduceOutcome::failed(error, None),
        };
        call.complete(core, slot, outcome);
    }
    if call.unanswered.get() > 0 {
        call.lap(core, Stage::Append);
    }
}

impl Core {
    /// Whether the disk of a partition owes more than all requests in flight can be: then some have
    /// timed out, whose batches are held still. Another would not be in time either, and without
    /// this a disk that hangs would let those that come again and again take all memory.
    fn has_too_much_unwritten(&self, replica: &Replica) -> bool {
        let requests_max = self.config.shard_request_memory_bytes * self.reactor.shard_count();
        replica.log().unwritten_bytes_of_directory() > requests_max as u64
    }

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
        let due_at = core.reactor.now() + EXPIRY_INTERVAL;
        core.reactor.sleep(EXPIRY_INTERVAL).await;
        let now = core.reactor.now();
        let late = now.since(due_at);
        core.metrics
            .record_time(Distribution::ReactorStallTime, late);
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

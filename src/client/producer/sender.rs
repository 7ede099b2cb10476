//! The task that sends batches: one a producer.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;

use futures_lite::future::or;

use super::accumulator::{Partition, Readiness, TopicIdentity};
use super::batch::Batch;
use super::links::{Broker, Identity};
use super::options::ProducerOptions;
use super::partitioner::StickyPartitioner;
use super::request::Sent;
use crate::client::backoff::Backoff;
use crate::client::cluster_view::TopicView;
use crate::client::error::ClientError;
use crate::client::routing::Client;
use crate::io::{Notify, Reactor, Semaphore};
use crate::protocol::StrBytes;
use crate::types::{Monotonic, NodeId, ProducerEpoch, ProducerId};

/// The earliest of several times.
#[derive(Default)]
pub(super) struct Wake {
    at: Option<Monotonic>,
}

impl Wake {
    pub(super) fn before(&mut self, at: Monotonic) {
        self.at = Some(self.at.map_or(at, |known| known.min(at)));
    }
}

/// What the handles of a producer and its sender share.
pub(super) struct Shared {
    pub(super) client: Client,
    pub(super) reactor: Reactor,
    pub(super) options: ProducerOptions,
    /// buffer.memory
    pub(super) memory: Semaphore,
    pub(super) topics: RefCell<BTreeMap<Arc<str>, Rc<TopicState>>>,
    /// Partitions with something to send, in the order of their turns.
    pub(super) active: RefCell<VecDeque<Rc<Partition>>>,
    pub(super) brokers: RefCell<BTreeMap<NodeId, Broker>>,
    pub(super) identity: RefCell<Identity>,
    /// Highest epoch that any partition uses.
    pub(super) epoch: Cell<ProducerEpoch>,
    /// Batches that are neither acknowledged nor given up.
    pub(super) outstanding_count: Cell<usize>,
    /// No batch is outstanding any more.
    pub(super) idle: Notify,
    pub(super) flush_count: Cell<usize>,
    pub(super) is_closed: Cell<bool>,
    /// There is something for the sender to do.
    pub(super) work: Notify,
    /// When the sender looks again by itself.
    pub(super) wakes_at: Cell<Option<Monotonic>>,
    /// Of the view that the partitions' leaders come from.
    pub(super) generation: Cell<u64>,
    pub(super) refresh_at: Cell<Monotonic>,
    pub(super) refresh_backoff: RefCell<Backoff>,
    /// Why nothing can be sent at present, for the message of a delivery timeout.
    pub(super) obstacle: RefCell<Option<Arc<str>>>,
}

/// A topic that this producer writes to.
pub(super) struct TopicState {
    pub(super) identity: Rc<TopicIdentity>,
    pub(super) partitions: RefCell<Vec<Rc<Partition>>>,
    pub(super) sticky: RefCell<StickyPartitioner>,
}

impl Shared {
    pub(super) fn new(client: &Client, options: ProducerOptions) -> Rc<Shared> {
        let identity = match options.is_idempotent {
            true => Identity::Unknown,
            false => Identity::NotNeeded,
        };
        Rc::new(Shared {
            client: client.clone(),
            reactor: client.reactor().clone(),
            memory: Semaphore::new(options.buffer_memory),
            options,
            topics: RefCell::default(),
            active: RefCell::default(),
            brokers: RefCell::default(),
            identity: RefCell::new(identity),
            epoch: Cell::new(0),
            outstanding_count: Cell::new(0),
            idle: Notify::new(),
            flush_count: Cell::new(0),
            is_closed: Cell::new(false),
            work: Notify::new(),
            wakes_at: Cell::new(None),
            generation: Cell::new(client.generation()),
            refresh_at: Cell::new(Monotonic::default()),
            refresh_backoff: RefCell::new(client.retry_backoff()),
            obstacle: RefCell::default(),
        })
    }

    /// The state of a topic, made on first use.
    pub(super) fn topic_state(&self, view: &TopicView) -> Rc<TopicState> {
        let mut topics = self.topics.borrow_mut();
        let state = topics.entry(Arc::clone(&view.name)).or_insert_with(|| {
            Rc::new(TopicState {
                identity: Rc::new(TopicIdentity {
                    name: Arc::clone(&view.name),
                    wire_name: StrBytes::from_string(view.name.to_string()),
                    id: Cell::new(view.topic_id),
                }),
                partitions: RefCell::default(),
                sticky: RefCell::new(StickyPartitioner::new(self.options.batch_size)),
            })
        });
        self.adopt_topic(state, view);
        Rc::clone(state)
    }

    /// A batch was opened in `partition`, or one became full.
    pub(super) fn activate(&self, partition: &Rc<Partition>, is_full: bool) {
        if !partition.is_active.replace(true) {
            self.active.borrow_mut().push_back(Rc::clone(partition));
        }
        let due = self.reactor.now() + self.options.linger;
        if is_full || self.wakes_at.get().is_none_or(|at| due < at) {
            self.work.notify_all();
        }
    }

    /// Runs until the producer is closed.
    pub(super) async fn run(self: Rc<Self>) {
        let refreshed = self.client.refreshed();
        while !self.is_closed.get() {
            let work = self.work.notified();
            let news = refreshed.notified();
            let wakes_at = self.step(self.reactor.now());
            self.wakes_at.set(wakes_at);
            let events = or(work, news);
            match wakes_at {
                Some(at) => or(events, self.reactor.sleep(at - self.reactor.now())).await,
                None => events.await,
            }
        }
        self.shut_down();
    }

    /// Sends what can be sent; returns when to look again if nothing happens before.
    fn step(self: &Rc<Self>, now: Monotonic) -> Option<Monotonic> {
        self.client.refresh_if_old();
        self.adopt_view();
        let mut wake = Wake::default();
        let mut by_leader = self.collect_ready(now, &mut wake);
        if by_leader.is_empty() {
            return wake.at;
        }
        let Some(id) = self.producer_id() else {
            return wake.at;
        };
        let mut sent_count = 0;
        for (leader, ready) in &mut by_leader {
            let Some(connection) = self.connection(*leader, now, &mut wake) else {
                self.offered(*leader, now, false);
                continue;
            };
            let sent_before = sent_count;
            while let Some(slot) = connection.try_slot() {
                let batches = self.gather(ready, id, now);
                if batches.is_empty() {
                    break;
                }
                sent_count += batches.len();
                self.send(&connection, slot, batches);
            }
            self.offered(*leader, now, sent_count > sent_before);
        }
        let mut active = self.active.borrow_mut();
        let count = active.len();
        // Whoever had no turn is first next time.
        active.rotate_left(sent_count.checked_rem(count).unwrap_or(0));
        wake.at
    }

    /// The partitions that may send, by leader. Gives up batches that are too old.
    fn collect_ready(
        &self,
        now: Monotonic,
        wake: &mut Wake,
    ) -> BTreeMap<NodeId, VecDeque<Rc<Partition>>> {
        let is_urgent = self.flush_count.get() > 0 || self.memory.waiter_count() > 0;
        let mut by_leader: BTreeMap<NodeId, VecDeque<Rc<Partition>>> = BTreeMap::new();
        let mut expired = Vec::new();
        let age = self.options.delivery_timeout.as_nanos();
        let limit = u64::try_from(age)
            .ok()
            .and_then(|age| now.0.checked_sub(age))
            .map(Monotonic);
        let mut lacks_leader = false;
        self.active.borrow_mut().retain(|partition| {
            let mut queue = partition.queue.borrow_mut();
            while let Some(batch) = queue.expire(limit) {
                expired.push((Rc::clone(partition), batch));
            }
            if let Some(front) = queue.batches.front() {
                wake.before(front.created + self.options.delivery_timeout);
            }
            match queue.readiness(now, self.options.linger, is_urgent) {
                Readiness::Empty => {
                    partition.is_active.set(false);
                    return false;
                }
                Readiness::Ready => match partition.leader.get() {
                    Some(leader) => {
                        by_leader
                            .entry(leader)
                            .or_default()
                            .push_back(Rc::clone(partition));
                    }
                    None => lacks_leader = true,
                },
                Readiness::At(at) => wake.before(at),
                Readiness::Blocked => {}
            }
            true
        });
        if lacks_leader {
            self.obstruct(&"the partition has no leader");
            self.refresh(now, wake);
        }
        for (partition, batch) in expired {
            let error = self.expired(&batch);
            self.settle(&partition, batch, Err(error));
        }
        by_leader
    }

    fn expired(&self, batch: &Batch) -> ClientError {
        let reason = batch
            .last_fault
            .clone()
            .or_else(|| self.obstacle.borrow().clone());
        ClientError::DeliveryTimeout {
            timeout: self.options.delivery_timeout,
            reason: reason.unwrap_or_else(|| "earlier requests are not answered".into()),
        }
    }

    /// One batch of each ready partition, up to max.request.size. A partition that has more goes
    /// to the back.
    fn gather(
        &self,
        ready: &mut VecDeque<Rc<Partition>>,
        id: ProducerId,
        now: Monotonic,
    ) -> Vec<Sent> {
        let mut batches = Vec::new();
        let mut size = 0;
        for _ in 0..ready.len() {
            if size >= self.options.request_size_max {
                break;
            }
            let Some(partition) = ready.pop_front() else {
                break;
            };
            let mut queue = partition.queue.borrow_mut();
            if self.options.is_idempotent && queue.must_restart() {
                let Some(epoch) = self.epoch_for(queue.is_new()) else {
                    break;
                };
                queue.restart(id, epoch);
            }
            let (batch, bytes) = queue.take(now, self.options.is_idempotent);
            let is_urgent = self.flush_count.get() > 0;
            let more = queue.readiness(now, self.options.linger, is_urgent);
            drop(queue);
            if more == Readiness::Ready {
                ready.push_back(Rc::clone(&partition));
            }
            size += bytes.len();
            batches.push(Sent {
                partition,
                batch,
                bytes,
            });
        }
        batches
    }
}

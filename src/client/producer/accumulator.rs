//! The deque of a partition: what waits, what is in flight, and which sequence comes next.
//! Makes no decisions about time or brokers by itself: the sender asks and tells.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::batch::Batch;
use crate::batch::{NO_SEQUENCE, Producer};
use crate::client::backoff::Backoff;
use crate::io::Reactor;
use crate::protocol::StrBytes;
use crate::types::{Monotonic, NodeId, PartitionIndex, ProducerEpoch, ProducerId, TopicId};

/// A topic's names, shared by its partitions.
pub(super) struct TopicIdentity {
    pub(super) name: Arc<str>,
    pub(super) wire_name: StrBytes,
    /// Changes when the topic is deleted and created again.
    pub(super) id: Cell<TopicId>,
}

/// A partition that this producer writes to.
pub(super) struct Partition {
    pub(super) topic: Rc<TopicIdentity>,
    pub(super) index: PartitionIndex,
    pub(super) leader: Cell<Option<NodeId>>,
    /// Whether it is in the sender's list.
    pub(super) is_active: Cell<bool>,
    pub(super) queue: RefCell<Queue>,
}

impl Partition {
    pub(super) fn new(topic: &Rc<TopicIdentity>, index: PartitionIndex, backoff: Backoff) -> Self {
        Partition {
            topic: Rc::clone(topic),
            index,
            leader: Cell::new(None),
            is_active: Cell::new(false),
            queue: RefCell::new(Queue::new(backoff)),
        }
    }
}

/// When a partition may send next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Readiness {
    /// Nothing waits.
    Empty,
    Ready,
    /// At that time: still lingering, or backing off.
    At(Monotonic),
    /// After the answers to what is in flight.
    Blocked,
}

/// The batches of a partition in the order of their numbers, and its idempotent sequence.
pub(super) struct Queue {
    pub(super) batches: VecDeque<Batch>,
    next_number: u64,
    in_flight_count: usize,
    /// Something failed, or will: one batch at a time until all that was sent before is
    /// acknowledged.
    has_failed: bool,
    /// A sequence was lost: a new epoch before the next batch.
    must_restart: bool,
    /// A batch with a sequence was given up, and nobody knows whether the broker has it. Those
    /// behind it that were sent may be stored, too: they keep their sequences until each has an
    /// answer, and nothing new is sent before.
    is_unresolved: bool,
    retry_at: Monotonic,
    backoff: Backoff,
    sequence: Sequence,
}

/// Under which producer id and epoch this partition sends, and where in the sequence it is.
struct Sequence {
    id: ProducerId,
    epoch: ProducerEpoch,
    /// Of the next batch that has none.
    next: i32,
    /// Behind the last acknowledged batch, and the number of that.
    acknowledged: i32,
    acknowledged_number: Option<u64>,
}

impl Queue {
    fn new(backoff: Backoff) -> Queue {
        Queue {
            batches: VecDeque::new(),
            next_number: 0,
            in_flight_count: 0,
            has_failed: false,
            must_restart: false,
            is_unresolved: false,
            retry_at: Monotonic::default(),
            backoff,
            sequence: Sequence {
                id: -1,
                epoch: -1,
                next: 0,
                acknowledged: 0,
                acknowledged_number: None,
            },
        }
    }

    /// The number of the next batch to be opened.
    pub(super) fn take_number(&mut self) -> u64 {
        let number = self.next_number;
        self.next_number += 1;
        number
    }

    /// `is_urgent`: nothing lingers, because of a flush or because memory is short.
    pub(super) fn readiness(&self, now: Monotonic, linger: Duration, is_urgent: bool) -> Readiness {
        let Some(front) = self.batches.front() else {
            return Readiness::Empty;
        };
        let is_new = front.producer.is_none();
        if (self.has_failed || self.is_unresolved && is_new) && self.in_flight_count > 0 {
            return Readiness::Blocked;
        }
        if self.retry_at > now {
            return Readiness::At(self.retry_at);
        }
        let due = front.created + linger;
        if front.is_closed || self.batches.len() > 1 || is_urgent || due <= now {
            return Readiness::Ready;
        }
        Readiness::At(due)
    }

    /// Whether the next batch needs an epoch first: [`Queue::restart`] before [`Queue::take`].
    pub(super) fn must_restart(&self) -> bool {
        self.must_restart || self.is_new()
    }

    /// Whether nothing was ever sent with a sequence.
    pub(super) fn is_new(&self) -> bool {
        self.sequence.id < 0
    }

    /// Starts the sequence again at 0 under a new epoch. Nothing may be in flight.
    pub(super) fn restart(&mut self, id: ProducerId, epoch: ProducerEpoch) {
        assert_eq!(
            self.in_flight_count, 0,
            "a sequence restarts when nothing is in flight"
        );
        self.must_restart = false;
        self.is_unresolved = false;
        self.sequence = Sequence {
            id,
            epoch,
            next: 0,
            acknowledged: 0,
            acknowledged_number: None,
        };
        for batch in &mut self.batches {
            batch.producer = None;
        }
    }

    /// The first batch, sealed and counted as in flight. The queue is [`Readiness::Ready`].
    pub(super) fn take(&mut self, now: Monotonic, is_idempotent: bool) -> (Batch, Bytes) {
        let mut batch = self.batches.pop_front().expect("a ready queue has a batch");
        if is_idempotent && batch.producer.is_none() {
            batch.producer = Some(Producer {
                id: self.sequence.id,
                epoch: self.sequence.epoch,
                base_sequence: self.sequence.next,
            });
            self.sequence.next = sequence_after(self.sequence.next, batch.record_count);
        }
        let bytes = batch.seal();
        batch.sent = Some(now);
        self.in_flight_count += 1;
        (batch, bytes)
    }

    /// Whether this batch in flight is the one that the broker must expect next, so that an
    /// OUT_OF_ORDER_SEQUENCE_NUMBER for it means that the broker has lost something, or never
    /// got one that was given up. In both cases it does not have this batch, and all that was sent
    /// before it has an end: what waits to be sent again may be stored, and keeps its sequence.
    pub(super) fn is_next(&self, batch: &Batch) -> bool {
        let base_sequence = batch
            .producer
            .map_or(NO_SEQUENCE, |producer| producer.base_sequence);
        let waits_before = self
            .batches
            .front()
            .is_some_and(|front| front.producer.is_some() && front.number < batch.number);
        let is_alone = self.in_flight_count == 1 && !waits_before;
        base_sequence == self.sequence.acknowledged || self.is_unresolved && is_alone
    }

    /// A batch in flight was acknowledged.
    pub(super) fn acknowledge(&mut self, batch: &Batch) {
        self.in_flight_count -= 1;
        self.backoff.reset();
        let repeats = self
            .batches
            .front()
            .is_some_and(|front| front.sent.is_some());
        self.has_failed &= repeats || self.in_flight_count > 0;
        let sequence = &mut self.sequence;
        if let Some(producer) = batch.producer
            && sequence.acknowledged_number < Some(batch.number)
        {
            sequence.acknowledged = sequence_after(producer.base_sequence, batch.record_count);
            sequence.acknowledged_number = Some(batch.number);
        }
        self.resolve();
    }

    /// A batch in flight is to be sent again: it goes back to its place.
    pub(super) fn retry(&mut self, batch: Batch, must_restart: bool, reactor: &Reactor) {
        self.in_flight_count -= 1;
        self.has_failed = true;
        self.must_restart |= must_restart;
        let now = reactor.now();
        if self.retry_at <= now {
            // Once for all that failed together.
            self.retry_at = now + self.backoff.next(reactor);
        }
        let place = self
            .batches
            .partition_point(|waiting| waiting.number < batch.number);
        self.batches.insert(place, batch);
    }

    /// The topic was deleted and made anew: what is in flight to the old one will fail, and nothing
    /// may get to the new one before it. The new one takes any sequence to begin with.
    pub(super) fn topic_was_replaced(&mut self) {
        self.has_failed |= self.in_flight_count > 0;
    }

    /// A batch in flight is given up.
    pub(super) fn give_up(&mut self, batch: &Batch) {
        self.in_flight_count -= 1;
        self.has_failed = true;
        self.is_unresolved |= batch.producer.is_some();
        self.resolve();
    }

    /// The first waiting batch, if it was created at or before `limit`: it is given up.
    pub(super) fn expire(&mut self, limit: Option<Monotonic>) -> Option<Batch> {
        let batch = self
            .batches
            .pop_front_if(|front| limit.is_some_and(|l| front.created <= l))?;
        self.is_unresolved |= batch.producer.is_some();
        self.has_failed |= batch.producer.is_some();
        self.resolve();
        Some(batch)
    }

    /// When all that was sent has an answer or was given up: a sequence that was acknowledged to
    /// its end has no gap, any other is left for a new epoch.
    fn resolve(&mut self) {
        let front = self.batches.front();
        let is_settled =
            self.in_flight_count == 0 && front.is_none_or(|front| front.producer.is_none());
        if self.is_unresolved && is_settled {
            self.is_unresolved = false;
            self.must_restart |= self.sequence.acknowledged != self.sequence.next;
        }
    }
}

/// Sequences go from `i32::MAX` to 0.
fn sequence_after(sequence: i32, count: i32) -> i32 {
    sequence.wrapping_add(count) & i32::MAX
}

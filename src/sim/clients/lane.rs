//! An idempotent producer made by hand: it sends a batch with the same bytes until it is answered,
//! and sends batches again that were answered long ago. Every answer must give the offset that the
//! batch has had from the beginning.

use std::collections::VecDeque;

use bytes::Bytes;

use super::cast::Cast;
use crate::batch::{BatchBuilder, BatchOptions, Producer};
use crate::protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use crate::protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use crate::protocol::messages::{FetchRequest, InitProducerIdRequest, ProduceRequest};
use crate::protocol::to_uuid;
use crate::sim::checker::{Guarantee, Invariant, Lifecycle, Record, Seen, Survives, Violation};
use crate::sim::tally::State;
use crate::sim::wire::{Lost, Wire};
use crate::types::{ErrorCode, Offset, PartitionIndex, ProducerId, Timestamp, TopicId};

/// Batches that a broker remembers of a producer, and requests in flight at most.
const BATCHES_REMEMBERED: usize = 5;

const PRODUCE_VERSION: i16 = 13;
const FETCH_VERSION: i16 = 17;
const INIT_PRODUCER_ID_VERSION: i16 = 5;

pub(super) const ACKS_LEADER: i16 = 1;
const ACKS_ALL: i16 = -1;

/// What the broker is told to wait for the acknowledgement, ms.
const PRODUCE_TIMEOUT_MS: i32 = 1_500;

/// Longest pause between two operations, ms.
const PAUSE_MS_MAX: u64 = 6;

/// One in so many operations leaves the partition for another.
const LEAVE_EVERY: u64 = 30;

/// A batch without compression.
pub(super) fn batch_of(records: &[Record], producer: Option<Producer>, now: Timestamp) -> Bytes {
    let options = BatchOptions {
        producer,
        ..BatchOptions::default()
    };
    let mut builder = BatchBuilder::new(options, 0);
    for record in records {
        builder.append(now, None, Some(&record.value()), &[]);
    }
    builder.close()
}

/// A Produce request by topic id, with its version.
pub(super) fn produce_request(
    acks: i16,
    topic_id: TopicId,
    partition: PartitionIndex,
    batch: Bytes,
) -> (i16, ProduceRequest) {
    let data = PartitionProduceData::default()
        .with_index(partition)
        .with_records(Some(batch));
    let topic = TopicProduceData::default()
        .with_topic_id(to_uuid(topic_id))
        .with_partition_data(vec![data]);
    let request = ProduceRequest::default()
        .with_acks(acks)
        .with_timeout_ms(PRODUCE_TIMEOUT_MS)
        .with_topic_data(vec![topic]);
    (PRODUCE_VERSION, request)
}

/// A batch that was sent at least once.
struct SentBatch {
    bytes: Bytes,
    records: Vec<Record>,
    base_offset: Option<Offset>,
    /// Broker that it was sent to first, or that has answered it last.
    life: u64,
}

/// A partition under one producer id.
struct Target {
    topic_id: TopicId,
    partition: PartitionIndex,
    acks: i16,
    producer_id: ProducerId,
    next_sequence: i32,
    /// The newest, oldest first.
    sent: VecDeque<SentBatch>,
    /// What they were when the producer id was given.
    power_cut_count: u64,
    class_changes: u64,
}

/// How an attempt to deliver ended.
#[derive(PartialEq, Eq)]
enum Delivered {
    All,
    /// The partition is left: it is gone, or it has lost what this producer sent before.
    Left,
}

/// What an answer means for the batches behind it.
enum Answer {
    Settled,
    Failed,
    Left,
}

struct Lane {
    cast: Cast,
    /// In the ledger.
    number: u32,
    /// In the ledger: whose records go to topics that are gone.
    lost_number: u32,
    wire: Option<Wire>,
}

pub(super) async fn run(cast: Cast) {
    let number = cast.ledger.add_producer(Guarantee::OnceInOrder);
    let mut lane = Lane {
        number,
        lost_number: cast.ledger.add_producer(Guarantee::Never),
        cast,
        wire: None,
    };
    while !lane.cast.is_over() {
        lane.cast.ledger.step();
        if lane.cast.ledger.one_in(4) {
            lane.try_old_id().await;
        }
        if let Some(target) = lane.choose().await {
            lane.work(target).await;
        }
        lane.cast.pause(PAUSE_MS_MAX).await;
    }
}

impl Lane {
    /// The connection, opened if need be. `None` when no broker answers now.
    async fn wire(&mut self) -> Option<&mut Wire> {
        if self.wire.is_none() {
            let address = self.cast.ledger.scenario.address;
            self.wire = Wire::connect(&self.cast.reactor, address).await.ok();
        }
        self.wire.as_mut()
    }

    /// Unpacks an answer; without one the connection is dropped.
    fn answered<T>(&mut self, answer: Result<Result<T, Lost>, Violation>) -> Option<T> {
        let answer = self.cast.ledger.check(answer);
        if let Some(Ok(response)) = answer {
            return Some(response);
        }
        if let Some(wire) = self.wire.take() {
            wire.close();
        }
        None
    }

    async fn choose(&mut self) -> Option<Target> {
        let cast = self.cast.clone();
        let plans = &cast.ledger.scenario.topics;
        let plan = &plans[cast.ledger.below(plans.len() as u64) as usize];
        let state = cast.ledger.name_state(&plan.name)?;
        let request = InitProducerIdRequest::default()
            .with_transactional_id(None)
            .with_transaction_timeout_ms(60_000)
            .with_producer_id((-1).into())
            .with_producer_epoch(-1);
        let power_cut_count = cast.ledger.power_cut_count.get();
        let class_changes = cast.ledger.class_changes(state.topic_id);
        let wire = self.wire().await?;
        let answer = wire.call(INIT_PRODUCER_ID_VERSION, &request).await;
        cast.note(|| format!("producer id: {answer:?}"));
        let response = self.answered(answer)?;
        if response.error_code != 0 {
            return None;
        }
        Some(Target {
            topic_id: state.topic_id,
            partition: cast.ledger.below(plan.partition_count as u64) as i32,
            acks: match cast.ledger.below(4) {
                0 => ACKS_LEADER,
                _ => ACKS_ALL,
            },
            producer_id: response.producer_id.0,
            next_sequence: 0,
            sent: VecDeque::new(),
            power_cut_count,
            class_changes,
        })
    }

    async fn work(&mut self, mut target: Target) {
        while !self.cast.is_over() && !self.cast.ledger.one_in(LEAVE_EVERY) {
            self.cast.ledger.step();
            let wanted = match self.cast.ledger.below(3) {
                0 if !target.sent.is_empty() => {
                    let first = self.cast.ledger.below(target.sent.len() as u64) as usize;
                    first..target.sent.len()
                }
                _ => self.extend(&mut target),
            };
            if self.deliver(&mut target, wanted.collect()).await == Delivered::Left {
                return;
            }
            self.cast.pause(PAUSE_MS_MAX).await;
        }
    }

    /// Makes the next batches; which of those that are remembered they are.
    fn extend(&self, target: &mut Target) -> std::ops::Range<usize> {
        let ledger = &self.cast.ledger;
        let count = 1 + ledger.below(BATCHES_REMEMBERED as u64) as usize;
        for _ in 0..count {
            let records: Vec<_> = (0..=ledger.below(3))
                .map(|_| ledger.next_record(self.number))
                .collect();
            let producer = Producer {
                id: target.producer_id,
                epoch: 0,
                base_sequence: target.next_sequence,
            };
            target.next_sequence += records.len() as i32;
            target.sent.push_back(SentBatch {
                bytes: batch_of(&records, Some(producer), self.cast.reactor.wall_clock()),
                records,
                base_offset: None,
                life: ledger.life.get(),
            });
        }
        while target.sent.len() > BATCHES_REMEMBERED {
            target.sent.pop_front();
        }
        target.sent.len() - count..target.sent.len()
    }

    /// Sends these batches, and those again that got no answer, until all have one.
    async fn deliver(&mut self, target: &mut Target, mut wanted: Vec<usize>) -> Delivered {
        while !wanted.is_empty() {
            if self.cast.ledger.violation().is_some() {
                return Delivered::Left;
            }
            if self.has_changed(target) {
                self.leave();
                return Delivered::Left;
            }
            let Some(missing) = self.attempt(target, &wanted).await else {
                return Delivered::Left;
            };
            if !missing.is_empty() {
                self.cast.pause(PAUSE_MS_MAX).await;
            }
            wanted = missing;
        }
        Delivered::All
    }

    /// Sends these batches once, all in flight together; gives those that have no offset yet.
    /// `None`: the partition is left.
    async fn attempt(&mut self, target: &mut Target, wanted: &[usize]) -> Option<Vec<usize>> {
        let was_gone = self.is_gone(target.topic_id);
        let Some(wire) = self.wire().await else {
            return Some(wanted.to_vec());
        };
        for &index in wanted {
            let bytes = target.sent[index].bytes.clone();
            let (version, request) =
                produce_request(target.acks, target.topic_id, target.partition, bytes);
            if wire.send(version, &request).await.is_err() {
                self.wire = None;
                return Some(wanted.to_vec());
            }
        }
        let mut missing = Vec::new();
        for (place, &index) in wanted.iter().enumerate() {
            let wire = self.wire.as_mut().expect("it was just written to");
            let answer = wire.receive::<ProduceRequest>(PRODUCE_VERSION).await;
            let Some(response) = self.answered(answer) else {
                missing.extend(&wanted[place..]);
                return Some(missing);
            };
            let of_topic = response.responses.first();
            let part = of_topic.and_then(|topic| topic.partition_responses.first());
            let Some(part) = part else {
                let ledger = &self.cast.ledger;
                ledger
                    .violated(Invariant::Answers.broken("a Produce answer without its partition"));
                return None;
            };
            let code = ErrorCode::from_code(part.error_code);
            if was_gone && !code.is_error() {
                let id = target.topic_id;
                let ledger = &self.cast.ledger;
                ledger.violated(
                    Invariant::DeletedIds
                        .broken(format!("deleted topic {id} has acknowledged a record")),
                );
            }
            if self.has_changed(target) {
                return self.leave();
            }
            let has_failed = !missing.is_empty();
            match self.settle(target, index, (code, part.base_offset), has_failed) {
                Answer::Settled => {}
                Answer::Failed => missing.push(index),
                Answer::Left => return self.leave(),
            }
        }
        Some(missing)
    }

    /// The answers behind one that leaves the partition are not waited for. What is on its way
    /// under the old producer id may still be stored, behind what comes under the next one: no
    /// order holds between the two.
    fn leave(&mut self) -> Option<Vec<usize>> {
        if let Some(wire) = self.wire.take() {
            wire.close();
        }
        self.number = self.cast.ledger.add_producer(Guarantee::OnceInOrder);
        None
    }

    fn settle(
        &self,
        target: &mut Target,
        index: usize,
        (code, base_offset): (ErrorCode, Offset),
        has_failed: bool,
    ) -> Answer {
        let ledger = &self.cast.ledger;
        let records = &target.sent[index].records;
        let partition = target.partition;
        self.cast
            .note(|| format!("{records:?} at {partition}: {code}, offset {base_offset}"));
        match code {
            ErrorCode::None => {
                self.acknowledged(target, index, base_offset);
                Answer::Settled
            }
            // It may be offline for ever.
            ErrorCode::KafkaStorageError if self.is_damaged(target) => Answer::Left,
            ErrorCode::KafkaStorageError
            | ErrorCode::NotLeaderOrFollower
            | ErrorCode::LeaderNotAvailable
            | ErrorCode::RequestTimedOut => Answer::Failed,
            ErrorCode::OutOfOrderSequenceNumber if has_failed => Answer::Failed,
            ErrorCode::OutOfOrderSequenceNumber if self.may_have_lost(target) => {
                ledger.reached(State::SequenceLost);
                Answer::Left
            }
            // What waits while the topic is deleted is told as by Kafka: by the name's code.
            ErrorCode::UnknownTopicId | ErrorCode::UnknownTopicOrPartition
                if !self.is_alive(target.topic_id) =>
            {
                Answer::Left
            }
            ErrorCode::MessageTooLarge | ErrorCode::InvalidTimestamp if ledger.may_refuse.get() => {
                ledger.reached(State::RefusedBySettings);
                Answer::Left
            }
            other => {
                let fault = format!(
                    "batch {:?} of producer id {} was refused: {other}",
                    target.sent[index].records, target.producer_id
                );
                let fault = Invariant::NotRefused.broken(fault);
                let topics = ledger.topics.borrow();
                ledger.violated(topics.named(target.topic_id, target.partition, fault));
                Answer::Left
            }
        }
    }

    fn acknowledged(&self, target: &mut Target, index: usize, base_offset: Offset) {
        let ledger = &self.cast.ledger;
        let (may_have_lost, seen) = (self.may_have_lost(target), target.seen());
        let batch = &mut target.sent[index];
        let is_same_life = batch.life == ledger.life.get();
        match batch.base_offset {
            Some(original) if original != base_offset && !may_have_lost => {
                let topics = ledger.topics.borrow();
                let fault = format!(
                    "a batch that was acknowledged at offset {original} was sent again and \
                     acknowledged at {base_offset}"
                );
                let fault = Invariant::OriginalOffset.broken(fault);
                return ledger.violated(topics.named(target.topic_id, target.partition, fault));
            }
            Some(_) => {
                ledger.reached(State::DuplicateAnswered);
                if !is_same_life {
                    ledger.reached(State::DuplicateAfterRestart);
                }
            }
            None if !is_same_life => ledger.reached(State::RetryAcrossRestart),
            None => {}
        }
        batch.base_offset = Some(base_offset);
        batch.life = ledger.life.get();
        let (topic_id, partition) = (target.topic_id, target.partition);
        ledger.acknowledged(topic_id, partition, base_offset, &batch.records, seen);
    }

    /// Whether a power cut or damage may have taken what this producer has sent.
    fn may_have_lost(&self, target: &Target) -> bool {
        if self.is_damaged(target) {
            return true;
        }
        let ledger = &self.cast.ledger;
        let topics = ledger.topics.borrow();
        let survives = topics.survives(target.topic_id, target.seen());
        survives == Survives::Kill && ledger.power_cut_count.get() > target.power_cut_count
    }

    /// Whether the topic's class is not what it was: answers may be from before that.
    fn has_changed(&self, target: &Target) -> bool {
        self.cast.ledger.class_changes(target.topic_id) != target.class_changes
    }

    fn is_damaged(&self, target: &Target) -> bool {
        let mut topics = self.cast.ledger.topics.borrow_mut();
        let checker = topics.partition_mut(target.topic_id, target.partition);
        checker.is_ok_and(|checker| checker.is_damaged())
    }

    fn is_alive(&self, topic_id: TopicId) -> bool {
        self.lifecycle(topic_id) == Some(Lifecycle::Alive)
    }

    fn is_gone(&self, topic_id: TopicId) -> bool {
        self.lifecycle(topic_id) == Some(Lifecycle::Deleted)
    }

    fn lifecycle(&self, topic_id: TopicId) -> Option<Lifecycle> {
        let topics = self.cast.ledger.topics.borrow();
        topics.get(topic_id).map(|topic| topic.lifecycle)
    }

    /// Writes and reads under the id of a deleted topic are refused.
    async fn try_old_id(&mut self) {
        let ledger = std::rc::Rc::clone(&self.cast.ledger);
        let gone = ledger.topics.borrow().gone();
        if gone.is_empty() {
            return;
        }
        let topic_id = gone[ledger.below(gone.len() as u64) as usize];
        let batch = batch_of(
            &[ledger.next_record(self.lost_number)],
            None,
            self.cast.reactor.wall_clock(),
        );
        let (version, produce) = produce_request(ACKS_ALL, topic_id, 0, batch);
        let Some(wire) = self.wire().await else {
            return;
        };
        let answer = wire.call(version, &produce).await;
        let Some(response) = self.answered(answer) else {
            return;
        };
        let parts = response
            .responses
            .iter()
            .flat_map(|topic| &topic.partition_responses);
        let produced: Vec<_> = parts.map(|part| part.error_code).collect();
        let Some(wire) = self.wire().await else {
            return;
        };
        let answer = wire.call(FETCH_VERSION, &fetch_request(topic_id)).await;
        let Some(response) = self.answered(answer) else {
            return;
        };
        let parts = response
            .responses
            .iter()
            .flat_map(|topic| &topic.partitions);
        let fetched: Vec<_> = parts.map(|part| part.error_code).collect();
        let refused = vec![ErrorCode::UnknownTopicId.code()];
        if produced != refused || fetched != refused {
            ledger.violated(Invariant::DeletedIds.broken(format!(
                "deleted topic {topic_id} has answered Produce with {produced:?}, Fetch with \
                 {fetched:?}"
            )));
        }
        ledger.reached(State::OldIdRefused);
    }
}

impl Target {
    fn seen(&self) -> Seen {
        match self.acks {
            ACKS_LEADER => Seen::AcknowledgedByLeader,
            _ => Seen::AcknowledgedByAll,
        }
    }
}

fn fetch_request(topic_id: TopicId) -> FetchRequest {
    let partition = FetchPartition::default()
        .with_partition(0)
        .with_fetch_offset(0)
        .with_partition_max_bytes(1 << 10);
    let topic = FetchTopic::default()
        .with_topic_id(to_uuid(topic_id))
        .with_partitions(vec![partition]);
    FetchRequest::default()
        .with_max_wait_ms(0)
        .with_min_bytes(1)
        .with_max_bytes(1 << 20)
        .with_session_epoch(-1)
        .with_topics(vec![topic])
}

//! A partition that this shard owns: its log and its leader, stepped together.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use super::broken_promise;
use super::core::Core;
use super::message::{DivergingEpoch, FetchItem, FetchOutcome, ProduceItem};
use super::produce::ProduceCall;
use crate::batch::{Producer, TimestampType, ValidatedBatch};
use crate::config::TopicConfig;
use crate::log::{AppendPlan, BatchToAppend, Log, LogError, LogProgress};
use crate::log_state::{LogState, ProducerBatch};
use crate::metadata::PartitionImage;
use crate::metrics::Counter;
use crate::partition::{
    Acks, BatchSummary, Effect, Event, Isolation, Leader, LeaderPolicy, Progress, Ticket,
};
use crate::types::{ErrorCode, Monotonic, Offset, TopicIdPartition};

pub use crate::partition::ProduceOutcome;

/// One partition on its owner shard.
///
/// **Invariant:** the machine steps and its effects are carried out without an await in between.
pub(super) struct Replica {
    partition: TopicIdPartition,
    log: Log,
    leader: RefCell<Leader>,
    /// Who is told of which ticket's outcome.
    waiting: RefCell<BTreeMap<Ticket, (Rc<ProduceCall>, usize)>>,
    /// Appended and not yet written: where the batch ends, and whose it is.
    unwritten: RefCell<VecDeque<(Offset, Rc<ProduceCall>)>>,
    /// When the machine wants [`Event::Timer`].
    timer: Cell<Option<Monotonic>>,
    /// Whether it stands in the shard's list of logs that have come further.
    pub(super) is_noted: Cell<bool>,
    /// Where the log started when a round of retention last looked: no segment at or behind it goes
    /// before the directory's file has a start that is not below.
    pub(super) noted_start: Cell<Offset>,
}

impl Replica {
    /// Leads a partition from now on, under the epoch that the metadata gives it.
    pub(super) fn lead(
        core: &Core,
        partition: TopicIdPartition,
        log: Log,
        image: &PartitionImage,
        config: &TopicConfig,
    ) -> Rc<Replica> {
        let progress = log.progress();
        let leader = {
            let state = log.state();
            Leader::new(core.config.node_id, policy(config), ends(&progress), &state)
        };
        let replica = Rc::new(Replica {
            partition,
            log,
            leader: RefCell::new(leader),
            waiting: RefCell::new(BTreeMap::new()),
            unwritten: RefCell::new(VecDeque::new()),
            timer: Cell::new(None),
            is_noted: Cell::new(false),
            noted_start: Cell::new(0),
        });
        replica.step(
            core,
            Event::BecomeLeader {
                leader_epoch: image.leader_epoch,
                replicas: image.replicas.clone(),
                isr: image.isr.clone(),
            },
        );
        replica
    }

    pub(super) fn log(&self) -> &Log {
        &self.log
    }

    pub(super) fn partition(&self) -> TopicIdPartition {
        self.partition
    }

    pub(super) fn leader(&self) -> std::cell::Ref<'_, Leader> {
        self.leader.borrow()
    }

    pub(super) fn timer(&self) -> Option<Monotonic> {
        self.timer.get()
    }

    pub(super) fn set_config(&self, core: &Core, config: &TopicConfig) {
        self.step(core, Event::PolicyChanged(policy(config)));
    }

    /// Appends a batch and remembers who waits for it.
    pub(super) fn produce(
        &self,
        core: &Core,
        item: ProduceItem,
        acks: Acks,
        deadline: Monotonic,
        call: (Rc<ProduceCall>, usize),
    ) {
        let batch = item.batch;
        let plan = AppendPlan {
            size: batch.size_in_bytes(),
            last_offset_delta: batch.header().last_offset_delta,
            max_timestamp: batch.max_timestamp(),
        };
        let mut summary = summary(&batch);
        if core.broken.promise.is_some()
            && let Some(outcome) = broken_promise::at_produce(core, &self.log, &mut summary)
        {
            let (call, slot) = call;
            return call.complete(core, slot, outcome);
        }
        if !self.log.takes_batches() {
            self.log_ended(core);
        }
        self.log.prepare_append(&plan, core.reactor.wall_clock());
        let ticket = core.ticket();
        self.waiting.borrow_mut().insert(ticket, call);
        let event = Event::Produce {
            ticket,
            batch: summary,
            acks,
            deadline,
        };
        self.step_with(core, event, Some((ticket, &batch)));
    }

    /// Tells the machine that the log appends nothing any more, before a task of its own does: its
    /// state must not get ahead of the log.
    fn log_ended(&self, core: &Core) {
        match self.log.is_closed() {
            true => self.step(core, Event::Resign),
            false => self.log_progressed(core),
        }
    }

    /// Tells the machine how far the log has come.
    pub(super) fn log_progressed(&self, core: &Core) {
        let progress = self.log.progress();
        let event = match progress.failed {
            None => {
                self.tell_written(core, progress.written_end);
                return self.step(core, Event::Progress(ends(&progress)));
            }
            Some(LogError::Full { .. }) => Event::LogFull,
            Some(_) => Event::LogFailed,
        };
        self.unwritten.borrow_mut().clear();
        self.step(core, event);
    }

    fn tell_written(&self, core: &Core, written_end: Offset) {
        let mut unwritten = self.unwritten.borrow_mut();
        while unwritten
            .front()
            .is_some_and(|(end, _)| *end <= written_end)
        {
            let (_, call) = unwritten.pop_front().expect("there is a front");
            call.written(core);
        }
    }

    pub(super) fn step(&self, core: &Core, event: Event) {
        self.step_with(core, event, None);
    }

    fn step_with(&self, core: &Core, event: Event, batch: Option<(Ticket, &ValidatedBatch)>) {
        let mut effects = Vec::new();
        {
            let mut state = self.log.state();
            let now = core.reactor.now();
            self.leader
                .borrow_mut()
                .step(now, event, &mut state, &mut effects);
        }
        if batch.is_some() && is_duplicate(&effects) {
            core.metrics.increment(Counter::DuplicateBatches);
        }
        for effect in effects {
            self.carry_out(core, effect, batch);
        }
    }

    fn carry_out(&self, core: &Core, effect: Effect, batch: Option<(Ticket, &ValidatedBatch)>) {
        match effect {
            // The log writes the checkpoint of its epochs by itself.
            Effect::EpochStarted { .. } => {}
            Effect::Append {
                ticket,
                base_offset,
                last_offset,
                leader_epoch,
            } => {
                let (of, batch) = batch.expect("only a produce step appends");
                assert_eq!(
                    of, ticket,
                    "the batch that is appended is the one that was stepped"
                );
                core.metrics.increment(Counter::ProducedBatches);
                core.metrics
                    .add(Counter::ProducedBytes, batch.size_in_bytes() as u64);
                core.metrics.add(
                    Counter::ProducedRecords,
                    batch.offset_count().unsigned_abs(),
                );
                if let Some((call, _)) = self.waiting.borrow().get(&ticket) {
                    call.appended();
                    let unwritten = (last_offset + 1, Rc::clone(call));
                    self.unwritten.borrow_mut().push_back(unwritten);
                }
                self.log.append(BatchToAppend {
                    head: batch.head(base_offset, leader_epoch),
                    body: batch.body(),
                    base_offset,
                    last_offset,
                    max_timestamp: batch.max_timestamp(),
                });
            }
            Effect::Complete {
                ticket,
                mut outcome,
            } => {
                if core.broken.promise.is_some() {
                    broken_promise::at_acknowledgement(core, &mut outcome);
                }
                let waiting = self.waiting.borrow_mut().remove(&ticket);
                let (call, slot) = waiting.expect("each ticket is answered once");
                if outcome.error == ErrorCode::RequestTimedOut {
                    core.metrics.increment(Counter::ProducesExpired);
                }
                call.complete(core, slot, outcome);
            }
            Effect::HighWatermark(_) => core.wake_watchers(&self.partition),
            Effect::SetTimer(at) => self.timer.set(Some(at)),
        }
    }

    /// Batches that wait for the high watermark.
    pub(super) fn waiting_count(&self) -> usize {
        self.waiting.borrow().len()
    }

    /// Gives the machine its timer if it is due.
    pub(super) fn fire_timer(&self, core: &Core, now: Monotonic) {
        if self.timer.get().is_some_and(|at| at <= now) {
            self.timer.set(None);
            self.step(core, Event::Timer);
        }
    }

    /// What a fetch is told before anything is read: bounds, or why it may not read.
    pub(super) fn fetch_bounds(&self, item: &FetchItem) -> FetchOutcome {
        let leader = self.leader.borrow();
        let state = self.log.state();
        if let Err(error) = leader.check_serving(item.current_leader_epoch) {
            return FetchOutcome::failed(error);
        }
        let high_watermark = leader.high_watermark();
        let bounds = FetchOutcome {
            error: ErrorCode::None,
            high_watermark,
            last_stable_offset: leader.read_bound(Isolation::ReadCommitted),
            log_start_offset: state.log_start_offset,
            diverging_epoch: None,
            records: Vec::new(),
            rest: None,
            is_from_disk: false,
        };
        let diverging_epoch = match divergence(item, &state) {
            Ok(diverging_epoch) => diverging_epoch,
            Err(error) => return FetchOutcome::failed(error),
        };
        if diverging_epoch.is_some() {
            return FetchOutcome {
                diverging_epoch,
                ..bounds
            };
        }
        let checked = leader.check_fetch(item.fetch_offset, Isolation::ReadUncommitted, &state);
        match checked {
            Ok(_) => bounds,
            // Kafka leaves the offsets out of an error's answer.
            Err(error) => FetchOutcome::failed(error),
        }
    }
}

/// Where the reader's log parts from ours, if it does (KIP-595), as Kafka's
/// `Partition.readRecords`: `OFFSET_OUT_OF_RANGE` where the log does not know of the reader's
/// epoch, and below the log's start in any case.
fn divergence(item: &FetchItem, state: &LogState) -> Result<Option<DivergingEpoch>, ErrorCode> {
    if item.last_fetched_epoch < 0 {
        return Ok(None);
    }
    let end = state
        .epochs
        .end_offset_for(item.last_fetched_epoch, state.log_end_offset);
    let (epoch, end_offset) = end.ok_or(ErrorCode::OffsetOutOfRange)?;
    if item.fetch_offset < state.log_start_offset {
        return Err(ErrorCode::OffsetOutOfRange);
    }
    let diverges = epoch < item.last_fetched_epoch || end_offset < item.fetch_offset;
    Ok(diverges.then_some(DivergingEpoch { epoch, end_offset }))
}

/// Whether a step that was given a batch has taken it without appending it.
fn is_duplicate(effects: &[Effect]) -> bool {
    !effects.iter().any(|effect| match effect {
        Effect::Append { .. } => true,
        Effect::Complete { outcome, .. } => outcome.error.is_error(),
        _ => false,
    })
}

fn policy(config: &TopicConfig) -> LeaderPolicy {
    LeaderPolicy {
        ack_class: config.ack_class(),
        min_insync_replicas: config.min_insync_replicas,
    }
}

fn ends(progress: &LogProgress) -> Progress {
    Progress {
        written_end: progress.written_end,
        durable_end: progress.durable_end,
    }
}

fn summary(batch: &ValidatedBatch) -> BatchSummary {
    let header = batch.header();
    let producer = batch.producer().map(|producer: Producer| ProducerBatch {
        producer_id: producer.id,
        producer_epoch: producer.epoch,
        base_sequence: producer.base_sequence,
        last_offset_delta: header.last_offset_delta,
        is_transactional: header.is_transactional(),
    });
    let is_append_time = header.timestamp_type() == TimestampType::LogAppendTime;
    BatchSummary {
        last_offset_delta: header.last_offset_delta,
        producer,
        max_timestamp: batch.max_timestamp(),
        log_append_time: is_append_time.then_some(batch.max_timestamp()),
    }
}

//! The leader of a partition.

use super::event::{
    Acks, BatchSummary, Effect, Event, LeaderPolicy, ProduceOutcome, Progress, Ticket,
};
use super::isr::InSyncReplicas;
use crate::config::AckClass;
use crate::log_state::{LogState, SequenceCheck};
use crate::purgatory::DelayedProduce;
use crate::types::{ErrorCode, LeaderEpoch, Monotonic, NodeId, Offset, Timestamp};

/// How far a reader may see (`isolation.level`, and what followers read).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Isolation {
    /// Followers: all that is written.
    LogEnd,
    /// Consumers: up to the high watermark.
    ReadUncommitted,
    /// Consumers: up to the last stable offset. Without transactions that is the high watermark.
    ReadCommitted,
}

/// Whether the partition takes requests, and what it answers if not.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Role {
    Leading,
    NotLeading,
    /// Reads only, up to the high watermark that was reached.
    Full,
    Failed,
    Deleted,
}

impl Role {
    fn check_read(self) -> Result<(), ErrorCode> {
        match self {
            Role::Full => Ok(()),
            role => role.check_append(),
        }
    }

    fn check_append(self) -> Result<(), ErrorCode> {
        match self {
            Role::Leading => Ok(()),
            Role::Full => Err(ErrorCode::KafkaStorageError),
            Role::NotLeading => Err(ErrorCode::NotLeaderOrFollower),
            Role::Failed => Err(ErrorCode::KafkaStorageError),
            Role::Deleted => Err(ErrorCode::UnknownTopicOrPartition),
        }
    }
}

/// Someone who waits for an acknowledgement.
#[derive(Debug)]
struct Waiter {
    ticket: Ticket,
    base_offset: Offset,
    log_append_time: Timestamp,
}

/// The leader of one partition. Lives on the shard that owns it.
///
/// **Invariant:** `durable_end <= written_end <= log_end_offset`, `high_watermark` never decreases,
/// and every waiter in a queue waits for an offset above what that queue has reached.
#[derive(Debug)]
pub struct Leader {
    node_id: NodeId,
    policy: LeaderPolicy,
    role: Role,
    leader_epoch: LeaderEpoch,
    leader_epoch_start_offset: Offset,
    isr: InSyncReplicas,
    progress: Progress,
    high_watermark: Offset,
    /// acks=1, by the `written_end` that they need.
    waiting_for_write: DelayedProduce<Waiter>,
    /// acks=all, by the high watermark that they need.
    waiting_for_commit: DelayedProduce<Waiter>,
    /// The time of the last [`Effect::SetTimer`], until it has come.
    timer: Option<Monotonic>,
}

impl Leader {
    /// A partition that does not lead yet. `progress` is the log's after recovery: on one node all
    /// that recovery kept.
    pub fn new(
        node_id: NodeId,
        policy: LeaderPolicy,
        progress: Progress,
        log: &LogState,
    ) -> Leader {
        let leader = Leader {
            node_id,
            policy,
            role: Role::NotLeading,
            leader_epoch: -1,
            leader_epoch_start_offset: log.log_end_offset,
            isr: InSyncReplicas::default(),
            progress,
            high_watermark: log.log_start_offset,
            waiting_for_write: DelayedProduce::default(),
            waiting_for_commit: DelayedProduce::default(),
            timer: None,
        };
        leader.check_progress(progress, log);
        leader
    }

    /// Takes in one event. What is to be done about it is added to `effects`, in order.
    pub fn step(
        &mut self,
        now: Monotonic,
        event: Event,
        log: &mut LogState,
        effects: &mut Vec<Effect>,
    ) {
        match event {
            Event::BecomeLeader {
                leader_epoch,
                replicas,
                isr,
            } => self.become_leader(leader_epoch, replicas.len(), &isr, log, effects),
            Event::Produce {
                ticket,
                batch,
                acks,
                deadline,
            } => match self.append(ticket, &batch, acks, log, effects) {
                Ok((waiter, end)) => self.park(waiter, end, acks, deadline, log, effects),
                Err(outcome) => effects.push(Effect::Complete { ticket, outcome }),
            },
            Event::Progress(progress) => self.take_progress(progress, log, effects),
            Event::Timer => self.expire(now, effects),
            Event::PolicyChanged(policy) => {
                self.policy = policy;
                self.advance_high_watermark(log, effects);
            }
            Event::LogFailed => self.leave(Role::Failed, effects),
            Event::LogFull => self.leave(Role::Full, effects),
            Event::Resign => self.leave(Role::NotLeading, effects),
            Event::Deleted => self.leave(Role::Deleted, effects),
        }
    }

    pub fn leader_epoch(&self) -> LeaderEpoch {
        self.leader_epoch
    }

    /// The class by which it acknowledges now.
    pub fn ack_class(&self) -> AckClass {
        self.policy.ack_class
    }

    pub fn high_watermark(&self) -> Offset {
        self.high_watermark
    }

    /// Whether a request that reads may be served that was sent to the leader of
    /// `current_leader_epoch` (-1: the client does not say): `FENCED_LEADER_EPOCH`,
    /// `UNKNOWN_LEADER_EPOCH`, or what the partition answers while it does not lead.
    pub fn check_serving(&self, current_leader_epoch: LeaderEpoch) -> Result<(), ErrorCode> {
        self.role.check_read()?;
        match current_leader_epoch {
            -1 => Ok(()),
            epoch if epoch < self.leader_epoch => Err(ErrorCode::FencedLeaderEpoch),
            epoch if epoch > self.leader_epoch => Err(ErrorCode::UnknownLeaderEpoch),
            _ => Ok(()),
        }
    }

    /// Records at and above this offset must not be shown to such a reader.
    pub fn read_bound(&self, isolation: Isolation) -> Offset {
        match isolation {
            Isolation::LogEnd => self.progress.written_end,
            Isolation::ReadUncommitted | Isolation::ReadCommitted => self.high_watermark,
        }
    }

    /// The bound for a fetch that starts at `fetch_offset`; `OFFSET_OUT_OF_RANGE` outside the log.
    /// A bound at or below `fetch_offset` means that there is nothing to read yet.
    pub fn check_fetch(
        &self,
        fetch_offset: Offset,
        isolation: Isolation,
        log: &LogState,
    ) -> Result<Offset, ErrorCode> {
        match (log.log_start_offset..=log.log_end_offset).contains(&fetch_offset) {
            true => Ok(self.read_bound(isolation)),
            false => Err(ErrorCode::OffsetOutOfRange),
        }
    }

    /// Whether the high watermark has not yet reached the start of this epoch: then the latest
    /// offset is not known, since an earlier leader may have shown more (rule R2, KAFKA-2334).
    pub(super) fn lags_behind_epoch_start(&self) -> bool {
        self.high_watermark < self.leader_epoch_start_offset
    }

    fn become_leader(
        &mut self,
        leader_epoch: LeaderEpoch,
        replica_count: usize,
        isr: &[NodeId],
        log: &mut LogState,
        effects: &mut Vec<Effect>,
    ) {
        if leader_epoch <= self.leader_epoch
            || !matches!(self.role, Role::Leading | Role::NotLeading)
        {
            return;
        }
        assert!(
            isr.contains(&self.node_id),
            "a leader is in sync with itself"
        );
        self.role = Role::Leading;
        self.leader_epoch = leader_epoch;
        self.leader_epoch_start_offset = log.log_end_offset;
        self.isr = InSyncReplicas::new(replica_count, isr);
        // Before the first append under this epoch (rule R2).
        if log.epochs.assign(leader_epoch, log.log_end_offset) {
            effects.push(Effect::EpochStarted {
                leader_epoch,
                start_offset: log.log_end_offset,
            });
        }
        self.advance_high_watermark(log, effects);
    }

    /// Decides where a batch goes: who waits now, and for which end offset.
    fn append(
        &self,
        ticket: Ticket,
        batch: &BatchSummary,
        acks: Acks,
        log: &mut LogState,
        effects: &mut Vec<Effect>,
    ) -> Result<(Waiter, Offset), ProduceOutcome> {
        let failed = |error| ProduceOutcome::failed(error, None);
        self.role.check_append().map_err(failed)?;
        // Whoever is refused by a leader learns where its log starts, as from Kafka.
        let log_start_offset = log.log_start_offset;
        let refused = |outcome| ProduceOutcome {
            log_start_offset,
            ..outcome
        };
        self.check_insync_replicas(acks).map_err(refused)?;
        assert!(batch.last_offset_delta >= 0, "a batch has a record");
        if let Some(producer) = &batch.producer {
            match log.producers.check(producer) {
                SequenceCheck::New => {}
                SequenceCheck::Duplicate(first_try) => {
                    let waiter = Waiter {
                        ticket,
                        base_offset: first_try.base_offset(),
                        log_append_time: match batch.log_append_time {
                            Some(_) => first_try.timestamp,
                            None => -1,
                        },
                    };
                    return Ok((waiter, first_try.last_offset + 1));
                }
                SequenceCheck::Refused(error) => return Err(refused(failed(error))),
            }
        }
        let base_offset = log.log_end_offset;
        let last_offset = base_offset + i64::from(batch.last_offset_delta);
        if let Some(producer) = &batch.producer {
            log.producers
                .apply(producer, base_offset, batch.max_timestamp);
        }
        log.log_end_offset = last_offset + 1;
        effects.push(Effect::Append {
            ticket,
            base_offset,
            last_offset,
            leader_epoch: self.leader_epoch,
        });
        let waiter = Waiter {
            ticket,
            base_offset,
            log_append_time: batch.log_append_time.unwrap_or(-1),
        };
        Ok((waiter, last_offset + 1))
    }

    fn check_insync_replicas(&self, acks: Acks) -> Result<(), ProduceOutcome> {
        let required = self.isr.required(self.policy.min_insync_replicas);
        if acks != Acks::All || self.isr.count() >= required {
            return Ok(());
        }
        let message = format!(
            "The current ISR has {} replica(s), which is insufficient to satisfy the min.isr \
             requirement of {required}",
            self.isr.count()
        );
        Err(ProduceOutcome::failed(
            ErrorCode::NotEnoughReplicas,
            Some(message),
        ))
    }

    fn park(
        &mut self,
        waiter: Waiter,
        end: Offset,
        acks: Acks,
        deadline: Monotonic,
        log: &LogState,
        effects: &mut Vec<Effect>,
    ) {
        let (queue, reached) = match acks {
            Acks::None | Acks::Leader => (&mut self.waiting_for_write, self.progress.written_end),
            Acks::All => (&mut self.waiting_for_commit, self.high_watermark),
        };
        if end <= reached {
            return complete(waiter, log, effects);
        }
        let deadline = match acks {
            Acks::None => Monotonic::MAX,
            Acks::Leader | Acks::All => deadline,
        };
        queue.push(end, deadline, waiter);
        self.wake_by(deadline, effects);
    }

    fn take_progress(&mut self, progress: Progress, log: &LogState, effects: &mut Vec<Effect>) {
        self.check_progress(progress, log);
        self.progress = progress;
        while let Some(waiter) = self.waiting_for_write.pop_through(progress.written_end) {
            complete(waiter, log, effects);
        }
        self.advance_high_watermark(log, effects);
    }

    fn check_progress(&self, progress: Progress, log: &LogState) {
        assert!(
            self.progress.durable_end <= progress.durable_end
                && self.progress.written_end <= progress.written_end
                && progress.durable_end <= progress.written_end
                && progress.written_end <= log.log_end_offset,
            "impossible progress: {progress:?} after {:?}, log end offset {}",
            self.progress,
            log.log_end_offset
        );
    }

    fn advance_high_watermark(&mut self, log: &LogState, effects: &mut Vec<Effect>) {
        // Nor does a failed log commit what completes beside the write that failed.
        if self.role != Role::Leading {
            return;
        }
        let own_end = match self.policy.ack_class {
            AckClass::PowerSafe => self.progress.durable_end,
            AckClass::KillSafe => self.progress.written_end,
        };
        self.isr.advance(self.node_id, own_end);
        let committed_end = self.isr.committed_end(self.policy.min_insync_replicas);
        let Some(high_watermark) = committed_end.filter(|&end| end > self.high_watermark) else {
            return;
        };
        self.high_watermark = high_watermark;
        effects.push(Effect::HighWatermark(high_watermark));
        while let Some(waiter) = self.waiting_for_commit.pop_through(high_watermark) {
            complete(waiter, log, effects);
        }
    }

    fn expire(&mut self, now: Monotonic, effects: &mut Vec<Effect>) {
        if self.timer.is_none_or(|timer| timer > now) {
            return;
        }
        self.timer = None;
        for queue in [&mut self.waiting_for_write, &mut self.waiting_for_commit] {
            for waiter in queue.expire(now) {
                fail(waiter, ErrorCode::RequestTimedOut, effects);
            }
        }
        let earliest = [&self.waiting_for_write, &self.waiting_for_commit]
            .into_iter()
            .filter_map(|queue| queue.earliest_deadline())
            .min();
        if let Some(deadline) = earliest {
            self.wake_by(deadline, effects);
        }
    }

    fn wake_by(&mut self, deadline: Monotonic, effects: &mut Vec<Effect>) {
        if deadline < self.timer.unwrap_or(Monotonic::MAX) {
            self.timer = Some(deadline);
            effects.push(Effect::SetTimer(deadline));
        }
    }

    fn leave(&mut self, role: Role, effects: &mut Vec<Effect>) {
        // A failed log stays failed and a deleted one deleted, whatever comes after.
        self.role = match (self.role, role) {
            (Role::Deleted, _) => Role::Deleted,
            (Role::Failed | Role::Full, Role::NotLeading) => Role::Failed,
            // Only who leads is read on.
            (Role::Failed | Role::NotLeading, Role::Full) => Role::Failed,
            (_, role) => role,
        };
        let Err(error) = self.role.check_append() else {
            unreachable!("to leave is not to lead");
        };
        for queue in [&mut self.waiting_for_write, &mut self.waiting_for_commit] {
            for waiter in queue.drain() {
                fail(waiter, error, effects);
            }
        }
    }
}

fn complete(waiter: Waiter, log: &LogState, effects: &mut Vec<Effect>) {
    effects.push(Effect::Complete {
        ticket: waiter.ticket,
        outcome: ProduceOutcome {
            error: ErrorCode::None,
            error_message: None,
            base_offset: waiter.base_offset,
            log_append_time: waiter.log_append_time,
            log_start_offset: log.log_start_offset,
        },
    });
}

fn fail(waiter: Waiter, error: ErrorCode, effects: &mut Vec<Effect>) {
    effects.push(Effect::Complete {
        ticket: waiter.ticket,
        outcome: ProduceOutcome::failed(error, None),
    });
}

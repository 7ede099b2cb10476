//! What a leader is told, and what it wants done.

use crate::config::AckClass;
use crate::log_state::ProducerBatch;
use crate::types::{ErrorCode, LeaderEpoch, Monotonic, NodeId, Offset, Timestamp};

/// The driver's name for a produce request to one partition; unique among those unanswered.
pub type Ticket = u64;

/// What a producer waits for (`acks`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Acks {
    /// 0: nobody. It is complete with the leader's write all the same, whatever its deadline:
    /// until then its memory is not free.
    None,
    /// 1: the leader's write.
    Leader,
    /// -1: the high watermark.
    All,
}

impl Acks {
    /// The wire's number; anything else is `INVALID_REQUIRED_ACKS`.
    pub fn from_wire(acks: i16) -> Result<Acks, ErrorCode> {
        match acks {
            0 => Ok(Acks::None),
            1 => Ok(Acks::Leader),
            -1 => Ok(Acks::All),
            _ => Err(ErrorCode::InvalidRequiredAcks),
        }
    }
}

/// What the leader must know of a batch, which has been validated.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BatchSummary {
    /// Number of records less one.
    pub last_offset_delta: i32,
    /// `None` without a producer id.
    pub producer: Option<ProducerBatch>,
    /// After `message.timestamp.type` was applied.
    pub max_timestamp: Timestamp,
    /// Set if the topic has `LogAppendTime`.
    pub log_append_time: Option<Timestamp>,
}

/// How far a log has come; see "Durability" in the architecture for the exact meaning.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Progress {
    /// End of the gap-free prefix of completed writes.
    pub written_end: Offset,
    /// End of what a completed flush covers. Never above `written_end`.
    pub durable_end: Offset,
}

/// The topic's settings that matter for acknowledging.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LeaderPolicy {
    pub ack_class: AckClass,
    /// As configured. What counts is the smaller of this and the number of replicas, as in Kafka's
    /// `Partition.effectiveMinIsr`: a topic with one replica can always be written.
    pub min_insync_replicas: u32,
}

/// What happened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// This node leads the partition from now on. An epoch that is not above the last one is
    /// stale and changes nothing (rule R1).
    BecomeLeader {
        leader_epoch: LeaderEpoch,
        replicas: Vec<NodeId>,
        isr: Vec<NodeId>,
    },
    Produce {
        ticket: Ticket,
        batch: BatchSummary,
        acks: Acks,
        /// When the request's timeout has passed.
        deadline: Monotonic,
    },
    /// Writes or flushes of the log have completed.
    Progress(Progress),
    /// The timer of [`Effect::SetTimer`]. Early, late or stale ones do no harm.
    Timer,
    /// The topic's configuration changed.
    PolicyChanged(LeaderPolicy),
    /// A write or flush failed: final for this log (durability rule 10).
    LogFailed,
    /// There was no room for a write: the log takes no more records and is read on.
    LogFull,
    /// Another node leads, or nobody does.
    Resign,
    /// The topic was deleted.
    Deleted,
}

/// What is to be done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Effect {
    /// The epoch cache has a new entry: write its checkpoint (a copy only, no hurry).
    EpochStarted {
        leader_epoch: LeaderEpoch,
        start_offset: Offset,
    },
    /// Append the ticket's batch, with this base offset and leader epoch patched in. `LogState`
    /// has it already; appends must be carried out in this order.
    Append {
        ticket: Ticket,
        base_offset: Offset,
        last_offset: Offset,
        leader_epoch: LeaderEpoch,
    },
    /// The ticket is answered and forgotten.
    Complete {
        ticket: Ticket,
        outcome: ProduceOutcome,
    },
    /// Records below this offset may be read: wake whoever watches.
    HighWatermark(Offset),
    /// Send [`Event::Timer`] at this time; replaces an earlier timer of this partition.
    SetTimer(Monotonic),
}

/// The answer to a produce request for one partition.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProduceOutcome {
    pub error: ErrorCode,
    pub error_message: Option<String>,
    /// Of the batch, or of the first try that this one repeats; -1 on an error.
    pub base_offset: Offset,
    /// -1 unless the topic has `LogAppendTime`, and on an error.
    pub log_append_time: Timestamp,
    /// -1 on an error, unless the leader refused the batch.
    pub log_start_offset: Offset,
}

impl ProduceOutcome {
    pub fn failed(error: ErrorCode, error_message: Option<String>) -> ProduceOutcome {
        ProduceOutcome {
            error,
            error_message,
            base_offset: -1,
            log_append_time: -1,
            log_start_offset: -1,
        }
    }
}

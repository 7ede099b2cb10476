//! What shards say to each other, and the items of requests for partitions.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::describe::{LogSize, Producers};
use super::directories::DirectoryPlan;
use super::error::ShardError;
use super::leader_epochs::EpochEnd;
use super::lifecycle::ServerStart;
use super::replica::ProduceOutcome;
use crate::batch::ValidatedBatch;
use crate::controller::{ControllerReply, ControllerRequest};
use crate::fetch_session::FetchSession;
use crate::io::{Accepted, OneshotSender};
use crate::log::CheckpointEntry;
use crate::metadata::{MetadataDelta, MetadataImage};
use crate::metrics::{Snapshot, StageClock};
use crate::partition::{Isolation, OffsetSpec};
use crate::types::{ErrorCode, LeaderEpoch, NodeId, Offset, ShardId, Timestamp, TopicIdPartition};

/// Between two shards, FIFO.
pub(super) enum Message {
    Request {
        call: u64,
        request: Request,
    },
    Reply {
        call: u64,
        reply: Reply,
    },
    /// A partition that a fetch watches has more to read, or is gone.
    Wake {
        fetch: u64,
    },
    /// A fetch is answered and watches nothing any more.
    Unwatch {
        fetch: u64,
    },
    /// A connection for the receiving shard to serve.
    Connection(Incoming),
    /// A log directory has failed: [`DirectoryFault`](crate::log::DirectoryFault) says it already,
    /// and those who wait are to hear of it.
    DirectoryFailed,
    /// The last message: the receiving shard ends.
    End,
}

pub(super) enum Request {
    Produce {
        items: Vec<ProduceItem>,
        acks: i16,
        timeout: Duration,
        clock: StageClock,
    },
    Fetch {
        items: Vec<FetchItem>,
        limits: FetchLimits,
        watch: Option<u64>,
    },
    /// The shard that has this fetch session gives it away.
    GiveFetchSession {
        id: i32,
    },
    ReadRanges {
        items: Vec<RangeItem>,
    },
    ListOffsets {
        items: Vec<ListOffsetsItem>,
    },
    /// What each log takes: of all logs of the shard (`None`), or of these partitions.
    LogSizes {
        asked: Option<Arc<BTreeSet<TopicIdPartition>>>,
    },
    Producers {
        partitions: Vec<TopicIdPartition>,
    },
    DeleteRecords {
        items: Vec<DeleteRecordsItem>,
    },
    EpochEnds {
        items: Vec<EpochEndItem>,
    },
    Controller(ControllerRequest),
    OpenLogs {
        image: Arc<MetadataImage>,
        directories: Arc<[DirectoryPlan]>,
        /// What may be in a directory that is offline: not to be made anew.
        missing: Arc<BTreeSet<TopicIdPartition>>,
    },
    /// Open what is new, and serve by this image.
    ApplyImage {
        image: Arc<MetadataImage>,
        delta: Arc<MetadataDelta>,
    },
    /// It is published: delete and reconfigure what has to be.
    SettleImage {
        image: Arc<MetadataImage>,
        delta: Arc<MetadataDelta>,
    },
    /// The broker serves clients from now on.
    StartServer(ServerStart),
    DrainConnections,
    CheckpointEntries,
    /// Move the starts of the logs to what is to be kept.
    ApplyRetention,
    /// Drop what lies below the starts of the logs.
    DropOldSegments,
    StopLogs,
    Metrics,
}

pub(super) enum Reply {
    Produce(Vec<ProduceOutcome>, StageClock),
    Fetch(Vec<FetchOutcome>),
    FetchSession(Option<Box<FetchSession>>),
    Ranges(Vec<Result<RangeRead, ErrorCode>>),
    ListOffsets(Vec<ListedOffset>),
    LogSizes(Vec<LogSize>),
    Producers(Vec<Producers>),
    /// Where each log starts now.
    RecordsDeleted(Vec<Result<Offset, ErrorCode>>),
    EpochEnds(Vec<Result<EpochEnd, ErrorCode>>),
    Controller(Result<ControllerReply, ErrorCode>),
    /// How many partitions the shard owns.
    Opened(Result<usize, ShardError>),
    Applied(Result<(), ShardError>),
    Settled,
    /// The shard takes connections.
    ServerStarted,
    Drained,
    CheckpointEntries(EntriesByDirectory),
    /// How many logs start further on.
    RetentionApplied(usize),
    OldSegmentsDropped,
    Stopped(Result<EntriesByDirectory, ShardError>),
    Metrics(Box<Snapshot>),
}

/// What a shard has to say for the checkpoint files of each log directory, by its place in
/// `log.dirs`.
pub(super) type EntriesByDirectory = BTreeMap<usize, Vec<CheckpointEntry>>;

/// A connection on its way to its shard.
pub struct Incoming {
    pub accepted: Accepted,
    /// Of the client, an IPv4 one as such; the connection is counted for it.
    pub ip: IpAddr,
    /// The place in `listeners` of the one that it came by.
    pub listener: usize,
}

/// What happens on a shard that its server part must handle.
pub enum ServerEvent {
    /// A connection that this shard serves from now on.
    Connection(Incoming),
    /// The broker stops: answer what was read, then tell.
    Drain(OneshotSender<()>),
}

/// A validated batch for one partition.
#[derive(Clone, Debug)]
pub struct ProduceItem {
    pub partition: TopicIdPartition,
    pub batch: ValidatedBatch,
}

/// A read of one partition.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FetchItem {
    pub partition: TopicIdPartition,
    pub fetch_offset: Offset,
    /// -1: the client does not know.
    pub current_leader_epoch: LeaderEpoch,
    /// -1: the client does not know.
    pub last_fetched_epoch: LeaderEpoch,
    /// Bytes of records; a first batch that is larger is still returned.
    pub size_max: usize,
}

/// What one owner may return for a fetch, bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FetchLimits {
    /// Of records in the answer.
    pub size_max: usize,
    /// Of records from memory that the answer holds from the start; the others it reads when it
    /// comes to them.
    pub taken_size_max: usize,
    /// Of records that are read from disk and that the answer holds from the start. What comes out
    /// larger is promised; further partitions that are on disk return nothing this time.
    pub cold_size_max: usize,
}

/// Batches that an answer has promised and does not hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RecordsRange {
    pub partition: TopicIdPartition,
    /// Of the first batch.
    pub offset: Offset,
    /// Bytes of the first batch that were read before.
    pub skipped_size: usize,
    /// Behind the last batch.
    pub end_offset: Offset,
    /// Of all batches but for what is skipped, bytes; never 0.
    pub size: usize,
    /// What is best read at once, bytes: the first batch, where it is known to be a large one.
    pub preferred_size: usize,
}

/// A read of the beginning of a range.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RangeItem {
    pub range: RecordsRange,
    /// Bytes; a first batch that is larger is cut.
    pub size_max: usize,
}

/// What was read of a range, from its beginning on.
#[derive(Clone, Debug)]
pub struct RangeRead {
    pub pieces: Vec<Bytes>,
    /// What is left of it.
    pub rest: Option<RecordsRange>,
}

/// What a read of one partition gave.
#[derive(Clone, Debug)]
pub struct FetchOutcome {
    pub error: ErrorCode,
    /// -1 with an error.
    pub high_watermark: Offset,
    pub last_stable_offset: Offset,
    pub log_start_offset: Offset,
    /// Where the client's log parts from the leader's.
    pub diverging_epoch: Option<DivergingEpoch>,
    /// Whole batches.
    pub records: Vec<Bytes>,
    /// Whole batches behind `records`.
    pub rest: Option<RecordsRange>,
    pub is_from_disk: bool,
}

/// The largest epoch that both logs may share, and where it ends on the leader (KIP-595).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DivergingEpoch {
    pub epoch: LeaderEpoch,
    pub end_offset: Offset,
}

impl FetchOutcome {
    pub fn failed(error: ErrorCode) -> FetchOutcome {
        FetchOutcome {
            error,
            high_watermark: -1,
            last_stable_offset: -1,
            log_start_offset: -1,
            diverging_epoch: None,
            records: Vec::new(),
            rest: None,
            is_from_disk: false,
        }
    }

    /// Whether a waiting client must hear of it at once.
    pub fn ends_the_wait(&self) -> bool {
        self.error.is_error() || self.diverging_epoch.is_some()
    }

    /// Bytes of records, those that were not taken too.
    pub fn size_in_bytes(&self) -> usize {
        self.taken_size() + self.rest.map_or(0, |rest| rest.size)
    }

    /// Bytes of records that are held.
    pub fn taken_size(&self) -> usize {
        self.records.iter().map(Bytes::len).sum()
    }
}

/// A question for an offset of one partition.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ListOffsetsItem {
    pub partition: TopicIdPartition,
    pub current_leader_epoch: LeaderEpoch,
    pub spec: OffsetSpec,
    /// How far the log is looked at.
    pub isolation: Isolation,
}

/// The answer: -1 for what there is not.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ListedOffset {
    pub error: ErrorCode,
    pub timestamp: Timestamp,
    pub offset: Offset,
    pub leader_epoch: LeaderEpoch,
}

impl ListedOffset {
    /// There is no such offset, which is no error.
    pub const NONE: ListedOffset = ListedOffset {
        error: ErrorCode::None,
        timestamp: -1,
        offset: -1,
        leader_epoch: -1,
    };

    pub fn failed(error: ErrorCode) -> ListedOffset {
        ListedOffset {
            error,
            ..ListedOffset::NONE
        }
    }
}

/// What lies before an offset of one partition is to be deleted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DeleteRecordsItem {
    pub partition: TopicIdPartition,
    /// -1: the high watermark.
    pub before_offset: Offset,
}

/// Where did a leader epoch of one partition end?
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EpochEndItem {
    pub partition: TopicIdPartition,
    /// -1: the client does not know.
    pub current_leader_epoch: LeaderEpoch,
    pub leader_epoch: LeaderEpoch,
}

/// Which shard of this node owns a partition.
pub(super) fn owner(partition: TopicIdPartition, shard_count: usize) -> ShardId {
    let shard_count = u16::try_from(shard_count).expect("as many shards as fit a ShardId");
    crate::metadata::owner_shard(partition.topic_id, partition.partition, shard_count)
}

/// The node that a partition's leader must be for this broker to serve it.
pub(super) fn leads(image: &MetadataImage, partition: TopicIdPartition, node_id: NodeId) -> bool {
    image
        .partition(partition)
        .is_some_and(|partition| partition.leader == node_id)
}

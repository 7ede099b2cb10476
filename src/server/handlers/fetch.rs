//! Fetch (1), versions 4-18: records of many partitions, with a long poll.
//!
//! The owners of the partitions read, each for its part; this core adds up, and waits when there is
//! less than `min_bytes`: the owners then hold a one-shot watch, set before they read again, and
//! wake this core when a partition has more. A first batch that is larger than every limit is
//! returned all the same (KIP-74). From v13 on topics are named by id.
//!
//! A stop of the broker ends every wait: the answer is what there is.
//!
//! Left out: incremental sessions (KIP-227): every answer has session id 0, by which a client knows
//! that it must send full requests; followers (replica ids), and read_committed's aborted
//! transactions, of which there are none.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use futures_lite::future;

use crate::io::Permit;
use crate::metrics::{Counter, Stage};
use crate::protocol::messages::FetchRequest;
use crate::protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use crate::protocol::messages::fetch_response::{EpochEndOffset, PartitionData};
use crate::protocol::{FetchResponseParts, FetchTopicParts, FetchedPartition, from_uuid};
use crate::purgatory::{DelayedFetch, FetchStep};
use crate::server::answer::{Answer, WINDOW_SIZE_MAX, grant};
use crate::server::dispatch::{Call, CloseReason, ReplyFuture, ready};
use crate::shard::{FetchItem, FetchLimits, FetchOutcome, FetchWait, RecordsRange};
use crate::types::{ErrorCode, ShardId, TopicId, TopicIdPartition};

/// From this version on topics are named by id.
const TOPIC_ID_VERSION_MIN: i16 = 13;

/// Of a request without a session.
const FINAL_SESSION_EPOCH: i32 = -1;

/// The answer's session id that tells a client to go on with full requests.
const NO_SESSION: i32 = 0;

/// No preferred read replica.
const NO_REPLICA: i32 = -1;

/// Bytes of records that an answer holds when it is read: up to [`WINDOW_SIZE_MAX`] of them from
/// memory, the others from disk, in enough reads at a time to keep a disk busy. Partitions on disk
/// beyond that come with a later answer.
const HELD_SIZE_MAX: usize = 4 << 20;

/// The longest wait that is granted, whatever a client asks for.
const WAIT_TIME_MAX: Duration = Duration::from_secs(600);

pub(super) fn handle(call: Call, body: Bytes) -> Result<ReplyFuture, CloseReason> {
    let request: FetchRequest = call.decode(body)?;
    if let Some(error) = session_error(&request) {
        let parts = response(error, Vec::new());
        let frame = parts.encode(&call.header)?;
        return Ok(ready(Answer::with_ranges(frame, [], None)));
    }
    Ok(Box::pin(async move {
        let reading = read_enough(&call, &request).await?;
        answer(&call, request, reading)
    }))
}

/// No session was ever given, so that only 0 can be right.
fn session_error(request: &FetchRequest) -> Option<ErrorCode> {
    if request.session_id != 0 && request.session_epoch != FINAL_SESSION_EPOCH {
        return Some(ErrorCode::FetchSessionIdNotFound);
    }
    let is_full = matches!(request.session_epoch, 0 | FINAL_SESSION_EPOCH);
    (!is_full).then_some(ErrorCode::InvalidFetchSessionEpoch)
}

/// The partitions of a request, what was read of them, and who owns which.
struct Reading {
    outcomes: Vec<FetchOutcome>,
    by_owner: BTreeMap<ShardId, Vec<(usize, FetchItem)>>,
    size_max: usize,
    /// For the records that the outcomes hold.
    memory: Option<Permit>,
}

/// Reads until there are `min_bytes`, an error, or no time left.
async fn read_enough(call: &Call, request: &FetchRequest) -> Result<Reading, CloseReason> {
    let (reactor, metrics) = (&call.node.reactor, call.node.shard.metrics());
    let deadline = reactor.now() + wait_time(request);
    let min_bytes = usize::try_from(request.min_bytes).unwrap_or(0);
    let mut reading = Reading::new(call, request);
    let owners: Vec<ShardId> = reading.by_owner.keys().copied().collect();
    call.lap(Stage::Session);
    // A reader that is behind has enough at once: nothing is watched for it.
    reading.read(call, &owners, None).await?;
    call.lap(if reading.is_cold() {
        Stage::ReadDisk
    } else {
        Stage::ReadMemory
    });
    if reading.is_enough(min_bytes) || reactor.now() >= deadline || owners.is_empty() {
        return Ok(reading);
    }
    let wait = call.node.shard.fetch_wait();
    let mut delayed = DelayedFetch::new(owners.iter().copied(), min_bytes, deadline);
    let mut step = FetchStep::Read(owners.into_iter().collect());
    loop {
        step = match step {
            FetchStep::Respond => {
                call.lap(Stage::WaitRecords);
                return Ok(reading);
            }
            FetchStep::Read(owners) => {
                let owners: Vec<ShardId> = owners.into_iter().collect();
                reading.read(call, &owners, Some(&wait)).await?;
                let mut next = FetchStep::Wait;
                for owner in owners {
                    let (size, failed) = reading.of_owner(owner);
                    next = delayed.on_read(reactor.now(), owner, size, failed);
                }
                next
            }
            FetchStep::Wait => {
                let left = deadline.since(reactor.now());
                let woken = future::or(async { Some(wait.woken().await) }, async {
                    call.node.connections.stopping().await;
                    None
                });
                match reactor.timeout(left, woken).await.flatten() {
                    Some(owner) => {
                        metrics.increment(Counter::FetchWakeups);
                        delayed.on_wake(reactor.now(), owner)
                    }
                    None => {
                        metrics.increment(Counter::FetchesExpired);
                        delayed.on_deadline(reactor.now().max(deadline))
                    }
                }
            }
        }
    }
}

fn wait_time(request: &FetchRequest) -> Duration {
    Duration::from_millis(u64::try_from(request.max_wait_ms).unwrap_or(0)).min(WAIT_TIME_MAX)
}

impl Reading {
    fn new(call: &Call, request: &FetchRequest) -> Reading {
        let by_id = call.header.api_version >= TOPIC_ID_VERSION_MIN;
        let size_max = usize::try_from(request.max_bytes).unwrap_or(0);
        let mut reading = Reading {
            outcomes: Vec::new(),
            by_owner: BTreeMap::new(),
            size_max: size_max.min(call.node.config.fetch_max_bytes),
            memory: None,
        };
        for topic in &request.topics {
            let found = find_topic(call, topic, by_id);
            for partition in &topic.partitions {
                let index = reading.outcomes.len();
                let item = found.and_then(|topic_id| item(call, topic_id, partition));
                let error = item.as_ref().err().copied();
                let unread = FetchOutcome::failed(error.unwrap_or(ErrorCode::UnknownServerError));
                reading.outcomes.push(unread);
                if let Ok(item) = item {
                    let owner = call.node.shard.owner(item.partition);
                    reading
                        .by_owner
                        .entry(owner)
                        .or_default()
                        .push((index, item));
                }
            }
        }
        reading
    }

    /// Reads all partitions of some owners, at the same time.
    async fn read(
        &mut self,
        call: &Call,
        owners: &[ShardId],
        wait: Option<&FetchWait>,
    ) -> Result<(), CloseReason> {
        // The limits are for the whole answer.
        let owner_count = self.by_owner.len().max(1);
        let granted = grant(&call.node.response_memory, HELD_SIZE_MAX);
        let taken_size_max = (granted.size / 2).min(WINDOW_SIZE_MAX);
        let limits = FetchLimits {
            size_max: self.size_max / owner_count,
            taken_size_max: taken_size_max / owner_count,
            cold_size_max: (granted.size - taken_size_max) / owner_count,
        };
        let asked: Vec<_> = owners
            .iter()
            .map(|owner| {
                let items = self.by_owner[owner]
                    .iter()
                    .map(|(_, item)| item.clone())
                    .collect();
                (*owner, call.node.shard.fetch(*owner, items, limits, wait))
            })
            .collect();
        for (owner, read) in asked {
            let read = read.await.ok_or(CloseReason::Stopping)?;
            for ((index, _), outcome) in self.by_owner[&owner].iter().zip(read) {
                self.outcomes[*index] = outcome;
            }
        }
        let taken = self.outcomes.iter().map(FetchOutcome::taken_size).sum();
        self.memory = granted.permit;
        if let Some(memory) = &mut self.memory {
            memory.shrink_to(taken);
        }
        Ok(())
    }

    fn is_cold(&self) -> bool {
        self.outcomes.iter().any(|outcome| outcome.is_from_disk)
    }

    fn is_enough(&self, min_bytes: usize) -> bool {
        let size: usize = self.outcomes.iter().map(FetchOutcome::size_in_bytes).sum();
        size >= min_bytes || self.outcomes.iter().any(FetchOutcome::ends_the_wait)
    }

    /// Bytes that were read of an owner's partitions, and whether the client must hear at once.
    fn of_owner(&self, owner: ShardId) -> (usize, bool) {
        let outcomes = || {
            self.by_owner[&owner]
                .iter()
                .map(|(index, _)| &self.outcomes[*index])
        };
        let size = outcomes().map(FetchOutcome::size_in_bytes).sum();
        (size, outcomes().any(FetchOutcome::ends_the_wait))
    }
}

fn find_topic(call: &Call, topic: &FetchTopic, by_id: bool) -> Result<TopicId, ErrorCode> {
    let shard = &call.node.shard;
    let view = if by_id {
        shard
            .topic(from_uuid(topic.topic_id))
            .ok_or(ErrorCode::UnknownTopicId)
    } else {
        shard
            .topic_by_name(&topic.topic)
            .ok_or(ErrorCode::UnknownTopicOrPartition)
    };
    view.map(|view| view.topic_id)
}

fn item(
    call: &Call,
    topic_id: TopicId,
    partition: &FetchPartition,
) -> Result<FetchItem, ErrorCode> {
    let key = TopicIdPartition {
        topic_id,
        partition: partition.partition,
    };
    if !call.node.shard.has_partition(key) {
        return Err(ErrorCode::UnknownTopicOrPartition);
    }
    Ok(FetchItem {
        partition: key,
        fetch_offset: partition.fetch_offset,
        current_leader_epoch: partition.current_leader_epoch,
        last_fetched_epoch: partition.last_fetched_epoch,
        size_max: usize::try_from(partition.partition_max_bytes).unwrap_or(0),
    })
}

fn answer(call: &Call, request: FetchRequest, reading: Reading) -> Result<Answer, CloseReason> {
    let rests = reading.outcomes.iter().filter_map(|outcome| outcome.rest);
    let rests: Vec<RecordsRange> = rests.collect();
    let mut outcomes = reading.outcomes.into_iter();
    let topics = request.topics.into_iter().map(|topic| FetchTopicParts {
        topic_id: from_uuid(topic.topic_id),
        partitions: topic
            .partitions
            .iter()
            .map(|partition| {
                let outcome = outcomes.next().expect("an outcome for each partition");
                fetched(call, partition.partition, outcome)
            })
            .collect(),
        topic: topic.topic.0,
    });
    let parts = response(ErrorCode::None, topics.collect());
    let frame = parts.encode(&call.header)?;
    Ok(Answer::with_ranges(frame, rests, reading.memory))
}

fn response(error: ErrorCode, topics: Vec<FetchTopicParts>) -> FetchResponseParts {
    FetchResponseParts {
        throttle_time_ms: 0,
        error,
        session_id: NO_SESSION,
        topics,
        node_endpoints: Vec::new(),
    }
}

fn fetched(call: &Call, index: i32, outcome: FetchOutcome) -> FetchedPartition {
    call.count_error(outcome.error);
    let mut data = PartitionData::default()
        .with_partition_index(index)
        .with_error_code(outcome.error.code())
        .with_high_watermark(outcome.high_watermark)
        .with_last_stable_offset(outcome.last_stable_offset)
        .with_log_start_offset(outcome.log_start_offset)
        .with_preferred_read_replica(NO_REPLICA.into());
    if let Some(diverging) = outcome.diverging_epoch {
        data = data.with_diverging_epoch(
            EpochEndOffset::default()
                .with_epoch(diverging.epoch)
                .with_end_offset(diverging.end_offset),
        );
    }
    FetchedPartition {
        data,
        gap_size: outcome.rest.map_or(0, |rest| rest.size),
        records: outcome.records,
    }
}

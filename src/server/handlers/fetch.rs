//! Fetch (1), versions 4-18: records of many partitions, with a long poll.
//!
//! The owners of the partitions read, each for its part; this core adds up, and waits when there is
//! less than `min_bytes`: the owners then hold a one-shot watch, set before they read again, and
//! wake this core when a partition has more. A first batch that is larger than every limit is
//! returned all the same (KIP-74). From v13 on topics are named by id.
//!
//! A stop of the broker ends every wait: the answer is what there is.
//!
//! Within an incremental session (KIP-227, `src/fetch_session/`) the request
//! names what changes, the answer what the client does not know.
//!
//! A size below zero is INVALID_REQUEST for its partition, or for all of them; so is an isolation
//! level that nobody knows (decision 14). A leader epoch below zero is any.
//!
//! Left out: followers (replica ids), and read_committed's aborted transactions, of which there are
//! none: the last stable offset is the high watermark.
//!
//! # Non-obvious
//! - A topic or partition that does not exist does not end the wait for the others, as in Kafka: a
//!   client whose session still names a deleted topic would not wait at all. What an owner says of
//!   its partition ends it.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use futures_lite::future;

use crate::fetch_session::{FetchContext, PartitionAnswer};
use crate::io::Permit;
use crate::log::COLD_READ_SIZE;
use crate::metrics::{Counter, Stage};
use crate::protocol::messages::FetchRequest;
use crate::protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use crate::protocol::messages::fetch_response::{
    EpochEndOffset, LeaderIdAndEpoch, NodeEndpoint, PartitionData,
};
use crate::protocol::{FetchResponseParts, FetchTopicParts, FetchedPartition, StrBytes, from_uuid};
use crate::purgatory::{DelayedFetch, FetchStep};
use crate::server::answer::{Answer, WINDOW_SIZE_MAX, grant};
use crate::server::dispatch::{Call, CloseReason, ReplyFuture};
use crate::shard::{FetchItem, FetchLimits, FetchOutcome, FetchWait, RecordsRange, TopicView};
use crate::types::{ErrorCode, ShardId, TopicIdPartition};

/// From this version on topics are named by id.
const TOPIC_ID_VERSION_MIN: i16 = 13;

/// From this version on an error that another leader may cure names that leader (KIP-951).
const CURRENT_LEADER_VERSION_MIN: i16 = 16;

/// Below this version a client does not know KAFKA_STORAGE_ERROR, and must not give up.
const STORAGE_ERROR_VERSION_MIN: i16 = 6;

/// `isolation_level` of a reader that wants all records.
const READ_UNCOMMITTED: i8 = 0;

/// `isolation_level` of a reader that wants the aborted transactions.
const READ_COMMITTED: i8 = 1;

/// The client does not know the leader epoch.
const NO_LEADER_EPOCH: i32 = -1;

/// The answer's session id that tells a client to go on with full requests.
const NO_SESSION: i32 = 0;

/// No preferred read replica.
const NO_REPLICA: i32 = -1;

/// Bytes of records that an answer holds when it is read: up to [`WINDOW_SIZE_MAX`] of them from
/// memory, the others from disk, in enough reads at a time to keep a disk busy, and at least
/// [`HELD_OF_OWNER_MIN`] of each owner. Partitions on disk beyond that come with a later answer.
const HELD_SIZE_MAX: usize = 4 << 20;

/// One batch of the usual largest size.
const HELD_OF_OWNER_MIN: usize = COLD_READ_SIZE + (64 << 10);

/// The longest wait that is granted, whatever a client asks for.
const WAIT_TIME_MAX: Duration = Duration::from_secs(600);

pub(super) fn handle(call: Call, body: Bytes) -> Result<ReplyFuture, CloseReason> {
    let mut request: FetchRequest = call.decode(body)?;
    Ok(Box::pin(async move {
        let version = call.header.api_version;
        let context = match call.node.shard.begin_fetch(version, &mut request).await {
            Ok(context) => context,
            Err(error) => return session_error(&call, error, NO_SESSION),
        };
        let reading = read_enough(&call, &request).await?;
        answer(&call, request, reading, &context)
    }))
}

/// An answer without partitions.
fn session_error(call: &Call, error: ErrorCode, session_id: i32) -> Result<Answer, CloseReason> {
    call.count_error(error);
    let parts = response(error, session_id, Vec::new());
    let frame = parts.encode(&call.header)?;
    Ok(Answer::with_ranges(frame, [], None))
}

/// The partitions of a request, what was read of them, and who owns which.
struct Reading {
    outcomes: Vec<FetchOutcome>,
    by_owner: BTreeMap<ShardId, Vec<(usize, FetchItem)>>,
    size_max: usize,
    /// Whether a partition is asked for in a way that has no answer: the client hears at once.
    has_malformed: bool,
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
    let is_over = reactor.now() >= deadline || owners.is_empty() || reading.has_malformed;
    if reading.is_enough(min_bytes) || is_over {
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
            has_malformed: false,
            memory: None,
        };
        for topic in &request.topics {
            let found = find_topic(call, topic, by_id);
            for partition in &topic.partitions {
                let index = reading.outcomes.len();
                let view = found.as_ref().map_err(|&error| error);
                let item = view.and_then(|view| item(call, request, view, partition));
                let error = item.as_ref().err().copied();
                reading.has_malformed |= error == Some(ErrorCode::InvalidRequest);
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
        let held_size_max = WINDOW_SIZE_MAX + owner_count * HELD_OF_OWNER_MIN;
        let held_size_max = held_size_max.max(HELD_SIZE_MAX);
        let granted = grant(&call.node.response_memory, held_size_max);
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
        let of_owners = self.by_owner.keys().map(|&owner| self.of_owner(owner));
        let (size, ends) = of_owners.fold((0, false), |(size, ends), (more, also)| {
            (size + more, ends || also)
        });
        size >= min_bytes || ends
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

fn find_topic(call: &Call, topic: &FetchTopic, by_id: bool) -> Result<TopicView, ErrorCode> {
    let shard = &call.node.shard;
    if by_id {
        shard
            .topic(from_uuid(topic.topic_id))
            .ok_or(ErrorCode::UnknownTopicId)
    } else {
        shard
            .topic_by_name(&topic.topic)
            .ok_or(ErrorCode::UnknownTopicOrPartition)
    }
}

fn item(
    call: &Call,
    request: &FetchRequest,
    view: &TopicView,
    partition: &FetchPartition,
) -> Result<FetchItem, ErrorCode> {
    let key = TopicIdPartition {
        topic_id: view.topic_id,
        partition: partition.partition,
    };
    if !call.node.shard.has_partition(key) {
        return Err(ErrorCode::UnknownTopicOrPartition);
    }
    let is_known = matches!(request.isolation_level, READ_UNCOMMITTED | READ_COMMITTED);
    let size_max = usize::try_from(partition.partition_max_bytes);
    let (Ok(size_max), 0.., true) = (size_max, request.max_bytes, is_known) else {
        return Err(ErrorCode::InvalidRequest);
    };
    Ok(FetchItem {
        partition: key,
        fetch_offset: partition.fetch_offset,
        current_leader_epoch: partition.current_leader_epoch.max(NO_LEADER_EPOCH),
        last_fetched_epoch: partition.last_fetched_epoch,
        size_max,
    })
}

fn answer(
    call: &Call,
    request: FetchRequest,
    reading: Reading,
    context: &FetchContext,
) -> Result<Answer, CloseReason> {
    let answers = reading.outcomes.iter().map(session_answer);
    let version = call.header.api_version;
    let (session_id, selected) = match context {
        FetchContext::Sessionless => (NO_SESSION, None),
        FetchContext::Full => {
            let shard = &call.node.shard;
            let id = shard.open_fetch_session(version, &request.topics, answers);
            (id, None)
        }
        FetchContext::Incremental(fetch) => match fetch.finish(answers) {
            Ok(selected) => (fetch.session_id(), Some(selected)),
            Err(error) => return session_error(call, error, fetch.session_id()),
        },
    };
    let rests = reading.outcomes.iter().filter_map(|outcome| outcome.rest);
    let rests: Vec<RecordsRange> = rests.collect();
    let mut outcomes = reading.outcomes.into_iter();
    // Without a session every partition is in the answer.
    let mut selected = selected.map(Vec::into_iter);
    let mut is_selected = || selected.as_mut().is_none_or(|all| all.next() == Some(true));
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in &request.topics {
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for partition in &topic.partitions {
            let outcome = outcomes.next().expect("an outcome for each partition");
            if is_selected() {
                partitions.push(fetched(call, &request, partition.partition, outcome));
            }
        }
        if !partitions.is_empty() {
            topics.push(FetchTopicParts {
                topic: topic.topic.0.clone(),
                topic_id: from_uuid(topic.topic_id),
                partitions,
            });
        }
    }
    let mut parts = response(ErrorCode::None, session_id, topics);
    name_leaders(call, &mut parts);
    let frame = parts.encode(&call.header)?;
    Ok(Answer::with_ranges(frame, rests, reading.memory))
}

/// What a session keeps of an answer.
fn session_answer(outcome: &FetchOutcome) -> PartitionAnswer {
    PartitionAnswer {
        has_records: outcome.size_in_bytes() > 0,
        is_error: outcome.error.is_error(),
        is_diverging: outcome.diverging_epoch.is_some(),
        high_watermark: outcome.high_watermark,
        log_start_offset: outcome.log_start_offset,
    }
}

fn response(error: ErrorCode, session_id: i32, topics: Vec<FetchTopicParts>) -> FetchResponseParts {
    FetchResponseParts {
        throttle_time_ms: 0,
        error,
        session_id,
        topics,
        node_endpoints: Vec::new(),
    }
}

/// Where to go with an error that another leader may cure.
fn name_leaders(call: &Call, parts: &mut FetchResponseParts) {
    if call.header.api_version < CURRENT_LEADER_VERSION_MIN {
        return;
    }
    let mut is_named = false;
    for topic in &mut parts.topics {
        let (topic_id, partitions) = (topic.topic_id, &mut topic.partitions);
        for partition in partitions {
            let data = &mut partition.data;
            let is_moved = [ErrorCode::NotLeaderOrFollower, ErrorCode::FencedLeaderEpoch]
                .iter()
                .any(|error| error.code() == data.error_code);
            let key = TopicIdPartition {
                topic_id,
                partition: data.partition_index,
            };
            if is_moved && let Some((leader, epoch)) = call.node.shard.leader_of(key) {
                data.current_leader = LeaderIdAndEpoch::default()
                    .with_leader_id(leader.into())
                    .with_leader_epoch(epoch);
                is_named |= leader == call.node.config.node_id;
            }
        }
    }
    if is_named && let Some(endpoint) = call.endpoint() {
        let endpoint = NodeEndpoint::default()
            .with_node_id(call.node.config.node_id.into())
            .with_host(StrBytes::from_string(endpoint.host.to_string()))
            .with_port(i32::from(endpoint.port));
        parts.node_endpoints.push(endpoint);
    }
}

fn fetched(
    call: &Call,
    request: &FetchRequest,
    index: i32,
    outcome: FetchOutcome,
) -> FetchedPartition {
    call.count_error(outcome.error);
    let error = match outcome.error {
        ErrorCode::KafkaStorageError if call.header.api_version < STORAGE_ERROR_VERSION_MIN => {
            ErrorCode::NotLeaderOrFollower
        }
        error => error,
    };
    // Null where nobody asked for them, and with an error of the partition itself.
    let has_aborted = match outcome.error {
        ErrorCode::UnknownTopicOrPartition | ErrorCode::UnknownTopicId => true,
        _ => request.isolation_level == READ_COMMITTED && !outcome.ends_the_wait(),
    };
    let mut data = PartitionData::default()
        .with_partition_index(index)
        .with_error_code(error.code())
        .with_aborted_transactions(has_aborted.then(Vec::new))
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

//! DescribeLogDirs (35), versions 1-4: what lies in this broker's log directories, and how much
//! room they have (KIP-113, from v4 on KIP-827).
//!
//! Without a list of topics all partitions are described; of those that are named and not here
//! nothing is said, as with Kafka. A directory that is offline has KAFKA_STORAGE_ERROR and nothing
//! else. A partition's size is that of its records, without indexes and without what is written
//! ahead.
//!
//! Left out: logs that are on their way from one directory to another (`is_future_key`), for
//! nothing moves a log while the broker runs.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use bytes::Bytes;

use crate::protocol::StrBytes;
use crate::protocol::messages::describe_log_dirs_request::DescribableLogDirTopic;
use crate::protocol::messages::describe_log_dirs_response::{
    DescribeLogDirsPartition, DescribeLogDirsResult, DescribeLogDirsTopic,
};
use crate::protocol::messages::{DescribeLogDirsRequest, DescribeLogDirsResponse, TopicName};
use crate::server::dispatch::{Call, CloseReason, ReplyFuture};
use crate::shard::{DescribedLogDir, LogSize};
use crate::types::{ErrorCode, TopicIdPartition};

/// A size that is not known.
const UNKNOWN_BYTES: i64 = -1;

pub(super) fn handle(call: Call, body: Bytes) -> Result<ReplyFuture, CloseReason> {
    let request: DescribeLogDirsRequest = call.decode(body)?;
    let asked = request.topics.as_deref().map(|topics| asked(&call, topics));
    let described = call.node.shard.describe_log_dirs(asked);
    Ok(Box::pin(async move {
        let described = described.await.ok_or(CloseReason::Stopping)?;
        let results = described.into_iter().map(|described| {
            let result = result(described);
            call.count_error(ErrorCode::from_code(result.error_code));
            result
        });
        call.finish(&DescribeLogDirsResponse::default().with_results(results.collect()))
    }))
}

/// Those that there are: never more than the broker has, whatever a request repeats.
fn asked(call: &Call, topics: &[DescribableLogDirTopic]) -> BTreeSet<TopicIdPartition> {
    let mut asked = BTreeSet::new();
    for topic in topics {
        let Some(view) = call.node.shard.topic_by_name(&topic.topic) else {
            continue;
        };
        let known = topic.partitions.iter().copied();
        let known = known.filter(|&partition| view.has_partition(partition));
        asked.extend(known.map(|partition| TopicIdPartition {
            topic_id: view.topic_id,
            partition,
        }));
    }
    asked
}

fn result(described: DescribedLogDir) -> DescribeLogDirsResult {
    let state = described.state;
    let result = DescribeLogDirsResult::default().with_log_dir(absolute(&state.path));
    if state.offline.is_some() {
        return result
            .with_error_code(ErrorCode::KafkaStorageError.code())
            .with_total_bytes(UNKNOWN_BYTES)
            .with_usable_bytes(UNKNOWN_BYTES);
    }
    let bytes = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
    result
        .with_topics(topics(described.logs))
        .with_total_bytes(bytes(state.total_bytes))
        .with_usable_bytes(bytes(state.free_bytes))
}

/// By topic, in the order of their names and numbers.
fn topics(mut logs: Vec<LogSize>) -> Vec<DescribeLogDirsTopic> {
    logs.sort_by(|a, b| a.partition.cmp(&b.partition));
    let mut topics: BTreeMap<_, Vec<DescribeLogDirsPartition>> = BTreeMap::new();
    for log in logs {
        let partition = DescribeLogDirsPartition::default()
            .with_partition_index(log.partition.partition)
            .with_partition_size(i64::try_from(log.size).unwrap_or(i64::MAX))
            .with_offset_lag(log.offset_lag);
        topics
            .entry(log.partition.topic)
            .or_default()
            .push(partition);
    }
    let topics = topics.into_iter().map(|(name, partitions)| {
        DescribeLogDirsTopic::default()
            .with_name(TopicName(StrBytes::from_string(name.to_string())))
            .with_partitions(partitions)
    });
    topics.collect()
}

/// `log.dirs` may have it relative to where the broker was started.
fn absolute(path: &Path) -> StrBytes {
    let absolute = std::path::absolute(path);
    let path = absolute.as_deref().unwrap_or(path);
    StrBytes::from_string(path.display().to_string())
}

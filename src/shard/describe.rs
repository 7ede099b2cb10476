//! What the shards know of their logs, for those who administrate: sizes and producers.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;

use super::core::{Core, ReplyTo, Shard};
use super::directories::LogDirState;
use super::message::{Reply, Request};
use crate::log_state::ProducerEntry;
use crate::types::{ErrorCode, Offset, ShardId, TopicIdPartition, TopicPartition};

/// A log and what it takes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogSize {
    pub partition: TopicPartition,
    /// The place in `log.dirs` of the directory that it is in.
    pub directory: usize,
    /// Of its records, bytes.
    pub size: u64,
    /// By how much its end is behind the high watermark: 0 for a leader.
    pub offset_lag: Offset,
}

/// A log directory with what lies in it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DescribedLogDir {
    pub state: LogDirState,
    pub logs: Vec<LogSize>,
}

/// Of one partition: its producers, or why it is not served.
pub(super) type Producers = Result<Vec<ProducerEntry>, ErrorCode>;

impl Shard {
    /// The log directories in the order of `log.dirs`, with all logs of the broker (`None`) or with
    /// those of these partitions that are here. `None` when the broker stops.
    pub fn describe_log_dirs(
        &self,
        asked: Option<BTreeSet<TopicIdPartition>>,
    ) -> impl Future<Output = Option<Vec<DescribedLogDir>>> + use<> {
        let asked = asked.map(Arc::new);
        let replies = self.core.ask_all(|| Request::LogSizes {
            asked: asked.clone(),
        });
        let shard = self.clone();
        async move {
            let states = shard.log_dirs().await.into_iter();
            let described = states.map(|state| DescribedLogDir {
                state,
                logs: Vec::new(),
            });
            let mut described: Vec<_> = described.collect();
            for reply in replies {
                let Some(Reply::LogSizes(sizes)) = reply.await else {
                    return None;
                };
                for log in sizes {
                    described[log.directory].logs.push(log);
                }
            }
            Some(described)
        }
    }

    /// The producers of each of these partitions, in their order. `None` when the broker stops.
    pub fn describe_producers(
        &self,
        partitions: Vec<TopicIdPartition>,
    ) -> impl Future<Output = Option<Vec<Result<Vec<ProducerEntry>, ErrorCode>>>> + use<> {
        let count = partitions.len();
        let mut by_owner: BTreeMap<ShardId, (Vec<usize>, Vec<TopicIdPartition>)> = BTreeMap::new();
        for (index, partition) in partitions.into_iter().enumerate() {
            let (indexes, owned) = by_owner.entry(self.core.owner(partition)).or_default();
            indexes.push(index);
            owned.push(partition);
        }
        let mut asked = Vec::with_capacity(by_owner.len());
        for (owner, (indexes, partitions)) in by_owner {
            let request = Request::Producers { partitions };
            asked.push((indexes, self.core.ask(owner, request)));
        }
        async move {
            let mut described = vec![Err(ErrorCode::UnknownServerError); count];
            for (indexes, reply) in asked {
                let Some(Reply::Producers(producers)) = reply.await else {
                    return None;
                };
                for (index, producers) in indexes.into_iter().zip(producers) {
                    described[index] = producers;
                }
            }
            Some(described)
        }
    }
}

pub(super) fn log_sizes(core: &Rc<Core>, to: ReplyTo, asked: Option<&BTreeSet<TopicIdPartition>>) {
    let directories = core.opened_directories();
    let mut sizes = Vec::new();
    for replica in core.replicas.borrow().values() {
        let log = replica.log();
        if asked.is_some_and(|asked| !asked.contains(&replica.partition())) {
            continue;
        }
        let mut opened = directories.iter();
        let found = opened.find(|(_, directory)| directory.path() == log.directory());
        let (directory, _) = found.expect("a log is in a directory that was opened");
        let high_watermark = replica.leader().high_watermark();
        sizes.push(LogSize {
            partition: log.partition().clone(),
            directory: *directory,
            size: log.size_in_bytes(),
            offset_lag: (high_watermark - log.state().log_end_offset).max(0),
        });
    }
    core.answer(to, Reply::LogSizes(sizes));
}

pub(super) fn producers(core: &Rc<Core>, to: ReplyTo, partitions: &[TopicIdPartition]) {
    let described = partitions.iter().map(|partition| -> Producers {
        let replica = core.serving(partition)?;
        let state = replica.log().state();
        Ok(state.producers.iter().cloned().collect())
    });
    let described = described.collect();
    core.answer(to, Reply::Producers(described));
}

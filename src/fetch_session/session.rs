//! One session: its partitions, and what the client was told of each.

use std::collections::{BTreeMap, BTreeSet};

use crate::protocol::messages::TopicName;
use crate::protocol::messages::fetch_request::{FetchPartition, FetchTopic, ForgottenTopic};
use crate::protocol::{StrBytes, from_uuid, to_uuid};
use crate::types::{Offset, TopicId};

/// A topic as the session's requests name it: by id from Fetch v13 on, by name before.
#[derive(Clone, PartialEq, Eq, Debug)]
enum SessionTopic {
    Id(TopicId),
    Name(StrBytes),
}

/// A partition within one request or session.
type PartitionKey<'a> = (TopicId, &'a str, i32);

/// One partition of a session.
#[derive(Clone, Debug)]
struct CachedPartition {
    topic: SessionTopic,
    partition: i32,
    partition_max_bytes: i32,
    fetch_offset: Offset,
    current_leader_epoch: i32,
    last_fetched_epoch: i32,
    /// What the client was told last; -1 for nothing, or an error.
    high_watermark: Offset,
    log_start_offset: Offset,
}

/// What an answer has to say of one partition.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PartitionAnswer {
    pub has_records: bool,
    pub is_error: bool,
    /// The client's log parts from the leader's, which it must hear.
    pub is_diverging: bool,
    /// -1 with an error.
    pub high_watermark: Offset,
    /// -1 with an error.
    pub log_start_offset: Offset,
}

/// A session. Lives on the shard whose connection used it last.
#[derive(Clone, Debug)]
pub struct FetchSession {
    /// What the next request must say.
    pub(super) epoch: i32,
    /// Whether its requests name topics by id.
    pub(super) uses_topic_ids: bool,
    /// In the order in which they are read.
    partitions: Vec<CachedPartition>,
}

impl FetchSession {
    /// Of a full request, each of whose partitions has its answer; a partition that is named twice
    /// is there once, as it was asked for last.
    pub(super) fn new(
        topics: &[FetchTopic],
        uses_topic_ids: bool,
        answers: impl Iterator<Item = PartitionAnswer>,
    ) -> FetchSession {
        let mut session = FetchSession {
            epoch: next_epoch(0),
            uses_topic_ids,
            partitions: Vec::new(),
        };
        session.update(topics, &[]);
        let mut told: BTreeMap<PartitionKey<'_>, PartitionAnswer> = BTreeMap::new();
        let asked = topics.iter().flat_map(|topic| {
            topic
                .partitions
                .iter()
                .map(move |one| asked_key(topic, one))
        });
        told.extend(asked.zip(answers));
        for partition in &mut session.partitions {
            if let Some(answer) = told.get(&cached_key(&partition.topic, partition.partition)) {
                partition.high_watermark = answer.high_watermark;
                partition.log_start_offset = answer.log_start_offset;
            }
        }
        session
    }

    pub fn partition_count(&self) -> usize {
        self.partitions.len()
    }

    /// Takes in what a request adds, changes and forgets.
    pub(super) fn update(&mut self, topics: &[FetchTopic], forgotten: &[ForgottenTopic]) {
        if !topics.is_empty() {
            self.add_and_change(topics);
        }
        if !forgotten.is_empty() {
            let gone: BTreeSet<PartitionKey<'_>> = forgotten
                .iter()
                .flat_map(|topic| {
                    let key = |&index| (from_uuid(topic.topic_id), topic.topic.as_str(), index);
                    topic.partitions.iter().map(key)
                })
                .collect();
            self.partitions
                .retain(|one| !gone.contains(&cached_key(&one.topic, one.partition)));
        }
    }

    fn add_and_change(&mut self, topics: &[FetchTopic]) {
        let mut order = Vec::new();
        let mut asked: BTreeMap<PartitionKey<'_>, (&FetchPartition, bool)> = BTreeMap::new();
        for topic in topics {
            for partition in &topic.partitions {
                let key = asked_key(topic, partition);
                if asked.insert(key, (partition, false)).is_none() {
                    order.push((topic, key));
                }
            }
        }
        for cached in &mut self.partitions {
            let key = cached_key(&cached.topic, cached.partition);
            if let Some((partition, is_found)) = asked.get_mut(&key) {
                *is_found = true;
                cached.partition_max_bytes = partition.partition_max_bytes;
                cached.fetch_offset = partition.fetch_offset;
                cached.current_leader_epoch = partition.current_leader_epoch;
                cached.last_fetched_epoch = partition.last_fetched_epoch;
            }
        }
        let is_new = order.into_iter().filter_map(|(topic, key)| {
            let (partition, is_found) = asked[&key];
            (!is_found).then_some((topic, partition))
        });
        let new: Vec<(&FetchTopic, &FetchPartition)> = is_new.collect();
        // Of this request's names one copy each: its own bytes would pin the whole frame.
        let mut last: Option<(&FetchTopic, SessionTopic)> = None;
        for (topic, partition) in new {
            let named = match &last {
                Some((of, named)) if std::ptr::eq(*of, topic) => named.clone(),
                _ => session_topic(topic),
            };
            last = Some((topic, named.clone()));
            self.partitions.push(CachedPartition {
                topic: named,
                partition: partition.partition,
                partition_max_bytes: partition.partition_max_bytes,
                fetch_offset: partition.fetch_offset,
                current_leader_epoch: partition.current_leader_epoch,
                last_fetched_epoch: partition.last_fetched_epoch,
                high_watermark: -1,
                log_start_offset: -1,
            });
        }
    }

    /// Every partition, as a full request would name it.
    pub(super) fn topics(&self) -> Vec<FetchTopic> {
        let mut topics: Vec<FetchTopic> = Vec::new();
        let mut last: Option<&SessionTopic> = None;
        for cached in &self.partitions {
            if last != Some(&cached.topic) {
                last = Some(&cached.topic);
                topics.push(match &cached.topic {
                    SessionTopic::Id(id) => FetchTopic::default().with_topic_id(to_uuid(*id)),
                    SessionTopic::Name(name) => {
                        FetchTopic::default().with_topic(TopicName(name.clone()))
                    }
                });
            }
            let topic = topics.last_mut().expect("one was pushed");
            topic.partitions.push(
                FetchPartition::default()
                    .with_partition(cached.partition)
                    .with_partition_max_bytes(cached.partition_max_bytes)
                    .with_fetch_offset(cached.fetch_offset)
                    .with_current_leader_epoch(cached.current_leader_epoch)
                    .with_last_fetched_epoch(cached.last_fetched_epoch),
            );
        }
        topics
    }

    /// Which partitions the client must see, by the answers in the order of
    /// [`FetchSession::topics`]: those with records, an error, or another high watermark or log
    /// start than it knows. As Kafka's `CachedPartition.maybeUpdateResponseData`.
    pub(super) fn answer(&mut self, answers: impl Iterator<Item = PartitionAnswer>) -> Vec<bool> {
        let mut selected = Vec::with_capacity(self.partitions.len());
        let mut rested = Vec::with_capacity(self.partitions.len());
        let mut served = Vec::new();
        let partitions = std::mem::take(&mut self.partitions);
        for (mut partition, answer) in partitions.into_iter().zip(answers) {
            let is_news = partition.high_watermark != answer.high_watermark
                || partition.log_start_offset != answer.log_start_offset;
            selected.push(is_news || answer.has_records || answer.is_error || answer.is_diverging);
            partition.log_start_offset = answer.log_start_offset;
            partition.high_watermark = match answer.is_error {
                // When the error goes away, the client is to hear of that.
                true => -1,
                false => answer.high_watermark,
            };
            match answer.has_records {
                true => served.push(partition),
                false => rested.push(partition),
            }
        }
        rested.append(&mut served);
        self.partitions = rested;
        selected
    }
}

/// From the largest epoch to 1: 0 opens a session. As Kafka's `FetchMetadata.nextEpoch`.
pub(super) fn next_epoch(epoch: i32) -> i32 {
    epoch.checked_add(1).unwrap_or(1)
}

fn session_topic(topic: &FetchTopic) -> SessionTopic {
    match from_uuid(topic.topic_id) {
        TopicId::ZERO => SessionTopic::Name(StrBytes::from_string(topic.topic.to_string())),
        id => SessionTopic::Id(id),
    }
}

fn asked_key<'a>(topic: &'a FetchTopic, partition: &FetchPartition) -> PartitionKey<'a> {
    let name = topic.topic.as_str();
    (from_uuid(topic.topic_id), name, partition.partition)
}

fn cached_key(topic: &SessionTopic, partition: i32) -> PartitionKey<'_> {
    match topic {
        SessionTopic::Id(id) => (*id, "", partition),
        SessionTopic::Name(name) => (TopicId::ZERO, name.as_str(), partition),
    }
}

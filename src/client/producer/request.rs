//! From batches to a Produce request, and from its answer to what became of each batch.

use std::rc::Rc;

use bytes::Bytes;

use super::accumulator::Partition;
use super::batch::{Acknowledged, Batch};
use crate::client::error::ClientError;
use crate::protocol::messages::ProduceResponse;
use crate::protocol::messages::produce_response::PartitionProduceResponse;
use crate::protocol::{ProduceRequestParts, ProduceTopicParts, ProducedPartition, from_uuid};
use crate::types::{ErrorCode, TopicId};

/// First version in which topics go by id alone.
const TOPIC_IDS_FROM: i16 = 13;

/// A batch in a request.
pub(super) struct Sent {
    pub(super) partition: Rc<Partition>,
    pub(super) batch: Batch,
    pub(super) bytes: Bytes,
}

/// What became of a batch.
#[derive(Debug)]
pub(super) enum Verdict {
    Acknowledged(Acknowledged),
    /// Send it again.
    Retry(ClientError),
    /// Send it again under a new epoch: the broker does not know the sequence before it.
    Restart(ClientError),
    GiveUp(ClientError),
}

/// The newest version that can say these batches.
pub(super) fn version_max(batches: &[Sent]) -> i16 {
    let has_ids = batches
        .iter()
        .all(|sent| sent.partition.topic.id.get() != TopicId::ZERO);
    if has_ids {
        i16::MAX
    } else {
        TOPIC_IDS_FROM - 1
    }
}

/// The request for these batches; topics in the order in which they appear.
pub(super) fn request_parts(batches: &[Sent], acks: i16, timeout_ms: i32) -> ProduceRequestParts {
    let mut topics: Vec<ProduceTopicParts> = Vec::new();
    for sent in batches {
        let identity = &sent.partition.topic;
        let partition = ProducedPartition {
            partition: sent.partition.index,
            records: vec![sent.bytes.clone()],
        };
        let known = topics.iter_mut().rev();
        match known
            .into_iter()
            .find(|topic| topic.topic == identity.wire_name)
        {
            Some(topic) => topic.partitions.push(partition),
            None => topics.push(ProduceTopicParts {
                topic: identity.wire_name.clone(),
                topic_id: identity.id.get(),
                partitions: vec![partition],
            }),
        }
    }
    ProduceRequestParts {
        transactional_id: None,
        acks,
        timeout_ms,
        topics,
    }
}

/// Finds each batch's part of a response, whatever its order.
pub(super) struct Answers<'a> {
    /// (by id?, topic, index) would do as a key; brokers answer in the order of the request, so
    /// the search starts where the last one ended.
    parts: Vec<(TopicKey<'a>, &'a PartitionProduceResponse)>,
    cursor: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum TopicKey<'a> {
    Name(&'a str),
    Id(TopicId),
}

impl<'a> Answers<'a> {
    pub(super) fn new(response: &'a ProduceResponse, version: i16) -> Answers<'a> {
        let parts = response.responses.iter().flat_map(|topic| {
            let key = if version >= TOPIC_IDS_FROM {
                TopicKey::Id(from_uuid(topic.topic_id))
            } else {
                TopicKey::Name(topic.name.0.as_str())
            };
            topic
                .partition_responses
                .iter()
                .map(move |part| (key, part))
        });
        Answers {
            parts: parts.collect(),
            cursor: 0,
        }
    }

    /// `topic_id` is the one that was sent: the topic's may have changed since.
    fn find(
        &mut self,
        partition: &Partition,
        topic_id: TopicId,
    ) -> Option<&'a PartitionProduceResponse> {
        let (before, after) = self.parts.split_at(self.cursor);
        let is_it = |&&(key, part): &&(TopicKey<'_>, &PartitionProduceResponse)| {
            part.index == partition.index
                && match key {
                    TopicKey::Name(name) => *name == *partition.topic.name,
                    TopicKey::Id(id) => id == topic_id,
                }
        };
        let ahead = after
            .iter()
            .position(|part| is_it(&part))
            .map(|ahead| before.len() + ahead);
        let found = ahead.or_else(|| before.iter().position(|part| is_it(&part)))?;
        self.cursor = found + 1;
        Some(self.parts[found].1)
    }

    /// What the broker says of one batch. `None`: nothing, which is no answer at all.
    pub(super) fn verdict(&mut self, sent: &Sent, topic_id: TopicId) -> Option<Verdict> {
        let part = self.find(&sent.partition, topic_id)?;
        Some(verdict(part, sent))
    }
}

fn verdict(part: &PartitionProduceResponse, sent: &Sent) -> Verdict {
    let code = ErrorCode::from_code(part.error_code);
    let record_fault = part.record_errors.first();
    let record_fault = record_fault.and_then(|fault| fault.batch_index_error_message.as_deref());
    let message = part.error_message.as_deref().or(record_fault);
    let subject = || format!("{}-{}", sent.partition.topic.name, sent.partition.index);
    let Err(error) = ClientError::check(part.error_code, subject, message) else {
        return Verdict::Acknowledged(Acknowledged {
            base_offset: part.base_offset,
            log_append_time: (part.log_append_time_ms >= 0).then_some(part.log_append_time_ms),
        });
    };
    let is_idempotent = sent.batch.producer.is_some();
    match code {
        // The broker has it, but no longer knows where.
        ErrorCode::DuplicateSequenceNumber if is_idempotent => {
            Verdict::Acknowledged(Acknowledged {
                base_offset: -1,
                log_append_time: None,
            })
        }
        // Behind a batch that failed and is sent again this is only the echo of that failure.
        ErrorCode::OutOfOrderSequenceNumber if is_idempotent => {
            if sent.partition.queue.borrow().is_next(&sent.batch) {
                Verdict::Restart(error)
            } else {
                Verdict::Retry(error)
            }
        }
        ErrorCode::UnknownProducerId | ErrorCode::InvalidProducerEpoch if is_idempotent => {
            Verdict::Restart(error)
        }
        code if code.is_retriable() => Verdict::Retry(error),
        _ => Verdict::GiveUp(error),
    }
}

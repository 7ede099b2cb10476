//! Shard 0's controller: one request after the other, each durable before it is answered.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

use super::broken_promise::BrokenPromise;
use super::core::{Core, ReplyTo, Shard};
use super::error::ShardError;
use super::message::{Reply, Request};
use super::metadata_log::MetadataLog;
use crate::controller::{
    AlterConfigs, AlterResult, Controller, ControllerReply, ControllerRequest, CreatePartitions,
    CreatePartitionsResult, CreateTopicResult, CreateTopics, DeleteTopicResult, DeleteTopics,
};
use crate::io::Notify;
use crate::metadata::{MetadataDelta, MetadataRecord};
use crate::types::{ErrorCode, ProducerId, ShardId, TopicId};

/// Bytes of the records of one request, hence of one batch of the metadata log: what one read of it
/// at a start must hold. Kafka's is 8 MiB too (`MAX_BATCH_SIZE_BYTES`).
const RECORDS_SIZE_MAX: usize = 8 << 20;

/// Requests that wait for the controller. Each belongs to a request of a connection, of which each
/// has a bounded number.
#[derive(Clone, Default)]
pub(super) struct ControllerQueue {
    waiting: Rc<RefCell<VecDeque<(ReplyTo, ControllerRequest)>>>,
    changed: Notify,
}

impl ControllerQueue {
    async fn next(&self) -> (ReplyTo, ControllerRequest) {
        loop {
            let changed = self.changed.notified();
            if let Some(next) = self.waiting.borrow_mut().pop_front() {
                return next;
            }
            changed.await;
        }
    }
}

pub(super) fn enqueue(core: &Rc<Core>, to: ReplyTo, request: ControllerRequest) {
    let queue = core.controller.borrow().clone();
    match queue {
        Some(queue) => {
            queue.waiting.borrow_mut().push_back((to, request));
            queue.changed.notify_all();
        }
        None => core.answer(to, Reply::Controller(Err(ErrorCode::BrokerNotAvailable))),
    }
}

/// The controller with its log, before it serves requests.
pub(super) struct ControllerDriver {
    core: Rc<Core>,
    controller: Controller,
    log: MetadataLog,
}

impl ControllerDriver {
    pub(super) fn new(core: Rc<Core>, controller: Controller, log: MetadataLog) -> Self {
        ControllerDriver {
            core,
            controller,
            log,
        }
    }

    pub(super) fn controller(&self) -> &Controller {
        &self.controller
    }

    /// Where the next record goes: the epoch of a broker that registers now.
    pub(super) fn end_offset(&self) -> i64 {
        self.log.end_offset()
    }

    /// Serves requests until the broker stops or the metadata log fails. While its disk is full,
    /// what changes nothing is served, and the broker goes on for those who read.
    pub(super) async fn run(mut self) {
        let queue = ControllerQueue::default();
        *self.core.controller.borrow_mut() = Some(queue.clone());
        loop {
            let (to, request) = queue.next().await;
            match self.serve(request).await {
                Ok(reply) => self.core.answer(to, Reply::Controller(reply)),
                Err(error) => {
                    self.core
                        .answer(to, Reply::Controller(Err(ErrorCode::KafkaStorageError)));
                    if matches!(error, ShardError::Stopped) {
                        return;
                    }
                    if !self.core.metadata_directory().is_full() {
                        self.core.fail(error);
                        return;
                    }
                }
            }
        }
    }

    async fn serve(
        &mut self,
        request: ControllerRequest,
    ) -> Result<Result<ControllerReply, ErrorCode>, ShardError> {
        let directories = match request {
            ControllerRequest::CreateTopics(_)
            | ControllerRequest::AutoCreateTopics(_)
            | ControllerRequest::CreatePartitions(_) => self.core.directory_spaces().await,
            _ => Vec::new(),
        };
        let now = self.core.reactor.now();
        let is_forgotten = self.is_forgotten(&request);
        let outcome = self.controller.handle(now, &directories, request);
        if is_forgotten {
            return Ok(Ok(outcome.reply));
        }
        let size: usize = outcome.records.iter().map(|r| r.encode().len()).sum();
        if size > RECORDS_SIZE_MAX {
            return Ok(Err(ErrorCode::PolicyViolation));
        }
        if !outcome.records.is_empty() {
            let delta = self.commit(&outcome.records).await?;
            self.publish(delta).await;
        }
        Ok(Ok(outcome.reply))
    }

    /// Whether a simulation has it acknowledged and not carried out.
    fn is_forgotten(&self, request: &ControllerRequest) -> bool {
        match request {
            ControllerRequest::DeleteTopics(_) => {
                self.core.breaks(BrokenPromise::KeepsDeletedTopics)
            }
            ControllerRequest::AlterConfigs(_) => self.core.breaks(BrokenPromise::ForgetsSettings),
            _ => false,
        }
    }

    /// Makes records durable as one batch and replays them.
    pub(super) async fn commit(
        &mut self,
        records: &[MetadataRecord],
    ) -> Result<MetadataDelta, ShardError> {
        self.log.append(&self.core.reactor, records).await?;
        let mut delta = MetadataDelta::default();
        for record in records {
            self.controller
                .replay(record, &mut delta)
                .map_err(|error| ShardError::Metadata(error.to_string()))?;
        }
        Ok(delta)
    }

    /// Gives all shards the new image, publishes it when each serves by it, and waits until each
    /// has made it true.
    async fn publish(&self, delta: MetadataDelta) {
        let image = Arc::new(self.controller.image().clone());
        let delta = Arc::new(delta);
        for reply in self.core.ask_all(|| Request::ApplyImage {
            image: Arc::clone(&image),
            delta: Arc::clone(&delta),
        }) {
            if let Some(Reply::Applied(Err(error))) = reply.await {
                tracing::error!(%error, "a change of the metadata could not be carried out");
            }
        }
        self.core.publish(Arc::clone(&image));
        for settled in self.core.ask_all(|| Request::SettleImage {
            image: Arc::clone(&image),
            delta: Arc::clone(&delta),
        }) {
            let _ = settled.await;
        }
    }
}

impl Shard {
    async fn control(
        &self,
        request: ControllerRequest,
    ) -> Option<Result<ControllerReply, ErrorCode>> {
        match self
            .core
            .ask(ShardId(0), Request::Controller(request))
            .await
        {
            Some(Reply::Controller(reply)) => Some(reply),
            _ => None,
        }
    }

    /// `None` when the broker stops.
    pub async fn create_topics(
        &self,
        request: CreateTopics,
    ) -> Option<Result<Vec<CreateTopicResult>, ErrorCode>> {
        Some(
            self.control(ControllerRequest::CreateTopics(request))
                .await?
                .map(created),
        )
    }

    /// `None` when the broker stops.
    pub async fn alter_configs(
        &self,
        request: AlterConfigs,
    ) -> Option<Result<Vec<AlterResult>, ErrorCode>> {
        let reply = self
            .control(ControllerRequest::AlterConfigs(request))
            .await?;
        Some(reply.map(|reply| match reply {
            ControllerReply::AlterConfigs(results) => results,
            other => panic!("AlterConfigs was answered with {other:?}"),
        }))
    }

    /// `None` when the broker stops.
    pub async fn delete_topics(
        &self,
        request: DeleteTopics,
    ) -> Option<Result<Vec<DeleteTopicResult>, ErrorCode>> {
        let reply = self
            .control(ControllerRequest::DeleteTopics(request))
            .await?;
        Some(reply.map(|reply| match reply {
            ControllerReply::DeleteTopics(results) => results,
            other => panic!("DeleteTopics was answered with {other:?}"),
        }))
    }

    /// `None` when the broker stops.
    pub async fn create_partitions(
        &self,
        request: CreatePartitions,
    ) -> Option<Result<Vec<CreatePartitionsResult>, ErrorCode>> {
        let request = ControllerRequest::CreatePartitions(request);
        let reply = self.control(request).await?;
        Some(reply.map(|reply| match reply {
            ControllerReply::CreatePartitions(results) => results,
            other => panic!("CreatePartitions was answered with {other:?}"),
        }))
    }

    /// Creates topics that a client named; which could not be created, and why. `None` when the
    /// broker stops.
    pub async fn auto_create(&self, names: Vec<String>) -> Option<Vec<(String, ErrorCode)>> {
        let named = names
            .iter()
            .map(|name| (name.clone(), self.new_topic_id()))
            .collect();
        let reply = self
            .control(ControllerRequest::AutoCreateTopics(named))
            .await?;
        Some(match reply.map(created) {
            Ok(results) => {
                let failed = results.into_iter().filter(|result| result.error.is_error());
                failed.map(|result| (result.name, result.error)).collect()
            }
            Err(error) => names.into_iter().map(|name| (name, error)).collect(),
        })
    }

    /// A random id for a new topic; never one of Kafka's two reserved ones.
    pub fn new_topic_id(&self) -> TopicId {
        let (high, low) = (self.core.reactor.random(), self.core.reactor.random());
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&high.to_be_bytes());
        bytes[8..].copy_from_slice(&low.to_be_bytes());
        // Version 4, variant 1 of RFC 9562: as Kafka's Uuid.randomUuid().
        bytes[6] = bytes[6] & 0x0f | 0x40;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        TopicId(bytes)
    }

    /// An id that no producer has had.
    pub async fn next_producer_id(&self) -> Result<ProducerId, ErrorCode> {
        loop {
            if let Some(id) = self.core.producer_ids.borrow_mut().next() {
                return Ok(id);
            }
            let reply = self.control(ControllerRequest::AllocateProducerIds).await;
            match reply.ok_or(ErrorCode::CoordinatorNotAvailable)?? {
                ControllerReply::AllocateProducerIds(block) => {
                    let block = block?;
                    // Another request may have fetched a block meanwhile; what is left of it is
                    // lost, which costs nothing but numbers.
                    *self.core.producer_ids.borrow_mut() = block.first..block.first + block.count;
                }
                other => panic!("AllocateProducerIds was answered with {other:?}"),
            }
        }
    }
}

fn created(reply: ControllerReply) -> Vec<CreateTopicResult> {
    match reply {
        ControllerReply::CreateTopics(results) => results,
        other => panic!("CreateTopics was answered with {other:?}"),
    }
}

//! One shard: what it owns, and its handle.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

use super::broken_promise::{Broken, BrokenPromise};
use super::controller_log::ControllerQueue;
use super::directories::Directories;
use super::error::ShardError;
use super::fetch::Woken;
use super::gauges::Probe;
use super::lifecycle::ServerStart;
use super::message::{self, Incoming, Message, Reply, Request, ServerEvent};
use super::peers::{Peers, ReturnAddress};
use super::plan::ShardPlan;
use super::published::Published;
use super::replica::Replica;
use super::watchers::Watchers;
use crate::batch::Decompressor;
use crate::config::{BrokerConfig, DynamicBrokerConfig, TopicConfig};
use crate::fetch_session::SessionCache;
use crate::io::{Notify, OneshotSender, Reactor, Semaphore};
use crate::log::{DamageReport, Landmarks, LogError, TailBudget};
use crate::metadata::MetadataImage;
use crate::metrics::ShardMetrics;
use crate::types::{
    ErrorCode, LeaderEpoch, NodeId, ProducerId, ShardId, TopicId, TopicIdPartition,
};

/// One core's part of the broker. Cheap to clone, stays on its shard.
#[derive(Clone)]
pub struct Shard {
    pub(super) core: Rc<Core>,
}

pub(super) struct Core {
    pub(super) reactor: Reactor,
    pub(super) config: Arc<BrokerConfig>,
    pub(super) broken: Broken,
    pub(super) landmarks: Landmarks,
    pub(super) peers: Peers,
    pub(super) metrics: ShardMetrics,
    /// Of all shards.
    pub(super) published: Published,
    /// Of this shard.
    pub(super) image: RefCell<Arc<MetadataImage>>,
    /// The broker's settings, with what the image says of them.
    pub(super) dynamic: RefCell<Arc<DynamicBrokerConfig>>,
    /// Of the topics in the image, resolved.
    pub(super) topic_configs: RefCell<BTreeMap<TopicId, Arc<TopicConfig>>>,
    pub(super) directories: RefCell<Directories>,
    /// Shared by all directories.
    pub(super) tail_budget: TailBudget,
    /// Partitions that were not found at the start, while a directory could not be looked into.
    pub(super) missing: RefCell<Arc<BTreeSet<TopicIdPartition>>>,
    /// The partitions that this shard owns.
    pub(super) replicas: RefCell<BTreeMap<TopicIdPartition, Rc<Replica>>>,
    /// Partitions of this shard whose log cannot be opened, or whose directory has failed: clients
    /// are told so.
    pub(super) offline: RefCell<BTreeSet<TopicIdPartition>>,
    /// Partitions whose log has come further since their machine last stepped.
    pub(super) progressed: RefCell<Vec<TopicIdPartition>>,
    pub(super) progress: Notify,
    /// Fetches of any shard that watch partitions of this one.
    pub(super) watchers: RefCell<Watchers>,
    /// Fetches of this shard that wait.
    pub(super) fetch_waits: RefCell<BTreeMap<u64, Rc<Woken>>>,
    pub(super) next_fetch: Cell<u64>,
    /// Of the connections of this shard.
    pub(super) fetch_sessions: RefCell<SessionCache>,
    /// Bytes that may be read from disk for clients at the same time.
    pub(super) cold_reads: Semaphore,
    pub(super) next_ticket: Cell<u64>,
    pub(super) producer_ids: RefCell<std::ops::Range<ProducerId>>,
    pub(super) decompressor: RefCell<Decompressor>,
    pub(super) server: RefCell<Option<ServerHandler>>,
    pub(super) probe: RefCell<Option<Probe>>,
    pub(super) server_start: RefCell<Option<ServerStart>>,
    pub(super) controller: RefCell<Option<ControllerQueue>>,
    /// On shard 0: the directories are open, until a clean stop.
    pub(super) is_open: Cell<bool>,
    pub(super) failure: RefCell<Option<ShardError>>,
    pub(super) has_ended: Cell<bool>,
    /// Something of the lifecycle changed: server started, failed, ended.
    pub(super) lifecycle: Notify,
}

/// Handles what happens on a shard for its server part.
pub(super) type ServerHandler = Rc<dyn Fn(ServerEvent)>;

/// A topic as requests see it.
#[derive(Clone)]
pub struct TopicView {
    pub topic_id: TopicId,
    pub partition_count: i32,
    pub config: Arc<TopicConfig>,
}

impl TopicView {
    pub fn has_partition(&self, partition: i32) -> bool {
        (0..self.partition_count).contains(&partition)
    }
}

/// Where an answer goes.
pub(super) enum ReplyTo {
    Here(OneshotSender<Reply>),
    There(ReturnAddress),
}

impl Shard {
    /// Joins the mesh with the other shards and begins to serve their requests.
    pub async fn join(reactor: &Reactor, plan: ShardPlan) -> Shard {
        reactor.keep_until_end(plan.locks);
        let mesh = plan.mesh.join(reactor).await;
        let metrics = ShardMetrics::new();
        let shard = Shard {
            core: Rc::new(Core {
                reactor: reactor.clone(),
                broken: plan.broken,
                landmarks: plan.landmarks,
                peers: Peers::new(mesh, metrics.clone()),
                metrics,
                published: plan.published,
                image: RefCell::new(Arc::new(MetadataImage::default())),
                dynamic: RefCell::new(Arc::new(DynamicBrokerConfig::new(Arc::clone(&plan.config)))),
                topic_configs: RefCell::new(BTreeMap::new()),
                directories: RefCell::default(),
                tail_budget: TailBudget::new(plan.config.shard_tail_cache_bytes),
                missing: RefCell::default(),
                replicas: RefCell::new(BTreeMap::new()),
                offline: RefCell::new(BTreeSet::new()),
                progressed: RefCell::new(Vec::new()),
                progress: Notify::new(),
                watchers: RefCell::new(Watchers::default()),
                fetch_waits: RefCell::new(BTreeMap::new()),
                next_fetch: Cell::new(0),
                fetch_sessions: RefCell::new(SessionCache::of_shard(
                    plan.config.max_incremental_fetch_session_cache_slots,
                    reactor.shard().index(),
                    reactor.shard_count(),
                )),
                cold_reads: Semaphore::new(super::fetch::COLD_READS_SIZE_MAX),
                next_ticket: Cell::new(0),
                producer_ids: RefCell::new(0..0),
                decompressor: RefCell::new(Decompressor::new()),
                server: RefCell::new(None),
                probe: RefCell::new(None),
                server_start: RefCell::new(None),
                controller: RefCell::new(None),
                is_open: Cell::new(false),
                failure: RefCell::new(None),
                has_ended: Cell::new(false),
                lifecycle: Notify::new(),
                config: plan.config,
            }),
        };
        let core = Rc::clone(&shard.core);
        reactor.spawn(receive_messages(Rc::clone(&core))).detach();
        reactor
            .spawn(super::produce::step_progressed(Rc::clone(&core)))
            .detach();
        reactor
            .spawn(super::producer_expiry::run(Rc::clone(&core)))
            .detach();
        reactor.spawn(super::produce::expire_waiters(core)).detach();
        shard
    }

    /// The metadata that all shards have made true, the same on each of them.
    pub fn image(&self) -> Arc<MetadataImage> {
        self.core.published.image()
    }

    /// The broker's settings by that metadata.
    pub fn broker_settings(&self) -> Arc<DynamicBrokerConfig> {
        self.core.published.settings()
    }

    pub fn metrics(&self) -> &ShardMetrics {
        &self.core.metrics
    }

    pub fn topic(&self, topic_id: TopicId) -> Option<TopicView> {
        let image = self.core.image.borrow();
        let topic = match self.core.breaks(BrokenPromise::ServesUnknownIds) {
            false => image.topic(topic_id)?,
            true => image.topic(topic_id).or_else(|| image.topics().next())?,
        };
        let topic_id = topic.topic_id;
        Some(TopicView {
            topic_id,
            partition_count: i32::try_from(topic.partitions.len()).ok()?,
            config: Arc::clone(self.core.topic_configs.borrow().get(&topic_id)?),
        })
    }

    pub fn topic_by_name(&self, name: &str) -> Option<TopicView> {
        let topic_id = self.core.image.borrow().topic_by_name(name)?.topic_id;
        self.topic(topic_id)
    }

    pub fn has_partition(&self, partition: TopicIdPartition) -> bool {
        self.core.image.borrow().partition(partition).is_some()
    }

    /// Who leads a partition, and under which epoch.
    pub fn leader_of(&self, partition: TopicIdPartition) -> Option<(NodeId, LeaderEpoch)> {
        let image = self.core.image.borrow();
        let partition = image.partition(partition)?;
        Some((partition.leader, partition.leader_epoch))
    }

    /// Epoch of the finalized features: grows with each broker registration, as does the log that
    /// holds both.
    pub fn finalized_features_epoch(&self) -> i64 {
        let image = self.core.image.borrow();
        image
            .broker(self.core.config.node_id)
            .map_or(0, |broker| broker.broker_epoch)
    }

    /// Lends the shard's decompressor, which keeps its state between batches.
    pub fn with_decompressor<T>(&self, use_it: impl FnOnce(&mut Decompressor) -> T) -> T {
        use_it(&mut self.core.decompressor.borrow_mut())
    }

    /// Gives a connection to a shard, this one included.
    pub fn hand_over(&self, to: ShardId, incoming: Incoming) {
        self.core.peers.tell(to, Message::Connection(incoming));
    }

    /// Registers who handles this shard's server events.
    pub fn on_server_event(&self, handler: ServerHandler) {
        *self.core.server.borrow_mut() = Some(handler);
        self.core.lifecycle.notify_all();
    }
}

impl Core {
    pub(super) fn shard_ids(&self) -> impl Iterator<Item = ShardId> + use<> {
        let count = u16::try_from(self.reactor.shard_count()).expect("shards fit a ShardId");
        (0..count).map(ShardId)
    }

    pub(super) fn owner(&self, partition: TopicIdPartition) -> ShardId {
        message::owner(partition, self.reactor.shard_count())
    }

    pub(super) fn replica(&self, partition: &TopicIdPartition) -> Option<Rc<Replica>> {
        self.replicas.borrow().get(partition).cloned()
    }

    /// The partition, or why this shard does not serve it.
    pub(super) fn serving(&self, partition: &TopicIdPartition) -> Result<Rc<Replica>, ErrorCode> {
        self.replica(partition).ok_or_else(|| {
            if self.offline.borrow().contains(partition) {
                ErrorCode::KafkaStorageError
            } else if self.image.borrow().partition(*partition).is_some() {
                ErrorCode::NotLeaderOrFollower
            } else {
                // It was deleted after the request had found it.
                ErrorCode::UnknownTopicOrPartition
            }
        })
    }

    /// Whether a simulation has this promise broken.
    pub(super) fn breaks(&self, promise: BrokenPromise) -> bool {
        self.broken.promise == Some(promise)
    }

    /// The same, for one time in so many.
    pub(super) fn breaks_one_in(&self, promise: BrokenPromise, count: u64) -> bool {
        self.breaks(promise) && self.reactor.random().is_multiple_of(count)
    }

    /// A read has failed, which the caller logs: a simulation compares damage with what it did.
    pub(super) fn report_unreadable(&self, error: &LogError) {
        if let LogError::Corrupt { path, position, .. } = error
            && !self.breaks(BrokenPromise::HidesDamage)
        {
            self.landmarks.report(|| DamageReport::Unreadable {
                file: path.clone(),
                position: *position,
            });
        }
    }

    pub(super) fn ticket(&self) -> u64 {
        let ticket = self.next_ticket.get();
        self.next_ticket.set(ticket + 1);
        ticket
    }

    pub(super) fn answer(&self, to: ReplyTo, reply: Reply) {
        match to {
            ReplyTo::Here(sender) => sender.send(reply),
            ReplyTo::There(address) => self.peers.answer(address, reply),
        }
    }

    /// Notes a failure that ends the broker; the first one counts.
    pub(super) fn fail(&self, error: ShardError) {
        self.failure.borrow_mut().get_or_insert(error);
        self.lifecycle.notify_all();
    }
}

async fn receive_messages(core: Rc<Core>) {
    loop {
        let (from, message) = core.peers.receive().await;
        match message {
            Message::Request { call, request } => {
                handle(
                    &core,
                    ReplyTo::There(ReturnAddress { shard: from, call }),
                    from,
                    request,
                );
            }
            Message::Reply { call, reply } => core.peers.answered(call, reply),
            Message::Wake { fetch } => {
                let waiting = core.fetch_waits.borrow().get(&fetch).cloned();
                if let Some(waiting) = waiting {
                    waiting.wake(from);
                }
            }
            Message::Unwatch { fetch } => {
                let watcher = super::watchers::Watcher { shard: from, fetch };
                core.watchers.borrow_mut().forget(&watcher);
            }
            Message::Connection(incoming) => {
                let server = core.server.borrow().clone();
                let server = server.expect("shard 0 accepts when every shard serves");
                server(ServerEvent::Connection(incoming));
            }
            Message::DirectoryFailed => core.notice_failed_directories(),
            Message::End => {
                core.has_ended.set(true);
                core.lifecycle.notify_all();
                return;
            }
        }
    }
}

/// Starts a request on the shard that it was sent to.
pub(super) fn handle(core: &Rc<Core>, to: ReplyTo, from: ShardId, request: Request) {
    match request {
        Request::Produce {
            items,
            acks,
            timeout,
            clock,
        } => {
            super::produce::start(core, to, items, (acks, timeout), clock);
        }
        Request::Fetch {
            items,
            limits,
            watch,
        } => {
            super::fetch::start(core, to, items, limits, watch.map(|fetch| (from, fetch)));
        }
        Request::GiveFetchSession { id } => super::fetch_sessions::give(core, to, id),
        Request::ReadRanges { items } => super::ranges::start(core, to, items),
        Request::ListOffsets { items } => super::list_offsets::start(core, to, items),
        Request::LogSizes { asked } => super::describe::log_sizes(core, to, asked.as_deref()),
        Request::Producers { partitions } => super::describe::producers(core, to, &partitions),
        Request::DeleteRecords { items } => super::delete_records::start(core, to, items),
        Request::EpochEnds { items } => super::leader_epochs::start(core, to, items),
        Request::Controller(request) => super::controller_log::enqueue(core, to, request),
        other => super::lifecycle::start(core, to, other),
    }
}

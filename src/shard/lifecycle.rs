//! Start and stop: shard 0 leads, the others follow its requests.

use std::rc::Rc;
use std::sync::Arc;

use super::controller_log::ControllerDriver;
use super::core::{Core, ReplyTo, Shard};
use super::error::ShardError;
use super::message::{Message, Reply, Request, ServerEvent};
use super::metadata_log::MetadataLog;
use super::retention;
use super::startup::{self, PreparedDirectory};
use crate::config::BrokerConfig;
use crate::controller::{Controller, ControllerReply, ControllerRequest, bootstrap_records};
use crate::io::{OneshotReceiver, Reactor, oneshot};
use crate::log::{CheckpointEntry, DirectoryOptions, LogDirectory, TailBudget};
use crate::metadata::{Endpoint, RegisterBroker};
use crate::metrics::Snapshot;

/// Bytes of log writes that one shard may have in flight.
const WRITE_BYTES_IN_FLIGHT_MAX: usize = 16 << 20;

/// Bytes of zeros that one shard may have ahead of its appenders.
const ZERO_AHEAD_BYTES_MAX: u64 = 256 << 20;

/// How often the checkpoint files of the directory are written (Kafka's
/// `log.flush.offset.checkpoint.interval.ms` is 60 s; ours also hold less per log).
const CHECKPOINT_INTERVAL: std::time::Duration = std::time::Duration::from_secs(60);

/// What shard 0 opened.
pub struct Opened {
    pub cluster_id: Arc<str>,
    pub partition_count: usize,
    /// What an operator should know of the disk, a line each.
    pub disk: Vec<String>,
}

/// What a shard needs to serve clients.
#[derive(Clone)]
pub struct ServerStart {
    pub cluster_id: Arc<str>,
    /// What clients are told, for each listener; `None` for one that is not advertised.
    pub endpoints: Arc<[Option<Endpoint>]>,
}

impl Shard {
    /// Formats the configured log directory if it is empty, without starting anything. The cluster
    /// id, and whether the directory had been formatted before.
    pub async fn format(
        reactor: &Reactor,
        config: &BrokerConfig,
    ) -> Result<(String, bool), ShardError> {
        startup::format(reactor, config).await
    }

    /// On shard 0: prepares the log directory, replays the metadata, lets every shard open and
    /// recover its partitions, and starts the controller. `endpoints` are those that clients are
    /// told.
    pub async fn open_all(&self, endpoints: Vec<Endpoint>) -> Result<Opened, ShardError> {
        let opened = self.try_open_all(endpoints).await;
        let directory = self.core.directory.borrow().clone();
        if let (Err(_), Some(directory)) = (&opened, directory) {
            directory.failure_noted().await;
        }
        opened
    }

    async fn try_open_all(&self, endpoints: Vec<Endpoint>) -> Result<Opened, ShardError> {
        let core = &self.core;
        let prepared = startup::prepare(&core.reactor, &core.config).await?;
        let disk = startup::describe(&prepared.facts);
        let cluster_id = Arc::from(prepared.cluster_id.as_str());
        if !prepared.was_stopped_cleanly {
            tracing::info!("no marker of a clean stop: logs are recovered from their checkpoints");
        }
        core.open_directory().await?;
        let log = MetadataLog::open(&core.log_directory()).await?;
        let mut controller = Controller::new(Arc::clone(&core.config));
        log.replay_into(&mut controller).await?;
        let mut driver = ControllerDriver::new(Rc::clone(core), controller, log);
        register(core, &mut driver, endpoints).await?;
        let image = Arc::new(driver.controller().image().clone());
        core.sweep_directory(&image).await?;
        let partition_count = open_on_all_shards(core, image).await?;
        core.reactor.spawn(driver.run()).detach();
        core.reactor
            .spawn(write_checkpoints(Rc::clone(core)))
            .detach();
        core.reactor.spawn(retention::run(Rc::clone(core))).detach();
        *core.prepared.borrow_mut() = Some(prepared);
        Ok(Opened {
            cluster_id,
            partition_count,
            disk,
        })
    }

    /// On shard 0: lets the other shards serve connections, and waits until they do.
    pub async fn start_servers(&self, start: &ServerStart) {
        let here = self.core.reactor.shard();
        let others = self.core.shard_ids().filter(|&shard| shard != here);
        let asked = others.map(|shard| self.core.ask(shard, Request::StartServer(start.clone())));
        for started in asked.collect::<Vec<_>>() {
            let _ = started.await;
        }
    }

    /// On the other shards: what to serve with; `None` when the broker ends before it serves.
    pub async fn wait_for_server_start(&self) -> Option<ServerStart> {
        loop {
            let changed = self.core.lifecycle.notified();
            if let Some(start) = self.core.server_start.borrow().clone() {
                return Some(start);
            }
            if self.core.has_ended.get() {
                return None;
            }
            changed.await;
        }
    }

    /// Completes when something failed that ends the broker.
    pub async fn failed(&self) {
        loop {
            let changed = self.core.lifecycle.notified();
            if self.core.failure.borrow().is_some() {
                return;
            }
            changed.await;
        }
    }

    /// Completes when shard 0 has told this shard to end.
    pub async fn ended(&self) {
        loop {
            let changed = self.core.lifecycle.notified();
            if self.core.has_ended.get() {
                return;
            }
            changed.await;
        }
    }

    /// On shard 0: every connection answers what it has read, and ends.
    pub async fn drain_connections(&self) {
        for reply in self.core.ask_all(|| Request::DrainConnections) {
            let _ = reply.await;
        }
    }

    /// On shard 0: a clean stop of all logs; the marker if nothing had failed.
    pub async fn close(&self) -> Result<(), ShardError> {
        let core = &self.core;
        let mut entries = Vec::new();
        let mut failure = core.failure.borrow().clone();
        for reply in core.ask_all(|| Request::StopLogs) {
            match reply.await {
                Some(Reply::Stopped(Ok(of_shard))) => entries.extend(of_shard),
                Some(Reply::Stopped(Err(error))) => failure = failure.or(Some(error)),
                _ => failure = failure.or(Some(ShardError::Stopped)),
            }
        }
        if let Some(error) = failure {
            return Err(error);
        }
        let Some(prepared) = core.prepared.borrow_mut().take() else {
            return Ok(());
        };
        let directory = core.log_directory();
        directory
            .write_checkpoints(&entries)
            .await
            .map_err(storage)?;
        startup::write_marker(&core.reactor.disk(), &prepared.path).await
    }

    /// On shard 0: the last message to every shard.
    pub async fn end_all(&self) {
        for shard in self.core.shard_ids() {
            self.core.peers.tell(shard, Message::End);
        }
        self.ended().await;
    }

    /// The metrics of each shard, in their order. `None` when the broker stops.
    pub async fn metrics_by_shard(&self) -> Option<Vec<Snapshot>> {
        let asked = self.core.ask_all(|| Request::Metrics);
        let mut shards = Vec::with_capacity(asked.len());
        for reply in asked {
            match reply.await {
                Some(Reply::Metrics(snapshot)) => shards.push(*snapshot),
                _ => return None,
            }
        }
        Some(shards)
    }
}

impl Core {
    /// Writes the directory's checkpoint files from what all shards say; `false` when the broker
    /// stops.
    pub(super) async fn write_checkpoint_files(self: &Rc<Core>) -> bool {
        let mut entries: Vec<CheckpointEntry> = Vec::new();
        for reply in self.ask_all(|| Request::CheckpointEntries) {
            if let Some(Reply::CheckpointEntries(of_shard)) = reply.await {
                entries.extend(of_shard);
            }
        }
        if self.prepared.borrow().is_none() {
            return false;
        }
        if let Err(error) = self.log_directory().write_checkpoints(&entries).await {
            tracing::error!(%error, "the checkpoint files could not be written");
        }
        true
    }

    pub(super) fn ask_all(
        self: &Rc<Core>,
        request: impl Fn() -> Request,
    ) -> Vec<OneshotReceiver<Reply>> {
        self.shard_ids()
            .map(|shard| self.ask(shard, request()))
            .collect()
    }

    /// The log directory has failed on this shard.
    fn tell_failed_directory(&self) {
        for shard in self.shard_ids() {
            self.peers.tell(shard, Message::DirectoryFailed);
        }
    }

    /// A log directory has failed on some shard.
    pub(super) fn notice_failed_directories(&self) {
        let directory = self.directory.borrow().clone();
        if let Some(directory) = directory {
            directory.notice_failure();
        }
    }

    /// Opens the log directory on this shard, once.
    async fn open_directory(self: &Rc<Core>) -> Result<(), ShardError> {
        if self.directory.borrow().is_some() {
            return Ok(());
        }
        let path = self.config.log_dirs[0].clone();
        let failed = Rc::downgrade(self);
        let tail_budget = TailBudget::new(self.config.shard_tail_cache_bytes);
        let options = DirectoryOptions {
            write_bytes_in_flight_max: WRITE_BYTES_IN_FLIGHT_MAX,
            zero_ahead_bytes_max: ZERO_AHEAD_BYTES_MAX,
            metrics: self.metrics.clone(),
            delete_delay: self.config.log_segment_delete_delay,
            broken_rule: self.broken_rule,
            landmarks: self.landmarks.clone(),
            fault: self.fault.clone(),
            on_failure: Rc::new(move || {
                if let Some(core) = failed.upgrade() {
                    core.tell_failed_directory();
                }
            }),
            ..DirectoryOptions::new(path, tail_budget)
        };
        let opened = LogDirectory::open(&self.reactor, options)
            .await
            .map_err(storage)?;
        *self.directory.borrow_mut() = Some(opened);
        Ok(())
    }
}

fn storage(error: crate::log::LogError) -> ShardError {
    ShardError::Storage(error.to_string())
}

/// This process's registration: it bumps the leader epochs, so that what an earlier process
/// appended is told from what this one will.
async fn register(
    core: &Rc<Core>,
    driver: &mut ControllerDriver,
    endpoints: Vec<Endpoint>,
) -> Result<(), ShardError> {
    if driver.end_offset() == 0 {
        driver.commit(&bootstrap_records()).await?;
    }
    let mut incarnation_id = [0; 16];
    incarnation_id[..8].copy_from_slice(&core.reactor.random().to_be_bytes());
    incarnation_id[8..].copy_from_slice(&core.reactor.random().to_be_bytes());
    let request = ControllerRequest::RegisterBroker(RegisterBroker {
        node_id: core.config.node_id,
        incarnation_id,
        broker_epoch: driver.end_offset(),
        endpoints,
        rack: None,
    });
    let outcome = driver.controller().handle(core.reactor.now(), request);
    if outcome.reply != ControllerReply::RegisterBroker(Ok(())) {
        return Err(ShardError::Metadata(
            "the broker's registration was refused".to_owned(),
        ));
    }
    driver.commit(&outcome.records).await.map(|_| ())
}

async fn open_on_all_shards(
    core: &Rc<Core>,
    image: Arc<crate::metadata::MetadataImage>,
) -> Result<usize, ShardError> {
    let mut count = 0;
    for reply in core.ask_all(|| Request::OpenLogs {
        image: Arc::clone(&image),
    }) {
        match reply.await {
            Some(Reply::Opened(opened)) => count += opened?,
            _ => return Err(ShardError::Stopped),
        }
    }
    Ok(count)
}

/// Shard 0 writes the directory's checkpoint files from what all shards say.
async fn write_checkpoints(core: Rc<Core>) {
    loop {
        core.reactor.sleep(CHECKPOINT_INTERVAL).await;
        if !core.write_checkpoint_files().await {
            return;
        }
    }
}

/// Starts a request of the lifecycle on the shard that it was sent to.
pub(super) fn start(core: &Rc<Core>, to: ReplyTo, request: Request) {
    let serving = Rc::clone(core);
    let serve = async move {
        let reply = match request {
            Request::OpenLogs { image } => Reply::Opened(match serving.open_directory().await {
                Ok(()) => serving.open_logs(image).await,
                Err(error) => Err(error),
            }),
            Request::ApplyImage { image, delta } => {
                Reply::Applied(serving.apply_image(image, &delta).await)
            }
            Request::StartServer(start) => {
                start_server(&serving, start).await;
                Reply::ServerStarted
            }
            Request::DrainConnections => {
                drain(&serving).await;
                Reply::Drained
            }
            Request::CheckpointEntries => Reply::CheckpointEntries(entries(&serving)),
            Request::ApplyRetention => Reply::RetentionApplied(retention::apply(&serving).await),
            Request::DropOldSegments => {
                retention::drop_old_segments(&serving).await;
                Reply::OldSegmentsDropped
            }
            Request::StopLogs => Reply::Stopped(stop_logs(&serving).await),
            Request::Metrics => {
                serving.set_gauges();
                Reply::Metrics(Box::new(serving.metrics.snapshot()))
            }
            Request::Produce { .. }
            | Request::Fetch { .. }
            | Request::ReadRanges { .. }
            | Request::ListOffsets { .. }
            | Request::Controller(_) => panic!("a request that is served elsewhere"),
        };
        serving.answer(to, reply);
    };
    core.reactor.spawn(serve).detach();
}

/// Lets this shard's server part start, and waits until it takes connections.
async fn start_server(core: &Core, start: ServerStart) {
    *core.server_start.borrow_mut() = Some(start);
    core.lifecycle.notify_all();
    loop {
        let changed = core.lifecycle.notified();
        if core.server.borrow().is_some() || core.has_ended.get() {
            return;
        }
        changed.await;
    }
}

async fn drain(core: &Core) {
    let server = core.server.borrow().clone();
    let Some(server) = server else { return };
    let (done, drained) = oneshot();
    server(ServerEvent::Drain(done));
    let _ = drained.await;
}

fn entries(core: &Core) -> Vec<CheckpointEntry> {
    let directory = core.directory.borrow();
    directory
        .as_ref()
        .map(LogDirectory::checkpoint_entries)
        .unwrap_or_default()
}

async fn stop_logs(core: &Core) -> Result<Vec<CheckpointEntry>, ShardError> {
    let directory = core.directory.borrow().clone();
    let Some(directory) = directory else {
        return Ok(Vec::new());
    };
    directory.stop().await.map_err(storage)?;
    Ok(directory.checkpoint_entries())
}

/// Keeps the directory's lock for as long as the broker runs.
pub(super) type Prepared = std::cell::RefCell<Option<PreparedDirectory>>;

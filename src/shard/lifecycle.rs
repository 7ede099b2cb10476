//! Start and stop: shard 0 leads, the others follow its requests.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

use super::controller_log::ControllerDriver;
use super::core::{Core, ReplyTo, Shard};
use super::directories::{DirectoryPlan, LogDirState, storage};
use super::error::ShardError;
use super::message::{EntriesByDirectory, Message, Reply, Request, ServerEvent};
use super::metadata_log::MetadataLog;
use super::plan::ShardPlan;
use super::retention;
use super::startup::{self, DirectoryLocks, Purpose};
use super::verification;
use crate::config::BrokerConfig;
use crate::controller::{
    Controller, ControllerReply, ControllerRequest, RECORDS_PER_REQUEST_MAX, bootstrap_records,
};
use crate::io::{OneshotReceiver, Reactor, oneshot};
use crate::metadata::{Endpoint, MetadataImage, RegisterBroker};
use crate::metrics::Snapshot;
use crate::types::TopicIdPartition;

/// How often the checkpoint files of the directories are written (Kafka's
/// `log.flush.offset.checkpoint.interval.ms` is 60 s; ours also hold less per log).
const CHECKPOINT_INTERVAL: std::time::Duration = std::time::Duration::from_secs(60);

/// What shard 0 opened.
pub struct Opened {
    pub cluster_id: Arc<str>,
    pub partition_count: usize,
    pub log_dirs: Vec<LogDirState>,
    /// What an operator should know of the disks, a line each.
    pub disk: Vec<String>,
}

/// What was formatted.
pub struct Formatted {
    pub cluster_id: String,
    /// In the order of `log.dirs`, and whether each had been formatted before.
    pub directories: Vec<(PathBuf, bool)>,
}

/// What a shard needs to serve clients.
#[derive(Clone)]
pub struct ServerStart {
    pub cluster_id: Arc<str>,
    /// What clients are told, for each listener; `None` for one that is not advertised.
    pub endpoints: Arc<[Option<Endpoint>]>,
}

impl Shard {
    /// Formats the configured log directories that are empty, without starting anything.
    pub async fn format(reactor: &Reactor, config: &BrokerConfig) -> Result<Formatted, ShardError> {
        let locks = DirectoryLocks::default();
        let claimed = startup::claim(reactor, config, Purpose::Format, &locks).await?;
        let mut directories = Vec::new();
        for (directory, was_there) in claimed.directories.iter().zip(claimed.were_formatted) {
            if let Some(reason) = &directory.refused {
                return Err(ShardError::Directory(reason.clone()));
            }
            directories.push((directory.path.clone(), was_there));
        }
        Ok(Formatted {
            cluster_id: claimed.cluster_id,
            directories,
        })
    }

    /// On shard 0: prepares the log directories, replays the metadata, lets every shard open and
    /// recover its partitions, and starts the controller. `endpoints` are those that clients are
    /// told, `plan` the one that this shard has joined with.
    pub async fn open_all(
        &self,
        endpoints: Vec<Endpoint>,
        plan: &ShardPlan,
    ) -> Result<Opened, ShardError> {
        let opened = self.try_open_all(endpoints, &plan.locks).await;
        if opened.is_err() {
            self.core.failures_noted().await;
        }
        opened
    }

    async fn try_open_all(
        &self,
        endpoints: Vec<Endpoint>,
        locks: &DirectoryLocks,
    ) -> Result<Opened, ShardError> {
        let core = &self.core;
        let prepared = startup::prepare(&core.reactor, &core.config, locks).await?;
        let cluster_id = Arc::from(prepared.cluster_id.as_str());
        let mut disk = Vec::new();
        let directories = prepared.directories.iter();
        for (directory, &was_formatted) in directories.zip(&prepared.were_formatted) {
            disk.extend(startup::describe(directory, prepared.directories.len() > 1));
            let is_used = was_formatted && directory.refused.is_none();
            if is_used && !directory.was_stopped_cleanly {
                tracing::info!(
                    directory = %directory.path.display(),
                    "no marker of a clean stop: logs are recovered from their checkpoints"
                );
            }
        }
        let directories = core.open_prepared(&prepared.directories).await?;
        let log = MetadataLog::open(&core.metadata_directory()).await?;
        let mut controller = Controller::new(Arc::clone(&core.config));
        log.replay_into(&mut controller).await?;
        let mut driver = ControllerDriver::new(Rc::clone(core), controller, log);
        register(core, &mut driver, endpoints).await?;
        let missing = place(core, &mut driver).await?;
        let image = Arc::new(driver.controller().image().clone());
        let to_open = Arc::clone(&image);
        let partition_count = open_on_all_shards(core, to_open, directories, missing).await?;
        core.publish(image);
        core.reactor.spawn(driver.run()).detach();
        core.reactor
            .spawn(write_checkpoints(Rc::clone(core)))
            .detach();
        core.reactor.spawn(retention::run(Rc::clone(core))).detach();
        core.is_open.set(true);
        Ok(Opened {
            cluster_id,
            partition_count,
            log_dirs: self.log_dirs().await,
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

    /// On shard 0: a clean stop of all logs; the markers if nothing had failed. One of several
    /// directories that has failed goes without.
    pub async fn close(&self) -> Result<(), ShardError> {
        let core = &self.core;
        let mut entries = EntriesByDirectory::new();
        let mut failure = core.failure.borrow().clone();
        for reply in core.ask_all(|| Request::StopLogs) {
            match reply.await {
                Some(Reply::Stopped(Ok(of_shard))) => merge(&mut entries, of_shard),
                Some(Reply::Stopped(Err(error))) => failure = failure.or(Some(error)),
                _ => failure = failure.or(Some(ShardError::Stopped)),
            }
        }
        if let Some(error) = failure {
            return Err(error);
        }
        if !core.is_open.take() {
            return Ok(());
        }
        for (index, directory) in core.opened_directories() {
            if directory.has_failed() && core.has_several_directories() {
                let path = directory.path().display();
                tracing::warn!(%path, "this log directory has failed and was not stopped cleanly");
                continue;
            }
            let entries = entries.remove(&index).unwrap_or_default();
            let written = directory.write_checkpoints(&entries).await;
            written.map_err(storage)?;
            startup::write_marker(&core.reactor.disk(), directory.path()).await?;
        }
        Ok(())
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
    /// Writes the directories' checkpoint files from what all shards say; `false` when the broker
    /// stops.
    pub(super) async fn write_checkpoint_files(self: &Rc<Core>) -> bool {
        let mut entries = EntriesByDirectory::new();
        for reply in self.ask_all(|| Request::CheckpointEntries) {
            if let Some(Reply::CheckpointEntries(of_shard)) = reply.await {
                merge(&mut entries, of_shard);
            }
        }
        if !self.is_open.get() {
            return false;
        }
        for (index, directory) in self.opened_directories() {
            if directory.has_failed() {
                continue;
            }
            let entries = entries.remove(&index).unwrap_or_default();
            if let Err(error) = directory.write_checkpoints(&entries).await {
                tracing::error!(%error, "the checkpoint files could not be written");
            }
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
}

fn merge(all: &mut EntriesByDirectory, of_shard: EntriesByDirectory) {
    for (index, entries) in of_shard {
        all.entry(index).or_default().extend(entries);
    }
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
    let now = core.reactor.now();
    let outcome = driver.controller().handle(now, &[], request);
    if outcome.reply != ControllerReply::RegisterBroker(Ok(())) {
        return Err(ShardError::Metadata(
            "the broker's registration was refused".to_owned(),
        ));
    }
    driver.commit(&outcome.records).await.map(|_| ())
}

/// Finds out where the partitions are and records what the metadata has elsewhere; gives those that
/// may be in a directory that nobody can look into.
async fn place(
    core: &Rc<Core>,
    driver: &mut ControllerDriver,
) -> Result<Arc<BTreeSet<TopicIdPartition>>, ShardError> {
    let image = driver.controller().image().clone();
    let node_id = core.config.node_id;
    let survey = core.survey_directories(&image).await?;
    let online = core.online_directories();
    let Some((first, _)) = online.first() else {
        return Err(ShardError::Stopped);
    };
    let moved = survey.moved(&image, node_id, *first);
    for some in moved.chunks(RECORDS_PER_REQUEST_MAX) {
        let request = ControllerRequest::AssignDirectories(some.to_vec());
        let now = core.reactor.now();
        let outcome = driver.controller().handle(now, &[], request);
        driver.commit(&outcome.records).await?;
        tracing::info!(
            partitions = some.len(),
            "recorded in which log directory they are"
        );
    }
    Ok(match core.misses_directories() {
        true => Arc::new(survey.missing(&image, node_id)),
        false => Arc::default(),
    })
}

async fn open_on_all_shards(
    core: &Rc<Core>,
    image: Arc<MetadataImage>,
    directories: Arc<[DirectoryPlan]>,
    missing: Arc<BTreeSet<TopicIdPartition>>,
) -> Result<usize, ShardError> {
    let mut count = 0;
    for reply in core.ask_all(|| Request::OpenLogs {
        image: Arc::clone(&image),
        directories: Arc::clone(&directories),
        missing: Arc::clone(&missing),
    }) {
        match reply.await {
            Some(Reply::Opened(opened)) => count += opened?,
            _ => return Err(ShardError::Stopped),
        }
    }
    Ok(count)
}

/// Shard 0 writes the directories' checkpoint files from what all shards say.
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
            Request::OpenLogs {
                image,
                directories,
                missing,
            } => Reply::Opened(match serving.open_directories(&directories).await {
                Ok(()) => {
                    *serving.missing.borrow_mut() = missing;
                    let opened = serving.open_logs(image).await;
                    let verifying = verification::run(Rc::clone(&serving));
                    serving.reactor.spawn(verifying).detach();
                    opened
                }
                Err(error) => Err(error),
            }),
            Request::ApplyImage { image, delta } => {
                Reply::Applied(serving.apply_image(image, &delta).await)
            }
            Request::SettleImage { image, delta } => {
                serving.settle_image(&image, &delta).await;
                Reply::Settled
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
            | Request::LogSizes { .. }
            | Request::Producers { .. }
            | Request::GiveFetchSession { .. }
            | Request::DeleteRecords { .. }
            | Request::EpochEnds { .. }
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

fn entries(core: &Core) -> EntriesByDirectory {
    let opened = core.opened_directories().into_iter();
    opened
        .map(|(index, directory)| (index, directory.checkpoint_entries()))
        .collect()
}

/// One of several directories that has failed has nothing to say any more.
async fn stop_logs(core: &Core) -> Result<EntriesByDirectory, ShardError> {
    let mut entries = EntriesByDirectory::new();
    let mut failure = None;
    for (index, directory) in core.opened_directories() {
        match directory.stop().await {
            Ok(()) => {
                entries.insert(index, directory.checkpoint_entries());
            }
            Err(_) if directory.has_failed() && core.can_do_without(&directory) => {}
            Err(error) => failure = failure.or(Some(storage(error))),
        }
    }
    failure.map_or(Ok(entries), Err)
}

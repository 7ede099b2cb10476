//! The log directories of the broker as one shard has them: which there are, which of them work,
//! and what happens when one fails.
//!
//! Shard 0 decides at the start which can be used, and gives all shards the same plan; each opens
//! them for itself. What fails later is in each one's [`DirectoryFault`], which is one place in
//! memory for all shards.
//!
//! # Non-obvious
//! - With several directories the partitions of a failed one are gone, as Kafka's are. The broker
//!   ends when the first, which has the metadata, fails; so it does with its only one.
//! - One that is full takes nothing more, which is all: its partitions are read on, and while the
//!   metadata's is full topics stay as they are.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

use super::broken_promise::BrokenPromise;
use super::core::{Core, Shard};
use super::error::ShardError;
use super::message::Message;
use super::replica::Replica;
use super::startup::PreparedDirectory;
use crate::controller::DirectorySpace;
use crate::log::{
    DirectoryFault, DirectoryOptions, DirectoryState, Landmark, LogDirectory, LogError,
};
use crate::metadata::PartitionImage;
use crate::types::{DirectoryId, ShardId};

/// The place in `log.dirs` of the one with the metadata log.
pub(super) const METADATA_DIRECTORY: usize = 0;

/// Bytes of log writes that one shard may have in flight, in each directory: enough to keep a fast
/// disk busy. The disk serves in order, so that more of them would only wait there, in front of
/// what others wait for.
const WRITE_BYTES_IN_FLIGHT_MAX: usize = 4 << 20;

/// Bytes of zeros that one shard may have ahead of its appenders, in each directory.
const ZERO_AHEAD_BYTES_MAX: u64 = 256 << 20;

/// An entry of `log.dirs`, the same on all shards.
#[derive(Clone)]
pub(super) struct DirectoryPlan {
    pub(super) path: PathBuf,
    /// `None`: it could not be read.
    pub(super) directory_id: Option<DirectoryId>,
    pub(super) fault: DirectoryFault,
    /// Why it could not be used at the start.
    pub(super) refused: Option<String>,
}

impl DirectoryPlan {
    fn is_online(&self) -> bool {
        self.refused.is_none() && !self.fault.has_failed()
    }

    /// Whether its partitions can be read.
    fn can_be_read(&self) -> bool {
        self.refused.is_none() && self.fault.state() != DirectoryState::Lost
    }

    fn offline_reason(&self) -> Option<String> {
        let failure = || Some(self.fault.failure()?.to_string());
        self.refused.clone().or_else(failure)
    }
}

/// A shard's log directories, in the order of `log.dirs`. Empty until they are opened.
#[derive(Default)]
pub(super) struct Directories {
    plans: Vec<DirectoryPlan>,
    /// `None`: offline since the start.
    open: Vec<Option<LogDirectory>>,
}

/// What an operator sees of a log directory.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogDirState {
    pub path: PathBuf,
    /// `None`: it could not be read at the start.
    pub directory_id: Option<DirectoryId>,
    /// Why, if it is offline.
    pub offline: Option<String>,
    /// Of its file system; 0 when it is offline.
    pub free_bytes: u64,
    pub total_bytes: u64,
}

impl Core {
    /// Whether `log.dirs` names more than one.
    pub(super) fn has_several_directories(&self) -> bool {
        self.config.log_dirs.len() > 1
    }

    /// All that were opened, those that have failed since too, each with its place in `log.dirs`.
    pub(super) fn opened_directories(&self) -> Vec<(usize, LogDirectory)> {
        let directories = self.directories.borrow();
        let opened = directories.open.iter().enumerate();
        opened
            .filter_map(|(index, directory)| Some((index, directory.clone()?)))
            .collect()
    }

    /// Those that work, with their ids.
    pub(super) fn online_directories(&self) -> Vec<(DirectoryId, LogDirectory)> {
        let directories = self.directories.borrow();
        let both = directories.plans.iter().zip(&directories.open);
        both.filter(|(plan, _)| plan.is_online())
            .filter_map(|(plan, open)| Some((plan.directory_id?, open.clone()?)))
            .collect()
    }

    /// Whether one of `log.dirs` is offline.
    pub(super) fn misses_directories(&self) -> bool {
        let directories = self.directories.borrow();
        directories.plans.iter().any(|plan| !plan.is_online())
    }

    /// The directory with the metadata log, once it is open.
    pub(super) fn metadata_directory(&self) -> LogDirectory {
        let directories = self.directories.borrow();
        let first = directories.open.get(METADATA_DIRECTORY).cloned().flatten();
        first.expect("without the metadata's directory there is no broker")
    }

    /// Whether the broker goes on when this directory fails.
    pub(super) fn can_do_without(&self, directory: &LogDirectory) -> bool {
        self.config.log_dirs[METADATA_DIRECTORY] != directory.path()
    }

    /// The directory of an id, if it works.
    pub(super) fn log_directory(&self, id: DirectoryId) -> Option<LogDirectory> {
        let mut online = self.online_directories().into_iter();
        online
            .find(|(known, _)| *known == id)
            .map(|(_, directory)| directory)
    }

    /// On shard 0, first of all shards: opens what was prepared, and says what all shards are to
    /// open. A directory that cannot be opened is offline, unless it is the metadata's.
    pub(super) async fn open_prepared(
        self: &Rc<Core>,
        prepared: &[PreparedDirectory],
    ) -> Result<Arc<[DirectoryPlan]>, ShardError> {
        let mut by_device: BTreeMap<u64, DirectoryFault> = BTreeMap::new();
        let mut directories = Directories::default();
        for (index, prepared) in prepared.iter().enumerate() {
            let device = prepared.facts.as_ref().map(|facts| facts.device);
            let fault = device.map_or_else(DirectoryFault::default, |device| {
                by_device.entry(device).or_default().of_neighbour()
            });
            let mut plan = DirectoryPlan {
                path: prepared.path.clone(),
                directory_id: prepared.directory_id,
                fault,
                refused: prepared.refused.clone(),
            };
            let mut open = None;
            if plan.refused.is_none() {
                match self.open_directory(&plan).await {
                    Ok(opened) => open = Some(opened),
                    Err(error) if index == METADATA_DIRECTORY => return Err(storage(error)),
                    Err(error) => plan.refused = Some(error.to_string()),
                }
            }
            if let Some(reason) = &plan.refused {
                tracing::error!(directory = %plan.path.display(), reason,
                    "this log directory is offline; its partitions are not served");
            }
            directories.plans.push(plan);
            directories.open.push(open);
        }
        let plans = directories.plans.clone().into();
        *self.directories.borrow_mut() = directories;
        Ok(plans)
    }

    /// Opens the directories on this shard, once.
    pub(super) async fn open_directories(
        self: &Rc<Core>,
        plans: &[DirectoryPlan],
    ) -> Result<(), ShardError> {
        if !self.directories.borrow().plans.is_empty() {
            return Ok(());
        }
        let mut directories = Directories {
            plans: plans.to_vec(),
            open: Vec::new(),
        };
        for (index, plan) in plans.iter().enumerate() {
            let opened = match plan.is_online() {
                true => Some(self.open_directory(plan).await),
                false => None,
            };
            directories.open.push(match opened.transpose() {
                Ok(open) => open,
                Err(error) if index == METADATA_DIRECTORY => return Err(storage(error)),
                Err(error) => {
                    // Shard 0 could open it: what is wrong came up since.
                    let error = LogError::Io {
                        path: plan.path.clone(),
                        error: Rc::new(std::io::Error::other(error.to_string())),
                    };
                    plan.fault.report(&error);
                    None
                }
            });
        }
        *self.directories.borrow_mut() = directories;
        Ok(())
    }

    async fn open_directory(
        self: &Rc<Core>,
        plan: &DirectoryPlan,
    ) -> Result<LogDirectory, LogError> {
        let failed = Rc::downgrade(self);
        let options = DirectoryOptions {
            write_bytes_in_flight_max: WRITE_BYTES_IN_FLIGHT_MAX,
            zero_ahead_bytes_max: ZERO_AHEAD_BYTES_MAX,
            metrics: self.metrics.clone(),
            delete_delay: self.config.log_segment_delete_delay,
            broken_rule: self.broken.rule,
            landmarks: self
                .landmarks
                .silenced(self.breaks(BrokenPromise::HidesCuts)),
            fault: plan.fault.clone(),
            on_failure: Rc::new(move || {
                if let Some(core) = failed.upgrade() {
                    core.tell_failed_directory();
                }
            }),
            ..DirectoryOptions::new(plan.path.clone(), self.tail_budget.clone())
        };
        LogDirectory::open(&self.reactor, options).await
    }

    /// A log directory has failed on this shard: every shard looks.
    fn tell_failed_directory(&self) {
        for shard in self.shard_ids() {
            self.peers.tell(shard, Message::DirectoryFailed);
        }
    }

    /// A log directory has failed on some shard.
    pub(super) fn notice_failed_directories(&self) {
        for (_, directory) in self.opened_directories() {
            directory.notice_failure();
        }
        if self.has_several_directories() {
            let lost: Vec<_> = {
                let replicas = self.replicas.borrow();
                let lost = replicas.values().filter(|replica| replica.log().is_lost());
                lost.cloned().collect()
            };
            for replica in lost {
                self.take_offline(&replica);
            }
        }
        if self.reactor.shard() == ShardId(0)
            && let Some(error) = self.end_of_directories()
        {
            self.fail(error);
        }
    }

    /// Its directory has failed: clients are told so from now on.
    pub(super) fn take_offline(&self, replica: &Replica) {
        self.landmarks.reached(Landmark::PartitionLost);
        let partition = replica.partition();
        self.replicas.borrow_mut().remove(&partition);
        self.offline.borrow_mut().insert(partition);
        replica.log_progressed(self);
        self.wake_watchers(&partition);
    }

    /// Why the broker cannot go on with what is left of its directories.
    fn end_of_directories(&self) -> Option<ShardError> {
        let directories = self.directories.borrow();
        let metadata = directories.plans.get(METADATA_DIRECTORY)?;
        let reason = metadata.offline_reason()?;
        if metadata.can_be_read() {
            return None;
        }
        Some(ShardError::Storage(format!(
            "{reason}; the broker ends, for it keeps the metadata there"
        )))
    }

    /// What the controller chooses from for a new partition.
    pub(super) async fn directory_spaces(&self) -> Vec<DirectorySpace> {
        let mut spaces = Vec::new();
        for (directory_id, directory) in self.online_directories() {
            let free_bytes = match self.has_several_directories() {
                true => self.reactor.disk().facts(directory.path()).await,
                // There is nothing to choose.
                false => Ok(directory.facts().clone()),
            };
            match free_bytes {
                Ok(facts) => spaces.push(DirectorySpace {
                    directory_id,
                    free_bytes: facts.free_bytes,
                }),
                Err(error) => {
                    let path = directory.path().display();
                    tracing::warn!(%path, %error, "no new partitions go where nothing is known");
                }
            }
        }
        spaces
    }

    /// Waits until all failed flushes are noted on disk: before the process ends.
    pub(super) async fn failures_noted(&self) {
        for (_, directory) in self.opened_directories() {
            directory.failure_noted().await;
        }
    }
}

impl Shard {
    /// The log directories as they are now, in the order of `log.dirs`.
    pub async fn log_dirs(&self) -> Vec<LogDirState> {
        let plans = self.core.directories.borrow().plans.clone();
        let mut states = Vec::with_capacity(plans.len());
        for plan in plans {
            let offline = plan.offline_reason();
            let facts = match offline {
                None => self.core.reactor.disk().facts(&plan.path).await.ok(),
                Some(_) => None,
            };
            states.push(LogDirState {
                path: plan.path,
                directory_id: plan.directory_id,
                offline,
                free_bytes: facts.as_ref().map_or(0, |facts| facts.free_bytes),
                total_bytes: facts.as_ref().map_or(0, |facts| facts.total_bytes),
            });
        }
        states
    }

    /// Whether this node has a partition in a directory that is offline. With one directory never:
    /// the broker ends with it.
    pub fn has_lost(&self, partition: &PartitionImage) -> bool {
        let core = &self.core;
        let own = partition.directory_of(core.config.node_id);
        let directories = core.directories.borrow();
        let mut plans = directories.plans.iter();
        let plan = plans.find(|plan| plan.directory_id == Some(own));
        core.has_several_directories() && plan.is_none_or(|plan| !plan.can_be_read())
    }
}

pub(super) fn storage(error: LogError) -> ShardError {
    ShardError::Storage(error.to_string())
}

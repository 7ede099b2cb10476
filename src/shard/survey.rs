//! What lies in the log directories at a start: which partition is where, what is left of
//! deletions, and what the metadata does not know.
//!
//! A partition is where its directory is found, wherever the metadata has it: whoever stops the
//! broker may move one to another log directory.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::core::Core;
use super::directories::storage;
use super::error::ShardError;
use crate::io::DirEntry;
use crate::log::{FLUSH_FAILED_PREFIX, Landmark, LogDirectory, LogError};
use crate::log_state::decode_partition_metadata;
use crate::metadata::{CLUSTER_METADATA_TOPIC, MetadataImage};
use crate::types::{DirectoryId, TopicId, TopicIdPartition};

/// What the name of a directory ends with that a deletion has put aside.
const DELETED_SUFFIX: &str = "-delete";

/// What the name of a directory ends with that belongs to no partition (Kafka's name for it). It is
/// kept: whoever is sure may remove it.
const STRAY_SUFFIX: &str = "-stray";

const PARTITION_METADATA: &str = "partition.metadata";
const PARTITION_METADATA_SIZE_MAX: usize = 4096;

/// Where the partitions of this node are.
#[derive(Default)]
pub(super) struct Survey {
    found: BTreeMap<TopicIdPartition, (DirectoryId, PathBuf)>,
}

/// What ends the survey of a directory.
enum Trouble {
    /// Its disk.
    Disk(LogError),
    /// Somebody has to correct something first.
    Mistake(ShardError),
}

impl Survey {
    /// The partitions that are in another directory than the metadata has them, or that it has
    /// nowhere; what is nowhere at all is made in `first`.
    pub(super) fn moved(
        &self,
        image: &MetadataImage,
        node_id: i32,
        first: DirectoryId,
    ) -> Vec<(TopicIdPartition, DirectoryId)> {
        let mut moved = Vec::new();
        for (partition, recorded) in own_partitions(image, node_id) {
            let place = match self.found.get(&partition) {
                Some((found, _)) => *found,
                None if recorded == DirectoryId::UNASSIGNED => first,
                None => continue,
            };
            if place != recorded {
                moved.push((partition, place));
            }
        }
        moved
    }

    /// The partitions that were not found.
    pub(super) fn missing(
        &self,
        image: &MetadataImage,
        node_id: i32,
    ) -> BTreeSet<TopicIdPartition> {
        own_partitions(image, node_id)
            .map(|(partition, _)| partition)
            .filter(|partition| !self.found.contains_key(partition))
            .collect()
    }
}

/// The partitions of which a node has a replica, and where the metadata has that.
fn own_partitions(
    image: &MetadataImage,
    node_id: i32,
) -> impl Iterator<Item = (TopicIdPartition, DirectoryId)> {
    image.topics().flat_map(move |topic| {
        let partitions = topic.partitions.iter().zip(0..);
        let own = partitions.filter(move |(partition, _)| partition.replicas.contains(&node_id));
        own.map(move |(partition, index)| {
            let of = TopicIdPartition {
                topic_id: topic.topic_id,
                partition: index,
            };
            (of, partition.directory_of(node_id))
        })
    })
}

impl Core {
    /// On shard 0, before any log is opened: removes what deletions have put aside, puts aside what
    /// the metadata does not know, so that a new topic of the same name finds its place free, and
    /// says where the other partitions are. A directory that cannot be looked through is offline.
    pub(super) async fn survey_directories(
        self: &Rc<Core>,
        image: &MetadataImage,
    ) -> Result<Survey, ShardError> {
        let mut survey = Survey::default();
        let metadata_path = self.metadata_directory().path().to_owned();
        for (directory_id, directory) in self.online_directories() {
            let surveyed = self
                .survey_directory(directory_id, &directory, image, &mut survey)
                .await;
            match surveyed {
                Ok(()) => {}
                Err(Trouble::Mistake(error)) => return Err(error),
                Err(Trouble::Disk(error)) => {
                    directory.fail(&error);
                    if directory.path() == metadata_path {
                        return Err(storage(error));
                    }
                    survey.found.retain(|_, (found, _)| *found != directory_id);
                }
            }
        }
        Ok(survey)
    }

    async fn survey_directory(
        self: &Rc<Core>,
        directory_id: DirectoryId,
        directory: &LogDirectory,
        image: &MetadataImage,
        survey: &mut Survey,
    ) -> Result<(), Trouble> {
        let path = directory.path();
        let fail = |error: std::io::Error| failed(path, error);
        let disk = self.reactor.disk();
        let mut renamed = false;
        for entry in disk.list_dir(path).await.map_err(fail)? {
            let below = path.join(&entry.name);
            if is_old_note(&entry, directory) {
                disk.remove_file(&below).await.map_err(fail)?;
            }
            if !entry.is_dir || entry.name.ends_with(STRAY_SUFFIX) {
                continue;
            }
            if entry.name.ends_with(DELETED_SUFFIX) {
                self.landmarks.reached(Landmark::DeletionFinishedAtStart);
                directory.remove_leftover(below);
                continue;
            }
            let identified = self.identify(&below, &entry.name).await;
            let Some(partition) = identified.map_err(fail)? else {
                continue;
            };
            if image.partition(partition).is_some() {
                let found = (directory_id, below.clone());
                if let Some((_, other)) = survey.found.insert(partition, found) {
                    return Err(Trouble::Mistake(is_twice(&below, &other)));
                }
                continue;
            }
            let aside = path.join(format!(
                "{}.{}{STRAY_SUFFIX}",
                entry.name, partition.topic_id
            ));
            tracing::warn!(
                directory = %entry.name, aside = %aside.display(),
                "the metadata does not know this partition; its directory is put aside"
            );
            self.landmarks.reached(Landmark::StrayDirectory);
            disk.rename(&below, &aside).await.map_err(fail)?;
            renamed = true;
        }
        if renamed {
            let synced = disk.sync_dir(path).await;
            synced.map_err(|error| {
                Trouble::Disk(LogError::Flush {
                    path: path.to_owned(),
                    error: Rc::new(error),
                })
            })?;
        }
        Ok(())
    }

    /// Whether a partition's directory is not there, or says that it holds another one.
    pub(super) async fn is_of_another(&self, path: &Path, partition: TopicIdPartition) -> bool {
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
            return true;
        };
        if self.reactor.disk().list_dir(path).await.is_err() {
            return true;
        }
        // What cannot be read says nothing.
        let found = self.identify(path, name).await.unwrap_or_default();
        found.is_some_and(|found| found != partition)
    }

    /// The partition that a directory says it holds; `None` when it says none.
    async fn identify(
        &self,
        directory: &Path,
        name: &str,
    ) -> std::io::Result<Option<TopicIdPartition>> {
        let Some((topic, partition)) = name.rsplit_once('-') else {
            return Ok(None);
        };
        let (Ok(partition), false) = (partition.parse(), topic == CLUSTER_METADATA_TOPIC) else {
            return Ok(None);
        };
        let path = directory.join(PARTITION_METADATA);
        let disk = self.reactor.disk();
        let text = match disk.read_file(&path, PARTITION_METADATA_SIZE_MAX).await {
            Ok(text) => text,
            // A dead process may not have come to it: then there is nothing in the log.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let topic_id: Option<TopicId> =
            decode_partition_metadata(&String::from_utf8_lossy(&text)).ok();
        Ok(topic_id.map(|topic_id| TopicIdPartition {
            topic_id,
            partition,
        }))
    }
}

fn failed(path: &Path, error: std::io::Error) -> Trouble {
    Trouble::Disk(LogError::Io {
        path: path.to_owned(),
        error: Rc::new(error),
    })
}

/// Whether this is word of a failed flush of an earlier start of the machine: the directory was
/// opened all the same, so it has no meaning any more.
fn is_old_note(entry: &DirEntry, directory: &LogDirectory) -> bool {
    let boot_id = entry.name.strip_prefix(FLUSH_FAILED_PREFIX);
    boot_id.is_some_and(|boot_id| boot_id != directory.facts().boot_id)
}

/// Nobody but the operator knows which of the two is the newer one (Kafka refuses it, too).
fn is_twice(one: &Path, other: &Path) -> ShardError {
    ShardError::Directory(format!(
        "{} and {} hold the same partition; move the one that is older, or a copy, out of the log \
         directories",
        other.display(),
        one.display()
    ))
}

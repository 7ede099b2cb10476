//! Directories of partitions that the metadata does not know: what a crash leaves between the
//! record that deletes a topic and the renaming of its directories.

use std::path::Path;

use super::core::Core;
use super::error::ShardError;
use crate::log::{FLUSH_FAILED_PREFIX, Landmark};
use crate::log_state::decode_partition_metadata;
use crate::metadata::{CLUSTER_METADATA_TOPIC, MetadataImage};
use crate::types::{TopicId, TopicIdPartition};

/// What the name of a directory ends with that a deletion has put aside.
const DELETED_SUFFIX: &str = "-delete";

/// What the name of a directory ends with that belongs to no partition (Kafka's name for it). It is
/// kept: whoever is sure may remove it.
const STRAY_SUFFIX: &str = "-stray";

const PARTITION_METADATA: &str = "partition.metadata";
const PARTITION_METADATA_SIZE_MAX: usize = 4096;

impl Core {
    /// On shard 0, before any log is opened: removes what deletions have put aside, and puts aside
    /// what the metadata does not know, so that a new topic of the same name finds its place free.
    pub(super) async fn sweep_directory(&self, image: &MetadataImage) -> Result<(), ShardError> {
        let path = self.config.log_dirs[0].clone();
        let fail = |error: std::io::Error| ShardError::directory(&path, error);
        let disk = self.reactor.disk();
        let mut renamed = false;
        for entry in disk.list_dir(&path).await.map_err(fail)? {
            let directory = path.join(&entry.name);
            if entry.name.starts_with(FLUSH_FAILED_PREFIX) {
                // Of an earlier start of the machine: the directory was opened all the same.
                disk.remove_file(&directory).await.map_err(fail)?;
            }
            if !entry.is_dir || entry.name.ends_with(STRAY_SUFFIX) {
                continue;
            }
            if entry.name.ends_with(DELETED_SUFFIX) {
                self.landmarks.reached(Landmark::DeletionFinishedAtStart);
                self.log_directory().remove_leftover(directory);
            } else if let Some((topic_id, partition)) = self.identify(&directory, &entry.name).await
                && image
                    .partition(TopicIdPartition {
                        topic_id,
                        partition,
                    })
                    .is_none()
            {
                let aside = path.join(format!("{}.{topic_id}{STRAY_SUFFIX}", entry.name));
                tracing::warn!(
                    directory = %entry.name, aside = %aside.display(),
                    "the metadata does not know this partition; its directory is put aside"
                );
                self.landmarks.reached(Landmark::StrayDirectory);
                disk.rename(&directory, &aside).await.map_err(fail)?;
                renamed = true;
            }
        }
        if renamed {
            disk.sync_dir(&path).await.map_err(fail)?;
        }
        Ok(())
    }

    /// The partition that a directory says it holds; `None` when it says none.
    async fn identify(&self, directory: &Path, name: &str) -> Option<(TopicId, i32)> {
        let (topic, partition) = name.rsplit_once('-')?;
        if topic == CLUSTER_METADATA_TOPIC {
            return None;
        }
        let path = directory.join(PARTITION_METADATA);
        let text = self
            .reactor
            .disk()
            .read_file(&path, PARTITION_METADATA_SIZE_MAX)
            .await
            .ok()?;
        let topic_id = decode_partition_metadata(&String::from_utf8_lossy(&text)).ok()?;
        Some((topic_id, partition.parse().ok()?))
    }
}

//! Whether a directory of Kafka's can be taken over completely, and what that takes. Reads, and
//! changes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::TakeOverError;
use super::steps::{KAFKAS_META_PROPERTIES, KAFKAS_METADATA_LOG, METADATA_LOG};
use crate::config::{BrokerConfig, TopicConfig};
use crate::controller::bootstrap_records;
use crate::io::{DirEntry, Disk, IoClass, OpenOptions, Reactor};
use crate::log::{KafkasLog, examine, extension, parse_segment_name};
use crate::log_state::{MetaProperties, RecoveryCheckpoint, decode_offsets};
use crate::metadata::kraft::{KraftError, KraftImage, translate};
use crate::metadata::{ConfigResource, GROUP_METADATA_TOPIC, MetadataImage, MetadataRecord};
use crate::types::{Offset, TopicPartition};

pub(super) const META_PROPERTIES: &str = "meta.properties";
const CLEAN_SHUTDOWN_MARKER: &str = ".kafka_cleanshutdown";
const RECOVERY_POINTS: &str = "recovery-point-offset-checkpoint";
const LOG_STARTS: &str = "log-start-offset-checkpoint";

/// `<end offset>-<epoch>.checkpoint`: a snapshot of Kafka's metadata.
const SNAPSHOT_EXTENSION: &str = ".checkpoint";

/// What the name of a deleted partition's directory ends with.
const DELETED_SUFFIX: &str = "-delete";

/// Small text files: a checkpoint has a line for each partition.
const TEXT_SIZE_MAX: usize = 64 << 20;

/// One read of Kafka's metadata; a batch of it is at most 8 MiB (`MAX_BATCH_SIZE_BYTES`).
const READ_SIZE: usize = 16 << 20;

/// Records of one batch of our metadata log, but for the partitions of one topic.
const GROUP_SIZE_MAX: usize = 1000;

/// What will be done.
pub(super) struct Plan {
    /// The records of our metadata log, a batch each.
    pub(super) groups: Vec<Vec<MetadataRecord>>,
    /// The partitions' directories, and the checkpoints that they get.
    pub(super) logs: Vec<(PathBuf, RecoveryCheckpoint)>,
    pub(super) topic_count: usize,
    /// There are offsets of consumer groups.
    pub(super) has_groups: bool,
}

fn refuse<T>(what: impl Into<String>) -> Result<T, TakeOverError> {
    Err(TakeOverError::Refused(what.into()))
}

/// Looks through the whole directory.
pub(super) async fn make(
    reactor: &Reactor,
    config: &BrokerConfig,
    path: &Path,
) -> Result<Plan, TakeOverError> {
    let disk = reactor.disk();
    if config.log_dirs.len() > 1 {
        return refuse(
            "log.dirs names several directories, and only one alone can be; name this one alone, \
             and the others once it is Ringlog's",
        );
    }
    let properties = read_identity(&disk, &path.join(META_PROPERTIES)).await?;
    check_identity(config, &properties)?;
    let entries = list(&disk, path).await?;
    check_entries(&entries)?;
    let kraft = read_kraft(&disk, &path.join(METADATA_LOG)).await?;
    let image = translate(&kraft, config.node_id, properties.directory_id)?;
    check_configs(config, &image)?;
    check_directories(&entries, &image)?;
    let logs = examine_logs(reactor, path, &entries, &image).await?;
    let mut records = bootstrap_records();
    records.extend(image.snapshot());
    Ok(Plan {
        groups: grouped(records),
        logs,
        topic_count: image.topic_count(),
        has_groups: image.topic_by_name(GROUP_METADATA_TOPIC).is_some(),
    })
}

pub(super) async fn read_identity(
    disk: &Disk,
    path: &Path,
) -> Result<MetaProperties, TakeOverError> {
    let text = read_text(disk, path).await?;
    let properties = MetaProperties::decode(&text);
    properties.map_err(|error| {
        TakeOverError::Refused(format!(
            "{META_PROPERTIES}: {error}; a Kafka of version 3.7 or newer writes all of it when it \
             starts"
        ))
    })
}

fn check_identity(config: &BrokerConfig, of: &MetaProperties) -> Result<(), TakeOverError> {
    if of.node_id != config.node_id {
        return refuse(format!(
            "it belongs to node {}, the configuration says {}; correct node.id",
            of.node_id, config.node_id
        ));
    }
    match &config.cluster_id {
        Some(wanted) if *wanted != of.cluster_id => refuse(format!(
            "it belongs to cluster {}, the configuration says {wanted}; correct cluster.id",
            of.cluster_id
        )),
        _ => Ok(()),
    }
}

/// What a Kafka that was stopped cleanly has, and what it has not.
fn check_entries(entries: &[DirEntry]) -> Result<(), TakeOverError> {
    let has = |name: &str| entries.iter().any(|entry| entry.name == name);
    if !has(CLEAN_SHUTDOWN_MARKER) {
        return refuse(format!(
            "it was not stopped cleanly ({CLEAN_SHUTDOWN_MARKER} is missing); start Kafka on it \
             again and stop it cleanly"
        ));
    }
    if !has(METADATA_LOG) {
        return refuse(format!(
            "it has no metadata ({METADATA_LOG}); only a Kafka that is broker and controller in \
             one, without metadata.log.dir, can be taken over"
        ));
    }
    for name in [KAFKAS_METADATA_LOG, KAFKAS_META_PROPERTIES] {
        if has(name) {
            return refuse(format!(
                "{name} is left of another time that it was; move it away"
            ));
        }
    }
    Ok(())
}

/// Every directory of a partition must be in the metadata.
fn check_directories(entries: &[DirEntry], image: &MetadataImage) -> Result<(), TakeOverError> {
    let known: BTreeSet<String> = partitions(image)
        .map(|(name, ..)| name.to_string())
        .collect();
    for entry in entries.iter().filter(|entry| entry.is_dir) {
        let name = &entry.name;
        let is_expected = name == METADATA_LOG || name == "lost+found" || known.contains(name);
        if is_expected || name.ends_with(DELETED_SUFFIX) {
            continue;
        }
        return refuse(format!(
            "its metadata does not know the directory {name}, or its move between log directories \
             has not ended; if nobody needs it, move it away"
        ));
    }
    Ok(())
}

/// All partitions with their topics' ids.
fn partitions(
    image: &MetadataImage,
) -> impl Iterator<Item = (TopicPartition, crate::types::TopicId)> {
    image.topics().flat_map(|topic| {
        let indexes = (0..).take(topic.partitions.len());
        indexes.map(|index| {
            (
                TopicPartition::new(topic.name.clone(), index),
                topic.topic_id,
            )
        })
    })
}

/// A topic's settings are all known here, and have values that are supported.
fn check_configs(config: &BrokerConfig, image: &MetadataImage) -> Result<(), TakeOverError> {
    for topic in image.topics() {
        let Some(values) = image.config(&ConfigResource::topic(topic.name.clone())) else {
            continue;
        };
        if let Err(error) = TopicConfig::resolve(&config.settings, values) {
            return refuse(format!(
                "topic {} has a setting that cannot be carried over: {error}; change or remove it \
                 with kafka-configs, stop Kafka cleanly and start again",
                topic.name
            ));
        }
    }
    Ok(())
}

async fn examine_logs(
    reactor: &Reactor,
    path: &Path,
    entries: &[DirEntry],
    image: &MetadataImage,
) -> Result<Vec<(PathBuf, RecoveryCheckpoint)>, TakeOverError> {
    let disk = reactor.disk();
    let recovery_points = read_offsets(&disk, &path.join(RECOVERY_POINTS)).await?;
    let log_starts = read_offsets(&disk, &path.join(LOG_STARTS)).await?;
    let mut logs = Vec::new();
    for (partition, topic_id) in partitions(image) {
        let name = partition.to_string();
        if !entries
            .iter()
            .any(|entry| entry.is_dir && entry.name == name)
        {
            return refuse(format!(
                "partition {name} is in its metadata and not in this directory; if Kafka had \
                 several log.dirs, move its partitions into this one with kafka-reassign-partitions"
            ));
        }
        let Some(&recovery_point) = recovery_points.get(&partition) else {
            return refuse(format!(
                "partition {name} is not in {RECOVERY_POINTS}; start Kafka on it again and stop it \
                 cleanly"
            ));
        };
        let log = KafkasLog {
            path: path.join(&name),
            topic_id,
            recovery_point,
            log_start_offset: log_starts.get(&partition).copied().unwrap_or(0),
        };
        let examined = examine(reactor, &log).await;
        let checkpoint = examined.map_err(|error| TakeOverError::of_log(&name, error))?;
        logs.push((log.path, checkpoint));
    }
    Ok(logs)
}

async fn read_offsets(
    disk: &Disk,
    path: &Path,
) -> Result<BTreeMap<TopicPartition, Offset>, TakeOverError> {
    let offsets = decode_offsets(&read_text(disk, path).await?);
    offsets.map_err(|error| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        TakeOverError::Refused(format!(
            "{name}: {error}; start Kafka on it again and stop it cleanly"
        ))
    })
}

async fn read_text(disk: &Disk, path: &Path) -> Result<String, TakeOverError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let bytes = disk.read_file(path, TEXT_SIZE_MAX).await;
    let bytes = bytes.map_err(|error| match error.kind() {
        ErrorKind::NotFound => TakeOverError::Refused(format!(
            "{name} is missing; start Kafka on it again and stop it cleanly"
        )),
        _ => TakeOverError::io(path, error),
    })?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

async fn list(disk: &Disk, path: &Path) -> Result<Vec<DirEntry>, TakeOverError> {
    let entries = disk.list_dir(path).await;
    entries.map_err(|error| TakeOverError::io(path, error))
}

/// Kafka's metadata: the newest snapshot, and what the log has behind it.
async fn read_kraft(disk: &Disk, path: &Path) -> Result<KraftImage, TakeOverError> {
    let entries = list(disk, path).await?;
    let mut kraft = KraftImage::default();
    let snapshots = entries.iter().filter_map(|entry| {
        let (offset, epoch) = entry
            .name
            .strip_suffix(SNAPSHOT_EXTENSION)?
            .split_once('-')?;
        let (offset, epoch) = (offset.parse::<Offset>().ok()?, epoch.parse::<i32>().ok()?);
        Some((offset, epoch, &entry.name))
    });
    if let Some((end_offset, _, name)) = snapshots.max() {
        let snapshot = path.join(name);
        replay(disk, &snapshot, |bytes| kraft.replay_snapshot(bytes)).await?;
        kraft.end_snapshot(end_offset);
    }
    let segments = entries.iter().filter(|entry| {
        let parsed = parse_segment_name(&entry.name);
        parsed.is_some_and(|(_, extension)| extension == extension::LOG)
    });
    // The names are sorted, and have 20 digits each.
    for segment in segments {
        let segment = path.join(&segment.name);
        replay(disk, &segment, |bytes| kraft.replay_log(bytes)).await?;
    }
    Ok(kraft)
}

/// Hands all batches of a file to `take`, which says how many bytes they have.
async fn replay(
    disk: &Disk,
    path: &Path,
    mut take: impl FnMut(&[u8]) -> Result<usize, KraftError>,
) -> Result<(), TakeOverError> {
    let refused =
        |fault: &str| TakeOverError::Refused(format!("its metadata, {}: {fault}", path.display()));
    let file = disk.open(path, OpenOptions::default()).await;
    let file = file.map_err(|error| TakeOverError::io(path, error))?;
    let mut position = 0;
    while position < file.size() {
        let read = file.read_at(position, READ_SIZE, IoClass::Background).await;
        let bytes = read.map_err(|error| TakeOverError::io(path, error))?;
        match take(&bytes).map_err(|error| refused(&error.to_string()))? {
            0 => return Err(refused(&format!("no whole batch at byte {position}"))),
            size => position += size as u64,
        }
    }
    Ok(())
}

/// Batches for our log: a topic and its partitions are in one.
fn grouped(records: Vec<MetadataRecord>) -> Vec<Vec<MetadataRecord>> {
    let mut groups: Vec<Vec<MetadataRecord>> = Vec::new();
    for record in records {
        match groups.last_mut() {
            Some(group)
                if group.len() < GROUP_SIZE_MAX
                    || matches!(record, MetadataRecord::Partition(_)) =>
            {
                group.push(record);
            }
            _ => groups.push(vec![record]),
        }
    }
    groups
}

//! What a file is, by its name.

use crate::log::{CHECKPOINT_FILE, LEADER_EPOCH_CHECKPOINT, PARTITION_METADATA};
use crate::types::Offset;

/// The files of a log directory whose contents are known here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FileKind {
    /// Batches from this offset on: a segment, or a snapshot of Kafka's metadata.
    Segment {
        base_offset: Offset,
    },
    OffsetIndex {
        base_offset: Offset,
    },
    TimeIndex {
        base_offset: Offset,
    },
    TransactionIndex,
    ProducerSnapshot,
    LeaderEpochs,
    /// `recovery-point-offset-checkpoint` and its like.
    OffsetCheckpoint,
    RecoveryCheckpoint,
    PartitionMetadata,
    MetaProperties,
}

/// What Kafka adds to the name of a file that is on its way in or out.
const SUFFIXES: [&str; 3] = [".deleted", ".cleaned", ".swap"];

const OFFSET_CHECKPOINTS: [&str; 4] = [
    "recovery-point-offset-checkpoint",
    "log-start-offset-checkpoint",
    "replication-offset-checkpoint",
    "cleaner-offset-checkpoint",
];

impl FileKind {
    /// `None` for a name that is none of ours or Kafka's.
    pub fn of(name: &str) -> Option<FileKind> {
        match name {
            CHECKPOINT_FILE => return Some(FileKind::RecoveryCheckpoint),
            LEADER_EPOCH_CHECKPOINT => return Some(FileKind::LeaderEpochs),
            PARTITION_METADATA => return Some(FileKind::PartitionMetadata),
            "meta.properties" => return Some(FileKind::MetaProperties),
            _ if OFFSET_CHECKPOINTS.contains(&name) => return Some(FileKind::OffsetCheckpoint),
            _ => {}
        }
        let name = SUFFIXES
            .iter()
            .find_map(|suffix| name.strip_suffix(suffix))
            .unwrap_or(name);
        let (stem, extension) = name.rsplit_once('.')?;
        // A snapshot of the metadata is called `<end offset>-<epoch>.checkpoint`.
        let digits = stem.split('-').next().unwrap_or(stem);
        let base_offset = digits.parse::<u64>().ok().map(|offset| offset as Offset);
        Some(match extension {
            "log" => FileKind::Segment {
                base_offset: base_offset?,
            },
            "checkpoint" => FileKind::Segment { base_offset: 0 },
            "index" => FileKind::OffsetIndex {
                base_offset: base_offset?,
            },
            "timeindex" => FileKind::TimeIndex {
                base_offset: base_offset?,
            },
            "txnindex" => FileKind::TransactionIndex,
            "snapshot" => FileKind::ProducerSnapshot,
            _ => return None,
        })
    }
}

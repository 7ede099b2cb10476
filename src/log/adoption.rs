//! A log that Kafka wrote and stopped cleanly: what our checkpoint says of it.
//!
//! With that checkpoint beside the segments the log opens as one of ours that was stopped cleanly:
//! nothing is scanned, nothing cut, and what compaction has taken may be missing
//! (`RecoveryCheckpoint::gaps_end`).

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::LogError;
use super::checkpoint::{CHECKPOINT_FILE, file_contents};
use super::recovery::PARTITION_METADATA;
use super::replay::SegmentScan;
use super::segment::{extension, parse_segment_name, segment_path};
use super::segment_index::{NO_TIMESTAMP, SegmentIndex};
use super::stop::LEADER_EPOCH_CHECKPOINT;
use crate::batch::{BatchHeader, HEADER_SIZE};
use crate::io::{File, IoClass, OpenOptions, Reactor};
use crate::log_state::{
    LeaderEpochCache, LogState, ProducerState, RecoveryCheckpoint, decode_partition_metadata,
};
use crate::types::{Offset, TopicId};

/// Largest index, snapshot or small file that is read.
const FILE_SIZE_MAX: usize = 256 << 20;

/// What Kafka leaves behind of a compaction, a split or a deletion that was cut short.
const UNFINISHED_SUFFIXES: [&str; 2] = [".cleaned", ".swap"];

/// A log of Kafka's, and what stands around it.
pub struct KafkasLog {
    pub path: PathBuf,
    pub topic_id: TopicId,
    /// Of `recovery-point-offset-checkpoint`; after a clean stop that is the log's end.
    pub recovery_point: Offset,
    /// Of `log-start-offset-checkpoint`, which leaves out logs that start with their first segment.
    pub log_start_offset: Offset,
}

/// Why a log cannot be taken over.
#[derive(Debug, thiserror::Error)]
pub enum AdoptionError {
    /// Something in it would not be carried over, or is not as a clean stop leaves it: what, and
    /// what to do.
    #[error("{0}")]
    Unfit(String),
    #[error(transparent)]
    Disk(#[from] LogError),
}

/// What is in a log's directory.
#[derive(Default)]
struct Listing {
    /// Base offsets of the `.log` files, in order.
    segments: Vec<Offset>,
    names: BTreeMap<String, u64>,
}

/// The checkpoint of a log whose records go to its recovery point, valid to the last byte. Reads
/// the end of the active segment; changes nothing.
pub async fn examine(
    reactor: &Reactor,
    log: &KafkasLog,
) -> Result<RecoveryCheckpoint, AdoptionError> {
    let listing = list(reactor, log).await?;
    let text = read_text(reactor, &log.path.join(PARTITION_METADATA)).await?;
    let topic_id = decode_partition_metadata(&text);
    let topic_id = topic_id.map_err(|error| unfit(format!("{PARTITION_METADATA}: {error}")))?;
    if topic_id != log.topic_id {
        return Err(unfit(format!(
            "{PARTITION_METADATA} has topic id {topic_id}, Kafka's metadata {}; move the directory \
             that is not this topic's away",
            log.topic_id
        )));
    }
    let base_offset = *listing.segments.last().expect("a log has a segment");
    let (index, end_offset, segment_size) = read_active(reactor, log, base_offset).await?;
    if end_offset != log.recovery_point {
        return Err(unfit(format!(
            "the records end at offset {end_offset}, after a clean stop they would end at {}; {}",
            log.recovery_point, STOP_AGAIN
        )));
    }
    let first = listing.segments[0];
    let state = LogState {
        producers: read_producers(reactor, log, &listing, end_offset).await?,
        epochs: read_epochs(reactor, log).await?,
        log_start_offset: log.log_start_offset.max(first).min(end_offset),
        log_end_offset: end_offset,
    };
    Ok(RecoveryCheckpoint {
        number: 1,
        state,
        segment_position: segment_size,
        gaps_end: end_offset,
        ..index.checkpoint()
    })
}

/// Writes the checkpoint that [`examine`] gave, durably and after all that it names. Kafka passes
/// over the file.
pub async fn adopt(
    reactor: &Reactor,
    path: &Path,
    checkpoint: &RecoveryCheckpoint,
) -> Result<(), LogError> {
    // Kafka ends the indexes of the active segment after its last flush.
    for extension in [extension::LOG, extension::INDEX, extension::TIME_INDEX] {
        let file = segment_path(path, checkpoint.segment_base_offset, extension);
        let synced = open(reactor, &file).await?.sync_all().await;
        synced.map_err(|error| LogError::flush(&file, error))?;
    }
    let (contents, _) = file_contents(&checkpoint.encode());
    let file = path.join(CHECKPOINT_FILE);
    let written = reactor.disk().write_file(&file, contents).await;
    written.map_err(|error| LogError::replacing(&file, error))
}

/// What to do about most of what a clean stop does not leave.
const STOP_AGAIN: &str = "start Kafka on it again and stop it cleanly";

fn unfit(what: impl Into<String>) -> AdoptionError {
    AdoptionError::Unfit(what.into())
}

async fn list(reactor: &Reactor, log: &KafkasLog) -> Result<Listing, AdoptionError> {
    let entries = reactor.disk().list_dir(&log.path).await;
    let entries = entries.map_err(|error| LogError::io(&log.path, error))?;
    let mut listing = Listing::default();
    for entry in entries {
        let name = &entry.name;
        if UNFINISHED_SUFFIXES.iter().any(|end| name.ends_with(end)) {
            let what = format!("{name} is left of a compaction; {STOP_AGAIN}");
            return Err(unfit(what));
        }
        if name.ends_with(".txnindex") && entry.size > 0 {
            return Err(unfit(format!(
                "{name} names aborted transactions, whose records read_committed consumers must \
                 not see, and Ringlog has no transactions yet; wait until retention has deleted \
                 them, or copy the topic from a running Kafka"
            )));
        }
        if let Some((base_offset, extension::LOG)) = parse_segment_name(name) {
            listing.segments.push(base_offset);
        }
        listing.names.insert(entry.name, entry.size);
    }
    listing.segments.sort_unstable();
    if listing.segments.is_empty() {
        return Err(unfit(format!("there is no segment; {STOP_AGAIN}")));
    }
    for &base_offset in &listing.segments {
        for extension in [extension::INDEX, extension::TIME_INDEX] {
            let path = segment_path(Path::new(""), base_offset, extension);
            let name = path.to_string_lossy();
            if !listing.names.contains_key(&*name) {
                return Err(unfit(format!("{name} is missing; {STOP_AGAIN}")));
            }
        }
    }
    Ok(listing)
}

async fn read(reactor: &Reactor, path: &Path) -> Result<Vec<u8>, LogError> {
    let bytes = reactor.disk().read_file(path, FILE_SIZE_MAX).await;
    bytes.map_err(|error| LogError::io(path, error))
}

async fn read_text(reactor: &Reactor, path: &Path) -> Result<String, AdoptionError> {
    let bytes = reactor.disk().read_file(path, FILE_SIZE_MAX).await;
    let bytes = bytes.map_err(|error| match error.kind() {
        ErrorKind::NotFound => {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            unfit(format!("{name} is missing; {STOP_AGAIN}"))
        }
        _ => AdoptionError::Disk(LogError::io(path, error)),
    })?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

async fn open(reactor: &Reactor, path: &Path) -> Result<File, LogError> {
    let opened = reactor.disk().open(path, OpenOptions::default()).await;
    opened.map_err(|error| LogError::io(path, error))
}

/// The index of the active segment as Kafka left it, the offset after its last record, its size.
/// What is behind the last entry of the index is read and must be whole.
async fn read_active(
    reactor: &Reactor,
    log: &KafkasLog,
    base_offset: Offset,
) -> Result<(SegmentIndex, Offset, u64), AdoptionError> {
    let of = |extension| segment_path(&log.path, base_offset, extension);
    let offsets = read(reactor, &of(extension::INDEX)).await?;
    let times = read(reactor, &of(extension::TIME_INDEX)).await?;
    let mut index = SegmentIndex::decode(base_offset, &offsets, &times);
    let path = of(extension::LOG);
    let file = open(reactor, &path).await?;
    let size = file.size();
    let from = index
        .offsets
        .last()
        .map_or(0, |last| u64::from(last.position));
    let mut state = LogState {
        log_end_offset: base_offset,
        ..LogState::default()
    };
    let scan = SegmentScan {
        reactor,
        file: &file,
        path: &path,
        size,
        written_at_most: None,
        end_offset: Offset::MAX,
        // The entries are Kafka's: none is added.
        index_interval_bytes: u64::MAX,
        gaps_end: Offset::MAX,
    };
    let stop = scan.replay(&mut state, &mut index, from, 0, base_offset);
    let stop = stop.await?;
    if stop.position != size {
        let fault = match stop.fault.as_str() {
            "" => "zeros",
            fault => fault,
        };
        return Err(unfit(format!(
            "{} at byte {}: {fault}; {STOP_AGAIN}",
            path.file_name().unwrap_or_default().to_string_lossy(),
            stop.position
        )));
    }
    index.bytes_since_entry = size - from;
    index.first_timestamp = first_timestamp(&file, &path).await?;
    Ok((index, state.log_end_offset, size))
}

async fn first_timestamp(file: &File, path: &Path) -> Result<i64, LogError> {
    let bytes = file.read_at(0, HEADER_SIZE, IoClass::Background).await;
    let bytes = bytes.map_err(|error| LogError::io(path, error))?;
    Ok(BatchHeader::parse(&bytes).map_or(NO_TIMESTAMP, |header| header.max_timestamp))
}

/// The producers at the log's end, none of them inside a transaction.
async fn read_producers(
    reactor: &Reactor,
    log: &KafkasLog,
    listing: &Listing,
    end_offset: Offset,
) -> Result<ProducerState, AdoptionError> {
    let path = segment_path(&log.path, end_offset, extension::SNAPSHOT);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    if !listing.names.contains_key(&*name) {
        if end_offset == 0 {
            return Ok(ProducerState::default());
        }
        let what = format!("{name}, the producers at the end, is missing; {STOP_AGAIN}");
        return Err(unfit(what));
    }
    let producers = ProducerState::decode_snapshot(&read(reactor, &path).await?);
    let producers = producers.map_err(|error| unfit(format!("{name}: {error}; {STOP_AGAIN}")))?;
    let open = producers
        .iter()
        .find(|p| p.current_txn_first_offset.is_some());
    open.map_or(Ok(()), |producer| {
        Err(unfit(format!(
            "producer {} has a transaction open, and Ringlog has no transactions yet; start Kafka \
             again and let the transaction end",
            producer.producer_id
        )))
    })?;
    Ok(producers)
}

async fn read_epochs(
    reactor: &Reactor,
    log: &KafkasLog,
) -> Result<LeaderEpochCache, AdoptionError> {
    let text = read_text(reactor, &log.path.join(LEADER_EPOCH_CHECKPOINT)).await?;
    let epochs = LeaderEpochCache::decode(&text);
    epochs.map_err(|error| unfit(format!("{LEADER_EPOCH_CHECKPOINT}: {error}; {STOP_AGAIN}")))
}

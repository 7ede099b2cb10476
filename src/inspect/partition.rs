//! One partition's directory: what a start would find, without the start.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Result};
use std::path::{Path, PathBuf};

use super::batch_walk::StoredBatch;
use super::files::{Files, read_small_file};
use super::report::{Report, Severity};
use super::segment::{
    BatchObserver, ScannedSegment, SegmentOptions, claimed_end, examine_rest, scan, written_at_most,
};
use super::state_check::{check_producers, wrong_epoch};
use crate::log::{
    CHECKPOINT_FILE, Judgement, LEADER_EPOCH_CHECKPOINT, LogError, PARTITION_METADATA, ScanStop,
    extension, parse_segment_name, segment_path,
};
use crate::log_state::{
    FormatError, LeaderEpochCache, LogState, ProducerState, RecoveryCheckpoint,
    decode_partition_metadata,
};
use crate::types::Offset;

/// What is known of a partition beside its own directory.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PartitionOptions {
    /// The broker said that it had stopped: then nothing is torn.
    pub was_stopped_cleanly: bool,
    /// Of the directory's `recovery-point-offset-checkpoint`, for partitions of Kafka.
    pub recovery_point: Offset,
    /// Decompress and read every record.
    pub is_deep: bool,
}

/// Reads everything in a partition's directory and reports what is not as it should be. An error
/// is one of reading the directory itself.
pub fn verify_partition(
    files: &dyn Files,
    directory: &Path,
    options: &PartitionOptions,
    report: &mut Report<'_>,
) -> Result<()> {
    verify(files, directory, options, report).map(|_| ())
}

/// See [`verify_partition`]; the offset after the last valid record.
pub(super) fn verify(
    files: &dyn Files,
    directory: &Path,
    options: &PartitionOptions,
    report: &mut Report<'_>,
) -> Result<Offset> {
    let mut partition = Partition {
        files,
        directory,
        options,
        segments: BTreeMap::new(),
        checkpoint: None,
        is_ours: false,
        watch: Watch {
            is_current: options.was_stopped_cleanly,
            ..Watch::default()
        },
    };
    report.summary.partition_count += 1;
    partition.list(report)?;
    partition.read_checkpoint(report)?;
    partition.read_epochs(report)?;
    partition.check_metadata(report)?;
    partition.scan_segments(report)
}

struct Partition<'a> {
    files: &'a dyn Files,
    directory: &'a Path,
    options: &'a PartitionOptions,
    /// Sizes of the `.log` files by base offset.
    segments: BTreeMap<Offset, u64>,
    checkpoint: Option<RecoveryCheckpoint>,
    /// It has our checkpoint file, good or not.
    is_ours: bool,
    watch: Watch,
}

impl Partition<'_> {
    fn list(&mut self, report: &mut Report<'_>) -> Result<()> {
        for entry in self.files.list(self.directory)? {
            let path = self.directory.join(&entry.name);
            match parse_segment_name(&entry.name) {
                Some((base_offset, extension::LOG)) => {
                    self.segments.insert(base_offset, entry.size);
                }
                Some((offset, extension::SNAPSHOT)) => {
                    match ProducerState::decode_snapshot(&read_small_file(self.files, &path)?) {
                        Ok(state) => {
                            self.watch.snapshots.insert(offset, (path, state));
                        }
                        Err(error) => report.problem(&path, error.to_string()),
                    }
                }
                _ => {}
            }
            self.is_ours |= entry.name == CHECKPOINT_FILE;
        }
        Ok(())
    }

    /// Our recovery point. A torn slot is usual after a crash; two are not.
    fn read_checkpoint(&mut self, report: &mut Report<'_>) -> Result<()> {
        if !self.is_ours {
            return Ok(());
        }
        let path = self.directory.join(CHECKPOINT_FILE);
        let bytes = read_small_file(self.files, &path)?;
        let newest = RecoveryCheckpoint::newest(&bytes).map(|(checkpoint, _)| checkpoint);
        let (first, second) = bytes.split_at(bytes.len() / 2);
        for (number, slot) in [first, second].into_iter().enumerate() {
            let Err(error) = RecoveryCheckpoint::decode(slot) else {
                continue;
            };
            match error {
                FormatError::Version(version) => {
                    let text = format!("slot {number} has version {version}: a newer release's?");
                    report.problem(&path, text);
                }
                // The second slot is empty until the second checkpoint.
                _ if slot.iter().all(|&byte| byte == 0) && newest.is_some() => {}
                error if newest.is_some() => {
                    report.note(&path, format!("slot {number} is torn: {error}"));
                }
                error => report.problem(&path, format!("slot {number}: {error}")),
            }
        }
        self.watch.recovery = newest.clone().map(|checkpoint| (path, checkpoint));
        self.checkpoint = newest;
        Ok(())
    }

    fn read_epochs(&mut self, report: &mut Report<'_>) -> Result<()> {
        let path = self.directory.join(LEADER_EPOCH_CHECKPOINT);
        let Some(bytes) = self.read_if_there(&path)? else {
            return Ok(());
        };
        let text = String::from_utf8_lossy(&bytes);
        match LeaderEpochCache::decode(&text) {
            Ok(epochs) => {
                if epochs.encode().trim_end() != text.trim_end() {
                    report.problem(&path, "epochs or their offsets do not grow");
                }
                self.watch.epochs.push((path, epochs));
            }
            Err(error) => report.problem(&path, error.to_string()),
        }
        Ok(())
    }

    fn check_metadata(&self, report: &mut Report<'_>) -> Result<()> {
        let path = self.directory.join(PARTITION_METADATA);
        let Some(bytes) = self.read_if_there(&path)? else {
            report.note(
                &path,
                "is missing: the next start takes the metadata's topic id",
            );
            return Ok(());
        };
        if let Err(error) = decode_partition_metadata(&String::from_utf8_lossy(&bytes)) {
            report.problem(&path, error.to_string());
        }
        Ok(())
    }

    fn read_if_there(&self, path: &Path) -> Result<Option<Vec<u8>>> {
        match read_small_file(self.files, path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Below it everything was durable.
    fn recovery_point(&self) -> Offset {
        let own = self.checkpoint.as_ref();
        own.map_or(self.options.recovery_point, |checkpoint| {
            checkpoint.state.log_end_offset
        })
    }

    /// Below it offsets may be missing: anywhere in a log of Kafka, in one that was taken over as
    /// far as Kafka had written it.
    fn gaps_end(&self) -> Offset {
        match (self.is_ours, &self.checkpoint) {
            (false, _) => Offset::MAX,
            (true, checkpoint) => checkpoint.as_ref().map_or(0, |known| known.gaps_end),
        }
    }

    fn log_start_offset(&self) -> Offset {
        let own = self.checkpoint.as_ref();
        let first = self.segments.keys().next().copied().unwrap_or(0);
        own.map_or(first, |checkpoint| checkpoint.state.log_start_offset)
    }

    /// All segments in order; the offset after the last valid record.
    fn scan_segments(&mut self, report: &mut Report<'_>) -> Result<Offset> {
        let bases: Vec<Offset> = self.segments.keys().copied().collect();
        let start = self.log_start_offset();
        let first = bases.first().copied().unwrap_or(start);
        if first > start && self.is_ours {
            let text = format!("records are gone from offset {start} to {first}");
            report.problem(self.directory, text);
        }
        self.watch.scanned_from = first;
        let mut state = LogState {
            log_end_offset: first,
            ..LogState::default()
        };
        let mut gap_count = 0;
        for (at, &base_offset) in bases.iter().enumerate() {
            let later = &bases[at + 1..];
            if (state.log_end_offset + 1..=self.gaps_end()).contains(&base_offset) {
                gap_count += 1;
            }
            if base_offset >= state.log_end_offset {
                state.log_end_offset = base_offset;
            }
            let scanned = self.scan_segment(base_offset, later.is_empty(), &mut state, report)?;
            gap_count += scanned.gap_count;
            if self.judge(&scanned, base_offset, later, state.log_end_offset, report)? {
                break;
            }
        }
        if gap_count > 0 {
            let text =
                format!("offsets are missing in {gap_count} places, as compaction leaves it");
            report.note(self.directory, text);
        }
        self.check_end(&state, report);
        Ok(state.log_end_offset)
    }

    fn scan_segment(
        &mut self,
        base_offset: Offset,
        is_last: bool,
        state: &mut LogState,
        report: &mut Report<'_>,
    ) -> Result<ScannedSegment> {
        let checkpoint = self.checkpoint.as_ref();
        let is_settled = self.options.was_stopped_cleanly
            || checkpoint.is_some_and(|checkpoint| base_offset < checkpoint.segment_base_offset);
        let options = SegmentOptions {
            base_offset,
            gaps_end: self.gaps_end(),
            is_deep: self.options.is_deep,
            is_settled,
            index_missing: match (self.is_ours, is_last) {
                (_, true) => None,
                // We rebuild only the newest, Kafka all.
                (true, false) => is_settled.then_some(Severity::Problem),
                (false, false) => Some(Severity::Note),
            },
        };
        self.watch.segment = base_offset;
        let place = (self.files, self.directory);
        let scanned = scan(place, &options, state, &mut self.watch, report)?;
        if let Some((path, checkpoint)) = &self.watch.recovery
            && checkpoint.segment_base_offset == base_offset
        {
            if scanned.stop.position == checkpoint.segment_position {
                self.watch.recovery_point_met |= state.log_end_offset == self.recovery_point();
                let replayed = &state.producers;
                let (stored, from) = (&checkpoint.state.producers, self.watch.scanned_from);
                check_producers(path, stored, replayed, from, report);
            }
            let named = (
                checkpoint.offset_index_entry_count as usize,
                checkpoint.time_index_entry_count as usize,
            );
            if scanned.offset_entry_count < named.0 || scanned.time_entry_count < named.1 {
                let text = format!(
                    "names {} and {} index entries, the files have {} and {}",
                    named.0, named.1, scanned.offset_entry_count, scanned.time_entry_count
                );
                report.problem(path, text);
            }
        }
        Ok(scanned)
    }

    /// What it means that the valid batches of a segment end where they end; `true` if the log
    /// ends there.
    fn judge(
        &self,
        scanned: &ScannedSegment,
        base_offset: Offset,
        later: &[Offset],
        end: Offset,
        report: &mut Report<'_>,
    ) -> Result<bool> {
        let stop = &scanned.stop;
        let path = segment_path(self.directory, base_offset, extension::LOG);
        let next = later.first().copied();
        // Compaction may have taken the last records of a segment.
        let ends_in_gap = stop.fault.is_empty()
            && next.is_some_and(|next| (end..=self.gaps_end()).contains(&next));
        let continues = next == Some(end) || ends_in_gap;
        let point = self.recovery_point();
        if !continues && end < next.map_or(point, |next| next.min(point)) {
            let why = match stop.fault.as_str() {
                "" => "the records end",
                fault => fault,
            };
            let text = format!("corrupt: {why} below the recovery point {point}");
            report.add(Severity::Problem, &path, Some(stop.position), text);
            return Ok(next.is_none());
        }
        let behind = if continues { &[] } else { later };
        let torn = match self.look_behind(stop, &path, base_offset, behind, end)? {
            Ok(torn) => torn,
            Err(error) => {
                // The error names file and byte itself.
                report.problem(self.directory, error.to_string());
                return Ok(!continues);
            }
        };
        let why = match stop.fault.as_str() {
            "" => "zeros",
            fault => fault,
        };
        let severity = match self.options.was_stopped_cleanly {
            true => Severity::Problem,
            false => Severity::Note,
        };
        let is_recycled = written_at_most(&*self.files.open(&path)?, base_offset)?.is_some();
        let (severity, text) = if torn.byte_count > 0 || !behind.is_empty() {
            let text = format!(
                "torn tail: {why}; behind it {} bytes with {} whole batches, which the next start \
                 drops",
                torn.byte_count, torn.batch_count
            );
            (severity, text)
        } else if is_recycled {
            let text = "behind it lie batches of the segment that had the file before";
            (severity, text.to_owned())
        } else if self.segments[&base_offset] > stop.position && next.is_some() {
            let text = "zeros behind the last batch of a sealed segment";
            (Severity::Note, text.to_owned())
        } else {
            return Ok(!continues);
        };
        report.add(severity, &path, Some(stop.position), text);
        Ok(!continues)
    }

    /// Judges what lies behind the end of the valid batches, in the file at `path` and in the
    /// segments `behind` it (rule 8).
    fn look_behind<'a>(
        &self,
        stop: &'a ScanStop,
        path: &'a Path,
        base_offset: Offset,
        behind: &[Offset],
        end: Offset,
    ) -> Result<std::result::Result<Judgement<'a>, LogError>> {
        let checkpoint = self.checkpoint.as_ref();
        let unflushed_bytes_max = checkpoint.map_or(0, |c| c.unflushed_bytes_max);
        let file = self.files.open(path)?;
        let claimed = claimed_end(&*file, stop.position)?;
        let mut judgement = Judgement::new(unflushed_bytes_max, path, stop, claimed);
        let rest = examine_rest(&*file, stop.position, base_offset, end)?;
        let mut judged = judgement.add_rest(&rest, stop.position);
        for &base_offset in behind {
            let path = segment_path(self.directory, base_offset, extension::LOG);
            let rest = examine_rest(&*self.files.open(&path)?, 0, base_offset, end)?;
            judged = judged.and_then(|()| judgement.add_rest(&rest, 0));
        }
        Ok(judged.map(|()| judgement))
    }

    /// What the small files name must have been met.
    fn check_end(&self, state: &LogState, report: &mut Report<'_>) {
        let end = state.log_end_offset;
        if let Some((path, checkpoint)) = &self.watch.recovery {
            let point = checkpoint.state.log_end_offset;
            let start = checkpoint.state.log_start_offset;
            if !self.watch.recovery_point_met && point > 0 {
                let text = format!(
                    "no batch ends with the recovery point {point} at byte {} of segment {}",
                    checkpoint.segment_position, checkpoint.segment_base_offset
                );
                report.problem(path, text);
            }
            if start > end {
                report.problem(
                    path,
                    format!("the log starts at {start}, behind its end {end}"),
                );
            }
        }
        for (&offset, (path, stored)) in &self.watch.snapshots {
            if offset > end {
                report.note(path, format!("is of an offset behind the log's end {end}"));
            } else if offset == end {
                let (replayed, from) = (&state.producers, self.watch.scanned_from);
                check_producers(path, stored, replayed, from, report);
            }
        }
    }
}

/// What the small files of the partition say, checked as the batches go by.
#[derive(Default)]
struct Watch {
    /// The segment that is being scanned.
    segment: Offset,
    /// First offset of the first segment.
    scanned_from: Offset,
    /// Producers by the offset they were noted at.
    snapshots: BTreeMap<Offset, (PathBuf, ProducerState)>,
    /// Leader epochs of `leader-epoch-checkpoint`, while they fit.
    epochs: Vec<(PathBuf, LeaderEpochCache)>,
    /// They were written at the log's end.
    is_current: bool,
    recovery: Option<(PathBuf, RecoveryCheckpoint)>,
    recovery_point_met: bool,
}

impl BatchObserver for Watch {
    fn before(&mut self, batch: &StoredBatch<'_>, state: &LogState, report: &mut Report<'_>) {
        let passed = state.log_end_offset..=batch.header.base_offset;
        for (path, stored) in self.snapshots.range(passed).map(|(_, noted)| noted) {
            check_producers(path, stored, &state.producers, self.scanned_from, report);
        }
        if let Some((path, checkpoint)) = &self.recovery
            && checkpoint.segment_base_offset == self.segment
            && checkpoint.segment_position == batch.position
        {
            self.recovery_point_met = checkpoint.state.log_end_offset == state.log_end_offset;
            let stored = &checkpoint.state.producers;
            check_producers(path, stored, &state.producers, self.scanned_from, report);
        }
        // One complaint for a file: all batches behind it would make the same.
        self.epochs.retain(|(path, epochs)| {
            let fault = wrong_epoch(epochs, &batch.header, self.is_current);
            if let Some(fault) = &fault {
                report.problem(path, fault.as_str());
            }
            fault.is_none()
        });
    }
}

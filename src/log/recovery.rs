//! Opening a log: made anew, found as it was stopped, or recovered after a crash (rules 4, 7, 8
//! and 9).
//!
//! A clean stop is the case in which the checkpoint names the very end: nothing is left to scan.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use super::checkpoint::{self, CHECKPOINT_FILE, CheckpointFile};
use super::cut::{cut_file, remove_files, zero_behind};
use super::judgement::Judgement;
use super::log::{Core, LogInner};
use super::remainder::Remainder;
use super::removal::Target;
use super::replay::{ScanStop, SegmentScan};
use super::segment::{Segment, align_down, align_up, extension, parse_segment_name, segment_path};
use super::segment_index::SegmentIndex;
use super::stop::LEADER_EPOCH_CHECKPOINT;
use super::{
    BrokenRule, Landmark, Log, LogDirectory, LogError, OpenLog, RecoveryReport, retention, roll,
    written_mark, zero_ahead,
};
use crate::io::{File, IoClass};
use crate::log_state::{
    CHECKPOINT_SIZE_MAX, LeaderEpochCache, LogState, OffsetIndexEntry, ProducerState,
    RecoveryCheckpoint, TimeIndexEntry, decode_partition_metadata, encode_partition_metadata,
};
use crate::types::Offset;

/// Largest small file that is read.
const SMALL_FILE_SIZE_MAX: usize = 64 << 20;

pub const PARTITION_METADATA: &str = "partition.metadata";

/// A log that is being opened.
struct Opening<'a> {
    directory: &'a LogDirectory,
    options: &'a OpenLog,
    path: PathBuf,
    report: RecoveryReport,
    /// Sizes of the `.log` files by base offset.
    files: BTreeMap<Offset, u64>,
    /// Offsets of the `.snapshot` files.
    snapshots: Vec<Offset>,
    /// Files that were put out of use, with their sizes.
    leftovers: Vec<(PathBuf, u64)>,
    /// Something on disk was changed or has to be: the checkpoint is written anew.
    is_changed: bool,
}

/// Where the scan starts.
struct Start {
    checkpoint: RecoveryCheckpoint,
    /// Offset below which nothing is ever cut (rule 8).
    recovery_point: Offset,
    index: Option<SegmentIndex>,
    has_checkpoint: bool,
}

/// See [`Log::open`].
pub(super) async fn open(
    directory: &LogDirectory,
    options: OpenLog,
) -> Result<(Log, RecoveryReport), LogError> {
    directory.failure().map_or(Ok(()), Err)?;
    let mut opening = Opening {
        directory,
        path: directory.path().join(options.partition.to_string()),
        options: &options,
        report: RecoveryReport::default(),
        files: BTreeMap::new(),
        snapshots: Vec::new(),
        leftovers: Vec::new(),
        is_changed: false,
    };
    // The lock comes before anything is read that the log writes, names too: rule 4.
    let checkpoint = opening.open_checkpoint().await?;
    opening.prepare_directory().await?;
    let (file, newest) = match checkpoint {
        Some((file, newest)) => (Some(file), newest),
        None => (None, None),
    };
    let slot = newest.as_ref().map(|(_, slot)| *slot);
    let start = opening
        .start(newest.map(|(checkpoint, _)| checkpoint))
        .await?;
    let mut before = start.checkpoint.clone();
    if start.index.is_none() {
        // The files are not what it says: all entries are new to them.
        before.offset_index_entry_count = 0;
        before.time_index_entry_count = 0;
    }
    let (state, mut core) = opening.recover(start).await?;
    let is_new = opening.report.created && state.log_end_offset == before.state.log_end_offset;
    let checkpoint_file = match (file, slot) {
        (Some(file), Some(slot)) => {
            checkpoint::make_durable(directory, &file).await?;
            opening.drop_below(&mut core.segments, &before).await?;
            CheckpointFile::new(file, &before, slot)
        }
        _ => {
            opening.is_changed = true;
            if is_new {
                before.unflushed_bytes_max = checkpoint::unflushed_bytes_max(&options.config);
            }
            let path = opening.path.join(CHECKPOINT_FILE);
            checkpoint::first(directory, path, &before).await?
        }
    };
    let (is_changed, report, path) = (opening.is_changed, opening.report, opening.path);
    if report.dropped_bytes > 0 {
        directory.reached(Landmark::TornTail);
    }
    if (1..state.log_end_offset).contains(&before.state.log_end_offset) {
        directory.reached(Landmark::RecoveryBehindCheckpoint);
    }
    let leftovers = Target::Files(opening.leftovers);
    directory.remove_later(Duration::ZERO, leftovers, Vec::new());
    let log = LogInner::new(directory, options, path, (state, core), checkpoint_file);
    let found = match slot {
        _ if is_new => Found::New,
        None => Found::WithoutCheckpoint,
        Some(_) if is_changed => Found::Changed,
        Some(_) => Found::AsStopped,
    };
    settle(&log, found, &before).await?;
    Ok((Log { inner: log }, report))
}

/// In what state a log was when it was opened.
enum Found {
    /// Not at all: it was made.
    New,
    /// Recovered without a checkpoint to begin with.
    WithoutCheckpoint,
    /// Recovered from a checkpoint, which is not that of the end.
    Changed,
    AsStopped,
}

/// Lets an opened log be found. The next recovery may begin where this one did until there is a
/// newer checkpoint: no start of many logs waits for that, unless there is none at all.
async fn settle(
    log: &Rc<LogInner>,
    found: Found,
    before: &RecoveryCheckpoint,
) -> Result<(), LogError> {
    let active = Rc::clone(log.core.borrow().active());
    match found {
        Found::WithoutCheckpoint => {
            roll::write_indexes(log, &active).await?;
            log.checkpoint.indexes_written(&active);
            checkpoint::make(log).await?;
        }
        _ => log.checkpoint.indexes_found(&active, before),
    }
    log.directory.register(log);
    match found {
        Found::New => zero_ahead::zero_if_needed(log, &active),
        Found::Changed => log.directory.want_checkpoint(log),
        Found::WithoutCheckpoint | Found::AsStopped => {}
    }
    Ok(())
}

impl Opening<'_> {
    /// Makes the directory if need be and finds out what is in it.
    async fn prepare_directory(&mut self) -> Result<(), LogError> {
        let disk = self.directory.disk();
        let failed = |error| LogError::io(&self.path, error);
        let metadata_path = self.path.join(PARTITION_METADATA);
        let entries = match disk.list_dir(&self.path).await {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                disk.create_dir_all(&self.path).await.map_err(failed)?;
                Vec::new()
            }
            Err(error) => return Err(failed(error)),
        };
        for entry in &entries {
            match parse_segment_name(&entry.name) {
                Some((base_offset, extension::LOG)) => {
                    self.files.insert(base_offset, entry.size);
                }
                Some((offset, extension::SNAPSHOT)) => self.snapshots.push(offset),
                Some((_, other)) if other.ends_with(extension::DELETED) => {
                    self.leftovers
                        .push((self.path.join(&entry.name), entry.size));
                }
                _ => {}
            }
        }
        if entries.iter().any(|entry| entry.name == PARTITION_METADATA) {
            let text = self.read_text(&metadata_path).await?;
            let topic_id = decode_partition_metadata(&text)
                .map_err(|error| LogError::corrupt(&metadata_path, 0, error.to_string()))?;
            if topic_id != self.options.topic_id {
                let wanted = self.options.topic_id;
                let fault = format!("belongs to topic id {topic_id}, not to {wanted}");
                return Err(LogError::corrupt(&metadata_path, 0, fault));
            }
        } else {
            if !self.files.is_empty() {
                // It is written before any segment is made, and goes with them.
                let fault = "is gone, and the directory has segments: nobody knows of which topic. \
                             Move the directory out of the log directory";
                return Err(LogError::corrupt(&metadata_path, 0, fault));
            }
            self.report.created = true;
            // Also when the directory was there: a dead process may not have come to this.
            let synced = disk.sync_dir(self.directory.path()).await;
            synced.map_err(|error| LogError::flush(self.directory.path(), error))?;
            let text = encode_partition_metadata(self.options.topic_id);
            let written = disk.write_file(&metadata_path, text.into_bytes()).await;
            written.map_err(|error| LogError::replacing(&metadata_path, error))?;
        }
        Ok(())
    }

    async fn read_text(&self, path: &Path) -> Result<String, LogError> {
        let read = self
            .directory
            .disk()
            .read_file(path, SMALL_FILE_SIZE_MAX)
            .await;
        let bytes = read.map_err(|error| LogError::io(path, error))?;
        String::from_utf8(bytes).map_err(|error| LogError::corrupt(path, 0, error.to_string()))
    }

    /// The checkpoint file, locked, and the newest checkpoint in it.
    async fn open_checkpoint(
        &self,
    ) -> Result<Option<(File, Option<(RecoveryCheckpoint, usize)>)>, LogError> {
        let path = self.path.join(CHECKPOINT_FILE);
        let file = match self
            .directory
            .disk()
            .open(&path, self.directory.locked_for_writing(false))
            .await
        {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(LogError::io(&path, error)),
        };
        let size = (file.size() as usize).min(2 * CHECKPOINT_SIZE_MAX);
        let read = file.read_at(0, size, IoClass::Background).await;
        let bytes = read.map_err(|error| LogError::io(&path, error))?;
        if let Some(version) = RecoveryCheckpoint::newer_version(&bytes) {
            let fault = format!("version {version}, of a newer release; start that one");
            return Err(LogError::corrupt(&path, 0, fault));
        }
        Ok(Some((file, RecoveryCheckpoint::newest(&bytes))))
    }

    /// Decides where the scan starts: at our checkpoint, or without one at the first segment, with
    /// the snapshot of its producers.
    async fn start(&mut self, newest: Option<RecoveryCheckpoint>) -> Result<Start, LogError> {
        if let Some(checkpoint) = newest {
            let index = self.checkpointed_index(&checkpoint).await;
            // What the index files lack is in the next checkpoint again, or written before it.
            self.is_changed |=
                !checkpoint.offset_index_tail.is_empty() || !checkpoint.time_index_tail.is_empty();
            return Ok(Start {
                recovery_point: checkpoint.state.log_end_offset,
                index,
                checkpoint,
                has_checkpoint: true,
            });
        }
        self.is_changed = true;
        self.report.lost_checkpoint = !self.files.is_empty();
        let base_offset = self.files.keys().next().copied().unwrap_or(0);
        let mut state = LogState {
            log_start_offset: base_offset,
            log_end_offset: base_offset,
            ..LogState::default()
        };
        let snapshot_path = segment_path(&self.path, base_offset, extension::SNAPSHOT);
        if self.snapshots.contains(&base_offset) {
            let read = self
                .directory
                .disk()
                .read_file(&snapshot_path, SMALL_FILE_SIZE_MAX)
                .await;
            let bytes = read.map_err(|error| LogError::io(&snapshot_path, error))?;
            state.producers = ProducerState::decode_snapshot(&bytes)
                .map_err(|error| LogError::corrupt(&snapshot_path, 0, error.to_string()))?;
        }
        // Only a copy: what is missing is rebuilt from the batches, as far as they are scanned.
        if let Ok(text) = self
            .read_text(&self.path.join(LEADER_EPOCH_CHECKPOINT))
            .await
            && let Ok(epochs) = LeaderEpochCache::decode(&text)
        {
            state.epochs = epochs;
            state.epochs.truncate_from_end(base_offset);
        }
        Ok(Start {
            recovery_point: 0,
            index: None,
            has_checkpoint: false,
            checkpoint: RecoveryCheckpoint {
                state,
                segment_base_offset: base_offset,
                ..RecoveryCheckpoint::default()
            },
        })
    }

    /// The active segment's index as the checkpoint describes it; `None` if it has to be rebuilt.
    async fn checkpointed_index(&self, checkpoint: &RecoveryCheckpoint) -> Option<SegmentIndex> {
        let base_offset = checkpoint.segment_base_offset;
        let mut index = SegmentIndex::new(base_offset);
        let offset_count = checkpoint.offset_index_entry_count as usize;
        let time_count = checkpoint.time_index_entry_count as usize;
        if offset_count + time_count > 0 {
            let disk = self.directory.disk();
            let path = segment_path(&self.path, base_offset, extension::INDEX);
            let offsets = disk.read_file(&path, SMALL_FILE_SIZE_MAX).await.ok()?;
            let path = segment_path(&self.path, base_offset, extension::TIME_INDEX);
            let times = disk.read_file(&path, SMALL_FILE_SIZE_MAX).await.ok()?;
            index = SegmentIndex::decode(
                base_offset,
                offsets.get(..offset_count * OffsetIndexEntry::SIZE)?,
                times.get(..time_count * TimeIndexEntry::SIZE)?,
            );
            if (index.offsets.len(), index.times.len()) != (offset_count, time_count) {
                return None;
            }
        }
        index.offsets.extend(&checkpoint.offset_index_tail);
        index.times.extend(&checkpoint.time_index_tail);
        index.bytes_since_entry = checkpoint.bytes_since_index_entry;
        index.max_timestamp = checkpoint.max_timestamp;
        index.max_timestamp_offset = checkpoint.max_timestamp_offset;
        index.first_timestamp = checkpoint.first_timestamp;
        Some(index)
    }

    /// Scans what is behind the recovery point, cuts where the valid batches end, and builds the
    /// log's state.
    async fn recover(&mut self, start: Start) -> Result<(LogState, Core), LogError> {
        let checkpoint = &start.checkpoint;
        let first_scanned = checkpoint.segment_base_offset;
        if !self.files.contains_key(&first_scanned) {
            let reached = start.recovery_point.max(checkpoint.state.log_start_offset);
            if reached > first_scanned {
                let path = segment_path(&self.path, first_scanned, extension::LOG);
                return Err(LogError::corrupt(&path, 0, "the segment is gone"));
            }
            self.make_segment(first_scanned).await?;
        }
        self.remove_strays(first_scanned).await?;
        let mut state = checkpoint.state.clone();
        let mut segments = self.older_segments(first_scanned);
        let scanned: Vec<Offset> = self.files.range(first_scanned..).map(|(&b, _)| b).collect();
        let mut scan = Scan {
            index: start.index,
            position: checkpoint.segment_position,
            state_from: checkpoint.segment_position,
            recovery_point: start.recovery_point,
            unflushed_bytes_max: checkpoint.unflushed_bytes_max,
            gaps_end: checkpoint.gaps_end,
            has_checkpoint: start.has_checkpoint,
        };
        if scan.index.is_none() {
            // The index has to be rebuilt from the segment's start.
            self.is_changed = true;
            scan.position = 0;
        }
        let mut active = None;
        for (at, &base_offset) in scanned.iter().enumerate() {
            let later = &scanned[at + 1..];
            let (segment, is_end) = self
                .recover_segment(&mut state, &mut scan, base_offset, later)
                .await?;
            segments.insert(base_offset, Rc::clone(&segment));
            if is_end {
                active = Some(segment);
                break;
            }
        }
        let active = active.expect("the last segment scanned is the end");
        if self.is_changed {
            // The dead process may not have come to syncing the names of what it made, or of what
            // it had removed in a truncation.
            let synced = self.directory.disk().sync_dir(&self.path).await;
            synced.map_err(|error| LogError::flush(&self.path, error))?;
        }
        if self.directory.breaks(BrokenRule::CutsCorruption) {
            state.log_start_offset = state.log_start_offset.min(state.log_end_offset);
        }
        assert!(
            state.log_start_offset <= state.log_end_offset,
            "{}: nothing is cut below the log's start",
            self.options.partition
        );
        let first = *segments.keys().next().expect("a log has a segment");
        self.start_with(first, &mut state);
        // The scan may have begun before the start.
        state.epochs.truncate_from_start(state.log_start_offset);
        let mut core = Core::new(segments, state.log_end_offset);
        core.partial_unit = self.partial_unit(&active).await?;
        Ok((state, core))
    }

    /// As with Kafka a log starts with its first segment: else its start were out of range.
    fn start_with(&mut self, first: Offset, state: &mut LogState) {
        if state.log_start_offset < first {
            self.is_changed = true;
            self.report.missing = Some((state.log_start_offset, first));
            state.log_start_offset = first;
        }
    }

    /// Puts out of use what lies below the log's start, which is durable: the process that moved it
    /// may have died before it had renamed all of these.
    async fn drop_below(
        &mut self,
        segments: &mut BTreeMap<Offset, Rc<Segment>>,
        newest: &RecoveryCheckpoint,
    ) -> Result<(), LogError> {
        let mut dropped = Vec::new();
        while let Some(first) = segments.first_entry()
            && *first.key() < newest.segment_base_offset
            && first.get().end_offset.get() <= newest.state.log_start_offset
        {
            dropped.push(first.remove());
        }
        let renamed = retention::rename_files(self.directory.disk(), &self.path, &dropped).await?;
        self.leftovers.extend(renamed.into_iter().flatten());
        Ok(())
    }

    /// Removes empty files between others. A dead process may have opened such a file for a new
    /// segment so late that the next one had looked at the names before, and went on elsewhere. It
    /// would part the log, or end it. The first file of all is never one, and may be empty: Kafka's
    /// compaction leaves it for the log's start.
    async fn remove_strays(&mut self, first_scanned: Offset) -> Result<(), LogError> {
        let bases = self.files.keys();
        let ends = [bases.clone().next(), bases.clone().next_back()].map(Option::<&_>::copied);
        let is_kept =
            |base_offset| base_offset == first_scanned || ends.contains(&Some(base_offset));
        let is_stray = |&base_offset: &Offset, size: &mut u64| *size == 0 && !is_kept(base_offset);
        let strays: Vec<_> = self.files.extract_if(.., is_stray).collect();
        if strays.is_empty() {
            return Ok(());
        }
        let names = strays
            .into_iter()
            .map(|(base, _)| segment_path(&self.path, base, extension::LOG));
        remove_files(self.directory.disk(), &self.path, names.collect()).await
    }

    fn older_segments(&self, end: Offset) -> BTreeMap<Offset, Rc<Segment>> {
        let mut segments = BTreeMap::new();
        let now = self.directory.reactor().wall_clock();
        let mut next = end;
        for (&base_offset, &size) in self.files.range(..end).rev() {
            let segment = Segment::sealed(base_offset, size, next);
            segment.modified_at.set(now);
            segments.insert(base_offset, segment);
            next = base_offset;
        }
        segments
    }

    async fn make_segment(&mut self, base_offset: Offset) -> Result<(), LogError> {
        self.is_changed = true;
        let path = segment_path(&self.path, base_offset, extension::LOG);
        let disk = self.directory.disk();
        let made = disk
            .open(&path, self.directory.locked_for_writing(true))
            .await;
        made.map_err(|error| LogError::io(&path, error))?;
        let synced = disk.sync_dir(&self.path).await;
        synced.map_err(|error| LogError::flush(&self.path, error))?;
        self.files.insert(base_offset, 0);
        Ok(())
    }

    /// Scans and cuts one segment, behind which there are files of `later` ones; `true` when the
    /// log ends in it.
    async fn recover_segment(
        &mut self,
        state: &mut LogState,
        scan: &mut Scan,
        base_offset: Offset,
        later: &[Offset],
    ) -> Result<(Rc<Segment>, bool), LogError> {
        let path = segment_path(&self.path, base_offset, extension::LOG);
        let file = self.open_segment(&path).await?;
        let segment_scan = SegmentScan {
            reactor: self.directory.reactor(),
            file: &file,
            path: &path,
            size: file.size(),
            written_at_most: written_mark::read(&file, base_offset).await?,
            end_offset: Offset::MAX,
            index_interval_bytes: self.options.config.index_interval_bytes,
            gaps_end: scan.gaps_end,
        };
        let mut index = scan
            .index
            .take()
            .unwrap_or_else(|| SegmentIndex::new(base_offset));
        let from = scan.position;
        let first_offset = if from == 0 {
            base_offset
        } else {
            state.log_end_offset
        };
        let stop = if segment_scan.end() < scan.state_from {
            ScanStop::new(segment_scan.end(), "the file ends")
        } else {
            segment_scan
                .replay(state, &mut index, from, scan.state_from, first_offset)
                .await?
        };
        if !self.directory.breaks(BrokenRule::CutsCorruption) {
            scan.check_recovery_point(&path, &stop, state, later)?;
            scan.check_gap(&path, &stop, state.log_end_offset, later)?;
        }
        self.report.scanned_bytes += stop.position - from;
        let end = state.log_end_offset;
        let continues = later.first() == Some(&end);
        let behind = if continues { &[][..] } else { later };
        let nonzero_end = self
            .judge_rest(&segment_scan, scan, &stop, base_offset, behind, end)
            .await?;
        if !continues {
            // Before the cut: it takes what tells a torn end from corruption.
            self.drop_behind(later, end).await?;
        }
        let is_hiding = !continues && segment_scan.size < align_up(stop.position);
        let zeros_end = match is_hiding && !self.directory.breaks(BrokenRule::LeavesHiddenBytes) {
            true => align_up(stop.position),
            false => nonzero_end,
        };
        self.cut(&segment_scan, &stop, from, zeros_end).await?;
        let segment = Segment::sealed(base_offset, stop.position, state.log_end_offset);
        segment.update_covered(|covered| covered.synced_end = align_down(stop.position));
        segment.was_cut.set(stop.position < segment_scan.size);
        if continues {
            index.seal();
            self.write_index_files(base_offset, &index).await?;
            self.write_missing_snapshot(state).await?;
            scan.next_segment();
            return Ok((segment, false));
        }
        segment.activate(file, index, self.directory.reactor().wall_clock());
        Ok((segment, true))
    }

    /// Opens a segment, once the last write of whoever had it is over (rule 4).
    async fn open_segment(&self, path: &Path) -> Result<File, LogError> {
        let disk = self.directory.disk();
        let opened = disk
            .open(path, self.directory.locked_for_writing(false))
            .await;
        opened.map_err(|error| LogError::io(path, error))
    }

    /// Looks at what is behind the log's end before it is cut and dropped, in the segment with the
    /// end and in those `behind`: where in the former the last byte is that is not zero.
    async fn judge_rest(
        &mut self,
        segment_scan: &SegmentScan<'_>,
        scan: &Scan,
        stop: &ScanStop,
        base_offset: Offset,
        behind: &[Offset],
        end: Offset,
    ) -> Result<u64, LogError> {
        let claimed_end = segment_scan.claimed_end(stop.position).await?;
        let mut judgement = Judgement::new(
            scan.unflushed_bytes_max,
            segment_scan.path,
            stop,
            claimed_end,
        );
        if self.directory.breaks(BrokenRule::CutsCorruption) {
            judgement.unflushed_bytes_max = 0;
        }
        let rest = self
            .examine(segment_scan, stop.position, base_offset, end)
            .await?;
        judgement.add_rest(&rest, stop.position)?;
        for &base_offset in behind {
            let path = segment_path(&self.path, base_offset, extension::LOG);
            let file = self.open_segment(&path).await?;
            let later_scan = SegmentScan {
                reactor: self.directory.reactor(),
                file: &file,
                path: &path,
                size: file.size(),
                written_at_most: written_mark::read(&file, base_offset).await?,
                end_offset: Offset::MAX,
                index_interval_bytes: self.options.config.index_interval_bytes,
                gaps_end: scan.gaps_end,
            };
            let later_rest = self.examine(&later_scan, 0, base_offset, end).await?;
            judgement.add_rest(&later_rest, 0)?;
        }
        self.report.dropped_batches += judgement.batch_count;
        self.report.dropped_bytes += judgement.byte_count;
        judgement.tell(&self.options.partition, end, self.directory.landmarks());
        Ok(rest.nonzero_end)
    }

    /// What lies behind byte `from` of a segment.
    async fn examine(
        &self,
        scan: &SegmentScan<'_>,
        from: u64,
        base_offset: Offset,
        end: Offset,
    ) -> Result<Remainder, LogError> {
        let (base_offset, end) = match self.directory.breaks(BrokenRule::BelievesOldBatches) {
            true => (0, 0),
            false => (base_offset, end),
        };
        let rest = scan.examine_rest(from, base_offset, end).await?;
        if scan.written_at_most.is_some() {
            self.directory.reached(Landmark::RecoveryOverRecycled);
            if rest.batch_count > 0 {
                self.directory.reached(Landmark::TornTailAmongOld);
            }
        }
        Ok(rest)
    }

    /// Cuts a segment where its valid batches end: zeros to the highest byte that is not zero, so
    /// that nothing behind a torn batch can come back to life, then the size (rule 7). In a
    /// recycled file whole old batches need no zeros: they are below every offset to come. What was
    /// scanned is made durable: until now it had only been written.
    ///
    /// In the segment with the log's end so is the rest of its last unit, behind the file's size
    /// too: a loss of power may have taken the size of a write and left its bytes. The next write
    /// into that unit brings the size, and another loss may leave that and take the bytes.
    async fn cut(
        &mut self,
        scan: &SegmentScan<'_>,
        stop: &ScanStop,
        from: u64,
        zeros_end: u64,
    ) -> Result<(), LogError> {
        let position = stop.position;
        let (disk, file) = (self.directory.disk(), (scan.file, scan.path));
        if position == from && position == scan.size {
            if zeros_end > position {
                return zero_behind(disk, file, position, zeros_end).await;
            }
            // The cut may be of a process that died before it had synced it.
            let synced = scan.file.sync_all().await;
            return synced.map_err(|error| LogError::flush(scan.path, error));
        }
        self.is_changed = true;
        if self.directory.breaks(BrokenRule::CutsNothing) {
            return Ok(());
        }
        cut_file(disk, file, position, zeros_end).await
    }

    async fn write_index_files(
        &self,
        base_offset: Offset,
        index: &SegmentIndex,
    ) -> Result<(), LogError> {
        for (extension, bytes) in [
            (extension::INDEX, index.encode_offsets()),
            (extension::TIME_INDEX, index.encode_times()),
        ] {
            let path = segment_path(&self.path, base_offset, extension);
            let written = self.directory.disk().write_file(&path, bytes).await;
            written.map_err(|error| LogError::replacing(&path, error))?;
        }
        Ok(())
    }

    /// The producers at the end of a segment that another one follows: the dead process may have
    /// come to making that one and not to its snapshot. A truncation goes back to it when the
    /// segments before it are gone.
    async fn write_missing_snapshot(&self, state: &LogState) -> Result<(), LogError> {
        let end = state.log_end_offset;
        if self.snapshots.contains(&end) {
            return Ok(());
        }
        let path = segment_path(&self.path, end, extension::SNAPSHOT);
        let snapshot = state.producers.encode_snapshot();
        let written = self.directory.disk().write_file(&path, snapshot).await;
        written.map_err(|error| LogError::replacing(&path, error))
    }

    /// Removes the segments behind the end, and the snapshots of states that are gone.
    async fn drop_behind(&mut self, later: &[Offset], end: Offset) -> Result<(), LogError> {
        let mut names = Vec::new();
        for &base_offset in later {
            for extension in [extension::LOG, extension::INDEX, extension::TIME_INDEX] {
                names.push(segment_path(&self.path, base_offset, extension));
            }
        }
        for &offset in self.snapshots.iter().filter(|&&offset| offset > end) {
            names.push(segment_path(&self.path, offset, extension::SNAPSHOT));
        }
        if names.is_empty() {
            return Ok(());
        }
        self.is_changed = true;
        remove_files(self.directory.disk(), &self.path, names).await
    }

    /// What the unit holds in which the log ends: the next write begins with it.
    async fn partial_unit(&self, active: &Segment) -> Result<Vec<u8>, LogError> {
        let size = active.size.get();
        let start = align_down(size);
        if start == size {
            return Ok(Vec::new());
        }
        let path = segment_path(&self.path, active.base_offset, extension::LOG);
        let file = active.open_file().expect("the active segment is open");
        let wanted = (size - start) as usize;
        let read = file.read_at(start, wanted, IoClass::Background).await;
        let bytes = read.map_err(|error| LogError::io(&path, error))?;
        if bytes.len() < wanted {
            return Err(LogError::corrupt(&path, start, "the file has shrunk"));
        }
        Ok(bytes.to_vec())
    }
}

/// Where the scan is, and what it may not cut.
struct Scan {
    index: Option<SegmentIndex>,
    position: u64,
    /// Batches before this position are in the state already.
    state_from: u64,
    recovery_point: Offset,
    /// 0 in class K.
    unflushed_bytes_max: u64,
    gaps_end: Offset,
    has_checkpoint: bool,
}

impl Scan {
    fn next_segment(&mut self) {
        self.index = None;
        self.position = 0;
        self.state_from = 0;
    }

    /// Below the recovery point nothing is ever cut (rule 8), nor below the log's start: that only
    /// moves to what is durable, and a truncation lowers the recovery point alone.
    fn check_recovery_point(
        &self,
        path: &Path,
        stop: &ScanStop,
        state: &LogState,
        later: &[Offset],
    ) -> Result<(), LogError> {
        let (named, reached) = match state.log_start_offset > self.recovery_point {
            true => ("log's start", state.log_start_offset),
            false => ("recovery point", self.recovery_point),
        };
        let end_needed = later.first().map_or(reached, |&next| next.min(reached));
        if stop.position >= self.state_from && state.log_end_offset >= end_needed {
            return Ok(());
        }
        let why = if stop.fault.is_empty() {
            "the records end"
        } else {
            &stop.fault
        };
        let fault = format!("{why} below the {named} {reached}");
        Err(LogError::corrupt(path, stop.position, fault))
    }

    /// Without a checkpoint nobody knows whether compaction has left a gap: what is behind it may
    /// be most of the log, and is not cut. No crash leaves a log without its checkpoint.
    fn check_gap(
        &self,
        path: &Path,
        stop: &ScanStop,
        log_end_offset: Offset,
        later: &[Offset],
    ) -> Result<(), LogError> {
        let ends_whole = stop.fault.is_empty() && !stop.is_gap;
        let is_between = ends_whole && later.first().is_some_and(|&next| next > log_end_offset);
        if self.has_checkpoint || !(stop.is_gap || is_between) {
            return Ok(());
        }
        let fault = format!(
            "offsets are missing from {log_end_offset} on, and {CHECKPOINT_FILE}, which would say \
             whether they may be, is gone or damaged"
        );
        Err(LogError::corrupt(path, stop.position, fault))
    }
}

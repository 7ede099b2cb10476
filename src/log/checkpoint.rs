//! The recovery point: how far recovery need not read. It advances behind the flushes, and names
//! only what was made durable before it (rule 9).

use std::cell::{Cell, RefCell};
use std::path::PathBuf;
use std::rc::{Rc, Weak};
use std::time::Duration;

use super::log::LogInner;
use super::segment::{Segment, align_down, extension, segment_path};
use super::{BrokenRule, Landmark, LogConfig, LogDirectory, LogError};
use crate::io::{File, IoClass, Notify, OpenOptions, Semaphore, WRITE_UNIT};
use crate::log_state::{OffsetIndexEntry, RecoveryCheckpoint, TimeIndexEntry};
use crate::types::Offset;

/// Name of a log's checkpoint file.
pub const CHECKPOINT_FILE: &str = "ringlog-checkpoint";

/// Every log with new records gets a checkpoint so often.
const INTERVAL: Duration = Duration::from_secs(5);

/// A log gets one at once when so many bytes are behind its last one.
const BYTES_BEHIND_MAX: u64 = 64 << 20;

/// All get one when their flushes have made so many bytes durable since the last round, of all logs
/// of a directory and shard: what a start has to read is bounded, however many logs there are.
const ROUND_BYTES_MAX: u64 = 256 << 20;

/// Bytes of index entries that a checkpoint holds itself at most. More go to the index files, which
/// costs opening, writing and syncing two of them: with 1,000 partitions the most of a checkpoint.
const INDEX_TAILS_SIZE_MAX: usize = 12 << 10;

/// Checkpoints made at the same time, per directory and shard.
const IN_FLIGHT_MAX: usize = 32;

/// When the logs of a directory get checkpoints.
#[derive(Default)]
pub(super) struct Schedule {
    pub(super) changed: Notify,
    wanted: RefCell<Vec<Weak<LogInner>>>,
    /// Made durable since the last round.
    round_bytes: Cell<u64>,
}

impl Schedule {
    /// Makes a checkpoint of `log` soon.
    pub(super) fn want(&self, log: &Rc<LogInner>) {
        if !log.checkpoint.is_wanted.replace(true) {
            self.wanted.borrow_mut().push(Rc::downgrade(log));
            self.changed.notify_all();
        }
    }

    /// To be called when a flush has made `bytes` more of a log durable, `durable_bytes` in all.
    pub(super) fn flushed(&self, log: &Rc<LogInner>, bytes: u64, durable_bytes: u64) {
        let before = self.round_bytes.get();
        self.round_bytes.set(before + bytes);
        if before < ROUND_BYTES_MAX && before + bytes >= ROUND_BYTES_MAX {
            self.changed.notify_all();
        }
        if durable_bytes - log.checkpoint.covered_bytes.get() >= BYTES_BEHIND_MAX {
            self.want(log);
        }
    }
}

/// A directory's task that makes checkpoints.
pub(super) async fn run(directory: LogDirectory) {
    let reactor = directory.reactor().clone();
    let slots = Semaphore::new(IN_FLIGHT_MAX);
    let mut next_round = reactor.now() + INTERVAL;
    while !directory.is_stopped() {
        let changed = directory.checkpoints().changed.notified();
        let wanted = std::mem::take(&mut *directory.checkpoints().wanted.borrow_mut());
        let mut due: Vec<_> = wanted.iter().filter_map(Weak::upgrade).collect();
        let round_bytes = &directory.checkpoints().round_bytes;
        if reactor.now() >= next_round || round_bytes.get() >= ROUND_BYTES_MAX {
            round_bytes.set(0);
            next_round = reactor.now() + INTERVAL;
            due.extend(directory.logs().into_iter().map(|log| log.inner));
        }
        if due.is_empty() {
            let wait = next_round - reactor.now();
            reactor.timeout(wait, changed).await;
            continue;
        }
        for log in due {
            let permit = slots.acquire(1).await;
            reactor
                .spawn(async move {
                    let wanted = log.checkpoint.is_wanted.replace(false);
                    let behind =
                        log.core.borrow().appended_bytes > log.checkpoint.covered_bytes.get();
                    if (wanted || behind) && !log.is_closed.get() {
                        // What went wrong was told to the directory.
                        let _ = advance(&log).await;
                    }
                    drop(permit);
                })
                .detach();
        }
    }
}

/// Makes a checkpoint; one that cannot be written fails the directory.
pub(super) async fn advance(log: &Rc<LogInner>) -> Result<(), LogError> {
    let made = make(log).await;
    made.inspect_err(|error| log.directory.fail(error))
}

/// A log's checkpoint file. It is locked while the log is open.
pub(super) struct CheckpointFile {
    file: RefCell<Option<File>>,
    slot_size: Cell<usize>,
    next_slot: Cell<usize>,
    number: Cell<u64>,
    recovery_point: Cell<Offset>,
    /// What the newest checkpoint of this process has, which is durable; 0 before the first one:
    /// the log's start, and the segment at which recovery would begin.
    log_start_offset: Cell<Offset>,
    segment_base_offset: Cell<Offset>,
    /// Where the log starts, or will from the next checkpoint on.
    wanted_start: Cell<Offset>,
    /// What the newest durable checkpoint promises; the writer keeps it.
    unflushed_bytes_max: Cell<u64>,
    /// See [`RecoveryCheckpoint::gaps_end`].
    gaps_end: Cell<Offset>,
    /// Bytes of the log (since it was opened) behind the recovery point.
    covered_bytes: Cell<u64>,
    is_wanted: Cell<bool>,
    /// Entries of the active segment's index files that are durable.
    index_synced: Cell<IndexSynced>,
    running: Semaphore,
    /// Checkpoints of this process that have looked at the log, and the last of them that is
    /// durable.
    begun_count: Cell<u64>,
    last_done: Cell<u64>,
}

#[derive(Clone, Copy, Default)]
struct IndexSynced {
    base_offset: Offset,
    offset_count: usize,
    time_count: usize,
}

impl CheckpointFile {
    /// The open file, and the newest checkpoint in it with its slot.
    pub(super) fn new(file: File, checkpoint: &RecoveryCheckpoint, slot: usize) -> CheckpointFile {
        CheckpointFile {
            slot_size: Cell::new(align_down(file.size() / 2) as usize),
            file: RefCell::new(Some(file)),
            next_slot: Cell::new(1 - slot),
            number: Cell::new(checkpoint.number),
            recovery_point: Cell::new(checkpoint.state.log_end_offset),
            log_start_offset: Cell::new(0),
            segment_base_offset: Cell::new(0),
            wanted_start: Cell::new(checkpoint.state.log_start_offset),
            unflushed_bytes_max: Cell::new(checkpoint.unflushed_bytes_max),
            gaps_end: Cell::new(checkpoint.gaps_end),
            covered_bytes: Cell::new(0),
            is_wanted: Cell::new(false),
            index_synced: Cell::default(),
            running: Semaphore::new(1),
            begun_count: Cell::new(0),
            last_done: Cell::new(0),
        }
    }

    /// Number of the next checkpoint.
    pub(super) fn next_number(&self) -> u64 {
        self.number.get() + 1
    }

    pub(super) fn recovery_point(&self) -> Offset {
        self.recovery_point.get()
    }

    /// Where the log starts whatever happens.
    pub(super) fn log_start_offset(&self) -> Offset {
        self.log_start_offset.get()
    }

    /// The log is to start at `offset` as soon as a checkpoint says so. Whether that is news.
    pub(super) fn want_start(&self, offset: Offset) -> bool {
        let before = self.wanted_start.get();
        self.wanted_start.set(before.max(offset));
        offset > before
    }

    /// Where the log starts, or will from the next checkpoint on.
    pub(super) fn wanted_start(&self) -> Offset {
        self.wanted_start.get()
    }

    /// The log's end goes back to `end`: no start was wanted behind it.
    pub(super) fn truncated_to(&self, end: Offset) {
        self.wanted_start.set(self.wanted_start.get().min(end));
    }

    /// Whether nobody needs a segment any more: no reader, and no recovery, which may begin in one
    /// that is wholly below the log's start.
    pub(super) fn is_done_with(&self, segment: &Segment) -> bool {
        segment.end_offset.get() <= self.log_start_offset.get()
            && segment.base_offset < self.segment_base_offset.get()
    }

    pub(super) fn unflushed_bytes_max(&self) -> u64 {
        self.unflushed_bytes_max.get()
    }

    /// Below it a scan accepts that offsets are missing.
    pub(super) fn gaps_end(&self) -> Offset {
        self.gaps_end.get()
    }

    /// The writer keeps a new, lower limit from now on: the slot that promises it may be on the
    /// disk long before anybody knows. What was written until now is durable before that.
    fn tighten(&self, unflushed_bytes_max: u64) {
        let before = self.unflushed_bytes_max.get();
        if unflushed_bytes_max > 0 && (before == 0 || unflushed_bytes_max < before) {
            self.unflushed_bytes_max.set(unflushed_bytes_max);
        }
    }

    /// Closes the file and with it gives up the lock.
    pub(super) fn close(&self) {
        self.file.replace(None);
    }

    /// The index files were replaced by ones that hold all of these entries.
    pub(super) fn indexes_written(&self, segment: &Segment) {
        let index = segment.loaded_index().expect("it was just written");
        let index = index.borrow();
        self.index_synced.set(IndexSynced {
            base_offset: segment.base_offset,
            offset_count: index.offsets.len(),
            time_count: index.times.len(),
        });
    }

    /// The index files have what the checkpoint says with which the log was opened, if it is of
    /// this segment.
    pub(super) fn indexes_found(&self, segment: &Segment, checkpoint: &RecoveryCheckpoint) {
        let is_of_it = checkpoint.segment_base_offset == segment.base_offset;
        let count = |count: u32| if is_of_it { count as usize } else { 0 };
        self.index_synced.set(IndexSynced {
            base_offset: segment.base_offset,
            offset_count: count(checkpoint.offset_index_entry_count),
            time_count: count(checkpoint.time_index_entry_count),
        });
    }

    /// Waits for a running checkpoint and keeps others from starting.
    pub(super) async fn pause(&self) -> crate::io::Permit {
        self.running.acquire(1).await
    }
}

/// Makes a checkpoint of the log as it is now or later, as soon as that is durable. All who wait
/// for one that is being made share the next.
pub(super) async fn make(log: &Rc<LogInner>) -> Result<(), LogError> {
    let begun_before = log.checkpoint.begun_count.get();
    let _running = log.checkpoint.running.acquire(1).await;
    if log.checkpoint.file.borrow().is_none() {
        return Err(LogError::Closed);
    }
    if log.checkpoint.last_done.get() > begun_before {
        return Ok(());
    }
    let this = log.checkpoint.begun_count.get() + 1;
    log.checkpoint.begun_count.set(this);
    let (mut checkpoint, segment, bytes) = capture(log);
    log.checkpoint.tighten(checkpoint.unflushed_bytes_max);
    let older: Vec<_> = {
        let core = log.core.borrow();
        core.segments
            .range(..segment.base_offset)
            .map(|(_, s)| Rc::clone(s))
            .collect()
    };
    if older.iter().any(|segment| !segment.is_sealed.get()) {
        log.directory.reached(Landmark::CheckpointDuringRoll);
    }
    if !log.directory.breaks(BrokenRule::CheckpointsAhead) {
        log.wait_until(|core| core.written_bytes >= bytes).await?;
        log.directory.request_flush(log);
        log.wait_until(|core| core.durable_bytes >= bytes).await?;
    }
    for segment in older {
        loop {
            let changed = segment.changed.notified();
            if segment.is_sealed.get() {
                break;
            }
            log.directory.failure().map_or(Ok(()), Err)?;
            changed.await;
        }
    }
    write_new_entries(log, &segment, &mut checkpoint).await?;
    write_slot(log, &checkpoint).await?;
    let durable_bytes = log.core.borrow().durable_bytes;
    log.checkpoint.covered_bytes.set(bytes.min(durable_bytes));
    log.checkpoint.last_done.set(this);
    Ok(())
}

/// What a log with these settings promises from its next checkpoint on.
pub(super) fn unflushed_bytes_max(config: &LogConfig) -> u64 {
    let is_power_safe = config.flush_before_ack || config.flush_messages == 1;
    if is_power_safe {
        config.unflushed_bytes_max
    } else {
        0
    }
}

/// The checkpoint that describes the log's end, with its active segment and the bytes appended.
fn capture(log: &LogInner) -> (RecoveryCheckpoint, Rc<Segment>, u64) {
    let core = log.core.borrow();
    let segment = Rc::clone(core.active());
    let index = segment.loaded_index().expect("the active index is loaded");
    let index = index.borrow();
    let config = log.config.borrow();
    let unflushed_bytes_max = unflushed_bytes_max(&config);
    let mut state = log.state.borrow().clone();
    // Between the state machine's step and the append the state is ahead of the log; nothing
    // waits in between, so it cannot be seen here.
    assert_eq!(
        state.log_end_offset,
        segment.end_offset.get(),
        "state and log agree"
    );
    state.raise_log_start(log.checkpoint.wanted_start());
    let gaps_end = match log.checkpoint.gaps_end() {
        // What is appended from here on has none.
        end if end > state.log_start_offset => end.min(state.log_end_offset),
        _ => 0,
    };
    let checkpoint = RecoveryCheckpoint {
        number: log.checkpoint.next_number(),
        state,
        segment_position: segment.size.get(),
        unflushed_bytes_max,
        gaps_end,
        ..index.checkpoint()
    };
    (checkpoint, Rc::clone(&segment), core.appended_bytes)
}

/// Brings the index files of the active segment up to the checkpoint, or has the checkpoint hold
/// what they lack when that is little.
async fn write_new_entries(
    log: &Rc<LogInner>,
    segment: &Rc<Segment>,
    checkpoint: &mut RecoveryCheckpoint,
) -> Result<(), LogError> {
    let _sealing = log.sealing.acquire(1).await;
    if segment.is_sealed.get() {
        return Ok(());
    }
    let mut synced = log.checkpoint.index_synced.get();
    let is_new = synced.base_offset != segment.base_offset;
    if is_new {
        synced = IndexSynced {
            base_offset: segment.base_offset,
            ..IndexSynced::default()
        };
    }
    let offset_count = checkpoint.offset_index_entry_count as usize;
    let time_count = checkpoint.time_index_entry_count as usize;
    if offset_count <= synced.offset_count && time_count <= synced.time_count {
        // A stop may have written more since this checkpoint was captured.
        return Ok(());
    }
    if hold_new_entries(segment, synced, checkpoint) {
        return Ok(());
    }
    let (offsets, times) = {
        let index = segment.loaded_index().expect("the active index is loaded");
        let index = index.borrow();
        (index.encode_offsets(), index.encode_times())
    };
    let offsets = &offsets[..offset_count * OffsetIndexEntry::SIZE];
    let times = &times[..time_count * TimeIndexEntry::SIZE];
    let offsets_from = synced.offset_count * OffsetIndexEntry::SIZE;
    let times_from = synced.time_count * TimeIndexEntry::SIZE;
    let _names = log.names.acquire(1).await;
    append_to_index(log, segment, extension::INDEX, offsets, offsets_from).await?;
    append_to_index(log, segment, extension::TIME_INDEX, times, times_from).await?;
    if is_new {
        let dir_synced = log.directory.disk().sync_dir(&log.path).await;
        dir_synced.map_err(|error| LogError::flush(&log.path, error))?;
    }
    log.checkpoint.index_synced.set(IndexSynced {
        offset_count,
        time_count,
        ..synced
    });
    Ok(())
}

/// Gives the checkpoint the entries that the index files lack; `false` if they are too many.
fn hold_new_entries(
    segment: &Segment,
    synced: IndexSynced,
    checkpoint: &mut RecoveryCheckpoint,
) -> bool {
    let index = segment.loaded_index().expect("the active index is loaded");
    let index = index.borrow();
    let offset_count = checkpoint.offset_index_entry_count as usize;
    let time_count = checkpoint.time_index_entry_count as usize;
    // The one file may have got further than the other, in a stop.
    let offsets_from = synced.offset_count.min(offset_count);
    let times_from = synced.time_count.min(time_count);
    let offsets = &index.offsets[offsets_from..offset_count];
    let times = &index.times[times_from..time_count];
    let size = offsets.len() * OffsetIndexEntry::SIZE + times.len() * TimeIndexEntry::SIZE;
    if size > INDEX_TAILS_SIZE_MAX {
        return false;
    }
    checkpoint.offset_index_entry_count = offsets_from as u32;
    checkpoint.time_index_entry_count = times_from as u32;
    checkpoint.offset_index_tail = offsets.to_vec();
    checkpoint.time_index_tail = times.to_vec();
    true
}

/// Writes `bytes` from the unit that contains `from` on, and syncs.
async fn append_to_index(
    log: &LogInner,
    segment: &Segment,
    extension: &str,
    bytes: &[u8],
    from: usize,
) -> Result<(), LogError> {
    if bytes.len() == from {
        return Ok(());
    }
    let path = segment_path(&log.path, segment.base_offset, extension);
    let failed = |error| LogError::io(&path, error);
    let disk = log.directory.disk();
    let options = OpenOptions {
        write: true,
        create: true,
        lock_within: None,
    };
    let file = disk.open(&path, options).await.map_err(failed)?;
    let position = align_down(from as u64);
    let new = &bytes[position as usize..];
    let mut buffer = disk.buffer(new.len().next_multiple_of(WRITE_UNIT));
    buffer.as_mut_slice()[..new.len()].copy_from_slice(new);
    let written = file.write_at(buffer, position, IoClass::Background).await;
    written.map_err(failed)?;
    let synced = file.sync_all().await;
    synced.map_err(|error| LogError::flush(&path, error))
}

/// Writes the next slot and makes it durable; from then on it counts.
/// The caller has the turn ([`CheckpointFile::pause`]).
pub(super) async fn write_slot(
    log: &Rc<LogInner>,
    checkpoint: &RecoveryCheckpoint,
) -> Result<(), LogError> {
    // What it promises was flushed before, and another flush may have failed before that one: then
    // it is not known what the disk has kept, and nothing may say so.
    log.directory.failure().map_or(Ok(()), Err)?;
    let own = &log.checkpoint;
    let path = log.path.join(CHECKPOINT_FILE);
    let failed = |error| LogError::io(&path, error);
    let bytes = checkpoint.encode();
    if bytes.len() > own.slot_size.get() {
        replace_file(log, &bytes).await?;
    } else {
        let file = own
            .file
            .borrow()
            .clone()
            .expect("an open log has its checkpoint");
        let disk = log.directory.disk();
        let slot = own.next_slot.get();
        let mut buffer = disk.buffer(bytes.len().next_multiple_of(WRITE_UNIT));
        buffer.as_mut_slice()[..bytes.len()].copy_from_slice(&bytes);
        let position = (slot * own.slot_size.get()) as u64;
        let written = file.write_at(buffer, position, IoClass::Background).await;
        written.map_err(failed)?;
        make_durable(&log.directory, &file).await?;
        // Another flush may have failed in the meantime: what this one has kept is not known.
        log.directory.failure().map_or(Ok(()), Err)?;
        own.next_slot.set(1 - slot);
    }
    own.number.set(checkpoint.number);
    own.recovery_point.set(checkpoint.state.log_end_offset);
    own.log_start_offset.set(checkpoint.state.log_start_offset);
    own.segment_base_offset.set(checkpoint.segment_base_offset);
    own.unflushed_bytes_max.set(checkpoint.unflushed_bytes_max);
    own.gaps_end.set(checkpoint.gaps_end);
    let mut state = log.state.borrow_mut();
    state.raise_log_start(checkpoint.state.log_start_offset);
    Ok(())
}

/// Makes what was written to a checkpoint file durable: its blocks and size are, since it was made.
///
/// Also what a start has read: a dead process may not have come to this. Otherwise a log would
/// begin with what a loss of power takes back, and its next checkpoint overwrite the one that is
/// durable.
pub(super) async fn make_durable(directory: &LogDirectory, file: &File) -> Result<(), LogError> {
    if directory.flushes_by_device() {
        return directory.committer().shared_device_flush().await;
    }
    let synced = file.sync_data().await;
    synced.map_err(|error| LogError::flush(file.path(), error))
}

/// Replaces the file by one with larger slots, the checkpoint in the first.
async fn replace_file(log: &Rc<LogInner>, bytes: &[u8]) -> Result<(), LogError> {
    let _names = log.names.acquire(1).await;
    let (file, slot_size) = new_file(&log.directory, log.path.join(CHECKPOINT_FILE), bytes).await?;
    let own = &log.checkpoint;
    own.file.replace(Some(file));
    own.slot_size.set(slot_size);
    own.next_slot.set(1);
    Ok(())
}

/// Makes the first checkpoint of a log, or one in place of a file that is gone.
pub(super) async fn first(
    directory: &LogDirectory,
    path: PathBuf,
    checkpoint: &RecoveryCheckpoint,
) -> Result<CheckpointFile, LogError> {
    let (file, _) = new_file(directory, path, &checkpoint.encode()).await?;
    Ok(CheckpointFile::new(file, checkpoint, 0))
}

/// Makes a checkpoint file whose first slot holds `bytes`; gives it open and locked.
async fn new_file(
    directory: &LogDirectory,
    path: PathBuf,
    bytes: &[u8],
) -> Result<(File, usize), LogError> {
    let failed = |error| LogError::io(&path, error);
    let (contents, slot_size) = file_contents(bytes);
    let disk = directory.disk();
    let written = disk.write_file(&path, contents).await;
    written.map_err(|error| LogError::replacing(&path, error))?;
    let file = disk.open(&path, directory.locked_for_writing(false)).await;
    Ok((file.map_err(failed)?, slot_size))
}

/// A file with `bytes` in the first slot, and the size of its slots.
pub(super) fn file_contents(bytes: &[u8]) -> (Vec<u8>, usize) {
    let slot_size = bytes.len().next_power_of_two().max(WRITE_UNIT);
    let mut contents = bytes.to_vec();
    contents.resize(2 * slot_size, 0);
    (contents, slot_size)
}

//! One log directory (an entry of `log.dirs`), as one shard sees it.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::rc::{Rc, Weak};
use std::time::Duration;

use super::committer::Committer;
use super::corruption::Corruptions;
use super::log::LogInner;
use super::reader::AheadData;
use super::removal::{self, Removals, Target};
use super::segment::{LOCK_WAIT_MAX, Segment};
use super::spare_buffers::SpareBuffers;
use super::writer::{self, WRITE_SIZE_MAX};
use super::{
    BrokenRule, DirectoryFault, DirectoryState, Landmark, Landmarks, Log, LogError, TailBudget,
    checkpoint,
};
use crate::io::{
    BufferFiller, DeviceFlush, Disk, DiskFacts, FileSystem, Notify, OpenOptions, Permit, Reactor,
    Semaphore, Task, WriteBuffer,
};
use crate::log_state::encode_offsets;
use crate::metrics::ShardMetrics;
use crate::types::{Offset, TopicPartition};

/// The file whose fdatasync flushes the device (rule 5). One per log directory.
const FLUSH_FILE: &str = ".ringlog-flush";

/// What stands in a directory in which a flush has failed: `<this>.<id of the machine's start>`.
/// Only its name counts, which the system knows whatever the disk does, as long as it knows of the
/// writes that never became durable.
pub const FLUSH_FAILED_PREFIX: &str = "ringlog-flush-failed.";

/// Kafka's checkpoint files of a log directory.
const RECOVERY_POINT_CHECKPOINT: &str = "recovery-point-offset-checkpoint";
const LOG_START_CHECKPOINT: &str = "log-start-offset-checkpoint";

/// Logs that are zeroed ahead at the same time, per directory and shard.
const ZEROING_LOGS_MAX: usize = 8;

/// Writes up to this size, bytes, go ahead of larger ones that wait for the budget...
const SMALL_WRITE_SIZE_MAX: usize = 64 << 10;

/// ... as long as so many bytes of them are in flight beyond it.
const SMALL_WRITES_SIZE_MAX: i64 = 4 << 20;

/// Bytes of sealed segments' indexes in memory, per directory and shard.
const SEALED_INDEX_BYTES_MAX: usize = 32 << 20;

/// Sealed segments open for readers, per directory and shard.
const SEALED_FILES_OPEN_MAX: usize = 256;

/// What an index costs beside its entries: its segment's memory stays as long as it is counted.
const INDEX_OVERHEAD: usize = 512;

/// Reads ahead of sequential readers that are kept, of at most 1 MiB each, per directory and shard.
const READS_AHEAD_MAX: usize = 32;

/// How a log directory is opened.
#[derive(Clone)]
pub struct DirectoryOptions {
    pub path: PathBuf,
    /// Shared by all directories of the shard.
    pub tail_budget: TailBudget,
    /// Bytes of writes in flight at most, on this shard.
    pub write_bytes_in_flight_max: usize,
    /// Bytes of zeros written ahead of the appenders at most, on this shard; 0 turns it off.
    pub zero_ahead_bytes_max: u64,
    /// What tests break.
    pub broken_rule: Option<BrokenRule>,
    /// What simulations count.
    pub landmarks: Landmarks,
    /// Where the directory's traffic is counted.
    pub metrics: ShardMetrics,
    /// Shared with the other shards that have this directory open.
    pub fault: DirectoryFault,
    /// Called when the directory has failed on this shard: the others are to be told, so that they
    /// call [`LogDirectory::notice_failure`].
    pub on_failure: Rc<dyn Fn()>,
    /// How long the directories of deleted logs stay (`log.segment.delete.delay.ms`: a topic's own
    /// `file.delete.delay.ms` goes with the topic, as with Kafka).
    pub delete_delay: Duration,
}

impl DirectoryOptions {
    pub fn new(path: PathBuf, tail_budget: TailBudget) -> DirectoryOptions {
        DirectoryOptions {
            path,
            tail_budget,
            write_bytes_in_flight_max: 32 << 20,
            zero_ahead_bytes_max: 1 << 30,
            broken_rule: None,
            landmarks: Landmarks::default(),
            metrics: ShardMetrics::new(),
            fault: DirectoryFault::default(),
            on_failure: Rc::new(|| {}),
            delete_delay: Duration::from_secs(60),
        }
    }
}

/// What a directory's checkpoint files say of one log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CheckpointEntry {
    pub partition: TopicPartition,
    pub recovery_point: Offset,
    pub log_start_offset: Offset,
}

/// A log directory and the logs in it that this shard owns. It refers to the logs without keeping
/// them: whoever opened a log holds it until it is stopped.
#[derive(Clone)]
pub struct LogDirectory {
    inner: Rc<DirectoryInner>,
}

struct DirectoryInner {
    reactor: Reactor,
    disk: Disk,
    options: DirectoryOptions,
    facts: DiskFacts,
    device_flush: DeviceFlush,
    committer: Committer,
    logs: RefCell<BTreeMap<TopicPartition, Weak<LogInner>>>,
    /// What the cleanly stopped logs have left to say.
    stopped: RefCell<Vec<CheckpointEntry>>,
    /// Logs that may have something to submit.
    dirty: RefCell<Vec<Weak<LogInner>>>,
    /// Logs that wait for write budget.
    starved: RefCell<VecDeque<Weak<LogInner>>>,
    dirty_changed: Notify,
    /// Less than nothing when small writes have gone ahead.
    write_bytes_available: Cell<i64>,
    unwritten_bytes: Cell<u64>,
    delete_delay: Cell<Duration>,
    spare_buffers: RefCell<SpareBuffers>,
    zeroed_ahead: Cell<u64>,
    zeroing: Semaphore,
    /// Sealed segments with their index in memory, oldest first, and its size.
    indexes: RefCell<VecDeque<(Weak<Segment>, usize)>>,
    index_bytes: Cell<usize>,
    /// Sealed segments that a reader has opened, oldest first.
    opened: RefCell<VecDeque<Weak<Segment>>>,
    /// What is read ahead of sequential readers, oldest first.
    read_ahead: RefCell<VecDeque<Weak<AheadData>>>,
    /// What of [`DirectoryOptions::fault`] has been acted on.
    noticed: Cell<DirectoryState>,
    /// [`FLUSH_FAILED_PREFIX`] was left, or is being left.
    is_noted: Cell<bool>,
    noting: RefCell<Option<Task<()>>>,
    is_stopped: Cell<bool>,
    checkpoints: checkpoint::Schedule,
    removals: Removals,
    corruptions: Corruptions,
}

/// Where word of a failed flush cannot be opened: its name says it all. On a disk whose flushes
/// fail there may be no more than that.
async fn unreadable_marker(
    disk: &Disk,
    directory: &Path,
    (marker, error): (PathBuf, std::io::Error),
) -> LogError {
    let entries = disk.list_dir(directory).await.unwrap_or_default();
    let is_marker = |name: &str| marker.file_name().is_some_and(|own| own == name);
    match entries.iter().any(|entry| is_marker(&entry.name)) {
        true => LogError::NotTrusted { marker },
        false => LogError::io(&marker, error),
    }
}

impl LogDirectory {
    /// Opens the directory (it exists and is locked by the caller): its facts, its flush file.
    pub async fn open(
        reactor: &Reactor,
        options: DirectoryOptions,
    ) -> Result<LogDirectory, LogError> {
        assert!(
            options.write_bytes_in_flight_max as u64 >= WRITE_SIZE_MAX,
            "one write of {WRITE_SIZE_MAX} bytes must be possible"
        );
        let disk = reactor.disk().metered(options.metrics.clone());
        let path = options.path.clone();
        let facts = disk.facts(&path).await;
        let facts = facts.map_err(|error| LogError::io(&path, error))?;
        let marker = path.join(format!("{FLUSH_FAILED_PREFIX}{}", facts.boot_id));
        match disk.open(&marker, OpenOptions::default()).await {
            Ok(_) => return Err(LogError::NotTrusted { marker }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(unreadable_marker(&disk, &path, (marker, error)).await),
        }
        let flush_path = path.join(FLUSH_FILE);
        let device_flush = disk.device_flush(&flush_path).await;
        let device_flush = device_flush.map_err(|error| LogError::io(&flush_path, error))?;
        let directory = LogDirectory {
            inner: Rc::new(DirectoryInner {
                reactor: reactor.clone(),
                disk,
                facts,
                device_flush,
                committer: Committer::new(),
                logs: RefCell::default(),
                stopped: RefCell::default(),
                dirty: RefCell::default(),
                starved: RefCell::default(),
                dirty_changed: Notify::new(),
                write_bytes_available: Cell::new(options.write_bytes_in_flight_max as i64),
                unwritten_bytes: Cell::new(0),
                delete_delay: Cell::new(options.delete_delay),
                spare_buffers: RefCell::default(),
                zeroed_ahead: Cell::new(0),
                zeroing: Semaphore::new(ZEROING_LOGS_MAX),
                indexes: RefCell::default(),
                index_bytes: Cell::new(0),
                opened: RefCell::default(),
                read_ahead: RefCell::default(),
                noticed: Cell::default(),
                is_noted: Cell::new(false),
                noting: RefCell::default(),
                is_stopped: Cell::new(false),
                checkpoints: checkpoint::Schedule::default(),
                removals: Removals::default(),
                corruptions: Corruptions::default(),
                options,
            }),
        };
        reactor.spawn(run_writer(directory.clone())).detach();
        reactor.spawn(Committer::run(directory.clone())).detach();
        reactor.spawn(checkpoint::run(directory.clone())).detach();
        reactor.spawn(removal::run(directory.clone())).detach();
        Ok(directory)
    }

    pub fn path(&self) -> &Path {
        &self.inner.options.path
    }

    /// Bytes of written batches that the tails of the shard's logs keep.
    pub fn tail_bytes(&self) -> usize {
        self.inner.options.tail_budget.used()
    }

    /// Appended bytes of the shard's logs that are not yet written.
    pub(super) fn unwritten_bytes(&self) -> u64 {
        self.inner.unwritten_bytes.get()
    }

    pub(super) fn count_appended(&self, size: u64) {
        let unwritten = &self.inner.unwritten_bytes;
        unwritten.set(unwritten.get() + size);
    }

    /// So many bytes are written, or will never be.
    pub(super) fn count_written(&self, size: u64) {
        let unwritten = &self.inner.unwritten_bytes;
        unwritten.set(unwritten.get() - size);
    }

    pub(super) fn metrics(&self) -> &ShardMetrics {
        &self.inner.options.metrics
    }

    pub fn facts(&self) -> &DiskFacts {
        &self.inner.facts
    }

    /// Why this directory is offline, if it is: whichever shard has seen it fail.
    pub fn failure(&self) -> Option<LogError> {
        self.inner.options.fault.failure()
    }

    pub fn has_failed(&self) -> bool {
        self.inner.options.fault.has_failed()
    }

    /// Whether it had no room for a write, and has failed in no other way.
    pub fn is_full(&self) -> bool {
        self.inner.options.fault.state() == DirectoryState::Full
    }

    /// Whether nothing in it can be relied on any more.
    pub fn is_lost(&self) -> bool {
        self.inner.options.fault.state() == DirectoryState::Lost
    }

    /// The open logs.
    pub fn logs(&self) -> Vec<Log> {
        let logs = self.inner.logs.borrow();
        let handle = |inner: &Weak<LogInner>| {
            let inner = inner.upgrade()?;
            Some(Log { inner })
        };
        logs.values().filter_map(handle).collect()
    }

    /// What this shard has to say for the directory's checkpoint files, of open logs and of those
    /// that were stopped. Shard 0 collects all
    /// shards' and calls [`LogDirectory::write_checkpoints`].
    pub fn checkpoint_entries(&self) -> Vec<CheckpointEntry> {
        let mut entries = self.inner.stopped.borrow().clone();
        entries.extend(self.logs().iter().map(|log| checkpoint_entry(&log.inner)));
        entries
    }

    /// Writes `recovery-point-offset-checkpoint` and `log-start-offset-checkpoint`.
    pub async fn write_checkpoints(&self, entries: &[CheckpointEntry]) -> Result<(), LogError> {
        let recovery_points = entries.iter().map(|e| (&e.partition, e.recovery_point));
        let log_starts = entries
            .iter()
            .filter(|entry| entry.log_start_offset > 0)
            .map(|entry| (&entry.partition, entry.log_start_offset))
            .collect::<Vec<_>>();
        for (name, text) in [
            (RECOVERY_POINT_CHECKPOINT, encode_offsets(recovery_points)),
            (LOG_START_CHECKPOINT, encode_offsets(log_starts.into_iter())),
        ] {
            let path = self.path().join(name);
            let written = self.disk().write_file(&path, text.into_bytes()).await;
            let written = written.map_err(|error| LogError::replacing(&path, error));
            written.inspect_err(|error| self.fail_if_flush(error))?;
        }
        Ok(())
    }

    /// Clean stop of all logs (see [`Log::stop`]), several at a time, and of what this directory
    /// runs. Afterwards the caller may write the marker.
    pub async fn stop(&self) -> Result<(), LogError> {
        let reactor = self.reactor();
        let stopping: Vec<_> = self
            .logs()
            .into_iter()
            .map(|log| reactor.spawn(async move { log.stop().await }))
            .collect();
        let mut result = self.failure().map_or(Ok(()), Err);
        for task in stopping {
            result = result.and(match task.await {
                // It is being deleted: the next start ends that.
                Err(LogError::Closed) => Ok(()),
                stopped => stopped,
            });
        }
        self.inner.is_stopped.set(true);
        self.end_tasks();
        self.failure_noted().await;
        result
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.inner.is_stopped.get() || self.has_failed()
    }

    /// Whether a test has this rule broken.
    pub(super) fn breaks(&self, rule: BrokenRule) -> bool {
        self.inner.options.broken_rule == Some(rule)
    }

    pub(super) fn landmarks(&self) -> &Landmarks {
        &self.inner.options.landmarks
    }

    pub(super) fn reached(&self, landmark: Landmark) {
        self.inner.options.landmarks.reached(landmark);
    }

    /// How a file is opened that a log writes: its writes hold off the next process's recovery
    /// (rule 4).
    pub(super) fn locked_for_writing(&self, create: bool) -> OpenOptions {
        let is_locked = !self.breaks(BrokenRule::LocksNothing);
        OpenOptions {
            write: true,
            create,
            lock_within: is_locked.then_some(LOCK_WAIT_MAX),
        }
    }

    pub(super) fn reactor(&self) -> &Reactor {
        &self.inner.reactor
    }

    pub(super) fn disk(&self) -> &Disk {
        &self.inner.disk
    }

    pub(super) fn device_flush(&self) -> &DeviceFlush {
        &self.inner.device_flush
    }

    pub(super) fn committer(&self) -> &Committer {
        &self.inner.committer
    }

    pub(super) fn checkpoints(&self) -> &checkpoint::Schedule {
        &self.inner.checkpoints
    }

    pub(super) fn tail_budget(&self) -> &TailBudget {
        &self.inner.options.tail_budget
    }

    /// Whether one flush of the device may stand for those of many files (rule 5).
    pub(super) fn flushes_by_device(&self) -> bool {
        let facts = &self.inner.facts;
        let is_known = matches!(facts.file_system, FileSystem::Ext4 | FileSystem::Xfs);
        is_known && !facts.barriers_off
    }

    pub(super) fn register(&self, log: &Rc<LogInner>) {
        self.inner
            .stopped
            .borrow_mut()
            .retain(|entry| entry.partition != log.partition);
        let before = self
            .inner
            .logs
            .borrow_mut()
            .insert(log.partition.clone(), Rc::downgrade(log));
        let is_open = before.is_some_and(|before| before.strong_count() > 0);
        assert!(!is_open, "{} is opened once", log.partition);
    }

    /// The directory's checkpoint files go on naming a log that was stopped.
    pub(super) fn keep_entry(&self, log: &LogInner) {
        self.inner.stopped.borrow_mut().push(checkpoint_entry(log));
    }

    pub(super) fn forget(&self, log: &LogInner) {
        self.inner.logs.borrow_mut().remove(&log.partition);
    }

    /// A write or flush has failed: nothing is written here any more, by no shard (rule 10).
    pub fn fail(&self, error: &LogError) {
        let (path, cause) = match error {
            LogError::Io { path, error } | LogError::Flush { path, error } => (path, error),
            // Told already, or of one log alone.
            _ => return,
        };
        // Many writes may fail together: one line for all of them.
        if self.inner.options.fault.report(error) {
            let (path, is_full) = (path.display(), error.is_no_space());
            let outcome = match is_full {
                true => {
                    "no room: this log directory takes no records until there is some and the \
                         broker is started again; what it holds is read on"
                }
                false => {
                    "a write or flush failed; this log directory stays offline until the \
                          broker restarts"
                }
            };
            tracing::error!(%path, error = %cause, "{outcome}");
        }
        self.notice_failure();
        (self.inner.options.on_failure)();
    }

    /// A flush that fails is final wherever it belongs to; another error is the caller's.
    pub(super) fn fail_if_flush(&self, error: &LogError) {
        if matches!(error, LogError::Flush { .. }) {
            self.fail(error);
        }
    }

    /// Tells of damage that was found, once; another error is the caller's.
    pub(super) fn note_corruption(&self, error: &LogError) {
        self.inner.corruptions.note(error, self.metrics());
    }

    /// Acts on a failure that this shard or another one has reported: whoever waits for this
    /// shard's logs hears of it. Nothing of a log may be borrowed.
    pub fn notice_failure(&self) {
        if self.inner.options.fault.has_flush_failed() {
            self.note_failed_flush();
        }
        let state = self.inner.options.fault.state();
        if state <= self.inner.noticed.replace(state) {
            return;
        }
        self.end_tasks();
        for Log { inner: log } in self.logs() {
            let segments: Vec<_> = log.core.borrow().segments.values().cloned().collect();
            segments
                .iter()
                .for_each(|segment| segment.changed.notify_all());
            log.tell_progress();
        }
    }

    /// Leaves word of a failed flush for the next start. A failed flush may have taken from the
    /// disk what the system still shows: only a new start of the machine tells what there is.
    fn note_failed_flush(&self) {
        if self.inner.is_noted.replace(true) {
            return;
        }
        let name = format!("{FLUSH_FAILED_PREFIX}{}", self.inner.facts.boot_id);
        let marker = self.path().join(name);
        let options = OpenOptions {
            write: true,
            create: true,
            lock_within: None,
        };
        let made = self.disk().open(&marker, options);
        let noting = self.reactor().spawn(async move {
            if let Err(error) = made.await {
                let marker = marker.display();
                tracing::error!(%marker, %error, "the failed flush cannot be noted on disk");
            }
        });
        self.inner.noting.replace(Some(noting));
    }

    /// Waits until word of a failed flush is left, if there is one: before the process ends.
    pub async fn failure_noted(&self) {
        let noting = self.inner.noting.take();
        if let Some(noting) = noting {
            noting.await;
        }
    }

    /// Lets the directory's tasks see that there is nothing more to do.
    fn end_tasks(&self) {
        self.inner.dirty_changed.notify_all();
        self.inner.committer.stop();
        self.inner.checkpoints.changed.notify_all();
        self.inner.removals.changed.notify_all();
    }

    /// Removes, in the background, what earlier processes have put out of use and not removed. Such
    /// a process may have been killed before it had made the name durable under which it was found.
    pub fn remove_leftover(&self, directory: PathBuf) {
        let target = Target::Directory {
            path: directory,
            is_moved_durably: false,
        };
        self.remove_later(Duration::ZERO, target, Vec::new());
    }

    /// Removes files or a directory after a delay, once nobody reads `segments` any more.
    pub(super) fn remove_later(&self, delay: Duration, target: Target, segments: Vec<Rc<Segment>>) {
        let at = self.inner.reactor.now() + delay;
        self.inner.removals.add(at, target, segments);
    }

    /// How long the directories of logs that are deleted from now on stay.
    pub fn set_delete_delay(&self, delay: Duration) {
        self.inner.delete_delay.set(delay);
    }

    pub(super) fn delete_delay(&self) -> Duration {
        self.inner.delete_delay.get()
    }

    pub(super) fn removals(&self) -> &Removals {
        &self.inner.removals
    }

    pub(super) fn request_flush(&self, log: &Rc<LogInner>) {
        self.inner.committer.request(log);
    }

    pub(super) fn want_checkpoint(&self, log: &Rc<LogInner>) {
        self.inner.checkpoints.want(log);
    }

    /// The log may have something to submit; looked at after what runs now, so that appends which
    /// arrive together share a write.
    pub(super) fn mark_dirty(&self, log: &Rc<LogInner>) {
        if !log.is_dirty.replace(true) {
            self.inner.dirty.borrow_mut().push(Rc::downgrade(log));
            self.inner.dirty_changed.notify_all();
        }
    }

    /// Takes budget for a write; `false` makes the log wait its turn. Small ones do not wait behind
    /// large ones of others.
    pub(super) fn take_write_budget(&self, log: &Rc<LogInner>, size: usize) -> bool {
        let available = self.inner.write_bytes_available.get();
        let left = available - size as i64;
        let least = match size <= SMALL_WRITE_SIZE_MAX {
            true => -SMALL_WRITES_SIZE_MAX,
            false => 0,
        };
        if left < least {
            self.inner
                .starved
                .borrow_mut()
                .push_back(Rc::downgrade(log));
            return false;
        }
        self.inner.write_bytes_available.set(left);
        true
    }

    pub(super) fn return_write_budget(&self, size: usize) {
        let available = self.inner.write_bytes_available.get() + size as i64;
        self.inner.write_bytes_available.set(available);
        let starved = std::mem::take(&mut *self.inner.starved.borrow_mut());
        for log in starved.iter().filter_map(Weak::upgrade) {
            self.mark_dirty(&log);
        }
    }

    /// A buffer to fill and write.
    pub(super) fn write_buffer(&self, size: usize) -> BufferFiller {
        let spare = self.inner.spare_buffers.borrow_mut().take(size);
        match spare {
            Some(spare) => BufferFiller::refill(spare),
            None => self.inner.disk.unfilled_buffer(size),
        }
    }

    pub(super) fn reuse_buffer(&self, buffer: WriteBuffer) {
        self.inner.spare_buffers.borrow_mut().keep(buffer);
    }

    /// Waits until a log may be zeroed ahead.
    pub(super) async fn zeroing_turn(&self) -> Permit {
        self.inner.zeroing.acquire(1).await
    }

    /// Reserves up to `size` bytes of the budget for zeros ahead of the appenders.
    pub(super) fn reserve_zeros(&self, size: u64) -> u64 {
        let rest = self
            .inner
            .options
            .zero_ahead_bytes_max
            .saturating_sub(self.inner.zeroed_ahead.get());
        let granted = size.min(rest);
        self.inner
            .zeroed_ahead
            .set(self.inner.zeroed_ahead.get() + granted);
        granted
    }

    /// Keeps the index of a sealed segment in memory for a while.
    pub(super) fn keep_index(&self, segment: &Rc<Segment>) {
        let Some(index) = segment.loaded_index() else {
            return;
        };
        let size = index.borrow().memory_size() + INDEX_OVERHEAD;
        let mut indexes = self.inner.indexes.borrow_mut();
        indexes.push_back((Rc::downgrade(segment), size));
        let mut total = self.inner.index_bytes.get() + size;
        while total > SEALED_INDEX_BYTES_MAX
            && let Some((oldest, size)) = indexes.pop_front()
        {
            total -= size;
            if let Some(oldest) = oldest.upgrade() {
                oldest.index.replace(None);
            }
        }
        self.inner.index_bytes.set(total);
    }

    /// Keeps the file of a sealed segment open for a while.
    pub(super) fn keep_open(&self, segment: &Rc<Segment>) {
        let mut opened = self.inner.opened.borrow_mut();
        opened.push_back(Rc::downgrade(segment));
        if opened.len() > SEALED_FILES_OPEN_MAX
            && let Some(oldest) = opened.pop_front()
            && let Some(oldest) = oldest.upgrade()
        {
            oldest.file.replace(None);
        }
    }

    /// Keeps what is read ahead for a while.
    pub(super) fn keep_ahead(&self, data: &Rc<AheadData>) {
        let mut ahead = self.inner.read_ahead.borrow_mut();
        ahead.push_back(Rc::downgrade(data));
        if ahead.len() > READS_AHEAD_MAX
            && let Some(oldest) = ahead.pop_front()
            && let Some(oldest) = oldest.upgrade()
        {
            oldest.take();
        }
    }

    pub(super) fn release_zeros(&self, size: u64) {
        let left = self.inner.zeroed_ahead.get().saturating_sub(size);
        self.inner.zeroed_ahead.set(left);
    }
}

fn checkpoint_entry(log: &LogInner) -> CheckpointEntry {
    CheckpointEntry {
        partition: log.partition.clone(),
        recovery_point: log.checkpoint.recovery_point(),
        log_start_offset: log.state.borrow().log_start_offset,
    }
}

/// Submits the writes of dirty logs until the directory stops or fails.
async fn run_writer(directory: LogDirectory) {
    let inner = Rc::clone(&directory.inner);
    while !directory.is_stopped() {
        let changed = inner.dirty_changed.notified();
        let dirty = std::mem::take(&mut *inner.dirty.borrow_mut());
        if dirty.is_empty() {
            changed.await;
            continue;
        }
        for log in dirty.iter().filter_map(Weak::upgrade) {
            log.is_dirty.set(false);
            writer::submit_writes(&log);
        }
    }
}
